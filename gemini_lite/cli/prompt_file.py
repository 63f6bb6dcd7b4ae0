"""The file of prompts that ``map`` and ``batch`` answer: lines of JSON or text, or the rows of a table."""
from __future__ import annotations

import codecs
import contextlib
import csv
import itertools
import json
import os
import re
import sys
from typing import Any, Iterable, Iterator, List, Mapping, Optional, Sequence, TextIO, Tuple

from ..api.known_keys import KnownKeys
from ..api.prompts import read_item
from ..contents import build_request
from ..json_data import JSON
from ..json_data.previews import counted
from ..openai_compat import from_openai
from ..options import GeminiOptions
from .map_help import MapArguments

_PLACE = re.compile(r"\{([^{}]*)\}")
_BYTES_A_PROMPT = 100  # or so, to guess how many keys there are
_LONGEST_FIELD = 2 ** 31 - 1  # of a table; Python's own limit is 128 KB


class PromptFile:
    """The prompts of the input, read anew by each iteration.

    It is read to its end once when it is made, so that what is wrong with it is said before anything is paid for.
    """

    def __init__(self, arguments: MapArguments) -> None:
        self._arguments = arguments
        self._count = 0
        keys = KnownKeys(os.stat(arguments.input).st_size // _BYTES_A_PROMPT)
        for prompt in self:
            key = read_item(prompt).key
            key = str(self._count) if key is None else key
            self._count += 1
            if key in keys:
                raise ValueError(f"prompt {self._count:,} of {arguments.input} has the key {key!r}, and so has one "
                                 "before it: every prompt needs one of its own")
            keys.add(key, 0, seen=False)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[object]:
        with contextlib.ExitStack() as stack:
            yield from read_prompts(stack, self._arguments)


def open_prompts(stack: contextlib.ExitStack, arguments: MapArguments) -> Iterable[object]:
    """The prompts of the input; those of a pipe, which can be read once, unchecked."""
    return PromptFile(arguments) if os.path.isfile(arguments.input) else read_prompts(stack, arguments)


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """ValueError that names the input where the block meets what is not UTF-8, or no table."""
    try:
        yield
    except UnicodeDecodeError as error:
        place = f"line {_undecodable_line(name):,} of {name}" if os.path.isfile(name) else name
        guess = "utf-16" if error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin1"
        raise ValueError(f"{place} is not UTF-8 (the byte 0x{error.object[error.start]:02x}): convert it first, as "
                         f"iconv -f {guess} -t utf-8 does") from None
    except csv.Error as error:
        raise ValueError(f"{name} cannot be read as a table: {error}") from None


def _undecodable_line(name: str) -> int:
    with open(name, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


# Reading

def read_prompts(stack: contextlib.ExitStack, arguments: MapArguments) -> Iterator[object]:
    """The prompts of the input, read as they are needed; ValueError for a column that is not there."""
    file = stack.enter_context(_open_text(arguments.input))
    kind = arguments.input_format or _kind_of(arguments.input)
    if kind in ("csv", "tsv"):
        return _read_table(file, "," if kind == "csv" else "\t", arguments)
    if kind == "jsonl":
        return _read_json_lines(file, arguments)
    if arguments.key:
        raise ValueError("--key names a column, which a text file does not have")
    lines = (line.rstrip("\r\n") for line in file)
    if arguments.prompt is None:
        return (line for line in lines if line.strip())
    template = Template(arguments.prompt, ["line"])
    return (template.fill({"line": line}) for line in lines if line.strip())


def _open_text(name: str) -> "contextlib.AbstractContextManager[TextIO]":
    if name == "-":
        stdin: TextIO = open(sys.stdin.fileno(), encoding="utf-8-sig", newline="", closefd=False)
        return stdin
    try:
        return open(name, encoding="utf-8-sig", newline="")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None


def is_table(name: str) -> bool:
    """Whether the name is that of a file of rows, and not of lines of text."""
    return _kind_of(name) != "txt"


def _kind_of(name: str) -> str:
    ending = os.path.splitext(name)[1].lower()
    return {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}.get(ending, "txt")


class Template:
    """A prompt with ``{column}`` in it; other braces stay as they are only where they hold no name alone.

    `names` are the columns that it names.
    """

    def __init__(self, text: str, columns: Sequence[str]) -> None:
        self._text = text
        places = _PLACE.findall(text)
        self.names = [name for name in places if name in columns]
        for name in places:
            if name.isidentifier():
                _check_column("--prompt", name, columns)
        if not self.names:
            raise ValueError("--prompt names no column, so that all prompts would be the same; there is: "
                             f"{', '.join(f'{{{name}}}' for name in columns) or 'none'}")

    def fill(self, row: Mapping[str, object]) -> str:
        """The prompt for one row, which has all of `names`; None is written as nothing, what is no text as JSON."""
        return _PLACE.sub(lambda place: _cell_text(row[place.group(1)]) if place.group(1) in self.names
                          else place.group(), self._text)


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read_table(file: TextIO, delimiter: str, arguments: MapArguments) -> Iterator[object]:
    csv.field_size_limit(_LONGEST_FIELD)
    rows, above = csv.reader(file, delimiter=delimiter), 0
    columns = next((row for row in rows if row), [])
    if len(columns) == 1 and ";" in columns[0]:  # as spreadsheets write it where the comma is in the numbers
        columns = next(csv.reader(columns, delimiter=";"))
        rows, above = csv.reader(file, delimiter=";"), rows.line_num
    if arguments.prompt is None:
        raise ValueError(f"say what to ask about each row: --prompt \"... {{{columns[0] if columns else 'column'}}}\"")
    if arguments.key is not None:
        _check_column("--key", arguments.key, columns)
    return _fill_rows(_named(rows, columns, above, arguments.input), Template(arguments.prompt, columns), arguments.key)


def _named(rows: Any, columns: List[str], above: int, name: str) -> Iterator[Mapping[str, str]]:
    """The cells of each row by their columns; a row must have one for each. `above` lines stand before the `rows`."""
    for cells in rows:
        if cells and len(cells) != len(columns):
            raise ValueError(f"{_line_of(name, above + rows.line_num)} has {counted(len(cells), 'cell')}, and the "
                             f"table has {counted(len(columns), 'column')}: a text with the separator in it stands in "
                             "double quotes")
        if cells:
            yield dict(zip(columns, cells))


def _check_column(option: str, name: str, columns: Sequence[str]) -> None:
    count = list(columns).count(name)
    if count != 1:
        problem = "there is no such column" if not count else f"there are {count} columns of that name"
        raise ValueError(f"{option} names {name}, and {problem}; there is: {', '.join(columns) or 'none'}")


def _fill_rows(rows: Iterable[Mapping[str, str]], template: Template, key: Optional[str]) -> Iterator[object]:
    for row in rows:
        prompt = template.fill(row)
        yield prompt if key is None else (row[key], prompt)


def _read_json_lines(file: TextIO, arguments: MapArguments) -> Iterator[object]:
    numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
    parsed = ((number, _parse(line, number, arguments.input)) for number, line in numbered)
    if arguments.prompt is None:
        return (_line_prompt(value, number, arguments.input) for number, value in parsed)
    first = next(parsed, None)
    if first is None:
        return iter(())
    columns = list(first[1]) if isinstance(first[1], dict) else []
    if arguments.key is not None:
        _check_column("--key", arguments.key, columns)
    template = Template(arguments.prompt, columns)
    return _fill_objects(itertools.chain([first], parsed), template, arguments)


def _fill_objects(
    objects: Iterable[Tuple[int, object]], template: Template, arguments: MapArguments,
) -> Iterator[object]:
    key = arguments.key
    for number, value in objects:
        place = _line_of(arguments.input, number)
        if not isinstance(value, dict):
            raise ValueError(f"{place} is no object")
        missing = [name for name in template.names if name not in value]
        if missing:
            raise ValueError(f"{place} has no {missing[0]!r}, which --prompt names")
        if key is not None and value.get(key) is None:
            raise ValueError(f"{place} has no {key!r}, which --key names")
        prompt = template.fill(value)
        yield prompt if key is None else (str(value[key]), prompt)


def _parse(line: str, number: int, name: str) -> object:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{_line_of(name, number)} is no JSON: {error}") from None
    return value


def _line_of(name: str, number: int) -> str:
    return f"line {number:,} of {'standard input' if name == '-' else name}"


def _line_prompt(value: object, number: int, name: str) -> object:
    """A line as a prompt; one in OpenAI's form as the request that it stands for."""
    if not isinstance(value, dict) or "custom_id" not in value:
        return value
    try:
        return _from_openai_line(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{_line_of(name, number)} cannot be sent: {error}") from None


def _from_openai_line(value: JSON) -> JSON:
    body: JSON = dict(value["body"]) if isinstance(value.get("body"), dict) else {}
    messages = body.pop("messages", ())
    for name in ("model", "stream"):  # a run is for one model, and OpenAI's names are not Gemini's
        body.pop(name, None)
    contents, fields = from_openai(messages, body.pop("tools", None), drop_params=True, **body)
    return {"key": str(value["custom_id"]), "request": build_request(contents, GeminiOptions(**fields))}
