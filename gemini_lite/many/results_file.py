"""Reading a file of results: line by line, with a last line that may have been torn by a crash."""
from __future__ import annotations

import os
from typing import Any, BinaryIO, Iterator, NamedTuple, Optional, Type, TypeVar, Union, overload

from ..json_data import JSON
from ..response import AnswerFormat, Result
from .records import BEGINNING, read_record, to_result

S = TypeVar("S")  # what ``response_schema`` names


class Line(NamedTuple):
    """One line of the file: `number` counts from 1, `start` is in bytes; `record` is None for a torn last line."""

    number: int
    start: int
    data: bytes
    record: Optional[JSON]


def read_lines(file: BinaryIO, name: str) -> Iterator[Line]:
    """The lines of a file of results; ValueError if it is damaged, or none."""
    start = 0
    for number, data in enumerate(file, 1):
        record = read_record(data)
        if record is None:
            if number == 1 and data[:len(BEGINNING)] != BEGINNING[:len(data)]:
                raise ValueError(f"{name} is no file of results, and is left as it is: its first line has no "
                                 '{"key": ..., "response" or "error": ...}. Give another name')
            if file.read(1):
                raise ValueError(f"line {number} of {name} is damaged: it is no result. Nothing was changed; mend the "
                                 "line or take it out, and its prompt will be sent again")
        yield Line(number, start, data, record)
        start += len(data)


@overload
def read_results(path: Union[str, "os.PathLike[str]"], *, response_schema: Type[S]) -> Iterator[Result[S]]: ...


@overload
def read_results(
    path: Union[str, "os.PathLike[str]"], *, response_schema: object = None,
) -> Iterator[Result[Any]]: ...


def read_results(path: Union[str, "os.PathLike[str]"], *, response_schema: object = None) -> Iterator[Result]:
    """The results in a file that `GeminiClient.map_to` wrote, or Google's Batch API, in the order of its lines.

    A torn last line, which a crash leaves, is left out; ValueError for a file that is damaged elsewhere.
    `response_schema` is what ``parsed`` reads by; without it, that is plain JSON.
    """
    answer_format = AnswerFormat(response_schema)
    with open(path, "rb") as file:
        for line in read_lines(file, os.fspath(path)):
            if line.record is not None:
                yield to_result(line.record, line.number - 1, answer_format)
