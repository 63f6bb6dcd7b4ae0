"""Classes that hold data, and the schemas of the simplest, for the tests of this folder."""
import dataclasses
import datetime
import enum
import typing
from typing import List, Optional, Set, Tuple

STRING, INTEGER, NUMBER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "null"}


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


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
class Adult:
    age: int

    def __post_init__(self):
        if self.age < 18:
            raise ValueError("too young")


class Movie(typing.TypedDict):
    title: str
    year: int


def object_schema(properties, required=(), **keywords):
    """The schema of an object with these properties and no others."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False, **keywords}
    return {**schema, "required": list(required)} if required else schema


CITY = object_schema({"name": STRING, "country": {"type": "string", "default": "FR"}}, ["name"])
