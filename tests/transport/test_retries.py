"""Which failures a call is made again after, how often, and when."""
from __future__ import annotations

import contextlib
import datetime
import email.utils
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List
from urllib.parse import urlsplit

import pytest
from transport.served import SHAPES, SOON, SSE, Client, Paced, Serve, answer, dump, event, free_port, last, texts

from gemini_lite import APIError, AuthenticationError, OverloadedError, RateLimitError, TransportError, TransportTimeout
from gemini_lite.testing import Error, FakeGemini, Raw, Request

RETRIED = [408, 429, 499, 500, 502, 503, 504]
FINAL = [400, 401, 402, 403, 404, 405, 409, 410, 412, 413, 415, 422, 501, 505]


@pytest.mark.parametrize("method", ["generate", "stream"])
@pytest.mark.parametrize("code", RETRIED)
def test_a_passing_failure_is_tried_again(
        fake: FakeGemini, client: Client, no_sleep: List[float], code: int, method: str) -> None:
    fake.error(code, "later")
    fake.reply("a")
    result = getattr(client(fake), method)("Hi")
    assert (result if method == "generate" else result.response).text == "a"
    assert len(fake.requests) == 2 and fake.requests[0].body == fake.requests[1].body
    assert len(no_sleep) == 1 and 0 <= no_sleep[0] <= 0.5


@pytest.mark.parametrize("method", ["generate", "stream"])
@pytest.mark.parametrize("code", FINAL)
def test_any_other_failure_is_raised_at_once(
        fake: FakeGemini, client: Client, no_sleep: List[float], code: int, method: str) -> None:
    fake.error(code, "the reason")
    with pytest.raises(APIError, match="the reason") as caught:
        getattr(client(fake), method)("Hi")
    assert caught.value.code == code and not caught.value.retryable
    assert len(fake.requests) == 1 and no_sleep == []


@pytest.mark.parametrize("kind, call", [("countTokens", lambda gemini: gemini.count_tokens("Hi")),
                                        ("models", lambda gemini: gemini.models())])
def test_other_calls_are_tried_again_too(
        fake: FakeGemini, client: Client, no_sleep: List[float], kind: str, call: Any) -> None:
    fake.answer(kind, Error(503))
    call(client(fake))
    assert len(fake.requests) == 2 and len(no_sleep) == 1


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_retries_is_how_often_a_call_is_made_again(
        client: Client, no_sleep: List[float], retries: int) -> None:
    with FakeGemini(lambda request: Error(503)) as fake:
        with pytest.raises(OverloadedError):
            client(fake, retries=retries).generate("Hi")
        assert len(fake.requests) == retries + 1 and len(no_sleep) == retries


def in_seconds(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return email.utils.format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("said, seconds", [
    ({"headers": {"Retry-After": "7"}}, 7),
    ({"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}, 34.5),
    ({"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "539.477544ms"}]}, 0.539477544),
    ({"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}],
      "headers": {"Retry-After": "5"}}, 5),
    ({"message": "Please retry in 8.25s."}, 8.25),
], ids=["Retry-After", "RetryInfo", "ms", "the larger", "message"])
def test_the_wait_is_what_the_server_asks_and_at_most_a_tenth_more(
        fake: FakeGemini, client: Client, no_sleep: List[float], said: Dict[str, Any], seconds: float) -> None:
    fake.error(429, **said)
    fake.reply("a")
    client(fake).generate("Hi")
    assert len(no_sleep) == 1 and seconds <= no_sleep[0] <= seconds * 1.1 + 1e-9


def test_a_retry_after_date_is_waited_for(fake: FakeGemini, client: Client, no_sleep: List[float]) -> None:
    fake.error(503, headers={"Retry-After": in_seconds(20)})
    fake.reply("a")
    client(fake).generate("Hi")
    assert 15 <= no_sleep[0] <= 22


def test_a_wait_longer_than_max_wait_is_the_callers_to_make(
        fake: FakeGemini, client: Client, no_sleep: List[float]) -> None:
    fake.error(429, headers={"Retry-After": "61"})
    fake.error(429, headers={"Retry-After": "3"})
    for settings in ({}, {"max_wait": 2}):
        with pytest.raises(RateLimitError) as caught:
            client(fake, **settings).generate("Hi")
        assert caught.value.retryable and caught.value.retry_after in (61, 3)
    assert no_sleep == [] and len(fake.requests) == 2


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_refused_connection_is_tried_again(client: Client, no_sleep: List[float], method: str) -> None:
    url = "http://127.0.0.1:%d" % free_port()
    with pytest.raises(TransportError) as caught:
        getattr(client(url, retries=3), method)("Hi")
    assert len(no_sleep) == 3
    assert (caught.value.reason, caught.value.retryable) == ("CONNECTION", True)
    assert urlsplit(url).netloc in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["generate", "stream"])
@pytest.mark.parametrize("end", ["reset", "close"])
def test_a_connection_that_breaks_before_the_answer_is_tried_again_once(
        client: Client, serve: Serve, no_sleep: List[float], caplog: pytest.LogCaptureFixture, end: str,
        method: str) -> None:
    """The server had the request, and may have worked on it."""
    breaks = 1

    def handle(peer: Any) -> None:
        peer.request()
        if peer.number <= breaks:
            getattr(peer, end)()
        elif method == "stream":
            peer.answer(last("a"), headers="Content-Type: text/event-stream")
        else:
            peer.answer(dump(answer("a")))

    result = getattr(client(serve(handle)), method)("Hi")
    result = result if method == "generate" else result.response
    assert (result.text, result.tries) == ("a", 2) and len(no_sleep) == 1
    breaks = 9
    with pytest.raises(TransportError) as caught:
        getattr(client(serve(handle)), method)("Hi")
    assert (caught.value.tries, caught.value.reason) == (2, "CONNECTION") and len(no_sleep) == 2
    assert sum("may be billed" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.parametrize("end", ["reset", "close"])
def test_a_kept_connection_that_ends_before_any_byte_of_an_answer_is_no_loss(
        client: Client, serve: Serve, no_sleep: List[float], caplog: pytest.LogCaptureFixture, end: str) -> None:
    """However often that happens: nobody works on a request that meets a connection's end."""
    def handle(peer: Any) -> None:
        peer.request()
        peer.answer(dump(answer("from %d" % peer.number)))
        with contextlib.suppress(ConnectionError):
            peer.request()
            getattr(peer, end)()

    gemini, idle = client(serve(handle)), 4
    ready = threading.Barrier(idle)
    with ThreadPoolExecutor(idle) as pool:
        list(pool.map(lambda number: (ready.wait(SOON), gemini.generate("Hi")), range(idle)))
    del no_sleep[:]
    answered = gemini.generate("Hi")  # meets the idle connections one after the other
    assert 2 <= answered.tries <= idle + 1 and len(no_sleep) == answered.tries - 1
    assert not [record for record in caplog.records if record.levelname == "WARNING" and record.name == "gemini_lite"]


@pytest.mark.parametrize("end", ["reset", "close"])
def test_a_dead_kept_alive_connection_is_replaced(
        client: Client, serve: Serve, no_sleep: List[float], end: str) -> None:
    def handle(peer: Any) -> None:
        peer.request()
        peer.answer(dump(answer("from %d" % peer.number)))
        peer.request()  # the second request on this connection finds nobody at home
        getattr(peer, end)()

    gemini = client(serve(handle))
    assert [gemini.generate("Hi").text for _ in range(3)] == ["from 1", "from 2", "from 3"]


def test_an_answer_that_is_no_http_is_a_transport_error(fake: FakeGemini, client: Client) -> None:
    fake.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", status=None)
    with pytest.raises(TransportError) as caught:
        client(fake, retries=0).generate("Hi")
    assert caught.value.reason == "CONNECTION"


@pytest.mark.parametrize("method", ["generate", "stream"])
@pytest.mark.parametrize("pieces", [[], [b": ping\n\n"]], ids=["head", "body"])
def test_a_read_timeout_is_not_tried_again_but_may_be_by_the_caller(
        client: Client, no_sleep: List[float], method: str, pieces: List[bytes]) -> None:
    silence = threading.Event()

    def stall(request: Request) -> Raw:
        if not pieces:
            silence.wait(SOON)
        return Raw(*pieces, b"never", headers=SSE, delay=SOON)

    with FakeGemini(stall) as fake:
        start = time.monotonic()
        with pytest.raises(TransportTimeout) as caught:
            getattr(client(fake, timeout=(SOON, 0.2)), method)("Hi")
        elapsed = time.monotonic() - start
        silence.set()
    assert (caught.value.reason, caught.value.retryable) == ("READ_TIMEOUT", True)
    assert 0.2 <= elapsed < 2 and no_sleep == [] and len(fake.requests) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_silence_after_the_first_event_is_a_timeout_with_what_arrived(
        client: Client, no_sleep: List[float], shape: str) -> None:
    paced = Paced(shape, event("a"), last("never"))
    with FakeGemini(lambda request: paced) as fake:
        with pytest.raises(TransportTimeout) as caught:
            list(client(fake, timeout=(SOON, 0.2)).stream("Hi"))
        paced.taken[0].set()
    assert (caught.value.reason, caught.value.retryable) == ("READ_TIMEOUT", True)
    assert caught.value.response.text == "a" and len(fake.requests) == 1


def test_a_connection_that_takes_too_long_is_a_connect_timeout_and_tried_again(
        client: Client, no_sleep: List[float]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(8):  # fills the queue of a listener that accepts nobody
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        url = "http://127.0.0.1:%d" % listener.getsockname()[1]
        with pytest.raises(TransportTimeout) as caught:
            client(url, timeout=(0.1, SOON), retries=2).generate("Hi")
    assert (caught.value.reason, caught.value.retryable) == ("CONNECT_TIMEOUT", True)
    assert len(no_sleep) == 2


def test_the_request_is_sent_when_the_stream_is_made(fake: FakeGemini, client: Client) -> None:
    fake.reply("a")
    stream = client(fake).stream("Hi")
    assert len(fake.requests) == 1
    assert texts(stream) == ["a"] and len(fake.requests) == 1


def test_a_stream_raises_when_it_is_made_if_the_server_answers_an_error(fake: FakeGemini, client: Client) -> None:
    fake.error(401, "who are you?")
    with pytest.raises(AuthenticationError, match="who are you"):
        client(fake).stream("Hi")  # nothing is read from it, so a web view can still answer 502
