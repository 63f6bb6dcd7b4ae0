"""What writes text to standard output as it comes: `PlainWriter`, or Markdown rendered by rich."""
from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Protocol, TextIO

_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def escape_controls(text: str) -> str:
    """`text` with control characters as ``\\x1b`` and so on: what a model writes must not steer the terminal."""
    return _CONTROL_CHARACTER.sub(lambda match: f"\\x{ord(match.group()):02x}", text.replace("\r", ""))


class Writer(Protocol):
    """What writes an answer, piece by piece."""

    def write(self, text: str) -> None:
        """Write the next piece."""

    def finish_text(self) -> None:
        """Show all that was written, and end the line unless it is ended."""


class PlainWriter:
    """Writes text as it is; on a terminal with its control characters escaped."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._last_character = "\n"

    def write(self, text: str) -> None:
        """Write the next piece."""
        if text:
            print(escape_controls(text) if self._is_terminal else text, end="", file=self._out, flush=True)
            self._last_character = text[-1]

    def finish_text(self) -> None:
        """End the line, unless it is ended."""
        if self._last_character != "\n":
            self.write("\n")


def make_stdout_writer(*, markdown: bool) -> Writer:
    """The writer for standard output; it renders `markdown` only on a terminal and with rich installed."""
    out = sys.stdout
    if markdown and out.isatty() and os.environ.get("TERM") != "dumb":
        with contextlib.suppress(ImportError):  # rich is not installed, or too old
            from .markdown_writer import MarkdownWriter
            return MarkdownWriter(out, escape_controls)
    return PlainWriter(out)
