"""The Batch API: many prompts in one job, at half the price, within a day."""
from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, Optional, Tuple, Type, TypeVar, Union, overload

from .. import files_on_disk
from ..files_on_disk import StrPath
from ..json_data import JSON
from ..options import GeminiOptions, options_for_one_request
from ..response import Result
from ..transport.deadline import Deadline
from .batch import Batch, check_ended, describe
from .batch_jobs import GENERATE, BatchOrName, Jobs, unique_name
from .batch_requests import BatchItem, BatchRequest, build_requests, inline_config, written
from .batch_results import read_lines, tell_apart
from .embedding_items import EmbedPrompts, read_items
from .files import File, Files
from .places import model_name
from .resources import resource_name
from .sending import Sender
from .vertex_jobs import HOW_TO_HAND_IN, KeysByRequest, job_body, request_line, with_keys
from .waiting import JobProgress, Poll, wait_until, whole_deadline

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options.overrides import ChatOverrides

S = TypeVar("S")  # what ``response_schema`` names

_CANCEL_SECONDS = 120.0  # for how long Vertex AI may take to cancel a job that is to be deleted


class Batches:
    """``client.batches``: jobs of many prompts, which cost half and take up to a day."""

    def __init__(self, sender: Sender, options: GeminiOptions) -> None:
        self._sender, self._options = sender, options
        self.jobs = Jobs(sender)  # which the command line uses, too

    def create(
        self, requests: Union[Iterable[BatchItem], File, str], *, destination: Optional[str] = None,
        display_name: Optional[str] = None, again: bool = False, **overrides: Unpack[ChatOverrides],
    ) -> Batch:
        """Hand in prompts, or the uploaded JSONL file of requests that a `File` or its name ("files/...") names.

        An item is what `generate` takes, ``(key, prompt)``, or a dict with "key" and "prompt" or "request". They go
        inline, or as a file where they are large. A job is never made twice: when the answer is lost it is looked for
        by its display name, and JobFailedError with the reason UNKNOWN says when it cannot be found. `again` hands it
        in without that care.

        On Vertex AI `requests` is where they are, ``gs://bucket/requests.jsonl`` (see `write_requests`) or
        ``bq://project.dataset.table``, and the results go to the `destination`, such as ``gs://bucket/results/``.
        """
        options, model, jobs = self._prepared(overrides)
        if isinstance(requests, (File, str)):
            _check_overrides_of_file(overrides)
            return self._hand_in_file(jobs, model, requests, destination, display_name, again)
        jobs.check_prompts_are_taken()
        _check_no_destination(destination)
        return self._hand_in(jobs, model, GENERATE, self._requests(requests, options, model), display_name, again)

    def create_embeddings(
        self, texts: EmbedPrompts, *, model: Optional[str] = None, task_type: Optional[str] = None,
        title: Optional[str] = None, output_dimensionality: Optional[int] = None, display_name: Optional[str] = None,
        again: bool = False,
    ) -> Batch:
        """A vector for each of `texts`, by its position as the key; the arguments are those of `GeminiClient.embed`."""
        if self.jobs.on_vertex:
            raise ValueError("Vertex AI has no batches of embeddings: client.embed makes them at once")
        self.jobs.check_prompts_are_taken()
        model, items, fields = read_items(texts, model, task_type, title, output_dimensionality)
        requests = (BatchRequest(str(index), {"content": item, **fields}) for index, item in enumerate(items))
        return self._hand_in(self.jobs, model, "asyncBatchEmbedContent", requests, display_name, again)

    def get(self, batch: BatchOrName) -> Batch:
        """The job as it is now."""
        return self.jobs.get(batch)

    def list(self, *, page_size: Optional[int] = None) -> Iterator[Batch]:
        """All jobs of the project, each page fetched when it is needed."""
        return self.jobs.list(page_size)

    def cancel(self, batch: BatchOrName) -> None:
        """Stop the job; what has been answered by then is billed."""
        self._sender.send(f"{self.jobs.path_of(batch)}:cancel", None)

    def delete(self, batch: BatchOrName) -> None:
        """Forget the job; one that has not ended is cancelled first (on Vertex AI that is waited for, 2 minutes)."""
        current = batch if isinstance(batch, Batch) and batch.has_ended else self.get(batch)
        if not current.has_ended:
            self.cancel(batch)
            if self.jobs.on_vertex:  # refuses to delete what has not ended
                self._wait(self.get(batch), (1, 15), whole_deadline(_CANCEL_SECONDS), None)
        self._sender.send(self.jobs.path_of(batch), None, method="DELETE")

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
        first = batch if isinstance(batch, Batch) else self.jobs.get(batch, whole)
        ended = self._wait(first, poll, whole, progress)
        check_ended(ended)
        return ended

    @overload
    def results(
        self, batch: BatchOrName, *, keys: Optional[Iterable[str]] = None, response_schema: Type[S],
    ) -> Iterator[Result[S]]: ...

    @overload
    def results(
        self, batch: BatchOrName, *, keys: Optional[Iterable[str]] = None, response_schema: object = None,
    ) -> Iterator[Result[Any]]: ...

    def results(
        self, batch: BatchOrName, *, keys: Optional[Iterable[str]] = None, response_schema: object = None,
    ) -> Iterator[Result]:
        """The result of each request by its key, in the order that the server gives them.

        With `keys`, those that were handed in, a key that is missing is an error's Result at the end; a key that
        comes twice or that nobody asked for is left out, with a warning. `response_schema` is for ``parsed``.
        ValueError for a job that has not ended, and on Vertex AI, where the results are in your bucket; JobFailedError
        for one that failed without any.
        """
        job = batch if isinstance(batch, Batch) and batch.has_results else self.get(batch)
        if not job.output or self.jobs.on_vertex and not job.has_ended:
            check_ended(job)
        if self.jobs.on_vertex:
            raise ValueError(_how_to_fetch(job))
        if isinstance(keys, (str, bytes)):
            raise TypeError("keys is a list or another iterable of keys: write [key] for one")
        expected = None if keys is None else list(map(str, keys))
        options = self._options.replace(response_schema=response_schema)
        return tell_apart(self._lines(job), expected, options)

    def write_requests(
        self, path: StrPath, prompts: Iterable[BatchItem], **overrides: Unpack[ChatOverrides],
    ) -> int:
        """Write the JSONL file of requests that a job is made over; how many there are.

        The arguments are those of `create`. For Vertex AI, copy it into a bucket; the Developer API takes it by
        `client.files.upload`, with ``mime_type="application/jsonl"``.
        """
        options, model, jobs = self._prepared(overrides)
        to_line = request_line if jobs.on_vertex else BatchRequest.line
        count = 0
        with files_on_disk.replacing(path) as file:
            for count, request in enumerate(self._requests(prompts, options, model), 1):
                file.write(to_line(request))
            if not count:
                raise ValueError("there is no prompt to write")
        return count

    def read_results(
        self, path: StrPath, prompts: Iterable[BatchItem], **overrides: Unpack[ChatOverrides],
    ) -> Iterator[Result]:
        """The results in a file that Vertex AI put into your bucket, such as ``predictions.jsonl``, by their keys.

        A line repeats its request and has no key: `prompts` and `overrides` are those that `write_requests` got. What
        is missing, doubled or foreign is treated as in `results`. ValueError if the file belongs to other prompts.
        """
        options, model, _ = self._prepared(overrides)
        requests = KeysByRequest(self._requests(prompts, options, model))
        return tell_apart(with_keys(read_lines(path, os.fspath(path)), requests), requests.keys, options)

    def _prepared(self, overrides: Mapping[str, object]) -> Tuple[GeminiOptions, str, Jobs]:
        """The options of a call, their model, and what makes jobs within the limits of the call."""
        sender = self._sender
        limits, changes = sender.limits.split(overrides)
        options = options_for_one_request(self._options.replace(**changes), changes, "a batch")
        jobs = Jobs(Sender(sender.route, sender.transport, limits))
        jobs.path()  # or the error of a backend without batches
        return options, sender.route.model(options), jobs

    def _requests(self, prompts: Iterable[BatchItem], options: GeminiOptions, model: str) -> Iterator[BatchRequest]:
        """The request for each prompt, in the envelope that `generate` would give it."""
        route = self._sender.route
        post = route.post(self._sender.settings(), model)
        for key, request in build_requests(prompts, options, model):
            yield BatchRequest(key, route.backend.wrap("generateContent", model, request, options, "", post))

    def _wait(self, job: Batch, poll: Poll, deadline: Deadline, progress: JobProgress[Batch]) -> Batch:
        return wait_until(job, lambda seen: self.jobs.get(seen, deadline), lambda seen: seen.has_ended,
                          transport=self._sender.transport, poll=poll, deadline=deadline, progress=progress,
                          describe=describe)

    def _hand_in_file(
        self, jobs: Jobs, model: str, source: Union[File, str], destination: Optional[str],
        display_name: Optional[str], again: bool,
    ) -> Batch:
        """A job for the requests at `source`: an uploaded file, or what lies in a bucket."""
        if jobs.on_vertex:
            if not isinstance(source, str) or destination is None:
                raise ValueError(HOW_TO_HAND_IN)
            name = display_name or unique_name("job")
            return jobs.make(jobs.path(), job_body(source, destination, model_name(self._sender, model), name), name,
                             again)
        _check_no_destination(destination)
        file = resource_name(source, File)
        name = display_name or unique_name(file[len("files/"):])
        return jobs.create(model, GENERATE, {"fileName": file}, name, again)

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
            yield from read_lines(path, job.name)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _check_overrides_of_file(overrides: Mapping[str, object]) -> None:
    own = [name for name in overrides if name not in ("model", "deadline", "timeout", "retries")]
    if own:
        raise ValueError(f"the requests are in the file, and {own[0]} belongs into them: give it to write_requests, "
                         "which writes the file, or hand in the prompts themselves")


def _check_no_destination(destination: Optional[str]) -> None:
    if destination is not None:
        raise ValueError("destination is for Vertex AI: the Developer API keeps the results, and "
                         "client.batches.results fetches them")


def _how_to_fetch(job: Batch) -> str:
    place = job.output_directory
    if place is None:
        return f"the results of {job.name} are where its destination says: {job.data.get('outputConfig')}"
    return (f"the results of {job.name} are in your bucket: copy them with 'gcloud storage cp "
            f"{place.rstrip('/')}/predictions.jsonl .' and read them with client.batches.read_results("
            "'predictions.jsonl', prompts)")
