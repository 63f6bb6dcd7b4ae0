"""Embeddings for `FakeGemini`: the same text has the same vector, whoever asks and however it is sliced."""
from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from typing import List, Optional
from urllib.parse import unquote, urlsplit

from ..json_data import JSON
from .replies import Answer, Error
from .request import Request
from .service_answers import count_tokens, json_answer

_PATH = re.compile(r"/.+/models/([^/:]+):(batchEmbedContents|embedContent)")


class EmbeddingsService:
    """Answers batchEmbedContents and embedContent; append it to ``FakeGemini.services``.

    `limit` is the most requests in a call.
    """

    def __init__(self, *, limit: int = 100) -> None:
        self.limit = limit

    def __call__(self, request: Request) -> Optional[Answer]:
        """The answer to a request for embeddings; None for any other."""
        path = _PATH.fullmatch(unquote(urlsplit(request.path).path))
        if request.method != "POST" or path is None:
            return None
        body: JSON = request.body if isinstance(request.body, dict) else {}
        if path.group(2) == "embedContent":
            usage = {"promptTokenCount": count_tokens(body)}
            return json_answer({"embedding": {"values": _vector_of(body)}, "usageMetadata": usage})
        requests = body.get("requests") or []
        if len(requests) > self.limit:
            return Error(400, f"* BatchEmbedContentsRequest.requests: at most {self.limit} requests can be in one "
                              "batch")
        if any(item.get("model", "").rpartition("/")[2] not in ("", path.group(1)) for item in requests):
            return Error(400, "* BatchEmbedContentsRequest.model: the models are not the same")
        usage = {"promptTokenCount": sum(count_tokens(item) for item in requests)}
        return json_answer({"embeddings": [{"values": _vector_of(item)} for item in requests], "usageMetadata": usage})


def _vector_of(request: JSON) -> List[float]:
    request = {**request, **(request.get("embedContentConfig") or {})}  # Vertex AI's
    size = request.get("outputDimensionality") or request.get("output_dimensionality") or 3072
    return vector(request.get("content"), request.get("taskType") or request.get("task_type") or "", int(size))


def vector(content: object, task_type: str = "", size: int = 3072) -> List[float]:
    """The vector that the fake has for a content: of length 1 at its full size of 3072, as the API's."""
    parts = content.get("parts", []) if isinstance(content, dict) else []
    seed = json.dumps([parts, task_type], sort_keys=True).encode("utf-8")
    data = hashlib.shake_128(seed).digest(4 * 3072)
    values = [number / 2 ** 31 for number in struct.unpack("<3072i", data)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values[:size]]
