"""A session of the user's keeps what is its own."""
from __future__ import annotations

import gzip
import time
from typing import Any

import pytest
import requests
import requests.adapters
import urllib3.util.connection
from transport.served import SOON, Client, Serve, answer, dump

from gemini_lite import BadRequestError, TransportTimeout
from gemini_lite.testing import FakeGemini


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


def test_connecting_and_waiting_for_the_head_share_what_is_left_of_a_deadline(
        serve: Serve, client: Client, session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = urllib3.util.connection.create_connection

    def connect_slowly(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.5)
        return connect(*args, **kwargs)

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect_slowly)
    url = serve(lambda peer: peer.request() and peer.request())
    started = time.monotonic()
    with pytest.raises(TransportTimeout):
        client(url, session=session, deadline=0.8, retries=0).generate("Hi")
    assert time.monotonic() - started < 1.15


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_hook_that_raises_for_the_status_leaves_the_error_to_what_the_server_says(
        fake: FakeGemini, client: Client, session: requests.Session, method: str) -> None:
    session.hooks["response"].append(lambda response, **kwargs: response.raise_for_status())
    fake.error(400, "The prompt is odd.", "INVALID_ARGUMENT")
    with pytest.raises(BadRequestError, match="The prompt is odd") as caught:
        getattr(client(fake, session=session), method)("Hi")
    assert caught.value.tries == 1
    fake.error(503, "No room.", "UNAVAILABLE")
    fake.reply("Fine.")
    answer = getattr(client(fake, session=session), method)("Hi")
    assert getattr(answer, "response", answer).text == "Fine."


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_hook_that_reads_the_body_takes_it_from_nobody(
        fake: FakeGemini, client: Client, session: requests.Session, method: str, packed: bool) -> None:
    read = []
    session.hooks["response"].append(lambda response, **kwargs: read.append(response.text))
    body = (b"data: %b\n\n" if method == "stream" else b"%b") % dump(answer("Fine."))
    fake.raw(gzip.compress(body) if packed else body, headers={"Content-Encoding": "gzip"} if packed else {})
    fake.error(400, "The prompt is odd.", "INVALID_ARGUMENT")
    gemini = client(fake, session=session, retries=0)
    came = getattr(gemini, method)("Hi")
    assert getattr(came, "response", came).text == "Fine." and read == [body.decode()]
    with pytest.raises(BadRequestError, match="The prompt is odd"):
        getattr(gemini, method)("Hi")
    assert len(fake.requests) == 2


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
    for model in ("gemini-2.5-pro", "gemini-2.5-pro", "gemini-2.5-flash"):
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
