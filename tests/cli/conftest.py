"""What the tests of the command line share: a key in the environment, and a fake Gemini that it leads to."""
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gemini_lite.testing import FakeGemini


@pytest.fixture
def signed_in(clean_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    monkeypatch.setenv("GEMINI_LITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "stdin", None)  # as of a program that was started without one


@pytest.fixture
def at_fake(fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> FakeGemini:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    fake.models.append("*")  # the command line hands on any name
    return fake
