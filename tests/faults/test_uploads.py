"""The fault matrix of the upload: each chunk, each fault, each amount that arrived, each answer to what is asked then.

In every cell the file is whole, there is one of it, no byte that the server had was sent again, the end was not sent
again without asking, and no connection is left. A fault that stays ends in an error, with what is needed to go on.
"""
from __future__ import annotations

import itertools
import random
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import pytest
import requests

from gemini_lite import DeveloperAPI, GeminiClient, GeminiError
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.testing.files_service import FilesService, Loss

DATA = random.Random(16).randbytes(100) if hasattr(random.Random, "randbytes") else bytes(range(100))
CHUNK = 40
SILENCE = 0.25  # seconds that a client bears
ACTIVE = {"X-Goog-Upload-Status": "active"}

FAULTS: Dict[str, Any] = {  # what comes in place of the true answer
    "the connection ends": Raw(status=None),
    "half a head": Raw(b"HTTP/1.1 200 O", status=None),
    "half a body": Raw(b"{}", headers={**ACTIVE, "Content-Length": "99"}, cut=True),
    "not HTTP": Raw(b"\0\1\2\3\r\n\r\n", status=None),
    "silence": Raw(b"", b"HTTP/1.1 200 OK\r\n\r\n", status=None, delay=2 * SILENCE),
    "no status": Raw(b"{}"),
    "another status": Raw(b"{}", headers={"X-Goog-Upload-Status": "unheard of"}),
    "a page": Raw(b"<html>busy</html>", status=502, headers={"Content-Type": "text/html"}),
    **{str(code): Error(code, "no") for code in (408, 429, 499, 500, 502, 503, 504)},
    "503 that calls itself final": Error(503, "no", headers={"X-Goog-Upload-Status": "final"}),
}
QUESTIONS: Dict[str, List[Loss]] = {  # what becomes of the question after a fault
    "answered": [], "lost": [Loss(None, Raw(status=None))], "503": [Loss(None, Error(503, "no"))],
    "no status": [Loss(None, Raw(b"{}"))], "no size": [Loss(None, Raw(b"{}", headers=ACTIVE))],
    "lost twice": [Loss(None, Raw(status=None))] * 2,
}
KEPT: Dict[str, Optional[int]] = {"nothing": 0, "some": 12, "all": None}


class Cell(NamedTuple):
    chunk: int
    fault: str
    kept: str
    question: str
    session: str


CELLS = [Cell(*values) for values in itertools.product((0, 1, 2), FAULTS, KEPT, QUESTIONS, ("own", "given"))
         if values[4] == "own" or values[3] == "answered"]


def made(fake: FakeGemini, cell: Cell) -> Iterator[GeminiClient]:
    session = requests.Session() if cell.session == "given" else None
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url), session=session,
                      timeout=(5, SILENCE)) as client:
        yield client
    if session is not None:
        session.close()


@pytest.fixture
def service(fake: FakeGemini, no_sleep: List[float]) -> FilesService:
    service = FilesService(granularity=4)
    fake.services.insert(0, service)
    return service


def check(fake: FakeGemini, service: FilesService) -> None:
    """The laws that hold in every cell."""
    session, = service.sessions.values()
    assert list(service.contents.values()) == [DATA] and session.taken_twice == 0
    kinds = [request.headers.get("x-goog-upload-command", "") for request in fake.requests]
    ends = [index for index, kind in enumerate(kinds) if "finalize" in kind]
    for before, after in zip(ends, ends[1:]):
        assert "query" in kinds[before:after]
    assert kinds.count("start") == 1


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_nothing_is_lost_or_sent_twice_by_a_fault_that_passes(
    fake: FakeGemini, service: FilesService, chunk: int, question: str,
) -> None:
    for cell in CELLS:
        if (cell.chunk, cell.question) != (chunk, question):
            continue
        fake.requests.clear()
        service.files.clear(), service.contents.clear(), service.sessions.clear()
        service.lose(*[Loss()] * chunk, Loss(KEPT[cell.kept], FAULTS[cell.fault]))
        service.lose(*QUESTIONS[question], command="query")
        for client in made(fake, cell):
            try:
                client.files.upload(DATA, mime_type="application/x-a", chunk_size=CHUNK)
                check(fake, service)
            except BaseException as error:
                raise AssertionError(f"{cell}: {error!r}") from error


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_fault_that_stays_ends_in_an_error_to_go_on_from(
    fake: FakeGemini, service: FilesService, chunk: int, fault: str,
) -> None:
    cell = Cell(chunk, fault, "some", "answered", "own")
    service.lose(*[Loss()] * chunk, *[Loss(0, FAULTS[fault])] * 5)
    for client in made(fake, cell):
        with pytest.raises(GeminiError) as caught:
            client.files.upload(DATA, mime_type="application/x-a", chunk_size=CHUNK)
        assert caught.value.upload.offset == CHUNK * chunk
        client.files.upload(DATA, resume=caught.value.upload)
    check(fake, service)


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_source_that_cannot_seek_goes_on_too(
    fake: FakeGemini, service: FilesService, chunk: int, kept: str,
) -> None:
    service.lose(*[Loss()] * chunk, Loss(KEPT[kept], FAULTS["503"]))
    for client in made(fake, Cell(chunk, "503", kept, "answered", "own")):
        client.files.upload(iter([DATA[:33], DATA[33:]]), mime_type="application/x-a", chunk_size=CHUNK)
    check(fake, service)


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_silence_lasts_until_the_deadline_at_most(fake: FakeGemini, service: FilesService, chunk: int) -> None:
    service.lose(*[Loss()] * chunk, Loss(0, Raw(b"", b"x", status=None, delay=30)))
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        with pytest.raises(GeminiError) as caught:
            client.files.upload(DATA, mime_type="application/x-a", chunk_size=CHUNK, deadline=0.5)
    assert caught.value.reason == "DEADLINE" and caught.value.upload.offset == CHUNK * chunk
