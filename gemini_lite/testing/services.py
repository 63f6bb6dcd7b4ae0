"""The services that `FakeGemini` needs to keep files and caches, and to embed."""
from __future__ import annotations

from typing import List

from .caches_service import CachesService
from .embeddings_service import EmbeddingsService
from .files_service import FilesService
from .server import Service


def api_services() -> List[Service]:
    """New ones, for ``fake.services += api_services()``; prompts over caches that are not there are let through."""
    return [FilesService(), CachesService(checks_prompts=False), EmbeddingsService()]
