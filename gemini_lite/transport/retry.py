"""How long to wait before a call is made again, or why it is not; the only `sleep`."""
from __future__ import annotations

import logging
import random
from time import sleep
from typing import Callable, Optional, Sequence, TypeVar

from ..errors import GeminiError, ServerError, TransportError, TransportTimeout
from .deadline import Deadline

T = TypeVar("T")
log = logging.getLogger("gemini_lite")

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds; our own waits, where the server named none


def run(
    attempt: Callable[[str], T], endpoints: Sequence[str], retries: int, max_wait: float, deadline: Deadline,
) -> T:
    """The result of `attempt(endpoint)`, made again as its `GeminiError` allows.

    One try goes through all `endpoints` without waiting; between tries, at most `retries` of them, it sleeps.
    `max_wait` is the longest wait in seconds that a server may ask for.
    """
    tries = 0
    received = False  # a server that took the request and was slow may still work on it: another try would pay twice
    while True:
        for endpoint in endpoints:
            try:
                return attempt(endpoint)
            except GeminiError as failure:
                error = failure
                received = received or isinstance(failure, TransportTimeout) and failure.reason != "CONNECT_TIMEOUT"
                if not _is_worth_another_endpoint(failure):
                    break
        try:
            seconds = wait(error, tries, max_wait) if tries < retries and not received else None
            if seconds is None or seconds >= deadline.left:
                raise error
            log.info("waiting %.2f s before try %d: %s", seconds, tries + 2, error.reason or error.code)
        finally:
            del error  # a frame that holds its own traceback's error is garbage only a collector finds
        pause(seconds)
        tries += 1


def pause(seconds: float) -> None:
    """Sleep; tests replace `sleep` in this module, and nowhere else."""
    sleep(seconds)


def wait(error: GeminiError, tries: int, max_wait: float) -> Optional[float]:
    """Seconds to sleep after a failed try that `tries` others preceded; None if no other try is to be made."""
    if not error.retryable:
        return None
    if error.retry_after is None:
        return random.uniform(0, min(max_wait, LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries, 10)))
    return error.retry_after * random.uniform(1, 1.1) if error.retry_after <= max_wait else None


def _is_worth_another_endpoint(error: GeminiError) -> bool:
    """Whether another endpoint may succeed: not if the caller or the quota is at fault."""
    if isinstance(error, TransportError):
        return error.retryable and error.reason != "DEADLINE"
    return isinstance(error, ServerError) and (error.code or 0) >= 500
