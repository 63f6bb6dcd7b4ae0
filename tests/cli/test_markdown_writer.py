"""The laws of Markdown at a terminal: all of the text is shown once, in order, and stays in the scrollback."""
from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

import gemini_lite
from gemini_lite.cli.writers import make_stdout_writer
from gemini_lite.testing import FakeGemini

try:
    from terminal import CTRL_D, Terminal
except ImportError:  # on Windows
    pytest.skip("needs pseudo-terminals", allow_module_level=True)

MARKDOWN = """## Title

A paragraph with **bold**, `code`, <b>html</b> and a [link](https://example.com/x).
Its second line.

- one
- two

  inner

1. a
2. b

```python
def f(x):

    return x
```

| A | B |
|---|---|
| 1 | two |

> quoted

<div>a block</div>

See [it][1], ![pic](https://p.example).

[1]: https://r.example

last"""


def pieces(text: str, size: int) -> List[str]:
    return [text[place:place + size] for place in range(0, len(text), size)]


class Screen:
    """What a terminal of this size shows of bytes with the sequences that rich sends, and what has scrolled off."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.lines: List[str] = [""]
        self.top = self.row = self.column = 0
        self.lost = False  # whether something was written where it can be seen no more

    def feed(self, text: str) -> None:
        for found in re.finditer(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b.|[\r\n]|[^\x1b\r\n]", text):
            token, number, kind = found.group(), found.group(1), found.group(2)
            if token == "\n":
                self._begin_line()
            elif token == "\r":
                self.column = 0
            elif kind == "A":
                self.lost |= self.row - int(number or 1) < self.top
                self.row = max(self.top, self.row - int(number or 1))
            elif kind == "K":
                assert number == "2"
                self.lines[self.row] = ""
            elif not token.startswith("\x1b"):
                if self.column == self.width:  # the cursor waits behind a full line for the next character
                    self._begin_line()
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[:self.column] + token + line[self.column + len(token):]
                self.column += len(token)

    def _begin_line(self) -> None:
        self.row, self.column = self.row + 1, 0
        self.lines += [""] * (self.row + 1 - len(self.lines))
        self.top = max(self.top, self.row - self.height + 1)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).strip("\n")


class TerminalOutput(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


class Page:
    """A writer, and the screen that shows what it writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.out = TerminalOutput()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", self.out)
            self.writer: Any = make_stdout_writer(markdown=True)
        assert type(self.writer).__name__ == "MarkdownWriter"
        self.screen = Screen(12, 60)
        self._at = 0

    def write(self, *pieces: str) -> None:
        for piece in pieces:
            self.writer.write(piece)
            self.look()

    def end(self) -> str:
        """What stands on the terminal at the end of an answer, scrollback and all."""
        self.writer.finish_text()
        self.look()
        return self.screen.text

    def look(self) -> None:
        self.screen.feed(self.out.getvalue()[self._at:])
        self._at = len(self.out.getvalue())
        assert not self.screen.lost, "drawn over lines that have scrolled off"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    pytest.importorskip("rich.markdown")
    for name, value in {"TERM": "xterm", "COLUMNS": "60", "LINES": "12"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("gemini_lite.cli.markdown_writer._REDRAW_PAUSE_FACTOR", -1)  # each piece is drawn
    return Page(monkeypatch)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_markdown_looks_the_same_however_it_is_cut(
        page: Page, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Page(monkeypatch)
    at_once.write(MARKDOWN)
    page.write(*pieces(MARKDOWN, size))
    text = page.end()
    assert text == at_once.end()
    assert [re.sub(" +", " ", line.strip(" ▌•")) for line in text.splitlines() if line.strip(" ─━")] == [
        "Title", "A paragraph with bold, code, <b>html</b> and a link", "(https://example.com/x). Its second line.",
        "one", "two", "inner", "1 a", "2 b", "def f(x):", "return x", "A B", "1 two", "quoted", "<div>a block</div>",
        "See [it][1], !pic (https://p.example).", "[1]: https://r.example", "last"]
    assert "\n\n\n\n" not in text


@pytest.mark.parametrize("block", [
    "".join(f"{number}. item\n" for number in range(1, 101)),
    "```\n" + "".join(f"line {number}\n" for number in range(1, 101)) + "```\n",
    "".join(f"word{number} " for number in range(1, 401)),
    "".join(f"paragraph {number}\n\n" for number in range(1, 51)),
], ids=["list", "code", "paragraph", "paragraphs"])
def test_an_answer_longer_than_the_screen_is_whole_in_the_scrollback(page: Page, block: str) -> None:
    page.write(*pieces("before\n\n" + block + "\n\nafter", 9))
    text = page.end()
    assert re.findall(r"\d+|before|after", text) == ["before", *re.findall(r"\d+", block), "after"]


def test_the_last_lines_of_a_long_block_are_shown_while_it_grows(page: Page) -> None:
    for number in range(1, 101):
        page.write(f"{number}. item\n")
        lines = page.screen.text.splitlines()
        assert lines[-1].split() == [str(number), "item"] and len(lines) <= 11
    page.end()


@pytest.mark.parametrize("size", [1, 7, 40])
def test_the_echo_of_ctrl_c_leaves_every_line_standing_once(
        page: Page, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Page(monkeypatch)
    at_once.write(MARKDOWN)
    for piece in pieces(MARKDOWN, size):
        page.write(piece)
        page.screen.feed("^C")
    assert page.end() == at_once.end()


def test_a_second_answer_begins_below_the_first(page: Page) -> None:
    page.write("one\n\ntwo")
    assert page.end() == "one\n\ntwo"
    page.write("three")
    page.end()
    assert page.end() == "one\n\ntwo\nthree"
    assert page.out.getvalue().rindex("\x1b[?25h") > page.out.getvalue().rindex("\x1b[?25l")


def test_the_cursor_is_shown_again_whatever_happens(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.write("one")

    def interrupted(complete: List[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(page.writer, "_update_screen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        page.end()
    assert page.out.getvalue().rindex("\x1b[?25h") > page.out.getvalue().rindex("\x1b[?25l")


def test_control_characters_do_not_reach_the_terminal(page: Page) -> None:
    page.write("a\x1b]0;title\x07 `b\x9b2J`\r\n\n```\n\x1b[31mc\n```\n")
    text = page.end()
    assert "a\\x1b]0;title\\x07 b\\x9b2J" in text and "\\x1b[31mc" in text
    assert "\x1b]" not in page.out.getvalue() and "\x07" not in page.out.getvalue()


def test_no_color_leaves_out_every_colour(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = r"\x1b\[(?:\d;)*(?:3|4)[0-9]"
    page.write(MARKDOWN)
    page.end()
    assert re.search(colours, page.out.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Page(monkeypatch)
    plain.write(MARKDOWN)
    plain.end()
    assert not re.search(colours, plain.out.getvalue())


def test_text_is_plain_without_rich_in_a_pipe_on_a_dumb_terminal_and_where_markdown_is_not_wanted(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", TerminalOutput())
    writers = [make_stdout_writer(markdown=False)]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "rich.markdown", None)
        patch.setitem(sys.modules, "markdown_it", None)
        writers.append(make_stdout_writer(markdown=True))
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda name: "13.4.2")
        writers.append(make_stdout_writer(markdown=True))
    with monkeypatch.context() as patch:
        patch.setenv("TERM", "dumb")
        writers.append(make_stdout_writer(markdown=True))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    writers.append(make_stdout_writer(markdown=True))
    assert {type(writer).__name__ for writer in writers} == {"PlainWriter"}


# The program

def environment(**more: str) -> Dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), "GEMINI_API_KEY": "test-key",
            "PYTHONIOENCODING": "utf-8", **more}


@pytest.mark.parametrize("flags, rendered", [([], True), (["--no-rich"], False), (["--no-stream"], True)])
def test_a_terminal_shows_markdown_and_a_pipe_gets_it_as_it_is(
        fake: FakeGemini, tmp_path: Path, flags: List[str], rendered: bool) -> None:
    pytest.importorskip("rich.markdown")
    fake.reply(*pieces(MARKDOWN, 10))
    fake.reply(*pieces(MARKDOWN, 10))
    env = environment(GOOGLE_GEMINI_BASE_URL=fake.url)
    command = [sys.executable, "-W", "error", "-m", "gemini_lite", "Hi", *flags]
    with Terminal([*command], env) as terminal:
        assert terminal.end() == 0
    assert ("**bold**" in terminal.text) != rendered and "bold" in terminal.text
    with open(tmp_path / "out", "wb") as out, Terminal(command, env, out=out) as terminal:
        assert terminal.end() == 0
    assert (tmp_path / "out").read_text("utf-8") == MARKDOWN + "\n" and terminal.text == ""


def rows(terminal: Terminal) -> List[str]:
    """What stands on the screen of a terminal in the end, without empty lines."""
    screen = Screen(24, 80)
    screen.feed(re.sub(r"\x1b\[\?\d+[hl]", "", terminal.seen))
    return [row for row in screen.text.splitlines() if row]


def test_thoughts_answers_and_tool_calls_stand_in_their_order_at_a_terminal(fake: FakeGemini, tmp_path: Path) -> None:
    pytest.importorskip("rich.markdown")
    (tmp_path / "tools.py").write_text("def now() -> str:\n    print('looking')\n    return 'noon'\n")
    fake.reply({"text": "hm", "thought": True}, "**Let me** look.", FakeGemini.call("now", {}))
    fake.reply({"text": "so", "thought": True}, "It is *noon*.", {"text": "hm 2", "thought": True}, "Really.")
    env = environment(GOOGLE_GEMINI_BASE_URL=fake.url, GEMINI_LITE_HOME=str(tmp_path), PYTHONSAFEPATH="",
                      PYTHONPATH=os.pathsep.join([environment()["PYTHONPATH"], str(tmp_path)]))
    with Terminal([sys.executable, "-m", "gemini_lite", "chat", "--yes", "--thinking", "-T", "tools:now"],
                  env) as terminal:
        terminal.wait("> ")
        terminal.press("Hi\n")
        terminal.wait("Really.")
        terminal.wait("> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert rows(terminal)[1:10] == [
        "> Hi", "hm", "Let me look.", "looking", 'gemini-lite: called now() -> {"result": "noon"}', "so",
        "It is noon.", "hm 2", "Really."]


def test_ctrl_c_in_a_chat_leaves_what_had_come_standing_once(fake: FakeGemini, tmp_path: Path) -> None:
    pytest.importorskip("rich.markdown")
    event = json.dumps({"candidates": [{"content": {"parts": [{"text": "Once\n\nupon a *time*"}]}}]})
    fake.raw(f"data: {event}\r\n\r\n".encode(), b" ", delay=30, headers={"Content-Type": "text/event-stream"})
    env = environment(GOOGLE_GEMINI_BASE_URL=fake.url, GEMINI_LITE_HOME=str(tmp_path))
    with Terminal([sys.executable, "-m", "gemini_lite", "chat"], env) as terminal:
        terminal.wait("> ")
        terminal.press("Hi\n")
        terminal.wait("time")
        terminal.interrupt("cancelled: the conversation is as it was before\r\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert rows(terminal)[1:4] == ["> Hi", "Once", "upon a time"]
