"""Deadlines and timeouts of calls."""
from __future__ import annotations

import threading
import time
from typing import Any, Iterator, List

import pytest
from transport.served import SOON, SSE, Client, event, last

from gemini_lite import BadRequestError, GeminiClient, OverloadedError, RateLimitError, TransportTimeout
from gemini_lite.testing import Error, FakeGemini, Raw, Request


def trickle(seconds: float = SOON) -> Raw:
    """A stream that never ends and never is silent for long."""
    raw = Raw(headers=SSE)

    def pieces() -> Iterator[bytes]:
        yield event("a")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield b": ping\n\n"
            time.sleep(0.02)

    raw.pieces = pieces()  # type: ignore[assignment]
    return raw


def test_a_deadline_ends_a_stream_that_trickles(client: Client, no_sleep: List[float]) -> None:
    with FakeGemini(lambda request: trickle()) as fake:
        start = time.monotonic()
        with pytest.raises(TransportTimeout) as caught:
            list(client(fake, deadline=0.3).stream("Hi"))
        assert 0.3 <= time.monotonic() - start < 1
    assert (caught.value.reason, caught.value.retryable) == ("DEADLINE", True)
    assert caught.value.response.text == "a" and len(fake.requests) == 1 and no_sleep == []


def test_a_deadline_ends_a_unary_answer_that_trickles(client: Client, no_sleep: List[float]) -> None:
    with FakeGemini(lambda request: trickle()) as fake:
        start = time.monotonic()
        with pytest.raises(TransportTimeout) as caught:
            client(fake).generate("Hi", deadline=0.3)
        assert 0.3 <= time.monotonic() - start < 1
    assert caught.value.reason == "DEADLINE" and len(fake.requests) == 1 and no_sleep == []


def test_a_deadline_ends_an_error_that_trickles(client: Client, no_sleep: List[float]) -> None:
    def answer(request: Request) -> Raw:
        raw = trickle()
        raw.status = 400
        return raw

    with FakeGemini(answer) as fake:
        start = time.monotonic()
        with pytest.raises((BadRequestError, TransportTimeout)):
            client(fake).generate("Hi", deadline=0.3)
        assert time.monotonic() - start < 1


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_deadline_ends_the_wait_for_a_silent_server_and_says_so(
        client: Client, no_sleep: List[float], method: str) -> None:
    silence = threading.Event()
    with FakeGemini(lambda request: silence.wait(SOON) and "never" or "never") as fake:
        start = time.monotonic()
        with pytest.raises(TransportTimeout) as caught:
            getattr(client(fake), method)("Hi", deadline=0.3)
        elapsed = time.monotonic() - start
        silence.set()
    assert 0.25 <= elapsed < 1 and len(fake.requests) == 1 and no_sleep == []
    assert "deadline" in str(caught.value), "advice to raise the timeout would not help"


def test_silence_in_mid_stream_does_not_double_a_deadline(client: Client) -> None:
    raw = Raw(event("a"), event("b"), b"", b"", b"", last("never"), headers=SSE, delay=0.4)
    with FakeGemini(lambda request: raw) as fake:
        start = time.monotonic()
        with pytest.raises(TransportTimeout):
            list(client(fake, deadline=0.6).stream("Hi"))
        assert time.monotonic() - start < 1.2


def test_no_wait_goes_past_the_deadline(client: Client, no_sleep: List[float]) -> None:
    with FakeGemini(lambda request: Error(503, "busy", headers={"Retry-After": "2"})) as fake:
        start = time.monotonic()
        with pytest.raises(OverloadedError, match="busy"):
            client(fake, deadline=1).generate("Hi")
        assert time.monotonic() - start < 1
    assert no_sleep == [] and len(fake.requests) == 1


def test_a_deadline_that_has_passed_sends_nothing(fake: FakeGemini, client: Client, no_sleep: List[float]) -> None:
    with pytest.raises(TransportTimeout) as caught:
        client(fake).generate("Hi", deadline=1e-9)
    assert caught.value.reason == "DEADLINE" and fake.connections == 0 and no_sleep == []


def test_a_deadline_covers_all_tries_and_their_waits(client: Client) -> None:
    with FakeGemini(lambda request: Error(503, headers={"Retry-After": "0.2"})) as fake:
        start = time.monotonic()
        with pytest.raises((OverloadedError, TransportTimeout)):
            client(fake, deadline=0.7, retries=1000).generate("Hi")
        assert time.monotonic() - start < 1
        assert 2 <= len(fake.requests) <= 4


@pytest.mark.parametrize("timeout", [
    0, -1, (0, 1), (1, 0), (1, -1), float("nan"), float("inf"), (1, float("inf")), (1,), (1, 2, 3), "10", ("1", 2),
    None, (None, 1), True, [1, None],
])
def test_a_timeout_is_one_or_two_positive_finite_numbers(timeout: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="timeout"):
        GeminiClient(api_key="test-key", timeout=timeout)


@pytest.mark.parametrize("timeout", [1, 0.5, (1, 2), [1, 2.5]])
def test_a_timeout_may_be_one_number_or_two(fake: FakeGemini, client: Client, timeout: Any) -> None:
    fake.reply("a")
    assert client(fake, timeout=timeout).generate("Hi").text == "a"


@pytest.mark.parametrize("name, value", [
    ("retries", -1), ("retries", 1.5), ("retries", None), ("retries", True), ("retries", "2"),
    ("max_wait", -1), ("max_wait", float("nan")), ("max_wait", None), ("max_wait", "60"),
    ("deadline", 0), ("deadline", -1), ("deadline", float("nan")), ("deadline", float("inf")), ("deadline", "5"),
])
def test_other_times_and_counts_are_checked_when_the_client_is_made(name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=name):
        GeminiClient(api_key="test-key", **{name: value})


def test_a_max_wait_of_zero_waits_for_no_server(fake: FakeGemini, client: Client, no_sleep: List[float]) -> None:
    fake.error(429, headers={"Retry-After": "1"})
    with pytest.raises(RateLimitError):
        client(fake, max_wait=0).generate("Hi")
    fake.error(503)
    fake.reply("a")
    assert client(fake, max_wait=0).generate("Hi").text == "a"
    assert no_sleep == [0]
