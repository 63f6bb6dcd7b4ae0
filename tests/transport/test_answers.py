"""Answers that are cut, broken, odd or errors: what a call makes of them."""
from __future__ import annotations

import time
import types
from typing import Any, Dict, List
from urllib.parse import urlsplit

import pytest
from transport.served import KEPT, SHAPES, SOON, SSE, UNAVAILABLE, Client, answer, cut, dump, event, last, script, texts

from gemini_lite import BadRequestError, IncompleteError, OverloadedError, ParseError, TransportError, TransportTimeout
from gemini_lite.testing import FakeGemini, Raw
from gemini_lite.transport.answers import encode_body

CUTS = {
    "between events": b"",
    "inside a line": event("never")[:20],
    "inside a character": b'data: {"text": "\xe2\x82',
    "before the blank line": b'data: {"candidates": [',
}


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


@pytest.mark.parametrize("body", [b"[%b]" % dump(answer("a")), dump(answer("a")), b"", b"null"])
def test_json_in_the_place_of_a_stream_is_a_parse_error_that_says_so(
        fake: FakeGemini, client: Client, body: bytes) -> None:
    fake.raw(body, headers={"Content-Type": "application/json"})
    with pytest.raises(ParseError, match="application/json where a stream of events was expected"):
        client(fake).stream("Hi")


def test_a_byte_order_mark_before_an_answer_is_passed_over(fake: FakeGemini, client: Client) -> None:
    fake.raw(b"\xef\xbb\xbf" + dump(answer("a")))
    assert client(fake).generate("Hi").text == "a"


@pytest.mark.parametrize("nothing", [None, {}, "", False])
def test_an_error_that_is_empty_is_no_error(fake: FakeGemini, client: Client, nothing: object) -> None:
    fake.raw(b"data: %b\n\n" % dump(answer("a", error=nothing)))
    fake.raw(dump(answer("b", error=nothing)))
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


def test_a_request_that_is_nested_too_deeply_is_a_value_error() -> None:
    deep: Dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="nested too deeply"):
        encode_body(deep)


def test_a_mapping_that_is_no_dict_is_sent_as_one() -> None:
    inner = types.MappingProxyType({"ratio": "1:1"})
    assert encode_body({"a": types.MappingProxyType({"b": [inner]})}) == b'{"a":{"b":[{"ratio":"1:1"}]}}'


@pytest.mark.parametrize("value, words", [
    (b"x", r"bytes; in a part dict they are base64 text, and a prompt takes \(data, 'image/png'\)"),
    ({1}, "objects of the type set$"), (object(), "objects of the type object$"),
])
def test_what_json_cannot_say_is_a_type_error_with_what_to_write(value: object, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        encode_body({"a": value})
