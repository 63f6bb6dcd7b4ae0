"""The official openai package: its types take our answers, and code for it runs when only the client is exchanged."""
from __future__ import annotations

import base64
import json
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

import pytest
from openai_server import serve

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.openai_compat import OpenAIChat
from gemini_lite.testing import FakeGemini, call

openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402  (after the skip)

MODEL = "gemini-3-pro-preview"
HI: List[Any] = [{"role": "user", "content": "Hi"}]
USAGE = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
         "totalTokenCount": 22}
OUR_FIELDS = {"extra_content", "reasoning_content"}


class Weather(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    """The weather somewhere."""

    place: str
    days: Optional[int] = None


class Node(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    name: str
    children: List["Node"]
    next: Optional["Node"]


class Thing(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    tree: Node
    weather: Weather = pydantic.Field(description="the weather there")
    pair: Tuple[int, str]
    either: Union[int, Weather]
    count: int = pydantic.Field(gt=0, le=10, multiple_of=2)
    by_name: Dict[str, float]


NODE = Node.model_json_schema()["$defs"]["Node"]["properties"]
TOOL = openai.pydantic_function_tool(Weather, name="weather")


@pytest.fixture
def adapter(fake: FakeGemini) -> Iterator[OpenAIChat]:
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url), retries=0) as client:
        yield OpenAIChat(client)


@pytest.fixture
def openai_client(adapter: OpenAIChat) -> Iterator[Any]:
    with serve(adapter) as url, openai.OpenAI(api_key="test", base_url=url, max_retries=0) as client:
        yield client


@pytest.fixture(params=["adapter", "openai_client"])
def client(request: pytest.FixtureRequest) -> Any:
    """Our adapter, or the openai package's client with the same adapter behind HTTP."""
    return request.getfixturevalue(request.param)


# Applications, as they are written for the openai package

def ask_hi(client: Any, **parameters: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=HI, **parameters)


def test_a_plain_answer(client: Any, fake: FakeGemini) -> None:
    fake.reply("Hel", "lo", usageMetadata=USAGE)
    found = ask_hi(client, temperature=0.5, max_tokens=9, stop=["x"], n=1, seed=1)
    assert found.choices[0].message.content == "Hello" and found.choices[0].finish_reason == "stop"
    assert found.choices[0].message.tool_calls is None and found.model == MODEL
    assert fake.requests[-1].body["generationConfig"] == {
        "temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["x"], "candidateCount": 1, "seed": 1}


def test_usage(client: Any, fake: FakeGemini) -> None:
    fake.reply("Hello", usageMetadata=USAGE)
    usage = ask_hi(client).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 12, 22)
    assert usage.prompt_tokens_details.cached_tokens == 4 and usage.completion_tokens_details.reasoning_tokens == 7


def test_a_streamed_answer(client: Any, fake: FakeGemini) -> None:
    fake.reply("Hel", "lo", usageMetadata=USAGE)
    text, usage = "", None
    for chunk in ask_hi(client, stream=True, stream_options={"include_usage": True}):
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
        usage = chunk.usage or usage
    assert text == "Hello" and usage.total_tokens == 22


def test_a_picture(client: Any, fake: FakeGemini) -> None:
    data = base64.b64encode(b"\x89PNG").decode()
    fake.reply("A cat.")
    client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}}]}])
    assert fake.requests[-1].body["contents"][0]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": data}}


def test_an_answer_that_follows_a_schema(client: Any, fake: FakeGemini) -> None:
    fake.reply('{"place": "Rome", "days": 3}')
    schema = {"name": "weather", "strict": True, "schema": TOOL["function"]["parameters"]}
    found = ask_hi(client, response_format={"type": "json_schema", "json_schema": schema})
    assert Weather.model_validate_json(found.choices[0].message.content).place == "Rome"
    assert fake.requests[-1].body["generationConfig"]["responseJsonSchema"] == TOOL["function"]["parameters"]


def ask_unary(client: Any, messages: List[Any]) -> Any:
    found = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL], tool_choice="auto")
    return found.choices[0].message


def ask_streamed(client: Any, messages: List[Any]) -> Dict[str, Any]:
    """The message, put together by hand as many applications do."""
    message: Dict[str, Any] = {"role": "assistant", "content": ""}
    calls: Dict[int, Dict[str, Any]] = {}
    for chunk in client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL], stream=True):
        delta = chunk.choices[0].delta
        message["content"] += delta.content or ""
        message["extra_content"] = getattr(delta, "extra_content", None) or message.get("extra_content")
        for one in delta.tool_calls or []:
            known = calls.setdefault(one.index, {"id": "", "type": "function", "function": {
                "name": "", "arguments": ""}, "extra_content": getattr(one, "extra_content", None)})
            known["id"] += one.id or ""
            known["function"]["name"] += one.function.name or ""
            known["function"]["arguments"] += one.function.arguments or ""
    return {**message, "tool_calls": list(calls.values())} if calls else message


def converse(client: Any, ask: Any) -> List[Any]:
    """Three answers, of which the first two call tools, in parallel at first; then one more question."""
    messages: List[Any] = [{"role": "system", "content": "Be brief."}, *HI]
    for _ in range(3):
        message = ask(client, messages)
        messages.append(message)
        calls = message.get("tool_calls") if isinstance(message, dict) else message.tool_calls
        for one in calls or []:
            function = one["function"] if isinstance(one, dict) else one.function
            arguments = json.loads(function["arguments"] if isinstance(function, dict) else function.arguments)
            messages.append({"role": "tool", "tool_call_id": one["id"] if isinstance(one, dict) else one.id,
                             "content": "sun in " + arguments["place"]})
    ask(client, [*messages, *HI])
    return messages


@pytest.mark.parametrize("ask", [ask_unary, ask_streamed])
def test_parallel_tools_over_two_replayed_turns(client: Any, fake: FakeGemini, ask: Any) -> None:
    turns = [
        [{"text": "Let me see.", "thoughtSignature": "A"}, call("weather", {"place": "Rome"}, "1", "B"),
         call("weather", {"place": "Oslo"}, "2")],
        [call("weather", {"place": "Bern"}, "3", "C")],
        [{"text": "Sun."}, {"text": "", "thoughtSignature": "D"}],
    ]
    for turn in [*turns, [{"text": "Bye"}]]:
        fake.reply(*turn)
    converse(client, ask)
    contents = fake.requests[-1].body["contents"]
    assert [turn["parts"] for turn in contents if turn["role"] == "model"] == turns
    assert [[part["functionResponse"]["response"]["result"] for part in contents[place]["parts"]]
            for place in (2, 4)] == [["sun in Rome", "sun in Oslo"], ["sun in Bern"]]


# Its types

def unknown_fields(value: Any) -> Iterator[str]:
    """The names in a model, and below it, that its types do not know."""
    if isinstance(value, pydantic.BaseModel):
        yield from value.model_extra or ()
        value = [getattr(value, name) for name in type(value).model_fields]
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from unknown_fields(one)


EVERYTHING = [
    [{"text": "hm", "thought": True}, {"text": "a"}],
    [call("weather", {"place": "Rome"}, "1", "S"), call("weather", {}, "2")],
    [{"text": "b", "thoughtSignature": "T"}],
]
LOGPROBS = {"chosenCandidates": [{"token": "a"}],
            "topCandidates": [{"candidates": [{"token": "é", "logProbability": -1}]}]}
ANSWERS: Dict[str, Tuple[Any, Dict[str, Any]]] = {
    "text": (["a"], {}), "everything": (EVERYTHING, {"usageMetadata": USAGE}),
    "cut": (["a"], {"finishReason": "MAX_TOKENS"}),
    "blocked": ([], {"finishReason": "SAFETY"}), "blocked prompt": ([], {"promptFeedback": {"blockReason": "OTHER"}}),
    "nothing": ([], {}), "logprobs": (["a"], {"logprobsResult": LOGPROBS}),
    "no usage": (["a"], {"usageMetadata": None}),
    "little usage": (["a"], {"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}),
    "picture": ([{"inlineData": {"mimeType": "image/png", "data": ""}}], {}),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_answer_is_a_chat_completion(adapter: OpenAIChat, fake: FakeGemini, name: str) -> None:
    items, fields = ANSWERS[name]
    fake.reply(*items, **fields)
    answer = ask_hi(adapter, tools=[TOOL])
    assert set(unknown_fields(ChatCompletion.model_validate(answer, strict=True))) <= OUR_FIELDS
    assert set(unknown_fields(ChatCompletion.model_validate_json(json.dumps(answer), strict=True))) <= OUR_FIELDS


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_every_chunk_is_a_chat_completion_chunk(adapter: OpenAIChat, fake: FakeGemini, name: str) -> None:
    items, fields = ANSWERS[name]
    fake.reply(*items, **fields)
    chunks = list(ask_hi(adapter, tools=[TOOL], stream=True, stream_options={"include_usage": True}))
    assert chunks
    for chunk in chunks:
        assert set(unknown_fields(ChatCompletionChunk.model_validate(chunk, strict=True))) <= OUR_FIELDS
        parsed = ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
        assert set(unknown_fields(parsed)) <= OUR_FIELDS


def test_what_an_attribute_reads_is_what_its_objects_have(adapter: OpenAIChat, fake: FakeGemini) -> None:
    """Every field of their objects that is None where it was not sent is None with ours too."""
    for items in (["a"], EVERYTHING):
        fake.reply(*items)
        answer = ask_hi(adapter, tools=[TOOL])
        assert_same(answer, ChatCompletion.model_validate(answer))
        fake.reply(*items)
        for chunk in ask_hi(adapter, tools=[TOOL], stream=True):
            assert_same(chunk, ChatCompletionChunk.model_validate(chunk))


def assert_same(answer: Any, model: Any) -> None:
    if isinstance(model, pydantic.BaseModel):
        for name in type(model).model_fields:
            assert_same(getattr(answer, name), getattr(model, name))
    elif isinstance(model, list):
        for one, other in zip(answer, model):
            assert_same(one, other)
    else:
        assert answer == model


def test_its_own_accumulation_keeps_calls_apart_and_signatures(openai_client: Any, fake: FakeGemini) -> None:
    fake.reply([{"text": "a"}], [call("weather", {"place": "Rome", "days": 1}, "1", "S")],
               [call("weather", {"place": "Oslo", "days": 2}, "2")], [{"text": "", "thoughtSignature": "T"}])
    with openai_client.chat.completions.stream(model=MODEL, messages=HI, tools=[TOOL]) as stream:
        message = stream.get_final_completion().choices[0].message
    assert [one.function.parsed_arguments for one in message.tool_calls] == [
        Weather(place="Rome", days=1), Weather(place="Oslo", days=2)]
    assert message.tool_calls[0].extra_content == {"google": {"thought_signature": "S"}}
    fake.reply("b")
    openai_client.chat.completions.create(model=MODEL, tools=[TOOL], messages=[
        *HI, message, *({"role": "tool", "tool_call_id": one.id, "content": "x"} for one in message.tool_calls)])
    assert [part.get("thoughtSignature") for part in fake.requests[-1].body["contents"][1]["parts"]] == [
        None, "S", None, "T"]


@pytest.mark.parametrize("code, name, retryable", [
    (400, "BadRequestError", False), (401, "AuthenticationError", False), (403, "PermissionDeniedError", False),
    (404, "NotFoundError", False), (429, "RateLimitError", True), (500, "InternalServerError", True)])
def test_its_client_raises_its_own_error_class_for_each_status(
        openai_client: Any, fake: FakeGemini, code: int, name: str, retryable: bool) -> None:
    fake.error(code, "because")
    with pytest.raises(getattr(openai, name), match="because") as caught:
        ask_hi(openai_client)
    assert caught.value.body["retryable"] is retryable and caught.value.type


# Its schemas, and pydantic's

def refused_forms(schema: Any, root: Any) -> Iterator[str]:
    """What Gemini is known to refuse in a schema."""
    if isinstance(schema, list):
        for one in schema:
            yield from refused_forms(one, root)
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if set(schema) != {"$ref"}:
                yield f"{reference} has keywords beside it: {sorted(schema)}"
            if reference[:8] != "#/$defs/" or reference[8:] not in root["$defs"]:
                yield f"{reference} refers to nothing"
        if isinstance(schema.get("items"), list) or "definitions" in schema:
            yield f"of an older form: {schema}"
        for one in schema.values():
            yield from refused_forms(one, root)


@pytest.mark.parametrize("schema", [
    Thing.model_json_schema(), Thing.model_json_schema(mode="serialization"), Node.model_json_schema(),
    openai.pydantic_function_tool(Thing)["function"]["parameters"],
    openai.pydantic_function_tool(Node)["function"]["parameters"],
], ids=["pydantic", "pydantic out", "recursive", "strict", "strict recursive"])
def test_every_schema_goes_out_in_a_form_that_gemini_takes(adapter: OpenAIChat, fake: FakeGemini, schema: Any) -> None:
    fake.reply("{}")
    ask_hi(adapter, tools=[{"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}],
           response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    body = fake.requests[-1].body
    for sent in (body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"],
                 body["generationConfig"]["responseJsonSchema"]):
        assert not list(refused_forms(sent, sent))
        assert sent["type"] == "object"
        assert sent["properties"].keys() == schema.get("properties", NODE).keys()
        node = sent["$defs"]["Node"]
        assert node["required"] == ["name"] and node["properties"].keys() == NODE.keys()
