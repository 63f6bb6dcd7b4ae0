"""What is logged, and what never is; how a sign-in is renewed."""
from __future__ import annotations

import contextlib
import logging
import traceback
from typing import Any, Dict, List, Tuple

import pytest
import requests
from transport.served import Client, cut, free_port

import gemini_lite
from gemini_lite import (
    APIError, AuthenticationError, CredentialsError, DeveloperAPI, GeminiClient, GeminiError, ServerError,
    TransportError,
)
from gemini_lite.testing import FakeGemini


def test_a_line_is_logged_per_try_and_per_wait_and_never_the_key(
        fake: FakeGemini, client: Client, no_sleep: List[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake.error(503, headers={"Retry-After": "2"})
    fake.reply("answer-text")
    client(fake, key="secret-key-1234").generate("prompt-text")
    ours = [record for record in caplog.records if record.name.startswith("gemini_lite")]
    assert [record.levelname for record in ours] == ["DEBUG", "INFO", "DEBUG"]
    assert "503" in ours[0].getMessage() and " 2." in ours[1].getMessage() and "200" in ours[2].getMessage()
    for word in ("secret-key-1234", "prompt-text", "answer-text"):
        assert word not in caplog.text


def test_a_failed_try_is_logged_too(client: Client, caplog: pytest.LogCaptureFixture, no_sleep: List[float]) -> None:
    caplog.set_level(logging.DEBUG, "gemini_lite")
    with pytest.raises(TransportError):
        client("http://127.0.0.1:%d" % free_port(), retries=1).generate("Hi")
    assert [record.levelname for record in caplog.records if record.name == "gemini_lite"] == ["DEBUG", "INFO", "DEBUG"]


FAILURES = {
    "refused": lambda client, fake: client("http://127.0.0.1:%d" % free_port(), key="secret-key-1234", retries=0),
    "status": lambda client, fake: fake.error(400) or client(fake, key="secret-key-1234"),
    "no HTTP": lambda client, fake: fake.raw(b"x", status=None) or client(fake, key="secret-key-1234", retries=0),
    "cut": lambda client, fake: cut(fake, "length", b"x") or client(fake, key="secret-key-1234", retries=0),
    "not JSON": lambda client, fake: fake.raw(b"data: x\n\n") or client(fake, key="secret-key-1234", retries=0),
}


@pytest.mark.parametrize("kind", list(FAILURES))
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_no_frame_of_an_error_shows_the_key(fake: FakeGemini, client: Client, kind: str, method: str) -> None:
    gemini = FAILURES[kind](client, fake)
    with pytest.raises(gemini_lite.GeminiError) as caught:
        getattr(gemini, method)("Hi")
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "transport" in shown and "secret-key-1234" not in shown


def test_an_error_of_the_session_shows_no_header_values(
        fake: FakeGemini, client: Client, session: requests.Session) -> None:
    session.headers["X-Mine"] = "secret-value\r\nX-More: 1"
    with pytest.raises(TransportError) as caught:
        client(fake, session=session).generate("Hi")
    assert "secret-value" not in str(caught.value) and not caught.value.retryable


def test_what_json_cannot_say_is_an_error_before_any_network(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    loop: Dict[str, Any] = {}
    loop["text"] = loop
    for prompt in ({"text": {1, 2}}, {"x": float("nan")}, {"text": "\ud800"}):
        with pytest.raises((ValueError, TypeError)):
            gemini.generate(prompt)
    assert fake.requests == []


def test_closing_twice_and_using_again_works(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    for number in range(1, 3):
        fake.reply(str(number))
        assert gemini.generate("Hi").text == str(number)
        gemini.close()
        gemini.close()
    assert [request.connection for request in fake.requests] == [1, 2]


@pytest.mark.parametrize("raised, expected", [
    (CredentialsError("sign in again"), CredentialsError), (requests.exceptions.ConnectionError("no"), TransportError),
    (requests.exceptions.ReadTimeout("slow"), TransportError), (OSError("disk"), TransportError)])
def test_an_auth_that_is_not_ready_ends_the_call_as_a_gemini_error(
        fake: FakeGemini, raised: Exception, expected: Any) -> None:
    class Auth(Renewed):
        def ready(self, session: requests.Session, timeout: Tuple[float, float]) -> None:
            raise raised

    backend = DeveloperAPI("test-key", base_url=fake.url)
    backend.auth = Auth()  # type: ignore[assignment]
    with GeminiClient(backend=backend, retries=0) as gemini, pytest.raises(expected):
        gemini.generate("Hi")
    assert fake.requests == []


class Renewed(requests.auth.AuthBase):
    """An auth whose first key is refused, and whose second may be too."""

    def __init__(self) -> None:
        self.key, self.renewals, self.ready_calls = "old", 0, 0

    def __call__(self, request: Any) -> Any:
        request.headers["x-goog-api-key"] = self.key
        return request

    def ready(self, session: requests.Session, timeout: Tuple[float, float]) -> None:
        assert len(timeout) == 2
        self.ready_calls += 1

    def renew(self, session: requests.Session, timeout: Tuple[float, float]) -> bool:
        self.renewals += 1
        self.key = "new"
        return True


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_a_401_renews_the_sign_in_once_and_costs_no_try(
        fake: FakeGemini, client: Client, session: requests.Session, no_sleep: List[float], own: bool) -> None:
    backend = DeveloperAPI("test-key", base_url=fake.url)
    backend.auth = auth = Renewed()  # type: ignore[assignment]
    fake.error(401)
    fake.reply("a")
    with GeminiClient(backend=backend, retries=0, session=None if own else session) as gemini:
        assert gemini.generate("Hi").text == "a"
        assert [request.headers["x-goog-api-key"] for request in fake.requests] == ["old", "new"]
        fake.error(401)
        fake.error(401)
        with pytest.raises(AuthenticationError):
            gemini.generate("Hi")
    assert auth.renewals == 2 and len(fake.requests) == 4 and no_sleep == []


class Spent(Renewed):
    """An auth that fails where it should renew the key."""

    def renew(self, session: requests.Session, timeout: Tuple[float, float]) -> bool:
        raise CredentialsError("spent")


@pytest.mark.parametrize("auth, replies", [(Renewed(), [401, None]), (Renewed(), [401, 401]), (Spent(), [401])])
def test_no_refused_answer_is_left_open(
        fake: FakeGemini, session: requests.Session, auth: Any, replies: List[Any]) -> None:
    seen: List[Any] = []
    session.hooks["response"].append(lambda response, **kwargs: seen.append(response))
    backend = DeveloperAPI("test-key", base_url=fake.url)
    backend.auth = auth
    for code in replies:
        fake.error(code) if code else fake.reply("a")
    with GeminiClient(backend=backend, retries=0, session=session) as gemini, contextlib.suppress(GeminiError):
        gemini.generate("Hi")
    assert len(seen) == len(replies) and all(response.raw.closed for response in seen)


class Endpoints(DeveloperAPI):
    def __init__(self, *urls: str) -> None:
        super().__init__("test-key")
        self.endpoints = urls


def test_one_try_walks_all_endpoints_without_a_wait(fake: FakeGemini, no_sleep: List[float]) -> None:
    fake.error(503)
    fake.reply("a")
    dead = "http://127.0.0.1:%d" % free_port()
    with GeminiClient(backend=Endpoints(dead, fake.url, fake.url), retries=0) as gemini:
        assert gemini.generate("Hi").text == "a"
    assert len(fake.requests) == 2 and no_sleep == []


@pytest.mark.parametrize("code", [400, 401, 403, 404, 429])
def test_the_next_endpoint_is_not_asked_where_the_caller_is_at_fault(
        fake: FakeGemini, no_sleep: List[float], code: int) -> None:
    fake.error(code)
    with GeminiClient(backend=Endpoints(fake.url, fake.url), retries=0) as gemini:
        with pytest.raises(APIError) as caught:
            gemini.generate("Hi")
    assert caught.value.code == code and len(fake.requests) == 1
    assert isinstance(caught.value, ServerError) is False
