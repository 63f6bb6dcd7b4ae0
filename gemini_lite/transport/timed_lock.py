"""Locks for threads that have only so much time, which an interrupt cannot leave locked."""
from __future__ import annotations

import contextlib
import os
import threading
from typing import Iterator

from ..errors import TransportTimeout


class TimedLock:
    """Held by one thread at a time, and free in a forked child, where the thread that held it does not exist."""

    def __init__(self) -> None:
        self._lock, self._pid = threading.RLock(), os.getpid()

    @contextlib.contextmanager
    def within(self, seconds: float, work: str) -> Iterator[None]:
        """Hold the lock; TransportTimeout if another thread, busy with the same `work`, holds it for longer."""
        if self._pid != os.getpid():
            self._lock, self._pid = threading.RLock(), os.getpid()
        lock = self._lock
        try:  # an interrupt may come when it has just been acquired
            if not lock.acquire(timeout=max(0, min(seconds, threading.TIMEOUT_MAX))):
                raise TransportTimeout(
                    f"Another thread's {work} did not end in time. Allow more seconds with deadline= or timeout=.",
                    reason="READ_TIMEOUT", retryable=True)
            yield
        finally:
            # No call stands before the first release: from Python 3.10 on no interrupt comes between. An older one may
            # leave the lock to this thread, which can enter it again, and then releases it as often as it holds it.
            try:
                while True:
                    lock.release()
            except RuntimeError:  # this thread holds it no more
                pass


class WakeUp:
    """What one thread waits for and any other may `set`: with one call of C, which no interrupt leaves half done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the thread that waits go on; or the next one, if none does."""
        try:
            self._lock.release()
        except RuntimeError:  # it is set already
            pass

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it is set."""
        self._lock.acquire(timeout=max(0, min(seconds, threading.TIMEOUT_MAX)))
