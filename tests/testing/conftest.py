"""What the tests of the stand-in share: one call over HTTP."""
from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest
import requests

from gemini_lite.testing import FakeGemini


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    """One that takes what the tests write by hand, wrong as it may be."""
    with FakeGemini(strict=False) as fake:
        yield fake


@pytest.fixture
def ask() -> Iterator[Callable[..., requests.Response]]:
    """``ask(fake, path, body, method="POST", **options)`` sends one request, over a connection that is kept."""
    with requests.Session() as session:
        session.trust_env = False

        def send(fake: FakeGemini, path: str, body: Any = None, method: str = "POST", **options: Any) -> Any:
            options = {"timeout": 10, **({} if body is None else {"json": body}), **options}
            return session.request(method, fake.url + path, **options)

        yield send
