"""The requests of a batch: one key each, inline or as the lines of a file."""
from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from typing import Any, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple, Union

from ..contents import Prompt
from ..json_data import JSON
from ..options import GeminiOptions
from ..transport.answers import encode_body
from .prompts import RequestBuilder, check_prompts, read_item

BatchItem = Union[Prompt, Tuple[str, Prompt], Mapping[str, Any]]

INLINE_LIMIT = 15_000_000  # bytes; the API takes 20 MB with everything else in the request


def encode_line(value: JSON) -> bytes:
    """`value` as a line of a file of requests; ValueError or TypeError for what JSON cannot say."""
    return (encode_body(value) or b"") + b"\n"


class BatchRequest(NamedTuple):
    """One request: its key, and the body that generateContent documents."""

    key: str
    request: JSON

    def line(self) -> bytes:
        """The line of a batch's file; ValueError or TypeError for what JSON cannot say."""
        return encode_line({"key": self.key, "request": self.request})


def build_requests(items: Iterable[BatchItem], options: GeminiOptions, model: str) -> Iterator[BatchRequest]:
    """The request for each of `items`, as ``generate`` would send it; ValueError for a key that comes twice.

    An item is a prompt, ``(key, prompt)``, ``{"key": ..., "prompt": ...}`` or ``{"key": ..., "request": {...}}`` with a
    request of the API's own, over what the options say; without a key it gets its position.
    """
    check_prompts(items)
    builder = RequestBuilder(options, model)
    seen: Set[str] = set()
    for index, value in enumerate(items):
        item = read_item(value)
        key = str(index) if item.key is None else item.key
        if key in seen:
            raise ValueError(f"the key {key!r} comes twice (item {index}): results are told apart by their keys")
        seen.add(key)
        yield BatchRequest(key, builder.build(item))


class WrittenRequests(NamedTuple):
    """Requests on disk: where, a hash of them, and themselves if they are few enough to go inline."""

    path: str
    digest: str
    inline: Optional[List[BatchRequest]]


@contextlib.contextmanager
def written(requests: Iterable[BatchRequest], model: str) -> Iterator[WrittenRequests]:
    """`requests` in a file for its owner alone, which is removed at the end; ValueError if there are none."""
    digest, size, inline = hashlib.sha256(model.encode()), 0, []
    descriptor, path = tempfile.mkstemp(prefix="gemini-lite-batch-", suffix=".jsonl")
    try:
        with open(descriptor, "wb") as file:
            for request in requests:
                line = request.line()
                file.write(line)
                digest.update(line)
                size += len(line)
                if size <= INLINE_LIMIT:
                    inline.append(request)
                else:
                    inline.clear()
        if not size:
            raise ValueError("there is no prompt to hand in")
        yield WrittenRequests(path, digest.hexdigest()[:16], inline if size <= INLINE_LIMIT else None)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def inline_config(requests: Iterable[BatchRequest]) -> JSON:
    """The ``inputConfig`` with the requests themselves."""
    return {"requests": {"requests": [
        {"request": request, "metadata": {"key": key}} for key, request in requests]}}
