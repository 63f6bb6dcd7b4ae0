"""A lock for threads that have only so much time."""
from __future__ import annotations

import contextlib
import os
import threading
from typing import Iterator

from ..errors import TransportTimeout


class TimedLock:
    """Held by one thread at a time, and free in a forked child: nobody is left there to open the parent's."""

    def __init__(self) -> None:
        self._lock, self._pid = threading.Lock(), os.getpid()

    @contextlib.contextmanager
    def within(self, seconds: float, work: str) -> Iterator[None]:
        """Hold it; `TransportTimeout` if another thread, which does the same `work`, keeps it for longer."""
        if self._pid != os.getpid():
            self._lock, self._pid = threading.Lock(), os.getpid()
        lock = self._lock
        if not lock.acquire(timeout=max(0, min(seconds, threading.TIMEOUT_MAX))):
            raise TransportTimeout("Another thread's %s did not end in time. Allow more seconds with deadline= or "
                                   "timeout=." % work, reason="READ_TIMEOUT", retryable=True)
        try:
            yield
        finally:
            lock.release()
