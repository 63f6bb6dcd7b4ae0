"""``gemini-lite map``: the prompts of a file, answered into another."""
from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import sys
from typing import Callable, Iterable, Iterator, List, Mapping, Optional, TextIO, Tuple

from ..client import GeminiClient
from ..contents import build_request
from ..errors import GeminiError
from ..json_data import JSON
from ..many.stats import Stats
from ..openai_compat import from_openai
from ..options import GeminiOptions
from .inputs import Inputs
from .map_help import MapArguments
from .standard_error import print_lines, print_status

_PLACE = re.compile(r"\{([^{}]*)\}")


OpenClient = Callable[[], "contextlib.AbstractContextManager[GeminiClient]"]


def run_map(arguments: MapArguments, open_client: OpenClient) -> int:
    """Run the command with a client that `open_client` opens; its exit code."""
    options = GeminiOptions(
        model=arguments.model, system_prompt=arguments.system, temperature=arguments.temperature,
        response_schema=Inputs().load_schema(arguments.schema) if arguments.schema else None)
    with contextlib.ExitStack() as stack:
        prompts = read_prompts(stack, arguments)  # an unknown column is an error before there is a client
        client = stack.enter_context(open_client())
        settings = {"concurrency": arguments.concurrency, "requests_per_minute": arguments.requests_per_minute,
                    "max_errors": arguments.max_errors, "progress": False if arguments.quiet else None}
        fields = {name: getattr(options, name) for name in ("model", "system_prompt", "temperature", "response_schema")
                  if getattr(options, name) is not None}
        try:
            if arguments.output_file == "-":
                stats = _write_to_stdout(client, prompts, {**settings, **fields})
            else:
                stats = client.map_to(
                    arguments.output_file, prompts, resume=not arguments.no_resume,
                    retry_errors=arguments.retry_errors, on_crash=arguments.on_crash,
                    **{**settings, **fields})
        except (GeminiError, OSError, KeyboardInterrupt) as error:
            return _report_stop(error, arguments)
    _report(stats, arguments)
    if stats.failed and arguments.output_file != "-" and not arguments.quiet:
        print_status(_next_step(stats))
    return 1 if stats.failed else 0


def _next_step(stats: Stats) -> str:
    """What becomes of the failures in the file."""
    if stats.may_pass == stats.failed:
        return "the same command tries what failed again"
    some = f"the same command tries {stats.may_pass:,} of them again; " if stats.may_pass else ""
    return f"{some}with --retry-errors all it tries all that failed again"


def _write_to_stdout(client: GeminiClient, prompts: Iterable[object], settings: JSON) -> Stats:
    """Write results as they come; the counts at the end."""
    from ..many.records import to_line
    with client.map(prompts, ordered=False, **settings) as run:
        for result in run:
            sys.stdout.buffer.write(to_line(result, 0, run.model, is_demo=run.is_demo))
            sys.stdout.buffer.flush()
        return run.stats


def _report(stats: Optional[Stats], arguments: MapArguments) -> None:
    if stats is not None and not arguments.quiet:
        print_lines(str(stats))


def _report_stop(error: BaseException, arguments: MapArguments) -> int:
    """Say why the run stopped, and how to go on; the exit code."""
    stats: Optional[Stats] = getattr(error, "summary", None)
    if stats is None and not isinstance(error, KeyboardInterrupt):
        raise error  # it did not begin
    _report(stats, arguments)
    if isinstance(error, BrokenPipeError):
        raise error
    if not isinstance(error, KeyboardInterrupt):
        print_status(str(error))
    if arguments.output_file != "-":
        print_status("stopped; the same command goes on from here")
    return 130 if isinstance(error, KeyboardInterrupt) else 3


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


def _kind_of(name: str) -> str:
    ending = os.path.splitext(name)[1].lower()
    return {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}.get(ending, "txt")


class Template:
    """A prompt with ``{column}`` in it; other braces stay as they are only where they hold no name alone."""

    def __init__(self, text: str, columns: Iterable[str]) -> None:
        self._text, self._columns = text, list(columns)
        unknown = [name for name in _PLACE.findall(text) if name.isidentifier() and name not in self._columns]
        if unknown:
            raise ValueError(f"--prompt names {{{unknown[0]}}}, and there is no such column; there is: "
                             f"{', '.join(self._columns) or 'none'}")

    def fill(self, row: Mapping[str, object]) -> str:
        """The prompt for one row."""
        return _PLACE.sub(lambda place: str(row.get(place.group(1), place.group())), self._text)


def _read_table(file: TextIO, delimiter: str, arguments: MapArguments) -> Iterator[object]:
    rows = csv.DictReader(file, delimiter=delimiter, restval="")
    columns = list(rows.fieldnames or ())
    if arguments.prompt is None:
        raise ValueError(f"say what to ask about each row: --prompt \"... {{{columns[0] if columns else 'column'}}}\"")
    _check_key(arguments.key, columns)
    return _fill_rows(rows, Template(arguments.prompt, columns), arguments.key)


def _check_key(key: Optional[str], columns: List[str]) -> None:
    if key is not None and key not in columns:
        raise ValueError(f"--key names {key}, and there is no such column; there is: {', '.join(columns) or 'none'}")


def _fill_rows(rows: Iterable[Mapping[str, str]], template: Template, key: Optional[str]) -> Iterator[object]:
    for row in rows:
        prompt = template.fill(row)
        yield prompt if key is None else (row[key], prompt)


def _read_json_lines(file: TextIO, arguments: MapArguments) -> Iterator[object]:
    numbered = ((number, line) for number, line in enumerate(file, 1) if line.strip())
    parsed = ((number, _parse(line, number, arguments.input)) for number, line in numbered)
    if arguments.prompt is None:
        return (_line_prompt(value) for _, value in parsed)
    first = next(parsed, None)
    if first is None:
        return iter(())
    columns = list(first[1]) if isinstance(first[1], dict) else []
    _check_key(arguments.key, columns)
    template = Template(arguments.prompt, columns)
    return _fill_objects(first, parsed, template, arguments.key)


def _fill_objects(
    first: Tuple[int, object], others: Iterable[Tuple[int, object]], template: Template, key: Optional[str],
) -> Iterator[object]:
    def fill(number: int, value: object) -> object:
        if not isinstance(value, dict) or key is not None and key not in value:
            raise ValueError(f"line {number} of the input is no object{'' if key is None else f' with {key!r}'}")
        prompt = template.fill(value)
        return prompt if key is None else (str(value[key]), prompt)

    yield fill(*first)
    for number, value in others:
        yield fill(number, value)


def _parse(line: str, number: int, name: str) -> object:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number} of {name} is no JSON: {error}") from None
    return value


def _line_prompt(value: object) -> object:
    """A line as a prompt; one in OpenAI's form as the request that it stands for."""
    if not isinstance(value, dict) or "custom_id" not in value:
        return value
    body: JSON = dict(value["body"]) if isinstance(value.get("body"), dict) else {}
    messages = body.pop("messages", ())
    for name in ("model", "stream"):  # a run is for one model, and OpenAI's names are not Gemini's
        body.pop(name, None)
    contents, fields = from_openai(messages, body.pop("tools", None), drop_params=True, **body)
    return {"key": str(value["custom_id"]), "request": build_request(contents, GeminiOptions(**fields))}
