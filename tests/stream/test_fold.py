"""What only some events of a stream say is not lost in the fold; tests/test_response.py has the fold's other laws."""
from __future__ import annotations

from typing import Any, Dict

import pytest

from gemini_lite.stream.fold import Fold

JSON = Dict[str, Any]


def folded(*events: JSON) -> JSON:
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response().data


def test_of_the_usage_what_is_no_token_count_stays_and_the_counts_are_the_last_events() -> None:
    first = {"billablePromptUsage": {"textCount": 453}, "trafficType": "ON_DEMAND", "promptTokenCount": 9,
             "thoughtsTokenCount": 5, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}]}
    last = {"trafficType": "PROVISIONED_THROUGHPUT", "totalTokenCount": 12}
    before = dict(first)
    assert folded({"usageMetadata": first}, {"usageMetadata": last})["usageMetadata"] == {
        "billablePromptUsage": {"textCount": 453}, **last}
    assert first == before


@pytest.mark.parametrize("thought", [False, None, "", 0, 1, "true"])
def test_a_text_is_joined_to_thoughts_only_where_it_is_marked_true(thought: object) -> None:
    parts = [{"text": "a", "thought": True}, {"text": "b", "thought": thought}, {"text": "c"}]
    event = {"candidates": [{"content": {"parts": parts}}]}
    assert folded(event)["candidates"][0]["content"]["parts"] == parts


def test_usage_of_odd_shape_is_the_last_one() -> None:
    for odd in (None, 5, "x", []):
        assert folded({"usageMetadata": odd}, {"usageMetadata": {"a": 1}})["usageMetadata"] == {"a": 1}
        assert folded({"usageMetadata": {"a": 1}}, {"usageMetadata": odd})["usageMetadata"] == odd


def test_what_comes_after_the_finish_reason_belongs_to_the_answer() -> None:
    fold = Fold()
    fold.add({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]})
    assert fold.finished
    first = fold.response()
    assert fold.response() is first
    fold.add({"candidates": [{"content": {"parts": [{"text": "b"}]}}]})
    assert fold.finished and fold.response().text == "ab" and first.text == "a"
