"""Gemini's streams as chat completion chunks."""
from __future__ import annotations

import pytest
from openai_compat.builders import END, HI, USAGE, openai_chunks

from gemini_lite import GeminiClient, IncompleteError, NotFoundError, StreamChunk
from gemini_lite.openai_compat import OpenAIChat, chunks_to_openai
from gemini_lite.stream.fold import Fold
from gemini_lite.testing import FakeGemini, call


def test_parallel_calls_have_one_index_each_over_the_whole_stream() -> None:
    found = openai_chunks([call("a", {})], [call("b", {"x": 1}, "B"), call("a", {})], END)
    calls = [one for chunk in found for one in chunk.choices[0].delta.tool_calls or ()]
    assert [one.index for one in calls] == [0, 1, 2]
    assert [(one.function.name, one.function.arguments) for one in calls] == [
        ("a", "{}"), ("b", '{"x": 1}'), ("a", "{}")]


def test_a_call_that_a_later_event_answers_is_no_call_of_the_stream() -> None:
    done = {"functionResponse": {"name": "a", "response": {}}}  # as a server-side tool has it: recording 1588
    found = openai_chunks([call("a", {})], [done], [{"text": "Done."}], [call("b", {})], END)
    calls = [one for chunk in found for one in chunk.choices[0].delta.tool_calls or ()]
    assert [one.function.name for one in calls] == ["b"] and calls[0].index == 0


def test_include_usage_sends_the_last_numbers_once_at_the_end() -> None:
    early = {"promptTokenCount": 10, "candidatesTokenCount": 1, "totalTokenCount": 11}
    events = [{"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": early},
              {**END, "usageMetadata": USAGE}]
    found = openai_chunks(*events, include_usage=True)
    assert found[-1].choices == [] and found[-1].usage.total_tokens == 25
    assert all(chunk["usage"] is None for chunk in found[:-1])
    assert all("usage" not in chunk for chunk in openai_chunks(*events))
    assert len(openai_chunks(END, include_usage=True)) == len(openai_chunks(END)) == 2  # no numbers came


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


def test_a_broken_stream_raises_again_and_has_no_finish_reason(client: GeminiClient, fake: FakeGemini) -> None:
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
    assert openai_chunks([{"text": "Hel"}])[-1].choices[0].finish_reason is None


def test_arguments_are_checked_and_the_request_is_sent_when_the_stream_is_made(
        client: GeminiClient, fake: FakeGemini) -> None:
    fake.error(404, "no such model")
    with pytest.raises(NotFoundError):
        OpenAIChat(client).create(messages=HI, stream=True)
    with pytest.raises(ValueError, match="top_k"):
        OpenAIChat(client).create(messages=HI, stream=True, top_k=3)


def test_a_call_that_comes_in_pieces_leaves_the_texts_of_other_choices_alone() -> None:
    piece = {"functionCall": {"name": "f", "partialArgs": [], "willContinue": True}}
    event = {"candidates": [{"content": {"parts": [{"text": "a"}, piece]}},
                            {"index": 1, "content": {"parts": [{"text": "b"}]}}]}
    fold = Fold()
    chunk = StreamChunk(event, parts=fold.add(event))
    texts = [(found.choices[0].index, found.choices[0].delta.content) for found in chunks_to_openai([chunk])]
    assert texts == [(0, "a"), (1, "b")]
