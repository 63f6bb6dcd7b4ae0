"""One HTTP exchange of raw bytes, whose status and headers are handed back; for uploads and downloads."""
from __future__ import annotations

from typing import Callable, ContextManager, Mapping, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

import requests

from ..errors import APIError, GeminiError
from . import retry
from .deadline import CallSettings
from .error_body import error_from_response
from .session import AddCredentials, Data
from .transport import Exchange, OpenAnswer, Transport, log

T = TypeVar("T")

_CREDENTIALS = ("Authorization", "x-goog-api-key", "Cookie")


class HiddenText(Protocol):
    """A text that no repr shows, such as `auth.secret.Secret`."""

    value: str


class RawRequest(NamedTuple):
    """What is sent. The `url` is hidden, because an upload's allows everybody to write; so is it from the logs."""

    method: str
    url: HiddenText
    headers: Mapping[str, str] = {}
    body: Data = None
    settings: CallSettings = CallSettings()
    authenticated: bool = True


class RawAnswer(NamedTuple):
    """What came back; `headers` know no case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300

    def error(self) -> APIError:
        """The error that this answer is."""
        return error_from_response(self.status, self.headers, self.body)


def exchange(transport: Transport, request: RawRequest) -> RawAnswer:
    """The answer to one `request`, whatever its status; TransportError if there is none."""
    with open_answer(transport, request) as answer:
        is_success = 200 <= answer.status < 300
        body = b"".join(answer.blocks(transport.limits.body)) if is_success else answer.error_body()
    return RawAnswer(answer.status, answer.headers, body)


def open_answer(transport: Transport, request: RawRequest) -> ContextManager[OpenAnswer]:
    """The answer to one `request` as soon as its head is there; see `Transport.open`."""
    parts = urlsplit(request.url.value)
    headers = {"Accept-Encoding": "identity", **_shared_headers(request.headers)}
    return transport.open(
        Exchange(request.method, f"{parts.scheme}://{parts.netloc}/", headers, request.body,
                 _AddURLAndCredentials(transport.auth, request), request.authenticated), request.settings)


def run(transport: Transport, attempt: Callable[[], T], settings: CallSettings) -> T:
    """The result of `attempt`, which changes nothing on the server, made again as its errors allow."""
    retries = transport.retries if settings.retries is None else settings.retries
    tries = 0
    with transport.operation():
        while True:
            try:
                return attempt()
            except GeminiError as failure:
                error = failure
            is_worth_it = tries < retries and not retry.is_slow(error)
            seconds = retry.wait(error, tries, transport.max_wait) if is_worth_it else None
            if seconds is None or seconds >= settings.deadline.left:
                raise error
            log.info("waiting %.2f s before try %d: %s", seconds, tries + 2, error.reason or error.code)
            retry.pause(seconds)
            tries += 1


class _AddURLAndCredentials:
    """Completes a prepared request as its last step: no cache of the session holds the URL and the changing headers."""

    def __init__(self, auth: AddCredentials, request: RawRequest) -> None:
        self._auth, self._request = auth, request

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.prepare_url(self._request.url.value, None)  # type: ignore[no-untyped-call, unused-ignore]
        lasting = _shared_headers(self._request.headers)
        prepared.headers.update({name: value for name, value in self._request.headers.items() if name not in lasting})
        if prepared.body is None and self._request.method == "POST":
            prepared.headers["Content-Length"] = "0"
        if self._request.authenticated:
            return self._auth(prepared)
        for name in _CREDENTIALS:  # those of the user's session
            prepared.headers.pop(name, None)
        return prepared


def _shared_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Those of `headers` that many requests share, which a session of the user's may override."""
    return {name: value for name, value in headers.items() if not name.lower().startswith("x-goog-upload-")}
