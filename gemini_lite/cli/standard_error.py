"""What the command line prints on standard error: one-line notices and errors, and what a chat command shows.

Nobody need read it: where its reader has left, nothing more is printed, and the command goes on.
"""
from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from .writers import escape_controls


def print_status(text: str) -> None:
    """Print a notice or an error as one line, after the name of the program."""
    print_raw(f"{_status(text)}\n")


def print_lines(text: str) -> None:
    """Print `text` with its lines as they are."""
    print_raw(f"{escape_controls(text)}\n")


def confirm(question: str) -> bool:
    """Whether the user at the terminal answers `question` with y or yes."""
    print_raw(f"{_status(question)} [y/N] ")
    answer = sys.stdin.readline()
    if not answer:  # Ctrl-D, which ends no line
        print_raw("\n")
    return answer.strip().lower() in ("y", "yes")


def print_raw(text: str) -> None:
    """Print `text` at once as it is, with what steers the terminal."""
    try:
        print(text, end="", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Send what `stream` holds, and what is written to it from now on, nowhere; or Python's flush at exit would fail.
    """
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _status(text: str) -> str:
    return f"gemini-lite: {escape_controls(' '.join(text.split()))}"
