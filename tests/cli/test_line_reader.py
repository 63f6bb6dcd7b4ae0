"""The laws of the lines that a chat reads: edited at a terminal, and remembered for the next chat."""
from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import Any, Iterator, List

import pytest

import gemini_lite
from gemini_lite.cli import line_reader
from gemini_lite.testing import FakeGemini, Request

try:
    from terminal import CTRL_D, UP, Terminal
except ImportError:  # on Windows
    Terminal = None  # type: ignore[assignment, misc]
at_terminal = pytest.mark.skipif(Terminal is None, reason="needs pseudo-terminals")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMINI_LITE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    return tmp_path / "home"


@contextlib.contextmanager
def chat_at_terminal() -> Iterator[Any]:
    env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), "PYTHONIOENCODING": "utf-8"}
    with Terminal([sys.executable, "-W", "error", "-m", "gemini_lite", "chat", "--no-rich"], env) as terminal:
        terminal.wait("> ")
        yield terminal


def texts(request: Request) -> List[str]:
    """The texts of all turns that this request sends."""
    return [part.get("text", "") for turn in request.body["contents"] for part in turn["parts"]]


@at_terminal
def test_ctrl_c_at_the_prompt_clears_the_line(at_fake: FakeGemini) -> None:
    at_fake.reply("Hello")
    with chat_at_terminal() as terminal:
        terminal.press("not this")
        terminal.wait("not this")
        terminal.interrupt("> ")
        terminal.press("!multi\n")
        terminal.wait(". ")
        terminal.press("nor this\n")
        terminal.wait("nor this\r\n. ")  # Ctrl-C takes keys from the terminal that readline was told of
        terminal.interrupt("\n> ")
        terminal.press("but this\n")
        terminal.wait("Hello\r\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert [texts(request) for request in at_fake.requests] == [["but this"]]


@at_terminal
def test_lines_are_edited_and_remembered_for_the_next_chat(at_fake: FakeGemini, home: Path) -> None:
    pytest.importorskip("readline")
    for _ in range(3):
        at_fake.reply("ok")
    with chat_at_terminal() as terminal:
        terminal.press("wörld\n")
        terminal.wait("ok\r\n> ")
        terminal.press(UP + "\x01hello \n")  # Ctrl-A: to the start of the line
        terminal.wait("ok\r\n> ")
        terminal.process.kill()
    path = home / "history"
    assert path.read_text("utf-8") == "wörld\nhello wörld\n" and stat.S_IMODE(path.stat().st_mode) == 0o600
    with chat_at_terminal() as terminal:
        terminal.press(UP + "!\n")
        terminal.wait("ok\r\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert [texts(request)[-1] for request in at_fake.requests] == ["wörld", "hello wörld", "hello wörld!"]


def test_the_input_history_keeps_its_last_thousand_lines(home: Path) -> None:
    home.mkdir()
    (home / "history").write_bytes("".join(f"line {number}\n" for number in range(3000)).encode() + b"\xff\n")
    lines = line_reader.load_input_history(home / "history")
    assert len(lines) == 1000 and lines[-2:] == ["line 2999", "\ufffd"]
    assert len((home / "history").read_text("utf-8").splitlines()) == 1000
    line_reader.append_input_history(home / "history", "two\nlines")
    assert line_reader.load_input_history(home / "history")[-1] == "two lines"
    assert line_reader.load_input_history(home / "none") == []


@at_terminal
def test_a_file_of_earlier_lines_that_a_power_cut_has_hurt_stops_no_chat(at_fake: FakeGemini, home: Path) -> None:
    home.mkdir()
    (home / "history").write_bytes(b"first\nse\0\0cond\xff\n\0\0\0")
    assert line_reader.load_input_history(home / "history") == ["first", "second\ufffd"]
    with chat_at_terminal():
        pass
