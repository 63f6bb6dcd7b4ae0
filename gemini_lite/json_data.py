"""JSON data read without trusting its shape: what is not of the kind reads as nothing."""
from __future__ import annotations

from typing import Any, Dict, List, Optional


def a_dict(value: Any) -> Dict[str, Any]:
    """`value` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def dicts(value: Any) -> List[Dict[str, Any]]:
    """The dicts in a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: Any) -> Optional[str]:
    """`value` if it is a string."""
    return value if isinstance(value, str) else None


def count(value: Any) -> Optional[int]:
    """`value` if it is a whole number."""
    return value if type(value) is int else None


def has_text(part: Dict[str, Any]) -> bool:
    """Whether a part has text."""
    return isinstance(part.get("text"), str)
