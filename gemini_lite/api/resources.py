"""Views of what the API keeps: a dict as the API documents it, read by attributes."""
from __future__ import annotations

import datetime
import html
import re
from typing import ClassVar, Dict, Optional, Tuple, Type, TypeVar, Union

from ..json_data import JSON, int_or_none, str_or_none

R = TypeVar("R", bound="Resource")

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:\d\d)")


class Resource:
    """A view of one thing that the API keeps; `data` is its dict as it came."""

    collection: ClassVar[str] = ""  # the first part of its name
    shown: ClassVar[Tuple[str, ...]] = ()  # the attributes that a repr and a notebook show

    def __init__(self, data: JSON) -> None:
        self.data = data

    @property
    def _fields(self) -> JSON:
        """The part of `data` that has what all kinds have, besides the name."""
        return self.data

    @property
    def name(self) -> str:
        """The name that the API knows it by, such as ``files/abc123``."""
        return str_or_none(self.data.get("name")) or ""

    @property
    def display_name(self) -> Optional[str]:
        """The name for people."""
        return str_or_none(self._fields.get("displayName"))

    @property
    def create_time(self) -> Optional[datetime.datetime]:
        """When it was made."""
        return parse_time(self._fields.get("createTime"))

    @property
    def update_time(self) -> Optional[datetime.datetime]:
        """When it was last changed."""
        return parse_time(self._fields.get("updateTime"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resource) and type(other) is type(self) and other.data == self.data

    __hash__ = None  # type: ignore[assignment, unused-ignore]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._shown_values().items()
                           if not isinstance(value, datetime.datetime))
        return f"{type(self).__name__}({fields})"

    def _shown_values(self) -> Dict[str, object]:
        values = {name: getattr(self, name) for name in self.shown}
        return {name: value for name, value in values.items() if value is not None}

    def _repr_html_(self) -> str:
        """What a notebook shows: a table of what is known."""
        rows = "".join(f"<tr><th style='text-align:left'>{name.replace('_', ' ')}</th>"
                       f"<td style='text-align:left'>{html.escape(_readable(value))}</td></tr>"
                       for name, value in self._shown_values().items())
        return f"<table>{rows}</table>"


def _readable(value: object) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S %Z") if isinstance(value, datetime.datetime) else str(value)


def parse_time(value: object) -> Optional[datetime.datetime]:
    """An aware datetime of an RFC 3339 text; None for anything else. What is finer than a microsecond is cut."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}")
    except ValueError:
        return None


def parse_count(value: object) -> Optional[int]:
    """The whole number in an int64 of the API, which is a text there; None for anything else."""
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 20:
        return int(value)
    return int_or_none(value)


def resource_name(item: Union[str, Resource], kind: Type[Resource], collection: str = "") -> str:
    """The full name of `item`: a `kind`, its name with or without the collection, or its URI; else ValueError.

    `collection` is the kind's, unless the backend has another.
    """
    collection = collection or kind.collection
    text = item.name if isinstance(item, Resource) else item
    if not isinstance(text, str):
        raise TypeError(f"give a {kind.__name__} or its name ('{collection}/...'), not {type(item).__name__}")
    found = re.search(rf"(?:^|/){collection}/([^/:?#]+)(?:[:?#].*)?$", text)
    id = found.group(1) if found else text
    if not re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*", id):
        raise ValueError(f"{text!r} is no name of a {kind.__name__}: write '{collection}/...' as the API gave it")
    return f"{collection}/{id}"
