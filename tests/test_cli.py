"""The laws of the command line: a prompt in, an answer out, one line for what went wrong, and an exit code."""
from __future__ import annotations

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
from gemini_lite.cli import main
from gemini_lite.testing import FakeGemini, Raw, Reply, Request

SOON = 10  # seconds after which a test gives up waiting for another process
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes and signals")


@pytest.fixture(autouse=True)
def signed_in(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    monkeypatch.setattr(sys, "stdin", None)  # as of a program that was started without one


@pytest.fixture
def at_fake(fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> FakeGemini:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    return fake


class Stdin(io.TextIOWrapper):
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
    monkeypatch.setattr(sys, "stdin", Stdin(data))


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


def test_version_says_the_one_version_and_needs_no_credentials(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    assert run("--version") == 0
    assert capsys.readouterr().out == "gemini-lite %s\n" % gemini_lite.__version__


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


def test_what_came_before_a_cut_is_printed_and_the_error_is_told(
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


@pytest.mark.parametrize("reply, said", [
    (Reply("fort", finishReason="MAX_TOKENS"), "MAX_TOKENS"), (Reply({"text": "hm", "thought": True}), ""),
    (Reply(), "empty"),
])
@pytest.mark.parametrize("flags", [[], ["--json"], ["--no-stream"]])
def test_notices_go_to_stderr_and_the_code_stays_0(
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, reply: Reply, said: str,
        flags: List[str]) -> None:
    with FakeGemini(lambda request: reply) as fake:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        assert run("Hi", *flags) == 0
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") <= 1 and "gemini-lite:" not in out
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
def test_head_takes_what_it_wants(at_fake: FakeGemini) -> None:
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


def test_the_code_of_a_process_is_that_of_main(at_fake: FakeGemini) -> None:
    at_fake.error(404, "no such model")
    failed, wrong = process("Hi"), process("--nonsense")
    assert (failed.returncode, wrong.returncode) == (1, 2)
    assert failed.stderr.count(b"\n") == 1 and b"no such model" in failed.stderr


def test_the_demo_runs_over_real_http_in_a_process_of_its_own() -> None:
    env = environment()
    env.pop("GEMINI_API_KEY")
    done = process("--demo", "Hello", env=env)
    assert done.returncode == 0 and b"You said: Hello" in done.stdout and b"no model" in done.stderr
