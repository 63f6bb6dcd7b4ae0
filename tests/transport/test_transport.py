"""The laws of the network: live delivery, whole answers or errors, tries, limits, and what travels where."""
from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.utils
import functools
import gc
import gzip
import itertools
import json
import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple
from urllib.parse import urlsplit

import pytest
import requests
import requests.adapters
import responses

import gemini_lite
from gemini_lite import (
    APIError, AuthenticationError, BadRequestError, CredentialsError, DeveloperAPI, GeminiClient, IncompleteError,
    OverloadedError, ParseError, RateLimitError, ServerError, TransportError, TransportTimeout,
)
from gemini_lite.testing import Error, FakeGemini, Raw, Request

Client = Callable[..., GeminiClient]
Serve = Callable[..., str]

SOON = 5  # seconds after which a test gives up waiting for what should have happened at once
SSE = {"Content-Type": "text/event-stream"}


def answer(text: str, finish: str = "STOP", **fields: Any) -> Dict[str, Any]:
    """The JSON of an answer or event; without `finish` an event that others follow."""
    candidate: Dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **fields}


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def event(text: str, finish: str = "") -> bytes:
    return b"data: %b\r\n\r\n" % dump(answer(text, finish))


def last(text: str) -> bytes:
    return event(text, "STOP")


def texts(stream: Any) -> List[str]:
    return [chunk.text_delta for chunk in stream]


# Every shape a body can have

SHAPES = ["chunked", "gzip chunked", "length", "gzip length", "close", "gzip close"]
KEPT = [shape for shape in SHAPES if "close" not in shape]


def shaped(shape: str, pieces: List[bytes], headers: Dict[str, str]) -> Tuple[List[bytes], Dict[str, str]]:
    """`pieces` and `headers` as they travel in that shape: packed, each piece flushed, if it is gzip."""
    headers = dict(headers)
    if "gzip" in shape:
        packer = zlib.compressobj(wbits=31)
        pieces = [packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
        pieces[-1:] = [pieces[-1] + packer.flush()] if pieces else []
        headers["Content-Encoding"] = "gzip"
    if "length" in shape:
        headers["Content-Length"] = str(sum(map(len, pieces)))
    if "close" in shape:
        headers["Connection"] = "close"
    return pieces, headers


def script(fake: FakeGemini, shape: str, *pieces: bytes, headers: Dict[str, str] = SSE, **how: Any) -> None:
    parts, headers = shaped(shape, list(pieces), headers)
    fake.raw(*parts, headers=headers, **how)


class Paced(Raw):
    """Sends a piece only when the one before was `taken`; hangs up when that takes too long."""

    def __init__(self, shape: str, *pieces: bytes) -> None:
        parts, headers = shaped(shape, list(pieces), SSE)
        super().__init__(headers=headers)
        self.taken = [threading.Event() for _ in parts]
        self.pieces = self._paced(parts)  # type: ignore[assignment]

    def _paced(self, parts: List[bytes]) -> Iterator[bytes]:
        for number, part in enumerate(parts):
            if number and not self.taken[number - 1].wait(SOON):
                raise ConnectionError("nobody took piece %d" % number)
            yield part


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_event_reaches_the_caller_before_the_next_is_sent(client: Client, shape: str, own: bool) -> None:
    paced = Paced(shape, event("a"), event("b"), event("ü"), last("d"))
    with FakeGemini(lambda request: paced) as fake, requests.Session() as session:
        got = []
        for number, chunk in enumerate(client(fake, retries=0, session=None if own else session).stream("Hi")):
            got.append(chunk.text_delta)
            paced.taken[number].set()
    assert got == ["a", "b", "ü", "d"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_event_reaches_the_caller_before_the_next_is_sent(client: Client, shape: str) -> None:
    size = 3 * (1 << 16) + 17  # more than one block, and no whole number of them
    paced = Paced(shape, event("a" * size), event("b"), last("c" * size))
    with FakeGemini(lambda request: paced) as fake:
        got = []
        for number, chunk in enumerate(client(fake, retries=0).stream("Hi")):
            got.append(len(chunk.text_delta))
            paced.taken[number].set()
    assert got == [size, 1, size]


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_arrives_whole_wherever_its_bytes_are_cut(
        fake: FakeGemini, client: Client, shape: str, size: int) -> None:
    (body,), headers = shaped(shape, [event("ü€😀") + last("\u2028")], SSE)
    fake.raw(*[body[i:i + size] for i in range(0, len(body), size)], headers=headers)
    assert texts(client(fake, retries=0).stream("Hi")) == ["ü€😀", "\u2028"]


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if "gzip" in shape])
def test_a_gzip_body_of_several_members_arrives_whole(fake: FakeGemini, client: Client, shape: str) -> None:
    body = gzip.compress(event("a")) + gzip.compress(last("b"))
    _, headers = shaped(shape, [], SSE)
    if "length" in shape:
        headers["Content-Length"] = str(len(body))
    fake.raw(body, headers=headers)
    assert texts(client(fake, retries=0).stream("Hi")) == ["a", "b"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_unary_answer_of_any_shape_arrives_whole(fake: FakeGemini, client: Client, shape: str) -> None:
    body = dump(answer("wörld" * 50000))
    script(fake, shape, body[:100], body[100:], headers={"Content-Type": "application/json"})
    assert client(fake, retries=0).generate("Hi").text == "wörld" * 50000


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "unary"])
def test_the_connection_is_used_again_unless_the_server_closes_it(
        fake: FakeGemini, client: Client, shape: str, streamed: bool) -> None:
    gemini = client(fake, retries=0)
    for _ in range(3):
        if streamed:
            script(fake, shape, event("a"), last("b"))
            assert texts(gemini.stream("Hi")) == ["a", "b"]
        else:
            script(fake, shape, dump(answer("a")), headers={"Content-Type": "application/json"})
            assert gemini.generate("Hi").text == "a"
    assert [request.connection for request in fake.requests] == ([1, 1, 1] if shape in KEPT else [1, 2, 3])


def test_the_connection_is_used_again_after_an_error(fake: FakeGemini, client: Client, no_sleep: List[float]) -> None:
    fake.error(503)
    fake.error(503)
    fake.reply("a")
    fake.error(400)
    fake.reply("b")
    gemini = client(fake)
    assert texts(gemini.stream("Hi")) == ["a"]
    with pytest.raises(BadRequestError):
        gemini.generate("Hi")
    assert gemini.generate("Hi").text == "b"
    assert {request.connection for request in fake.requests} == {1}


def hanging(gone: threading.Event) -> Callable[[Any], None]:
    """A handler that streams one event, and then waits for the client to hang up."""
    def handle(peer: Any) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        body = event("a")
        peer.send(b"%x\r\n%b\r\n" % (len(body), body))
        peer.sock.settimeout(SOON)
        with contextlib.suppress(ConnectionError):
            assert peer.sock.recv(1) == b""
        gone.set()
    return handle


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
@pytest.mark.parametrize("how", ["stream", "send_message_stream"])
def test_closing_a_stream_hangs_up_on_the_server(client: Client, serve: Serve, how: str, read: bool) -> None:
    gone = threading.Event()
    with getattr(client(serve(hanging(gone))), how)("Hi") as stream:
        assert not read or next(stream).text_delta == "a"
        assert not gone.is_set()
    assert gone.wait(1)
    assert list(stream) == []


@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_a_new_send_hangs_up_on_the_stream_before(client: Client, serve: Serve, read: bool) -> None:
    gone = threading.Event()
    hang = hanging(gone)

    def handle(peer: Any) -> None:
        if peer.number == 1:
            hang(peer)
        else:
            peer.request()
            peer.answer(dump(answer("b")))

    gemini = client(serve(handle))
    stream = gemini.send_message_stream("Hi")
    assert not read or next(stream).text_delta == "a"
    assert gemini.send_message("on").text == "b"
    assert gone.wait(1)


def test_a_stream_left_alone_closes_quietly(client: Client) -> None:
    gone = threading.Event()

    def endless(request: Request) -> Raw:
        raw = Raw(headers=SSE)

        def pieces() -> Iterator[bytes]:
            try:
                yield from repeated(lambda: event("x" * 10000))
            finally:
                gone.set()
        raw.pieces = pieces()  # type: ignore[assignment]
        return raw

    with FakeGemini(endless) as fake:
        gemini = client(fake)
        stream = gemini.stream("Hi")
        next(stream)
        del stream
        gc.collect()  # an unclosed socket would warn here, and warnings are errors
        assert gone.wait(SOON)


# Cut, broken and odd bodies

CUTS = {
    "between events": b"",
    "inside a line": event("never")[:20],
    "inside a character": b'data: {"text": "\xe2\x82',
    "before the blank line": b'data: {"candidates": [',
}


def cut(fake: FakeGemini, shape: str, *pieces: bytes) -> None:
    """A body of that shape that ends in the middle."""
    sent, headers = shaped(shape, list(pieces) + [b"x" * 100], SSE)
    fake.raw(*sent[:-1], headers=headers, cut=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rest", list(CUTS.values()), ids=list(CUTS))
def test_a_cut_after_the_first_event_raises_with_what_arrived_and_is_not_tried_again(
        fake: FakeGemini, client: Client, no_sleep: List[float], shape: str, rest: bytes) -> None:
    cut(fake, shape, event("Hel"), event("lo") + rest)
    stream = client(fake).stream("Hi")
    got = []
    with pytest.raises((TransportError, IncompleteError)) as caught:
        for chunk in stream:
            got.append(chunk.text_delta)
    assert got == ["Hel", "lo"]
    assert caught.value.response.text == "Hello"
    assert caught.value.response.finish_reason is None
    assert caught.value.retryable
    assert not isinstance(caught.value, TransportTimeout)
    assert len(fake.requests) == 1 and no_sleep == []
    with pytest.raises(type(caught.value)):
        stream.response


@pytest.mark.parametrize("shape, sent", [
    *[(shape, event("never")[:20]) for shape in SHAPES],
    *[(shape, b"") for shape in SHAPES if "close" not in shape],  # where nothing tells a cut from an empty body
    *[(shape, b": a comment\r\n\r\n") for shape in KEPT],
])
def test_a_cut_before_the_first_event_is_tried_again(
        fake: FakeGemini, client: Client, no_sleep: List[float], shape: str, sent: bytes) -> None:
    cut(fake, shape, *[sent] * bool(sent))
    fake.reply("Hel", "lo")
    assert texts(client(fake).stream("Hi")) == ["Hel", "lo"]
    assert len(fake.requests) == 2 and len(no_sleep) == 1


@pytest.mark.parametrize("shape", KEPT)
def test_a_unary_answer_that_is_cut_is_tried_again(
        fake: FakeGemini, client: Client, no_sleep: List[float], shape: str) -> None:
    cut(fake, shape, dump(answer("a"))[:-9])
    fake.reply("whole")
    assert client(fake).generate("Hi").text == "whole"
    assert len(fake.requests) == 2 and len(no_sleep) == 1


@pytest.mark.parametrize("shape", KEPT)
def test_a_unary_answer_that_stays_cut_is_a_transport_error(fake: FakeGemini, client: Client, shape: str) -> None:
    cut(fake, shape, dump(answer("a"))[:-9])
    with pytest.raises(TransportError) as caught:
        client(fake, retries=0).generate("Hi")
    assert caught.value.retryable and caught.value.reason == "CONNECTION"


def test_a_body_that_is_no_gzip_is_a_clear_error(fake: FakeGemini, client: Client, no_sleep: List[float]) -> None:
    for headers in ({}, {"Connection": "close"}, {"Content-Length": "14"}):
        fake.raw(b"not gzip at al", headers={**SSE, "Content-Encoding": "gzip", **headers})
        with pytest.raises(TransportError, match="unpack"):
            client(fake).stream("Hi")
    assert len(fake.requests) == 3 and no_sleep == []


UNAVAILABLE = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
INVALID = {"error": {"code": 400, "message": "API key not valid", "status": "INVALID_ARGUMENT"}}


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]], ids=["object", "array"])
def test_an_error_inside_a_200_stream_raises_with_what_arrived(
        fake: FakeGemini, client: Client, no_sleep: List[float], wrap: Any) -> None:
    fake.raw(event("Hel"), b"data: %b\n\n" % dump(wrap(UNAVAILABLE)), last("never"))
    got = []
    with pytest.raises(OverloadedError, match="overloaded") as caught:
        for chunk in client(fake).stream("Hi"):
            got.append(chunk.text_delta)
    assert got == ["Hel"] and caught.value.response.text == "Hel"
    assert (caught.value.code, caught.value.status, caught.value.retryable) == (503, "UNAVAILABLE", True)
    assert len(fake.requests) == 1 and no_sleep == []


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]], ids=["object", "array"])
def test_an_error_as_the_first_event_is_judged_like_any_error(
        fake: FakeGemini, client: Client, no_sleep: List[float], wrap: Any) -> None:
    fake.raw(b"data: %b\n\n" % dump(wrap(UNAVAILABLE)))
    fake.reply("a")
    assert texts(client(fake).stream("Hi")) == ["a"]
    fake.raw(b"data: %b\n\n" % dump(wrap(INVALID)))
    with pytest.raises(BadRequestError, match="API key not valid"):
        client(fake).stream("Hi")
    assert len(fake.requests) == 3 and len(no_sleep) == 1


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]], ids=["object", "array"])
def test_an_error_inside_a_200_unary_answer_raises(fake: FakeGemini, client: Client, wrap: Any) -> None:
    fake.raw(dump(wrap(INVALID)))
    with pytest.raises(BadRequestError, match="API key not valid"):
        client(fake).generate("Hi")


@pytest.mark.parametrize("broken", [
    b'data: {"candidates": [\n\n', b"data: hello\n\n", b"data: 5\n\n", b"data: [{}]\n\n", b'data: "text"\n\n',
    b"data: null\n\n", b'data: {"text": "\xff\xfe"}\n\n', b"data: " + b"[" * 100000 + b"\n\n",
], ids=["cut JSON", "no JSON", "number", "array", "string", "null", "no UTF-8", "deep"])
def test_a_whole_event_that_is_no_json_object_is_a_parse_error(
        fake: FakeGemini, client: Client, no_sleep: List[float], broken: bytes) -> None:
    fake.raw(event("Hel"), broken, last("never"))
    with pytest.raises(ParseError) as caught:
        texts(client(fake).stream("Hi"))
    assert caught.value.response.text == "Hel" and not caught.value.retryable
    fake.raw(broken, last("never"))
    with pytest.raises(ParseError):
        client(fake).stream("Hi")
    assert len(fake.requests) == 2 and no_sleep == []


HTML = b"<!DOCTYPE html><html><title>Welcome to the hotel</title><body>data: log in\n\n</body></html>"


@pytest.mark.parametrize("method", ["generate", "stream", "count_tokens"])
def test_html_with_status_200_is_a_parse_error_that_names_the_host(
        fake: FakeGemini, client: Client, no_sleep: List[float], method: str) -> None:
    raw = Raw(HTML, headers={"Content-Type": "text/html"})
    if method == "count_tokens":
        fake.answer("countTokens", raw)
    else:
        fake.raw(*raw.pieces, headers=raw.headers)
    with pytest.raises(ParseError, match="text/html") as caught:
        getattr(client(fake), method)("Hi")
    assert urlsplit(fake.url).netloc in str(caught.value) and no_sleep == []


@pytest.mark.parametrize("body", [b"5", b"[]", b'"text"', b"null", b"[{}]", b"{", b"\xff{}", b"[" * 100000])
def test_a_unary_answer_that_is_no_json_object_is_a_parse_error(
        fake: FakeGemini, client: Client, no_sleep: List[float], body: bytes) -> None:
    fake.raw(body)
    with pytest.raises(ParseError, match="application/json") as caught:
        client(fake).generate("Hi")
    assert not caught.value.retryable and no_sleep == []


def test_an_error_of_null_is_no_error(fake: FakeGemini, client: Client) -> None:
    fake.raw(b"data: %b\n\n" % dump(answer("a", error=None)))
    fake.raw(dump(answer("b", error=None)))
    assert client(fake).stream("Hi").response.text == "a"
    assert client(fake).generate("Hi").text == "b"


@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_unary_answer_is_a_parse_error(fake: FakeGemini, client: Client, status: int) -> None:
    fake.raw(status=status, headers={"Content-Length": "0"})
    with pytest.raises(ParseError):
        client(fake).generate("Hi")


@pytest.mark.parametrize("shape, kind", [
    ("chunked", IncompleteError), ("length", IncompleteError), ("close", TransportError)])  # which may be half a head
def test_an_empty_stream_is_incomplete(fake: FakeGemini, client: Client, shape: str, kind: Any) -> None:
    script(fake, shape)
    with pytest.raises(kind) as caught:
        list(client(fake, retries=0).stream("Hi"))
    assert caught.value.retryable


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_without_a_finish_reason_is_incomplete(fake: FakeGemini, client: Client, shape: str) -> None:
    script(fake, shape, event("Hel"), event("lo"))
    got = []
    with pytest.raises(IncompleteError) as caught:
        for chunk in client(fake).stream("Hi"):
            got.append(chunk.text_delta)
    assert got == ["Hel", "lo"] and caught.value.response.text == "Hello" and caught.value.retryable
    assert len(fake.requests) == 1


def test_a_done_marker_and_comments_are_passed_over(fake: FakeGemini, client: Client) -> None:
    fake.raw(b": hello\n\n", event("a"), b": ping\n\n", b"data: [DONE]\n\n", last("b"), b"data: [DONE]\n\n")
    assert texts(client(fake).stream("Hi")) == ["a", "b"]


def test_a_last_event_without_its_blank_line_is_delivered_if_it_is_whole(fake: FakeGemini, client: Client) -> None:
    fake.raw(event("a"), last("b").strip())
    assert texts(client(fake).stream("Hi")) == ["a", "b"]


def test_line_separators_of_unicode_are_text(fake: FakeGemini, client: Client) -> None:
    text = "a\u2028b\u2029c\u0085d\x1c\x0b\x0ce\ufeff"
    fake.reply(text, text)
    fake.reply(text)
    assert client(fake).stream("Hi").response.text == text * 2
    assert client(fake).generate("Hi").text == text


@pytest.mark.parametrize("shape", SHAPES)
def test_an_event_of_10_mb_arrives_in_linear_time(fake: FakeGemini, client: Client, shape: str) -> None:
    text = "ü" * (5 << 20)
    body = last(text)
    script(fake, shape, *[body[i:i + 65536] for i in range(0, len(body), 65536)])
    start = time.monotonic()
    assert client(fake, retries=0).stream("Hi").response.text == text
    assert time.monotonic() - start < SOON


def test_a_request_of_10_mb_arrives(fake: FakeGemini, client: Client) -> None:
    fake.reply("a")
    client(fake).generate("x" * (10 << 20))
    assert len(fake.requests[0].body["contents"][0]["parts"][0]["text"]) == 10 << 20


# The bodies that `responses` makes

URL = "https://generativelanguage.googleapis.com/v1beta/models/m:%s"


@pytest.fixture
def mocked() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mocked:
        yield mocked


@pytest.fixture
def google() -> Iterator[GeminiClient]:
    with GeminiClient(api_key="test-key", retries=1) as google:
        yield google


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


# Tries

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


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
def test_a_connection_that_breaks_before_the_answer_is_tried_again(
        client: Client, serve: Serve, no_sleep: List[float], end: str, method: str) -> None:
    def handle(peer: Any) -> None:
        peer.request()
        if peer.number < 3:
            getattr(peer, end)()
        elif method == "stream":
            peer.answer(last("a"), headers="Content-Type: text/event-stream")
        else:
            peer.answer(dump(answer("a")))

    result = getattr(client(serve(handle)), method)("Hi")
    assert (result if method == "generate" else result.response).text == "a"
    assert len(no_sleep) == 2


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


# Time

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


# Sizes

def repeated(make: Callable[[], bytes]) -> Iterator[bytes]:
    """Pieces of a body that has no end as far as a client can tell: it goes on for `SOON` seconds."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        yield make()
    raise ConnectionError("the client took it all")


def endless(piece: bytes, status: int = 200, headers: Dict[str, str] = SSE) -> Callable[[Request], Raw]:
    """A default for `FakeGemini` whose body never ends."""
    def answer(request: Request) -> Raw:
        raw = Raw(status=status, headers=headers)
        raw.pieces = repeated(lambda: piece)  # type: ignore[assignment]
        return raw
    return answer


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


# Redirects

@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_a_redirect_is_an_error_and_never_followed(
        fake: FakeGemini, client: Client, no_sleep: List[float], code: int, own: bool) -> None:
    with FakeGemini() as other, requests.Session() as session:
        fake.raw(b"moved", status=code, headers={"Location": other.url + "/v1beta/models/m:generateContent",
                                                 "Content-Length": "0" if code == 304 else "5"})
        with pytest.raises(APIError, match="edirect") as caught:
            client(fake, session=None if own else session).generate("Hi")
        assert other.requests == []
    assert caught.value.code == code and not caught.value.retryable
    assert len(fake.requests) == 1 and no_sleep == []


@pytest.mark.parametrize("location", ["http://", "http://[::1", "//", "http://127.0.0.1:99999/x", "ftp://x/", "",
                                      "\xff", "javascript:alert(1)", "http://user:pw@127.0.0.1:1/"])
@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_malformed_location_is_an_error_like_any_redirect(
        fake: FakeGemini, client: Client, no_sleep: List[float], location: str, own: bool, method: str) -> None:
    fake.raw(status=302, headers={"Location": location, "Content-Length": "0"})
    with requests.Session() as session, pytest.raises(APIError) as caught:
        getattr(client(fake, session=None if own else session), method)("Hi")
    assert caught.value.code == 302 and len(fake.requests) == 1 and no_sleep == []


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_the_body_of_a_redirect_is_read_to_the_limit_alone(client: Client, own: bool) -> None:
    with FakeGemini(endless(b"x" * 10000, 302, {"Location": "http://127.0.0.1:1/"})) as fake:
        with requests.Session() as session, pytest.raises(APIError) as caught:
            client(fake, session=None if own else session, max_error_bytes=50000).generate("Hi")
    assert caught.value.code == 302


# What the environment adds

@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login somebody password netrc-password\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_netrc_neither_adds_nor_replaces_a_header(fake: FakeGemini, client: Client, own: bool, method: str) -> None:
    fake.reply("a")
    with requests.Session() as session:
        requests.get(fake.url + "/plain", timeout=SOON).close()  # shows that the file is in force
        result = getattr(client(fake, session=None if own else session), method)("Hi")
        assert (result if method == "generate" else result.response).text == "a"
    plain, ours = fake.requests
    assert plain.headers["authorization"].startswith("Basic ")
    assert "authorization" not in ours.headers and ours.headers["x-goog-api-key"] == "test-key"


class Proxy:
    """A proxy for absolute http URIs, one request to a connection, and for tunnels; `heads` has what it was asked."""

    def __init__(self, serve: Serve) -> None:
        self.heads: List[str] = []
        self.url = serve(self._handle)

    @property
    def lines(self) -> List[str]:
        """Of each request, the method and the target without its query."""
        return [" ".join(head.split(" ")[:2]).split("?")[0] for head in self.heads]

    def _handle(self, peer: Any) -> None:
        head, body = peer.request()
        self.heads.append(head)
        line, rest = head.split("\r\n", 1)
        method, url, version = line.split(" ")
        target = urlsplit("//" + url if method == "CONNECT" else url)
        with socket.create_connection((target.hostname, target.port), SOON) as there:
            if method == "CONNECT":
                peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=self._pass_on, args=(there, peer.sock), daemon=True)
                back.start()
                self._pass_on(peer.sock, there)
                back.join(SOON)
            else:
                origin = "%s %s?%s %s\r\nConnection: close\r\n" % (method, target.path, target.query, version)
                there.sendall((origin + rest).encode("latin-1") + body)
                self._pass_on(there, peer.sock)

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for block in iter(lambda: source.recv(65536), b""):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("how", ["environment", "given session", "environment and given session"])
def test_a_proxy_is_used(fake: FakeGemini, client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch,
                         how: str) -> None:
    proxy = Proxy(serve)
    fake.reply("a")
    fake.raw(last("b"), headers={**SSE, "Connection": "close"})
    if "environment" in how:
        monkeypatch.delenv("no_proxy")
        monkeypatch.setenv("http_proxy", proxy.url)
    with requests.Session() as session:
        session.headers["Connection"] = "close"  # the proxy above serves one request per connection
        if how == "given session":
            session.proxies = {"http": proxy.url}
        gemini = client(fake, session=session if "session" in how else None)
        assert gemini.generate("Hi", model="m").text == "a"
        assert gemini.stream("Hi", model="m").response.text == "b"
    assert proxy.lines == ["POST %s/v1beta/models/m:%s" % (fake.url, method) for method in (
        "generateContent", "streamGenerateContent")]


def test_the_name_and_password_of_a_proxy_go_to_the_proxy(
        fake: FakeGemini, client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(serve)
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:hunter2@"))
    fake.reply("a")
    assert client(fake).generate("Hi").text == "a"
    assert "proxy-authorization: basic dxnlcjpodw50zxiy" in proxy.heads[0].lower()


def test_no_proxy_is_obeyed(fake: FakeGemini, client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(serve)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fake.reply("a")
    assert client(fake).generate("Hi").text == "a"
    assert proxy.heads == []


def test_a_proxy_that_refuses_is_named_as_the_cause(
        fake: FakeGemini, client: Client, monkeypatch: pytest.MonkeyPatch, no_sleep: List[float]) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", "http://user:hunter2@127.0.0.1:%d" % free_port())
    with pytest.raises(TransportError, match="(?i)proxy") as caught:
        client(fake, retries=1).generate("Hi")
    assert caught.value.reason == "PROXY" and "hunter2" not in str(caught.value) and fake.requests == []


# The user's own session

@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_the_headers_of_a_given_session_hold(
        fake: FakeGemini, client: Client, session: requests.Session, method: str) -> None:
    session.headers.update({"X-Team": "blue", "User-Agent": "my-app/1", "accept-encoding": "identity;q=1"})
    before = dict(session.headers)
    fake.reply("a")
    result = getattr(client(fake, session=session), method)("Hi")
    assert (result if method == "generate" else result.response).text == "a"
    headers = fake.requests[0].headers
    assert (headers["x-team"], headers["user-agent"]) == ("blue", "my-app/1")
    assert headers["accept-encoding"] == "identity;q=1"
    assert headers["content-type"] == "application/json" and headers["x-goog-api-key"] == "test-key"
    assert dict(session.headers) == before


def test_a_given_session_without_wishes_sends_our_headers(
        fake: FakeGemini, client: Client, session: requests.Session) -> None:
    fake.reply("a")
    fake.reply("a")
    client(fake, session=session).generate("Hi")
    client(fake).generate("Hi")
    given, own = [{name: value for name, value in request.headers.items() if name != "host"}
                  for request in fake.requests]
    assert given == own


def test_the_auth_of_a_given_session_does_not_replace_the_key(
        fake: FakeGemini, client: Client, session: requests.Session) -> None:
    session.auth = ("user", "password")
    session.headers["x-goog-api-key"] = "another-key"
    fake.reply("a")
    client(fake, session=session).generate("Hi")
    headers = fake.requests[0].headers
    assert headers["x-goog-api-key"] == "test-key" and "authorization" not in headers
    assert session.auth == ("user", "password")


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_the_hooks_of_a_given_session_are_called(
        fake: FakeGemini, client: Client, session: requests.Session, method: str) -> None:
    seen = []
    session.hooks["response"].append(lambda response, **kwargs: seen.append(response.status_code))
    before = list(session.hooks["response"])
    fake.reply("a")
    getattr(client(fake, session=session), method)("Hi")
    assert seen == [200] and session.hooks == {"response": before}


def test_the_adapters_of_a_given_session_are_used(
        fake: FakeGemini, client: Client, session: requests.Session) -> None:
    sent = []

    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
            sent.append(request.url)
            return super().send(request, *args, **kwargs)

    adapter = Adapter()
    session.mount(fake.url, adapter)
    before = list(session.adapters.items())
    fake.reply("a")
    fake.reply("b")
    gemini = client(fake, session=session)
    gemini.generate("Hi"), gemini.stream("Hi").response
    assert len(sent) == 2 and list(session.adapters.items()) == before


def test_a_given_session_is_used_and_not_closed(
        fake: FakeGemini, client: Client, session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    monkeypatch.setattr(session, "close", lambda: closed.append(True))
    fake.reply("a")
    with client(fake, session=session) as gemini:
        gemini.generate("Hi")
    gemini.close()
    assert closed == []
    session.get(fake.url + "/after", timeout=SOON)
    assert [request.connection for request in fake.requests] == [1, 1]
    monkeypatch.undo()


def test_the_cookies_of_a_given_session_are_its_own_affair(
        fake: FakeGemini, client: Client, session: requests.Session) -> None:
    session.cookies.set("mine", "1")
    fake.reply("a")
    client(fake, session=session).generate("Hi")
    assert fake.requests[0].headers["cookie"] == "mine=1"


def test_our_own_session_keeps_no_cookies(fake: FakeGemini, client: Client) -> None:
    body = dump(answer("a"))
    for _ in range(3):
        fake.raw(body, headers={"Content-Length": str(len(body)), "Set-Cookie": "track=1; Path=/"})
    gemini = client(fake)
    for model in ("m", "m", "another"):
        gemini.generate("Hi", model=model)
    gemini.models()
    assert len(fake.requests) == 4 and all("cookie" not in request.headers for request in fake.requests)


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_gzip_is_asked_for_on_unary_calls_and_identity_on_streams(
        fake: FakeGemini, client: Client, session: requests.Session, own: bool) -> None:
    fake.reply("a")
    fake.reply("b")
    gemini = client(fake, session=None if own else session)
    gemini.generate("Hi")
    gemini.stream("Hi").response
    gemini.count_tokens("Hi")
    gemini.models()
    assert [request.headers["accept-encoding"] for request in fake.requests] == ["gzip", "identity", "gzip", "gzip"]


# TLS

def openssl(*arguments: str, cwd: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and server.pem signed by it for localhost and 127.0.0.1, and other.pem for another name."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ca.cnf").write_text(
        "[req]\ndistinguished_name=dn\nprompt=no\nx509_extensions=ca\n[dn]\nCN=Test CA\n"
        "[ca]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
            "-config", "ca.cnf", cwd=folder)
    for name, names in (("server", "DNS:localhost,IP:127.0.0.1"), ("other", "DNS:elsewhere.example")):
        (folder / "ext.cnf").write_text("subjectAltName=%s\nbasicConstraints=CA:false\nauthorityKeyIdentifier=keyid\n"
                                        "extendedKeyUsage=serverAuth\n" % names)
        (folder / "req.cnf").write_text("[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=%s\n" % name)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
                "-config", "req.cnf", cwd=folder)
        openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", name + ".crt", "-days", "2", "-extfile", "ext.cnf", cwd=folder)
        (folder / (name + ".pem")).write_text((folder / (name + ".crt")).read_text()
                                              + (folder / (name + ".key")).read_text())
    return folder


@pytest.fixture
def tls_server(certificates: Path, serve: Serve) -> Callable[..., str]:
    """Starts an https server that answers every request; its URL."""
    def start(name: str = "server") -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(certificates / (name + ".pem")))

        def handle(peer: Any) -> None:
            while True:
                head, _ = peer.request()
                if ":stream" in head:
                    peer.answer(event("a") + last("b"), headers="Content-Type: text/event-stream")
                else:
                    peer.answer(dump(answer("over %d" % peer.number)))

        return serve(handle, tls=context)
    return start


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_a_certificate_is_verified_with_the_bundle_of_the_environment(
        tls_server: Callable[..., str], certificates: Path, client: Client, session: requests.Session,
        monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    gemini = client(tls_server(), session=None if own else session)
    assert [gemini.generate("Hi").text for _ in range(2)] == ["over 1", "over 1"]
    assert texts(gemini.stream("Hi")) == ["a", "b"]


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_an_unknown_certificate_is_refused_and_not_tried_again(
        tls_server: Callable[..., str], client: Client, session: requests.Session, no_sleep: List[float],
        own: bool) -> None:
    with pytest.raises(TransportError, match="REQUESTS_CA_BUNDLE") as caught:
        client(tls_server(), session=None if own else session).generate("Hi")
    assert (caught.value.reason, caught.value.retryable) == ("TLS", False) and no_sleep == []


def test_a_certificate_for_another_name_is_refused(
        tls_server: Callable[..., str], certificates: Path, client: Client, monkeypatch: pytest.MonkeyPatch,
        no_sleep: List[float]) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    with pytest.raises(TransportError) as caught:
        client(tls_server("other")).generate("Hi")
    assert caught.value.reason == "TLS" and no_sleep == []


def test_the_verify_of_a_given_session_holds(
        tls_server: Callable[..., str], certificates: Path, client: Client, session: requests.Session) -> None:
    session.verify = str(certificates / "ca.pem")
    assert client(tls_server(), session=session).generate("Hi").text == "over 1"


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_tls_goes_through_a_tunnel_of_the_proxy_which_never_sees_the_key(
        tls_server: Callable[..., str], certificates: Path, client: Client, session: requests.Session, serve: Serve,
        monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    proxy, url = Proxy(serve), tls_server()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    monkeypatch.setenv("https_proxy", proxy.url)
    monkeypatch.delenv("no_proxy")
    gemini = client(url, session=None if own else session)
    assert [gemini.generate("Hi").text for _ in range(2)] == ["over 1", "over 1"]
    assert texts(gemini.stream("Hi")) == ["a", "b"]
    assert proxy.lines == ["CONNECT " + urlsplit(url).netloc] and "test-key" not in proxy.heads[0]


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_a_certificate_is_verified_through_a_tunnel_too(
        tls_server: Callable[..., str], client: Client, session: requests.Session, serve: Serve,
        monkeypatch: pytest.MonkeyPatch, no_sleep: List[float], own: bool) -> None:
    monkeypatch.setenv("https_proxy", Proxy(serve).url)
    monkeypatch.delenv("no_proxy")
    with pytest.raises(TransportError) as caught:
        client(tls_server(), session=None if own else session).generate("Hi")
    assert caught.value.reason == "TLS" and no_sleep == []


def test_many_tls_connections_share_one_context(
        tls_server: Callable[..., str], certificates: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = certificates / "shared.pem"
    shutil.copy(str(certificates / "ca.pem"), str(bundle))
    loads = []
    original = ssl.SSLContext.load_verify_locations

    def load(self: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
        loads.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    gemini = client(tls_server())
    for _ in range(3):
        gemini.generate("Hi")
        gemini.close()
    assert gemini.generate("Hi").text == "over 4"
    assert client(tls_server()).generate("Hi").text == "over 1"
    assert len(loads) == 1


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_a_missing_ca_bundle_is_a_clear_error_and_not_tried_again(
        tls_server: Callable[..., str], client: Client, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path, no_sleep: List[float], own: bool) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(TransportError, match="missing.pem"):
        client(tls_server(), session=None if own else session).generate("Hi")
    assert no_sleep == []


def test_a_ca_bundle_that_is_no_certificate_is_a_clear_error(
        tls_server: Callable[..., str], client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        no_sleep: List[float]) -> None:
    bundle = tmp_path / "rubbish.pem"
    bundle.write_text("rubbish")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with pytest.raises(TransportError, match="rubbish.pem"):
        client(tls_server()).generate("Hi")
    assert no_sleep == []


# Processes, threads, event loops

def echo(request: Request) -> str:
    return str(request.body["contents"][-1]["parts"][0]["text"])


FORK = """
import os, sys, requests
from gemini_lite import DeveloperAPI, GeminiClient

url, given = sys.argv[1:]
session = requests.Session() if given == "given" else None
client = GeminiClient(backend=DeveloperAPI("test-key", base_url=url), session=session, retries=0)
stream = client.stream("streamed")
next(stream)
assert client.generate("before").text == "before"  # which leaves a second connection idle
pid = os.fork()
if pid == 0:
    code = 1
    try:
        assert [client.generate("child %d" % n).text for n in range(3)] == ["child %d" % n for n in range(3)]
        stream.close()
        client.close()
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(pid, 0)[1] == 0
assert stream.response.text == "streamed, and on"
assert [client.generate("parent %d" % n).text for n in range(3)] == ["parent %d" % n for n in range(3)]
client.close()
if session is not None:
    session.close()
"""


def environment() -> Dict[str, str]:
    """The environment of a Python process that imports the package under test."""
    return {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("given", ["own", "given"])
def test_a_client_works_on_both_sides_of_a_fork(given: str) -> None:
    def answers(request: Request) -> Any:
        return [echo(request), ", and on"] if request.streamed else echo(request)

    with FakeGemini(answers) as fake:
        done = subprocess.run([sys.executable, "-W", "error", "-c", FORK, fake.url, given], env=environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        assert (done.returncode, done.stderr.decode()) == (0, "")
        used: Dict[str, set] = {}
        for request in fake.requests:
            used.setdefault(echo(request).split(" ")[0], set()).add(request.connection)
    assert len(used["child"]) == 1 and used["before"] != used["streamed"]
    assert not used["child"] & (used["before"] | used["streamed"] | used["parent"])
    assert used["parent"] <= used["before"] | used["streamed"], "the parent's connections outlive the child"


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_16_threads_share_a_client_and_each_gets_its_own_answers(client: Client, method: str) -> None:
    start = threading.Barrier(16)

    def ask(thread: int) -> List[str]:
        start.wait(SOON)
        results = [getattr(gemini, method)("%d of %d" % (number, thread)) for number in range(20)] \
            if method == "generate" else (gemini.stream("%d of %d" % (number, thread)).response for number in range(20))
        return [result.text for result in results]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with FakeGemini(echo) as fake, ThreadPoolExecutor(16) as pool:
            gemini = client(fake, retries=0)
            got = list(pool.map(ask, range(16)))
    finally:
        sys.setswitchinterval(interval)
    assert got == [["%d of %d" % (number, thread) for number in range(20)] for thread in range(16)]
    assert fake.connections <= 16, "a thread's first calls must not make sessions of their own"


def test_threads_that_start_together_share_one_session(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Session(requests.Session):
        def __init__(self) -> None:
            made.append(self)
            time.sleep(0.05)  # long enough for every thread to find that there is none yet
            super().__init__()

    monkeypatch.setattr(requests, "Session", Session)
    with FakeGemini(echo) as fake, ThreadPoolExecutor(8) as pool:
        gemini = client(fake)
        start = threading.Barrier(8)
        assert sorted(pool.map(lambda name: start.wait(SOON) >= 0 and gemini.generate(name).text, "abcdefgh")) \
            == list("abcdefgh")
    assert len(made) == 1


def test_threads_that_start_together_share_one_tls_pool(
        tls_server: Callable[..., str], certificates: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = itertools.count()
    original = requests.Session.merge_environment_settings

    def slow(self: requests.Session, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.05 * next(looked_up))  # so that a thread is done before the next has mounted its adapter
        return original(self, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "merge_environment_settings", slow)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    gemini = client(tls_server())
    start = threading.Barrier(4)

    def ask(thread: int) -> List[str]:
        start.wait(SOON)
        first = gemini.generate("Hi").text
        start.wait(SOON)
        return [first, gemini.generate("Hi").text]

    with ThreadPoolExecutor(4) as pool:
        got = [text for pair in pool.map(ask, range(4)) for text in pair]
    assert set(got) <= {"over %d" % number for number in range(1, 5)}


def test_any_number_of_models_is_served_over_one_connection(client: Client) -> None:
    with FakeGemini(lambda request: request.model) as fake:
        gemini = client(fake)
        names = ["m%d" % number for number in range(300)] + ["m0"]
        assert [gemini.generate("Hi", model=name).text for name in names] == names
    assert fake.connections == 1


def test_a_client_works_inside_a_running_event_loop(fake: FakeGemini, client: Client) -> None:
    async def main() -> Tuple[str, List[str]]:
        gemini = client(fake)
        return gemini.generate("Hi").text, texts(gemini.stream("Hi"))

    fake.reply("a")
    fake.reply("b", "c")
    assert asyncio.run(main()) == ("a", ["b", "c"])


# Logs and secrets

def test_a_line_is_logged_per_try_and_per_wait_and_never_the_key(
        fake: FakeGemini, client: Client, no_sleep: List[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake.error(503, headers={"Retry-After": "2"})
    fake.reply("answer-text")
    client(fake, key="secret-key-1234").generate("prompt-text")
    ours = [record for record in caplog.records if record.name.startswith("gemini_lite")]
    assert [record.levelname for record in ours] == ["DEBUG", "INFO", "DEBUG"]
    assert "503" in ours[0].getMessage() and " 2." in ours[1].getMessage() and "200" in ours[2].getMessage()
    for word in ("secret-key-1234", "prompt-text", "answer-text"):
        assert word not in caplog.text


def test_a_failed_try_is_logged_too(client: Client, caplog: pytest.LogCaptureFixture, no_sleep: List[float]) -> None:
    caplog.set_level(logging.DEBUG, "gemini_lite")
    with pytest.raises(TransportError):
        client("http://127.0.0.1:%d" % free_port(), retries=1).generate("Hi")
    assert [record.levelname for record in caplog.records if record.name == "gemini_lite"] == ["DEBUG", "INFO", "DEBUG"]


FAILURES = {
    "refused": lambda client, fake: client("http://127.0.0.1:%d" % free_port(), key="secret-key-1234", retries=0),
    "status": lambda client, fake: fake.error(400) or client(fake, key="secret-key-1234"),
    "no HTTP": lambda client, fake: fake.raw(b"x", status=None) or client(fake, key="secret-key-1234", retries=0),
    "cut": lambda client, fake: cut(fake, "length", b"x") or client(fake, key="secret-key-1234", retries=0),
    "not JSON": lambda client, fake: fake.raw(b"data: x\n\n") or client(fake, key="secret-key-1234", retries=0),
}


@pytest.mark.parametrize("kind", list(FAILURES))
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_no_frame_of_an_error_shows_the_key(fake: FakeGemini, client: Client, kind: str, method: str) -> None:
    gemini = FAILURES[kind](client, fake)
    with pytest.raises(gemini_lite.GeminiError) as caught:
        getattr(gemini, method)("Hi")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "transport" in shown and "secret-key-1234" not in shown


def test_an_error_of_the_session_shows_no_header_values(
        fake: FakeGemini, client: Client, session: requests.Session) -> None:
    session.headers["X-Mine"] = "secret-value\r\nX-More: 1"
    with pytest.raises(TransportError) as caught:
        client(fake, session=session).generate("Hi")
    assert "secret-value" not in str(caught.value) and not caught.value.retryable


def test_what_json_cannot_say_is_an_error_before_any_network(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    loop: Dict[str, Any] = {}
    loop["text"] = loop
    for prompt in ({"text": {1, 2}}, {"x": float("nan")}, {"text": "\ud800"}):
        with pytest.raises((ValueError, TypeError)):
            gemini.generate(prompt)
    assert fake.requests == []


def test_closing_twice_and_using_again_works(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    for number in range(1, 3):
        fake.reply(str(number))
        assert gemini.generate("Hi").text == str(number)
        gemini.close()
        gemini.close()
    assert [request.connection for request in fake.requests] == [1, 2]


@pytest.mark.parametrize("raised, expected", [
    (CredentialsError("sign in again"), CredentialsError), (requests.exceptions.ConnectionError("no"), TransportError),
    (requests.exceptions.ReadTimeout("slow"), TransportError), (OSError("disk"), TransportError)])
def test_an_auth_that_is_not_ready_ends_the_call_as_a_gemini_error(
        fake: FakeGemini, raised: Exception, expected: Any) -> None:
    class Auth(Renewed):
        def ready(self, session: requests.Session, timeout: Tuple[float, float]) -> None:
            raise raised

    backend = DeveloperAPI("test-key", base_url=fake.url)
    backend.auth = Auth()  # type: ignore[assignment]
    with GeminiClient(backend=backend, retries=0) as gemini, pytest.raises(expected):
        gemini.generate("Hi")
    assert fake.requests == []


class Renewed(requests.auth.AuthBase):
    """An auth whose first key is refused, and whose second may be too."""

    def __init__(self) -> None:
        self.key, self.renewals, self.ready_calls = "old", 0, 0

    def __call__(self, request: Any) -> Any:
        request.headers["x-goog-api-key"] = self.key
        return request

    def ready(self, session: requests.Session, timeout: Tuple[float, float]) -> None:
        assert len(timeout) == 2
        self.ready_calls += 1

    def renew(self, session: requests.Session, timeout: Tuple[float, float]) -> bool:
        self.renewals += 1
        self.key = "new"
        return True


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_a_401_renews_the_sign_in_once_and_costs_no_try(
        fake: FakeGemini, client: Client, session: requests.Session, no_sleep: List[float], own: bool) -> None:
    backend = DeveloperAPI("test-key", base_url=fake.url)
    backend.auth = auth = Renewed()  # type: ignore[assignment]
    fake.error(401)
    fake.reply("a")
    with GeminiClient(backend=backend, retries=0, session=None if own else session) as gemini:
        assert gemini.generate("Hi").text == "a"
        assert [request.headers["x-goog-api-key"] for request in fake.requests] == ["old", "new"]
        fake.error(401)
        fake.error(401)
        with pytest.raises(AuthenticationError):
            gemini.generate("Hi")
    assert auth.renewals == 2 and len(fake.requests) == 4 and no_sleep == []


class Endpoints(DeveloperAPI):
    def __init__(self, *urls: str) -> None:
        super().__init__("test-key")
        self.endpoints = urls


def test_one_try_walks_all_endpoints_without_a_wait(fake: FakeGemini, no_sleep: List[float]) -> None:
    fake.error(503)
    fake.reply("a")
    dead = "http://127.0.0.1:%d" % free_port()
    with GeminiClient(backend=Endpoints(dead, fake.url, fake.url), retries=0) as gemini:
        assert gemini.generate("Hi").text == "a"
    assert len(fake.requests) == 2 and no_sleep == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 429])
def test_the_next_endpoint_is_not_asked_where_the_caller_is_at_fault(
        fake: FakeGemini, no_sleep: List[float], code: int) -> None:
    fake.error(code)
    with GeminiClient(backend=Endpoints(fake.url, fake.url), retries=0) as gemini:
        with pytest.raises(APIError) as caught:
            gemini.generate("Hi")
    assert caught.value.code == code and len(fake.requests) == 1
    assert isinstance(caught.value, ServerError) is False
