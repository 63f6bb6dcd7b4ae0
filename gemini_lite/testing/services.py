"""What a `FakeGemini` keeps files and caches with, embeds with, and runs batches and interactions with."""
from __future__ import annotations

from typing import List

from .batches_service import BatchesService
from .caches_service import CachesService
from .embeddings_service import EmbeddingsService
from .files_service import FilesService
from .interactions_service import InteractionsService
from .replies import Service


def api_services() -> List[Service]:
    """New ones; prompts over caches that are not there are let through."""
    files = FilesService()
    return [files, CachesService(checks_prompts=False), EmbeddingsService(), BatchesService(files),
            InteractionsService()]
