"""A function's signature: what a model may pass to it, and what cannot be declared."""
import dataclasses
import functools
import sys
from typing import Any, Dict, Optional

import pytest

from gemini_lite.errors import ParseError
from gemini_lite.schema import signatures

INTEGER = {"type": "integer"}


@dataclasses.dataclass
class Place:
    name: str
    height: float = 0.0


class Station:
    """A weather station."""

    def __init__(self, name):
        self.name = name


def parameters(function):
    return signatures.arguments_shape(function, signatures.function_name(function)).schema


def called(function, /, **args):
    return function(**signatures.arguments_shape(function, "it").read(args, ""))


def declare(function):
    name = signatures.function_name(function) if callable(function) else "x"
    signatures.check_callable(function, name)
    return signatures.arguments_shape(function, name)


def test_a_default_gives_the_type_where_there_is_no_hint():
    def f(a="x", b=1, c=1.5, d=True, *, e="y"):
        return [a, b, c, d, e]

    kinds = {name: schema["type"] for name, schema in parameters(f)["properties"].items()}
    assert kinds == {"a": "string", "b": "integer", "c": "number", "d": "boolean", "e": "string"}
    assert called(f, c=2, e="z") == ["x", 1, 2.0, True, "z"]


def test_none_as_default_allows_null():
    def f(a: int = None, b: Optional[int] = None):
        return [a, b]

    null = {"anyOf": [INTEGER, {"type": "null"}], "default": None}
    assert parameters(f)["properties"] == {"a": null, "b": null}
    assert called(f, a=None) == [None, None]


def no_hint(city, days: int = 1): ...
def no_simple_default(city=None): ...
def positional_only(city: str, /): ...
def any_number(*cities: str): ...
def any_names(city: str, **rest: str): ...
def not_for_json(handle: Station): ...
def int_keys(table: Dict[int, str]): ...
async def later(city: str): ...
async def later_still(city: str): yield


class Async:
    async def __call__(self, city: str): ...


@pytest.mark.parametrize("function, complaint", [
    (no_hint, "no_hint.city has no type hint: write one, such as `city: str`"),
    (no_simple_default, "no_simple_default.city has no type hint"),
    (any_number, r"any_number: .* by name, which \*cities: str does not take: name each parameter"),
    (any_names, r"any_names: .* \*\*rest: str does not take"),
    (positional_only, "positional_only: .* by name, which city: str does not take"),
    (not_for_json, "not_for_json.handle: JSON Schema cannot say Station: write a dataclass"),
    (int_keys, r"int_keys.table: JSON has strings for names: write Dict\[str, ...\]"),
    (later, "later is async, .* asyncio.run"), (later_still, "later_still is async"), (Async(), "Async is async"),
    (functools.partial(later, "x"), "later is async"), (Station("A").__init__, "__init__.name has no type hint"),
    (lambda city: city, "a lambda has no name"), (functools.partial(lambda city: city), "a lambda has no name"),
    (Place, "Place is a class: give a function that makes one"), (3, "3, which cannot be called"),
    (max, "max does not tell its parameters: wrap it in a function of yours"),
])
def test_what_cannot_be_declared_is_refused_by_name(function, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        declare(function)


def test_hints_in_strings_are_resolved_unless_their_parameter_is_filled_in():
    names: Dict[str, Any] = {}
    exec("from __future__ import annotations\nfrom typing import *\n"
         "def f(a: Optional[int], b: Nobody, c: List[str] = ()) -> Nobody: return [a, b, c]", names)
    with pytest.raises(TypeError, match="f: a type hint cannot be resolved .*Nobody"):
        parameters(names["f"])
    partial = functools.partial(names["f"], b=1)
    assert list(parameters(partial)["properties"]) == ["a", "c"]
    assert called(partial, a=None) == [None, 1, ()]


@pytest.mark.skipif(sys.version_info < (3, 9), reason="not in this Python")
def test_annotated_wins_over_the_docstring():
    names: Dict[str, Any] = {}
    exec("from typing import *\n"
         "def f(a: Annotated[str, 'Wins.'], b: Annotated[int, 'Too.'] = None):\n"
         "    '''F.\n\n    Args:\n        a: Loses.\n        b: Loses.\n    '''", names)
    assert parameters(names["f"])["properties"] == {
        "a": {"type": "string", "description": "Wins."},
        "b": {"anyOf": [INTEGER, {"type": "null"}], "description": "Too.", "default": None},
    }


AWKWARD_NAMES = [
    "self", "cls", "where", "make", "value", "values", "args", "kwargs", "name", "names", "function", "tool", "call",
    "parameters", "convert", "read", "type", "default", "description", "error", "func", "keywords", "x",
]


def function_of(names):
    found: Dict[str, Any] = {}
    exec(f"def f({', '.join(f'{name}: int' for name in names)}): return [{', '.join(names)}]", found)
    return found["f"]


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_a_parameter_may_have_any_name(name):
    function = function_of([name])
    assert called(functools.partial(function), **{name: 7}) == called(function, **{name: 7}) == [7]
    with pytest.raises(ParseError, match=f"^{name} must be an integer"):
        called(function, **{name: "seven"})


def test_all_these_names_may_stand_together():
    values = {name: number for number, name in enumerate(AWKWARD_NAMES)}
    shape = signatures.arguments_shape(function_of(AWKWARD_NAMES), "f")
    assert shape.read(values, "") == values
