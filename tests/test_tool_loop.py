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


def test_a_choice_that_forces_nothing_holds_for_all_rounds(fake: FakeGemini, client: Any, send: Any) -> None:
    for choice, modes in (("validated", ["VALIDATED", "VALIDATED"]), ("any", ["ANY", None])):
        fake.reply(FakeGemini.call("weather", {"city": "x"}))
        fake.reply("Fine.")
        send(client(fake).chat(tools=[weather], tool_choice=choice), "a")
        configs: List[Dict[str, Any]] = [one.body.get("toolConfig", {}) for one in fake.requests[-2:]]
        assert [config.get("functionCallingConfig", {}).get("mode") for config in configs] == modes


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
