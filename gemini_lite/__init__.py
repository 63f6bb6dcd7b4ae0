"""The blocking Gemini client for Python, on requests and urllib3 alone."""
import logging
from typing import TYPE_CHECKING, List

from .auth.oauth import OAuthCredentials
from .backends.code_assist import CodeAssist
from .backends.developer import DeveloperAPI
from .chat import Chat
from .client import GeminiClient, query
from .errors import (
    APIError, AuthenticationError, BadRequestError, BlockedError, ConversationBusyError, CredentialsError, GeminiError,
    IncompleteError, NotFoundError, OverloadedError, ParseError, PermissionDeniedError, QuotaExhaustedError,
    RateLimitError, ServerError, TransportError, TransportTimeout,
)
from .options import GeminiOptions
from .response import GenerateContentResponse, StreamChunk
from .stream import Stream
from .tools import Tool
from .version import __version__  # noqa: F401  (re-exported; not among the public names)

if TYPE_CHECKING:
    from .backends.vertex import VertexAI

__all__ = [
    "APIError", "AuthenticationError", "BadRequestError", "BlockedError", "Chat", "CodeAssist", "ConversationBusyError",
    "CredentialsError", "DeveloperAPI", "GeminiClient", "GeminiError", "GeminiOptions", "GenerateContentResponse",
    "IncompleteError", "NotFoundError", "OAuthCredentials", "OverloadedError", "ParseError", "PermissionDeniedError",
    "QuotaExhaustedError", "RateLimitError", "ServerError", "Stream", "StreamChunk", "Tool", "TransportError",
    "TransportTimeout", "VertexAI", "query",
]

logging.getLogger("gemini_lite").addHandler(logging.NullHandler())


def __getattr__(name: str) -> object:
    """VertexAI, whose import takes time that a program for another backend need not spend."""
    if name != "VertexAI":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .backends.vertex import VertexAI
    return VertexAI


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
