"""What a failed call means for its prompt and for the run."""
from __future__ import annotations

import re
from typing import Optional, Tuple

from ..errors import (
    APIError, AuthenticationError, BadRequestError, CredentialsError, GeminiError, NotFoundError, PermissionDeniedError,
    QuotaExhaustedError, RateLimitError, TransportError, TransportTimeout,
)

LONGEST_WAIT = 3600.0  # seconds that a server may ask for
FIRST = 20  # so many failures of one kind, and nothing else, in the beginning end the run

_OWN_FILES = re.compile(r"\bfiles?\b|cached_?\s?contents?", re.IGNORECASE)


def is_fatal(error: GeminiError) -> bool:
    """Whether every other prompt would fail in the same way: no credentials, no quota, no such model."""
    if isinstance(error, (CredentialsError, AuthenticationError, QuotaExhaustedError)):
        return True
    if isinstance(error, RateLimitError):
        return (error.retry_after or 0.0) > LONGEST_WAIT
    if isinstance(error, (PermissionDeniedError, NotFoundError)):
        return not _OWN_FILES.search(str(error))  # a file that expired is the prompt's own trouble
    return isinstance(error, BadRequestError) and (error.reason or "").startswith("API_KEY")


def is_refusal(error: GeminiError) -> bool:
    """Whether a quota refused the call, which is no fault of the prompt's."""
    return isinstance(error, RateLimitError) and error.retryable


def may_be_sent_again(error: GeminiError, unsent: bool) -> Tuple[bool, bool]:
    """Whether the call may be sent again, and whether the server may have worked on it already.

    `unsent` says that it certainly did not. What a timeout ended may still be worked on, and is never sent again. These
    are the rules of `transport.retry`.
    """
    if not error.retryable or not isinstance(error, (APIError, TransportError)):
        return False, False
    if isinstance(error, TransportTimeout):
        return error.reason == "CONNECT_TIMEOUT", False
    return True, not (unsent or isinstance(error, APIError))


def invalid_prompt(error: Exception) -> GeminiError:
    """The error of a prompt that cannot be sent."""
    failure = BadRequestError(f"This prompt cannot be sent: {error}", reason="INVALID_PROMPT")
    failure.__cause__ = error.with_traceback(None)
    return failure


class FirstFailures:
    """Notices that the first prompts all fail alike, so that the others will, too."""

    def __init__(self) -> None:
        self._count = 0
        self._kind: Optional[Tuple[object, ...]] = None
        self._over = False

    def add(self, error: Optional[GeminiError]) -> Optional[GeminiError]:
        """Count what became of one more prompt; the error that ends the run, if it is to end."""
        if self._over:
            return None
        kind = None if error is None else (type(error), error.code, error.status, error.reason)
        self._over = error is None or error.retryable or self._kind not in (None, kind)
        self._kind = kind
        self._count += 1
        if self._over or error is None or self._count < FIRST:
            return None
        stop = GeminiError(f"The first {FIRST} prompts all failed for one reason, so the run was stopped: {error}",
                           code=error.code, status=error.status, reason=error.reason)
        stop.__cause__ = error
        return stop
