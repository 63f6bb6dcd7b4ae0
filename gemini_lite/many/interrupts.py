"""Ctrl-C during a run: noted, where the default would raise KeyboardInterrupt in the middle of anything."""
from __future__ import annotations

import signal
import threading
import time
from typing import Any, Callable, Optional

SHORT = 0.5  # seconds that the caller's own code may take between two results and still be part of the run


class Interrupts:
    """Counts Ctrl-C from the first time it is entered until `close`, and calls `wake` for each.

    That is so in the main thread, where the program has Python's own handler; elsewhere nothing changes. While
    `may_raise` is set, and in the caller's code when it takes long, KeyboardInterrupt is raised as usual.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.count = 0
        self.may_raise = False
        self._wake = wake
        self._depth = 0
        self._left_at = 0.0
        self._before: Optional[Any] = None
        self.is_raised = False  # the run's consumer knows that it was stopped

    def __enter__(self) -> Interrupts:
        self._depth += 1
        if self._before is None and threading.current_thread() is threading.main_thread():
            handler: Any = signal.getsignal(signal.SIGINT)
            if handler is signal.default_int_handler or isinstance(getattr(handler, "__self__", None), Interrupts):
                self._before = handler
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        self._left_at = time.monotonic()

    def close(self) -> None:
        """Put the handler back that was there before; a Ctrl-C that nobody raised is raised now."""
        if self._before is None or threading.current_thread() is not threading.main_thread():
            return
        before, self._before = self._before, None
        if signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, before)
        if self.count and not self.is_raised:
            self.is_raised = True
            signal.raise_signal(signal.SIGINT)

    def _note(self, number: int, frame: object) -> None:
        if not self._depth and time.monotonic() - self._left_at > SHORT:
            self.is_raised = True
            raise KeyboardInterrupt
        self.count += 1
        self._wake()  # SimpleQueue.put, which may be called while the queue is in use
        if self.may_raise or self.count > 2:
            raise KeyboardInterrupt
