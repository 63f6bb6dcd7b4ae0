"""The whole suite of the conversation once more, unchanged, over Code Assist."""
from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator, List

import pytest
import test_chat as suite
from test_chat import *  # noqa: F401,F403  (its tests are these tests)

from gemini_lite import CodeAssist, GeminiClient
from gemini_lite.testing import FakeGemini, Raw, Request


class _Asked(List[Request]):
    """The requests for answers; the set-up calls are Code Assist's own affair."""

    def append(self, request: Request) -> None:
        if request.kind == "generate":
            super().append(request)


class _Opened(FakeGemini):
    """A fake that records the requests, and hands them to its default, out of their envelopes."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.requests = _Asked()

    def _answer(self, request: Request) -> Raw:
        if request.kind == "generate":
            assert request.path.startswith("/v1internal:")
            request = request._replace(body={**request.body["request"], "model": request.body["model"]})
        return super()._answer(request)


@pytest.fixture(autouse=True)
def open_envelopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "FakeGemini", _Opened)


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with _Opened() as fake:
        yield fake


@pytest.fixture
def client() -> Iterator[Callable[..., GeminiClient]]:
    with contextlib.ExitStack() as stack:
        def make(where: Any, *args: Any, key: str = "test-token", **settings: Any) -> GeminiClient:
            backend = CodeAssist(lambda: key, endpoints=where if isinstance(where, str) else where.code_assist_url)
            made = GeminiClient(*args, backend=backend, **settings)
            stack.callback(made.close)
            return made

        yield make
