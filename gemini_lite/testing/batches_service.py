"""The Batch API for `FakeGemini`: jobs with states over time, results out of order, partial failures, lost answers."""
from __future__ import annotations

import itertools
import json
import re
import threading
from collections import deque
from typing import Callable, Deque, Dict, List, Optional
from urllib.parse import parse_qs, urlsplit

from ..json_data import JSON
from .files_service import FilesService
from .replies import Answer, Error, Raw
from .request import Request
from .service_answers import json_answer

_CREATE = re.compile(r"/[^/]+/models/([^/:]+):(batchGenerateContent|asyncBatchEmbedContent)")
_ONE = re.compile(r"/[^/]+/batches/([^/:]+)(:cancel|:delete)?")
_ALL = re.compile(r"/[^/]+/batches")

_ENDS = frozenset(("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"))

AnswerOne = Callable[[str, JSON], JSON]  # (key, request) -> {"response": ...} or {"error": ...}


def text_answer(key: str, request: JSON) -> JSON:
    """Every request is answered with "answer KEY"."""
    content = {"role": "model", "parts": [{"text": f"answer {key}"}]}
    return {"response": {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
                         "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}}


class BatchesService:
    """Answers the Batch API; append it, and the `files` it works with, to ``FakeGemini.services``.

    `answer` gives the line for each request; `states` are those that a job goes through, one for each look, in the
    server's own spelling with `prefix`. `by_file` makes even inline jobs answer by file. `lost` scripts the answers to
    the next creations: True loses the answer after the job was made, False before; None answers. Results come in the
    opposite order.
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
        self._requests: Dict[str, List[JSON]] = {}
        self._looks: Dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Optional[Answer]:
        """The answer, or None for a request of another API."""
        path = urlsplit(request.path).path
        created, one = _CREATE.fullmatch(path), _ONE.fullmatch(path)
        with self._lock:
            if created is not None and request.method == "POST":
                return self._create(created.group(1), request.body)
            if one is not None:
                return self._one(f"batches/{one.group(1)}", one.group(2), request.method)
            if _ALL.fullmatch(path) and request.method == "GET":
                return self._list(parse_qs(urlsplit(request.path).query))
        return None

    def _create(self, model: str, body: JSON) -> Answer:
        lost = self.lost.popleft() if self.lost else None
        if lost is False:
            return Raw(status=None)
        batch = body.get("batch") or {}
        config = batch.get("inputConfig") or batch.get("input_config") or {}
        name = config.get("fileName") or config.get("file_name")
        if name is not None:
            if name not in self.files.contents:
                return Error(404, f"The file {name} was not found")
            entries = [json.loads(line) for line in self.files.contents[name].splitlines() if line.strip()]
        else:
            entries = [{"key": (entry.get("metadata") or {}).get("key"), "request": entry["request"]}
                       for entry in config["requests"]["requests"]]
        id = f"batches/b{next(self._numbers)}"
        count = {"requestCount": str(len(entries)), "pendingRequestCount": str(len(entries))}
        self.jobs[id] = {"name": id, "metadata": {
            "model": f"models/{model}", "displayName": batch.get("displayName", batch.get("display_name")),
            "createTime": "2026-11-21T00:00:00Z", "state": self.prefix + self.states[0], "batchStats": count,
            "inputConfig": {"fileName": name} if name else {}}}
        self._requests[id] = entries
        return Raw(status=None) if lost else json_answer(self.jobs[id])

    def _one(self, id: str, action: Optional[str], method: str) -> Answer:
        if id not in self.jobs:
            return Error(404, f"{id} was not found")
        if action == ":cancel":
            self._finish(id, "CANCELLED")
            return json_answer({})
        if action == ":delete" or method == "DELETE":
            del self.jobs[id]
            return json_answer({})
        if not self.jobs[id].get("done"):
            self._looks[id] = self._looks.get(id, 0) + 1
            state = self.states[min(self._looks[id], len(self.states) - 1)]
            if state not in _ENDS:
                self.jobs[id]["metadata"]["state"] = self.prefix + state
            else:
                self._finish(id, state)
        return json_answer(self.jobs[id])

    def _list(self, query: Dict[str, List[str]]) -> Answer:
        size, start = int(query.get("pageSize", ["10"])[0]), int(query.get("pageToken", ["0"])[0])
        jobs = list(self.jobs.values())
        page: JSON = {"operations": jobs[start:start + size]} if jobs else {}
        return json_answer({**page, "nextPageToken": str(start + size)} if start + size < len(jobs) else page)

    def _finish(self, id: str, state: str) -> None:
        job = self.jobs[id]
        job["done"] = True
        job["metadata"]["state"] = self.prefix + state
        if state in ("FAILED", "EXPIRED", "CANCELLED"):
            job["error"] = self.error or {"code": 13, "message": f"the job has {state.lower()}"}
            return
        lines = [{"key": entry["key"], **self.answer(str(entry["key"]), entry["request"])}
                 for entry in reversed(self._requests[id]) if entry["key"] not in self.dropped_keys]
        lines += self.extra_lines
        failed = sum("error" in line for line in lines)
        job["metadata"]["batchStats"] = {
            "requestCount": str(len(self._requests[id])), "successfulRequestCount": str(len(lines) - failed),
            "failedRequestCount": str(failed), "pendingRequestCount": "0"}
        job["response"] = job["metadata"]["output"] = self._output(id, lines)

    def _output(self, id: str, lines: List[JSON]) -> JSON:
        if not (self.by_file or self.jobs[id]["metadata"]["inputConfig"]):
            entries = [{"metadata": {"key": line["key"]},
                        **{name: value for name, value in line.items() if name != "key"}} for line in lines]
            return {"inlinedResponses": {"inlinedResponses": entries}}
        name = f"files/batch-{id.rpartition('/')[2]}"
        data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        self.files.add(data, "application/jsonl", name=name)
        return {"responsesFile": name}
