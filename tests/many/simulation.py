"""Servers with quotas and the processes that call them, in virtual time: no sockets, no threads, the same each time."""
from __future__ import annotations

import collections
import heapq
import random
from typing import Any, Deque, Dict, List, NamedTuple, Optional, Tuple

from gemini_lite.many.pace import Pace, Quota, Start


class Bucket:
    """Lets in `rate` units a second, `burst` at once; `charges` takes from it for refused calls, too."""

    def __init__(self, rate: float, burst: float, charges: bool = False) -> None:
        self.rate, self.burst, self.charges = rate, burst, charges
        self._left, self._at = burst, 0.0

    def wait(self, now: float, units: float = 1.0) -> Optional[float]:
        """None if `units` are let in now, else the seconds until they could be."""
        self._left = min(self.burst, self._left + (now - self._at) * self.rate)
        self._at = now
        if self._left >= units:
            self._left -= units
            return None
        if self.charges:
            self._left = max(-self.burst, self._left - units)
        return (units - self._left) / self.rate

    def most(self, seconds: float) -> float:
        """The units that it lets in within the first `seconds`."""
        return self.rate * seconds + self.burst


class FixedWindow:
    """Lets in the units of `seconds` at once, in each window of that length."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate, self._seconds = rate, seconds
        self._number, self._used = -1, 0.0

    def wait(self, now: float, units: float = 1.0) -> Optional[float]:
        number = int(now / self._seconds)
        if number != self._number:
            self._number, self._used = number, 0.0
        if self._used + units <= self.rate * self._seconds:
            self._used += units
            return None
        return (number + 1) * self._seconds - now

    def most(self, seconds: float) -> float:
        return self.rate * seconds


class SlidingWindow:
    """Lets in the units of `seconds` in any span of that length."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate, self._seconds = rate, seconds
        self._let_in: Deque[float] = collections.deque()

    def wait(self, now: float, units: float = 1.0) -> Optional[float]:
        while self._let_in and self._let_in[0] <= now - self._seconds:
            self._let_in.popleft()
        if len(self._let_in) < self.rate * self._seconds:
            self._let_in.append(now)
            return None
        return self._let_in[0] + self._seconds - now

    def most(self, seconds: float) -> float:
        return self.rate * seconds


class Outcome(NamedTuple):
    """What became of a simulation."""

    use: float  # units let in, as a share of what the server could have let in
    refused: float  # share of all calls
    jain: float  # fairness between the processes in the second half: 1 is equal shares, 1/n is one process alone

    @classmethod
    def of(cls, let_in: List[float], late: List[float], calls: int, refused: int, most: float) -> Outcome:
        squares = len(late) * sum(value * value for value in late)
        return cls(sum(let_in) / most, refused / (calls or 1), sum(late) ** 2 / squares if squares else 0.0)


class Simulation:
    """`processes` that always have work, each with a `Pace` of its own, against one `server`.

    `names_limit` and `names_delay` are what a refusal says. With `tokens` (lowest, highest) the server counts those of
    each prompt, which the caller knows only about: its estimate is off by up to a third.
    """

    def __init__(
        self, server: Any, *, seconds: float = 300.0, processes: int = 1, concurrency: int = 64, latency: float = 0.5,
        names_limit: bool = True, names_delay: bool = True, tokens: Optional[Tuple[int, int]] = None,
        jitter: float = 0.004, apart: float = 20.0, seed: int = 1,
    ) -> None:
        self.server, self.seconds, self.processes, self.latency = server, seconds, processes, latency
        self.names_limit, self.names_delay, self.tokens, self.jitter = names_limit, names_delay, tokens, jitter
        self.random = random.Random(seed)
        random.seed(seed)  # the pace spreads its waits
        self.paces = [Pace(concurrency) for _ in range(processes)]
        self.in_flight = [0] * processes
        self.let_in, self.late = [0.0] * processes, [0.0] * processes
        self.calls = self.refused = 0
        self._events: List[Tuple[float, int, str, int, Any]] = []
        self._serial = 0
        self._wakes: Dict[int, float] = {}
        for process in range(processes):
            self._at(process * apart, "wake", process)

    def run(self) -> Outcome:
        """Play all events until the time is over."""
        while self._events:
            now, _, kind, process, what = heapq.heappop(self._events)
            if now > self.seconds:
                break
            getattr(self, f"_{kind}")(now, process, what)
        most = self.server.most(self.seconds)
        return Outcome.of(self.let_in, self.late, self.calls, self.refused, most)

    def _at(self, when: float, kind: str, process: int, what: Any = None) -> None:
        self._serial += 1
        heapq.heappush(self._events, (when, self._serial, kind, process, what))

    def _wake(self, now: float, process: int, what: Any) -> None:
        """The loop of the engine: start what may start, else come back when it may."""
        if what is not None and self._wakes.get(process) != what:
            return  # an earlier one took its place
        self._wakes.pop(process, None)
        pace = self.paces[process]
        while self.in_flight[process] < pace.room(now):
            opens = pace.opens_at()
            if opens > now:
                self._sleep_until(opens + self.random.expovariate(1 / self.jitter), process)
                return
            size = self.random.randint(*self.tokens) if self.tokens else 1
            start = pace.start(now, size * self.random.uniform(0.67, 1.33) if self.tokens else 0.0)
            self.in_flight[process] += 1
            self._at(now + self.random.expovariate(1 / self.jitter), "arrive", process, (start, size))
        wait = pace.next_change()
        if wait is not None:
            self._sleep_until(now + wait, process)

    def _sleep_until(self, when: float, process: int) -> None:
        self._wakes[process] = when
        self._at(when, "wake", process, when)

    def _arrive(self, now: float, process: int, what: Tuple[Start, int]) -> None:
        start, size = what
        self.calls += 1
        wait = self.server.wait(now, float(size))
        if wait is None:
            self.let_in[process] += size
            self.late[process] += size if now > self.seconds / 2 else 0
            self._at(now + self.latency * self.random.lognormvariate(0, 0.4), "answered", process, what)
        else:
            self.refused += 1
            self._at(now + 0.03, "refused_call", process, (start, wait))

    def _answered(self, now: float, process: int, what: Tuple[Start, int]) -> None:
        start, size = what
        self.in_flight[process] -= 1
        self.paces[process].answered(start, float(size) if self.tokens else None)
        self._wake(now, process, None)

    def _refused_call(self, now: float, process: int, what: Tuple[Start, float]) -> None:
        start, wait = what
        self.in_flight[process] -= 1
        limit = self.server.rate if self.names_limit else None
        self.paces[process].refused(start, now, wait if self.names_delay else None,
                                    Quota(limit, self.tokens is not None))
        self._wake(now, process, None)
