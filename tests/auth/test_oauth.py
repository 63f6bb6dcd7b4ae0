"""The laws of OAuth credentials: which token is sent, and when it is renewed."""
from __future__ import annotations

import re
import socket
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import pytest
import requests
import urllib3.exceptions
from auth.sign_ins import NEW, OLD, TIMEOUT, Credentials, held_by_another_thread, load, read_only, save, sent

from gemini_lite import OAuthCredentials
from gemini_lite.auth import oauth
from gemini_lite.auth.oauth_client import OAuthClient
from gemini_lite.auth.secret import Secret
from gemini_lite.errors import AuthenticationError, CredentialsError, TransportError, TransportTimeout
from gemini_lite.testing import FakeGemini
from gemini_lite.transport.deadline import Deadline
from gemini_lite.transport.transport import Call, Transport


def test_the_file_is_the_argument_then_gemini_cli_home_then_home(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert OAuthCredentials().path == home / ".gemini/oauth_creds.json"
    monkeypatch.setenv("GEMINI_CLI_HOME", "")
    assert OAuthCredentials().path == home / ".gemini/oauth_creds.json"
    monkeypatch.setenv("GEMINI_CLI_HOME", str(tmp_path / "cli"))
    assert OAuthCredentials().path == tmp_path / "cli/.gemini/oauth_creds.json"
    assert OAuthCredentials("~/mine.json").path == home / "mine.json"
    assert OAuthCredentials(home / "mine.json").path == home / "mine.json"


def test_a_token_that_lasts_is_sent_without_the_network_and_the_file_is_read_once(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path)
    made = credentials()
    made.ready(session, TIMEOUT)
    path.unlink()
    made.ready(session, TIMEOUT)
    assert sent(made) == OLD and fake.requests == []


def test_a_token_without_expiry_date_is_taken_to_last(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path, None, refresh_token=None)
    made = credentials()
    made.ready(session, TIMEOUT)
    assert sent(made) == OLD and fake.requests == []


def test_no_request_goes_out_without_a_token(credentials: Credentials) -> None:
    with pytest.raises(CredentialsError, match="ready"):
        sent(credentials())


@pytest.mark.parametrize("use, token, expected", [
    ("true", "from-environment", "from-environment"), ("yes", "from-environment", "from-environment"),
    ("", "from-environment", OLD), (None, "from-environment", OLD), ("true", "", OLD)])
def test_the_environment_s_token_comes_before_the_default_file_if_code_assist_is_chosen(
    home: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch, use: Optional[str], token: str,
    expected: str,
) -> None:
    save(home / ".gemini/oauth_creds.json")
    if use is not None:
        monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", use)
    monkeypatch.setenv("GOOGLE_CLOUD_ACCESS_TOKEN", token)
    made = OAuthCredentials()
    made.ready(session, TIMEOUT)
    assert sent(made) == expected and (made.path is None) == (expected != OLD)


def test_a_path_comes_before_the_environment_s_token(
    path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_ACCESS_TOKEN", "from-environment")
    save(path)
    made = OAuthCredentials(path)
    made.ready(session, TIMEOUT)
    assert sent(made) == OLD


def test_a_given_token_is_sent_and_once_refused_stays_refused(session: requests.Session) -> None:
    made = OAuthCredentials(token=" given ")
    made.ready(session, TIMEOUT)
    assert sent(made) == "given" and made.renew(session, TIMEOUT) is False


def test_a_callable_is_asked_before_each_try_and_after_a_refusal_only_for_another(session: requests.Session) -> None:
    tokens = ["first", "second", "second", "third"]
    made = OAuthCredentials(token=lambda: tokens.pop(0))
    made.ready(session, TIMEOUT)
    assert sent(made) == "first"
    made.ready(session, TIMEOUT)
    assert sent(made) == "second"
    assert made.renew(session, TIMEOUT) is False
    assert made.renew(session, TIMEOUT) is True and sent(made) == "third"


@pytest.mark.parametrize("answer, problem", [(None, "not NoneType"), ("", "is empty"), ("two words", "a blank")])
def test_what_a_callable_returns_must_be_a_token(session: requests.Session, answer: Any, problem: str) -> None:
    with pytest.raises(CredentialsError, match=problem):
        OAuthCredentials(token=lambda: answer).ready(session, TIMEOUT)


def failing(error: Exception) -> Callable[[], str]:
    """A token function that raises `error`, and notes how often it was asked."""
    def function() -> str:
        asked.append(1)
        raise error

    asked: List[int] = []
    function.asked = asked  # type: ignore[attr-defined]
    return function


OF_THE_FUNCTION = [ZeroDivisionError("division"), FileNotFoundError(2, "No such file", "gcloud"),
                   PermissionError(13, "no"), ValueError("odd"), OSError("odd")]
OF_THE_NETWORK = [requests.exceptions.ConnectionError("lost"), urllib3.exceptions.ReadTimeoutError(None, "/", "slow"),
                  ConnectionResetError(104, "reset"), socket.timeout("slow"), urllib.error.URLError("no route")]


@pytest.mark.parametrize("error", OF_THE_FUNCTION, ids=repr)
def test_what_a_callable_raises_is_an_error_of_the_callable_and_is_not_tried_again(
    fake: FakeGemini, no_sleep: List[float], error: Exception,
) -> None:
    function, text = failing(error), re.escape(f"the token function raised {type(error).__name__}: {error}")
    with pytest.raises(CredentialsError, match=text) as caught:
        Transport(OAuthCredentials(token=function)).request([fake.url], Call("/", {}, {}))
    assert caught.value.__cause__ is error and not caught.value.retryable
    assert len(function.asked) == 1 and no_sleep == fake.requests == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", OF_THE_NETWORK, ids=repr)
def test_a_network_error_of_a_callable_is_one_and_is_tried_again(
    fake: FakeGemini, no_sleep: List[float], error: Exception,
) -> None:
    function = failing(error)
    with pytest.raises(TransportError) as caught:
        Transport(OAuthCredentials(token=function), retries=2).request([fake.url], Call("/", {}, {}))
    assert caught.value.retryable and fake.requests == []
    tries = 1 if isinstance(caught.value, TransportTimeout) else 3
    assert len(function.asked) == tries  # type: ignore[attr-defined]


def test_our_own_error_from_a_callable_is_let_through(session: requests.Session) -> None:
    error = CredentialsError("sign in first", reason="MINE")
    with pytest.raises(CredentialsError) as caught:
        OAuthCredentials(token=failing(error)).ready(session, TIMEOUT)
    assert caught.value is error


def test_one_thread_s_token_is_never_sent_by_another(session: requests.Session) -> None:
    made = OAuthCredentials(token=lambda: threading.current_thread().name)
    made.ready(session, TIMEOUT)

    def name_and_token() -> List[str]:
        made.ready(session, TIMEOUT)
        return [threading.current_thread().name, sent(made)]

    with ThreadPoolExecutor(1, "other") as pool:
        assert pool.submit(name_and_token).result() == ["other_0", "other_0"]
    assert sent(made) == threading.current_thread().name


@pytest.mark.parametrize("arguments", [{"path": "a", "token": "b"}, {"client_secret": "a"}])
def test_arguments_that_exclude_each_other_are_refused(arguments: Dict[str, str]) -> None:
    with pytest.raises(ValueError):
        OAuthCredentials(**arguments)


@pytest.mark.parametrize("lasts, token", [(-3600, NEW), (295, NEW), (305, OLD)])
def test_a_token_is_renewed_five_minutes_before_it_expires(
    credentials: Credentials, path: Path, session: requests.Session, lasts: float, token: str,
) -> None:
    save(path, lasts)
    made = credentials()
    made.ready(session, TIMEOUT)
    made.ready(session, TIMEOUT)
    assert sent(made) == token


def test_a_refresh_token_alone_is_enough(credentials: Credentials, path: Path, session: requests.Session) -> None:
    save(path, None, access_token=None)
    made = credentials()
    made.ready(session, TIMEOUT)
    assert sent(made) == NEW


def test_a_token_that_another_program_renewed_is_used_without_a_refresh(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    save(path, 400)
    made = credentials()
    made.ready(session, TIMEOUT)
    save(path, 3600, access_token="another-program's")
    monkeypatch.setattr(oauth, "RENEW_BEFORE", 500)
    made.ready(session, TIMEOUT)
    assert sent(made) == "another-program's" and fake.requests == []


def test_after_a_401_the_token_that_another_program_wrote_is_used(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path)
    made = credentials()
    made.ready(session, TIMEOUT)
    save(path, access_token="another-program's")
    assert made.renew(session, TIMEOUT) is True
    assert sent(made) == "another-program's" and fake.requests == []


@pytest.mark.parametrize("on_disk", [OLD, "another, expired"])
def test_after_a_401_the_token_is_renewed_if_the_file_has_no_better(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, on_disk: str,
) -> None:
    save(path)
    made = credentials()
    made.ready(session, TIMEOUT)
    save(path, 3600 if on_disk == OLD else -1, access_token=on_disk.replace(" ", ""))
    assert made.renew(session, TIMEOUT) is True
    assert sent(made) == NEW == load(path)["access_token"] and len(fake.requests) == 1


def test_after_a_401_the_request_is_sent_once_more_and_not_again(
    fake: FakeGemini, credentials: Credentials, path: Path, no_sleep: List[float],
) -> None:
    save(path)
    call = Call("/v1internal:generateContent", {}, {})
    transport = Transport(credentials())
    fake.strict = False  # no prompt stands in this request
    fake.error(401, "expired")
    fake.reply("Hello")
    assert "response" in transport.request([fake.url], call)
    fake.error(401, "expired")
    fake.error(401, "expired again")
    with pytest.raises(AuthenticationError, match="expired again"):
        transport.request([fake.url], call)
    transport.close()
    tokens = [request.headers["authorization"] for request in fake.requests if request.kind == "generate"]
    assert tokens == ["Bearer " + token for token in (OLD, NEW, NEW, "fake-access-token-2")]


def test_after_a_401_without_a_refresh_token_the_user_is_told_to_sign_in(
    credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path, refresh_token=None)
    made = credentials()
    made.ready(session, TIMEOUT)
    with pytest.raises(CredentialsError, match="no refresh_token.*run `gemini`"):
        made.renew(session, TIMEOUT)


def in_threads(number: int, work: Callable[[], Any]) -> List[Any]:
    together = threading.Barrier(number)

    def run(_: int) -> Any:
        together.wait(10)
        return work()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


@pytest.mark.parametrize("saved", [True, False])
def test_many_threads_make_one_refresh(
    fake: FakeGemini, credentials: Credentials, path: Path, monkeypatch: pytest.MonkeyPatch, saved: bool,
) -> None:
    save(path, -1)
    if not saved:
        monkeypatch.setattr("gemini_lite.auth.sign_in.os.replace", read_only)
    made = credentials()

    def work() -> str:
        with requests.Session() as session:
            made.ready(session, TIMEOUT)
            return sent(made)

    assert in_threads(20, work) == 20 * [NEW] and len(fake.requests) == 1


def test_many_threads_refused_with_one_token_make_one_refresh(
    fake: FakeGemini, credentials: Credentials, path: Path,
) -> None:
    save(path)
    made = credentials()
    all_refused = threading.Barrier(20)

    def work() -> str:
        with requests.Session() as session:
            made.ready(session, TIMEOUT)
            assert sent(made) == OLD
            all_refused.wait(10)
            assert made.renew(session, TIMEOUT) is True
            return sent(made)

    assert in_threads(20, work) == 20 * [NEW] and len(fake.requests) == 1


def test_a_thread_waits_for_another_s_refresh_no_longer_than_its_own_time_limits(
    credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path, -1)
    made, started = credentials(), time.monotonic()
    with held_by_another_thread(made._lock), pytest.raises(TransportTimeout, match="renewal of the token"):
        made.ready(session, (0.01, 0.01))
    assert time.monotonic() - started < 1


def test_after_a_wait_for_another_s_refresh_only_the_rest_of_the_time_is_left(
    credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    save(path, -1)
    made, left = credentials(), {}
    read, merge = made._file.read, made._file.merge

    def noted(step: str, deadline: Deadline) -> Deadline:
        left.setdefault(step, deadline.left)  # `merge` reads once more
        return deadline

    def refresh(*args: Any) -> Any:
        left["refresh"] = max(args[-1])
        return original(*args)

    original = oauth.refresh
    monkeypatch.setattr(oauth, "refresh", refresh)
    monkeypatch.setattr(made._file, "read", lambda deadline: read(noted("read", deadline)))
    monkeypatch.setattr(made._file, "merge", lambda *args: merge(*args[:-1], noted("merge", args[-1])))
    with held_by_another_thread(made._lock, 0.3):
        made.ready(session, TIMEOUT)
    assert left.keys() == {"read", "refresh", "merge"} and max(left.values()) < max(TIMEOUT) - 0.2


def test_a_lock_that_was_held_at_a_fork_does_not_bind_the_child(
    credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    save(path)
    made = credentials()
    with held_by_another_thread(made._lock):
        monkeypatch.setattr("gemini_lite.transport.timed_lock.os.getpid", lambda: -1)
        made.ready(session, (0.1, 0.1))
    assert sent(made) == OLD


@pytest.mark.parametrize("given, environment, in_file, expected", [
    (("arg", "arg's"), ("env", "env's"), ("file", "file's"), ("arg", "arg's")),
    (("arg", None), ("env", "env's"), ("file", "file's"), ("arg", None)),
    ((None, None), ("env", "env's"), ("file", "file's"), ("env", "env's")),
    ((None, None), ("env", ""), ("file", "file's"), ("env", None)),
    ((None, None), ("", "env's"), ("file", "file's"), ("file", "file's")),
    ((None, None), ("", ""), ("file", None), ("file", None)),
    ((None, None), ("", ""), (None, None), ("cli", "cli's")),
])
def test_the_client_is_the_argument_s_then_the_environment_s_then_the_file_s_then_the_installed_one(
    fake: FakeGemini, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch, given: Any,
    environment: Any, in_file: Any, expected: Any,
) -> None:
    monkeypatch.setattr(oauth, "find_installed_client", lambda: OAuthClient("cli", Secret("cli's")))
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_ID", environment[0])
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_SECRET", environment[1])
    save(path, -1, client_id=in_file[0], client_secret=in_file[1])
    OAuthCredentials(path, given[0], given[1], fake.token_url).ready(session, TIMEOUT)
    body = fake.requests[0].body
    assert (body["client_id"], body.get("client_secret")) == expected


def test_the_installed_client_is_looked_up_once_and_only_for_a_refresh(
    fake: FakeGemini, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = [OAuthClient("cli", Secret("cli's"))]
    monkeypatch.setattr(oauth, "find_installed_client", installed.pop)
    save(path)
    made = OAuthCredentials(path, token_uri=fake.token_url)
    made.ready(session, TIMEOUT)
    assert made.client_id is None and installed
    made.renew(session, TIMEOUT)
    made.renew(session, TIMEOUT)
    assert made.client_id == "cli" and len(fake.requests) == 2


def test_without_any_client_the_user_is_told_to_run_gemini_or_set_two_variables(
    path: Path, session: requests.Session,
) -> None:
    save(path, -1)
    with pytest.raises(CredentialsError, match="run `gemini` once.*GEMINI_LITE_OAUTH_CLIENT_ID and "
                                               "GEMINI_LITE_OAUTH_CLIENT_SECRET"):
        OAuthCredentials(path).ready(session, TIMEOUT)


def test_settings_are_attributes_and_secrets_are_masked(path: Path) -> None:
    made = OAuthCredentials(path, "id", "hidden", "https://example.com/token")
    assert (made.path, made.client_id, made.token_uri) == (path, "id", "https://example.com/token")
    assert isinstance(made.client_secret, Secret) and str(made.client_secret) == "***"
    assert made.client_secret.value == "hidden"
    assert repr(made) == "OAuthCredentials(%r)" % str(path)
    assert repr(OAuthCredentials(token="hidden")) == "OAuthCredentials(token=***)"
