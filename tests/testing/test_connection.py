"""HTTP as clients of all kinds speak it: gzip, HEAD, browsers; and how slow and broken a server can be."""
from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Callable

import pytest
import requests
from testing.prompts import ARRAY, HELLO, MODEL, STREAM, UNARY

from gemini_lite.testing import Error, FakeGemini, Reply

Ask = Callable[..., requests.Response]


def test_a_request_in_gzip_is_read(fake: FakeGemini, ask: Ask) -> None:
    ask(fake, f"{MODEL}:countTokens", data=gzip.compress(json.dumps(HELLO).encode()),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    ask(fake, "/other", data=b"no gzip", headers={"Content-Encoding": "gzip"})
    assert [request.body for request in fake.requests] == [HELLO, b"no gzip"]


@pytest.mark.parametrize("path", [UNARY, STREAM, ARRAY])
def test_who_accepts_gzip_gets_it_once_it_is_switched_on(fake: FakeGemini, ask: Ask, path: str) -> None:
    for _ in range(3):
        fake.reply("a", "b")
    plain = ask(fake, path, HELLO)
    fake.gzip = True
    packed, refused = ask(fake, path, HELLO), ask(fake, path, HELLO, headers={"Accept-Encoding": "identity"})
    assert [answer.headers.get("content-encoding") for answer in (plain, packed, refused)] == [None, "gzip", None]
    assert packed.text == plain.text.replace("response-1", "response-2")


def test_an_event_in_gzip_is_readable_before_the_next_one_is_sent(fake: FakeGemini, ask: Ask) -> None:
    fake.gzip = True
    fake.reply("first", "second", delay=60)
    with ask(fake, STREAM, HELLO, stream=True) as response:
        unpack, text = zlib.decompressobj(wbits=31), b""
        while b"first" not in text:
            text += unpack.decompress(response.raw.read1(1000) if hasattr(response.raw, "read1") else
                                      response.raw.read(1, decode_content=False))
    assert b"second" not in text


def test_head_has_the_head_of_get_and_no_body(fake: FakeGemini, ask: Ask) -> None:
    whole, head = (ask(fake, "/v1beta/models", method=method) for method in ("GET", "HEAD"))
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == str(len(whole.content))
    assert ask(fake, "/v1beta/models", method="GET").json() == whole.json()
    assert len({request.connection for request in fake.requests}) == 1


def test_a_browser_may_ask_from_any_page(fake: FakeGemini, ask: Ask) -> None:
    fake.reply("a")
    origin = {"Origin": "http://localhost:5173"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-goog-api-key"}
    before = ask(fake, STREAM, method="OPTIONS", headers=asked)
    assert before.status_code == 200 and "POST" in before.headers["access-control-allow-methods"]
    assert before.headers["access-control-allow-headers"] == "x-goog-api-key"
    answer = ask(fake, STREAM, HELLO, headers=origin)
    assert {response.headers["access-control-allow-origin"] for response in (before, answer)} == {origin["Origin"]}
    assert "access-control-allow-origin" not in ask(fake, "/v1beta/models", method="GET").headers


def test_latency_is_before_the_answer_and_event_delay_between_events(fake: FakeGemini, ask: Ask) -> None:
    fake.latency, fake.event_delay = 0.1, 0.1
    fake.reply("a", "b")
    fake.reply("a", "b", delay=0.0)
    start = time.monotonic()
    response = ask(fake, STREAM, HELLO, stream=True)
    begun = time.monotonic() - start
    response.content
    assert begun >= 0.1 and time.monotonic() - start >= 0.2
    assert ask(fake, STREAM, HELLO).status_code == 200


def test_a_stream_without_alt_sse_comes_element_by_element(fake: FakeGemini, ask: Ask) -> None:
    fake.reply("first", "second", delay=60)
    with ask(fake, ARRAY, HELLO, stream=True) as response:
        piece = next(response.iter_content(None))
    assert piece.startswith(b"[{") and b"first" in piece and b"second" not in piece


def test_a_dropped_request_is_recorded_and_not_answered(fake: FakeGemini, ask: Ask) -> None:
    fake.drop()
    with pytest.raises(requests.ConnectionError):
        ask(fake, UNARY, HELLO)
    assert fake.requests[0].json == HELLO


@pytest.mark.parametrize("path", [UNARY, STREAM, ARRAY])
def test_a_cut_reply_ends_without_its_end(fake: FakeGemini, ask: Ask, path: str) -> None:
    fake.reply("a", "b", cut=True)
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError, ValueError)):
        ask(fake, path, HELLO).json()


def test_an_error_in_mid_stream_is_bare_json_after_the_events(fake: FakeGemini, ask: Ask) -> None:
    for _ in range(3):
        fake.reply("Hel", Error(503, "overloaded"))
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    events, bare = ask(fake, STREAM, HELLO).text.split("\r\n\r\n")
    assert "Hel" in events and "finishReason" not in events and json.loads(bare) == error
    array = ask(fake, ARRAY, HELLO).json()
    assert len(array) == 2 and array[1] == error
    unary = ask(fake, UNARY, HELLO)
    assert (unary.status_code, unary.json()) == (503, error)


def test_a_stream_can_be_an_error_alone_though_the_status_is_200(fake: FakeGemini, ask: Ask) -> None:
    fake.reply(Error(503, "overloaded"))
    fake.reply(Error(503, "overloaded"))
    answer = ask(fake, STREAM, HELLO)
    assert answer.status_code == 200 and answer.json()["error"]["code"] == 503
    wrapped = ask(fake, "/v1internal:streamGenerateContent?alt=sse", {"request": HELLO})
    assert wrapped.json()[0]["error"]["code"] == 503


def test_any_path_can_be_scripted(fake: FakeGemini, ask: Ask) -> None:
    fake.answer("GET /v1beta/files", {"files": []}, Error(500))
    fake.answer("POST /v1beta/models/*:predict", {"predictions": [1]})
    fake.answer("GET /v1beta/files?pageSize=2", {"files": [2]})
    fake.answer(f"POST {UNARY}", Reply("by path"))
    assert ask(fake, "/v1beta/files?pageSize=1", method="GET").json() == {"files": []}
    assert ask(fake, "/v1beta/files", method="GET").status_code == 500
    assert ask(fake, "/v1beta/files?pageSize=2", method="GET").json() == {"files": [2]}
    assert ask(fake, "/v1beta/nothing", method="GET").status_code == 404
    assert ask(fake, "/v1beta/models/imagen-4.0:predict", {"instances": [{"prompt": "a"}]}).json() == {
        "predictions": [1]}
    assert "by path" in ask(fake, UNARY, HELLO).text


@pytest.mark.parametrize("name", ["FETCH /v1beta/files", "GET v1beta/files", "generate", "files"])
def test_a_name_that_no_request_has_is_refused(fake: FakeGemini, name: str) -> None:
    with pytest.raises(ValueError, match="a method and a path like"):
        fake.answer(name, {})


def test_a_service_is_asked_after_the_script_and_before_the_built_in_answers(fake: FakeGemini, ask: Ask) -> None:
    fake.services.append(lambda request: None)
    fake.services.append(lambda request: Error(418) if request.bare_path == "/v1beta/models" else None)
    fake.answer("models", {"models": []})
    assert [ask(fake, "/v1beta/models", method="GET").status_code for _ in range(2)] == [200, 418]
    assert ask(fake, MODEL, method="GET").status_code == 200
