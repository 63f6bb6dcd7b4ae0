"""Ctrl-C during a run: noted, where the default would raise KeyboardInterrupt in the middle of anything."""
from __future__ import annotations

import signal
import threading
from typing import Any, Callable, Optional


class Interrupts:
    """Counts Ctrl-C while it is entered, and calls `wake` for each.

    That is so in the main thread, where the program has Python's own handler; elsewhere nothing changes. While
    `may_raise` is set, the KeyboardInterrupt is raised all the same: inside the caller's own code, which may block.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.count = 0
        self.may_raise = False
        self._wake = wake
        self._depth = 0
        self._before: Optional[Any] = None

    def __enter__(self) -> Interrupts:
        self._depth += 1
        if self._depth == 1 and threading.current_thread() is threading.main_thread() \
                and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

    def _note(self, number: int, frame: object) -> None:
        self.count += 1
        self._wake()  # SimpleQueue.put, which may be called while the queue is in use
        if self.may_raise or self.count > 2:
            raise KeyboardInterrupt
