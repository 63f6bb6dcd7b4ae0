"""The laws of the command as a process: pipes, signals, closed and full outputs, encodings, exit codes."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, List

import pytest
from cli.commands import COMMAND, SOON, environment, prompt_of, run_process

from gemini_lite.testing import FakeGemini, Raw, Reply, Request

pytestmark = pytest.mark.usefixtures("signed_in")
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes and signals")


def test_a_process_reads_a_pipe_and_streams_its_answer(at_fake: FakeGemini) -> None:
    at_fake.reply("Hel", "lö")
    done = run_process("why?", input=b"error: 42\n", env=environment(PYTHONIOENCODING="utf-8"))
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, ["Hellö".encode()], b"")
    assert prompt_of(at_fake.requests[0]) == ["error: 42\n\nwhy?"]


def test_a_process_reads_a_file(at_fake: FakeGemini, tmp_path: Path) -> None:
    (tmp_path / "err.log").write_bytes(b"error: 43")
    at_fake.reply("a")
    with open(tmp_path / "err.log", "rb") as file:
        assert run_process(stdin=file).returncode == 0
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


@posix
def test_the_answer_comes_though_nobody_reads_standard_error(at_fake: FakeGemini) -> None:
    at_fake.reply({"text": "hm", "thought": True}, "Hello")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, "--thinking", "no-such-file.txt", "--conversation", "x"], env=environment(),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writing, timeout=SOON)
    os.close(writing)
    assert (done.returncode, done.stdout) == (0, b"Hello\n")


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
        done = run_process("Hi", *flags, stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith(b"gemini-lite: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_cannot_show_a_letter_gets_its_escape(at_fake: FakeGemini, encoding: str) -> None:
    at_fake.reply("ü € 😀", finishReason="MAX_TOKENS")
    done = run_process("Hi", env=environment(PYTHONIOENCODING=encoding))
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert "ü € 😀".encode(encoding, "backslashreplace") in done.stdout


@posix
def test_a_plain_c_locale_is_enough(at_fake: FakeGemini) -> None:
    at_fake.reply("ü")
    plain = environment(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", PYTHONIOENCODING="")
    done = run_process(input="grün".encode(), env=plain)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\\xfc\n", b"")
    assert prompt_of(at_fake.requests[0]) == ["grün"]


def test_the_exit_code_of_a_process_is_that_of_main(at_fake: FakeGemini) -> None:
    at_fake.error(404, "no such model")
    failed, wrong = run_process("Hi"), run_process("--nonsense")
    assert (failed.returncode, wrong.returncode) == (1, 2)
    assert failed.stderr.count(b"\n") == 1 and b"no such model" in failed.stderr


def test_the_demo_runs_over_real_http_in_a_process_of_its_own() -> None:
    env = environment()
    env.pop("GEMINI_API_KEY")
    done = run_process("--demo", "Hello", env=env)
    assert done.returncode == 0 and b"You said: Hello" in done.stdout and b"no model" in done.stderr


@posix
@pytest.mark.parametrize("arguments", [
    ["Hi"], ["chat"], ["map", "-", "-o", "-"], ["embed", "-"], ["count", "Hi"], ["files", "upload", "-"],
    ["Hi", "-a", "-"]], ids=" ".join)
def test_a_standard_input_that_is_closed_is_an_empty_one(arguments: List[str]) -> None:
    done = [subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, *arguments, "--demo"],
                           env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * SOON)
            for redirection in ("<&-", "</dev/null")]
    assert b"Traceback" not in done[0].stderr
    assert (done[0].returncode, done[0].stdout, done[0].stderr) == (done[1].returncode, done[1].stdout, done[1].stderr)
