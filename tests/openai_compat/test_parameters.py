"""OpenAI's tools and parameters as fields of the options."""
from __future__ import annotations

import logging
from typing import Any, Dict

import pytest
from openai_compat.builders import (
    HI, STRICT, WEATHER, calling, declared_schema, sent_request, to_overrides, tool_call, tool_result,
)

from gemini_lite import DeveloperAPI, GeminiClient, GeminiOptions
from gemini_lite.openai_compat import OpenAIChat, from_openai
from gemini_lite.testing import FakeGemini


def test_a_function_is_a_declaration() -> None:
    assert to_overrides(tools=[WEATHER])["tools"] == [{
        "name": "weather", "description": "The weather somewhere.",
        "parametersJsonSchema": WEATHER["function"]["parameters"]}]


@pytest.mark.parametrize("schema", [
    None, {}, {"type": "object", "properties": {}}, {"type": "object", "properties": {}, "required": [],
                                                     "additionalProperties": False}])
def test_a_function_without_parameters_has_no_schema(schema: Any) -> None:
    assert declared_schema(schema) is None


def test_parameters_that_are_open_are_kept_without_properties() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    assert declared_schema(schema) == schema


@pytest.mark.parametrize("tool", [
    {"type": "custom", "custom": {"name": "f"}}, {"type": "function"}, {"type": "function", "function": {}}, "f",
    {"type": "function", "function": {"name": "f", "parameters": "none"}}])
def test_a_tool_that_is_no_function_is_an_error_that_names_it(tool: Any) -> None:
    with pytest.raises(ValueError, match=r"tools\[1\]"):
        to_overrides(tools=[WEATHER, tool])


@pytest.mark.parametrize("choice, mode", [
    ("auto", {"mode": "AUTO"}), ("none", {"mode": "NONE"}), ("required", {"mode": "ANY"}),
    ({"type": "function", "function": {"name": "weather"}}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [WEATHER]}},
     {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
])
def test_tool_choice_is_a_mode_and_names(
        client: GeminiClient, fake: FakeGemini, choice: Any, mode: Dict[str, Any]) -> None:
    fake.reply("a")
    OpenAIChat(client).create(messages=HI, tools=[WEATHER], tool_choice=choice)
    assert sent_request(fake)["toolConfig"] == {"functionCallingConfig": mode}


def test_a_forced_function_that_is_named_like_a_mode_is_a_name() -> None:
    choice = {"type": "function", "function": {"name": "auto"}}
    found = to_overrides(tools=[{"type": "function", "function": {"name": "auto"}}], tool_choice=choice)
    assert found["tool_choice"] == ["auto"]


@pytest.mark.parametrize("choice", [
    "any", "weather", {}, {"type": "function"}, {"type": "allowed_tools", "allowed_tools": {"mode": "any"}}, 3])
def test_an_unknown_tool_choice_is_an_error(choice: Any) -> None:
    with pytest.raises(ValueError, match="tool_choice"):
        to_overrides(tools=[WEATHER], tool_choice=choice)


NEWS = {"type": "function", "function": {"name": "news"}}


def allowed(mode: str, *tools: Any) -> Dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


def test_allowed_tools_that_need_not_be_called_are_the_only_ones_that_are_declared() -> None:
    found = to_overrides(tools=[WEATHER, NEWS], tool_choice=allowed("auto", NEWS))
    assert found == {"tools": [{"name": "news"}], "tool_choice": "auto"}
    assert to_overrides(tools=[WEATHER], tool_choice=allowed("auto")) == {}
    with pytest.raises(ValueError, match="allows news, which tools does not have"):
        to_overrides(tools=[WEATHER], tool_choice=allowed("auto", NEWS))


def test_a_call_of_a_tool_that_is_not_allowed_now_stays_in_the_history() -> None:
    messages = [*HI, calling(tool_call("weather")), tool_result()]
    contents, _ = from_openai(messages, [WEATHER, NEWS], tool_choice=allowed("auto", NEWS))
    assert contents[1]["parts"][0]["functionCall"]["name"] == "weather"


@pytest.mark.parametrize("options", [{}, {"search_context_size": "medium"}, {"user_location": None}])
def test_web_search_options_switch_googles_search_on_beside_the_functions(options: Any) -> None:
    assert to_overrides(web_search_options=options) == {"tools": [{"googleSearch": {}}]}
    assert to_overrides(tools=[NEWS], web_search_options=options)["tools"] == [{"name": "news"}, {"googleSearch": {}}]
    assert to_overrides(web_search_options=None) == {}


def test_a_setting_of_the_search_is_refused_or_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    options = {"search_context_size": "high"}
    with pytest.raises(ValueError, match="has no search_context_size"):
        to_overrides(web_search_options=options)
    with caplog.at_level(logging.WARNING, "gemini_lite"):
        assert to_overrides(web_search_options=options, drop_params=True) == {"tools": [{"googleSearch": {}}]}
    assert "search_context_size left out" in caplog.text


class HttpxTimeout:
    """As much of an ``httpx.Timeout`` as is read."""

    def __init__(self, connect: Any, read: Any) -> None:
        self.connect, self.read = connect, read


@pytest.mark.parametrize("given, timeout", [
    (5, {"timeout": 5}), (2.5, {"timeout": 2.5}), (HttpxTimeout(2, 30), {"timeout": (2, 30)}),
    (HttpxTimeout(None, 30), {"timeout": (30, 30)}), (HttpxTimeout(2, None), {"timeout": (2, 2)}),
    (HttpxTimeout(None, None), {})])
def test_a_timeout_holds_for_the_call(given: Any, timeout: Any, client: GeminiClient, fake: FakeGemini) -> None:
    assert to_overrides(timeout=given) == timeout
    fake.reply("a")
    assert OpenAIChat(client).create(messages=HI, timeout=given).choices[0].message.content == "a"


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_tool_choice_auto_or_none_is_left_out_without_tools(choice: str) -> None:
    assert to_overrides(tools=[], tool_choice=choice) == {}
    assert to_overrides(tools=[WEATHER], tool_choice=choice)["tool_choice"] == choice


def test_a_required_tool_choice_is_kept_for_the_clients_own_tools() -> None:
    assert to_overrides(tool_choice="required") == {"tool_choice": "any"}


@pytest.mark.parametrize("effort, flash_25, pro_25, flash_3, pro_3", [
    ("none", 0, 128, "minimal", "low"), ("minimal", 1024, 1024, "low", "low"), ("low", 1024, 1024, "low", "low"),
    ("low_medium", 4096, 4096, "medium", "low"), ("medium", 8192, 8192, "medium", "high"),
    ("medium_high", 16384, 16384, "high", "high"), ("high", 24576, 24576, "high", "high"),
    ("xhigh", 24576, 32768, "high", "high"), ("auto", -1, -1, "high", "high"),
])
def test_reasoning_effort_is_a_budget_for_2_5_and_a_level_for_3(
        effort: str, flash_25: int, pro_25: int, flash_3: str, pro_3: str) -> None:
    def thinking(model: str) -> Any:
        found = to_overrides(model=model, reasoning_effort=effort)
        assert found.get("include_thoughts", False) is (effort != "none")
        return found["thinking_budget"], found["thinking_level"]
    assert thinking("gemini-2.5-flash") == thinking("models/gemini-2.5-flash-lite") == (flash_25, None)
    assert thinking("gemini-2.5-pro") == thinking("gemini-pro-latest") == (pro_25, None)
    assert thinking("gemini-flash-latest") == thinking("models/gemini-flash-lite-latest") == (flash_25, None)
    assert thinking("") == (flash_25, None)  # the default of the backend, or of GEMINI_MODEL
    assert thinking("gemini-3-flash-preview") == (None, flash_3)
    assert thinking("gemini-3.1-pro-preview") == thinking("gemini-3-pro") == (None, pro_3)


def test_a_model_without_the_minimal_level_gets_the_lowest_it_has() -> None:
    assert to_overrides(model="gemini-3.7-flash", reasoning_effort="none")["thinking_level"] == "low"
    assert to_overrides(model="gemini-3.7-flash", reasoning_effort="medium")["thinking_level"] == "medium"


def test_reasoning_effort_replaces_the_thinking_of_the_clients_options(fake: FakeGemini) -> None:
    options = GeminiOptions(model="gemini-3-pro-preview", thinking_budget=5)
    fake.reply("a")
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        OpenAIChat(client).create(messages=HI, reasoning_effort="low")
    assert sent_request(fake)["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "LOW"}


@pytest.mark.parametrize("model", ["gemini-2.0-flash", "gemma-3-27b-it", "models/openai/gpt-4"])
def test_reasoning_effort_is_refused_for_models_without_thinking_options(model: Any) -> None:
    with pytest.raises(ValueError, match="has no word for the parameter reasoning_effort"):
        to_overrides(model=model, reasoning_effort="low")


def test_an_unknown_reasoning_effort_is_an_error() -> None:
    with pytest.raises(ValueError, match="must be one of none, minimal, low"):
        to_overrides(model="gemini-3-pro", reasoning_effort="much")


def test_every_parameter_that_gemini_has_reaches_the_request(
        client: GeminiClient, fake: FakeGemini) -> None:
    fake.reply("{}")
    OpenAIChat(client).chat.completions.create(
        model="gemini-2.5-pro", messages=HI, temperature=0, top_p=0.5, max_completion_tokens=7, stop="end", seed=3, n=2,
        presence_penalty=0.1, frequency_penalty=0.2, reasoning_effort="low", logprobs=True, top_logprobs=4,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": STRICT}})
    assert sent_request(fake)["generationConfig"] == {
        "temperature": 0, "topP": 0.5, "maxOutputTokens": 7, "stopSequences": ["end"], "seed": 3, "candidateCount": 2,
        "presencePenalty": 0.1, "frequencyPenalty": 0.2, "responseLogprobs": True, "logprobs": 4,
        "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True},
        "responseJsonSchema": STRICT, "responseMimeType": "application/json"}


@pytest.mark.parametrize("parameters, options", [
    ({"max_tokens": 5}, {"max_output_tokens": 5}), ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
    ({"response_format": {"type": "json_object"}}, {"response_mime_type": "application/json"}),
    ({"response_format": {"type": "text"}}, {}), ({"logprobs": False, "top_logprobs": 0}, {}),
    ({"temperature": None, "stop": None, "user": None, "reasoning_effort": None}, {}),
    ({"parallel_tool_calls": True, "service_tier": "auto", "modalities": ["text"]}, {}),
    ({"logprobs": True}, {"response_logprobs": True}),
    ({"logprobs": True, "top_logprobs": 3}, {"response_logprobs": True, "logprobs": 3}),
    ({"modalities": ["text", "image"]}, {"response_modalities": ["TEXT", "IMAGE"]}),
    ({"modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16"}},
     {"response_modalities": ["AUDIO"], "speech_config": "Kore"}),
    ({"store": False, "logit_bias": {}, "metadata": {}}, {}), ({"stream": True, "stream_options": {"a": 1}}, {}),
])
def test_a_parameter_is_converted_or_has_no_effect(parameters: Any, options: Any) -> None:
    assert to_overrides(**parameters) == options


@pytest.mark.parametrize("name, value", [
    ("user", "u"), ("logit_bias", {"1": 2}), ("parallel_tool_calls", False), ("store", True), ("service_tier", "flex"),
    ("metadata", {"a": "b"}), ("extra_body", {"a": 1}), ("functions", [{}]), ("top_k", 3)])
def test_a_parameter_that_gemini_does_not_have_is_refused_or_dropped_with_a_warning(
        name: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match=f"gemini-3-pro has no word for the parameter {name}: .*drop_params=True"):
        to_overrides(model="gemini-3-pro", **{name: value})
    with caplog.at_level(logging.WARNING, "gemini_lite"):
        assert to_overrides(model="gemini-3-pro", drop_params=True, **{name: value}) == {"model": "gemini-3-pro"}
    assert caplog.messages == [f"{name} is left out: gemini-3-pro has no word for it"]


@pytest.mark.parametrize("word", ["NotGiven", "Omit"])
def test_the_openai_packages_not_given_counts_as_not_given(word: str) -> None:
    nothing = type(word, (), {"__bool__": lambda self: False})()
    assert from_openai(HI, nothing, temperature=nothing, model=nothing, user=nothing, tool_choice=nothing)[1] == {}


@pytest.mark.parametrize("form", [{"type": "grammar"}, {}, "json", {"type": "json_schema"},
                                  {"type": "json_schema", "json_schema": {"name": "x"}}])
def test_an_unknown_response_format_is_an_error(form: Any) -> None:
    with pytest.raises(ValueError, match="response_format"):
        to_overrides(response_format=form)


@pytest.mark.parametrize("parameters", [
    {"modalities": "text"}, {"modalities": [1]}, {"audio": {}}, {"audio": "Kore"}])
def test_a_parameter_of_another_shape_is_an_error_that_names_it(parameters: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        to_overrides(**parameters)


def test_a_response_schema_is_converted_like_that_of_a_tool() -> None:
    schema = {"type": "object", "properties": {"a": {"items": [{}]}}}
    found = to_overrides(response_format={"type": "json_schema", "json_schema": {"schema": schema}})
    assert found == {"response_schema": {"type": "object", "properties": {"a": {"prefixItems": [{}]}}}}


def test_logprobs_are_merged_into_the_clients_own_extra(fake: FakeGemini) -> None:
    options = GeminiOptions(extra={"generationConfig": {"mediaResolution": "LOW"}})
    fake.reply("a")
    with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        OpenAIChat(client).create(messages=HI, logprobs=True)
    assert sent_request(fake)["generationConfig"] == {"mediaResolution": "LOW", "responseLogprobs": True}


def test_a_class_as_response_format_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match="not the class dict: write .*json_schema.*response_schema=dict"):
        from_openai([{"role": "user", "content": "Hi"}], response_format=dict)
