"""Prompts as the requests of a batch: one key each, inline or as the lines of a file."""
from __future__ import annotations

import hashlib
import json
from typing import Any, Iterable, Iterator, List, Mapping, NamedTuple, Tuple, Union

from .. import contents
from ..contents import Prompt
from ..json_data import JSON
from ..options import GeminiOptions
from ..turns.order import copy_json

BatchItem = Union[Prompt, Tuple[str, Prompt], Mapping[str, Any]]

INLINE_LIMIT = 15_000_000  # bytes; the API takes 20 MB with everything else in the request

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True).encode


class BatchRequest(NamedTuple):
    """One request: its key, and the body that generateContent documents."""

    key: str
    request: JSON

    def line(self) -> bytes:
        """The line of a batch's file."""
        return _encode({"key": self.key, "request": self.request}).encode("utf-8") + b"\n"


def build_requests(items: Iterable[BatchItem], options: GeminiOptions) -> Iterator[BatchRequest]:
    """The request for each of `items`, as ``generate`` would send it; ValueError for a key that comes twice.

    An item is a prompt, ``(key, prompt)``, ``{"key": ..., "prompt": ...}`` or ``{"key": ..., "request": {...}}`` with a
    request of the API's own; without a key it gets its position.
    """
    if isinstance(items, (str, bytes, Mapping)):
        raise TypeError("give a list of prompts, not one: client.generate answers one")
    seen = set()
    for index, item in enumerate(items):
        key, request = _split(item, index, options)
        if key in seen:
            raise ValueError(f"the key {key!r} comes twice (item {index}): results are told apart by their keys")
        seen.add(key)
        yield BatchRequest(key, request)


def _split(item: BatchItem, index: int, options: GeminiOptions) -> Tuple[str, JSON]:
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        return item[0], _request(item[1], options)
    if isinstance(item, Mapping) and ("request" in item or "prompt" in item):
        key = str(item.get("key", index))
        if isinstance(item.get("request"), Mapping):
            return key, copy_json(item["request"])
        return key, _request(item["prompt"], options)
    return str(index), _request(item, options)


def _request(prompt: Any, options: GeminiOptions) -> JSON:
    return contents.build_request(contents.from_prompt(prompt), options)


class InputHash:
    """The hash of a batch's input, by which it is known again."""

    def __init__(self, model: str) -> None:
        self._digest = hashlib.sha256(model.encode())

    def add(self, line: bytes) -> None:
        """Take in one line."""
        self._digest.update(line)

    def hexdigest(self) -> str:
        """16 hexadecimal digits."""
        return self._digest.hexdigest()[:16]


def inline_entries(requests: List[BatchRequest]) -> JSON:
    """The ``inputConfig`` with the requests themselves."""
    return {"requests": {"requests": [
        {"request": request, "metadata": {"key": key}} for key, request in requests]}}
