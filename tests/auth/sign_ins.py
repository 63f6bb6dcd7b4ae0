"""What the tests of signing in share: made-up tokens, and sign-in files that hold them."""
from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

import requests

from gemini_lite import OAuthCredentials
from gemini_lite.testing import Raw
from gemini_lite.transport.timed_lock import TimedLock

TIMEOUT = (5.0, 5.0)
OLD, REFRESH, CLIENT_SECRET = "old-access-token", "1//made-up-refresh-token", "made-up-client-secret"
NEW = "fake-access-token-1"  # the fake's first
Credentials = Callable[..., OAuthCredentials]


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


def refused(code: int, **body: Any) -> Raw:
    """An error as the token endpoint words it."""
    return Raw(json.dumps(body).encode(), status=code, headers={"Content-Type": "application/json"})


def sent(credentials: OAuthCredentials) -> str:
    """The token that a request would carry."""
    request = requests.Request("GET", "http://127.0.0.1/", auth=credentials).prepare()
    kind, _, token = request.headers["Authorization"].partition(" ")
    assert kind == "Bearer"
    return token


@contextlib.contextmanager
def held_by_another_thread(lock: TimedLock, seconds: float = 10) -> Iterator[None]:
    """Another thread holds `lock` for so long, or until the block ends."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock.within(1, "test"):
            held.set()
            done.wait(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(10)
    try:
        yield
    finally:
        done.set()
        thread.join()


def read_only(*args: Any, **kwargs: Any) -> None:
    raise PermissionError(30, "Read-only file system")
