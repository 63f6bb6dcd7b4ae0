"""Every way a call can fail, and what to write instead of the names of other clients."""
from .errors import (
    KEYS_PAGE, APIError, AuthenticationError, BadRequestError, BlockedError, ConversationBusyError, CredentialsError,
    GeminiError, IncompleteError, JobFailedError, NotFoundError, OverloadedError, ParseError, PermissionDeniedError,
    Quota, QuotaExhaustedError, RateLimitError, ServerError, TransportError, TransportTimeout,
)

__all__ = [
    "APIError", "AuthenticationError", "BadRequestError", "BlockedError", "ConversationBusyError",
    "CredentialsError", "GeminiError", "IncompleteError", "JobFailedError", "KEYS_PAGE", "NotFoundError",
    "OverloadedError", "ParseError", "PermissionDeniedError", "Quota", "QuotaExhaustedError", "RateLimitError",
    "ServerError", "TransportError", "TransportTimeout",
]
