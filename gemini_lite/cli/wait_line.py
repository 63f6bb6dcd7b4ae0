"""What the client logs, for the user of the command line: waits as a line that counts down, warnings as notices."""
from __future__ import annotations

import contextlib
import logging
import math
import sys
import time
from typing import Dict, Iterator

from ..display.terminal_line import TerminalLine
from ..display.waits import WaitHandler
from .standard_error import print_status
from .writers import escape_controls

_REPEAT_SECONDS = 60.0  # before a notice is printed again


@contextlib.contextmanager
def log_notices(*, warnings: bool) -> Iterator[None]:
    """Show waits in the ``with`` block, if standard error is a terminal, and `warnings`."""
    logger = logging.getLogger("gemini_lite")
    handler = _wait_handler() if sys.stderr.isatty() else None
    warning_handler = _WarningHandler(logging.WARNING if warnings else logging.CRITICAL)
    level = logger.level
    logger.addHandler(warning_handler)
    if handler is not None:
        logger.addHandler(handler)
        logger.setLevel(min(logging.INFO, level or logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(warning_handler)
        if handler is not None:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)


class _WarningHandler(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._shown: Dict[str, float] = {}  # when each text was printed, by time.monotonic

    def emit(self, record: logging.LogRecord) -> None:
        """Print the warning as a notice, the same one once a minute: each line of a file may give it."""
        text, now = record.getMessage(), time.monotonic()
        if now - self._shown.get(text, -math.inf) >= _REPEAT_SECONDS:
            print_status(text)
            if len(self._shown) > 256:
                self._shown.clear()
            self._shown[text] = now


def _wait_handler() -> WaitHandler:
    line = TerminalLine(sys.stderr)

    def show(reason: str, seconds: float) -> None:
        line.show(escape_controls(f"waiting {math.ceil(seconds)} s before {reason}"))

    return WaitHandler(show, line.clear)
