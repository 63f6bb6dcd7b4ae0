"""Hostile values and docstrings: time and messages do not grow out of proportion, and nesting is a ParseError."""
from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Union

import pytest
from growth import assert_linear

from gemini_lite import ParseError
from gemini_lite.schema import from_json, to_json, to_schema
from gemini_lite.schema.docstrings import split_docstring
from gemini_lite.schema.signatures import arguments_shape


@dataclasses.dataclass
class A:
    child: Optional[Union[A, B]] = None
    x: int = 0


@dataclasses.dataclass
class B:
    child: Optional[Union[A, B]] = None
    y: int = 0


class Tree(NamedTuple):
    children: List[Tree]


def chain(depth: int, leaf: Any, name: str = "child", **more: Any) -> Any:
    for _ in range(depth):
        leaf = {name: leaf, **more}
    return leaf


def complaint(value: Any, hint: Any) -> str:
    with pytest.raises(ParseError) as caught:
        from_json(value, hint)
    return str(caught.value)


@pytest.mark.parametrize("depth", [5, 20, 60, 100])
def test_a_recursive_union_is_read_in_linear_time_with_a_short_message(depth: int) -> None:
    reads = []

    @dataclasses.dataclass
    class Counted:
        child: Optional[Union[Counted, Other]] = None
        x: int = 0

        def __post_init__(self) -> None:
            reads.append(1)

    @dataclasses.dataclass
    class Other:
        child: Optional[Union[Counted, Other]] = None
        y: int = 0

    hint: Any = Counted
    globals().update(Counted=Counted, Other=Other)
    assert len(complaint(chain(depth, "bad"), hint)) < 2000
    from_json(chain(depth, None, y=1), Union[Counted, Other])  # each level fits the second type alone
    assert len(reads) <= depth + 1


def test_a_union_that_contains_itself_still_names_the_place_of_a_shallow_mistake() -> None:
    assert "child.child must be null" in complaint({"child": {"child": "bad"}}, A)


@pytest.mark.parametrize("value, hint", [
    (chain(3000, None), A), (chain(400, None), B), (chain(3000, 1), Dict[str, Any]),
    (chain(3000, []), Tree), ([chain(900, 1)], int),
])
def test_deep_nesting_is_a_value_or_a_parse_error(value: Any, hint: Any) -> None:
    try:
        from_json(value, hint)
    except ParseError as error:
        assert len(str(error)) < 2000


def test_a_recursive_dataclass_that_is_nested_too_deeply_is_a_parse_error() -> None:
    assert "nested too deeply" in complaint(chain(3000, None), A)

    def function(tree: A) -> None:
        """A function with a recursive argument."""

    with pytest.raises(ParseError, match="nested too deeply"):
        arguments_shape(function, "function").read({"tree": chain(3000, None)}, "")
    with pytest.raises(ValueError, match="nested too deeply"):
        to_json(chain(3000, None))


@pytest.mark.parametrize("value, hint", [
    ("x" * 10 ** 6, int), (["x" * 1000] * 1000, int), ({"k" * 10 ** 6: 1}, A), ({"k" * 10 ** 6: "x"}, Dict[str, int]),
    (chain(100, "x", "k" * 1000), Dict[str, Dict[str, int]]), (["x"] * 10 ** 5, List[Union[int, float]]),
])
def test_a_message_is_short_whatever_the_value_is(value: Any, hint: Any) -> None:
    assert len(complaint(value, hint)) < 3000


@pytest.mark.parametrize("make, hint", [
    (lambda n: ["x"] * n, Union[int, List[str]]), (lambda n: [{"child": None, "y": 1}] * n, List[Union[A, B]]),
    (lambda n: [{"child": {}, "y": 1} for _ in range(n)], List[Union[A, B]]),
    (lambda n: {str(i): i for i in range(n)}, Dict[str, Union[int, str]]),
])
def test_values_are_read_in_linear_time(make: Callable[[int], Any], hint: Any) -> None:
    assert_linear(make, lambda value: from_json(value, hint), 200)


def test_values_are_written_in_linear_time() -> None:
    assert_linear(lambda n: [{"a": [i]} for i in range(n)], to_json, 100)


def test_a_wide_schema_is_made_in_linear_time() -> None:
    assert_linear(lambda n: [NamedTuple(f"T{n}", [(f"f{i}", int) for i in range(n)])],
                  lambda types: to_schema(types[0], "it"), 20)


@pytest.mark.parametrize("make", [
    lambda n: "Args:\n" * n, lambda n: "Args:\n" + "  x x\n" * n, lambda n: "\n  x" * n, lambda n: ":type x: y\n" * n,
    lambda n: ":param" + " " * n + "x", lambda n: ":param" + " a" * n, lambda n: "Args:\n  a" + " " * n + "x",
    lambda n: "Args:\n  a (" + ")" * n, lambda n: "Parameters\n---\n" * n,
    lambda n: "Parameters\n---\n" + "a, " * n, lambda n: "Parameters\n---\n" + "a" + " " * n + "!", lambda n: "\n" * n,
    lambda n: ":param x: y\n" * n,
], ids=range(13))
def test_docstrings_are_split_in_linear_time(make: Callable[[int], str]) -> None:
    assert_linear(make, split_docstring, 300)
