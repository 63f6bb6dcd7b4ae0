"""Proxies and .netrc."""
from __future__ import annotations

from pathlib import Path
from typing import List

import pytest
import requests
from transport.served import SOON, SSE, Client, Proxy, Serve, free_port, last

from gemini_lite import TransportError
from gemini_lite.testing import FakeGemini


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
        assert gemini.generate("Hi").text == "a"
        assert gemini.stream("Hi").response.text == "b"
    assert proxy.lines == ["POST %s/v1beta/models/gemini-flash-latest:%s" % (fake.url, method) for method in (
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
