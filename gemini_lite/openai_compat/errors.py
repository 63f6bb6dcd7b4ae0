"""Errors as OpenAI's API reports them."""
from __future__ import annotations

from typing import Any, Dict

from ..errors import (
    AuthenticationError, BadRequestError, BlockedError, CredentialsError, GeminiError, NotFoundError,
    PermissionDeniedError, QuotaExhaustedError, RateLimitError, TransportTimeout,
)
from ..json_data import JSON

_ROWS = (  # exception classes, OpenAI's status, type and code; the first row that matches counts
    ((AuthenticationError, CredentialsError), 401, "authentication_error", "invalid_api_key"),
    ((PermissionDeniedError,), 403, "permission_error", "permission_denied"),
    ((NotFoundError,), 404, "invalid_request_error", "model_not_found"),
    ((QuotaExhaustedError,), 429, "insufficient_quota", "insufficient_quota"),  # before its base class RateLimitError
    ((RateLimitError,), 429, "rate_limit_error", "rate_limit_exceeded"),
    ((BlockedError,), 400, "invalid_request_error", "content_filter"),
    ((BadRequestError, ValueError, TypeError), 400, "invalid_request_error", None),
    ((TransportTimeout,), 504, "server_error", None),
)


class ErrorBody(Dict[str, Any]):
    """The JSON body of an error response; `status` is the HTTP status to send it with."""

    def __init__(self, error: JSON, status: int) -> None:
        super().__init__(error=error)
        self.status = status


def to_openai_error(error: BaseException) -> ErrorBody:
    """The JSON body of an OpenAI error response for `error`, with ``retryable`` as an additional field.

    Its ``status`` is the one that OpenAI's API would answer with: 401 for a bad key, though Google's own is 400. An
    error of an unknown class has the type "server_error"; without a code of OpenAI's, ``code`` is the error's own
    `reason`, or None.
    """
    own = error if isinstance(error, GeminiError) else GeminiError("")  # other classes have other things of these names
    own_status = own.code or 500
    status, error_type, code = next(
        ((status, error_type, code) for classes, status, error_type, code in _ROWS if isinstance(error, classes)),
        (own_status if own_status >= 400 else 502, "server_error", None))
    return ErrorBody({
        "message": str(error), "type": error_type, "param": None, "code": code or own.reason,
        "retryable": own.retryable}, status)
