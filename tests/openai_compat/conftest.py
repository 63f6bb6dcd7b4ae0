"""A client for each backend, for the tests that go through `OpenAIChat` to a server."""
from __future__ import annotations

from typing import Iterator

import pytest
from vertex_fake import FakeVertex

from gemini_lite import CodeAssist, DeveloperAPI, GeminiClient, GeminiOptions, VertexAI
from gemini_lite.testing import FakeGemini


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    """A fake Gemini for each of the backends."""
    with FakeVertex() as fake:
        yield fake


@pytest.fixture(params=["DeveloperAPI", "VertexAI", "CodeAssist"])
def client(request: pytest.FixtureRequest, fake: FakeGemini) -> Iterator[GeminiClient]:
    """A client for the fake, by each of the backends."""
    options = GeminiOptions(model="gemini-3-pro-preview")
    if request.param == "CodeAssist":
        code_assist = CodeAssist(lambda: "t", project="p", endpoints=fake.code_assist_url)
        with GeminiClient(options, backend=code_assist) as client:
            yield client
    elif request.param == "VertexAI":
        with GeminiClient(options, backend=VertexAI("p", "eu", lambda: "t", base_url=fake.url)) as client:
            yield client
    else:
        with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
            yield client
