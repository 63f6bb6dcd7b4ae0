"""One request: sent, tried again as Google asks, answered as JSON or as events."""
from __future__ import annotations

import functools
import http.client
import json
import logging
import os
import socket
import ssl
import threading
import time
import zlib
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Callable, Dict, Generator, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple
from typing import TypeVar, Union
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.utils
import requests.exceptions
import urllib3.exceptions
import urllib3.util.ssl_

from . import errors, retry, sse
from .options import seconds

log = logging.getLogger("gemini_lite")
Result = TypeVar("Result")
Event = Dict[str, Any]

BLOCK = 1 << 16
POOL_SIZE = 64
_NETWORK_ERRORS = (
    requests.exceptions.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, zlib.error,
)
_decode = json.JSONDecoder().decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Limits(NamedTuple):
    """The most bytes, unpacked, that are taken in: for one event, one answer, and one error."""

    event: int = 64 << 20
    body: int = 1 << 30
    error: int = 1 << 20


class Call(NamedTuple):
    """One call of the API, for every endpoint and try the same."""

    path: str
    headers: Mapping[str, str]
    body: Any = None
    unwrap: Callable[[Event], Event] = lambda event: event
    method: str = "POST"
    until: Optional[float] = None  # the time.monotonic by which all must be done


class Transport:
    """Sends calls over one `requests.Session`, from any number of threads.

    `timeout` is (connect, read between bytes) in seconds, `retries` how often a call is made again, `max_wait` the
    longest wait in seconds that a server may ask for. Our own session is made with the first call and made anew
    after a fork; a `session` of the user's is used exactly as requests would use it, and never closed.
    """

    def __init__(
        self, auth: Any, session: Optional[requests.Session] = None, timeout: Any = (10, 300), retries: int = 4,
        max_wait: float = 60, limits: Limits = Limits(),
    ) -> None:
        if type(retries) is not int or retries < 0:
            raise ValueError("retries must be a whole number, 0 or more, not %r" % (retries,))
        self.auth = auth
        self.timeout = _checked_timeout(timeout)
        self.retries = retries
        self.max_wait = seconds(max_wait, "max_wait", zero=True)
        for name, limit in limits._asdict().items():
            if type(limit) is not int or limit <= 0:
                raise ValueError("max_%s_bytes must be a whole number above 0, not %r" % (name, limit))
        self.limits = limits
        self._given = session
        self._senders = {os.getpid(): self._new_sender()}  # a forked child must not use its parent's connections

    def request(self, endpoints: Sequence[str], call: Call) -> Any:
        """The parsed JSON of a unary answer."""
        data = _body(call.body)

        def attempt(endpoint: str) -> Any:
            response = self._send(endpoint, call, data, "gzip")
            try:
                return self._json(response, call)
            finally:
                response.close()

        return self._run(attempt, endpoints, call)

    def stream(self, endpoints: Sequence[str], call: Call) -> Generator[Event, None, None]:
        """The events of a streamed answer, parsed; the first has arrived when this returns.

        Until then the call is made again as errors allow; what fails later is raised from the generator.
        """
        data = _body(call.body)

        def attempt(endpoint: str) -> Generator[Event, None, None]:
            events = self._events(self._send(endpoint, call, data, "identity"), call)
            next(events)
            return events

        return self._run(attempt, endpoints, call)

    def close(self) -> None:
        """Close the connections of our own session; a later call opens new ones."""
        if self._given is None:
            self._sender().session.close()

    def _run(self, attempt: Callable[[str], Result], endpoints: Sequence[str], call: Call) -> Result:
        return retry.run(attempt, endpoints, self.retries, self.max_wait, call.until)

    def _send(self, endpoint: str, call: Call, data: Optional[bytes], encoding: str) -> requests.Response:
        """The open response of one exchange that ended in a 2xx status."""
        url = endpoint + call.path
        sender = self._sender()
        self._authenticate(self.auth.ready, sender, call)
        response = self._exchange(sender, call, url, data, encoding)
        if response.status_code == 401 and self._authenticate(self.auth.renew, sender, call):
            response.close()
            response = self._exchange(sender, call, url, data, encoding)
        if 200 <= response.status_code < 300:
            return response
        with response:
            raise errors.from_response(response.status_code, response.headers, self._error_body(response, call))

    def _authenticate(self, step: Callable[..., Any], sender: "_Sender", call: Call) -> Any:
        """One step of the auth object, which may use the network."""
        try:
            return step(sender.session, self._timeout_until(call.until))
        except _NETWORK_ERRORS as error:
            failure = _failure(error, getattr(self.auth, "token_uri", ""), call.until)
        raise failure

    def _exchange(
        self, sender: "_Sender", call: Call, url: str, data: Optional[bytes], encoding: str,
    ) -> requests.Response:
        timeout = self._timeout_until(call.until)
        started = time.monotonic()
        try:
            response = sender.send(call, url, data, encoding, self.auth, timeout)
        except _NETWORK_ERRORS as error:
            failure = _failure(error, url, call.until)
        else:
            log.debug("%s %s: %d after %.3f s", call.method, url, response.status_code, time.monotonic() - started)
            return response
        log.debug("%s %s: %s after %.3f s", call.method, url, failure.reason, time.monotonic() - started)
        raise failure  # out here, so that no context holds the frames and headers of urllib3

    def _json(self, response: requests.Response, call: Call) -> Any:
        body = b"".join(self._blocks(response, call, self.limits.body))
        try:
            answer = _decode(body.decode("utf-8"))
        except (ValueError, RecursionError):
            raise _not_json(response, body) from None
        failure: Optional[errors.GeminiError] = errors.from_event(answer, response.headers)
        if failure is None and not isinstance(answer, dict):
            failure = _not_json(response, body)
        if failure is not None:
            raise failure
        return call.unwrap(answer)

    def _events(self, response: requests.Response, call: Call) -> Generator[Any, None, None]:
        """Yield None once the first event is there (or the end), then the events."""
        with response:
            data = sse.events(self._blocks(response, call, self.limits.body), self.limits.event)
            events = _parsed(data, response, call.unwrap)
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
        until = call.until
        failure: Optional[errors.TransportError] = None
        try:
            for block in _raw_blocks(response.raw):
                size += len(block)
                if size > limit:
                    failure = errors.TransportError(
                        _too_large("the answer is larger than %d bytes" % limit, "body"), reason="TOO_LARGE")
                    break
                if until is not None and time.monotonic() > until:
                    failure = _deadline()
                    break
                yield block
        except _NETWORK_ERRORS as error:
            failure = _failure(error, response.url, until)
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

    def _timeout_until(self, until: Optional[float]) -> Tuple[float, float]:
        if until is None:
            return self.timeout
        left = until - time.monotonic()
        if left <= 0:
            raise _deadline()
        return min(self.timeout[0], left), min(self.timeout[1], left)

    def _sender(self) -> "_Sender":
        pid = os.getpid()
        sender = self._senders.get(pid)
        if sender is None:
            if self._given is not None:
                self._given.close()  # closes the child's copies of the connections; the session opens new ones
            sender = self._senders.setdefault(pid, self._new_sender())  # one for threads that come here together
        return sender

    def _new_sender(self) -> "_Sender":
        return _OwnSession() if self._given is None else _GivenSession(self._given)


class _GivenSession:
    """A session of the user's: its headers, proxies, ``verify``, hooks and adapters hold, as requests has it."""

    def __init__(self, session: requests.Session) -> None:
        self.session = session

    def send(
        self, call: Call, url: str, data: Optional[bytes], encoding: str, auth: Any, timeout: Tuple[float, float],
    ) -> requests.Response:
        defaults = requests.utils.default_headers()
        headers = {"Accept-Encoding": encoding, **call.headers}
        changed = {name.lower() for name, value in self.session.headers.items() if defaults.get(name) != value}
        headers = {name: value for name, value in headers.items() if name.lower() not in changed}
        request = requests.Request(call.method, url, headers=headers, data=data, auth=auth)
        prepared = self.session.prepare_request(request)
        prepared.hooks["response"].append(_refuse_redirect)
        settings = self.session.merge_environment_settings(prepared.url, {}, True, None, None)
        return self.session.send(prepared, timeout=timeout, allow_redirects=False, **settings)


class _OwnSession:
    """A session of our own: requests are prepared, and proxies looked up, once and not with every call."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # keeps none
        self._tls = _SharedContextAdapter()
        self.session.mount("https://", self._tls)
        self.session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=POOL_SIZE))
        self._proxies: Dict[str, Dict[str, str]] = {}  # by origin
        self._templates: Dict[Any, requests.PreparedRequest] = {}

    def send(
        self, call: Call, url: str, data: Optional[bytes], encoding: str, auth: Any, timeout: Tuple[float, float],
    ) -> requests.Response:
        template = self._template(call, url, encoding)
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.hooks = template.method, template.url, template.hooks
        prepared.headers = template.headers.copy()
        if data is not None:
            prepared.body = data
            prepared.headers["Content-Length"] = str(len(data))
        origin = url[:url.find("/", 8)]
        proxies = self._proxies.get(origin)
        if proxies is None:
            proxies = self._proxies[origin] = self._looked_up(url)
        return self.session.send(auth(prepared), timeout=timeout, allow_redirects=False, stream=True, verify=True,
                                 cert=None, proxies=proxies)

    def _template(self, call: Call, url: str, encoding: str) -> requests.PreparedRequest:
        key = call.method, url, encoding, *call.headers.values()
        template = self._templates.get(key)
        if template is None:
            request = requests.Request(call.method, url, headers={"Accept-Encoding": encoding, **call.headers},
                                       auth=_nobody, hooks={"response": _refuse_redirect})
            template = self.session.prepare_request(request)
            if len(self._templates) >= 256:
                self._templates.clear()
            self._templates[key] = template
        return template

    def _looked_up(self, url: str) -> Dict[str, str]:
        settings = self.session.merge_environment_settings(url, {}, True, None, None)
        self._tls.verify = settings["verify"] or True
        return dict(settings["proxies"] or {})


_Sender = Union[_GivenSession, _OwnSession]


class _SharedContextAdapter(requests.adapters.HTTPAdapter):
    """Verifies with one SSLContext, where requests reads the CA bundle into a fresh one for each connection.

    The context is made with the first connection, because that takes longer than making a client. `verify` is what
    requests found in the environment: True, or the path of a bundle.
    """

    def __init__(self) -> None:
        self.verify: Union[bool, str] = True
        self._lock = threading.Lock()
        self._manager: Any = None
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        self._arguments = args, kwargs  # for later

    @property
    def poolmanager(self) -> Any:
        """The connections, made when they are needed."""
        with self._lock:
            if self._manager is None:
                args, kwargs = self._arguments
                super().init_poolmanager(*args, ssl_context=_tls_context(self.verify), **kwargs)
            return self._manager

    @poolmanager.setter
    def poolmanager(self, manager: Any) -> None:
        self._manager = manager

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        context = _tls_context(self.verify)
        return super().proxy_manager_for(proxy, ssl_context=context, proxy_ssl_context=context, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"  # and no bundle: the context holds it

    def close(self) -> None:
        if self._manager is not None or self.proxy_manager:
            super().close()


@functools.lru_cache(maxsize=8)
def _tls_context(verify: Union[bool, str]) -> ssl.SSLContext:
    """A verifying context with requests' own CA bundle, or the one that REQUESTS_CA_BUNDLE names."""
    bundle = requests.utils.DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify)
    context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    try:
        context.load_verify_locations(**{"capath" if os.path.isdir(bundle) else "cafile": bundle})
    except OSError as error:
        raise errors.TransportError("The CA bundle %s cannot be read (%s): set REQUESTS_CA_BUNDLE to a PEM file, or "
                                    "unset it." % (bundle, error.strerror or error), reason="TLS") from None
    return context


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The auth of a template: it keeps requests from looking into ``.netrc``; ours is applied to each copy."""
    return request


def _refuse_redirect(response: requests.Response, **kwargs: Any) -> None:
    """requests resolves a redirect even when it is not to follow it, and reads that whole body: take it away."""
    if 300 <= response.status_code < 400:
        response.headers.pop("Location", None)


def _raw_blocks(raw: Any) -> Iterator[bytes]:
    """Blocks of a urllib3 response's body, unpacked, each as soon as it is there; ends on a whole body only."""
    if raw.chunked:  # one block for each HTTP chunk: neither waits nor gathers
        yield from raw.stream(BLOCK, decode_content=True)
        return
    if hasattr(raw, "read1"):
        yield from iter(lambda: raw.read1(BLOCK, decode_content=True), b"")
        return
    yield from _blocks_below(raw)


def _blocks_below(raw: Any) -> Iterator[bytes]:
    """`_raw_blocks` for urllib3 before 2.2, whose ``read(n)`` waits for n bytes: read beneath it."""
    packed = raw.headers.get("Content-Encoding", "identity").lower()
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress if packed in ("gzip", "x-gzip", "deflate") else None
    length, got = raw.headers.get("Content-Length", ""), 0
    for block in iter(lambda: raw._fp.read1(BLOCK), b""):
        got += len(block)
        if unpack is not None:
            block = unpack(block)
        if block:
            yield block
    if length.isdigit() and got < int(length):
        raise http.client.IncompleteRead(b"", int(length) - got)
    raw.read()  # finds the end and so gives the connection back


def _parsed(source: Iterable[bytes], response: requests.Response, unwrap: Callable[[Event], Event]) -> Iterator[Event]:
    """The JSON object in each event; an error among them is raised."""
    for data in source:
        try:
            event = _decode(data.decode("utf-8"))
        except (ValueError, RecursionError):
            if data.strip() == b"[DONE]":
                continue
            raise _broken(data) from None
        if type(event) is not dict or "error" in event:
            failure = errors.from_event(event, response.headers)
            if failure is not None:
                raise failure
            if type(event) is not dict:
                raise _broken(data)
        yield unwrap(event)


def _broken(data: bytes) -> errors.GeminiError:
    if isinstance(data, sse.Unterminated):
        return errors.IncompleteError("The stream broke off inside an event. Ask again.", reason="CUT", retryable=True)
    return errors.ParseError("The stream holds an event that is no JSON object: %.200r" % bytes(data[:200]),
                             reason="NOT_JSON")


def _not_json(response: requests.Response, body: bytes) -> errors.ParseError:
    kind = response.headers.get("Content-Type") or "an answer of unknown type"
    begins = ": %.200r" % body[:200] if body else ""
    return errors.ParseError(
        "%s answered %d with %s where JSON was due%s. Check the base URL and what stands between you and Google."
        % (_host(response.url), response.status_code, kind, begins), reason="NOT_JSON")


def _body(body: Any) -> Optional[bytes]:
    if body is None:
        return None
    try:
        return _encode(body).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("the request holds half a surrogate pair (%r), which is no text: decode your input with "
                         "errors='replace'" % error.object[error.start]) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise type(error)("the request holds what JSON cannot say: %s" % error) from None


def _deadline() -> errors.TransportTimeout:
    return errors.TransportTimeout("The deadline passed before the answer was there. Allow more seconds with "
                                   "deadline=, or ask for less.", reason="DEADLINE", retryable=True)


def _too_large(what: str, limit: str) -> str:
    return "The server's data was refused: %s. Allow more with GeminiClient(max_%s_bytes=...)." % (what, limit)


def _host(url: Any) -> str:
    return urlsplit(url).netloc or "the server"


def _failure(error: Exception, url: Any, until: Optional[float]) -> errors.TransportError:
    """Our error for one of requests, urllib3, http.client or the socket; it keeps the root's text alone."""
    chain = _chain(error)
    host, last = _host(url), next((item for item in reversed(chain) if not isinstance(item, ValueError)), error)
    root = "%s: %s" % (type(last).__name__, last)

    def any_of(*kinds: Any) -> bool:
        return any(isinstance(item, kinds) for item in chain)

    if isinstance(error, ValueError) and isinstance(error, requests.exceptions.RequestException):
        # such as InvalidHeader, whose text shows the header's value
        return errors.TransportError("The request to %s could not be made (%s): check the base URL, the proxy settings "
                                     "and the session's headers." % (host, type(error).__name__), reason="INVALID")
    if type(error) is OSError and error.errno is None:  # requests on a certificate file that is not there
        return errors.TransportError("The request to %s could not be made: %s" % (host, error), reason="TLS")
    if until is not None and time.monotonic() >= until:
        return _deadline()
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return errors.TransportTimeout("No connection to %s in time. Check the network, or allow more with timeout="
                                       "(connect, read)." % host, reason="CONNECT_TIMEOUT", retryable=True)
    if any_of(socket.timeout, urllib3.exceptions.ReadTimeoutError):
        return errors.TransportTimeout("%s was silent for too long. Allow more with timeout=(connect, read)." % host,
                                       reason="READ_TIMEOUT", retryable=True)
    if any_of(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        return errors.TransportError("The proxy on the way to %s failed (%s). Check HTTP_PROXY, HTTPS_PROXY and "
                                     "NO_PROXY." % (host, root), reason="PROXY", retryable=True)
    if any_of(ssl.SSLCertVerificationError):
        return errors.TransportError("The certificate of %s could not be verified (%s). If your network signs with its "
                                     "own, set REQUESTS_CA_BUNDLE to its PEM file." % (host, root), reason="TLS")
    if any_of(urllib3.exceptions.DecodeError, requests.exceptions.ContentDecodingError, zlib.error):
        return errors.TransportError("The answer of %s could not be unpacked (%s)." % (host, root), reason="ENCODING")
    return errors.TransportError("The connection to %s failed (%s). Check the network and the base URL." % (host, root),
                                 reason="CONNECTION", retryable=True)


def _chain(error: BaseException) -> Sequence[BaseException]:
    """`error` and what caused it, the root last; urllib3 and requests keep causes in ``args`` and ``reason`` too."""
    chain = [error]
    while len(chain) < 12:
        last = chain[-1]
        inner = [item for item in (getattr(last, "reason", None), *last.args) if isinstance(item, BaseException)]
        cause = (inner or [last.__cause__ or last.__context__])[0]  # type: ignore[list-item]
        if cause is None or cause in chain:
            break
        chain.append(cause)
    return chain


def _checked_timeout(timeout: Any) -> Tuple[float, float]:
    pair = timeout if isinstance(timeout, (tuple, list)) else (timeout, timeout)
    if len(pair) != 2:
        raise ValueError("timeout is (connect, read) in seconds, or one number for both, not %r" % (timeout,))
    return seconds(pair[0], "timeout"), seconds(pair[1], "timeout")
