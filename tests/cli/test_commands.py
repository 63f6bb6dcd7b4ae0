"""Which command is meant, and what the options of a prompt do."""
from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, List

import pytest
from cli.commands import environment, pipe_stdin, prompt_of, run

from gemini_lite.cli import arguments, functions, saved
from gemini_lite.cli.completion import command_options, completion_script
from gemini_lite.cli.inputs import parse_short_schema
from gemini_lite.display.waits import WaitHandler
from gemini_lite.testing import FakeGemini

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.mark.parametrize("argv, command, model, words", [
    (["-m", "X", "chat"], "chat", "X", None), (["chat", "-m", "X"], "chat", "X", None),
    (["--no-rich", "chat"], "chat", None, None), (["-m", "chat", "chat"], "chat", "chat", None),
    (["-m", "chat", "Hi"], "prompt", "chat", ["Hi"]), (["--model=chat", "Hi"], "prompt", "chat", ["Hi"]),
    (["-mX", "count", "Hi"], "count", "X", ["Hi"]), (["--at", "models", "a/b", "Hi"], "prompt", None, ["Hi"]),
    (["--demo", "-m", "X", "chat"], "chat", "X", None), (["Hi", "-m", "X", "there"], "prompt", "X", ["Hi", "there"]),
    (["prompt", "chat"], "prompt", None, ["chat"]), (["--", "chat"], "prompt", None, ["chat"]),
    (["-m", "X", "--", "chat", "-m"], "prompt", "X", ["chat", "-m"]), (["Hi", "chat"], "prompt", None, ["Hi", "chat"]),
    (["-a", "x", "-", "chat"], "prompt", None, ["-", "chat"]), (["-f", "json", "models"], "models", None, None),
    (["-c", "chat"], "chat", None, None), (["-a", "x", "chat", "-a", "y"], "chat", None, None),
    ([], "prompt", None, []),
])
def test_options_stand_before_or_after_the_command(argv: List[str], command: str, model: Any, words: Any) -> None:
    parsed = arguments.parse_arguments(argv)[1]
    assert (parsed.command, getattr(parsed, "model", None)) == (command, model)
    assert getattr(parsed, "words", None) == words
    if argv[:1] == ["-a"] and argv[-1] == "y":
        assert parsed.attach == ["x", "y"]


@pytest.mark.parametrize("argv, notice", [
    (["model"], "a command named models"), (["conversation", "list"], "a command named conversations"),
    (["count", "the", "stars"], "gemini-lite prompt count"),
])
def test_what_might_have_been_meant_otherwise_is_said(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str], argv: List[str], notice: str) -> None:
    at_fake.reply("a")
    at_fake.answer("countTokens", {"totalTokens": 1})
    assert run(*argv) == 0
    assert notice in capsys.readouterr().err
    run("count", "x") if argv[0] != "count" else run("x")  # what the other form of the answer is for


def test_continue_goes_on_with_the_conversation_that_was_saved_last(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    for reply in "abcde":
        at_fake.reply(reply)
    assert run("--conversation", "one", "1") == run("--conversation", "two", "2") == 0
    assert run("-c", "3") == 0 and "goes on with two: 2 turns\n" in capsys.readouterr().err
    assert run("--conversation", "one", "4") == run("5", "--continue") == 0
    assert len(saved.ChatFile("one").read().history) == 6 and len(saved.ChatFile("two").read().history) == 4


def test_the_old_form_of_continue_is_not_sent(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    fake.reply("a")
    assert run("--conversation", "trip", "1") == 0
    assert run("--continue", "trip", "And?") == 2
    assert "--conversation trip" in capsys.readouterr().err and len(fake.requests) == 1


def test_conversations_are_listed_shown_searched_exported_and_deleted(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert run("conversations") == 0
    assert "none is saved" in capsys.readouterr().err
    for reply in ("Take an Umbrella.", "b"):
        at_fake.reply({"text": "hidden thought", "thought": True}, reply)
    assert run("--conversation", "trip", "Rome?", "-s", "S") == run("--conversation", "other", "x") == 0
    capsys.readouterr()
    assert run("conversations") == run("conversations", "list", "-f", "json") == 0
    out = capsys.readouterr().out
    assert "trip" in out and json.loads(out[out.index("["):])[1]["turns"] == 2
    assert run("conversations", "show", "trip") == 0
    assert capsys.readouterr().out == "system: S\n\nuser: Rome?\n\nmodel: Take an Umbrella.\n\n"
    assert (run("conversations", "search", "umbrella"), run("conversations", "search", "nowhere")) == (0, 1)
    assert capsys.readouterr().out == "trip:2: Take an Umbrella.\n"
    assert run("conversations", "export", "trip", "-o", str(tmp_path / "trip.md")) == 0
    assert (tmp_path / "trip.md").read_text().startswith("## system\n\nS\n\n## user\n\nRome?\n\n## model")
    assert run("conversations", "export", "trip", "-f", "json") == 0
    assert json.loads(capsys.readouterr().out)["history"][0]["role"] == "user"
    assert run("conversations", "delete", "trip") == 2, "nobody can be asked"
    assert run("conversations", "delete", "trip", "other", "--yes") == 0 and saved.names() == []
    assert run("conversations", "show", "trip") == run("conversations", "show") == 2
    assert run("conversations", "show", "../x") == 2


def test_a_damaged_conversation_hides_no_other(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a")
    assert run("--conversation", "trip", "Rome?") == 0
    for name in ("broken", "~no name"):
        (saved.folder() / f"{name}.json").write_text("{")
    capsys.readouterr()
    assert run("conversations") == run("conversations", "search", "rome") == 0
    out, err = capsys.readouterr()
    assert out.count("Rome?") == 2 and err.count("broken.json is damaged") == 2 and "no name" not in err


def test_settings_are_fields_of_the_options(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a")
    assert run("--set", "top_p=0.5", "--set", 'stop-sequences=["x"]', "--set", "system_prompt=7", "--set", "seed=3",
               "Hi") == 0
    config = at_fake.requests[0].body["generationConfig"]
    assert config == {"topP": 0.5, "stopSequences": ["x"], "seed": 3}
    assert at_fake.requests[0].body["systemInstruction"]["parts"] == [{"text": "7"}]
    for wrong in ("top_p", "=1", "top_q=1", "top_p=high", "temperature=[1]"):
        assert run("--set", wrong, "Hi") == 2
    assert "top_p" in capsys.readouterr().err and len(at_fake.requests) == 1


def test_search_is_sent_and_its_sources_are_named(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a", groundingMetadata={"groundingChunks": [{"web": {"title": "A", "uri": "https://a"}}]})
    assert run("--search", "Hi") == 0
    assert at_fake.requests[0].body["tools"] == [{"googleSearch": {}}]
    assert "source: A https://a" in capsys.readouterr().err


@pytest.mark.parametrize("text, properties", [
    ("name, age int", {"name": {"type": "string"}, "age": {"type": "integer"}}),
    ("tags list, on bool,x float", {"tags": {"type": "array", "items": {"type": "string"}}, "on": {"type": "boolean"},
                                    "x": {"type": "number"}}),
    ("n list[int]", {"n": {"type": "array", "items": {"type": "integer"}}}),
])
def test_a_schema_has_a_short_form(at_fake: FakeGemini, text: str, properties: Any) -> None:
    assert parse_short_schema(text)["properties"] == properties
    at_fake.reply("{}")
    run("--schema", text, "Hi")
    sent = at_fake.requests[0].body["generationConfig"]["responseJsonSchema"]
    assert sent["properties"] == properties and sent["required"] == list(properties)


@pytest.mark.parametrize("text", ["name, age integer", "a b c", "1x, y", ",", "a,,b", "{broken", "[1, 2]"])
def test_what_is_no_schema_is_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert run("--schema", text, "Hi") == 2
    assert "the schema" in capsys.readouterr().err


SOURCE = """
from os.path import join
import math
def weather(city: str) -> str:
    "The weather."
    return f"sunny in {city}"
def _hidden(): "x"
class Thing: pass
number = 1
"""


def test_the_functions_of_a_file_are_those_that_it_defines(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(SOURCE)
    assert [f.__name__ for f in functions.load_functions([str(tmp_path / "tools.py")])] == ["weather"]
    (tmp_path / "tools.py").write_text(SOURCE + "__all__ = ['_hidden', 'join']\n")
    assert [f.__name__ for f in functions.load_functions([str(tmp_path / "tools.py")])] == ["_hidden", "join"]
    for text, complaint in (("__all__ = ['x']", "no function x"), ("x = 1", "defines no function"),
                            ("1 / 0", "ZeroDivisionError"), ("import sys; sys.exit(0)", "SystemExit")):
        (tmp_path / "tools.py").write_text(text)
        with pytest.raises(ValueError, match=complaint):
            functions.load_functions([str(tmp_path / "tools.py")])
    for path in ("nowhere.py", str(tmp_path)):
        with pytest.raises(ValueError, match="no file"):
            functions.load_functions([path])


@pytest.mark.parametrize("pressed, answer", [("y", "sunny"), ("n", "did not allow"), ("", "did not allow")])
@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_function_is_asked_about_at_a_terminal(fake: FakeGemini, tmp_path: Path, pressed: str, answer: str) -> None:
    from terminal import Terminal
    (tmp_path / "tools.py").write_text(SOURCE)
    fake.reply(FakeGemini.call("weather", {"city": "Pa\x1b[2Jris" + "s" * 999}))
    fake.reply("Done.")
    env = environment(GOOGLE_GEMINI_BASE_URL=fake.url, GEMINI_LITE_HOME=str(tmp_path))
    with Terminal([sys.executable, "-m", "gemini_lite", "Hi", "--functions", str(tmp_path / "tools.py")],
                  env) as terminal:
        question = terminal.wait("[y/N]")
        assert "run weather(city=" in question and "\x1b[2J" not in question and len(question) < 1000
        terminal.press(f"{pressed}\n")
        terminal.wait("Done.")
        assert terminal.end() == 0
    assert answer in json.dumps(fake.requests[1].body["contents"][-1])


def test_functions_run_without_asking_where_no_terminal_is(
        at_fake: FakeGemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tools.py").write_text(SOURCE)
    pipe_stdin(monkeypatch, b"")
    at_fake.reply(FakeGemini.call("weather", {"city": "Paris"}))
    at_fake.reply("Done.")
    assert run("Hi", "--functions", str(tmp_path / "tools.py")) == 0
    assert "sunny in Paris" in capsys.readouterr().err and prompt_of(at_fake.requests[0]) == ["Hi"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_completion_script_names_all_options_and_is_read_by_its_shell(shell: str) -> None:
    script = completion_script(shell)
    for name, options in command_options().items():
        assert name in script and all(option in script for option in options)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.encode(), check=True, timeout=10)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("words, expected", [
    (["gemini-lite", "mod"], "models"), (["gemini-lite", "models", "--f"], "--format"),
    (["gemini-lite", "-m", "x", "--ext"], "--extract"),
])
def test_bash_completes(words: List[str], expected: str) -> None:
    line = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _gemini_lite; echo \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "-c", f"{completion_script('bash')}\n{line}"], stdout=subprocess.PIPE, timeout=10)
    assert done.stdout.decode().split() == [expected]


def test_a_wait_is_counted_down_and_cleared() -> None:
    shown: List[Any] = []
    handler = WaitHandler(lambda reason, left: shown.append((reason, round(left))), lambda: shown.append("clear"))
    logger = logging.getLogger("test_waits")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.info("waiting %.2f s before try %d: %s", 1.2, 2, 503)
    logger.info("something else %s", 5)
    logger.info(ValueError("not a text"))
    end = time.monotonic() + 10
    while "clear" not in shown and time.monotonic() < end:
        time.sleep(0.01)
    assert shown == [("try 2: 503", 1), ("try 2: 503", 0), "clear"]
    logger.info("waiting %.2f s before try %d: %s", 0.3, 3, 503)
    assert len(shown) == 3, "too short to be read"
    logger.info("waiting %.2f s before try %d: %s", 50.0, 4, 503)
    handler.close()  # Ctrl-C
    assert shown[-1] == "clear"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("columns", [80, 20])
def test_a_wait_is_seen_at_a_terminal_and_nowhere_else(fake: FakeGemini, columns: int) -> None:
    from terminal import Terminal
    for _ in range(2):
        fake.error(503, "busy", headers={"Retry-After": "1"})
        fake.reply("Done.")
    env = environment(GOOGLE_GEMINI_BASE_URL=fake.url)
    with Terminal([sys.executable, "-m", "gemini_lite", "Hi"], env, size=(24, columns)) as terminal:
        shown = terminal.wait("waiting ") + terminal.wait("     \r")
        terminal.wait("Done.")
    assert max(map(len, shown.split("\r"))) < columns, shown
    done = subprocess.run([sys.executable, "-m", "gemini_lite", "Hi"], env=env, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_ctrl_d_answers_a_question_with_no_and_ends_its_line(at_fake: FakeGemini) -> None:
    from terminal import CTRL_D, Terminal
    at_fake.reply("a")
    assert run("--conversation", "trip", "Rome?") == 0
    with Terminal([sys.executable, "-m", "gemini_lite", "conversations", "delete", "trip"], environment()) as terminal:
        terminal.wait("[y/N] ")
        terminal.press(CTRL_D)
        assert terminal.end() == 1
    assert terminal.text.endswith("delete trip? [y/N] \n") and saved.names() == ["trip"]


def test_conversations_with_the_demo_are_kept_apart(at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemini_lite.demo.DELAY", 0)
    at_fake.reply("Rome it is.")
    assert run("--conversation", "trip", "Where to?") == 0
    assert run("--demo", "-c", "And then?") == 2  # there is none with the demo
    assert run("--demo", "--conversation", "trial", "Hi") == run("--demo", "-c", "And then?") == 0
    assert saved.names() == ["trip"] and len(saved.ChatFile("trip").read().history) == 2
    with saved.with_demo(True):
        assert saved.names() == ["trial"]
    monkeypatch.setenv("GEMINI_API_KEY", "demo")  # as `python -m gemini_lite.demo` has it
    assert saved.names() == ["trial"]


def test_a_name_that_ends_in_json_gets_json(at_fake: FakeGemini, tmp_path: Path) -> None:
    at_fake.reply("Rome it is.")
    out = tmp_path / "trip.json"
    assert run("--conversation", "trip", "Where to?") == 0
    assert run("conversations", "export", "trip", "-o", str(out)) == 0
    assert json.loads(out.read_text())["name"] == "trip"
    at_fake.reply("Plain.")
    assert run("Hi", "-o", str(out)) == 0 and out.read_text() == "Plain.\n"


@pytest.mark.parametrize("argv, hint", [
    (["Hi", "--max-tokens", "9"], "did you mean --set max_output_tokens=VALUE?"),
    (["Hi", "--top-p=0.9"], "did you mean --set top_p=VALUE?"),
    (["Hi", "--temp", "0"], "did you mean --temperature?"),
    (["models", "--formats", "json"], "did you mean --format?"),
    (["Hi", "--set", "stop_sequences=END"], """--set stop_sequences='["END"]'"""),
    (["Hi", "-T", "tools2.py:rain"], "write --tool tools2:rain, or --functions tools2.py"),
])
def test_what_was_meant_is_said(
        fake: FakeGemini, capsys: pytest.CaptureFixture[str], argv: Any, hint: str) -> None:
    assert run(*argv) == 2
    assert hint in capsys.readouterr().err and fake.requests == []


@pytest.mark.parametrize("argv, usage", [
    (["help"], "gemini-lite [COMMAND]"), (["help", "map"], "gemini-lite map"),
    (["help", "prompt"], "gemini-lite [-h]"),
])
def test_help_is_no_prompt(fake: FakeGemini, capsys: pytest.CaptureFixture[str], argv: Any, usage: str) -> None:
    assert run(*argv) == 0
    assert f"usage: {usage}" in capsys.readouterr().out and fake.requests == []


def test_help_with_more_words_is_a_prompt(at_fake: FakeGemini) -> None:
    at_fake.reply("a")
    assert run("help", "me") == 0 and prompt_of(at_fake.requests[0]) == ["help me"]
