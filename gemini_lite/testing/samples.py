"""Made-up values: JSON that fits a schema, a picture, a sound."""
from __future__ import annotations

import math
import operator
import struct
import zlib
from typing import Any, Callable, Dict, Optional

from ..json_data import JSON, dict_or_empty, list_of_dicts

_BY_FORMAT = {
    "date": "2026-01-31", "time": "12:00:00Z", "date-time": "2026-01-31T12:00:00Z",
    "email": "demo@example.com",
    "uri": "https://example.com/", "uuid": "00000000-0000-4000-8000-000000000000",
    "duration": "PT1H", "byte": "ZGVtbw==",
}

_IS_WITHIN: Dict[str, Callable[[float, float], bool]] = {  # keyword: whether a number is within its limit
    "minimum": operator.ge, "exclusiveMinimum": operator.gt, "maximum": operator.le, "exclusiveMaximum": operator.lt,
}


def sample(schema: object, root: Optional[JSON] = None, depth: int = 0) -> Any:
    """A small value that fits a JSON Schema of the usual kind, such as `Request.response_schema`.

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
    for keyword in ("anyOf", "oneOf"):
        choices = list_of_dicts(schema.get(keyword))
        if choices:
            null = {"type": "null"}
            return None if depth > 1 and null in choices else sample(choices[0], root, depth)
    merged = schema
    for part in list_of_dicts(schema.get("allOf")):
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
    if isinstance(kind, list):
        kind = "null" if depth > 1 and "null" in kind else [*kind, "string"][0]
    if kind == "object":
        required = schema.get("required", ())
        properties = dict_or_empty(schema.get("properties"))
        return {name: sample(inner, root, depth) for name, inner in properties.items() if name in required}
    if kind == "array":
        count = max(int(depth < 2), _number(schema, "minItems", 0))
        return [sample(item, root, depth) for item in list_of_dicts(schema.get("prefixItems"))] \
            or [sample(schema.get("items"), root, depth) for _ in range(count)]
    if kind == "string":
        text = _BY_FORMAT.get(str(schema.get("format")), "demo")
        return text.ljust(_number(schema, "minLength", 0), "o")[:_number(schema, "maxLength", 1 << 20)]
    if kind in ("integer", "number"):
        return _sample_number(schema, is_whole=kind == "integer")
    return {"boolean": True, "null": None}.get(kind, "demo")


def _sample_number(schema: JSON, *, is_whole: bool) -> Any:
    """A number between the limits of a schema, a multiple of what it says; 1 if none of those tried is."""
    limits = [schema[name] for name in _IS_WITHIN if _is_number(schema.get(name))]
    middle = sum(limits) / max(1, len(limits))
    step = schema["multipleOf"] if _is_number(schema.get("multipleOf")) and schema["multipleOf"] > 0 else 1
    tried = [1, *limits, middle, *(limit + offset for limit in limits for offset in (1, -1))]
    tried += [math.floor(number / step + offset) * step for number in tried for offset in (0, 1)]
    for number in tried:
        fits = [is_within(number, schema[name]) for name, is_within in _IS_WITHIN.items()
                if _is_number(schema.get(name))]
        if all(fits) and not (is_whole and number % 1) and ("multipleOf" not in schema or number % step == 0):
            return int(number) if is_whole else number
    return 1


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _number(schema: JSON, name: str, default: int) -> int:
    """A keyword that is a whole number."""
    value = schema.get(name)
    return int(value) if isinstance(value, (int, float)) else default


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
