"""A job of the Batch API behind a file of results: handed in once, found again after a crash, collected by key."""
from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from typing import Callable, Iterable, Mapping, NoReturn, Optional, Union

from ..api import batch_jobs
from ..api.batch import Batch
from ..api.batch_requests import inline_config
from ..api.batches import Batches
from ..api.prompts import check_prompts
from ..api.sending import Sender
from ..api.waiting import Poll, seconds_left, whole_deadline
from ..auth.api_key import is_demo
from ..errors import GeminiError, JobFailedError, NotFoundError
from ..json_data import JSON
from ..options import GeminiOptions
from ..response import Result
from ..transport.deadline import NEVER, Deadline
from .batch_input import BatchInput
from .batch_manifest import (
    CREATED, CREATING, UPLOADING, Manifest, check_manifest, manifest_path, new_manifest, read_manifest, remove_manifest,
    write_manifest,
)
from .checks import check_options
from .journal import Journal
from .progress import Progress, is_watched, reporter
from .stats import Stats

log = logging.getLogger("gemini_lite")

INLINE_BYTES = 1_000_000  # larger input is uploaded first, in a step of its own: inline, all is in memory at once


def run_batch(
    sender: Sender, defaults: GeminiOptions, path: Union[str, "os.PathLike[str]"], prompts: Iterable[object], *,
    wait: bool = True, poll: Poll = (5, 60), deadline: Optional[float] = None, resume: bool = True,
    retry_errors: str = "transient", fsync_every: float = 1.0, progress: Progress = None, again: bool = False,
    overrides: Mapping[str, object] = {},
) -> Stats:
    """Answer `prompts` into the file `path` by a job of the Batch API; see `GeminiClient.batch_to`."""
    check_prompts(prompts)
    whole = whole_deadline(deadline)
    batch_jobs.Jobs(sender).check_prompts_are_taken()
    options = _options(sender, defaults, overrides)
    with Journal(path, resume=resume, retry_errors=retry_errors, fsync_every=fsync_every,
                 is_demo=is_demo(sender.route.backend.auth)) as journal:
        with tempfile.TemporaryFile(prefix="gemini-lite-batch-") as spool:
            model = sender.route.model(options)
            input = BatchInput(journal, options, model, spool)
            run = BatchRun(sender, journal, options, model, input, progress, whole)
            try:
                run.read(prompts)
                run.answer(wait=wait, poll=poll, resume=resume, again=again)
            except (GeminiError, OSError, ValueError, KeyboardInterrupt) as error:
                setattr(error, "summary", run.stats)
                raise
            finally:
                run.end()
            return run.stats


def _options(sender: Sender, defaults: GeminiOptions, overrides: Mapping[str, object]) -> GeminiOptions:
    for name in ("timeout", "retries"):
        if name in overrides:
            raise ValueError(f"{name} is for one request, and a batch is a job: give it to the client")
    _, changes = sender.limits.split(overrides)
    options = defaults.replace(**changes)
    check_options(options)
    return options


class BatchRun:
    """One call: reads the prompts, finds or makes their job, and takes in its results; `deadline` is for all of it."""

    def __init__(
        self, sender: Sender, journal: Journal, options: GeminiOptions, model: str, input: BatchInput,
        progress: Progress, deadline: Deadline,
    ) -> None:
        self.stats = Stats()
        self._batches, self._jobs = Batches(sender, options), batch_jobs.Jobs(sender, deadline)
        self._journal, self._options, self._model, self._input = journal, options, model, input
        self._progress, self._deadline = progress, deadline
        self._report: Callable[[Stats, bool], None] = lambda stats, ended: None

    def end(self) -> None:
        """Stop the clock, and show the last counts."""
        self.stats.in_flight = len(self._input.waiting)
        self.stats.end()
        self._report(self.stats, True)

    def read(self, prompts: Iterable[object]) -> None:
        """Make the request of each prompt, and keep those that have no result for the job."""
        try:
            self._input.read(prompts)
        finally:
            self.stats.skipped, self.stats.failed_before = len(self._input.answered), self._journal.failed_before
            self.stats.total = self._input.digest.count

    # The job

    def answer(self, *, wait: bool, poll: Poll, resume: bool, again: bool) -> None:
        """Adopt the job that is under way or hand one in, wait for it if asked to, and take in what it has."""
        manifest = read_manifest(self._journal.path)
        if manifest is not None:
            if not resume:
                raise ValueError(f"the batch {manifest.name or manifest.display_name} is under way for these results: "
                                 "write resume=True to go on with it, or give another file")
            check_manifest(manifest, self._input.digest, self._journal)
        for result, hash in self._input.refused:
            self._keep(result, hash)
        if not self._input.waiting:
            remove_manifest(self._journal.path)
            return
        job = self._adopt(manifest, again) if manifest is not None else None
        if job is None:
            job = self._hand_in(manifest)
        if wait or job.has_ended:
            self._wait_and_collect(job, poll)

    def _adopt(self, manifest: Manifest, again: bool) -> Optional[Batch]:
        """The job of `manifest`; None if another one is to be handed in.

        JobFailedError if it is gone, or nobody can know.
        """
        if manifest.step == UPLOADING:
            return None
        job = find_job(self._jobs, manifest, self._deadline)
        if job is None and not again:
            if manifest.step == CREATED:
                raise JobFailedError(
                    f"The batch {manifest.name} was made and is gone: it was deleted, or has expired, or is another "
                    "key's. Make the same call with again=True, which hands the prompts in once more, and is paid for "
                    "again.", reason="GONE")
            self._raise_unknown(manifest, None)
        if job is not None and manifest.step != CREATED:
            write_manifest(self._journal.path, manifest._replace(step=CREATED, name=job.name))
        return job

    def _hand_in(self, old: Optional[Manifest]) -> Batch:
        """A new job, each step of which is written down before it is taken."""
        manifest = old or new_manifest(self._input.digest)
        if self._input.size > INLINE_BYTES:
            write_manifest(self._journal.path, manifest._replace(step=UPLOADING, time=time.time(), name=None))
            config: JSON = {"fileName": self._jobs.upload(self._input.file, manifest.display_name)}
        else:
            config = inline_config(self._input.requests())
        manifest = manifest._replace(step=CREATING, time=time.time(), name=None)
        write_manifest(self._journal.path, manifest)
        job = self._create(config, manifest)
        write_manifest(self._journal.path, manifest._replace(step=CREATED, name=job.name))
        log.info("%d prompts were handed in as %s", len(self._input.waiting), job.name)
        return job

    def _create(self, config: JSON, manifest: Manifest) -> Batch:
        try:
            return self._jobs.create(self._model, batch_jobs.GENERATE, config, manifest.display_name)
        except JobFailedError as error:  # the answer was lost, and the job could not be found
            self._raise_unknown(manifest, error)
        except (GeminiError, ValueError, TypeError) as error:
            if getattr(error, "reason", None) != "CLOSED":  # certainly no job was made
                remove_manifest(self._journal.path)
            raise

    def _raise_unknown(self, manifest: Manifest, error: Optional[Exception]) -> NoReturn:
        job = manifest.name or f"with the display name {manifest.display_name}"
        raise JobFailedError(
            f"The batch {job} may or may not have been made: it is not in the list ({error or 'after a crash'}). "
            "Either make the same call later, which looks for it again (client.batches.list() shows what there is); or "
            "make it with again=True, which hands the prompts in once more if it is still not there, and may be paid "
            f"for twice. {manifest_path(self._journal.path)} keeps the job's names.", reason="UNKNOWN") from None

    # Its results

    def _wait_and_collect(self, job: Batch, poll: Poll) -> None:
        """Wait for the job, take in its results, and forget it."""
        try:
            job = self._batches.wait(job, poll=poll, deadline=seconds_left(self._deadline),
                                     progress=self._job_progress())
        except JobFailedError as error:
            failed: Optional[Batch] = getattr(error, "job", None)
            if failed is not None and failed.output:  # what was answered before it ended
                self._collect(failed)
            remove_manifest(self._journal.path)
            raise
        self._collect(job)
        remove_manifest(self._journal.path)
        if self._input.waiting:
            log.warning("%s has no result for %d of its prompts: the same call hands these in again, and client.map_to "
                        "answers them at once", job.name, len(self._input.waiting))

    def _collect(self, job: Batch) -> None:
        """Write each result as it is read; all of them are on the disk at the end."""
        self._report = reporter(self._progress)
        for result in self._batches.results(job, response_schema=self._options.response_schema):
            waiting = self._input.waiting.pop(result.key, None)
            if waiting is not None:
                result.index = waiting.position
                self._keep(self._checked(result), waiting.hash)
                self._report(self.stats, False)
            elif result.key not in self._input.answered:
                log.warning("%s has a result for the key %s, which was not asked for: it is left out", job.name,
                            result.key)
        self._journal.end([])

    def _checked(self, result: Result) -> Result:
        """`result`, as an error if its answer does not fit the schema."""
        if result.response is None or self._options.response_schema is None:
            return result
        try:
            result.response.parsed
        except GeminiError as error:
            return Result(result.index, result.key, None, error, result.tries)
        return result

    def _keep(self, result: Result, hash: int) -> None:
        self._journal.add(result, hash, self._model)
        self.stats.add(result, self._model)

    def _job_progress(self) -> Union[Callable[[Batch], object], bool, None]:
        """What is called with the job after each look: the caller's own function, or a line for people."""
        show = self._progress
        if callable(show):
            return lambda job: show(self._counted(job))
        return show is not False and (show is True or is_watched())

    def _counted(self, job: Batch) -> Stats:
        self.stats.in_flight = len(self._input.waiting) if job.pending_count is None else job.pending_count
        return self.stats


def find_job(jobs: batch_jobs.Jobs, manifest: Manifest, deadline: Deadline = NEVER) -> Optional[Batch]:
    """The job of `manifest` by its name, or else by its display name; None if the server does not know it.

    A job whose name is not known may still come: it is looked for until LOOK_SECONDS after it was handed in.
    """
    if manifest.name is not None:
        with contextlib.suppress(NotFoundError):
            return jobs.get(manifest.name)
        return None
    left = batch_jobs.LOOK_SECONDS - max(0.0, time.time() - manifest.time)
    return jobs.find_named(manifest.display_name, deadline.earlier(max(0.0, left)))
