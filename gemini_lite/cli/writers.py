"""What writes text to standard output as it comes: `PlainWriter`, or Markdown rendered by rich."""
from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import Match, Protocol, TextIO

_CONTROL_CHARACTER = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # C0 and C1
    "\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u206f\\ufff9-\\ufffb]")  # can show a line otherwise than it is


def escape_controls(text: str) -> str:
    """`text` with control characters as ``\\x1b`` and so on: what a model writes must not steer the terminal."""
    return _CONTROL_CHARACTER.sub(_escape, text.replace("\r", ""))


def _escape(match: Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


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
