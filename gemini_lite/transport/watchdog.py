"""One thread for the whole process, which ends the calls whose time is over."""
from __future__ import annotations

import math
import os
import threading
import time
from typing import Dict, Optional

from .running import DEADLINE, RunningCall
from .timed_lock import WakeUp


class _Watchdog:
    """Its thread is started with the first call that has a deadline. Watching and leaving a call takes no lock."""

    def __init__(self) -> None:
        self._calls: Dict[RunningCall, float] = {}  # and their moments
        self._changed: Optional[WakeUp] = None  # the thread's, once it runs
        self._claims: Dict[str, WakeUp] = {}
        self._wakes = math.inf  # the moment at which the thread will look at the calls by itself

    def watch(self, call: RunningCall) -> None:
        """End `call` when its moment comes."""
        self._calls[call] = call.moment
        if self._changed is None:
            self._start()
        elif call.moment < self._wakes:
            self._changed.set()

    def leave(self, call: RunningCall) -> None:
        """`call` is over."""
        self._calls.pop(call, None)

    def _start(self) -> None:
        try:
            threading.Thread(target=self._run, name="gemini_lite deadlines", daemon=True).start()
        except RuntimeError:
            pass  # at the interpreter's end there are no new threads: the timeouts of sockets remain

    def _run(self) -> None:
        changed = WakeUp()
        if self._claims.setdefault("thread", changed) is not changed:
            return  # another call has started one; asked here, where no interrupt comes
        self._changed = changed
        while True:
            self._wakes = math.inf  # so that `watch` sets `changed` for a call that comes after the list is made
            calls = list(self._calls.items())
            now = time.monotonic()
            for call, moment in calls:
                if moment <= now:
                    self._calls.pop(call, None)
                    call.end(DEADLINE)
            wakes = min((moment for _, moment in calls if moment > now), default=math.inf)
            del calls
            call = None  # type: ignore[assignment]  # or the last one would be held for as long as this waits
            self._wakes = wakes
            changed.wait(min(wakes - time.monotonic(), 3600))


_watchdog = _Watchdog()


def watch(call: RunningCall) -> None:
    """End `call` when its time is over; nothing is done for one that has no deadline."""
    if call.moment != math.inf:
        _watchdog.watch(call)


def leave(call: RunningCall) -> None:
    """`call` is over."""
    if call.moment != math.inf:
        _watchdog.leave(call)


def hurry(call: RunningCall, seconds: float) -> None:
    """Let `call` end `seconds` from now, or at its deadline if that comes first."""
    call.moment = min(call.moment, time.monotonic() + seconds)
    watch(call)


def _begin_anew() -> None:
    """In a forked child there is no thread yet, and no call of the parent's goes on."""
    global _watchdog
    _watchdog = _Watchdog()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
