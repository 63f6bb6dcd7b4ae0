"""Progress for people: one line that is written over in a terminal, one output that changes in a notebook."""
from __future__ import annotations

import sys
from typing import Callable, Optional, Union

ByteProgress = Union[Callable[[int, int], object], bool, None]

_BAR = 24  # characters


def byte_reporter(progress: ByteProgress, name: Optional[str]) -> Callable[[int, int], object]:
    """What is called with the bytes that the server has, and those of the whole; True draws a bar."""
    if progress is True:
        show = print_progress()
        return lambda done, size: show(f"{name or 'upload'} {byte_bar(done, size)}")
    if callable(progress):
        return progress
    return lambda done, size: None


def byte_bar(done: int, size: int) -> str:
    """A bar for `done` bytes of `size`."""
    share = done / size if size else 1.0
    filled = int(_BAR * share)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {100 * share:3.0f} %  {done / 1e6:.1f} of {size / 1e6:.1f} MB"


def print_progress() -> Callable[[str], object]:
    """A function that shows its text in place of the one before: in a notebook, or on standard error."""
    from ..display.notebook import ReplacedOutput, in_notebook
    if not in_notebook():
        return _TerminalLine() if sys.stderr.isatty() else _LogLines()
    output = ReplacedOutput()
    return lambda text: output.show({"text/plain": text})


class _TerminalLine:
    """A line on standard error that is written over, and ended when nobody has this any more."""

    def __init__(self) -> None:
        from ..display.terminal_line import TerminalLine
        self._line = TerminalLine(sys.stderr)

    def __call__(self, text: str) -> None:
        self._line.show(text)

    def __del__(self) -> None:
        self._line.end()


class _LogLines:
    """A line on standard error for each text that is not the last one again."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        if text != self._last:
            print(text, file=sys.stderr, flush=True)
        self._last = text
