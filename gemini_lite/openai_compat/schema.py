"""JSON Schema as pydantic, zod and the openai package write it, in the form that Gemini takes."""
from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Set, Tuple
from urllib.parse import unquote

from ..json_data import JSON, dict_or_empty
from ..schema import to_json

_SCHEMA_KEYWORDS = frozenset((  # their value is a schema
    "items", "additionalItems", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties",
))
_SCHEMA_LIST_KEYWORDS = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_SCHEMA_DICT_KEYWORDS = frozenset(("properties", "patternProperties", "dependentSchemas"))
_REFERENCE_KEYWORDS = frozenset(("$ref", "$defs", "definitions"))


def to_gemini_schema(schema: object, where: str) -> JSON:
    """A copy of `schema` for ``parametersJsonSchema`` and ``responseJsonSchema``; ValueError names `where`.

    The API takes JSON Schema with these exceptions, which are rewritten: a reference must lead into the root's
    ``$defs`` and have no keywords beside it; a property that leads back to its own type must not be required; a tuple
    must be written with ``prefixItems``. Source: https://ai.google.dev/api/caching#FunctionDeclaration
    """
    root = to_json(schema, where)
    if not isinstance(root, dict):
        raise ValueError(f"{where} must be a JSON Schema, not {schema!r}")
    return _SchemaConverter(root, where).convert()


class _SchemaConverter:
    """Converts one schema; every definition that it refers to is collected once, for the root's ``$defs``."""

    def __init__(self, root: JSON, where: str) -> None:
        self._root = root
        self._where = where
        self._definition_names: Dict[str, str] = {}  # by reference
        self._definitions: Dict[str, object] = {}  # converted, by name
        self._unconverted: List[Tuple[str, object]] = []  # the definitions that are still to be, with their names

    def convert(self) -> JSON:
        """The converted schema."""
        root = self._root
        if "$ref" in root:  # the API wants the root to have its type, not a reference to it
            root = {**dict_or_empty(self._resolve(root["$ref"])),
                    **{key: value for key, value in root.items() if key != "$ref"}}
        converted = self._convert_schema_dict(root)
        while self._unconverted:  # one by one: a chain of references may be longer than Python's stack
            name, target = self._unconverted.pop()
            self._definitions[name] = self._convert_schema(target)
        referrers: Dict[str, Set[str]] = {name: set() for name in self._definitions}
        for name, definition in self._definitions.items():
            for target in self._references(definition):
                referrers[target].add(name)
        for name, definition in self._definitions.items():
            self._make_recursion_optional(definition, _leading_to(name, referrers))
        return {**converted, "$defs": self._definitions} if self._definitions else converted

    def _convert_schema(self, schema: object) -> object:
        if not isinstance(schema, dict):  # True and False are schemas too
            return schema
        return self._convert_schema_dict(schema)

    def _convert_schema_dict(self, schema: JSON) -> JSON:
        if isinstance(schema.get("items"), list):
            schema = _with_prefix_items(schema)
        converted = {key: self._convert_keyword(key, value) for key, value in schema.items()
                     if key not in _REFERENCE_KEYWORDS}
        if "$ref" not in schema:
            return converted
        reference = {"$ref": f"#/$defs/{self._definition_name(str(schema['$ref']))}"}
        if not converted:
            return reference
        return {**converted, "allOf" if "anyOf" in converted else "anyOf": [reference]}

    def _convert_keyword(self, key: str, value: object) -> object:
        """The value of a keyword with all schemas in it converted; anything else is data and stays as it is."""
        if key in _SCHEMA_KEYWORDS:
            return self._convert_schema(value)
        if key in _SCHEMA_LIST_KEYWORDS and isinstance(value, list):
            return [self._convert_schema(schema) for schema in value]
        if key in _SCHEMA_DICT_KEYWORDS and isinstance(value, dict):
            return {name: self._convert_schema(schema) for name, schema in value.items()}
        return value

    def _definition_name(self, reference: str) -> str:
        """The name in ``$defs`` of what `reference` refers to, which is added there if it is new."""
        if reference not in self._definition_names:
            target = self._resolve(reference)
            name = re.sub(r"\W", "_", reference.rsplit("/", 1)[-1])
            while name in self._definitions:
                name += "_"
            self._definition_names[reference] = name
            self._definitions[name] = {}
            self._unconverted.append((name, target))
        return self._definition_names[reference]

    def _resolve(self, reference: str) -> Any:
        """The schema that `reference`, a JSON pointer after ``#``, refers to; ValueError if there is none."""
        node: Any = self._root
        try:
            start, *steps = unquote(reference).split("/")
            if start != "#":
                raise KeyError(start)
            for step in steps:
                step = step.replace("~1", "/").replace("~0", "~")
                node = node[int(step)] if isinstance(node, list) else node[step]
        except (KeyError, IndexError, ValueError, TypeError, AttributeError):
            raise ValueError(f"{self._where} refers to {reference!r}, which is not in it") from None
        return node

    def _make_recursion_optional(self, definition: object, leading_back: Set[str]) -> None:
        """Remove from ``required`` the properties that refer to one of the definitions `leading_back` to this one."""
        for schema in _iter_dicts(definition):
            required, properties = schema.get("required"), schema.get("properties")
            if isinstance(required, list) and isinstance(properties, dict):
                schema["required"] = [one for one in required
                                      if leading_back.isdisjoint(self._references(properties.get(one)))]

    def _references(self, schema: object) -> Set[str]:
        """The names of the definitions that `schema` itself refers to."""
        return {str(inner.get("$ref"))[len("#/$defs/"):] for inner in _iter_dicts(schema)} & self._definitions.keys()


def _leading_to(name: str, referrers: Dict[str, Set[str]]) -> Set[str]:
    """The definitions from which references lead to `name`, itself included; `referrers` are those that do directly."""
    found, unread = {name}, [name]
    while unread:
        new = referrers[unread.pop()] - found
        found |= new
        unread += new
    return found


def _with_prefix_items(schema: JSON) -> JSON:
    """A tuple schema of the older form, with a list as ``items``, in the form of JSON Schema 2020-12."""
    rest = {"items": schema["additionalItems"]} if "additionalItems" in schema else {}
    kept = {key: value for key, value in schema.items() if key not in ("items", "additionalItems")}
    return {**kept, "prefixItems": schema["items"], **rest}


def _iter_dicts(value: object) -> Iterator[JSON]:
    """Every dict in `value` at any depth, itself included."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _iter_dicts(item)
