"""The kinds of JSON values: for each, its JSON Schema and the reader of such values."""
from __future__ import annotations

import datetime
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import ParseError
from ..json_data import JSON
from ..json_data.previews import preview, shorten
from .error_places import Place

Reader = Callable[[object, Place], Any]
_LONGEST_REASON = 500  # characters; a model gets the error to read

_TYPE_NAMES: Dict[type, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null",
}
_EXPECTED = {"string": "a string", "integer": "an integer", "number": "a number", "boolean": "true or false",
             "null": "null"}
_NULL: JSON = {"type": "null"}
_DATE, _TIME = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"


class Shape(NamedTuple):
    """A kind of JSON value.

    `read(value, place)` gives the Python value, or raises ParseError that names the place; `expected` is what an
    error calls such a value.
    """

    schema: JSON
    read: Reader
    expected: str = "an object"


class Property(NamedTuple):
    """A member that an object has, or may have."""

    name: str
    shape: Shape
    required: bool


class _DateOrTime(NamedTuple):
    format: str  # its name in JSON Schema
    pattern: str
    parse: Callable[[str], object]


_DATES_AND_TIMES: Dict[type, _DateOrTime] = {
    datetime.datetime: _DateOrTime("date-time", f"{_DATE}[T ]{_TIME}", datetime.datetime.fromisoformat),
    datetime.date: _DateOrTime("date", _DATE, datetime.date.fromisoformat),
    datetime.time: _DateOrTime("time", _TIME, datetime.time.fromisoformat),
}


def is_scalar(cls: type) -> bool:
    """Whether `cls` is str, int, float, bool or NoneType."""
    return cls in _TYPE_NAMES


def is_date_or_time(cls: type) -> bool:
    """Whether `cls` is datetime, date or time."""
    return cls in _DATES_AND_TIMES


def unchecked(schema: JSON, expected: str = "an object") -> Shape:
    """Values that are taken as they are, whatever `schema` tells the model."""
    return Shape(schema, lambda value, place: value, expected)


def converted(schema: JSON, convert: Callable[[object], object]) -> Shape:
    """Values that `convert` makes, or refuses with TypeError or ValueError."""
    return Shape(schema, lambda value, place: _convert_or_refuse(convert, value, place))


def scalar(cls: type) -> Shape:
    """One of str, int, float, bool and NoneType."""
    name = _TYPE_NAMES[cls]
    expected = _EXPECTED[name]

    def read(value: object, place: Place) -> object:
        if type(value) is cls:
            return value
        if cls is float and type(value) is int and value.bit_length() < 1024:  # float() of a longer one overflows
            return float(value)
        if cls is int and type(value) is float and value.is_integer():
            return int(value)
        raise _mismatch(value, place, expected)

    return Shape({"type": name}, read, expected)


def date_or_time(cls: type) -> Shape:
    """One of datetime, date and time, as a string of RFC 3339."""
    kind = _DATES_AND_TIMES[cls]
    expected = f"a string of the format {kind.format} (RFC 3339)"

    def read(value: object, place: Place) -> object:
        if not isinstance(value, str) or not re.fullmatch(kind.pattern, value, re.ASCII | re.IGNORECASE):
            raise _mismatch(value, place, expected)
        return _convert_or_refuse(kind.parse, _to_fromisoformat(value), place)  # refuses the 31st of February

    return Shape({"type": "string", "format": kind.format}, read, expected)


def choice(choices: Sequence[Tuple[object, object]], hint: object, where: str) -> Shape:
    """Some values and no others: pairs of the JSON value and the Python value it stands for."""
    if not choices:
        raise TypeError(f"{where}: {hint} has no values")
    by_type: Dict[str, List[object]] = {}
    for json_value, _ in choices:
        if not is_scalar(type(json_value)):
            raise TypeError(
                f"{where}: JSON Schema cannot say the value {json_value!r} of {hint}: give each a str or an int")
        by_type.setdefault(_TYPE_NAMES[type(json_value)], []).append(json_value)
    schemas: List[JSON] = [_NULL if name == "null" else {"type": name, "enum": by_type[name]} for name in by_type]
    expected = f"one of {', '.join(repr(json_value) for json_value, _ in choices)}"

    def read(value: object, place: Place) -> object:
        for json_value, python_value in choices:
            if json_value == value and isinstance(json_value, bool) == isinstance(value, bool):  # 1 == True
                return python_value
        raise _mismatch(value, place, expected)

    return Shape(schemas[0] if len(schemas) == 1 else {"anyOf": schemas}, read, expected)


def array(item: Shape, make: Callable[[List[object]], object]) -> Shape:
    """An array of any length, which `make` turns into the Python collection."""
    def read(value: object, place: Place) -> object:
        if not isinstance(value, list):
            raise _mismatch(value, place, "an array")
        items = [item.read(one, place.item(index)) for index, one in enumerate(value)]
        return _convert_or_refuse(make, items, place)

    return Shape({"type": "array", "items": item.schema}, read, "an array")


def fixed_tuple(items: Sequence[Shape]) -> Shape:
    """An array with one shape for each position, read as a tuple."""
    count = len(items)
    expected = f"an array of {count}"

    def read(value: object, place: Place) -> object:
        if not isinstance(value, list) or len(value) != count:
            raise _mismatch(value, place, expected)
        return tuple(items[index].read(one, place.item(index)) for index, one in enumerate(value))

    schema = {"type": "array", "prefixItems": [item.schema for item in items], "minItems": count, "maxItems": count}
    return Shape(schema, read, expected)


def string_dict(member: Shape) -> Shape:
    """An object with any names, all of whose members have one shape; read as a dict."""
    def read(value: object, place: Place) -> object:
        if not isinstance(value, dict):
            raise _mismatch(value, place, "an object")
        return {name: member.read(one, place.member(name)) for name, one in value.items()}

    return Shape({"type": "object", "additionalProperties": member.schema or True}, read)


def record(properties: Sequence[Property], make: Callable[[Dict[str, object]], object]) -> Shape:
    """An object with these properties and no others; `make` turns the dict of their values into the Python object."""
    shapes = {one.name: one.shape for one in properties}
    required = [one.name for one in properties if one.required]

    def read(value: object, place: Place) -> object:
        if not isinstance(value, dict):
            raise _mismatch(value, place, "an object")
        for name in value:
            if name not in shapes:
                known = shorten(", ".join(shapes), _LONGEST_REASON) or "none"
                raise ParseError(f"{place.member(name)} is unknown; the names are: {known}")
        for name in required:
            if name not in value:
                expected = shorten(shapes[name].expected, _LONGEST_REASON)
                raise ParseError(f"{place.member(name)} is missing; it must be {expected}")
        values = {name: shapes[name].read(one, place.member(name)) for name, one in value.items()}
        return _convert_or_refuse(make, values, place)

    schema: JSON = {"type": "object", "properties": {name: shape.schema for name, shape in shapes.items()}}
    if required:
        schema["required"] = required
    return Shape({**schema, "additionalProperties": False}, read)


def union(options: Sequence[Shape]) -> Shape:
    """A value of the first option that fits; a number stays as it is where its own type is among the options."""
    schemas = [option.schema for option in options]

    def read(value: object, place: Place) -> object:
        if type(value) in (int, float) and {"type": _TYPE_NAMES[type(value)]} in schemas:
            return value
        if not isinstance(value, (dict, list)):
            return _read_first_fit(options, value, place)
        known = (id(options), id(value))
        if known not in place.results:
            try:
                place.results[known] = _read_first_fit(options, value, place)
            except ParseError as error:
                place.results[known] = error
        result = place.results[known]
        if isinstance(result, ParseError):
            raise result.with_traceback(None)
        return result

    return Shape({"anyOf": schemas}, read, " or ".join(dict.fromkeys(option.expected for option in options)))


def _read_first_fit(options: Sequence[Shape], value: object, place: Place) -> object:
    """`value` as the first option reads it that can; ParseError with the reason of each if none can."""
    reasons = []
    for option in options:
        try:
            return option.read(value, place)
        except ParseError as error:
            reasons.append(error)
    other = [reason for option, reason in zip(options, reasons) if option.schema != _NULL]
    if len(reasons) == 2 and len(other) == 1:  # Optional: the reason of the other option names the place
        raise other[0]
    shown = [shorten(str(reason), _LONGEST_REASON // len(reasons)) for reason in reasons]
    raise ParseError(f"{place} fits none of its types: {'; '.join(shown)}")


def nullable(shape: Shape) -> Shape:
    """`shape`, or null."""
    return shape if _takes_null(shape.schema) else union([shape, scalar(type(None))])


def described(shape: Shape, description: Optional[str]) -> Shape:
    """`shape` with a description in its schema, if there is one."""
    return with_keyword(shape, "description", description) if description else shape


def with_keyword(shape: Shape, keyword: str, value: object) -> Shape:
    """`shape` with one more keyword in its schema; the server takes none beside a ``$ref``."""
    schema = {"anyOf": [shape.schema]} if "$ref" in shape.schema else shape.schema
    return shape._replace(schema={**schema, keyword: value})


def _takes_null(schema: JSON) -> bool:
    return not schema or schema.get("type") == "null" or any(map(_takes_null, schema.get("anyOf", ())))


def _to_fromisoformat(text: str) -> str:
    """RFC 3339 as `fromisoformat` takes it before Python 3.11: no Z, and six digits of a second."""
    text = re.sub("[Zz]$", "+00:00", text)
    return re.sub(r"\.(\d+)", lambda fraction: f".{fraction.group(1)[:6].ljust(6, '0')}", text)


def _mismatch(value: object, place: Place, expected: str) -> ParseError:
    return ParseError(f"{place} must be {shorten(expected, _LONGEST_REASON)}, not {preview(value)}")


def _convert_or_refuse(convert: Callable[[Any], object], value: object, place: Place) -> object:
    """`convert(value)`; ParseError if it refuses, as a ``__post_init__``, a set of lists or pydantic may do."""
    try:
        return convert(value)
    except RecursionError:
        raise
    except Exception as error:  # anything: the class is the user's, and may raise KeyError or decimal's own
        reason = str(error) if isinstance(error, (TypeError, ValueError)) else f"{type(error).__name__}: {error}"
        raise ParseError(f"{place} does not fit: {shorten(reason, _LONGEST_REASON)}") from error
