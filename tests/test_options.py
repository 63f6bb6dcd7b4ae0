"""Options are one frozen value; what cannot be meant is refused before anything is sent."""
import dataclasses
import pickle

import pytest

from gemini_lite import GeminiOptions

NAMES = [field.name for field in dataclasses.fields(GeminiOptions)]
STRINGS = ["model", "system_prompt", "thinking_level", "response_mime_type", "cached_content", "session_id"]
FLAGS = ["include_thoughts", "parallel_tools", "fill_missing_signatures"]
NUMBERS = ["temperature", "top_p", "presence_penalty", "frequency_penalty"]
WHOLE = ["top_k", "max_output_tokens", "seed", "candidate_count", "thinking_budget"]
LISTS = ["stop_sequences", "tools", "safety_settings"]
DICTS = ["tool_config", "labels", "extra"]
GOOD = [*((name, "x") for name in STRINGS), *((name, value) for name in NUMBERS for value in (0, 0.5, -1)),
        *((name, value) for name in WHOLE for value in (0, -1, 2 ** 40)), *((name, []) for name in LISTS),
        *((name, {}) for name in DICTS), *((name, value) for name in FLAGS for value in (True, False)),
        ("stop_sequences", ("a",)), ("max_tool_rounds", 0), ("max_tool_rounds", 1), ("tool_choice", "any"),
        ("tool_choice", ["f"])]
BAD = [*((name, value) for name in STRINGS for value in (5, b"x", ["x"], True)),
       *((name, value) for name in NUMBERS for value in ("0.5", True, [], 1j)),
       *((name, value) for name in WHOLE for value in ("5", 0.5, 5.0, True)),
       *((name, value) for name in LISTS for value in ("END", {}, 5)),
       *((name, value) for name in DICTS for value in ([], "x", 5)),
       *((name, value) for name in FLAGS for value in (1, 0, "yes")),
       ("max_tool_rounds", 1.5), ("max_tool_rounds", True), ("tool_choice", 5), ("tool_choice", {})]


def test_every_option_is_unset_until_it_is_set_but_those_that_are_not_sent():
    unset = GeminiOptions()
    assert {name: getattr(unset, name) for name in NAMES if getattr(unset, name) is not None} == {
        "max_tool_rounds": 10, "parallel_tools": False, "fill_missing_signatures": False}


@pytest.mark.parametrize("name, value", GOOD)
def test_an_option_is_kept_as_given(name, value):
    assert getattr(GeminiOptions(**{name: value}), name) == value
    assert getattr(GeminiOptions().replace(**{name: value}), name) == value


WORDS = {"tool_choice": "'auto', ", "max_tool_rounds": "a whole number", **{
    name: words for names, words in [(STRINGS, "a string"), (NUMBERS, "a number"), (WHOLE, "a whole number"),
                                     (LISTS, "a list"), (DICTS, "a dict"), (FLAGS, "True or False")] for name in names}}


@pytest.mark.parametrize("name, value", BAD)
def test_an_option_of_the_wrong_type_is_refused_by_its_name(name, value):
    words = "^%s must be %s.*, not %s$" % (name, WORDS[name], type(value).__name__)
    with pytest.raises(TypeError, match=words):
        GeminiOptions(**{name: value})
    with pytest.raises(TypeError, match=words):
        GeminiOptions().replace(**{name: value})


def test_every_option_of_this_test_exists_and_every_option_is_tested():
    assert {name for name, _ in GOOD} == {name for name, _ in BAD} == set(NAMES) - {"response_schema"}


def test_an_unknown_option_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(TypeError, match="temprature"):
        GeminiOptions(temprature=1)
    with pytest.raises(TypeError, match="'temprature'.*temperature"):
        GeminiOptions().replace(temprature=1)


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
    (None, None), ("auto", "auto"), ("none", "none"), ("any", None), ("f", None), (["f"], None),
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
