"""A server of this package from a shell: it says where it is, and runs until it is interrupted."""
from __future__ import annotations

import signal
import threading
from typing import Callable, List, Protocol

from .request import Request


class Server(Protocol):
    """What can be served: a `FakeGemini` or a `Recorder`."""

    @property
    def url(self) -> str:
        """Where it listens, without a path."""

    def start(self, port: int = 0) -> object:
        """Listen on `port`, 0 for a free one, in a thread; OSError if it is taken."""

    def close(self) -> None:
        """Stop listening."""


class NoRequests(List[Request]):
    """The requests of a server that nobody asks for them and that may run for days: none is kept."""

    def append(self, request: Request) -> None:
        """Forget it."""


def serve(server: Server, port: int, announce: Callable[[], object] = lambda: None) -> None:
    """Start `server` on `port`, announce it, print its URL, and close it after SIGINT (Ctrl-C) or SIGTERM.

    OSError if the port is taken.
    """
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.start(port)
        announce()
        print(server.url, flush=True)
        while not stopped.wait(0.5):    # Windows sees Ctrl-C only between two waits
            pass
        server.close()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
