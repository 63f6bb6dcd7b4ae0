"""What the client logs, for the user of the command line: waits as a line that counts down, warnings as notices."""
from __future__ import annotations

import contextlib
import logging
import math
import sys
from typing import Iterator

from ..display.waits import WaitHandler
from .standard_error import print_status
from .writers import escape_controls


@contextlib.contextmanager
def log_notices(*, warnings: bool) -> Iterator[None]:
    """Show waits in the ``with`` block, if standard error is a terminal, and `warnings`."""
    logger = logging.getLogger("gemini_lite")
    handler = WaitHandler(_show_wait, _clear_line) if sys.stderr.isatty() else None
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
    def emit(self, record: logging.LogRecord) -> None:
        """Print the warning as a notice."""
        print_status(record.getMessage())


def _show_wait(reason: str, seconds: float) -> None:
    text = f"gemini-lite: waiting {math.ceil(seconds)} s before {reason}"
    sys.stderr.write(f"\r{escape_controls(text)[:78]}\x1b[K")
    sys.stderr.flush()


def _clear_line() -> None:
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
