"""The laws of OpenAI's format: what goes in as messages, tools and parameters, and what comes back."""
from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from typing import Any, Dict, Iterator, List

import pytest

from gemini_lite import (
    AuthenticationError, BadRequestError, CodeAssist, CredentialsError, DeveloperAPI, GeminiClient, GeminiError,
    GeminiOptions, GenerateContentResponse, IncompleteError, NotFoundError, OverloadedError, PermissionDeniedError,
    QuotaExhaustedError, RateLimitError, ServerError, StreamChunk, TransportTimeout,
)
from gemini_lite.openai_compat import OpenAIChat, chunks_to_openai, from_openai, to_openai, to_openai_error
from gemini_lite.testing import FakeGemini, call

HI = [{"role": "user", "content": "Hi"}]
PNG = base64.b64encode(b"\x89PNG").decode()
WEATHER = {"type": "function", "function": {
    "name": "weather", "description": "The weather somewhere.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}


def tool_call(name: str = "weather", arguments: Any = "{}", id: Any = "c1", **extra: Any) -> Dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **extra}


def asks(*calls: Dict[str, Any], **fields: Any) -> Dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def result(content: Any = "sunny", id: Any = "c1", **fields: Any) -> Dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content, **fields}


def contents(*messages: Any, **parameters: Any) -> List[Dict[str, Any]]:
    return from_openai(list(messages), **parameters)[0]


def parts(*items: Any) -> List[Dict[str, Any]]:
    """The parts of a user's message with these content parts."""
    found: List[Dict[str, Any]] = contents({"role": "user", "content": list(items)})[0]["parts"]
    return found


def overrides(**parameters: Any) -> Dict[str, Any]:
    return from_openai(HI, **parameters)[1]


def declared(schema: Any) -> Any:
    """What goes out as the parameters of a function with this schema."""
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    return overrides(tools=[tool])["tools"][0].get("parametersJsonSchema")


def answer(*parts: Any, **fields: Any) -> GenerateContentResponse:
    event = {name: fields.pop(name) for name in ("usageMetadata", "promptFeedback") if name in fields}
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": "STOP", **fields}
    return GenerateContentResponse({"candidates": [candidate], **event})


def message(*parts: Any, **fields: Any) -> Any:
    return to_openai(answer(*parts, **fields)).choices[0].message


def chunks(*events: Any, **settings: Any) -> List[Any]:
    """The chunks of a stream of these events, each the parts of one candidate or an event as it came."""
    whole = [event if isinstance(event, dict) else {"candidates": [{"content": {"parts": event}}]} for event in events]
    return list(chunks_to_openai([StreamChunk(event) for event in whole], **settings))


END: Dict[str, Any] = {"candidates": [{"finishReason": "STOP"}]}


@pytest.fixture(params=["DeveloperAPI", "CodeAssist"])
def client(request: Any, fake: FakeGemini) -> Iterator[GeminiClient]:
    """A client for the fake, by each of the backends."""
    backend: Any = DeveloperAPI("test-key", base_url=fake.url)
    if request.param == "CodeAssist":
        backend = CodeAssist(lambda: "t", project="p", endpoints=fake.code_assist_url)
    with GeminiClient(GeminiOptions(model="gemini-3-pro-preview"), backend=backend) as client:
        yield client


def sent(fake: FakeGemini, number: int = -1) -> Dict[str, Any]:
    """The request, without the envelope of Code Assist."""
    generated = [request for request in fake.requests if request.kind == "generate"]
    body: Dict[str, Any] = generated[number].body
    return body.get("request", body)


# Messages

@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_and_developer_text_is_the_system_prompt_wherever_it_stands(role: str) -> None:
    found, options = from_openai([
        {"role": role, "content": "Be brief."}, *HI, {"role": role, "content": [{"type": "text", "text": "Be kind."}]}])
    assert found == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert options == {"system_prompt": "Be brief.\n\nBe kind."}


def test_without_system_text_the_clients_own_system_prompt_holds() -> None:
    assert "system_prompt" not in from_openai([{"role": "system", "content": ""}, *HI])[1]


def test_user_and_assistant_text_are_turns() -> None:
    assert contents(*HI, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Bye"}) == [
        {"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Hello"}]},
        {"role": "user", "parts": [{"text": "Bye"}]}]


def test_a_picture_in_a_data_url_is_inline_data() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG, "detail": "high"}}
    assert parts({"type": "text", "text": "What is it?"}, image) == [
        {"text": "What is it?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}]


def test_a_data_url_may_be_percent_encoded() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}}
    assert parts(image) == [{"inlineData": {"mimeType": "image/svg+xml", "data": base64.b64encode(b"<svg/>").decode()}}]


@pytest.mark.parametrize("url", ["data:,a", "data:;base64,YQ=="])
def test_a_data_url_without_a_type_is_plain_text(url: str) -> None:
    assert parts({"type": "image_url", "image_url": {"url": url}}) == [
        {"inlineData": {"mimeType": "text/plain", "data": "YQ=="}}]


def test_a_picture_elsewhere_is_refused_with_the_reason_and_its_place() -> None:
    with pytest.raises(ValueError, match=r"messages\[0\]\.content\[1\].*https://x/cat\.png.*fetch it"):
        parts({"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x/cat.png"}})


def test_input_audio_is_inline_data() -> None:
    assert parts({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}) == [
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}]


@pytest.mark.parametrize("file", [
    {"file_data": "data:application/pdf;base64,AAAA", "filename": "x"}, {"file_data": "AAAA", "filename": "x.pdf"}])
def test_a_file_is_inline_data(file: Dict[str, str]) -> None:
    assert parts({"type": "file", "file": file}) == [{"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}]


@pytest.mark.parametrize("part, reason", [
    ({"type": "file", "file": {"file_id": "file-1"}}, "OpenAI's store"),
    ({"type": "file", "file": {"file_data": "AAAA"}}, "MIME type"),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA"}}, "padding"),
    ({"type": "image_url", "image_url": "data:,"}, r"image_url\.url must be a string"),
    ({"type": "video_url"}, "video_url"),
    ({"type": "text", "text": None}, "must be a string"),
    ("text", "is no part"),
])
def test_a_part_that_cannot_be_sent_is_refused_by_its_place(part: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=r"messages\[0\]\.content\[0\].*" + reason):
        parts(part)


def test_neighbours_of_one_role_are_one_turn() -> None:
    said = {"role": "assistant", "content": "a"}
    assert contents(*HI, *HI, said, said, *HI) == [
        {"role": "user", "parts": [{"text": "Hi"}] * 2}, {"role": "model", "parts": [{"text": "a"}] * 2},
        {"role": "user", "parts": [{"text": "Hi"}]}]


def test_empty_text_is_no_part_and_an_empty_message_no_turn() -> None:
    assert contents(*HI, {"role": "assistant", "content": ""}, {"role": "user", "content": [
        {"type": "text", "text": ""}, {"type": "text", "text": "a"}]}) == [
            {"role": "user", "parts": [{"text": "Hi"}, {"text": "a"}]}]


def test_a_call_and_its_result_are_a_models_turn_and_a_users() -> None:
    assert contents(*HI, asks(tool_call(arguments='{"place": "Rome"}'), content="Let me see."), result()) == [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [
            {"text": "Let me see."}, {"functionCall": {"id": "c1", "name": "weather", "args": {"place": "Rome"}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "sunny"}}}]}]


def test_consecutive_results_are_one_turn_in_the_order_of_the_calls() -> None:
    turn = contents(*HI, asks(tool_call("a", id="1"), tool_call("b", id="2")), result("B", "2"), result("A", "1"))[-1]
    assert [part["functionResponse"]["response"] for part in turn["parts"]] == [{"result": "A"}, {"result": "B"}]


def test_the_name_of_a_result_comes_from_the_calls_id() -> None:
    turn = contents(*HI, asks(tool_call("weather")), result(name="another"))[-1]
    assert turn["parts"][0]["functionResponse"]["name"] == "weather"


def test_one_function_called_twice_in_a_turn_gets_both_results_where_they_belong() -> None:
    turn = contents(*HI, asks(tool_call(id="1"), tool_call(id="2")), result("two", "2"), result("one", "1"))[-1]
    assert [part["functionResponse"]["response"]["result"] for part in turn["parts"]] == ["one", "two"]


@pytest.mark.parametrize("content, response", [
    ("sunny", {"result": "sunny"}), ('{"t": 20}', {"t": 20}), ("[1, 2]", {"result": [1, 2]}), (None, {"result": ""}),
    ("1e5", {"result": "1e5"}), ("null", {"result": "null"}), ('{"t": NaN}', {"result": '{"t": NaN}'}),
    ('{"$ref": "#/a"}', {"result": '{"$ref": "#/a"}'}), ("{}", {}),
    ([{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}], {"result": "sunny"}),
])
def test_a_result_that_is_a_json_object_is_the_response_and_anything_else_its_result(
        content: Any, response: Dict[str, Any]) -> None:
    turn = contents(*HI, asks(tool_call()), result(content))[-1]
    assert turn["parts"][0]["functionResponse"]["response"] == response


def test_legacy_function_messages_are_calls_and_results() -> None:
    found = contents(*HI, {"role": "assistant", "function_call": {"name": "weather", "arguments": '{"a": 1}'}},
                     {"role": "function", "name": "weather", "content": "sunny"})
    assert found[1:] == [
        {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "sunny"}}}]}]


def original(id: str, signature: Any = None, **fields: Any) -> Dict[str, Any]:
    """A message of AnythingLLM's: a result with its call."""
    extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
    return {"role": "function", "name": "weather", "content": "sunny", "originalFunctionCall": {
        "id": id, "name": "weather", "arguments": {"n": id}, **extra}, **fields}


def test_a_function_message_with_its_original_call_is_a_call_and_its_result() -> None:
    assert contents(*HI, original("c1", "S"))[1:] == [
        {"role": "model", "parts": [
            {"functionCall": {"id": "c1", "name": "weather", "args": {"n": "c1"}}, "thoughtSignature": "S"}]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "sunny"}}}]}]


def test_original_calls_without_a_signature_join_the_parallel_calls_before_them() -> None:
    found = contents(*HI, original("1", "S"), original("2"), original("3", "T"), original("4"))
    ids = [[(part.get("functionCall") or part["functionResponse"])["id"] for part in turn["parts"]]
           for turn in found[1:]]
    assert [turn["role"] for turn in found] == ["user", "model", "user", "model", "user"]
    assert ids == [["1", "2"], ["1", "2"], ["3", "4"], ["3", "4"]]
    assert [part.get("thoughtSignature") for turn in found[1::2] for part in turn["parts"]] == ["S", None, "T", None]


def test_original_calls_of_a_model_without_signatures_are_one_turn() -> None:
    found = contents(*HI, original("1"), original("2"), *HI, original("3"))
    assert [len(turn["parts"]) for turn in found] == [1, 2, 2, 1, 1, 1]


def test_system_text_between_calls_and_their_results_is_taken_out() -> None:
    found, options = from_openai([*HI, asks(tool_call()), {"role": "system", "content": "Quick."}, result()])
    assert [turn["role"] for turn in found] == ["user", "model", "user"]
    assert options["system_prompt"] == "Quick."


@pytest.mark.parametrize("between", [HI[0], {"role": "assistant", "content": "a"}])
def test_nothing_else_may_stand_between_calls_and_their_results(between: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"messages\[1\] calls .* before messages\[2\]; owed: weather \(id c1\)"):
        contents(*HI, asks(tool_call()), between, result())


def test_human_text_never_joins_an_answer_turn() -> None:
    found = contents(*HI, asks(tool_call()), result(), {"role": "user", "content": "Well?"})
    assert [list(part) for turn in found[2:] for part in turn["parts"]] == [["functionResponse"], ["text"]]
    assert [len(turn["parts"]) for turn in found[2:]] == [1, 1]


@pytest.mark.parametrize("messages, place", [
    ([*HI, result()], r"messages\[1\] is the result of a call that is not there \(id 'c1'\)"),
    ([*HI, asks(tool_call()), result(), result()], r"messages\[3\] is the result of a call"),
    ([*HI, asks(tool_call()), result(id="c2")], r"messages\[2\].*'c2'.*owed: weather \(id c1\)"),
    ([*HI, {"role": "function", "name": "weather", "content": "lost"}], r"messages\[1\].*\(name 'weather'\)"),
    ([*HI, asks(tool_call(id=None)), {"role": "tool", "content": "whose?"}], r"messages\[2\].*\(name None\)"),
])
def test_a_result_without_a_call_is_an_error_that_names_the_message(messages: List[Any], place: str) -> None:
    with pytest.raises(ValueError, match=place):
        from_openai(messages)


@pytest.mark.parametrize("messages", [
    [*HI, asks(tool_call())], [*HI, asks(tool_call(), tool_call(id="c2")), result()],
    [*HI, asks(tool_call()), asks(tool_call(id="c2")), result(id="c2")],
])
def test_a_call_without_a_result_is_an_error_that_names_the_message(messages: List[Any]) -> None:
    with pytest.raises(ValueError, match=r"messages\[1\] calls functions whose results do not come before"):
        from_openai(messages)


@pytest.mark.parametrize("arguments", ["", "{", "[1]", '"a"', "null", None, 3, '{"a": NaN}', "[" * 100000])
def test_arguments_that_are_no_json_object_are_an_error_that_names_the_message(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"messages\[1\]\.tool_calls\[0\] has arguments that are no JSON"):
        contents(*HI, asks(tool_call(arguments=arguments)), result())


@pytest.mark.parametrize("bad, place", [
    ({"role": "boss", "content": "a"}, r"messages\[1\] has the role 'boss'"), ({}, r"messages\[1\] has the role None"),
    ("Hi", r"messages\[1\] is no dict"), ({"role": "user", "content": 3}, r"messages\[1\]\.content must be"),
    ({"role": "user", "content": b"a"}, r"messages\[1\]\.content"),
    ({"role": "assistant", "content": [{"type": "image_url"}]}, r"messages\[1\]\.content\[0\] is image_url"),
    (asks({"id": "c1"}), r"messages\[1\]\.tool_calls\[0\]\.name must be a string"),
])
def test_a_message_that_cannot_be_read_is_an_error_that_names_it(bad: Any, place: str) -> None:
    with pytest.raises((ValueError, TypeError), match=place):
        contents(*HI, bad)


@pytest.mark.parametrize("messages", [[], [{"role": "system", "content": "a"}], [{"role": "user", "content": ""}]])
def test_messages_without_anything_to_answer_are_an_error(messages: List[Any]) -> None:
    with pytest.raises(ValueError, match="nothing to answer"):
        from_openai(messages)


def test_messages_that_are_no_list_are_an_error() -> None:
    with pytest.raises(TypeError, match="messages is a list"):
        from_openai("Hi")


def test_a_refusal_is_what_the_assistant_said() -> None:
    assert contents(*HI, {"role": "assistant", "content": None, "refusal": "No."}, *HI)[1]["parts"] == [{"text": "No."}]


def test_the_callers_objects_are_untouched() -> None:
    extra = {"google": {"thought_signature": "S", "parts": [{"text": "", "thoughtSignature": "S"}]}}
    messages = [*HI, asks(tool_call(arguments={"a": [1]}), content="a", extra_content=extra), result(), *HI,
                original("1", "S"), original("2")]
    given = {"messages": messages, "tools": [WEATHER], "stop": ["x"], "response_format": {
        "type": "json_schema", "json_schema": {"schema": {"$defs": {"A": {"items": [{}]}}, "$ref": "#/$defs/A"}}}}
    before = copy.deepcopy(given)
    found, options = from_openai(**given)
    assert given == before
    for turn in found:
        turn["parts"].clear()
    options["tools"][0]["parametersJsonSchema"].clear()
    assert given == before


# Tools

def test_a_function_is_a_declaration() -> None:
    assert overrides(tools=[WEATHER])["tools"] == [{
        "name": "weather", "description": "The weather somewhere.",
        "parametersJsonSchema": WEATHER["function"]["parameters"]}]  # type: ignore[index]


@pytest.mark.parametrize("schema", [
    None, {}, {"type": "object", "properties": {}}, {"type": "object", "properties": {}, "required": [],
                                                     "additionalProperties": False}])
def test_a_function_without_parameters_has_no_schema(schema: Any) -> None:
    assert declared(schema) is None


def test_parameters_that_are_open_are_kept_without_properties() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    assert declared(schema) == schema


PYDANTIC = {
    "$defs": {
        "Colour": {"enum": ["red", "green"], "title": "Colour", "type": "string"},
        "Cat": {"properties": {"kind": {"const": "cat", "title": "Kind", "type": "string"}}, "required": ["kind"],
                "title": "Cat", "type": "object"},
        "Dog": {"properties": {"kind": {"const": "dog", "title": "Kind", "type": "string"}}, "required": ["kind"],
                "title": "Dog", "type": "object"},
    },
    "additionalProperties": False,
    "properties": {
        "age": {"anyOf": [{"exclusiveMinimum": 0, "multipleOf": 2, "type": "integer"}, {"type": "null"}],
                "default": None, "title": "Age"},
        "colour": {"$ref": "#/$defs/Colour"},
        "pair": {"maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}],
                 "type": "array"},
        "tags": {"items": {"type": "string"}, "type": "array", "uniqueItems": True},
        "by_name": {"additionalProperties": {"type": "number"}, "propertyNames": {"pattern": "^a"}, "type": "object"},
        "pet": {"discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "title": "Pet"},
        "when": {"examples": ["now"], "format": "date-time", "type": "string"},
        "any": {"title": "Any"},
    },
    "required": ["colour", "pair", "pet"], "title": "Thing", "type": "object",
}


def test_what_pydantic_writes_goes_out_as_it_is() -> None:
    assert declared(PYDANTIC) == PYDANTIC


STRICT = {
    "type": "object", "properties": {"name": {"type": ["string", "null"]}, "kind": {"enum": ["a", 1, None]}},
    "required": ["name", "kind"], "additionalProperties": False, "$schema": "http://json-schema.org/draft-07/schema#",
}


def test_what_strict_mode_wants_goes_out_as_it_is() -> None:
    assert declared(STRICT) == STRICT


def test_names_of_properties_are_no_keywords() -> None:
    schema = {"type": "object", "properties": {
        "$ref": {"type": "string"}, "definitions": {"type": "string"}, "$defs": {"type": "string"},
        "items": {"type": "array", "items": {"type": "string"}}, "additionalProperties": {"type": "boolean"}}}
    assert declared(schema) == schema


def test_data_in_a_schema_is_no_schema() -> None:
    data = {"a": {"$ref": "#/x", "definitions": 1, "items": []}}
    schema = {"type": "object", "properties": {"a": {"default": data, "enum": [data["a"]], "const": data["a"]}}}
    assert declared(schema) == schema


def test_what_is_required_may_be_described_elsewhere() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"required": ["x"]}}}
    assert declared(schema) == schema


def test_a_reference_has_no_keywords_beside_it() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "the one"}},
              "$defs": {"A": {"type": "string"}}}
    assert declared(schema)["properties"]["a"] == {"anyOf": [{"$ref": "#/$defs/A"}], "description": "the one"}
    schema["properties"]["a"] = {"$ref": "#/$defs/A", "anyOf": [{"maxLength": 1}]}  # type: ignore[index]
    assert declared(schema)["properties"]["a"] == {"allOf": [{"$ref": "#/$defs/A"}], "anyOf": [{"maxLength": 1}]}


@pytest.mark.parametrize("reference, schema", [
    ("#/definitions/A", {"properties": {"a": {"$ref": "#/definitions/A"}}, "definitions": {"A": {"type": "null"}}}),
    ("#/properties/A", {"properties": {"a": {"$ref": "#/properties/A"}, "A": {"type": "null"}}}),
    ("in definitions", {"properties": {"a": {"$ref": "#/definitions/B/properties/A"}},
                        "definitions": {"B": {"properties": {"A": {"type": "null"}}}}}),
    ("escaped", {"properties": {"a": {"$ref": "#/%24defs/x~1A"}}, "$defs": {"x/A": {"type": "null"}}}),
    ("in a list", {"properties": {"a": {"$ref": "#/anyOf/0"}}, "anyOf": [{"type": "null"}]}),
])
def test_a_reference_leads_into_defs_wherever_it_led(reference: str, schema: Dict[str, Any]) -> None:
    found = declared({"type": "object", **schema})
    name = found["properties"]["a"]["$ref"][len("#/$defs/"):]
    assert found["$defs"] == {name: {"type": "null"}} and "definitions" not in found


def test_two_definitions_of_one_name_are_both_kept() -> None:
    found = declared({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/definitions/A"}},
                      "$defs": {"A": {"type": "string"}}, "definitions": {"A": {"type": "null"}}})
    assert found["$defs"] == {"A": {"type": "string"}, "A_": {"type": "null"}}
    assert found["properties"] == {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A_"}}


def test_a_root_that_is_a_reference_says_itself_what_it_is() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert declared({"$ref": "#/$defs/Node", "$defs": {"Node": node}, "description": "a list"}) == {
        **node, "$defs": {"Node": node}, "description": "a list"}


@pytest.mark.parametrize("reference", ["#", "#/$defs/Node"])
def test_what_leads_back_to_itself_is_not_required(reference: str) -> None:
    def node() -> Dict[str, Any]:
        return {"type": "object", "required": ["name", "next", "all"], "properties": {
            "name": {"type": "string"}, "next": {"anyOf": [{"$ref": reference}, {"type": "null"}]},
            "all": {"type": "array", "items": {"$ref": reference}}}}
    found = declared({**node(), "$defs": {"Node": node()}})
    assert [body["required"] for body in found["$defs"].values()] == [["name"]]


def test_what_leads_back_by_way_of_another_type_is_not_required() -> None:
    def one(other: str) -> Dict[str, Any]:
        return {"type": "object", "properties": {"x": {"$ref": "#/$defs/" + other}}, "required": ["x"]}
    found = declared({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"],
                      "$defs": {"A": one("B"), "B": one("A"), "C": one("D"), "D": {"type": "null"}}})
    assert found["required"] == ["a"] and found["$defs"]["A"]["required"] == found["$defs"]["B"]["required"] == []


def test_a_tuple_of_the_old_form_has_prefix_items() -> None:
    found = declared({"type": "object", "properties": {
        "a": {"type": "array", "items": [{"type": "string"}], "additionalItems": {"type": "null"}},
        "b": {"type": "array", "items": [{"items": [{}]}]}}})
    assert found["properties"] == {
        "a": {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}},
        "b": {"type": "array", "prefixItems": [{"prefixItems": [{}]}]}}


@pytest.mark.parametrize("reference", ["#/$defs/B", "other.json", 3, "#/type/0"])
def test_a_reference_to_nothing_is_an_error_that_names_the_tool(reference: Any) -> None:
    with pytest.raises(ValueError, match=r"tools\[0\]\.function\.parameters refers to"):
        declared({"type": "object", "properties": {"a": {"$ref": reference}}})


@pytest.mark.parametrize("tool", [
    {"type": "custom", "custom": {"name": "f"}}, {"type": "function"}, {"type": "function", "function": {}}, "f",
    {"type": "function", "function": {"name": "f", "parameters": "none"}}])
def test_a_tool_that_is_no_function_is_an_error_that_names_it(tool: Any) -> None:
    with pytest.raises(ValueError, match=r"tools\[1\]"):
        overrides(tools=[WEATHER, tool])


def test_only_an_illegal_name_travels_under_another_and_comes_back_as_it_was(
        client: GeminiClient, fake: FakeGemini) -> None:
    names = ["weather", "gtc__weather", "1st", "get weather", "get_weather"]
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    wire = ["weather", "gtc__weather", "_1st", "get_weather_2", "get_weather"]
    fake.reply([call(name, {}) for name in wire])
    found = OpenAIChat(client).create(messages=HI, tools=tools).choices[0].message
    assert [declared["name"] for declared in sent(fake)["tools"][0]["functionDeclarations"]] == wire
    assert [one.function.name for one in found.tool_calls] == names
    fake.reply("a")
    results = [result(id=one.id) for one in found.tool_calls]
    OpenAIChat(client).create(messages=[*HI, found, *results], tools=tools)
    assert [part["functionCall"]["name"] for part in sent(fake)["contents"][1]["parts"]] == wire
    assert [part["functionResponse"]["name"] for part in sent(fake)["contents"][2]["parts"]] == wire


def test_the_name_of_a_tool_that_is_gone_is_lawful_in_the_history() -> None:
    assert contents(*HI, asks(tool_call("9 lives")), result())[1]["parts"][0]["functionCall"]["name"] == "_9_lives"


@pytest.mark.parametrize("choice, mode", [
    ("auto", {"mode": "AUTO"}), ("none", {"mode": "NONE"}), ("required", {"mode": "ANY"}),
    ({"type": "function", "function": {"name": "weather"}}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [WEATHER]}},
     {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
])
def test_tool_choice_is_a_mode_and_names(
        client: GeminiClient, fake: FakeGemini, choice: Any, mode: Dict[str, Any]) -> None:
    fake.reply("a")
    OpenAIChat(client).create(messages=HI, tools=[WEATHER], tool_choice=choice)
    assert sent(fake)["toolConfig"] == {"functionCallingConfig": mode}


def test_a_forced_function_that_is_named_like_a_mode_is_a_name() -> None:
    choice = {"type": "function", "function": {"name": "auto"}}
    assert overrides(tools=[{"type": "function", "function": {"name": "auto"}}], tool_choice=choice)["tool_choice"] == [
        "auto"]


@pytest.mark.parametrize("choice", [
    "any", "weather", {}, {"type": "function"}, {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}, 3])
def test_another_tool_choice_is_an_error(choice: Any) -> None:
    with pytest.raises(ValueError, match="tool_choice"):
        overrides(tools=[WEATHER], tool_choice=choice)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_tools_there_is_nothing_to_choose(choice: str) -> None:
    assert overrides(tools=[], tool_choice=choice) == {}
    assert overrides(tools=[WEATHER], tool_choice=choice)["tool_choice"] == choice


def test_a_choice_without_tools_may_be_among_the_clients_own() -> None:
    assert overrides(tool_choice="required") == {"tool_choice": "any"}


def test_parallel_calls_have_one_index_each_over_the_whole_stream() -> None:
    found = chunks([call("a", {})], [call("b", {"x": 1}, "B"), call("a", {})], END)
    calls = [one for chunk in found for one in chunk.choices[0].delta.tool_calls or ()]
    assert [one.index for one in calls] == [0, 1, 2]
    assert [(one.function.name, one.function.arguments) for one in calls] == [
        ("a", "{}"), ("b", '{"x": 1}'), ("a", "{}")]


def test_ids_of_calls_are_kept_or_made_up_once() -> None:
    ids = [one.id for one in message(call("a", {}, "given"), call("a", {}), call("a", {})).tool_calls]
    assert ids[0] == "given" and len(set(ids)) == 3 and all(ids)


@pytest.mark.parametrize("model, kept", [
    ("gemini-3-pro-preview", True), ("gemini-3.5-flash", True), ("gemini-flash-latest", True), (None, True),
    ("gemini-10-pro", True), ("gemini-2.5-pro", False), ("models/gemini-2.0-flash", False), ("gemini-1.5-pro", False),
    ("gemma-3-27b-it", False)])
def test_ids_are_sent_back_to_the_models_that_take_them(model: Any, kept: bool) -> None:
    found = contents(*HI, asks(tool_call()), result(), model=model)
    assert ("id" in found[1]["parts"][0]["functionCall"]) is kept
    assert ("id" in found[2]["parts"][0]["functionResponse"]) is kept


# Signatures

@pytest.mark.parametrize("where", [
    {"extra_content": {"google": {"thought_signature": "S"}}}, {"thought_signature": "S"},
    {"extra_content": {"vertex": {"thought_signature": "S"}}}])
def test_a_calls_signature_is_accepted_in_its_three_places(where: Dict[str, Any]) -> None:
    assert contents(*HI, asks(tool_call(**where)), result())[1]["parts"][0]["thoughtSignature"] == "S"


def test_a_calls_signature_comes_out_beside_it_and_nowhere_else() -> None:
    first, second = message(call("a", {}, "1", "S"), call("a", {}, "2")).tool_calls
    assert first.extra_content == {"google": {"thought_signature": "S"}} and "extra_content" not in second


@pytest.mark.parametrize("said", [
    [{"text": "Hi", "thoughtSignature": "S"}],
    [{"text": "Hi"}, {"text": "", "thoughtSignature": "S"}],
    [{"text": "", "thoughtSignature": "S"}],
    [{"text": "a", "thoughtSignature": "S"}, {"text": "b"}, {"text": "c", "thoughtSignature": "T"}],
    [{"text": "why", "thought": True, "thoughtSignature": "S"}, {"text": "so"}],
    [{"text": "See:"}, {"inlineData": {"mimeType": "image/png", "data": PNG}, "thoughtSignature": "S"}, {"text": "!"}],
    [{"text": "Hi"}, {"text": "", "thoughtSignature": "S"}, call("a", {"x": 1}, "1", "T"), call("b", {}, "2")],
    [{"text": "Hi"}],
])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_the_model_said_goes_back_as_it_came(said: List[Dict[str, Any]], streamed: bool) -> None:
    found: Any = {"role": "assistant", "content": "", "tool_calls": []}
    if streamed:
        for chunk in chunks(*[[part] for part in said], END):
            for key, value in chunk.choices[0].delta.items():
                found[key] = found[key] + value if key in ("content", "tool_calls") else value
    else:
        found = message(*said)
    replies = [result(id=one["id"]) for one in found.get("tool_calls", ())]
    assert contents(*HI, found, *replies)[1] == {"role": "model", "parts": said}


def test_a_signed_texts_signature_is_on_the_message() -> None:
    assert message({"text": "Hi", "thoughtSignature": "S"}).extra_content == {"google": {"thought_signature": "S"}}


def test_what_content_cannot_say_is_beside_it() -> None:
    empty, picture = {"text": "", "thoughtSignature": "S"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert message({"text": "Hi"}, empty).extra_content == {"google": {"thought_signature": "S", "parts": [empty]}}
    assert message({"text": "Hi"}, picture).extra_content == {"google": {"parts": [picture]}}


def test_a_text_that_was_edited_loses_its_signatures() -> None:
    found = message({"text": "a", "thoughtSignature": "S"}, {"text": "b", "thoughtSignature": "T"})
    assert contents(*HI, {**found, "content": "x"})[1]["parts"] == [{"text": "x"}]
    assert len(contents(*HI, {**found, "content": ""})) == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_two_replayed_turns_still_carry_every_signature(
        client: GeminiClient, fake: FakeGemini, streamed: bool) -> None:
    first = [{"text": "Let me see.", "thoughtSignature": "A"}, call("weather", {"place": "Rome"}, "1", "B"),
             call("weather", {"place": "Oslo"}, "2")]
    second = [call("weather", {"place": "Bern"}, "3", "C")]
    third = [{"text": "Sun"}, {"text": "", "thoughtSignature": "D"}]
    for said in (first, second, third, [{"text": "Bye"}]):
        fake.reply(*said)
    create = OpenAIChat(client).chat.completions.create
    messages: List[Any] = list(HI)
    for _ in range(3):
        if streamed:
            reply: Any = {"role": "assistant", "content": "", "tool_calls": []}
            for chunk in create(messages=messages, tools=[WEATHER], stream=True):
                for key, value in chunk.choices[0].delta.items():
                    reply[key] = reply[key] + value if key in ("content", "tool_calls") else value
        else:
            reply = create(messages=messages, tools=[WEATHER]).choices[0].message
        messages += [reply, *(result("sunny", one["id"]) for one in reply.get("tool_calls") or ())]
        if not reply.get("tool_calls"):
            messages += HI
    create(messages=messages, tools=[WEATHER])
    assert [turn["parts"] for turn in sent(fake)["contents"] if turn["role"] == "model"] == [first, second, third]


# Finish reasons, usage, reasoning

@pytest.mark.parametrize("reason, finish", [
    ("STOP", "stop"), ("OTHER", "stop"), ("A_NEW_ONE", "stop"), (None, "stop"), ("MAX_TOKENS", "length"),
    ("SAFETY", "content_filter"), ("RECITATION", "content_filter"), ("BLOCKLIST", "content_filter"),
    ("PROHIBITED_CONTENT", "content_filter"), ("SPII", "content_filter"), ("IMAGE_SAFETY", "content_filter"),
])
def test_the_finish_reason_is_said_in_openais_words(reason: Any, finish: str) -> None:
    assert to_openai(answer({"text": "a"}, finishReason=reason)).choices[0].finish_reason == finish
    if reason:
        last = chunks([{"text": "a"}], {"candidates": [{"finishReason": reason}]})[-1]
        assert last.choices[0].finish_reason == finish


def test_calls_make_the_finish_reason_tool_calls_unless_the_answer_was_cut() -> None:
    assert to_openai(answer(call("a", {}))).choices[0].finish_reason == "tool_calls"
    assert chunks([call("a", {})], END)[-1].choices[0].finish_reason == "tool_calls"
    assert to_openai(answer(call("a", {}), finishReason="MAX_TOKENS")).choices[0].finish_reason == "length"


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_that_cannot_be_run_is_an_error(client: GeminiClient, fake: FakeGemini, reason: str) -> None:
    for streamed in (False, True):
        fake.reply("a", finishReason=reason)
        with pytest.raises(IncompleteError, match=reason):
            list(OpenAIChat(client).create(messages=HI, stream=streamed))
    with pytest.raises(IncompleteError, match=reason):
        to_openai(answer(finishReason=reason))


def test_text_that_came_with_a_call_is_kept() -> None:
    found = message({"text": "Let me see."}, call("a", {}))
    assert found.content == "Let me see." and len(found.tool_calls) == 1


def test_content_is_none_only_beside_calls() -> None:
    assert message(call("a", {})).content is None and message().content == ""


USAGE = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
         "toolUsePromptTokenCount": 3, "totalTokenCount": 25}


def test_usage_has_cached_and_reasoning_tokens_and_its_totals_agree() -> None:
    assert to_openai(answer({"text": "a"}, usageMetadata=USAGE)).usage == {
        "prompt_tokens": 13, "completion_tokens": 12, "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 7}}


def test_numbers_that_did_not_come_are_none_and_no_usage_is_made_up() -> None:
    assert to_openai(answer({"text": "a"})).usage is None
    found = to_openai(answer({"text": "a"}, usageMetadata={"promptTokenCount": 1, "totalTokenCount": 1})).usage
    assert found.prompt_tokens_details.cached_tokens is found.completion_tokens_details.reasoning_tokens is None
    assert found.total_tokens == 1


def test_include_usage_sends_the_last_numbers_once_at_the_end() -> None:
    early = {"promptTokenCount": 10, "candidatesTokenCount": 1, "totalTokenCount": 11}
    events = [{"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": early},
              {**END, "usageMetadata": USAGE}]
    found = chunks(*events, include_usage=True)
    assert found[-1].choices == [] and found[-1].usage.total_tokens == 25
    assert all(chunk["usage"] is None for chunk in found[:-1])
    assert all("usage" not in chunk for chunk in chunks(*events))
    assert len(chunks(END, include_usage=True)) == len(chunks(END)) == 2  # no numbers came


def test_thoughts_are_reasoning_content_and_no_text() -> None:
    found = message({"text": "hm", "thought": True}, {"text": "so"})
    assert (found.reasoning_content, found.content) == ("hm", "so")
    deltas = [chunk.choices[0].delta for chunk in chunks([{"text": "hm", "thought": True}], [{"text": "so"}], END)]
    assert deltas == [{"role": "assistant", "content": "", "reasoning_content": "hm"}, {"content": "so"}, {}]


def test_a_signature_does_not_make_a_thought() -> None:
    assert message({"text": "so", "thoughtSignature": "S"}).content == "so"


def test_reasoning_content_is_not_sent_back() -> None:
    assert contents(*HI, {"role": "assistant", "content": "so", "reasoning_content": "hm"})[1]["parts"] == [
        {"text": "so"}]


@pytest.mark.parametrize("effort, flash_25, pro_25, flash_3, pro_3", [
    ("none", 0, 128, "minimal", "low"), ("minimal", 3072, 4096, "low", "low"), ("low", 6144, 8192, "low", "low"),
    ("low_medium", 9216, 12288, "medium", "low"), ("medium", 12288, 16384, "medium", "high"),
    ("medium_high", 18432, 24576, "high", "high"), ("high", 24576, 32768, "high", "high"),
    ("xhigh", 24576, 32768, "high", "high"), ("auto", -1, -1, "high", "high"),
])
def test_reasoning_effort_is_a_budget_for_2_5_and_a_level_for_3(
        effort: str, flash_25: int, pro_25: int, flash_3: str, pro_3: str) -> None:
    def thinking(model: str) -> Any:
        found = overrides(model=model, reasoning_effort=effort)
        assert found.get("include_thoughts", False) is (effort != "none")
        return found["thinking_budget"], found["thinking_level"]
    assert thinking("gemini-2.5-flash") == thinking("models/gemini-2.5-flash-lite") == (flash_25, None)
    assert thinking("gemini-2.5-pro") == (pro_25, None)
    assert thinking("gemini-3-flash-preview") == (None, flash_3)
    assert thinking("gemini-3.1-pro-preview") == thinking("gemini-3-pro") == (None, pro_3)


def test_a_model_without_the_minimal_level_gets_the_lowest_it_has() -> None:
    assert overrides(model="gemini-3.7-flash", reasoning_effort="none")["thinking_level"] == "low"
    assert overrides(model="gemini-3.7-flash", reasoning_effort="medium")["thinking_level"] == "medium"


def test_reasoning_effort_replaces_the_thinking_of_the_clients_options(fake: FakeGemini) -> None:
    options = GeminiOptions(model="gemini-3-pro", thinking_budget=5)
    fake.reply("a")
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        OpenAIChat(client).create(messages=HI, reasoning_effort="low")
    assert sent(fake)["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "LOW"}


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemma-3-27b-it", "gemini-flash-latest", None])
def test_reasoning_effort_is_refused_where_the_model_has_no_word_for_it(model: Any) -> None:
    with pytest.raises(ValueError, match="has no word for the parameter reasoning_effort"):
        overrides(model=model, reasoning_effort="low")


def test_an_unknown_reasoning_effort_is_an_error() -> None:
    with pytest.raises(ValueError, match="must be one of none, minimal, low"):
        overrides(model="gemini-3-pro", reasoning_effort="much")


# Parameters

def test_every_parameter_that_gemini_has_a_word_for_reaches_the_request(
        client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("{}")
    OpenAIChat(client).chat.completions.create(
        model="gemini-2.5-pro", messages=HI, temperature=0, top_p=0.5, max_completion_tokens=7, stop="end", seed=3, n=2,
        presence_penalty=0.1, frequency_penalty=0.2, reasoning_effort="low", logprobs=True, top_logprobs=4,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": STRICT}})
    assert sent(fake)["generationConfig"] == {
        "temperature": 0, "topP": 0.5, "maxOutputTokens": 7, "stopSequences": ["end"], "seed": 3, "candidateCount": 2,
        "presencePenalty": 0.1, "frequencyPenalty": 0.2, "responseLogprobs": True, "logprobs": 4,
        "thinkingConfig": {"thinkingBudget": 8192, "includeThoughts": True},
        "responseJsonSchema": STRICT, "responseMimeType": "application/json"}


@pytest.mark.parametrize("parameters, options", [
    ({"max_tokens": 5}, {"max_output_tokens": 5}), ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
    ({"response_format": {"type": "json_object"}}, {"response_mime_type": "application/json"}),
    ({"response_format": {"type": "text"}}, {}), ({"logprobs": False, "top_logprobs": 0}, {}),
    ({"temperature": None, "stop": None, "user": None, "reasoning_effort": None}, {}),
    ({"parallel_tool_calls": True, "service_tier": "auto", "modalities": ["text"]}, {}),
    ({"store": False, "logit_bias": {}, "metadata": {}}, {}), ({"stream": True, "stream_options": {"a": 1}}, {}),
])
def test_a_parameter_is_turned_or_asks_for_nothing(parameters: Any, options: Any) -> None:
    assert overrides(**parameters) == options


@pytest.mark.parametrize("name, value", [
    ("user", "u"), ("logit_bias", {"1": 2}), ("parallel_tool_calls", False), ("store", True), ("service_tier", "flex"),
    ("metadata", {"a": "b"}), ("timeout", 5), ("extra_body", {"a": 1}), ("functions", [{}]), ("top_k", 3)])
def test_a_parameter_without_a_word_is_refused_by_name_or_dropped_with_a_log_line(
        name: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="gemini-3-pro has no word for the parameter %s: .*drop_params=True" % name):
        overrides(model="gemini-3-pro", **{name: value})
    with caplog.at_level(logging.WARNING, "gemini_lite"):
        assert overrides(model="gemini-3-pro", drop_params=True, **{name: value}) == {"model": "gemini-3-pro"}
    assert caplog.messages == ["%s is left out: gemini-3-pro has no word for it" % name]


@pytest.mark.parametrize("word", ["NotGiven", "Omit"])
def test_what_the_openai_package_says_for_not_given_is_not_given(word: str) -> None:
    nothing = type(word, (), {"__bool__": lambda self: False})()
    assert from_openai(HI, nothing, temperature=nothing, model=nothing, user=nothing, tool_choice=nothing)[1] == {}


@pytest.mark.parametrize("form", [{"type": "grammar"}, {}, "json", {"type": "json_schema"},
                                  {"type": "json_schema", "json_schema": {"name": "x"}}])
def test_an_unknown_response_format_is_an_error(form: Any) -> None:
    with pytest.raises(ValueError, match="response_format"):
        overrides(response_format=form)


def test_a_response_schema_is_turned_like_that_of_a_tool() -> None:
    schema = {"type": "object", "properties": {"a": {"items": [{}]}}}
    found = overrides(response_format={"type": "json_schema", "json_schema": {"schema": schema}})
    assert found == {"response_schema": {"type": "object", "properties": {"a": {"prefixItems": [{}]}}}}


def test_logprobs_are_laid_over_the_clients_own_extra(fake: FakeGemini) -> None:
    options = GeminiOptions(extra={"generationConfig": {"mediaResolution": "LOW"}})
    fake.reply("a")
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        OpenAIChat(client).create(messages=HI, logprobs=True)
    assert sent(fake)["generationConfig"] == {"mediaResolution": "LOW", "responseLogprobs": True}


def test_log_probabilities_come_in_openais_shape() -> None:
    found = {"chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "b"}],
             "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "x"}]}]}
    first, second = to_openai(answer({"text": "éb"}, logprobsResult=found)).choices[0].logprobs.content
    assert (first.token, first.logprob, first.bytes) == ("é", -0.5, [195, 169])
    assert [top.token for top in first.top_logprobs] == ["é", "x"]
    assert second == {"token": "b", "logprob": 0.0, "bytes": [98], "top_logprobs": []}
    assert to_openai(answer({"text": "a"})).choices[0].logprobs is None
    late = {"candidates": [{"finishReason": "STOP", "logprobsResult": found}]}
    streamed = [chunk.choices[0].logprobs for chunk in chunks([{"text": "éb"}], late)]
    assert [one and len(one.content) for one in streamed] == [None, 2, None]


def test_each_candidate_is_a_choice() -> None:
    two = [{"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS"},
           {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]
    found = to_openai(GenerateContentResponse({"candidates": two})).choices
    assert sorted((one.index, one.message.content, one.finish_reason) for one in found) == [
        (0, "a", "stop"), (1, "b", "length")]
    streamed = [(chunk.choices[0].index, chunk.choices[0].delta.content, chunk.choices[0].finish_reason)
                for chunk in chunks({"candidates": two[1:]}, {"candidates": two[:1]})]
    assert streamed == [(0, "a", None), (1, "b", None), (0, None, "stop"), (1, None, "length")]


# Errors

@pytest.mark.parametrize("error, kind, code, retryable", [
    (AuthenticationError("m", code=401), "authentication_error", "invalid_api_key", False),
    (CredentialsError("m"), "authentication_error", "invalid_api_key", False),
    (PermissionDeniedError("m", code=403), "permission_error", "permission_denied", False),
    (NotFoundError("m", code=404), "invalid_request_error", "model_not_found", False),
    (BadRequestError("m", code=400, reason="WHY"), "invalid_request_error", "WHY", False),
    (ValueError("m"), "invalid_request_error", None, False),
    (RateLimitError("m", code=429, retryable=True), "rate_limit_error", "rate_limit_exceeded", True),
    (QuotaExhaustedError("m", code=429), "insufficient_quota", "insufficient_quota", False),
    (ServerError("m", code=500, retryable=True), "server_error", None, True),
    (OverloadedError("m", code=503, retryable=True), "server_error", None, True),
    (TransportTimeout("m", reason="READ_TIMEOUT", retryable=True), "server_error", "READ_TIMEOUT", True),
])
def test_an_error_is_told_as_openai_tells_it(error: Exception, kind: str, code: Any, retryable: bool) -> None:
    assert to_openai_error(error) == {
        "error": {"message": "m", "type": kind, "param": None, "code": code, "retryable": retryable}}


@pytest.mark.parametrize("code, retryable", [(400, False), (401, False), (403, False), (404, False), (429, True),
                                             (500, True), (503, True)])
def test_the_errors_that_may_pass_are_marked_and_no_others(
        client: GeminiClient, fake: FakeGemini, no_sleep: List[float], code: int, retryable: bool) -> None:
    tries = 5 if retryable else 1
    for _ in range(tries):
        fake.error(code, "no")
    with pytest.raises(GeminiError) as caught:
        OpenAIChat(client).create(messages=HI)
    assert caught.value.code == code and to_openai_error(caught.value)["error"]["retryable"] is retryable


# The client object

def test_the_answers_own_id_and_model_are_kept_and_missing_ones_made_up_once() -> None:
    event = {"responseId": "r", "modelVersion": "v", **END}
    assert {(chunk.id, chunk.model) for chunk in chunks(event, event, model="m")} == {("r", "v")}
    found = to_openai(GenerateContentResponse(event), "m")
    assert (found.id, found.model) == ("r", "v")
    ids = {(chunk.id, chunk.model) for chunk in chunks([{"text": "a"}], [{"text": "b"}], END, model="m")}
    assert len(ids) == 1 and {name for _, name in ids} == {"m"} and all(id for id, _ in ids)
    assert to_openai(answer(), "m").model == "m" and to_openai(answer()).model == ""


def test_a_model_that_does_not_say_its_name_is_called_as_it_was_asked_for(
        client: GeminiClient, fake: FakeGemini) -> None:
    for _ in range(2):
        fake.reply("a", modelVersion=None)
    assert OpenAIChat(client).create(messages=HI).model == "gemini-3-pro-preview"
    assert next(OpenAIChat(client).create(messages=HI, model="gemini-3-x", stream=True)).model == "gemini-3-x"


def test_code_for_the_openai_package_reads_the_answer(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("Hello", usageMetadata=USAGE)
    found = OpenAIChat(client).chat.completions.create(model="gemini-2.5-pro", messages=HI)
    assert found["choices"][0]["message"] == {"role": "assistant", "refusal": None, "content": "Hello"}
    assert (found.object, found.model, found.choices[0].index) == ("chat.completion", "gemini-2.5-pro", 0)
    assert found.id and isinstance(found.created, int) and found.usage.total_tokens == 25
    assert found.choices[0].message.tool_calls is found.choices[0].message.refusal is found.system_fingerprint is None


def test_a_stream_begins_with_the_role_and_ends_with_the_finish_reason(
        client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("Hel", "lo")
    with OpenAIChat(client).create(messages=HI, stream=True, stream_options={"include_usage": True}) as stream:
        found = list(stream)
    assert [chunk.choices[0].delta for chunk in found[:-1]] == [
        {"role": "assistant", "content": "Hel"}, {"content": "lo"}, {}]
    assert [chunk.choices[0].finish_reason for chunk in found[:-1]] == [None, None, "stop"]
    assert {(chunk.id, chunk.object, chunk.created, chunk.model) for chunk in found} == {
        (found[0].id, "chat.completion.chunk", found[0].created, "gemini-3-pro-preview")}
    assert found[-1].choices == [] and found[-1].usage.total_tokens > 0


@pytest.mark.parametrize("fields", [
    {"promptFeedback": {"blockReason": "SAFETY"}}, {"finishReason": "SAFETY"}, {"finishReason": "IMAGE_SAFETY"}])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_blocked_answer_has_the_finish_reason_content_filter(
        client: GeminiClient, fake: FakeGemini, fields: Dict[str, Any], streamed: bool) -> None:
    fake.reply(**fields)
    found = OpenAIChat(client).create(messages=HI, stream=streamed)
    if streamed:
        first, *_, last = list(found)
        assert first.choices[0].delta.role == "assistant" and last.choices[0].finish_reason == "content_filter"
    else:
        assert (found.choices[0].finish_reason, found.choices[0].message.content) == ("content_filter", "")


def test_a_stream_that_breaks_raises_again_and_never_looks_whole(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("Hel", finishReason=None)
    stream = OpenAIChat(client).create(messages=HI, stream=True)
    assert next(stream).choices[0].delta.content == "Hel"
    for _ in range(2):
        with pytest.raises(IncompleteError):
            next(stream)


def test_a_stream_that_was_closed_ends_without_a_finish_reason(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("Hel", "lo")
    stream = OpenAIChat(client).create(messages=HI, stream=True)
    next(stream)
    stream.close()
    assert list(stream) == []
    assert chunks([{"text": "Hel"}])[-1].choices[0].finish_reason is None


def test_arguments_are_checked_and_the_request_is_sent_when_the_stream_is_made(
        client: GeminiClient, fake: FakeGemini) -> None:
    fake.error(404, "no such model")
    with pytest.raises(NotFoundError):
        OpenAIChat(client).create(messages=HI, stream=True)
    with pytest.raises(ValueError, match="top_k"):
        OpenAIChat(client).create(messages=HI, stream=True, top_k=3)


def test_the_clients_options_say_what_openai_has_no_word_for(fake: FakeGemini) -> None:
    options = GeminiOptions(model="gemini-2.5-flash", top_k=20, system_prompt="Be brief.")
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        for messages in (HI, [{"role": "system", "content": "Be kind."}, *HI]):
            fake.reply("a")
            OpenAIChat(client).create(messages=messages)
            assert sent(fake)["generationConfig"] == {"topK": 20}
        OpenAIChat(client, drop_params=True)
    said = [sent(fake, number)["systemInstruction"]["parts"][0]["text"] for number in (0, 1)]
    assert said == ["Be brief.", "Be kind."] and fake.requests[0].model == "gemini-2.5-flash"


def test_python_functions_among_the_clients_tools_are_never_called(fake: FakeGemini) -> None:
    def weather(place: str) -> str:
        raise AssertionError(place)

    fake.reply(call("weather", {"place": "Rome"}))
    options = GeminiOptions(tools=[weather])
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        found = OpenAIChat(client).create(messages=HI)
    assert found.choices[0].message.tool_calls[0].function.name == "weather"


def test_answers_are_dicts_that_json_pickle_and_deepcopy_keep() -> None:
    found = to_openai(answer({"text": "a"}, call("f", {"é": 1}, "1", "S"), usageMetadata=USAGE))
    assert json.loads(json.dumps(found)) == pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found
    assert type(pickle.loads(pickle.dumps(found)).choices[0]) is type(found)
    assert json.loads(found.model_dump_json()) == found.model_dump() == found.to_dict() == found
    assert type(found.model_dump()["choices"][0]["message"]) is dict
    assert "refusal" not in found.choices[0].message.model_dump(exclude_none=True)


def test_an_attribute_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'contents' is not in the answer; there are: role"):
        message({"text": "a"}).contents
    assert not hasattr(message({"text": "a"}), "reasoning_content")


def test_an_attribute_that_is_set_is_an_entry() -> None:
    found = message({"text": "a"})
    found.content = "b"
    assert found["content"] == "b"


@pytest.mark.parametrize("data", [
    {"candidates": [{"content": {"parts": [{"functionCall": 3}, {"text": 4}, "x"]}, "index": "a"}]},
    {"candidates": [{"content": None, "logprobsResult": {"chosenCandidates": {}}}]}, {"candidates": [{}]},
    {"candidates": None, "usageMetadata": 3}])
def test_odd_answers_raise_nothing(data: Dict[str, Any]) -> None:
    json.dumps(to_openai(GenerateContentResponse(data)))
    json.dumps(list(chunks_to_openai([StreamChunk(data)])))


@pytest.mark.parametrize("messages", [
    [*HI, asks(tool_call()), result(), {"role": "user", "content": "Well?"}],
    [{"role": "assistant", "content": "How can I help?"}, *HI]])
def test_turns_that_do_not_alternate_are_sent_as_they_are_and_nothing_is_invented(
        client: GeminiClient, fake: FakeGemini, messages: List[Any]) -> None:
    fake.reply("a")
    OpenAIChat(client).create(messages=messages)
    assert sent(fake)["contents"] == contents(*messages)


# Agents

FUNCTIONS = [WEATHER["function"]]


@pytest.mark.parametrize("watched", [False, True])
def test_an_agent_gets_the_text_and_all_calls_and_the_usage(
        client: GeminiClient, fake: FakeGemini, watched: bool) -> None:
    fake.reply("Let me ", "see.", call("weather", {"place": "Rome"}, "1", "S"), call("weather", {"place": "Oslo"}, "2"),
               usageMetadata=USAGE)
    events: List[Dict[str, Any]] = []
    found = OpenAIChat(client).agent_stream(HI, FUNCTIONS, events.append if watched else None)
    assert found["textResponse"] == "Let me see." and found["usage"]["total_tokens"] == 25
    assert found["functionCalls"] == [
        {"id": "1", "name": "weather", "arguments": {"place": "Rome"},
         "extra_content": {"google": {"thought_signature": "S"}}},
        {"id": "2", "name": "weather", "arguments": {"place": "Oslo"}}]
    assert found["finishReason"] == "tool_calls" and fake.requests[-1].streamed is watched
    uuid = events[0]["uuid"] if watched else ""
    assert events == watched * [
        {"type": "textResponseChunk", "uuid": uuid, "content": "Let me "},
        {"type": "textResponseChunk", "uuid": uuid, "content": "see."},
        {"type": "toolCallInvocation", "uuid": uuid + ":tool_call_invocation",
         "content": 'Assembling Tool Call: weather({"place": "Rome"})'},
        {"type": "toolCallInvocation", "uuid": uuid + ":tool_call_invocation:1",
         "content": 'Assembling Tool Call: weather({"place": "Oslo"})'}]


@pytest.mark.parametrize("watched", [False, True])
def test_an_agents_answer_without_calls_has_the_same_keys(
        client: GeminiClient, fake: FakeGemini, watched: bool) -> None:
    fake.reply("Hello")
    found = OpenAIChat(client).agent_stream(HI, FUNCTIONS, (lambda event: None) if watched else None)
    assert (found["textResponse"], found["functionCalls"], found["finishReason"]) == ("Hello", [], "stop")


def test_an_agents_calls_go_back_as_original_calls_with_their_signatures(
        client: GeminiClient, fake: FakeGemini) -> None:
    said = [call("weather", {"place": "Rome"}, "1", "S"), call("weather", {"place": "Oslo"}, "2")]
    fake.reply(said)
    fake.reply("Sun")
    agent = OpenAIChat(client).agent_stream
    made = agent(HI, FUNCTIONS)["functionCalls"]
    agent([*HI, *({"role": "function", "name": one["name"], "content": "sunny", "originalFunctionCall": one}
                  for one in made)], FUNCTIONS)
    assert sent(fake)["contents"][1]["parts"] == said
    assert len(sent(fake)["contents"]) == 3


def test_what_the_agent_raises_while_it_listens_closes_the_stream(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("a", "b")
    with pytest.raises(ZeroDivisionError):
        OpenAIChat(client).agent_stream(HI, on_event=lambda event: 1 / 0)


def test_tools_for_another_model_are_a_warning_and_no_wall(
        client: GeminiClient, fake: FakeGemini, caplog: pytest.LogCaptureFixture) -> None:
    def warned(functions: Any, **parameters: Any) -> bool:
        fake.reply(call("weather", {}))
        caplog.clear()
        with caplog.at_level(logging.WARNING, "gemini_lite"):
            assert OpenAIChat(client).agent_stream(HI, functions, **parameters)["textResponse"] is None
        return any("may have no tools" in text for text in caplog.messages)

    assert warned(FUNCTIONS, model="gemma-3-27b-it") and not warned((), model="gemma-3-27b-it")
    assert not warned(FUNCTIONS, model="models/gemini-3-pro") and not warned(FUNCTIONS)
    client.options = client.options.replace(model="gemma-3-27b-it")
    assert warned(FUNCTIONS)
    client.options = client.options.replace(model=None)
    assert not warned(FUNCTIONS)


def test_the_agents_own_parameters_reach_the_request(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("a")
    OpenAIChat(client).agent_stream(HI, FUNCTIONS, print, temperature=0.7)
    assert sent(fake)["generationConfig"] == {"temperature": 0.7}
