"""Progress: one line that is written over, one output that changes, and nothing where nobody looks."""
from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from ipython_stand_in import notebook_cell

from gemini_lite.api.progress import byte_bar, byte_reporter, print_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    show = print_progress()
    for text in ("long text", "short", "short"):
        show(text)
    del show
    assert terminal.getvalue() == "\rlong text\rshort    \n"


def test_a_log_file_has_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    show = print_progress()
    for text in ("a", "a", "b"):
        show(text)
    assert capsys.readouterr().err == "a\nb\n"


def test_a_notebook_has_one_output_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = notebook_cell(monkeypatch)
    report = byte_reporter(True, "a.mp4")
    report(1, 2), report(2, 2)
    assert [(shown.new, shown.bundle["text/plain"].split("%")[0].strip()) for shown in cell.messages] == [
        (True, "a.mp4 [############............]  50"), (False, "a.mp4 [########################] 100")]


@pytest.mark.parametrize("progress", [None, False])
def test_without_progress_nothing_is_shown(progress: Any, capsys: pytest.CaptureFixture[str]) -> None:
    byte_reporter(progress, "a")(1, 2)
    assert capsys.readouterr() == ("", "")


def test_an_empty_file_is_whole() -> None:
    assert "100 %" in byte_bar(0, 0)
