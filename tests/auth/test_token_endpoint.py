"""The laws of a renewal: what the token endpoint is sent, and what each of its answers means."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import requests
from auth.sign_ins import CLIENT_SECRET, REFRESH, TIMEOUT, Credentials, load, refused, save, sent

from gemini_lite.errors import APIError, CredentialsError, RateLimitError, ServerError
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.transport.failures import NETWORK_ERRORS


def test_the_refresh_posts_the_form_alone_and_no_netrc(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    session.headers["Content-Type"] = "application/json"
    save(path, -1)
    credentials().ready(session, TIMEOUT)
    request, = fake.requests
    assert (request.method, request.path) == ("POST", "/token") and "authorization" not in request.headers
    assert request.body == {"refresh_token": REFRESH, "client_id": "made-up-id", "client_secret": CLIENT_SECRET,
                            "grant_type": "refresh_token"}


def test_the_refresh_goes_the_way_of_the_given_session(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("no_proxy")
    session.proxies = {"http": fake.url}
    save(path, -1)
    credentials(token_uri="http://token.invalid/token").ready(session, TIMEOUT)
    assert fake.requests[0].path == "http://token.invalid/token"  # what only a proxy is asked for


@pytest.mark.parametrize("lifetime", [{}, {"expires_in": None}, {"expires_in": "soon"}, {"expires_in": 1e300}])
def test_an_answer_without_a_lifetime_leaves_no_expiry_date_of_the_old_token(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, lifetime: Dict[str, Any],
) -> None:
    save(path, -1)
    fake.answer("token", {"access_token": "new", **lifetime})
    made = credentials()
    made.ready(session, TIMEOUT)
    made.ready(session, TIMEOUT)
    assert sent(made) == "new" and load(path)["expiry_date"] is None and "expires_in" not in load(path)


REFUSALS = {
    "revoked": (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
                "revoked or has expired: run `gemini`"),
    "policy": (400, {"error": "invalid_grant", "error_description": "ReAuth is required"},
               "organisation.*run `gemini`"),
    "rapt": (400, {"error": "invalid_grant", "error_description": "reauth related error (invalid_rapt)"},
             "organisation.*run `gemini`"),
    "no secret": (400, {"error": "invalid_request", "error_description": "client_secret is missing."},
                  "GEMINI_LITE_OAUTH_CLIENT_SECRET"),
    "unknown client": (401, {"error": "invalid_client", "error_description": "The OAuth client was not found."},
                       "correct client_id"),
    "another client": (401, {"error": "unauthorized_client", "error_description": "Unauthorized"},
                       "issued to another OAuth client"),
    "strange": (403, {"error": "access_denied"}, "403, access_denied.*token_uri"),
    "redirected": (302, {}, "302, nothing more.*token_uri"),
    "no token": (200, {"scope": "x"}, "200, nothing more"),
}


@pytest.mark.parametrize("code, body, sentence", list(REFUSALS.values()), ids=list(REFUSALS))
def test_each_refusal_has_its_own_sentence(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, code: int, body: Dict[str, str],
    sentence: str,
) -> None:
    before = save(path, -1)
    fake.answer("token", refused(code, **body))
    with pytest.raises(CredentialsError, match=sentence) as caught:
        credentials().ready(session, TIMEOUT)
    assert not caught.value.retryable and caught.value.code == code and caught.value.reason == body.get("error")
    assert len(fake.requests) == 1 and load(path) == before


@pytest.mark.parametrize("answer", [
    Raw(b"<html><title>Sign in to the Wi-Fi</title>"), Raw(b"x" * (2 << 20)), Raw(b"[]"),
    Raw(b"", status=307, headers={"Location": "/elsewhere", "Content-Length": "0"})])
def test_an_answer_that_is_none_is_not_taken_for_a_token(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, answer: Raw,
) -> None:
    save(path, -1)
    fake.answer("token", answer)
    with pytest.raises(CredentialsError, match="token_uri"):
        credentials().ready(session, TIMEOUT)
    assert len(fake.requests) == 1


def test_a_deeply_nested_answer_leaves_the_rest_of_it_usable(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path, -1)
    fake.answer("token", Raw(b'{"access_token": "new", "expires_in": 3599, "deep": ' + 400 * b"[" + 400 * b"]" + b"}"))
    made = credentials()
    made.ready(session, TIMEOUT)
    assert sent(made) == "new" == load(path)["access_token"] and "deep" not in load(path)


def test_a_new_token_that_no_header_can_carry_is_not_saved(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    before = save(path, -1)
    fake.answer("token", {"access_token": "lin\ne"})
    with pytest.raises(CredentialsError, match="access token"):
        credentials().ready(session, TIMEOUT)
    assert load(path) == before


@pytest.mark.parametrize("location", ["/\xff\xfe", "http://[", "ftp://x/", "http://127.0.0.1:1/"])
def test_a_redirect_is_a_refusal_and_never_followed(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, location: str,
) -> None:
    save(path, -1)
    fake.answer("token", Raw(status=302, headers={"Location": location, "Content-Length": "0"}))
    with pytest.raises(CredentialsError, match="status 302"):
        credentials().ready(session, TIMEOUT)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("head", [b"200 OK", b"302 Found\r\nLocation: /x"])
def test_an_endless_answer_is_not_read_to_its_end(
    credentials: Credentials, path: Path, session: requests.Session, serve: Callable[..., str], head: bytes,
) -> None:
    taken: List[int] = []

    def endless(peer: Any) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 " + head + b"\r\nContent-Length: 30000000\r\n\r\n")
        for _ in range(30):
            peer.send(1000000 * b" ")
            taken.append(1000000)

    save(path, -1)
    with pytest.raises(CredentialsError, match="token_uri"):
        credentials(token_uri=serve(endless)).ready(session, TIMEOUT)
    assert sum(taken) < 20000000


@pytest.mark.parametrize("code, kind", [(429, RateLimitError), (500, ServerError), (503, ServerError)])
def test_a_busy_token_endpoint_may_be_asked_again(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, code: int, kind: type,
) -> None:
    save(path, -1)
    fake.answer("token", Error(code, "busy", headers={"Retry-After": "7"}))
    made = credentials()
    with pytest.raises(APIError) as caught:
        made.ready(session, TIMEOUT)
    assert isinstance(caught.value, kind) and caught.value.retryable and caught.value.retry_after == 7
    made.ready(session, TIMEOUT)
    assert sent(made) == "fake-access-token-2"


def test_the_network_s_errors_come_as_they_are(
    credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path, -1)
    with pytest.raises(requests.exceptions.ConnectionError):
        credentials(token_uri="http://127.0.0.1:1/token").ready(session, TIMEOUT)


def test_a_token_endpoint_that_hangs_is_left_after_the_given_time(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path, -1)
    fake.answer("token", Raw(b"{", b"}", delay=5))
    with pytest.raises(NETWORK_ERRORS):
        credentials().ready(session, (5, 0.1))
