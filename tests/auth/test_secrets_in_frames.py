"""Planted secrets, looked for in every frame of a traceback as error reporters do, wherever a renewal may break off."""
from __future__ import annotations

import contextlib
import gc
import io
import itertools
import json
import logging
import re
import sys
import traceback
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set

import pytest
import requests
import requests.adapters
import urllib3
from auth.sign_ins import OLD, REFRESH, TIMEOUT, Credentials, refused, save
from urllib3._collections import RecentlyUsedContainer

from gemini_lite import OAuthCredentials
from gemini_lite.auth.secret import Secret
from gemini_lite.errors import APIError, CredentialsError
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.transport.failures import NETWORK_ERRORS

(ACCESS, REFRESH_TOKEN, ID_TOKEN, FIELD, FILES_CLIENT_SECRET, CLIENT_SECRET, NEW_ACCESS, NEW_REFRESH, NEW_ID_TOKEN,
 NEW_FIELD) = SECRETS = [f"planted-{number}-{7 * 'q8'}" for number in range(10)]
ANSWER = json.dumps({"access_token": NEW_ACCESS, "refresh_token": NEW_REFRESH, "id_token": NEW_ID_TOKEN,
                     "field": NEW_FIELD, "expires_in": 3599}).encode()


def text_in(thing: object) -> Iterator[str]:
    """The texts in `thing` and all it holds, as a serializer finds them; one of `Secret` is hidden."""
    seen: Set[int] = set()
    kept: List[object] = [thing]  # so that no id is used twice
    for item in kept:
        if id(item) in seen or isinstance(item, (Secret, type, types.ModuleType, types.CodeType)):
            continue
        seen.add(id(item))
        if isinstance(item, str):
            yield item
        elif isinstance(item, (bytes, bytearray, memoryview)):
            yield bytes(item).decode("latin-1")
        elif isinstance(item, Mapping) and not isinstance(item, RecentlyUsedContainer):  # which refuses to be walked
            kept += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset)):
            kept += item
        elif isinstance(item, types.FunctionType):
            kept += [cell.cell_contents for cell in item.__closure__ or ()]
        elif isinstance(item, types.MethodType):
            kept.append(item.__self__)
        else:
            with contextlib.suppress(AttributeError):  # of one that an interrupt left half made
                yield repr(item)
            kept += vars(item).values() if hasattr(item, "__dict__") else ()
            for kind in type(item).__mro__:
                kept += [getattr(item, name, None) for name in getattr(kind, "__slots__", ()) if isinstance(name, str)]


def frames_of(error: BaseException) -> List[types.FrameType]:
    """The frames of an error and of all its causes, except those of this file."""
    chain: List[BaseException] = [error]
    frames = []
    for item in chain:
        chain += [cause for cause in (item.__cause__, item.__context__) if cause is not None and cause not in chain]
        frames += [frame for frame, _ in traceback.walk_tb(item.__traceback__)]
    return [frame for frame in frames if frame.f_code.co_filename != __file__]


def assert_hidden(*things: object) -> None:
    for text in text_in(list(things)):
        found = [secret for secret in SECRETS if secret in text]
        assert not found, f"{found} in {text[:2000]}"


def assert_error_hides(error: BaseException) -> None:
    frames = frames_of(error)
    assert frames, "nothing of ours was in it"
    assert_hidden(error, *traceback.format_exception(type(error), error, error.__traceback__))
    for frame in frames:
        assert_hidden(frame.f_code.co_name, frame.f_locals)


def sign_in(path: Path, **fields: Any) -> Path:
    """A file whose every secret is a planted one, and which has to be renewed."""
    save(path, -1, access_token=ACCESS, refresh_token=REFRESH_TOKEN, id_token=ID_TOKEN, field=FIELD, **fields)
    return path


class Loopback(requests.adapters.BaseAdapter):
    """Answers without a network; `body` is what the answer's body is read from."""

    def __init__(self, body: io.BytesIO) -> None:
        super().__init__()
        self.body = body

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, str(request.url)
        response.raw = urllib3.HTTPResponse(self.body, status=200, preload_content=False)
        return response

    def close(self) -> None:
        """Nothing is open."""


def session_with(body: Optional[io.BytesIO] = None) -> requests.Session:
    session = requests.Session()
    session.mount("http://", Loopback(io.BytesIO(ANSWER) if body is None else body))
    return session


def credentials_at(path: Path, token_uri: str = "http://token/") -> OAuthCredentials:
    return OAuthCredentials(sign_in(path), "made-up-id", CLIENT_SECRET, token_uri)


def interrupt(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


def test_the_search_finds_what_is_not_hidden() -> None:
    class Slots:
        __slots__ = ("value",)

    slots = Slots()
    slots.value = {"a": [b"x" + ACCESS.encode()]}  # type: ignore[attr-defined]
    request = requests.Request("GET", "http://127.0.0.1/", headers={"x": ACCESS}).prepare()
    for plain in (ACCESS, [ACCESS], {ACCESS: 1}, slots, lambda: slots, ValueError(ACCESS), request, request.copy):
        with pytest.raises(AssertionError, match="planted-0"):
            assert_hidden([plain])
    assert_hidden(Secret(ACCESS))


ANSWERS: Dict[str, Callable[[], Any]] = {
    "invalid_grant": lambda: refused(400, error="invalid_grant"), "busy": lambda: Error(503, "busy"),
    "no access token": lambda: Raw(ANSWER.replace(b"access_token", b"other")),
    "a token for no header": lambda: Raw(ANSWER.replace(NEW_ACCESS.encode(), b"lin\\ne" + NEW_ACCESS.encode())),
    "no JSON": lambda: Raw(ANSWER[:-1]),
    "a redirect": lambda: Raw(status=307, headers={"Location": "http://127.0.0.1:1/"}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_frames_hide_secrets_when_the_token_endpoint_refuses(
    fake: FakeGemini, path: Path, session: requests.Session, name: str,
) -> None:
    fake.answer("token", ANSWERS[name]())
    with pytest.raises((CredentialsError, APIError)) as caught:
        credentials_at(path, fake.token_url).ready(session, TIMEOUT)
    assert_error_hides(caught.value)


CUTS: Dict[str, bytes] = {
    "before the answer": b"", "in its head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in its body": b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + ANSWER,
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + ANSWER,
    "in compressed data": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n" + ANSWER[:9],
}


@pytest.mark.parametrize("how", CUTS)
def test_frames_hide_secrets_when_the_connection_is_lost(
    path: Path, session: requests.Session, serve: Callable[..., str], how: str,
) -> None:
    def answer(peer: Any) -> None:
        peer.request()
        peer.send(CUTS[how])
        peer.close()

    with pytest.raises((CredentialsError, *NETWORK_ERRORS)) as caught:
        credentials_at(path, f"{serve(answer)}/token").ready(session, TIMEOUT)
    assert_error_hides(caught.value)


def test_frames_hide_secrets_when_nobody_answers(path: Path, session: requests.Session) -> None:
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        credentials_at(path, "http://127.0.0.1:1/token").ready(session, TIMEOUT)
    assert_error_hides(caught.value)


class Interrupting(io.BytesIO):
    """A body whose end a signal cuts off."""

    def read(self, size: Optional[int] = -1) -> bytes:
        return super().read(size) or interrupt() or b""

    read1 = read


@pytest.mark.parametrize("where", ["post", "send", "body"])
def test_frames_hide_secrets_when_a_signal_meets_the_session(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: str,
) -> None:
    session = session_with(Interrupting(ANSWER) if where == "body" else None)
    if where != "body":
        monkeypatch.setattr(session if where == "post" else session.get_adapter("http://"), where, interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        credentials_at(path).ready(session, TIMEOUT)
    assert_error_hides(caught.value)


@pytest.mark.parametrize("call", ["json.dumps", "os.open", "os.fsync", "os.replace", "_try_lock", "_is_at"])
def test_frames_hide_secrets_when_a_signal_meets_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str,
) -> None:
    room = "auth.sign_in" if call.startswith("json") else "files_on_disk"
    made = credentials_at(path)
    monkeypatch.setattr(f"gemini_lite.{room}.{call}", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        made.ready(session_with(), TIMEOUT)
    monkeypatch.undo()
    assert_error_hides(caught.value)


@pytest.mark.parametrize("call", ["os.open", "os.fsync", "os.replace"])
def test_frames_hide_secrets_when_a_full_disk_is_logged(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str,
) -> None:
    """A reporter that adds the stack to what is logged sees the frames that are running."""
    class Reporter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            frames.extend(frame for frame, _ in traceback.walk_stack(sys._getframe()))
            for frame in frames:
                if "gemini_lite" in frame.f_code.co_filename and frame.f_code.co_filename != __file__:
                    assert_hidden(record.getMessage(), record.args, frame.f_locals)

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    frames: List[types.FrameType] = []
    made, reporter = credentials_at(path), Reporter(logging.WARNING)
    logging.getLogger("gemini_lite").addHandler(reporter)
    monkeypatch.setattr(f"gemini_lite.files_on_disk.{call}", full)
    try:
        made.ready(session_with(), TIMEOUT)
    finally:
        logging.getLogger("gemini_lite").removeHandler(reporter)
    assert {"_save", "ready"} <= {frame.f_code.co_name for frame in frames}


class Interrupter:
    """Raises KeyboardInterrupt at the line of ours, or of json, that is run as number `at`."""

    def __init__(self, at: int) -> None:
        self.at, self.lines = at, 0

    def __call__(self, frame: types.FrameType, event: str, argument: object) -> Optional[Interrupter]:
        if not re.search(r"[/\\](gemini_lite|json|contextlib\.py)\b", frame.f_code.co_filename):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self


def interrupted_by(interrupter: Interrupter, made: OAuthCredentials) -> Optional[BaseException]:
    """What the interrupt of a renewal looks like; None if the renewal was done before.

    In a thread of its own: one that comes inside an ``except`` of contextlib leaves the thread in it for ever, with
    Python 3.13, and what is raised there later has a context that it should not have.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(interrupt_renewal, interrupter, made).result()


def interrupt_renewal(interrupter: Interrupter, made: OAuthCredentials) -> Optional[BaseException]:
    session, before = session_with(), sys.gettrace()
    try:
        sys.settrace(interrupter)
        made.ready(session, TIMEOUT)
    except KeyboardInterrupt as error:
        return error
    finally:
        sys.settrace(before)
    return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_frames_hide_secrets_when_a_signal_comes_at_any_line(path: Path, step: int) -> None:
    met = set()
    for number in itertools.count(1, step):
        for left in path.parent.glob("oauth_creds*"):  # by an interrupt between the making of a file and its removal
            left.unlink()
        made = OAuthCredentials(sign_in(path, client_id="id", client_secret=FILES_CLIENT_SECRET), token_uri="http://t/")
        interrupter = Interrupter(number)
        error = interrupted_by(interrupter, made)
        if error is None:
            assert interrupter.lines < number, "somebody swallowed the interrupt"
            break
        assert_error_hides(error)
        met |= {frame.f_code.co_name for frame in frames_of(error)}
    del error
    gc.collect()  # the files that interrupts left open, while their warnings are ignored
    assert number > 300 and {"_read_or_refresh", "call"} <= met
    assert step > 1 or {"read", "merge", "_open_locked", "replacing", "_save"} <= met
    assert not {"refresh", "_post_form", "_load", "_dump_merged"} & met, "frames with plain secrets"


def test_no_secret_shows_in_repr_vars_or_logs_when_a_renewal_fails(
    fake: FakeGemini, credentials: Credentials, path: Path, session: requests.Session, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    save(path)
    made = credentials()
    made.ready(session, TIMEOUT)
    fake.answer("token", refused(400, error="invalid_grant"))
    with pytest.raises(CredentialsError) as caught:
        made.renew(session, TIMEOUT)
    shown = f"{made!r} {vars(made)} {vars(caught.value)} {caplog.text}"
    assert OLD not in shown and REFRESH not in shown and CLIENT_SECRET not in shown
