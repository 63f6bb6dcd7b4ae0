"""Options are one frozen value; what cannot be meant is refused before anything is sent."""
import dataclasses
import inspect
import pickle
import typing

import pytest

import gemini_lite.options as options_room
from gemini_lite import GeminiOptions, Tool
from gemini_lite.contents import build_request
from gemini_lite.options.overrides import CacheOverrides, ChatOverrides, OptionFields, Overrides, QueryOverrides
from gemini_lite.tools import ToolLike

NAMES = [field.name for field in dataclasses.fields(GeminiOptions)]
STRINGS = ["model", "thinking_level", "response_mime_type", "cached_content", "session_id", "media_resolution"]
FLAGS = ["include_thoughts", "parallel_tools", "fill_missing_signatures", "response_logprobs"]
NUMBERS = ["temperature", "top_p", "presence_penalty", "frequency_penalty"]
WHOLE = ["top_k", "max_output_tokens", "seed", "candidate_count", "thinking_budget", "logprobs"]
LISTS = ["stop_sequences", "tools", "safety_settings", "response_modalities"]
DICTS = ["tool_config", "labels", "image_config", "extra"]
GOOD = [*((name, "x") for name in STRINGS), *((name, value) for name in NUMBERS for value in (0, 0.5, -1)),
        *((name, value) for name in WHOLE for value in (0, -1, 2 ** 40)), *((name, []) for name in LISTS),
        *((name, {}) for name in DICTS), *((name, value) for name in FLAGS for value in (True, False)),
        ("stop_sequences", ("a",)), ("max_tool_rounds", 0), ("max_tool_rounds", 1), ("tool_choice", "any"),
        ("tool_choice", ["f"]), ("system_prompt", "x"), ("system_prompt", ["a", {"text": "b"}]), ("system_prompt", ()),
        ("speech_config", "Kore"), ("speech_config", {"voiceConfig": {}})]
BAD = [*((name, value) for name in STRINGS for value in (5, b"x", ["x"], True)),
       *((name, value) for name in NUMBERS for value in ("0.5", True, [], 1j)),
       *((name, value) for name in WHOLE for value in ("5", 0.5, 5.0, True)),
       *((name, value) for name in LISTS for value in ("END", {}, 5)),
       *((name, value) for name in DICTS for value in ([], "x", 5)),
       *((name, value) for name in FLAGS for value in (1, 0, "yes")),
       ("max_tool_rounds", 1.5), ("max_tool_rounds", True), ("tool_choice", 5), ("tool_choice", {}),
       *((name, value) for name in ("system_prompt", "speech_config") for value in (5, b"x", True)),
       ("system_prompt", {"text": "a"}), ("speech_config", ["Kore"])]


def test_every_option_is_unset_until_it_is_set_but_those_that_are_not_sent():
    unset = GeminiOptions()
    assert {name: getattr(unset, name) for name in NAMES if getattr(unset, name) is not None} == {
        "max_tool_rounds": 10, "parallel_tools": False, "fill_missing_signatures": False}


@pytest.mark.parametrize("name, value", GOOD)
def test_an_option_is_kept_as_given(name, value):
    assert getattr(GeminiOptions(**{name: value}), name) == value
    assert getattr(GeminiOptions().replace(**{name: value}), name) == value


WORDS = {name: words for names, words in [
    (STRINGS, "a string"), (NUMBERS, "a number"), (WHOLE, "a whole number"), (LISTS, "a list"), (DICTS, "a dict"),
    (FLAGS, "True or False")] for name in names}
WORDS.update({"tool_choice": "'auto', ", "max_tool_rounds": "a whole number",
              "system_prompt": "a string, or a list of", "speech_config": "the name of a voice"})


@pytest.mark.parametrize("name, value", BAD)
def test_an_option_of_the_wrong_type_is_refused_by_its_name(name, value):
    words = "^%s must be %s.*, not %s$" % (name, WORDS[name], type(value).__name__)
    with pytest.raises(TypeError, match=words):
        GeminiOptions(**{name: value})
    with pytest.raises(TypeError, match=words):
        GeminiOptions().replace(**{name: value})


def test_every_option_of_this_test_exists_and_every_option_is_tested():
    assert {name for name, _ in GOOD} == {name for name, _ in BAD} == set(NAMES) - {"response_schema"}


@pytest.mark.parametrize("make", [GeminiOptions, GeminiOptions().replace])
def test_an_unknown_option_is_refused_with_the_likely_one_or_the_list_of_all(make):
    with pytest.raises(TypeError, match="'temprature'.*did you mean 'temperature'"):
        make(temprature=1)
    with pytest.raises(TypeError, match="'max_tokens': write max_output_tokens"):
        make(max_tokens=1)
    with pytest.raises(TypeError) as caught:
        make(qqqq=1)
    assert all(name in str(caught.value) for name in [*NAMES, "deadline", "timeout", "retries"])


@pytest.mark.parametrize("name", ["deadline", "timeout", "retries"])
def test_what_holds_for_a_call_is_no_field_and_the_error_says_where_it_goes(name):
    with pytest.raises(TypeError, match=rf"client.generate\(prompt, {name}=...\)"):
        GeminiOptions(**{name: 1})


def test_the_fields_are_still_shown_as_the_signature():
    assert list(inspect.signature(GeminiOptions).parameters) == NAMES


def test_a_system_prompt_of_several_parts_holds_strings_and_dicts_alone():
    with pytest.raises(TypeError, match=r"system_prompt\[1\] must be a string or a part dict, not int"):
        GeminiOptions(system_prompt=["a", 5])


class Scalar:
    """A number as numpy has them."""
    shape = ()

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


class Array(Scalar):
    shape = (1,)


@pytest.mark.parametrize("name, value", [
    *((name, 3) for name in WHOLE), *((name, 0.5) for name in NUMBERS), *((name, True) for name in FLAGS)])
def test_a_scalar_of_numpy_is_the_python_number_that_it_holds(name, value):
    options = GeminiOptions(**{name: Scalar(value)})
    assert getattr(options, name) == value and type(getattr(options, name)) is type(value)
    assert options == GeminiOptions(**{name: value})


@pytest.mark.parametrize("name, value", [
    ("top_k", Scalar(0.5)), ("top_k", Scalar(True)), ("top_k", Array(5)), ("temperature", Scalar("0.5")),
    ("temperature", Scalar(1j)), ("include_thoughts", Scalar(1)), ("model", Scalar(5))])
def test_a_scalar_of_another_kind_is_refused(name, value):
    with pytest.raises(TypeError, match=name):
        GeminiOptions(**{name: value})


def test_numpys_own_scalars_are_taken():
    numpy = pytest.importorskip("numpy")
    options = GeminiOptions(temperature=numpy.float32(0.5), top_k=numpy.int64(3), include_thoughts=numpy.bool_(True))
    assert options == GeminiOptions(temperature=0.5, top_k=3, include_thoughts=True)


def fields_of(typed):
    return typing.get_type_hints(typed)


def test_the_typed_keywords_have_the_names_and_types_of_the_fields(monkeypatch):
    monkeypatch.setattr(options_room, "ToolLike", ToolLike, raising=False)  # where a type checker finds it
    hints = typing.get_type_hints(GeminiOptions, vars(options_room))
    assert fields_of(OptionFields) == hints
    limits = {"deadline", "timeout", "retries"}
    assert {name: hint for name, hint in fields_of(ChatOverrides).items() if name not in limits} == hints
    for typed, missing in ((Overrides, {"response_schema"}), (QueryOverrides, {"response_schema", "model"})):
        assert fields_of(typed).items() <= fields_of(ChatOverrides).items()
        assert fields_of(ChatOverrides).keys() - fields_of(typed).keys() == missing
    assert limits <= fields_of(QueryOverrides).keys()
    assert fields_of(CacheOverrides).items() <= hints.items()


def search(query: str) -> str:
    """Search."""
    return query


DECLARATION = {"name": "look_up"}


@pytest.mark.parametrize("tools, choice, kept, kept_choice", [
    ([search], "any", None, None), ([search], "search", None, None), ([search], None, None, None),
    ([search, DECLARATION], "any", [DECLARATION], "any"),
    ([search, DECLARATION], ["look_up"], [DECLARATION], ["look_up"]),
    ([search, DECLARATION], ["look_up", "search"], [DECLARATION], None),
    ([{"googleSearch": {}}, Tool("search", function=search)], "auto", [{"googleSearch": {}}], None),
])
def test_without_functions_the_other_tools_stay_and_a_choice_that_can_be_made(tools, choice, kept, kept_choice):
    reduced = GeminiOptions(tools=tools, tool_choice=choice, temperature=0).without_functions
    assert reduced == GeminiOptions(tools=kept, tool_choice=kept_choice, temperature=0)


def test_options_that_have_no_functions_stay_the_same_object():
    for options in (GeminiOptions(), GeminiOptions(tools=[DECLARATION, Tool("a", parameters={"type": "object"})])):
        assert options.without_functions is options


def test_the_two_ways_to_say_how_much_to_think_exclude_each_other():
    with pytest.raises(ValueError, match="thinking_budget and thinking_level"):
        GeminiOptions(thinking_budget=0, thinking_level="low")
    with pytest.raises(ValueError, match="thinking_budget and thinking_level"):
        GeminiOptions(thinking_budget=0).replace(thinking_level="low")
    assert GeminiOptions(thinking_budget=0).replace(thinking_budget=None, thinking_level="low").thinking_level == "low"


def test_the_short_and_the_long_form_of_a_tool_choice_exclude_each_other():
    with pytest.raises(ValueError, match="tool_choice and tool_config"):
        GeminiOptions(tool_choice="any", tool_config={})


@pytest.mark.parametrize("choice, next_choice", [
    (None, None), ("auto", "auto"), ("none", "none"), ("validated", "validated"), ("any", None), ("f", None),
    (["f"], None),
])
def test_a_choice_that_forces_a_call_holds_for_the_first_request_alone(choice, next_choice):
    options = GeminiOptions(tool_choice=choice, temperature=0)
    assert options.without_forced_calls() == GeminiOptions(tool_choice=next_choice, temperature=0)


@pytest.mark.parametrize("rounds", [-1, None])
def test_there_is_always_a_number_of_tool_rounds(rounds):
    with pytest.raises(ValueError, match="max_tool_rounds"):
        GeminiOptions(max_tool_rounds=rounds)


@pytest.mark.parametrize("model", ["", "  "])
def test_an_empty_model_name_is_refused(model):
    with pytest.raises(ValueError, match="model"):
        GeminiOptions(model=model)


def test_options_are_frozen_and_replace_makes_others():
    options = GeminiOptions(temperature=0.5, top_k=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.temperature = 1
    assert options.replace(temperature=None, seed=7) == GeminiOptions(top_k=3, seed=7)
    assert options == GeminiOptions(temperature=0.5, top_k=3)


def test_options_survive_a_pickle():
    options = GeminiOptions("m", temperature=0.5, stop_sequences=["a"], extra={"generationConfig": {"x": 1}})
    assert options.toolbox.to_api() == []  # what is made from the options does not travel with them
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize("fields, request_fields", [
    ({"response_modalities": ["TEXT", "IMAGE"]}, {"responseModalities": ["TEXT", "IMAGE"]}),
    ({"media_resolution": "low"}, {"mediaResolution": "MEDIA_RESOLUTION_LOW"}),
    ({"media_resolution": "MEDIA_RESOLUTION_HIGH"}, {"mediaResolution": "MEDIA_RESOLUTION_HIGH"}),
    ({"speech_config": "Kore"}, {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}),
    ({"speech_config": {"languageCode": "de-DE"}}, {"speechConfig": {"languageCode": "de-DE"}}),
    ({"image_config": {"aspectRatio": "16:9"}}, {"imageConfig": {"aspectRatio": "16:9"}}),
    ({"response_logprobs": True, "logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
])
def test_an_option_is_sent_by_the_name_that_the_api_gives_it(fields, request_fields):
    assert build_request([], GeminiOptions(**fields)) == {"contents": [], "generationConfig": request_fields}


@pytest.mark.parametrize("prompt, parts", [
    ("Be brief.", [{"text": "Be brief."}]),
    (["Be brief.", "Be kind."], [{"text": "Be brief."}, {"text": "Be kind."}]),
    (("Be brief.", {"text": "b"}), [{"text": "Be brief."}, {"text": "b"}]),
    ([{"inlineData": {"mimeType": "image/png"}}], [{"inlineData": {"mimeType": "image/png"}}]),
])
def test_a_system_prompt_has_a_part_for_each_item(prompt, parts):
    request = build_request([], GeminiOptions(system_prompt=prompt))
    assert request["systemInstruction"] == {"role": "user", "parts": parts}


@pytest.mark.parametrize("prompt", ["", [], ()])
def test_an_empty_system_prompt_is_not_sent(prompt):
    assert build_request([], GeminiOptions(system_prompt=prompt)) == {"contents": []}
