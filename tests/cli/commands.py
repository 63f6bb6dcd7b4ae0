"""Runs commands for the tests: in this process, or as one of its own."""
from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

import gemini_lite
from gemini_lite.cli.main import main
from gemini_lite.testing import Request

SOON = 10  # seconds after which a test gives up waiting for another process
COMMAND = [sys.executable, "-W", "error", "-m", "gemini_lite"]


class StandardInput(io.TextIOWrapper):
    """Standard input with these bytes; a terminal if there are none to come."""

    def __init__(self, data: Optional[bytes]) -> None:
        super().__init__(io.BytesIO(data or b""), encoding="ascii")
        self._terminal = data is None

    def isatty(self) -> bool:
        return self._terminal

    def read(self, *args: Any) -> str:
        assert not self._terminal, "a terminal is not to be read"
        return super().read(*args)


def pipe_stdin(monkeypatch: pytest.MonkeyPatch, data: Optional[bytes]) -> None:
    """Put `data` on standard input; None makes it a terminal where nobody types."""
    monkeypatch.setattr(sys, "stdin", StandardInput(data))


def run(*arguments: str) -> int:
    """The exit code of the command, whichever way it ends."""
    try:
        return main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)


def prompt_of(request: Request) -> Any:
    """The texts of the first turn."""
    return [part["text"] for part in request.body["contents"][0]["parts"]]


def environment(**more: str) -> Dict[str, str]:
    """What a child process gets: the package under test and no colours, locale or coverage of ours."""
    return {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), **more}


def run_process(
        *arguments: str, env: Optional[Dict[str, str]] = None, **how: Any) -> "subprocess.CompletedProcess[bytes]":
    """The command run to its end; `how` is for `subprocess.run`, and without an input there is none to read."""
    if "input" not in how:
        how.setdefault("stdin", subprocess.DEVNULL)
    how.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([*COMMAND, *arguments], env=env or environment(), stderr=subprocess.PIPE, timeout=SOON, **how)
