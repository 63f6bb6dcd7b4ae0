"""Which fields a request may have: the API's messages, and the names in a body that none of them has."""
from __future__ import annotations

import functools
import re
from typing import Dict, Iterator, List, Mapping, Optional, Tuple

from . import extra_fields, known_fields
from .camel_case import camel, snake

Messages = Dict[str, Dict[str, str]]  # message -> field -> the message below, with > or >> before it, or ""


def unknown_fields(body: object, message: str = "GenerateContentRequest", api: str = "developer") -> List[str]:
    """The paths of the fields in `body` that the API does not have, e.g. ``generation_config.topk``; [] if all is well.

    `api` is "developer" or "vertex" (Code Assist takes Vertex AI's requests). A path is written as the API's error
    messages write it: in snake_case, with indexes; the last name is the unknown one, as it came.
    """
    table = messages(api)
    if message not in table:
        raise ValueError(f"no message {message!r} in the {api} API; there are {', '.join(sorted(table))}")
    return [f"{place}.{name}" if place else name for place, name in unknown_names(body, message, api)]


def unknown_names(body: object, message: str, api: str, place: str = "") -> Iterator[Tuple[str, str]]:
    """The same as (where, name) pairs; `place` is where `body` itself stands."""
    return _walk(body, message, messages(api), place)


@functools.lru_cache(maxsize=None)
def messages(api: str) -> Messages:
    """The fields of every message of an API: what Google publishes, and what extra_fields.py adds."""
    if api not in ("developer", "vertex"):
        raise ValueError(f"api is 'developer' or 'vertex', not {api!r}")
    table = _parse(known_fields.DEVELOPER if api == "developer" else known_fields.VERTEX)
    extra = extra_fields.DEVELOPER if api == "developer" else extra_fields.VERTEX
    for text in (extra_fields.BOTH, extra):
        for message, fields in _parse(text).items():
            table.setdefault(message, {}).update(fields)
    return table


def _parse(text: str) -> Messages:
    table: Messages = {}
    for line in re.sub(r"\n +", " ", text).splitlines():
        message, _, fields = line.partition(":")
        for field in fields.split():
            name, arrow, below = re.split("(>>?|$)", field, maxsplit=1)
            table.setdefault(message, {})[name] = arrow + below
        table.setdefault(message, {})
    return table


def _walk(value: object, message: str, table: Messages, place: str) -> Iterator[Tuple[str, str]]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _walk(item, message, table, f"{place}[{number}]")
    elif isinstance(value, dict):
        for name, inner in value.items():
            field = _field(name, table[message])
            if field is None:
                yield place, name
                continue
            below = f"{place}.{snake(camel(name))}" if place else snake(camel(name))
            yield from _walk_field(inner, table[message][field], table, below)


def _walk_field(value: object, target: str, table: Messages, place: str) -> Iterator[Tuple[str, str]]:
    message = target.lstrip(">")
    if target.startswith(">>"):
        for number, item in enumerate(value.values() if isinstance(value, dict) else ()):
            yield from _walk(item, message, table, f"{place}[{number}].value")
    elif message:
        yield from _walk(value, message, table, place)


def _field(name: str, fields: Mapping[str, str]) -> Optional[str]:
    if name in fields:
        return name
    in_camel_case = camel(name)
    return in_camel_case if in_camel_case in fields else None
