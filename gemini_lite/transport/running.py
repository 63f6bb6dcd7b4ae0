"""A call while it runs: the socket it waits on, what ended it early, and how often it was sent."""
from __future__ import annotations

import math
import os
import threading
import time
from _socket import socket as SystemSocket
from socket import SHUT_RDWR
from typing import Any, Dict, Optional

from ..errors import TransportError, TransportTimeout
from .timed_lock import WakeUp

CLOSED, DEADLINE = "CLOSED", "DEADLINE"

_calls: Dict[int, RunningCall] = {}  # by thread; a `threading.local` is one for all greenlets if gevent patches late


class RunningCall:
    """One call, which another thread may end at any moment: by `end`, or the watchdog when its time is over.

    `moment` is that of time.monotonic by which it must be done, `tries` how many requests were made for it, `unsent`
    whether its last request certainly was not worked on, and `ended` None, CLOSED or DEADLINE. While `keeps_rest`, a
    stream that is closed after its finish reason is read to its end.
    """

    __slots__ = ("moment", "ended", "tries", "unsent", "keeps_rest", "_find_socket", "_wake", "_pid")

    def __init__(self, moment: float = math.inf) -> None:
        self.moment = moment
        self.ended: Optional[str] = None
        self.tries = 0
        self.unsent = False
        self.keeps_rest = False
        self._find_socket: Any = None  # the socket, or a function that returns it
        self._wake: Optional[WakeUp] = None
        self._pid = os.getpid()

    @property
    def left(self) -> float:
        """The seconds left, 0 if none are, infinity without a deadline."""
        return max(0.0, self.moment - time.monotonic()) if self.moment != math.inf else math.inf

    @property
    def is_over(self) -> bool:
        """Whether it was ended, or its time is over."""
        return self.ended is not None or self.moment != math.inf and time.monotonic() >= self.moment

    @property
    def is_of_this_process(self) -> bool:
        """False in a forked child, which must leave its parent's connections alone."""
        return self._pid == os.getpid()

    def check(self) -> None:
        """Raise the error of a call that is over."""
        if self.is_over:
            raise self.error()

    def error(self) -> TransportError:
        """What a call raises that is over."""
        if self.ended == CLOSED:
            return TransportError("The call was ended by close(), before its answer was whole.", reason=CLOSED)
        return deadline_error()

    def attach(self, socket: Any) -> None:
        """From now on this call waits on `socket`, or on the one that this function returns, if it returns one."""
        self._find_socket = socket
        if self.ended is not None:  # asked after the socket is known to `end`: one of the two shuts it down
            self._shut_down()

    def detach(self, socket: Any) -> None:
        """This call waits on that socket no more. If `ended` is None now, another call may have it.

        Otherwise `end` may have found the socket before, and may shut it down later. There is no lock, which an
        interrupt could leave locked: `end` sets `ended` and then looks for the socket, here it is the other way round.
        """
        if self._find_socket is socket:
            self._find_socket = None

    def end(self, reason: str) -> None:
        """End it, from any thread: the one that waits wakes at once, and raises `error`."""
        if self.ended is None:
            self.ended = reason
        self._shut_down()
        if self._wake is not None:
            self._wake.set()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is ended."""
        self._wake = WakeUp()
        if self.ended is None:
            self._wake.wait(seconds)

    def _shut_down(self) -> None:
        found = self._find_socket
        if callable(found):
            found = found()
        if found is None or not self.is_of_this_process:
            return
        # The system's call, beneath TLS: SSLSocket.shutdown would drop the TLS layer, and a reader in another thread
        # would take what is encrypted for the answer. gevent's sockets have the system's inside.
        found = getattr(found, "_sock", found)
        if isinstance(found, SystemSocket):
            try:
                SystemSocket.shutdown(found, SHUT_RDWR)
            except OSError:
                pass  # closed already, or not connected yet


def deadline_error() -> TransportTimeout:
    """What a call raises whose time is over."""
    return TransportTimeout(
        "The deadline passed before the answer was there. Allow more seconds with deadline=, or ask for less.",
        reason=DEADLINE, retryable=True)


def current_call() -> Optional[RunningCall]:
    """The call that this thread is making."""
    return _calls.get(threading.get_ident())


def enter(call: RunningCall) -> Optional[RunningCall]:
    """Make `call` this thread's; the one that it interrupts, for `leave`."""
    thread = threading.get_ident()
    outer = _calls.get(thread)
    _calls[thread] = call
    return outer


def leave(outer: Optional[RunningCall], tries: int) -> None:
    """This thread's call is over, for which so many requests were made; go on with the one around it."""
    if outer is None:
        _calls.pop(threading.get_ident(), None)
    else:
        outer.tries += tries
        _calls[threading.get_ident()] = outer
