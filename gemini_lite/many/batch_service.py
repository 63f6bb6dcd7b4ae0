"""What a run needs of the API's batches and files, which are handed in, and how a job is found again."""
from __future__ import annotations

import contextlib
import time
from typing import BinaryIO, Callable, Iterable, Iterator, NamedTuple, Optional, Protocol, Tuple, Union

from ..errors import NotFoundError
from ..json_data import JSON
from ..response import Result
from ..transport import retry
from ..transport.deadline import NEVER, Deadline
from .batch_manifest import Manifest

LOOK_SECONDS = 120.0  # after a step that was not finished, for how long its job is looked for


class Job(Protocol):
    """What is read of a batch."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def display_name(self) -> Optional[str]:
        """The name that it was given."""

    @property
    def state(self) -> str:
        """The state without its prefix."""

    @property
    def has_ended(self) -> bool:
        """Whether no state follows."""

    @property
    def request_count(self) -> Optional[int]:
        """How many requests it has."""

    @property
    def successful_count(self) -> Optional[int]:
        """How many were answered."""

    @property
    def failed_count(self) -> Optional[int]:
        """How many failed."""

    @property
    def pending_count(self) -> Optional[int]:
        """How many wait."""

    @property
    def output(self) -> JSON:
        """Where the results are."""


class Batches(Protocol):
    """What is used of ``client.batches``."""

    def create(self, requests: Union[Iterable[JSON], str], *, display_name: Optional[str], model: str) -> Job:
        """Hand in requests, or an uploaded file of them."""

    def get(self, batch: str) -> Job:
        """The job as it is now."""

    def list(self, *, page_size: Optional[int]) -> Iterator[Job]:
        """All jobs."""

    def wait(self, batch: str, *, poll: Tuple[float, float], deadline: Optional[float],
             progress: Union[Callable[[Job], object], bool, None]) -> Job:
        """The job once it has ended."""

    def results(self, batch: str, *, response_schema: object) -> Iterator[Result]:
        """The result of each request."""


class File(Protocol):
    """What is read of an uploaded file."""

    @property
    def name(self) -> str:
        """Its name."""


class Files(Protocol):
    """What is used of ``client.files``."""

    def upload(self, source: BinaryIO, *, mime_type: str, display_name: str) -> File:
        """The uploaded file."""


class Service(NamedTuple):
    """The collections of the API that a job needs."""

    batches: Batches
    files: Files


def find_job(batches: Batches, manifest: Manifest, deadline: Deadline = NEVER) -> Optional[Job]:
    """The job of `manifest` by its name, or else by its display name; None if the server does not know it.

    A job whose name is not known may still come: it is looked for until LOOK_SECONDS after it was handed in.
    """
    if manifest.name is not None:
        with contextlib.suppress(NotFoundError):
            return batches.get(manifest.name)
        return None
    age = max(0.0, time.time() - manifest.time)
    until, seconds = time.monotonic() + min(max(0.0, LOOK_SECONDS - age), deadline.left), 1.0
    while True:
        for job in batches.list(page_size=100):
            if job.display_name == manifest.display_name:
                return job
        if time.monotonic() + seconds > until:
            return None
        retry.pause(seconds)
        seconds = min(15.0, seconds * 2)
