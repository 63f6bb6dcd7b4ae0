"""Files: every kind of source, every state, and errors that say what to do."""
from __future__ import annotations

import datetime
import io
import json
import logging
import os
import pickle
import tempfile
from typing import Any, Iterator, List

import pytest

from gemini_lite import (
    CodeAssist, File, GeminiClient, JobFailedError, NotFoundError, ParseError, PermissionDeniedError, TransportError,
    TransportTimeout, media,
)
from gemini_lite.testing import Error, Raw

DATA = {"name": "files/a-1", "displayName": "A", "mimeType": "text/plain", "sizeBytes": "12", "state": "ACTIVE",
        "createTime": "2026-11-21T10:00:00.123456789Z", "expirationTime": "2026-11-23T11:00:00+01:00",
        "uri": "https://generativelanguage.googleapis.com/v1beta/files/a-1", "source": "UPLOADED", "sha256Hash": "x"}


class Pipe(io.RawIOBase):
    """A stream that can be read once."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._rest.read(size)


class SizedPipe(Pipe):
    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)

    def __len__(self) -> int:
        return self._size


def at_offset(data: bytes) -> io.BytesIO:
    file = io.BytesIO(b"----" + data)
    file.seek(4)
    return file


SOURCES = {
    "bytes": bytes, "bytearray": bytearray, "memoryview": memoryview, "file object": io.BytesIO,
    "file object behind its beginning": at_offset, "stream": Pipe, "stream of known size": SizedPipe,
    "iterable": lambda data: iter([data[:3], b"", data[3:]]), "list": lambda data: [data[:3], data[3:]],
}


@pytest.mark.parametrize("kind, size", [
    (kind, size) for kind in SOURCES for size in (0, 1, 100_000, 600_000)
    if size or kind != "file object behind its beginning"])
def test_every_kind_of_source_arrives_whole(ours: Any, service: Any, kind: str, size: int) -> None:
    data = os.urandom(size)
    file = ours.files.upload(SOURCES[kind](data), mime_type="application/x-a", chunk_size=1 << 18)
    assert service.contents[file.name] == data and file.size_bytes == size


@pytest.mark.parametrize("as_text", [False, True])
def test_a_path_gives_its_name_and_type(ours: Any, service: Any, fake: Any, tmp_path: Any, as_text: bool) -> None:
    path = tmp_path / "talk.mp4"
    path.write_bytes(b"abc")
    file = ours.files.upload(str(path) if as_text else path)
    assert file.mime_type == "video/mp4" and file.display_name is None
    assert fake.requests[0].headers["x-goog-upload-file-name"] == "talk.mp4"


@pytest.mark.parametrize("name", ["été.txt", "\u2603 snow\tman.txt", "日本.txt", " a.txt"])
def test_any_file_name_arrives(ours: Any, fake: Any, tmp_path: Any, name: str) -> None:
    (tmp_path / name).write_bytes(b"abc")
    file = ours.files.upload(tmp_path / name)
    assert file.display_name == name and fake.requests[0].headers["x-goog-upload-file-name"].isascii()


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_file_name_that_is_no_text_arrives(ours: Any, tmp_path: Any) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")
    try:
        open(name, "wb").close()
    except OSError:
        pytest.skip("this file system has no such names")
    assert ours.files.upload(name).display_name == "?.txt"


@pytest.mark.parametrize("name, data, mime_type", [
    ("a.jsonl", b"{}", "application/jsonl"), ("a.md", b"#", "text/markdown"), ("a", b"%PDF-1", "application/pdf"),
    ("README", "Gr\u00fc\u00dfe".encode(), "text/plain"), ("A.PNG", b"", "image/png"),
])
def test_the_type_is_told_by_the_name_then_by_the_first_bytes(
    ours: Any, tmp_path: Any, name: str, data: bytes, mime_type: str,
) -> None:
    (tmp_path / name).write_bytes(data)
    assert ours.files.upload(tmp_path / name).mime_type == mime_type


@pytest.mark.parametrize("name", ["a.jsonl", "a.md", "A.PY", "a.webp", "a.txt", "a.txt.gz", "a.jsonl.gz", "a.tgz"])
def test_a_name_tells_an_upload_what_it_tells_a_prompt(
    ours: Any, tmp_path: Any, name: str,
) -> None:
    (tmp_path / name).write_bytes(b"hello")
    try:
        inline = media.from_path(tmp_path / name)["inlineData"]["mimeType"]
    except ValueError as error:
        assert "is compressed" in str(error)
        with pytest.raises(ValueError, match="is compressed .* unpack it"):
            ours.files.upload(tmp_path / name)
        inline = None
    else:
        assert ours.files.upload(tmp_path / name).mime_type == inline
    linked = media.from_uri(f"https://example.com/{name}")["fileData"]
    assert linked.get("mimeType") == inline


@pytest.mark.parametrize("source, error, words", [
    (b"\0\1\2\xff", ValueError, "mime_type"), (io.StringIO("text"), TypeError, "'rb'"),
    (iter(["text"]), TypeError, "bytes"),
    ("no such file", ValueError, "cannot read"), (7, TypeError, "an iterable of bytes"),
])
def test_what_cannot_be_uploaded_is_refused_before_anything_is_sent(
    ours: Any, fake: Any, source: Any, error: Any, words: str,
) -> None:
    with pytest.raises(error, match=words):
        ours.files.upload(source)
    assert not fake.requests


def test_a_file_opened_as_text_is_refused(ours: Any, fake: Any, tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("abc")
    with open(tmp_path / "a.txt") as file, pytest.raises(TypeError, match="'rb'"):
        ours.files.upload(file)


@pytest.mark.parametrize("mime_type", ["text", "text/plain\r\nx: y", 7, ""])
def test_a_type_that_is_none_is_refused(ours: Any, mime_type: Any) -> None:
    with pytest.raises(ValueError, match="MIME type"):
        ours.files.upload(b"x", mime_type=mime_type)


@pytest.mark.parametrize("chunk_size", [0, -1, 1.5, True])
def test_a_chunk_size_that_is_none_is_refused(ours: Any, chunk_size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="chunk_size"):
        ours.files.upload(b"x", chunk_size=chunk_size)


def test_a_source_of_unknown_size_past_8_mib_is_kept_on_disk_and_that_is_logged(
    ours: Any, service: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: List[Any] = []
    real = tempfile.SpooledTemporaryFile
    monkeypatch.setattr(tempfile, "SpooledTemporaryFile",
                        lambda *args, **settings: made.append(real(*args, **settings)) or made[-1])

    def pieces() -> Iterator[bytes]:
        for _ in range(9):
            yield bytes(1 << 20)

    with caplog.at_level(logging.WARNING, "gemini_lite"):
        file = ours.files.upload(pieces(), mime_type="application/x-a")
    assert file.size_bytes == 9 << 20 and "temporary file" in caplog.text and made[0].closed


def test_what_the_caller_opened_stays_open(ours: Any) -> None:
    file = io.BytesIO(b"abc")
    ours.files.upload(file)
    assert not file.closed


def test_upload_waits_until_the_file_is_active(ours: Any, service: Any, no_sleep: List[float]) -> None:
    service.looks = 3
    assert ours.files.upload(b"abc", mime_type="video/mp4").state == "ACTIVE"
    assert no_sleep == [1.0, 1.5, 2.25]


def test_upload_need_not_wait(ours: Any, no_sleep: List[float]) -> None:
    file = ours.files.upload(b"abc", mime_type="video/mp4", wait=False)
    assert file.state == "PROCESSING" and not no_sleep
    seen: List[Any] = []
    assert ours.files.wait(file, progress=seen.append).state == "ACTIVE"
    assert [look.state for look in seen] == ["PROCESSING", "ACTIVE"]


@pytest.mark.parametrize("name", [{}, {"name": ""}, {"name": "files/a b"}, {"name": 5}])
def test_a_wait_looks_by_the_name_that_was_given_whatever_the_server_calls_it(
    ours: Any, fake: Any, no_sleep: List[float], name: Any,
) -> None:
    states = iter(["PROCESSING", "PROCESSING", "ACTIVE"])
    fake.services.insert(0, lambda request: Raw(json.dumps({**name, "state": next(states)}).encode()))
    assert ours.files.wait("files/abc").state == "ACTIVE"
    assert {request.path for request in fake.requests} == {"/v1beta/files/abc"}


def test_the_waits_grow_up_to_the_longest(ours: Any, service: Any, no_sleep: List[float]) -> None:
    service.looks = 6
    file = ours.files.upload(b"abc", mime_type="video/mp4", wait=False)
    ours.files.wait(file.name, poll=(2, 5))
    assert no_sleep == [2.0, 3.0, 4.5, 5.0, 5.0]


def test_a_file_that_fails_raises_the_servers_reason(ours: Any, service: Any) -> None:
    service.broken[b"abc"] = "the codec is unknown"
    with pytest.raises(JobFailedError, match="the codec is unknown") as caught:
        ours.files.upload(b"abc", mime_type="video/mp4")
    assert caught.value.job.state == "FAILED"


def test_a_wait_ends_at_its_deadline_with_the_file(ours: Any, service: Any) -> None:
    service.looks = 10 ** 6
    with pytest.raises(TransportTimeout, match="PROCESSING") as caught:
        ours.files.upload(b"abc", mime_type="video/mp4", deadline=0.3)
    assert caught.value.reason == "DEADLINE" and caught.value.job.state == "PROCESSING"


@pytest.mark.parametrize("poll", [(1,), (0, 1), "soon", (1, 2, 3), -1])
def test_a_poll_that_is_none_is_refused(ours: Any, service: Any, poll: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="poll"):
        ours.files.wait(File(DATA), poll=poll)


def test_a_file_is_an_item_of_a_prompt(ours: Any, fake: Any) -> None:
    fake.reply("A talk.")
    file = ours.files.upload(b"abc", mime_type="text/plain")
    ours.generate(["Summarise.", file])
    assert fake.requests[-1].body["contents"][0]["parts"] == [
        {"text": "Summarise."}, {"fileData": {"fileUri": file.uri, "mimeType": "text/plain"}}]
    fake.reply("Yes.")
    assert ours.send_message(file).text == "Yes."


def test_a_file_reads_by_attributes_and_pickles() -> None:
    file = File(DATA)
    assert (file.name, file.size_bytes, file.source, file.sha256_hash) == ("files/a-1", 12, "UPLOADED", "x")
    assert file.create_time == datetime.datetime(2026, 11, 21, 10, 0, 0, 123456, datetime.timezone.utc)
    assert file.expiration_time == datetime.datetime(2026, 11, 23, 10, tzinfo=datetime.timezone.utc)
    assert pickle.loads(pickle.dumps(file)) == file and file.data == DATA
    assert "files/a-1" in repr(file) and "<td" in file._repr_html_()


@pytest.mark.parametrize("odd", [None, 7, [], {}, "x" * 50, True, "2026-99-99T00:00:00Z"])
def test_odd_values_read_as_absent_or_as_they_are(odd: Any) -> None:
    file = File({name: odd for name in DATA})
    for name in dir(File):
        if not name.startswith("_") and name != "to_part":
            getattr(file, name)
    assert file.size_bytes in (None, 7) and file.create_time is None
    repr(file), file._repr_html_()


@pytest.mark.parametrize("given", ["files/a-1", "a-1", DATA["uri"], DATA["uri"] + ":download?alt=media", File(DATA)])
def test_a_file_is_named_in_every_way(ours: Any, service: Any, fake: Any, given: Any) -> None:
    service.add(b"abc", name="files/a-1", source="UPLOADED")
    assert ours.files.get(given).name == "files/a-1"
    assert fake.requests[-1].path == "/v1beta/files/a-1"


@pytest.mark.parametrize("given", ["", "../models", "files/..", "files/a/b", "a b", "files/", "a?b", 7])
def test_a_name_that_leaves_its_path_is_refused(ours: Any, fake: Any, given: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="name"):
        ours.files.get(given)
    assert not fake.requests


def test_a_list_fetches_its_pages_as_they_are_needed(ours: Any, service: Any, fake: Any) -> None:
    for number in range(5):
        service.add(b"abc", name=f"files/f{number}")
    files = ours.files.list(page_size=2)
    assert not fake.requests
    assert next(files).name == "files/f4" and len(fake.requests) == 1
    assert [file.name for file in files] == ["files/f3", "files/f2", "files/f1", "files/f0"]
    assert [request.path for request in fake.requests] == [
        "/v1beta/files?pageSize=2", "/v1beta/files?pageSize=2&pageToken=2", "/v1beta/files?pageSize=2&pageToken=4"]


def test_a_page_token_that_comes_again_ends_the_list_with_an_error(ours: Any, fake: Any) -> None:
    fake.services.insert(0, lambda request: Raw(json.dumps({"files": [DATA], "nextPageToken": "t"}).encode()))
    with pytest.raises(ParseError, match="a second time"):
        list(ours.files.list())


def test_a_deleted_file_is_gone_and_the_error_names_the_causes(ours: Any, service: Any) -> None:
    file = ours.files.upload(b"abc")
    ours.files.delete(file)
    with pytest.raises(PermissionDeniedError) as caught:
        ours.files.get(file)
    for cause in ("48 hours", "another key", "name", "billing"):
        assert cause in str(caught.value)


def test_a_file_that_is_not_ready_is_explained(ours: Any, fake: Any) -> None:
    fake.error(400, "The File x is not in an ACTIVE state and usage is not allowed.", "FAILED_PRECONDITION")
    with pytest.raises(Exception, match="client.files.wait"):
        ours.generate([File(DATA), "?"])


def test_files_expire(ours: Any, service: Any) -> None:
    now = [datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)]
    service._now = lambda: now[0]
    file = ours.files.upload(b"abc")
    now[0] += datetime.timedelta(hours=49)
    with pytest.raises(PermissionDeniedError):
        ours.files.get(file)


def test_a_backend_without_files_says_what_to_do_instead(fake: Any) -> None:
    with GeminiClient(backend=CodeAssist(lambda: "token", endpoints=[fake.url])) as client:
        for call in (lambda: client.files.upload(b"x"), lambda: client.files.list(), lambda: client.files.get("a"),
                     lambda: client.files.delete("a"), lambda: client.files.download("a")):
            with pytest.raises(ValueError, match="inline.*gs://"):
                call()
    assert not fake.requests


def test_a_generated_file_is_downloaded(ours: Any, service: Any, fake: Any, tmp_path: Any) -> None:
    file = File(service.add(b"result" * 1000))
    assert ours.files.download(file) == b"result" * 1000
    assert ours.files.download(file.name) == b"result" * 1000
    path = ours.files.download(file, tmp_path / "result")
    assert path == tmp_path / "result" and path.read_bytes() == b"result" * 1000
    assert [name for name in os.listdir(tmp_path)] == ["result"]


def test_an_uploaded_file_is_not_downloaded(ours: Any, fake: Any) -> None:
    with pytest.raises(ValueError, match="gives back only"):
        ours.files.download(File(DATA))
    assert not fake.requests


def test_a_download_that_is_not_at_its_usual_place_is_tried_at_the_other(ours: Any, fake: Any) -> None:
    fake.services.insert(0, lambda request: Raw(b"abc") if request.path.startswith("/download/") else Error(404, "no"))
    assert ours.files.download("files/g") == b"abc"
    fake.services.insert(0, lambda request: Error(404, "no"))
    with pytest.raises(NotFoundError):
        ours.files.download("files/g")


def test_a_download_that_breaks_off_is_made_again_and_leaves_nothing_half(
    ours: Any, service: Any, fake: Any, tmp_path: Any,
) -> None:
    file = File(service.add(b"result" * 1000))
    cut = [Raw(b"resu", headers={"Content-Length": "6000"}, cut=True)] * 2
    fake.services.insert(0, lambda request: cut.pop() if cut else None)
    assert ours.files.download(file, tmp_path / "result").read_bytes() == b"result" * 1000
    cut += [Raw(b"resu", headers={"Content-Length": "6000"}, cut=True)] * 9
    with pytest.raises(TransportError):
        ours.files.download(file, tmp_path / "other")
    assert os.listdir(tmp_path) == ["result"]


def redirect(location: str) -> Raw:
    return Raw(b"", status=302, headers={"Location": location})


@pytest.mark.parametrize("hops", [1, 3])
def test_a_download_follows_up_to_three_redirects(ours: Any, fake: Any, hops: int) -> None:
    fake.services.insert(0, lambda request: Raw(b"abc") if request.path == f"/{hops}" else redirect(
        f"/{int(request.path[1:]) + 1 if request.path[1:].isdecimal() else 1}"))
    assert ours.files.download("files/g") == b"abc"
    assert all("x-goog-api-key" in request.headers for request in fake.requests)


def test_a_download_that_is_redirected_for_ever_ends(ours: Any, fake: Any) -> None:
    fake.services.insert(0, lambda request: redirect("/again"))
    with pytest.raises(TransportError, match="more than 3"):
        ours.files.download("files/g")
    assert len(fake.requests) == 4


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/x", "http://example.com/x", "ftp://example.com", "//[", ""])
def test_a_download_is_not_redirected_to_what_is_not_https(ours: Any, fake: Any, location: str) -> None:
    fake.services.insert(0, lambda request: redirect(location))
    with pytest.raises(Exception) as caught:
        ours.files.download("files/g")
    assert type(caught.value).__module__ == "gemini_lite.errors" and len(fake.requests) == 1


def test_the_key_does_not_follow_to_another_origin(ours: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from gemini_lite.testing import FakeGemini
    monkeypatch.setattr("gemini_lite.api.downloads.check_https", lambda url, endpoint: url)  # no TLS in this test
    with FakeGemini() as elsewhere:
        elsewhere.services.append(lambda request: Raw(b"abc"))
        fake.services.insert(0, lambda request: redirect(elsewhere.url + "/signed"))
        assert ours.files.download("files/g") == b"abc"
        assert "x-goog-api-key" not in elsewhere.requests[0].headers


def test_no_other_errors_than_ours_come_of_odd_lists(ours: Any, fake: Any) -> None:
    answers = [b"{}", b'{"files": 7}', b'{"files": [7, null, {}]}', b'{"files": null, "nextPageToken": 7}']
    for answer in answers:
        fake.services.insert(0, lambda request, answer=answer: Raw(answer))
        assert len(list(ours.files.list())) <= 1


def test_a_page_token_that_is_no_text_is_sent_all_the_same(ours: Any, fake: Any) -> None:
    pages = iter([rb'{"nextPageToken": "\ud800"}', b'{"files": [{"name": "files/a"}]}'])
    fake.services.insert(0, lambda request: Raw(next(pages)))
    assert [file.name for file in ours.files.list()] == ["files/a"]
