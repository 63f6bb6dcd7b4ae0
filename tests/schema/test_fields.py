"""Classes that hold data: which fields they have, which of these are required, and any name for them."""
import dataclasses
import typing
from typing import Any, Dict, NamedTuple

import pytest
from schema.samples import CITY, INTEGER, NULL, NUMBER, STRING, City, Color, Person, object_schema

from gemini_lite.errors import ParseError
from gemini_lite.schema import from_json, to_json, to_schema
from gemini_lite.schema.fields import MISSING, Field, class_docstring, class_fields

AWKWARD_NAMES = [
    "self", "cls", "where", "make", "value", "values", "args", "kwargs", "name", "names", "fields", "field", "item",
    "items", "keys", "get", "type", "dict", "convert", "read", "schema", "shape", "hint", "properties", "required",
    "function", "tool", "default", "description", "index", "count", "object", "error", "iterable", "mapping",
]


def test_the_schema_of_a_dataclass_has_its_docstring_defaults_and_descriptions():
    assert to_schema(Person, "it") == object_schema({
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


def test_a_default_that_json_cannot_hold_is_left_out_and_used():
    @dataclasses.dataclass
    class Holder:
        size: float = float("inf")

    assert to_schema(Holder, "it") == object_schema({"size": NUMBER})
    assert from_json({}, Holder) == Holder()


def test_a_field_is_required_unless_it_has_a_default_or_its_key_may_be_absent():
    class Point(NamedTuple):
        x: float
        y: float = 0.0

    class Movie(typing.TypedDict, total=False):
        title: str

    assert class_fields(City, "it") == [Field("name", str, True), Field("country", str, False, "FR")]
    assert class_fields(Point, "it") == [Field("x", float, True), Field("y", float, False, 0.0)]
    assert class_fields(Movie, "it") == [Field("title", str, False)]
    assert [field.required for field in class_fields(Person, "it")] == [True] * 3 + [False] * 5
    tags = class_fields(Person, "it")[6]
    assert tags.default is MISSING and tags.description == "Any words."


@pytest.mark.parametrize("cls", [int, dict, tuple, Color, object])
def test_another_class_has_no_fields(cls):
    assert class_fields(cls, "it") is None


def test_only_a_docstring_that_the_user_wrote_is_one():
    assert class_docstring(Person) == "Somebody." and class_docstring(City) is None
    assert class_docstring(NamedTuple("Point", [("x", int)])) is None


# Names: a field may be named as anything that this package names a parameter, or Python a method's first one

def as_dataclass(name):
    return dataclasses.make_dataclass("Holder", [(name, int), ("other", str, "x")])


def as_named_tuple(name):
    return NamedTuple("Holder", [(name, int), ("other", str)])


def as_typed_dict(name):
    return typing.TypedDict("Holder", {name: int, "other": str})


@pytest.mark.parametrize("name", AWKWARD_NAMES)
@pytest.mark.parametrize("make_class", [as_dataclass, as_named_tuple, as_typed_dict])
def test_a_field_may_have_any_name(make_class, name):
    cls = make_class(name)
    value = from_json({name: 7, "other": "y"}, cls)
    assert (value[name] if isinstance(value, dict) else getattr(value, name)) == 7
    assert to_json(value) == {name: 7, "other": "y"}
    with pytest.raises(ParseError, match=f"^{name} must be an integer"):
        from_json({name: "seven", "other": "y"}, cls)


@pytest.mark.parametrize("make_class", [as_dataclass, as_named_tuple, as_typed_dict])
def test_all_these_names_may_stand_together(make_class):
    names = [name for name in AWKWARD_NAMES if name not in ("index", "count")]
    if make_class is as_dataclass:
        cls = dataclasses.make_dataclass("Holder", [(name, int) for name in names])
    elif make_class is as_named_tuple:
        cls = NamedTuple("Holder", [(name, int) for name in names])
    else:
        cls = typing.TypedDict("Holder", {name: int for name in names})
    given: Dict[str, Any] = {name: number for number, name in enumerate(names)}
    assert to_json(from_json(given, cls)) == given
