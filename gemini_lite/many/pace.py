"""How fast to send: how many calls at once, and how many requests and tokens a second, as the server's refusals tell.

There are no threads and no clock in here: every method takes the time `now` in seconds of any steady clock.
"""
from __future__ import annotations

import collections
import random
from typing import Deque, NamedTuple, Optional

from ..errors import GeminiError
from ..json_data import list_of_dicts

FIRST_WINDOW = 16  # calls at once in the beginning
WINDOW_DOUBLES = 0.125  # seconds, while nothing is refused; by time, because refusals come at once and answers late
CUT = 0.95  # of the rate that was let in, after a refusal
GROWTH = 0.01  # of the rate, each second
SAFE_SHARE = 0.98  # of the limit that the server names: its clock and its windows are not ours
SPAN, FEW = 2.0, 30  # a rate is measured over these seconds, or over so many calls if they took longer
CATCH_UP = 0.02  # seconds: if a call starts late by no more, the next ones start earlier to make up for it
REMEMBERED = 2 * SPAN  # seconds for which the starts of calls are kept
PROBE = 0.5  # seconds in which no other call starts, after one that tries whether the server still refuses


class Quota(NamedTuple):
    """A limit that the server names: `per_second` requests or tokens, None if it does not say how many."""

    per_second: Optional[float]
    counts_tokens: bool


def quota_of(error: GeminiError) -> Quota:
    """The limit per minute that a refusal names in its QuotaFailure; the tighter of several."""
    found = []
    for detail in list_of_dicts(error.details):
        for violation in list_of_dicts(detail.get("violations")):
            name = f"{violation.get('quotaId')} {violation.get('quotaMetric')}"
            value = _number(violation.get("quotaValue")) if "PerMinute" in name else None
            found.append(Quota(value and value / 60, "token" in name.lower()))
    named = [quota for quota in found if quota.per_second]
    if named:
        return min(named, key=lambda quota: quota.per_second or 0.0)
    return found[0] if found else Quota(None, False)


def _number(value: object) -> Optional[float]:
    """`value`, a number or the text of one, if it is above 0."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < float("inf") else None


class Start:
    """One call that was let go: its number, when, for how many tokens, and after how many cuts of the rate."""

    __slots__ = ("number", "at", "tokens", "cuts", "refused")

    def __init__(self, number: int, at: float, tokens: float, cuts: int) -> None:
        self.number, self.at, self.tokens, self.cuts = number, at, tokens, cuts
        self.refused = False


class Rate:
    """One limit in units a second, requests or tokens: None until a server refuses, then found by cuts and growth."""

    def __init__(self, ceiling: Optional[float] = None) -> None:
        self.ceiling = ceiling  # the user's
        self.per_second = ceiling
        self.named: Optional[float] = None  # the server's
        self.opens_at = float("-inf")
        self.limited_since: Optional[float] = None  # the first refusal
        self._searching = False  # the rate is a guess: doubled until it is refused
        self._changed_at = self._cut_at = 0.0

    @property
    def highest(self) -> float:
        """The rate that is never exceeded."""
        named = float("inf") if self.named is None else self.named * SAFE_SHARE
        return min(named, float("inf") if self.ceiling is None else self.ceiling)

    def take(self, now: float, units: float) -> None:
        """Let `units` go now: the next ones may after the time that these take."""
        if self.per_second is not None:
            self.opens_at = max(self.opens_at, now - CATCH_UP) + units / self.per_second

    def grow(self, now: float, calls_per_unit: float) -> None:
        """Raise the rate a little for the time since it changed: less where a refusal would be one of few calls."""
        since = min(now - self._changed_at, 1.0)
        if self.per_second is None or since <= 0:
            return
        if self._searching:
            factor = 2 ** (since / 2)
        else:
            growth = min(GROWTH, 0.0005 * self.per_second * calls_per_unit)
            quiet_tens = max(0.0, (now - self._cut_at) * growth / GROWTH / 10 - 1)
            factor = 1 + since * growth * 2 ** min(6.0, quiet_tens)
        self._changed_at = now
        self.per_second = min(self.per_second * factor, self.highest)

    def cut(self, now: float, measured: float, begun: float, let_in: int) -> None:
        """Lower the rate after a refusal: `measured` units a second were let in lately, `let_in` calls since the last.
        """
        if self.limited_since is None:
            self.limited_since = now
        if self.per_second is None:
            self._searching = self.named is None and (now - begun < SPAN or measured < 1)
            base = self.named or max(measured, 0.1)
        elif self._searching:
            self._searching = False
            base = max(measured, self.per_second / 2)
        else:  # what was measured may be low because we were slow ourselves
            base = min(self.per_second, max(measured, self.per_second * (0.9 if let_in > 5 else 0.5)))
        self.per_second = max(0.01, min(base * CUT, self.highest))
        self.hold(now)
        self._cut_at = now

    def hold(self, now: float) -> None:
        """Count the rate's time from `now` on: it did not grow before, and saved nothing up."""
        self._changed_at = self.opens_at = now


class Pace:
    """How fast one run, or one process, may send to one model with one account.

    `requests_per_minute` is the user's own limit. Nothing else limits the rate until a server refuses a call for its
    quota. A refusal holds back all calls, and what was sent before a cut of the rate is no reason for another.
    """

    def __init__(self, concurrency: int, requests_per_minute: Optional[float] = None) -> None:
        self.concurrency = concurrency
        self.requests = Rate(None if requests_per_minute is None else requests_per_minute / 60)
        self.tokens = Rate()
        self.cuts = 0
        self._window = float(min(FIRST_WINDOW, concurrency))
        self._window_grows = self._window < concurrency
        self._begun: Optional[float] = None
        self._closed_until = float("-inf")
        self._refused_in_row = 0
        self._probes = False  # nobody said for how long the server refuses: the next call goes alone
        self._let_in = 0  # calls, as far as is known, since the last cut
        self._starts: Deque[Start] = collections.deque(maxlen=16384)
        self._started = self._started_at_overload = 0  # calls

    def room(self, now: float) -> int:
        """How many calls may be in flight."""
        if self._window_grows and self._begun is not None:
            doublings = min(40.0, (now - self._begun) / WINDOW_DOUBLES)
            self._window = min(float(self.concurrency), FIRST_WINDOW * 2 ** doublings)
            self._window_grows = self._window < self.concurrency
        return int(self._window)

    def next_change(self) -> Optional[float]:
        """Seconds until there may be more room though no call has ended; None if there will not."""
        return WINDOW_DOUBLES / 5 if self._window_grows else None

    def opens_at(self) -> float:
        """When the next call may start."""
        return max(self._closed_until, self.requests.opens_at, self.tokens.opens_at)

    def start(self, now: float, tokens: float = 0.0) -> Start:
        """Let a call go whose prompt has about that many `tokens`."""
        if self._begun is None:
            self._begun = now
        if now > self._closed_until:
            self.requests.grow(now, 1.0)
            self.tokens.grow(now, 1 / tokens if tokens else 0.0)
        self.requests.take(now, 1.0)
        self.tokens.take(now, tokens)
        if self._probes:
            self._probes, self._closed_until = False, now + PROBE
        self._started += 1
        start = Start(self._started, now, tokens, self.cuts)
        self._starts.append(start)
        while len(self._starts) > FEW and self._starts[0].at < now - REMEMBERED:
            self._starts.popleft()
        self._let_in += 1
        return start

    def answered(self, start: Start, tokens: Optional[float] = None) -> None:
        """A call was let in; `tokens` is what its prompt had by the server's count."""
        limit = self.tokens
        if tokens is not None and limit.per_second is not None and start.at >= (limit.limited_since or 0.0):
            limit.opens_at += (tokens - start.tokens) / limit.per_second
        if not self._window_grows and self._window < self.concurrency:  # after an overload
            self._window = min(float(self.concurrency), self._window + 1 / self._window)

    def refused(self, start: Start, now: float, retry_after: Optional[float], quota: Quota) -> None:
        """A call was refused for a quota; `retry_after` is in seconds, if the server said so."""
        start.refused = True
        rate = self.tokens if quota.counts_tokens else self.requests
        if quota.per_second is not None:
            rate.named = quota.per_second
        if start.cuts == self.cuts:
            self._let_in -= 1
            self._react(rate, now, retry_after)
        if retry_after is None:
            self._probes = True
            retry_after = min(30.0, 0.25 * 2 ** min(self._refused_in_row, 7)) * random.uniform(0.5, 1)
        # A bucket that has just run empty refuses the least unevenness: let it fill a little.
        rest = min(1.0, 10 / self.requests.per_second) if self.requests.per_second else 0.0
        self._closed_until = max(self._closed_until, now + max(retry_after * random.uniform(1.0, 1.05), rest))

    def overloaded(self, start: Start) -> None:
        """The model had no room for a call: fewer at once, one cut for all that started before the last cut."""
        if start.number <= self._started_at_overload:
            return
        self._started_at_overload = self._started
        self._window_grows = False
        self._window = max(1.0, self._window * 0.8)

    def _react(self, rate: Rate, now: float, retry_after: Optional[float]) -> None:
        """Cut `rate`, unless nothing was let in since the last cut and nobody said for how long: still closed."""
        if rate.per_second is not None and self._let_in <= 0 and retry_after is None:
            self._refused_in_row += 1
            rate.hold(now)
        else:
            self._refused_in_row = 1
            measured = self._measured(now, of_tokens=rate is self.tokens)
            rate.cut(now, measured, now if self._begun is None else self._begun, self._let_in)
            self._let_in = 0
            self._window_grows, self._window = False, float(self.concurrency)  # from here on the rate holds back
        self.cuts += 1

    def _measured(self, now: float, *, of_tokens: bool) -> float:
        """The requests or tokens a second that were let in lately."""
        units, count, first = 0.0, 0, now
        for start in reversed(self._starts):
            if now - start.at > SPAN and count >= FEW:
                break
            if not start.refused:
                units += start.tokens if of_tokens else 1.0
                count += 1
                first = start.at
        begun = now if self._begun is None else self._begun
        return units / max(now - first, min(SPAN, now - begun), 1.0)
