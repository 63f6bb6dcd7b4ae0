"""An empty home without Gemini CLI, a place for a sign-in file, and credentials for it."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
import requests
from auth.sign_ins import CLIENT_SECRET, Credentials

from gemini_lite import OAuthCredentials
from gemini_lite.auth import oauth
from gemini_lite.testing import FakeGemini


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no Gemini CLI installed."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setattr(oauth, "find_installed_client", lambda: None)
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
