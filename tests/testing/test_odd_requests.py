"""Whatever a client sends, the stand-in answers: a thread that dies would look like a broken network."""
from __future__ import annotations

import random
from typing import Any

import pytest
import requests
from testing.prompts import MODEL, VERTEX

from gemini_lite.testing import FakeGemini, Raw, Request
from gemini_lite.testing.request import redacted

PATHS = [
    *(f"{MODEL}:{method}" for method in ("generateContent", "countTokens", "computeTokens", "batchGenerateContent")),
    *(f"/v1beta/models/gemini-embedding-001:{method}" for method in ("embedContent", "batchEmbedContents")),
    "/v1beta/models/gemini-3-pro-preview:generateContent", "/v1internal:generateContent", VERTEX,
    VERTEX.replace("generateContent", "predict"), "/v1beta/cachedContents", "/upload/v1beta/files",
    "/v1beta/interactions", "/v1beta/files?pageSize=x", "/v1beta/interactions/int_1?stream=true&last_event_id=x",
]
NAMES = [
    "contents", "parts", "role", "text", "functionCall", "functionResponse", "name", "args", "response", "fileData",
    "fileUri", "cachedContent", "tools", "functionDeclarations", "parameters", "requests", "content", "model",
    "generationConfig", "responseSchema", "batch", "inputConfig", "file", "config", "instances", "ttl", "metadata",
    "embedContentConfig", "outputDimensionality", "expireTime", "key", "fileName", "request", "input", "stream",
]
LEAVES: Any = [None, 1, 1.5, True, "", "x", "user", "model", "gemini-2.5-flash", "files/old"]


def odd_value(source: random.Random, depth: int) -> Any:
    kind = source.random() if depth else 0
    if kind < 0.3:
        return source.choice(LEAVES)
    if kind < 0.6:
        return [odd_value(source, depth - 1) for _ in range(source.randint(0, 3))]
    return {source.choice(NAMES): odd_value(source, depth - 1) for _ in range(source.randint(0, 4))}


@pytest.mark.parametrize("strict", [True, False])
def test_no_body_breaks_the_stand_in(strict: bool) -> None:
    source = random.Random(21)
    fake = FakeGemini(lambda request: "ok", strict=strict)
    fake.models.append("*")
    fake.expired.add("files/old")
    for _ in range(1500):
        body = odd_value(source, 6)
        if isinstance(body, dict) and source.random() < 0.7:
            body.setdefault("contents", [{"role": "user", "parts": odd_value(source, 3)}])
        headers = {"x-goog-upload-command": source.choice(["start", ""])}
        request = Request(source.choice(["POST", "PATCH", "GET"]), source.choice(PATHS), headers, body, 1)
        assert isinstance(fake._answer(request), Raw)
        assert redacted(request).tools == request.tools
        assert request.response_schema is None or isinstance(request.response_schema, dict)
    assert fake._failures == []


def test_the_developer_api_computes_no_tokens(ask: Any) -> None:
    with FakeGemini(strict=True) as fake:
        answer: requests.Response = ask(fake, f"{MODEL}:computeTokens", {"contents": []})
    assert answer.status_code == 404 and "is not supported for computeTokens" in answer.text
