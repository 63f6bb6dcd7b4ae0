"""Who types a name of another client is told what to write here; nobody else notices."""
from __future__ import annotations

import inspect
import logging
import re
import traceback
from types import TracebackType
from typing import Any, Callable, Iterator, Optional
from unittest import mock

import pytest

import gemini_lite
from gemini_lite import GeminiClient, GeminiOptions, Tool, query
from gemini_lite.errors.hints import attribute_hint, unknown_option
from gemini_lite.options import FixedOptions
from gemini_lite.options.overrides import OptionFields
from gemini_lite.testing import FakeGemini

Client = Callable[..., GeminiClient]
KEY = "AIzaSyHunter2"


@pytest.mark.parametrize("name, advice", [
    ("max_tokens", "max_output_tokens="), ("system", "system_prompt="), ("system_instruction", "system_prompt="),
    ("generation_config", "temperature="), ("config", "temperature="), ("contents", "first argument"),
    ("messages", "OpenAIChat"), ("thinking_config", "include_thoughts=True"), ("n", "candidate_count="),
    ("stop", "stop_sequences="), ("temprature", "did you mean 'temperature'"), ("deadlin", "did you mean 'deadline'"),
    ("retry", "did you mean 'retries'"), ("stream", "client.stream(prompt)"), ("base_url", "DeveloperAPI("),
])
@pytest.mark.parametrize("method", [
    "generate", "stream", "send_message", "send_message_stream", "count_tokens", "chat"])
def test_an_unknown_keyword_is_refused_with_what_to_write(
        fake: FakeGemini, client: Client, method: str, name: str, advice: str) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(client(fake), method)("Hi" if method != "chat" else None, **{name: 1})
    assert name in str(caught.value) and advice in str(caught.value)
    assert fake.connections == 0


def test_the_advice_for_an_option_names_options_that_there_are() -> None:
    from gemini_lite.errors.hints import _OPTIONS
    known = set(OptionFields.__annotations__) | set(inspect.signature(GeminiClient).parameters) | {
        "base_url", "api_version", "timeout", "retries", "project", "location"}
    for advice in _OPTIONS.values():
        words = set(inspect.re.findall(r"\b(\w+)=", advice))  # type: ignore[attr-defined]
        assert words <= known, advice
    assert not set(_OPTIONS) & set(OptionFields.__annotations__)  # or the advice would hide an option


def test_an_unlike_name_gets_the_list_of_all() -> None:
    assert "a, b; and for a call: deadline, timeout, retries" in unknown_option("qqqq", ["a", "b"])


# A key in the wrong place

def frames(trace: Optional[TracebackType]) -> Iterator[Any]:
    """The frames of a traceback that are the package's."""
    for frame, _ in traceback.walk_tb(trace):
        if "gemini_lite" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            yield frame


@pytest.mark.parametrize("call", [
    lambda: GeminiClient(KEY), lambda: GeminiClient(key=KEY), lambda: GeminiClient(token=KEY),
    lambda: GeminiClient(apikey=KEY), lambda: GeminiClient(gogle_key=KEY), lambda: query("Hi", key=KEY),
    lambda: GeminiClient({"api_key": KEY}), lambda: GeminiClient(KEY, key=KEY),
])
def test_a_key_given_in_the_wrong_place_is_refused_and_stands_in_no_frame(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    own = list(frames(caught.value.__traceback__))
    assert own and all(KEY not in repr(frame.f_locals) for frame in own)
    assert KEY not in "".join(traceback.format_exception(None, caught.value, None))


@pytest.mark.parametrize("call", [lambda: GeminiClient(KEY), lambda: GeminiClient(key=KEY), lambda: query("", key=KEY)])
def test_who_gives_a_key_in_the_wrong_place_is_told_the_right_one(call: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"GeminiClient\(api_key=...\)"):
        call()


# Attributes

@pytest.mark.parametrize("use, advice", [
    (lambda client: client.models.generate_content(model="m", contents="Hi"), "client.generate(prompt"),
    (lambda client: client.models.list(), "client.models()"),
    (lambda client: client.chat.completions.create(messages=[]), "OpenAIChat"),
    (lambda client: client.chats.create(), "client.chat()"), (lambda client: client.aio.models, "blocking"),
    (lambda client: client.messages, "OpenAIChat"), (lambda client: client.temperature, "options.temperature"),
    (lambda client: client.generat("Hi"), "did you mean 'generate'"),
])
def test_a_method_of_another_client_says_what_to_write(
        client: Client, use: Callable[[Any], Any], advice: str) -> None:
    with pytest.raises(AttributeError) as caught:
        use(client("http://127.0.0.1:9"))
    assert advice in str(caught.value)


def test_a_method_with_advice_works_as_before(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    assert gemini.models()[0]["name"] == "models/gemini-2.5-pro"
    assert gemini.chat().history == []
    assert str(inspect.signature(gemini.models)) == "() -> 'List[JSON]'"
    assert inspect.getdoc(GeminiClient.chat) and not hasattr(gemini, "__wrapped__")


@pytest.mark.parametrize("name, advice", [
    ("text", "stream.response.text"), ("usage_metadata", "stream.response.usage_metadata"),
    ("respons", "did you mean 'response'")])
def test_a_stream_says_where_the_answer_is(fake: FakeGemini, client: Client, name: str, advice: str) -> None:
    fake.reply("a")
    stream = client(fake).stream("Hi")
    with pytest.raises(AttributeError, match=advice):
        getattr(stream, name)
    assert stream.response.text == "a"


@pytest.mark.parametrize("kind, name, advice", [
    ("response", "usage", "usage_metadata"), ("chunk", "usage", "stream.response.usage_metadata"),
    ("chunk", "delta", "text_delta"), ("response", "choices", "response.text"), ("response", "finish_resaon", ""),
])
def test_the_advice_for_an_attribute(kind: str, name: str, advice: str) -> None:
    assert advice in attribute_hint(kind, name)
    assert attribute_hint("response", "finish_resaon", ["finish_reason"]) == ": did you mean 'finish_reason'?"


@pytest.mark.parametrize("name, advice", [
    ("get_history", "write chat.history"), ("messages", "write chat.history"), ("reset", "write chat.clear_history()"),
    ("generate", "write chat.send_message(prompt)"), ("stream", "write chat.send_message_stream(prompt)"),
    ("sned_message", "did you mean 'send_message'?"), ("close", "close its stream"),
])
def test_a_conversation_speaks_of_itself(client: Client, name: str, advice: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(client("http://127.0.0.1:9").chat(), name)
    assert advice in str(caught.value)


def test_the_advice_names_methods_that_there_are() -> None:
    from gemini_lite.errors.hints import _ATTRIBUTES
    owners = {"client": GeminiClient, "chat": gemini_lite.Chat, "response": gemini_lite.GenerateContentResponse,
              "chunk": gemini_lite.StreamChunk, "stream": gemini_lite.Stream}
    for advices in _ATTRIBUTES.values():
        for advice in advices.values():
            for owner, name in re.findall(r"(?<![).])\b(client|chat|response|chunk|stream)\.([a-z_]+)", advice):
                assert hasattr(owners[owner], name) or (owner, name) == ("response", "data"), advice


@pytest.mark.parametrize("use", [lambda client: client.leave_stream, lambda client: client.chat().snd])
def test_python_adds_no_guess_among_private_names(client: Client, use: Callable[[Any], Any]) -> None:
    with pytest.raises(AttributeError) as caught:
        use(client("http://127.0.0.1:9"))
    shown = traceback.format_exception_only(AttributeError, caught.value)
    assert str(caught.value) + "\n" == shown[-1].partition(": ")[2]


# Options that are set once

@pytest.mark.parametrize("name, value", [
    ("options", {"temperature": 1}), ("options", GeminiOptions()), ("temperature", 1), ("model", "m"), ("tools", []),
    ("deadline", 1), ("timeout", 1), ("retries", 1)])
@pytest.mark.parametrize("make", [lambda client: client, lambda client: client.chat()], ids=["client", "chat"])
def test_an_option_cannot_be_assigned_and_the_error_says_how_it_is_set(
        client: Client, make: Callable[[Any], Any], name: str, value: Any) -> None:
    alive = make(client("http://127.0.0.1:9", temperature=0.5))
    with pytest.raises(AttributeError, match=r"in the call.*client.chat\(history"):
        setattr(alive, name, value)
    assert alive.options == GeminiOptions(temperature=0.5)


def test_a_history_cannot_be_assigned_and_the_error_says_how_it_is_given(client: Client) -> None:
    gemini: Any = client("http://127.0.0.1:9")
    for chat in (gemini, gemini.chat()):
        with pytest.raises(AttributeError, match=r"client.chat\(history\); clear_history\(\) forgets it"):
            chat.history = []


def test_other_attributes_stay_free_for_mocks(client: Client) -> None:
    gemini: Any = client("http://127.0.0.1:9")
    gemini.note = "mine"
    with mock.patch.object(gemini, "generate", return_value="mocked"), mock.patch.object(gemini, "models"):
        assert gemini.generate("Hi") == "mocked"
    with mock.patch.object(GeminiClient, "send_message", lambda self, prompt: prompt):
        assert gemini.send_message("Hi") == "Hi"
    assert gemini.note == "mine" and mock.create_autospec(GeminiClient)


def test_a_misspelled_attribute_of_a_subclass_is_named_with_the_subclass() -> None:
    class Mine(FixedOptions):
        pass

    with pytest.raises(AttributeError, match="'Mine' object has no attribute 'colour'"):
        Mine().colour  # type: ignore[attr-defined]


# Functions in a call that runs none

def weather(city: str) -> str:
    """The weather."""
    raise AssertionError("generate never runs a function")


@pytest.mark.parametrize("method", ["generate", "stream"])
@pytest.mark.parametrize("overrides", [
    {"tools": [weather]}, {"tools": [Tool("w", function=weather)]}, {"tools": [{"googleSearch": {}}, weather]}])
def test_functions_given_to_a_call_that_runs_none_are_refused_with_the_call_that_does(
        fake: FakeGemini, client: Client, method: str, overrides: Any) -> None:
    with pytest.raises(ValueError, match="send_message.*max_tool_rounds=0"):
        getattr(client(fake), method)("Hi", **overrides)
    assert fake.connections == 0


@pytest.mark.parametrize("method", ["generate", "stream"])
@pytest.mark.parametrize("overrides", [{"max_tool_rounds": 0}, {"tool_choice": "none"}])
def test_they_are_declared_where_their_calls_are_wanted_or_cannot_come(
        fake: FakeGemini, client: Client, method: str, overrides: Any) -> None:
    fake.reply(FakeGemini.call("weather", {"city": "Bern"}))
    answer = getattr(client(fake), method)("Hi", tools=[weather], **overrides)
    answer = answer if method == "generate" else answer.response
    assert [call.name for call in answer.function_calls] == ["weather"]
    assert fake.requests[0].body["tools"][0]["functionDeclarations"][0]["name"] == "weather"


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_functions_of_the_client_are_left_out_of_a_call_that_runs_none_with_a_line_in_the_log(
        fake: FakeGemini, client: Client, caplog: pytest.LogCaptureFixture, method: str) -> None:
    caplog.set_level(logging.DEBUG, "gemini_lite")
    gemini = client(fake, tools=[weather, {"googleSearch": {}}], tool_choice="any")
    fake.reply("a")
    str(getattr(gemini, method)("Hi"))
    assert fake.requests[0].body["tools"] == [{"googleSearch": {}}] and "toolConfig" not in fake.requests[0].body
    assert [record.levelname for record in caplog.records if "left out" in record.message] == ["DEBUG"]
    with pytest.raises(ValueError, match="send_message"):
        getattr(gemini, method)("Hi", tool_choice="any")


def test_functions_of_the_client_are_counted_and_can_be_handed_out(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake, tools=[weather])
    fake.answer("countTokens", {"totalTokens": 9}, {"totalTokens": 9})
    assert gemini.count_tokens("Hi") == gemini.count_tokens("Hi", tools=[weather]) == 9
    assert all("functionDeclarations" in request.body["generateContentRequest"]["tools"][0]
               for request in fake.requests)
    fake.reply(FakeGemini.call("weather", {}))
    assert gemini.generate("Hi", max_tool_rounds=0).function_calls[0].name == "weather"


def test_declarations_are_always_sent(fake: FakeGemini, client: Client) -> None:
    fake.reply(FakeGemini.call("look_up", {}))
    assert client(fake).generate("Hi", tools=[{"name": "look_up"}]).function_calls[0].name == "look_up"
    assert gemini_lite.Tool("look_up").function is None
