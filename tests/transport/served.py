"""What the servers of these tests send: answers, events, bodies of every shape; and what many tests need."""
from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple
from urllib.parse import urlsplit

import gemini_lite
from gemini_lite import GeminiClient
from gemini_lite.testing import FakeGemini, Raw, Request

Client = Callable[..., GeminiClient]
Serve = Callable[..., str]


SOON = 5  # seconds after which a test gives up waiting for what should have happened at once
SSE = {"Content-Type": "text/event-stream"}


def answer(text: str, finish: str = "STOP", **fields: Any) -> Dict[str, Any]:
    """The JSON of an answer or event; without `finish` an event that others follow."""
    candidate: Dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **fields}


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def event(text: str, finish: str = "") -> bytes:
    return b"data: %b\r\n\r\n" % dump(answer(text, finish))


def last(text: str) -> bytes:
    return event(text, "STOP")


def texts(stream: Any) -> List[str]:
    return [chunk.text_delta for chunk in stream]


SHAPES = ["chunked", "gzip chunked", "length", "gzip length", "close", "gzip close"]
KEPT = [shape for shape in SHAPES if "close" not in shape]


def shaped(shape: str, pieces: List[bytes], headers: Dict[str, str]) -> Tuple[List[bytes], Dict[str, str]]:
    """`pieces` and `headers` as they travel in that shape: packed, each piece flushed, if it is gzip."""
    headers = dict(headers)
    if "gzip" in shape:
        packer = zlib.compressobj(wbits=31)
        pieces = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
        pieces[-1:] = [pieces[-1] + packer.flush()] if pieces else []
        headers["Content-Encoding"] = "gzip"
    if "length" in shape:
        headers["Content-Length"] = str(sum(map(len, pieces)))
    if "close" in shape:
        headers["Connection"] = "close"
    return pieces, headers


def script(fake: FakeGemini, shape: str, *pieces: bytes, headers: Dict[str, str] = SSE, **how: Any) -> None:
    parts, headers = shaped(shape, list(pieces), headers)
    fake.raw(*parts, headers=headers, **how)


class Paced(Raw):
    """Sends a piece only when the one before was `taken`; hangs up when that takes too long."""

    def __init__(self, shape: str, *pieces: bytes) -> None:
        parts, headers = shaped(shape, list(pieces), SSE)
        super().__init__(headers=headers)
        self.taken = [threading.Event() for _ in parts]
        self.pieces = self._paced(parts)  # type: ignore[assignment]

    def _paced(self, parts: List[bytes]) -> Iterator[bytes]:
        for number, part in enumerate(parts):
            if number and not self.taken[number - 1].wait(SOON):
                raise ConnectionError("nobody took piece %d" % number)
            yield part


def cut(fake: FakeGemini, shape: str, *pieces: bytes) -> None:
    """A body of that shape that ends in the middle."""
    sent, headers = shaped(shape, list(pieces) + [b"x" * 100], SSE)
    fake.raw(*sent[:-1], headers=headers, cut=True)


UNAVAILABLE = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}


URL = "https://generativelanguage.googleapis.com/v1beta/models/m:%s"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def repeated(make: Callable[[], bytes]) -> Iterator[bytes]:
    """Pieces of a body that has no end as far as a client can tell: it goes on for `SOON` seconds."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        yield make()
    raise ConnectionError("the client took it all")


def endless(piece: bytes, status: int = 200, headers: Dict[str, str] = SSE) -> Callable[[Request], Raw]:
    """A default for `FakeGemini` whose body never ends."""
    def answer(request: Request) -> Raw:
        raw = Raw(status=status, headers=headers)
        raw.pieces = repeated(lambda: piece)  # type: ignore[assignment]
        return raw
    return answer


class Proxy:
    """A proxy for absolute http URIs, one request to a connection, and for tunnels; `heads` has what it was asked."""

    def __init__(self, serve: Serve) -> None:
        self.heads: List[str] = []
        self.url = serve(self._handle)

    @property
    def lines(self) -> List[str]:
        """Of each request, the method and the target without its query."""
        return [" ".join(head.split(" ")[:2]).split("?")[0] for head in self.heads]

    def _handle(self, peer: Any) -> None:
        head, body = peer.request()
        self.heads.append(head)
        line, rest = head.split("\r\n", 1)
        method, url, version = line.split(" ")
        target = urlsplit("//" + url if method == "CONNECT" else url)
        with socket.create_connection((target.hostname, target.port), SOON) as there:
            if method == "CONNECT":
                peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pass_on, args=(there, peer.sock), daemon=True)
                back.start()
                self._pass_on(peer.sock, there)
                back.join(SOON)
            else:
                origin = "%s %s?%s %s\r\nConnection: close\r\n" % (method, target.path, target.query, version)
                there.sendall((origin + rest).encode("latin-1") + body)
                self._pass_on(there, peer.sock)

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for block in iter(lambda: source.recv(65536), b""):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)


def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(folder: Path, name: str, names: str) -> None:
    """Make NAME.pem, signed by the CA in `folder`, for the alternative `names`."""
    (folder / "ext.cnf").write_text("subjectAltName=%s\nbasicConstraints=CA:false\nauthorityKeyIdentifier=keyid\n"
                                    "extendedKeyUsage=serverAuth\n" % names)
    (folder / "req.cnf").write_text("[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=%s\n" % name)
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
            "-config", "req.cnf", cwd=folder)
    openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", name + ".crt", "-days", "2", "-extfile", "ext.cnf", cwd=folder)
    (folder / (name + ".pem")).write_text((folder / (name + ".crt")).read_text()
                                          + (folder / (name + ".key")).read_text())


def environment() -> Dict[str, str]:
    """The environment of a Python process that imports the package under test."""
    return {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
