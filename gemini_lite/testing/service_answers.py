"""What the services of `FakeGemini` share: JSON answers, times and counts."""
from __future__ import annotations

import datetime
import json
import re
from typing import Mapping, Optional

from ..json_data import JSON
from .server import Raw


def json_answer(body: JSON, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Raw:
    """`body` as an answer."""
    data = json.dumps(body, ensure_ascii=False).encode("utf-8")
    usual = {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(data))}
    return Raw(data, status=status, headers={**usual, **(headers or {})})


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
