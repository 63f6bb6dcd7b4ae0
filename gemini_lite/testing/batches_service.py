"""The Batch API for `FakeGemini`: jobs with states over time, results out of order, partial failures, lost answers."""
from __future__ import annotations

import itertools
import json
import re
import threading
from collections import deque
from typing import Callable, Deque, Dict, List, Optional

from ..json_data import JSON, dict_or_empty
from .camel_case import as_list
from .embeddings_service import vector_of
from .files_service import FilesService
from .replies import Answer, Error, Raw, json_answer
from .request import Request
from .service_answers import page

_CREATE = re.compile(r"/[^/]+/models/([^/:]+):(batchGenerateContent|asyncBatchEmbedContent)")
_ONE = re.compile(r"/[^/]+/batches/([^/:]+)(:cancel|:delete)?")
_ALL = re.compile(r"/[^/]+/batches")
_ON_VERTEX = re.compile(r"/[^/]+/(projects/[^/]+/locations/[^/]+/batchPredictionJobs)(/[^/:]+)?(:cancel)?")

_NOW = "2026-11-21T00:00:00Z"
_ENDS = frozenset(("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"))

AnswerOne = Callable[[str, JSON], JSON]  # (key, request) -> {"response": ...} or {"error": ...}


def text_answer(key: str, request: JSON) -> JSON:
    """Every request is answered with "answer KEY", or with the embedding of its content."""
    if "content" in request:
        return {"response": {"embedding": {"values": vector_of(request)}}}
    content = {"role": "model", "parts": [{"text": f"answer {key}"}]}
    return {"response": {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
                         "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}}


def _without_inline_results(job: JSON) -> JSON:
    """A job as lists show it: they say where results are, and hold none."""
    if not {"inlinedResponses", "inlinedEmbedContentResponses"} & job.get("response", {}).keys():
        return job
    fields = {name: value for name, value in job["metadata"].items() if name != "output"}
    return {"name": job["name"], "done": True, "metadata": fields}


class BatchesService:
    """Answers the Batch API; append it, and the `files` it works with, to ``FakeGemini.services``.

    `answer` gives the line for each request; `states` are those that a job goes through, one for each look, in the
    server's own spelling with `prefix`. `by_file` makes even inline jobs answer by file. `lost` scripts the answers to
    the next creations: True loses the answer after the job was made, False before; None answers. Results come in the
    opposite order; those of requests without keys, whose numbers `answer` gets as theirs, in the order of these.

    Vertex AI's jobs read and write the `bucket`, which has the bytes at each ``gs://`` URI.
    """

    def __init__(self, files: Optional[FilesService] = None, answer: AnswerOne = text_answer) -> None:
        self.files = files if files is not None else FilesService()
        self.answer = answer
        self.states: List[str] = ["PENDING", "RUNNING", "SUCCEEDED"]
        self.prefix = "BATCH_STATE_"
        self.by_file = False
        self.lost: Deque[Optional[bool]] = deque()
        self.extra_lines: List[JSON] = []
        self.dropped_keys: List[str] = []
        self.error: Optional[JSON] = None
        self.jobs: Dict[str, JSON] = {}
        self.bucket: Dict[str, bytes] = {}
        self._requests: Dict[str, List[JSON]] = {}
        self._looks: Dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Optional[Answer]:
        """The answer, or None for a request of another API."""
        path = request.bare_path
        created, one, on_vertex = _CREATE.fullmatch(path), _ONE.fullmatch(path), _ON_VERTEX.fullmatch(path)
        with self._lock:
            if on_vertex is not None:
                return self._answer_on_vertex(request, *on_vertex.groups())
            if created is not None and request.method == "POST":
                return self._create(created.group(1), request.json)
            if one is not None:
                return self._one(f"batches/{one.group(1)}", one.group(2), request.method)
            if _ALL.fullmatch(path) and request.method == "GET":
                return self._list("operations", "batches/", request)
        return None

    def _answer_on_vertex(self, request: Request, place: str, id: Optional[str], action: Optional[str]) -> Answer:
        if id is not None:
            return self._one(place + id, action, request.method)
        if request.method == "GET":
            return self._list("batchPredictionJobs", place, request)
        return self._create_on_vertex(place, dict_or_empty(request.body))

    def _create(self, model: str, body: JSON) -> Answer:
        batch = dict_or_empty(body.get("batch"))
        config = dict_or_empty(batch.get("inputConfig"))
        name = config.get("fileName")
        if name is not None:
            if str(name) not in self.files.contents:
                return Error(404, f"The file {name} was not found")
            entries = [json.loads(line) for line in self.files.contents[name].splitlines() if line.strip()]
        else:
            entries = [{"key": (entry.get("metadata") or {}).get("key"), "request": entry["request"]}
                       for entry in as_list(dict_or_empty(config.get("requests")).get("requests"))]
        count = {"requestCount": str(len(entries)), "pendingRequestCount": str(len(entries))}
        return self._add({"name": f"batches/b{next(self._numbers)}", "metadata": {
            "model": f"models/{model}", "displayName": batch.get("displayName"),
            "createTime": _NOW, "state": self.prefix + self.states[0], "batchStats": count,
            "inputConfig": {"fileName": name} if name else {}}}, entries)

    def _create_on_vertex(self, place: str, body: JSON) -> Answer:
        try:
            uri, = body["inputConfig"]["gcsSource"]["uris"]
            body["outputConfig"]["gcsDestination"]["outputUriPrefix"]
        except (KeyError, TypeError, ValueError):
            return Error(400, "FakeGemini's jobs read one file of a bucket and write into a bucket; it has no BigQuery")
        entries = [json.loads(line) for line in self.bucket.get(uri, b"").splitlines() if line.strip()]
        return self._add({"name": f"{place}/{next(self._numbers)}", **body, "createTime": _NOW,
                          "state": "JOB_STATE_" + self.states[0]}, entries)

    def _add(self, job: JSON, entries: List[JSON]) -> Answer:
        """Begin a job, and answer as `lost` says."""
        lost = self.lost.popleft() if self.lost else None
        if lost is not False:
            self.jobs[job["name"]], self._requests[job["name"]] = job, entries
        return json_answer(job) if lost is None else Raw(status=None)

    def _one(self, id: str, action: Optional[str], method: str) -> Answer:
        job = self.jobs.get(id)
        if job is None:
            return Error(404, f"{id} was not found")
        on_vertex = "metadata" not in job
        has_ended = job.get("metadata", job)["state"].partition("STATE_")[2] in _ENDS or job.get("done")
        if action == ":cancel":
            if not has_ended and on_vertex:  # cancels in its own time
                job["state"] = "JOB_STATE_CANCELLING"
            elif not has_ended:
                self._finish(id, "CANCELLED")
            return json_answer({})
        if action == ":delete" or method == "DELETE":
            if on_vertex and not has_ended:
                return Error(400, f"{id} is {job['state']}: only a job that has ended can be deleted",
                             "FAILED_PRECONDITION")
            del self.jobs[id]
            return json_answer({"name": f"{id}/operations/1", "done": True} if on_vertex else {})
        if not has_ended:
            self._advance(id, job)
        return json_answer(job)

    def _advance(self, id: str, job: JSON) -> None:
        """Go on to the state that the next look at a job finds."""
        self._looks[id] = self._looks.get(id, 0) + 1
        state = self.states[min(self._looks[id], len(self.states) - 1)]
        if job.get("state") == "JOB_STATE_CANCELLING":
            self._finish(id, "CANCELLED")
        elif state in _ENDS:
            self._finish(id, state)
        else:
            self._set_state(job, state)

    def _set_state(self, job: JSON, state: str) -> None:
        if "metadata" in job:
            job["metadata"]["state"] = self.prefix + state
        else:
            job["state"] = f"JOB_STATE_{state}"

    def _list(self, key: str, prefix: str, request: Request) -> Answer:
        return page(request, key, [
            _without_inline_results(job) for name, job in self.jobs.items() if name.startswith(prefix)], 10)

    def _finish(self, id: str, state: str) -> None:
        job = self.jobs[id]
        on_vertex = "metadata" not in job
        if on_vertex and not self._requests[id] and state != "CANCELLED":
            state, job["error"] = "FAILED", {"code": 5, "message": f"{job['inputConfig']} has no requests"}
        self._set_state(job, state)
        if not on_vertex:
            job["done"] = True
        if state in ("FAILED", "EXPIRED", "CANCELLED"):
            job.setdefault("error", self.error or {"code": 13, "message": f"the job has {state.lower()}"})
        elif on_vertex:
            self._write_to_bucket(job, self._requests[id])
        else:
            self._write_results(id, job)

    def _write_to_bucket(self, job: JSON, entries: List[JSON]) -> None:
        """Results as Vertex AI writes them: no key, the request as it came, an error as text."""
        lines = []
        for entry in reversed(entries):
            answer = self.answer("", entry["request"])
            status = f"Bad Request: {json.dumps(answer)}" if "error" in answer else ""
            lines.append({"status": status, "processed_time": _NOW, "request": entry["request"],
                          "response": answer.get("response", {})})
        lines += self.extra_lines
        directory = f"{job['outputConfig']['gcsDestination']['outputUriPrefix'].rstrip('/')}/prediction-model-{_NOW}"
        self.bucket[f"{directory}/predictions.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        job["outputInfo"] = {"gcsOutputDirectory": directory}
        failed = sum(bool(line.get("status")) for line in lines)
        job["completionStats"] = {"successfulCount": str(len(lines) - failed), "failedCount": str(failed)}

    def _write_results(self, id: str, job: JSON) -> None:
        entries = self._requests[id]
        if all(entry.get("key") is None for entry in entries):
            lines = [self.answer(str(number), entry["request"]) for number, entry in enumerate(entries)]
        else:
            lines = [{"key": entry["key"], **self.answer(str(entry["key"]), entry["request"])}
                     for entry in reversed(entries) if entry["key"] not in self.dropped_keys]
        lines += self.extra_lines
        failed = sum("error" in line for line in lines)
        job["metadata"]["batchStats"] = {
            "requestCount": str(len(entries)), "successfulRequestCount": str(len(lines) - failed),
            "failedRequestCount": str(failed), "pendingRequestCount": "0"}
        job["response"] = job["metadata"]["output"] = self._output(id, lines)

    def _output(self, id: str, lines: List[JSON]) -> JSON:
        if not (self.by_file or self.jobs[id]["metadata"]["inputConfig"]):
            entries = [{**({"metadata": {"key": line["key"]}} if "key" in line else {}),
                        **{name: value for name, value in line.items() if name != "key"}} for line in lines]
            is_embedding = any("content" in entry["request"] for entry in self._requests[id])
            name = "inlinedEmbedContentResponses" if is_embedding else "inlinedResponses"
            return {name: {"inlinedResponses": entries}}
        name = f"files/batch-{id.rpartition('/')[2]}"
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        self.files.add(data, "application/jsonl", name=name)
        return {"responsesFile": name}
