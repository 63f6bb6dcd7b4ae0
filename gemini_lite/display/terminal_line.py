"""One line of a terminal that is written over."""
from __future__ import annotations

import os
from typing import TextIO


class TerminalLine:
    """The line of `file` that the cursor is in; it never grows longer than the terminal is wide."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._shown = ""

    def show(self, text: str) -> None:
        """Show `text` in the place of what was shown before."""
        text = text[:_columns(self._file) - 1]
        if text != self._shown:
            self._write(f"\r{text.ljust(len(self._shown))}")
        self._shown = text

    def clear(self) -> None:
        """Leave the line empty, and the cursor at its beginning."""
        if self._shown:
            self._write(f"\r{' ' * len(self._shown)}\r")
        self._shown = ""

    def end(self) -> None:
        """Leave the line as it is, and go to the next."""
        if self._shown:
            self._write("\n")
        self._shown = ""

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


def _columns(file: TextIO) -> int:
    """How wide the terminal is; 80 where nobody knows."""
    try:
        return os.get_terminal_size(file.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
