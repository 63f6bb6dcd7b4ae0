"""The whole suite of the conversation once more, unchanged, over Vertex AI."""
from __future__ import annotations

import contextlib
from typing import Any, Callable, Iterator

import pytest
import test_chat as suite
from test_chat import *  # noqa: F401,F403  (its tests are these tests)
from vertex_fake import FakeVertex

from gemini_lite import GeminiClient, VertexAI
from gemini_lite.testing import FakeGemini


@pytest.fixture(autouse=True)
def serve_vertex_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "FakeGemini", FakeVertex)


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeVertex() as fake:
        yield fake
        assert all("/projects/p/locations/us-east1/" in path for _, path in fake.paths)


@pytest.fixture
def client() -> Iterator[Callable[..., GeminiClient]]:
    with contextlib.ExitStack() as stack:
        def make(where: Any, *args: Any, key: str = "test-token", **settings: Any) -> GeminiClient:
            backend = VertexAI("p", "us-east1", lambda: key, base_url=where if isinstance(where, str) else where.url)
            made = GeminiClient(*args, backend=backend, **settings)
            stack.callback(made.close)
            return made

        yield make
