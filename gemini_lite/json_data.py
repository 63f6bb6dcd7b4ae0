"""The API's JSON data, read without trusting its shape: a value of another kind than expected reads as absent."""
from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NoReturn, Optional, Tuple

JSON = Dict[str, Any]  # a JSON object as the API documents it

_OPAQUE_FIELDS = frozenset((
    "args", "response", "labels", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema",
    "responseFormat", "schema", "responseJsonSchemaOrdered"))


def dict_or_empty(value: object) -> JSON:
    """`value` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of_dicts(value: object) -> List[JSON]:
    """The dicts among the items of `value`, if it is a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def str_or_none(value: object) -> Optional[str]:
    """`value` if it is a string."""
    return value if isinstance(value, str) else None


def int_or_none(value: object) -> Optional[int]:
    """`value` if it is an int and no bool."""
    return value if type(value) is int else None


def has_text(part: JSON) -> bool:
    """Whether a part has text."""
    return isinstance(part.get("text"), str)


class APIObject(Dict[str, Any]):
    """A JSON object of the API that reads both ways: ``x["finishReason"]``, ``x.finishReason`` and ``x.finish_reason``.

    It is made on access and equal to the dict that it shows; what is written to it does not reach that dict. A field
    that the API knows and that is absent reads as None; an unknown name is an AttributeError. A key that is also a
    method of dict (``items``, ``values``) is reached by ``[...]``. What lies below arguments, results, schemas and
    labels is the user's own, and stays plain.
    """

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        kind = type(value)
        if kind is not dict and kind is not list:
            return value
        shown = copied(value) if key in _OPAQUE_FIELDS else readable(value)
        super().__setitem__(key, shown)  # the next access finds the same object
        return shown

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # the protocols of copy, pickle and notebooks
            raise AttributeError(name)
        key = name if name in self else _camel_case(name)
        if key in self:
            return self[key]
        snake = _snake_case(name)
        for key in self:
            if _snake_case(key) == snake:
                return self[key]
        from .api_names import FIELD_NAMES
        return None if _camel_case(name) in FIELD_NAMES else self._raise_unknown(snake)

    def _raise_unknown(self, name: str) -> NoReturn:
        import difflib

        from .api_names import FIELD_NAMES
        own = [_snake_case(str(key)) for key in self]
        similar = difflib.get_close_matches(name, own, 1) or difflib.get_close_matches(
            name, sorted(map(_snake_case, FIELD_NAMES)), 1)
        hint = f"did you mean {similar[0]}?" if similar else f"it has {', '.join(own[:20]) or 'no fields'}"
        raise AttributeError(f"the API has no field {name!r}: {hint}")

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def values(self) -> Any:
        self._show_all()
        return super().values()

    def items(self) -> Any:
        self._show_all()
        return super().items()

    def pop(self, key: str, *default: Any) -> Any:
        self.get(key)
        return super().pop(key, *default)

    def popitem(self) -> Tuple[str, Any]:
        self._show_all()
        return super().popitem()

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else super().setdefault(key, default)

    def copy(self) -> APIObject:
        return APIObject(self.items())

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()  # with a method of its own, dict(x) and {**x} ask for each value

    def __or__(self, other: Mapping[str, Any]) -> JSON:  # type: ignore[override]
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> JSON:  # type: ignore[override]
        return {**other, **self}

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *(_snake_case(key) for key in self if isinstance(key, str))]

    def _show_all(self) -> None:
        for key in self:
            self[key]


def readable(value: Any) -> Any:
    """JSON data as `APIObject`s: those in lists at once, those in objects when they are asked for."""
    if isinstance(value, dict):
        return value if type(value) is APIObject else APIObject(value)
    if isinstance(value, list):
        return [readable(item) if isinstance(item, dict) else copied(item) for item in value]
    return value


def copied(value: Any) -> Any:
    """A deep copy of JSON data, however deep it is; anything else stays as it is."""
    result = [value]
    waiting: List[Tuple[Any, Any]] = [(result, 0)]
    while waiting:
        holder, place = waiting.pop()
        item = holder[place]
        if isinstance(item, dict):
            item = holder[place] = dict(item)
            waiting += [(item, key) for key in item]
        elif isinstance(item, list):
            item = holder[place] = list(item)
            waiting += [(item, index) for index in range(len(item))]
    return result[0]


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), name)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
