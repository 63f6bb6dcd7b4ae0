"""OpenAI messages, Gemini answers and what becomes of them, in short forms for the tests of this folder."""
from __future__ import annotations

import base64
from typing import Any, Dict, List

from gemini_lite import GenerateContentResponse, StreamChunk
from gemini_lite.json_data import JSON
from gemini_lite.openai_compat import chunks_to_openai, from_openai, to_openai
from gemini_lite.testing import FakeGemini

HI: List[JSON] = [{"role": "user", "content": "Hi"}]
PNG = base64.b64encode(b"\x89PNG").decode()
WEATHER: JSON = {"type": "function", "function": {
    "name": "weather", "description": "The weather somewhere.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}
STRICT: JSON = {  # a schema as OpenAI's strict mode wants it
    "type": "object", "properties": {"name": {"type": ["string", "null"]}, "kind": {"enum": ["a", 1, None]}},
    "required": ["name", "kind"], "additionalProperties": False, "$schema": "http://json-schema.org/draft-07/schema#",
}
END: JSON = {"candidates": [{"finishReason": "STOP"}]}
USAGE = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
         "toolUsePromptTokenCount": 3, "totalTokenCount": 25}


def tool_call(name: str = "weather", arguments: object = "{}", id: object = "c1", **extra: object) -> JSON:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **extra}


def calling(*calls: JSON, **fields: object) -> JSON:
    """An assistant message with these tool calls."""
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def tool_result(content: object = "sunny", id: object = "c1", **fields: object) -> JSON:
    return {"role": "tool", "tool_call_id": id, "content": content, **fields}


def original_call(id: str, signature: object = None, **fields: object) -> JSON:
    """A message of AnythingLLM: the result of a call, with the call in it."""
    extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
    return {"role": "function", "name": "weather", "content": "sunny", "originalFunctionCall": {
        "id": id, "name": "weather", "arguments": {"n": id}, **extra}, **fields}


def to_contents(*messages: object, **parameters: Any) -> List[JSON]:
    """The contents for these messages."""
    return from_openai(list(messages), **parameters)[0]


def user_parts(*items: object) -> List[JSON]:
    """The parts of a user's message with these content parts."""
    parts: List[JSON] = to_contents({"role": "user", "content": list(items)})[0]["parts"]
    return parts


def to_overrides(**parameters: Any) -> Dict[str, Any]:
    """The fields of the options that these parameters set."""
    return from_openai(HI, **parameters)[1]


def declared_schema(schema: object) -> Any:
    """What is sent as the parameters of a function with this schema."""
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    return to_overrides(tools=[tool])["tools"][0].get("parametersJsonSchema")


def gemini_answer(*parts: object, **fields: object) -> GenerateContentResponse:
    """An answer with one candidate of these parts; `fields` belong to the candidate or to the answer."""
    event = {name: fields.pop(name) for name in ("usageMetadata", "promptFeedback") if name in fields}
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", **fields}
    return GenerateContentResponse({"candidates": [candidate], **event})


def openai_message(*parts: object, **fields: object) -> Any:
    """The message that a Gemini answer with these parts becomes."""
    return to_openai(gemini_answer(*parts, **fields)).choices[0].message


def openai_chunks(*events: object, **settings: Any) -> List[Any]:
    """The chunks of a stream of these events, each the parts of one candidate or a whole event."""
    whole = [event if isinstance(event, dict) else {"candidates": [{"content": {"parts": event}}]} for event in events]
    return list(chunks_to_openai([StreamChunk(event) for event in whole], **settings))


def sent_request(fake: FakeGemini, number: int = -1) -> JSON:
    """A request that the fake got, without the envelope of Code Assist."""
    generated = [request for request in fake.requests if request.kind == "generate"]
    body: JSON = generated[number].body
    return body.get("request", body)
