"""``gemini-lite map``: the prompts of a file, answered into another."""
from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from typing import Any, Callable, Dict, Iterable, Optional

from ..client import GeminiClient
from ..errors import GeminiError
from ..json_data import JSON
from ..many.stats import Stats
from ..options import GeminiOptions
from .inputs import Inputs
from .map_help import MapArguments
from .prompt_file import naming, open_prompts
from .request_options import apply_settings
from .standard_error import print_lines, print_status

OpenClient = Callable[[], "contextlib.AbstractContextManager[GeminiClient]"]


def run_map(arguments: MapArguments, open_client: OpenClient) -> int:
    """Run the command with a client that `open_client` opens; its exit code."""
    check_output(arguments.output_file)
    fields = read_options(arguments)
    with contextlib.ExitStack() as stack, naming(arguments.input):
        prompts = open_prompts(stack, arguments)  # an unknown column is an error before there is a client
        client = stack.enter_context(open_client())
        settings = {"concurrency": arguments.concurrency, "requests_per_minute": arguments.requests_per_minute,
                    "max_errors": arguments.max_errors, "progress": False if arguments.quiet else None}
        try:
            if arguments.output_file == "-":
                stats = _write_to_stdout(client, prompts, {**settings, **fields})
            else:
                stats = client.map_to(
                    arguments.output_file, prompts, resume=not arguments.no_resume,
                    retry_errors=arguments.retry_errors, on_crash=arguments.on_crash,
                    **{**settings, **fields})
        except (GeminiError, OSError, ValueError, KeyboardInterrupt) as error:
            return _report_stop(error, arguments)
    _report(stats, arguments)
    if (stats.failed or stats.failed_before) and arguments.output_file != "-" and not arguments.quiet:
        print_status(_next_step(stats))
    return 1 if stats.failed or stats.failed_before else 0


def _next_step(stats: Stats) -> str:
    """What becomes of the failures in the file."""
    if stats.may_pass == stats.failed + stats.failed_before:
        return "the same command tries what failed again"
    some = f"the same command tries {stats.may_pass:,} of them again; " if stats.may_pass else ""
    return f"{some}with --retry-errors all it tries all that failed again"


def check_output(name: str) -> None:
    """ValueError for the name of a file in a form that is not written."""
    stem, ending = os.path.splitext(name)
    if ending.lower() in (".csv", ".tsv", ".json", ".xlsx"):
        raise ValueError(f"the output is JSON Lines, and {name} would be none of that name: write -o {stem}.jsonl, and "
                         "make a table of it afterwards, as --help shows")


def read_options(arguments: MapArguments) -> Dict[str, Any]:
    """The fields of `GeminiOptions` that the arguments set."""
    options = apply_settings(GeminiOptions(
        model=arguments.model, system_prompt=arguments.system, temperature=arguments.temperature,
        response_schema=Inputs().load_schema(arguments.schema) if arguments.schema else None), arguments.settings)
    unset = GeminiOptions()
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: value for name, value in given.items() if value != getattr(unset, name)}


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
    if isinstance(error, (BrokenPipeError, ValueError)):  # a ValueError: the input is to be mended first
        raise error
    if not isinstance(error, KeyboardInterrupt):
        print_status(str(error))
    if arguments.output_file != "-":
        print_status("stopped; the same command goes on from here")
    return 130 if isinstance(error, KeyboardInterrupt) else 3
