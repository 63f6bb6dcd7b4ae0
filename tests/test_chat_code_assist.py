"""The whole suite of the conversation once more, unchanged, over Code Assist."""
from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator, List

import pytest
import test_chat as suite
from test_chat import *  # noqa: F401,F403  (its tests are these tests)

from gemini_lite import CodeAssist, GeminiClient
from gemini_lite.testing import FakeGemini, Request


class _Asked(List[Request]):
    """The requests for answers, out of their envelopes; the set-up calls are Code Assist's own affair."""

    def append(self, request: Request) -> None:
        if request.kind == "generate":
            super().append(_opened(request))


class _Opened(FakeGemini):
    """A fake that records the requests, and hands them to its default, out of their envelopes."""

    def __init__(self, default: Any = None, **settings: Any) -> None:
        super().__init__(default and (lambda request: default(_opened(request))), **settings)
        self.requests = _Asked()


def _opened(request: Request) -> Request:
    assert request.path.startswith("/v1internal:")
    return request._replace(body={**request.body["request"], "model": request.body["model"]})


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
