"""One request: sent, tried again as Google asks, answered as JSON or as events."""
from __future__ import annotations

import contextlib
import copy
import http.client
import logging
import os
import time
from typing import Callable, Generator, Iterator, Mapping, NamedTuple, Optional, Protocol, Sequence, Set, TypeVar, Union

import requests
import urllib3

from .. import errors
from ..json_data import JSON
from . import answers, retry, running, watchdog
from .body import call_blocks
from .compat import POOL_SIZE
from .deadline import CallSettings, Deadline, Timeout, check_count, check_seconds, check_timeout
from .error_body import error_from_response
from .failures import NETWORK_ERRORS, failure_of, never_connected
from .running import RunningCall
from .session import AddCredentials, Data, GivenSession, OwnSession, SessionSender

log = logging.getLogger("gemini_lite")
T = TypeVar("T")
Events = Generator[JSON, None, None]


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
    """One call of the API, the same for every endpoint and try.

    `creates` marks one that makes something on the server: it is never sent again when it may have been worked on.
    """

    path: str
    headers: Mapping[str, str]
    body: Optional[JSON] = None
    unwrap: answers.Unwrap = lambda event: event
    method: str = "POST"
    settings: CallSettings = CallSettings()
    creates: bool = False

    def started(self) -> Call:
        """This call with a `running`."""
        return self if self.settings.running is not None else self._replace(settings=self.settings.started())

    @property
    def running(self) -> RunningCall:
        """The call while it runs; see `started`."""
        assert self.settings.running is not None
        return self.settings.running

    @property
    def deadline(self) -> Deadline:
        """The moment by which the call must be done."""
        return self.settings.deadline


class Exchange(NamedTuple):
    """One request as it goes out; `auth` puts the credentials into it, if `signs_in`.

    The `url` is seen in logs and errors, and the `headers` are those of many requests.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    data: Data
    auth: AddCredentials
    signs_in: bool = True


class OpenAnswer(NamedTuple):
    """A response whose body has not been read.

    `blocks` yields the body, of at most so many bytes, as it comes; `error_body` reads the beginning of an error's.
    """

    response: requests.Response
    blocks: Callable[[float], Iterator[bytes]]
    error_body: Callable[[], bytes]

    @property
    def status(self) -> int:
        """The status, such as 200."""
        return self.response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers as they came, which know no case; see `session.GivenSession` for the Location of a redirect."""
        location = self.response.raw.headers.get("Location")
        if location is not None:
            self.response.headers["Location"] = location
        return self.response.headers


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
        self.retries = check_count(retries, "retries", least=0)
        self.max_wait = check_seconds(max_wait, "max_wait", zero=True)
        for name, limit in limits._asdict().items():
            check_count(limit, f"max_{name}_bytes")
        self.limits = limits
        self._given = session
        self._pool_size = POOL_SIZE
        self._senders = {os.getpid(): self._new_sender()}  # a forked child must not use its parent's connections
        self._calls: Set[RunningCall] = set()

    def request(self, endpoints: Sequence[str], call: Call) -> JSON:
        """The parsed JSON of a unary answer."""
        call, data = call.started(), answers.encode_body(call.body)

        def attempt(endpoint: str) -> JSON:
            response = self._send(endpoint, call, data, "gzip")
            try:
                return answers.read_json(self._blocks(response, call, self.limits.body), response, call.unwrap)
            finally:
                response.close()

        try:
            return self._run(attempt, endpoints, call)
        finally:
            self._unregister(call.running)

    def stream(self, endpoints: Sequence[str], call: Call) -> Events:
        """The events of a streamed answer, parsed; the first has arrived when this returns.

        Until then the call is made again as errors allow; what fails later is raised from the generator.
        """
        call, data = call.started(), answers.encode_body(call.body)

        def attempt(endpoint: str) -> Events:
            events = self._events(self._send(endpoint, call, data, "identity"), call)
            next(events)
            return events

        try:
            return self._run(attempt, endpoints, call)
        except BaseException:
            self._unregister(call.running)
            raise

    @contextlib.contextmanager
    def open(self, exchange: Exchange, settings: CallSettings) -> Iterator[OpenAnswer]:
        """The answer to `exchange`, sent once, whatever its status, as soon as its head is there; closed at the end."""
        call = Call("", {}, settings=settings._replace(retries=0, running=None)).started()
        try:
            with self._run(lambda endpoint: self._signed(exchange, call), ("",), call) as response:
                yield OpenAnswer(response, lambda limit: self._blocks(response, call, limit),
                                 lambda: self._error_body(response, call))
        finally:
            self._unregister(call.running)

    @contextlib.contextmanager
    def operation(self, call: Optional[RunningCall] = None) -> Iterator[None]:
        """What takes several calls, such as an upload: `close` ends its pauses too, its errors count all requests.

        The pauses belong to `call`, which somebody else may end as well.
        """
        this = call or RunningCall()
        outer = running.enter(this)
        self._calls.add(this)
        try:
            yield
        except errors.GeminiError as error:
            error.tries = this.tries
            raise
        finally:
            self._calls.discard(this)
            running.leave(outer, this.tries)

    @contextlib.contextmanager
    def with_connections(self, count: int) -> Iterator[Transport]:
        """This transport, or one like it that keeps so many connections while this is open; `close` ends its calls too.
        """
        if count <= self._pool_size or self._given is not None:
            yield self
            return
        wide = copy.copy(self)
        wide._pool_size = count
        wide._senders = {os.getpid(): wide._new_sender()}
        try:
            yield wide
        finally:
            wide._process_sender().session.close()

    def sign_in(self, settings: CallSettings) -> None:
        """Have `auth` ready before there is a request, tried again as its errors allow."""
        call = Call("", {}, settings=settings).started()
        try:
            self._run(lambda endpoint: self._authenticate(self.auth.ready, self._process_sender(), call), ("",), call)
        finally:
            self._unregister(call.running)

    def close(self) -> None:
        """End the calls that are going on, and close the connections of our own session; a later call opens new ones.
        """
        for call in list(self._calls):
            call.end(running.CLOSED)
        if self._given is None:
            self._process_sender().session.close()

    def _run(self, attempt: Callable[[str], T], endpoints: Sequence[str], call: Call) -> T:
        retries = self.retries if call.settings.retries is None else call.settings.retries
        this = call.running
        this.tries = 0
        self._calls.add(this)
        watchdog.watch(this)
        outer = running.enter(this)
        try:
            return retry.run(attempt, endpoints, retries, self.max_wait, this, call.creates)
        except errors.GeminiError as error:
            error.tries = this.tries
            raise
        finally:
            running.leave(outer, this.tries)

    def _unregister(self, call: RunningCall) -> None:
        self._calls.discard(call)
        watchdog.leave(call)

    def _send(self, endpoint: str, call: Call, data: Optional[bytes], encoding: str) -> requests.Response:
        """The open response of one exchange that ended in a 2xx status."""
        headers = {"Accept-Encoding": encoding, **call.headers}
        response = self._signed(Exchange(call.method, endpoint + call.path, headers, data, self.auth), call)
        if 200 <= response.status_code < 300:
            return response
        with response:
            raise error_from_response(response.status_code, response.headers, self._error_body(response, call))

    def _signed(self, exchange: Exchange, call: Call) -> requests.Response:
        """The open response to `exchange`, whatever its status; after a 401 it is sent again if credentials are new."""
        sender = self._process_sender()
        if not exchange.signs_in:
            return self._exchange(exchange, sender, call)
        self._authenticate(self.auth.ready, sender, call)
        response = self._exchange(exchange, sender, call)
        if response.status_code == 401 and self._renewed(response, sender, call):
            response.close()
            response = self._exchange(exchange, sender, call)
        return response

    def _renewed(self, refused: requests.Response, sender: SessionSender, call: Call) -> bool:
        try:
            return self._authenticate(self.auth.renew, sender, call)
        except BaseException:
            refused.close()
            raise

    def _authenticate(self, step: Callable[[requests.Session, Timeout], T], sender: SessionSender, call: Call) -> T:
        """One step of the auth object, which may use the network."""
        try:
            result = step(sender.session, self._timeout(call))
            call.running.check()
            return result
        except NETWORK_ERRORS as error:
            failure = failure_of(error, getattr(self.auth, "token_uri", ""), call.running)
        except errors.GeminiError:
            call.running.unsent = True
            call.running.check()  # it is the cause of the other
            raise
        call.running.unsent = True  # the request itself
        raise failure

    def _exchange(self, exchange: Exchange, sender: SessionSender, call: Call) -> requests.Response:
        method, url, headers, data, auth, _ = exchange
        timeout = _with_total(self._timeout(call), call.deadline)
        started = time.monotonic()
        this = call.running
        this.tries += 1
        this.unsent = False
        try:
            response = sender.send(method, url, headers, data, auth, timeout)
        except NETWORK_ERRORS as error:
            failure = failure_of(error, url, this)
            this.unsent = this.unsent or never_connected(error)
        else:
            log.debug("%s %s: %d after %.3f s", method, url, response.status_code, time.monotonic() - started)
            if not this.is_over:  # half a head passes for a whole one where the connection was shut down
                return response
            response.close()
            failure = this.error()
        log.debug("%s %s: %s after %.3f s", method, url, failure.reason, time.monotonic() - started)
        raise failure  # out here, so that no context holds the frames and headers of urllib3

    def _events(self, response: requests.Response, call: Call) -> Generator[JSON, None, None]:
        """Yield an empty dict once the first event is there (or the end), then the events."""
        with response:
            events = answers.read_events(
                self._blocks(response, call, self.limits.body), response, call.unwrap, self.limits.event)
            first = next(events, None)
            try:
                yield {}
                if first is not None:
                    yield first
                    yield from events
            except errors.GeminiError as error:
                error.tries = call.running.tries
                raise
            finally:
                self._unregister(call.running)

    def _blocks(self, response: requests.Response, call: Call, limit: float) -> Iterator[bytes]:
        """The body as it comes, unpacked; the clock and the size are looked at with each block."""
        is_empty = True
        failure: Optional[errors.TransportError] = None
        try:
            for block in call_blocks(response.raw, call.running, limit):
                is_empty = False
                yield block
            if is_empty and _ends_with_connection(response):
                failure = failure_of(http.client.IncompleteRead(b""), response.url, call.running)
        except (*NETWORK_ERRORS, ValueError) as error:  # ValueError: http.client, on a chunk of less than no size
            failure = failure_of(error, response.url, call.running)
        if failure is not None:
            raise failure

    def _error_body(self, response: requests.Response, call: Call) -> bytes:
        """The beginning of an error's body: what Google said matters more than that the rest was lost."""
        body = bytearray()
        try:
            for block in self._blocks(response, call, self.limits.error):
                body += block
        except errors.TransportError as error:
            if error.reason == running.CLOSED:
                raise
        return bytes(body)

    def _timeout(self, call: Call) -> Timeout:
        """The timeouts of the next step; the call's error if it is over."""
        call.running.check()
        return call.deadline.cap(call.settings.timeout or self.timeout)

    def _process_sender(self) -> SessionSender:
        pid = os.getpid()
        sender = self._senders.get(pid)
        if sender is None:
            if self._given is not None:
                self._given.close()  # closes the child's copies of the connections; the session opens new ones
            sender = self._senders.setdefault(pid, self._new_sender())  # one for threads that come here together
        return sender

    def _new_sender(self) -> SessionSender:
        return OwnSession(self._pool_size) if self._given is None else GivenSession(self._given)


def _ends_with_connection(response: requests.Response) -> bool:
    """Whether only the end of the connection ends the body; if none came, the head may have been cut as well, because
    http.client takes half a head for a whole one."""
    return not (response.raw.chunked or response.headers.get("Content-Length") or response.status_code == 204)


def _with_total(timeout: Timeout, deadline: Deadline) -> Union[Timeout, urllib3.Timeout]:
    """`timeout` for requests; under a deadline, its steps share what is left."""
    if not deadline.is_set:
        return timeout
    return urllib3.Timeout(connect=timeout[0], read=timeout[1], total=max(0.001, deadline.left))
