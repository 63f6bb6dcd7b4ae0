"""The laws of the command line: a prompt in, an answer out, one line for what went wrong, and an exit code."""
from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

import gemini_lite
from gemini_lite.cli import saved
from gemini_lite.cli.main import main
from gemini_lite.testing import FakeGemini, Raw, Reply, Request

SOON = 10  # seconds after which a test gives up waiting for another process
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes and signals")


@pytest.fixture(autouse=True)
def signed_in(clean_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    monkeypatch.setenv("GEMINI_LITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "stdin", None)  # as of a program that was started without one


@pytest.fixture
def at_fake(fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> FakeGemini:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    return fake


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


def piped(monkeypatch: pytest.MonkeyPatch, data: Optional[bytes]) -> None:
    monkeypatch.setattr(sys, "stdin", StandardInput(data))


def run(*arguments: str) -> int:
    """The exit code of the command, whichever way it ends."""
    try:
        return main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)


def prompt_of(request: Request) -> Any:
    return [part["text"] for part in request.body["contents"][0]["parts"]]


# In this process

def test_the_answer_goes_to_stdout_and_ends_its_line(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("Hel", "lo")
    assert run("Say", "hello") == 0
    assert capsys.readouterr() == ("Hello\n", "")
    request = at_fake.requests[0]
    assert prompt_of(request) == ["Say hello"] and request.streamed
    assert request.body == {"contents": request.body["contents"]}, "nothing is sent that nobody asked for"


@pytest.mark.parametrize("flags", [[], ["--no-stream"]])
@pytest.mark.parametrize("text", ["a\n", "a\n\nb\n", "a"])
def test_an_answer_has_one_line_end_at_its_end(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str], flags: List[str], text: str) -> None:
    at_fake.reply(text)
    assert run("Hi", *flags) == 0
    assert capsys.readouterr().out.rstrip("\n") == text.rstrip("\n")
    at_fake.reply("a\n", {"text": "", "thoughtSignature": "MQ=="})
    assert run("Hi") == 0
    assert capsys.readouterr().out == "a\n"


def test_no_stream_waits_for_the_whole_answer(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("Hel", "lo")
    assert run("--no-stream", "Hi") == 0
    assert capsys.readouterr() == ("Hello\n", "")
    assert not at_fake.requests[0].streamed


@pytest.mark.parametrize("flags", [["--json"], ["--json", "--no-stream"]])
def test_json_prints_the_dict_of_the_response(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str], flags: List[str]) -> None:
    at_fake.reply("wörld \u2028", {"text": "hm", "thought": True})
    assert run("Hi", *flags) == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert err == "" and data["candidates"][0]["content"]["parts"][0] == {"text": "wörld \u2028"}
    assert data["candidates"][0]["finishReason"] == "STOP" and data["responseId"] == "fake-response-1"


@pytest.mark.parametrize("flags", [
    ["--model", "models/m", "--system", "Be brief.", "--temperature", "0.5"],
    ["-m", "m", "-s", "Be brief.", "-t", "0.5"]])
@pytest.mark.parametrize("more", [[], ["--json"], ["--no-stream"]])
def test_model_system_and_temperature_reach_the_request(
        at_fake: FakeGemini, flags: List[str], more: List[str], capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a")
    assert run(*flags, *more, "Hi") == 0
    request = at_fake.requests[0]
    assert request.model == "m" and request.body["generationConfig"] == {"temperature": 0.5}
    assert request.body["systemInstruction"]["parts"] == [{"text": "Be brief."}]


def test_the_model_of_the_environment_is_used(at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_MODEL", "from-env")
    at_fake.reply("a")
    at_fake.reply("a")
    assert run("Hi") == run("Hi", "--model", "from-flag") == 0
    assert [request.model for request in at_fake.requests] == ["from-env", "from-flag"]


@pytest.mark.parametrize("data, words, prompt", [
    (b"error: 42\n", ["why?"], "error: 42\n\nwhy?"), (b"error: 42\n", [], "error: 42"), (b"", ["why?"], "why?"),
    (b" \n\n", ["why?"], "why?"), (None, ["why?"], "why?"), ("wörld 😀".encode(), [], "wörld 😀"),
    (b"caf\xe9", ["why?"], "caf\ufffd\n\nwhy?"), (b"a\r\nb", [], "a\r\nb"), (b"-x", ["--", "-y"], "-x\n\n-y"),
])
def test_standard_input_goes_before_the_words_and_an_empty_one_is_none(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, data: Optional[bytes], words: List[str],
        prompt: str) -> None:
    piped(monkeypatch, data)
    at_fake.reply("a")
    assert run(*words) == 0
    assert prompt_of(at_fake.requests[0]) == [prompt]


@pytest.mark.parametrize("data", [None, b"", b"\n \n"])
@pytest.mark.parametrize("words", [[], [""], [" "]])
def test_no_prompt_at_all_is_wrong_usage(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Optional[bytes],
        words: List[str]) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    piped(monkeypatch, data)
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and "prompt" in err and fake.requests == []


@pytest.mark.parametrize("arguments", [
    ["--nonsense", "Hi"], ["--temperature", "hot", "Hi"], ["--model"], ["--model", " ", "Hi"],
    ["--temperature", "nan", "Hi"], ["half a pair \udcff"],
])
def test_wrong_usage_is_code_2_and_no_request(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        arguments: List[str]) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("gemini-lite: ") and fake.requests == []


def test_version_prints_the_package_s_version_and_needs_no_credentials(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    assert run("--version") == 0
    assert capsys.readouterr().out == f"gemini-lite {gemini_lite.__version__}\n"


def test_help_names_the_options_the_key_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    out = capsys.readouterr().out
    for word in ("--model", "--system", "--temperature", "--json", "--no-stream", "--demo", "--version",
                 "GEMINI_API_KEY", "GEMINI_MODEL", "130"):
        assert word in out


@pytest.mark.parametrize("flags", [[], ["--json"], ["--no-stream"]])
@pytest.mark.parametrize("failure", [
    lambda fake: fake.error(400, "API key not valid.\nPlease pass a valid API key."),
    lambda fake: fake.error(404, "no such model"),
    lambda fake: fake.raw(b"<html>\n<title>x</title>", headers={"Content-Type": "text/html"}),
    lambda fake: fake.reply("x", finishReason="SAFETY"),
    lambda fake: fake.reply(promptFeedback={"blockReason": "SAFETY"}),
], ids=["400", "404", "HTML", "blocked answer", "blocked prompt"])
def test_a_failed_call_is_one_line_on_stderr_and_code_1(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str], failure: Any, flags: List[str]) -> None:
    failure(at_fake)
    assert run("Hi", *flags) == 1
    err = capsys.readouterr().err
    assert err.startswith("gemini-lite: ") and err.count("\n") == 1 and err.endswith("\n")
    assert "test-key" not in err and "Traceback" not in err


def test_what_came_before_a_cut_is_printed_and_the_error_is_on_stderr(
        at_fake: FakeGemini, capfd: pytest.CaptureFixture[str]) -> None:
    at_fake.raw(b'data: {"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}\n\n', cut=True)
    assert run("Hi") == 1
    out, err = capfd.readouterr()
    assert out.rstrip("\n") == "Hel" and err.startswith("gemini-lite: ") and err.count("\n") == 1


@pytest.mark.parametrize("words", [["Hi"], []])
def test_nobody_signed_in_is_one_line_and_code_1(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: List[str]) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    piped(monkeypatch, None)
    assert run(*words) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("gemini-lite: ") and err.count("\n") == 1
    assert "GEMINI_API_KEY" in err and "--demo" in err


@pytest.mark.parametrize("reply, expected", [
    (Reply("fort", finishReason="MAX_TOKENS"), "MAX_TOKENS"), (Reply({"text": "hm", "thought": True}), ""),
    (Reply(), "empty"),
])
@pytest.mark.parametrize("flags", [[], ["--json"], ["--no-stream"]])
def test_notices_go_to_stderr_and_the_code_stays_0(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, reply: Reply, expected: str,
        flags: List[str]) -> None:
    with FakeGemini(lambda request: reply) as fake:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        assert run("Hi", *flags) == 0
    out, err = capsys.readouterr()
    assert expected in err and err.count("\n") <= 1 and "gemini-lite:" not in out
    if "--json" in flags:
        json.loads(out)


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["--json"]])
def test_demo_needs_no_account_and_says_that_no_model_is_behind_it(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: List[str]) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
    assert run("--demo", *flags, "Hello", "there") == 0
    out, err = capsys.readouterr()
    assert "Hello there" in out and "not a model" in out
    assert "no model" in err and err.count("\n") == 1
    if "--json" in flags:
        assert json.loads(out)["candidates"]


@pytest.mark.parametrize("prompt", ["100% of %s and %d", "{braces}", "\\1 \\g<0>", "x" * 1000])
def test_demo_repeats_any_prompt(capsys: pytest.CaptureFixture[str], prompt: str) -> None:
    assert run("--demo", "--no-stream", prompt) == 0
    assert prompt[:200] in capsys.readouterr().out


def test_main_leaves_no_connection_behind(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a")
    assert run("Hi") == 0
    end = time.monotonic() + SOON
    while any(thread.is_alive() for _, thread in at_fake._open) and time.monotonic() < end:
        time.sleep(0.005)
    assert not any(thread.is_alive() for _, thread in at_fake._open)


def test_standard_output_may_be_any_text_stream(at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    at_fake.reply("ü")
    assert run("Hi") == 0 and out.getvalue() == "ü\n"


# Words and flags

@pytest.mark.parametrize("arguments", [
    ["--", "models"], ["prompt", "models"], ["prompt", "--", "models"], ["-m", "m", "models"], ["--", "models", "-m"]])
def test_a_prompt_may_be_the_word_of_a_command(at_fake: FakeGemini, arguments: List[str]) -> None:
    at_fake.reply("a")
    assert run(*arguments) == 0
    assert prompt_of(at_fake.requests[0])[0].startswith("models") and at_fake.requests[0].kind == "generate"


@pytest.mark.parametrize("arguments, hint", [
    (["models", "of", "the", "world"], "gemini-lite prompt"), (["chat", "with", "me"], "gemini-lite prompt"),
    (["models", "--tool", "x:y"], "gemini-lite prompt"), (["count", "--schema", "x", "Hi"], "--schema"),
    (["doctor", "-o", "json"], "gemini-lite prompt"), (["Hi", "-o", "yaml"], "jsonl"),
    (["models", "-o", "jsonl"], "json"),
    (["Hi", "--temp", "0"], "--temp"), (["Hi", "--at", "x"], "--at"),
])
def test_what_a_command_does_not_take_is_code_2_with_a_hint(
        fake: FakeGemini, capsys: pytest.CaptureFixture[str], arguments: List[str], hint: str) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("gemini-lite") and hint in err and fake.requests == []


PNG = b"\x89PNG\r\n\x1a\n"


def parts_of(request: Request) -> Any:
    """(MIME type, bytes) of files, the texts as they are, and the URIs of files."""
    return [(part["inlineData"]["mimeType"], base64.b64decode(part["inlineData"]["data"])) if "inlineData" in part
            else part.get("text") or part["fileData"]["fileUri"] for part in request.body["contents"][0]["parts"]]


@pytest.mark.parametrize("flags, expected", [
    (["-a", "a.png"], [("image/png", b"x")]),
    (["-a", "b", "--attach", "a.png"], [("image/png", PNG), ("image/png", b"x")]),
    (["-a", "Makefile"], [("text/plain", "ü:".encode())]), (["--at", "c", "audio/x-y"], [("audio/x-y", b"\0\1")]),
    (["--at", "a.png", "image/webp", "-a", "b"], [("image/webp", b"x"), ("image/png", PNG)]),
    (["-a", "https://youtu.be/x"], ["https://youtu.be/x"]), (["-a", "gs://b/a.pdf"], ["gs://b/a.pdf"]),
])
@pytest.mark.parametrize("words", [["Look"], []])
def test_attachments_go_before_the_words_in_their_order(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: List[str], expected: List[Any],
        words: List[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name, data in {"a.png": b"x", "b": PNG, "Makefile": "ü:".encode(), "c": b"\0\1"}.items():
        (tmp_path / name).write_bytes(data)
    at_fake.reply("a")
    assert run(*flags, *words) == 0
    assert parts_of(at_fake.requests[0]) == [*expected, *words]


@pytest.mark.parametrize("flags, expected", [
    (["-a", "-"], ("image/png", PNG)), (["--at", "-", "a/b"], ("a/b", PNG))])
def test_an_attachment_may_come_on_standard_input(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, flags: List[str], expected: Any) -> None:
    piped(monkeypatch, PNG)
    at_fake.reply("a")
    assert run(*flags, "Look") == 0
    assert parts_of(at_fake.requests[0]) == [expected, "Look"]


@pytest.mark.parametrize("flags, data, expected", [
    (["-a", "nowhere.png"], b"", "nowhere.png cannot be read: No such file"), (["-a", "."], b"", ". cannot be read: "),
    (["-a", "empty.png"], b"", "empty.png is empty"), (["-a", "odd"], b"", "--at odd TYPE/SUBTYPE"),
    (["-a", "odd.tar.gz"], b"", "--at odd.tar.gz"), (["--at", "odd", "png"], b"", "no MIME type"),
    (["-a", "-"], None, "terminal"), (["-a", "-", "-a", "-"], b"x", "once"),
    (["-a", "-", "--schema", "-"], b"{}", "once"), (["-a", ""], b"", "cannot be read"),
    (["-a", "a\0b"], b"", "cannot be read"), (["--schema", "nowhere"], b"", "nowhere"),
    (["--schema", "bad.json"], b"", "is no JSON: "), (["--schema", "odd"], b"", "is no JSON: "),
    (["--schema", "-"], b"[1]", "an object"), (["--schema", "-"], b"[" * 100000, "is no JSON: "),
    (["--tool", "tools"], b"", "module:function"), (["--tool", ":x"], b"", "module:function"),
    (["--tool", "nowhere:x"], b"", "nowhere"), (["--tool", "tools:nowhere"], b"", "nowhere"),
    (["--tool", "tools:text"], b"", "function"), (["--tool", "broken:x"], b"", "ZeroDivisionError"),
    (["--tool", "tools:good", "--tool", "tools:good"], b"", "two tools are named good"),
    (["--save", "../x"], b"", "cannot name"), (["--continue", "/x"], b"", "cannot name"),
    (["--continue", "nobody"], b"", "no conversation nobody"),
])
def test_bad_files_tools_and_names_are_code_2_and_no_request(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        flags: List[str], data: Optional[bytes], expected: str) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "tools", raising=False)
    for name, content in {"empty.png": b"", "odd": b"\0\xff", "odd.tar.gz": b"\x1f\x8b\0", "bad.json": b"{",
                          "tools.py": b"text = 'x'\ndef good(): 'x'\n", "broken.py": b"1 / 0\n"}.items():
        (tmp_path / name).write_bytes(content)
    piped(monkeypatch, data)
    assert run("Hi", *flags) == 2
    out, err = capsys.readouterr()
    assert out == "" and expected in err and err.count("\n") == 1 and err.startswith("gemini-lite: ")
    assert fake.requests == []


def test_a_schema_is_sent_and_the_answer_is_its_json(
        at_fake: FakeGemini, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    (tmp_path / "s.json").write_text(json.dumps(schema))
    at_fake.reply('{"name":', ' "Ada"}')
    assert run("--schema", str(tmp_path / "s.json"), "Who?") == 0
    assert capsys.readouterr() == ('{"name": "Ada"}\n', "")
    config = at_fake.requests[0].body["generationConfig"]
    assert config == {"responseJsonSchema": schema, "responseMimeType": "application/json"}
    at_fake.reply('{"name": "A', finishReason="MAX_TOKENS")
    assert run("--schema", str(tmp_path / "s.json"), "Who?", "--save", "x") == 1
    out, err = capsys.readouterr()
    assert out == '{"name": "A\n' and "does not fit its schema" in err and not saved.names()


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["-o", "json"], ["-o", "jsonl"]])
def test_tools_run_and_their_calls_are_named_on_standard_error(
        at_fake: FakeGemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        flags: List[str]) -> None:
    (tmp_path / "toolbox_of_mine.py").write_text(
        "print('imported')\nclass Box:\n    @staticmethod\n    def add(a: int, b: int) -> int:\n"
        "        'Add.'\n        print('adding')\n        return a + b\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    at_fake.reply(FakeGemini.call("add", {"a": 2, "b": 3}))
    at_fake.reply("It is 5.")
    assert run("-T", "toolbox_of_mine:Box.add", *flags, "2+3?") == 0
    sys.modules.pop("toolbox_of_mine")
    out, err = capsys.readouterr()
    assert err.splitlines()[0] == "imported" and "adding" not in out
    if flags in ([], ["--no-stream"]):
        assert out == "It is 5.\n" and "gemini-lite: called add(a=2, b=3)" in err
    elif flags[1] == "json":
        assert json.loads(out)["candidates"][0]["content"]["parts"] == [{"text": "It is 5."}]
    else:
        assert json.loads(out.splitlines()[1]) == {
            "functionResponses": [{"name": "add", "response": {"result": 5}, "id": None}]}


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["-o", "json"], ["-o", "jsonl"]])
def test_calls_that_were_not_run_are_code_1(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str], flags: List[str]) -> None:
    at_fake.reply(FakeGemini.call("nonsense", {}))
    assert run("Hi", *flags, "--save", "x") == 1
    assert "nonsense" in capsys.readouterr().err and not saved.names()


@pytest.mark.parametrize("flags", [[], ["--no-stream"]])
def test_thoughts_are_shown_on_standard_error_if_they_are_wanted(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str], flags: List[str]) -> None:
    for _ in range(2):
        at_fake.reply({"text": "hm ", "thought": True}, {"text": "so", "thought": True}, "Hello")
    assert run("Hi", "--thinking", *flags) == 0
    assert capsys.readouterr() == ("Hello\n", "hm so\n\n")
    assert at_fake.requests[0].body["generationConfig"] == {"thinkingConfig": {"includeThoughts": True}}
    assert run("Hi", *flags) == 0
    assert capsys.readouterr() == ("Hello\n", "") and "generationConfig" not in at_fake.requests[1].body


def test_jsonl_is_a_line_for_each_event(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("wörld\u2028", {"text": "hm", "thought": True}, "b\nc")
    assert run("Hi", "-o", "jsonl", "--thinking") == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.rstrip("\n").split("\n")]
    assert [event["candidates"][0]["content"]["parts"][0]["text"] for event in events] == ["wörld\u2028", "hm", "b\nc"]
    assert err == "" and events[-1]["candidates"][0]["finishReason"] == "STOP"
    at_fake.reply("a", "b")
    assert run("Hi", "-o", "jsonl", "--no-stream") == 0
    assert json.loads(capsys.readouterr().out)["candidates"][0]["content"]["parts"] == [{"text": "ab"}]


def test_files_in_an_answer_are_named(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("Here:", {"inlineData": {"mimeType": "image/png", "data": "MQ=="}})
    assert run("Draw") == 0
    out, err = capsys.readouterr()
    assert out == "Here:\n" and "image/png" in err and "-o json" in err


# Saved chats

def saved_texts(name: str) -> List[str]:
    return [part["text"] for turn in saved.ChatFile(name).read().history for part in turn["parts"]]


def test_a_chat_is_saved_and_continued_with_its_model_and_system_prompt(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for reply in "abcd":
        at_fake.reply(reply)
    monkeypatch.setenv("GEMINI_MODEL", "from-env")
    assert run("--save", "x", "-s", "S", "1") == 0
    monkeypatch.setenv("GEMINI_MODEL", "another")
    assert run("--continue", "x", "2") == run("--continue", "x", "-m", "m", "-s", "T", "-o", "json", "3") == 0
    assert saved_texts("x") == ["1", "a", "2", "b", "3", "c"]
    assert run("--continue", "x", "--save", "y", "4") == 0
    assert len(saved_texts("x")) == 6 and len(saved_texts("y")) == 8
    assert [request.model for request in at_fake.requests] == ["from-env", "from-env", "m", "m"]
    systems = [request.body["systemInstruction"]["parts"][0]["text"] for request in at_fake.requests]
    assert systems == ["S", "S", "T", "T"]
    assert [turn["parts"][0]["text"] for turn in at_fake.requests[2].body["contents"]] == ["1", "a", "2", "b", "3"]


@pytest.mark.parametrize("flag", ["--save", "--continue"])
def test_a_chat_that_another_process_has_continued_meanwhile_is_saved_under_another_name(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flag: str) -> None:
    def meanwhile(request: Request) -> str:
        other = saved.ChatFile("x")
        known = other.read().history if other.path.exists() else []
        other.write(saved.ChatRecord(None, None, known + [
            {"role": role, "parts": [{"text": "other"}]} for role in ("user", "model")]))
        return "a"

    with FakeGemini(meanwhile) as fake:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        if flag == "--continue":
            meanwhile(Request("", "", {}, None, 0))
        assert run(flag, "x", "mine") == 0
    assert set(saved_texts("x")) == {"other"} and saved_texts("x-2")[-2:] == ["mine", "a"]
    assert "is now x-2" in capsys.readouterr().err


@pytest.mark.parametrize("failure", [
    lambda fake: fake.error(400, "no"), lambda fake: fake.reply("x", finishReason="SAFETY"), lambda fake: fake.reply(),
    lambda fake: fake.raw(b'data: {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}\n\n', cut=True),
])
def test_a_failed_call_saves_nothing_and_keeps_the_old_file(
        at_fake: FakeGemini, failure: Any, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a")
    assert run("--save", "x", "1") == 0
    before = saved.ChatFile("x").path.read_bytes()
    failure(at_fake)
    failure(at_fake)
    codes = run("--continue", "x", "2"), run("--save", "y", "2")
    assert codes in ((1, 1), (0, 0)), "an empty answer is no failure"
    assert saved.ChatFile("x").path.read_bytes() == before and saved.names() == ["x"]


def test_a_damaged_file_is_refused_before_anything_is_sent(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a")
    assert run("--save", "x", "1") == 0
    path = saved.ChatFile("x").path
    path.write_bytes(path.read_bytes()[:-20])
    before = path.read_bytes()
    assert (run("--continue", "x", "2"), run("--save", "x", "2")) == (1, 2)
    err = capsys.readouterr().err
    assert str(path) in err.splitlines()[0] and "damaged" in err and "--continue x" in err.splitlines()[1]
    assert path.read_bytes() == before and len(at_fake.requests) == 1


def test_a_chat_with_tools_and_attachments_is_saved_whole(
        at_fake: FakeGemini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toolbox_of_mine.py").write_text("def now() -> str:\n    return 'noon'\n")
    (tmp_path / "a.png").write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    at_fake.reply(FakeGemini.call("now", {}, id="1", signature="MQ=="))
    at_fake.reply("noon")
    at_fake.reply("b")
    assert run("-T", "toolbox_of_mine:now", "-a", "a.png", "--save", "x", "When?") == 0
    sys.modules.pop("toolbox_of_mine")
    assert run("--continue", "x", "Sure?") == 0
    first, second, third = [request.body["contents"] for request in at_fake.requests]
    assert third[:3] == second and second[0] == first[0] and third[1]["parts"][0]["thoughtSignature"] == "MQ=="


# The other commands

def test_models_are_listed_with_their_limits(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.answer("models", {"models": [{"name": "models/gemini-x", "inputTokenLimit": 1048576}, {"name": "tuned/y"}]})
    assert run("models") == 0
    assert capsys.readouterr().out == (
        "model     input tokens  output tokens\ngemini-x       1048576              -\n"
        "tuned/y              -              -\n")
    assert run("models", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "models/gemini-2.5-pro"


def test_count_counts_the_whole_prompt(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.answer("countTokens", {"totalTokens": 42}, {"totalTokens": 43})
    (tmp_path / "a.png").write_bytes(PNG)
    piped(monkeypatch, b"piped")
    assert run("count", "-m", "m", "-s", "S", "-a", str(tmp_path / "a.png"), "some", "words") == 0
    piped(monkeypatch, None)
    assert run("count", "-o", "json", "Hi") == 0
    assert capsys.readouterr() == ('42\n{"totalTokens": 43}\n', "")
    request = at_fake.requests[0]
    asked = request.body["generateContentRequest"]
    assert request.model == "m" and asked["systemInstruction"]["parts"] == [{"text": "S"}]
    assert [part.get("text") for part in asked["contents"][0]["parts"]] == [None, "piped\n\nsome words"]
    assert run("count") == 2


def test_code_assist_has_a_quota_and_no_list_of_models(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("quota") == 2
    assert "Only Code Assist has this call" in capsys.readouterr().err
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_ACCESS_TOKEN", "made-up-token")
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url)
    fake.answer("retrieveUserQuota", {"buckets": [
        {"modelId": "gemini-x", "remainingFraction": 0.25, "resetTime": "2100-01-01T00:00:00Z"}, {"modelId": "y"}]})
    assert run("quota") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [["gemini-x", "25%", "-", "-", "2100-01-01", "00:00:00+00:00"], ["y", "-", "-", "-", "-"]]
    assert run("quota", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["reset_time"] == "2100-01-01T00:00:00+00:00"
    assert run("models") == 2
    out, err = capsys.readouterr()
    assert out == "" and "gemini-lite quota" in err and "made-up-token" not in err


@pytest.mark.parametrize("arguments", [
    ["Hi"], ["models"], ["count", "Hi"], ["quota"], ["doctor"], ["chat"], ["Hi", "--save", "x"], ["Hi", "-o", "jsonl"],
    ["Hi", "--thinking"]])
@pytest.mark.parametrize("first", [True, False])
def test_demo_works_with_every_command_and_without_an_account(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: List[str], first: bool) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setattr("gemini_lite.demo.DELAY", 0)
    if arguments == ["chat"]:
        piped(monkeypatch, b"Hello\n")
    assert run(*(["--demo", *arguments] if first else [*arguments, "--demo"])) == 0
    out, err = capsys.readouterr()
    assert out and "no model behind it" in err


# As a process of its own

COMMAND = [sys.executable, "-W", "error", "-m", "gemini_lite"]


def environment(**more: str) -> Dict[str, str]:
    """What a child process gets: the package under test and no colours, locale or coverage of ours."""
    return {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), **more}


def process(*arguments: str, env: Optional[Dict[str, str]] = None, **how: Any) -> "subprocess.CompletedProcess[bytes]":
    if "input" not in how:
        how.setdefault("stdin", subprocess.DEVNULL)
    how.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([*COMMAND, *arguments], env=env or environment(), stderr=subprocess.PIPE, timeout=SOON, **how)


def test_a_process_reads_a_pipe_and_streams_its_answer(at_fake: FakeGemini) -> None:
    at_fake.reply("Hel", "lö")
    done = process("why?", input=b"error: 42\n", env=environment(PYTHONIOENCODING="utf-8"))
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, ["Hellö".encode()], b"")
    assert prompt_of(at_fake.requests[0]) == ["error: 42\n\nwhy?"]


def test_a_process_reads_a_file(at_fake: FakeGemini, tmp_path: Path) -> None:
    (tmp_path / "err.log").write_bytes(b"error: 43")
    at_fake.reply("a")
    with open(tmp_path / "err.log", "rb") as file:
        assert process(stdin=file).returncode == 0
    assert prompt_of(at_fake.requests[0]) == ["error: 43"]


@posix
def test_a_process_with_closed_standard_input_uses_its_words(at_fake: FakeGemini) -> None:
    at_fake.reply("a")
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "Hi"], env=environment(), timeout=SOON,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\n", b"")


def test_a_process_streams_as_the_answer_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    read = threading.Event()

    def wait(request: Request) -> Raw:
        whole = Reply("first ", "last").render(request, 1)
        raw = Raw(headers=whole.headers)

        def pieces() -> Any:
            yield whole.pieces[0]
            read.wait(SOON)
            yield whole.pieces[1]

        raw.pieces = pieces()  # type: ignore[assignment]
        return raw

    with FakeGemini(wait) as fake:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        with subprocess.Popen([*COMMAND, "Hi"], env=environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.read(6) == b"first ", "before the server has sent the rest"
            assert not read.is_set()
            read.set()
            assert child.stdout.read().strip() == b"last"
        assert child.returncode == 0


def test_credentials_are_checked_before_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    with subprocess.Popen([*COMMAND, "why?"], env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as child:  # and nobody ever writes or closes its standard input
        assert child.wait(SOON) == 1
        assert child.stderr is not None and child.stderr.read().count(b"GEMINI_API_KEY") >= 1


def interrupted(child: "subprocess.Popen[bytes]") -> Any:
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=SOON)
    return child.returncode, out, err


@posix
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_ctrl_c_in_the_middle_of_an_answer_is_code_130_without_a_traceback(
        monkeypatch: pytest.MonkeyPatch, flags: List[str]) -> None:
    asked = threading.Event()

    def stall(request: Request) -> Raw:
        asked.set()
        return Raw(b'data: {"candidates": [{"content": {"parts": [{"text": "Once upon"}]}}]}\n\n', b"never", delay=SOON)

    with FakeGemini(stall) as fake:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        with subprocess.Popen([*COMMAND, "Hi", *flags], env=environment(), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None and asked.wait(SOON)
            if not flags:
                assert child.stdout.read(9) == b"Once upon"
            code, out, err = interrupted(child)
    assert code == 130 and err == b"" and out.strip() == b""


@posix
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_standard_input_is_read_is_code_130(at_fake: FakeGemini) -> None:
    with subprocess.Popen([*COMMAND, "--demo", "Hi"], env=environment(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stderr is not None and b"demo" in child.stderr.readline()  # it reads its standard input next
        time.sleep(0.1)
        code, out, err = interrupted(child)
    assert (code, out, err) == (130, b"", b"")


@posix
@pytest.mark.parametrize("arguments", [["--demo", "Hi"], ["--demo", "--json", "Hi"]])
def test_a_closed_pipe_is_no_error(arguments: List[str]) -> None:
    with subprocess.Popen([*COMMAND, *arguments, "x" * 100], env=environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stderr is not None
        if "--json" not in arguments:
            assert len(child.stdout.read(5)) == 5
        child.stdout.close()
        err = child.stderr.read()
        assert child.wait(SOON) == 0
    assert err.count(b"\n") == 1 and b"demo" in err, "nothing but the demo's own notice"


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_a_reader_that_stops_early_is_no_error_in_a_shell_pipeline(at_fake: FakeGemini) -> None:
    at_fake.reply(*["word "] * 2000)
    done = subprocess.run(["bash", "-c", 'set -o pipefail; "$@" Hi | head -c 5', "bash", *COMMAND], env=environment(),
                          timeout=SOON, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"word ", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_full_disk_is_one_line_on_stderr(at_fake: FakeGemini, flags: List[str]) -> None:
    at_fake.reply("a")
    with open("/dev/full", "wb") as full:
        done = process("Hi", *flags, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith(b"gemini-lite: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_terminal_that_cannot_show_a_letter_gets_its_escape(
        at_fake: FakeGemini, encoding: str, flags: List[str]) -> None:
    at_fake.reply("ü € 😀", finishReason="MAX_TOKENS")
    done = process("Hi", *flags, env=environment(PYTHONIOENCODING=encoding))
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert "ü € 😀".encode(encoding, "backslashreplace") in done.stdout


@posix
def test_a_plain_c_locale_is_enough(at_fake: FakeGemini) -> None:
    at_fake.reply("ü")
    plain = environment(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", PYTHONIOENCODING="")
    done = process(input="grün".encode(), env=plain)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\xfc\n", b"")
    assert prompt_of(at_fake.requests[0]) == ["grün"]


def test_the_exit_code_of_a_process_is_that_of_main(at_fake: FakeGemini) -> None:
    at_fake.error(404, "no such model")
    failed, wrong = process("Hi"), process("--nonsense")
    assert (failed.returncode, wrong.returncode) == (1, 2)
    assert failed.stderr.count(b"\n") == 1 and b"no such model" in failed.stderr


def test_the_demo_runs_over_real_http_in_a_process_of_its_own() -> None:
    env = environment()
    env.pop("GEMINI_API_KEY")
    done = process("--demo", "Hello", env=env)
    assert done.returncode == 0 and b"You said: Hello" in done.stdout and b"no model" in done.stderr
