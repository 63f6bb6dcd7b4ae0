"""Gemini's responses as chat completions."""
from __future__ import annotations

import copy
import functools
import json
import pickle
from typing import Any, Dict

import pytest
from openai_compat.builders import END, HI, USAGE, gemini_answer, openai_chunks, openai_message

from gemini_lite import GeminiClient, GenerateContentResponse, IncompleteError, StreamChunk
from gemini_lite.openai_compat import OpenAIChat, chunks_to_openai, to_openai
from gemini_lite.testing import FakeGemini, call


DEEP: Any = functools.reduce(lambda inner, _: {"a": inner}, range(5000), {})


def test_calls_keep_their_ids_or_get_new_ones() -> None:
    ids = [one.id for one in openai_message(call("a", {}, "given"), call("a", {}), call("a", {})).tool_calls]
    assert ids[0] == "given" and len(set(ids)) == 3 and all(ids)


@pytest.mark.parametrize("reason, finish", [
    ("STOP", "stop"), ("OTHER", "stop"), ("A_NEW_ONE", "stop"), (None, "stop"), ("MAX_TOKENS", "length"),
    ("SAFETY", "content_filter"), ("RECITATION", "content_filter"), ("BLOCKLIST", "content_filter"),
    ("PROHIBITED_CONTENT", "content_filter"), ("SPII", "content_filter"), ("IMAGE_SAFETY", "content_filter"),
])
def test_finish_reasons_are_openais(reason: Any, finish: str) -> None:
    assert to_openai(gemini_answer({"text": "a"}, finishReason=reason)).choices[0].finish_reason == finish
    if reason:
        last = openai_chunks([{"text": "a"}], {"candidates": [{"finishReason": reason}]})[-1]
        assert last.choices[0].finish_reason == finish


def test_calls_make_the_finish_reason_tool_calls_unless_the_answer_was_cut() -> None:
    assert to_openai(gemini_answer(call("a", {}))).choices[0].finish_reason == "tool_calls"
    assert openai_chunks([call("a", {})], END)[-1].choices[0].finish_reason == "tool_calls"
    assert to_openai(gemini_answer(call("a", {}), finishReason="MAX_TOKENS")).choices[0].finish_reason == "length"


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_a_call_that_cannot_be_run_is_an_error(client: GeminiClient, fake: FakeGemini, reason: str) -> None:
    for streamed in (False, True):
        fake.reply("a", finishReason=reason)
        with pytest.raises(IncompleteError, match=reason):
            list(OpenAIChat(client).create(messages=HI, stream=streamed))
    with pytest.raises(IncompleteError, match=reason):
        to_openai(gemini_answer(finishReason=reason))


def test_text_that_came_with_a_call_is_kept() -> None:
    found = openai_message({"text": "Let me see."}, call("a", {}))
    assert found.content == "Let me see." and len(found.tool_calls) == 1


def test_content_is_none_only_beside_calls() -> None:
    assert openai_message(call("a", {})).content is None and openai_message().content == ""


def test_usage_has_cached_and_reasoning_tokens_and_its_totals_agree() -> None:
    assert to_openai(gemini_answer({"text": "a"}, usageMetadata=USAGE)).usage == {
        "prompt_tokens": 13, "completion_tokens": 12, "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 7}}


def test_missing_counts_are_none_and_missing_usage_is_none() -> None:
    assert to_openai(gemini_answer({"text": "a"})).usage is None
    found = to_openai(gemini_answer({"text": "a"}, usageMetadata={"promptTokenCount": 1, "totalTokenCount": 1})).usage
    assert found.prompt_tokens_details.cached_tokens is found.completion_tokens_details.reasoning_tokens is None
    assert found.total_tokens == 1


def test_thoughts_are_reasoning_content_and_no_text() -> None:
    found = openai_message({"text": "hm", "thought": True}, {"text": "so"})
    assert (found.reasoning_content, found.content) == ("hm", "so")
    chunks = openai_chunks([{"text": "hm", "thought": True}], [{"text": "so"}], END)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas == [{"role": "assistant", "content": "", "reasoning_content": "hm"}, {"content": "so"}, {}]


def test_a_signed_text_is_not_a_thought() -> None:
    assert openai_message({"text": "so", "thoughtSignature": "S"}).content == "so"


def test_log_probabilities_are_in_openais_format() -> None:
    found = {"chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "b"}],
             "topCandidates": [{"candidates": [{"token": "é", "logProbability": -0.5}, {"token": "x"}]}]}
    first, second = to_openai(gemini_answer({"text": "éb"}, logprobsResult=found)).choices[0].logprobs.content
    assert (first.token, first.logprob, first.bytes) == ("é", -0.5, [195, 169])
    assert [top.token for top in first.top_logprobs] == ["é", "x"]
    assert second == {"token": "b", "logprob": 0.0, "bytes": [98], "top_logprobs": []}
    assert to_openai(gemini_answer({"text": "a"})).choices[0].logprobs is None
    late = {"candidates": [{"finishReason": "STOP", "logprobsResult": found}]}
    streamed = [chunk.choices[0].logprobs for chunk in openai_chunks([{"text": "éb"}], late)]
    assert [one and len(one.content) for one in streamed] == [None, 2, None]


def test_each_candidate_is_a_choice() -> None:
    two = [{"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS"},
           {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]
    found = to_openai(GenerateContentResponse({"candidates": two})).choices
    assert sorted((one.index, one.message.content, one.finish_reason) for one in found) == [
        (0, "a", "stop"), (1, "b", "length")]
    streamed = [(chunk.choices[0].index, chunk.choices[0].delta.content, chunk.choices[0].finish_reason)
                for chunk in openai_chunks({"candidates": two[1:]}, {"candidates": two[:1]})]
    assert streamed == [(0, "a", None), (1, "b", None), (0, None, "stop"), (1, None, "length")]


def test_an_answer_keeps_its_id_and_model_or_gets_one_for_all_its_chunks() -> None:
    event = {"responseId": "r", "modelVersion": "v", **END}
    assert {(chunk.id, chunk.model) for chunk in openai_chunks(event, event, model="m")} == {("r", "v")}
    found = to_openai(GenerateContentResponse(event), "m")
    assert (found.id, found.model) == ("r", "v")
    ids = {(chunk.id, chunk.model) for chunk in openai_chunks([{"text": "a"}], [{"text": "b"}], END, model="m")}
    assert len(ids) == 1 and {name for _, name in ids} == {"m"} and all(id for id, _ in ids)
    assert to_openai(gemini_answer(), "m").model == "m" and to_openai(gemini_answer()).model == ""


def test_answers_are_dicts_that_json_pickle_and_deepcopy_keep() -> None:
    found = to_openai(gemini_answer({"text": "a"}, call("f", {"é": 1}, "1", "S"), usageMetadata=USAGE))
    assert json.loads(json.dumps(found)) == pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found
    assert type(pickle.loads(pickle.dumps(found)).choices[0]) is type(found)
    assert json.loads(found.model_dump_json()) == found.model_dump() == found.to_dict() == found
    assert type(found.model_dump()["choices"][0]["message"]) is dict
    assert "refusal" not in found.choices[0].message.model_dump(exclude_none=True)


def test_an_attribute_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'contents' is not in the answer; there are: role"):
        openai_message({"text": "a"}).contents
    assert not hasattr(openai_message({"text": "a"}), "reasoning_content")


def test_an_attribute_that_is_set_is_an_entry() -> None:
    found = openai_message({"text": "a"})
    found.content = "b"
    assert found["content"] == "b"


@pytest.mark.parametrize("data", [
    {"candidates": [{"content": {"parts": [{"functionCall": 3}, {"text": 4}, "x"]}, "index": "a"}]},
    {"candidates": [{"content": None, "logprobsResult": {"chosenCandidates": {}}}]}, {"candidates": [{}]},
    {"candidates": None, "usageMetadata": 3},
    {"candidates": [{"content": {"parts": [{"inlineData": DEEP}, {"text": "a", "thoughtSignature": DEEP}]}}]},
    {"candidates": [{"logprobsResult": {"chosenCandidates": [{"token": DEEP, "logProbability": DEEP}]}}]}])
def test_malformed_answers_raise_nothing(data: Dict[str, Any]) -> None:
    json.dumps(to_openai(GenerateContentResponse(data)))
    json.dumps(list(chunks_to_openai([StreamChunk(data)])))


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "\ud800", DEEP])
def test_a_call_whose_arguments_no_json_can_say_is_an_error(value: Any) -> None:
    for make in (openai_message, lambda part: openai_chunks([part], END)):
        with pytest.raises(IncompleteError, match="a call that cannot be run"):
            make(call("a", {"x": value}))


@pytest.mark.parametrize("result_id", [None, "given"])
def test_a_call_that_a_server_has_answered_is_no_call_of_the_message(result_id: Any) -> None:
    done = {"functionResponse": {"name": "a", "response": {}, **({"id": result_id} if result_id else {})}}
    found = to_openai(gemini_answer(call("a", {}), done, {"text": "Done."})).choices[0]
    assert "tool_calls" not in found.message and found.finish_reason == "stop"
