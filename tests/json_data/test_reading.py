"""The API's objects read both ways, are equal to the dicts that they show, and never write into them."""
from __future__ import annotations

import copy
import json
import pickle
from typing import Any, Callable, Dict, List

import pytest

from gemini_lite import GenerateContentResponse
from gemini_lite.json_data import APIObject, copied, number_or_none, readable

DATA: Dict[str, Any] = {
    "candidates": [{
        "content": {"role": "model", "parts": [
            {"text": "a"}, {"functionCall": {"name": "f", "args": {"maxTokens": {"firstName": [1]}}}},
            {"functionResponse": {"name": "f", "response": {"items": {"x": 1}}}}]},
        "finishReason": "STOP", "safetyRatings": [{"category": "C"}],
        "logprobsResult": {"topCandidates": [[{"a": 1}]]}}],
    "usageMetadata": {"totalTokenCount": 3}, "labels": {"my_team": {"a": 1}}, "items": [1], "odd_name": 1,
}


def test_an_object_reads_by_the_apis_name_in_snake_case_and_as_a_dict() -> None:
    seen = readable(DATA)
    assert seen.candidates[0].content.parts[0].text == seen["candidates"][0]["content"]["parts"][0]["text"] == "a"
    assert seen.candidates[0].finishReason == seen.candidates[0].finish_reason == "STOP"
    assert seen["candidates"][0].content["parts"][1].function_call.name == "f"
    assert seen.usage_metadata.total_token_count == seen.usageMetadata.totalTokenCount == 3
    assert seen.oddName == seen.odd_name == 1


def test_an_object_is_the_dict_that_it_shows() -> None:
    seen = readable(DATA)
    for _ in range(2):  # before and after its parts were looked at
        assert isinstance(seen, dict) and seen == DATA and DATA == seen and json.dumps(seen) == json.dumps(DATA)
        assert repr(seen) == repr(DATA) and list(seen) == list(DATA) and len(seen) == len(DATA)
        assert dict(seen) == {**seen} == seen.copy() == copy.deepcopy(seen) == pickle.loads(pickle.dumps(seen)) == DATA
        seen.candidates[0].content.parts[1].function_call.args


WRITES: List[Callable[[Any], Any]] = [
    lambda seen: seen.candidates[0].content.parts[0].update(text="b"),
    lambda seen: seen["candidates"][0]["content"].pop("role"),
    lambda seen: seen["candidates"].append(1),
    lambda seen: seen.candidates[0].content.parts[1].function_call.args["maxTokens"]["firstName"].append(2),
    lambda seen: seen.get("labels")["my_team"].clear(),
    lambda seen: [value.clear() for value in seen.values() if isinstance(value, dict)],
    lambda seen: [value.clear() for _, value in seen.items() if isinstance(value, list)],
    lambda seen: dict(seen)["usageMetadata"].clear(),
    lambda seen: {**seen}["usageMetadata"].clear(),
    lambda seen: seen.pop("usageMetadata").clear(),
    lambda seen: seen.setdefault("usageMetadata", {}).clear(),
    lambda seen: seen.copy()["usageMetadata"].clear(),
    lambda seen: copy.copy(seen)["usageMetadata"].clear(),
    lambda seen: (seen | {})["usageMetadata"].clear() if hasattr(dict, "__or__") else None,
    lambda seen: ({} | seen)["usageMetadata"].clear() if hasattr(dict, "__or__") else None,
    lambda seen: [seen.popitem()[1] for _ in range(4)][-1],
    lambda seen: seen.candidates[0].logprobs_result.top_candidates[0][0].clear(),
]


@pytest.mark.parametrize("write", WRITES)
def test_writing_to_an_object_does_not_reach_the_data(write: Callable[[Any], Any]) -> None:
    before = copy.deepcopy(DATA)
    write(readable(DATA))
    assert DATA == before


def test_what_is_written_to_an_object_stays_in_it() -> None:
    seen = readable(DATA)
    seen.candidates[0].content.parts[0]["text"] = "b"
    assert seen.candidates[0].content.parts[0].text == seen["candidates"][0]["content"]["parts"][0]["text"] == "b"


def test_nothing_below_arguments_results_and_labels_is_wrapped_or_renamed() -> None:
    parts = readable(DATA).candidates[0].content.parts
    for plain in (parts[1].function_call.args, parts[1].function_call.args["maxTokens"],
                  parts[2].function_response.response, readable(DATA).labels):
        assert type(plain) is dict


def test_a_field_that_is_known_and_absent_is_none() -> None:
    seen = readable(DATA).candidates[0]
    assert seen.finish_message is seen.finishMessage is seen.grounding_metadata is seen.content.parts[0].thought is None


@pytest.mark.parametrize("name, hint", [
    ("finish_reson", "did you mean finish_reason"), ("finishReasn", "did you mean finish_reason"),
    ("xyzzy", "it has content, finish_reason"),
])
def test_an_unknown_name_is_an_attribute_error_that_helps(name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=hint):
        getattr(readable(DATA).candidates[0], name)
    assert not hasattr(readable(DATA), "_repr_html_") and not hasattr(readable(DATA), "__wrapped__")


def test_a_method_of_dict_stays_one() -> None:
    seen = readable(DATA)
    assert callable(seen.items) and seen["items"] == [1]


def test_an_attribute_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        readable(DATA).candidates = []


def test_any_json_can_be_shown() -> None:
    assert [readable(value) for value in (None, 1, "x", [1, [2]], {})] == [None, 1, "x", [1, [2]], {}]
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert readable({"a": deep}).a is not deep and type(copied(deep)) is list
    assert type(readable({"labels": {"a": {}}}).labels) is dict and type(readable(readable(DATA))) is APIObject


def test_an_answer_hands_out_objects_and_keeps_its_data_plain() -> None:
    response = GenerateContentResponse[Any](DATA)
    assert response.candidates[0].content.parts[0].text == response.content.parts[0].text == response.parts[0].text
    assert response.parts[1].function_call.args == {"maxTokens": {"firstName": [1]}} and response.data is DATA
    assert response.safety_ratings[0].category == "C" and response.logprobs is not None
    assert response.logprobs.top_candidates[0] == [{"a": 1}]
    response.parts[0]["text"] = "b"
    assert response.text == "a" and type(DATA["candidates"][0]) is dict


@pytest.mark.parametrize("value, number", [
    (1, 1), (-1.5, -1.5), (0, 0), (True, None), ("1", None), (None, None), (10 ** 400, None), (float("inf"), None),
    (float("nan"), None)])
def test_a_number_is_one_that_a_float_can_hold(value: Any, number: Any) -> None:
    assert number_or_none(value) == number
