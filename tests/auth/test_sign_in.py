"""The laws of the sign-in file: whole, for its owner alone, and shared with other programs."""
from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, List, Optional

import pytest
import requests
from auth.sign_ins import NEW, OLD, REFRESH, TIMEOUT, Credentials, load, ms, read_only, save, sent

import gemini_lite
from gemini_lite import OAuthCredentials, files_on_disk
from gemini_lite.errors import CredentialsError
from gemini_lite.testing import FakeGemini
from gemini_lite.transport.retry import pause


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


def test_a_link_stays_a_link(credentials: Credentials, path: Path, session: requests.Session, tmp_path: Path) -> None:
    save(tmp_path / "dotfiles/creds.json", -1)
    path.symlink_to(tmp_path / "dotfiles/creds.json")
    credentials().ready(session, TIMEOUT)
    assert path.is_symlink() and load(tmp_path / "dotfiles/creds.json")["access_token"] == NEW


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
            peer.answer(json.dumps({"access_token": f"token-{key}", "expires_in": 1, f"key-{key}": key}).encode())

    url = serve(token)
    command = [sys.executable, "-W", "error", "-c", PROCESS, str(path), url, str(rounds)]
    environment = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]
    while any(process.poll() is None for process in processes):
        assert load(path)["refresh_token"] == REFRESH
    assert [process.returncode for process in processes] == [0, 0]
    after = load(path)
    assert after["unknown"] == before["unknown"]
    assert [key for key in range(2 * rounds) if after.get(f"key-{key}") != key] == []
    assert [item.name for item in path.parent.glob("oauth_creds*")] == [path.name]


def test_a_lock_file_left_by_a_dead_process_is_not_waited_for(
    credentials: Credentials, path: Path, session: requests.Session, no_sleep: List[float],
) -> None:
    save(path, -1)
    lock = path.parent / f"{path.name}.lock"
    lock.touch()
    credentials().ready(session, TIMEOUT)
    assert load(path)["access_token"] == NEW and not lock.exists() and no_sleep == []


def test_another_process_s_lock_is_waited_for_no_longer_than_the_time_limits_allow(
    credentials: Credentials, path: Path, session: requests.Session, caplog: pytest.LogCaptureFixture,
) -> None:
    before, made = save(path, -1), credentials()
    with files_on_disk.locked(f"{path}.lock", 0, pause):
        started = time.monotonic()
        made.ready(session, (0.3, 0.3))
        assert time.monotonic() - started < 0.8  # sign_in._LOCK_SECONDS is 1
    assert sent(made) == NEW and load(path) == before and "did not release the lock" in caplog.text


def test_an_interrupted_save_does_not_lose_the_new_token(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, made = save(path, -1), credentials()

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gemini_lite.files_on_disk.os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.ready(session, TIMEOUT)
    monkeypatch.undo()
    made.ready(session, TIMEOUT)
    assert sent(made) == NEW and len(fake.requests) == 1 and load(path) == before
    assert [item.name for item in path.parent.glob("oauth_creds*")] == [path.name]


@pytest.mark.parametrize("field", ["refresh_token", "client_secret"])
@pytest.mark.parametrize("value", [5, "lin\ne", "\ud800"])
def test_what_the_file_holds_in_place_of_a_secret_is_refused_without_being_sent(
    fake: FakeGemini, path: Path, session: requests.Session, field: str, value: Any,
) -> None:
    save(path, -1, **{"client_id": "made-up-id", field: value})
    with pytest.raises(CredentialsError, match=field.replace("_", " ")):
        OAuthCredentials(path, token_uri=fake.token_url).ready(session, TIMEOUT)
    assert fake.requests == []


def test_a_file_nested_too_deeply_for_json_is_no_sign_in(
    credentials: Credentials, path: Path, session: requests.Session, no_sleep: List[float],
) -> None:
    path.write_text('{"access_token": "x", "deep": %s%s}' % (100000 * "[", 100000 * "]"))
    with pytest.raises(CredentialsError, match="not the JSON object"):
        credentials().ready(session, TIMEOUT)


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


@pytest.mark.parametrize("call", ["os.open", "os.fsync", "os.replace"])
def test_where_nothing_can_be_saved_the_token_serves_this_process_with_one_warning(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, call: str,
) -> None:
    before = save(path, -1)
    fake.answer("token", {"access_token": "short", "expires_in": 1})
    monkeypatch.setattr(f"gemini_lite.files_on_disk.{call}", read_only)
    made = credentials()
    made.ready(session, TIMEOUT)
    assert sent(made) == "short"
    made.ready(session, TIMEOUT)
    monkeypatch.undo()
    assert sent(made) == "fake-access-token-2" and load(path) == before
    assert [item.name for item in path.parent.glob("oauth_creds*")] == [path.name]
    warning, = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "could not be saved" in warning and "Read-only file system" in warning
