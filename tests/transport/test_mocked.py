"""Calls work on what the package `responses` makes of them."""
from __future__ import annotations

import gzip
from typing import Dict, Iterator, List

import pytest
import responses
from transport.served import UNAVAILABLE, URL, answer, event, last, texts

from gemini_lite import GeminiClient, OverloadedError


@pytest.fixture
def mocked() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}], ids=["plain", "gzip"])
def test_streams_work_on_the_bodies_of_responses(
        mocked: responses.RequestsMock, google: GeminiClient, headers: Dict[str, str]) -> None:
    body = event("Hel") + last("lö")
    mocked.add(responses.POST, URL % "streamGenerateContent", content_type="text/event-stream", headers=headers,
               body=gzip.compress(body) if headers else body)
    assert texts(google.stream("Hi", model="m")) == ["Hel", "lö"]


def test_a_unary_call_is_one_json_exchange_with_documented_headers(
        mocked: responses.RequestsMock, google: GeminiClient) -> None:
    mocked.add(responses.POST, URL % "generateContent", json=answer("hi"))
    assert google.generate("Hi", model="m").text == "hi"
    request = mocked.calls[0].request
    assert request.headers["x-goog-api-key"] == "test-key"
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("gemini-lite/")
    assert "Authorization" not in request.headers and "?" not in request.url
    assert request.body == b'{"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}'
    assert request.headers["Content-Length"] == str(len(request.body))


def test_responses_errors_are_tried_again_and_then_told(
        mocked: responses.RequestsMock, google: GeminiClient, no_sleep: List[float]) -> None:
    for _ in range(2):
        mocked.add(responses.POST, URL % "generateContent", json=UNAVAILABLE, status=503)
    with pytest.raises(OverloadedError):
        google.generate("Hi", model="m")
    assert len(mocked.calls) == 2 and len(no_sleep) == 1
