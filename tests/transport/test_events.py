"""An error without ``data:`` in a stream is the error that it states, wherever it stands."""
from __future__ import annotations

import json
from typing import Any, Callable, List

import pytest

from gemini_lite import APIError, GeminiClient, GeminiError, OverloadedError
from gemini_lite.testing import FakeGemini

ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
FORMS = [json.dumps(ERROR).encode(), json.dumps(ERROR, indent=2).encode(), json.dumps([ERROR]).encode(),
         json.dumps([ERROR], indent=2).encode()]
CHUNK = {"candidates": [{"content": {"role": "model", "parts": [{"text": "First "}]}, "index": 0}]}
EVENT = b"data: " + json.dumps(CHUNK).encode() + b"\r\n\r\n"
SSE = {"Content-Type": "text/event-stream"}


@pytest.mark.parametrize("error", FORMS)
@pytest.mark.parametrize("before", [EVENT, EVENT[:-2], EVENT + b": ping\n\n"])
def test_an_error_without_data_in_a_stream_is_the_error_that_it_states(
    fake: FakeGemini, client: Callable[..., GeminiClient], before: bytes, error: bytes,
) -> None:
    fake.raw(before, error, headers=SSE)
    read = []
    with pytest.raises(OverloadedError, match="The model is overloaded") as caught:
        for chunk in client(fake, retries=3).stream("x"):
            read.append(chunk.text_delta)
    assert read == ["First "] and caught.value.code == 503 and caught.value.response.text == "First "


@pytest.mark.parametrize("error", FORMS)
@pytest.mark.parametrize("headers", [SSE, {"Content-Type": "application/json"}])
def test_before_the_first_event_it_is_tried_again_as_it_allows(
    fake: FakeGemini, client: Callable[..., GeminiClient], no_sleep: List[float], error: bytes, headers: Any,
) -> None:
    fake.raw(error, headers=headers)
    fake.reply("Fine.")
    assert client(fake, retries=1).stream("x").response.text == "Fine." and len(no_sleep) == 1


def test_one_that_does_not_allow_it_is_raised_at_once(fake: FakeGemini, client: Callable[..., GeminiClient]) -> None:
    fake.raw(b'{"error": {"code": 400, "message": "No."}}', headers=SSE)
    with pytest.raises(APIError, match="No"):
        client(fake, retries=3).stream("x")


def test_a_conversation_is_what_it_was_before_such_an_error(
    fake: FakeGemini, client: Callable[..., GeminiClient],
) -> None:
    chat = client(fake, retries=0).chat()
    fake.raw(EVENT, FORMS[1], headers=SSE)
    with pytest.raises(GeminiError):
        list(chat.send_message_stream("x"))
    assert chat.history == []
