"""Bodies of every shape arrive live and whole, and their connections are used again."""
from __future__ import annotations

import contextlib
import gc
import gzip
import threading
from typing import Any, Callable, Iterator, List

import pytest
import requests
from transport.served import (
    KEPT, SHAPES, SOON, SSE, Client, Paced, Serve, answer, dump, event, last, repeated, script, shaped, texts,
)

from gemini_lite import BadRequestError
from gemini_lite.testing import FakeGemini, Raw, Request


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
