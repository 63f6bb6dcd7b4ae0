"""The file of a recording: its first line says what is kept, and each other one is an exchange."""
from __future__ import annotations

import base64
import json
import os
import re
from typing import IO, List, Tuple, Union

from ..json_data import JSON, dict_or_empty
from .redaction import Redaction
from .replies import dump
from .request import Request

FORMAT = 1
_EXCHANGE_FIELDS = {"method", "path", "request", "status", "answer_headers"}
URL_OF_PLAYER = "http://RECORDED_SERVER"  # stands in a recording for whoever plays it


def new_recording(path: Union[str, os.PathLike[str]], hash_texts: bool) -> IO[bytes]:
    """A recording with its first line alone, for its owner alone."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    if hasattr(os, "fchmod"):
        os.fchmod(file, 0o600)    # one that was there before keeps its mode otherwise
    os.ftruncate(file, 0)
    recording = os.fdopen(file, "wb")
    texts = "replaced by hashes" if hash_texts else "kept as they are"
    write_line(recording, {
        "recording": "gemini_lite", "format": FORMAT, "texts": "hashed" if hash_texts else "kept",
        "note": f"Prompts and answers are {texts}; keys, tokens and project ids are replaced."})
    return recording


def write_line(file: IO[bytes], line: JSON) -> None:
    """Add a line, at once."""
    file.write(dump(line) + b"\n")
    file.flush()


def request_body(request: Request, redaction: Redaction, hash_texts: bool) -> object:
    """A request's body as a recording has it; bytes as their length and, unless texts are hashed, their base64."""
    if isinstance(request.body, bytes):
        body = redaction.data(request.body)
        data: JSON = {} if hash_texts else {"$base64": base64.b64encode(body).decode()}
        return {"$bytes": len(body), **data} if body else None
    return redaction.value(request.body)


def read_recording(path: Union[str, os.PathLike[str]]) -> Tuple[JSON, List[JSON]]:
    """The first line of a recording, and its exchanges; ValueError if it is none, or damaged."""
    with open(path, "rb") as file:
        lines = [(number, _object(line)) for number, line in enumerate(file, 1) if line.strip()]
    first = lines[0][1] if lines else {}
    if first.get("recording") != "gemini_lite":
        raise ValueError(f"{os.fspath(path)} is no recording: testing.record() makes one")
    if first.get("format") != FORMAT:
        raise ValueError(f"{os.fspath(path)} has format {first.get('format')}; this version reads format {FORMAT}")
    for number, line in lines[1:]:
        if not _EXCHANGE_FIELDS <= line.keys():
            raise ValueError(f"line {number} of {os.fspath(path)} is damaged: take it out, or record it again")
    return first, [line for _, line in lines[1:]]


def _object(line: bytes) -> JSON:
    """The JSON object of a line; {} if it is none."""
    try:
        return dict_or_empty(json.loads(line.decode("utf-8-sig")))
    except (ValueError, RecursionError):
        return {}


def without_query_order(path: str) -> Tuple[str, ...]:
    """A path in a form in which the order of its query does not count."""
    place, _, query = path.partition("?")
    return (place, *sorted(part for part in re.split("&", query) if part))
