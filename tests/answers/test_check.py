"""An answer that is not whole is an error that says why, in plain words, and what to do."""
from __future__ import annotations

import logging
from typing import Any, Dict, List, Optional

import pytest

from gemini_lite import BlockedError, GeminiError, GenerateContentResponse, IncompleteError
from gemini_lite.answers import check as rooms
from gemini_lite.answers.check import check, check_sendable, why_not_json

JSON = Dict[str, Any]
VISIBLE: List[JSON] = [
    {"text": "a"}, {"functionCall": {"name": "f"}}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
    {"executableCode": {"code": "1"}}, {"fileData": {"fileUri": "u"}}, {"toolCall": {"id": "1"}},
]
INVISIBLE: List[List[JSON]] = [
    [], [{}], [{"text": ""}], [{"text": "hm", "thought": True}], [{"text": "", "thoughtSignature": "s"}],
    [{"functionCall": {}}], [{"functionCall": None}],
]


def failure(parts: List[JSON], reason: Optional[str], streamed: bool = False, **fields: Any) -> Optional[GeminiError]:
    usage = {"usageMetadata": fields.pop("usage")} if "usage" in fields else {}
    candidate = {"content": {"parts": parts}, **({"finishReason": reason} if reason else {}), **fields}
    try:
        check(GenerateContentResponse[Any]({"candidates": [candidate], **usage}), streamed)
    except GeminiError as error:
        return error
    return None


@pytest.mark.parametrize("part", VISIBLE)
@pytest.mark.parametrize("reason", ["STOP", "MAX_TOKENS", "OTHER", "LANGUAGE", "SOMETHING_NEW"])
def test_an_answer_with_something_visible_is_whole_whatever_ended_it(part: JSON, reason: str) -> None:
    assert failure([{"text": "hm", "thought": True}, part], reason) is None


@pytest.mark.parametrize("parts", INVISIBLE)
@pytest.mark.parametrize("reason", ["MAX_TOKENS", "OTHER", "LANGUAGE", "NO_IMAGE", "SOMETHING_NEW"])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_with_nothing_visible_is_incomplete_in_googles_words(
    parts: List[JSON], reason: str, streamed: bool,
) -> None:
    error = failure(parts, reason, streamed, finishMessage="Internal error.")
    assert type(error) is IncompleteError and error.reason == reason and error.response.finish_reason == reason
    assert reason in str(error) and "Internal error." in str(error)
    assert error.retryable == (reason not in ("MAX_TOKENS", "LANGUAGE"))


@pytest.mark.parametrize("parts", INVISIBLE)
def test_stop_with_nothing_visible_is_a_normal_answer_with_a_warning(
    parts: List[JSON], caplog: pytest.LogCaptureFixture,
) -> None:
    assert failure(parts, "STOP") is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_limit_that_thoughts_used_up_names_their_tokens_and_the_options_to_change() -> None:
    error = failure([{"text": "hm", "thought": True}], "MAX_TOKENS", usage={"thoughtsTokenCount": 97})
    assert "97 tokens went into thoughts" in str(error)
    assert "max_output_tokens" in str(error) and "thinking_budget" in str(error)
    assert "thoughts" not in str(failure([], "MAX_TOKENS")).partition(".")[0]


@pytest.mark.parametrize("reason", sorted(rooms._BLOCKED_ANSWER))
def test_each_reason_that_blocks_an_answer_says_its_own(reason: str) -> None:
    error = failure([{"text": "half"}], reason, finishMessage="Because.")
    assert type(error) is BlockedError and (error.reason, error.response.text) == (reason, "half")
    assert f"({reason}): Because. " in str(error)
    assert str(error).startswith(rooms._BLOCKED_ANSWER[reason].partition(". ")[0])


@pytest.mark.parametrize("reason", [*rooms._BLOCKED_PROMPT, "SOMETHING_NEW"])
def test_each_reason_that_blocks_a_prompt_says_its_own(reason: str) -> None:
    data = {"promptFeedback": {"blockReason": reason, "blockReasonMessage": "Because."}}
    with pytest.raises(BlockedError, match=rf"prompt.*\({reason}\): Because\. ") as caught:
        check(GenerateContentResponse[Any](data))
    assert caught.value.reason == reason


def test_every_message_has_a_next_step() -> None:
    tables = (rooms._BLOCKED_PROMPT, rooms._BLOCKED_ANSWER, rooms._INVALID_CALL, rooms._NOTHING_VISIBLE)
    assert [text for table in tables for text in table.values() if text.count(". ") < 1] == []


BROKEN_CALLS: List[JSON] = [
    {"functionCall": {"args": {}}}, {"functionCall": {"name": ""}}, {"functionCall": {"name": ["f"]}},
    {"functionCall": {"name": {"a": 1}}}, {"functionCall": "f"}, {"functionCall": [1]},
    {"functionCall": {"name": "f", "args": [1]}}, {"functionCall": {"name": "f", "args": "x"}},
    {"functionCall": {"name": "f", "id": {"a": 1}}}, {"functionCall": {}, "thoughtSignature": "s"},
    {"functionCall": {}, "x": 1},
    {"functionResponse": {"response": {}}}, {"functionResponse": 5},
]


@pytest.mark.parametrize("part", BROKEN_CALLS)
def test_a_call_without_a_name_or_arguments_is_an_incomplete_answer(part: JSON) -> None:
    error = failure([{"text": "a"}, part], "STOP")
    assert type(error) is IncompleteError and (error.reason, error.retryable) == ("MALFORMED_FUNCTION_CALL", True)


@pytest.mark.parametrize("call", [
    {"name": "f"}, {"name": "f", "args": None}, {"name": "f", "args": {}, "id": None}, {"name": "f", "id": "1"},
])
def test_a_call_may_leave_out_what_it_has_not(call: JSON) -> None:
    assert failure([{"functionCall": call}], "STOP") is None


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value, words", [
    ("\ud83d", "surrogate"), ({"\ude00": 1}, "surrogate"), (float("nan"), "nan"), ([float("-inf")], "inf"),
    (2 ** 1024, "1025 bits"), (-2 ** 2000, "2001 bits"), (nested(129), "128 levels"), (nested(100_000), "128 levels"),
])
def test_what_json_cannot_say_again_is_named(value: Any, words: str) -> None:
    part = {"text": "a", "x": value}
    assert words in why_not_json([part])
    with pytest.raises(IncompleteError, match=words) as caught:
        check_sendable([part], GenerateContentResponse[Any]({}))
    assert caught.value.reason == "NOT_JSON" and caught.value.retryable


@pytest.mark.parametrize("value", ["\U0001f600\u2028\x00", 1e300, None, True, [], {}, nested(120), 2 ** 1024 - 1])
def test_what_json_can_say_again_passes(value: Any) -> None:
    assert why_not_json([{"x": value}]) == ""
