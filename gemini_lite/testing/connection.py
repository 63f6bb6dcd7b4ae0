"""HTTP for the stand-in: one client's connection, its requests read and its answers written."""
from __future__ import annotations

import contextlib
import json
import socket
import zlib
from http.server import BaseHTTPRequestHandler
from typing import Any, Callable, Iterator, Mapping, Optional, cast
from urllib.parse import parse_qsl

from .replies import Raw
from .request import Request

_WITHOUT_BODY = (204, 304)  # statuses after which a client expects the next answer at once
_EXPOSED = "x-goog-upload-url, x-goog-upload-status, x-goog-upload-chunk-granularity, x-goog-upload-size-received"


class Connection(BaseHTTPRequestHandler):
    """Requests read from a socket and answered in turn, until either side closes it.

    `answer` is asked for each request; `pause` waits for some seconds, or less when the server is closed; `compress`
    tells whether a client that accepts gzip gets it.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, sock: socket.socket, serial: int, answer: Callable[[Request], Raw],
                 pause: Callable[[float], object], compress: Callable[[], bool]) -> None:
        self._serial, self._answer, self._pause, self._compress = serial, answer, pause, compress
        # A client that leaves is no event here: tests cut, time out and cancel on purpose.
        with sock, contextlib.suppress(OSError):
            super().__init__(sock, sock.getpeername(), cast(Any, None))

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        data = _unpacked(headers.get("content-encoding", ""), b"".join(self._body(headers)))
        is_chunk = "x-goog-upload-offset" in headers  # the bytes of a file, whatever the Content-Type says
        body = data if is_chunk else _parsed(headers.get("content-type", ""), data)
        request = Request(self.command, self.path, headers, body, self._serial)
        answer = _cross_origin(request, self._answer(request))
        if self._compress() and "gzip" in headers.get("accept-encoding", ""):
            answer = compressed(answer)
        self._send(answer, "text/event-stream" if request.streamed else "application/json")

    do_GET = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_POST

    def log_message(self, *args: object) -> None:
        pass

    def _body(self, headers: Mapping[str, str]) -> Iterator[bytes]:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            yield self._exactly(_number(headers.get("content-length", "0"), 10))
            return
        size = -1
        while size:
            size = _number(self.rfile.readline().partition(b";")[0].decode("latin-1"), 16)    # an extension may follow
            yield self._exactly(size)
            self.rfile.readline()

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size) if size >= 0 else b""
        if len(data) != size:
            raise ConnectionError("the client left before the end of its body")
        return data

    def _send(self, answer: Raw, content_type: str) -> None:
        closes = answer.headers.get("connection", "").lower() == "close"
        chunked = not (answer.status in (None, *_WITHOUT_BODY) or "content-length" in answer.headers or closes)
        self._send_head(answer.status, {
            "content-type": content_type, **answer.headers, **({"transfer-encoding": "chunked"} if chunked else {})})
        for number, piece in enumerate(() if self.command == "HEAD" and answer.status is not None else answer.pieces):
            if number:
                self._pause(answer.delay)
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if answer.cut or answer.status is None:
            self.close_connection = True
        elif chunked and self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

    def _send_head(self, status: Optional[int], headers: Mapping[str, str]) -> None:
        if status is not None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)    # "Connection: close" is obeyed by this, too
            self.end_headers()


def preflight(request: Request) -> Raw:
    """The answer to a browser that asks whether it may send a request."""
    allowed = request.headers.get("access-control-request-headers", "content-type, x-goog-api-key, authorization")
    return Raw(headers={
        "Content-Length": "0", "Access-Control-Allow-Methods": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        "Access-Control-Allow-Headers": allowed, "Access-Control-Max-Age": "3600"})


def compressed(answer: Raw) -> Raw:
    """`answer` in gzip, each piece to be read as it arrives; a body that has an encoding or no head stays as it is."""
    plain = list(answer.pieces)
    if answer.status is None or "content-encoding" in answer.headers or not any(plain):
        return answer.changed(answer.headers, plain)
    packer = zlib.compressobj(wbits=31)
    pieces = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) if piece else b"" for piece in plain]
    if not answer.cut:
        pieces[-1] += packer.flush()
    headers = {**answer.headers, "content-encoding": "gzip", "vary": "Accept-Encoding"}
    if "content-length" in headers:
        headers["content-length"] = str(sum(map(len, pieces)))
    return answer.changed(headers, pieces)


def _cross_origin(request: Request, answer: Raw) -> Raw:
    """`answer` with the headers without which a browser keeps it from the page that asked."""
    if "origin" not in request.headers:
        return answer
    return answer.changed({
        "access-control-allow-origin": request.headers["origin"], "access-control-expose-headers": _EXPOSED,
        "vary": "Origin", **answer.headers})


def _unpacked(encoding: str, data: bytes) -> bytes:
    """`data` without its gzip; what cannot be unpacked stays as it came."""
    if encoding.lower() != "gzip":
        return data
    with contextlib.suppress(zlib.error):
        return zlib.decompress(data, wbits=31)
    return data


def _number(text: str, base: int) -> int:
    """The size in a head or before a chunk."""
    try:
        return int(text, base)
    except ValueError:
        raise ConnectionError(f"{text!r} is no size") from None


def _parsed(content_type: str, data: bytes) -> object:
    if "json" in content_type:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(data)
    if "x-www-form-urlencoded" in content_type:
        return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))
    return data
