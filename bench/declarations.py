"""How the declarations of Python functions differ from those that google-genai makes of the same functions.

Run `python bench/declarations.py` where gemini_lite and google-genai are both installed. It prints a row for each
difference with its reason, and fails if there is one without.
"""
from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import re
import sys
from typing import (
    Annotated, Any, Dict, List, Literal, NamedTuple, NewType, Optional, Sequence, Set, Tuple, TypedDict, Union,
)

import pydantic
from google.genai import types

from gemini_lite.tools import Tool

UserId = NewType("UserId", int)


class Unit(enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


@dataclasses.dataclass
class Address:
    """Where a person lives."""

    street: str
    zip_code: Optional[str] = None


@dataclasses.dataclass
class Person:
    name: str
    age: int
    home: Address
    tags: List[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Node:
    value: int
    children: List["Node"] = dataclasses.field(default_factory=list)


class Movie(TypedDict):
    title: str
    year: int


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Town(pydantic.BaseModel):
    name: str
    people: int = 0


def nothing():
    """Do nothing."""


def scalars(a: str, b: int, c: float, d: bool):
    """Take one of each."""


def defaults(city: str, unit: str = "celsius", days: int = 1) -> dict:
    """Current weather for a city.

    Args:
        city: Name of the city.
        unit: celsius or fahrenheit.
        days: How many days ahead.
    """


def numpy_style(x: float, y: float = 0.0):
    """Move there.

    Parameters
    ----------
    x, y : float
        Coordinates.
    """


def sphinx_style(x: float):
    """Move there.

    :param x: Coordinate.
    """


def annotated(city: Annotated[str, "Name of the city."]):
    """Current weather for a city."""


def optionals(a: Optional[int], b: Optional[str] = None, c: int = None):  # type: ignore[assignment]
    """Take some."""


def unions(a: Union[int, str], b: Union[List[int], None] = None):
    """Take either."""


def literals(a: Literal["x", "y"], b: Literal[1, 2] = 1, c: Literal["only"] = "only"):
    """Choose."""


def enums(unit: Unit, other: Unit = Unit.CELSIUS):
    """Choose."""


def lists(a: List[str], b: Sequence[int], c: Set[str], d: list):
    """Take many."""


def tuples(a: Tuple[int, str], b: Tuple[int, ...]):
    """Take a few."""


def dicts(a: Dict[str, int], b: Dict[str, Any], c: dict):
    """Take tables."""


def dataclass(person: Person):
    """Greet."""


def recursive(node: Node):
    """Walk."""


def typed_dict(movie: Movie, point: Point):
    """Show."""


def model(town: Town, towns: List[Town]):
    """Visit."""


def moments(day: datetime.date, at: datetime.datetime, until: Optional[datetime.time] = None):
    """Wait."""


def new_type(user: UserId, *, anything: Any = None):
    """Look up."""


def simple_default(limit=10):
    """Look up."""


def no_hint(city):
    """Look up."""


def raw(data: bytes):
    """Store."""


def price(amount: decimal.Decimal):
    """Pay."""


def int_keys(table: Dict[int, str]):
    """Look up."""


def variadic(city: str, *others: str, **options: str):
    """Look up."""


class Station:
    """A weather station."""

    def read(self, days: int):
        """Read it."""

    def __call__(self, days: int):
        """Read it."""


FUNCTIONS = [
    nothing, scalars, defaults, numpy_style, sphinx_style, annotated, optionals, unions, literals, enums, lists, tuples,
    dicts, dataclass, recursive, typed_dict, model, moments, new_type, simple_default, no_hint, raw, price, int_keys,
    variadic, Station().read, Station(), functools.partial(scalars, "a", d=True),
]


ABSENT = "-"
WHOLE = {  # why a side makes no declaration at all
    "dataclass": "google-genai gives pydantic a config, which pydantic takes for no dataclass",
    "recursive": "google-genai gives pydantic a config, which pydantic takes for no dataclass",
    "typed_dict": "google-genai gives pydantic a config, which pydantic takes for no TypedDict",
    "simple_default": "the default tells the type",
    "no_hint": "both refuse: nothing tells the type",
    "raw": "JSON has no bytes, and the schema does not say how text would stand for them",
    "price": "the user chooses between a number and exact text",
    "int_keys": "JSON names are strings, and the schema of google-genai does not say that these are numbers",
    "variadic": "leaving *args and **kwargs out hides every parameter of an undecorated wrapper",
    "Station": "an object with __call__ can be called, so it is a tool",
    "partial": "a partial can be called, so it is a tool; the model does not see what is filled in",
}
INLINE = "only a type that leads back to itself gets a name: the server unrolls references to a limited degree"
REASONS = tuple((re.compile(place), reason) for place, reason in (  # the first that fits the place
    (r"parameters\.additionalProperties", "an argument the function does not have is refused, and the schema says so"),
    (r"description", "the docstring's parameter list moves to the parameters"),
    (r".*\.description", "from the docstring's parameter list or Annotated; google-genai reads neither"),
    (r"responseJsonSchema", "nothing holds a result to its hint, and a failing tool answers with an error instead"),
    (r".*\.unit\.title|.*\.other\.title", "the name of a class tells the model nothing"),
    (r".*\.uniqueItems", "no word that the API lists; a set takes equal items"),
    (r".*\.unevaluatedItems", "no word that the API lists; maxItems says it"),
    (r".*\.c\.(enum|const)", "const is no word that the API lists"),
    (r".*\.other\.default", "google-genai has the Enum object here, not the value that its enum allows"),
    (r".*\.c\.(anyOf|type)", "the default is None, so null is allowed"),
    (r".*\.towns\.items\..*|.*\.\$defs", INLINE),
))


def google_declaration(function):
    """What `generate_content(tools=[function])` of google-genai 3 declares, in the API's own names."""
    made = types.FunctionDeclaration.from_callable_with_api_option(
        callable=function, api_option="GEMINI_API", use_json_schema=True)
    declaration = made.model_dump(exclude_none=True, by_alias=True)
    return {name: value for name, value in declaration.items() if value != ""}


def our_declaration(function):
    return Tool.from_function(function).to_api()


def made(declare, function):
    """The declaration, or the first words of the error."""
    try:
        return declare(function)
    except Exception as error:  # google-genai raises several kinds
        return "%s: %s" % (type(error).__name__, error)


def differences(ours, theirs, place=""):
    """Triples of a place and what each side has there."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in {**ours, **theirs}:
            inner = "%s.%s" % (place, name) if place else name
            yield from differences(ours.get(name, ABSENT), theirs.get(name, ABSENT), inner)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, "%s[%d]" % (place, index))
    elif ours != theirs:
        yield place, ours, theirs


def reason_for(name, place):
    if not place:
        return WHOLE.get(name)
    return next((reason for pattern, reason in REASONS if pattern.fullmatch(place)), None)


def main():
    row = "%-14s %-42s %-26.26s %-26.26s %s"
    print(row % ("function", "place", "gemini_lite", "google-genai", "reason"))
    unexplained = 0
    for function in FUNCTIONS:
        name = getattr(function, "__name__", type(function).__name__)
        ours, theirs = made(our_declaration, function), made(google_declaration, function)
        for place, *sides in [("", ours, theirs)] if isinstance(ours, str) else differences(ours, theirs):
            place = place.replace("parametersJsonSchema", "parameters")
            reason = reason_for(name, place)
            unexplained += reason is None
            shown = [side if side == ABSENT else json.dumps(side, default=repr) for side in sides]
            print(row % (name, place or "(all)", *shown, reason or "???"))
    print("%d functions, %d differences without a reason" % (len(FUNCTIONS), unexplained))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
