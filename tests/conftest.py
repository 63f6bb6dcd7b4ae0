"""What the tests share: a clean environment, a fake Gemini, clients for it, raw servers, and waits that are only noted.
"""
from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import struct
import threading
from typing import Any, Callable, Iterator, List, Optional, Tuple

import pytest

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import FakeGemini

os.environ["GEMINI_LITE_FAKE_STRICT"] = "1"  # every FakeGemini refuses what Google refuses, if nothing else is said
_FOREIGN = re.compile(
    r"(GOOGLE|GEMINI(?!_LITE_FAKE)|CODE_ASSIST)_.*|.*_PROXY|(REQUESTS|CURL)_CA_BUNDLE|SSL_CERT_(FILE|DIR)")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, proxies, certificates or ``.netrc`` of the machine; loopback is reached directly."""
    for name in list(os.environ):
        if _FOREIGN.fullmatch(name.upper()):
            monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client made where a test plays a notebook leaves the process as it was; tests/notebook has a real kernel."""
    monkeypatch.setattr("gemini_lite.display.kernel.prepare_kernel", lambda: None)


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    """A fake Gemini, which fails the test for replies that nobody asked for."""
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def client() -> Iterator[Callable[..., GeminiClient]]:
    """``client(fake or url, **settings)`` makes a client for that address, with the key "test-key"; closed at the end.
    """
    with contextlib.ExitStack() as stack:
        def make(where: Any, *args: Any, key: str = "test-key", **settings: Any) -> GeminiClient:
            backend = DeveloperAPI(key, base_url=where if isinstance(where, str) else where.url)
            made = GeminiClient(*args, backend=backend, **settings)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """The waits between tries, which take no time."""
    waits: List[float] = []
    monkeypatch.setattr("gemini_lite.transport.retry.sleep", waits.append)
    return waits


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT is heeded, here and in child processes, though a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Peer:
    """A raw server's end of one connection; `number` counts the connections from 1."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._file = sock.makefile("rb")

    def request(self) -> Tuple[str, bytes]:
        """The head and the body of the next request; ConnectionError when the client has left."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self._file.readline()
            if not line:
                raise ConnectionError("the client has left")
            head += line
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        return head.decode("latin-1"), self._file.read(int(length.group(1))) if length else b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, body: bytes, status: str = "200 OK", headers: str = "Content-Type: application/json") -> None:
        """A whole answer with a Content-Length."""
        self.send(("HTTP/1.1 %s\r\n%s\r\nContent-Length: %d\r\n\r\n" % (status, headers, len(body))).encode() + body)

    def reset(self) -> None:
        """End the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.sock.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """``serve(handle)`` starts a loopback server and returns its URL; `handle(peer)` has a thread per connection.

    With `tls`, an `ssl.SSLContext`, the URL is an https one. What `handle` raises fails the test; OSError is the end
    of a connection and no failure.
    """
    with contextlib.ExitStack() as stack:
        def start(handle: Callable[[Peer], Any], tls: Any = None, host: str = "127.0.0.1") -> str:
            server = _Server(handle, tls)
            stack.callback(server.close)
            return "%s://%s:%d" % ("https" if tls else "http", host, server.port)

        yield start


class _Server:
    def __init__(self, handle: Callable[[Peer], Any], tls: Any) -> None:
        self._handle, self._tls = handle, tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._closing = False
        self._failure: Optional[BaseException] = None
        self._threads: List[threading.Thread] = []
        self._socks: List[socket.socket] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing:
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socks.append(sock)
            thread = threading.Thread(target=self._run, args=(sock, len(self._socks)), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket, number: int) -> None:
        try:
            with sock:
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                    self._socks[number - 1] = sock
                with sock, contextlib.closing(Peer(sock, number)) as peer:
                    self._handle(peer)
        except OSError:
            pass
        except BaseException as error:
            self._failure = error

    def close(self) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._acceptor.join(5)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        if self._failure is not None:
            raise self._failure
