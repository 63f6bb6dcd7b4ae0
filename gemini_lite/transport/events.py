"""The data of server-sent events in, the JSON objects of the API out."""
from __future__ import annotations

import json
from typing import Callable, Iterable, Iterator, Mapping

from .. import errors
from ..json_data import JSON
from . import sse
from .error_body import error_from_event

_decode = json.JSONDecoder().decode


def parse(source: Iterable[bytes], headers: Mapping[str, str], unwrap: Callable[[JSON], JSON]) -> Iterator[JSON]:
    """Yield the JSON object in each event of `source`, which `sse.events` gives, without a backend's envelope.

    An error among them is raised; `headers`, of the answer, may tell more about it. ParseError for an event that holds
    anything else, IncompleteError for one that was cut.
    """
    for data in source:
        try:
            event = _decode(data.decode("utf-8"))
        except (ValueError, RecursionError):
            if data.strip() == b"[DONE]":
                continue
            raise _broken(data) from None
        if type(event) is not dict or "error" in event:
            failure = error_from_event(event, headers)
            if failure is not None:
                raise failure
            if type(event) is not dict:
                raise _broken(data)
        yield unwrap(event)


def _broken(data: bytes) -> errors.GeminiError:
    if isinstance(data, sse.Unterminated):
        return errors.IncompleteError("The stream broke off inside an event. Ask again.", reason="CUT", retryable=True)
    return errors.ParseError(f"The stream holds an event that is no JSON object: {bytes(data[:200])!r:.200}",
                             reason="NOT_JSON")
