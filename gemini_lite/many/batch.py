"""A job of the Batch API behind a file of results: handed in once, found again after a crash, collected by key."""
from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from typing import BinaryIO, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, NoReturn, Optional, Protocol
from typing import Tuple, Union

from ..errors import BadRequestError, GeminiError, JobFailedError, NotFoundError
from ..json_data import JSON
from ..options import GeminiOptions
from ..response import Result
from ..transport import retry
from ..transport.deadline import NEVER, Deadline, check_seconds
from .batch_manifest import (
    CREATED, CREATING, UPLOADING, InputDigest, Manifest, check_manifest, manifest_path, new_manifest, read_manifest,
    remove_manifest, write_manifest,
)
from .checks import check_options, check_prompts
from .failures import invalid_prompt
from .journal import Journal
from .known_keys import KnownKeys, hash_request
from .progress import Progress, reporter
from .prompts import RequestBuilder, read_item
from .runs import Caller
from .stats import Stats

log = logging.getLogger("gemini_lite")

LOOK_SECONDS = 120.0  # after a step that was not finished, for how long its job is looked for
INLINE_BYTES = 10_000_000  # larger input is uploaded first, in a step of its own
_MIME_TYPES = ("application/jsonl", "text/plain")  # what the API has taken for a file of requests
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


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


class Waiting(NamedTuple):
    """A prompt without a result: its position, and the hash of its request."""

    position: int
    hash: int


def run_batch(
    caller: Caller, service: Service, path: Union[str, "os.PathLike[str]"], prompts: Iterable[object], *,
    wait: bool = True, poll: Tuple[float, float] = (5, 60), deadline: Optional[float] = None, resume: bool = True,
    retry_errors: str = "transient", fsync_every: float = 1.0, progress: Progress = None, again: bool = False,
    overrides: Mapping[str, object] = {},
) -> Stats:
    """Answer `prompts` into the file `path` by a job of the Batch API; see `GeminiClient.batch_to`."""
    check_prompts(prompts)
    whole = Deadline.after(None if deadline is None else check_seconds(deadline, "deadline"))
    options = _options(caller, overrides)
    with Journal(path, resume=resume, retry_errors=retry_errors, fsync_every=fsync_every) as journal:
        with tempfile.TemporaryFile(prefix="gemini-lite-batch-") as spool:
            run = BatchRun(service, journal, options, caller.route.model(options), spool, progress, whole)
            try:
                run.read(prompts)
                run.answer(wait=wait, poll=poll, resume=resume, again=again)
            except (GeminiError, OSError, ValueError, KeyboardInterrupt) as error:
                setattr(error, "summary", run.stats)
                raise
            finally:
                run.end()
            return run.stats


def _options(caller: Caller, overrides: Mapping[str, object]) -> GeminiOptions:
    for name in ("timeout", "retries"):
        if name in overrides:
            raise ValueError(f"{name} is for one request, and a batch is a job: give it to the client")
    _, changes = caller.limits.split(overrides)
    options = caller.options.replace(**changes)
    check_options(options)
    return options


class BatchRun:
    """One call: reads the prompts, finds or makes their job, and takes in its results.

    `spool` is an empty file for the requests; `deadline` is for all of it.
    """

    def __init__(
        self, service: Service, journal: Journal, options: GeminiOptions, model: str, spool: BinaryIO,
        progress: Progress, deadline: Deadline,
    ) -> None:
        self.stats = Stats()
        self._batches, self._files = service
        self._journal, self._options, self._model, self._spool = journal, options, model, spool
        self._progress, self._deadline = progress, deadline
        self._report: Callable[[Stats, bool], None] = lambda stats, ended: None
        self._digest = InputDigest()
        self._waiting: Dict[str, Waiting] = {}  # by key
        self._answered = KnownKeys()  # that have a line already
        self._refused: List[Tuple[Result, int]] = []  # with the hash of each

    def end(self) -> None:
        """Stop the clock, and show the last counts."""
        self.stats.in_flight = len(self._waiting)
        self.stats.end()
        self._report(self.stats, True)

    # Reading

    def read(self, prompts: Iterable[object]) -> None:
        """Make the request of each prompt, and keep those that have no result for the job."""
        builder = RequestBuilder(self._options, self._model)
        for index, value in enumerate(prompts):
            key = str(index)
            request: JSON = {}
            error: Optional[Exception] = None
            try:
                item = read_item(value)
                key = key if item.key is None else item.key
                request = builder.build(item)
                line = (_encode({"key": key, "request": request}) + "\n").encode("utf-8")
            except (ValueError, TypeError, OSError, RecursionError) as failure:
                request, error = {}, failure
            hash = self._admit(key, request)
            if hash is None:
                continue
            if error is not None:
                self._refused.append((Result(index, key, None, invalid_prompt(error), 0), hash))
            else:
                self._waiting[key] = Waiting(index, hash)
                self._spool.write(line)
        self.stats.total = self._digest.count

    def _admit(self, key: str, request: JSON) -> Optional[int]:
        hash = self._journal.admit(key, request, self._model)
        self._digest.add(key, hash_request(request, self._model))
        if hash is None:
            self.stats.skipped += 1
            self._answered.add(key, 0, seen=False)
        return hash

    # The job

    def answer(self, *, wait: bool, poll: Tuple[float, float], resume: bool, again: bool) -> None:
        """Adopt the job that is under way or hand one in, wait for it if asked to, and take in what it has."""
        manifest = read_manifest(self._journal.path)
        if manifest is not None:
            if not resume:
                raise ValueError(f"the batch {manifest.name or manifest.display_name} is under way for these results: "
                                 "write resume=True to go on with it, or give another file")
            check_manifest(manifest, self._digest, self._journal)
        for result, hash in self._refused:
            self._keep(result, hash)
        if not self._waiting:
            remove_manifest(self._journal.path)
            return
        job = self._adopt(manifest, again) if manifest is not None else None
        if job is None:
            job = self._hand_in(manifest)
        if wait or job.has_ended:
            self._finish(job.name, poll)

    def _adopt(self, manifest: Manifest, again: bool) -> Optional[Job]:
        """The job of `manifest`; None if another one is to be handed in, JobFailedError if nobody can know."""
        if manifest.step == UPLOADING:
            return None
        job = find_job(self._batches, manifest, self._deadline)
        if job is None and not again:
            self._raise_unknown(manifest, None)
        if job is not None and manifest.step != CREATED:
            write_manifest(self._journal.path, manifest._replace(step=CREATED, name=job.name))
        return job

    def _hand_in(self, old: Optional[Manifest]) -> Job:
        """A new job, each step of which is written down before it is taken."""
        is_large = self._spool.tell() > INLINE_BYTES
        manifest = old or new_manifest(self._digest, CREATING)
        requests: Union[Iterable[JSON], str] = self._spooled()
        if is_large:
            write_manifest(self._journal.path, manifest._replace(step=UPLOADING, time=time.time(), name=None))
            requests = self._upload(manifest.display_name)
        manifest = manifest._replace(step=CREATING, time=time.time(), name=None)
        write_manifest(self._journal.path, manifest)
        job = self._create(requests, manifest)
        write_manifest(self._journal.path, manifest._replace(step=CREATED, name=job.name))
        log.info("%d prompts were handed in as %s", len(self._waiting), job.name)
        return job

    def _create(self, requests: Union[Iterable[JSON], str], manifest: Manifest) -> Job:
        try:
            return self._batches.create(requests, display_name=manifest.display_name, model=self._model)
        except JobFailedError as error:  # the answer was lost, and the job could not be found
            self._raise_unknown(manifest, error)
        except (GeminiError, ValueError, TypeError) as error:
            if getattr(error, "reason", None) != "CLOSED":  # certainly no job was made
                remove_manifest(self._journal.path)
            raise

    def _upload(self, display_name: str) -> str:
        """The name of the uploaded file of requests."""
        for mime_type in _MIME_TYPES:
            self._spool.seek(0)
            try:
                return self._files.upload(self._spool, mime_type=mime_type, display_name=display_name).name
            except BadRequestError as error:
                if "mime" not in str(error).lower() or mime_type == _MIME_TYPES[-1]:
                    raise
        raise AssertionError("unreachable")

    def _spooled(self) -> Iterator[JSON]:
        self._spool.seek(0)
        for line in self._spool:
            yield json.loads(line)

    def _raise_unknown(self, manifest: Manifest, error: Optional[Exception]) -> NoReturn:
        job = manifest.name or f"with the display name {manifest.display_name}"
        raise JobFailedError(
            f"The batch {job} may or may not have been made: it is not in the list ({error or 'after a crash'}). Either "
            "make the same call later, which looks for it again (client.batches.list() shows what there is); or make "
            "it with again=True, which hands the prompts in once more if it is still not there, and may be paid for "
            f"twice. {manifest_path(self._journal.path)} keeps the job's names.", reason="UNKNOWN") from None

    # Its results

    def _finish(self, name: str, poll: Tuple[float, float]) -> None:
        """Wait for the job, take in its results, and forget it."""
        left = max(self._deadline.left, 0.001) if self._deadline.is_set else None
        try:
            self._batches.wait(name, poll=poll, deadline=left, progress=self._job_progress())
        except JobFailedError as error:
            job: Optional[Job] = getattr(error, "job", None)
            if job is not None and job.output:  # what was answered before it ended
                self._collect(name)
            remove_manifest(self._journal.path)
            raise
        self._collect(name)
        remove_manifest(self._journal.path)
        if self._waiting:
            log.warning("%s has no result for %d of its prompts: the same call hands these in again, and client.map_to "
                        "answers them at once", name, len(self._waiting))

    def _collect(self, name: str) -> None:
        """Write each result as it is read; all of them are on the disk at the end."""
        self._report = reporter(self._progress)
        for result in self._batches.results(name, response_schema=self._options.response_schema):
            waiting = self._waiting.pop(result.key, None)
            if waiting is not None:
                result.index = waiting.position
                self._keep(self._checked(result), waiting.hash)
                self._report(self.stats, False)
            elif result.key not in self._answered:
                log.warning("%s has a result for the key %s, which was not asked for: it is left out", name,
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

    def _job_progress(self) -> Union[Callable[[Job], object], bool, None]:
        """What is called with the job after each look: the caller's own function, or a line for people."""
        show = self._progress
        if callable(show):
            return lambda job: show(self._counted(job))
        return show is not False and (show is True or _is_watched())

    def _counted(self, job: Job) -> Stats:
        self.stats.in_flight = len(self._waiting) if job.pending_count is None else job.pending_count
        return self.stats


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


def _is_watched() -> bool:
    """Whether a person looks at what is printed."""
    from ..display import notebook  # not for programs that nobody watches
    return notebook.in_notebook() or sys.stderr is not None and sys.stderr.isatty()
