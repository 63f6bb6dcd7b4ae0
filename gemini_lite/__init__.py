"""The blocking Gemini client for Python, on requests and urllib3 alone."""
from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, List

from .backends.developer import DeveloperAPI
from .chat import Chat
from .client import GeminiClient, query
from .errors import (
    APIError, AuthenticationError, BadRequestError, BlockedError, ConversationBusyError, CredentialsError, GeminiError,
    IncompleteError, JobFailedError, NotFoundError, OverloadedError, ParseError, PermissionDeniedError,
    QuotaExhaustedError, RateLimitError, ServerError, ToolResultError, TransportError, TransportTimeout,
)
from .options import GeminiOptions
from .response import GenerateContentResponse, Result, StreamChunk
from .stream import Stream
from .version import __version__ as __version__  # noqa: F401  (not among the public names)

if TYPE_CHECKING:
    from . import demo as demo, media as media, openai_compat as openai_compat, testing as testing  # noqa: F401
    from .api.batch import Batch
    from .api.caches import Cache
    from .api.embeddings import Embeddings
    from .api.files import File
    from .api.interaction import Interaction
    from .api.upload_state import UploadState
    from .auth.oauth import OAuthCredentials
    from .backends.code_assist import CodeAssist
    from .backends.vertex import VertexAI
    from .many.recipe import Recipe
    from .many.results_file import read_results
    from .tools import Tool

__all__ = [
    "APIError", "AuthenticationError", "BadRequestError", "Batch", "BlockedError", "Cache", "Chat", "CodeAssist",
    "ConversationBusyError", "CredentialsError", "DeveloperAPI", "Embeddings", "File", "GeminiClient", "GeminiError",
    "GeminiOptions", "GenerateContentResponse", "IncompleteError", "Interaction", "JobFailedError", "NotFoundError",
    "OAuthCredentials", "OverloadedError", "ParseError", "PermissionDeniedError", "QuotaExhaustedError",
    "RateLimitError", "Recipe", "Result", "ServerError", "Stream", "StreamChunk", "Tool", "ToolResultError",
    "TransportError", "TransportTimeout", "UploadState", "VertexAI", "query", "read_results",
]

logging.getLogger("gemini_lite").addHandler(logging.NullHandler())

_LAZY = {
    "Batch": ".api.batch", "Cache": ".api.caches", "CodeAssist": ".backends.code_assist",
    "Embeddings": ".api.embeddings", "File": ".api.files", "Interaction": ".api.interaction",
    "OAuthCredentials": ".auth.oauth", "Recipe": ".many.recipe", "Tool": ".tools",
    "UploadState": ".api.upload_state", "VertexAI": ".backends.vertex", "read_results": ".many.results_file",
}
_PUBLIC_MODULES = ("demo", "media", "openai_compat", "testing")  # whose names are public in them


if not TYPE_CHECKING:  # a type checker would take any name for known
    def __getattr__(name: str) -> object:
        """What is imported when it is asked for, because its import takes time that few programs need to spend."""
        if name in _PUBLIC_MODULES:
            return importlib.import_module(f".{name}", __name__)
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_LAZY[name], __name__), name)


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__, *_PUBLIC_MODULES})
