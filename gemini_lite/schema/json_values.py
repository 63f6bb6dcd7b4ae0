"""Python values as JSON data."""
from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Any, Iterator, Mapping, Optional, Sequence, Tuple

from .error_places import item_place, member_place


def to_json(value: object, where: str = "the value") -> Any:
    """A copy of `value` as JSON data: None, str, int, float, bool, lists, and dicts with str keys.

    Converts Enum members (to their value), datetime, date and time (to ISO 8601), tuples and sets (to arrays),
    dataclasses and NamedTuples (to objects), pydantic models, and objects with a ``tolist`` method, as numpy has.
    For anything else, TypeError or ValueError names its place inside `where`.
    """
    try:
        return _convert(value, where, ())
    except RecursionError:
        raise ValueError(f"{where} is nested too deeply to be made JSON") from None


def _convert(value: object, where: str, container_ids: Tuple[int, ...]) -> Any:
    """`value` as JSON data; `container_ids` are the ids of the containers around it, to find one inside itself."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return _finite_float(value, where)
    if isinstance(value, (datetime.date, datetime.time)):  # datetime is a subclass of date
        return value.isoformat()
    if id(value) in container_ids:
        raise ValueError(f"{where} leads back to itself, which JSON cannot say")
    container_ids += (id(value),)
    if isinstance(value, Mapping):
        return {name: _convert(member, member_place(where, name), container_ids)
                for name, member in _members(value, where)}
    names = _field_names(value)
    if names is not None:
        return {name: _convert(getattr(value, name), member_place(where, name), container_ids) for name in names}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_convert(item, item_place(where, index), container_ids) for index, item in enumerate(value)]
    return _convert(_from_library_object(value, where), where, container_ids)


def _finite_float(value: float, where: str) -> float:
    if value - value != 0:  # true for nan and the infinities
        raise ValueError(f"{where} is {value!r}, which JSON cannot say")
    return float(value)  # numpy.float64 is a subclass of float


def _members(value: Mapping[object, object], where: str) -> Iterator[Tuple[str, object]]:
    """The names and values of a mapping; an Enum member as key gives its value as the name."""
    for key, member in value.items():
        name = key.value if isinstance(key, enum.Enum) else key
        if not isinstance(name, str):
            raise TypeError(f"{where} has the key {key!r}: JSON has strings for names")
        yield name, member


def _field_names(value: object) -> Optional[Sequence[str]]:
    """The field names of a NamedTuple or dataclass instance; None for any other value."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        names: Sequence[str] = value._fields
        return names
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [field.name for field in dataclasses.fields(value)]
    return None


def _from_library_object(value: object, where: str) -> object:
    """A pydantic model as a dict, a number or array of numpy as a number or list; TypeError for any other value."""
    if not isinstance(value, (type, memoryview)):
        if hasattr(value, "model_dump"):  # pydantic 2
            return value.model_dump(mode="json")
        if hasattr(value, "parse_obj") and hasattr(value, "dict"):  # pydantic 1
            return value.dict()
        if hasattr(value, "tolist"):
            if type(value).__module__ == "numpy" and getattr(value, "dtype").kind in "Mm":
                value = getattr(value, "astype")(str)  # tolist would give dates and times as counts of nanoseconds
            return value.tolist()
    raise TypeError(f"{where} is of the type {type(value).__name__}, which JSON cannot say: "
                    "make it text, a number, a list or a dict")
