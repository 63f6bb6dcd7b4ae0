"""Raw exchanges: any status is handed back, the key goes where it may, and the user's session holds."""
from __future__ import annotations

import math
from typing import Any, Iterator, List

import pytest
import requests

from gemini_lite import TransportError, TransportTimeout
from gemini_lite.auth.api_key import APIKey
from gemini_lite.auth.secret import Secret
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.transport import raw
from gemini_lite.transport.deadline import CallSettings, Deadline
from gemini_lite.transport.transport import Limits, Transport


@pytest.fixture(params=["own", "given"])
def transport(request: Any) -> Iterator[Transport]:
    session = requests.Session() if request.param == "given" else None
    transport = Transport(APIKey("made-up-key"), session, timeout=(5, 0.5))
    yield transport
    transport.close()
    if session is not None:
        session.close()


def get(fake: FakeGemini, path: str = "/x", **fields: Any) -> raw.RawRequest:
    return raw.RawRequest("GET", Secret(fake.url + path), **fields)


@pytest.mark.parametrize("status", [200, 204, 301, 404, 503])
def test_any_status_is_handed_back_with_its_headers_and_body(
    transport: Transport, fake: FakeGemini, status: int,
) -> None:
    body = b"" if status == 204 else b"abc"
    fake.services.append(lambda request: Raw(
        body, status=status, headers={"X-A": "b", "Location": "/y", "Content-Length": str(len(body))}))
    answer = raw.exchange(transport, get(fake))
    assert (answer.status, answer.headers["x-a"], answer.body) == (status, "b", body)
    assert answer.ok == (status < 300) and len(fake.requests) == 1


def test_the_url_arrives_as_it_is_and_no_cache_or_log_holds_it(
    transport: Transport, fake: FakeGemini, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(0, "gemini_lite")
    fake.services.append(lambda request: Raw(b""))
    raw.exchange(transport, get(fake, "/upload/x?id=hidden&a=%2Fb"))
    assert fake.requests[0].path == "/upload/x?id=hidden&a=%2Fb"
    assert "hidden" not in caplog.text + repr(vars(transport._process_sender()))


@pytest.mark.parametrize("authenticated", [True, False])
def test_credentials_are_sent_where_they_are_asked_for_and_nowhere_else(
    transport: Transport, fake: FakeGemini, authenticated: bool,
) -> None:
    transport._process_sender().session.headers["Authorization"] = "Bearer made-up"
    transport._process_sender().session.headers["X-Mine"] = "mine"
    fake.services.append(lambda request: Raw(b""))
    raw.exchange(transport, get(fake, authenticated=authenticated))
    assert ("x-goog-api-key" in fake.requests[0].headers) == authenticated
    assert ("authorization" in fake.requests[0].headers) == authenticated
    assert fake.requests[0].headers["x-mine"] == "mine"


def test_a_password_file_gives_no_credentials(
    transport: Transport, fake: FakeGemini, tmp_path: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fake.services.append(lambda request: Raw(b""))
    raw.exchange(transport, get(fake, authenticated=False))
    assert "authorization" not in fake.requests[0].headers


def test_a_refused_token_is_renewed_once(fake: FakeGemini) -> None:
    class Token(APIKey):
        renewals = 0

        def renew(self, session: Any, timeout: Any) -> bool:
            Token.renewals += 1
            return True

    transport = Transport(Token("made-up-key"))
    answers: List[Any] = [Error(401), Raw(b"abc")]
    fake.services.append(lambda request: answers.pop(0))
    assert raw.exchange(transport, get(fake)).body == b"abc" and Token.renewals == 1
    answers += [Error(401)]
    assert raw.exchange(transport, get(fake, authenticated=False)).status == 401 and Token.renewals == 1
    transport.close()


@pytest.mark.parametrize("body", [None, b"", b"abc"])
def test_a_post_has_a_length_whatever_its_body(transport: Transport, fake: FakeGemini, body: Any) -> None:
    fake.services.append(lambda request: Raw(b""))
    raw.exchange(transport, raw.RawRequest("POST", Secret(fake.url + "/x"), {}, body))
    assert fake.requests[0].headers["content-length"] == str(len(body or b""))
    assert "transfer-encoding" not in fake.requests[0].headers


def test_an_answer_that_is_too_large_is_refused_by_the_limit_that_the_message_names(
    transport: Transport, fake: FakeGemini,
) -> None:
    fake.services.append(lambda request: Raw(bytes(2 << 20)))
    transport.limits = Limits(body=1 << 20)
    with pytest.raises(TransportError, match="max_body_bytes") as caught:
        raw.exchange(transport, get(fake))
    assert caught.value.reason == "TOO_LARGE"
    transport.limits = Limits(body=2 << 20)
    assert len(raw.exchange(transport, get(fake)).body) == 2 << 20
    with raw.open_answer(transport, get(fake)) as answer:
        assert sum(map(len, answer.blocks(math.inf))) == 2 << 20


def test_an_error_that_is_too_large_or_cut_is_told_by_its_beginning(transport: Transport, fake: FakeGemini) -> None:
    answers = [Raw(bytes(2 << 20), status=403), Raw(b"some", status=404, cut=True)]
    fake.services.append(lambda request: answers.pop(0))
    assert raw.exchange(transport, get(fake)).status == 403
    answer = raw.exchange(transport, get(fake))
    assert (answer.status, answer.body) == (404, b"some")


def test_silence_ends_with_the_timeout_and_at_the_deadline(transport: Transport, fake: FakeGemini) -> None:
    fake.services.append(lambda request: Raw(b"", b"x", status=None, delay=20))
    with pytest.raises(TransportTimeout) as caught:
        raw.exchange(transport, get(fake))
    assert caught.value.reason == "READ_TIMEOUT"
    with pytest.raises(TransportTimeout) as caught:
        raw.exchange(transport, get(fake, settings=CallSettings(Deadline.after(0.2))))
    assert caught.value.reason == "DEADLINE"


def test_attempts_are_made_again_as_their_errors_allow(
    transport: Transport, fake: FakeGemini, no_sleep: List[float],
) -> None:
    answers: List[Any] = [Error(503), Raw(status=None), Raw(b"abc")]
    fake.services.append(lambda request: answers.pop(0))

    def attempt() -> bytes:
        answer = raw.exchange(transport, get(fake))
        if not answer.ok:
            raise answer.error()
        return answer.body

    assert raw.run(transport, attempt, CallSettings()) == b"abc" and len(no_sleep) == 2
