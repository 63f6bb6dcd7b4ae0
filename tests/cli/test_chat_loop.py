"""The laws of the chat command: the chat goes on whatever happens, at a terminal and in a pipe."""
from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

import gemini_lite
from gemini_lite.cli import chat_loop, line_reader, saved
from gemini_lite.cli.saved import ChatFile
from gemini_lite.testing import FakeGemini, Raw, Reply, Request

try:
    from terminal import CTRL_D, Terminal
except ImportError:  # on Windows
    Terminal = None  # type: ignore[assignment, misc]
at_terminal = pytest.mark.skipif(Terminal is None, reason="needs pseudo-terminals")

CHAT = [sys.executable, "-W", "error", "-m", "gemini_lite", "chat"]
TIMEOUT = 30  # seconds


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMINI_LITE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    return tmp_path / "home"


def environment() -> Dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), "PYTHONIOENCODING": "utf-8"}


def chat(text: str, *arguments: str, cwd: Optional[Path] = None) -> "subprocess.CompletedProcess[str]":
    """The chat with `text` on its standard input, a pipe."""
    return subprocess.run([*CHAT, *arguments], input=text, env=environment(), stdout=subprocess.PIPE, cwd=cwd,
                          stderr=subprocess.PIPE, timeout=TIMEOUT, encoding="utf-8")


def texts(request: Request) -> List[str]:
    """The texts of all turns that this request sends."""
    return [part.get("text", "") for turn in request.body["contents"] for part in turn["parts"]]


# In a pipe

def test_each_line_is_a_message_and_standard_output_has_the_answers_alone(at_fake: FakeGemini) -> None:
    at_fake.reply("Hel", "lö")
    at_fake.reply("fine\n")
    done = chat("Hi\n\n  \nhow are you?")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hellö\nfine\n", "")
    assert [texts(request) for request in at_fake.requests] == [["Hi"], ["Hi", "Hellö", "how are you?"]]


def test_nothing_to_read_is_no_error(at_fake: FakeGemini) -> None:
    done = chat("")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_message_may_have_several_lines(at_fake: FakeGemini) -> None:
    at_fake.reply("a")
    at_fake.reply("b")
    assert chat("!multi\n/help\n  b\n\nc\n!end\n!multi 123\nx\n!end\n!end 123\n !multi\nunfinished").returncode == 0
    assert [texts(request)[-1] for request in at_fake.requests] == ["/help\n  b\n\nc", "x\n!end"]


@pytest.mark.parametrize("failure", [
    lambda fake: fake.error(400, "no such thing"), lambda fake: fake.reply(promptFeedback={"blockReason": "SAFETY"}),
    lambda fake: fake.reply("half", finishReason="SAFETY"), lambda fake: fake.raw(b"<html>"),
    lambda fake: fake.raw(b'data: {"candidates": [{"content": {"parts": [{"text": "half"}]}}]}\n\n', cut=True),
])
def test_an_error_is_shown_and_the_chat_goes_on_as_it_was(
        at_fake: FakeGemini, failure: Callable[[FakeGemini], None]) -> None:
    at_fake.reply("one")
    failure(at_fake)
    at_fake.reply("three")
    done = chat("1\n2\n3\n", "--save", "x")
    assert done.returncode == 1, "because one message failed"
    assert done.stdout.startswith("one\n") and done.stdout.endswith("three\n")
    assert done.stderr.startswith("gemini-lite: ") and done.stderr.count("\n") == 1
    assert texts(at_fake.requests[-1]) == ["1", "one", "3"]
    assert [turn["parts"][0]["text"] for turn in ChatFile("x").read().history] == ["1", "one", "3", "three"]


def test_an_unknown_command_is_an_error_and_not_sent(at_fake: FakeGemini) -> None:
    at_fake.reply("a")
    done = chat("/nonsense\n /etc/passwd is a path\n/\n")
    assert done.returncode == 1 and done.stderr.count("there is no command /") == 2
    assert [texts(request) for request in at_fake.requests] == [["/etc/passwd is a path"]]


def test_help_names_each_command() -> None:
    done = chat("/help\n", "--demo")
    assert done.returncode == 0 and done.stdout == ""
    for name in [*chat_loop.COMMANDS, "!multi", "!end", "Ctrl-C", "Ctrl-D"]:
        assert name in done.stderr


def test_clear_forgets_the_turns_and_keeps_the_settings(at_fake: FakeGemini) -> None:
    at_fake.reply("a")
    at_fake.reply("b")
    chat("1\n/clear\n2\n", "--save", "x", "-m", "m", "-s", "Be brief.")
    assert texts(at_fake.requests[1]) == ["2"] and at_fake.requests[1].model == "m"
    assert at_fake.requests[1].body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert len(ChatFile("x").read().history) == 2, "what was saved stays"


def test_model_and_system_prompt_change_from_the_next_message_on(at_fake: FakeGemini) -> None:
    for _ in range(3):
        at_fake.reply("a")
    done = chat("1\n/model other\n/system Be  brief.\n2\n/model\n/system\n/system -\n3\n", "-m", "first")
    assert done.returncode == 0
    assert [request.model for request in at_fake.requests] == ["first", "other", "other"]
    systems = [request.body.get("systemInstruction", {}).get("parts") for request in at_fake.requests]
    assert systems == [None, [{"text": "Be  brief."}], None]
    assert "model: other\n" in done.stderr and "system prompt: Be brief.\n" in done.stderr


def test_a_chat_is_saved_after_each_answer_once_it_has_a_name(at_fake: FakeGemini) -> None:
    for reply in "abc":
        at_fake.reply(reply)
    done = chat("/save x\n1\n/load\n2\n", "-m", "m", "-s", "S")
    assert done.returncode == 0 and "it will be saved as x" in done.stderr and "\nx\n" in done.stderr
    assert ChatFile("x").read().history[2]["parts"] == [{"text": "2"}] and ChatFile("x").read()[:2] == ("m", "S")
    assert chat("/load x\n3\n").returncode == 0
    assert texts(at_fake.requests[2]) == ["1", "a", "2", "b", "3"] and at_fake.requests[2].model == "m"
    assert at_fake.requests[2].body["systemInstruction"]["parts"] == [{"text": "S"}]
    assert len(ChatFile("x").read().history) == 6


def test_no_turn_is_lost_by_save_and_load(at_fake: FakeGemini) -> None:
    for reply in "abc":
        at_fake.reply(reply)
    chat("/save x\n1\n")
    done = chat("2\n/load x\n/save x\n/save y\n3\n/save\n/save ../z\n/load y\n/load none\n")
    assert done.returncode == 1
    notices = [line.partition(": ")[2] for line in done.stderr.splitlines()]
    assert notices[0].startswith("this conversation is not saved")
    assert notices[1].startswith("there is a conversation x already")
    assert notices[2:4] == ["saved as y", "saved as y"] and "cannot name" in notices[4]
    assert notices[5] == "y: 4 turns" and "no conversation none" in notices[6]
    assert saved.names() == ["x", "y"]
    assert texts(at_fake.requests[2]) == ["2", "b", "3"] and len(ChatFile("y").read().history) == 4


def test_a_continued_chat_is_saved_again(at_fake: FakeGemini) -> None:
    for reply in "abc":
        at_fake.reply(reply)
    chat("1\n", "--save", "x")
    assert chat("2\n", "--conversation", "x").returncode == 0
    assert chat("3\n", "--conversation", "x", "--save", "y").returncode == 0
    assert [len(ChatFile(name).read().history) for name in ("x", "y")] == [4, 6]


TOOLS = '''
def weather(city: str) -> str:
    """The weather.

    Args:
        city: Its name.
    """
    print("printed in " + city)
    return "sunny\\x1b[2J"
'''


def test_tools_run_and_their_calls_are_named(at_fake: FakeGemini, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(TOOLS)
    at_fake.reply("Let me see.", FakeGemini.call("weather", {"city": "Paris"}))
    at_fake.reply("It is sunny.")
    done = chat("/tools\nHow is Paris?\n", "--tool", "tools:weather", "--save", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "Let me see.\nIt is sunny.\n")
    assert "weather         The weather.\n" in done.stderr and "printed in Paris\n" in done.stderr
    assert 'gemini-lite: called weather(city="Paris") -> {"result": "sunny\\u001b[2J"}\n' in done.stderr
    assert len(ChatFile("x").read().history) == 4


def test_calls_that_nobody_answers_are_taken_out_of_the_history(at_fake: FakeGemini, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(TOOLS)
    at_fake.reply(FakeGemini.call("nonsense", {}))
    at_fake.reply("fine")
    done = chat("1\n2\n", "--tool", "tools:weather", "--save", "x", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "fine\n") and "nonsense" in done.stderr
    assert texts(at_fake.requests[1]) == ["2"] and len(ChatFile("x").read().history) == 2


def test_attachments_go_with_the_next_message(at_fake: FakeGemini, tmp_path: Path) -> None:
    (tmp_path / "a b.txt").write_text("hello")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    at_fake.reply("a")
    at_fake.reply("b")
    done = chat(f"/attach {tmp_path / 'a b.txt'}\n/attach nowhere\n/attach\n1\n2\n", "-a", "c.png", cwd=tmp_path)
    assert done.returncode == 1 and "nowhere cannot be read" in done.stderr and "write /attach FILE" in done.stderr
    parts = at_fake.requests[0].body["contents"][0]["parts"]
    assert [part.get("inlineData", {}).get("mimeType") for part in parts] == ["image/png", "text/plain", None]
    assert at_fake.requests[1].body["contents"][2]["parts"] == [{"text": "2"}]
    assert chat("1\n", "-a", "-").returncode == 2, "standard input has the messages"


def test_a_failed_save_is_shown_and_the_chat_goes_on(at_fake: FakeGemini, home: Path) -> None:
    for reply in "abc":
        at_fake.reply(reply)
    chat("1\n", "--save", "x")
    (home / "conversations" / ".lock").mkdir()
    done = chat("2\n3\n", "--conversation", "x")
    assert (done.returncode, done.stdout) == (1, "b\nc\n") and done.stderr.count("could not be saved") >= 2
    assert len(ChatFile("x").read().history) == 2


def stalling_replies() -> Callable[[Request], Any]:
    """Answers that come at once, but to "wait", where the first word comes and then nothing."""
    def answer(request: Request) -> Any:
        message = texts(request)[-1]
        if message != "wait":
            return Reply(f"answer to {message}")
        return Raw(b'data: {"candidates": [{"content": {"parts": [{"text": "Once upon"}]}}]}\r\n\r\n', b" ",
                   delay=TIMEOUT, headers={"Content-Type": "text/event-stream"})
    return answer


@pytest.fixture
def stalling(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGemini]:
    with FakeGemini(stalling_replies()) as fake:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        yield fake


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_chat_over_a_pipe(stalling: FakeGemini) -> None:
    with subprocess.Popen([*CHAT, "--save", "x"], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(b"1\nwait\n3\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"answer to 1\n" and child.stdout.read(9) == b"Once upon"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=TIMEOUT)
    assert (child.returncode, out.strip(), err) == (130, b"", b"") and len(stalling.requests) == 2
    assert len(ChatFile("x").read().history) == 2


# At a terminal

@contextlib.contextmanager
def chat_at_terminal(*arguments: str, **more: Any) -> Iterator[Any]:
    with Terminal([*CHAT, "--no-rich", *arguments], environment(), **more) as terminal:
        terminal.wait("> ")
        yield terminal


@at_terminal
def test_a_terminal_has_a_prompt_and_ctrl_d_leaves(at_fake: FakeGemini) -> None:
    at_fake.reply("Hello")
    with chat_at_terminal() as terminal:
        terminal.press("Hi\n")
        assert "Hello\r\n> " in terminal.wait("> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert "/help lists the commands, /save NAME keeps this, Ctrl-D leaves" in terminal.text
    assert "this conversation was not kept" in terminal.text


@at_terminal
def test_a_saved_chat_is_left_without_a_word(at_fake: FakeGemini) -> None:
    at_fake.reply("Hello")
    with chat_at_terminal("--conversation", "x") as terminal:
        terminal.press("Hi\n")
        terminal.wait("Hello\r\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert "/save" not in terminal.text and "not kept" not in terminal.text and saved.names() == ["x"]


@at_terminal
@pytest.mark.parametrize("word", ["/quit", "exit", "quit"])
def test_quit_and_exit_leave(word: str) -> None:
    with chat_at_terminal("--demo") as terminal:
        terminal.press(word + "\n")
        assert terminal.end() == 0


@at_terminal
def test_ctrl_c_cancels_the_answer_and_keeps_the_history_as_it_was(stalling: FakeGemini) -> None:
    with chat_at_terminal("--save", "x") as terminal:
        terminal.press("1\n")
        terminal.wait("answer to 1\r\n> ")
        terminal.press("wait\n")
        terminal.wait("Once upon")
        terminal.interrupt("cancelled: the conversation is as it was before\r\n> ")
        terminal.press("3\n")
        terminal.wait("answer to 3\r\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert "Traceback" not in terminal.text
    assert texts(stalling.requests[-1]) == ["1", "answer to 1", "3"] and len(ChatFile("x").read().history) == 4


@at_terminal
def test_ctrl_c_ends_the_line_of_a_wait(at_fake: FakeGemini) -> None:
    at_fake.error(503, "busy", headers={"Retry-After": "20"})
    with chat_at_terminal() as terminal:
        terminal.press("1\n")
        terminal.wait("waiting 2")
        terminal.interrupt("cancelled: the conversation is as it was before\r\n> ")
        with pytest.raises(subprocess.TimeoutExpired):
            terminal.process.wait(1.5)
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert "waiting" not in terminal.seen.partition("cancelled")[2]


@at_terminal
def test_an_interrupt_between_answer_and_file_loses_nothing(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, because the moment is short."""
    from gemini_lite import files_on_disk
    from gemini_lite.cli import main
    at_fake.reply("a")
    written: List[Any] = []
    write = files_on_disk.write

    def interrupted(*args: Any) -> None:
        written.append(args)
        if len(written) == 1:
            raise KeyboardInterrupt
        write(*args)

    lines = iter(["1"])
    monkeypatch.setattr(files_on_disk, "write", interrupted)
    monkeypatch.setattr(line_reader.LineReader, "read",
                        lambda self, prompt: next(lines, None) or self._read_unedited(prompt))
    monkeypatch.setattr(sys, "stdin", open(os.devnull))
    monkeypatch.setattr(line_reader, "stdin_is_piped", lambda: False)
    assert main.main(["chat", "--save", "x"]) == 0
    sys.stdin.close()
    assert len(written) == 2 and len(ChatFile("x").read().history) == 2


@at_terminal
def test_control_characters_of_the_model_do_not_reach_the_terminal(at_fake: FakeGemini) -> None:
    at_fake.reply("a\x1b]0;title\x07b\x9b2Jc", "\x1b", "[31m\tü\r\nd\re")
    at_fake.error(400, "bad \x1b[31m news")
    with chat_at_terminal() as terminal:
        terminal.press("1\n")
        terminal.wait("e\r\n> ")
        terminal.press("2\n")
        terminal.wait("news\r\n> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert "a\\x1b]0;title\\x07b\\x9b2Jc\\x1b[31m\tü\r\nde\r\n" in terminal.seen.replace("       ", "\t")
    assert "\x1b[31m" not in terminal.seen and "\x07" not in terminal.seen and "bad \\x1b[31m news" in terminal.seen


@at_terminal
def test_thoughts_are_dimmed_on_standard_error_and_never_in_the_answer(at_fake: FakeGemini, tmp_path: Path) -> None:
    at_fake.reply({"text": "hm", "thought": True}, "Hello")
    with open(tmp_path / "out", "wb") as out, chat_at_terminal("--thinking", out=out) as terminal:
        terminal.press("1\n")
        terminal.wait("\x1b[2mhm\x1b[0m")
        terminal.wait("> ")
        terminal.press(CTRL_D)
        assert terminal.end() == 0
    assert (tmp_path / "out").read_bytes() == b"Hello\n"
    assert at_fake.requests[0].body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True}


@at_terminal
def test_a_terminal_that_goes_away_ends_the_chat(at_fake: FakeGemini) -> None:
    at_fake.reply("a")
    with chat_at_terminal("--save", "x") as terminal:
        terminal.press("1\n")
        terminal.wait("a\r\n> ")
    assert terminal.process.returncode is not None and len(ChatFile("x").read().history) == 2
