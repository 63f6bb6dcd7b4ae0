"""A batch: a view of the API's operation or job, in both of its spellings."""
from __future__ import annotations

import datetime
from typing import List, Optional

from ..errors import JobFailedError
from ..json_data import JSON, dict_or_empty, list_of_dicts, str_or_none
from .resources import Resource, parse_count, parse_time

ENDED = frozenset(("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"))
_FAILED = frozenset(("FAILED", "CANCELLED", "EXPIRED"))
_PREFIXES = ("BATCH_STATE_", "JOB_STATE_")


class Batch(Resource):
    """A job that answers many prompts at half the price; `data` is its dict as it came.

    Source: https://ai.google.dev/api/batch-api
    """

    collection = "batches"
    shown = ("name", "display_name", "state", "model", "request_count", "failed_count", "create_time")

    @property
    def _fields(self) -> JSON:
        """Where the Developer API keeps what Vertex AI has at the top."""
        return dict_or_empty(self.data.get("metadata")) or self.data

    @property
    def model(self) -> Optional[str]:
        """The model that answers."""
        return str_or_none(self._fields.get("model"))

    @property
    def state_name(self) -> Optional[str]:
        """The state as the server spells it."""
        return str_or_none(self._fields.get("state"))

    @property
    def state(self) -> str:
        """The state without its prefix: ``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``CANCELLED``,
        ``EXPIRED``, ``PARTIALLY_SUCCEEDED``; there may be others."""
        state = self.state_name or ""
        for prefix in _PREFIXES:
            if state.startswith(prefix):
                return state[len(prefix):]
        return state or ("SUCCEEDED" if self.data.get("done") and not self.error else "UNSPECIFIED")

    @property
    def has_ended(self) -> bool:
        """Whether no state follows."""
        return self.state in ENDED or self.data.get("done") is True

    @property
    def end_time(self) -> Optional[datetime.datetime]:
        """When it ended."""
        return parse_time(self._fields.get("endTime"))

    @property
    def stats(self) -> JSON:
        """The counts as the API writes them."""
        return dict_or_empty(self._fields.get("batchStats") or self._fields.get("completionStats"))

    @property
    def request_count(self) -> Optional[int]:
        """How many requests it has; None on Vertex AI, which does not say."""
        return parse_count(self.stats.get("requestCount"))

    @property
    def successful_count(self) -> Optional[int]:
        """How many were answered so far."""
        return self._count("successfulRequestCount", "successfulCount")

    @property
    def failed_count(self) -> Optional[int]:
        """How many failed so far."""
        return self._count("failedRequestCount", "failedCount")

    @property
    def pending_count(self) -> Optional[int]:
        """How many wait."""
        return self._count("pendingRequestCount", "incompleteCount")

    def _count(self, name: str, name_on_vertex: str) -> Optional[int]:
        stats = self.stats
        return parse_count(stats.get(name, stats.get(name_on_vertex)))

    @property
    def error(self) -> Optional[JSON]:
        """Why it failed, as the API says it: ``code`` and ``message``."""
        return dict_or_empty(self.data.get("error")) or dict_or_empty(self._fields.get("error")) or None

    @property
    def output(self) -> JSON:
        """Where the results are: ``responsesFile`` or ``inlinedResponses``; on Vertex AI ``gcsOutputDirectory``."""
        return (dict_or_empty(self.data.get("response")) or dict_or_empty(self._fields.get("output"))
                or dict_or_empty(self._fields.get("outputInfo")))

    @property
    def responses_file(self) -> Optional[str]:
        """The name of the file with the results, if there is one."""
        return str_or_none(self.output.get("responsesFile"))

    @property
    def output_directory(self) -> Optional[str]:
        """Where in Cloud Storage (``gs://...``) Vertex AI put the results; their file is ``predictions.jsonl``."""
        return str_or_none(self.output.get("gcsOutputDirectory"))

    @property
    def has_results(self) -> bool:
        """Whether this view says where results are, or has them; what `list` gives has none."""
        return bool(self.responses_file or self.output_directory or self.inline_responses)

    @property
    def inline_responses(self) -> List[JSON]:
        """The results that came with the job itself."""
        found = self.output.get("inlinedResponses") or self.output.get("inlinedEmbedContentResponses")
        inner = dict_or_empty(found)
        return list_of_dicts(inner.get("inlinedResponses") or inner.get("inlinedEmbedContentResponses") or found)


def describe(job: Batch) -> str:
    """Where a job stands, how old it is and what it has done, for people."""
    counts = [(name, count) for name, count in (("done", job.successful_count), ("failed", job.failed_count),
                                                ("pending", job.pending_count)) if count is not None]
    return f"{job.name} is {job.state}{_age(job)}" + "".join(f", {count:,} {name}" for name, count in counts)


def _age(job: Batch) -> str:
    """How long ago a job was made that has not ended, in minutes: a line for each second would be too many."""
    if job.create_time is None or job.has_ended:
        return ""
    age = datetime.datetime.now(datetime.timezone.utc) - job.create_time
    minutes = max(0, int(age.total_seconds()) // 60)
    return f" for {minutes // 60} h {minutes % 60:02} min"


def check_ended(job: Batch) -> None:
    """ValueError for a job that has not ended; JobFailedError, with the `job`, for one that ended badly."""
    if not job.has_ended:
        raise ValueError(f"{describe(job)}, so it has no results yet: wait for it with client.batches.wait")
    if job.state in _FAILED:
        reason = str_or_none((job.error or {}).get("message")) or "the server gives no reason"
        step = "Hand it in again, in smaller parts, or use client.map." if job.state == "EXPIRED" else \
            "error.job.error says more."
        error = JobFailedError(f"The batch {job.name} ended as {job.state}: {reason}. {step}", reason=job.state)
        error.job = job
        raise error
