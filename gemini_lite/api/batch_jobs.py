"""The jobs of the Batch API: made once, and found again by their display names."""
from __future__ import annotations

import contextlib
import logging
import os
from typing import Callable, Iterator, Optional, Union
from urllib.parse import quote

from ..errors import BadRequestError, GeminiError, JobFailedError, ParseError
from ..json_data import JSON, preview
from ..transport import retry
from ..transport.deadline import NEVER, Deadline
from ..transport.pages import pages
from .batch import Batch
from .creation import may_have_worked
from .files import Files
from .places import collection_path, is_in_project
from .resources import resource_name
from .sending import Sender
from .sources import UploadSource
from .vertex_jobs import HOW_TO_HAND_IN
from .waiting import seconds_left

log = logging.getLogger("gemini_lite")

BatchOrName = Union[Batch, str]

GENERATE = "batchGenerateContent"  # the method that makes a job over prompts
LOOK_SECONDS = 120.0  # for how long a job is looked for whose answer was lost
_MIME_TYPES = ("application/jsonl", "jsonl", "text/plain")  # what the API has taken for a file of requests
_ADVICE = "batches belong to the Gemini Developer API and Vertex AI; use client.map here"


def unique_name(digest: str) -> str:
    """A display name that no other job has, with what its requests are known by."""
    return f"gemini-lite-{digest}-{os.urandom(4).hex()}"


class Jobs:
    """What `client.batches` and `GeminiClient.batch_to` do with jobs; what makes them is done by the `deadline`."""

    def __init__(self, sender: Sender, deadline: Deadline = NEVER) -> None:
        self._sender, self._deadline = sender, deadline
        self.on_vertex = is_in_project(sender)  # over requests in a bucket
        self._collection = "batchPredictionJobs" if self.on_vertex else Batch.collection

    def path(self) -> str:
        """Where all jobs are; ValueError for a backend without batches."""
        return collection_path(self._sender, self._collection, _ADVICE)

    def check_prompts_are_taken(self) -> None:
        """ValueError for a backend that takes no prompts themselves, or has no batches at all."""
        if self.on_vertex:
            raise ValueError(HOW_TO_HAND_IN)
        self.path()

    def path_of(self, batch: BatchOrName) -> str:
        """Where one job is."""
        id = resource_name(batch, Batch, self._collection).rpartition("/")[2]
        return f"{self.path()}/{quote(id, safe='-._~')}"

    def get(self, batch: BatchOrName, deadline: Deadline = NEVER) -> Batch:
        """The job as it is now."""
        return Batch(self._sender.get_resource(self.path_of(batch), deadline))

    def list(self, page_size: Optional[int] = None) -> Iterator[Batch]:
        """All jobs of the project, each page fetched when it is needed."""
        path, key = self.path(), self._collection if self.on_vertex else "operations"
        return (Batch(data) for data in pages(lambda query: self._sender.get(path + query), key, page_size))

    def create(self, model: str, method: str, config: JSON, display_name: str, again: bool = False) -> Batch:
        """A new job of the Developer API's over what `config` names; see `make`."""
        path = self._sender.route.backend.path(method, model)
        return self.make(path, {"batch": {"displayName": display_name, "inputConfig": config}}, display_name, again)

    def make(self, path: str, body: JSON, display_name: str, again: bool) -> Batch:
        """The job that `body` makes at `path`; after a lost answer it is looked for, unless `again`.

        JobFailedError with the reason UNKNOWN if it does not show up in LOOK_SECONDS.
        """
        settings = self._sender.settings(self._deadline)
        try:
            job = Batch(self._sender.route.send(path, body, settings=settings, creates=True))
            if not job.name:
                raise ParseError(f"The server answered a new batch without its name: {preview(job.data, 200)}",
                                 reason="NO_NAME")
            return job
        except GeminiError as error:
            if again or not may_have_worked(error):
                raise
            found: Optional[Batch] = None
            with contextlib.suppress(GeminiError):
                found = self.find_named(display_name, self._deadline.earlier(LOOK_SECONDS))
            if found is None:
                raise _unknown(display_name, error) from None
            log.warning("the answer to a new batch was lost (%s); it was found as %s", error.reason or error.code,
                        found.name)
            return found

    def find_named(self, display_name: str, deadline: Deadline) -> Optional[Batch]:
        """The job of that name, which may come as late as the `deadline`; None if it is in no list, the last one too.

        The error of the last look is raised if that failed.
        """
        seconds = 1.0
        with self._sender.transport.operation():
            while True:
                error: Optional[GeminiError] = None
                try:
                    for job in self.list(100):
                        if job.display_name == display_name:
                            return job
                except GeminiError as failure:
                    error = failure
                if seconds >= deadline.left:
                    if error is not None:
                        raise error
                    return None
                retry.pause(seconds)
                seconds = min(15.0, seconds * 2)

    def upload(self, open_requests: Callable[[], UploadSource], display_name: str) -> str:
        """The name of the uploaded file of requests, which are opened anew for each type that is tried."""
        files = Files(self._sender)
        for mime_type in _MIME_TYPES:
            try:
                file = files.upload(open_requests(), mime_type=mime_type, display_name=display_name,
                                    deadline=seconds_left(self._deadline))
                return file.name
            except BadRequestError as error:
                if "mime" not in str(error).lower() or mime_type == _MIME_TYPES[-1]:
                    raise
        raise AssertionError("unreachable")


def _unknown(display_name: str, error: GeminiError) -> JobFailedError:
    return JobFailedError(
        f"The answer to the new batch was lost ({error}), and no job named {display_name!r} is in the list. It may "
        "still come: look for it with client.batches.list(), or hand it in once more with create(..., again=True), "
        "which may be paid for twice.", reason="UNKNOWN")
