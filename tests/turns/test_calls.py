"""Which calls wait for a result, turn by turn, and how results find them."""
from __future__ import annotations

import sys
from typing import Any, Dict, List, Optional

import pytest

from gemini_lite import GenerateContentResponse
from gemini_lite.turns.calls import CallResult, open_calls, owed_calls, results_content

JSON = Dict[str, Any]


def call(name: str, id: Optional[str] = None) -> JSON:
    return {"functionCall": {"name": name, **({"id": id} if id else {})}}


def result(name: str, id: Optional[str] = None) -> JSON:
    return {"functionResponse": {"name": name, "response": {}, **({"id": id} if id else {})}}


def turn(role: str, *parts: JSON) -> JSON:
    return {"role": role, "parts": list(parts)}


HI = turn("user", {"text": "hi"})


@pytest.mark.parametrize("parts, names", [
    ([call("f")], "f"), ([call("f"), result("f")], ""), ([call("f"), result("f"), {"text": "so"}, call("g")], "g"),
    ([call("f"), call("f"), result("f")], "f"), ([call("f", "1"), call("f", "2"), result("f", "2")], "f"),
    ([call("f"), result("g")], "f"), ([result("f")], ""), ([call("f"), result("f", "9")], ""),
    ([{"functionCall": {}}, {"functionCall": None}, {"functionCall": 5}, {"functionResponse": 5}], ""),
])
def test_a_call_that_is_answered_in_its_own_turn_is_not_owed(parts: List[JSON], names: str) -> None:
    assert "".join(found["name"] for found in open_calls(parts)) == names
    assert "".join(found["name"] for found in owed_calls([HI, turn("model", *parts)])) == names
    response = GenerateContentResponse[Any]({"candidates": [{"content": {"parts": parts}}]})
    assert "".join(found.name for found in response.function_calls) == names


def test_of_calls_with_ids_the_one_that_was_not_answered_is_left() -> None:
    assert open_calls([call("f", "1"), call("f", "2"), result("f", "1")]) == [{"name": "f", "id": "2"}]


@pytest.mark.parametrize("contents, names", [
    ([], ""), ([HI], ""), ([HI, turn("model", call("f"))], "f"),
    ([turn("model", call("f")), turn("user", result("f"))], ""),
    ([turn("model", call("f")), turn("model", call("g"))], "fg"),
    ([turn("model", call("f")), turn("model", result("f"), {"text": "so"})], ""),
    ([turn("model", call("f"), call("g")), turn("user", result("g"))], "f"),
    ([turn("model", call("f"), call("g")), turn("user", result("g")), turn("user", result("f"))], ""),
    ([turn("model", call("f")), HI, turn("model", {"text": "well"})], ""),
])
def test_neighbouring_turns_of_one_role_are_one_turn(contents: List[JSON], names: str) -> None:
    assert "".join(found["name"] for found in owed_calls(contents)) == names


def test_a_call_without_an_id_takes_a_result_with_any_and_keeps_none() -> None:
    found = results_content([{"name": "f"}, {"name": "f", "id": "2"}],
                            [CallResult("f", {"a": 1}, "9"), CallResult("f", {"a": 2}, "2")])
    assert found["parts"] == [{"functionResponse": {"name": "f", "response": {"a": 1}}},
                              {"functionResponse": {"name": "f", "response": {"a": 2}, "id": "2"}}]


def test_results_find_their_calls_in_time_in_proportion() -> None:
    def lines(count: int, id: Optional[str]) -> int:
        ran = 0

        def trace(frame: Any, kind: str, argument: Any) -> Any:
            nonlocal ran
            ran += kind == "line"
            return trace

        owed = [call("f", id and f"{id}{index}")["functionCall"] for index in range(count)]
        sys.settrace(trace)
        try:
            results_content(owed, [CallResult("f", {}, each.get("id")) for each in reversed(owed)])
        finally:
            sys.settrace(None)
        return ran

    assert lines(1000, None) < 11 * lines(100, None) and lines(1000, "a") < 11 * lines(100, "a")
