"""The API's JSON data, read without trusting its shape: a value of another kind than expected reads as absent."""
from __future__ import annotations

from typing import Any, Dict, List, Optional

JSON = Dict[str, Any]  # a JSON object as the API documents it


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
