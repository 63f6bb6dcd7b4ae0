"""What Vertex AI's jobs are made of: requests and results in a bucket of Cloud Storage, or in tables of BigQuery."""
from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Dict, Iterable, Iterator, List, Optional

from ..json_data import JSON, str_or_none
from .batch_requests import BatchRequest, encode_line

HOW_TO_HAND_IN = (
    "Vertex AI reads the requests of a batch from a bucket: write them with client.batches.write_requests("
    "'requests.jsonl', prompts), copy that with 'gcloud storage cp requests.jsonl gs://BUCKET/', and hand in "
    "client.batches.create('gs://BUCKET/requests.jsonl', destination='gs://BUCKET/results/'). client.map answers at "
    "once")
_RESOURCE_PREFIX = re.compile(r"projects/[^/]+/locations/[^/]+/(?=publishers/)")

_encode = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


def job_body(source: str, destination: str, model: str, display_name: str) -> JSON:
    """The ``batchPredictionJobs`` resource to be made; ValueError for URIs that are not gs:// or bq://.

    `model` is its resource name.
    """
    return {"displayName": display_name, "model": _RESOURCE_PREFIX.sub("", model),
            "inputConfig": _input(source), "outputConfig": _output(destination)}


def _input(uri: str) -> JSON:
    if _is_table(uri):
        return {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": uri}}
    return {"instancesFormat": "jsonl", "gcsSource": {"uris": [uri]}}


def _output(uri: str) -> JSON:
    if _is_table(uri):
        return {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": uri}}
    return {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": uri}}


def _is_table(uri: str) -> bool:
    if not re.match(r"(gs|bq)://[^/]", uri):
        raise ValueError(f"Vertex AI reads and writes 'gs://BUCKET/...' or 'bq://PROJECT.DATASET.TABLE', not "
                         f"{uri!r:.100}")
    return uri.startswith("bq://")


def request_line(request: BatchRequest) -> bytes:
    """The line that a bucket's file has for a request, which is documented without a key."""
    return encode_line({"request": request.request})


class KeysByRequest:
    """The keys of requests, to be found by what the service repeats of the requests."""

    def __init__(self, requests: Iterable[BatchRequest]) -> None:
        self.keys: List[str] = []
        self._waiting: Dict[bytes, List[str]] = {}
        for key, request in requests:
            self.keys.append(key)
            self._waiting.setdefault(_fingerprint(request), []).append(key)

    def take(self, request: object) -> Optional[str]:
        """The key of a request that was not taken yet, None if there is none: those that are alike are in turn."""
        keys = self._waiting.get(_fingerprint(request))
        return keys.pop(0) if keys else None


def with_keys(lines: Iterable[JSON], requests: KeysByRequest) -> Iterator[JSON]:
    """The `lines` of a bucket's results, each as the Developer API would have written it: with the key that it answers.

    ValueError if there are lines, and none answers any of the `requests`.
    """
    count = matched = 0
    for count, line in enumerate(lines, 1):
        key, status = requests.take(line.get("request")), str_or_none(line.get("status"))
        matched += key is not None
        yield {"key": key, **({"error": _error(status)} if status else line)}
    if count and not matched:
        raise ValueError("none of these results answers one of these prompts: give the prompts and the options as they "
                         "were given to write_requests")


def _fingerprint(request: object) -> bytes:
    """A hash of what a request says, however the service writes it."""
    try:
        return hashlib.blake2b(_encode(_plain(request)).encode(), digest_size=16).digest()
    except RecursionError:
        return b""


def _plain(value: Any) -> Any:
    """`value` without fields that are null, and with whole numbers as ints: these come back written otherwise."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _error(status: str) -> JSON:
    """The API's error in the text of a line's status, such as ``Bad Request: {"error": {...}}``."""
    try:
        found = json.loads(status[status.index("{"):])
    except (ValueError, RecursionError):
        found = None
    inner = found.get("error", found) if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else {"message": status}
