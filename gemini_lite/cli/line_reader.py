"""Lines from standard input: at a terminal edited, with a history of earlier lines; from a pipe as they are."""
from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Iterator, List, Optional

from .. import files_on_disk
from .inputs import decode_text, stdin_is_piped
from .saved import data_folder
from .standard_error import print_lines, print_raw

_HISTORY_LINES = 1000  # kept for the next chat


class LineReader:
    """Reads line after line; `interactive` says whether somebody types them at a terminal."""

    def __init__(self) -> None:
        self.interactive = not stdin_is_piped()
        self._edits_lines = self.interactive and sys.stdout.isatty()  # input() can where both are terminals
        self._readline = _import_readline() if self._edits_lines else None
        self._history_path = data_folder() / "history"
        if self._readline is not None:
            for line in load_input_history(self._history_path):
                self._readline.add_history(line)
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")

    def read(self, prompt: str) -> str:
        """The next line without its end, after showing `prompt` at a terminal; EOFError if there is none."""
        try:
            line = input(prompt) if self._edits_lines else self._read_unedited(prompt)
        except (EOFError, OSError):  # OSError: the terminal is gone
            if self.interactive:
                print_lines("")
            raise EOFError from None
        if self._readline is not None and line.strip():
            append_input_history(self._history_path, line)
        return line

    @contextlib.contextmanager
    def catch_interrupt(self) -> Iterator[None]:
        """At a terminal, Ctrl-C ends the ``with`` block and not the program."""
        try:
            yield
        except KeyboardInterrupt:
            if not self.interactive:
                raise
            print_lines("")

    def _read_unedited(self, prompt: str) -> str:
        if self.interactive:
            print_raw(prompt)
        line = sys.stdin.buffer.readline()
        if not line:
            raise EOFError
        return decode_text(line).rstrip("\r\n")


def load_input_history(path: Path) -> List[str]:
    """The last lines of earlier chats; a file that has grown too long is cut to these."""
    try:
        lines = path.read_text("utf-8", "replace").replace("\0", "").splitlines()  # what a power cut leaves in a file
        if len(lines) > 2 * _HISTORY_LINES:
            kept = "".join(f"{line}\n" for line in lines[-_HISTORY_LINES:])
            files_on_disk.write(path, kept.encode("utf-8"), 0o600)
    except OSError:
        return []
    return lines[-_HISTORY_LINES:]


def append_input_history(path: Path, line: str) -> None:
    """Write `line` to the end of the file at once, because a chat may be killed; nothing if that fails."""
    with contextlib.suppress(OSError):
        os.makedirs(path.parent, 0o700, exist_ok=True)
        with open(path, "a", encoding="utf-8", errors="replace", opener=_open_for_owner) as file:
            file.write(line.replace("\n", " ") + "\n")


def _import_readline() -> Optional[ModuleType]:
    """The module, None on Windows and in builds of Python without it."""
    try:
        import readline
        return readline
    except ImportError:
        return None


def _open_for_owner(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
