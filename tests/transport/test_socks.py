"""Calls by way of a SOCKS proxy: what holds for others holds for them; without PySocks, what to install."""
from __future__ import annotations

import importlib.util
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest
import requests
import requests.adapters
import requests.exceptions
from transport.served import SOON, Client, Proxy, Serve, free_port

from gemini_lite import TransportError, TransportTimeout
from gemini_lite.testing import FakeGemini

needs_pysocks = pytest.mark.skipif(importlib.util.find_spec("socks") is None, reason="needs PySocks")
SILENT, REJECTS, REFUSES = "silent", "rejects", "refuses"


class SocksProxy:
    """A SOCKS5 proxy; `asked` has the hosts and ports that it was to connect to, `logins` names and passwords."""

    def __init__(self, serve: Serve, mood: str = "", login: bool = False) -> None:
        self.asked: List[Tuple[str, int]] = []
        self.logins: List[Tuple[bytes, bytes]] = []
        self._mood, self._login = mood, login
        self._host = serve(self._handle).split("//")[1]

    def url(self, scheme: str = "socks5h") -> str:
        return "%s://user:hunter2@%s" % (scheme, self._host)

    def _handle(self, peer: Any) -> None:
        def read(size: int) -> bytes:
            data: bytes = peer._file.read(size)
            if len(data) < size:
                raise ConnectionError("the client has left")
            return data

        if self._mood == SILENT:
            read(100)
        _, count = read(2)
        read(count)
        peer.send(b"\5\xff" if self._mood == REJECTS else b"\5\2" if self._login else b"\5\0")
        if self._login:
            self.logins.append((read(read(2)[1]), read(read(1)[0])))
            peer.send(b"\1\0")
        kind = read(4)[3]
        host = socket.inet_ntoa(read(4)) if kind == 1 else read(read(1)[0]).decode()
        self.asked.append((host, struct.unpack(">H", read(2))[0]))
        peer.send(b"\5%c\0\1\0\0\0\0\0\0" % (5 if self._mood == REFUSES else 0))
        with socket.create_connection(self.asked[-1], SOON) as there:
            back = threading.Thread(target=Proxy._pass_on, args=(there, peer.sock), daemon=True)
            back.start()
            Proxy._pass_on(peer.sock, there)
            back.join(SOON)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``use(url)`` makes it the proxy for everything."""
    def use(url: str) -> None:
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("all_proxy", url)
    return use


Use = Callable[[str], None]


@needs_pysocks
@pytest.mark.parametrize("scheme, host", [("socks5", "127.0.0.1"), ("socks5h", "localhost")])
def test_a_socks_proxy_is_used_and_its_connections_are_kept(
        fake: FakeGemini, client: Client, serve: Serve, use: Use, scheme: str, host: str) -> None:
    proxy = SocksProxy(serve)
    use(proxy.url(scheme))
    for _ in range(3):
        fake.reply("a", "b")
    gemini = client(fake.url.replace("127.0.0.1", "localhost"))
    assert gemini.generate("Hi").text == gemini.stream("Hi").response.text == gemini.generate("Hi").text == "ab"
    assert proxy.asked == [(host, int(fake.url.rsplit(":", 1)[1]))]


@needs_pysocks
def test_tls_goes_through_a_socks_proxy(
        client: Client, serve: Serve, use: Use, tls_server: Callable[..., str], certificates: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    url = tls_server()
    proxy = SocksProxy(serve)
    use(proxy.url())
    assert client(url).generate("Hi").text == "over 1" and len(proxy.asked) == 1


@needs_pysocks
def test_the_name_and_password_go_to_the_socks_proxy(
        fake: FakeGemini, client: Client, serve: Serve, use: Use) -> None:
    proxy = SocksProxy(serve, login=True)
    use(proxy.url())
    fake.reply("a")
    assert client(fake).generate("Hi").text == "a" and proxy.logins == [(b"user", b"hunter2")]


@needs_pysocks
@pytest.mark.parametrize("mood, tries", [(REJECTS, 1), (REFUSES, 3), ("is not there", 3)])
def test_a_socks_proxy_that_refuses_is_named_as_the_cause_and_a_wrong_password_is_tried_once(
        fake: FakeGemini, client: Client, serve: Serve, use: Use, no_sleep: List[float], mood: str, tries: int) -> None:
    use("socks5h://user:hunter2@127.0.0.1:%d" % free_port() if "not" in mood else SocksProxy(serve, mood).url())
    try:
        raise KeyError("a caller that handles another error")
    except KeyError:
        with pytest.raises(TransportError, match="(?i)proxy") as caught:
            client(fake, retries=2).generate("Hi")
    assert (caught.value.reason, caught.value.tries) == ("PROXY", tries), caught.value
    assert "hunter2" not in str(caught.value) and fake.requests == []


@needs_pysocks
def test_a_silent_socks_proxy_is_a_connect_timeout(fake: FakeGemini, client: Client, serve: Serve, use: Use) -> None:
    use(SocksProxy(serve, SILENT).url())
    with pytest.raises(TransportTimeout) as caught:
        client(fake, retries=0, timeout=(0.2, SOON)).generate("Hi")
    assert caught.value.reason == "CONNECT_TIMEOUT"


@needs_pysocks
@pytest.mark.parametrize("mood", [SILENT, ""])
def test_a_deadline_and_another_thread_end_a_call_in_a_socks_proxy_and_behind_it(
        client: Client, serve: Serve, use: Use, mood: str) -> None:
    def drip(peer: Any) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            peer.send(b"X: 1\r\n")
            time.sleep(0.1)

    url = serve(drip)
    use(SocksProxy(serve, mood).url())
    gemini = client(url)
    for reason, limits in (("DEADLINE", {"deadline": 0.5}), ("CLOSED", {})):
        closer = threading.Timer(0.5, gemini.close)
        closer.start() if reason == "CLOSED" else None
        started = time.monotonic()
        with pytest.raises(TransportError) as caught:
            gemini.generate("Hi", **limits)
        assert caught.value.reason == reason and 0.4 < time.monotonic() - started < 0.75


def test_without_pysocks_the_error_says_what_to_install(
        fake: FakeGemini, client: Client, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*args: Any, **kwargs: Any) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    if importlib.util.find_spec("socks") is not None:  # what requests has in its place elsewhere
        monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", missing)
    use("socks5://user:hunter2@127.0.0.1:9")
    for session in (None, requests.Session()):
        with pytest.raises(TransportError, match=r'pip install "requests\[socks\]"') as caught:
            client(fake, session=session).generate("Hi")
        assert "hunter2" not in str(caught.value) and not caught.value.retryable and caught.value.tries == 1


@pytest.mark.parametrize("url", ["http://u:hunter2@[bad:9", "socks9://u:hunter2@127.0.0.1:9", "http://u:hunter2@"])
def test_a_proxy_url_that_is_none_is_an_error_of_ours(fake: FakeGemini, client: Client, use: Use, url: str) -> None:
    use(url)
    with pytest.raises(TransportError, match="proxies|proxy") as caught:
        client(fake).generate("Hi")
    assert caught.value.reason == "INVALID" and "hunter2" not in str(caught.value)
