"""The data of events becomes the API's objects, and an error among them is raised in Google's words."""
from __future__ import annotations

import json
from typing import Any, Callable, List

import pytest

from gemini_lite import APIError, GeminiClient, GeminiError, IncompleteError, OverloadedError, ParseError, ServerError
from gemini_lite.testing import FakeGemini
from gemini_lite.transport import events, sse

ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
FORMS = [json.dumps(ERROR).encode(), json.dumps(ERROR, indent=2).encode(), json.dumps([ERROR]).encode(),
         json.dumps([ERROR], indent=2).encode()]
CHUNK = {"candidates": [{"content": {"role": "model", "parts": [{"text": "First "}]}, "index": 0}]}
EVENT = b"data: " + json.dumps(CHUNK).encode() + b"\r\n\r\n"
SSE = {"Content-Type": "text/event-stream"}


def parse(*data: bytes) -> List[Any]:
    return list(events.parse(data, {}, lambda event: event))


def test_each_event_gives_its_object_out_of_its_envelope() -> None:
    assert list(events.parse([b'{"response": {"a": 1}}'], {}, lambda event: event["response"])) == [{"a": 1}]
    assert parse(b'{"a": 1}', b" [DONE] ", b'{"error": null}') == [{"a": 1}, {"error": None}]


@pytest.mark.parametrize("data, kind", [
    (b"[1]", ParseError), (b"{", ParseError), (b"\xff", ParseError), (b"[" * 100_000, ParseError), (b"5", ParseError),
    (sse.Unterminated(b'{"a": '), IncompleteError), (b'{"error": {"code": 503}}', OverloadedError),
    (b'[{"error": {"code": 500}}]', ServerError), (sse.BareError(b'{"error": {"code": 503}}'), OverloadedError),
])
def test_what_is_no_event_is_an_error_of_ours(data: bytes, kind: Any) -> None:
    with pytest.raises(kind):
        parse(data)


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
