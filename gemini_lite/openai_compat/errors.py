"""Errors as OpenAI's API reports them."""
from __future__ import annotations

from ..errors import (
    AuthenticationError, BadRequestError, BlockedError, CredentialsError, NotFoundError, PermissionDeniedError,
    QuotaExhaustedError, RateLimitError,
)
from ..json_data import JSON

_TYPES_AND_CODES = (  # exception classes, OpenAI's type, OpenAI's code; the first row that matches counts
    ((AuthenticationError, CredentialsError), "authentication_error", "invalid_api_key"),
    (PermissionDeniedError, "permission_error", "permission_denied"),
    (NotFoundError, "invalid_request_error", "model_not_found"),
    (QuotaExhaustedError, "insufficient_quota", "insufficient_quota"),  # before its base class RateLimitError
    (RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
    (BlockedError, "invalid_request_error", "content_filter"),
    ((BadRequestError, ValueError, TypeError), "invalid_request_error", None),
)


def to_openai_error(error: BaseException) -> JSON:
    """The JSON body of an OpenAI error response for `error`, with ``retryable`` as an additional field.

    An error of an unknown class has the type "server_error"; without a code of OpenAI's, ``code`` is the error's own
    `reason`, or None.
    """
    error_type, code = next(
        ((error_type, code) for classes, error_type, code in _TYPES_AND_CODES if isinstance(error, classes)),
        ("server_error", None))
    return {"error": {
        "message": str(error), "type": error_type, "param": None, "code": code or getattr(error, "reason", None),
        "retryable": getattr(error, "retryable", False)}}
