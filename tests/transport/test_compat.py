"""What `compat` and `connections` use of requests, urllib3 and http.client, on whatever versions there are.

It holds for requests 2.25.1, 2.31, 2.32.2 and newest with urllib3 1.26.20, 2.0 and newest; it needs no other package
than pytest.
"""
from __future__ import annotations

import gzip
import http.client
import json
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import requests
import urllib3
from transport.served import SOON, Serve, answer, dump, last

from gemini_lite import CodeAssist, DeveloperAPI, GeminiClient, OAuthCredentials, TransportError
from gemini_lite.transport import compat, connections, running, session

Client = Callable[..., GeminiClient]


@pytest.fixture
def call() -> Any:
    """A call that this thread makes."""
    call = running.RunningCall()
    outer = running.enter(call)
    yield call
    running.leave(outer, 0)


def send(url: str, session: requests.Session) -> requests.Response:
    return session.post(url, data=b"{}", stream=True, timeout=SOON)


@pytest.fixture
def own() -> Any:
    with requests.Session() as session:
        session.mount("http://", compat.Adapter(tls=False))
        session.mount("https://", compat.Adapter(tls=True))
        yield session


@pytest.fixture
def url(serve: Serve) -> str:
    def handle(peer: Any) -> None:
        while True:
            head, _ = peer.request()
            if "/chunked" in head:
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            elif "/close" in head:
                peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde")
                return
            else:
                peer.answer(b"abcde")

    return serve(handle)


@pytest.mark.parametrize("path", ["/length", "/chunked", "/close"])
def test_a_connection_belongs_to_its_call_until_the_body_is_read(
        url: str, own: requests.Session, call: running.RunningCall, path: str) -> None:
    for number in range(3):
        with send(url + path, own) as response:
            connection = response.raw.connection
            assert type(connection).__module__ == connections.__name__ and connection.call is call
            assert connection.is_reused == (number > 0 and path != "/close")
            assert not call.unsent and connection.attached is not None
            assert compat.socket_of(response.raw) is not None
            read, body = compat.packed_reader(response.raw), b""
            for block in iter(lambda: read(1 << 16), b""):
                body += block
            assert body == b"abcde"
            compat.release(response.raw)
            assert connection.call is None and connection.attached is None and response.raw.connection is None


def test_a_session_of_the_users_shows_the_socket_too(url: str) -> None:
    with requests.Session() as session, send(url + "/close", session) as response:
        sock = compat.socket_of(response.raw)
        assert sock.getpeername()[1] == int(url.rpartition(":")[2])
        assert not hasattr(response.raw.connection, "attached")


@pytest.mark.parametrize("size", [b"-5", b"-1"])
def test_a_chunk_of_a_negative_size_is_refused(serve: Serve, own: requests.Session, size: bytes) -> None:
    def handle(peer: Any) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nhello\r\n")

    with send(serve(handle), own) as response, pytest.raises((http.client.HTTPException, ValueError)):
        compat.packed_reader(response.raw)(100)


def test_a_refused_connection_is_urllib3s_error_and_leaves_the_call_unsent(
        own: requests.Session, call: running.RunningCall) -> None:
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        send("http://127.0.0.1:9", own)
    assert isinstance(caught.value.args[0].reason, urllib3.exceptions.NewConnectionError) and call.unsent


def test_a_name_that_nobody_has_is_urllib3s_error(own: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise connections.socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(connections.socket, "getaddrinfo", unknown)
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        send("http://gemini.invalid", own)
    assert isinstance(caught.value.args[0].reason, urllib3.exceptions.NewConnectionError)


def test_a_call_that_is_ended_wakes_where_it_waits_for_a_head(serve: Serve, own: requests.Session) -> None:
    def handle(peer: Any) -> None:
        peer.request()
        peer.sock.settimeout(SOON)
        peer.sock.recv(1)

    call = running.RunningCall()

    def wait() -> None:
        running.enter(call)
        with pytest.raises(requests.exceptions.ConnectionError):
            send(url, own)

    url = serve(handle)
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    started = time.monotonic()
    call.end(running.CLOSED)
    thread.join(SOON)
    assert not thread.is_alive() and time.monotonic() - started < 0.5


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_interim_answers_are_skipped(serve: Serve, own: requests.Session, status: str) -> None:
    def handle(peer: Any) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 %b\r\nLink: <x>\r\n\r\n" % status.encode() * 3)
        peer.answer(b"abcde")

    with send(serve(handle), own) as response:
        assert (response.status_code, response.headers.get("Link")) == (200, None)


def test_only_so_many_templates_are_kept(url: str) -> None:
    sender = session.OwnSession()
    with sender.session:
        for number in range(600):
            sender._template("POST", "%s/%d" % (url, number), {})
            assert len(sender._templates) <= 256


def test_templates_are_told_apart_by_the_values_of_their_headers(serve: Serve) -> None:
    """Finding B5."""
    seen: List[str] = []

    def handle(peer: Any) -> None:
        while True:
            seen.append(peer.request()[0].lower())
            peer.answer(dump(answer("a")))

    class Backend(DeveloperAPI):
        name = "X-Trial"

        def headers(self, method: str, model: str) -> Dict[str, str]:
            return {"Content-Type": "application/json", self.name: "1"}

    backend = Backend("k", base_url=serve(handle))
    with GeminiClient(backend=backend) as client:
        client.generate("a")
        backend.name = "X-Paid"
        client.generate("a")
    assert ["x-trial" in head for head in seen] == [True, False]
    assert ["x-paid" in head for head in seen] == [False, True]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_answers_and_streams_arrive(serve: Serve, packed: bool) -> None:
    def handle(peer: Any) -> None:
        while True:
            head, _ = peer.request()
            streamed = ":stream" in head
            body = last("a") if streamed else dump(answer("a"))
            peer.answer(gzip.compress(body) if packed else body, headers="Content-Type: %s%s" % (
                "text/event-stream" if streamed else "application/json", "\r\nContent-Encoding: gzip" * packed))

    with GeminiClient(backend=DeveloperAPI("k", base_url=serve(handle))) as client:
        for _ in range(3):
            assert client.generate("a").text == "a" == client.stream("a").response.text


@pytest.fixture
def google(certificates: Path, serve: Serve) -> str:
    """A TLS server that also renews tokens and knows Code Assist."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificates / "server.pem"))

    def handle(peer: Any) -> None:
        while True:
            head, _ = peer.request()
            if "/token" in head:
                peer.answer(b'{"access_token": "new", "expires_in": 3600}')
            elif ":loadCodeAssist" in head:
                peer.answer(b'{"currentTier": {"id": "x"}, "cloudaicompanionProject": "made-up"}')
            else:
                peer.answer(dump(answer("a")))

    return serve(handle, context)


def makes(google: str, folder: Path) -> Dict[str, Callable[[], GeminiClient]]:
    path = folder / "creds.json"
    path.write_text(json.dumps({"access_token": "old", "refresh_token": "made-up", "expiry_date": 1000,
                                "client_id": "made-up"}))
    credentials = OAuthCredentials(path, "made-up-id", "made-up-secret", google + "/token")
    return {"api key": lambda: GeminiClient(backend=DeveloperAPI("k", base_url=google), retries=0),
            "expired token": lambda: GeminiClient(backend=CodeAssist(credentials, endpoints=[google]), retries=0)}


@pytest.mark.parametrize("kind", ["api key", "expired token"])
@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_bundle_of_the_environment_verifies_every_request(
        google: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    """Finding B2: also the one that renews a token, which is the first of a process."""
    monkeypatch.setenv(name, str(certificates / "ca.pem"))
    with makes(google, tmp_path)[kind]() as client:
        assert client.generate("a").text == "a"


@pytest.mark.parametrize("kind", ["api key", "expired token"])
def test_without_the_bundle_every_request_is_refused(google: str, tmp_path: Path, kind: str) -> None:
    with makes(google, tmp_path)[kind]() as client, pytest.raises(TransportError) as caught:
        client.generate("a")
    assert caught.value.reason == "TLS"
