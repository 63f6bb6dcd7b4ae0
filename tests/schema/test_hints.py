"""Type hints: their schema, what is read as them, and what is refused by name."""
import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import typing
import uuid
from typing import (
    Any, Callable, Dict, FrozenSet, Generic, Iterable, Iterator, List, Mapping, NamedTuple, NewType, Optional, Sequence,
    Set, Tuple, Type, TypeVar, Union,
)

import pytest
from schema.samples import CITY, INTEGER, NULL, NUMBER, STRING, City, Color, Level, Movie, Node, Person, object_schema

from gemini_lite.errors import ParseError
from gemini_lite.schema import from_json, to_json, to_schema

Literal = typing.Literal
T = TypeVar("T")
UserId = NewType("UserId", int)


class Mixed(str, enum.Enum):
    ONE = "one"


class Odd(enum.Enum):
    PAIR = (1, 2)


class Empty(enum.Enum):
    pass


@dataclasses.dataclass
class Left:
    right: Optional["Right"] = None


@dataclasses.dataclass
class Right:
    left: Left = dataclasses.field(default_factory=Left)


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


class Maybe(typing.TypedDict, total=False):
    title: str


class Plain:
    pass


TYPES = [  # a hint, its schema, pairs of JSON and what it is in Python, and JSON that does not fit
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
    (Point, object_schema({"x": NUMBER, "y": {"type": "number", "default": 0.0}}, ["x"]),
     [({"x": 1}, Point(1.0)), ({"x": 1.5, "y": 2.5}, Point(1.5, 2.5))], [[1, 2], {"y": 1}]),
    (Movie, object_schema({"title": STRING, "year": INTEGER}, ["title", "year"]),
     [({"title": "M", "year": 1931}, {"title": "M", "year": 1931})], [{"title": "M"}, {"title": "M", "year": "1931"}]),
    (Maybe, object_schema({"title": STRING}), [({}, {}), ({"title": "M"}, {"title": "M"})], [{"year": 1}]),
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


@pytest.mark.parametrize("hint, schema, fits, others", TYPES, ids=lambda value: None)
class TestEachType:
    def test_has_this_json_schema(self, hint, schema, fits, others):
        assert to_schema(hint, "it") == schema

    def test_is_read_back(self, hint, schema, fits, others):
        for value, expected in fits:
            read = from_json(json.loads(json.dumps(value)), hint)
            assert read == expected and type(read) is type(expected)

    def test_refuses_what_does_not_fit(self, hint, schema, fits, others):
        for value in others:
            with pytest.raises(ParseError):
                from_json(value, hint)

    def test_comes_back_from_its_own_json(self, hint, schema, fits, others):
        for _, expected in fits:
            assert from_json(json.loads(json.dumps(to_json(expected))), hint) == expected

    def test_takes_the_json_that_its_schema_takes(self, hint, schema, fits, others):
        jsonschema = pytest.importorskip("jsonschema")
        accepts = jsonschema.Draft202012Validator(to_schema(hint, "it")).is_valid
        assert all(accepts(value) for value, _ in fits) and not any(accepts(value) for value in others)


@pytest.mark.parametrize("hint, instead", REFUSED, ids=id_of)
def test_a_type_without_json_schema_is_refused_with_what_to_write_instead(hint, instead):
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


def test_only_recursive_types_get_a_name():
    body = object_schema({
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


# pydantic, of the version that is there

@pytest.fixture
def pydantic():
    return pytest.importorskip("pydantic")


def test_a_pydantic_model_has_its_own_schema_and_reader(pydantic):
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


def test_a_dataclass_of_pydantic_requires_what_its_fields_require(pydantic):
    if not hasattr(pydantic, "TypeAdapter"):
        pytest.skip("pydantic 2 has fields in dataclasses")

    @pydantic.dataclasses.dataclass
    class Town:
        name: str = pydantic.Field(description="In its own language.")
        size: int = pydantic.Field(default=1, ge=1)

    schema = to_schema(List[Town], "it")["items"]
    assert schema["required"] == ["name"] and schema["properties"]["name"]["description"] == "In its own language."
    assert schema["properties"]["size"]["minimum"] == 1
    assert from_json([{"name": "Roma"}], List[Town]) == [Town("Roma")]
    for wrong in ({}, {"name": "Roma", "size": 0}):
        with pytest.raises(ParseError, match=r"\[0\] does not fit: 1 validation error"):
            from_json([wrong], List[Town])


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
