"""Calls that come in pieces are put together to the calls that were meant, or are no calls at all."""
from __future__ import annotations

import functools
import json
import sys
from typing import Any, Dict, List, Optional, Sequence

import pytest

from gemini_lite import GenerateContentResponse, IncompleteError, StreamChunk
from gemini_lite.answers.check import check
from gemini_lite.answers.streamed_calls import MAX_DEPTH, CallPieces, assembled
from gemini_lite.stream import chunks
from gemini_lite.stream.fold import Fold
from gemini_lite.testing import FakeGemini

JSON = Dict[str, Any]


def piece(path: str, value: Any, more: bool = False) -> JSON:
    kind = ("nullValue" if value is None else "boolValue" if isinstance(value, bool)
            else "stringValue" if isinstance(value, str) else "numberValue")
    return {"jsonPath": path, kind: value, **({"willContinue": True} if more else {})}


def part(*pieces: JSON, name: Optional[str] = None, more: bool = True, **fields: Any) -> JSON:
    call: JSON = {"name": name} if name else {}
    if pieces:
        call["partialArgs"] = list(pieces)
    return {"functionCall": {**call, **({"willContinue": True} if more else {})}, **fields}


def whole(name: str, args: JSON, **fields: Any) -> JSON:
    return {"functionCall": {"name": name, "args": args}, **fields}


def event(*parts: JSON, reason: Optional[str] = None) -> JSON:
    candidate: JSON = {"content": {"role": "model", "parts": list(parts)}}
    return {"candidates": [{**candidate, **({"finishReason": reason} if reason else {})}]}


END = part(more=False)
WEATHER = [
    part(name="get_weather", thoughtSignature="c2ln"),
    part(piece("$.city", "Par", more=True)), part(piece("$.city", "is", more=True)), part(piece("$.city", "")),
    part(piece("$.days", 2), piece("$.metric", True), piece("$.note", None)), END,
]
ARGS = {"city": "Paris", "days": 2, "metric": True, "note": None}


@pytest.mark.parametrize("parts, calls", [
    (WEATHER, [whole("get_weather", ARGS, thoughtSignature="c2ln")]),
    ([part(piece("$.a", 1), name="f", more=False)], [whole("f", {"a": 1})]),
    ([part(name="f"), END, part(name="g"), END], [whole("f", {}), whole("g", {})]),
    ([part(name="f"), part(piece("$.a", 1), more=False)], [whole("f", {"a": 1})]),
    ([part(name="f"), part(), {**END, "thoughtSignature": "s"}], [whole("f", {}, thoughtSignature="s")]),
    ([{"functionCall": {"name": "f", "id": "7", "args": {"a": {"b": 1}}, "willContinue": True}},
      part(piece("$.a.c", 2), more=False)],
     [{"functionCall": {"name": "f", "id": "7", "args": {"a": {"b": 1, "c": 2}}}}]),
])
def test_pieces_become_whole_calls_with_their_signatures(parts: List[JSON], calls: List[JSON]) -> None:
    before = json.dumps(parts)
    assert assembled(parts) == calls and json.dumps(parts) == before
    assert assembled([{"text": "a"}, *parts, {"text": "b"}]) == [{"text": "a"}, *calls, {"text": "b"}]


@pytest.mark.parametrize("pieces, args", [
    ([("$.a.b", 1), ("$.a.c", 2)], {"a": {"b": 1, "c": 2}}),
    ([("$.a[0]", 1), ("$.a[1].b", 2), ("$.a[1].c[0]", 3)], {"a": [1, {"b": 2, "c": [3]}]}),
    ([("$['a b'][\"c.d\"]['e\\'\\u0041']", 1)], {"a b": {"c.d": {"e'A": 1}}}),
    ([("$.käse-1.0", 1)], {"käse-1": {"0": 1}}),
    ([("$[''][0][0]", "x")], {"": [["x"]]}),
    ([("$" + ".a" * MAX_DEPTH, 1)], None),
])
def test_a_path_leads_through_names_and_indices(pieces: Sequence[Any], args: Optional[JSON]) -> None:
    made, = assembled([part(*[piece(path, value) for path, value in pieces], name="f", more=False)])
    assert args is None or made == whole("f", args)


DEEP: Any = functools.reduce(lambda inner, _: {"a": inner}, range(5000), {})

BAD: List[List[JSON]] = [
    [part(piece(path, 1), name="f", more=False)] for path in (
        "", "a", "$", "$.", "$[0]", "$.a[1]", "$.a[-1]", "$.a[", "$.a[x]", "$.a[99999999999]", "$..a", "$.a]",
        "$" + ".a" * (MAX_DEPTH + 1), "$['a]")
] + [
    [part({"jsonPath": 5, "stringValue": "x"}, name="f", more=False)],
    [part({"jsonPath": "$.a"}, name="f", more=False)],
    [part({"jsonPath": "$.a", "numberValue": "1"}, name="f", more=False)],
    [part({"jsonPath": "$.a", "stringValue": 1}, name="f", more=False)],
    [part(piece("$.a", 1), piece("$.a", 2), name="f", more=False)],
    [part(piece("$.a", "x"), piece("$.a", "y"), name="f", more=False)],
    [part(piece("$.a", "x", more=True), piece("$.a", 5), name="f", more=False)],
    [part(piece("$.a", 1), piece("$.a.b", 2), name="f", more=False)],
    [part(piece("$.a", "x", more=True), piece("$.a.b", 2), name="f", more=False)],
    [part(piece("$.a[0]", 1), piece("$.a.b", 2), name="f", more=False)],
    [part(piece("$.a.b", 1), piece("$.a[0]", 2), name="f", more=False)],
    [part(piece("$.a", "cut", more=True), name="f", more=False)],
    [part(name="f"), part(name="g"), END],
    [part(name="f"), whole("f", {"a": 1})],
    [{"functionCall": {"name": "f", "partialArgs": "x"}}], [{"functionCall": {"name": "f", "partialArgs": [5]}}],
    [{"functionCall": {"name": "f", "partialArgs": DEEP}}], [part(name="f"), {"functionCall": {"name": DEEP}}, END],
    [part(name="f")], [part(piece("$.a", 1), name="f")], WEATHER[:-1], [part(more=True), END],
]


@pytest.mark.parametrize("parts", BAD)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_cannot_be_put_together_is_an_incomplete_answer_without_it(
    parts: List[JSON], streamed: bool,
) -> None:
    answer = event(*parts, reason="STOP")
    if streamed:
        fold = Fold()
        for item in parts:
            fold.add(event(item))
        fold.add(event(reason="STOP"))
        answer = fold.response().data
    response = GenerateContentResponse[Any](answer)
    with pytest.raises(IncompleteError) as caught:
        check(response, streamed)
    assert caught.value.reason == "MALFORMED_FUNCTION_CALL" and caught.value.retryable
    assert [call.name for call in response.function_calls if call.name] == []


def test_a_stream_shows_the_call_with_the_event_that_makes_it_whole_and_folds_into_it() -> None:
    fold = Fold()
    events = [event({"text": "So: "}), *map(event, WEATHER), event({"text": "."}, reason="STOP")]
    read: List[StreamChunk[Any]] = list(chunks((item for item in events), fold))
    assert [len(chunk.function_calls) for chunk in read] == [0, 0, 0, 0, 0, 0, 1, 0]
    assert read[6].function_calls == [("get_weather", ARGS, None)] and read[6].data == events[6]
    assert fold.response().data["candidates"][0]["content"]["parts"] == [
        {"text": "So: "}, whole("get_weather", ARGS, thoughtSignature="c2ln"), {"text": "."}]


def test_calls_of_other_candidates_are_put_together_apart() -> None:
    fold = Fold()
    for item in WEATHER:
        first, second = event(item)["candidates"][0], {**event(item)["candidates"][0], "index": 1}
        fold.add({"candidates": [first, second]})
    assert [candidate["content"]["parts"] for candidate in fold.response().data["candidates"]] == [
        [whole("get_weather", ARGS, thoughtSignature="c2ln")]] * 2


def test_a_tool_runs_with_the_whole_arguments_and_never_with_half(fake: FakeGemini, client: Any) -> None:
    ran: List[Any] = []

    def get_weather(city: str, days: int, metric: bool, note: Optional[str]) -> str:
        """Weather."""
        ran.append((city, days, metric, note))
        return "sunny"

    chat = client(fake, retries=0).chat(tools=[get_weather])
    fake.reply(*[[item] for item in WEATHER])
    fake.reply("It is sunny.")
    assert chat.send_message_stream("?").response.text == "It is sunny."
    assert ran == [("Paris", 2, True, None)]
    assert chat.history[1]["parts"] == [whole("get_weather", ARGS, thoughtSignature="c2ln")]
    fake.reply(*[[item] for item in WEATHER[:-1]])
    before = chat.history
    with pytest.raises(IncompleteError):
        list(chat.send_message_stream("?"))
    assert len(ran) == 1 and chat.history == before


def test_many_pieces_take_time_in_proportion() -> None:
    def steps(count: int) -> int:
        """The lines that are run; the clock would be no judge on a busy machine."""
        ran = 0

        def trace(frame: Any, kind: str, argument: Any) -> Any:
            nonlocal ran
            ran += kind == "line"
            return trace

        pieces = CallPieces()
        pieces.add(part(name="f"))
        sys.settrace(trace)
        try:
            for _ in range(count):
                pieces.add(part(piece("$.a.text", "x" * 10, more=True)))
        finally:
            sys.settrace(None)
        return ran

    few = steps(100)
    assert steps(1000) < few * 11
    text, = assembled([part(name="f"), *[part(piece("$.a", "x", more=True))] * 20_000, part(piece("$.a", "")), END])
    assert len(text["functionCall"]["args"]["a"]) == 20_000
