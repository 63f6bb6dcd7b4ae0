"""An answer is read by names that never raise, and a stream folds into the answer that the unary call would have given.
"""
import copy
import gc
import operator
import pickle
import random
import traceback
import weakref
from typing import List

import pytest

from gemini_lite import (
    BlockedError, GeminiError, GenerateContentResponse, IncompleteError, ParseError, Stream, StreamChunk,
    TransportError,
)
from gemini_lite.answers.check import check
from gemini_lite.response import AnswerFormat
from gemini_lite.stream import chunks
from gemini_lite.stream.fold import Fold
from gemini_lite.transport.deadline import CallSettings
from gemini_lite.transport.running import RunningCall

USAGE = {"prompt_token_count": 1, "cached_content_token_count": 2, "candidates_token_count": 3,
         "thoughts_token_count": 4, "tool_use_prompt_token_count": 5, "total_token_count": 6}
FULL = {
    "candidates": [
        {"index": 1, "content": {"role": "model", "parts": [{"text": "other"}]}, "finishReason": "SAFETY"},
        {"index": 0, "finishReason": "STOP", "finishMessage": "done", "content": {"role": "model", "parts": [
            {"text": "hm ", "thought": True}, {"text": "so", "thought": True, "thoughtSignature": "s"},
            {"text": "a"}, {"text": "b", "thought": False}, {"text": "c", "thoughtSignature": "s"},
            {"functionCall": {"name": "f", "args": {"x": 1}, "id": "7"}}, {"functionCall": {"name": "g"}},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}},
            {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        ]}, "groundingMetadata": {
            "groundingChunks": [{"web": {"title": "t", "uri": "u"}}, {"retrievedContext": {"uri": "v"}}],
            "groundingSupports": [{"segment": {"text": "abc"}, "groundingChunkIndices": [0, 1]}]}},
    ],
    "usageMetadata": {"promptTokenCount": 1, "cachedContentTokenCount": 2, "candidatesTokenCount": 3,
                      "thoughtsTokenCount": 4, "toolUsePromptTokenCount": 5, "totalTokenCount": 6},
    "promptFeedback": {"blockReason": "OTHER"}, "modelVersion": "m-001", "responseId": "r",
}
PROPERTIES = [name for name, value in vars(GenerateContentResponse).items()
              if isinstance(value, property) and name not in ("parsed", "rounds")]


def answer(*parts, reason="STOP", **fields):
    """An event, or a whole answer, with one candidate."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **fields}
    if reason:
        candidate["finishReason"] = reason
    return {"candidates": [candidate]}


def texts(*pieces, reason="STOP"):
    """The events of a stream, a text each; the last one finishes it."""
    return [answer({"text": piece}, reason=reason if number == len(pieces) else None)
            for number, piece in enumerate(pieces, 1)]


# Views

def test_an_answer_is_read_by_these_names():
    response = GenerateContentResponse(FULL)
    assert response.data is FULL
    assert response.candidates == FULL["candidates"]
    assert response.content == FULL["candidates"][1]["content"]
    assert response.parts == FULL["candidates"][1]["content"]["parts"]
    assert response.text == str(response) == "abc"
    assert response.thinking == "hm so"
    assert response.function_calls == [("f", {"x": 1}, "7"), ("g", {}, None)]
    assert response.function_calls[0].name == "f" and response.function_calls[0].args == {"x": 1}
    assert response.finish_reason == "STOP"
    assert response.block_reason == "OTHER"
    assert response.model_version == "m-001"
    assert response.response_id == "r"
    assert {name: getattr(response.usage_metadata, name) for name in USAGE} == USAGE
    assert "m-001" in repr(response) and "totalTokenCount" in repr(response.usage_metadata)


def test_calls_are_read_by_the_users_names():
    response = GenerateContentResponse(FULL, AnswerFormat(None, {"f": "my.f"}))
    assert [call.name for call in response.function_calls] == ["my.f", "g"]


@pytest.mark.parametrize("text, hint, value", [
    ('{"a": [1]}', None, {"a": [1]}), ("[1, 2]", List[int], [1, 2]), ("1", {"type": "integer"}, 1),
])
def test_an_answer_in_json_is_parsed_as_its_schema_says(text, hint, value):
    assert GenerateContentResponse(answer({"text": text}), AnswerFormat(hint, {})).parsed == value


@pytest.mark.parametrize("text, reason, why, words", [
    ("no JSON", "STOP", "NOT_JSON", "schema: .*no JSON$"), ("", "STOP", "NOT_JSON", "schema: "),
    ("[1, 2", "MAX_TOKENS", "NOT_JSON", r"schema \(the answer was cut: MAX_TOKENS\).*\[1, 2$"),
    ('["a"]', "STOP", "MISMATCH", r'schema: .*\["a"\]$'),
])
def test_an_answer_that_does_not_fit_its_schema_says_why_and_keeps_its_text(text, reason, why, words):
    response = GenerateContentResponse(answer({"text": text}, reason=reason), AnswerFormat(List[int], {}))
    with pytest.raises(ParseError, match=words) as caught:
        response.parsed
    assert (caught.value.reason, caught.value.response, response.text) == (why, response, text)


def test_what_is_absent_reads_as_nothing():
    response = GenerateContentResponse({})
    nothing = {name: getattr(response, name) for name in PROPERTIES if name not in ("usage_metadata", "content")}
    lists = {name for name, value in nothing.items() if value == []}
    assert {"candidates", "parts", "function_calls"} <= lists
    assert {name for name, value in nothing.items() if value == ""} == {"text", "thinking"}
    words = {"finish_reason", "block_reason", "model_version", "response_id", "finish_message", "block_reason_message",
             "avg_logprobs", "logprobs", "service_tier", "create_time", "search_entry_point"}
    assert words == {name for name, value in nothing.items() if value is None}
    assert set(nothing) - lists == {"text", "thinking", *words}
    assert response.content == {} and str(response) == ""
    assert [getattr(response.usage_metadata, name) for name in USAGE] == [None] * len(USAGE)


def test_a_number_that_the_api_did_not_send_is_none_and_zero_is_zero():
    usage = GenerateContentResponse({"usageMetadata": {"promptTokenCount": 0}}).usage_metadata
    assert (usage.prompt_token_count, usage.total_token_count) == (0, None)


@pytest.mark.parametrize("candidates, text", [
    ([answer({"text": "a"})["candidates"][0]], "a"),
    ([{"content": {"parts": [{"text": "a"}]}}], "a"),
    (list(reversed([{"index": i, "content": {"parts": [{"text": str(i)}]}} for i in range(3)])), "0"),
    ([{"index": 1, "content": {"parts": [{"text": "b"}]}}], ""),
])
def test_of_several_candidates_the_one_with_index_0_is_read(candidates, text):
    assert GenerateContentResponse({"candidates": candidates}).text == text


def test_a_chunk_reads_what_its_event_brought():
    chunk = StreamChunk(answer({"text": "hm", "thought": True}, {"text": "a"}))
    assert (chunk.text_delta, chunk.thinking_delta, chunk.text) == ("a", "hm", "a")
    assert type(chunk.response) is GenerateContentResponse and chunk.response.data is chunk.data
    assert (chunk.tool_results, chunk.rounds) == (None, [chunk])


def spots(value, path=()):
    """The path of every value inside `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from spots(item, (*path, key))


def changed(path, value):
    """`FULL` with `value` in one place."""
    data = copy.deepcopy(FULL)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


ODD = ["x", 5, -9, True, None, [], {}, [None], [5], {"a": 5}]
SHAPES = [(path, value, changed(path, value)) for path in spots(FULL) for value in ODD]


@pytest.mark.parametrize("name", [*PROPERTIES, "usage_metadata.total_token_count"])
def test_reading_never_raises_on_odd_shapes(name):
    failures = []
    for path, value, data in SHAPES:
        try:
            operator.attrgetter(name)(GenerateContentResponse(data))
        except Exception as error:
            failures.append("%s at %s: %s" % (value, path, type(error).__name__))
    assert failures == []


@pytest.mark.parametrize("data", [{}, FULL])
@pytest.mark.parametrize("kind", [GenerateContentResponse, StreamChunk])
def test_answers_can_be_pickled_and_copied(kind, data):
    for twin in (pickle.loads(pickle.dumps(kind(data))), copy.copy(kind(data)), copy.deepcopy(kind(data))):
        assert type(twin) is kind and twin.data == data


# What stands in the way of calling an answer whole

def raised(data, streamed=False):
    try:
        check(GenerateContentResponse(data), streamed)
    except GeminiError as error:
        return error


@pytest.mark.parametrize("reason", ["STOP", "MAX_TOKENS", "OTHER", "LANGUAGE", "SOMETHING_NEW"])
@pytest.mark.parametrize("streamed", [False, True])
def test_these_reasons_end_a_whole_answer(reason, streamed):
    assert raised(answer({"text": "a"}, reason=reason), streamed) is None


@pytest.mark.parametrize("reason", [
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_SOMETHING_NEW",
])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_blocked_answer_is_an_error_that_holds_what_there_is(reason, streamed):
    error = raised(answer({"text": "half"}, reason=reason, finishMessage="Because."), streamed)
    assert type(error) is BlockedError
    assert (error.reason, error.retryable, error.response.text) == (reason, False, "half")
    assert reason in str(error) and "Because." in str(error)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_blocked_prompt_is_an_error(streamed):
    error = raised({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, streamed)
    assert type(error) is BlockedError
    assert (error.reason, error.response.block_reason) == ("PROHIBITED_CONTENT", "PROHIBITED_CONTENT")


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_nobody_can_run_is_an_error(reason, streamed):
    error = raised({"candidates": [{"finishReason": reason, "finishMessage": "f(x"}]}, streamed)
    assert (type(error), error.reason, error.retryable) == (IncompleteError, reason, True)
    assert "f(x" in str(error)


def test_only_a_stream_must_say_that_it_has_finished():
    assert raised(answer({"text": "a"}, reason=None)) is None
    error = raised(answer({"text": "a"}, reason=None), streamed=True)
    assert (type(error), error.reason, error.retryable, error.response.text) == (IncompleteError, "CUT", True, "a")


@pytest.mark.parametrize("data", [{}, {"candidates": []}, {"usageMetadata": {}}])
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_without_a_candidate_and_a_reason_is_not_whole(data, streamed):
    error = raised(data, streamed)
    assert (type(error), error.reason, error.retryable) == (
        IncompleteError, "CUT" if streamed else "NO_CANDIDATES", True)


def test_only_the_candidate_that_is_read_can_block_an_answer():
    safe, blocked = answer({"text": "a"})["candidates"][0], {"index": 1, "finishReason": "SAFETY"}
    assert raised({"candidates": [blocked, safe]}) is None


def test_an_answer_of_odd_shape_raises_none_but_our_errors():
    for _, _, data in SHAPES:
        raised(data)


# Folding

def folded(*events):
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.response().data


def some_parts(rng):
    """Parts of an answer as a unary call gives them: no two plain texts of one kind side by side."""
    parts, before = [], None
    for _ in range(rng.randrange(6)):
        kind = rng.choice(["text", "thought", "signed", "signed thought", "call", "image"])
        if kind == before and kind in ("text", "thought"):
            continue
        before = kind
        text = "".join(rng.choices("aé\U0001f600 \n", k=rng.randrange(1, 12)))
        parts.append({
            "text": {"text": text}, "thought": {"text": text, "thought": True},
            "signed": {"text": text, "thoughtSignature": "s"},
            "signed thought": {"text": text, "thought": True, "thoughtSignature": "s"},
            "call": {"functionCall": {"name": text, "args": {"x": [1]}}, "thoughtSignature": "s"},
            "image": {"inlineData": {"mimeType": "image/png", "data": text}},
        }[kind])
    return parts


def cut(rng, items):
    """`items` (a string or list) in random pieces, empty ones among them."""
    cuts = sorted(rng.choices(range(len(items) + 1), k=rng.randrange(5)))
    return [items[start:end] for start, end in zip([0, *cuts], [*cuts, len(items)])]


def candidate_events(rng, candidate):
    """`candidate` as the candidates of a stream."""
    pieces = []
    for part in candidate.get("content", {}).get("parts", ()):
        plain = "text" in part and "thoughtSignature" not in part
        pieces += [{**part, "text": text} for text in cut(rng, part["text"])] if plain else [part]
    events = [{"index": candidate["index"]} for _ in range(rng.randrange(1, 4))]
    events += [{"content": {"role": "model", "parts": group}, "index": candidate["index"]}
               for group in cut(rng, pieces) if group]
    for name in ("citationMetadata", "logprobsResult"):
        for key, items in candidate.get(name, {}).items():
            groups = cut(rng, items)
            for place, group in zip(sorted(rng.choices(range(len(events)), k=len(groups))), groups):
                home = events[place].setdefault(name, {})
                home[key] = home.get(key, []) + group
    for name in ("safetyRatings", "groundingMetadata", "avgLogprobs", "finishReason"):
        if name in candidate:
            events[-1][name] = candidate[name]
    return events


def split(rng, whole):
    """The events of a stream that says what `whole` says."""
    queues = [candidate_events(rng, candidate) for candidate in whole["candidates"]]
    events = []
    while any(queues):
        chosen = rng.sample(queues, rng.randrange(1, len(queues) + 1))
        together = [queue.pop(0) for queue in chosen if queue]
        if together:
            events.append({"candidates": together, "modelVersion": whole["modelVersion"],
                           "usageMetadata": {"totalTokenCount": len(events), "promptTokenCount": 1}})
    events.append({"usageMetadata": whole["usageMetadata"], "responseId": whole["responseId"]})
    return events


def some_answer(rng):
    whole = {"candidates": [], "modelVersion": "m", "responseId": "r", "usageMetadata": {"totalTokenCount": 99}}
    for index in range(rng.randrange(1, 4)):
        candidate = {"index": index, "finishReason": "STOP"}
        parts = some_parts(rng)
        if parts:
            candidate["content"] = {"role": "model", "parts": parts}
        for name, value in [
            ("citationMetadata", {"citationSources": [{"uri": str(number)} for number in range(rng.randrange(1, 5))]}),
            ("logprobsResult", {"topCandidates": [{"a": 1}, {"b": 2}], "chosenCandidates": [{"a": 1}, {"b": 2}]}),
            ("safetyRatings", [{"category": "C"}]), ("groundingMetadata", {"webSearchQueries": ["q"]}),
            ("avgLogprobs", -0.5),
        ]:
            if rng.random() < 0.4:
                candidate[name] = value
        whole["candidates"].append(candidate)
    return whole


@pytest.mark.parametrize("seed", range(4))
def test_a_stream_cut_anywhere_folds_into_the_unary_answer(seed):
    rng = random.Random(seed)
    for _ in range(400):
        whole = some_answer(rng)
        events = split(rng, whole)
        before = copy.deepcopy(events)
        assert folded(*events) == whole
        assert events == before


@pytest.mark.parametrize("parts, joined", [
    (["a", "b", "c"], [{"text": "abc"}]),
    ([{"text": "a", "thought": True}, {"text": "b", "thought": True}, "c"],
     [{"text": "ab", "thought": True}, {"text": "c"}]),
    (["a", {"text": "b", "thoughtSignature": "s"}, "c", "d"],
     [{"text": "a"}, {"text": "b", "thoughtSignature": "s"}, {"text": "cd"}]),
    (["a", {"text": "", "thoughtSignature": "s"}], [{"text": "a"}, {"text": "", "thoughtSignature": "s"}]),
    (["a", {"functionCall": {"name": "f"}}, "b"], [{"text": "a"}, {"functionCall": {"name": "f"}}, {"text": "b"}]),
    (["a", {"text": "b", "somethingNew": 1}, "c"], [{"text": "a"}, {"text": "b", "somethingNew": 1}, {"text": "c"}]),
])
def test_only_neighbouring_plain_texts_of_one_kind_are_joined(parts, joined):
    events = [answer({"text": part} if isinstance(part, str) else part) for part in parts]
    assert folded(*events)["candidates"][0]["content"]["parts"] == joined


def test_the_last_usage_counts():
    events = [{"usageMetadata": {"totalTokenCount": 5, "thoughtsTokenCount": 3}}, {"usageMetadata": None},
              {"usageMetadata": {"totalTokenCount": 9}}, answer()]
    assert folded(*events)["usageMetadata"] == {"totalTokenCount": 9}


def test_of_lists_that_do_not_add_up_the_last_one_counts():
    events = [answer(groundingMetadata={"webSearchQueries": ["a"], "searchEntryPoint": {"x": 1}}, reason=None),
              answer(groundingMetadata={"webSearchQueries": ["b"]})]
    assert folded(*events)["candidates"][0]["groundingMetadata"] == {
        "webSearchQueries": ["b"], "searchEntryPoint": {"x": 1}}


def test_a_content_without_parts_stays_one():
    event = {"candidates": [{"content": {"role": "model"}, "finishReason": "STOP"}]}
    assert folded(event) == event


def test_candidates_are_kept_apart_by_index():
    events = [{"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}},
                              {"content": {"parts": [{"text": "a"}]}}]},
              {"candidates": [{"index": 0, "content": {"parts": [{"text": "A"}]}}]},
              {"candidates": [{"index": 1, "content": {"parts": [{"text": "B"}]}}]}]
    assert folded(*events)["candidates"] == [{"index": 0, "content": {"parts": [{"text": "aA"}]}},
                                             {"index": 1, "content": {"parts": [{"text": "bB"}]}}]


@pytest.mark.parametrize("event", [
    {"candidates": None}, {"candidates": []}, {"candidates": [{}]}, {"candidates": [{"content": None}]},
    {"candidates": [{"content": {}}]}, {"candidates": [{"content": {"parts": None}}]},
    {"candidates": [{"citationMetadata": None}]}, {"promptFeedback": None},
])
def test_an_event_that_says_nothing_adds_nothing(event):
    assert GenerateContentResponse(folded(*texts("a", "b", reason=None), event, *texts("c"))).text == "abc"


def test_an_answer_without_candidates_folds_into_one_without():
    assert folded({"promptFeedback": {"blockReason": "SAFETY"}}) == {"promptFeedback": {"blockReason": "SAFETY"}}


def test_looking_at_the_answer_so_far_changes_nothing():
    fold = Fold()
    for event in texts("Hel", "lo"):
        fold.add(event)
        fold.response()
        fold.response()
    assert fold.response().parts == [{"text": "Hello"}]


def test_a_fold_goes_on_with_the_next_round_and_keeps_the_earlier_ones():
    fold = Fold()
    for round in ("a", "b", "c"):
        fold.add(answer({"text": round}, finishMessage=round))
        fold.complete = True
        if round != "c":
            fold.next_round()
            assert not fold.complete and fold.response().data == {}
    assert [response.text for response in fold.response().rounds] == ["a", "b", "c"]
    assert fold.response().data == answer({"text": "c"}, finishMessage="c")


def test_a_fold_keeps_no_event():
    class Event(dict):
        """A dict that can be seen to go."""

    event = Event(answer({"text": "a"}, {"functionCall": {"name": "f"}}), usageMetadata={})
    gone = weakref.ref(event)
    fold = Fold()
    fold.add(event)
    del event
    assert gone() is None
    assert fold.response().text == "a"


def test_lists_that_grow_with_the_stream_are_not_copied_with_every_event():
    copied = []

    class Growing(list):
        """A list that notes how much it copies."""

        def __add__(self, other):
            copied.append(len(self) + len(other))
            return Growing([*self, *other])

    events = [answer({"text": "a"}, logprobsResult={"topCandidates": Growing([{"a": 1}])}) for _ in range(200)]
    assert len(folded(*events)["candidates"][0]["logprobsResult"]["topCandidates"]) == 200
    assert sum(copied) <= 20 * len(events)


# Streams

def stream(*events, error=None, ended=None):
    """A stream of these events, which notes its end in `ended`."""
    def source():
        try:
            yield from events
            if error is not None:
                raise error
        finally:
            if ended is not None:
                ended.append("ended")

    fold, call = Fold(), RunningCall()
    return Stream(chunks(source(), fold, CallSettings(running=call)), fold, call=call)


def test_a_stream_yields_a_chunk_for_each_event_and_then_has_the_whole_answer():
    events = texts("Hel", "lo")
    with stream(*events) as opened:
        assert [chunk.data for chunk in opened] == events
        assert list(opened) == []
        assert opened.response.data == answer({"text": "Hello"})
        assert opened.response is opened.response


def test_an_error_that_a_stream_raises_again_does_not_gather_the_frames_of_those_who_met_it():
    opened, depths = stream(*texts("a"), error=TransportError("broken")), []
    for _ in range(4):
        with pytest.raises(TransportError) as caught:
            opened.response
        depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert depths[1] == depths[2] == depths[3] <= depths[0]


@pytest.mark.parametrize("read", range(4))
def test_the_response_of_a_stream_reads_what_has_not_been_read(read):
    opened = stream(*texts("a", "b", "c"))
    for _ in range(read):
        next(opened)
    assert opened.response.text == "abc"
    assert list(opened) == []


def test_a_stream_ends_its_source_when_it_is_read_closed_or_dropped():
    for use in (list, Stream.close, lambda opened: next(opened) and opened.close(), next, lambda opened: None):
        ended = []
        opened = stream(*texts("a", "b"), ended=ended)
        next(opened)
        use(opened)
        del opened
        if not ended:  # where references are not counted
            gc.collect()
        assert ended == ["ended"]


def test_leaving_the_with_block_closes_the_stream():
    ended = []
    with pytest.raises(KeyError), stream(*texts("a", "b"), ended=ended) as opened:
        next(opened)
        raise KeyError
    assert ended == ["ended"]
    assert list(opened) == []


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_closed_before_its_end_has_no_response(read):
    opened = stream(*texts("a", "b"))
    for _ in range(read):
        next(opened)
    opened.close()
    opened.close()
    assert list(opened) == []
    with pytest.raises(IncompleteError, match="closed") as caught:
        opened.response
    assert caught.value.reason == "CLOSED"


@pytest.mark.parametrize("leave", [Stream.close, lambda opened: None])
def test_the_source_of_a_stream_is_closed_with_it_whoever_holds_it(leave):
    def source():
        yield from texts("a", "b")

    fold, events = Fold(), source()
    middle = chunks(events, fold)
    opened = Stream(middle, fold)
    next(opened)
    leave(opened)
    del opened
    gc.collect()
    assert (middle.gi_frame, events.gi_frame) == (None, None)


def test_a_stream_read_to_its_end_and_closed_keeps_its_response():
    with stream(*texts("a", "b")) as opened:
        assert opened.response.text == "ab"
    assert opened.response.text == "ab"
    with stream(*texts("a", "b")) as opened:
        list(opened)
    assert opened.response.text == "ab"


def test_a_stream_closed_after_its_finish_reason_has_all_that_comes_after_it():
    with stream(*texts("a", "b"), answer({"text": "c"}, reason=None), {"usageMetadata": {}}) as opened:
        for chunk in opened:
            if chunk.finish_reason:
                break
    assert opened.response.text == "abc"


@pytest.mark.parametrize("reason", ["SAFETY", "MALFORMED_FUNCTION_CALL", None])
def test_a_stream_closed_after_a_reason_that_is_no_end_is_not_whole(reason):
    with stream(*texts("a", "b", reason=reason), {"usageMetadata": {}}) as opened:
        next(opened), next(opened)
    with pytest.raises(IncompleteError):
        opened.response


def test_an_error_has_what_arrived_and_is_raised_again_by_every_later_use():
    cause = TransportError("cut", reason="CONNECTION", retryable=True)
    opened = stream(*texts("a", "b", reason=None), error=cause)
    assert next(opened).text == "a"
    for use in (list, list, next, lambda opened: opened.response, lambda opened: opened.response):
        with pytest.raises(TransportError) as caught:
            use(opened)
        assert caught.value is cause
    assert cause.response.text == "ab"
    opened.close()


@pytest.mark.parametrize("events, kind, text", [
    (texts("a", "b", reason=None), IncompleteError, "ab"),
    (texts("a", "b", reason="SAFETY"), BlockedError, "ab"),
    ([{"promptFeedback": {"blockReason": "OTHER"}}], BlockedError, ""),
    (texts("a", reason="MALFORMED_FUNCTION_CALL"), IncompleteError, "a"),
    ([], IncompleteError, ""),
])
def test_a_stream_that_is_no_whole_answer_raises_at_its_end_with_what_arrived(events, kind, text):
    opened = stream(*events)
    for _ in events:
        next(opened)
    for use in (next, lambda opened: opened.response):
        with pytest.raises(kind) as caught:
            use(opened)
        assert caught.value.response.text == text


def test_a_stream_of_odd_shapes_raises_none_but_our_errors():
    for _, _, data in SHAPES:
        try:
            stream(*texts("a"), data).response
        except GeminiError:
            pass


def test_a_discarded_stream_raises_why_when_it_is_read_on():
    ended = []
    opened = stream(*texts("a", "b"), ended=ended)
    next(opened)
    opened.discard(GeminiError("the conversation went on"))
    assert ended == ["ended"]
    for use in (next, list, lambda opened: opened.response):
        with pytest.raises(GeminiError, match="the conversation went on"):
            use(opened)


def test_a_discarded_stream_keeps_its_own_error():
    opened = stream(error=TransportError("cut"))
    with pytest.raises(TransportError):
        next(opened)
    opened.discard(GeminiError("the conversation went on"))
    with pytest.raises(TransportError):
        opened.response


def test_a_stream_is_not_pickled_and_says_what_is():
    with stream(*texts("a")) as opened, pytest.raises(TypeError, match="stream.response"):
        pickle.dumps(opened)
