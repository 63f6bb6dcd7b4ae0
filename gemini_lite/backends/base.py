"""What a backend is: where a request goes, and the envelope it wears there."""
from __future__ import annotations

import sys
from typing import List, Mapping, Optional, Protocol, Sequence
from urllib.parse import urlsplit

from ..json_data import JSON
from ..options import GeminiOptions
from ..transport.deadline import Deadline
from ..transport.transport import Auth
from ..version import __version__

CLIENT_NAME = f"gemini-lite/{__version__}"
PYTHON_NAME = "gl-python/{}.{}.{}".format(*sys.version_info)
JSON_HEADERS = {  # of the public APIs
    "Content-Type": "application/json", "User-Agent": f"{CLIENT_NAME} {PYTHON_NAME}",
    "x-goog-api-client": f"{CLIENT_NAME} {PYTHON_NAME}",
}


class Post(Protocol):
    """Sends a backend's own calls, such as those of its set-up, within the call that needs them."""

    @property
    def deadline(self) -> Deadline:
        """The moment by which all of them must be done."""

    def sign_in(self) -> None:
        """Have the credentials found, for a backend that asks them for its project or host."""

    def __call__(self, path: str, body: Optional[JSON]) -> JSON:
        """The JSON object that answers `body`; without a body the call is a GET."""


class Backend(Protocol):
    """A way to the model; `DeveloperAPI` is the simplest example."""

    @property
    def auth(self) -> Auth:
        """Who is calling."""

    @property
    def endpoints(self) -> Sequence[str]:
        """Base URLs, tried in this order."""

    @property
    def default_model(self) -> str:
        """The model for calls that name none."""

    def path(self, method: str, model: str) -> str:
        """The path and query of an API method such as ``generateContent``."""

    def headers(self, method: str, model: str) -> Mapping[str, str]:
        """The headers that say what is sent and who sends it, without the credentials."""

    def wrap(
        self, method: str, model: str, request: JSON, options: GeminiOptions, session_id: str, post: Post,
    ) -> JSON:
        """The body for `request`; called once for each call, so ids made here stay the same over its tries.

        ValueError for an option that this backend cannot take.
        """

    def unwrap(self, event: JSON) -> JSON:
        """The API's own object inside an answer or event."""

    def models(self, post: Post) -> List[JSON]:
        """The models, as the API describes them; ValueError where there is no such list."""

    def quota(self, post: Post) -> List[JSON]:
        """What is left of the quota, as the API describes it; ValueError where that cannot be asked."""


def check_model(model: str) -> str:
    """The name of a model as backends take it; ValueError for one that `check_path` refuses.

    The prefix ``models/`` goes from a name of one word, and stays before one with a slash, such as
    ``models/openai/gpt-4`` of a gateway.
    """
    name = model.strip()
    last = name[len("models/"):] if name.startswith("models/") else name
    return check_path(name if "/" in last else last)


def check_path(model: str) -> str:
    """`model`, stripped; ValueError for a name that would lead to another path, or leave the API's."""
    name = model.strip()
    bad = next((mark for mark in ("..", "?", "#", "&", "\\") if mark in name), "")
    if not name.isprintable():
        bad = "a control character"
    elif any(part.strip() in ("", ".") for part in name.split("/")):
        bad = "an empty part"
    if bad:
        raise ValueError(f"model {model!r:.100} holds {bad}, and would lead to another address: write a name as "
                         "client.models() lists it, such as 'gemini-flash-latest'")
    return name


def model_resource(model: str) -> str:
    """The name of the resource that a model is: ``models/gemini-flash-latest``, ``tunedModels/mine``."""
    name = check_model(model)
    return name if "/" in name else f"models/{name}"


def check_url(url: str, name: str) -> str:
    """`url` without its last slash, or a ValueError that says what is wrong with it."""
    if "@" in url:
        raise ValueError(f"{name} must hold no user name or password: URLs end up in logs")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number, or a bracket is missing
        good = False
    if not good or not url.isprintable() or any(mark in url for mark in "?# "):  # an empty query, too, eats the path
        raise ValueError(f"{name} must be like 'https://host' or 'http://host:port/path', without a query, a fragment "
                         "or blanks (it may hold a key, and so is not shown here)")
    return url.rstrip("/")
