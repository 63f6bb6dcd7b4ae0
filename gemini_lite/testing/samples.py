"""Made-up values: JSON that fits a schema in any spelling that clients send, a picture, a sound."""
from __future__ import annotations

import math
import struct
import zlib
from typing import Any, Optional

from ..json_data import JSON, dict_or_empty, list_of_dicts

_BY_FORMAT = {
    "date": "2026-01-31", "time": "12:00:00Z", "date-time": "2026-01-31T12:00:00Z",
    "email": "demo@example.com",
    "uri": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
    "duration": "PT1H", "byte": "ZGVtbw==",
}


def field(value: object, name: str) -> Any:
    """The member of a JSON object with this camelCase name, or with the same in snake_case; None without either."""
    found = dict_or_empty(value)
    return found[name] if name in found else found.get(_snake_case(name))


def sample(schema: object, root: Optional[JSON] = None, depth: int = 0) -> Any:
    """A small value that fits a JSON Schema of the usual kind, or the API's own schema with its upper-case types.

    `root` is the schema that has the ``$defs``, by default `schema` itself; `depth` counts the references that lead
    here. From the second on a type may contain itself: lists are empty and what may be null is null, or the value
    would have no end.
    """
    schema = dict_or_empty(schema)
    root = schema if root is None else root
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if "$ref" in schema:
        definitions = dict_or_empty(root.get("$defs")) or dict_or_empty(root.get("definitions"))
        name = str(schema["$ref"]).rpartition("/")[2]
        return sample(definitions.get(name), root, depth + 1) if depth < 20 else None
    if depth > 1 and schema.get("nullable") is True:
        return None
    for keyword in ("anyOf", "oneOf"):
        choices = list_of_dicts(field(schema, keyword))
        if choices:
            null = {"type": "null"}
            return None if depth > 1 and null in choices else sample(choices[0], root, depth)
    merged = schema
    for part in list_of_dicts(field(schema, "allOf")):
        merged = {**merged, **part, "properties": {**dict_or_empty(merged.get("properties")),
                                                   **dict_or_empty(part.get("properties"))}}
    if "$ref" in merged:
        return sample({"$ref": merged["$ref"]}, root, depth)
    if isinstance(merged.get("enum"), list) and merged["enum"]:
        return merged["enum"][0]
    return _sample_of_type(merged, root, depth)


def _sample_of_type(schema: JSON, root: JSON, depth: int) -> Any:
    """`sample` for a schema with a ``type``, or with properties alone."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = str(kind[0] if isinstance(kind, list) and kind else kind).lower()
    if kind == "object":
        required = schema.get("required", ())
        properties = dict_or_empty(schema.get("properties"))
        return {name: sample(inner, root, depth) for name, inner in properties.items() if name in required}
    if kind == "array":
        count = max(int(depth < 2), _number(schema, "minItems", 0))
        return [sample(item, root, depth) for item in list_of_dicts(field(schema, "prefixItems"))] \
            or [sample(schema.get("items"), root, depth) for _ in range(count)]
    if kind == "string":
        text = _BY_FORMAT.get(str(schema.get("format")), "demo")
        longest = field(schema, "maxLength")
        return text.ljust(_number(schema, "minLength", 0), "o")[:None if longest is None else int(longest)]
    if kind in ("integer", "number"):
        return _sample_number(schema)
    return {"boolean": True, "null": None}.get(kind, "demo")


def _sample_number(schema: JSON) -> Any:
    """A number between the limits of a schema."""
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if lowest is None and isinstance(field(schema, "exclusiveMinimum"), (int, float)):
        lowest = field(schema, "exclusiveMinimum") + 1
    number = 1 if lowest is None else lowest
    return highest if highest is not None and number > highest else number


def _number(schema: JSON, name: str, default: int) -> int:
    """A keyword that is a whole number; the API writes 64-bit ones as strings."""
    value = field(schema, name)
    return int(value) if isinstance(value, (int, float)) or isinstance(value, str) and value.isdigit() else default


def picture(size: int = 96) -> bytes:
    """A PNG of a coloured square, `size` pixels wide and high."""
    rows = b"".join(b"\0" + b"".join(bytes((255 * x // size, 255 * y // size, 160)) for x in range(size))
                    for y in range(size))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", size, size, 8, 2, 0, 0, 0)) \
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def sound(seconds: float = 0.5, rate: int = 24000) -> bytes:
    """A tone of 440 Hz: 16-bit samples, little-endian, `rate` of them a second."""
    return b"".join(struct.pack("<h", int(8000 * math.sin(2 * math.pi * 440 * n / rate)))
                    for n in range(int(seconds * rate)))


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
