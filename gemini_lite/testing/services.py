"""The services that `FakeGemini` needs to keep files and caches, to embed, and to run batches and interactions."""
from __future__ import annotations

from typing import List

from .batches_service import BatchesService
from .caches_service import CachesService
from .embeddings_service import EmbeddingsService
from .files_service import FilesService
from .interactions_service import InteractionsService
from .replies import Service


def api_services() -> List[Service]:
    """New ones, for ``fake.services += api_services()``; prompts over caches that are not there are let through."""
    files = FilesService()
    return [files, CachesService(checks_prompts=False), EmbeddingsService(), BatchesService(files),
            InteractionsService()]
