"""What a notebook shows of every call: its waits, and its failure as a block."""
from __future__ import annotations

import html
import logging
import math
import sys

from ..errors import GeminiError
from .failures import show_failure
from .notebook import ReplacedOutput, in_notebook
from .waits import WaitHandler, stop_waits


def prepare_kernel() -> None:
    """Show waits and failures as a notebook's reader wants them, from now on; nothing outside a Jupyter kernel."""
    logger = logging.getLogger("gemini_lite")
    if not in_notebook() or any(isinstance(handler, WaitHandler) for handler in logger.handlers):
        return
    line = _WaitLine()
    logger.addHandler(WaitHandler(line.show, line.clear))
    logger.setLevel(min(logging.INFO, logger.level or logging.INFO))
    setattr(GeminiError, "_render_traceback_", show_failure)  # what IPython calls to show an error
    sys.modules["IPython"].get_ipython().events.register("post_run_cell", lambda *_: stop_waits())


class _WaitLine:
    """An output under the cell that is replaced each second, and empty when nothing is waited for."""

    def __init__(self) -> None:
        self._output = ReplacedOutput()

    def show(self, reason: str, seconds: float) -> None:
        """Show how long it will take still."""
        text = f"waiting {math.ceil(seconds)} s before {reason}"
        self._output.show({"text/plain": text, "text/html": f"<em>{html.escape(text)}</em>"})

    def clear(self) -> None:
        """Empty the output; the next wait has one of its own, under the cell that runs then."""
        self._output.show({"text/plain": "", "text/html": ""})
        self._output = ReplacedOutput()
