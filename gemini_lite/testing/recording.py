"""Recording: a proxy on 127.0.0.1 that writes down what a program and a server say to each other, without secrets."""
from __future__ import annotations

import base64
import http.client
import json
import os
import re
import threading
from types import TracebackType
from typing import IO, Dict, Iterator, List, Optional, Tuple, Type, Union
from urllib.parse import urlencode, urlsplit

from ..json_data import JSON
from .listener import Listener
from .redaction import ANSWER_HEADERS, REQUEST_HEADERS, Redaction, kept
from .replies import Error, Raw, dump
from .request import Request

GOOGLE = "https://generativelanguage.googleapis.com"
FORMAT = 1
URL_OF_PLAYER = "http://RECORDED_SERVER"  # stands in a recording for whoever plays it
_SESSION = "/upload-session/"
_NOT_FORWARDED = {"host", "connection", "accept-encoding", "content-length", "transfer-encoding", "content-encoding",
                  "expect", "origin", "referer"}


class Recorder:
    """A proxy at `url` that passes everything on to one server and writes it down: see `record`."""

    def __init__(self, path: Union[str, os.PathLike[str]], upstream: Optional[str], redact_text: bool) -> None:
        self.url = ""
        self._path = path
        self._upstream = (upstream or GOOGLE).rstrip("/")
        self._redact_text = redact_text
        self._redaction = Redaction(redact_text)
        self._sessions: Dict[str, str] = {}
        self._lock = threading.Lock()
        self._listener = Listener(self._forward)

    def start(self, port: int = 0) -> Recorder:
        """Listen on `port` of 127.0.0.1, by default a free one; returns itself."""
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if hasattr(os, "fchmod"):
            os.fchmod(file, 0o600)    # one that was there before keeps its mode otherwise
        self._file: IO[bytes] = os.fdopen(file, "wb")
        texts = "replaced by hashes" if self._redact_text else "kept as they are"
        self._write({"recording": "gemini_lite", "format": FORMAT, "texts": "hashed" if self._redact_text else "kept",
                     "note": f"Prompts and answers are {texts}; keys, tokens and project ids are replaced."})
        self.url = self._listener.start(port)
        return self

    def close(self) -> None:
        """Stop, and close the file."""
        self._listener.close()
        self._file.close()

    def __enter__(self) -> Recorder:
        return self.start()

    def __exit__(self, _type: Optional[Type[BaseException]], _error: Optional[BaseException],
                 _trace: Optional[TracebackType]) -> None:
        self.close()

    def _forward(self, request: Request) -> Raw:
        self._redaction.learn(request.headers, request.path)
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_FORWARDED}
        scheme, host, path = self._target(request.path)
        connect = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = connect(host, timeout=600)
        try:
            connection.request(request.method, path, _encoded(request), {**headers, "Accept-Encoding": "identity"})
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return Error(502, f"the recorder cannot reach {self._upstream}: {error!r}").render(request, 1)
        own_headers = self._answer_headers(answer)
        raw = Raw(status=answer.status, headers=own_headers)
        raw.pieces = self._pieces(request, answer, connection, own_headers)
        return raw

    def _target(self, path: str) -> Tuple[str, str, str]:
        """Scheme, host and path of a request's real address."""
        real = self._sessions.get(path.partition("?")[0])
        parts = urlsplit(real or self._upstream + path)
        return parts.scheme, parts.netloc, f"{parts.path}?{parts.query}" if parts.query else parts.path

    def _answer_headers(self, answer: http.client.HTTPResponse) -> Dict[str, str]:
        headers = {name.lower(): value for name, value in answer.getheaders() if name.lower() in ANSWER_HEADERS}
        if "x-goog-upload-url" in headers:
            with self._lock:
                local = f"{_SESSION}{len(self._sessions) + 1}"
                self._sessions[local] = headers["x-goog-upload-url"]
            headers["x-goog-upload-url"] = self.url + local
        return headers

    def _pieces(self, request: Request, answer: http.client.HTTPResponse, connection: http.client.HTTPConnection,
                headers: Dict[str, str]) -> Iterator[bytes]:
        """The answer's body as it arrives; once it is whole, the exchange is written down."""
        pieces = []
        try:
            while True:
                piece = answer.read1(65536)
                if not piece:
                    break
                pieces.append(piece)
                yield piece
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error    # the client sees the cut; a half answer is not recorded
        finally:
            connection.close()
        self._write(self._exchange(request, answer.status, headers, b"".join(pieces)))

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
            data = b"" if self._redact_text else body
            return {"answer_base64": base64.b64encode(data).decode()}
        text = text.replace(self.url, URL_OF_PLAYER).replace(self._upstream, URL_OF_PLAYER)
        return {"answer": self._redaction.body(content_type, text)}

    def _write(self, line: JSON) -> None:
        with self._lock:
            self._file.write(dump(line) + b"\n")
            self._file.flush()


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


def request_body(request: Request, redaction: Redaction, hash_texts: bool) -> object:
    """A request's body as a recording has it; bytes as their length and, unless texts are hashed, their base64."""
    if isinstance(request.body, bytes):
        data: JSON = {} if hash_texts else {"$base64": base64.b64encode(request.body).decode()}
        return {"$bytes": len(request.body), **data} if request.body else None
    return redaction.value(request.body)


def read_recording(path: Union[str, os.PathLike[str]]) -> Tuple[JSON, List[JSON]]:
    """The first line of a recording, and its exchanges."""
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    if not lines or lines[0].get("recording") != "gemini_lite":
        raise ValueError(f"{os.fspath(path)} is no recording: testing.record() makes one")
    if lines[0].get("format") != FORMAT:
        raise ValueError(f"{os.fspath(path)} has format {lines[0].get('format')}; this version reads format {FORMAT}")
    return lines[0], lines[1:]


def _encoded(request: Request) -> Optional[bytes]:
    """The body to forward: what was read as JSON or as a form, written again."""
    if isinstance(request.body, bytes):
        return request.body or None
    form = "x-www-form-urlencoded" in request.headers.get("content-type", "")
    return urlencode(request.body).encode() if form else dump(request.body)


def without_query_order(path: str) -> Tuple[str, ...]:
    """A path in a form in which the order of its query does not count."""
    place, _, query = path.partition("?")
    return (place, *sorted(part for part in re.split("&", query) if part))
