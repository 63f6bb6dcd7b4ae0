"""The laws of tools: what the model is told of a Python function, under which name, and what its call gives back."""
import base64
import contextvars
import dataclasses
import datetime
import enum
import functools
import json
import logging
import pickle
from typing import Any, Dict, List, Optional, Set

import pytest

from gemini_lite.media import Blob
from gemini_lite.tools import Tool, Toolbox, run, run_all
from gemini_lite.turns.calls import FunctionCall

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


@dataclasses.dataclass
class Place:
    name: str
    height: float = 0.0


def get_weather(city: str, unit: Unit = Unit.C, days: int = 1):
    """Current weather for a city.

    Args:
        city: Name of the city.
    """
    return {"city": city, "unit": unit, "days": days}


def parameters(function):
    return Tool.from_function(function).to_api()["parametersJsonSchema"]


def called(function, **args):
    return run(Tool.from_function(function), FunctionCall("any", args)).response


# What the model is told

def test_a_function_is_declared_by_its_name_signature_and_docstring():
    assert Tool.from_function(get_weather).to_api() == {
        "name": "get_weather",
        "description": "Current weather for a city.",
        "parametersJsonSchema": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city."},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }


def test_what_is_empty_is_not_declared():
    def ping():
        pass

    assert Tool.from_function(ping).to_api() == {"name": "ping"}
    assert Tool("x", "y").to_api() == {"name": "x", "description": "y"}
    assert Tool("x", "y", {}).to_api() == {"name": "x", "description": "y"}


def test_a_tool_by_hand_says_the_schema_it_was_given():
    given = {"type": "object", "properties": {"a": {"type": "string", "x-mine": 1}}}
    declaration = Tool("x", "y", given).to_api()
    assert declaration == {"name": "x", "description": "y", "parametersJsonSchema": given}
    declaration["parametersJsonSchema"]["properties"].clear()
    assert Tool("x", "y", given).to_api()["parametersJsonSchema"] == given != {"type": "object", "properties": {}}


def test_a_tool_may_rename_and_describe_a_function():
    tool = Tool("weather", "Weather.", function=get_weather)
    assert tool.to_api() == {**Tool.from_function(get_weather).to_api(), "name": "weather", "description": "Weather."}


class Station:
    """A weather station."""

    def __init__(self, name):
        self.name = name

    def read(self, days: int):
        """Read the station."""
        return [self.name, days]

    @classmethod
    def of_class(cls, days: int):
        return [cls.__name__, days]

    @staticmethod
    def of_nobody(days: int):
        return days

    def __call__(self, days: int):
        return [self.name, days]


def twice(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return [function(*args, **kwargs)] * 2
    return inner


class Counting:
    """A decorator that is an object."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def read(days: int):
    """Read it."""
    return days


def read_two(station, days: int):
    """Read it."""
    return [station, days]


@pytest.mark.parametrize("function, name, description, result", [
    (read, "read", "Read it.", 3),
    (Station("A").read, "read", "Read the station.", ["A", 3]),
    (Station.of_class, "of_class", None, ["Station", 3]),
    (Station.of_nobody, "of_nobody", None, 3),
    (Station("A"), "Station", "A weather station.", ["A", 3]),
    (twice(read), "read", "Read it.", [3, 3]),
    (Counting(read), "read", "Read it.", 3),
    (functools.lru_cache()(read), "read", "Read it.", 3),
    (functools.partial(read_two, "A"), "read_two", "Read it.", ["A", 3]),
    (functools.partial(read_two, station="A"), "read_two", "Read it.", ["A", 3]),
    (functools.partial(functools.partial(read_two), station=object), "read_two", "Read it.", None),
    (functools.partial(Station("A")), "Station", "A weather station.", ["A", 3]),
    (functools.update_wrapper(functools.partial(read_two, "A"), read), "read", "Read it.", ["A", 3]),
])
def test_every_kind_of_callable_is_declared_and_called(function, name, description, result):
    tool = Tool.from_function(function)
    assert tool.name == name and tool.to_api().get("description") == description
    schema = tool.to_api()["parametersJsonSchema"]
    assert schema["properties"] == {"days": INTEGER} and schema["required"] == ["days"]
    if result is not None:
        assert run(tool, FunctionCall(name, {"days": 3})).response == {"result": result}


def test_the_model_does_not_see_what_a_partial_has_filled_in():
    def search(text: str, connection: object, limit: int = 10):
        return [text, connection.name, limit]

    partial = functools.partial(search, connection=Station("db"), limit=5)
    assert list(parameters(partial)["properties"]) == ["text"]
    assert called(partial, text="x") == {"result": ["x", "db", 5]}
    assert "connection is unknown" in called(partial, text="x", connection=1)["error"]


def no_hint(city): ...


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_tool_has_a_name(name):
    with pytest.raises(ValueError, match="a tool has a name"):
        Tool(name, "y")


# Docstrings

@pytest.mark.parametrize("docstring, rest", [
    ("Find.\n\nArgs:\n    city: The city.\n\nReturns:\n    A dict.", "\n\nReturns:\n    A dict."),
    ("Find.\n\nParameters\n----------\ncity : str\n    The city.", ""), ("Find.\n\n:param str city: The city.", ""),
])
def test_a_parameter_list_moves_from_the_description_to_the_parameters(docstring, rest):
    def find(city: str):
        pass

    find.__doc__ = docstring
    declaration = Tool.from_function(find).to_api()
    assert declaration["description"] == "Find." + rest
    assert declaration["parametersJsonSchema"]["properties"] == {"city": {**STRING, "description": "The city."}}


@pytest.mark.parametrize("name", ["self", "cls", "where", "make", "value", "args", "kwargs", "name", "tool", "call"])
def test_a_parameter_of_any_name_reaches_the_function(name):
    names: Dict[str, Any] = {}
    exec(f"def f({name}: int): return {name}", names)
    for tool in (Tool.from_function(names["f"]), Tool("f", "y", {"type": "object"}, names["f"])):
        assert run(tool, FunctionCall("f", {name: 7})).response == {"result": 7}


# Calling

def test_a_call_gives_the_function_what_its_hints_say():
    seen = []

    def visit(place: Place, unit: Unit, day: datetime.date, names: Set[str], more: Optional[List[Place]] = None):
        seen.append((place, unit, day, names, more))

    assert called(visit, place={"name": "Rome"}, unit="celsius", day="2024-02-29", names=["a", "a"],
                  more=[{"name": "Oslo", "height": 1}]) == {"result": None}
    assert seen == [(Place("Rome"), Unit.C, datetime.date(2024, 2, 29), {"a"}, [Place("Oslo", 1.0)])]


@pytest.mark.parametrize("args, complaint", [
    ({}, "city is missing; it must be a string"),
    ({"city": 3}, "city must be a string, not 3"),
    ({"city": "Rome", "unit": "kelvin"}, "unit must be one of 'celsius', 'fahrenheit', not 'kelvin'"),
    ({"city": "Rome", "days": "2"}, "days must be an integer, not '2'"),
    ({"city": "Rome", "town": 1}, "town is unknown; the names are: city, unit, days"),
])
def test_arguments_that_do_not_fit_go_back_to_the_model_and_nothing_is_called(args, complaint):
    def spy(*args, **kwargs):
        raise AssertionError("called")

    tool = Tool.from_function(functools.update_wrapper(spy, get_weather))
    expected = {"error": "The function was not called: " + complaint}
    assert run(tool, FunctionCall("get_weather", args)).response == expected


def test_a_tool_by_hand_gets_plain_json_that_its_signature_takes():
    tool = Tool("x", "y", {"type": "object", "properties": {"city": STRING}}, lambda city, **rest: [city, rest])
    assert run(tool, FunctionCall("x", {"city": 3, "a": {"b": 1}})).response == {"result": [3, {"a": {"b": 1}}]}
    assert run(tool, FunctionCall("x", {})).response == {
        "error": "The function was not called: missing a required argument: 'city'"}


def test_a_function_may_change_its_arguments_without_changing_the_call():
    def grow(items: list, table: Dict[str, Any]):
        items.append(1)
        table["a"].append(1)

    for tool in (Tool.from_function(grow), Tool("x", "y", {"type": "object"}, grow)):
        call = FunctionCall("grow", {"items": [], "table": {"a": []}})
        run(tool, call)
        assert call.args == {"items": [], "table": {"a": []}}


@pytest.mark.parametrize("result, response", [
    ({"a": Unit.C}, {"a": "celsius"}), (Place("Rome"), {"name": "Rome", "height": 0.0}),
    ([1, (2,)], {"result": [1, [2]]}), ("text", {"result": "text"}), (None, {"result": None}), (0, {"result": 0}),
    ({}, {}),
])
def test_a_result_that_is_no_object_is_wrapped(result, response):
    assert called(functools.update_wrapper(lambda: result, read_nothing)) == response


def read_nothing():
    """Nothing."""


def test_what_a_tool_raises_goes_to_the_model_and_to_the_log(caplog):
    def fail(city: str):
        raise LookupError("no such city: " + city)

    assert called(fail, city="Rome") == {"error": "LookupError: no such city: Rome"}
    record, = caplog.records
    assert record.name == "gemini_lite" and record.levelno == logging.ERROR
    assert "fail" in record.getMessage() and record.exc_info[0] is LookupError


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_not_the_models_business(stop):
    def wait():
        raise stop

    with pytest.raises(stop):
        called(wait)


def test_an_error_that_has_no_words_goes_to_the_model_by_its_name():
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    def work():
        """Work."""
        raise Odd

    assert run(Tool.from_function(work), FunctionCall("work", {})).response == {"error": "Odd"}


def test_what_a_tool_raises_can_be_sent_whatever_its_words_are():
    def fail():
        raise LookupError("no file \udcff")

    assert called(fail) == {"error": "LookupError: no file \\udcff"}


@pytest.mark.parametrize("result, error", [
    ({"a": b""}, TypeError), (float("nan"), ValueError), (iter(()), TypeError), ({"name": "\udcff"}, ValueError),
    ("\ud83d", ValueError), (functools.reduce(lambda inner, _: [inner], range(150), "x"), ValueError)])
def test_a_result_that_json_cannot_say_is_a_failure_that_names_the_tool_and_that_the_model_reads(result, error):
    output = run(Tool.from_function(functools.update_wrapper(lambda: result, read_nothing)), FunctionCall("x", {}))
    assert type(output.failure) is error and str(output.failure).startswith("the result of the tool read_nothing")
    assert str(output.failure) in output.response["error"]


PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
PICTURE = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}


class Picture:
    """Looks like a ``PIL.Image``."""

    format = "PNG"

    def getbands(self):
        return ("R",)

    def save(self, file, format=None):
        file.write(PNG)


class UploadedFile:
    """Looks like a file that the API keeps."""

    def to_part(self):
        return UPLOADED


UPLOADED = {"fileData": {"fileUri": "https://example.com/files/x", "mimeType": "video/mp4"}}


@pytest.mark.parametrize("result, response, parts", [
    (PNG, {}, [PICTURE]), ((PNG, "image/png"), {}, [PICTURE]), (Blob("image/png", PNG), {}, [PICTURE]),
    (Picture(), {}, [PICTURE]), (bytearray(PNG), {}, [PICTURE]),
    ([PNG, Picture()], {}, [PICTURE, PICTURE]), (["two", PNG], {"result": "two"}, [PICTURE]),
    ((PNG, {"a": 1}), {"a": 1}, [PICTURE]), ([1, PNG, 2], {"result": [1, 2]}, [PICTURE]),
    (Blob("audio/pcm;rate=24000", b"ab"), {}, [Blob("audio/pcm;rate=24000", b"ab").to_part()]),
    (UploadedFile(), {}, [UPLOADED]),
    (("a", "b"), {"result": ["a", "b"]}, []), ([], {"result": []}, []),
])
def test_pictures_sound_and_files_are_sent_as_parts_beside_the_rest(result, response, parts):
    output = run(Tool.from_function(functools.update_wrapper(lambda: result, read_nothing)), FunctionCall("x", {}))
    assert output == (response, parts or (), None) or output == (response, parts, None)


def test_bytes_of_no_known_type_are_a_failure_that_says_what_to_write():
    output = run(Tool.from_function(functools.update_wrapper(lambda: b"what", read_nothing)), FunctionCall("x", {}))
    assert "type/subtype" in str(output.failure)


def test_tools_in_threads_see_the_callers_context():
    variable = contextvars.ContextVar("variable", default="lost")
    variable.set("mine")
    tool = Tool.from_function(functools.update_wrapper(lambda: variable.get(), read_nothing))
    outputs = run_all([(tool, FunctionCall("x", {}))] * 3, parallel=True)
    assert [output.response for output in outputs] == [{"result": "mine"}] * 3


def test_a_tool_without_a_function_cannot_be_run():
    with pytest.raises(TypeError, match="the tool x has no function"):
        run(Tool("x", "y"), FunctionCall("x", {}))


def test_a_tool_pickles_with_its_function():
    tool = pickle.loads(pickle.dumps(Tool.from_function(get_weather)))
    assert tool.to_api() == Tool.from_function(get_weather).to_api()
    assert run(tool, FunctionCall("", {"city": "Rome"})).response == {"city": "Rome", "unit": "celsius", "days": 1}
    assert repr(tool) == "Tool('get_weather')"


# The toolbox

def test_all_declarations_are_in_one_entry_where_the_first_of_them_stood():
    by_hand = {"name": "by_hand", "parameters": {"type": "OBJECT", "properties": {}}}
    tools = [{"googleSearch": {}}, get_weather, Tool("x", "y"), {"urlContext": {}}, by_hand,
             {"functionDeclarations": [{"name": "z"}], "codeExecution": {}}]
    assert Toolbox(tools).to_api() == [
        {"googleSearch": {}},
        {"functionDeclarations": [Tool.from_function(get_weather).to_api(), {"name": "x", "description": "y"}, by_hand,
                                  {"name": "z"}]},
        {"urlContext": {}},
        {"codeExecution": {}},
    ]


@pytest.mark.parametrize("tools", [
    [], [{"googleSearch": {}}, {"codeExecution": {}}],
    [{"functionDeclarations": [{"name": "a", "description": "d", "parameters": {"type": "OBJECT"}}, {"name": "b"}]}],
    [{"functionDeclarations": [{"name": "a"}], "googleSearch": {}}, {"urlContext": {}}],
    [{"functionDeclarations": []}],
])
def test_tools_in_the_apis_own_form_go_out_as_they_are(tools):
    before = json.dumps(tools)
    assert Toolbox(tools).to_api() == tools and json.dumps(tools) == before


@pytest.mark.parametrize("name", ["a", "_", "A.b:c-d_9", "x" * 64])
def test_a_lawful_name_is_never_changed(name):
    box = Toolbox([{"name": "a b"}, {"name": "9"}, {"name": name}])
    assert box.wire_name(name) == box.user_name(name) == name


@pytest.mark.parametrize("names, wire", [
    (["9a"], ["_9a"]), (["a b"], ["a_b"]), (["größe"], ["gr__e"]), (["-a"], ["_-a"]), (["x" * 65], ["x" * 64]),
    (["a b", "a_b", "a/b"], ["a_b_2", "a_b", "a_b_3"]), (["x" * 65, "x" * 66], ["x" * 64, "x" * 62 + "_2"]),
    (["9" * 64], ["_" + "9" * 63]), (["\n"], ["_"]), (["a\n"], ["a_"]),
])
def test_an_unlawful_name_travels_as_a_lawful_one_of_its_own(names, wire):
    box = Toolbox([{"name": name} for name in names])
    assert [item["name"] for item in box.to_api()[0]["functionDeclarations"]] == wire
    assert [box.wire_name(name) for name in names] == wire
    assert [box.user_name(name) for name in wire] == names


def test_a_name_that_is_no_tools_stays():
    assert Toolbox([{"name": "a"}]).wire_name("b c") == Toolbox().user_name("b c") == "b c"


def test_the_tool_for_a_call_is_found_by_the_name_on_the_wire():
    tool = Tool("get weather!", "y", function=get_weather)
    box = Toolbox([tool, {"name": "by_hand"}, Tool("me", "z"), read])
    assert box.tool("get_weather_") is tool and box.tool("read").function is read
    assert box.tool("by_hand") is box.tool("me") is box.tool("nobody") is None


@pytest.mark.parametrize("choice, config", [
    ("auto", {"mode": "AUTO"}), ("any", {"mode": "ANY"}), ("none", {"mode": "NONE"}),
    ("validated", {"mode": "VALIDATED"}), ("a", {"mode": "ANY", "allowedFunctionNames": ["a"]}),
    (["b c", "a"], {"mode": "ANY", "allowedFunctionNames": ["b_c", "a"]}),
    (["none"], {"mode": "ANY", "allowedFunctionNames": ["none"]}),
])
def test_a_choice_is_a_mode_or_names(choice, config):
    box = Toolbox([{"name": "a"}, {"name": "b c"}, {"name": "none"}])
    assert box.choice(choice) == {"functionCallingConfig": config}


@pytest.mark.parametrize("choice, error, complaint", [
    ("b", ValueError, r"'b', which is neither a mode \(auto, any, none, validated\) nor one of the tools \(a\)"),
    (["a", "b"], ValueError, "'b'"), ([["a"]], ValueError, "neither a mode"),
    ("AUTO", ValueError, "'AUTO'"), ([], TypeError, "tool_choice is"),
    (3, TypeError, "not 3"), (None, TypeError, "not None"),
])
def test_a_choice_of_nothing_known_is_refused(choice, error, complaint):
    with pytest.raises(error, match=complaint):
        Toolbox([{"name": "a"}]).choice(choice)


@pytest.mark.parametrize("tools, error, complaint", [
    ([get_weather, {"name": "get_weather"}], ValueError, "two tools are named get_weather"),
    ([{"functionDeclarations": [{"name": "a"}, {"name": "a"}]}], ValueError, "two tools are named a"),
    ([{"functionDeclarations": None}], TypeError, r"tools\[0\].functionDeclarations is a list, not None"),
    ([{"name": ""}], ValueError, r"tools\[0\] is no declaration with a name"),
    ([{"urlContext": {}}, {"functionDeclarations": [{"description": "x"}]}], ValueError,
     r"tools\[1\]\.functionDeclarations\[0\] is no declaration"),
    ([{"type": "function", "function": {"name": "a"}}], ValueError, "OpenAI's form"),
    (["get_weather"], TypeError, r"tools\[0\] is 'get_weather': give a function"),
    ([{"name": "a", "parameters": b""}], TypeError, r"tools\[0\]\.parameters is of the type bytes"),
    (get_weather, TypeError, "tools is a list"), ({"googleSearch": {}}, TypeError, "tools is a list"),
    ("ab", TypeError, "tools is a list"), ([no_hint], TypeError, "no_hint.city has no type hint"),
])
def test_what_is_no_tool_is_refused_with_its_place(tools, error, complaint):
    with pytest.raises(error, match=complaint):
        Toolbox(tools)


# pydantic, of the version that is there

def test_a_pydantic_parameter_arrives_as_the_model():
    pydantic = pytest.importorskip("pydantic")
    Town = pydantic.create_model("Town", name=(str, ...))

    def visit(towns):
        assert all(isinstance(town, Town) for town in towns)
        return towns

    visit.__annotations__ = {"towns": List[Town]}
    assert called(visit, towns=[{"name": "Rome"}]) == {"result": [{"name": "Rome"}]}
    assert "name" in called(visit, towns=[{}])["error"]
