"""The script of a stand-in: the answers that a test has lined up, for the model's words and for any other call."""
from __future__ import annotations

import fnmatch
from collections import Counter, defaultdict, deque
from typing import Deque, Dict, List, Optional, Tuple
from urllib.parse import unquote

from .replies import Answer
from .request import KINDS, Request

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class Script:
    """Answers by name: "generate", another kind of request, or a method and a path such as "GET /v1beta/files"."""

    def __init__(self) -> None:
        self._answers: Dict[str, Deque[Answer]] = defaultdict(deque)
        self._served: Counter[str] = Counter()

    def add(self, name: str, answers: List[Answer]) -> None:
        """Put `answers` behind those that wait under `name`."""
        self._answers[name].extend(answers)

    def count(self, request: Request) -> int:
        """How many requests of this kind there were, this one included."""
        self._served[request.kind] += 1
        return self._served[request.kind]

    def take(self, request: Request) -> Optional[Answer]:
        """The next answer lined up for a request; None where nothing is."""
        for name, answers in self._answers.items():
            if answers and _matches(name, request):
                return answers.popleft()
        return None

    def left(self) -> List[Tuple[str, Answer]]:
        """What nobody has asked for yet."""
        return [(name, answer) for name, answers in self._answers.items() for answer in answers]


def check_name(name: str) -> None:
    """ValueError for a name that no request can have."""
    method, _, path = name.partition(" ")
    if method in METHODS and path.startswith("/"):
        return
    others = [kind for kind in KINDS if kind != "generate"]
    if name not in others:
        raise ValueError(f"answer() scripts {', '.join(others)}, or a method and a path like 'GET /v1beta/files'; "
                         f"not {name!r}")


def _matches(name: str, request: Request) -> bool:
    method, _, pattern = name.partition(" ")
    if not pattern:
        return name == request.kind
    path = unquote(request.path) if "?" in pattern else request.bare_path
    # Of fnmatch's signs only the star is one here: a "?" begins the query.
    literal = pattern.replace("[", "[[]").replace("?", "[?]")
    return method == request.method and fnmatch.fnmatchcase(path, literal)
