"""Progress: one line that is written over, one output that changes, and nothing where nobody looks."""
from __future__ import annotations

import io
import sys
import types
from typing import Any, List

import pytest

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
    shown: List[Any] = []

    class Handle:
        def update(self, bundle: Any, raw: bool) -> None:
            shown.append(bundle["text/plain"])

    def display(bundle: Any, raw: bool, display_id: bool) -> Handle:
        shown.append("new: " + bundle["text/plain"])
        return Handle()

    python: Any = types.ModuleType("IPython")
    python.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    python.display = types.ModuleType("IPython.display")
    python.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", python.display)
    report = byte_reporter(True, "a.mp4")
    report(1, 2), report(2, 2)
    assert [line.split("%")[0].strip() for line in shown] == [
        "new: a.mp4 [############............]  50", "a.mp4 [########################] 100"]


@pytest.mark.parametrize("progress", [None, False])
def test_without_progress_nothing_is_shown(progress: Any, capsys: pytest.CaptureFixture[str]) -> None:
    byte_reporter(progress, "a")(1, 2)
    assert capsys.readouterr() == ("", "")


def test_an_empty_file_is_whole() -> None:
    assert "100 %" in byte_bar(0, 0)
