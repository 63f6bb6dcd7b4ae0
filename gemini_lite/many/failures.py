"""What a failed call means for its prompt and for the run."""
from __future__ import annotations

import re
from typing import Optional, Tuple

from ..errors import (
    APIError, AuthenticationError, BadRequestError, CredentialsError, GeminiError, NotFoundError, PermissionDeniedError,
    QuotaExhaustedError, RateLimitError, TransportError, TransportTimeout,
)
from ..transport import retry

LONGEST_WAIT = 3600.0  # seconds that a server may ask for
MANY_REFUSALS, MANY_SECONDS = 10, 300.0  # of a prompt for its tokens, after which there is no hope
IN_A_ROW = 20  # so many failures of one kind end a run
_OUTAGE = ("outage",)

_OF_THE_NETWORK = ("TLS", "PROXY", "INVALID", "CLOSED")  # no retry mends these, and no other prompt either
_OWN_FILES = re.compile(r"\bfiles?\b|cached_?\s?contents?", re.IGNORECASE)


def is_fatal(error: GeminiError) -> bool:
    """Whether every other prompt would fail in the same way: no credentials, no quota, no such model, no way there."""
    if isinstance(error, (CredentialsError, AuthenticationError, QuotaExhaustedError)):
        return True
    if isinstance(error, TransportError):
        return not error.retryable and error.reason in _OF_THE_NETWORK
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

    `unsent` says that it certainly did not. These are the rules of `transport.retry`.
    """
    if not error.retryable or not isinstance(error, (APIError, TransportError)) or retry.is_slow(error):
        return False, False
    return True, not (unsent or isinstance(error, (APIError, TransportTimeout)))


class Refusals:
    """How often quotas refused one prompt, from the time `began` in seconds on."""

    def __init__(self, began: float) -> None:
        self._began = began
        self.count = self._for_tokens = 0

    def add(self, error: GeminiError, now: float, *, for_tokens: bool) -> bool:
        """Count one more; whether the prompt seems to be larger than a quota of tokens, which `error` says then."""
        self.count += 1
        self._for_tokens += for_tokens
        if self._for_tokens < MANY_REFUSALS or now - self._began < MANY_SECONDS:
            return False
        error.args = (f"{error} The quota refused this prompt {self.count} times: it seems to have more tokens than "
                      "are allowed in a minute. Split it, or have the quota raised.",)
        return True


def invalid_prompt(error: Exception) -> GeminiError:
    """The error of a prompt that cannot be sent."""
    failure = BadRequestError(f"This prompt cannot be sent: {error}", reason="INVALID_PROMPT")
    failure.__cause__ = error.with_traceback(None)
    return failure


class FailuresInARow:
    """Tells when a run is to end because IN_A_ROW prompts failed one after the other for the same reason.

    At the beginning, while every prompt has failed alike, that is any reason, such as a wrong option. Later it is only
    an outage: errors of the server or the network that the retries did not overcome. An outage ends no run without
    `ends_in_outage`, and later than at the beginning only one that `goes_on` in another call, because its results are
    in a file: answers in memory would be lost.
    """

    def __init__(self, ends_in_outage: bool, *, goes_on: bool) -> None:
        self._ends_in_outage, self._goes_on = ends_in_outage, goes_on
        self._count = 0
        self._kind: Optional[Tuple[object, ...]] = None
        self._is_beginning = True

    def add(self, error: Optional[GeminiError]) -> Optional[GeminiError]:
        """Count what became of one more prompt; the error that ends the run, if it is to end."""
        kind = None if error is None else _kind_of(error)
        self._is_beginning = self._is_beginning and error is not None and self._kind in (None, kind)
        self._count = self._count + 1 if kind == self._kind else 1
        self._kind = kind
        if error is None or self._count < IN_A_ROW or not self._ends_the_run():
            return None
        which = f"The first {IN_A_ROW} prompts all failed for one reason" if self._is_beginning else \
            f"{IN_A_ROW} prompts in a row failed, and none was answered meanwhile"
        stop = GeminiError(f"{which}, so the run was stopped: {error}", code=error.code, status=error.status,
                           reason=error.reason, retryable=error.retryable)
        stop.__cause__ = error
        return stop

    def _ends_the_run(self) -> bool:
        if self._kind != _OUTAGE:
            return self._is_beginning
        return self._ends_in_outage and (self._is_beginning or self._goes_on)


def _kind_of(error: GeminiError) -> Tuple[object, ...]:
    """What failures alike have in common; those of an outage come with many codes."""
    if error.retryable and isinstance(error, (APIError, TransportError)) and not is_refusal(error):
        return _OUTAGE
    return type(error), error.code, error.status, error.reason
