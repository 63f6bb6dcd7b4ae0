"""The results of a batch: lines of a file, or entries of the job itself, told apart by their keys."""
from __future__ import annotations

import json
import logging
from typing import Any, Iterator, Optional, Sequence

from ..answers.check import check
from ..contents import answer_format
from ..errors import GeminiError, IncompleteError, ParseError
from ..files_on_disk import StrPath
from ..json_data import JSON, dict_or_empty, preview
from ..options import GeminiOptions
from ..response import GenerateContentResponse, Result
from ..transport.error_body import error_from_event
from .known_keys import KnownKeys

_MANY = 500_000  # results, where nobody says how many there are

log = logging.getLogger("gemini_lite")


def read_lines(path: StrPath, name: str) -> Iterator[JSON]:
    """The JSON object in each line of the file of results at `path`, of what is called `name`; or ParseError."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _parsed(line, number, name)


def _parsed(line: bytes, number: int, name: str) -> JSON:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ParseError(f"Line {number} of the results of {name} is no JSON object: {line[:100]!r}",
                         reason="NOT_JSON")
    return value


def tell_apart(lines: Iterator[JSON], keys: Optional[Sequence[str]], options: GeminiOptions) -> Iterator[Result]:
    """The result of each of `lines` by its key; with `keys`, an error's Result for each of them that has none."""
    known = KnownKeys(_MANY if keys is None else len(keys))
    for index, expected in enumerate(keys or ()):
        known.add(expected, index << 1, seen=False)
    for number, line in enumerate(lines):
        key = _key_of(line)
        if key is None:
            log.warning("result %d of the batch has no key, so nobody can tell what it answers: it is left out", number)
            continue
        try:
            place = known.see(key)
        except ValueError:
            log.warning("the batch has two results for the key %s: the second is left out", key)
            continue
        if place is not None:
            yield _result(place >> 1, key, line, options)
        elif keys is None:
            known.add(key, 0, seen=True)
            yield _result(number, key, line, options)
        else:
            log.warning("the batch has a result for the key %s, which was not asked for: it is left out", key)
    for index, expected in enumerate(keys or ()):
        if not known.is_seen(expected):
            yield Result(index, expected, None, IncompleteError(
                "The batch has no result for this key. Ask again, with client.map or a new batch.", reason="MISSING",
                retryable=True), 0)


def _key_of(line: JSON) -> Optional[str]:
    key = line.get("key", dict_or_empty(line.get("metadata")).get("key"))
    return str(key) if isinstance(key, (str, int)) else None


def _result(index: int, key: str, line: JSON, options: GeminiOptions) -> Result:
    """The Result that a line states: what ``generate`` would have returned, or the error it would have raised."""
    failure: Optional[GeminiError] = error_from_event({"error": line["error"]}, {}) if line.get("error") else None
    response = line.get("response")
    if failure is None and isinstance(response, dict):
        answer: GenerateContentResponse[Any] = GenerateContentResponse(response, answer_format(options))
        try:
            if "embedding" not in response:
                check(answer)
            return Result(index, key, answer)
        except GeminiError as error:
            failure = error
    return Result(index, key, None, failure or ParseError(
        f"The batch's line for this key holds neither an answer nor an error: {preview(line, 200)}",
        reason="NO_RESULT"))
