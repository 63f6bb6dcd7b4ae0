"""A fixture for pytest: ``pytest_plugins = ["gemini_lite.testing.pytest_plugin"]`` in a conftest.py.

It is not an entry point, which would load this package with every run of pytest.
"""
from __future__ import annotations

from typing import Iterator

import pytest

from .server import FakeGemini


@pytest.fixture
def fake_gemini() -> Iterator[FakeGemini]:
    """A Gemini on 127.0.0.1, which refuses what Google refuses; scripted replies that nobody asked for fail the test.
    """
    with FakeGemini(strict=True) as fake:
        yield fake
