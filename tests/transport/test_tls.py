"""Certificates are verified, with the bundle that the environment names."""
from __future__ import annotations

import shutil
import ssl
from pathlib import Path
from typing import Any, Callable, List
from urllib.parse import urlsplit

import pytest
import requests
from transport.served import Client, Proxy, Serve, texts

from gemini_lite import TransportError


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


def test_a_key_log_that_cannot_be_written_is_named_and_not_the_bundle(
        tls_server: Callable[..., str], certificates: Path, client: Client, monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path, no_sleep: List[float]) -> None:
    url = tls_server()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", shutil.copy(certificates / "ca.pem", tmp_path))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    with pytest.raises(TransportError, match="keys that SSLKEYLOGFILE names cannot be written") as caught:
        client(url).generate("Hi")
    assert caught.value.reason == "TLS" and no_sleep == []
