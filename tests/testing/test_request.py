"""A request reads the same however a client spells it."""
from __future__ import annotations

import pytest

from gemini_lite.testing import Request

GENERATE = "/v1beta/models/m:generateContent"
SNAKE = {
    "contents": {"role": "user", "parts": {"inline_data": {"mime_type": "image/png", "data": "eA=="}}},
    "system_instruction": {"parts": [{"text": "s"}]},
    "generation_config": {"thinking_config": {"include_thoughts": True}, "max_output_tokens": 5,
                          "response_schema": {"type": "OBJECT", "properties": {"first_name": {"type": "STRING"}}}},
    "tools": [{"function_declarations": [{"name": "f", "parameters": {
        "type": "OBJECT", "properties": {"user_id": {"type": "INTEGER", "nullable": True}, "any_of": {
            "any_of": [{"type": "STRING"}, {"type": "ARRAY", "items": {"type": "NUMBER"}, "min_items": "1"}]}}}}]}],
}
FUNCTION_SCHEMA = {"type": "object", "properties": {
    "user_id": {"type": ["integer", "null"]},
    "any_of": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "number"}, "minItems": 1}]}}}


def request(body: object, path: str = GENERATE, method: str = "POST") -> Request:
    return Request(method, path, {}, body, 1)


def test_field_names_are_read_in_either_case() -> None:
    seen = request(SNAKE).json
    assert seen["systemInstruction"] == {"parts": [{"text": "s"}]}
    assert seen["generationConfig"]["thinkingConfig"] == {"includeThoughts": True}
    assert seen["generationConfig"]["maxOutputTokens"] == 5


def test_names_that_are_the_callers_keep_their_spelling() -> None:
    call = {"function_call": {"name": "get_it", "args": {"user_id": {"a_b": 1}}}}
    result = {"function_response": {"name": "get_it", "response": {"user_name": "x"}}}
    schema = {"type": "object", "properties": {"a_b": {"min_length": 1}}}
    seen = request({"contents": [{"parts": [call, result]}], "labels": {"cost_center": "a"},
                    "generation_config": {"response_json_schema": schema}}).json
    assert seen["contents"][0]["parts"] == [
        {"functionCall": {"name": "get_it", "args": {"user_id": {"a_b": 1}}}},
        {"functionResponse": {"name": "get_it", "response": {"user_name": "x"}}}]
    assert seen["labels"] == {"cost_center": "a"}
    assert seen["generationConfig"]["responseJsonSchema"] == schema


def test_a_single_content_or_part_reads_as_a_list_of_one() -> None:
    assert request(SNAKE).contents == [
        {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]}]


def test_parameters_of_functions_are_json_schemas_whatever_form_they_came_in() -> None:
    assert request(SNAKE).functions == [{"name": "f", "parametersJsonSchema": FUNCTION_SCHEMA}]
    modern = {"tools": [{"functionDeclarations": [{"name": "f", "parameters_json_schema": FUNCTION_SCHEMA}]},
                        {"google_search": {}}]}
    assert request(modern).tools == [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": FUNCTION_SCHEMA}]}, {"googleSearch": {}}]


def test_the_schema_of_the_answer_is_found_under_each_of_its_names() -> None:
    expected = {"type": "object", "properties": {"first_name": {"type": "string"}}}
    assert request(SNAKE).response_schema == expected
    assert request({"generationConfig": {"responseJsonSchema": expected}}).response_schema == expected
    assert request({"contents": []}).response_schema is None


def test_code_assists_envelope_is_seen_through() -> None:
    sent = request({"model": "m", "project": "p", "request": SNAKE}, "/v1internal:generateContent")
    assert sent.prompt == request(SNAKE).json
    assert (sent.contents, sent.functions) == (request(SNAKE).contents, request(SNAKE).functions)
    assert (sent.api, sent.model, sent.kind) == ("code_assist", "m", "generate")


def test_the_request_itself_is_not_changed() -> None:
    body = {"contents": [{"parts": [{"text": "a"}]}], "generation_config": {"top_k": 1}}
    sent = request(body)
    sent.json["contents"][0]["parts"][0]["text"] = "b"
    assert sent.body == {"contents": [{"parts": [{"text": "a"}]}], "generation_config": {"top_k": 1}}


@pytest.mark.parametrize("path, api, model, kind", [
    ("/v1/models/a:generateContent", "developer", "a", "generate"),
    ("/v1beta/models/vendor/a:streamGenerateContent?alt=sse", "developer", "vendor/a", "generate"),
    ("/v1beta/tunedModels/a:generateContent", "developer", "tunedModels/a", "generate"),
    ("/v1beta/models/a%3Ax:countTokens", "developer", "a", ""),
    ("/v1beta1/projects/p/locations/l/publishers/google/models/a:generateContent", "vertex", "a", "generate"),
    ("/v1/projects/p/locations/l/publishers/google/models/a:predict", "vertex", "a", "predict"),
    ("/v1beta1/publishers/google/models/a:embedContent", "vertex", "a", "embedContent"),
    ("/v1beta1/projects/p/locations/l/endpoints/9:generateContent", "vertex", "endpoints/9", "generate"),
    ("/v1beta1/projects/p/locations/l/cachedContents", "vertex", "", ""),
])
def test_a_path_tells_the_api_the_model_and_the_kind(path: str, api: str, model: str, kind: str) -> None:
    sent = request({}, path)
    assert (sent.api, sent.kind) == (api, kind)
    assert sent.model == model or not kind
