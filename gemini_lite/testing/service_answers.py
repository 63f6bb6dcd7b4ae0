"""What the services of `FakeGemini` share: JSON answers, times and counts."""
from __future__ import annotations

import datetime
import re

from .replies import json_answer

__all__ = ["camel_case", "count_tokens", "json_answer", "time_text"]


def count_tokens(value: object) -> int:
    """One for every four characters begun under a ``text`` key, and never less than one."""
    return max(1, (_characters(value) + 3) // 4)


def _characters(value: object) -> int:
    if isinstance(value, list):
        return sum(map(_characters, value))
    if isinstance(value, dict):
        return sum(len(item) if name == "text" and isinstance(item, str) else _characters(item)
                   for name, item in value.items())
    return 0


def time_text(moment: datetime.datetime) -> str:
    """A moment in UTC as the API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def camel_case(name: str) -> str:
    """A field's name as the API writes it."""
    return re.sub("_([a-z])", lambda match: match.group(1).upper(), name)
