"""How long to wait before the next try, or why there is none; the only `sleep`."""
from __future__ import annotations

import logging
import random
import time
from time import sleep
from typing import Callable, Optional, Sequence, TypeVar

from ..errors import GeminiError, ServerError, TransportError, TransportTimeout

Result = TypeVar("Result")
log = logging.getLogger("gemini_lite")

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds; ours, where the server named none


def run(
    attempt: Callable[[str], Result], endpoints: Sequence[str], retries: int, max_wait: float, until: Optional[float],
) -> Result:
    """The result of `attempt(endpoint)`, made again as its `GeminiError` allows.

    One try walks all `endpoints` without waiting; between tries, at most `retries` of them, it sleeps. `max_wait` is
    the longest wait in seconds that a server may ask for, `until` the `time.monotonic` by which all must be done.
    """
    tries = 0
    heard = False  # a server that took the request and was slow may still be at work on it: another try would pay twice
    while True:
        for endpoint in endpoints:
            try:
                return attempt(endpoint)
            except GeminiError as failure:
                error = failure
                heard = heard or isinstance(failure, TransportTimeout) and failure.reason != "CONNECT_TIMEOUT"
                if not _moves_on(failure):
                    break
        try:
            seconds = wait(error, tries, max_wait) if tries < retries and not heard else None
            if seconds is None or until is not None and time.monotonic() + seconds >= until:
                raise error
            log.info("waiting %.2f s before try %d: %s", seconds, tries + 2, error.reason or error.code)
        finally:
            del error  # or this frame and the error's traceback hold each other
        pause(seconds)
        tries += 1


def pause(seconds: float) -> None:
    """Sleep; tests replace `sleep` in this module, and nowhere else."""
    sleep(seconds)


def wait(error: GeminiError, tries: int, max_wait: float) -> Optional[float]:
    """Seconds to sleep after the failure of a try that `tries` others went before; None for never."""
    if not error.retryable:
        return None
    if error.retry_after is None:
        return random.uniform(0, min(max_wait, LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries, 10)))
    return error.retry_after * random.uniform(1, 1.1) if error.retry_after <= max_wait else None


def _moves_on(error: GeminiError) -> bool:
    """Whether another endpoint may do better: not where the caller or the quota is at fault."""
    if isinstance(error, TransportError):
        return error.retryable and error.reason != "DEADLINE"
    return isinstance(error, ServerError) and (error.code or 0) >= 500
