"""The commands for files, caches and embeddings."""
from __future__ import annotations

import json
import struct
import sys
from typing import Any

import pytest
from cli.commands import pipe_stdin, run

from gemini_lite.testing import Error, FakeGemini
from gemini_lite.testing.caches_service import CachesService
from gemini_lite.testing.embeddings_service import EmbeddingsService, vector
from gemini_lite.testing.files_service import FilesService, Loss

pytestmark = pytest.mark.usefixtures("signed_in")


@pytest.fixture
def files(at_fake: FakeGemini, no_sleep: Any) -> FilesService:
    service = FilesService(granularity=None)
    at_fake.services += [service, CachesService(), EmbeddingsService()]
    return service


def test_a_file_is_uploaded_listed_and_deleted(files: Any, tmp_path: Any, capsys: Any) -> None:
    (tmp_path / "a.txt").write_bytes(b"hello")
    assert run("files", "upload", str(tmp_path / "a.txt"), "--display-name", "A") == 0
    assert "files/fake" in capsys.readouterr().out
    name, = files.files
    assert run("files", "-f", "json") == 0
    assert [item["displayName"] for item in json.loads(capsys.readouterr().out)] == ["A"]
    assert run("files", "list") == 0 and name in capsys.readouterr().out
    assert run("files", "delete", name) == 0 and not files.files
    assert run("files") == 0


def test_standard_input_is_uploaded(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_stdin(monkeypatch, b"a,b\n1,2\n")
    assert run("files", "upload", "--type", "text/csv", "-") == 0
    assert list(files.contents.values()) == [b"a,b\n1,2\n"]


def test_a_broken_off_upload_is_gone_on_with(files: Any, tmp_path: Any, capsys: Any) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(100))
    state = tmp_path / "state"
    command = ["files", "upload", "--state", str(state), "--type", "application/x-a", str(tmp_path / "a.bin")]
    files.lose(Loss(10, Error(403, "not now")))
    assert run(*command) == 1 and state.exists()
    assert "goes on with it" in capsys.readouterr().err
    assert run(*command) == 0 and not state.exists()
    assert list(files.contents.values()) == [bytes(100)] and len(files.sessions) == 1


def test_a_generated_file_is_downloaded(files: Any, tmp_path: Any, capfdbinary: Any) -> None:
    files.add(b"\0\1result", name="files/g")
    assert run("files", "download", "files/g", "-o", str(tmp_path / "out")) == 0
    assert (tmp_path / "out").read_bytes() == b"\0\1result"
    assert run("files", "download", "g") == 0
    assert capfdbinary.readouterr().out.endswith(b"\0\1result")


@pytest.mark.parametrize("arguments", [
    ("files", "list", "x"), ("files", "upload"), ("files", "delete"), ("files", "download", "a", "b"),
    ("caches", "list", "x"), ("caches", "create"), ("caches", "extend", "c"), ("caches", "delete"),
    ("files", "upload", "no such file"), ("embed", "no such file"), ("embed", "x", "-o", "x.csv"), ("files", "burn"),
])
def test_wrong_usage_is_exit_code_2(files: Any, at_fake: FakeGemini, arguments: Any, capsys: Any) -> None:
    assert run(*arguments) == 2
    assert not at_fake.requests and capsys.readouterr().err


def test_a_cache_is_created_prolonged_and_deleted(files: Any, tmp_path: Any, capsys: Any, at_fake: FakeGemini) -> None:
    (tmp_path / "a.txt").write_text("A long text.")
    assert run("caches", "create", str(tmp_path / "a.txt"), "-m", "gemini-2.5-flash", "--ttl", "60", "-s", "B.") == 0
    assert at_fake.requests[-1].body["ttl"] == "60s" and "systemInstruction" in at_fake.requests[-1].body
    capsys.readouterr()
    assert run("caches", "-f", "json") == 0
    name = json.loads(capsys.readouterr().out)[0]["name"]
    assert run("caches", "extend", name, "--ttl", "120") == 0 and run("caches", "delete", name) == 0
    capsys.readouterr()
    assert run("caches", "list") == 0 and name not in capsys.readouterr().out


def test_each_line_is_embedded(files: Any, tmp_path: Any, capsys: Any) -> None:
    (tmp_path / "a.txt").write_text("one\n\n  two \u2028 too\n", encoding="utf-8")
    assert run("embed", str(tmp_path / "a.txt"), "--dimensions", "2") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.split("\n") if line]
    assert [line["text"] for line in lines] == ["one", "two \u2028 too"]
    assert lines[0]["embedding"] == vector({"parts": [{"text": "one"}]}, size=2)


@pytest.mark.parametrize("name, content", [
    ("a.csv", 'id,text\n1,"one, or\n two"\n2,three\n'), ("a.jsonl", '{"text": "one, or\\n two"}\n{"text": "three"}\n')])
def test_the_rows_of_a_table_are_embedded_by_a_column(
    files: Any, at_fake: FakeGemini, tmp_path: Any, capsys: Any, name: str, content: str,
) -> None:
    (tmp_path / name).write_text(content)
    assert run("embed", str(tmp_path / name)) == 2 and at_fake.requests == []
    assert "--prompt" in capsys.readouterr().err
    assert run("embed", str(tmp_path / name), "--prompt", "{text}") == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["one, or\n two", "three"]


def test_vectors_are_written_as_jsonl_and_npy(files: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("out.jsonl", "out.npy"):
        pipe_stdin(monkeypatch, b"one\ntwo\nthree\n")
        assert run("embed", "-", "-o", str(tmp_path / name), "--dimensions", "4", "--normalize") == 0
    rows = [json.loads(line)["embedding"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    data = (tmp_path / "out.npy").read_bytes()
    size, = struct.unpack("<H", data[8:10])
    assert data[:8] == b"\x93NUMPY\x01\x00" and (size + 10) % 64 == 0
    assert "'shape': (3, 4)" in data[10:10 + size].decode()
    assert struct.unpack("<12d", data[10 + size:]) == tuple(number for row in rows for number in row)
    if "numpy" in sys.modules:
        import numpy
        assert numpy.load(str(tmp_path / "out.npy")).tolist() == rows


def test_vectors_that_were_paid_for_are_written_when_the_rest_fails(
    files: Any, at_fake: FakeGemini, tmp_path: Any, capsys: Any,
) -> None:
    at_fake.services.insert(0, lambda request: Error(400, "no") if "line 150" in str(request.body) else None)
    (tmp_path / "a.txt").write_text("\n".join(f"line {number}" for number in range(200)))
    assert run("embed", str(tmp_path / "a.txt"), "-o", str(tmp_path / "out.jsonl"), "--concurrency", "1",
               "--dimensions", "2") == 1
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 100
    said = capsys.readouterr().err
    assert "100 of 200" in said and "makes all of them anew" in said
