"""The table of the API's fields, and where it comes from."""
from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest

from gemini_lite.testing import known_fields, unknown_fields

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "make_known_fields.py"


def test_known_fields_are_known_in_either_case() -> None:
    assert unknown_fields({
        "contents": [{"role": "user", "parts": [{"inline_data": {"mime_type": "a/b", "data": ""}}]}],
        "system_instruction": {"parts": {"text": "a"}}, "generationConfig": {"topK": 1, "thinking_config": {
            "thinkingLevel": "LOW"}}, "labels": {"any_Name": "x"}, "cachedContent": "c"}) == []


def test_unknown_fields_are_named_as_googles_errors_name_them() -> None:
    assert unknown_fields({
        "topk": 1, "generationConfig": {"responseFormt": 1}, "contents": [{}, {"parts": [{"text": "a", "txt": 1}]}],
        "tools": [{"functionDeclarations": [{"parameters": {"properties": {
            "a": {"type": "STRING"}, "b": {"const": 1}}}}]}],
    }) == ["topk", "generation_config.responseFormt", "contents[1].parts[0].txt",
           "tools[0].function_declarations[0].parameters.properties[1].value.const"]


def test_what_is_the_callers_own_is_not_looked_at() -> None:
    assert unknown_fields({
        "contents": [{"parts": [{"functionCall": {"name": "f", "args": {"x": 1}}},
                                {"functionResponse": {"name": "f", "response": {"y": 1}}}]}],
        "generationConfig": {"responseJsonSchema": {"const": 1}}}) == []


def test_each_api_has_fields_of_its_own() -> None:
    body = {"generationConfig": {"audioTimestamp": True}}
    assert unknown_fields(body, api="vertex") == []
    assert unknown_fields(body) == ["generation_config.audioTimestamp"]
    part = {"functionCall": {"name": "f", "partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}]}}
    assert unknown_fields(part, "Part", "vertex") == []
    assert unknown_fields(part, "Part") == ["function_call.partialArgs"]


def test_an_unknown_message_or_api_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ValueError, match="GenerateContentRequest"):
        unknown_fields({}, "Nope")
    with pytest.raises(ValueError, match="'developer' or 'vertex'"):
        unknown_fields({}, api="openai")


def test_the_table_is_small() -> None:
    assert len(pathlib.Path(known_fields.__file__).read_bytes()) < 60_000


@pytest.mark.skipif(not TOOL.exists(), reason="the tools are not in a distribution")
@pytest.mark.skipif(importlib.util.find_spec("google") is None
                    or importlib.util.find_spec("google.ai") is None
                    or importlib.util.find_spec("googleapiclient") is None,
                    reason="Google's packages are not installed: see tox -e shapes")
def test_the_table_is_what_the_tool_makes_of_googles_packages() -> None:
    assert subprocess.run([sys.executable, str(TOOL), "--check"], timeout=120).returncode == 0
