"""What a failed call means for its prompt: whether it is sent again, and when."""
from __future__ import annotations

from typing import Callable, List

import pytest

from gemini_lite import APIError, GeminiClient, GeminiError, RateLimitError, ServerError, TransportError
from gemini_lite.errors import TransportTimeout
from gemini_lite.many.failures import may_be_sent_again
from gemini_lite.testing import Error, FakeGemini
from gemini_lite.transport import retry
from gemini_lite.transport.running import RunningCall


@pytest.mark.parametrize("code", [500, 502, 503, 504])
@pytest.mark.parametrize("asked", [2, 100, 3000])
def test_a_server_that_asks_for_more_than_the_longest_wait_is_not_waited_for(
        fake: FakeGemini, client: Callable[..., GeminiClient], code: int, asked: int) -> None:
    fake.services.insert(0, lambda request: Error(code, "busy", headers={"Retry-After": str(asked)}))
    results = list(client(fake, max_wait=1).map(["a", "b"]))
    assert len(fake.requests) == 2
    assert all(result.error is not None and result.error.retry_after == asked for result in results)


@pytest.mark.parametrize("error", [
    ServerError("no", code=500, retryable=True), RateLimitError("no", code=429, retryable=True),
    APIError("no", code=400), TransportError("no", reason="CONNECTION", retryable=True),
    TransportError("no", reason="TLS"), TransportTimeout("no", reason="CONNECT_TIMEOUT", retryable=True),
    TransportTimeout("no", reason="READ_TIMEOUT", retryable=True),
    TransportTimeout("no", reason="DEADLINE", retryable=True)], ids=lambda error: f"{error.code}{error.reason or ''}")
@pytest.mark.parametrize("unsent", [False, True])
def test_a_run_sends_again_what_a_single_call_sends_again(
        error: GeminiError, unsent: bool, no_sleep: List[float]) -> None:
    call, asked = RunningCall(), []
    call.unsent = unsent

    def attempt(endpoint: str) -> None:
        asked.append(endpoint)
        raise error

    with pytest.raises(GeminiError):
        retry.run(attempt, ("",), 3, 60, call)
    again, may_be_twice = may_be_sent_again(error, unsent)
    assert len(asked) == (1 if not again else 2 if may_be_twice else 4)
