"""The fields of a class that holds data: a dataclass, a NamedTuple or a TypedDict."""
from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Container, List, Mapping, NamedTuple, Optional

from .hint_parts import resolve_hints, special_form

MISSING: object = dataclasses.MISSING


class Field(NamedTuple):
    """A named value with its type hint.

    `hint` is MISSING where none was written. `default` is MISSING where there is no default, or where only calling a
    function would tell it.
    """

    name: str
    hint: object
    required: bool
    default: object = MISSING
    description: Optional[str] = None


def class_fields(cls: type, where: str) -> Optional[List[Field]]:
    """The fields of a dataclass, NamedTuple or TypedDict; None for any other class."""
    is_typed_dict = issubclass(cls, dict) and hasattr(cls, "__total__")
    is_named_tuple = issubclass(cls, tuple) and hasattr(cls, "_fields")
    if not (dataclasses.is_dataclass(cls) or is_named_tuple or is_typed_dict):
        return None
    # A class made inside a function is no name of its module, yet its own fields may name it.
    hints = resolve_hints(cls, where, None, {cls.__name__: cls})
    if dataclasses.is_dataclass(cls):
        return _dataclass_fields(cls, hints, where)
    return _named_tuple_fields(cls, hints) if is_named_tuple else _typed_dict_fields(cls, hints)


def class_docstring(cls: type) -> Optional[str]:
    """The docstring that the user wrote; None instead of the list of fields that dataclass and NamedTuple write."""
    text = cls.__dict__.get("__doc__") or ""
    return None if text.startswith(f"{cls.__name__}(") else inspect.cleandoc(text)


def _dataclass_fields(cls: type, hints: Mapping[str, object], where: str) -> List[Field]:
    for name, hint in hints.items():
        if isinstance(hint, dataclasses.InitVar):
            raise TypeError(f"{where}.{name}: an InitVar is no field, so JSON has no place for it")
    fields = []
    for field in dataclasses.fields(cls):
        if field.init:
            required = field.default is MISSING and field.default_factory is MISSING
            fields.append(Field(field.name, hints[field.name], required, field.default,
                                field.metadata.get("description")))
    return fields


def _named_tuple_fields(cls: type, hints: Mapping[str, object]) -> List[Field]:
    names: List[str] = getattr(cls, "_fields")
    defaults: Mapping[str, object] = getattr(cls, "_field_defaults")
    return [Field(name, hints.get(name, MISSING), name not in defaults, defaults.get(name, MISSING)) for name in names]


def _typed_dict_fields(cls: type, hints: Mapping[str, object]) -> List[Field]:
    return [Field(name, hint, _is_required_key(cls, name, hint)) for name, hint in hints.items()]


def _is_required_key(cls: type, name: str, hint: object) -> bool:
    """Whether a TypedDict must have the key `name`.

    Required and NotRequired in the hint decide: Python's own ``__required_keys__`` misses them where they are written
    as strings.
    """
    form = special_form(typing.get_origin(hint))
    if form in ("Required", "NotRequired"):
        return form == "Required"
    all_keys: Container[str] = cls.__annotations__ if getattr(cls, "__total__") else ()
    required_keys: Container[str] = getattr(cls, "__required_keys__", all_keys)  # Python 3.8 has no __required_keys__
    return name in required_keys
