"""A fake Gemini that keeps files, and a client for it."""
from __future__ import annotations

from typing import Any, Iterator, List

import pytest

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import FakeGemini
from gemini_lite.testing.files_service import FilesService


@pytest.fixture
def service(fake: FakeGemini) -> FilesService:
    """The Files API of the fake."""
    service = FilesService(granularity=4)
    fake.services.insert(0, service)
    return service


@pytest.fixture
def ours(fake: FakeGemini, service: FilesService, no_sleep: List[float]) -> Iterator[GeminiClient]:
    """A client of the fake that does not sleep; use `client` of the main conftest for other settings."""
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        yield client


def commands(fake: Any) -> List[str]:
    """The upload commands that arrived, with their offsets."""
    found = [(request.headers.get("x-goog-upload-command"), request.headers.get("x-goog-upload-offset"))
             for request in fake.requests]
    return [command if offset is None else f"{command} {offset}" for command, offset in found if command]
