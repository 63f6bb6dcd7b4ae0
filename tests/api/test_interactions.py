"""The Interactions API: bodies, views, streams that break, background work."""
from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
import threading
from typing import Any, Callable, Dict, Iterator, List

import pytest

from gemini_lite import (
    CodeAssist, GeminiClient, GeminiError, IncompleteError, JobFailedError, OverloadedError, ParseError,
    TransportError,
)
from gemini_lite.api.interaction import Interaction, InteractionEvent, InteractionFold
from gemini_lite.api.interaction_body import build_input, build_options
from gemini_lite.options import GeminiOptions
from gemini_lite.response import AnswerFormat, GenerateContentResponse
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.testing.interactions_service import InteractionsService, text_step
from gemini_lite.transport import retry

WEATHER = {"name": "get_weather", "description": "d", "parametersJsonSchema": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}
CALL = {"type": "function_call", "id": "c1", "name": "get_weather", "arguments": {"city": "Paris"}}
STEPS = [{"type": "thought", "summary": [{"type": "text", "text": "Hm, well."}], "signature": "s"},
         text_step("The sky is blue today."), CALL, {"type": "new_kind", "field": [1, {"a": None}]}]


@pytest.fixture
def service() -> InteractionsService:
    return InteractionsService(lambda body: "Hello there, how are you?")


@pytest.fixture
def client(fake: FakeGemini, service: InteractionsService, client: Callable[..., GeminiClient]) -> GeminiClient:
    fake.services.append(service)
    return client(fake, model="gemini-x")


def bodies(fake: FakeGemini) -> List[Any]:
    return [request.body for request in fake.requests]


def test_a_text_is_sent_as_it_is_and_the_answer_reads_by_names(fake: FakeGemini, client: GeminiClient) -> None:
    interaction = client.interactions.create("Hi")
    assert bodies(fake) == [{"model": "gemini-x", "input": "Hi"}]
    assert fake.requests[0].path == "/v1beta/interactions"
    assert (interaction.id, interaction.status, interaction.text) == ("int_1", "completed", "Hello there, how are you?")
    assert interaction.usage["total_tokens"] == 8 and str(interaction) == interaction.text
    assert interaction.model == "gemini-x" and interaction.agent is None
    assert interaction.created is not None and interaction.created.tzinfo is not None


def test_the_next_interaction_goes_on_from_the_last_and_sends_its_tools_again(
        fake: FakeGemini, client: GeminiClient, service: InteractionsService) -> None:
    service._answer = lambda body: [CALL] if body["input"] == "Weather?" else "Sunny"
    first = client.interactions.create("Weather?", tools=[WEATHER])
    assert first.status == "requires_action" and first.function_calls == [("get_weather", {"city": "Paris"}, "c1")]
    second = client.interactions.create(
        [(call.name, {"sky": "clear"}, call.id) for call in first.function_calls], previous_interaction=first,
        tools=[WEATHER])
    assert second.text == "Sunny" and second.previous_interaction_id == "int_1"
    function = {"type": "function", "name": "get_weather", "description": "d",
                "parameters": WEATHER["parametersJsonSchema"]}
    assert [body["tools"] for body in bodies(fake)] == [[function], [function]]
    assert bodies(fake)[1]["input"] == [
        {"type": "function_result", "name": "get_weather", "call_id": "c1", "result": {"sky": "clear"}}]


def test_a_prompt_of_parts_is_one_step_and_a_conversation_is_a_step_each(tmp_path: pathlib.Path) -> None:
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    uri = {"fileData": {"fileUri": "https://x/files/abc", "mimeType": "application/pdf"}}
    assert build_input(["what?", path, uri]) == [{"type": "user_input", "content": [
        {"type": "text", "text": "what?"}, {"type": "image", "data": image, "mime_type": "image/png"},
        {"type": "document", "uri": "https://x/files/abc", "mime_type": "application/pdf"}]}]
    turns = [{"role": "user", "parts": [{"text": "hi"}]},
             {"role": "model", "parts": [
                 {"text": "I look"}, {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}}]},
             {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"r": 2}}}]}]
    assert build_input(turns) == [
        {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
        {"type": "model_output", "content": [{"type": "text", "text": "I look"}]},
        {"type": "function_call", "id": "1", "name": "f", "arguments": {"a": 1}},
        {"type": "function_result", "name": "f", "call_id": "1", "result": {"r": 2}}]


def test_options_are_written_in_this_apis_words() -> None:
    options = GeminiOptions(
        system_prompt="Be brief.", temperature=0.5, max_output_tokens=9, seed=1, stop_sequences=["x"],
        thinking_level="HIGH", include_thoughts=True, tool_choice="any", labels={"team": "a"},
        tools=[WEATHER, {"googleSearch": {}}, {"fileSearch": {"fileSearchStoreNames": ["s"], "topK": 3}},
               {"type": "mcp_server", "name": "m", "url": "https://example.com"}],
        safety_settings=[{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}])
    assert build_options(options) == {
        "system_instruction": "Be brief.",
        "generation_config": {"temperature": 0.5, "max_output_tokens": 9, "seed": 1, "stop_sequences": ["x"],
                              "thinking_level": "high", "thinking_summaries": "auto", "tool_choice": "any"},
        "tools": [{"type": "mcp_server", "name": "m", "url": "https://example.com"},
                  {"type": "function", "name": "get_weather", "description": "d",
                   "parameters": WEATHER["parametersJsonSchema"]}, {"type": "google_search"},
                  {"type": "file_search", "file_search_store_names": ["s"], "top_k": 3}],
        "safety_settings": [{"threshold": "BLOCK_NONE", "type": "hate_speech"}], "labels": {"team": "a"}}


@pytest.mark.parametrize("name, value", [
    ("top_k", 3), ("thinking_budget", 100), ("candidate_count", 2), ("presence_penalty", 0.1),
    ("frequency_penalty", 0.1), ("cached_content", "cachedContents/x"), ("session_id", "s"), ("tool_config", {"a": 1})])
def test_an_option_without_a_word_here_is_refused_by_name_before_anything_is_sent(
        fake: FakeGemini, client: GeminiClient, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        client.interactions.create("Hi", **{name: value})
    assert fake.requests == []


def test_what_excludes_each_other_is_refused(fake: FakeGemini, client: GeminiClient) -> None:
    for arguments in ({"agent": "a", "model": "m"}, {"store": False, "background": True},
                      {"store": False, "previous_interaction": "int_1"}, {"agent": "a", "temperature": 1}):
        with pytest.raises(ValueError):
            client.interactions.create("Hi", **arguments)  # type: ignore[arg-type]
    assert fake.requests == []


def test_code_assist_has_no_interactions(fake: FakeGemini) -> None:
    with GeminiClient(backend=CodeAssist(lambda: "token", endpoints=[fake.url])) as client:
        with pytest.raises(ValueError, match="interactions"):
            client.interactions.create("Hi")


def test_an_agent_is_asked_instead_of_the_clients_model(fake: FakeGemini, client: GeminiClient) -> None:
    client.interactions.create("Research", agent="deep-research", background=True, extra={"agent_config": {"a": 1}})
    assert bodies(fake) == [
        {"agent": "deep-research", "input": "Research", "background": True, "agent_config": {"a": 1}}]


def test_an_answer_with_a_schema_is_parsed(
        client: GeminiClient, service: InteractionsService, fake: FakeGemini) -> None:
    @dataclasses.dataclass
    class Person:
        name: str

    service._answer = lambda body: '{"name": "Ada"}'
    assert client.interactions.create("Who?", response_schema=Person).parsed == Person("Ada")
    assert bodies(fake)[0]["response_format"]["mime_type"] == "application/json"


@pytest.mark.parametrize("text", ['{"a": 1}', "no JSON", '{"name": 1}', ""])
@pytest.mark.parametrize("schema", [None, {"type": "object"}, List[int]])
@pytest.mark.parametrize("cut", [False, True])
def test_parsed_is_that_of_a_generated_answer_with_the_same_text(text: str, schema: object, cut: bool) -> None:
    finish, status = ("MAX_TOKENS", "incomplete") if cut else ("STOP", "completed")
    candidate = {"content": {"parts": [{"text": text}]}, "finishReason": finish}
    views: List[Any] = [GenerateContentResponse({"candidates": [candidate]}, AnswerFormat(schema)),
                        Interaction({"status": status, "steps": [text_step(text)]}, schema)]
    ends = []
    for view in views:
        try:
            ends.append(view.parsed)
        except ParseError as error:
            assert error.response is view and ("was cut" in str(error)) == cut
            ends.append((error.reason, str(error).replace(finish, status)))
    assert ends[0] == ends[1]


def test_a_stream_folds_into_the_interaction_that_the_call_without_one_gives(
        client: GeminiClient, service: InteractionsService) -> None:
    service._answer = lambda body: STEPS
    stream = client.interactions.stream("Hi")
    events = list(stream)
    assert "".join(event.text_delta for event in events) == "The sky is blue today."
    assert "".join(event.thinking_delta for event in events) == "Hm, well."
    folded, whole = stream.interaction, client.interactions.create("Hi")
    assert folded.steps == whole.steps == STEPS
    assert (folded.text, folded.thinking, folded.usage) == (whole.text, whole.thinking, whole.usage)
    assert folded.function_calls == whole.function_calls == [("get_weather", {"city": "Paris"}, "c1")]


@pytest.mark.parametrize("breaks", range(1, 23))
def test_a_stream_that_breaks_after_any_event_goes_on_with_nothing_lost_and_nothing_doubled(
        fake: FakeGemini, client: GeminiClient, service: InteractionsService, breaks: int,
        no_sleep: List[float]) -> None:
    service._answer = lambda body: STEPS
    expected = [event.data for event in client.interactions.stream("Hi")]
    assert len(expected) == 23
    service.break_after.extend([breaks, 1, None])
    del fake.requests[:]
    stream = client.interactions.stream("Hi")
    got = [event.data["event_id"] for event in stream]
    assert got == [event["event_id"] for event in expected]
    assert stream.interaction.steps == STEPS
    assert [request.method for request in fake.requests].count("POST") == 1, "create is never sent again"


def events_of(*events: Dict[str, Any], **how: Any) -> Raw:
    return Raw(*[b"data: %s\n\n" % json.dumps(event).encode() for event in events],
               headers={"Content-Type": "text/event-stream"}, **how)


def test_events_that_come_again_after_a_break_are_passed_over(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float]) -> None:
    events = [{"event_type": "interaction.created", "event_id": "1", "interaction": {"id": "i"}},
              {"event_type": "step.start", "event_id": "2", "index": 0, "step": {"type": "model_output"}},
              {"event_type": "step.delta", "event_id": "3", "index": 0, "delta": {"type": "text", "text": "a"}}]
    end = {"event_type": "interaction.completed", "event_id": "4", "interaction": {"id": "i", "status": "completed"}}
    fake.answer("POST /v1beta/interactions", events_of(*events, cut=True))
    fake.answer("GET /v1beta/interactions/*", events_of(*events, end))
    stream = client.interactions.stream("Hi")
    assert [event.id for event in stream] == ["1", "2", "3", "4"] and stream.interaction.text == "a"


BEGUN = {"event_type": "interaction.created", "event_id": "e1", "interaction": {"id": "i1"}}


def test_a_stream_that_cannot_be_taken_up_again_raises_with_what_arrived(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float]) -> None:
    fake.answer("POST /v1beta/interactions", events_of(BEGUN, cut=True))
    fake.answer("GET /v1beta/interactions/*", *[Error(503, "busy")] * 2)
    with pytest.raises(OverloadedError) as caught:
        client.interactions.stream("Hi", retries=1).interaction
    assert caught.value.response.id == "i1"


@pytest.mark.parametrize("max_wait", [0.1, 2])
def test_no_wait_before_a_stream_is_taken_up_again_is_longer_than_the_clients_longest(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float], max_wait: float,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    client._transport.max_wait = max_wait
    fake.answer("POST /v1beta/interactions", events_of(BEGUN, cut=True))
    fake.answer("GET /v1beta/interactions/*", *[events_of(BEGUN, cut=True)] * 4)
    with pytest.raises(GeminiError):
        list(client.interactions.stream("Hi"))
    assert no_sleep == [min(max_wait, 0.5 * 2 ** number) for number in range(4)]


def test_a_stream_is_not_taken_up_again_after_its_deadline(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: 30.0)
    fake.answer("POST /v1beta/interactions", events_of(BEGUN, cut=True))
    with pytest.raises(TransportError):
        list(client.interactions.stream("Hi", deadline=20))
    assert no_sleep == []


@pytest.mark.parametrize("by", ["stream", "client"])
@pytest.mark.parametrize("during", ["an event", "a pause"])
def test_closing_from_another_thread_wakes_the_one_that_reads(
        fake: FakeGemini, client: GeminiClient, monkeypatch: pytest.MonkeyPatch, by: str, during: str) -> None:
    sleep, waits = retry.sleep, threading.Event()
    monkeypatch.setattr("random.uniform", lambda low, high: 30.0)  # what a break is followed by
    monkeypatch.setattr("gemini_lite.transport.retry.sleep", lambda seconds: [waits.set(), sleep(seconds)])
    slow = {"delay": 30} if during == "an event" else {"cut": True}
    fake.answer("POST /v1beta/interactions", events_of(BEGUN, BEGUN, **slow))
    stream = client.interactions.stream("Hi")
    ends: List[Any] = []

    def read() -> None:
        try:
            next(stream)
            if during == "an event":
                waits.set()
            ends.append(next(stream))
        except GeminiError as error:
            ends.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert waits.wait(20)
    (stream if by == "stream" else client).close()
    reader.join(20)
    assert ends[0].reason == "CLOSED" and ends[0].response.id == "i1"
    if by == "stream":
        assert list(stream) == []


def test_a_stream_that_is_not_stored_and_breaks_raises_with_what_arrived(
        client: GeminiClient, service: InteractionsService, no_sleep: List[float]) -> None:
    service.break_after.append(4)
    with pytest.raises(GeminiError) as caught:
        list(client.interactions.stream("Hi", store=False))
    assert isinstance(caught.value.response, Interaction) and caught.value.response.text == "Hell"[:4] + "o th"


def test_a_stream_that_ends_without_its_end_raises(fake: FakeGemini, client: GeminiClient) -> None:
    created = {"event_type": "interaction.created", "interaction": {"id": "i", "status": "in_progress"}}
    fake.services.insert(0, lambda request: Raw(b"data: %s\n\n" % json.dumps(created).encode(), b"data: [DONE]\n\n",
                                                headers={"Content-Type": "text/event-stream"}))
    with pytest.raises(IncompleteError) as caught:
        list(client.interactions.stream("Hi"))
    assert caught.value.reason == "CUT" and caught.value.response.id == "i"


def test_an_error_event_raises_the_error_it_states(fake: FakeGemini, client: GeminiClient) -> None:
    created = {"event_type": "interaction.created", "event_id": "1", "interaction": {"id": "i"}}
    error = {"event_type": "error", "error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    fake.services.insert(0, lambda request: Raw(*(b"data: %s\n\n" % json.dumps(event).encode()
                                                  for event in (created, error)),
                                                headers={"Content-Type": "text/event-stream"}))
    with pytest.raises(GeminiError, match="slow down"):
        list(client.interactions.stream("Hi"))


def test_closing_a_stream_ends_it_and_its_interaction_says_so(client: GeminiClient) -> None:
    with client.interactions.stream("Hi") as stream:
        next(stream)
    assert list(stream) == []
    with pytest.raises(IncompleteError, match="closed"):
        stream.interaction


def test_background_work_is_waited_for_and_shows_its_progress(
        client: GeminiClient, service: InteractionsService, no_sleep: List[float]) -> None:
    service.statuses = ["queued", "in_progress", "in_progress", "completed"]
    begun = client.interactions.create("Research", background=True)
    assert begun.is_live and begun.text == ""
    seen: List[str] = []
    ended = client.interactions.wait(begun.id, progress=lambda one: seen.append(one.status))
    assert ended.text == "Hello there, how are you?" and seen[-1] == "completed"


@pytest.mark.parametrize("status", ["failed", "cancelled", "budget_exceeded"])
def test_work_that_ends_badly_is_an_error_with_the_job(
        client: GeminiClient, service: InteractionsService, no_sleep: List[float], status: str) -> None:
    service.statuses, service.final = ["in_progress", status], {"errors": [{"code": 13, "message": "no luck"}]}
    with pytest.raises(JobFailedError, match="no luck") as caught:
        client.interactions.wait(client.interactions.create("Research", background=True))
    assert caught.value.job.status == status


def test_a_wait_ends_at_its_deadline_and_says_how_to_go_on(
        client: GeminiClient, service: InteractionsService, no_sleep: List[float]) -> None:
    service.statuses = ["in_progress"]
    begun = client.interactions.create("Research", background=True)
    with pytest.raises(GeminiError) as caught:
        client.interactions.wait(begun, deadline=0.05, poll=0.01)
    assert caught.value.reason == "DEADLINE" and caught.value.job.id == begun.id


def test_cancel_get_and_delete_speak_of_the_interaction(client: GeminiClient, fake: FakeGemini) -> None:
    made = client.interactions.create("Hi")
    assert client.interactions.get(made, include_input=True).steps[0]["type"] == "user_input"
    assert client.interactions.cancel(made.id).status == "cancelled"
    client.interactions.delete(made)
    with pytest.raises(GeminiError):
        client.interactions.get(made)
    assert [(request.method, request.path) for request in fake.requests[1:4]] == [
        ("GET", "/v1beta/interactions/int_1?include_input=true&stream=false"),
        ("POST", "/v1beta/interactions/int_1/cancel"), ("DELETE", "/v1beta/interactions/int_1")]


@pytest.mark.parametrize("id", ["", "a/b", "..", "a?b", "a#b"])
def test_an_id_that_would_leave_its_path_is_refused(client: GeminiClient, fake: FakeGemini, id: str) -> None:
    with pytest.raises(ValueError, match="id"):
        client.interactions.get(id)
    assert fake.requests == []


def test_create_is_not_sent_again_where_a_first_one_may_have_been_worked_on(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float]) -> None:
    fake.services.insert(0, lambda request: Raw(b"{", headers={"Content-Length": "100"}, cut=True))
    with pytest.raises(GeminiError):
        client.interactions.create("Hi")
    assert len(fake.requests) == 1


@pytest.mark.parametrize("store", [None, False])
def test_a_continuation_that_the_api_asks_for_is_followed(
        fake: FakeGemini, client: GeminiClient, store: Any) -> None:
    answers: Iterator[Dict[str, Any]] = iter([
        {"id": "int_1", "status": "requires_continuation", "continuation_token": "t", "steps": [text_step("a")],
         "usage": {"total_tokens": 3}},
        {"id": "int_2", "status": "completed", "steps": [text_step("b")], "usage": {"total_tokens": 4}}])
    fake.services.insert(0, lambda request: Raw(json.dumps(next(answers)).encode()))
    interaction = client.interactions.create("Hi", store=store)
    assert (interaction.id, interaction.text, interaction.usage) == ("int_2", "ab", {"total_tokens": 7})
    second = bodies(fake)[1]
    assert second["continuation_token"] == "t"
    assert ("input" in second, second.get("previous_interaction_id")) == (
        (True, None) if store is False else (False, "int_1"))


@pytest.mark.parametrize("second", [
    {}, {"status": "requires_continuation", "continuation_token": "t"}, {"continuation_token": "\ud800"},
    {"id": "\ud800", "continuation_token": "u"}, {"id": float("inf"), "continuation_token": "u"}])
def test_a_continuation_is_asked_for_once_with_a_token_and_each_call_is_billed(
        fake: FakeGemini, client: GeminiClient, second: Any) -> None:
    first = {"id": "int_1", "status": "requires_continuation", "continuation_token": "t"}
    answers: Iterator[Dict[str, Any]] = iter([first, second])
    fake.services.insert(0, lambda request: Raw(json.dumps(next(answers)).encode()))
    assert client.interactions.create("Hi").status == "requires_continuation"
    assert len(fake.requests) == 2


@pytest.mark.parametrize("failure", [Error(400, "no"), Error(503, "busy"), Raw(b"{"), Raw(status=None)], ids=repr)
@pytest.mark.parametrize("parts", [1, 2])
def test_a_continuation_that_fails_leaves_what_is_paid_for(
        fake: FakeGemini, client: GeminiClient, failure: Any, parts: int) -> None:
    paid = [{"id": f"int_{number}", "status": "requires_continuation", "continuation_token": f"t{number}",
             "steps": [text_step(str(number))]} for number in range(parts)]
    answers: Iterator[Any] = iter([Raw(json.dumps(one).encode()) for one in paid])
    fake.services.insert(0, lambda request: next(answers, failure))
    with pytest.raises(GeminiError) as caught:
        client.interactions.create("Hi", retries=0)
    found = caught.value.response
    assert isinstance(found, Interaction) and found.text == "01"[:parts] and found.id == f"int_{parts - 1}"


@pytest.mark.parametrize("odd", [[1], 5, "x", {"a": 1}])
def test_continuations_of_odd_shape_are_joined_all_the_same(
        fake: FakeGemini, client: GeminiClient, odd: Any) -> None:
    answers: Iterator[Dict[str, Any]] = iter([
        {"id": "i", "status": "requires_continuation", "continuation_token": "t", "usage": odd, "steps": odd},
        {"id": "i", "status": "completed", "usage": odd, "steps": [text_step("b")]}])
    fake.services.insert(0, lambda request: Raw(json.dumps(next(answers)).encode()))
    assert client.interactions.create("Hi").text == "b"


def event_stream(*events: Any, cut: bool = False) -> Raw:
    """A stream of these events."""
    return Raw(*(b"data: %s\n\n" % json.dumps(event).encode() for event in events), cut=cut,
               headers={"Content-Type": "text/event-stream"})


@pytest.mark.parametrize("id", ["a/b", "..", "\ud800"])
def test_a_broken_stream_whose_id_fits_no_path_raises_what_broke_it(
        fake: FakeGemini, client: GeminiClient, id: str) -> None:
    created = {"event_type": "interaction.created", "event_id": "1", "interaction": {"id": id}}
    fake.services.insert(0, lambda request: event_stream(created, cut=True))
    with pytest.raises(GeminiError) as caught:
        list(client.interactions.stream("Hi"))
    assert caught.value.response.id == id and len(fake.requests) == 1


@pytest.mark.parametrize("others", [[], [{"event_type": "step.stop"}]])
def test_a_stream_that_never_gets_further_is_given_up(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float], others: Any) -> None:
    created = {"event_type": "interaction.created", "event_id": "1", "interaction": {"id": "i"}}
    answers = iter([event_stream(created, *others, cut=True)] * 9)
    fake.services.insert(0, lambda request: next(answers))
    with pytest.raises(GeminiError) as caught:
        list(client.interactions.stream("Hi"))
    assert caught.value.response.id == "i" and len(fake.requests) == 1 + 4


def test_events_with_empty_ids_are_events_of_their_own(fake: FakeGemini, client: GeminiClient) -> None:
    events = [{"event_type": "interaction.created", "event_id": "", "interaction": {"id": "i"}},
              {"event_type": "step.start", "event_id": "", "index": 0, "step": {"type": "model_output"}},
              {"event_type": "step.delta", "event_id": "", "index": 0, "delta": {"type": "text", "text": "a"}},
              {"event_type": "interaction.completed", "event_id": "", "interaction": {"status": "completed"}}]
    fake.services.insert(0, lambda request: event_stream(*events))
    assert client.interactions.stream("Hi").interaction.text == "a"


def test_a_step_of_any_depth_is_folded() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = {"a": deep}
    fold = InteractionFold()
    fold.add(InteractionEvent({"event_type": "step.start", "step": {"type": "new", "field": deep}}))
    assert fold.data()["steps"][0]["type"] == "new"


def test_a_wait_looks_by_the_id_that_was_given_whatever_the_server_calls_it(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float]) -> None:
    answers: Iterator[Dict[str, Any]] = iter([
        {"status": "in_progress"}, {"id": "a/b", "status": "in_progress"}, {"status": "completed"}])
    fake.services.insert(0, lambda request: Raw(json.dumps(next(answers)).encode()))
    assert client.interactions.wait("int_7").status == "completed"
    assert {request.path.split("?")[0] for request in fake.requests} == {"/v1beta/interactions/int_7"}


def test_odd_shapes_of_an_interaction_raise_nothing() -> None:
    for id in ([1], {"a": 1}, 5, None):
        assert Interaction({"steps": [{"type": "function_call", "id": id, "name": "f"}]}).function_calls \
            == [("f", {}, None)]
        assert Interaction({"steps": [{"type": "function_result", "call_id": id}, CALL]}).function_calls \
            == [("get_weather", {"city": "Paris"}, "c1")]
    for odd in (None, 1, "x", [], [1], {}, {"a": 1}, [[]], [{"type": 1}], [{"type": "model_output", "content": 3}]):
        InteractionFold().add(InteractionEvent({"event_type": "step.start", "index": -1, "step": odd}))
        for name in ("id", "status", "steps", "usage", "errors", "created", "model", "interaction", "delta", "index",
                     "event_type", "step"):
            view: Any = Interaction({name: odd})
            for attribute in ("id", "status", "text", "thinking", "steps", "function_calls", "files", "images", "usage",
                              "errors", "created", "updated", "model", "agent"):
                getattr(view, attribute)
            fold = InteractionFold()
            for kind in ("interaction.created", "step.start", "step.delta", "interaction.status_update", "x"):
                fold.add(InteractionEvent({"event_type": kind, "step": {}, "delta": {"type": "text", "text": "a"},
                                           name: odd}))
            fold.data()
