"""The laws of signing in: which token is sent, when it is renewed, what stays on disk, and that nobody sees it."""
from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
import requests

import gemini_lite
from gemini_lite import OAuthCredentials
from gemini_lite.auth import oauth
from gemini_lite.auth.oauth import APIKey, Secret
from gemini_lite.errors import (
    APIError, AuthenticationError, CredentialsError, RateLimitError, ServerError, TransportTimeout,
)
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.transport.failures import NETWORK_ERRORS
from gemini_lite.transport.transport import Call, Transport

TIMEOUT = (5.0, 5.0)
OLD, REFRESH, CLIENT_SECRET = "old-access-token", "1//made-up-refresh-token", "made-up-client-secret"
NEW = "fake-access-token-1"  # the fake's first
Credentials = Callable[..., OAuthCredentials]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no Gemini CLI installed."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setattr(oauth, "oauth_client", lambda: None)
    return home


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oauth_creds.json"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def credentials(fake: FakeGemini, path: Path) -> Credentials:
    """Credentials for the file at `path`, whose OAuth client is given and whose token endpoint is the fake's."""
    def make(**settings: Any) -> OAuthCredentials:
        return OAuthCredentials(path, "made-up-id", CLIENT_SECRET, **{"token_uri": fake.token_url, **settings})
    return make


def ms(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


def save(path: Path, lasts: Optional[float] = 3600, **fields: Any) -> Dict[str, Any]:
    """Write a sign-in that lasts so many seconds, None for no expiry_date; a field that is None is left out."""
    usual = {"access_token": OLD, "refresh_token": REFRESH, "scope": "a b", "token_type": "Bearer",
             "id_token": "made-up.id.token", "expiry_date": None if lasts is None else ms(lasts)}
    saved = {name: value for name, value in {**usual, **fields}.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(saved))
    return saved


def load(path: Path) -> Dict[str, Any]:
    saved: Dict[str, Any] = json.loads(path.read_text())
    return saved


def read_only(*args: Any, **kwargs: Any) -> None:
    raise PermissionError(30, "Read-only file system")


def refused(code: int, **body: Any) -> Raw:
    """An error as the token endpoint words it."""
    return Raw(json.dumps(body).encode(), status=code, headers={"Content-Type": "application/json"})


def sent(credentials: OAuthCredentials) -> str:
    """The token that a request would carry."""
    request = requests.Request("GET", "http://127.0.0.1/", auth=credentials).prepare()
    kind, _, token = request.headers["Authorization"].partition(" ")
    assert kind == "Bearer"
    return token


# The API key

def test_a_key_goes_into_a_header_and_needs_no_network(session: requests.Session) -> None:
    key = APIKey(" made-up-key\n")
    key.ready(session, TIMEOUT)
    request = requests.Request("GET", "http://127.0.0.1/", auth=key).prepare()
    assert request.headers["x-goog-api-key"] == "made-up-key" and "made-up-key" not in str(request.url)
    assert key.renew(session, TIMEOUT) is False


@pytest.mark.parametrize("make", [APIKey, lambda value: OAuthCredentials(token=value)])
@pytest.mark.parametrize("value", ["", " \n", "two words", "lin\ne", "schlüssel", 5, b"bytes"])
def test_what_no_header_can_carry_is_refused_at_once(make: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(CredentialsError) as caught:
        make(value)
    assert "schl" not in str(caught.value)


def test_an_empty_key_is_told_where_keys_are_made_and_an_empty_token_is_not() -> None:
    with pytest.raises(CredentialsError, match="aistudio"):
        APIKey("")
    with pytest.raises(CredentialsError) as caught:
        OAuthCredentials(token="")
    assert "aistudio" not in str(caught.value) and "sign in" in str(caught.value)


# Which file, which token

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


def test_a_callable_s_bad_answer_is_an_error_and_its_own_error_is_let_through(session: requests.Session) -> None:
    with pytest.raises(CredentialsError, match="NoneType"):
        OAuthCredentials(token=lambda: None).ready(session, TIMEOUT)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        OAuthCredentials(token=lambda: str(1 / 0)).ready(session, TIMEOUT)


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


# Renewal

@pytest.mark.parametrize("lasts, token", [(-3600, NEW), (295, NEW), (305, OLD)])
def test_a_token_is_renewed_five_minutes_before_it_expires(
    credentials: Credentials, path: Path, session: requests.Session, lasts: float, token: str,
) -> None:
    save(path, lasts)
    made = credentials()
    made.ready(session, TIMEOUT)
    made.ready(session, TIMEOUT)
    assert sent(made) == token


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


def test_the_answer_is_merged_into_the_file(
    credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    before = save(path, -1, unknown={"deep": ["kept"]})
    path.chmod(0o644)
    credentials().ready(session, TIMEOUT)
    after = load(path)
    assert abs(after.pop("expiry_date") - ms(3599)) < 5000
    assert after == {**{name: value for name, value in before.items() if name != "expiry_date"},
                     "access_token": NEW, "scope": "https://www.googleapis.com/auth/cloud-platform"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.glob("oauth_creds*")] == [path.name]


def test_a_new_refresh_token_replaces_the_old_and_an_empty_one_does_not(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    save(path, -1)
    fake.answer("token", {"access_token": "a", "expires_in": 1, "refresh_token": "new"},
                {"access_token": "b", "expires_in": 1, "refresh_token": ""})
    made = credentials()
    made.ready(session, TIMEOUT)
    made.ready(session, TIMEOUT)
    assert load(path)["refresh_token"] == "new"
    assert [request.body["refresh_token"] for request in fake.requests] == [REFRESH, "new"]


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
    monkeypatch.setattr(oauth, "EARLY", 500)
    made.ready(session, TIMEOUT)
    assert sent(made) == "another-program's" and fake.requests == []


def test_a_link_stays_a_link(credentials: Credentials, path: Path, session: requests.Session, tmp_path: Path) -> None:
    save(tmp_path / "dotfiles/creds.json", -1)
    path.symlink_to(tmp_path / "dotfiles/creds.json")
    credentials().ready(session, TIMEOUT)
    assert path.is_symlink() and load(tmp_path / "dotfiles/creds.json")["access_token"] == NEW


# After a 401

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


# Threads and processes

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
    with made._lock.within(1, "test"), pytest.raises(TransportTimeout, match="renewal of the token"):
        made.ready(session, (0.01, 0.01))
    assert time.monotonic() - started < 1


def test_a_lock_that_was_held_at_a_fork_does_not_bind_the_child(
    credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    save(path)
    made = credentials()
    with made._lock.within(1, "test"):
        monkeypatch.setattr("gemini_lite.transport.locks.os.getpid", lambda: -1)
        made.ready(session, (0.1, 0.1))
    assert sent(made) == OLD


PROCESS = """
import sys, requests
from gemini_lite import OAuthCredentials
path, url, rounds = sys.argv[1:]
credentials = OAuthCredentials(path, "made-up-id", "made-up-client-secret", url)
with requests.Session() as session:
    for _ in range(int(rounds)):
        credentials.ready(session, (20, 20))
"""


def test_processes_that_refresh_at_once_lose_no_key_and_leave_no_broken_file(
    path: Path, serve: Callable[..., str],
) -> None:
    """Both are answered in the same moment, each time with another key, and the file is whole whenever it is read."""
    before = save(path, -1, unknown="kept")
    rounds, keys = 12, iter(range(1000))
    at_once, lock = threading.Barrier(2), threading.Lock()

    def token(peer: Any) -> None:
        while True:
            peer.request()
            with lock:
                key = next(keys)
            at_once.wait(20)
            peer.answer(json.dumps({"access_token": "token-%d" % key, "expires_in": 1, "key-%d" % key: key}).encode())

    url = serve(token)
    command = [sys.executable, "-W", "error", "-c", PROCESS, str(path), url, str(rounds)]
    environment = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    while any(process.poll() is None for process in processes):
        assert load(path)["refresh_token"] == REFRESH
    assert [process.returncode for process in processes] == [0, 0]
    after = load(path)
    assert after["unknown"] == before["unknown"]
    assert [key for key in range(2 * rounds) if after.get("key-%d" % key) != key] == []
    assert [item.name for item in path.parent.glob("oauth_creds*")] == [path.name]


def test_a_lock_left_by_a_dead_process_is_waited_for_and_then_removed(
    credentials: Credentials, path: Path, session: requests.Session, no_sleep: List[float],
) -> None:
    save(path, -1)
    lock = path.parent / (path.name + ".lock")
    lock.touch()
    credentials().ready(session, TIMEOUT)
    assert load(path)["access_token"] == NEW and not lock.exists() and 0.5 < sum(no_sleep) < 2


def changing(serve: Callable[..., str], change: Callable[[], Any]) -> str:
    """The URL of a token endpoint that lets something happen to the file just before it answers."""
    def token(peer: Any) -> None:
        peer.request()
        change()
        peer.answer(b'{"access_token": "new", "expires_in": 3599}')

    return serve(token)


def test_what_others_write_while_a_refresh_is_under_way_is_kept(
    credentials: Credentials, path: Path, session: requests.Session, serve: Callable[..., str],
) -> None:
    save(path, -1)
    url = changing(serve, lambda: save(path, -1, added="by another"))
    credentials(token_uri=url).ready(session, TIMEOUT)
    assert (load(path)["added"], load(path)["access_token"]) == ("by another", "new")


def test_another_account_s_sign_in_is_not_mixed_with_this_one_s_token(
    credentials: Credentials, path: Path, session: requests.Session, serve: Callable[..., str],
) -> None:
    save(path, -1)
    made = credentials(token_uri=changing(
        serve, lambda: save(path, access_token="another", refresh_token="account's")))
    made.ready(session, TIMEOUT)
    assert sent(made) == "new" and load(path)["access_token"] == "another"


def test_a_sign_in_that_was_removed_meanwhile_is_not_brought_back(
    credentials: Credentials, path: Path, session: requests.Session, serve: Callable[..., str],
) -> None:
    save(path, -1)
    made = credentials(token_uri=changing(serve, path.unlink))
    made.ready(session, TIMEOUT)
    assert sent(made) == "new" and not path.exists()


# The file in trouble

@pytest.mark.parametrize("half", ["", '{"access_to', "[]", "null", "\udcff"])
def test_a_half_written_file_is_read_again(
    credentials: Credentials, path: Path, session: requests.Session, half: str,
) -> None:
    path.write_bytes(half.encode("utf-8", "surrogateescape"))
    writer = threading.Timer(0.07, save, [path])
    writer.start()
    made = credentials()
    made.ready(session, TIMEOUT)
    writer.join()
    assert sent(made) == OLD


SENTENCES = {
    "missing": (None, "no sign-in at .*run `gemini`"),
    "never whole": ('{"access_to', "not the JSON object.*run `gemini`"),
    "a service account": ('{"type": "service_account", "private_key": "x"}', "service account.*API key"),
    "another type": ('{"type": "external_account", "access_token": "x"}', "external_account.*run `gemini`"),
    "no token": ('{"scope": "x"}', "neither an access_token nor a refresh_token.*run `gemini`"),
    "expired": ('{"access_token": "x", "expiry_date": 1}', "no longer valid.*no refresh_token.*run `gemini`"),
    "a broken token": ('{"access_token": "x\\ny"}', "access token.*copy it again"),
    "a number": ('{"access_token": 5}', "access token must be a string"),
}


@pytest.mark.parametrize("text, sentence", list(SENTENCES.values()), ids=list(SENTENCES))
def test_each_trouble_with_the_file_has_its_own_sentence(
    credentials: Credentials, path: Path, session: requests.Session, no_sleep: List[float], text: Optional[str],
    sentence: str,
) -> None:
    if text is not None:
        path.write_text(text)
    with pytest.raises(CredentialsError, match=sentence) as caught:
        credentials().ready(session, TIMEOUT)
    assert not caught.value.retryable and sum(no_sleep) < 1


def test_a_folder_in_place_of_the_file_cannot_be_read(
    credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    path.mkdir()
    with pytest.raises(CredentialsError, match="cannot be read"):
        credentials().ready(session, TIMEOUT)


@pytest.mark.parametrize("sign", ["variable", "file", "neither"])
def test_encrypted_storage_is_named_where_it_may_hold_the_sign_in(
    credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch, sign: str,
) -> None:
    if sign == "variable":
        monkeypatch.setenv("GEMINI_FORCE_ENCRYPTED_FILE_STORAGE", "true")
    if sign == "file":
        (path.parent / "gemini-credentials.json").write_text("00:00:00")
    with pytest.raises(CredentialsError) as caught:
        credentials().ready(session, TIMEOUT)
    assert ("unset GEMINI_FORCE_ENCRYPTED_FILE_STORAGE" in str(caught.value)) == (sign != "neither")


@pytest.mark.parametrize("call", ["os.open", "tempfile.mkstemp", "os.replace"])
def test_where_nothing_can_be_saved_the_token_serves_this_process_with_one_warning(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, call: str,
) -> None:
    before = save(path, -1)
    fake.answer("token", {"access_token": "short", "expires_in": 1})
    monkeypatch.setattr("gemini_lite.auth.sign_in." + call, read_only)
    made = credentials()
    made.ready(session, TIMEOUT)
    assert sent(made) == "short"
    made.ready(session, TIMEOUT)
    monkeypatch.undo()
    assert sent(made) == "fake-access-token-2" and load(path) == before
    assert [item.name for item in path.parent.glob("oauth_creds*")] == [path.name]
    warning, = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "could not be saved" in warning and "Read-only file system" in warning


# The token endpoint in trouble

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


def test_a_new_token_that_no_header_can_carry_is_not_saved(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session,
) -> None:
    before = save(path, -1)
    fake.answer("token", {"access_token": "lin\ne"})
    with pytest.raises(CredentialsError, match="access token"):
        credentials().ready(session, TIMEOUT)
    assert load(path) == before


def test_an_endless_answer_is_not_read_to_its_end(
    credentials: Credentials, path: Path, session: requests.Session, serve: Callable[..., str],
) -> None:
    taken: List[int] = []

    def endless(peer: Any) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
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


# The OAuth client

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
    monkeypatch.setattr(oauth, "oauth_client", lambda: ("cli", "cli's"))
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_ID", environment[0])
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_SECRET", environment[1])
    save(path, -1, client_id=in_file[0], client_secret=in_file[1])
    OAuthCredentials(path, given[0], given[1], fake.token_url).ready(session, TIMEOUT)
    body = fake.requests[0].body
    assert (body["client_id"], body.get("client_secret")) == expected


def test_the_installed_client_is_looked_up_once_and_only_for_a_refresh(
    fake: FakeGemini, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = [("cli", "cli's")]
    monkeypatch.setattr(oauth, "oauth_client", installed.pop)
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


# Nobody sees it

def test_settings_are_attributes_and_secrets_are_masked(path: Path) -> None:
    made = OAuthCredentials(path, "id", "hidden", "https://example.com/token")
    assert (made.path, made.client_id, made.token_uri) == (path, "id", "https://example.com/token")
    assert isinstance(made.client_secret, Secret) and str(made.client_secret) == "***"
    assert made.client_secret.value == "hidden"
    assert repr(made) == "OAuthCredentials(%r)" % str(path)
    assert repr(OAuthCredentials(token="hidden")) == "OAuthCredentials(token=***)"


@pytest.mark.parametrize("answer", [
    refused(400, error="invalid_grant"), Error(503, "busy"), Raw(b'{"access_token": "hidden\\nnew"}')])
def test_no_secret_shows_in_repr_vars_logs_or_the_frames_of_an_error(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, caplog: pytest.LogCaptureFixture,
    answer: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    save(path)
    made = credentials()
    made.ready(session, TIMEOUT)
    fake.answer("token", answer)
    with pytest.raises((CredentialsError, APIError)) as caught:
        made.renew(session, TIMEOUT)
    ours = [frame for frame in traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
            if "gemini_lite" in frame.filename]
    assert len(ours) > 3
    shown = "%r %r %r %s %s" % (made, vars(made), vars(caught.value), caplog.text, [frame.locals for frame in ours])
    for secret in (OLD, REFRESH, CLIENT_SECRET):
        assert secret not in shown


@pytest.mark.parametrize("make", [
    lambda: OAuthCredentials("x"), lambda: OAuthCredentials(token="x"), lambda: APIKey("x"), lambda: Secret("x")])
@pytest.mark.parametrize("spread", [pickle.dumps, copy.deepcopy])
def test_what_holds_secrets_is_not_pickled_and_says_so(
    make: Callable[[], Any], spread: Callable[[Any], Any],
) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        spread(make())
