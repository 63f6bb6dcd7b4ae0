"""The Batch API: many prompts in one job, at half the price, within a day."""
from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Optional, Tuple, Union

from ..errors import JobFailedError
from ..json_data import JSON, str_or_none
from ..options import GeminiOptions, options_for_one_request
from ..response import Result
from .batch import FAILED, Batch
from .batch_jobs import GENERATE, BatchOrName, Jobs, unique_name
from .batch_requests import BatchItem, BatchRequest, build_requests, inline_config, written
from .batch_results import parse_line, tell_apart
from .embedding_items import EmbedPrompts, read_items
from .files import File, Files
from .resources import resource_name
from .sending import Sender
from .waiting import JobProgress, Poll, wait_until, whole_deadline

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options import ChatOverrides


class Batches:
    """``client.batches``: jobs of many prompts, which cost half and take up to a day."""

    def __init__(self, sender: Sender, options: GeminiOptions) -> None:
        self._sender, self._options = sender, options
        self._jobs = Jobs(sender)

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
        options, model, jobs = self._prepared(overrides)
        if isinstance(requests, (File, str)):
            name = resource_name(requests, File)
            return jobs.create(model, GENERATE, {"fileName": name}, display_name or unique_name(name[len("files/"):]),
                               again)
        return self._hand_in(jobs, model, GENERATE, build_requests(requests, options, model), display_name, again)

    def create_embeddings(
        self, texts: EmbedPrompts, *, model: Optional[str] = None, task_type: Optional[str] = None,
        title: Optional[str] = None, output_dimensionality: Optional[int] = None, display_name: Optional[str] = None,
        again: bool = False,
    ) -> Batch:
        """A vector for each of `texts`, by its position as the key; the arguments are those of `GeminiClient.embed`."""
        self._jobs.path()  # or the error of a backend without batches
        model, items, fields = read_items(texts, model, task_type, title, output_dimensionality)
        requests = (BatchRequest(str(index), {"content": item, **fields}) for index, item in enumerate(items))
        return self._hand_in(self._jobs, model, "asyncBatchEmbedContent", requests, display_name, again)

    def get(self, batch: BatchOrName) -> Batch:
        """The job as it is now."""
        return self._jobs.look(batch)

    def list(self, *, page_size: Optional[int] = None) -> Iterator[Batch]:
        """All jobs of the project, each page fetched when it is needed."""
        return self._jobs.list(page_size)

    def cancel(self, batch: BatchOrName) -> None:
        """Stop the job; what has been answered by then is billed."""
        self._sender.send(f"{self._jobs.path_of(batch)}:cancel", None)

    def delete(self, batch: BatchOrName) -> None:
        """Forget the job; one that has not ended is cancelled first."""
        current = batch if isinstance(batch, Batch) and batch.has_ended else self.get(batch)
        if not current.has_ended:
            self.cancel(batch)
        self._sender.send(self._jobs.path_of(batch), None, method="DELETE")

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
        first = batch if isinstance(batch, Batch) else self._jobs.look(batch, whole)
        ended = wait_until(first, lambda job: self._jobs.look(job, whole), lambda job: job.has_ended, poll=poll,
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

    def _prepared(self, overrides: Any) -> Tuple[GeminiOptions, str, Jobs]:
        """The options of a call, their model, and what makes jobs within the limits of the call."""
        sender = self._sender
        limits, changes = sender.limits.split(overrides)
        options = options_for_one_request(self._options.replace(**changes), changes, "a batch")
        jobs = Jobs(Sender(sender.route, sender.transport, limits))
        jobs.path()  # or the error of a backend without batches
        return options, sender.route.model(options), jobs

    def _hand_in(
        self, jobs: Jobs, model: str, method: str, requests: Iterable[BatchRequest], display_name: Optional[str],
        again: bool,
    ) -> Batch:
        """A job for `requests`, inline or as a file."""
        with written(requests, model) as input:
            name = display_name or unique_name(input.digest)
            config = inline_config(input.inline) if input.inline is not None else {
                "fileName": jobs.upload(lambda: input.path, name)}
            return jobs.create(model, method, config, name, again)

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
