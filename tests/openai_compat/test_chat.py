"""The client object: `OpenAIChat` and what it sends."""
from __future__ import annotations

from typing import Any, Dict, List

import pytest
from openai_compat.builders import HI, USAGE, calling, sent_request, to_contents, tool_call, tool_result

from gemini_lite import DeveloperAPI, GeminiClient, GeminiOptions
from gemini_lite.openai_compat import OpenAIChat
from gemini_lite.testing import FakeGemini, call


def test_only_an_illegal_tool_name_is_replaced_on_the_wire_and_restored_in_the_answer(
        client: GeminiClient, fake: FakeGemini) -> None:
    names = ["weather", "gtc__weather", "1st", "get weather", "get_weather"]
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    wire = ["weather", "gtc__weather", "_1st", "get_weather_2", "get_weather"]
    fake.reply([call(name, {}, signature="c2ln") for name in wire])
    found = OpenAIChat(client).create(messages=HI, tools=tools).choices[0].message
    assert [declared["name"] for declared in sent_request(fake)["tools"][0]["functionDeclarations"]] == wire
    assert [one.function.name for one in found.tool_calls] == names
    fake.reply("a")
    results = [tool_result(id=one.id) for one in found.tool_calls]
    OpenAIChat(client).create(messages=[*HI, found, *results], tools=tools)
    assert [part["functionCall"]["name"] for part in sent_request(fake)["contents"][1]["parts"]] == wire
    assert [part["functionResponse"]["name"] for part in sent_request(fake)["contents"][2]["parts"]] == wire


def test_an_answer_without_a_model_name_has_the_name_in_the_request(
        client: GeminiClient, fake: FakeGemini) -> None:
    for _ in range(2):
        fake.reply("a", modelVersion=None)
    fake.models.append("gemini-3-x")
    assert OpenAIChat(client).create(messages=HI).model == "gemini-3-pro-preview"
    assert next(OpenAIChat(client).create(messages=HI, model="gemini-3-x", stream=True)).model == "gemini-3-x"


def test_code_for_the_openai_package_reads_the_answer(client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("Hello", usageMetadata=USAGE)
    found = OpenAIChat(client).chat.completions.create(model="gemini-2.5-pro", messages=HI)
    assert found["choices"][0]["message"] == {"role": "assistant", "refusal": None, "content": "Hello"}
    assert (found.object, found.model, found.choices[0].index) == ("chat.completion", "gemini-2.5-pro", 0)
    assert found.id and isinstance(found.created, int) and found.usage.total_tokens == 25
    assert found.choices[0].message.tool_calls is found.choices[0].message.refusal is found.system_fingerprint is None


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


def test_the_clients_options_hold_where_openai_has_no_parameter(fake: FakeGemini) -> None:
    options = GeminiOptions(model="gemini-2.5-flash", top_k=20, system_prompt="Be brief.")
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        for messages in (HI, [{"role": "system", "content": "Be kind."}, *HI]):
            fake.reply("a")
            OpenAIChat(client).create(messages=messages)
            assert sent_request(fake)["generationConfig"] == {"topK": 20}
        OpenAIChat(client, drop_params=True)
    prompts = [sent_request(fake, number)["systemInstruction"]["parts"][0]["text"] for number in (0, 1)]
    assert prompts == ["Be brief.", "Be kind."] and fake.requests[0].model == "gemini-2.5-flash"


def test_python_functions_among_the_clients_tools_are_never_called(fake: FakeGemini) -> None:
    def weather(place: str) -> str:
        raise AssertionError(place)

    fake.reply(call("weather", {"place": "Rome"}))
    options = GeminiOptions(tools=[weather])
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        found = OpenAIChat(client).create(messages=HI)
    assert found.choices[0].message.tool_calls[0].function.name == "weather"


@pytest.mark.parametrize("messages", [
    [*HI, calling(tool_call()), tool_result(), {"role": "user", "content": "Well?"}],
    [{"role": "assistant", "content": "How can I help?"}, *HI]])
def test_turns_that_do_not_alternate_are_sent_as_they_are(
        client: GeminiClient, fake: FakeGemini, messages: List[Any]) -> None:
    fake.reply("a")
    OpenAIChat(client).create(messages=messages)
    assert sent_request(fake)["contents"] == to_contents(*messages)
