"""One request: sent, tried again as Google asks, answered as JSON or as events."""
from __future__ import annotations

import http.client
import json
import logging
import os
import time
from typing import (
    Any, Callable, Generator, Iterator, Mapping, NamedTuple, Optional, Protocol, Sequence, TypeVar, Union,
)

import requests
import urllib3

from .. import errors
from ..json_data import JSON
from . import events as event_parser
from . import retry, sse
from .body import blocks
from .deadline import CallSettings, Deadline, Timeout, check_retries, check_seconds, check_timeout
from .error_body import error_from_event, error_from_response
from .failures import NETWORK_ERRORS, failure_of, host_of
from .session import GivenSession, OwnSession, Sender

log = logging.getLogger("gemini_lite")
T = TypeVar("T")

_decode = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Limits(NamedTuple):
    """The most bytes, unpacked, that are taken in: for one event, one answer, and one error."""

    event: int = 64 << 20
    body: int = 1 << 30
    error: int = 1 << 20


class Auth(Protocol):
    """Who is calling; a `requests.auth.AuthBase`, so that no ``.netrc`` replaces it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the credentials into the headers of `request`, without I/O."""

    def ready(self, session: requests.Session, timeout: Timeout) -> None:
        """Called before each try: make sure that there are credentials; may use the network."""

    def renew(self, session: requests.Session, timeout: Timeout) -> bool:
        """Called once after a 401: whether there are other credentials now, so that it is worth another try."""


class Call(NamedTuple):
    """One call of the API, the same for every endpoint and try."""

    path: str
    headers: Mapping[str, str]
    body: Optional[JSON] = None
    unwrap: Callable[[JSON], JSON] = lambda event: event
    method: str = "POST"
    settings: CallSettings = CallSettings()

    @property
    def deadline(self) -> Deadline:
        """The moment by which the call must be done."""
        return self.settings.deadline


class Transport:
    """Sends calls over one `requests.Session`, from any number of threads.

    `timeout` is (connect, read between bytes) in seconds, `retries` how often a call is made again, `max_wait` the
    longest wait in seconds that a server may ask for. Our own session is made anew after a fork; a `session` of the
    user's is used exactly as requests would use it, and never closed.
    """

    def __init__(
        self, auth: Auth, session: Optional[requests.Session] = None,
        timeout: Union[float, Timeout] = (10, 300), retries: int = 4, max_wait: float = 60, limits: Limits = Limits(),
    ) -> None:
        self.auth = auth
        self.timeout = check_timeout(timeout)
        self.retries = check_retries(retries)
        self.max_wait = check_seconds(max_wait, "max_wait", zero=True)
        for name, limit in limits._asdict().items():
            if type(limit) is not int or limit <= 0:
                raise ValueError(f"max_{name}_bytes must be a whole number above 0, not {limit!r}")
        self.limits = limits
        self._given = session
        self._senders = {os.getpid(): self._new_sender()}  # a forked child must not use its parent's connections

    def request(self, endpoints: Sequence[str], call: Call) -> JSON:
        """The parsed JSON of a unary answer."""
        data = _body(call.body)

        def attempt(endpoint: str) -> JSON:
            response = self._send(endpoint, call, data, "gzip")
            try:
                return self._json(response, call)
            finally:
                response.close()

        return self._run(attempt, endpoints, call)

    def stream(self, endpoints: Sequence[str], call: Call) -> Generator[JSON, None, None]:
        """The events of a streamed answer, parsed; the first has arrived when this returns.

        Until then the call is made again as errors allow; what fails later is raised from the generator.
        """
        data = _body(call.body)

        def attempt(endpoint: str) -> Generator[JSON, None, None]:
            events = self._events(self._send(endpoint, call, data, "identity"), call)
            next(events)
            return events

        return self._run(attempt, endpoints, call)

    def close(self) -> None:
        """Close the connections of our own session; a later call opens new ones."""
        if self._given is None:
            self._sender().session.close()

    def _run(self, attempt: Callable[[str], T], endpoints: Sequence[str], call: Call) -> T:
        retries = self.retries if call.settings.retries is None else call.settings.retries
        return retry.run(attempt, endpoints, retries, self.max_wait, call.deadline)

    def _send(self, endpoint: str, call: Call, data: Optional[bytes], encoding: str) -> requests.Response:
        """The open response of one exchange that ended in a 2xx status."""
        url = endpoint + call.path
        sender = self._sender()
        self._authenticate(self.auth.ready, sender, call)
        response = self._exchange(sender, call, url, data, encoding)
        if response.status_code == 401 and self._renewed(response, sender, call):
            response.close()
            response = self._exchange(sender, call, url, data, encoding)
        if 200 <= response.status_code < 300:
            return response
        with response:
            raise error_from_response(response.status_code, response.headers, self._error_body(response, call))

    def _renewed(self, refused: requests.Response, sender: Sender, call: Call) -> bool:
        try:
            return self._authenticate(self.auth.renew, sender, call)
        except BaseException:
            refused.close()
            raise

    def _authenticate(self, step: Callable[[requests.Session, Timeout], T], sender: Sender, call: Call) -> T:
        """One step of the auth object, which may use the network."""
        try:
            return step(sender.session, self._timeout(call))
        except NETWORK_ERRORS as error:
            failure = failure_of(error, getattr(self.auth, "token_uri", ""), call.deadline)
        raise failure

    def _exchange(
        self, sender: Sender, call: Call, url: str, data: Optional[bytes], encoding: str,
    ) -> requests.Response:
        timeout = self._timeout(call)
        started = time.monotonic()
        try:
            headers = {"Accept-Encoding": encoding, **call.headers}
            response = sender.send(call.method, url, headers, data, self.auth, _shared_timeout(timeout, call.deadline))
        except NETWORK_ERRORS as error:
            failure = failure_of(error, url, call.deadline)
        else:
            log.debug("%s %s: %d after %.3f s", call.method, url, response.status_code, time.monotonic() - started)
            return response
        log.debug("%s %s: %s after %.3f s", call.method, url, failure.reason, time.monotonic() - started)
        raise failure  # out here, so that no context holds the frames and headers of urllib3

    def _json(self, response: requests.Response, call: Call) -> JSON:
        body = b"".join(self._blocks(response, call, self.limits.body))
        try:
            answer = _decode(body.decode("utf-8"))
        except (ValueError, RecursionError):
            raise _not_json(response, body) from None
        failure: Optional[errors.GeminiError] = error_from_event(answer, response.headers)
        if failure is None and not isinstance(answer, dict):
            failure = _not_json(response, body)
        if failure is not None:
            raise failure
        return call.unwrap(answer)

    def _events(self, response: requests.Response, call: Call) -> Generator[Any, None, None]:
        """Yield None once the first event is there (or the end), then the events."""
        with response:
            data = sse.events(self._blocks(response, call, self.limits.body), self.limits.event)
            events = event_parser.parse(data, response.headers, call.unwrap)
            try:
                first = next(events, None)
                if first is None and "text/event-stream" not in response.headers.get("Content-Type", ""):
                    raise _not_json(response, b"")
                yield None
                if first is not None:
                    yield first
                    yield from events
            except sse.EventTooLarge as error:
                raise errors.TransportError(_too_large(str(error), "event"), reason="TOO_LARGE") from None

    def _blocks(self, response: requests.Response, call: Call, limit: int) -> Iterator[bytes]:
        """The body as it comes, unpacked; the clock and the size are looked at with each block."""
        size = 0
        deadline = call.deadline
        failure: Optional[errors.TransportError] = None
        try:
            for block in blocks(response.raw, deadline):
                size += len(block)
                if size > limit:
                    failure = errors.TransportError(
                        _too_large(f"the answer is larger than {int(limit)} bytes", "body"), reason="TOO_LARGE")
                    break
                if deadline.expired:
                    failure = Deadline.error()
                    break
                yield block
            if not size and failure is None and _ends_with_connection(response):
                failure = failure_of(http.client.IncompleteRead(b""), response.url, deadline)
        except (*NETWORK_ERRORS, ValueError) as error:  # ValueError: http.client, on a chunk of less than no size
            failure = failure_of(error, response.url, deadline)
        if failure is not None:
            raise failure

    def _error_body(self, response: requests.Response, call: Call) -> bytes:
        """The beginning of an error's body: what Google said matters more than that the rest was lost."""
        parts = []
        try:
            for block in self._blocks(response, call, self.limits.error):
                parts.append(block)
        except errors.TransportError:
            pass
        return b"".join(parts)

    def _timeout(self, call: Call) -> Timeout:
        """The timeouts of the next step; TransportTimeout if the deadline has passed."""
        return call.deadline.cap(call.settings.timeout or self.timeout)

    def _sender(self) -> Sender:
        pid = os.getpid()
        sender = self._senders.get(pid)
        if sender is None:
            if self._given is not None:
                self._given.close()  # closes the child's copies of the connections; the session opens new ones
            sender = self._senders.setdefault(pid, self._new_sender())  # one for threads that come here together
        return sender

    def _new_sender(self) -> Sender:
        return OwnSession() if self._given is None else GivenSession(self._given)


def _ends_with_connection(response: requests.Response) -> bool:
    """Whether only the end of the connection ends the body; if none came, the head may have been cut as well, because
    http.client takes half a head for a whole one."""
    return not (response.raw.chunked or response.headers.get("Content-Length") or response.status_code == 204)


def _not_json(response: requests.Response, body: bytes) -> errors.ParseError:
    kind = response.headers.get("Content-Type") or "an answer of unknown type"
    begins = f": {body[:200]!r:.200}" if body else ""
    return errors.ParseError(
        f"{host_of(response.url)} answered {response.status_code} with {kind} where JSON was due{begins}. Check the "
        "base URL and what stands between you and Google.", reason="NOT_JSON")


def _body(body: Optional[JSON]) -> Optional[bytes]:
    if body is None:
        return None
    try:
        return _encode(body).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"the request holds half a surrogate pair ({error.object[error.start]!r}), which is no text: "
                         "decode your input with errors='replace'") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise type(error)(f"the request holds what JSON cannot say: {error}") from None


def _too_large(what: str, limit: str) -> str:
    return f"The server's data was refused: {what}. Allow more with GeminiClient(max_{limit}_bytes=...)."


def _shared_timeout(timeout: Timeout, deadline: Deadline) -> Union[Timeout, urllib3.Timeout]:
    """`timeout` for requests; under a deadline, connecting and waiting for the head share what is left."""
    if not deadline.is_set:
        return timeout
    return urllib3.Timeout(connect=timeout[0], read=timeout[1], total=max(timeout))
