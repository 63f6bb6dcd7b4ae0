"""Where the answer goes: a file, a picture, standard output that is closed; and what other failures are called."""
from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import List

import pytest
from cli.commands import COMMAND, SOON, environment, pipe_stdin, run

from gemini_lite.testing import FakeGemini

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.usefixtures("signed_in")
posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["-f", "json"], ["-f", "jsonl"], ["-x"]])
def test_the_answer_goes_to_the_file_and_nothing_to_standard_output(
        at_fake: FakeGemini, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: List[str]) -> None:
    at_fake.reply("a ü\n```\ncode\n```\n")
    assert run("Hi", "-o", str(tmp_path / "out.txt"), *flags) == 0
    assert capsys.readouterr().out == "" and os.listdir(tmp_path) == ["out.txt"]
    assert "code" in (tmp_path / "out.txt").read_text("utf-8")


def test_a_failed_call_leaves_the_old_file(at_fake: FakeGemini, tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("old")
    at_fake.error(400, "no")
    assert run("Hi", "-o", str(tmp_path / "out.txt")) == 1
    assert (tmp_path / "out.txt").read_text() == "old" and os.listdir(tmp_path) == ["out.txt"]


def test_a_picture_is_saved_where_the_name_is_that_of_a_picture(
        at_fake: FakeGemini, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply({"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}})
    assert run("Draw", "-o", str(tmp_path / "cat.png")) == 0
    assert (tmp_path / "cat.png").read_bytes() == PNG and "image/png, 8 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--no-stream"]])
def test_a_picture_is_not_written_over_by_the_text_that_comes_with_it(
        at_fake: FakeGemini, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: List[str]) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
    at_fake.reply("Here ", picture, "it is.")
    assert run("Draw", "-o", str(tmp_path / "cat.png"), *flags) == 0
    assert (tmp_path / "cat.png").read_bytes() == PNG and capsys.readouterr().out == "Here it is.\n"


@pytest.mark.parametrize("path, expected", [
    ("no/such/folder/a.txt", "cannot be written: No such file"), (".", "it is a folder"), ("x" * 300, "too long"),
    ("a\0b", "cannot be written"),
])
def test_a_file_that_cannot_be_written_is_named_before_the_call(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str],
        path: str,
        expected: str) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    monkeypatch.chdir(tmp_path)
    assert run("Hi", "-o", path) == 1
    assert expected in capsys.readouterr().err and fake.requests == []


@posix
def test_a_file_that_is_replaced_keeps_its_mode_and_no_other_file_is_touched(
        at_fake: FakeGemini, tmp_path: Path) -> None:
    for name, mode in (("out.txt", 0o600), ("out.txt.probe", 0o644), ("run.sh", 0o755)):
        (tmp_path / name).write_text("mine")
        (tmp_path / name).chmod(mode)
    for name in ("out.txt", "run.sh"):
        at_fake.reply("new")
        assert run("Hi", "-o", str(tmp_path / name)) == 0
    assert {path.name: (path.read_text(), path.stat().st_mode & 0o777) for path in tmp_path.glob("*.*")} == {
        "out.txt": ("new\n", 0o600), "out.txt.probe": ("mine", 0o644), "run.sh": ("new\n", 0o755)}


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs /dev/null")
def test_a_device_is_written_to_and_not_replaced(at_fake: FakeGemini) -> None:
    at_fake.reply("a")
    assert run("Hi", "-o", "/dev/null") == 0
    assert not os.path.isfile("/dev/null")


@pytest.mark.parametrize("name", ["ä" * 64, "漢" * 64, "𐐀" * 64])
def test_a_name_too_long_for_the_disk_is_refused_before_the_call(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    if len(name.encode()) <= 230:
        fake.reply("a")
        assert run("Hi", "--save", name) == 0
    else:
        assert run("Hi", "--save", name) == 2
        assert "cannot name a conversation" in capsys.readouterr().err and fake.requests == []


@posix
def test_a_folder_for_conversations_that_cannot_be_made_is_named_before_the_call(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    monkeypatch.setenv("GEMINI_LITE_HOME", "/tmp/" + "x" * 300)
    assert run("Hi", "--save", "a") == 1
    assert "GEMINI_LITE_HOME" in capsys.readouterr().err and fake.requests == []


@posix
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_standard_output_is_code_1_before_the_call_and_no_traceback(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, redirection: str) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    if not redirection.startswith(">"):
        fake.reply("a")
    done = subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", *COMMAND, "Hi"], env=environment(),
                          timeout=SOON,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if redirection.startswith(">"):
        assert done.returncode == 1 and fake.requests == []
        assert done.stderr in (b"", b"gemini-lite: the answer could not be written: standard output is closed\n")
    else:
        assert (done.returncode, done.stdout) == (0, b"a\n")


@posix
def test_a_closed_standard_output_is_none_of_an_output_file_s_business(at_fake: FakeGemini, tmp_path: Path) -> None:
    at_fake.reply("a")
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "Hi", "-o", str(tmp_path / "a.txt")],
                          env=environment(), timeout=SOON, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"") and (tmp_path / "a.txt").read_text() == "a\n"


@posix
@pytest.mark.parametrize("flags, code",
                         [(["--tool", "x:y"], 2), ([], 0), (["-o", "a.txt"], 1), (["--functions", "a.py"], 2)])
def test_a_deleted_working_folder_is_named_for_what_it_is(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: List[str], code: int) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    if code == 0:
        fake.reply("a")
    (tmp_path / "gone").mkdir()
    script = f'cd "{tmp_path}/gone" && rmdir ../gone && exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *COMMAND, "Hi", *flags], env=environment(), timeout=SOON,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == code and b"answer could not be written" not in done.stderr, done.stderr
    assert done.stderr.count(b"\n") == (code > 0) and len(fake.requests) == (code == 0)


@pytest.mark.parametrize("character",
                         ["\u202e", "\u2066", "\u2028", "\u2029", "\u200f", "\u061c", "\x1b", "\x9b", "\ufff9"])
def test_no_control_character_reaches_a_terminal(character: str) -> None:
    from gemini_lite.cli.writers import escape_controls
    shown = escape_controls(f"a{character}b\u200dc")
    assert character not in shown and f"{ord(character):x}" in shown and "\u200d" in shown


def test_the_last_fenced_block_alone_is_printed(at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("Two:\n```sh\nfirst\n```\n", "and\n~~~py\nsecond\n  third\n```\n~~~\nDone.")
    at_fake.reply("none")
    assert run("Hi", "-x") == run("Hi", "--extract") == 0
    out, err = capsys.readouterr()
    assert out == "second\n  third\n```\nnone\n" and "no fenced block" in err


def test_a_prompt_that_names_a_file_is_sent_as_words_with_a_notice(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.png").write_bytes(PNG)
    pipe_stdin(monkeypatch, None)
    at_fake.reply("a")
    assert run("cat.png") == 0
    assert "-a cat.png" in capsys.readouterr().err
    assert at_fake.requests[0].body["contents"][0]["parts"] == [{"text": "cat.png"}]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "UTF8", "utf-16"])
@pytest.mark.parametrize("output_format", ["json", "jsonl"])
def test_json_is_json_whatever_the_encoding_of_standard_output(
        at_fake: FakeGemini, encoding: str, output_format: str) -> None:
    at_fake.reply("é€😀\x9d\u2028")
    done = subprocess.run([*COMMAND, "Hi", "-f", output_format], env=environment(PYTHONIOENCODING=encoding),
                          timeout=SOON, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    text = done.stdout.decode(encoding if encoding == "utf-16" else "utf-8")
    assert json.loads(text)["candidates"][0]["content"]["parts"] == [{"text": "é€😀\x9d\u2028"}]
