"""The laws of the front door: who signs in, which model, what goes out, what comes back, what stays secret."""
from __future__ import annotations

import contextlib
import copy
import inspect
import json
import logging
import pickle
import pprint
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import responses

import gemini_lite
from gemini_lite import (
    BlockedError, CredentialsError, DeveloperAPI, GeminiClient, GeminiError, GeminiOptions, GenerateContentResponse,
    IncompleteError, NotFoundError, ParseError, Stream, StreamChunk, TransportTimeout, query,
)
from gemini_lite.options.overrides import ChatOverrides, OptionFields, QueryOverrides
from gemini_lite.testing import Error, FakeGemini, Raw, Request

Client = Callable[..., GeminiClient]

SOON = 5  # seconds after which a test gives up waiting for what should have happened at once


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with the sign-in of Gemini CLI in it."""
    folder = tmp_path / ".gemini"
    folder.mkdir()
    (folder / "oauth_creds.json").write_text(json.dumps({
        "access_token": "test-access-token", "refresh_token": "test-refresh-token", "token_type": "Bearer",
        "scope": "https://www.googleapis.com/auth/cloud-platform", "expiry_date": 4102444800000}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


# Who signs in

@pytest.fixture
def at_fake(fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> FakeGemini:
    """The fake, as the address of all backends."""
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url)
    return fake


@pytest.mark.parametrize("environment, arguments, key", [
    ({"GEMINI_API_KEY": "gemini"}, {}, "gemini"),
    ({"GOOGLE_API_KEY": "google"}, {}, "google"),
    ({"GEMINI_API_KEY": "gemini", "GOOGLE_API_KEY": "google"}, {}, "google"),
    ({"GEMINI_API_KEY": "gemini", "GOOGLE_API_KEY": "google"}, {"api_key": "argument"}, "argument"),
    ({"GOOGLE_GENAI_USE_GCA": "true"}, {"api_key": "argument"}, "argument"),
    ({"GOOGLE_GENAI_USE_GCA": "true"}, {"backend": "the backend's"}, "the backend's"),
    ({"GOOGLE_GENAI_USE_GCA": "false", "GEMINI_API_KEY": "gemini"}, {}, "gemini"),
    ({"GOOGLE_GENAI_USE_GCA": "", "GEMINI_API_KEY": "gemini"}, {}, "gemini"),
])
def test_the_argument_signs_in_and_then_the_environment(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, environment: Dict[str, str], arguments: Dict[str, Any],
        key: str) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if "backend" in arguments:
        arguments = {"backend": DeveloperAPI("the backend's".replace(" ", "-"), base_url=at_fake.url)}
    at_fake.reply("a")
    with GeminiClient(**arguments) as client:
        client.generate("Hi")
    assert at_fake.requests[0].headers["x-goog-api-key"] == key.replace(" ", "-")


def test_nobody_signed_in_is_an_error_that_names_every_way(home: Path) -> None:
    with pytest.raises(CredentialsError) as caught:  # though a file for Code Assist is there
        GeminiClient()
    for way in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GeminiClient(api_key=", "credentials_path=",
                "GOOGLE_GENAI_USE_GCA=true", "https://aistudio.google.com/apikey"):
        assert way in str(caught.value)


def test_a_file_that_happens_to_exist_never_chooses_code_assist(
        at_fake: FakeGemini, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    at_fake.reply("a")
    with GeminiClient() as client:
        client.generate("Hi")
    assert not at_fake.requests[0].code_assist and "authorization" not in at_fake.requests[0].headers


@pytest.mark.parametrize("how", ["environment", "argument"])
def test_code_assist_is_chosen_when_it_is_asked_for_even_if_a_key_is_set(
        at_fake: FakeGemini, home: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "environment":
        monkeypatch.setenv("GEMINI_API_KEY", "test-key")
        monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
        client = GeminiClient()
    else:
        client = GeminiClient(credentials_path=home / ".gemini" / "oauth_creds.json")
    at_fake.reply("a")
    with client:
        assert client.generate("Hi").text == "a"
    last = at_fake.requests[-1]
    assert last.code_assist and last.headers["authorization"] == "Bearer test-access-token"
    assert "x-goog-api-key" not in last.headers


@pytest.mark.parametrize("given", [
    {"api_key": "k", "backend": True}, {"api_key": "k", "credentials_path": "f"},
    {"credentials_path": "f", "backend": True}, {"api_key": "k", "credentials_path": "f", "backend": True},
    {"api_key": "", "backend": True},
])
def test_more_than_one_way_to_sign_in_is_an_error_that_names_them(given: Dict[str, Any]) -> None:
    names = list(given)
    if "backend" in given:
        given = {**given, "backend": DeveloperAPI("test-key")}
    with pytest.raises(ValueError) as caught:
        GeminiClient(**given)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize("arguments", [{"options": {"temperature": 0}}, {"options": "gemini-2.5-pro"}])
def test_options_of_another_type_are_refused(arguments: Dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="GeminiOptions"):
        GeminiClient(api_key="test-key", **arguments)


def test_a_key_as_the_first_argument_is_refused_without_being_shown() -> None:
    with pytest.raises(TypeError) as caught:
        GeminiClient("AIzaSyHunter2")  # type: ignore[arg-type]
    assert "Hunter2" not in str(caught.value)


# Which model, which address

@pytest.mark.parametrize("environment, option, override, used", [
    (None, None, None, "gemini-flash-latest"), ("", None, None, "gemini-flash-latest"),
    ("from-env", None, None, "from-env"),
    ("from-env", "from-option", None, "from-option"), ("from-env", "from-option", "from-override", "from-override"),
    (None, None, "from-override", "from-override"), ("models/from-env", None, None, "from-env"),
    (None, "models/from-option", None, "from-option"), (None, None, "models/from-override", "from-override"),
    (None, " models/padded\n", None, "padded"),
])
@pytest.mark.parametrize("method", ["generate", "stream", "send_message", "count_tokens"])
def test_the_model_is_the_override_the_option_the_environments_or_the_default(
        client: Client, monkeypatch: pytest.MonkeyPatch, environment: Any, option: Any, override: Any, used: str,
        method: str) -> None:
    if environment is not None:
        monkeypatch.setenv("GEMINI_MODEL", environment)
    with FakeGemini(lambda request: "a") as fake:
        fake.models.append(used)
        gemini = client(fake, GeminiOptions(model=option))
        getattr(gemini, method)("Hi", **({"model": override} if override else {}))
    assert fake.requests[0].model == used
    assert fake.requests[0].path.startswith("/v1beta/models/%s:" % used)


def test_an_override_of_none_takes_the_environments_model(
        fake: FakeGemini, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_MODEL", "from-env")
    fake.models.append("from-env")
    fake.reply("a")
    client(fake, GeminiOptions(model="from-option")).generate("Hi", model=None)
    assert fake.requests[0].model == "from-env"


def test_the_base_url_of_the_environment_is_used_and_may_have_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://gateway.example:8080/gemini/")
    with responses.RequestsMock() as mocked, GeminiClient(api_key="test-key") as client:
        mocked.add(responses.GET, "http://gateway.example:8080/gemini/v1beta/models", json={"models": [{"name": "m"}]})
        assert client.models() == [{"name": "m"}]


# What goes out and comes back

def test_generate_is_one_request_and_its_answer(fake: FakeGemini, client: Client) -> None:
    fake.reply("Hel", "lo")
    response = client(fake, GeminiOptions(system_prompt="Be brief.")).generate("Hi", temperature=0)
    assert isinstance(response, GenerateContentResponse)
    assert (response.text, str(response), response.finish_reason) == ("Hello", "Hello", "STOP")
    assert fake.requests[0].body == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]}, "generationConfig": {"temperature": 0}}
    assert len(fake.requests) == 1


def test_a_stream_is_chunks_and_then_the_whole_response(fake: FakeGemini, client: Client) -> None:
    fake.reply("Hel", "lo")
    fake.reply("Hel", "lo")
    gemini = client(fake)
    stream = gemini.stream("Hi")
    chunks = list(stream)
    assert isinstance(stream, Stream) and all(isinstance(chunk, StreamChunk) for chunk in chunks)
    assert [chunk.text_delta for chunk in chunks] == ["Hel", "lo"]
    whole, unary = stream.response.data, gemini.generate("Hi").data
    assert {**whole, "responseId": None} == {**unary, "responseId": None}
    assert stream.response is stream.response and list(stream) == []


def test_the_response_of_a_stream_drains_it(fake: FakeGemini, client: Client) -> None:
    fake.reply("Hel", "l", "o")
    stream = client(fake).stream("Hi")
    assert next(stream).text_delta == "Hel"
    assert stream.response.text == "Hello"
    assert list(stream) == []


def test_a_stream_closed_early_says_so_when_asked_for_its_response(fake: FakeGemini, client: Client) -> None:
    fake.reply("Hel", "lo")
    with client(fake).stream("Hi") as stream:
        next(stream)
    assert list(stream) == []
    with pytest.raises(IncompleteError, match="closed"):
        stream.response


def test_a_stream_may_be_closed_twice(fake: FakeGemini, client: Client) -> None:
    fake.reply("a")
    stream = client(fake).stream("Hi")
    stream.close()
    stream.close()


@pytest.mark.parametrize("method", ["generate", "stream", "send_message", "send_message_stream", "count_tokens"])
@pytest.mark.parametrize("bad, error", [
    ("", ValueError), ([], ValueError), (None, TypeError), (5, TypeError), ([None], TypeError), (b"bytes", Exception),
    ([{"role": "user", "parts": [{"text": "a"}]}, "b"], ValueError), ((b"x", "no type"), ValueError),
    ({}, (TypeError, ValueError)), (Path("/nowhere/at/all.png"), ValueError), ([["nested"]], TypeError),
])
def test_bad_prompts_are_refused_before_any_network(
        fake: FakeGemini, client: Client, method: str, bad: Any, error: Any) -> None:
    before = copy.deepcopy(bad)
    with pytest.raises((ValueError, TypeError) if error is Exception else error):
        getattr(client(fake), method)(bad)
    assert fake.requests == [] and fake.connections == 0 and bad == before


@pytest.mark.parametrize("method", ["generate", "stream", "send_message", "send_message_stream", "count_tokens"])
@pytest.mark.parametrize("overrides, error, said", [
    ({"temprature": 1}, TypeError, "temprature"), ({"temperature": "hot"}, TypeError, "temperature"),
    ({"deadline": 0}, ValueError, "deadline"), ({"deadline": "soon"}, TypeError, "deadline"),
    ({"thinking_budget": 1, "thinking_level": "low"}, ValueError, "thinking_budget"),
    ({"session_id": "s"}, ValueError, "session_id"),
    ({"model": " "}, ValueError, "model"), ({"extra": {"x": object()}}, TypeError, "JSON"),
    ({"extra": {"x": float("nan")}}, ValueError, "JSON"),
])
def test_bad_overrides_are_refused_before_any_network(
        fake: FakeGemini, client: Client, method: str, overrides: Dict[str, Any], error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        getattr(client(fake), method)("Hi", **overrides)
    assert fake.requests == [] and fake.connections == 0


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "SPII", "IMAGE_SAFETY"])
def test_a_blocked_answer_raises_from_generate_and_from_a_stream(
        fake: FakeGemini, client: Client, reason: str) -> None:
    fake.reply("Once", finishReason=reason)
    fake.reply("Once", finishReason=reason)
    gemini = client(fake)
    for ask in (gemini.generate, lambda prompt: list(gemini.stream(prompt))):
        with pytest.raises(BlockedError) as caught:
            ask("Hi")
        assert caught.value.reason == reason and caught.value.response.text == "Once"


def test_a_deadline_can_be_given_to_every_call(client: Client) -> None:
    silence = threading.Event()

    def stall(request: Request) -> Raw:
        silence.wait(SOON)
        return Raw(b"{}")

    with FakeGemini(stall) as fake:
        gemini = client(fake)
        for call in (gemini.generate, gemini.stream, gemini.send_message, gemini.send_message_stream):
            start = time.monotonic()
            with pytest.raises(TransportTimeout):
                call("Hi", deadline=0.1)
            assert time.monotonic() - start < 1
        silence.set()


@pytest.mark.parametrize("method", ["count_tokens", "models"])
def test_the_deadline_of_the_client_holds_for_the_other_calls_too(
        fake: FakeGemini, client: Client, method: str) -> None:
    fake.answer("models" if method == "models" else "countTokens", Raw(b"{", b"}", delay=2))
    gemini = client(fake, deadline=0.2)
    start = time.monotonic()
    with pytest.raises(TransportTimeout):
        gemini.models() if method == "models" else gemini.count_tokens("Hi")
    assert time.monotonic() - start < 1


def test_no_tool_is_declared_and_nothing_is_sent_unasked(fake: FakeGemini, client: Client) -> None:
    fake.reply("a")
    client(fake).generate("Hi")
    assert fake.requests[0].body == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}


# Counting and listing

def test_tokens_are_counted_with_the_system_prompt_and_the_tools(fake: FakeGemini, client: Client) -> None:
    tools = [{"googleSearch": {}}]
    fake.answer("countTokens", {"totalTokens": 3}, {"totalTokens": 30})
    gemini = client(fake)
    assert gemini.count_tokens("Hi") == 3
    assert gemini.count_tokens(["Hi", "there"], system_prompt="Be brief.", tools=tools) == 30
    bare, whole = [request.body for request in fake.requests]
    assert bare == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert whole == {"generateContentRequest": {
        "model": "models/gemini-flash-latest",
        "contents": [{"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]}],
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]}, "tools": tools}}


@pytest.mark.parametrize("answer", [{}, {"totalTokens": "3"}, {"totalTokens": None}, {"totalTokens": True}])
def test_an_answer_without_a_count_is_a_parse_error(fake: FakeGemini, client: Client, answer: Dict[str, Any]) -> None:
    fake.answer("countTokens", answer)
    with pytest.raises(ParseError):
        client(fake).count_tokens("Hi")


def test_models_are_listed_as_the_api_describes_them(fake: FakeGemini, client: Client) -> None:
    models = client(fake).models()
    assert len(models) >= 4 and models[0]["name"] == "models/gemini-2.5-pro" and models[0]["inputTokenLimit"] == 1048576
    fake.answer("models", Error(404, "gone"))
    with pytest.raises(NotFoundError):
        client(fake).models()


def test_counting_and_listing_leave_history_and_script_alone(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    gemini.count_tokens("Hi"), gemini.models()
    assert gemini.history == []


# query, close, with

def test_query_asks_once_and_closes_again(
        at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    at_fake.models.append("m")
    at_fake.reply("4")
    at_fake.reply("5")
    assert str(query("What is 2+2?")) == "4"
    assert query("And 2+3?", "m", temperature=0, deadline=5).text == "5"
    assert [request.connection for request in at_fake.requests] == [1, 2]
    assert at_fake.requests[1].model == "m"
    assert at_fake.requests[1].body == {"contents": [{"role": "user", "parts": [{"text": "And 2+3?"}]}],
                                        "generationConfig": {"temperature": 0}}


def test_query_closes_after_an_error_too(at_fake: FakeGemini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    at_fake.error(404, "no such model")
    with pytest.raises(NotFoundError, match="no such model") as caught:
        query("Hi")
    assert caught.value.turns == [{"role": "user", "parts": [{"text": "Hi"}]}]
    with pytest.raises(TypeError, match="temprature"):
        query("Hi", temprature=1)


def test_a_client_may_be_closed_and_used_again_with_its_history(fake: FakeGemini, client: Client) -> None:
    with client(fake) as gemini:
        fake.reply("A")
        gemini.send_message("a")
    fake.reply("B")
    gemini.send_message("b")
    gemini.close()
    assert [request.connection for request in fake.requests] == [1, 2]
    assert [turn["parts"][0]["text"] for turn in gemini.history] == ["a", "A", "b", "B"]


def test_making_a_client_uses_no_network(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    gemini.chat()
    assert fake.connections == 0


def test_with_hides_no_exception(fake: FakeGemini, client: Client) -> None:
    with pytest.raises(ZeroDivisionError):
        with client(fake):
            1 / 0


# Secrets and pickles

SECRET = "AIzaSy-hunter2-Secret"


def leaks(*shown: str) -> List[str]:
    return [text for text in shown if SECRET in text]


def deep(value: Any, depth: int = 6, seen: Any = None) -> str:
    """repr, str and vars of `value` and of everything that its vars lead to."""
    seen = set() if seen is None else seen
    if depth == 0 or id(value) in seen:
        return ""
    seen.add(id(value))
    text = repr(value) + str(value) + pprint.pformat(value)
    inner = getattr(value, "__dict__", None)
    items = list(inner.values()) if isinstance(inner, dict) else []
    items += list(value.values()) if isinstance(value, dict) else []
    items += list(value) if isinstance(value, (list, tuple)) else []
    return text + repr(inner) + "".join(deep(item, depth - 1, seen) for item in items)


def test_the_key_is_shown_by_nothing(
        fake: FakeGemini, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fake.reply("a")
    fake.reply("b")
    fake.error(400, "bad")
    gemini = client(fake, key=SECRET)
    chat = gemini.chat()
    response = chat.send_message("Hi")
    stream = gemini.stream("Hi")
    shown = [deep(gemini), deep(chat), deep(response), deep(stream), deep(stream.response), deep(gemini._route)]
    with pytest.raises(GeminiError) as caught:
        gemini.generate("Hi")
    shown += [deep(caught.value), str(pickle.dumps(caught.value))]
    assert leaks(*shown, caplog.text) == []
    assert all(SECRET not in request.path and SECRET not in str(request.body) for request in fake.requests)
    assert [request.headers["x-goog-api-key"] for request in fake.requests] == [SECRET] * 3


def test_the_backend_and_its_auth_show_no_key() -> None:
    backend = DeveloperAPI(SECRET)
    assert leaks(deep(backend), deep(backend.auth), "%r %s" % (backend.auth.__dict__, backend.__dict__)) == []


@pytest.mark.parametrize("make, advice", [
    (lambda gemini: gemini, "process"), (lambda gemini: gemini.chat(), "history"),
    (lambda gemini: gemini.stream("Hi"), "response"),
], ids=["client", "chat", "stream"])
def test_what_is_alive_refuses_to_be_pickled_and_says_what_to_do(client: Client, make: Any, advice: str) -> None:
    with FakeGemini(lambda request: "a") as fake:
        alive = make(client(fake, key=SECRET))
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=advice) as caught:
                copied(alive)
            assert "pickle" in str(caught.value) and SECRET not in str(caught.value)
        with contextlib.suppress(AttributeError):
            alive.close()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_backend_with_its_key_is_never_pickled(protocol: int) -> None:
    backend = DeveloperAPI(SECRET)
    for thing in (backend, backend.auth):
        with pytest.raises(TypeError):
            pickle.dumps(thing, protocol)


def test_options_responses_histories_and_errors_are_pickled(fake: FakeGemini, client: Client) -> None:
    options = GeminiOptions(temperature=0, extra={"labels": {"b": "1"}})
    gemini = client(fake, options)
    fake.reply("a")
    fake.reply("b")
    fake.error(429, "slow down", headers={"Retry-After": "99"})
    response = gemini.send_message("Hi")
    chunk = next(gemini.stream("Hi"))
    with pytest.raises(GeminiError) as caught:
        gemini.send_message("Hi")
    error = pickle.loads(pickle.dumps(caught.value))
    assert pickle.loads(pickle.dumps(options)) == options
    assert pickle.loads(pickle.dumps(response)).data == response.data
    assert pickle.loads(pickle.dumps(chunk)).text_delta == "b"
    assert pickle.loads(pickle.dumps(gemini.history)) == gemini.history
    assert type(error) is type(caught.value) and str(error) == str(caught.value)
    assert vars(error) == vars(caught.value) and error.retry_after == 99


def test_options_are_not_shared_with_what_was_handed_in(fake: FakeGemini, client: Client) -> None:
    extra: Dict[str, Any] = {"generationConfig": {"topK": 1}}
    prompt = {"text": "Hi"}
    before = copy.deepcopy((extra, prompt))
    fake.reply("a")
    client(fake, GeminiOptions(temperature=0, extra=extra)).generate(prompt, top_p=0.5)
    assert (extra, prompt) == before
    assert fake.requests[0].body["generationConfig"] == {"temperature": 0, "topP": 0.5, "topK": 1}


def test_the_package_logs_through_its_own_logger_and_is_quiet_by_default() -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("gemini_lite").handlers)
    assert logging.getLogger("gemini_lite").level == logging.NOTSET and gemini_lite.__version__


@pytest.mark.parametrize("documented, names", [
    (GeminiClient, OptionFields), (GeminiClient.batch_to, OptionFields), (query, QueryOverrides),
    *((getattr(GeminiClient, name), ChatOverrides) for name in (
        "generate", "stream", "chat", "count_tokens", "send_message", "send_message_stream", "send_tool_result",
        "send_tool_results", "send_tool_result_stream", "send_tool_results_stream"))])
def test_help_lists_the_keywords_of_every_call_that_takes_some(documented: Any, names: Any) -> None:
    last = (inspect.getdoc(documented) or "").split("\n\n")[-1]
    words = ", ".join(f"``{name}``" for name in sorted(names.__annotations__))
    assert " ".join(last.split()) == f"Keywords: {words}."


def test_every_method_that_takes_overrides_is_in_that_list() -> None:
    taking = {name for name, method in inspect.getmembers(GeminiClient, inspect.isfunction) if not name.startswith("_")
              and any(one.kind is one.VAR_KEYWORD for one in inspect.signature(method).parameters.values())}
    assert {name for name in taking if "Keywords:" not in (getattr(GeminiClient, name).__doc__ or "")} == set()
