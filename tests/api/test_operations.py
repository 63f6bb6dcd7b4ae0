"""What takes several requests: `close` ends its pauses, its errors count all requests, and a deadline holds for it."""
from __future__ import annotations

import json
import threading
import time
from typing import Any, Callable, Dict, List, Union

import pytest

from gemini_lite import GeminiClient, GeminiError, TransportError
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.testing.files_service import FilesService, Loss
from gemini_lite.transport import retry

BUSY = Error(503, "busy", headers={"Retry-After": "30"})
SPENT = Error(429, "too many", headers={"Retry-After": "30"})


def answers(fake: FakeGemini, reply: Union[Error, Dict[str, Any]]) -> None:
    """Let `fake` answer everything with `reply`."""
    fake.services.insert(0, lambda request: reply if isinstance(reply, Error) else Raw(json.dumps(reply).encode()))


def upload_in_chunks(fake: FakeGemini) -> None:
    service = FilesService(granularity=4)
    service.lose(*[Loss(0, BUSY)] * 9)
    fake.services.insert(0, service)


PAUSES: Dict[str, Any] = {
    "files.get": (BUSY, lambda client: client.files.get("files/a")),
    "files.download": (BUSY, lambda client: client.files.download("files/a")),
    "files.upload": (BUSY, lambda client: client.files.upload(b"abc", mime_type="text/plain")),
    "chunk": (upload_in_chunks, lambda client: client.files.upload(b"abc", mime_type="text/plain")),
    "files.wait": ({"name": "files/a", "state": "PROCESSING"}, lambda client: client.files.wait("files/a", poll=30)),
    "caches.create": (SPENT, lambda client: client.caches.create("a", model="m")),
    "batches.wait": ({"name": "batches/a", "metadata": {"state": "BATCH_STATE_RUNNING"}},
                     lambda client: client.batches.wait("batches/a", poll=30)),
    "interactions.wait": ({"id": "i", "status": "in_progress"}, lambda client: client.interactions.wait("i", poll=30)),
}


@pytest.mark.parametrize("name", PAUSES)
def test_close_ends_what_pauses_between_two_requests(
        name: str, fake: FakeGemini, client: Callable[..., GeminiClient], monkeypatch: pytest.MonkeyPatch) -> None:
    reply, call = PAUSES[name]
    reply(fake) if callable(reply) else answers(fake, reply)
    sleep, pauses, ends = retry.sleep, threading.Event(), []

    def noted_sleep(seconds: float) -> None:
        pauses.set()
        sleep(seconds)

    monkeypatch.setattr("gemini_lite.transport.retry.sleep", noted_sleep)
    ours = client(fake)

    def run() -> None:
        try:
            ends.append(call(ours))
        except BaseException as error:
            ends.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert pauses.wait(20)
    sent = len(fake.requests)
    ours.close()
    thread.join(20)
    assert [type(end) for end in ends] == [TransportError] and ends[0].reason == "CLOSED"
    assert len(fake.requests) == sent


def test_a_lost_job_is_not_looked_for_once_the_client_is_closed(
        fake: FakeGemini, client: Callable[..., GeminiClient], monkeypatch: pytest.MonkeyPatch) -> None:
    fake.services.insert(0, lambda request: Error(500, "lost") if request.method == "POST" else Raw(b"{}"))
    ours, sleep = client(fake), retry.sleep

    def close_and_sleep(seconds: float) -> None:
        ours.close()
        sleep(seconds)

    monkeypatch.setattr("gemini_lite.transport.retry.sleep", close_and_sleep)
    with pytest.raises(GeminiError, match="was lost") as caught:
        ours.batches.create(["Hi"])
    assert caught.value.reason == "UNKNOWN" and len(fake.requests) == 2


@pytest.mark.parametrize("name", ["files.get", "files.download", "files.upload", "chunk", "caches.create"])
@pytest.mark.parametrize("retries", [0, 2])
def test_an_error_counts_the_requests_of_all_tries(
        name: str, retries: int, fake: FakeGemini, client: Callable[..., GeminiClient], no_sleep: List[float]) -> None:
    reply, call = PAUSES[name]
    reply(fake) if callable(reply) else answers(fake, reply)
    with pytest.raises(GeminiError) as caught:
        call(client(fake, retries=retries))
    assert caught.value.tries == len(fake.requests) > retries


def test_the_deadline_of_the_client_is_that_of_all_tries_to_make_a_cache(
        fake: FakeGemini, client: Callable[..., GeminiClient], monkeypatch: pytest.MonkeyPatch) -> None:
    waits: List[float] = []

    def short_sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(0.3)

    monkeypatch.setattr("gemini_lite.transport.retry.sleep", short_sleep)
    answers(fake, Error(429, "too many", headers={"Retry-After": "0.3"}))
    with pytest.raises(GeminiError):
        client(fake, deadline=0.5, retries=9).caches.create("a", model="m")
    assert len(waits) == 1


def test_the_deadline_of_the_client_holds_while_a_cache_is_looked_for(
        fake: FakeGemini, client: Callable[..., GeminiClient]) -> None:
    is_over = threading.Event()
    fake.services.insert(0, lambda request: Error(500, "lost") if request.method == "POST" else is_over.wait(20) and
                         Raw(b"{}"))
    began = time.monotonic()
    with pytest.raises(GeminiError, match="may have been made"):
        client(fake, deadline=0.5).caches.create("a", model="m", display_name="mine")
    is_over.set()
    assert time.monotonic() - began < 10
