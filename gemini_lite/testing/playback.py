"""Playing a recording: each request gets the answer that the same request got when it was recorded."""
from __future__ import annotations

import base64
import os
import re
import threading
from typing import Callable, List, Optional, Set, Union

from ..json_data import JSON
from .camel_case import in_camel_case
from .recording_file import URL_OF_PLAYER, read_recording, request_body, without_query_order
from .redaction import Redaction
from .replies import Answer, Error, Raw
from .request import Request

_IDS = {"userPromptId", "sessionId", "requestId", "displayName"}  # made anew for each run of a client


class Playback:
    """A service of a stand-in: the recorded answers, by request; `url` tells the stand-in's own.

    Requests that were recorded several times get their answers in order, and the last one from then on.
    """

    def __init__(self, path: Union[str, os.PathLike[str]], url: Callable[[], str]) -> None:
        first, self._exchanges = read_recording(path)
        self._path, self._url = os.fspath(path), url
        self._hashed = first.get("texts") == "hashed"
        self._redaction = Redaction(self._hashed)
        self._played = [False] * len(self._exchanges)
        self._lock = threading.Lock()

    @property
    def models(self) -> Set[str]:
        """The models that were asked."""
        return {Request(exchange["method"], exchange["path"], {}, exchange["request"], 0).model
                for exchange in self._exchanges} - {""}

    def __call__(self, request: Request) -> Optional[Answer]:
        """The recorded answer; None for a request that a stand-in answers by itself."""
        self._redaction.learn(request)
        path = without_query_order(self._redaction.path(request.path))
        same_path = [number for number, exchange in enumerate(self._exchanges)
                     if exchange["method"] == request.method and without_query_order(exchange["path"]) == path]
        if not same_path and request.kind != "generate":
            return None
        body = _comparable(request_body(request, self._redaction, self._hashed))
        same = [number for number in same_path if _comparable(self._exchanges[number]["request"]) == body]
        if not same:
            return Error(404, self._explanation(request, same_path, body))
        return self._answer(self._exchanges[self._next(same)])

    def _next(self, numbers: List[int]) -> int:
        with self._lock:
            number = next((number for number in numbers if not self._played[number]), numbers[-1])
            self._played[number] = True
            return number

    def _answer(self, exchange: JSON) -> Raw:
        data = base64.b64decode(exchange["answer_base64"]) if "answer_base64" in exchange else \
            exchange["answer"].replace(URL_OF_PLAYER, self._url()).encode()
        headers = {name: value.replace(URL_OF_PLAYER, self._url())
                   for name, value in exchange["answer_headers"].items()}
        if "event-stream" in headers.get("content-type", ""):
            return Raw(*re.findall(rb"(?s).+?(?:\r?\n\r?\n|\Z)", data), status=exchange["status"], headers=headers)
        return Raw(data, status=exchange["status"], headers={**headers, "Content-Length": str(len(data))})

    def _explanation(self, request: Request, same_path: List[int], body: object) -> str:
        start = f"the recording {self._path} has no request like this {request.method} {request.path}"
        if not same_path:
            return f"{start}: nothing was recorded at this path"
        places = [_difference(_comparable(self._exchanges[number]["request"]), body, "") for number in same_path]
        return f"{start}: recorded ones differ at {', '.join(dict.fromkeys(places[:5]))}; record it again"


def _comparable(body: object) -> object:
    """A body as it is compared: in camelCase, without the ids that every run makes anew."""
    return _without_ids(in_camel_case(body))


def _without_ids(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_ids(inner) for name, inner in value.items() if name not in _IDS}
    return [_without_ids(item) for item in value] if isinstance(value, list) else value


def _difference(recorded: object, sent: object, place: str) -> str:
    """The path of the first place where two bodies differ."""
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for name in [*recorded, *sent]:
            if recorded.get(name) != sent.get(name):
                return _difference(recorded.get(name), sent.get(name), f"{place}.{name}" if place else name)
    if isinstance(recorded, list) and isinstance(sent, list):
        for number, (old, new) in enumerate(zip(recorded, sent)):
            if old != new:
                return _difference(old, new, f"{place}[{number}]")
    return place or "the body"
