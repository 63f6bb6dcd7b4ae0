"""OpenAI's chat messages as Gemini contents and a system prompt."""
from __future__ import annotations

import copy
from typing import Any, Dict, List

import pytest
from openai_compat.builders import HI, WEATHER, calling, original_call, to_contents, tool_call, tool_result

from gemini_lite.openai_compat import from_openai


@pytest.mark.parametrize("role", ["system", "developer"])
def test_system_and_developer_text_is_the_system_prompt_wherever_it_stands(role: str) -> None:
    found, options = from_openai([
        {"role": role, "content": "Be brief."}, *HI, {"role": role, "content": [{"type": "text", "text": "Be kind."}]}])
    assert found == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert options == {"system_prompt": "Be brief.\n\nBe kind."}


def test_without_system_text_the_clients_own_system_prompt_holds() -> None:
    assert "system_prompt" not in from_openai([{"role": "system", "content": ""}, *HI])[1]


def test_user_and_assistant_text_are_turns() -> None:
    assert to_contents(*HI, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Bye"}) == [
        {"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Hello"}]},
        {"role": "user", "parts": [{"text": "Bye"}]}]


def test_consecutive_messages_of_one_role_are_one_turn() -> None:
    answer = {"role": "assistant", "content": "a"}
    assert to_contents(*HI, *HI, answer, answer, *HI) == [
        {"role": "user", "parts": [{"text": "Hi"}] * 2}, {"role": "model", "parts": [{"text": "a"}] * 2},
        {"role": "user", "parts": [{"text": "Hi"}]}]


def test_empty_text_is_no_part_and_an_empty_message_no_turn() -> None:
    assert to_contents(*HI, {"role": "assistant", "content": ""}, {"role": "user", "content": [
        {"type": "text", "text": ""}, {"type": "text", "text": "a"}]}) == [
            {"role": "user", "parts": [{"text": "Hi"}, {"text": "a"}]}]


def test_a_call_and_its_result_are_a_models_turn_and_a_users() -> None:
    message = calling(tool_call(arguments='{"place": "Rome"}'), content="Let me see.")
    assert to_contents(*HI, message, tool_result()) == [
        {"role": "user", "parts": [{"text": "Hi"}]},
        {"role": "model", "parts": [
            {"text": "Let me see."}, {"functionCall": {"id": "c1", "name": "weather", "args": {"place": "Rome"}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "sunny"}}}]}]


def test_consecutive_results_are_one_turn_in_the_order_of_the_calls() -> None:
    calls = calling(tool_call("a", id="1"), tool_call("b", id="2"))
    turn = to_contents(*HI, calls, tool_result("B", "2"), tool_result("A", "1"))[-1]
    assert [part["functionResponse"]["response"] for part in turn["parts"]] == [{"result": "A"}, {"result": "B"}]


def test_a_result_gets_the_function_name_of_the_call_with_its_id() -> None:
    turn = to_contents(*HI, calling(tool_call("weather")), tool_result(name="another"))[-1]
    assert turn["parts"][0]["functionResponse"]["name"] == "weather"


@pytest.mark.parametrize("result", [{"tool_call_id": ""}, {"tool_call_id": "", "name": "weather"}])
def test_results_without_ids_answer_the_calls_without_ids_in_their_order(result: Dict[str, Any]) -> None:
    calls = calling(tool_call(id=""), tool_call(id=""))  # as Google's own OpenAI-compatible URL gives them
    turns = to_contents(*HI, calls, *({"role": "tool", "content": text, **result} for text in ("one", "two")))
    assert [part["functionResponse"] for part in turns[-1]["parts"]] == [
        {"name": "weather", "response": {"result": "one"}}, {"name": "weather", "response": {"result": "two"}}]
    assert all("id" not in part["functionCall"] for part in turns[1]["parts"])


def test_two_calls_of_one_function_get_their_results_by_id() -> None:
    calls = calling(tool_call(id="1"), tool_call(id="2"))
    turn = to_contents(*HI, calls, tool_result("two", "2"), tool_result("one", "1"))[-1]
    assert [part["functionResponse"]["response"]["result"] for part in turn["parts"]] == ["one", "two"]


@pytest.mark.parametrize("content, response", [
    ("sunny", {"result": "sunny"}), ('{"t": 20}', {"t": 20}), ("[1, 2]", {"result": [1, 2]}), (None, {"result": ""}),
    ("1e5", {"result": "1e5"}), ("null", {"result": "null"}), ('{"t": NaN}', {"result": '{"t": NaN}'}),
    ('{"t": 1e999}', {"result": '{"t": 1e999}'}), (r'{"t": "\ud800"}', {"result": r'{"t": "\ud800"}'}),
    ("[" * 400 + "]" * 400, {"result": "[" * 400 + "]" * 400}),
    ('{"$ref": "#/a"}', {"result": '{"$ref": "#/a"}'}), ("{}", {}),
    ([{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}], {"result": "sunny"}),
])
def test_a_result_that_is_a_json_object_is_the_response_and_anything_else_its_result(
        content: Any, response: Dict[str, Any]) -> None:
    turn = to_contents(*HI, calling(tool_call()), tool_result(content))[-1]
    assert turn["parts"][0]["functionResponse"]["response"] == response


def test_legacy_function_messages_are_calls_and_results() -> None:
    found = to_contents(*HI, {"role": "assistant", "function_call": {"name": "weather", "arguments": '{"a": 1}'}},
                        {"role": "function", "name": "weather", "content": "sunny"})
    assert found[1:] == [
        {"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "sunny"}}}]}]


def test_a_function_message_with_its_original_call_is_a_call_and_its_result() -> None:
    assert to_contents(*HI, original_call("c1", "S"))[1:] == [
        {"role": "model", "parts": [
            {"functionCall": {"id": "c1", "name": "weather", "args": {"n": "c1"}}, "thoughtSignature": "S"}]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "c1", "name": "weather", "response": {"result": "sunny"}}}]}]


def test_original_calls_without_a_signature_join_the_parallel_calls_before_them() -> None:
    found = to_contents(*HI, original_call("1", "S"), original_call("2"), original_call("3", "T"), original_call("4"))
    ids = [[(part.get("functionCall") or part["functionResponse"])["id"] for part in turn["parts"]]
           for turn in found[1:]]
    assert [turn["role"] for turn in found] == ["user", "model", "user", "model", "user"]
    assert ids == [["1", "2"], ["1", "2"], ["3", "4"], ["3", "4"]]
    assert [part.get("thoughtSignature") for turn in found[1::2] for part in turn["parts"]] == ["S", None, "T", None]


def test_original_calls_of_a_model_without_signatures_are_one_turn() -> None:
    found = to_contents(*HI, original_call("1"), original_call("2"), *HI, original_call("3"))
    assert [len(turn["parts"]) for turn in found] == [1, 2, 2, 1, 1, 1]


def test_system_text_between_calls_and_their_results_goes_to_the_system_prompt() -> None:
    found, options = from_openai([*HI, calling(tool_call()), {"role": "system", "content": "Quick."}, tool_result()])
    assert [turn["role"] for turn in found] == ["user", "model", "user"]
    assert options["system_prompt"] == "Quick."


@pytest.mark.parametrize("between", [HI[0], {"role": "assistant", "content": "a"}])
def test_nothing_else_may_stand_between_calls_and_their_results(between: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"messages\[1\] calls .* before messages\[2\]; owed: weather \(id c1\)"):
        to_contents(*HI, calling(tool_call()), between, tool_result())


def test_user_text_after_results_is_a_turn_of_its_own() -> None:
    found = to_contents(*HI, calling(tool_call()), tool_result(), {"role": "user", "content": "Well?"})
    assert [list(part) for turn in found[2:] for part in turn["parts"]] == [["functionResponse"], ["text"]]
    assert [len(turn["parts"]) for turn in found[2:]] == [1, 1]


@pytest.mark.parametrize("messages, place", [
    ([*HI, tool_result()], r"messages\[1\] is the result of a call that is not there \(id 'c1'\)"),
    ([*HI, calling(tool_call()), tool_result(), tool_result()], r"messages\[3\] is the result of a call"),
    ([*HI, calling(tool_call()), tool_result(id="c2")], r"messages\[2\].*'c2'.*owed: weather \(id c1\)"),
    ([*HI, {"role": "function", "name": "weather", "content": "lost"}], r"messages\[1\].*\(name 'weather'\)"),
    ([*HI, calling(tool_call(id=None)), {"role": "tool", "content": "whose?"}], r"messages\[2\].*\(name None\)"),
])
def test_a_result_without_a_call_is_an_error_that_names_the_message(messages: List[Any], place: str) -> None:
    with pytest.raises(ValueError, match=place):
        from_openai(messages)


@pytest.mark.parametrize("messages", [
    [*HI, calling(tool_call())], [*HI, calling(tool_call(), tool_call(id="c2")), tool_result()],
    [*HI, calling(tool_call()), calling(tool_call(id="c2")), tool_result(id="c2")],
])
def test_a_call_without_a_result_is_an_error_that_names_the_message(messages: List[Any]) -> None:
    with pytest.raises(ValueError, match=r"messages\[1\] calls functions whose results do not come before"):
        from_openai(messages)


@pytest.mark.parametrize("arguments", ["", " \n", None, "{}", {}])
def test_a_call_whose_arguments_are_empty_has_none(arguments: Any) -> None:
    found = to_contents(*HI, calling(tool_call(arguments=arguments)), tool_result())
    assert found[1]["parts"][0]["functionCall"]["args"] == {}


def test_messages_may_come_one_by_one() -> None:
    assert from_openai(message for message in HI) == from_openai(HI)


@pytest.mark.parametrize("arguments", ["{", "[1]", '"a"', "null", 3, '{"a": NaN}', "[" * 100000,
                                       '{"a": 1e999}', r'{"a": "\ud800"}', '{"a":' * 300 + "1" + "}" * 300])
def test_arguments_that_are_no_json_object_are_an_error_that_names_the_message(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"messages\[1\]\.tool_calls\[0\] has arguments that are no JSON"):
        to_contents(*HI, calling(tool_call(arguments=arguments)), tool_result())


@pytest.mark.parametrize("bad, place", [
    ({"role": "boss", "content": "a"}, r"messages\[1\] has the role 'boss'"), ({}, r"messages\[1\] has the role None"),
    ("Hi", r"messages\[1\] is no dict"), ({"role": "user", "content": 3}, r"messages\[1\]\.content must be"),
    ({"role": "user", "content": b"a"}, r"messages\[1\]\.content"),
    ({"role": "assistant", "content": [{"type": "image_url"}]}, r"messages\[1\]\.content\[0\] is image_url"),
    ({"role": "assistant", "content": [{}]}, r"messages\[1\]\.content\[0\] is None"),
    (calling({"id": "c1"}), r"messages\[1\]\.tool_calls\[0\]\.name must be a string"),
    ({"role": "assistant", "tool_calls": 5}, r"messages\[1\]\.tool_calls is a list of calls, not int"),
])
def test_a_message_that_cannot_be_read_is_an_error_that_names_it(bad: Any, place: str) -> None:
    with pytest.raises((ValueError, TypeError), match=place):
        to_contents(*HI, bad)


@pytest.mark.parametrize("messages", [[], [{"role": "system", "content": "a"}], [{"role": "user", "content": ""}]])
def test_messages_without_anything_to_answer_are_an_error(messages: List[Any]) -> None:
    with pytest.raises(ValueError, match="nothing to answer"):
        from_openai(messages)


def test_messages_that_are_no_list_are_an_error() -> None:
    with pytest.raises(TypeError, match="messages is a list"):
        from_openai("Hi")


def test_a_refusal_is_the_text_of_the_assistants_turn() -> None:
    found = to_contents(*HI, {"role": "assistant", "content": None, "refusal": "No."}, *HI)
    assert found[1] == {"role": "model", "parts": [{"text": "No."}]}


def test_the_callers_objects_are_not_changed() -> None:
    extra = {"google": {"thought_signature": "S", "parts": [{"text": "", "thoughtSignature": "S"}]}}
    messages = [*HI, calling(tool_call(arguments={"a": [1]}), content="a", extra_content=extra), tool_result(), *HI,
                original_call("1", "S"), original_call("2")]
    given = {"messages": messages, "tools": [WEATHER], "stop": ["x"], "response_format": {
        "type": "json_schema", "json_schema": {"schema": {"$defs": {"A": {"items": [{}]}}, "$ref": "#/$defs/A"}}}}
    before = copy.deepcopy(given)
    found, options = from_openai(**given)
    assert given == before
    for turn in found:
        turn["parts"].clear()
    options["tools"][0]["parametersJsonSchema"].clear()
    assert given == before


def test_a_tool_that_is_no_longer_declared_has_a_legal_name_in_the_contents() -> None:
    found = to_contents(*HI, calling(tool_call("9 lives")), tool_result())
    assert found[1]["parts"][0]["functionCall"]["name"] == "_9_lives"


@pytest.mark.parametrize("model, kept", [
    ("gemini-3-pro-preview", True), ("gemini-3.5-flash", True), ("gemini-flash-latest", True), (None, True),
    ("gemini-10-pro", True), ("gemini-2.5-pro", False), ("models/gemini-2.0-flash", False), ("gemini-1.5-pro", False),
    ("gemma-3-27b-it", False)])
def test_ids_are_sent_back_to_the_models_that_take_them(model: Any, kept: bool) -> None:
    found = to_contents(*HI, calling(tool_call()), tool_result(), model=model)
    assert ("id" in found[1]["parts"][0]["functionCall"]) is kept
    assert ("id" in found[2]["parts"][0]["functionResponse"]) is kept


def test_reasoning_content_is_not_sent_back() -> None:
    assert to_contents(*HI, {"role": "assistant", "content": "so", "reasoning_content": "hm"})[1]["parts"] == [
        {"text": "so"}]


@pytest.mark.parametrize("google", [{"parts": [{"text": 5}]}, {"thought_signature": 5}, {"thought_signature": [1]}])
def test_extra_content_of_odd_shape_leaves_the_text(google: Any) -> None:
    message = {"role": "assistant", "content": "Hello", "extra_content": {"google": google}}
    assert to_contents(*HI, message, *HI)[1]["parts"][0] == {"text": "Hello"}
