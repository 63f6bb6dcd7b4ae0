"""Type hints taken apart: each spelling of a hint means the same, in every Python that knows it."""
import sys
import types

import pytest

from gemini_lite.schema import from_json, to_schema

STRING, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


def object_schema(properties, required=(), **keywords):
    schema = {"type": "object", "properties": properties, "additionalProperties": False, **keywords}
    return {**schema, "required": list(required)} if required else schema


# Source, which Pythons know it, and the schema of the hint that it names Holder

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
ANNOTATED_SCHEMA = object_schema({
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
REQUIRED_SCHEMA = object_schema(
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
FORWARD_SCHEMA = object_schema(
    {"name": STRING, "other": {"anyOf": [object_schema({"n": INTEGER}, ["n"]), NULL], "default": None}}, ["name"])
NEWER = """
import collections.abc, dataclasses
@dataclasses.dataclass
class Holder:
    a: list[int]
    b: dict[str, tuple[int, ...]]
    c: collections.abc.Sequence[str]
    d: set[str]
"""
NEWER_SCHEMA = object_schema({
    "a": {"type": "array", "items": INTEGER},
    "b": {"type": "object", "additionalProperties": {"type": "array", "items": INTEGER}},
    "c": {"type": "array", "items": STRING}, "d": {"type": "array", "items": STRING},
}, "abcd")
BAR = "import dataclasses\n@dataclasses.dataclass\nclass Holder:\n    a: int | None\n    b: list[str | int] = None\n"
BAR_SCHEMA = object_schema({
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
def test_each_spelling_means_the_same(since, source, schema, monkeypatch):
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
