"""JSON Schema as pydantic, zod and the openai package write it, in the form that Gemini takes."""
from __future__ import annotations

import re
from typing import Any, Dict, Iterator, Set
from urllib.parse import unquote

from ..schema import to_json

Schema = Dict[str, Any]

_ONE = frozenset((  # keywords whose value is a schema
    "items", "additionalItems", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties",
))
_LISTED = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_NAMED = frozenset(("properties", "patternProperties", "dependentSchemas"))
_ELSEWHERE = frozenset(("$ref", "$defs", "definitions"))


def to_gemini(schema: Any, where: str) -> Schema:
    """A copy of `schema` for ``parametersJsonSchema`` and ``responseJsonSchema``; ValueError names `where`.

    The API takes JSON Schema as it is, but for what is turned here: a reference leads into the root's ``$defs`` and has
    no keywords beside it; a property that leads back to its own type is not required; a tuple has ``prefixItems``.
    Source: https://ai.google.dev/api/caching#FunctionDeclaration
    """
    root = to_json(schema, where)
    if not isinstance(root, dict):
        raise ValueError(f"{where} must be a JSON Schema, not {schema!r}")
    return _Turning(root, where).done()


class _Turning:
    """One schema on its way: what it refers to, by the name it gets in ``$defs``."""

    def __init__(self, root: Schema, where: str) -> None:
        self._root = root
        self._where = where
        self._names: Dict[str, str] = {}  # by reference
        self._defs: Dict[str, Schema] = {}

    def done(self) -> Schema:
        root = self._root
        if "$ref" in root:  # the root must say itself what it is
            root = {**self._target(root["$ref"]), **{key: value for key, value in root.items() if key != "$ref"}}
        turned: Schema = self._turned(root)
        for name, body in self._defs.items():
            self._loosen(name, body)
        return {**turned, "$defs": self._defs} if self._defs else turned

    def _turned(self, node: Any) -> Any:
        if not isinstance(node, dict):  # true and false are schemas, too
            return node
        if isinstance(node.get("items"), list):
            node = _tuple(node)
        turned = {key: self._value(key, value) for key, value in node.items() if key not in _ELSEWHERE}
        if "$ref" not in node:
            return turned
        reference = {"$ref": f"#/$defs/{self._name(node['$ref'])}"}
        return {**turned, "allOf" if "anyOf" in turned else "anyOf": [reference]} if turned else reference

    def _value(self, key: str, value: Any) -> Any:
        if key in _ONE:
            return self._turned(value)
        if key in _LISTED and isinstance(value, list):
            return [self._turned(one) for one in value]
        if key in _NAMED and isinstance(value, dict):
            return {name: self._turned(one) for name, one in value.items()}
        return value

    def _name(self, reference: str) -> str:
        """The name in ``$defs`` of what `reference` leads to."""
        if reference not in self._names:
            target = self._target(reference)
            name = re.sub(r"\W", "_", reference.rsplit("/", 1)[-1])
            while name in self._defs:
                name += "_"
            self._names[reference], self._defs[name] = name, {}  # before its body is turned, which may lead back here
            self._defs[name] = self._turned(target)
        return self._names[reference]

    def _target(self, reference: Any) -> Any:
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

    def _loosen(self, name: str, body: Schema) -> None:
        """Let no property be required through which the definition `name` leads back to itself."""
        for node in _dicts(body):
            required, properties = node.get("required"), node.get("properties")
            if isinstance(required, list) and isinstance(properties, dict):
                node["required"] = [one for one in required if name not in self._reached(properties.get(one))]

    def _reached(self, node: Any) -> Set[str]:
        """The names of all definitions that `node` leads to."""
        found: Set[str] = set()
        todo = [node]
        while todo:
            for inner in _dicts(todo.pop()):
                name = str(inner.get("$ref"))[len("#/$defs/"):]
                if name in self._defs and name not in found:
                    found.add(name)
                    todo.append(self._defs[name])
        return found


def _tuple(node: Schema) -> Schema:
    """A tuple that was written as before 2020: ``items`` is a list, what may follow is ``additionalItems``."""
    rest = {"items": node["additionalItems"]} if "additionalItems" in node else {}
    kept = {key: value for key, value in node.items() if key not in ("items", "additionalItems")}
    return {**kept, "prefixItems": node["items"], **rest}


def _dicts(value: Any) -> Iterator[Dict[str, Any]]:
    """Every dict in `value`, itself included."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _dicts(one)
