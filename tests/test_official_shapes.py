"""The judge of our requests judges: what it knows, and that it fails a test for a field of nobody's."""
from __future__ import annotations

from typing import Any, Dict

import pytest
from official_shapes import _CODE_ASSIST_MESSAGES, _MESSAGES, odd_fields, unknown_fields

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import FakeGemini

pytestmark = [
    pytest.mark.skipif(unknown_fields is None, reason="the stand-in has no strict mode"), pytest.mark.foreign_fields]


@pytest.mark.parametrize("message, api", [
    *((message, "developer") for message in _MESSAGES.values()),
    *((message, "vertex") for message in _CODE_ASSIST_MESSAGES.values())])
def test_the_judge_knows_every_kind_of_request(message: str, api: str) -> None:
    assert unknown_fields({"nonsense": 1}, message, api) == ["nonsense"]


@pytest.mark.parametrize("overrides, odd", [
    ({"temperature": 0, "response_modalities": ["TEXT"], "media_resolution": "low", "speech_config": "Kore",
      "image_config": {"aspectRatio": "1:1"}, "response_logprobs": True, "logprobs": 2, "thinking_level": "low",
      "system_prompt": ["a", "b"], "tools": [{"googleSearch": {}}, {"name": "f", "parametersJsonSchema": {}}],
      "tool_choice": "validated", "response_schema": {"type": "object"}, "labels": {"team": "a"}}, []),
    ({"cached_content": "cachedContents/x"}, []),
    ({"extra": {"topk": 1}}, ["topk"]), ({"extra": {"generationConfig": {"topk": 1}}}, ["generation_config.topk"]),
])
def test_a_field_that_nobody_knows_is_found(overrides: Dict[str, Any], odd: Any) -> None:
    with FakeGemini(lambda request: "{}") as fake:
        with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
            client.generate("Hi", **overrides)
    assert odd_fields(fake.requests[0]) == odd
