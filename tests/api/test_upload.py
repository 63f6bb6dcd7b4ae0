"""The resumable upload: nothing is lost, nothing that the server has is sent again, nothing is finished twice."""
from __future__ import annotations

import codecs
import io
import os
import pickle
import stat
import tempfile
from typing import Any, List

import pytest
from api.conftest import commands

from gemini_lite import DeveloperAPI, GeminiClient, GeminiError, UploadState
from gemini_lite.testing import Error, Raw
from gemini_lite.testing.files_service import Loss

DATA = bytes(range(256)) * 2
LOST = Raw(status=None)  # the connection ends without an answer


def broken_off(ours: Any, service: Any, **arguments: Any) -> UploadState:
    """The state of an upload of DATA that broke off behind byte 256."""
    service.lose(Loss(), Loss(0, Error(403, "not now")))
    with pytest.raises(GeminiError) as caught:
        ours.files.upload(DATA, mime_type="application/x-a", chunk_size=256, **arguments)
    return caught.value.upload


def test_a_file_is_sent_in_chunks_and_finished_with_the_last(ours: Any, service: Any, fake: Any) -> None:
    file = ours.files.upload(DATA, mime_type="application/x-a", chunk_size=200)
    assert service.contents[file.name] == DATA
    assert commands(fake) == ["start", "upload 0", "upload 200", "upload, finalize 400"]


def test_an_exact_multiple_is_finished_with_its_last_full_chunk(ours: Any, fake: Any) -> None:
    ours.files.upload(DATA, mime_type="application/x-a", chunk_size=256)
    assert commands(fake) == ["start", "upload 0", "upload, finalize 256"]


def test_an_empty_file_is_one_empty_last_chunk(ours: Any, service: Any, fake: Any) -> None:
    file = ours.files.upload(b"", mime_type="text/plain")
    assert (file.size_bytes, service.contents[file.name]) == (0, b"")
    assert commands(fake) == ["start", "upload, finalize 0"]


@pytest.mark.parametrize("granularity", [None, 0, 1, 7, 300])
def test_chunks_are_multiples_of_what_the_server_asks_for(
    ours: Any, service: Any, fake: Any, granularity: Any,
) -> None:
    service.granularity = granularity
    file = ours.files.upload(DATA, mime_type="application/x-a", chunk_size=100)
    assert service.contents[file.name] == DATA
    assert commands(fake)[2].split()[1] == {7: "98", 300: "finalize"}.get(granularity, "100")


@pytest.mark.parametrize("loss", [Loss(0, LOST), Loss(60, LOST), Loss(None, LOST), Loss(60, Error(503)),
                                  Loss(None, Error(500)), Loss(0, Error(429)), Loss(60, Error(408)),
                                  Loss(60, Raw(b"{}"))],
                         ids=["nothing arrived", "some", "all", "503", "500", "429", "408", "no status"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_after_a_loss_the_upload_goes_on_where_the_server_is(
    ours: Any, service: Any, fake: Any, loss: Loss, place: int,
) -> None:
    service.lose(*[Loss()] * place, loss)
    file = ours.files.upload(DATA, mime_type="application/x-a", chunk_size=200)
    session, = service.sessions.values()
    assert service.contents[file.name] == DATA and session.taken_twice == 0
    assert commands(fake).count("query") == 1 and commands(fake).count("start") == 1


def test_a_lost_end_is_asked_for_and_not_repeated(ours: Any, service: Any, fake: Any) -> None:
    service.lose(Loss(None, LOST))
    file = ours.files.upload(DATA, mime_type="application/x-a")
    assert commands(fake) == ["start", "upload, finalize 0", "query"] and list(service.files) == [file.name]


@pytest.mark.parametrize("name", ["mine", None])
def test_an_end_without_a_file_in_its_answer_is_looked_up(ours: Any, service: Any, fake: Any, name: Any) -> None:
    ours.files.upload(b"other", mime_type="application/x-a")
    service.answers_queries_with_file = False
    file = ours.files.upload(DATA, mime_type="application/x-a", name=name)
    assert file.size_bytes == len(DATA) and len(service.files) == 2
    assert fake.requests[-1].path.split("?")[0] == ("/v1beta/files/mine" if name else "/v1beta/files")


def test_an_end_that_two_files_could_be_of_is_an_error(ours: Any, service: Any) -> None:
    ours.files.upload(DATA, mime_type="application/x-a")
    service.answers_queries_with_file = False
    with pytest.raises(GeminiError, match="did not say what file") as caught:
        ours.files.upload(DATA, mime_type="application/x-a")
    assert caught.value.reason == "FILE_NOT_FOUND"


def test_a_server_that_goes_on_losing_ends_the_upload(ours: Any, service: Any, fake: Any) -> None:
    service.lose(*[Loss(0, Error(503, "no"))] * 9)
    with pytest.raises(GeminiError, match="no") as caught:
        ours.files.upload(DATA, mime_type="application/x-a")
    assert commands(fake).count("query") == 4 and caught.value.upload.offset == 0


def test_losses_are_counted_anew_once_the_server_has_got_further(ours: Any, service: Any) -> None:
    service.lose(*[Loss(kept, Error(503)) for kept in (8, 0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 0)])
    file = ours.files.upload(DATA, mime_type="application/x-a")
    assert service.contents[file.name] == DATA


def test_without_retries_the_first_loss_is_the_end(service: Any, fake: Any) -> None:
    service.lose(Loss(0, Error(503)))
    with GeminiClient(backend=DeveloperAPI("k", base_url=fake.url), retries=0) as client:
        with pytest.raises(GeminiError) as caught:
            client.files.upload(DATA, mime_type="application/x-a")
    assert commands(fake) == ["start", "upload, finalize 0"] and caught.value.upload is not None


def test_a_refusal_is_raised_at_once_with_the_servers_words(ours: Any, service: Any, fake: Any) -> None:
    service.lose(Loss(0, Error(400, "File is too large", headers={"X-Goog-Upload-Status": "final"})))
    with pytest.raises(GeminiError, match="File is too large"):
        ours.files.upload(DATA, mime_type="application/x-a")
    assert commands(fake) == ["start", "upload, finalize 0"]


def test_a_refused_start_shows_the_servers_words(ours: Any, service: Any) -> None:
    service.lose(Loss(None, Error(400, "no such thing")), command="start")
    with pytest.raises(GeminiError, match="no such thing"):
        ours.files.upload(DATA, mime_type="application/x-a")


def test_a_start_that_is_refused_for_its_size_says_how_much_there_may_be(ours: Any, service: Any) -> None:
    service.lose(Loss(None, Error(400, "The file size exceeds the limit.")), command="start")
    with pytest.raises(GeminiError, match="2 GB.*20 GB.*client.files.delete"):
        ours.files.upload(DATA, mime_type="application/x-a")


def test_a_state_that_leads_to_what_is_not_https_is_refused(ours: Any, service: Any, fake: Any) -> None:
    state = broken_off(ours, service)
    state.url = type(state.url)("http://example.com/upload?id=1")  # type: ignore[misc, call-arg]
    with pytest.raises(GeminiError, match="not https"):
        ours.files.upload(DATA, resume=state)


def test_a_start_without_an_upload_url_is_an_error_that_shows_the_body(ours: Any, service: Any) -> None:
    service.lose(Loss(None, Raw(b'{"hm": 1}')), command="start")
    with pytest.raises(GeminiError, match="hm") as caught:
        ours.files.upload(DATA, mime_type="application/x-a")
    assert caught.value.reason == "NO_UPLOAD_URL"


def test_a_start_is_made_again(ours: Any, service: Any, fake: Any) -> None:
    service.lose(Loss(None, Error(503)), Loss(None, LOST), command="start")
    assert ours.files.upload(DATA, mime_type="application/x-a").size_bytes == len(DATA)
    assert commands(fake).count("start") == 3


def test_the_key_goes_with_the_start_and_never_to_the_session(ours: Any, service: Any, fake: Any) -> None:
    service.lose(Loss(10, LOST))
    ours.files.upload(DATA, mime_type="application/x-a")
    assert [request.headers.get("x-goog-api-key") for request in fake.requests] == ["test-key", None, None, None]


def test_a_session_elsewhere_is_reached_over_the_base_url(ours: Any, service: Any, fake: Any) -> None:
    moved = {"X-Goog-Upload-URL": "https://upload.example.com/upload/v1beta/files?upload_id=UPL1"}
    start = service._start

    def elsewhere(request: Any) -> Any:
        answer = start(request).render(request, 1)
        answer.headers.update({name.lower(): value for name, value in moved.items()})
        return answer

    service._start = elsewhere
    assert ours.files.upload(DATA, mime_type="application/x-a").size_bytes == len(DATA)
    assert fake.requests[1].path == "/upload/v1beta/files?upload_id=UPL1"


@pytest.mark.parametrize("headers", [
    {"X-Goog-Upload-Size-Received": "99999"}, {"X-Goog-Upload-Size-Received": "0"}, {}, {"X-Goog-Upload-Status": "odd"},
    {"X-Goog-Upload-Size-Received": "-1"}, {"X-Goog-Upload-Size-Received": "9" * 5000},
])
def test_a_server_that_contradicts_itself_ends_in_an_error(ours: Any, service: Any, headers: Any) -> None:
    odd = Raw(b"{}", headers={"X-Goog-Upload-Status": "active", **headers})
    service.lose(*[Loss(None, odd)] * 50)
    service.lose(*[Loss(None, odd)] * 50, command="query")
    with pytest.raises(GeminiError) as caught:
        ours.files.upload(DATA, mime_type="application/x-a", chunk_size=64)
    assert caught.value.upload is not None


def test_a_cancelled_upload_is_an_error(ours: Any, service: Any) -> None:
    service.lose(Loss(None, Raw(b"", headers={"X-Goog-Upload-Status": "cancelled"})))
    with pytest.raises(GeminiError, match="cancelled"):
        ours.files.upload(DATA, mime_type="application/x-a")


def test_an_interrupted_upload_goes_on_with_its_state(ours: Any, service: Any, fake: Any) -> None:
    state = broken_off(ours, service)
    file = ours.files.upload(DATA, resume=state)
    session, = service.sessions.values()
    assert service.contents[file.name] == DATA and session.taken_twice == 0
    assert commands(fake)[3:] == ["query", "upload, finalize 256"] and file.mime_type == "application/x-a"


def test_a_saved_state_goes_on_in_another_process(ours: Any, service: Any, fake: Any, tmp_path: Any) -> None:
    state = broken_off(ours, service, display_name="Big \N{SNOWMAN}", name="big")
    state.save(tmp_path / "state")
    assert stat.S_IMODE(os.stat(tmp_path / "state").st_mode) == 0o600 or os.name == "nt"
    loaded = UploadState.load(tmp_path / "state")
    assert loaded == state
    with GeminiClient(backend=DeveloperAPI("k", base_url=fake.url)) as other:
        file = other.files.upload(io.BytesIO(DATA), resume=loaded)
    assert (file.name, file.display_name, service.contents[file.name]) == ("files/big", "Big \N{SNOWMAN}", DATA)


@pytest.mark.parametrize("start", [0, 100])
def test_an_open_file_stays_where_it_stood_and_can_be_resumed(
    ours: Any, service: Any, tmp_path: Any, start: int,
) -> None:
    (tmp_path / "data").write_bytes(b"x" * start + DATA)
    with open(tmp_path / "data", "rb") as file:
        file.seek(start)
        service.lose(Loss(), Loss(0, Error(403, "not now")))
        with pytest.raises(GeminiError) as caught:
            ours.files.upload(file, mime_type="application/x-a", chunk_size=256)
        assert file.tell() == start
        again = ours.files.upload(file, resume=caught.value.upload)
        anew = ours.files.upload(file, mime_type="application/x-a")
    assert service.contents[again.name] == service.contents[anew.name] == DATA


@pytest.mark.parametrize("make", [lambda path: open(path, "w+b"), lambda path: io.BytesIO()], ids=["file", "memory"])
def test_a_file_that_was_just_written_and_stands_at_its_end_is_no_empty_upload(
    ours: Any, fake: Any, tmp_path: Any, make: Any,
) -> None:
    with make(tmp_path / "data") as file:
        file.write(DATA)
        with pytest.raises(ValueError, match=r"stands at its end \(byte 512\).*file.seek\(0\)"):
            ours.files.upload(file, mime_type="application/x-a")
    assert fake.requests == []


@pytest.mark.parametrize("make", [
    lambda path: tempfile.NamedTemporaryFile("w+"), lambda path: tempfile.SpooledTemporaryFile(mode="w+"),
    lambda path: codecs.open(path, "r", "utf-8"), lambda path: open(path, encoding="utf-8"),
    lambda path: io.StringIO("text")], ids=["named", "spooled", "codecs", "open", "memory"])
@pytest.mark.parametrize("mime_type", [None, "text/plain"])
def test_a_file_of_text_is_refused_whatever_its_kind(
    ours: Any, fake: Any, tmp_path: Any, make: Any, mime_type: Any,
) -> None:
    (tmp_path / "data").write_text("text")
    with make(tmp_path / "data") as file:
        if "w" in (getattr(file, "mode", None) or ""):
            file.write("text")
            file.seek(0)
        with pytest.raises(TypeError, match="with 'rb'"):
            ours.files.upload(file, mime_type=mime_type)
    assert fake.requests == []


def test_a_resumed_source_that_cannot_seek_is_read_up_to_where_the_server_is(ours: Any, service: Any) -> None:
    state = broken_off(ours, service)
    file = ours.files.upload(iter([DATA[:100], DATA[100:]]), resume=state)
    assert service.contents[file.name] == DATA


def test_a_resumed_upload_that_is_complete_gives_its_file(ours: Any, service: Any) -> None:
    service.lose(Loss(None, Error(403, "not now")))
    with pytest.raises(GeminiError) as caught:
        ours.files.upload(DATA, mime_type="application/x-a")
    assert ours.files.upload(DATA, resume=caught.value.upload).name == list(service.files)[0]


@pytest.mark.parametrize("other, words", [(DATA + b"x", "513 bytes"), (b"x" + DATA[1:], "other bytes")])
def test_another_source_is_refused(ours: Any, service: Any, fake: Any, other: bytes, words: str) -> None:
    state = broken_off(ours, service)
    sent = len(fake.requests)
    with pytest.raises(ValueError, match=words):
        ours.files.upload(other, resume=state)
    assert len(fake.requests) == sent


@pytest.mark.parametrize("resume", ["state.json", {"url": "u"}, 5])
def test_what_is_no_state_of_an_upload_is_refused_with_what_is(ours: Any, fake: Any, resume: Any) -> None:
    with pytest.raises(TypeError, match="resume is the UploadState of an error"):
        ours.files.upload(DATA, resume=resume)
    assert not fake.requests


def test_a_session_that_is_gone_says_so(ours: Any, service: Any) -> None:
    state = broken_off(ours, service)
    service.sessions.clear()
    with pytest.raises(GeminiError, match="no longer knows this upload"):
        ours.files.upload(DATA, resume=state)


def test_the_url_of_a_session_is_not_shown_pickled_or_logged(
    ours: Any, service: Any, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(0)
    state = broken_off(ours, service)
    assert "UPL1" not in repr(state) + str(vars(state)) + caplog.text and state.url is not None
    copy = pickle.loads(pickle.dumps(state))
    assert copy.url is None and copy.size == state.size and b"UPL1" not in pickle.dumps(state)
    with pytest.raises(ValueError, match="save"):
        ours.files.upload(DATA, resume=copy)
    with pytest.raises(ValueError, match="pickled"):
        copy.save("nowhere")


def test_the_url_of_a_session_is_in_no_frame_of_an_error(ours: Any, service: Any) -> None:
    service.lose(*[Loss(0, LOST)] * 9)
    try:
        ours.files.upload(DATA, mime_type="application/x-a")
        raise AssertionError
    except GeminiError as error:
        frames, trace = "", error.__traceback__
        while trace is not None:
            frames += "".join(repr(value) for name, value in trace.tb_frame.f_locals.items()
                              if trace.tb_frame.f_code.co_filename != __file__)
            trace = trace.tb_next
        assert "upload_id" not in frames and error.__context__ is None and error.__cause__ is None


@pytest.mark.parametrize("text", [
    b"", b"[]", b"{}", b"no", b'{"url": 1}', b'{"url": 1, "size": 1, "mime_type": "m"}',
    b'{"url": "", "size": 1, "mime_type": "m"}', b'{"url": "u", "size": "x", "mime_type": "m"}',
    b'{"url": "u", "size": 1, "mime_type": "m", "other": 1}'])
def test_a_file_that_holds_no_state_is_refused(text: bytes, tmp_path: Any) -> None:
    (tmp_path / "state").write_bytes(text)
    with pytest.raises(ValueError, match="holds no upload"):
        UploadState.load(tmp_path / "state")


def test_progress_is_told_what_the_server_has(ours: Any, service: Any) -> None:
    seen: List[Any] = []
    service.lose(Loss(), Loss(60, LOST))
    ours.files.upload(DATA, mime_type="application/x-a", chunk_size=200, progress=lambda *pair: seen.append(pair))
    assert seen == [(200, 512), (260, 512), (460, 512), (512, 512)]


def test_a_bar_ends_at_a_hundred_per_cent(ours: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ours.files.upload(DATA, mime_type="application/x-a", progress=True)
    assert "100 %" in capsys.readouterr().err


def test_a_deadline_ends_an_upload_whose_server_is_silent(client: Any, serve: Any) -> None:
    def handle(peer: Any) -> None:
        peer.request()
        peer.answer(b"{}", headers=f"X-Goog-Upload-URL: {url[0]}/upload?id=1")
        peer.request()
        peer.sock.recv(1)

    url = [""]
    url[0] = serve(handle)
    with pytest.raises(GeminiError) as caught:
        client(url[0]).files.upload(DATA, mime_type="application/x-a", deadline=0.5)
    assert caught.value.reason == "DEADLINE" and caught.value.upload is not None


def test_a_source_that_fails_while_it_is_sent_raises_its_own_error(ours: Any, fake: Any) -> None:
    class Failing(io.BytesIO):
        def read(self, size: Any = -1) -> bytes:
            if self.tell() >= 1 << 20:
                raise OSError(5, "the disk is broken")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is broken") as caught:
        ours.files.upload(Failing(bytes(3 << 20)), mime_type="application/x-a")
    assert commands(fake) == ["start"] and caught.value.upload.size == 3 << 20  # type: ignore[attr-defined]


def test_a_source_that_shrinks_while_it_is_sent_is_an_error(ours: Any, tmp_path: Any) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(1 << 20))
    with pytest.raises(ValueError, match="fewer bytes"):
        ours.files.upload(path, mime_type="application/x-a", chunk_size=1 << 19,
                          progress=lambda done, size: os.truncate(path, 1 << 19))
