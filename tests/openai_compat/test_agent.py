"""One answer as AnythingLLM's agents take it."""
from __future__ import annotations

import logging
from typing import Any, Dict, List

import pytest
from openai_compat.builders import HI, USAGE, WEATHER, sent_request

from gemini_lite import GeminiClient, VertexAI
from gemini_lite.openai_compat import OpenAIChat
from gemini_lite.testing import FakeGemini, call

FUNCTIONS = [WEATHER["function"]]


@pytest.mark.parametrize("with_events", [False, True])
def test_an_agent_gets_the_text_and_all_calls_and_the_usage(
        client: GeminiClient, fake: FakeGemini, with_events: bool) -> None:
    fake.reply("Let me ", "see.", call("weather", {"place": "Rome"}, "1", "S"), call("weather", {"place": "Oslo"}, "2"),
               usageMetadata=USAGE)
    events: List[Dict[str, Any]] = []
    found = OpenAIChat(client).agent_stream(HI, FUNCTIONS, events.append if with_events else None)
    assert found["textResponse"] == "Let me see." and found["usage"]["total_tokens"] == 25
    assert found["functionCalls"] == [
        {"id": "1", "name": "weather", "arguments": {"place": "Rome"},
         "extra_content": {"google": {"thought_signature": "S"}}},
        {"id": "2", "name": "weather", "arguments": {"place": "Oslo"}}]
    assert found["finishReason"] == "tool_calls" and fake.requests[-1].streamed is with_events
    uuid = events[0]["uuid"] if with_events else ""
    assert events == with_events * [
        {"type": "textResponseChunk", "uuid": uuid, "content": "Let me "},
        {"type": "textResponseChunk", "uuid": uuid, "content": "see."},
        {"type": "toolCallInvocation", "uuid": uuid + ":tool_call_invocation",
         "content": 'Assembling Tool Call: weather({"place": "Rome"})'},
        {"type": "toolCallInvocation", "uuid": uuid + ":tool_call_invocation:1",
         "content": 'Assembling Tool Call: weather({"place": "Oslo"})'}]


@pytest.mark.parametrize("with_events", [False, True])
def test_an_agents_answer_without_calls_has_the_same_keys(
        client: GeminiClient, fake: FakeGemini, with_events: bool) -> None:
    fake.reply("Hello")
    found = OpenAIChat(client).agent_stream(HI, FUNCTIONS, (lambda event: None) if with_events else None)
    assert (found["textResponse"], found["functionCalls"], found["finishReason"]) == ("Hello", [], "stop")


def test_an_agents_calls_go_back_as_original_calls_with_their_signatures(
        client: GeminiClient, fake: FakeGemini) -> None:
    parts = [call("weather", {"place": "Rome"}, "1", "S"), call("weather", {"place": "Oslo"}, "2")]
    fake.reply(parts)
    fake.reply("Sun")
    agent = OpenAIChat(client).agent_stream
    calls = agent(HI, FUNCTIONS)["functionCalls"]
    agent([*HI, *({"role": "function", "name": one["name"], "content": "sunny", "originalFunctionCall": one}
                  for one in calls)], FUNCTIONS)
    assert sent_request(fake)["contents"][1]["parts"] == parts
    assert len(sent_request(fake)["contents"]) == 3


def test_an_error_raised_by_on_event_reaches_the_caller(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("a", "b")
    with pytest.raises(ZeroDivisionError):
        OpenAIChat(client).agent_stream(HI, on_event=lambda event: 1 / 0)


def test_functions_for_a_model_of_another_family_are_only_a_warning(
        client: GeminiClient, fake: FakeGemini, caplog: pytest.LogCaptureFixture) -> None:
    def warned(functions: Any, **parameters: Any) -> bool:
        fake.reply(call("weather", {}))
        caplog.clear()
        with caplog.at_level(logging.WARNING, "gemini_lite"):
            assert OpenAIChat(client).agent_stream(HI, functions, **parameters)["textResponse"] is None
        return any("may have no tools" in text for text in caplog.messages)

    fake.models += ["gemma-3-27b-it", "gemini-3-pro"]
    assert warned(FUNCTIONS, model="gemma-3-27b-it") and not warned((), model="gemma-3-27b-it")
    prefix = "publishers/google/" if isinstance(client.backend, VertexAI) else ""
    assert not warned(FUNCTIONS, model=f"{prefix}models/gemini-3-pro") and not warned(FUNCTIONS)
    client = GeminiClient(backend=client.backend, model="gemma-3-27b-it")
    with client:
        assert warned(FUNCTIONS)


def test_the_agents_own_parameters_reach_the_request(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("a")
    OpenAIChat(client).agent_stream(HI, FUNCTIONS, print, temperature=0.7)
    assert sent_request(fake)["generationConfig"] == {"temperature": 0.7}
