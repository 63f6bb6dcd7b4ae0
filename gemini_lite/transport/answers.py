"""What an answer's bytes say: one JSON object, or an event for each; or the error that they state."""
from __future__ import annotations

import json
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Union

import requests

from .. import errors
from ..json_data import JSON
from . import sse
from .body import too_large
from .error_body import error_from_event
from .failures import host_of

_decoder = json.JSONDecoder()


def _as_dict(value: object) -> JSON:
    """A mapping of another type than dict, which the options take too."""
    if isinstance(value, Mapping):
        return dict(value)
    step = ("; in a part dict they are base64 text, and a prompt takes (data, 'image/png')"
            if isinstance(value, (bytes, bytearray, memoryview)) else "")
    raise TypeError(f"objects of the type {type(value).__name__}{step}")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_as_dict).encode

Unwrap = Callable[[JSON], JSON]


def encode_body(body: Optional[JSON]) -> Optional[bytes]:
    """The bytes of a request's body; ValueError or TypeError for what JSON cannot say."""
    if body is None:
        return None
    try:
        return _encode(body).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"the request holds half a surrogate pair ({error.object[error.start]!r}), which is no text: "
                         "decode your input with errors='replace'") from None
    except RecursionError:
        raise ValueError("the request holds what JSON cannot say: it is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise type(error)(f"the request holds what JSON cannot say: {error}") from None


def read_json(blocks: Iterable[bytes], response: requests.Response, unwrap: Unwrap) -> JSON:
    """The JSON object of a unary answer; the error that it states is raised."""
    body = bytearray()  # and no list: a block of 2 bytes would take 70
    for block in blocks:
        body += block
    return unwrap(_parse_answer(body, response))


def _parse_answer(body: bytearray, response: requests.Response) -> JSON:
    try:
        answer = _decode(body)
    except (ValueError, RecursionError):
        raise not_json(response, bytes(body[:200])) from None
    failure: Optional[errors.GeminiError] = error_from_event(answer, response.headers)
    if failure is None and not isinstance(answer, dict):
        failure = not_json(response, bytes(body[:200]))
    if failure is not None:
        raise failure
    return answer  # type: ignore[no-any-return]


def read_events(
    blocks: Iterable[bytes], response: requests.Response, unwrap: Unwrap, limit: int,
) -> Iterator[JSON]:
    """The JSON object in each event of a stream, of at most `limit` bytes each; an error among them is raised."""
    is_first = True
    try:
        for data in sse.events(blocks, limit):
            event = _parse_event(data, response)
            if event is not None:
                is_first = False
                yield unwrap(event)
    except sse.EventTooLarge as error:
        raise errors.TransportError(too_large(str(error), "event"), reason="TOO_LARGE") from None
    if is_first and "text/event-stream" not in response.headers.get("Content-Type", ""):
        raise not_json(response, b"", "a stream of events")


def _parse_event(data: sse.Data, response: requests.Response) -> Optional[JSON]:
    """The event in `data`; None where there is none to deliver."""
    is_bare = isinstance(data, sse.BareText)
    try:
        event = _decode(data)
    except (ValueError, RecursionError):
        if is_bare or bytes(data).strip() == b"[DONE]":
            return None
        raise _broken(data) from None
    if type(event) is not dict or "error" in event:
        failure = error_from_event(event, response.headers)
        if failure is not None:
            raise failure
        if type(event) is not dict and not is_bare:
            raise _broken(data)
    return None if is_bare else event


def _decode(data: Union[sse.Data, bytearray]) -> Any:
    """The JSON value in `data`; ValueError or RecursionError if it is none."""
    text = str(data, "utf-8")
    if text[:1] == "{":
        value, end = _decoder.raw_decode(text)  # without the two searches for blanks: bench row "streamed event"
        if end == len(text):
            return value
    return _decoder.decode(text.lstrip("\ufeff"))  # a byte order mark, which some gateways write


def _broken(data: sse.Data) -> errors.GeminiError:
    if isinstance(data, sse.Unterminated):
        return errors.IncompleteError("The stream broke off inside an event. Ask again.", reason="CUT", retryable=True)
    return errors.ParseError(f"The stream holds an event that is no JSON object: {bytes(data[:200])!r:.200}",
                             reason="NOT_JSON")


def not_json(response: requests.Response, body: bytes, expected: str = "a JSON object") -> errors.ParseError:
    """The error for an answer of status 200 that is none of the API's."""
    kind = response.headers.get("Content-Type") or "an answer of unknown type"
    begins = f": {body[:200]!r:.200}" if body else ""
    return errors.ParseError(
        f"{host_of(response.url)} answered {response.status_code} with {kind} where {expected} was expected{begins}. "
        "Check the base URL and what stands between you and Google.", reason="NOT_JSON")
