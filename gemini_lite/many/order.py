"""Results in the order of their prompts."""
from __future__ import annotations

from typing import Dict, List

from ..response import Result


class ResultOrder:
    """Holds results back until those before them are there."""

    def __init__(self) -> None:
        self._held: Dict[int, Result] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._held)

    def flush(self) -> List[Result]:
        """All results that are held, in order."""
        ready = [self._held[index] for index in sorted(self._held)]
        self._held.clear()
        return ready

    def add(self, result: Result) -> List[Result]:
        """The results whose turn it is now."""
        self._held[result.index] = result
        ready = []
        while self._next in self._held:
            ready.append(self._held.pop(self._next))
            self._next += 1
        return ready
