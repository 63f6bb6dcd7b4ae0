"""A lock for threads that have only so much time."""
from __future__ import annotations

import contextlib
import os
import threading
from typing import Iterator

from ..errors import TransportTimeout


class TimedLock:
    """Held by one thread at a time, and free in a forked child, where the thread that held it does not exist."""

    def __init__(self) -> None:
        self._lock, self._pid = threading.Lock(), os.getpid()

    @contextlib.contextmanager
    def within(self, seconds: float, work: str) -> Iterator[None]:
        """Hold the lock; TransportTimeout if another thread, busy with the same `work`, holds it for longer."""
        if self._pid != os.getpid():
            self._lock, self._pid = threading.Lock(), os.getpid()
        lock = self._lock
        if not lock.acquire(timeout=max(0, min(seconds, threading.TIMEOUT_MAX))):
            raise TransportTimeout(
                f"Another thread's {work} did not end in time. Allow more seconds with deadline= or timeout=.",
                reason="READ_TIMEOUT", retryable=True)
        try:
            yield
        finally:
            lock.release()
