"""A prompt and options become the request that the API documents; the caller's objects stay as they were."""
import base64
import copy
import functools
import json
import re

import pytest

from gemini_lite import GeminiOptions, contents
from gemini_lite.turns.calls import CallResult, results_content
from gemini_lite.turns.history import check_history, check_next

PNG = b"\x89PNG\r\n\x1a\n"
IMAGE = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
HI = {"role": "user", "parts": [{"text": "hi"}]}
HELLO = {"role": "model", "parts": [{"text": "hello"}]}
BYE = {"role": "user", "parts": [{"text": "bye"}]}
CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"snake_case": 1}}, "thoughtSignature": "s"}]}
RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"snake_case": 1}}}]}


DEEP = functools.reduce(lambda inner, _: {"a": inner}, range(5000), {})
ROUND = {"text": "a"}
ROUND["again"] = ROUND


def user(*parts):
    return [{"role": "user", "parts": list(parts)}]


def call(name, id=None, signature=None):
    part = {"functionCall": {"name": name, "args": {}, **({"id": id} if id else {})}}
    return {**part, "thoughtSignature": signature} if signature else part


def model(*parts):
    return {"role": "model", "parts": list(parts)}


def next_turns(prompt, past=()):
    turns = contents.from_prompt(prompt)
    check_next(list(past), turns)
    return turns


# Prompts

@pytest.mark.parametrize("prompt, turns", [
    ("hi", user({"text": "hi"})),
    (" \n", user({"text": " \n"})),
    ({"text": "hi"}, user({"text": "hi"})),
    ({"fileData": {"fileUri": "https://a.example/b.pdf"}}, user({"fileData": {"fileUri": "https://a.example/b.pdf"}})),
    ((PNG, "image/png"), user(IMAGE)),
    ((bytearray(PNG), "image/png"), user(IMAGE)),
    ((memoryview(PNG), "image/png"), user(IMAGE)),
    (PNG, user(IMAGE)),
    (["a", "b"], user({"text": "a"}, {"text": "b"})),
    (["a", (PNG, "image/png"), {"text": "b"}], user({"text": "a"}, IMAGE, {"text": "b"})),
    (HI, [HI]),
    ([HI], [HI]),
    ([HI, HELLO, BYE], [HI, HELLO, BYE]),
    ([HI, CALL, RESULT], [HI, CALL, RESULT]),
    ({"parts": [{"text": "hi"}]}, [HI]),
])
def test_each_form_of_a_prompt_becomes_contents(prompt, turns):
    before = copy.deepcopy(prompt) if not isinstance(prompt, tuple) else prompt
    assert contents.from_prompt(prompt) == turns
    assert prompt == before


@pytest.mark.parametrize("name, mime_type", [("a.png", "image/png"), ("a b.PDF", "application/pdf"),
                                             ("ü.txt", "text/plain")])
def test_a_path_is_read_with_the_mime_type_of_its_name(tmp_path, name, mime_type):
    path = tmp_path / name
    path.write_bytes(PNG)
    part = {"inlineData": {"mimeType": mime_type, "data": IMAGE["inlineData"]["data"]}}
    assert contents.from_prompt(path) == user(part)
    assert contents.from_prompt(["look", path]) == user({"text": "look"}, part)


@pytest.mark.parametrize("prompt, error, words", [
    ("", ValueError, "empty"),
    ([], ValueError, "empty"),
    ([""], ValueError, "empty"),
    (["a", ""], ValueError, "empty"),
    (None, TypeError, "NoneType"),
    ({}, (TypeError, ValueError), "a prompt cannot hold|empty"),
    (5, TypeError, "int"),
    ([["a"]], TypeError, "list"),
    (("a", "b"), TypeError, "tuple"),
    (iter("a"), TypeError, "iterator"),
    (b"raw", ValueError, "MIME type"),
    ([b"raw"], ValueError, "MIME type"),
    ((b"raw", None), ValueError, "MIME type"),
    ((PNG, "png"), ValueError, "MIME type"),
    ((PNG, 5), ValueError, "MIME type"),
    ([HI, "a"], ValueError, "mixes.*entry 1 is str"),
    (["a", HI], ValueError, "mixes.*entry 0 is str"),
    ([HI, HELLO, {"text": "a"}], ValueError, "mixes.*entry 2 is dict"),
    *[([HI, {"role": role, "parts": [{"text": "a"}]}], ValueError, "entry 1.*%r.*openai_compat" % role)
      for role in ("assistant", "system", "developer", "tool", "function")],
    ([{"role": "USER", "parts": [{"text": "a"}]}], ValueError, "entry 0.*'USER'.*'user' and 'model'$"),
    ([{"role": "user", "content": "a"}], ValueError, "entry 0.*no parts"),
    ([{"role": "user"}], ValueError, "entry 0.*no parts"),
    ([{"role": "user", "parts": []}], ValueError, "entry 0.*no parts"),
    ([{"role": "user", "parts": "a"}], ValueError, "entry 0.*no parts"),
    ([{"role": "user", "parts": ["a"]}], ValueError, "entry 0.*no parts"),
    ([{"role": "user", "parts": [{}]}], ValueError, "entry 0.*no parts"),
    ([HI, {"role": "model", "parts": [{"text": "hm", "thought": True}]}], ValueError, "entry 1.*thoughts"),
    ({"role": "user", "parts": [{"text": ""}]}, ValueError, "^the prompt is empty"),
    ([{"functionResponse": {"name": "f", "response": DEEP}}], ValueError, "nested too deeply"),
    ([{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": DEEP}}]}], ValueError, "too deeply"),
    ([{"role": "user", "parts": [{"functionCall": {"args": DEEP}}]}], ValueError, "without a name"),
    ({"role": "user", "parts": [ROUND]}, ValueError, "holds itself"),
    ([{"role": "user", "parts": [{"text": ""}, {"text": ""}]}], ValueError, "^the prompt is empty"),
    ([{"text": "a"}, ""], ValueError, "^entry 1 of the prompt is empty"), ([""], ValueError, "^the prompt is empty"),
])
def test_a_prompt_that_cannot_be_sent_is_refused_with_the_entry_that_is_wrong(prompt, error, words):
    with pytest.raises(error, match=words):
        contents.from_prompt(prompt)


@pytest.mark.parametrize("name, words", [
    ("missing.png", "cannot read .*missing.png"), ("folder.png", "cannot read .*folder.png"),
    ("what", "what .*MIME type"), ("what.zzzz", "what.zzzz .*MIME type"),
])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, words):
    (tmp_path / "folder.png").mkdir()
    for bare in ("what", "what.zzzz"):
        (tmp_path / bare).write_bytes(b"r\0w")
    with pytest.raises(ValueError, match=words):
        contents.from_prompt(tmp_path / name)


@pytest.mark.parametrize("prompt", [{"text": "hi"}, ["a", {"text": "hi"}], HI, [HI, HELLO, BYE], [HI, CALL, RESULT]])
def test_the_contents_share_nothing_with_the_prompt(prompt):
    prompt = copy.deepcopy(prompt)
    built = contents.from_prompt(prompt)
    before = copy.deepcopy(built)
    spoil(prompt)
    assert built == before


def spoil(value):
    """Change every dict and list in `value`."""
    for item in list(value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()):
        spoil(item)
    if isinstance(value, dict):
        value["spoilt"] = 1
    elif isinstance(value, list):
        value.append("spoilt")


def test_thoughts_are_not_sent_back_unless_they_are_signed():
    parts = [{"text": "hm", "thought": True}, {"text": "hm", "thought": True, "thoughtSignature": "s"}, {"text": ""},
             {"text": "", "thoughtSignature": "t"}, {"text": "a", "thought": False}, {"text": "b"}]
    assert contents.from_prompt([HI, {"role": "model", "parts": parts}])[1]["parts"] == [parts[1], *parts[3:]]


def test_what_is_no_json_is_left_for_the_encoder_to_refuse():
    odd = object()
    assert contents.from_prompt({"text": odd}) == user({"text": odd})


def test_names_inside_a_part_are_the_users_own():
    part = {"function_call": {"name": "f", "args": {"max_output_tokens": 1}}}
    assert contents.from_prompt(part) == user(part)


# A turn of a conversation

@pytest.mark.parametrize("past, prompt", [
    ([], "hi"), ([], HI), ([], [HI, HELLO, BYE]), ([], [HI, CALL, RESULT]), ([HI, HELLO], "bye"), ([HI, CALL], RESULT),
    ([HI, CALL], [RESULT, HELLO, BYE]), ([], [HI, BYE]), ([], [HELLO, HI]), ([], [HI, HELLO, HELLO]), ([], [HI, HELLO]),
    ([HI], "bye"), ([HI, CALL], [RESULT, BYE]), ([HI, CALL], [{"text": "here"}, *RESULT["parts"]]),
    ([HI, CALL, model(call("g"))], [RESULT, {"functionResponse": {"name": "g", "response": {}}}][:1]
     + [{"role": "user", "parts": [{"functionResponse": {"name": "g", "response": {}}}]}]),
    ([HI, model(call("f"), call("g")), RESULT], {"functionResponse": {"name": "g", "response": {}}}),
    ([HI, CALL], {"functionResponse": {"name": "f", "id": "any", "response": {}}}),
    ([HI, CALL], [BYE]), ([], [HI, CALL, BYE]), ([HI, CALL, BYE, HELLO], "bye"), ([HI, {"role": "model", "parts": [
        *CALL["parts"], *RESULT["parts"], {"text": "so"}]}], "bye"), ([HI, CALL, {**RESULT, "role": "model"}], "bye"),
])
def test_the_next_turns_are_what_google_takes(past, prompt):
    assert check_next(past, contents.from_prompt(prompt)) is None


@pytest.mark.parametrize("past, prompt, words", [
    ([], [CALL], "entry 0 of the prompt is a call.*starts with 'user'"),
    ([], [HI, CALL], "entry 1 of the prompt.*owed: f"),
    ([HI, model(call("f"), call("g"))], [RESULT, HELLO, BYE], "entry 1 of the prompt.*owed: g"),
    ([HI, CALL], "and now?", "entry 0 of the prompt.*owed: f"),
    ([HI, model(call("f", "1"))], {"functionResponse": {"name": "f", "id": "2", "response": {}}},
     r"no call of f \(id 2\) waits for a result; owed: f \(id 1\)"),
    ([HI, model(call("f"), call("g"))], "bye", "owed: f, g"),
    ([HI, HELLO], RESULT, "no call of f waits"),
    ([HI, model(call("g"))], RESULT, "no call of f waits for a result; owed: g"),
    ([HI, model(call("f"), call("g", "7"))], RESULT, r"still owed: g \(id 7\)"),
])
def test_next_turns_that_do_not_fit_are_refused_with_what_is_due(past, prompt, words):
    with pytest.raises(ValueError, match=words):
        check_next(past, contents.from_prompt(prompt))


@pytest.mark.parametrize("due, results, answered", [
    ([("f", None)], [("f", {"x": 1})], [("f", None, 1)]),
    ([("f", "1")], [("f", {"x": 1})], [("f", "1", 1)]),
    ([("f", "1"), ("g", "2")], [("g", {"x": 2}), ("f", {"x": 1})], [("f", "1", 1), ("g", "2", 2)]),
    ([("f", "1"), ("f", "2")], [("f", {"x": 2}, "2"), ("f", {"x": 1}, "1")], [("f", "1", 1), ("f", "2", 2)]),
    ([("f", "1"), ("f", "2")], [("f", {"x": 2}), ("f", {"x": 1}, "1")], [("f", "1", 1), ("f", "2", 2)]),
    ([("f", None), ("f", None)], [("f", {"x": 1}), ("f", {"x": 2}, None)], [("f", None, 1), ("f", None, 2)]),
])
def test_results_are_answered_in_the_order_of_the_calls_each_with_its_id(due, results, answered):
    calls = [call(name, id)["functionCall"] for name, id in due]
    content = results_content(calls, [CallResult(*result) for result in results])
    assert content == {"role": "user", "parts": [{"functionResponse": {
        **({"id": id} if id else {}), "name": name, "response": {"x": x}}} for name, id, x in answered]}


@pytest.mark.parametrize("due, results, words", [
    ([], [("f", {})], "no call of f waits for a result; owed: none"),
    ([("f", "1")], [("g", {})], r"no call of g waits for a result; owed: f \(id 1\)"),
    ([("f", "1")], [("f", {}, "2")], r"no call of f \(id 2\) waits for a result; owed: f \(id 1\)"),
    ([("f", "1")], [("f", {}), ("f", {})], "no call of f waits for a result; owed: none"),
    ([("f", "1"), ("g", None)], [("f", {})], "still owed: g"),
    ([("f", "1")], [], r"still owed: f \(id 1\)"),
])
def test_results_that_do_not_fit_the_calls_are_refused_with_what_is_owed(due, results, words):
    with pytest.raises(ValueError, match=words):
        results_content([call(name, id)["functionCall"] for name, id in due], [CallResult(*item) for item in results])


def odd_turns():
    """A conversation with something odd in one place."""
    for odd in (None, "x", 5, [], {}, [5], {"a": 5}):
        for place in ("functionCall", "functionResponse", "text"):
            yield [HI, model({place: odd}), RESULT]
            yield [HI, CALL, {"role": "user", "parts": [{place: odd}]}]
        for name in ("name", "id", "args"):
            yield [HI, model({"functionCall": {"name": "f", "args": {}, name: odd}}), RESULT]
        for name in ("name", "id", "response"):
            response = {"name": "f", "response": {}, name: odd}
            yield [HI, CALL, {"role": "user", "parts": [{"functionResponse": response}]}]
        for role in (odd, "user", "model"):
            yield [HI, {"role": role, "parts": odd}, RESULT]
    yield [HI, model({"functionCall": {"args": {}}}), RESULT]
    yield [HI, CALL, {"role": "user", "parts": [{"functionResponse": {"response": {}}}]}]


@pytest.mark.parametrize("turns", list(odd_turns()))
def test_a_conversation_of_odd_shape_is_sent_as_it_is_or_refused_in_our_words(turns):
    for use in (lambda: next_turns(turns), lambda: check_history([*turns, HELLO]),
                lambda: check_next(check_history(turns[:2]), contents.from_prompt(turns[2:]))):
        try:
            use()
        except (ValueError, TypeError) as error:
            assert re.match("entry|the model|all calls|no call|a history", str(error)), error


# A history

@pytest.mark.parametrize("past", [
    [], (), [HI, HELLO], (HI, HELLO), [HI, CALL, RESULT, HELLO], [HELLO, HI], [HI, HI], [HI, HELLO, BYE], [HI, CALL],
    [HI, HELLO, HELLO], [HI, CALL, BYE, HELLO], [{"role": "user", "parts": [{"text": ""}]}, HELLO],
    [HI, {"role": "model", "parts": [{"text": ""}]}],
])
def test_a_history_is_checked_and_copied(past):
    built = check_history(past)
    assert built == list(past)
    assert check_history(json.loads(json.dumps(built))) == built
    spoil(built)
    assert all("spoilt" not in item for item in past)


@pytest.mark.parametrize("past, error, words", [
    ("hi", TypeError, "list of content dicts.*str"),
    (HI, TypeError, "list of content dicts.*dict"),
    (5, TypeError, "list of content dicts.*int"),
    (["hi"], ValueError, "entry 0 of the history"),
    ([HI, {"text": "hello"}], ValueError, "entry 1 of the history"),
    ([CALL, RESULT], ValueError, "entry 0 of the history.*nothing came before"),
    ([HI, {"role": "assistant", "parts": [{"text": "a"}]}], ValueError, "entry 1 of the history.*'assistant'"),
    ([{"role": "user", "content": "hi"}], ValueError, "entry 0 of the history.*no parts"),
    ([HI, model(call("f"), call("g")), RESULT, HELLO], ValueError, "entry 3 of the history.*owed: g"),
    ([HI, HELLO, RESULT, HELLO], ValueError, "no call of f"),
])
def test_a_list_that_is_no_conversation_is_refused_with_the_entry(past, error, words):
    before = copy.deepcopy(past)
    with pytest.raises(error, match=words):
        check_history(past)
    assert past == before


# Requests

@pytest.mark.parametrize("options, request_fields", [
    ({}, {}),
    ({"model": "m", "session_id": "s"}, {}),
    ({"system_prompt": "be brief"}, {"systemInstruction": {"role": "user", "parts": [{"text": "be brief"}]}}),
    ({"system_prompt": ""}, {}),
    ({"temperature": 0, "top_p": 0.5, "top_k": 3, "max_output_tokens": 5, "stop_sequences": ["a"], "seed": 0,
      "candidate_count": 2, "presence_penalty": 0.0, "frequency_penalty": -1},
     {"generationConfig": {
         "temperature": 0, "topP": 0.5, "topK": 3, "maxOutputTokens": 5, "stopSequences": ["a"], "seed": 0,
         "candidateCount": 2, "presencePenalty": 0.0, "frequencyPenalty": -1}}),
    ({"thinking_budget": 0}, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
    ({"thinking_level": "low", "include_thoughts": True},
     {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}}),
    ({"include_thoughts": False}, {"generationConfig": {"thinkingConfig": {"includeThoughts": False}}}),
    ({"response_mime_type": "text/x.enum"}, {"generationConfig": {"responseMimeType": "text/x.enum"}}),
    ({"response_schema": {"type": "object", "my_key": {}}},
     {"generationConfig": {"responseJsonSchema": {"type": "object", "my_key": {}},
                           "responseMimeType": "application/json"}}),
    ({"response_schema": {"enum": ["a"]}, "response_mime_type": "text/x.enum"},
     {"generationConfig": {"responseJsonSchema": {"enum": ["a"]}, "responseMimeType": "text/x.enum"}}),
    ({"tool_choice": "none"}, {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}),
    ({"tools": [{"googleSearch": {}}], "tool_config": {"functionCallingConfig": {"mode": "ANY"}},
      "safety_settings": [{"category": "C", "threshold": "T"}], "labels": {"my_team": "a_b"}},
     {"tools": [{"googleSearch": {}}], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
      "safetySettings": [{"category": "C", "threshold": "T"}], "labels": {"my_team": "a_b"}}),
    ({"cached_content": "cachedContents/a"}, {"cachedContent": "cachedContents/a"}),
])
def test_what_is_set_is_sent_by_the_apis_name_and_what_is_not_is_not(options, request_fields):
    before = copy.deepcopy(options)
    assert contents.build_request([HI], GeminiOptions(**options)) == {"contents": [HI], **request_fields}
    assert options == before


@pytest.mark.parametrize("extra, request_fields", [
    ({}, {"generationConfig": {"temperature": 0.5, "thinkingConfig": {"thinkingBudget": 5}}}),
    ({"generationConfig": {"responseModalities": ["IMAGE"]}},
     {"generationConfig": {"temperature": 0.5, "thinkingConfig": {"thinkingBudget": 5},
                           "responseModalities": ["IMAGE"]}}),
    ({"generationConfig": {"temperature": 1, "thinkingConfig": {"includeThoughts": True}}},
     {"generationConfig": {"temperature": 1, "thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True}}}),
    ({"generationConfig": None}, {"generationConfig": None}),
    ({"snake_case": {"a": 1}, "generationConfig": 5}, {"snake_case": {"a": 1}, "generationConfig": 5}),
    ({"contents": []}, {"contents": [], "generationConfig": {"temperature": 0.5,
                                                             "thinkingConfig": {"thinkingBudget": 5}}}),
])
def test_extra_is_laid_over_the_request_last_dicts_key_by_key(extra, request_fields):
    before = copy.deepcopy(extra)
    options = GeminiOptions(temperature=0.5, thinking_budget=5, extra=extra)
    assert contents.build_request([HI], options) == {"contents": [HI], **request_fields}
    assert extra == before


def test_extra_does_not_reach_into_the_users_other_options():
    schema, settings = {"type": "object", "properties": {}}, {"functionCallingConfig": {"mode": "AUTO"}}
    options = GeminiOptions(response_schema=schema, tool_config=settings, extra={
        "generationConfig": {"responseJsonSchema": {"properties": {"a": {}}}},
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}})
    request = contents.build_request([HI], options)
    assert request["generationConfig"]["responseJsonSchema"] == {"type": "object", "properties": {"a": {}}}
    assert request["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert schema == {"type": "object", "properties": {}}
    assert settings == {"functionCallingConfig": {"mode": "AUTO"}}


def test_the_stand_in_for_a_signature_goes_on_the_first_call_of_each_turn_since_the_users_last_text():
    past = [HI, model(call("old")), *user({"functionResponse": {"name": "old", "response": {}}}), HELLO]
    recent = [BYE, model({"text": "a"}, call("f"), call("g")), RESULT, model(call("h", signature="s"), call("i")),
              RESULT, model({"text": "b"})]
    before = copy.deepcopy(past + recent)
    expected = copy.deepcopy(before)
    expected[5]["parts"][1]["thoughtSignature"] = "skip_thought_signature_validator"
    options = GeminiOptions(fill_missing_signatures=True)
    assert contents.build_request(past + recent, options)["contents"] == expected
    assert past + recent == before
    assert contents.build_request(past + recent, GeminiOptions())["contents"] == before


def test_in_a_conversation_without_text_the_stand_in_goes_on_every_turns_first_call():
    past = [*user(IMAGE), model(call("f")), RESULT]
    signed = contents.build_request(past, GeminiOptions(fill_missing_signatures=True))["contents"]
    assert signed == [past[0], model(call("f", signature="skip_thought_signature_validator")), RESULT]


@pytest.mark.parametrize("value", [5, "object", b"{}"])
def test_what_is_no_schema_is_refused(value):
    with pytest.raises((TypeError, ValueError), match="response_schema"):
        contents.build_request([HI], GeminiOptions(response_schema=value))


def test_only_contents_are_sent_when_nothing_else_is_asked_for():
    assert contents.build_request([HI], GeminiOptions()) == {"contents": [HI]}


@pytest.mark.parametrize("size, warned", [(20_000_001, True), (10_000_001, True), (9_000_000, False)])
def test_attachments_above_20_mb_are_warned_about_by_name_of_the_way_out(size, warned, caplog):
    contents.from_prompt(["Sum up.", (bytes(size), "application/pdf"), (bytes(size), "application/pdf")])
    assert ("client.files.upload" in caplog.text) == warned


def test_what_stands_for_a_part_is_an_item_of_a_prompt():
    class Kept:
        def to_part(self):
            return {"text": "kept"}

    assert contents.from_prompt(["a", Kept()])[0]["parts"] == [{"text": "a"}, {"text": "kept"}]
