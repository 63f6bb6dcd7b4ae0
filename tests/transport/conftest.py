"""Sessions, certificates and servers that several files share."""
from __future__ import annotations

import shutil
import ssl
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import requests
from transport.served import Serve, answer, certificate, dump, event, last, openssl

from gemini_lite import GeminiClient


@pytest.fixture
def google() -> Iterator[GeminiClient]:
    with GeminiClient(api_key="test-key", retries=1) as google:
        yield google


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


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
    certificate(folder, "server", "DNS:localhost,IP:127.0.0.1")
    certificate(folder, "other", "DNS:elsewhere.example")
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
