"""A port of 127.0.0.1 on which requests are answered, each connection in a thread of its own."""
from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Callable, List, Optional, Tuple

from .connection import Connection
from .replies import Raw
from .request import Request


class Listener:
    """Asks `answer` for each request; `compress` tells whether a client that accepts gzip gets it."""

    def __init__(self, answer: Callable[[Request], Raw], compress: Callable[[], bool] = lambda: False) -> None:
        self.connections = 0  # counts those that were accepted
        self._answer, self._compress = answer, compress
        self._closing = threading.Event()
        self._address: Optional[Tuple[str, int]] = None  # None before the start
        self.open: List[Tuple[socket.socket, threading.Thread]] = []  # some of them may have ended

    @property
    def is_running(self) -> bool:
        """Whether it was started and not closed."""
        return self._address is not None and not self._closing.is_set()

    def start(self, port: int = 0) -> str:
        """Listen on `port`, by default a free one, once; the URL."""
        if self._address is not None:
            raise RuntimeError("this server was started before, and can be started once: make a new one")
        if not 0 <= port < 1 << 16:
            raise ValueError(f"there is no port {port}: they go up to 65535")
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._address = host, port = self._listener.getsockname()
        self._acceptor = threading.Thread(target=self._accept, name="FakeGemini", daemon=True)
        self._acceptor.start()
        return f"http://{host}:{port}"

    def close(self) -> None:
        """Stop listening, hang up on every client, and wait up to 5 s for the threads; nothing unless it runs."""
        if self._address is None or self._closing.is_set():
            return
        self._closing.set()
        socket.create_connection(self._address).close()    # wakes accept(), which closing a socket does not everywhere
        self._acceptor.join()
        self._listener.close()
        deadline = time.monotonic() + 5
        for sock, _ in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for _, thread in self.open:
            thread.join(max(0, deadline - time.monotonic()))

    def pause(self, seconds: float) -> None:
        """Wait, or stop waiting when the listener is closed."""
        self._closing.wait(seconds)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing.is_set():
                sock.close()
                return
            self.connections += 1
            thread = threading.Thread(target=Connection, daemon=True, args=(
                sock, self.connections, self._answer, self.pause, self._compress))
            self.open = [known for known in self.open if known[1].is_alive()] + [(sock, thread)]
            thread.start()
