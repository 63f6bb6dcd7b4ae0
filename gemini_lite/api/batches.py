"""The Batch API: many prompts in one job, at half the price, within a day."""
from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Optional, Tuple, Union
from urllib.parse import quote

from .. import contents
from ..contents import Prompt
from ..errors import APIError, BadRequestError, GeminiError, IncompleteError, JobFailedError, ParseError, TransportError
from ..json_data import JSON, str_or_none
from ..options import GeminiOptions
from ..response import Result
from ..transport import retry
from ..transport.deadline import Deadline
from .batch import FAILED, Batch
from .batch_requests import INLINE_LIMIT, BatchItem, InputHash, build_requests, inline_entries
from .batch_results import parse_line, tell_apart
from .files import File, Files
from .places import collection_path
from .resources import pages, resource_name
from .sending import Sender
from .waiting import JobProgress, Poll, wait_until, whole_deadline

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options import ChatOverrides

log = logging.getLogger("gemini_lite")

BatchOrName = Union[Batch, str]

LOOK_SECONDS = 120.0  # for how long a job is looked for whose answer was lost
_MIME_TYPES = ("application/jsonl", "jsonl", "text/plain")  # what the API has taken for a file of requests
_ADVICE = "batches belong to the Gemini Developer API; use client.map here"


class Batches:
    """``client.batches``: jobs of many prompts, which cost half and take up to a day."""

    def __init__(self, sender: Sender, options: GeminiOptions) -> None:
        self._sender, self._options = sender, options

    def create(
        self, requests: Union[Iterable[BatchItem], File, str], *, display_name: Optional[str] = None,
        again: bool = False, **overrides: Unpack[ChatOverrides],
    ) -> Batch:
        """Hand in prompts, or the uploaded JSONL file of requests that a `File` or its name ("files/...") names.

        An item is what `generate` takes, ``(key, prompt)``, or a dict with "key" and "prompt" or "request". They go
        inline, or as a file where they are large. A job is never made twice: when the answer is lost it is looked for
        by its display name, and JobFailedError with the reason UNKNOWN says when it cannot be found. `again` hands it
        in without that care.
        """
        options, model = self._prepared(overrides)
        if isinstance(requests, (File, str)):
            name = resource_name(requests, File)
            return self._create(model, "batchGenerateContent", {"fileName": name}, display_name or _unique_name(name),
                                again)
        with _written(requests, options, model) as (path, digest, entries):
            given = display_name or _unique_name(digest)
            config = inline_entries(entries) if entries is not None else {"fileName": self._upload(path, given)}
            return self._create(model, "batchGenerateContent", config, given, again)

    def create_embeddings(
        self, texts: Iterable[Prompt], *, model: Optional[str] = None, task_type: Optional[str] = None,
        title: Optional[str] = None, output_dimensionality: Optional[int] = None, display_name: Optional[str] = None,
    ) -> Batch:
        """A vector for each of `texts`; the arguments are those of `GeminiClient.embed`."""
        fields = {name: value for name, value in (("taskType", task_type), ("title", title),
                                                  ("outputDimensionality", output_dimensionality)) if value is not None}
        entries = [{"request": {"content": contents.from_prompt(text)[0], **fields}, "metadata": {"key": str(index)}}
                   for index, text in enumerate(texts)]
        from .embeddings import DEFAULT_MODEL
        digest = InputHash(model or DEFAULT_MODEL)
        digest.add(json.dumps(entries).encode())
        return self._create(model or DEFAULT_MODEL, "asyncBatchEmbedContent", {"requests": {"requests": entries}},
                            display_name or _unique_name(digest.hexdigest()), False)

    def get(self, batch: BatchOrName) -> Batch:
        """The job as it is now."""
        return Batch(self._sender.look(self._path_of(batch)))

    def list(self, *, page_size: Optional[int] = None) -> Iterator[Batch]:
        """All jobs of the project, each page fetched when it is needed."""
        path = self._path()
        return (Batch(data) for data in pages(lambda query: self._sender.get(path + query), "operations", page_size))

    def cancel(self, batch: BatchOrName) -> None:
        """Stop the job; what has been answered by then is billed."""
        self._sender.send(f"{self._path_of(batch)}:cancel", None)

    def delete(self, batch: BatchOrName) -> None:
        """Forget the job; one that has not ended is cancelled first."""
        current = batch if isinstance(batch, Batch) and batch.has_ended else self.get(batch)
        if not current.has_ended:
            self.cancel(batch)
        self._sender.send(self._path_of(batch), None, method="DELETE")

    def wait(
        self, batch: BatchOrName, *, poll: Poll = (5, 60), deadline: Optional[float] = None,
        progress: JobProgress[Batch] = None,
    ) -> Batch:
        """The job once it has ended, also from another process, by its name.

        JobFailedError if it failed, expired or was cancelled; TransportTimeout with the reason DEADLINE after
        `deadline` seconds. Both have the job as ``job``. `progress` is called with the job after each look; True
        prints a line.
        """
        whole = whole_deadline(deadline)
        first = batch if isinstance(batch, Batch) else self._look(batch, whole)
        ended = wait_until(first, lambda job: self._look(job, whole), lambda job: job.has_ended, poll=poll,
                           deadline=whole, progress=progress, describe=_describe)
        return _checked(ended)

    def results(
        self, batch: BatchOrName, *, keys: Optional[Iterable[str]] = None, response_schema: object = None,
    ) -> Iterator[Result]:
        """The result of each request by its key, in the order that the server gives them.

        With `keys`, those that were handed in, a key that is missing is an error's Result at the end; a key that
        comes twice or that nobody asked for is left out, with a warning. `response_schema` is for ``parsed``.
        """
        job = batch if isinstance(batch, Batch) and batch.output else self.get(batch)
        expected = None if keys is None else list(keys)
        options = self._options.replace(response_schema=response_schema)
        return tell_apart(self._lines(job), expected, options)

    def _prepared(self, overrides: Any) -> Tuple[GeminiOptions, str]:
        _, changes = self._sender.limits.split(overrides)
        options = self._options.replace(**changes)
        return options, self._sender.route.model(options)

    def _create(self, model: str, method: str, config: JSON, display_name: str, again: bool) -> Batch:
        self._path()  # or the error of a backend without batches
        path = self._sender.route.backend.path(method, model)
        body: JSON = {"batch": {"displayName": display_name, "inputConfig": config}}
        try:
            return Batch(self._sender.route.send(path, body, settings=self._sender.settings(), creates=True))
        except GeminiError as error:
            if again or not _may_have_worked(error):
                raise
            return self._find(display_name, error)

    def _find(self, display_name: str, error: GeminiError) -> Batch:
        """The job that a lost call made; JobFailedError if it does not show up in two minutes."""
        deadline, seconds = Deadline.after(LOOK_SECONDS), 1.0
        while True:
            with contextlib.suppress(GeminiError):
                for job in self.list(page_size=100):
                    if job.display_name == display_name:
                        log.warning("the answer to a new batch was lost (%s); it was found as %s",
                                    error.reason or error.code, job.name)
                        return job
            if seconds >= deadline.left:
                break
            retry.pause(seconds)
            seconds = min(15.0, seconds * 2)
        raise JobFailedError(
            f"The answer to the new batch was lost ({error}), and no job named {display_name!r} is in the list. It may "
            "still come: look for it with client.batches.list(), or hand it in once more with create(..., again=True), "
            "which may be paid for twice.", reason="UNKNOWN") from None

    def _upload(self, path: str, display_name: str) -> str:
        """The name of the uploaded file of requests."""
        files = Files(self._sender)
        for mime_type in _MIME_TYPES:
            try:
                return files.upload(path, mime_type=mime_type, display_name=display_name).name
            except BadRequestError as error:
                if "mime" not in str(error).lower() or mime_type == _MIME_TYPES[-1]:
                    raise
        raise AssertionError("unreachable")

    def _look(self, batch: BatchOrName, deadline: Deadline) -> Batch:
        return Batch(self._sender.look(self._path_of(batch), deadline))

    def _lines(self, job: Batch) -> Iterator[JSON]:
        """What the server says of each request, one dict each; a file is kept on disk while it is read."""
        if job.responses_file is None:
            yield from job.inline_responses
            return
        descriptor, path = tempfile.mkstemp(prefix="gemini-lite-batch-")
        try:
            os.close(descriptor)
            Files(self._sender).download(job.responses_file, path)
            with open(path, "rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield parse_line(line, number, f"of {job.name}")
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _path(self) -> str:
        return collection_path(self._sender, "batches", _ADVICE)

    def _path_of(self, batch: BatchOrName) -> str:
        id = resource_name(batch, Batch).rpartition("/")[2]
        return f"{self._path()}/{quote(id, safe='-._~')}"


@contextlib.contextmanager
def _written(
    items: Iterable[BatchItem], options: GeminiOptions, model: str,
) -> Iterator[Tuple[str, str, Optional[List[Any]]]]:
    """The requests on disk: (path, hash, and the requests themselves if they are few enough to go inline)."""
    digest, size, entries = InputHash(model), 0, []
    descriptor, path = tempfile.mkstemp(prefix="gemini-lite-batch-", suffix=".jsonl")  # for its owner alone
    try:
        with open(descriptor, "wb") as file:
            for request in build_requests(items, options):
                line = request.line()
                file.write(line)
                digest.add(line)
                size += len(line)
                if size <= INLINE_LIMIT:
                    entries.append(request)
                else:
                    entries.clear()
        if not size:
            raise ValueError("there is no prompt to hand in")
        yield path, digest.hexdigest(), entries if size <= INLINE_LIMIT else None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _unique_name(digest: str) -> str:
    """A display name that no other job has."""
    return f"gemini-lite-{digest.rpartition('/')[2]}-{os.urandom(4).hex()}"


def _may_have_worked(error: GeminiError) -> bool:
    """Whether the server may have made the job all the same."""
    if isinstance(error, TransportError):
        return error.reason not in ("CONNECT_TIMEOUT", "TLS", "INVALID", "PROXY")
    if isinstance(error, APIError):
        return (error.code or 0) >= 500 or error.code in (408, 499)
    return isinstance(error, (ParseError, IncompleteError))  # the answer came, and cannot be read


def _checked(job: Batch) -> Batch:
    if job.state not in FAILED:
        return job
    reason = str_or_none((job.error or {}).get("message")) or "the server gives no reason"
    step = "Hand it in again, in smaller parts, or use client.map." if job.state == "EXPIRED" else \
        "error.job.error says more."
    error = JobFailedError(f"The batch {job.name} ended as {job.state}: {reason}. {step}", reason=job.state)
    error.job = job
    raise error


def _describe(job: Batch) -> str:
    counts = [(name, count) for name, count in (("done", job.successful_count), ("failed", job.failed_count),
                                                ("pending", job.pending_count)) if count is not None]
    return f"{job.name} is {job.state}" + "".join(f", {count:,} {name}" for name, count in counts)
