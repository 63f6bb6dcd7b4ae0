"""Making something at Google exactly once: after a loss it is looked for before it is asked for again."""
from __future__ import annotations

import logging
from typing import Callable, Optional, TypeVar

from ..errors import GeminiError, IncompleteError, ParseError, TransportError
from ..transport import retry
from ..transport.deadline import Deadline
from .sending import Sender

T = TypeVar("T")
log = logging.getLogger("gemini_lite")


class UncertainError(Exception):
    """Looking did not tell whether the thing was made; the text is the advice for the caller."""


def create_once(sender: Sender, send: Callable[[], T], find: Callable[[], Optional[T]], deadline: Deadline) -> T:
    """The result of `send`, which makes a cache and must not retry by itself; all of it is done by the `deadline`.

    After a failure that leaves open whether the cache was made, `find` looks for it: what it returns is the result,
    None means that nothing was made, so that it is sent again as errors allow, and `UncertainError` that the caller
    must look.
    """
    tries = 0
    with sender.transport.operation():
        while True:
            try:
                return send()
            except GeminiError as failure:
                error = failure
            if may_have_worked(error):
                found = _look(find, error)
                if found is not None:
                    log.warning("the answer that a cache was made was lost (%s); it was found",
                                error.reason or error.code)
                    return found
            seconds = retry.wait(error, tries, sender.transport.max_wait) if tries < sender.retries else None
            if seconds is None or seconds >= deadline.left:
                raise error
            log.info("waiting %.2f s before making the cache: %s", seconds, error.reason or error.code)
            retry.pause(seconds)
            tries += 1


def _look(find: Callable[[], Optional[T]], error: GeminiError) -> Optional[T]:
    try:
        return find()
    except (UncertainError, GeminiError) as doubt:
        advice = str(doubt) if isinstance(doubt, UncertainError) else f"looking for it failed as well ({doubt})"
    error.retryable = False
    error.args = (f"{error} The cache may have been made all the same: {advice}",)
    raise error


def may_have_worked(error: GeminiError) -> bool:
    """Whether the server may have done what it was asked for."""
    if isinstance(error, TransportError):
        return error.reason not in ("CONNECT_TIMEOUT", "TLS", "INVALID", "PROXY")
    return (error.code or 0) >= 500 or error.code in (408, 499) or isinstance(error, (ParseError, IncompleteError))
