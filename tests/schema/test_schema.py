"""The laws of types: what is said of them to the model, what comes back as them, and what is refused by name."""
import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import sys
import types
import typing
import uuid
from typing import (
    Any, Callable, Dict, FrozenSet, Generic, Iterable, Iterator, List, Mapping, NamedTuple, NewType, Optional, Sequence,
    Set, Tuple, Type, TypeVar, Union,
)

import pytest

from gemini_lite.errors import ParseError
from gemini_lite.schema import from_json, to_json, to_schema

Literal = typing.Literal
T = TypeVar("T")
UserId = NewType("UserId", int)
STRING, INTEGER, NUMBER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "null"}


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(str, enum.Enum):
    ONE = "one"


class Odd(enum.Enum):
    PAIR = (1, 2)


class Empty(enum.Enum):
    pass


@dataclasses.dataclass
class City:
    name: str
    country: str = "FR"


@dataclasses.dataclass(frozen=True)
class Person:
    """Somebody."""

    name: str
    age: Optional[int]
    home: City
    color: Color = Color.RED
    born: Optional[datetime.datetime] = None
    place: Tuple[float, int] = (0.5, 1)
    tags: Set[str] = dataclasses.field(default_factory=set, metadata={"description": "Any words."})
    friends: List["City"] = dataclasses.field(default_factory=list)
    known: bool = dataclasses.field(default=True, init=False)


@dataclasses.dataclass
class Node:
    value: int
    next: Optional["Node"] = None
    children: List["Node"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Left:
    right: Optional["Right"] = None


@dataclasses.dataclass
class Right:
    left: Left = dataclasses.field(default_factory=Left)


@dataclasses.dataclass
class Adult:
    age: int

    def __post_init__(self):
        if self.age < 18:
            raise ValueError("too young")


@dataclasses.dataclass
class Starter:
    size: dataclasses.InitVar[int]


@dataclasses.dataclass
class Box(Generic[T]):
    content: T


class Point(NamedTuple):
    x: float
    y: float = 0.0


Bare = collections.namedtuple("Bare", "x y")


class Movie(typing.TypedDict):
    title: str
    year: int


class Maybe(typing.TypedDict, total=False):
    title: str


class Plain:
    pass


def an_object(properties, required=(), **words):
    schema = {"type": "object", "properties": properties, "additionalProperties": False, **words}
    return {**schema, "required": list(required)} if required else schema


CITY = an_object({"name": STRING, "country": {"type": "string", "default": "FR"}}, ["name"])

SAID = [  # a hint, its schema, pairs of JSON and what it is in Python, and JSON that does not fit
    (str, STRING, [("a", "a")], [1, None, True]),
    (int, INTEGER, [(1, 1), (-(10 ** 30), -(10 ** 30)), (3.0, 3)], [1.5, "1", True, None]),
    (float, NUMBER, [(1.5, 1.5), (2, 2.0)], ["1", True, None]),
    (bool, {"type": "boolean"}, [(True, True)], [0, 1, "true", None]),
    (None, NULL, [(None, None)], [0, "", False]),
    (type(None), NULL, [(None, None)], [0]),
    (Any, {}, [(None, None), ({"a": [1]}, {"a": [1]})], []),
    (UserId, INTEGER, [(7, 7)], ["7"]),
    (Optional[int], {"anyOf": [INTEGER, NULL]}, [(1, 1), (None, None)], ["1", True]),
    (Union[int, str], {"anyOf": [INTEGER, STRING]}, [(1, 1), ("1", "1")], [None, []]),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}, [("a", "a")], ["c", 1]),
    (Literal[1, 2], {"type": "integer", "enum": [1, 2]}, [(1, 1)], [True, "1", 3]),
    (Literal[True], {"type": "boolean", "enum": [True]}, [(True, True)], [1, False]),
    (Literal["a", None], {"anyOf": [{"type": "string", "enum": ["a"]}, NULL]}, [("a", "a"), (None, None)], ["b"]),
    (Literal["a", 1], {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}]},
     [("a", "a"), (1, 1)], ["1"]),
    (Literal[Color.RED], {"type": "string", "enum": ["red"]}, [("red", Color.RED)], ["blue"]),
    (Color, {"type": "string", "enum": ["red", "blue"]}, [("blue", Color.BLUE)], ["RED", None]),
    (Level, {"type": "integer", "enum": [1, 2]}, [(2, Level.HIGH)], [3, "1", True]),
    (Mixed, {"type": "string", "enum": ["one"]}, [("one", Mixed.ONE)], ["ONE"]),
    (list, {"type": "array", "items": {}}, [([1, "a"], [1, "a"])], ["ab", {}]),
    (List, {"type": "array", "items": {}}, [([1], [1])], [None]),
    (List[int], {"type": "array", "items": INTEGER}, [([], []), ([1], [1])], [["1"], 1]),
    (Sequence[int], {"type": "array", "items": INTEGER}, [([1], [1])], [["1"]]),
    (Iterable[int], {"type": "array", "items": INTEGER}, [([1], [1])], [["1"]]),
    (Set[str], {"type": "array", "items": STRING}, [(["a", "a"], {"a"})], [[1]]),
    (FrozenSet[str], {"type": "array", "items": STRING}, [(["a"], frozenset("a"))], [[1]]),
    (tuple, {"type": "array", "items": {}}, [([1], (1,))], [1]),
    (Tuple[int, ...], {"type": "array", "items": INTEGER}, [([1, 2], (1, 2))], [["a"]]),
    (Tuple[int, str], {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 2, "maxItems": 2},
     [([1, "a"], (1, "a"))], [[1], [1, "a", 2], ["a", 1], "ab"]),
    (dict, {"type": "object", "additionalProperties": True}, [({"a": 1}, {"a": 1})], [[]]),
    (Dict[str, int], {"type": "object", "additionalProperties": INTEGER}, [({"a": 1}, {"a": 1})], [{"a": "1"}, []]),
    (Mapping[str, Any], {"type": "object", "additionalProperties": True}, [({"a": None}, {"a": None})], [1]),
    (City, CITY, [({"name": "Rome"}, City("Rome")), ({"name": "Rome", "country": "IT"}, City("Rome", "IT"))],
     [{}, {"name": 1}, {"name": "Rome", "size": 1}, [], None]),
    (Point, an_object({"x": NUMBER, "y": {"type": "number", "default": 0.0}}, ["x"]),
     [({"x": 1}, Point(1.0)), ({"x": 1.5, "y": 2.5}, Point(1.5, 2.5))], [[1, 2], {"y": 1}]),
    (Movie, an_object({"title": STRING, "year": INTEGER}, ["title", "year"]),
     [({"title": "M", "year": 1931}, {"title": "M", "year": 1931})], [{"title": "M"}, {"title": "M", "year": "1931"}]),
    (Maybe, an_object({"title": STRING}), [({}, {}), ({"title": "M"}, {"title": "M"})], [{"year": 1}]),
]
MOMENTS = [
    (datetime.date, "date", "2024-02-29", datetime.date(2024, 2, 29)),
    (datetime.time, "time", "12:30:05", datetime.time(12, 30, 5)),
    (datetime.time, "time", "12:30", datetime.time(12, 30)),
    (datetime.datetime, "date-time", "2024-02-29T12:30:05", datetime.datetime(2024, 2, 29, 12, 30, 5)),
    (datetime.datetime, "date-time", "2024-02-29 12:30:05.5",
     datetime.datetime(2024, 2, 29, 12, 30, 5, 500000)),
    (datetime.datetime, "date-time", "2024-02-29t12:30:05.123456789z",
     datetime.datetime(2024, 2, 29, 12, 30, 5, 123456, datetime.timezone.utc)),
    (datetime.datetime, "date-time", "2024-02-29T12:30:05+02:00",
     datetime.datetime(2024, 2, 29, 12, 30, 5, 0, datetime.timezone(datetime.timedelta(hours=2)))),
]
NO_MOMENTS = [
    (datetime.date, "2023-02-29"), (datetime.date, "20240229"), (datetime.date, "2024-02-29T12:30:05"),
    (datetime.date, 1709164800), (datetime.time, "25:00:00"), (datetime.time, "noon"),
    (datetime.datetime, "2024-02-29"), (datetime.datetime, "tomorrow"), (datetime.datetime, None),
    (datetime.date, "\u0662\u0660\u0662\u0664-02-29"),
]
REFUSED = [
    (bytes, "str"), (bytearray, "str"), (complex, "Tuple[float, float]"), (object, "Any"), (Plain, "a dataclass"),
    (decimal.Decimal, "float"), (uuid.UUID, "str"), (pathlib.Path, "str"), (datetime.timedelta, "seconds"),
    (Callable, "Literal"), (Callable[[int], str], "Literal"), (Type[int], "Literal"), (Iterator[int], "List"),
    (T, "the type it stands for"), (Optional, "Optional[int]"), (Union, "Union[int, str]"), ("City", "not its name"),
    ([int], "List[...]"), (5, "a dataclass"), (Dict[int, str], "Dict[str, ...]"), (Odd, "a str or an int"),
    (Literal[b"a"], "a str or an int"), (Empty, "no values"), (List[Plain], "a dataclass"),
    (Box[int], "the type it stands for"), (Starter, "an InitVar is no field"), (Bare, "no type hint"),
    (collections.deque, "List"),
]


def id_of(value):
    return getattr(value, "__qualname__", None) or repr(value)


@pytest.mark.parametrize("hint, schema, fits, others", SAID, ids=lambda value: None)
class TestEachType:
    def test_is_said_in_json_schema(self, hint, schema, fits, others):
        assert to_schema(hint, "it") == schema

    def test_is_read_back(self, hint, schema, fits, others):
        for value, meant in fits:
            read = from_json(json.loads(json.dumps(value)), hint)
            assert read == meant and type(read) is type(meant)

    def test_refuses_what_does_not_fit(self, hint, schema, fits, others):
        for value in others:
            with pytest.raises(ParseError):
                from_json(value, hint)

    def test_comes_back_from_its_own_json(self, hint, schema, fits, others):
        for _, meant in fits:
            assert from_json(json.loads(json.dumps(to_json(meant))), hint) == meant

    def test_takes_the_json_that_its_schema_takes(self, hint, schema, fits, others):
        jsonschema = pytest.importorskip("jsonschema")
        accepts = jsonschema.Draft202012Validator(to_schema(hint, "it")).is_valid
        assert all(accepts(value) for value, _ in fits) and not any(accepts(value) for value in others)


@pytest.mark.parametrize("hint, format, text, meant", MOMENTS)
def test_a_moment_is_written_as_rfc_3339_says(hint, format, text, meant):
    assert to_schema(hint, "it") == {"type": "string", "format": format}
    assert from_json(text, hint) == meant
    assert from_json(to_json(meant), hint) == meant


@pytest.mark.parametrize("hint, text", NO_MOMENTS)
def test_what_is_no_moment_is_refused(hint, text):
    with pytest.raises(ParseError):
        from_json(text, hint)


@pytest.mark.parametrize("hint, instead", REFUSED, ids=id_of)
def test_what_json_schema_cannot_say_is_refused_with_what_to_write_instead(hint, instead):
    for ask in (lambda: to_schema(hint, "the place"), lambda: from_json(None, hint, "the place")):
        with pytest.raises(TypeError, match="^the place") as caught:
            ask()
        assert instead in str(caught.value)


def test_a_refusal_names_the_field_it_is_about():
    @dataclasses.dataclass
    class Holder:
        items: List[Plain]

    with pytest.raises(TypeError, match="^response_schema.items: JSON Schema cannot say Plain: write a dataclass"):
        to_schema(Dict[str, Holder], "response_schema")


def test_a_nested_dataclass_comes_back_as_it_was():
    person = Person("Ann", None, City("Rome", "IT"), Color.BLUE, datetime.datetime(2000, 1, 2, 3, 4, 5), (1.5, 2),
                    {"a", "b"}, [City("Oslo", "NO")])
    said = json.loads(json.dumps(to_json(person)))
    assert said.pop("known") is True  # no parameter of its own, so none of the schema's
    assert from_json(said, Person) == person
    assert from_json([said], List[Person]) == [person]
    least = {"name": "Ann", "age": None, "home": {"name": "Rome"}}
    assert from_json(least, Person) == Person("Ann", None, City("Rome"))


def test_a_dataclass_is_said_with_its_docstring_defaults_and_descriptions():
    assert to_schema(Person, "it") == an_object({
        "name": STRING, "age": {"anyOf": [INTEGER, NULL]}, "home": CITY,
        "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
        "born": {"anyOf": [{"type": "string", "format": "date-time"}, NULL], "default": None},
        "place": {"type": "array", "prefixItems": [NUMBER, INTEGER], "minItems": 2, "maxItems": 2, "default": [0.5, 1]},
        "tags": {"type": "array", "items": STRING, "description": "Any words."},
        "friends": {"type": "array", "items": CITY},
    }, ["name", "age", "home"], description="Somebody.")


def test_a_default_of_none_allows_null():
    @dataclasses.dataclass
    class Holder:
        size: int = None  # type: ignore[assignment]
        thing: Any = None

    properties = to_schema(Holder, "it")["properties"]
    assert properties == {"size": {"anyOf": [INTEGER, NULL], "default": None}, "thing": {"default": None}}
    assert from_json({"size": None}, Holder) == Holder()


def test_a_default_that_json_cannot_say_is_left_out_and_holds():
    @dataclasses.dataclass
    class Holder:
        size: float = float("inf")

    assert to_schema(Holder, "it") == an_object({"size": NUMBER})
    assert from_json({}, Holder) == Holder()


def test_only_recursive_types_get_a_name():
    body = an_object({
        "value": INTEGER,
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, NULL], "default": None},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
    }, ["value"])
    assert to_schema(Node, "it") == {"$ref": "#/$defs/Node", "$defs": {"Node": body}}
    assert to_schema(List[City], "it") == {"type": "array", "items": CITY}
    node = Node(1, Node(2), [Node(3, None, [Node(4)])])
    assert from_json(to_json(node), Node) == node


def test_types_may_lead_back_to_each_other():
    schema = to_schema(Tuple[Left, Right], "it")
    assert list(schema["$defs"]) == ["Left"]
    assert schema["prefixItems"][0] == {"$ref": "#/$defs/Left"}
    assert schema["prefixItems"][1]["properties"]["left"] == {"$ref": "#/$defs/Left"}
    assert from_json([{"right": {"left": {}}}, {}], Tuple[Left, Right]) == (Left(Right(Left())), Right())


def test_recursive_types_of_one_name_get_two():
    def make():
        @dataclasses.dataclass
        class Node:
            next: Optional["Node"] = None
        return Node

    schema = to_schema(Tuple[make(), make()], "it")
    assert list(schema["$defs"]) == ["Node", "Node_"]
    assert [item["$ref"] for item in schema["prefixItems"]] == ["#/$defs/Node", "#/$defs/Node_"]


def test_nothing_stands_beside_a_reference():
    @dataclasses.dataclass
    class Holder:
        node: Node = dataclasses.field(metadata={"description": "The first."})

    assert to_schema(Holder, "it")["properties"]["node"] == {
        "anyOf": [{"$ref": "#/$defs/Node"}], "description": "The first."}


def test_a_schema_given_as_a_dict_passes_as_a_copy():
    given = {"type": "array", "items": {"type": "string", "x-mine": [1]}, "$defs": {"a": {}}}
    said = to_schema(given, "it")
    assert said == given and said["items"] is not given["items"]
    assert from_json([1], given) == [1]


def test_a_schema_is_nobody_elses_to_change():
    to_schema(int, "it")["type"] = "broken"
    assert to_schema(Tuple[int, int], "it")["prefixItems"] == [INTEGER, INTEGER]


@pytest.mark.parametrize("value, hint, complaint", [
    ({"people": [{"name": "A"}, {"name": "B"}, {"name": 3}]}, Dict[str, List[City]],
     "people[2].name must be a string, not 3"),
    ({"people": [{}]}, Dict[str, List[City]], "people[0].name is missing; it must be a string"),
    ({"a b": [1, "x"]}, Dict[str, List[int]], "['a b'][1] must be an integer, not 'x'"),
    ({"name": "A", "size": 1}, City, "size is unknown; the names are: name, country"),
    ({"value": 1, "next": {"value": "2"}}, Node, "next.value must be an integer, not '2'"),
    ({"name": "A", "age": True, "home": {"name": "B"}}, Person, "age must be an integer, not True"),
    ([1, None], Tuple[int, str], "[1] must be a string, not None"),
    ([[]], List[Union[int, str]],
     "[0] fits none of its types: [0] must be an integer, not []; [0] must be a string, not []"),
    ({"age": 3}, Adult, "the value does not fit: too young"),
    ([{"age": 3}], List[Adult], "[0] does not fit: too young"),
    ([[1]], Set[Any], "the value does not fit: unhashable type: 'list'"),
    ("green", Color, "the value must be one of 'red', 'blue', not 'green'"),
    ("x" * 500, int, "the value must be an integer, not '" + "x" * 79),
    (10 ** 400, float, "the value must be a number, not 1" + "0" * 79),
])
def test_a_mismatch_names_the_place_and_what_was_due(value, hint, complaint):
    with pytest.raises(ParseError) as caught:
        from_json(value, hint)
    assert str(caught.value) == complaint


def test_a_mismatch_starts_where_the_caller_says():
    with pytest.raises(ParseError, match=r"^answer\.people\[0\] must be an integer"):
        from_json({"people": ["x"]}, Dict[str, List[int]], "answer")


@pytest.mark.parametrize("hint, value, meant", [
    (Union[float, int], 3, 3), (Union[int, float], 3.0, 3.0), (Union[datetime.date, str], "soon", "soon"),
    (Union[datetime.date, str], "2024-02-29", datetime.date(2024, 2, 29)),
    (Union[str, datetime.date], "2024-02-29", "2024-02-29"),
    (Union[City, Movie], {"title": "M", "year": 1}, {"title": "M", "year": 1}), (Union[Color, str], "red", Color.RED),
    (Union[int, bool], True, True), (Optional[float], 3, 3.0),
])
def test_a_union_takes_its_first_type_that_fits_and_keeps_numbers(hint, value, meant):
    read = from_json(value, hint)
    assert read == meant and type(read) is type(meant)


JSON_DATA = [
    (None, None), ("a", "a"), (1, 1), (1.5, 1.5), (True, True), ([1, (2, [3])], [1, [2, [3]]]),
    ({"a": (1,)}, {"a": [1]}), (Color.RED, "red"), (Level.HIGH, 2), ({Color.RED: Color.BLUE}, {"red": "blue"}),
    ({"a"}, ["a"]), (frozenset([1]), [1]), (City("Rome"), {"name": "Rome", "country": "FR"}),
    (Point(1.0), {"x": 1.0, "y": 0.0}), ([Bare(1, 2)], [{"x": 1, "y": 2}]),
    (datetime.date(2024, 2, 29), "2024-02-29"), (datetime.time(12), "12:00:00"),
    (datetime.datetime(2024, 2, 29, 1), "2024-02-29T01:00:00"), (types.MappingProxyType({"a": 1}), {"a": 1}),
    (types.SimpleNamespace(tolist=lambda: [1, [2.5]]), [1, [2.5]]),
]
NO_JSON = [
    (b"a", "the value is of the type bytes"), ([bytearray()], r"the value\[0\] is of the type bytearray"),
    (memoryview(b"a"), "the value is of the type memoryview"), (Plain(), "the value is of the type Plain"),
    (City, "the value is of the type type"), ({"a": [1, 1j]}, r"the value\.a\[1\] is of the type complex"),
    (iter([]), "list_iterator"), ({1: 2}, "the value has the key 1"), ({"a": float("nan")}, r"the value\.a is nan"),
    ([float("-inf")], r"the value\[0\] is -inf"), (City(Plain()), r"the value\.name is of the type Plain"),
    ({"a b": {None: 1}}, r"the value\['a b'\] has the key None"), (decimal.Decimal(1), "Decimal"), (len, "builtin"),
    (types.SimpleNamespace(tolist=lambda: [float("nan")]), r"the value\[0\] is nan"),
]


@pytest.mark.parametrize("value, said", JSON_DATA, ids=repr)
def test_a_python_value_is_said_as_json_data(value, said):
    assert to_json(value) == said
    assert json.loads(json.dumps(to_json(value), allow_nan=False)) == said


@pytest.mark.parametrize("value, complaint", NO_JSON, ids=repr)
def test_what_json_cannot_say_is_refused_with_its_place(value, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        to_json(value)


def test_what_leads_back_to_itself_is_refused_and_what_is_used_twice_is_not():
    ring = {"a": []}
    ring["a"].append(ring)
    with pytest.raises(ValueError, match=r"the value\.a\[0\] leads back to itself"):
        to_json(ring)
    shared = [1]
    assert to_json([shared, shared]) == [[1], [1]]


def test_json_data_shares_nothing_with_the_value():
    value = {"a": [1]}
    to_json(value)["a"].append(2)
    assert value == {"a": [1]}


# Spellings that not every Python knows: source, the hint's name in it, and its schema

ANNOTATED = """
import dataclasses
from typing import *
from {module} import Annotated

@dataclasses.dataclass
class Holder:
    "All."
    name: Annotated[str, 7, "A name."]
    ids: List[Annotated[int, "An id."]]
    size: Annotated[Optional[int], "A size."] = None
    word: Annotated[str, "Wins."] = dataclasses.field(default="w", metadata={{"description": "Loses."}})
    silent: Annotated[str, 7] = ""
"""
ANNOTATED_SCHEMA = an_object({
    "name": {"type": "string", "description": "A name."},
    "ids": {"type": "array", "items": {"type": "integer", "description": "An id."}},
    "size": {"anyOf": [INTEGER, NULL], "description": "A size.", "default": None},
    "word": {"type": "string", "description": "Wins.", "default": "w"},
    "silent": {"type": "string", "default": ""},
}, ["name", "ids"], description="All.")
REQUIRED = """
from typing import *
from {module} import TypedDict, NotRequired, Required

class Base(TypedDict, total=False):
    a: Required[int]
    b: str

class Holder(Base):
    c: NotRequired[int]
    d: List[int]
"""
REQUIRED_SCHEMA = an_object(
    {"a": INTEGER, "b": STRING, "c": INTEGER, "d": {"type": "array", "items": INTEGER}}, ["a", "d"])
FUTURE = "from __future__ import annotations\n"
FORWARD = FUTURE + """
import dataclasses
from typing import *

@dataclasses.dataclass
class Holder:
    name: str
    other: Optional[Later] = None

@dataclasses.dataclass
class Later:
    n: int
"""
FORWARD_SCHEMA = an_object(
    {"name": STRING, "other": {"anyOf": [an_object({"n": INTEGER}, ["n"]), NULL], "default": None}}, ["name"])
NEWER = """
import collections.abc, dataclasses
@dataclasses.dataclass
class Holder:
    a: list[int]
    b: dict[str, tuple[int, ...]]
    c: collections.abc.Sequence[str]
    d: set[str]
"""
NEWER_SCHEMA = an_object({
    "a": {"type": "array", "items": INTEGER},
    "b": {"type": "object", "additionalProperties": {"type": "array", "items": INTEGER}},
    "c": {"type": "array", "items": STRING}, "d": {"type": "array", "items": STRING},
}, "abcd")
BAR = "import dataclasses\n@dataclasses.dataclass\nclass Holder:\n    a: int | None\n    b: list[str | int] = None\n"
BAR_SCHEMA = an_object({
    "a": {"anyOf": [INTEGER, NULL]},
    "b": {"anyOf": [{"type": "array", "items": {"anyOf": [STRING, INTEGER]}}, NULL], "default": None},
}, "a")
ALIAS = "type Words = list[str]\ntype Tree = dict[str, Tree | Words]\nHolder = tuple[Words, Tree]\n"
ALIAS_SCHEMA = {
    "type": "array", "minItems": 2, "maxItems": 2,
    "prefixItems": [{"type": "array", "items": STRING}, {"$ref": "#/$defs/Tree"}],
    "$defs": {"Tree": {"type": "object", "additionalProperties": {
        "anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "array", "items": STRING}]}}},
}
SPELLINGS = [
    ((3, 9), ANNOTATED.format(module="typing"), ANNOTATED_SCHEMA),
    ((3, 9), FUTURE + ANNOTATED.format(module="typing"), ANNOTATED_SCHEMA),
    ((3, 8), ANNOTATED.format(module="typing_extensions"), ANNOTATED_SCHEMA),
    ((3, 11), REQUIRED.format(module="typing"), REQUIRED_SCHEMA),
    ((3, 8), REQUIRED.format(module="typing_extensions"), REQUIRED_SCHEMA),
    ((3, 9), FUTURE + REQUIRED.format(module="typing_extensions"), REQUIRED_SCHEMA),
    ((3, 8), FORWARD, FORWARD_SCHEMA), ((3, 9), NEWER, NEWER_SCHEMA), ((3, 9), FUTURE + NEWER, NEWER_SCHEMA),
    ((3, 10), BAR, BAR_SCHEMA), ((3, 10), FUTURE + BAR, BAR_SCHEMA), ((3, 12), ALIAS, ALIAS_SCHEMA),
    ((3, 8), "from typing_extensions import Any as Holder", {}),
    ((3, 8), "from typing_extensions import Literal; Holder = Literal['a']", {"type": "string", "enum": ["a"]}),
]


def module_of(source, monkeypatch):
    """The names that `source` makes as a module."""
    module = types.ModuleType("spelled")
    monkeypatch.setitem(sys.modules, "spelled", module)
    exec(source, module.__dict__)
    return module


@pytest.mark.parametrize("since, source, schema", SPELLINGS, ids=range(len(SPELLINGS)))
def test_each_spelling_says_the_same(since, source, schema, monkeypatch):
    if sys.version_info < since:
        pytest.skip("not in this Python")
    if "typing_extensions" in source:
        pytest.importorskip("typing_extensions")
    assert to_schema(module_of(source, monkeypatch).Holder, "it") == schema


@pytest.mark.skipif(sys.version_info < (3, 12), reason="not in this Python")
def test_a_recursive_alias_is_read(monkeypatch):
    value = [["a"], {"b": {"c": ["d"]}}]
    assert from_json(value, module_of(ALIAS, monkeypatch).Holder) == (["a"], {"b": {"c": ["d"]}})


def test_a_hint_that_cannot_be_resolved_is_refused_with_its_reason(monkeypatch):
    source = FUTURE + "import dataclasses\n@dataclasses.dataclass\nclass Holder:\n    a: Nobody\n"
    with pytest.raises(TypeError, match="it: a type hint cannot be resolved .*Nobody.* top of its module"):
        to_schema(module_of(source, monkeypatch).Holder, "it")


# pydantic, of the version that is there

@pytest.fixture
def pydantic():
    return pytest.importorskip("pydantic")


def test_a_pydantic_model_is_said_and_read(pydantic):
    class Town(pydantic.BaseModel):
        name: str
        founded: Optional[datetime.date] = None

    schema = to_schema(List[Town], "it")
    assert schema["items"]["required"] == ["name"] and "$defs" not in schema
    towns = from_json([{"name": "Rome", "founded": "0753-04-21"}], List[Town])
    assert towns == [Town(name="Rome", founded=datetime.date(753, 4, 21))]
    assert to_json(towns) == [{"name": "Rome", "founded": "0753-04-21"}]
    with pytest.raises(ParseError, match=r"\[0\] does not fit: 1 validation error"):
        from_json([{"name": None}], List[Town])


def test_the_definitions_of_a_pydantic_model_move_to_the_top_and_stay_its_own(pydantic):
    class Street(pydantic.BaseModel):
        name: str

    class Town(pydantic.BaseModel):
        streets: List[Street]

    @dataclasses.dataclass
    class Country:
        towns: List[Town]

    for _ in range(2):
        schema = to_schema(Country, "it")
        assert list(schema["$defs"]) == ["Street"]
        item = schema["properties"]["towns"]["items"]
        assert item["properties"]["streets"]["items"] == {"$ref": "#/$defs/Street"}
    country = Country([Town(streets=[Street(name="A")])])
    assert from_json(to_json(country), Country) == country


def test_two_pydantic_models_of_one_name_are_refused(pydantic):
    def town(kind):
        Street = pydantic.create_model("Street", name=(kind, ...))
        return pydantic.create_model("Town", street=(Street, ...))

    with pytest.raises(TypeError, match="two types in one schema are named Street"):
        to_schema(Tuple[town(int), town(str)], "it")


def test_numpy_says_its_numbers_and_arrays():
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.arange(4).reshape(2, 2), "b": numpy.float32(0.5), "c": numpy.int64(3), "d": numpy.bool_(True),
             "e": numpy.float64(1.5), "f": numpy.str_("x")}
    said = {"a": [[0, 1], [2, 3]], "b": 0.5, "c": 3, "d": True, "e": 1.5, "f": "x"}
    assert json.loads(json.dumps(to_json(value))) == said
    with pytest.raises(ValueError, match=r"the value\[1\] is nan"):
        to_json(numpy.array([1.0, numpy.nan]))
