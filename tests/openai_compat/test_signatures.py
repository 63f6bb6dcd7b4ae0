"""Thought signatures: out with an answer, and back with the messages of the next request."""
from __future__ import annotations

from typing import Any, Dict, List

import pytest
from openai_compat.builders import (
    END, HI, PNG, WEATHER, calling, openai_chunks, openai_message, sent_request, to_contents, tool_call, tool_result,
)

from gemini_lite import GeminiClient
from gemini_lite.openai_compat import OpenAIChat
from gemini_lite.testing import FakeGemini, call


@pytest.mark.parametrize("where", [
    {"extra_content": {"google": {"thought_signature": "S"}}}, {"thought_signature": "S"},
    {"extra_content": {"vertex": {"thought_signature": "S"}}}])
def test_a_calls_signature_is_accepted_in_its_three_places(where: Dict[str, Any]) -> None:
    assert to_contents(*HI, calling(tool_call(**where)), tool_result())[1]["parts"][0]["thoughtSignature"] == "S"


def test_a_calls_signature_is_in_its_extra_content_only() -> None:
    first, second = openai_message(call("a", {}, "1", "S"), call("a", {}, "2")).tool_calls
    assert first.extra_content == {"google": {"thought_signature": "S"}} and "extra_content" not in second


@pytest.mark.parametrize("parts", [
    [{"text": "Hi", "thoughtSignature": "S"}],
    [{"text": "Hi"}, {"text": "", "thoughtSignature": "S"}],
    [{"text": "", "thoughtSignature": "S"}],
    [{"text": "a", "thoughtSignature": "S"}, {"text": "b"}, {"text": "c", "thoughtSignature": "T"}],
    [{"text": "why", "thought": True, "thoughtSignature": "S"}, {"text": "so"}],
    [{"text": "See:"}, {"inlineData": {"mimeType": "image/png", "data": PNG}, "thoughtSignature": "S"}, {"text": "!"}],
    [{"text": "Hi"}, {"text": "", "thoughtSignature": "S"}, call("a", {"x": 1}, "1", "T"), call("b", {}, "2")],
    [{"text": "Hi"}],
    # parts after or between calls (recording 2357): the order is kept
    [call("a", {}, "1", "S"), {"toolCall": {"id": "x", "toolType": "GOOGLE_SEARCH_WEB"}, "thoughtSignature": "T"}],
    [{"text": "Let me see."}, call("a", {}, "1"), {"text": "And"}, call("b", {}, "2"), {"text": "so."}],
    [call("a", {}, "1"), {"text": "", "thoughtSignature": "S"}, call("b", {}, "2"), call("a", {}, "3")],
])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_models_parts_are_sent_back_unchanged(parts: List[Dict[str, Any]], streamed: bool) -> None:
    found: Any = {"role": "assistant", "content": "", "tool_calls": []}
    if streamed:
        for chunk in openai_chunks(*[[part] for part in parts], END):
            for key, value in chunk.choices[0].delta.items():
                found[key] = found[key] + value if key in ("content", "tool_calls") else value
    else:
        found = openai_message(*parts)
    replies = [tool_result(id=one["id"]) for one in found.get("tool_calls", ())]
    assert to_contents(*HI, found, *replies)[1] == {"role": "model", "parts": parts}


@pytest.mark.parametrize("calls", [[], ["1"], ["1", "2", "3"]])
def test_calls_that_are_not_as_many_as_their_places_come_last(calls: List[str]) -> None:
    found = openai_message(call("a", {}, "1"), {"text": "x", "thoughtSignature": "S"}, call("a", {}, "2"))
    found["tool_calls"] = [tool_call("a", id=id) for id in calls]
    parts = to_contents(*HI, found, *[tool_result(id=id) for id in calls])[1]["parts"]
    assert parts[0] == {"text": "x", "thoughtSignature": "S"}
    assert [part["functionCall"]["id"] for part in parts[1:]] == calls


def test_a_call_that_is_answered_in_its_own_turn_is_no_call_of_the_message() -> None:
    done = {"functionResponse": {"id": "1", "name": "a", "response": {}}}
    parts = [call("a", {}, "1"), done, {"text": "Done."}]
    found = openai_message(*parts)
    assert to_contents(*HI, {key: value for key, value in found.items() if key != "tool_calls"})[1]["parts"] == parts


def test_the_signature_of_a_text_is_in_the_messages_extra_content() -> None:
    found = openai_message({"text": "Hi", "thoughtSignature": "S"})
    assert found.extra_content == {"google": {"thought_signature": "S"}}


def test_parts_that_content_has_no_room_for_are_in_the_extra_content() -> None:
    empty, picture = {"text": "", "thoughtSignature": "S"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert openai_message({"text": "Hi"}, empty).extra_content == {
        "google": {"thought_signature": "S", "parts": [empty]}}
    assert openai_message({"text": "Hi"}, picture).extra_content == {"google": {"parts": [picture]}}


def test_an_edited_text_loses_its_signatures() -> None:
    found = openai_message({"text": "a", "thoughtSignature": "S"}, {"text": "b", "thoughtSignature": "T"})
    assert to_contents(*HI, {**found, "content": "x"})[1]["parts"] == [{"text": "x"}]
    assert len(to_contents(*HI, {**found, "content": ""})) == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_turns_that_are_sent_back_keep_every_signature(
        client: GeminiClient, fake: FakeGemini, streamed: bool) -> None:
    first = [{"text": "Let me see.", "thoughtSignature": "A"}, call("weather", {"place": "Rome"}, "1", "B"),
             call("weather", {"place": "Oslo"}, "2")]
    second = [call("weather", {"place": "Bern"}, "3", "C")]
    third = [{"text": "Sun"}, {"text": "", "thoughtSignature": "D"}]
    for parts in (first, second, third, [{"text": "Bye"}]):
        fake.reply(*parts)
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
        messages += [reply, *(tool_result("sunny", one["id"]) for one in reply.get("tool_calls") or ())]
        if not reply.get("tool_calls"):
            messages += HI
    create(messages=messages, tools=[WEATHER])
    turns = [turn["parts"] for turn in sent_request(fake)["contents"] if turn["role"] == "model"]
    assert turns == [first, second, third]
