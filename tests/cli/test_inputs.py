"""The laws of what a command reads: standard input, attachments, schemas and the names of tools and chats."""
from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any, List, Optional

import pytest
from cli.commands import pipe_stdin, prompt_of, run

from gemini_lite.cli import saved
from gemini_lite.testing import FakeGemini, Request

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.mark.parametrize("data, words, prompt", [
    (b"error: 42\n", ["why?"], "error: 42\n\nwhy?"), (b"error: 42\n", [], "error: 42"), (b"", ["why?"], "why?"),
    (b" \n\n", ["why?"], "why?"), (None, ["why?"], "why?"), ("wörld 😀".encode(), [], "wörld 😀"),
    (b"caf\xe9", ["why?"], "caf\ufffd\n\nwhy?"), (b"a\r\nb", [], "a\r\nb"), (b"-x", ["--", "-y"], "-x\n\n-y"),
])
def test_standard_input_goes_before_the_words_and_an_empty_one_is_none(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, data: Optional[bytes], words: List[str],
        prompt: str) -> None:
    pipe_stdin(monkeypatch, data)
    at_fake.reply("a")
    assert run(*words) == 0
    assert prompt_of(at_fake.requests[0]) == [prompt]


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
    pipe_stdin(monkeypatch, PNG)
    at_fake.reply("a")
    assert run(*flags, "Look") == 0
    assert parts_of(at_fake.requests[0]) == [expected, "Look"]


@pytest.mark.parametrize("flags, data, expected", [
    (["-a", "nowhere.png"], b"", "nowhere.png cannot be read: No such file"), (["-a", "."], b"", ". cannot be read: "),
    (["-a", "empty.png"], b"", "empty.png is empty"), (["-a", "odd"], b"", "--at odd TYPE/SUBTYPE"),
    (["-a", "odd.tar.gz"], b"", "is compressed (gzip)"), (["--at", "odd", "png"], b"", "no MIME type"),
    (["-a", "-"], None, "terminal"), (["-a", "-", "-a", "-"], b"x", "once"),
    (["-a", "-", "--schema", "-"], b"{}", "once"), (["-a", ""], b"", "cannot be read"),
    (["-a", "a\0b"], b"", "cannot be read"), (["--schema", "nowhere"], b"", "nowhere"),
    (["--schema", "bad.json"], b"", "is no JSON: "), (["--schema", "odd"], b"", "is no JSON: "),
    (["--schema", "-"], b"[1]", "an object"), (["--schema", "-"], b"[" * 100000, "is no JSON: "),
    (["--tool", "tools"], b"", "module:function"), (["--tool", ":x"], b"", "module:function"),
    (["--tool", "nowhere:x"], b"", "nowhere"), (["--tool", "tools:nowhere"], b"", "nowhere"),
    (["--tool", "tools:text"], b"", "function"), (["--tool", "broken:x"], b"", "ZeroDivisionError"),
    (["--tool", "tools:good", "--tool", "tools:good"], b"", "two tools are named good"),
    (["--save", "../x"], b"", "cannot name"), (["--conversation", "/x"], b"", "cannot name"),
    (["--continue"], b"", "no conversation is saved"), (["-c", "--conversation", "x"], b"", "write one of them"),
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
    pipe_stdin(monkeypatch, data)
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
