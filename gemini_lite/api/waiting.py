"""Waiting for a job of the API's: looked at again and again, ever less often, until it ends or the deadline passes."""
from __future__ import annotations

from typing import Callable, Optional, Tuple, TypeVar, Union

from ..errors import GeminiError, TransportTimeout
from ..transport import retry
from ..transport.deadline import Deadline, check_seconds
from ..transport.transport import Transport
from .progress import print_progress

J = TypeVar("J")
Poll = Union[float, Tuple[float, float]]  # seconds: the first wait, the longest wait
JobProgress = Union[Callable[[J], object], bool, None]

_GROWTH = 1.5  # of a wait over the one before


def check_poll(poll: object) -> Tuple[float, float]:
    """`poll` as (first, longest) seconds; one number stands for both."""
    pair = poll if isinstance(poll, (tuple, list)) else (poll, poll)
    if len(pair) != 2:
        raise ValueError(f"poll is (first, longest) in seconds, or one number for both, not {poll!r}")
    first, longest = check_seconds(pair[0], "poll"), check_seconds(pair[1], "poll")
    return first, max(first, longest)


def wait_until(
    job: J, refresh: Callable[[J], J], is_finished: Callable[[J], bool], *, transport: Transport, poll: Poll,
    deadline: Deadline, progress: JobProgress[J], describe: Callable[[J], str],
) -> J:
    """The job once `is_finished`; `refresh` looks at it again, `describe` says for people where it stands.

    `progress` is called with the job after each look; True prints a line instead. An error has ``job``, the last that
    was seen; TransportTimeout with the reason DEADLINE when time is over.
    """
    seconds, longest = check_poll(poll)
    report = _reporter(progress, describe)
    try:
        report(job)
        with transport.operation():
            while not is_finished(job):
                retry.pause(min(seconds, deadline.left))
                if deadline.expired:
                    raise _timeout(describe(job))
                seconds = min(longest, seconds * _GROWTH)
                job = refresh(job)
                report(job)
    except GeminiError as failure:
        error = _timeout(describe(job)) if failure.reason == "DEADLINE" and deadline.expired else failure
        error.job = job
        raise error from None
    return job


def _timeout(state: str) -> TransportTimeout:
    return TransportTimeout(f"The deadline passed while waiting ({state}). The work goes on at Google: wait again with "
                            "error.job, or allow more seconds with deadline=.", reason="DEADLINE", retryable=True)


def _reporter(progress: JobProgress[J], describe: Callable[[J], str]) -> Callable[[J], object]:
    if progress is True:
        show = print_progress()
        return lambda job: show(describe(job))
    if callable(progress):
        return progress
    return lambda job: None


def whole_deadline(seconds: Optional[float]) -> Deadline:
    """The deadline of a whole operation that begins now; None is never."""
    return Deadline.after(None if seconds is None else check_seconds(seconds, "deadline"))


def seconds_left(whole: Deadline) -> Optional[float]:
    """What is left of `whole` as the argument ``deadline=`` of a part: never quite 0, and None without a deadline."""
    return max(whole.left, 0.001) if whole.is_set else None
