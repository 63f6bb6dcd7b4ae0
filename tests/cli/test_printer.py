"""The laws of what a command shows: the answer alone on standard output, everything else on standard error."""
from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import List

import pytest
from cli.commands import prompt_of, run

from gemini_lite.cli import saved
from gemini_lite.testing import FakeGemini, Reply

pytestmark = pytest.mark.usefixtures("signed_in")


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


def test_jsonl_is_a_line_for_each_event(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("wörld\u2028", {"text": "hm", "thought": True}, "b\nc")
    assert run("Hi", "-f", "jsonl", "--thinking") == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.rstrip("\n").split("\n")]
    assert [event["candidates"][0]["content"]["parts"][0]["text"] for event in events] == ["wörld\u2028", "hm", "b\nc"]
    assert err == "" and events[-1]["candidates"][0]["finishReason"] == "STOP"
    at_fake.reply("a", "b")
    assert run("Hi", "-f", "jsonl", "--no-stream") == 0
    assert json.loads(capsys.readouterr().out)["candidates"][0]["content"]["parts"] == [{"text": "ab"}]


def test_what_came_before_a_cut_is_printed_and_the_error_is_on_stderr(
        at_fake: FakeGemini, capfd: pytest.CaptureFixture[str]) -> None:
    at_fake.raw(b'data: {"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}\n\n', cut=True)
    assert run("Hi") == 1
    out, err = capfd.readouterr()
    assert out.rstrip("\n") == "Hel" and err.startswith("gemini-lite: ") and err.count("\n") == 1


@pytest.mark.parametrize("reply, expected", [
    (Reply("fort", finishReason="MAX_TOKENS"), "MAX_TOKENS"), (Reply({"text": "hm", "thought": True}), ""),
    (Reply(), "no answer"),
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


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["-f", "json"], ["-f", "jsonl"]])
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


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["-f", "json"], ["-f", "jsonl"]])
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


def test_files_in_an_answer_are_named(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("Here:", {"inlineData": {"mimeType": "image/png", "data": "MQ=="}})
    assert run("Draw") == 0
    out, err = capsys.readouterr()
    assert out == "Here:\n" and "image/png" in err and "-f json" in err


def test_models_are_listed_with_their_limits(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.answer("models", {"models": [{"name": "models/gemini-x", "inputTokenLimit": 1048576}, {"name": "tuned/y"}]})
    assert run("models") == 0
    assert capsys.readouterr().out == (
        "model     input tokens  output tokens\ngemini-x       1048576              -\n"
        "tuned/y              -              -\n")
    assert run("models", "-f", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "models/gemini-2.5-pro"


def test_standard_output_may_be_any_text_stream(at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    at_fake.reply("ü")
    assert run("Hi") == 0 and out.getvalue() == "ü\n"
