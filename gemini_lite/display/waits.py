"""The waits between two tries of a call, as the client logs them, shown while they last."""
from __future__ import annotations

import logging
import threading
import time
from typing import Callable, Optional

_FIRST_WORD = "waiting"  # of the message in `transport.retry`, whose first argument is the seconds
_SHORTEST_WAIT = 1.0  # seconds; nobody could read the line of a shorter one
_CLEARED_BEFORE = 0.1  # seconds before the end of a wait: what comes after it is shown in the same place


class WaitHandler(logging.Handler):
    """Calls `show(what comes next, seconds left)` every second of a wait that is logged, and `clear()` at its end."""

    def __init__(self, show: Callable[[str, float], None], clear: Callable[[], None]) -> None:
        super().__init__(logging.INFO)
        self._show = show
        self._clear = clear
        self._counting: Optional[threading.Thread] = None
        self._ended = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Begin to count down if this is a wait."""
        arguments = record.args
        seconds = arguments[0] if isinstance(arguments, tuple) and arguments else None
        if not str(record.msg).startswith(_FIRST_WORD) or not isinstance(seconds, (int, float)) \
                or seconds < _SHORTEST_WAIT:
            return
        self.stop()
        self._ended = threading.Event()
        reason = record.getMessage().partition(" before ")[2]
        self._counting = threading.Thread(target=self._count_down, args=(reason, float(seconds), self._ended),
                                          daemon=True)
        self._counting.start()

    def close(self) -> None:
        """End the line, too."""
        self.stop()
        super().close()

    def stop(self) -> None:
        """End the line of a wait that may have been interrupted, which nobody logs."""
        if self._counting is not None:
            self._ended.set()
            self._counting.join()
            self._counting = None

    def _count_down(self, reason: str, seconds: float, ended: threading.Event) -> None:
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            if left <= _CLEARED_BEFORE:
                break
            self._show(reason, left)
            if ended.wait(min(left - _CLEARED_BEFORE, 1.0)):
                break
        self._clear()


def stop_waits() -> None:
    """End the line of every wait that is shown."""
    for handler in logging.getLogger("gemini_lite").handlers:
        if isinstance(handler, WaitHandler):
            handler.stop()
