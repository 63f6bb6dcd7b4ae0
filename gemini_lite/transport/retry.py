"""Whether a call is made again and when; the only `sleep`.

docs/billing.rst has the rules as a table.
"""
from __future__ import annotations

import logging
import random
import time
from typing import Callable, Optional, Sequence, TypeVar

from ..errors import APIError, GeminiError, ServerError, TransportError, TransportTimeout
from .running import RunningCall, current_call

T = TypeVar("T")
log = logging.getLogger("gemini_lite")

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds; our own waits, where the server named none
SHORTEST_STATED_WAIT = 0.25  # seconds; threads that a server refuses for milliseconds would all come back together


def run(
    attempt: Callable[[str], T], endpoints: Sequence[str], retries: int, max_wait: float, call: RunningCall,
    creates: bool = False,
) -> T:
    """The result of `attempt(endpoint)`, made again as its `GeminiError` allows.

    One try goes through all `endpoints` without waiting; between tries, at most `retries` of them, it sleeps.
    `max_wait` is the longest wait in seconds that a server may ask for. With `creates`, nothing is sent again that may
    have been worked on.
    """
    allowance = _ResendRule(call, retries, creates)
    tries = 0
    while True:
        for endpoint in endpoints:
            allowance.warn()
            try:
                return attempt(endpoint)
            except GeminiError as failure:
                error = failure
                allowed = allowance.allows(failure)
            if not allowed or not _is_worth_another_endpoint(error):
                break
        try:
            seconds = wait(error, tries, max_wait) if allowed and tries < retries else None
            if seconds is None or seconds >= call.left:
                raise error
            log.info("waiting %.2f s before try %d: %s", seconds, tries + 2, error.reason or error.code)
        finally:
            del error  # a frame that holds its own traceback's error is garbage only a collector finds
        pause(seconds)
        tries += 1


class _ResendRule:
    """Which failures of one call allow another request."""

    def __init__(self, call: RunningCall, retries: int, creates: bool) -> None:
        self._call, self._creates = call, creates
        self._may_pay_twice = retries > 0 and not creates  # once
        self._lost: Optional[str] = None  # the reason why a request, which may have been worked on, is sent again

    def allows(self, error: GeminiError) -> bool:
        """Whether the request may be sent again after `error`; for one that may have been worked on, once."""
        if is_slow(error):
            return False
        if self._call.unsent or isinstance(error, TransportTimeout):
            return True
        if isinstance(error, APIError):
            return not self._creates or error.code in (401, 429)
        allowed = self._may_pay_twice and error.retryable
        if allowed:
            self._may_pay_twice, self._lost = False, error.reason
        return allowed

    def warn(self) -> None:
        """Log that a request is sent again that may have been worked on, if so."""
        if self._lost is not None:
            log.warning("a request was lost after it was sent (%s), and is sent once more: the first may be billed too",
                        self._lost)
            self._lost = None


def is_slow(error: GeminiError) -> bool:
    """Whether time ran out after the request went out: a server that is slow may still work on it."""
    return isinstance(error, TransportTimeout) and error.reason != "CONNECT_TIMEOUT"


def sleep(seconds: float) -> None:
    """Wait; a call that another thread ends wakes at once."""
    call = current_call()
    if call is None:
        time.sleep(seconds)
    else:
        call.wait(seconds)


def pause(seconds: float) -> None:
    """Sleep; the error of this thread's call if it is over then. Tests replace `sleep`, and nothing else."""
    sleep(seconds)
    call = current_call()
    if call is not None:
        call.check()


def wait(error: GeminiError, tries: int, max_wait: float) -> Optional[float]:
    """Seconds to sleep after a failed try that `tries` others preceded; None if no other try is to be made."""
    if not error.retryable:
        return None
    if error.retry_after is None:
        return random.uniform(0, min(max_wait, LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries, 10)))
    if error.retry_after > max_wait:
        return None
    spread = 0.1 * (1 + min(tries, 9))  # upwards, or threads that were refused together would come back together
    return max(error.retry_after, SHORTEST_STATED_WAIT) * random.uniform(1, 1 + spread)


def _is_worth_another_endpoint(error: GeminiError) -> bool:
    """Whether another endpoint may succeed: not if the caller or the quota is at fault."""
    if isinstance(error, TransportError):
        return error.retryable
    return isinstance(error, ServerError) and (error.code or 0) >= 500
