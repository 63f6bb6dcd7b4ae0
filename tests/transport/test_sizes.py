"""What is larger than its limit is refused."""
from __future__ import annotations

import functools
import tracemalloc
import zlib
from typing import Any, List

import pytest
from transport.served import SSE, Client, answer, dump, endless, event, last, repeated, shaped

from gemini_lite import APIError, GeminiClient, TransportError
from gemini_lite.testing import FakeGemini, Raw, Request


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 9999 + b"\n", b"x" * 9999], ids=["lines", "line"])
@pytest.mark.parametrize("shape", ["chunked", "close", "gzip chunked", "gzip close"])
def test_an_event_without_end_is_refused(client: Client, no_sleep: List[float], piece: bytes, shape: str) -> None:
    def body(request: Request) -> Raw:
        _, headers = shaped(shape, [], SSE)
        raw = Raw(headers=headers)
        packer = zlib.compressobj(wbits=31)
        raw.pieces = repeated(  # type: ignore[assignment]
            lambda: packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) if "gzip" in shape else piece)
        return raw

    with FakeGemini(body) as fake:
        with pytest.raises(TransportError, match="max_event_bytes") as caught:
            client(fake, max_event_bytes=100000).stream("Hi")
    assert (caught.value.reason, caught.value.retryable) == ("TOO_LARGE", False)
    assert no_sleep == [] and len(fake.requests) == 1


def test_a_later_event_that_is_too_large_is_refused_with_what_arrived(fake: FakeGemini, client: Client) -> None:
    fake.raw(event("a"), last("x" * 1000))
    with pytest.raises(TransportError, match="max_event_bytes") as caught:
        list(client(fake, max_event_bytes=500).stream("Hi"))
    assert caught.value.response.text == "a" and caught.value.reason == "TOO_LARGE"


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_body_without_end_is_refused(client: Client, no_sleep: List[float], method: str) -> None:
    with FakeGemini(endless(event("x" * 1000))) as fake:
        with pytest.raises(TransportError, match="max_body_bytes") as caught:
            result = getattr(client(fake, max_body_bytes=100000), method)("Hi")
            list(result)
    assert (caught.value.reason, caught.value.retryable) == ("TOO_LARGE", False)
    assert no_sleep == [] and len(fake.requests) == 1


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_an_error_without_end_is_cut_short_and_still_told(client: Client, method: str) -> None:
    with FakeGemini(endless(b"x" * 10000, status=404, headers={"Content-Type": "text/plain"})) as fake:
        with pytest.raises(APIError, match="404") as caught:
            getattr(client(fake, max_error_bytes=50000), method)("Hi")
    assert caught.value.code == 404 and len(str(caught.value)) < 2000


def test_a_body_within_its_limits_is_taken(fake: FakeGemini, client: Client) -> None:
    body = dump(answer("a" * 1000))
    for limit in (len(body), len(body) - 1):
        fake.raw(body, headers={"Content-Length": str(len(body))})
        gemini = client(fake, max_body_bytes=limit)
        if limit == len(body):
            assert gemini.generate("Hi").text == "a" * 1000
        else:
            with pytest.raises(TransportError, match="max_body_bytes"):
                gemini.generate("Hi")


@functools.lru_cache(maxsize=None)
def packed_zeros() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()


@pytest.mark.parametrize("shape", ["gzip chunked", "gzip length", "gzip close"])
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(client: Client, shape: str, method: str) -> None:
    bomb = packed_zeros()
    _, headers = shaped(shape, [], SSE)
    if "length" in shape:
        headers["Content-Length"] = str(len(bomb))
    raw = Raw(*[bomb[i:i + 65536] for i in range(0, len(bomb), 65536)], headers=headers)
    with FakeGemini(lambda request: raw) as fake:
        gemini = client(fake, max_body_bytes=10 << 20)
        tracemalloc.start()
        try:
            with pytest.raises(TransportError) as caught:
                getattr(gemini, method)("Hi")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert caught.value.reason == "TOO_LARGE"
    assert peak < 150 << 20, "%d MB" % (peak >> 20)


@pytest.mark.parametrize("name", ["max_event_bytes", "max_body_bytes", "max_error_bytes"])
@pytest.mark.parametrize("value", [0, -1, None, "1"])
def test_limits_are_checked_when_the_client_is_made(name: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=name):
        GeminiClient(api_key="test-key", **{name: value})
