"""What a call may take at most: of memory, of time, of a server's patience."""
from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

import gemini_lite
from gemini_lite import (
    CodeAssist, GeminiClient, GeminiError, OAuthCredentials, StreamChunk, TransportError, TransportTimeout,
)
from gemini_lite.testing import FakeGemini, Raw, Reply, Request

Client = Callable[..., GeminiClient]
Serve = Callable[..., str]

SSE = {"Content-Type": "text/event-stream"}
DEADLINE = 0.5  # seconds
GRACE = 2.0  # seconds more that a busy machine may take


def event(text: str, finish: str = "", **fields: Any) -> bytes:
    candidate: Dict[str, Any] = {"content": {"parts": [{"text": text}]}}
    return b"data: %b\n\n" % json.dumps(
        {"candidates": [{**candidate, "finishReason": finish} if finish else candidate], **fields}).encode()


def raw_of(pieces: Iterator[bytes]) -> Raw:
    raw = Raw(headers=SSE)
    raw.pieces = pieces  # type: ignore[assignment]
    return raw


# Memory

@pytest.mark.parametrize("how", ["stream", "send_message_stream"])
def test_a_stream_s_memory_grows_by_its_text_alone(client: Client, how: str) -> None:
    """Each event has 4 KB beside its text of 20 bytes; of 1,500 more events no more than the text may stay."""
    def events(request: Request) -> Raw:
        number = int(request.body["contents"][-1]["parts"][0]["text"])
        return raw_of(event("%019d " % n, "STOP" * (n == number - 1), usageMetadata={"promptTokenCount": n},
                            modelVersion="%04d" % n * 1000) for n in range(number))

    def peak(number: int) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            for count, _ in enumerate(getattr(gemini.chat() if "send" in how else gemini, how)("%d" % number), 1):
                if count % 400 == 0:
                    chunks = sum(type(thing) is StreamChunk for thing in gc.get_objects())
                    assert chunks <= 1, "%d chunks are kept" % chunks
            assert count == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with FakeGemini(events) as fake:
        gemini = client(fake)
        peak(10)
        few, many = peak(500), peak(2000)
    assert many - few < 1500 * 20 * 8 + 200_000, "%d bytes more" % (many - few)


MEASURED = """
import resource, sys
from gemini_lite import DeveloperAPI, GeminiClient, GeminiError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

with GeminiClient(backend=DeveloperAPI("test-key", base_url=sys.argv[1]), retries=0) as client:
    client.generate("warm")
    before, count = peak(), 0
    try:
        for chunk in client.stream(sys.argv[2]):
            count += 1
        print(count, peak() - before)
    except GeminiError as error:
        print(error.reason, peak() - before)
"""


def measured(answer: Callable[[Request], Any], prompt: str) -> List[str]:
    """How a stream ended in a process of its own, and by how many bytes its memory grew."""
    def serve(request: Request) -> Any:
        return answer(request) if request.streamed else "warm"

    with FakeGemini(serve) as fake:
        env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
        return subprocess.run([sys.executable, "-W", "error", "-c", MEASURED, fake.url, prompt], env=env, timeout=120,
                              check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout.decode().split()


@pytest.mark.slow
def test_400_mb_of_events_pass_through_30_mb_of_memory() -> None:
    one = event("x", modelVersion="v" * (1 << 16))
    count, grown = measured(lambda request: raw_of(
        one if n < 6399 else event("x", "STOP") for n in range(6400)), "many")
    assert count == "6400" and int(grown) < 30 << 20, "%d MB" % (int(grown) >> 20)


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"data: ", b": ", b"x"], ids=["data", "comment", "unknown"])
def test_a_line_of_100_mb_is_refused_by_default(line: bytes) -> None:
    """After the 64 MB that an event may have; they are there once, and once more when they are joined."""
    block = b"x" * (1 << 20)
    reason, grown = measured(lambda request: raw_of(line if n == 0 else block for n in range(101)), "long")
    assert reason == "TOO_LARGE" and int(grown) < 200 << 20, "%d MB" % (int(grown) >> 20)


# Time

def drip(piece: bytes, first: bytes = b"") -> Iterator[bytes]:
    """Pieces that come often enough for any read timeout, for longer than anybody waits."""
    yield first
    end = time.monotonic() + 20
    while time.monotonic() < end:
        yield piece
        time.sleep(0.02)


def sign_in(folder: Path) -> Path:
    path = folder / "oauth_creds.json"
    path.write_text(json.dumps({"access_token": "old", "refresh_token": "made-up-refresh", "expiry_date": 1}))
    return path


@pytest.mark.parametrize("kind", ["token", "loadCodeAssist", "countTokens", "generate"])
def test_a_deadline_holds_for_every_request_that_a_call_makes(kind: str, tmp_path: Path) -> None:
    with FakeGemini(lambda request: raw_of(drip(b" "))) as fake:
        if kind != "generate":
            fake.answer(kind, raw_of(drip(b" ")))
        credentials = OAuthCredentials(sign_in(tmp_path), "made-up-id", "made-up-secret", fake.token_url)
        backend = CodeAssist(credentials, endpoints=[fake.url])
        with GeminiClient(backend=backend, deadline=DEADLINE, retries=0) as client:
            started = time.monotonic()
            with pytest.raises(TransportTimeout) as caught:
                client.count_tokens("Hi") if kind == "countTokens" else client.generate("Hi")
            seconds = time.monotonic() - started
    assert DEADLINE * 0.9 <= seconds < DEADLINE + GRACE, "%.1f s" % seconds
    assert caught.value.reason == "DEADLINE"


def test_a_deadline_holds_for_a_thread_that_waits_for_another(tmp_path: Path) -> None:
    """Which renews the token, and sets up the account."""
    with FakeGemini() as fake:
        fake.answer("token", raw_of(drip(b" ")))
        credentials = OAuthCredentials(sign_in(tmp_path), "made-up-id", "made-up-secret", fake.token_url)
        with GeminiClient(backend=CodeAssist(credentials, endpoints=[fake.url]), retries=0) as client:
            slow = threading.Thread(target=lambda: pytest.raises(GeminiError, client.generate, "Hi", deadline=2))
            slow.start()
            while not fake.requests:
                time.sleep(0.01)
            started = time.monotonic()
            with pytest.raises(TransportTimeout):
                client.generate("Hi", deadline=DEADLINE)
            seconds = time.monotonic() - started
            assert slow.is_alive() and seconds < DEADLINE + GRACE, "%.1f s" % seconds
            slow.join()


@pytest.mark.parametrize("how", ["generate", "stream"])
def test_a_deadline_ends_a_silence_wherever_it_falls(client: Client, how: str) -> None:
    """Half of the time is over when the head comes, and half of the rest when the first event comes."""
    over = threading.Event()

    def slow() -> Iterator[bytes]:
        time.sleep(0.5)
        yield event("a")
        over.wait(10)

    def answer(request: Request) -> Raw:
        time.sleep(1)
        return raw_of(slow())

    with FakeGemini(answer) as fake:
        started = time.monotonic()
        with pytest.raises(TransportTimeout) as caught:
            list(client(fake, deadline=2).stream("Hi")) if how == "stream" \
                else client(fake, deadline=2).generate("Hi")
        seconds = time.monotonic() - started
        over.set()
    assert caught.value.reason == "DEADLINE"
    assert 1.9 <= seconds < 3, "%.2f s" % seconds


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "with a length"])
def test_a_connection_s_next_call_has_its_usual_time(client: Client, chunked: bool) -> None:
    """Longer than what was left of the call before, under whose deadline its socket became impatient."""
    def answer(request: Request) -> Any:
        if request.body["contents"][-1]["parts"][0]["text"] == "slow":
            time.sleep(DEADLINE * 1.5)
        return raw_of(iter([event("a", "STOP")])) if chunked else "a"

    with FakeGemini(answer) as fake:
        gemini = client(fake, retries=0)
        for _ in range(3):
            for prompt, limits in (("Hi", {"deadline": DEADLINE}), ("slow", {})):
                response = gemini.stream(prompt, **limits).response if chunked else gemini.generate(prompt, **limits)
                assert response.text == "a"
        assert fake.connections == 1


def test_a_deadline_covers_all_rounds_of_tools(client: Client) -> None:
    calls = []

    def more() -> str:
        """More of it."""
        calls.append(1)
        time.sleep(0.1)
        return "more"

    with FakeGemini(lambda request: FakeGemini.call("more", {})) as fake:
        gemini = client(fake)
        for how in ("send_message", "send_message_stream"):
            calls.clear()
            started = time.monotonic()
            with pytest.raises(TransportTimeout) as caught:
                answer = getattr(gemini.chat(), how)("Hi", tools=[more], max_tool_rounds=1000, deadline=DEADLINE)
                answer.response
            assert caught.value.reason == "DEADLINE" and time.monotonic() - started < DEADLINE + GRACE
            assert len(caught.value.turns) == 1 + 2 * len(calls), "what the tools gave is not lost"


# A server that is faster than its reader

def test_a_slow_reader_holds_a_fast_server_back_and_loses_nothing(client: Client) -> None:
    """The reader pauses for longer than its own read timeout; the server has sent no more than the sockets hold."""
    size, number = 1 << 16, 600
    sent: List[int] = []

    def events() -> Iterator[bytes]:
        for n in range(number):
            sent.append(n)
            yield event("%06d" % n + "x" * size, "STOP" * (n == number - 1))

    with FakeGemini(lambda request: raw_of(events())) as fake:
        got = []
        for chunk in client(fake, timeout=(20, 0.5)).stream("Hi"):
            got.append(int(chunk.text_delta[:6]))
            if len(got) == 10:
                time.sleep(0.8)
                ahead = len(sent)
    assert got == list(range(number))
    assert ahead < number * 2 / 3, "the client reads ahead: %d of %d events" % (ahead, number)


def test_what_is_refused_for_its_size_is_told_by_its_limit(client: Client) -> None:
    """The three limits, each with the name of the argument that allows more."""
    big = Reply("x" * 5000)
    with FakeGemini(lambda request: big) as fake:
        for limit, how in (("max_event_bytes", "stream"), ("max_body_bytes", "generate"), ("max_body_bytes", "stream")):
            with pytest.raises(TransportError, match=limit) as caught:
                list(getattr(client(fake, **{limit: 1000}), how)("Hi"))
            assert (caught.value.reason, caught.value.retryable) == ("TOO_LARGE", False)
            answer = getattr(client(fake, **{limit: 10000}), how)("Hi")
            assert (answer if how == "generate" else answer.response).text == "x" * 5000
