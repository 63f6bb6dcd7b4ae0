"""What goes to Vertex AI has only names that Google's discovery document of the API knows, with values of its types."""
from __future__ import annotations

import json
import pathlib
from typing import Any, Dict, Iterator, List

import pytest
from vertex_fake import FakeVertex

from gemini_lite import GeminiClient, GeminiOptions, VertexAI
from gemini_lite.testing import FakeGemini

client_library = pytest.importorskip("googleapiclient")

DOCUMENT = json.loads(pathlib.Path(client_library.__file__).with_name("discovery_cache").joinpath(
    "documents", "aiplatform.v1beta1.json").read_text("utf-8"))
PREFIX = "GoogleCloudAiplatformV1beta1"
TYPES = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list, "object": dict}


def unknown(value: Any, schema: Dict[str, Any], place: str) -> Iterator[str]:
    """The places in `value` that `schema` does not know, or knows with another type."""
    schema = DOCUMENT["schemas"][schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type", "any")
    if kind != "any" and not isinstance(value, TYPES[kind]):
        yield f"{place}: {value!r} is no {kind}"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from unknown(item, schema["items"], f"{place}[{number}]")
    elif isinstance(value, dict) and kind != "any":
        for name, item in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if known is None:
                yield f"{place}.{name}"
            else:
                yield from unknown(item, known, f"{place}.{name}")


def get_weather(city: str, days: int = 1) -> str:
    """The weather in a city."""
    return "fine"


SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
CASES: List[Dict[str, Any]] = [
    {}, {"system_prompt": "s", "temperature": 0.5, "top_p": 0.9, "top_k": 3, "max_output_tokens": 9, "seed": 1,
         "stop_sequences": ["x"], "candidate_count": 1, "presence_penalty": 0.1, "frequency_penalty": 0.1},
    {"thinking_budget": 10, "include_thoughts": True}, {"thinking_level": "low"},
    {"response_schema": SCHEMA}, {"response_mime_type": "text/plain"}, {"labels": {"team": "a"}},
    {"tools": [{"googleSearch": {}}, {"urlContext": {}}, {"codeExecution": {}}]},
    {"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    {"cached_content": "c1"},
    {"response_modalities": ["TEXT", "IMAGE"], "image_config": {"aspectRatio": "1:1"}}, {"media_resolution": "low"},
    {"speech_config": "Kore", "response_logprobs": True, "logprobs": 3},
    {"extra": {"toolConfig": {"functionCallingConfig": {"streamFunctionCallArguments": True}}}},
]


@pytest.fixture
def client() -> Iterator[GeminiClient]:
    with FakeVertex(lambda request: "ok") as fake:
        with GeminiClient(backend=VertexAI("p", "eu", lambda: "t", base_url=fake.url)) as client:
            client.fake = fake  # type: ignore[attr-defined]
            yield client


def check(fake: FakeGemini) -> None:
    for request in fake.requests:
        method = request.path.split(":")[-1].split("?")[0]
        name = "CountTokensRequest" if method == "countTokens" else "GenerateContentRequest"
        assert [*unknown(request.body, {"$ref": PREFIX + name}, name)] == []


@pytest.mark.parametrize("options", CASES, ids=lambda options: "+".join(options) or "nothing")
def test_every_option_is_sent_by_a_name_that_the_api_has(client: Any, options: Dict[str, Any]) -> None:
    client.generate("Hi", **options)
    client.stream(["Hi", (b"x", "image/png"), {"fileData": {"fileUri": "gs://b/a", "mimeType": "a/b"}}], **options)
    if "cached_content" not in options:
        client.count_tokens("Hi", **options)
    check(client.fake)


def test_a_conversation_with_tools_is_sent_by_names_that_the_api_has(client: Any) -> None:
    client.fake.reply(FakeGemini.call("get_weather", {"city": "Rome"}, id="c1", signature="c2ln"))
    chat = client.chat(tools=[get_weather], tool_choice="any")
    assert chat.send_message("Hi").text == "ok" and len(client.fake.requests) == 2
    check(client.fake)


def test_a_name_that_the_api_has_not_is_found() -> None:
    body = {"contents": [{"parts": [{"text": 1, "nonsense": 2}]}], "session_id": "s"}
    assert len([*unknown(body, {"$ref": PREFIX + "GenerateContentRequest"}, "")]) == 3


def test_every_option_is_in_a_case_or_never_sent_there() -> None:
    named = {name for case in CASES for name in case}
    unsent = {"model", "session_id", "tool_choice", "tool_config", "max_tool_rounds", "parallel_tools",
              "fill_missing_signatures"}
    assert {field for field in GeminiOptions.__dataclass_fields__} - named - unsent == set()
