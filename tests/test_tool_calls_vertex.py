"""The whole suite of the tools once more, unchanged, over Vertex AI."""
from __future__ import annotations

from typing import Any, Callable, Iterator, List

import pytest
from test_tool_calls import *  # noqa: F401,F403  (its tests are these tests)
from vertex_fake import FakeVertex

from gemini_lite import GeminiClient, GeminiOptions, VertexAI
from gemini_lite.testing import FakeGemini


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeVertex() as fake:
        yield fake
        # one test asks the Developer API too, by `query`
        assert not fake.paths or any("/projects/p/locations/us-east1/" in path for _, path in fake.paths)


@pytest.fixture
def talk(fake: FakeGemini) -> Iterator[Callable[..., GeminiClient]]:
    made: List[GeminiClient] = []

    def make(**options: Any) -> GeminiClient:
        backend = VertexAI("p", "us-east1", lambda: "t", base_url=fake.url)
        made.append(GeminiClient(GeminiOptions(**options), backend=backend))
        return made[-1]

    yield make
    for client in made:
        client.close()
