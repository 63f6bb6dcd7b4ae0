"""Recording: a proxy on 127.0.0.1 that writes down what a program and a server say to each other, without secrets."""
from __future__ import annotations

import base64
import contextlib
import os
import re
import threading
from types import TracebackType
from typing import IO, Dict, Iterator, Optional, Set, Type, Union
from urllib.parse import quote, urlencode, urlsplit

import requests

from ..errors import TransportError
from ..json_data import JSON
from ..transport import running
from ..transport.body import call_blocks
from ..transport.failures import NETWORK_ERRORS
from ..transport.running import CLOSED, RunningCall
from ..transport.session import OwnSession
from .connection import preflight
from .listener import Listener
from .redaction import ANSWER_HEADERS, REQUEST_HEADERS, Redaction, kept
from .recording_file import URL_OF_PLAYER, new_recording, request_body, write_line
from .replies import Answer, Error, Raw, dump
from .request import Request

GOOGLE = "https://generativelanguage.googleapis.com"
_SESSION = "/upload-session/"
_NOT_FORWARDED = {"host", "connection", "accept-encoding", "content-length", "transfer-encoding", "content-encoding",
                  "expect", "origin", "referer"}
_LOCAL = {"127.0.0.1", "localhost", "::1"}
_TIMEOUT = (30.0, 600.0)  # seconds to connect, and between two bytes


class Recorder:
    """A proxy at `url` that passes everything on to one server and writes it down: see `record`.

    With `key` that is what the server gets, in place of the API key that a program has. `count` exchanges are written.
    """

    def __init__(self, path: Union[str, os.PathLike[str]], upstream: Optional[str] = None, redact_text: bool = False,
                 *, key: Optional[str] = None) -> None:
        self.url = ""
        self.count = 0
        self.upstream = _checked(upstream or GOOGLE)
        self._path, self._key = path, key
        self._redact_text = redact_text
        self._redaction = Redaction(redact_text)
        self._redaction.learn_key(key or "")
        self._sessions: Dict[str, str] = {}
        self._calls: Set[RunningCall] = set()
        self._session = OwnSession()
        self._lock = threading.Lock()
        self._file: Optional[IO[bytes]] = None
        self._listener = Listener(self._answer)

    def start(self, port: int = 0) -> Recorder:
        """Listen on `port` of 127.0.0.1, by default a free one, and begin the file; returns itself."""
        with self._lock:  # nothing is written before the first line is
            self.url = self._listener.start(port)
            try:
                self._check_upstream()
                self._file = new_recording(self._path, self._redact_text)
            except (OSError, ValueError):
                self._listener.close()
                raise
        return self

    def _check_upstream(self) -> None:
        own, other = urlsplit(self.url), urlsplit(self.upstream)
        if other.hostname in _LOCAL and other.port == own.port:
            raise ValueError(f"the recorder would pass everything on to itself, at {self.url}: name the server with "
                             "--upstream (or upstream=), or unset GOOGLE_GEMINI_BASE_URL")

    def close(self) -> None:
        """Stop, and close the file."""
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.end(CLOSED)
        self._listener.close()
        self._session.session.close()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __enter__(self) -> Recorder:
        return self if self._listener.is_running else self.start()

    def __exit__(self, _type: Optional[Type[BaseException]], _error: Optional[BaseException],
                 _trace: Optional[TracebackType]) -> None:
        self.close()

    def _answer(self, request: Request) -> Raw:
        if not _is_from_here(request):
            answer: Answer = Error(403, "this recorder serves programs on this machine and pages from localhost; call "
                                        f"it as {self.url}")
        elif request.method == "OPTIONS":
            answer = preflight(request)
        elif not request.path.startswith("/"):
            answer = Error(400, f"this recorder serves {self.upstream} alone: ask for a path that begins with /")
        else:
            answer = self._forward(request)
        return answer.render(request, 1)

    def _forward(self, request: Request) -> Answer:
        self._redaction.learn(request)
        call = RunningCall()
        try:
            answer = self._send(request, call)
        except (*NETWORK_ERRORS, ValueError) as error:
            return Error(502, f"the recorder cannot reach {self.upstream}: {self._redaction.text(repr(error))}")
        headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() in ANSWER_HEADERS}
        upload = headers.get("x-goog-upload-url", "")
        if upload:
            if urlsplit(upload)[:2] != urlsplit(self.upstream)[:2]:
                answer.close()
                return Error(502, f"the upload leads away from {self.upstream}, which is all that is recorded")
            headers["x-goog-upload-url"] = self._upload_session(upload)
        raw = Raw(status=answer.status_code, headers=headers)
        raw.pieces = self._pieces(request, answer, headers, call)
        return raw

    def _send(self, request: Request, call: RunningCall) -> requests.Response:
        """The server's answer, its body not read yet."""
        with self._running(call):
            outer = running.enter(call)
            try:
                return self._session.send(
                    request.method, self._target(request.path), self._headers(request), _encoded(request),
                    lambda prepared: prepared, _TIMEOUT)
            finally:
                running.leave(outer, 0)

    def _target(self, path: str) -> str:
        """A request's real address: at the one server, or in one of its upload sessions."""
        session = self._sessions.get(path.partition("?")[0])
        if session is None and self._key:
            path = re.sub(r"(?<=[?&])key=[^&]*", lambda _: f"key={quote(self._key or '', safe='')}", path)
        return session or self.upstream + path

    def _headers(self, request: Request) -> Dict[str, str]:
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_FORWARDED}
        if self._key and "authorization" not in headers and "key" not in request.query:
            headers["x-goog-api-key"] = self._key
        return {**headers, "Accept-Encoding": "identity"}

    def _upload_session(self, url: str) -> str:
        """The recorder's own address for one of an upload."""
        with self._lock:
            local = f"{_SESSION}{len(self._sessions) + 1}"
            self._sessions[local] = url
        return self.url + local

    def _pieces(
        self, request: Request, answer: requests.Response, headers: Dict[str, str], call: RunningCall,
    ) -> Iterator[bytes]:
        """The answer's body as it arrives; once it is whole, the exchange is written down."""
        pieces = []
        try:
            with contextlib.closing(answer), self._running(call):
                for piece in call_blocks(answer.raw, call):
                    pieces.append(piece)
                    yield piece
        except (*NETWORK_ERRORS, TransportError) as error:
            raise ConnectionError(str(error)) from error    # the client sees the cut; a half answer is not recorded
        self._write(self._exchange(request, answer.status_code, headers, b"".join(pieces)))

    @contextlib.contextmanager
    def _running(self, call: RunningCall) -> Iterator[None]:
        """In the block, `close` ends the call, though its server is silent."""
        with self._lock:
            self._calls.add(call)
        try:
            yield
        finally:
            with self._lock:
                self._calls.discard(call)

    def _exchange(self, request: Request, status: int, headers: Dict[str, str], body: bytes) -> JSON:
        redaction = self._redaction
        stored = {name: value.replace(self.url, URL_OF_PLAYER) for name, value in headers.items()}
        return {
            "method": request.method, "path": redaction.path(request.path),
            "headers": kept(request.headers, REQUEST_HEADERS, redaction.text),
            "request": request_body(request, redaction, self._redact_text), "status": status,
            "answer_headers": kept(stored, ANSWER_HEADERS, redaction.text),
            **self._answer_body(headers.get("content-type", ""), body),
        }

    def _answer_body(self, content_type: str, body: bytes) -> JSON:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            data = b"" if self._redact_text else self._redaction.data(body)
            return {"answer_base64": base64.b64encode(data).decode()}
        text = text.replace(self.url, URL_OF_PLAYER).replace(self.upstream, URL_OF_PLAYER)
        return {"answer": self._redaction.body(content_type, text)}

    def _write(self, line: JSON) -> None:
        with self._lock:
            if self._file is not None:
                write_line(self._file, line)
                self.count += 1


def record(path: Union[str, os.PathLike[str]], upstream: Optional[str] = None, redact_text: bool = False) -> Recorder:
    """Record what goes through a proxy to one server, to be played by `FakeGemini.from_recording(path)`.

        with testing.record("session.jsonl") as recorder:
            client = GeminiClient(backend=DeveloperAPI(base_url=recorder.url))

    `path` is a new file, for its owner alone, one JSON object a line; an existing one is replaced. `upstream` is the
    server's URL, by default Google's. Keys, tokens, upload addresses and project ids are replaced wherever they stand,
    and only some headers are kept; prompts and answers are kept as they are, or as hashes with `redact_text`. The
    first line says which.
    """
    return Recorder(path, upstream, redact_text)


def _checked(upstream: str) -> str:
    """The URL of a server, without a slash at its end."""
    parts = urlsplit(upstream)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        shown = "what has an @" if "@" in upstream else repr(upstream)  # a password may stand before it
        raise ValueError(f"{shown} is no server's URL: write one such as {GOOGLE}")
    return upstream.rstrip("/")


def _is_from_here(request: Request) -> bool:
    """Whether a program on this machine asks, or a page from it: not a site that a browser shows, by any name."""
    origin = request.headers.get("origin")
    if _hostname(f"//{request.headers.get('host', '')}") not in _LOCAL:
        return False    # a site's own name, which it had resolved to 127.0.0.1
    if origin is None:
        return request.headers.get("sec-fetch-site") != "cross-site"    # a picture, a script
    return _hostname(origin) in _LOCAL


def _hostname(url: str) -> str:
    with contextlib.suppress(ValueError):
        return urlsplit(url).hostname or ""
    return ""


def _encoded(request: Request) -> Optional[bytes]:
    """The body to forward: what was read as JSON or as a form, written again."""
    if isinstance(request.body, bytes):
        return request.body or None
    form = "x-www-form-urlencoded" in request.headers.get("content-type", "")
    return urlencode(request.body).encode() if form else dump(request.body)
