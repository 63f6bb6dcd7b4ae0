"""Short texts of values for errors and displays, however large or deeply nested the values are."""
from __future__ import annotations

from itertools import islice

_MOST_ITEMS = 6  # of one container that are shown
_LONGEST_NUMBER = 1024  # in bits; Python refuses to write much longer ones


def shorten(text: str, length: int) -> str:
    """`text`, cut to `length` characters with ``...`` behind them if it is longer."""
    return text if len(text) <= length else f"{text[:length]}..."


def preview(value: object, length: int = 80, depth: int = 3) -> str:
    """The ``repr`` of JSON data, cut to about `length` characters; the time it takes does not grow with the value."""
    return shorten(_preview(value, length, depth), length)


def _preview(value: object, length: int, depth: int) -> str:
    if isinstance(value, str):
        return repr(shorten(value, length))
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, dict):
        members = [f"{_preview(name, length, 1)}: {_preview(member, length, depth - 1)}"
                   for name, member in islice(value.items(), _MOST_ITEMS if depth else 0)]
        return f"{{{_join(members, len(value))}}}"
    if isinstance(value, (list, tuple)):
        items = [_preview(item, length, depth - 1) for item in islice(value, _MOST_ITEMS if depth else 0)]
        return f"[{_join(items, len(value))}]"
    return repr(value)


def _join(shown: "list[str]", count: int) -> str:
    return ", ".join([*shown, *(["..."] if count > len(shown) else [])])
