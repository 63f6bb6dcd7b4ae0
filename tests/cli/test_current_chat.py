"""The laws of --save and --continue: a chat is saved whole after its answer, and no file of another is touched."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, List

import pytest
from cli.commands import run

from gemini_lite.cli import saved
from gemini_lite.testing import FakeGemini, Request

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.usefixtures("signed_in")


def saved_texts(name: str) -> List[str]:
    return [part["text"] for turn in saved.ChatFile(name).read().history for part in turn["parts"]]


def test_a_chat_is_saved_and_continued_with_its_model_and_system_prompt(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for reply in "abcd":
        at_fake.reply(reply)
    monkeypatch.setenv("GEMINI_MODEL", "from-env")
    assert run("--save", "x", "-s", "S", "1") == 0
    monkeypatch.setenv("GEMINI_MODEL", "another")
    assert run("--conversation", "x", "2") == run("--conversation", "x", "-m", "m", "-s", "T", "-f", "json", "3") == 0
    assert saved_texts("x") == ["1", "a", "2", "b", "3", "c"]
    assert run("--conversation", "x", "--save", "y", "4") == 0
    assert len(saved_texts("x")) == 6 and len(saved_texts("y")) == 8
    assert [request.model for request in at_fake.requests] == ["from-env", "from-env", "m", "m"]
    systems = [request.body["systemInstruction"]["parts"][0]["text"] for request in at_fake.requests]
    assert systems == ["S", "S", "T", "T"]
    assert [turn["parts"][0]["text"] for turn in at_fake.requests[2].body["contents"]] == ["1", "a", "2", "b", "3"]


@pytest.mark.parametrize("flag", ["--save", "--conversation"])
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
        if flag == "--conversation":
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
    codes = run("--conversation", "x", "2"), run("--save", "y", "2")
    assert codes in ((1, 1), (0, 0)), "an empty answer is no failure"
    assert saved.ChatFile("x").path.read_bytes() == before and saved.names() == ["x"]


def test_a_damaged_file_is_refused_before_anything_is_sent(
        at_fake: FakeGemini, capsys: pytest.CaptureFixture[str]) -> None:
    at_fake.reply("a")
    assert run("--save", "x", "1") == 0
    path = saved.ChatFile("x").path
    path.write_bytes(path.read_bytes()[:-20])
    before = path.read_bytes()
    assert (run("--conversation", "x", "2"), run("--save", "x", "2")) == (1, 2)
    err = capsys.readouterr().err
    assert str(path) in err.splitlines()[0] and "damaged" in err and "--conversation x" in err.splitlines()[1]
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
    assert run("--conversation", "x", "Sure?") == 0
    first, second, third = [request.body["contents"] for request in at_fake.requests]
    assert third[:3] == second and second[0] == first[0] and third[1]["parts"][0]["thoughtSignature"] == "MQ=="
