"""One line of a file of results, in the form of Gemini's Batch API: ``{"key": ..., "response" or "error": ...}``.

Beside these stands "meta", which is ours and may be absent: a version, a hash of what was asked, and what an error
needs to be raised again.
"""
from __future__ import annotations

import json
import re
from typing import Any, Optional, Type

from .. import errors
from ..api.known_keys import hash_bytes
from ..errors import GeminiError, IncompleteError
from ..json_data import JSON, dict_or_empty, int_or_none, list_of_dicts, str_or_none
from ..response import AnswerFormat, GenerateContentResponse, Result
from ..transport.error_body import error_from_event

VERSION = 1
BEGINNING = b'{"key":'  # of every line that we write
LOST = "LOST"  # the reason of a prompt that was sent, and whose answer a crash took

_HASH = re.compile(r"[0-9a-f]{16}")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":")).encode
_KINDS = {name: value for name, value in vars(errors).items()
          if isinstance(value, type) and issubclass(value, GeminiError)}


def encode_line(value: object) -> bytes:
    """`value` as one line of JSON; half a surrogate pair, which UTF-8 cannot hold, as an escape."""
    try:
        return (_encode(value) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return (_encode_ascii(value) + "\n").encode("ascii")


def to_line(result: Result, hash: int, model: str, *, is_demo: bool = False) -> bytes:
    """The line for `result`, an error if it is nested too deep for one; `hash` is that of its request, 0 for none."""
    meta: JSON = {"v": VERSION, "index": result.index, "tries": result.tries, "model": model}
    if is_demo:
        meta["demo"] = True
    if hash:
        meta["hash"] = f"{hash:016x}"
    try:
        if result.error is None:
            return encode_line({"key": result.key, "response": result.unwrap().data, "meta": meta})
        return encode_line({"key": result.key, **_error_fields(result.error, meta)})
    except RecursionError:
        error = IncompleteError("The answer is nested too deep to be kept. Ask again, or with client.generate.",
                                reason="NOT_JSON")
        return encode_line({"key": result.key, **_error_fields(error, meta)})


def _error_fields(error: GeminiError, meta: JSON) -> JSON:
    meta.update(type=type(error).__name__, reason=error.reason, retryable=error.retryable)
    if isinstance(error.response, GenerateContentResponse):
        meta["response"] = error.response.data
    return {"error": {"code": error.code or 0, "status": error.status or "", "message": str(error)[:4000],
                      "details": error.details}, "meta": meta}


def read_record(line: bytes) -> Optional[JSON]:
    """The record in a line; None if it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(record, dict) and isinstance(record.get("key"), str) \
            and (isinstance(record.get("response"), dict) or isinstance(record.get("error"), dict)):
        return record
    return None


def hash_request(request: JSON, model: str) -> int:
    """64 bits that stand for a request and its model; 0 for what cannot be sent."""
    try:
        return hash_bytes(model.encode("utf-8") + b"\0" + encode_line(request))
    except (TypeError, ValueError, RecursionError):
        return 0


def hash_of(record: JSON) -> int:
    """The hash of the request that a record answers; 0 if it has none."""
    text = str_or_none(dict_or_empty(record.get("meta")).get("hash"))
    return int(text, 16) if text is not None and _HASH.fullmatch(text) else 0


def is_error(record: JSON) -> bool:
    """Whether the record has an error in place of an answer; a program that rewrote it may have written both names."""
    return bool(record.get("error")) or not isinstance(record.get("response"), dict)


def is_of_demo(record: JSON) -> bool:
    """Whether the stand-in made the answer up."""
    return dict_or_empty(record.get("meta")).get("demo") is True


def is_transient(record: JSON) -> bool:
    """Whether the prompt of an error record may succeed when it is sent again."""
    return _to_error(record).retryable


def to_result(record: JSON, position: int, answer_format: AnswerFormat = AnswerFormat()) -> Result:
    """The result that a record holds; `position` is its index if it names none."""
    meta = dict_or_empty(record.get("meta"))
    index, tries = int_or_none(meta.get("index")), int_or_none(meta.get("tries"))
    response: Optional[GenerateContentResponse[Any]] = None
    error: Optional[GeminiError] = None
    if is_error(record):
        error = _to_error(record, answer_format)
    else:
        response = GenerateContentResponse(record["response"], answer_format)
    return Result(position if index is None else index, record["key"], response, error, 1 if tries is None else tries)


def _to_error(record: JSON, answer_format: AnswerFormat = AnswerFormat()) -> GeminiError:
    """The error of a record: as we wrote it, or as Google did, which writes no meta."""
    data, meta = dict_or_empty(record["error"]), dict_or_empty(record.get("meta"))
    google_error = None if "retryable" in meta else error_from_event(record, {})
    if google_error is not None:
        return google_error
    kind: Type[GeminiError] = _KINDS.get(str(meta.get("type")), errors.APIError)
    answer = meta.get("response")
    return kind(
        str_or_none(data.get("message")) or "", code=int_or_none(data.get("code")) or None,
        status=str_or_none(data.get("status")) or None, reason=str_or_none(meta.get("reason")),
        details=tuple(list_of_dicts(data.get("details"))), retryable=meta.get("retryable") is True,
        response=GenerateContentResponse(answer, answer_format) if isinstance(answer, dict) else None)
