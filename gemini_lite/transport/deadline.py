"""How long a call may take: one moment for the whole call, and the timeouts of its single steps."""
from __future__ import annotations

import math
import time
from typing import Any, Dict, Mapping, NamedTuple, Optional, Tuple

from ..errors import TransportTimeout
from .running import RunningCall, deadline_error

Timeout = Tuple[float, float]  # seconds: (to connect, between two reads)
MOST_SECONDS = 2_000_000  # 23 days: sockets of some systems count milliseconds in 31 bits


class Deadline:
    """The moment by which a call must be done, or never."""

    _moment = math.inf  # of time.monotonic; here too, so that the repr of a half-made one works

    def __init__(self, moment: float = math.inf) -> None:
        self._moment = moment

    @classmethod
    def after(cls, seconds: Optional[float]) -> Deadline:
        """The deadline `seconds` from now; None is never."""
        return NEVER if seconds is None else cls(time.monotonic() + seconds)

    @property
    def is_set(self) -> bool:
        """Whether there is such a moment."""
        return self._moment != math.inf

    @property
    def left(self) -> float:
        """The seconds left, 0 if none are, infinity without a deadline."""
        return max(0.0, self._moment - time.monotonic()) if self.is_set else math.inf

    @property
    def expired(self) -> bool:
        """Whether the moment has come."""
        return self.is_set and time.monotonic() >= self._moment

    def cap(self, timeout: Timeout) -> Timeout:
        """`timeout`, no step of it longer than what is left; TransportTimeout if nothing is."""
        if not self.is_set:
            return timeout
        left = self.left
        if not left:
            raise self.error()
        return min(timeout[0], left), min(timeout[1], left)

    def earlier(self, seconds: float) -> Deadline:
        """This deadline, or the one `seconds` from now if that comes first."""
        return Deadline(min(self._moment, time.monotonic() + seconds))

    def start(self) -> RunningCall:
        """A call that begins now and has this deadline."""
        return RunningCall(self._moment)

    @staticmethod
    def error() -> TransportTimeout:
        """What a call raises whose time is over."""
        return deadline_error()

    def __repr__(self) -> str:
        return f"Deadline({self.left:.3f} s left)" if self.is_set else "Deadline(never)"


NEVER = Deadline()


class CallSettings(NamedTuple):
    """What holds for one call: its deadline and, where they differ from the client's, its timeout and retries.

    `running` is the call itself, once it has begun: one for all requests that it takes.
    """

    deadline: Deadline = NEVER
    timeout: Optional[Timeout] = None
    retries: Optional[int] = None
    running: Optional[RunningCall] = None

    @property
    def tries(self) -> int:
        """The requests that were made for the call's last answer."""
        return 0 if self.running is None else self.running.tries

    def started(self) -> CallSettings:
        """These settings with a `running` call."""
        return self if self.running is not None else self._replace(running=self.deadline.start())


class CallLimits(NamedTuple):
    """What a caller asks of each call: `deadline` and `timeout` in seconds, and how often it may be made again.

    None stands for no deadline, and for the client's timeout and retries.
    """

    deadline: Optional[float] = None
    timeout: Optional[Timeout] = None
    retries: Optional[int] = None

    def split(self, overrides: Mapping[str, object]) -> Tuple[CallLimits, Dict[str, Any]]:
        """These limits with those among `overrides`, checked; and the other overrides."""
        others: Dict[str, Any] = dict(overrides)
        deadline = others.pop("deadline", self.deadline)
        timeout = others.pop("timeout", self.timeout)
        retries = others.pop("retries", self.retries)
        limits = CallLimits(
            None if deadline is None else check_seconds(deadline, "deadline"),
            None if timeout is None else check_timeout(timeout),
            None if retries is None else check_count(retries, "retries", least=0))
        return limits, others

    def start(self) -> CallSettings:
        """The settings of a call that begins now."""
        deadline = Deadline.after(self.deadline)
        return CallSettings(deadline, self.timeout, self.retries, deadline.start())


def check_seconds(value: object, name: str, *, zero: bool = False) -> float:
    """`value` if it is a number of seconds above 0 (or 0, with `zero`), 23 days at most; else TypeError or ValueError.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds, not {value!r:.80}")
    if not (0 < value <= MOST_SECONDS or zero and value == 0):
        raise ValueError(f"{name} must be more than 0 seconds and at most {MOST_SECONDS:,}, not {value!r:.80}")
    return float(value)


def check_timeout(timeout: object) -> Timeout:
    """`timeout` as (connect, read) seconds; one number stands for both."""
    pair = timeout if isinstance(timeout, (tuple, list)) else (timeout, timeout)
    if len(pair) != 2:
        raise ValueError(f"timeout is (connect, read) in seconds, or one number for both, not {timeout!r}")
    return check_seconds(pair[0], "timeout"), check_seconds(pair[1], "timeout")


def check_count(value: object, name: str, least: int = 1) -> int:
    """`value` if it is a whole number, `least` or more; else TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {value!r:.80}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}")
    return value
