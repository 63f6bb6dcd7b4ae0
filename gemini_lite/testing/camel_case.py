"""The API's field names in one spelling: clients send snake_case and camelCase, and the API reads both alike."""
from __future__ import annotations

import re
from typing import Callable, List

from ..json_data import JSON

# What stands below these names is the caller's own data, and keeps its spelling.
_OPAQUE = {
    "args", "labels", "customMetadata", "parametersJsonSchema", "responseJsonSchema", "_responseJsonSchema",
    "response", "default", "example", "enum", "schema", "result", "arguments", "metadata", "userMetadata", "$defs",
}
_SCHEMAS = {"parameters", "responseSchema"}  # their fields are the API's, the names of their properties are not
_NAMED_SCHEMAS = {"properties", "defs", "patternProperties"}
_COUNTS = {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}


def camel(name: str) -> str:
    """`name` in camelCase."""
    return re.sub(r"(?<=[A-Za-z0-9])_+([a-z0-9])", lambda match: match.group(1).upper(), name)


def snake(name: str) -> str:
    """`name` in snake_case, as the API's error messages have it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def in_camel_case(value: object) -> object:
    """A copy of a request body with the API's own field names in camelCase; the caller's names below stay."""
    return _convert(value, _field)


def _field(name: str, value: object) -> object:
    if name == "parameters" and not _is_schema(value):
        return _convert(value, _field)  # of a predict call, not of a function
    if name in _SCHEMAS:
        return _convert(value, _schema_field)
    if name == "response" and isinstance(value, dict) and "type" in value and "name" not in value:
        return value
    return value if name in _OPAQUE else _convert(value, _field)


def _schema_field(name: str, value: object) -> object:
    if name in _NAMED_SCHEMAS and isinstance(value, dict):
        return {inner: _convert(schema, _schema_field) for inner, schema in value.items()}
    return value if name in _OPAQUE else _convert(value, _schema_field)


def _convert(value: object, field: Callable[[str, object], object]) -> object:
    if isinstance(value, list):
        return [_convert(item, field) for item in value]
    if isinstance(value, dict):
        return {camel(name): field(camel(name), inner) for name, inner in value.items()}
    return value


def _is_schema(value: object) -> bool:
    return isinstance(value, dict) and bool({"type", "properties", "anyOf", "any_of"} & value.keys())


def json_schema(schema: object) -> JSON:
    """The JSON Schema of one of the API's schemas: types in lower case, `nullable` as a second type, JSON's keywords.

    A JSON Schema comes out as it is.
    """
    if not isinstance(schema, dict):
        return {}
    return _with_null({name: _schema_value(name, value) for name, value in schema.items() if name != "nullable"},
                      schema.get("nullable") is True)


def _schema_value(name: str, value: object) -> object:
    if name == "type":
        return [_lower(item) for item in value] if isinstance(value, list) else _lower(value)
    if name in ("properties", "$defs", "defs") and isinstance(value, dict):
        return {inner: json_schema(below) for inner, below in value.items()}
    if name in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
        return [json_schema(below) for below in value]
    if name in ("items", "additionalProperties") and isinstance(value, dict):
        return json_schema(value)
    if name in _COUNTS and isinstance(value, str) and value.isdecimal():
        return int(value)  # int64 travels as a string
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _with_null(schema: JSON, nullable: bool) -> JSON:
    if nullable and isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if nullable and isinstance(schema.get("anyOf"), list):
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema


def as_list(value: object) -> List[JSON]:
    """The dicts in `value`, which may be one dict where the API has a list of them."""
    items = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, dict)]
