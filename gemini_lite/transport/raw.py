"""One HTTP exchange of raw bytes, whose status and headers are handed back; for uploads and downloads."""
from __future__ import annotations

import contextlib
import time
from typing import Callable, Iterator, Mapping, NamedTuple, Optional, Protocol, TypeVar, Union
from urllib.parse import urlsplit

import requests
import urllib3

from ..errors import APIError, GeminiError, TransportTimeout
from . import retry
from .deadline import CallSettings, Deadline, Timeout
from .error_body import error_from_response
from .failures import NETWORK_ERRORS, failure_of
from .transport import Call, Transport, log

T = TypeVar("T")

_CREDENTIALS = ("Authorization", "x-goog-api-key", "Cookie")


class HiddenText(Protocol):
    """A text that no repr shows, such as `auth.secret.Secret`."""

    value: str


class Body(Protocol):
    """A body that is read while it is sent; requests takes its length from ``len()``."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def read(self, size: int = -1) -> bytes: ...


class RawRequest(NamedTuple):
    """What is sent. The `url` is hidden, because an upload's allows everybody to write; so is it from the logs."""

    method: str
    url: HiddenText
    headers: Mapping[str, str] = {}
    body: Union[bytes, Body, None] = None
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


class OpenAnswer(NamedTuple):
    """An answer whose body has not been read: `blocks` yields it as it comes."""

    status: int
    headers: Mapping[str, str]
    blocks: Callable[[Optional[int]], Iterator[bytes]]  # (the most bytes to take, None for any number)


def exchange(transport: Transport, request: RawRequest, *, large: bool = False) -> RawAnswer:
    """The answer to one `request`, whatever its status; TransportError if there is none.

    Its body may be as long as an error's, or if `large` as any answer's.
    """
    with open_answer(transport, request) as answer:
        body = b"".join(answer.blocks(transport.limits.body if large else transport.limits.error))
    return RawAnswer(answer.status, answer.headers, body)


@contextlib.contextmanager
def open_answer(transport: Transport, request: RawRequest) -> Iterator[OpenAnswer]:
    """The answer to one `request` as soon as its head is there; closed at the end."""
    settings = request.settings._replace(retries=0, running=None)
    call = Call("", {}, method=request.method, settings=settings).started()
    try:
        with transport._run(lambda endpoint: _send(transport, request, call), ("",), call) as response:
            yield OpenAnswer(response.status_code, _headers(response), lambda limit: transport._blocks(
                response, call, 1 << 62 if limit is None else limit))
    finally:
        transport._end(call.running)


def run(transport: Transport, attempt: Callable[[], T], settings: CallSettings) -> T:
    """The result of `attempt`, which changes nothing on the server, made again as its errors allow."""
    retries = transport.retries if settings.retries is None else settings.retries
    tries = 0
    while True:
        try:
            return attempt()
        except GeminiError as failure:
            error = failure
        slow = isinstance(error, TransportTimeout) and error.reason != "CONNECT_TIMEOUT"
        seconds = retry.wait(error, tries, transport.max_wait) if tries < retries and not slow else None
        if seconds is None or seconds >= settings.deadline.left:
            raise error
        log.info("waiting %.2f s before try %d: %s", seconds, tries + 2, error.reason or error.code)
        retry.pause(seconds)
        tries += 1


def _send(transport: Transport, request: RawRequest, call: Call) -> requests.Response:
    if request.authenticated:
        transport._authenticate(transport.auth.ready, transport._sender(), call)
    response = _send_once(transport, request, call)
    if response.status_code == 401 and request.authenticated and transport._renewed(
            response, transport._sender(), call):
        response.close()
        response = _send_once(transport, request, call)
    return response


def _send_once(transport: Transport, request: RawRequest, call: Call) -> requests.Response:
    url, started = request.url.value, time.monotonic()
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}/"
    timeout = _with_total(transport._timeout(call), call.deadline)
    headers = {"Accept-Encoding": "identity", **_lasting(request.headers)}
    try:
        response = transport._sender().send(
            request.method, origin, headers, request.body, _Finish(transport, request),  # type: ignore[arg-type]
            timeout)
    except NETWORK_ERRORS as error:
        failure = failure_of(error, url, call.running)
    else:
        log.debug("%s %s: %d after %.3f s", request.method, origin, response.status_code, time.monotonic() - started)
        return response
    log.debug("%s %s: %s after %.3f s", request.method, origin, failure.reason, time.monotonic() - started)
    raise failure  # out here, so that no context holds the frames and headers of urllib3


class _Finish:
    """Completes a prepared request as its last step: no cache of the session holds the URL and the changing headers."""

    def __init__(self, transport: Transport, request: RawRequest) -> None:
        self._transport, self._request = transport, request

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.prepare_url(self._request.url.value, None)  # type: ignore[no-untyped-call, unused-ignore]
        lasting = _lasting(self._request.headers)
        prepared.headers.update({name: value for name, value in self._request.headers.items() if name not in lasting})
        if prepared.body is None and self._request.method == "POST":
            prepared.headers["Content-Length"] = "0"
        if self._request.authenticated:
            return self._transport.auth(prepared)
        for name in _CREDENTIALS:  # those of the user's session
            prepared.headers.pop(name, None)
        return prepared


def _lasting(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Those of `headers` that many requests share, which a session of the user's may override."""
    return {name: value for name, value in headers.items() if not name.lower().startswith("x-goog-upload-")}


def _with_total(timeout: Timeout, deadline: Deadline) -> Union[Timeout, urllib3.Timeout]:
    """`timeout` for requests; under a deadline, its steps share what is left."""
    if not deadline.is_set:
        return timeout
    return urllib3.Timeout(connect=timeout[0], read=timeout[1], total=max(0.001, deadline.left))


def _headers(response: requests.Response) -> Mapping[str, str]:
    """The headers as they came; the Location of a redirect has been taken from those of requests."""
    location = response.raw.headers.get("Location")
    if location is not None:
        response.headers["Location"] = location
    return response.headers
