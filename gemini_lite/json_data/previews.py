"""Short texts of values for errors and displays, however large or deeply nested the values are."""
from __future__ import annotations

import json
from itertools import islice
from typing import Callable, List

_MOST_ITEMS = 6  # of one container that are shown
_DEEPEST = 4  # levels of containers
_LONGEST_NUMBER = 1024  # in bits; Python refuses to write much longer ones


def shorten(text: str, length: int) -> str:
    """`text`, cut to `length` characters with ``...`` behind them if it is longer."""
    return text if len(text) <= length else f"{text[:length]}..."


def counted(number: int, noun: str) -> str:
    """``1 prompt``, ``2 prompts``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def preview(value: object, length: int = 80) -> str:
    """The ``repr`` of JSON data, cut to about `length` characters; the time it takes does not grow with the value."""
    return shorten(_preview(value, length, _DEEPEST, repr), length)


def preview_json(value: object, length: int = 80) -> str:
    """The same as JSON."""
    return shorten(_preview(value, length, _DEEPEST, _write_json), length)


def _preview(value: object, length: int, depth: int, write: Callable[[object], str]) -> str:
    if isinstance(value, str):
        return write(shorten(value, length))
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, dict):
        members = [f"{_preview(name, length, 1, write)}: {_preview(member, length, depth - 1, write)}"
                   for name, member in islice(value.items(), _MOST_ITEMS if depth else 0)]
        return f"{{{_join(members, len(value))}}}"
    if isinstance(value, (list, tuple)):
        items = [_preview(item, length, depth - 1, write) for item in islice(value, _MOST_ITEMS if depth else 0)]
        return f"[{_join(items, len(value))}]"
    return write(value)


def _write_json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        return repr(value)


def _join(shown: List[str], count: int) -> str:
    return ", ".join([*shown, *(["..."] if count > len(shown) else [])])
