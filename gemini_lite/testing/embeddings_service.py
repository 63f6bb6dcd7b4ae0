"""Embeddings for `FakeGemini`: the same text has the same vector, whoever asks and however it is sliced."""
from __future__ import annotations

import hashlib
import json
import math
import struct
from typing import List, Optional

from ..json_data import JSON, dict_or_empty
from .camel_case import as_list
from .replies import Answer, Error, json_answer, token_count
from .request import Request

_FULL_SIZE = 3072
_SIZES = {"text-embedding-005": 768}  # of models whose vectors are shorter


class EmbeddingsService:
    """Answers embedContent, batchEmbedContents, and predict for embeddings; a `FakeGemini` has one.

    `limit` is the most requests in a call, by default that of the API in question: 100, Vertex AI's 250.
    """

    def __init__(self, *, limit: Optional[int] = None) -> None:
        self.limit = limit

    def __call__(self, request: Request) -> Optional[Answer]:
        """The answer to a request for embeddings; None for any other."""
        if request.kind == "embedContent":
            usage = _usage([request.json])
            return json_answer({"embedding": {"values": vector_of(request.json, request.model)}, **usage})
        if request.kind == "batchEmbedContents":
            return self._batch_embed(request)
        return _predict(request) if request.kind == "predict" else None

    def _batch_embed(self, request: Request) -> Answer:
        limit = self.limit or (100 if request.api == "developer" else 250)
        requests = as_list(request.json.get("requests"))
        if len(requests) > limit:
            return Error(400, f"* BatchEmbedContentsRequest.requests: at most {limit} requests can be in one batch")
        if any(item.get("model", "").rpartition("/")[2] not in ("", request.model) for item in requests):
            return Error(400, "* BatchEmbedContentsRequest.model: the models are not the same")
        vectors = [{"values": vector_of(item, request.model)} for item in requests]
        return json_answer({"embeddings": vectors, **_usage(requests)})


def vector(content: object, task_type: str = "", size: int = _FULL_SIZE) -> List[float]:
    """The vector that the fake has for a content, by its parts: of length 1 at its full size of 3072, as the API's."""
    seed = json.dumps([dict_or_empty(content).get("parts", []), task_type], sort_keys=True).encode("utf-8")
    data = hashlib.shake_128(seed).digest(4 * _FULL_SIZE)
    values = [number / 2 ** 31 for number in struct.unpack(f"<{_FULL_SIZE}i", data)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values[:size]]


def vector_of(request: JSON, model: str = "") -> List[float]:
    """The vector for the content of an embedContent request."""
    options = {**request, **dict_or_empty(request.get("embedContentConfig"))}  # Vertex AI's
    return vector(request.get("content"), options.get("taskType") or "", _size(options, model))


def _size(options: JSON, model: str) -> int:
    given = options.get("outputDimensionality")
    return given if type(given) is int and given > 0 else _SIZES.get(model, _FULL_SIZE)


def _usage(requests: List[JSON]) -> JSON:
    tokens = sum(map(token_count, requests))
    return {"usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens}}


def _predict(request: Request) -> Optional[Answer]:
    """The embeddings of Vertex AI's older models; None for other predictions."""
    instances = as_list(request.json.get("instances"))
    if not instances or any("content" not in instance for instance in instances):
        return None
    size = _size(dict_or_empty(request.json.get("parameters")), request.model)
    return json_answer({"predictions": [_prediction(instance, size) for instance in instances]})


def _prediction(instance: JSON, size: int) -> JSON:
    part = {"text": instance["content"]}
    return {"embeddings": {
        "values": vector({"parts": [part]}, instance.get("task_type") or "", size),
        "statistics": {"token_count": token_count(part), "truncated": False}}}
