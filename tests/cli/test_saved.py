"""The laws of saved chats: whole files, for their owner alone, and nobody's turns are lost."""
from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest

import gemini_lite
from gemini_lite import GeminiError, files_on_disk
from gemini_lite.cli import saved
from gemini_lite.cli.saved import ChatFile, ChatRecord

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX file modes and signals")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMINI_LITE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def turns(*texts: str) -> List[Dict[str, Any]]:
    return [{"role": ("user", "model")[place % 2], "parts": [{"text": text}]} for place, text in enumerate(texts)]


def save(name: str, *texts: str) -> ChatFile:
    file = ChatFile(name)
    file.write(ChatRecord("m", "Be brief.", turns(*texts)))
    return file


def test_what_is_written_is_read_again(home: Path) -> None:
    history = turns("Hi \ud800\u2028ü", "Ho")
    history[1]["parts"] += [{"thoughtSignature": "MQ==", "text": ""},
                            {"inlineData": {"mimeType": "a/b", "data": "MQ=="}}]
    ChatFile("x").write(ChatRecord(None, None, history))
    assert ChatFile("x").read() == (None, None, history)
    data = json.loads((home / "conversations" / "x.json").read_bytes())
    assert data == {"version": 1, "model": None, "system": None, "history": history}
    save("a.b-c_1", "a", "b")
    assert saved.names() == ["a.b-c_1", "x"] and ChatFile("a.b-c_1").read() == ("m", "Be brief.", turns("a", "b"))


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_and_folders_are_for_their_owner_alone(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        save("x", "a", "b")
        save("y", "a", "b")
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    assert set(modes.values()) == {0o600, 0o700}
    assert {path for path, mode in modes.items() if mode == 0o700} == {home, home / "conversations"}


@pytest.mark.parametrize("name", [
    "", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", ".hidden", "-x", "a b", "a\n", "a\0", "x.", "con", "NUL.txt",
    "com1", "~", "C:x", "x" * 65, "\x1b[2J",
])
def test_a_name_that_leads_to_another_folder_or_to_no_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a conversation"):
        ChatFile(name)


@pytest.mark.parametrize("name", ["x" * 64, "übung", "2026-01-02", "日本", "v1.2"])
def test_a_name_may_have_letters_of_any_language(name: str) -> None:
    save(name, "a", "b")
    assert saved.names() == [name]


@pytest.mark.parametrize("damage", [
    b"", b"{", b"[]", b"null", b"{}", b'{"version": 1}', b"\xff\xfe", b"[" * 100000,
    b'{"version": 1, "model": null, "system": null, "history": [{"role": "user", "parts": []}]}',
    b'{"version": 1, "model": null, "system": null, "history": {}}',
    b'{"version": 1, "model": 5, "system": null, "history": []}', b'{"version": "1"}', b'{"version": 0}',
])
def test_a_damaged_file_is_refused_with_its_path_and_left_as_it_is(home: Path, damage: bytes) -> None:
    file = save("x", "a", "b")
    path = home / "conversations" / "x.json"
    path.write_bytes(damage)
    with pytest.raises(GeminiError, match="damaged") as caught:
        ChatFile("x").read()
    assert str(path) in str(caught.value)
    file.write(ChatRecord(None, None, turns("a", "b", "c", "d")))
    assert path.read_bytes() == damage and file.name == "x-2" and len(ChatFile("x-2").read().history) == 4


def test_a_file_of_a_newer_version_is_named_as_such(home: Path) -> None:
    save("x", "a", "b")
    (home / "conversations" / "x.json").write_text('{"version": 2, "turns": []}')
    with pytest.raises(GeminiError, match="newer"):
        ChatFile("x").read()


def test_a_missing_chat_is_an_error_that_lists_the_saved_ones() -> None:
    with pytest.raises(ValueError, match="no conversation y .*saved are: none"):
        ChatFile("y").read()
    save("x", "a", "b")
    with pytest.raises(ValueError, match="saved are: x$"):
        ChatFile("y").read()


def test_a_new_chat_cannot_take_the_name_of_another() -> None:
    save("x", "a", "b")
    with pytest.raises(ValueError, match="there is a conversation x already .*--conversation x"):
        ChatFile("x").check_can_create()
    ChatFile("y").check_can_create()


def test_the_second_writer_of_a_new_name_gets_a_number_after_it(home: Path) -> None:
    one, two = ChatFile("x"), ChatFile("x")
    one.check_can_create()
    two.check_can_create()
    one.write(ChatRecord(None, None, turns("a", "one")))
    two.write(ChatRecord(None, None, turns("a", "two")))
    two.write(ChatRecord(None, None, turns("a", "two", "b", "two")))
    one.write(ChatRecord(None, None, turns("a", "one", "b", "one")))
    assert (one.name, two.name) == ("x", "x-2") and saved.names() == ["x", "x-2"]
    assert ChatFile("x").read().history == turns("a", "one", "b", "one")
    assert ChatFile("x-2").read().history == turns("a", "two", "b", "two")


def test_a_file_that_was_removed_meanwhile_is_written_again(home: Path) -> None:
    file = save("x", "a", "b")
    (home / "conversations" / "x.json").unlink()
    file.write(ChatRecord(None, None, turns("a", "b")))
    assert file.name == "x" and ChatFile("x").read().history == turns("a", "b")


@pytest.mark.parametrize("call", ["os.replace", "os.fsync"])
def test_a_failed_write_leaves_the_old_file_and_no_other(
        home: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    file = save("x", "a", "b")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(call, full)
    with pytest.raises(GeminiError, match="No space left on device.*GEMINI_LITE_HOME"):
        file.write(ChatRecord(None, None, turns("a", "b", "c", "d")))
    monkeypatch.undo()
    monkeypatch.setenv("GEMINI_LITE_HOME", str(home))
    assert ChatFile("x").read().history == turns("a", "b")
    assert sorted(os.listdir(home / "conversations")) == ["x.json"]


def test_an_interrupt_in_the_middle_of_a_write_leaves_the_old_file_and_no_other(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files_on_disk.write(tmp_path / "a", b"old")

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files_on_disk.write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_variable(home: Path) -> None:
    home.write_bytes(b"a file")
    with pytest.raises(GeminiError, match="GEMINI_LITE_HOME"):
        save("x", "a", "b")
    with pytest.raises(GeminiError, match="GEMINI_LITE_HOME"):
        ChatFile("x").check_can_create()


@pytest.mark.parametrize("platform, environment, expected", [
    ("linux", {}, "~/.local/share/gemini-lite"), ("linux", {"XDG_DATA_HOME": "/data"}, "/data/gemini-lite"),
    ("linux", {"XDG_DATA_HOME": "relative"}, "~/.local/share/gemini-lite"),
    ("linux", {"XDG_DATA_HOME": "/data", "GEMINI_LITE_HOME": "/mine"}, "/mine"),
    ("linux", {"GEMINI_LITE_HOME": "~/mine"}, "~/mine"),
    ("darwin", {"XDG_DATA_HOME": "/data"}, "~/Library/Application Support/gemini-lite"),
    ("win32", {"LOCALAPPDATA": "/local"}, "/local/gemini-lite"), ("win32", {}, "~/AppData/Local/gemini-lite"),
])
def test_each_platform_has_its_usual_folder(
        monkeypatch: pytest.MonkeyPatch, platform: str, environment: Dict[str, str], expected: str) -> None:
    for name in ("GEMINI_LITE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert saved.data_folder() == Path(os.path.expanduser(expected))


# Several processes

ADD = """
import sys
from gemini_lite.cli.saved import ChatFile, ChatRecord
number, rounds = int(sys.argv[1]), int(sys.argv[2])
file = ChatFile("x")
history = file.read().history
print("ready", flush=True)
sys.stdin.readline()
for round in range(rounds):
    text = f"process {number}, round {round}"
    history += [{"role": role, "parts": [{"text": text + " " * 20000}]} for role in ("user", "model")]
    file.write(ChatRecord(None, None, history))
print(file.name)
"""


def environment() -> Dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}


def test_no_turn_of_any_process_is_lost(home: Path) -> None:
    save("x", "a", "b")
    children = [subprocess.Popen([sys.executable, "-W", "error", "-c", ADD, str(number), "10"], env=environment(),
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE) for number in range(4)]
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    names = [child.communicate(timeout=60)[0].decode().strip() for child in children]
    assert len(set(names)) == 4 and sorted(names) == saved.names() and "x" in names
    for number, name in enumerate(names):
        texts = [turn["parts"][0]["text"].strip() for turn in ChatFile(name).read().history]
        assert texts[2:] == [text for round in range(10) for text in 2 * [f"process {number}, round {round}"]]
    assert not list((home / "conversations").glob("*.part"))
