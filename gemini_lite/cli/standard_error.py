"""What the command line prints on standard error: one-line notices and errors, and what a chat command shows."""
from __future__ import annotations

import sys

from .writers import escape_controls


def print_status(text: str) -> None:
    """Print a notice or an error as one line, after the name of the program."""
    print(f"gemini-lite: {escape_controls(' '.join(text.split()))}", file=sys.stderr, flush=True)


def print_lines(text: str) -> None:
    """Print `text` with its lines as they are."""
    print(escape_controls(text), file=sys.stderr, flush=True)


def print_prompt(text: str) -> None:
    """Print a question without ending its line."""
    print(f"gemini-lite: {escape_controls(' '.join(text.split()))} ", end="", file=sys.stderr, flush=True)
