"""What holds for any input: the reader of events, the fold of a stream, histories, names, durations, errors.

An input is made by a function of `choose`, which picks one of a sequence: in the usual run hypothesis picks, and makes
a failure small; in the slow run a seeded random generator does, 100,000 times.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pickle
import random
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

import pytest

from gemini_lite import (
    Chat, DeveloperAPI, GeminiClient, GeminiError, GeminiOptions, GenerateContentResponse, ParseError, errors,
)
from gemini_lite.answers.check import check
from gemini_lite.json_data import copied
from gemini_lite.response import AnswerFormat
from gemini_lite.contents import answer_format
from gemini_lite.stream import chunks
from gemini_lite.stream.fold import Fold
from gemini_lite.testing import Answer, Error, FakeGemini, Raw, Reply, call
from gemini_lite.tools import Toolbox
from gemini_lite.transport import error_body, retry, sse
from gemini_lite.turns.calls import owed_calls

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies
hypothesis.configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir(), "hypothesis"))  # and not the checkout

Choose = Callable[[Sequence[Any]], Any]
JSON = Dict[str, Any]


def for_any(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with so many `choose`s, the same ones each time."""
    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        settings = hypothesis.settings(max_examples=examples, derandomize=True, database=None, deadline=None,
                                       suppress_health_check=list(hypothesis.HealthCheck))
        return settings(hypothesis.given(choose=choices())(test))  # type: ignore[no-any-return]
    return decorate


@st.composite  # type: ignore[misc]
def choices(draw: Any) -> Choose:
    return lambda options: draw(st.sampled_from(options))


def some(choose: Choose, make: Callable[[Choose], Any], most: int = 4) -> List[Any]:
    return [make(choose) for _ in range(choose(range(most + 1)))]


class Tally(Dict[str, int]):
    """How many random inputs the slow run read; a line of it stands in pytest's summary."""

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line("random inputs: " + ", ".join("%d %s" % (n, name) for name, n in self.items()))


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Tally:
    tally = Tally()
    request.config.pluginmanager.register(tally)
    return tally


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


@pytest.fixture(scope="module")
def client(fake: FakeGemini) -> Iterator[GeminiClient]:
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url), retries=0) as client:
        yield client


# The reader of events

ENDS = (b"\n", b"\r\n", b"\r")
VALUES = (b"a", b"", b" ", b"{}", b":", b"data: x", "\u2028ü😀\u0085".encode(), b"\x00\xff\x0b\x0c", b"\xef\xbb\xbf",
          b"x" * 50)
NOISE = (b": ping", b":", b"id: 1", b"id", b"event: x", b"retry: 5", b"unknown: y", b"dat", b"DATA: no", b" data: no",
         b"database: no")


def any_value(choose: Choose) -> bytes:
    return b"".join(some(choose, lambda choose: choose(VALUES), 2))


def any_stream(choose: Choose) -> Tuple[List[bytes], List[Tuple[bytes, bool]]]:
    """Events in any form that the standard allows, in blocks cut anywhere; and the data that must come out."""
    lines: List[bytes] = []
    expected = []
    for values in some(choose, lambda choose: some(choose, any_value, 3)):
        for value in values:
            lines += some(choose, lambda choose: choose(NOISE), 1)
            bare = not value and choose((False, True))
            space = b" " if value.startswith(b" ") or choose((True, False)) else b""
            lines.append(b"data" if bare else b"data:" + space + value)
        lines += some(choose, lambda choose: choose(NOISE), 1) + [b""] * choose((1, 1, 2))
        data = b"\n".join(values)
        expected += [(data, True)] if data else []
    if expected and expected[-1][0] == b"\n".join(values) and choose((False, True)):  # the last blank line is missing
        while lines[-1] == b"":
            lines.pop()
        expected[-1] = (expected[-1][0], False)
    stream = choose((b"", b"\xef\xbb\xbf"))
    for line in lines:
        end = choose(ENDS)
        stream += line + (b"\r" if not line and end == b"\n" and stream.endswith(b"\r") else end)
    if lines and lines[-1] and choose((False, True)):
        stream = stream.rstrip(b"\r\n")
    cuts = sorted(some(choose, lambda choose: choose(range(len(stream) + 1)), 6))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)])], expected


def check_stream(choose: Choose) -> None:
    blocks, expected = any_stream(choose)
    got = [(bytes(data), not isinstance(data, sse.Unterminated)) for data in sse.events(iter(blocks))]
    assert got == expected, blocks


@for_any(300)
def test_events_come_out_the_same_however_they_are_written_and_cut(choose: Choose) -> None:
    check_stream(choose)


@pytest.mark.slow
def test_100000_streams_come_out_the_same(tally: Tally) -> None:
    for number in range(100_000):
        check_stream(random.Random(number).choice)
    tally["streams of events"] = 100_000


# Errors

KEYS = ("error", "code", "message", "status", "details", "@type", "reason", "domain", "metadata", "violations",
        "quotaId", "quota_limit", "quotaResetDelay", "retryDelay", "seconds", "nanos", "links", "url",
        "error_description")
LEAVES = (None, True, False, 0, 1, -1, 429, 503, 10 ** 40, 1.5, math.inf, math.nan, "", "x", "5s", "0s",
          "9" * 400 + "s",
          "PerDay", "PerMinute", "limit: 0", "Please retry in 5s", "reset after 9999999h", "RATE_LIMIT_EXCEEDED",
          "cloudcode-pa.googleapis.com", "a.ErrorInfo", "a.RetryInfo", "a.QuotaFailure", "a.Help",
          '{"error": {"message": "inner"}}', '{"error": ', "[" * 3000, "\ud800", "\u2028", "<html><title>x")
HEADERS = ({}, {"Retry-After": "5"}, {"Retry-After": "nan"}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"},
           {"Retry-After": "Wed, 99 Oct 99999 07:28:00"}, {"Retry-After": "1e400"}, {"x-request-id": "\u2028"})


def any_json(choose: Choose, keys: Sequence[str] = KEYS, leaves: Sequence[Any] = LEAVES, depth: int = 5) -> Any:
    kind = choose("leaf leaf list dict dict dict".split())
    if not depth or kind == "leaf":
        return choose(leaves)
    if kind == "list":
        return some(choose, lambda choose: any_json(choose, keys, leaves, depth - 1), 3)
    return {key: any_json(choose, keys, leaves, depth - 1) for key in some(choose, lambda choose: choose(keys), 5)}


def any_error_body(choose: Choose) -> bytes:
    value = any_json(choose)
    body = json.dumps({"error": value} if choose((True, True, False)) else value).encode()
    for _ in range(choose((0, 0, 0, 1, 5)) if body else 0):  # and then any bytes
        place = choose(range(len(body)))
        body = body[:place] + bytes([choose(range(256))]) + body[place + choose((0, 1, 9)):]
    return body


def check_error(choose: Choose) -> None:
    body, headers = any_error_body(choose), choose(HEADERS)
    error = error_body.error_from_response(choose((302, 400, 401, 403, 404, 429, 499, 500, 503, 599)), headers, body)
    assert isinstance(error, errors.APIError) and str(error).strip() and type(error.code) is int
    assert all(isinstance(detail, dict) for detail in error.details)
    assert all(value is None or isinstance(value, str) for value in (error.status, error.reason, error.request_id))
    assert error.retry_after is None or 0 < error.retry_after
    seconds = retry.wait(error, choose((0, 3)), 60)
    assert seconds is None or error.retryable and 0 <= seconds <= 66
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), str(error))
    try:
        inside = error_body.error_from_event(json.loads(body), headers)
    except (ValueError, RecursionError):
        return
    assert inside is None or isinstance(inside, errors.APIError)


@for_any(300)
def test_reading_an_error_raises_nothing(choose: Choose) -> None:
    check_error(choose)


@pytest.mark.slow
def test_reading_100000_errors_raises_nothing(tally: Tally) -> None:
    for number in range(100_000):
        check_error(random.Random(number).choice)
    tally["bodies of errors"] = 100_000


UNITS = (("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("d", 86400.0))


@for_any(100)
def test_a_duration_is_the_sum_of_its_steps(choose: Choose) -> None:
    text, seconds = "", 0.0
    for unit, size in some(choose, lambda choose: choose(UNITS), 5):
        number = "%d%s" % (choose((0, 1, 59, 10 ** 6)), choose(("", ".5", ".000000001", ".25")))
        text += number + unit
        seconds += float(number) * size
    assert error_body.parse_duration(text) == (pytest.approx(seconds) if text else None)
    assert error_body.parse_duration(text + choose(("x", "-1s", "5", "S", " 1", "½s"))) is None


# Answers

RESPONSE_KEYS = ("candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name",
                 "args", "id", "index", "finishReason", "promptFeedback", "blockReason", "usageMetadata",
                 "totalTokenCount", "inlineData", "mimeType", "data", "executableCode", "groundingMetadata",
                 "groundingChunks", "groundingSupports", "groundingChunkIndices", "segment", "web", "citationMetadata",
                 "citationSources", "modelVersion")
RESPONSE_LEAVES = (None, True, 0, 1, -1, 1.5, "", "x", "STOP", "SAFETY", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY",
                   "####", "eA==")
READ = [name for name, value in vars(GenerateContentResponse).items()
        if isinstance(value, property) and name != "parsed"]


def check_answer(choose: Choose) -> None:
    """Events of any JSON objects: nothing raises but a `GeminiError` at the end, and the events stay as they were."""
    events = [event for event in some(choose, lambda choose: any_json(choose, RESPONSE_KEYS, RESPONSE_LEAVES), 5)
              if isinstance(event, dict)]
    before = json.dumps(events)
    fold = Fold()
    try:
        for chunk in chunks((event for event in events), fold):
            for name in READ + ["text_delta", "thinking_delta", "response"]:
                getattr(chunk, name)
    except GeminiError:
        pass
    response = fold.response()
    assert READ and all(getattr(response, name) is not ... for name in READ)
    assert isinstance(str(response), str) and json.dumps(events) == before


@for_any(100)
def test_no_shape_of_an_answer_raises_anything_of_its_own(choose: Choose) -> None:
    check_answer(choose)


@pytest.mark.slow
def test_20000_shapes_of_answers_raise_nothing_of_their_own(tally: Tally) -> None:
    for number in range(20_000):
        check_answer(random.Random(number).choice)
    tally["shapes of answers"] = 20_000


# Odd answers in a conversation with tools

@dataclasses.dataclass
class Node:
    """A type that holds itself."""

    name: str = ""
    kids: List["Node"] = dataclasses.field(default_factory=list)


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = [value]
    return value


ODD = (None, True, 0, -1, 1.5, 0.0, 10 ** 400, math.nan, math.inf, -math.inf, "", "x", "\ud83d", "\U0001f600", "0",
       [], {}, [None], [5], [[]], {"a": 5}, ["weather"], {"name": "weather"}, nested(700), {"x": nested(130)},
       "STOP", "MAX_TOKENS", "SAFETY", ["STOP"], "audio/pcm;rate=99999999999", "audio/l16;rate=0;channels=70000",
       "####",
       "[" * 3000, '{"kids":[' * 200 + "{}" + "]}" * 200, '{"name": "x"}', "1e999", "9" * 5000, "$.a[5]", "$.a",
       {"functionCall": {"name": "weather", "args": {}}}, {"functionCall": {}}, {"functionCall": {"args": {}}},
       {"functionResponse": {"response": {}}}, {"functionCall": {}, "x": 1}, {"text": "\ude00"}, {"text": 5},
       {"willContinue": True}, [{"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}])
ODD_BASE: JSON = {
    "candidates": [{
        "index": 0, "finishReason": "STOP", "finishMessage": "m", "avgLogprobs": -0.5,
        "safetyRatings": [{"category": "X"}],
        "content": {"role": "model", "parts": [
            {"text": "hm", "thought": True, "thoughtSignature": "c2ln"}, {"text": '{"name": "x"}'},
            {"functionCall": {"name": "weather", "args": {"city": "x"}, "id": "1"}},
            {"functionCall": {"name": "weather", "partialArgs": [{"jsonPath": "$.city", "stringValue": "y"}]}},
            {"functionResponse": {"name": "f", "response": {"a": 1}}},
            {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "AAAA"}},
            {"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}]},
        "groundingMetadata": {"webSearchQueries": ["q"], "groundingChunks": [
            {"web": {"title": "t", "uri": "u"}}, {"retrievedContext": {"text": "t", "customMetadata": [{"key": "k"}]}}],
            "groundingSupports": [{"segment": {"text": "a"}, "groundingChunkIndices": [0, 1]}]},
        "citationMetadata": {"citationSources": [{"startIndex": 0, "uri": "u"}]},
        "urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "u"}]},
        "logprobsResult": {"topCandidates": [{"candidates": []}]}}],
    "promptFeedback": {"safetyRatings": [{"category": "X"}]}, "modelVersion": "m", "responseId": "r", "createTime": "t",
    "usageMetadata": {"totalTokenCount": 3, "promptTokensDetails": [{"modality": "TEXT"}], "serviceTier": "standard"}}


def places(value: Any, path: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, ...]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(item, (*path, key))


PLACES = tuple(places(ODD_BASE))


def odd_answer(choose: Choose) -> JSON:
    """An answer with something odd in one place or a few, or without what is there."""
    data: JSON = json.loads(json.dumps(ODD_BASE))
    for _ in range(choose((1, 1, 2, 4))):
        *path, last = choose(PLACES)
        holder: Any = data
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier change took the place away
            for key in path:
                holder = holder[key]
            if choose((True, False, False)):
                del holder[last]
            else:
                holder[last] = copied(choose(ODD))
    if choose((False, True)):
        with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
            parts = data["candidates"][0]["content"]["parts"]
            parts.insert(choose((0, 2)), copied(choose(ODD)))
    return data


class OneAnswer:
    """A route that gives odd answers first and then good ones; what it is sent must be JSON."""

    def __init__(self, answers: Sequence[JSON], streamed: bool) -> None:
        self.answers, self.streamed = list(answers), streamed

    def generate(self, turns: List[JSON], options: GeminiOptions, *_: Any) -> GenerateContentResponse[Any]:
        response = GenerateContentResponse[Any](self.next_answer(turns), answer_format(options))
        check(response)
        return response

    def stream(self, turns: List[JSON], *_: Any) -> Iterator[JSON]:
        answer = self.next_answer(turns)
        return (event for event in [answer])

    def next_answer(self, turns: List[JSON]) -> JSON:
        json.dumps(turns, allow_nan=False, ensure_ascii=False).encode()
        return self.answers.pop(0) if self.answers else {
            "candidates": [{"content": {"parts": [{"text": "fine"}]}, "finishReason": "STOP"}]}


def weather(city: str) -> str:
    """The weather."""
    return "sunny"


def odd_views(response: GenerateContentResponse[Any]) -> None:
    for name in READ:
        getattr(response, name)
    for candidate in response.candidates:
        candidate.finish_message, candidate.finishReason
        assert len(list(candidate.items())) == len(candidate)
    for file in response.files:
        file._repr_mimebundle_()
    with contextlib.suppress(ParseError):
        response.parsed


def check_odd_conversation(choose: Choose) -> None:
    """Nothing but a `GeminiError` is raised, the history stays JSON that can be sent, and the next send works."""
    answers = [odd_answer(choose) for _ in range(choose((1, 1, 2)))]
    for data in answers:
        odd_views(GenerateContentResponse(data, AnswerFormat(choose((None, Node, List[Node], Dict[str, int])))))
    streamed = choose((False, True))
    route: Any = OneAnswer(answers, streamed)
    chat = Chat(route, GeminiOptions(tools=choose(([weather], [{"name": "weather"}], None))))

    def send(method: str, *args: Any) -> Any:
        return getattr(chat, method + "_stream")(*args).response if streamed else getattr(chat, method)(*args)

    with contextlib.suppress(GeminiError):
        send("send_message", "a")
    route.answers.clear()
    saved = json.loads(json.dumps(chat.history, allow_nan=False))
    assert saved == chat.history == Chat(route, GeminiOptions(), saved).history
    owed = owed_calls(chat.history)
    if owed:
        answer = send("send_tool_results", [(call["name"], {}, call.get("id")) for call in owed])
    else:
        answer = send("send_message", "b")
    assert answer.text == "fine" and len(chat.history) == len(saved) + 2


@for_any(400)
def test_no_odd_answer_leaves_a_conversation_that_cannot_go_on(choose: Choose) -> None:
    check_odd_conversation(choose)


def test_2000_odd_answers_raise_only_our_errors_and_the_conversation_goes_on() -> None:
    for number in range(2_000):
        check_odd_conversation(random.Random(number).choice)


@pytest.mark.slow
def test_100000_odd_answers_raise_only_our_errors_and_the_conversation_goes_on(tally: Tally) -> None:
    for number in range(100_000):
        check_odd_conversation(random.Random(number).choice)
    tally["odd answers"] = 100_000


PARTS = ("Hel", "lo ", "ü😀\u2028", {"text": "hm", "thought": True}, {"text": "so", "thought": True},
         {"text": "signed", "thoughtSignature": "c2ln"}, {"text": "", "thoughtSignature": "ZW5k"},
         call("add", {"a": 1}), call("add", {"a": 2}, id="7", signature="c2ln"),
         {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}, {"executableCode": {"code": "1"}})
FIELDS: Sequence[JSON] = (
    {}, {"finishReason": "MAX_TOKENS"}, {"usageMetadata": {"totalTokenCount": 9, "thoughtsTokenCount": 3}},
    {"safetyRatings": [{"category": "X", "probability": "LOW"}]}, {"avgLogprobs": -0.5},
    {"groundingMetadata": {"groundingChunks": [{"web": {"uri": "u", "title": "t"}}]}},
    {"citationMetadata": {"citationSources": [{"uri": "u"}]}})


@for_any(100)
def test_a_stream_folds_into_the_unary_answer(fake: FakeGemini, client: GeminiClient, choose: Choose) -> None:
    items = some(choose, lambda choose: some(choose, lambda choose: choose(PARTS), 3) or [choose(PARTS)], 6)
    items.append("end")  # or MAX_TOKENS with nothing visible would be an error
    fields = {"responseId": "same", **choose(FIELDS)}
    fake.reply(*items, **fields)
    fake.reply(*items, **fields)
    unary, stream = client.generate("Hi"), client.stream("Hi")
    deltas = [(chunk.text_delta, chunk.thinking_delta) for chunk in stream]
    assert stream.response.data == unary.data
    assert ("".join(text for text, _ in deltas), "".join(text for _, text in deltas)) == (unary.text, unary.thinking)


# Names

@for_any(60)
def test_any_tool_name_travels_lawfully_and_comes_back(
        fake: FakeGemini, client: GeminiClient, choose: Choose) -> None:
    letters = ("a", "Z", "0", "_", "-", ".", ":", " ", "ü", "\u2028", "😀", "gtc__", "x" * 70)
    names = sorted({"".join(some(choose, lambda choose: choose(letters), 4)) or "a" for _ in range(choose((1, 2, 5)))})
    box = Toolbox([{"name": name} for name in names])
    wires = [declaration["name"] for declaration in box.to_api()[0]["functionDeclarations"]]
    assert len(set(wires)) == len(names) and [box.user_name(wire) for wire in wires] == names
    assert all(len(wire) <= 64 and wire.isascii() and (wire[0].isalpha() or wire[0] == "_") for wire in wires)
    assert [wire for name, wire in zip(names, wires) if name == wire or name in wires] \
        == [name for name in names if name in wires], "a lawful name is nobody else's"
    asked = choose(range(len(names)))
    fake.reply(call(wires[asked], {}))
    chat = client.chat(tools=[{"name": name} for name in names])
    answer = chat.send_message("Hi")
    assert [found.name for found in answer.function_calls] == [names[asked]]
    fake.reply("done")
    assert chat.send_tool_result(names[asked], 1).text == "done"
    sent = fake.requests[-1].body["contents"]
    assert sent[1]["parts"][0]["functionCall"]["name"] == wires[asked]
    assert sent[2]["parts"][0]["functionResponse"]["name"] == wires[asked]


# Histories

FAILURES: Sequence[Callable[[], Answer]] = (
    lambda: Error(400, "no"), lambda: Error(503, "busy"), lambda: Raw(b"data: {", cut=True), lambda: Raw(b"<html>"),
    lambda: Reply("half", finishReason="SAFETY"), lambda: Reply(finishReason="MALFORMED_FUNCTION_CALL"),
    lambda: Reply(promptFeedback={"blockReason": "OTHER"}), lambda: Raw(b"", status=None))
THREE = ("one ", {"text": "hm", "thought": True}, "three")


class Talk:
    """A conversation and what its history must be; each method is one thing that may happen to it."""

    def __init__(self, fake: FakeGemini, chat: Chat) -> None:
        self.fake, self.chat = fake, chat
        self.history: List[JSON] = []

    @property
    def owed(self) -> List[JSON]:
        parts = self.history[-1]["parts"] if self.history else []
        return [part["functionCall"] for part in parts if "functionCall" in part]

    def send(self, choose: Choose, answer: Answer) -> Tuple[Any, List[JSON]]:
        """What the method returned, and the turns that it sent; a stream is not read yet."""
        streamed = choose(("", "_stream"))
        if self.owed:
            results = [(owed["name"], {"n": choose(range(9))}, owed.get("id")) for owed in self.owed]
            parts = [{"functionResponse": {**({"id": id} if id else {}), "name": name, "response": response}}
                     for name, response, id in results]
            how = getattr(self.chat, "send_tool_results" + streamed)
            given: Any = results[::-1] if all(id for _, _, id in results) else results
        else:
            given = choose(("Hi", ["Hi", "there"], {"text": "Hi"}))
            parts = [{"text": "Hi"}, {"text": "there"}] if isinstance(given, list) else [{"text": "Hi"}]
            how = getattr(self.chat, "send_message" + streamed)
        turn = {"role": "user", "parts": parts}
        self.fake._add("generate", answer)
        try:
            return how(given), [*self.history, turn]
        finally:
            assert self.fake.requests[-1].body["contents"] == [*self.history, turn]

    def succeed(self, choose: Choose) -> None:
        two = [call("add", {"a": 1}, id="1"), call("add", {"a": 2}, id="2", signature="c2ln")]
        said: List[Any] = choose((["Hello"], ["Hel", "lo"], [*THREE], [call("add", {"a": 1})], ["So: ", two]))
        answer, turns = self.send(choose, Reply(*said))
        unread = getattr(answer, "response", answer)  # which reads a stream
        kept = [part for part in unread.parts if not part.get("thought")]
        self.history = [*turns, {"role": "model", "parts": kept}]

    def say_nothing(self, choose: Choose) -> None:
        answer, _ = self.send(choose, Reply(*choose(([], [{"text": "hm", "thought": True}]))))
        assert getattr(answer, "response", answer).finish_reason == "STOP"

    def fail(self, choose: Choose) -> None:
        with pytest.raises(GeminiError) as caught:
            answer, _ = self.send(choose, choose(FAILURES)())
            answer.response
        assert caught.value.turns == [self.fake.requests[-1].body["contents"][-1]]

    def close(self, choose: Choose) -> None:
        """A stream is closed, or left open, after some of its chunks."""
        answer, turns = self.send(choose, Reply(*THREE))
        if isinstance(answer, GenerateContentResponse):
            read = 3
        else:
            read = choose(range(4))
            for _ in range(read):
                next(answer)
            choose((answer.close, lambda: None))()
        if read == 3:  # nothing was missing but the end
            self.history = [*turns, {"role": "model", "parts": [{"text": "one "}, {"text": "three"}]}]
        self.settle()

    def settle(self) -> None:
        """The next send closes a stream that was left open; a wrong one does, too."""
        before = len(self.fake.requests)
        with pytest.raises(ValueError):
            self.chat.send_message({"functionResponse": {"name": "nobody", "response": {}}})
        assert len(self.fake.requests) == before

    def misuse(self, choose: Choose) -> None:
        before = len(self.fake.requests)
        with pytest.raises((ValueError, TypeError)):
            choose((lambda: self.chat.send_message(""), lambda: self.chat.send_message(object()),
                    lambda: self.chat.send_tool_result("nobody", 1), lambda: self.chat.send_message("Hi", model=5)))()
        if self.owed:
            with pytest.raises(ValueError, match="owed"):
                self.chat.send_message("Hi")
        assert len(self.fake.requests) == before

    def clear(self, choose: Choose) -> None:
        self.chat.clear_history()
        self.history = []

    def check(self) -> None:
        assert self.chat.history == self.history
        assert [turn["role"] for turn in self.history] == ["user", "model"] * (len(self.history) // 2)


@for_any(120)
def test_a_history_is_what_was_said_whatever_happened_between(
        fake: FakeGemini, client: GeminiClient, choose: Choose) -> None:
    talk = Talk(fake, client.chat())
    steps = (talk.succeed, talk.succeed, talk.say_nothing, talk.fail, talk.close, talk.misuse, talk.clear)
    for _ in range(choose(range(1, 9))):
        choose(steps)(choose)
        talk.check()
    saved = json.loads(json.dumps(talk.chat.history))
    again = Talk(fake, client.chat(saved))
    again.history = saved
    again.succeed(choose)
    again.check()
