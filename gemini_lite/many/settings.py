"""The arguments of a run, and the interface of what keeps its results."""
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
    """The arguments of a run, checked.

    `ends_in_outage` says whether a run ends when prompts in a row fail for the server or the network. It is False for a
    chunk of a `Recipe`, whose failed prompts are results like the others.
    """

    concurrency: int = 64
    ordered: bool = True
    retries: int = 4
    max_errors: Optional[int] = None
    limits: CallLimits = CallLimits()
    ends_in_outage: bool = True
