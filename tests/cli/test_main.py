"""The laws of the command line: a prompt in, an answer out, one line for what went wrong, and an exit code."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, List, Optional

import pytest
from cli.commands import SOON, pipe_stdin, prompt_of, run

import gemini_lite
from gemini_lite.cli.arguments import COMMANDS
from gemini_lite.testing import FakeGemini

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.usefixtures("signed_in")


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


@pytest.mark.parametrize("data", [None, b"", b"\n \n"])
@pytest.mark.parametrize("words", [[], [""], [" "]])
def test_no_prompt_at_all_is_wrong_usage(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data: Optional[bytes],
        words: List[str]) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    pipe_stdin(monkeypatch, data)
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
    for word in ("-m ", "-a ", "--demo", "--version", "GEMINI_API_KEY", "130", *COMMANDS):
        assert word in out
    assert len(out.splitlines()) < 24 and max(map(len, out.splitlines())) <= 80, "it fits a screen"


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


@pytest.mark.parametrize("words", [["Hi"], []])
def test_nobody_signed_in_is_one_line_and_code_1(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: List[str]) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    pipe_stdin(monkeypatch, None)
    assert run(*words) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("gemini-lite: ") and err.count("\n") == 1
    assert "GEMINI_API_KEY" in err and "--demo" in err and err.index("--demo") < err.index("In Python")


def test_a_key_that_is_there_and_empty_is_said(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "")
    assert run("Hi") == 1
    assert "GEMINI_API_KEY is set but empty. No API key was found." in capsys.readouterr().err


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


@pytest.mark.parametrize("arguments", [
    ["--", "models"], ["prompt", "models"], ["prompt", "--", "models"], ["-m", "m", "--", "models"],
    ["--", "models", "-m"]])
def test_a_prompt_may_be_the_word_of_a_command(at_fake: FakeGemini, arguments: List[str]) -> None:
    at_fake.reply("a")
    assert run(*arguments) == 0
    assert prompt_of(at_fake.requests[0])[0].startswith("models") and at_fake.requests[0].kind == "generate"


@pytest.mark.parametrize("arguments, hint", [
    (["models", "of", "the", "world"], "gemini-lite prompt"), (["chat", "with", "me"], "gemini-lite prompt"),
    (["models", "--tool", "x:y"], "gemini-lite prompt"), (["count", "--schema", "x", "Hi"], "--schema"),
    (["doctor", "-f", "json"], "gemini-lite prompt"), (["Hi", "-f", "yaml"], "jsonl"),
    (["models", "-f", "jsonl"], "json"),
    (["Hi", "--temp", "0"], "--temp"), (["Hi", "--at", "x"], "--at"),
])
def test_what_a_command_does_not_take_is_code_2_with_a_hint(
        fake: FakeGemini, capsys: pytest.CaptureFixture[str], arguments: List[str], hint: str) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("gemini-lite") and hint in err and fake.requests == []


def test_count_counts_the_whole_prompt(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.answer("countTokens", {"totalTokens": 42}, {"totalTokens": 43})
    (tmp_path / "a.png").write_bytes(PNG)
    pipe_stdin(monkeypatch, b"piped")
    assert run("count", "-m", "m", "-s", "S", "-a", str(tmp_path / "a.png"), "some words") == 0
    pipe_stdin(monkeypatch, None)
    assert run("count", "-f", "json", "Hi") == 0
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
    assert rows == [["gemini-x", "25%", "-", "-", "2100-01-01T00:00:00Z"], ["y", "-", "-", "-", "-"]]
    assert run("quota", "-f", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["resetTime"] == "2100-01-01T00:00:00Z"
    assert run("models") == 2
    out, err = capsys.readouterr()
    assert out == "" and "gemini-lite quota" in err and "made-up-token" not in err


@pytest.mark.parametrize("arguments", [
    ["Hi"], ["models"], ["count", "Hi"], ["quota"], ["doctor"], ["chat"], ["Hi", "--save", "x"], ["Hi", "-f", "jsonl"],
    ["Hi", "--thinking"]])
@pytest.mark.parametrize("first", [True, False])
def test_demo_works_with_every_command_and_without_an_account(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: List[str], first: bool) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setattr("gemini_lite.demo.DELAY", 0)
    if arguments == ["chat"]:
        pipe_stdin(monkeypatch, b"Hello\n")
    assert run(*(["--demo", *arguments] if first else [*arguments, "--demo"])) == 0
    out, err = capsys.readouterr()
    assert out and "no model behind it" in err
