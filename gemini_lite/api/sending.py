"""The calls of the API's collections, each within the client's limits and the deadline of the whole."""
from __future__ import annotations

import json
from typing import Generator, Optional, Protocol

from ..auth.secret import Secret
from ..backends.base import Backend, Post
from ..errors import ParseError
from ..json_data import JSON
from ..options import GeminiOptions
from ..transport import raw
from ..transport.deadline import NEVER, CallLimits, CallSettings, Deadline
from ..transport.error_body import error_from_event
from ..transport.transport import Transport


class Route(Protocol):
    """What is used of a client's `route.Route`."""

    backend: Backend

    def model(self, options: GeminiOptions) -> str:
        """The model that `options` name, or the default."""

    def send(self, path: str, body: Optional[JSON] = None, *, method: str = "POST", model: str = "",
             settings: CallSettings = CallSettings(), creates: bool = False) -> JSON:
        """The JSON object that answers a call outside the model's."""

    def events(self, path: str, body: Optional[JSON] = None, *, settings: CallSettings = CallSettings(),
               creates: bool = False) -> Generator[JSON, None, None]:
        """`send`, answered by a stream of events."""

    def post(self, settings: CallSettings, model: str = "") -> Post:
        """The function that a backend is handed for calls of its own."""


class Sender:
    """What an API room sends with: the route of a client, its transport, and what it asks of each call."""

    def __init__(self, route: Route, transport: Transport, limits: CallLimits) -> None:
        self.route, self.transport, self.limits = route, transport, limits

    def settings(self, deadline: Deadline = NEVER) -> CallSettings:
        """The settings of a call that begins now and must be done by `deadline` too."""
        if self.limits.deadline is not None:
            deadline = deadline.earlier(self.limits.deadline)
        return CallSettings(deadline, self.limits.timeout, self.limits.retries)

    @property
    def retries(self) -> int:
        """How often a call is made again."""
        return self.transport.retries if self.limits.retries is None else self.limits.retries

    def get_resource(self, path: str, deadline: Deadline = NEVER) -> JSON:
        """The thing at `path`, whose own ``error`` is part of it and no failure of the call."""
        backend, settings = self.route.backend, self.settings(deadline)

        def attempt() -> JSON:
            url = Secret(backend.endpoints[0] + path)
            request = raw.RawRequest("GET", url, backend.headers("", ""), None, settings)
            answer = raw.exchange(self.transport, request)
            if not answer.ok:
                raise answer.error()
            return _parse(answer)

        return raw.run(self.transport, attempt, settings)

    def get(self, path: str, deadline: Deadline = NEVER) -> JSON:
        """The JSON object at `path`."""
        return self.route.send(path, None, method="GET", settings=self.settings(deadline))

    def send(self, path: str, body: Optional[JSON], method: str = "POST", deadline: Deadline = NEVER) -> JSON:
        """The JSON object that answers `body`."""
        return self.route.send(path, body, method=method, settings=self.settings(deadline))


def _parse(answer: raw.RawAnswer) -> JSON:
    try:
        data: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict):
        failure = error_from_event(data, answer.headers) if "name" not in data and "id" not in data else None
        if failure is None:
            return data
        raise failure
    raise ParseError(f"The server answered {answer.status} with something that is no JSON object: "
                     f"{answer.body[:200]!r:.200}. Check the base URL and what stands between you and Google.",
                     reason="NOT_JSON")
