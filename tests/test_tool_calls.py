"""A conversation with tools, over both backends: what is sent, what is kept, and who answers the calls."""
from __future__ import annotations

import dataclasses
import json
import logging
import threading
from typing import Any, Callable, Dict, Iterator, List

import pytest

import gemini_lite as g
from gemini_lite.testing import FakeGemini, Reply

CALL_WEATHER = FakeGemini.call("get_weather", {"city": "Paris"}, signature="c2ln")
CALL_AGAIN = FakeGemini.call("get_weather", {"city": "Rome"})


def get_weather(city: str, days: int = 1) -> Dict[str, Any]:
    """Current weather for a city.

    Args:
        city: Name of the city.
    """
    return {"city": city, "days": days, "sky": "clear"}


def list_cities() -> List[str]:
    """The cities there are."""
    return ["Paris", "Rome"]


def fail() -> None:
    """Fails."""
    raise RuntimeError("no luck")


WEATHER = {"name": "get_weather", "description": "Current weather for a city.", "parametersJsonSchema": {
    "type": "object", "required": ["city"], "additionalProperties": False, "properties": {
        "city": {"type": "string", "description": "Name of the city."}, "days": {"type": "integer", "default": 1}}}}


@pytest.fixture(params=["developer", "code_assist"])
def talk(request: pytest.FixtureRequest, fake: FakeGemini) -> Iterator[Callable[..., g.GeminiClient]]:
    made: List[g.GeminiClient] = []

    def make(**options: Any) -> g.GeminiClient:
        backend: Any = (g.DeveloperAPI("k", base_url=fake.url) if request.param == "developer"
                        else g.CodeAssist(lambda: "t", endpoints=fake.code_assist_url))
        made.append(g.GeminiClient(g.GeminiOptions(**options), backend=backend))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture(params=["unary", "streamed"])
def send(request: pytest.FixtureRequest) -> Callable[..., g.GenerateContentResponse]:
    """``send(chat, method, ...)`` calls the method or its ``_stream`` twin, and returns the whole answer."""
    def call(chat: Any, method: str, *args: Any, **kwargs: Any) -> g.GenerateContentResponse:
        if request.param == "unary":
            return getattr(chat, method)(*args, **kwargs)  # type: ignore[no-any-return]
        return getattr(chat, method + "_stream")(*args, **kwargs).response  # type: ignore[no-any-return]
    return call


Send = Callable[..., g.GenerateContentResponse]
Talk = Callable[..., g.GeminiClient]


def sent(fake: FakeGemini) -> List[Dict[str, Any]]:
    """The requests, out of their envelopes and without ids of sessions."""
    bodies = [request.body.get("request", request.body) for request in fake.requests if request.kind == "generate"]
    return [{key: value for key, value in body.items() if key != "session_id"} for body in bodies]


def user(*parts: Any) -> Dict[str, Any]:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def model(*parts: Any) -> Dict[str, Any]:
    return {**user(*parts), "role": "model"}


def result(name: str, response: Any, **more: Any) -> Dict[str, Any]:
    return {"functionResponse": {**more, "name": name, "response": response}}


def test_two_turns_with_parallel_calls_send_exactly_the_documented_bodies(
    fake: FakeGemini, talk: Talk, send: Send,
) -> None:
    calls = [CALL_WEATHER, CALL_AGAIN, FakeGemini.call("list_cities", {}), FakeGemini.call("fail", {})]
    client = talk(tools=[get_weather, list_cities, fail])
    fake.reply("Let me see. ", calls)
    fake.reply("Clear ", "everywhere.")
    answer = send(client, "send_message", "Weather?")
    assert answer.text == "Clear everywhere."
    assert [round.finish_reason for round in answer.rounds] == ["STOP", "STOP"]
    turns = [
        user("Weather?"),
        model("Let me see. ", *calls),
        user(result("get_weather", {"city": "Paris", "days": 1, "sky": "clear"}),
             result("get_weather", {"city": "Rome", "days": 1, "sky": "clear"}),
             result("list_cities", {"result": ["Paris", "Rome"]}), result("fail", {"error": "RuntimeError: no luck"})),
    ]
    tools = [{"functionDeclarations": [
        WEATHER, {"name": "list_cities", "description": "The cities there are."},
        {"name": "fail", "description": "Fails."}]}]
    assert sent(fake) == [{"contents": turns[:1], "tools": tools}, {"contents": turns, "tools": tools}]
    fake.reply("Bye.")
    send(client, "send_message", "Thanks")
    assert sent(fake)[2] == {"contents": [*turns, model("Clear everywhere."), user("Thanks")], "tools": tools}
    assert client.history == [*turns, model("Clear everywhere."), user("Thanks"), model("Bye.")]


def test_ids_that_the_model_gave_come_back_with_the_results(fake: FakeGemini, talk: Talk, send: Send) -> None:
    fake.reply([FakeGemini.call("list_cities", {}, id="c1"), FakeGemini.call("get_weather", {"city": "x"}, id="c2")])
    fake.reply("Done.")
    send(talk(tools=[get_weather, list_cities]), "send_message", "?")
    responses = [part["functionResponse"] for part in sent(fake)[1]["contents"][-1]["parts"]]
    assert [(one["name"], one["id"]) for one in responses] == [("list_cities", "c1"), ("get_weather", "c2")]


def test_arguments_that_do_not_fit_go_back_to_the_model_uncalled(fake: FakeGemini, talk: Talk, send: Send) -> None:
    called: List[str] = []

    def tool(count: int) -> str:
        """Counts."""
        called.append("x")
        return "x"

    for args in ({"count": "many"}, {}, {"count": 1, "more": 2}):
        fake.reply(FakeGemini.call("tool", args))
        fake.reply("Sorry.")
        send(talk(tools=[tool]), "send_message", "?")
        response = sent(fake)[-1]["contents"][-1]["parts"][0]["functionResponse"]["response"]
        assert list(response) == ["error"] and not called


def test_an_exception_in_a_tool_is_logged_with_its_traceback(
    fake: FakeGemini, talk: Talk, send: Send, caplog: pytest.LogCaptureFixture,
) -> None:
    fake.reply(FakeGemini.call("fail", {}))
    fake.reply("Sorry.")
    with caplog.at_level(logging.ERROR, "gemini_lite"):
        send(talk(tools=[fail]), "send_message", "?")
    assert caplog.records[0].exc_info is not None and "no luck" in caplog.text


@pytest.mark.parametrize("bad", [object(), float("nan"), b"of no known type", "half a character: \ud83d"])
@pytest.mark.parametrize("parallel", [False, True])
def test_a_result_that_cannot_be_sent_is_an_error_with_the_turns_to_go_on_from(
    fake: FakeGemini, talk: Talk, send: Send, bad: Any, parallel: bool,
) -> None:
    ran: List[str] = []

    def pay() -> str:
        """Pays."""
        ran.append("paid")
        return "paid"

    def odd() -> Any:
        """Gives what cannot be sent."""
        return bad

    client = talk(tools=[pay, odd], parallel_tools=parallel)
    calls = [FakeGemini.call("pay", {}), FakeGemini.call("odd", {})]
    fake.reply(calls)
    with pytest.raises(TypeError, match="odd|type/subtype") as caught:
        send(client, "send_message", "?")
    error: Any = caught.value
    assert isinstance(error, g.GeminiError) and client.history == []
    assert error.turns[:2] == [user("?"), model(*calls)]
    first, second = [part["functionResponse"]["response"] for part in error.turns[2]["parts"]]
    assert first == {"result": "paid"} and "cannot be sent" in second["error"]
    fake.reply("Done.")
    assert send(client, "send_message", error.turns).text == "Done." and ran == ["paid"]


def test_a_stream_whose_tool_gave_what_cannot_be_sent_raises_the_same_error_again(fake: FakeGemini, talk: Talk) -> None:
    def odd() -> Any:
        """Gives what cannot be sent."""
        return object()

    fake.reply(FakeGemini.call("odd", {}))
    stream = talk(tools=[odd]).send_message_stream("?")
    with pytest.raises(TypeError) as first:
        list(stream)
    with pytest.raises(TypeError) as second:
        stream.response
    assert first.value is second.value


def test_pictures_of_tools_and_by_hand_are_sent_beside_their_results(fake: FakeGemini, talk: Talk, send: Send) -> None:
    def shot() -> Any:
        """Takes a picture."""
        return ["a cat", (b"x", "image/png")]

    part = {"inlineData": {"mimeType": "image/png", "data": "eA=="}}
    client = talk(tools=[shot])
    fake.reply(FakeGemini.call("shot", {}, id="1"))
    fake.reply("Nice.")
    send(client, "send_message", "?")
    assert client.history[2] == user(result("shot", {"result": "a cat"}, id="1", parts=[part]))
    fake.reply(FakeGemini.call("shot", {}))
    send(client, "send_message", "?", max_tool_rounds=0)
    fake.reply("Nice.")
    send(client, "send_tool_results", [("shot", (b"x", "image/png"))])
    assert client.history[6] == user(result("shot", {}, parts=[part]))
    assert json.loads(json.dumps(client.history)) == client.history == talk().chat(client.history).history


def test_results_may_be_a_dict_of_responses_by_name(fake: FakeGemini, talk: Talk, send: Send) -> None:
    client = talk(tools=[{"name": "ask"}, {"name": "tell"}])
    fake.reply([FakeGemini.call("ask", {}), FakeGemini.call("tell", {})])
    fake.reply("Done.")
    send(client, "send_message", "?")
    assert send(client, "send_tool_results", {"tell": 2, "ask": 1}).text == "Done."
    assert client.history[2] == user(result("ask", {"result": 1}), result("tell", {"result": 2}))


@pytest.mark.parametrize("results", ["ask", ("ask", 1), [("ask",)], ["ask"], [(1, 2)], 5, None, [("ask", 1, "x", 2)]])
def test_results_of_another_form_are_a_type_error_that_shows_the_forms(
    fake: FakeGemini, talk: Talk, results: Any,
) -> None:
    client = talk(tools=[{"name": "ask"}])
    fake.reply(FakeGemini.call("ask", {}))
    client.send_message("?")
    with pytest.raises(TypeError, match=r"\(name, response\)"):
        client.send_tool_results(results)


def test_parallel_tools_run_at_once_and_answer_in_call_order(fake: FakeGemini, talk: Talk, send: Send) -> None:
    barrier = threading.Barrier(2)

    def meet(name: str) -> str:
        """Waits for the other."""
        barrier.wait(10)
        return name

    fake.reply([FakeGemini.call("meet", {"name": "a"}), FakeGemini.call("meet", {"name": "b"})])
    fake.reply("Met.")
    assert send(talk(tools=[meet], parallel_tools=True), "send_message", "?").text == "Met."
    responses = [part["functionResponse"]["response"] for part in sent(fake)[1]["contents"][-1]["parts"]]
    assert responses == [{"result": "a"}, {"result": "b"}]


def test_a_stream_shows_text_and_calls_and_results_as_they_happen(fake: FakeGemini, talk: Talk) -> None:
    fake.reply("Wait. ", CALL_WEATHER)
    fake.reply("Cle", "ar.")
    stream = talk(tools=[get_weather]).send_message_stream("?")
    seen = []
    for chunk in stream:
        if chunk.tool_results is not None:
            seen.append([(one.name, one.response["sky"], one.id) for one in chunk.tool_results])
            assert len(sent(fake)) == 1  # told before the next request
        else:
            seen.append([call.name for call in chunk.function_calls] or chunk.text_delta)
    assert seen == ["Wait. ", ["get_weather"], [("get_weather", "clear", None)], "Cle", "ar."]
    assert stream.response.text == "Clear." and [len(r.function_calls) for r in stream.response.rounds] == [1, 0]


@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_after_the_last_round_the_calls_are_handed_over_and_owed(
    fake: FakeGemini, talk: Talk, send: Send, rounds: int,
) -> None:
    client = talk(tools=[get_weather], max_tool_rounds=rounds)
    for _ in range(rounds + 1):
        fake.reply(CALL_WEATHER)
    answer = send(client, "send_message", "?")
    assert [call.name for call in answer.function_calls] == ["get_weather"] and len(answer.rounds) == rounds + 1
    assert client.history[-1] == model(CALL_WEATHER)
    fake.reply("Done.")
    assert send(client, "send_tool_result", "get_weather", {"sky": "grey"}).text == "Done."
    assert sent(fake)[-1]["contents"][-1] == user(result("get_weather", {"sky": "grey"}))


def test_one_call_without_a_function_hands_over_all_of_them(fake: FakeGemini, talk: Talk, send: Send) -> None:
    client = talk(tools=[list_cities, g.Tool("by_hand", "Answered by hand.")])
    fake.reply([FakeGemini.call("list_cities", {}), FakeGemini.call("by_hand", {})])
    answer = send(client, "send_message", "?")
    assert [call.name for call in answer.function_calls] == ["list_cities", "by_hand"] and len(sent(fake)) == 1


def test_a_call_of_an_unknown_function_is_handed_over(fake: FakeGemini, talk: Talk, send: Send) -> None:
    fake.reply(FakeGemini.call("nope", {}))
    assert send(talk(tools=[list_cities]), "send_message", "?").function_calls[0].name == "nope"


def test_results_by_hand_are_put_in_call_order_and_same_names_are_answered_in_order(
    fake: FakeGemini, talk: Talk, send: Send,
) -> None:
    client = talk(tools=[WEATHER, {"name": "other"}])
    fake.reply([CALL_WEATHER, FakeGemini.call("other", {}, id="o1"), CALL_AGAIN])
    fake.reply("Done.")
    send(client, "send_message", "?")
    results = [("other", {"a": 1}, "o1"), ("get_weather", "first"), ("get_weather", ["second"])]
    send(client, "send_tool_results", results)
    assert sent(fake)[-1]["contents"][-1] == user(
        result("get_weather", {"result": "first"}), result("other", {"a": 1}, id="o1"),
        result("get_weather", {"result": ["second"]}))


@pytest.mark.parametrize("attempt, words", [
    (lambda chat: chat.send_message("never mind"), "owed: get_weather.*get_weather"),
    (lambda chat: chat.send_tool_results([("get_weather", {})]), "still owed: get_weather"),
    (lambda chat: chat.send_tool_result("other", {}), "no call of other.*owed: get_weather"),
    (lambda chat: chat.send_tool_results([("get_weather", {})] * 3), "owed: none"),
    (lambda chat: chat.send_tool_results([]), "still owed"),
    (lambda chat: chat.send_message([result("get_weather", {}), "and hello"]), "something else"),
])
@pytest.mark.parametrize("tail", ["", "_stream"])
def test_a_wrong_answer_to_owed_calls_is_refused_before_sending_with_what_is_owed(
    fake: FakeGemini, talk: Talk, attempt: Any, words: str, tail: str,
) -> None:
    client = talk(tools=[WEATHER])
    fake.reply([CALL_WEATHER, CALL_AGAIN])
    client.send_message("?")
    history = client.history

    class Streamed:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name + tail)

    with pytest.raises(ValueError, match="(?s)" + words):
        attempt(Streamed())
    assert len(sent(fake)) == 1 and client.history == history
    fake.reply("Done.")
    assert client.send_message([result("get_weather", {}), result("get_weather", {})]).text == "Done."


def test_a_result_that_nobody_waits_for_is_refused(talk: Talk) -> None:
    with pytest.raises(ValueError, match="no call of get_weather.*owed: none"):
        talk(tools=[WEATHER]).send_tool_result("get_weather", {})


def test_an_error_carries_the_results_that_exist_and_sending_its_turns_runs_no_tool_again(
    fake: FakeGemini, talk: Talk, send: Send,
) -> None:
    called: List[str] = []

    def tool() -> str:
        """Counts its calls."""
        called.append("x")
        return "x"

    client = talk(tools=[tool])
    fake.reply(FakeGemini.call("tool", {}))
    fake.error(400, "not now")
    with pytest.raises(g.BadRequestError) as caught:
        send(client, "send_message", "?")
    turns = caught.value.turns
    assert turns == [user("?"), model(FakeGemini.call("tool", {})), user(result("tool", {"result": "x"}))]
    assert client.history == []
    fake.reply("Done.")
    assert send(client, "send_message", turns).text == "Done." and called == ["x"]
    assert client.history == [*turns, model("Done.")]


def test_a_stream_left_between_its_rounds_changes_nothing(fake: FakeGemini, talk: Talk) -> None:
    client = talk(tools=[get_weather])
    for stop in ("call", "results"):
        fake.reply(CALL_WEATHER)
        for chunk in client.send_message_stream("?"):
            if (chunk.function_calls if stop == "call" else chunk.tool_results):
                break
        assert client.history == []


def test_generate_never_calls_and_query_does(
    fake: FakeGemini, talk: Talk, monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake.reply(CALL_WEATHER)
    assert talk(tools=[get_weather]).generate("?").function_calls == [("get_weather", {"city": "Paris"}, None)]
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    fake.reply(CALL_WEATHER)
    fake.reply("Clear.")
    assert str(g.query("?", tools=[get_weather])) == "Clear."


def test_names_that_the_api_refuses_are_never_seen_by_the_user(fake: FakeGemini, talk: Talk, send: Send) -> None:
    client = talk(tools=[{"name": "2 läuft", "description": "d"}])
    fake.reply(FakeGemini.call("_2_l_uft", {}))
    answer = send(client, "send_message", "?")
    assert sent(fake)[0]["tools"][0]["functionDeclarations"][0]["name"] == "_2_l_uft"
    assert [call.name for call in answer.function_calls] == ["2 läuft"]
    with pytest.raises(ValueError, match="owed: 2 läuft"):
        client.send_message("hello")
    fake.reply("Done.")
    send(client, "send_tool_result", "2 läuft", 1)
    assert client.history[2] == user(result("_2_l_uft", {"result": 1}))


def test_a_forced_choice_holds_for_the_first_request_only(fake: FakeGemini, talk: Talk, send: Send) -> None:
    fake.reply(CALL_WEATHER)
    fake.reply("Done.")
    send(talk(tools=[get_weather], tool_choice="get_weather"), "send_message", "?")
    forced, free = sent(fake)
    assert forced["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}}
    assert "toolConfig" not in free


def test_signatures_come_back_on_exactly_their_parts_through_json(fake: FakeGemini, talk: Talk, send: Send) -> None:
    parts = [{"text": "a", "thoughtSignature": "s1"}, {"text": "b"}, {"text": "", "thoughtSignature": "s2"},
             CALL_WEATHER, CALL_AGAIN]
    client = talk(tools=[WEATHER])
    fake.reply(*parts)
    send(client, "send_message", "?")
    assert client.history[1] == model(*parts)
    chat = client.chat(json.loads(json.dumps(client.history)))
    fake.reply("Done.")
    send(chat, "send_tool_results", [("get_weather", {}), ("get_weather", {})])
    assert sent(fake)[-1]["contents"][1] == model(*parts)


def test_the_stand_in_for_a_missing_signature_is_sent_only_when_asked_for_and_only_in_the_running_loop(
    fake: FakeGemini, talk: Talk, send: Send,
) -> None:
    old = [user("old"), model(CALL_AGAIN), user(result("get_weather", {})), model("ok")]
    running = [user("new"), model("hm", CALL_AGAIN, CALL_AGAIN)]
    for fill in (False, True):
        chat = talk(tools=[WEATHER], fill_missing_signatures=fill).chat([*old, *running])
        fake.reply("Done.")
        send(chat, "send_tool_results", [("get_weather", {}), ("get_weather", {})])
        contents = sent(fake)[-1]["contents"]
        stand_in = {**CALL_AGAIN, "thoughtSignature": "skip_thought_signature_validator"}
        assert contents[1] == old[1] and contents[5] == model("hm", stand_in if fill else CALL_AGAIN, CALL_AGAIN)
        assert "skip" not in json.dumps(chat.history)


@pytest.mark.parametrize("history, words", [
    ([model(CALL_WEATHER), user(result("get_weather", {}))], "entry 0.*nothing came before"),
    ([user("a"), model("b"), user(result("x", {})), model("c")], "no call of x"),
    ([user("a"), model(CALL_WEATHER, CALL_AGAIN), user(result("get_weather", {})), model("c")], "still owed: get_w"),
])
def test_a_history_with_calls_and_results_that_do_not_pair_is_refused(talk: Talk, history: Any, words: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + words):
        talk().chat(history)


@dataclasses.dataclass
class Place:
    name: str
    height: float = 0.0


@dataclasses.dataclass
class Trip:
    title: str
    places: List[Place]


def test_a_schema_from_a_nested_dataclass_comes_back_as_that_dataclass(
    fake: FakeGemini, talk: Talk, send: Send,
) -> None:
    fake.reply('{"title": "Alps", "places": [{"na', 'me": "Eiger", "height": 3967}]}')
    answer = send(talk(response_schema=Trip), "send_message", "?")
    assert answer.parsed == Trip("Alps", [Place("Eiger", 3967)])
    config = sent(fake)[0]["generationConfig"]
    assert config["responseMimeType"] == "application/json" and "places" in config["responseJsonSchema"]["properties"]


@pytest.mark.parametrize("text, reason", [("Sorry", "NOT_JSON"), ('{"title": 5, "places": []}', "MISMATCH")])
def test_an_answer_that_does_not_fit_raises_with_its_text_and_still_reads(
    fake: FakeGemini, talk: Talk, send: Send, text: str, reason: str,
) -> None:
    fake.reply(text)
    answer = send(talk(response_schema=Trip), "send_message", "?")
    with pytest.raises(g.ParseError) as caught:
        answer.parsed
    assert answer.text == text in str(caught.value)
    assert caught.value.reason == reason and caught.value.response is answer


def test_tools_run_in_default_replies_too(talk: Talk) -> None:
    """The loop stands on nothing but what the server says: a server that answers calls until it has a result."""
    def serve(request: Any) -> Reply:
        contents = request.body.get("request", request.body)["contents"]
        return Reply("Done.") if "functionResponse" in contents[-1]["parts"][0] else Reply(CALL_WEATHER)

    with FakeGemini(serve) as server:
        client = g.GeminiClient(backend=g.DeveloperAPI("k", base_url=server.url))
        assert [client.send_message("?", tools=[get_weather]).text for _ in range(3)] == ["Done."] * 3
        client.close()
