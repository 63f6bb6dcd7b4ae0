"""How a run goes about its work, and what keeps its results."""
from __future__ import annotations

from typing import List, NamedTuple, Optional, Protocol

from ..json_data import JSON
from ..response import Result
from ..transport.deadline import CallLimits
from .senders import Task


class Keeper(Protocol):
    """Keeps the results of a run, such as a `Journal`."""

    def admit(self, key: str, request: JSON, model: str) -> Optional[int]:
        """A hash of what is asked, or None if `key` has its answer already; ValueError if another was asked."""

    def sending(self, task: Task) -> None:
        """A task goes out for the first time; OSError if that cannot be noted, and it does not go out."""

    def add(self, result: Result, hash: int, model: str) -> None:
        """Keep one result; OSError if that fails."""

    def end(self, lost: List[Task]) -> None:
        """No more come; those `lost` were sent, and their answers were not waited for."""


class Settings(NamedTuple):
    """How a run goes about its work; one that is a part of others does not end in an outage, which theirs outlast."""

    concurrency: int = 64
    ordered: bool = True
    retries: int = 4
    max_errors: Optional[int] = None
    limits: CallLimits = CallLimits()
    ends_in_outage: bool = True
