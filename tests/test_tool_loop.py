"""The calls of an answer are run, or the answer is an error of its own: a conversation always goes on from there."""
from __future__ import annotations

import contextvars
import json
from typing import Any, Callable, Dict, List

import pytest

import gemini_lite as g
from gemini_lite.testing import FakeGemini

SSE = {"Content-Type": "text/event-stream"}
JSON_TYPE = {"Content-Type": "application/json"}


def weather(city: str) -> str:
    """The weather."""
    return f"sunny {city}"


def body(*parts: str) -> bytes:
    return ('{"candidates": [{"content": {"role": "model", "parts": [%s]}, "finishReason": "STOP"}]}'
            % ", ".join(parts)).encode()


@pytest.fixture(params=["unary", "streamed"])
def send(request: pytest.FixtureRequest, fake: FakeGemini) -> Callable[..., Any]:
    """``send(chat, prompt)``, and before it ``send.script(body)`` for the raw body of the next answer."""
    streamed = request.param == "streamed"

    def call(chat: g.Chat, prompt: Any) -> Any:
        return chat.send_message_stream(prompt).response if streamed else chat.send_message(prompt)

    def script(data: bytes) -> None:
        fake.raw(b"data: " + data + b"\n\n" if streamed else data, headers=SSE if streamed else JSON_TYPE)

    call.script = script  # type: ignore[attr-defined]
    return call


UNSPEAKABLE = [
    r'{"text": "\ud83d"}', '{"text": "hi", "x": NaN}', '{"text": "hi"}, {"executableCode": {"x": 1e999}}',
    '{"functionCall": {"name": "weather", "args": {"city": 1e999}}}',
    '{"functionCall": {"name": "weather", "args": {"city": %s}}}' % ("[" * 700 + "]" * 700),
    '{"functionCall": {"args": {}}}', '{"functionCall": {"name": ["weather"], "args": {}}}',
    '{"functionCall": {"name": "weather", "args": [1]}}', '{"functionCall": {"name": "weather", "args": "x"}}',
    '{"functionCall": {"name": "weather", "args": {"city": "x"}, "id": {"a": 1}}}',
    '{"functionResponse": {"response": {}}}',
]


@pytest.mark.parametrize("parts", UNSPEAKABLE, ids=lambda parts: parts[:50])
def test_what_json_cannot_say_again_is_an_error_of_that_answer_and_the_next_send_works(
    fake: FakeGemini, client: Any, send: Any, parts: str,
) -> None:
    chat = client(fake, retries=0).chat(tools=[weather])
    send.script(body(parts))
    with pytest.raises(g.IncompleteError) as caught:
        send(chat, "a")
    assert caught.value.turns == [{"role": "user", "parts": [{"text": "a"}]}] and chat.history == []
    assert caught.value.response is not None
    fake.reply("Fine.")
    assert send(chat, "b").text == "Fine." and json.loads(json.dumps(chat.history)) == chat.history


@pytest.mark.parametrize("odd, kept", [
    ('{"fileData": {"fileUri": "https://a/b"}, "functionCall": null}',
     {"fileData": {"fileUri": "https://a/b"}, "functionCall": None}),
    ('{}', None), ('{"text": ""}', None), ('{"functionCall": {}}', None), ('{"functionCall": null}', None),
    ('{"text": 5}', None), ('{"inlineData": "x"}', None), ('{"text": "hm", "thought": true}', None),
    ('{"text": "", "thoughtSignature": "s"}', {"text": "", "thoughtSignature": "s"}),
    ('{"fileData": {"fileUri": "https://a/b"}}', {"fileData": {"fileUri": "https://a/b"}}), ('"x"', None), ('[]', None),
])
def test_a_part_that_google_would_refuse_is_not_kept_and_every_other_is(
    fake: FakeGemini, client: Any, send: Any, odd: str, kept: Any,
) -> None:
    chat = client(fake, retries=0).chat()
    send.script(body('{"text": "hi"}', odd))
    assert send(chat, "a").text == "hi"
    assert chat.history[1]["parts"] == [{"text": "hi"}, *([kept] if kept else [])]
    again = client(fake).chat(json.loads(json.dumps(chat.history)))
    fake.reply("Fine.")
    assert send(again, "b").text == "Fine."


def test_a_call_that_the_server_answered_is_neither_run_nor_owed(fake: FakeGemini, client: Any, send: Any) -> None:
    answered = [FakeGemini.call("weather", {"city": "x"}),
                {"functionResponse": {"name": "weather", "response": {"result": "rain"}}}, {"text": "Rain."}]
    chat = client(fake).chat(tools=[weather])
    fake.reply(answered)
    answer = send(chat, "a")
    assert answer.text == "Rain." and answer.function_calls == [] and answer.rounds == [answer]
    fake.reply("Fine.")
    assert send(chat, "b").text == "Fine." and chat.history[1]["parts"] == answered


def test_of_calls_that_the_server_answered_in_part_the_rest_is_run(fake: FakeGemini, client: Any, send: Any) -> None:
    chat = client(fake).chat(tools=[weather])
    parts = [FakeGemini.call("search", {}), {"functionResponse": {"name": "search", "response": {}}},
             FakeGemini.call("weather", {"city": "x"})]
    fake.reply(parts)
    fake.reply("Fine.")
    assert send(chat, "a").text == "Fine."
    assert chat.history[2]["parts"] == [{"functionResponse": {"name": "weather", "response": {"result": "sunny x"}}}]


def thought(part: Any) -> Any:
    return {**part, "thought": True}


@pytest.mark.parametrize("parts", [
    [thought(FakeGemini.call("weather", {"city": "x"}))],
    [thought(FakeGemini.call("weather", {"city": "x"})), FakeGemini.call("weather", {"city": "y"})],
    [{"text": "Hm.", "thought": True}, thought(FakeGemini.call("weather", {"city": "x"}))],
    [FakeGemini.call("search", {}), thought({"functionResponse": {"name": "search", "response": {}}}),
     FakeGemini.call("weather", {"city": "x"})],
], ids=["alone", "beside another", "after a thought", "after a result"])
def test_calls_and_results_that_are_marked_as_thoughts_are_run_owed_and_kept_as_any(
    fake: FakeGemini, client: Any, send: Any, parts: Any,
) -> None:
    for tool in (weather, g.Tool("weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})):
        chat = client(fake).chat(tools=[tool])
        fake.reply(parts)
        fake.reply("Fine.")
        calls = send(chat, "a").function_calls
        if calls:
            chat.send_tool_results([(call.name, "sunny", call.id) for call in calls])
        assert chat.history[1]["parts"] == [part for part in parts if "text" not in part]
        assert {part["functionResponse"]["name"] for part in chat.history[2]["parts"]} == {"weather"}
        assert chat.history[3]["parts"] == [{"text": "Fine."}]


def test_an_empty_answer_after_tools_have_run_loses_no_results(fake: FakeGemini, client: Any, send: Any) -> None:
    chat = client(fake).chat(tools=[weather])
    call = FakeGemini.call("weather", {"city": "x"})
    fake.reply(call)
    fake.reply("")
    answer = send(chat, "a")
    assert answer.text == "" and answer.finish_reason == "STOP"
    turns = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [call]},
             {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "sunny x"}}}]}]
    assert chat.history == turns
    fake.reply("Fine.")
    assert send(chat, "b").text == "Fine."
    assert fake.requests[-1].body["contents"] == [*turns, {"role": "user", "parts": [{"text": "b"}]}]


def test_what_is_done_to_calls_and_results_that_are_shown_reaches_neither_tools_nor_history(
    fake: FakeGemini, client: Any,
) -> None:
    chat = client(fake).chat(tools=[weather])
    fake.reply(FakeGemini.call("weather", {"city": "x"}))
    fake.reply("Fine.")
    for chunk in chat.send_message_stream("a"):
        for call in chunk.function_calls:
            call.args.clear()
        for result in chunk.tool_results or ():
            result.response.clear()
    assert chat.history[1]["parts"] == [FakeGemini.call("weather", {"city": "x"})]
    assert chat.history[2]["parts"] == [{"functionResponse": {"name": "weather", "response": {"result": "sunny x"}}}]


class Picture:
    """A picture that was cut off: PIL notices when it is saved."""

    format = "JPEG"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def getbands(self) -> Any:
        return ("R",)

    def save(self, file: Any, format: str) -> None:
        raise self.error

    def convert(self, mode: str) -> Picture:
        return self


@pytest.mark.parametrize("result", [
    10 ** 5000, Picture(OSError("image file is truncated")), Picture(SyntaxError("broken PNG file")),
], ids=["a number that JSON readers refuse", "a picture that is cut", "a picture that is broken"])
def test_a_result_that_cannot_be_sent_loses_no_call(fake: FakeGemini, client: Any, send: Any, result: Any) -> None:
    def look() -> Any:
        """Look."""
        ran.append(1)
        return result

    ran: List[int] = []
    chat = client(fake, retries=0).chat(tools=[look])
    fake.reply(FakeGemini.call("look", {}))
    with pytest.raises(g.ToolResultError) as caught:
        send(chat, "a")
    fake.reply("Fine.")
    assert send(chat, caught.value.turns).text == "Fine." and ran == [1]
    assert "its result cannot be sent" in chat.history[2]["parts"][0]["functionResponse"]["response"]["error"]


def test_a_tool_that_uses_the_conversation_it_runs_in_is_told_so(fake: FakeGemini, client: Any, send: Any) -> None:
    def ask(question: str) -> str:
        """Ask."""
        return chat.send_message(question).text  # type: ignore[no-any-return]

    chat = client(fake).chat(tools=[ask])
    fake.reply(FakeGemini.call("ask", {"question": "x"}))
    fake.reply("Fine.")
    assert send(chat, "a").text == "Fine."
    error = chat.history[2]["parts"][0]["functionResponse"]["response"]["error"]
    assert "nor a tool that it runs can send in it: use client.generate" in error


def test_a_choice_that_forces_nothing_holds_for_all_rounds(fake: FakeGemini, client: Any, send: Any) -> None:
    for choice, modes in (("validated", ["VALIDATED", "VALIDATED"]), ("any", ["ANY", None])):
        fake.reply(FakeGemini.call("weather", {"city": "x"}))
        fake.reply("Fine.")
        send(client(fake).chat(tools=[weather], tool_choice=choice), "a")
        configs: List[Dict[str, Any]] = [one.body.get("toolConfig", {}) for one in fake.requests[-2:]]
        assert [config.get("functionCallingConfig", {}).get("mode") for config in configs] == modes


@pytest.mark.parametrize("config, later", [
    ({"functionCallingConfig": {"mode": "ANY"}}, None),
    ({"functionCallingConfig": {"mode": "ANY"}, "retrievalConfig": {}}, {"retrievalConfig": {}}),
    ({"functionCallingConfig": {"mode": "AUTO"}}, {"functionCallingConfig": {"mode": "AUTO"}})])
def test_a_tool_config_that_forces_a_call_holds_for_the_first_request(
    fake: FakeGemini, client: Any, send: Any, config: Any, later: Any,
) -> None:
    fake.reply(FakeGemini.call("weather", {"city": "x"}))
    fake.reply("Fine.")
    assert send(client(fake).chat(tools=[weather], tool_config=config), "a").text == "Fine."
    assert [one.body.get("toolConfig") for one in fake.requests] == [config, later]


def test_tools_in_threads_see_the_context_of_the_send(fake: FakeGemini, client: Any, send: Any) -> None:
    variable = contextvars.ContextVar("variable", default="lost")

    def read() -> str:
        """Reads."""
        return variable.get()

    variable.set("mine")
    fake.reply([FakeGemini.call("read", {}, id="1"), FakeGemini.call("read", {}, id="2")])
    fake.reply("Fine.")
    chat = client(fake).chat(tools=[read], parallel_tools=True)
    send(chat, "a")
    assert [part["functionResponse"]["response"] for part in chat.history[2]["parts"]] == [{"result": "mine"}] * 2


def test_a_blob_of_an_answer_is_an_item_of_a_prompt(fake: FakeGemini, client: Any, send: Any) -> None:
    chat = client(fake).chat()
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    fake.reply(picture, {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA"}})
    files = send(chat, "Draw").files
    fake.reply("Fine.")
    send(chat, ["What is this?", *files])
    sent = fake.requests[-1].body["contents"][-1]["parts"]
    assert sent[1] == picture and sent[2]["inlineData"]["mimeType"] == "audio/wav"
