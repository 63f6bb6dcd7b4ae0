"""Shows answers and tables on standard output; thoughts, tool calls and notices go to standard error."""
from __future__ import annotations

import contextlib
import json
import os
import sys
from itertools import islice
from typing import Dict, List, Mapping, Optional, Sequence, Set, Union

from ..display.markdown import closes, opening_fence
from ..errors import IncompleteError
from ..json_data.previews import preview_json
from ..response import GenerateContentResponse, StreamChunk
from ..stream import Stream
from ..turns.calls import FunctionCall, FunctionResult
from .output import save_first_file
from .standard_error import print_raw, print_status
from .writers import PlainWriter, Writer, escape_controls, make_stdout_writer

_MOST_ARGUMENTS = 30
_LONGEST_VALUE = 300  # characters of an argument or a result that are shown


class Printer:
    """Shows answers in one format: "text", "json" (when the answer is whole) or "jsonl" (each event as it comes)."""

    def __init__(
        self, output_format: str = "text", *, thinking: bool = False, rich: bool = False, extract: bool = False,
        output: Optional[str] = None,
    ) -> None:
        self._format = output_format
        self._extract = extract  # only the last fenced block of an answer
        self._output = output  # the file that standard output goes to, if it does
        self._shown_sources: Set[str] = set()
        self._thinking = thinking
        self._plain_writer = PlainWriter(sys.stdout)
        self._text_writer = make_stdout_writer(markdown=rich)

    def print_stream(self, stream: Stream) -> GenerateContentResponse:
        """Show the answer as it comes, and return it; IncompleteError if it ends in calls that were not run."""
        view: Union[_EventLines, _TextView]
        view = _EventLines(self._plain_writer) if self._format == "jsonl" else self._make_text_view()
        with contextlib.redirect_stdout(sys.stderr), stream:  # what a tool prints is no part of the answer
            try:
                for chunk in stream:
                    view.show_chunk(chunk)
            finally:
                view.end()
        self._report_ending(stream.response)
        return stream.response

    def print_response(self, response: GenerateContentResponse) -> None:
        """Show an answer that is complete; IncompleteError if it ends in calls that were not run."""
        if self._format == "text":
            for call in [call for earlier in response.rounds[:-1] for call in earlier.function_calls]:
                print_status(f"called {_describe_call(call)}")
            view = self._make_text_view()
            view.show_thoughts(response.thinking)
            view.show_text(self._extract_block(response.text) if self._extract else response.text)
            view.end()
        else:
            self.print_json(response.data, indent=2 if self._format == "json" else None)
        self._report_ending(response)

    def print_json(self, value: object, indent: Optional[int] = 2) -> None:
        """Show `value` as JSON; on one line if `indent` is None."""
        self._plain_writer.write(f"{_to_json(value, indent)}\n")

    def print_text(self, text: str) -> None:
        """Show text as it is."""
        self._plain_writer.write(text)

    def _extract_block(self, text: str) -> str:
        """The last fenced block of `text`; the whole, with a notice, if there is none."""
        block = last_fenced_block(text)
        if block is None:
            print_status("the answer has no fenced block: this is all of it")
        return text if block is None else block

    def print_table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show columns, those of numbers aligned to the right; None is shown as ``-``."""
        table = [header, *(["-" if cell is None else str(cell) for cell in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table)]
        is_numeric = [all(isinstance(row[index], (int, type(None))) for row in rows) for index in range(len(header))]
        for line in table:
            cells = [cell.rjust(width) if numeric else cell.ljust(width)
                     for cell, width, numeric in zip(line, widths, is_numeric)]
            self._plain_writer.write(f"{'  '.join(cells).rstrip()}\n")

    def _make_text_view(self) -> _TextView:
        return _TextView(self._text_writer, self._thinking, sys.stdout.isatty())

    def _report_ending(self, response: GenerateContentResponse) -> None:
        """Say on standard error what the text does not show; IncompleteError if the answer is calls alone."""
        if response.function_calls:
            raise IncompleteError(
                f"the model's call of {response.function_calls[0].name} was not run, and so there is no answer: it "
                "called tools too often, or one that is not there", response=response)
        if response.finish_reason not in (None, "STOP"):
            print_status(f"the answer ended early: {response.finish_reason}")
        for citation in response.citations if self._format == "text" else []:
            if citation.uri and citation.uri not in self._shown_sources:
                self._shown_sources.add(citation.uri)
                print_status(f"source: {citation.title or ''} {citation.uri}")
        files = response.files if self._format == "text" else []
        saved_file = save_first_file(files, self._output)
        if saved_file is not None:
            print_status(f"{self._output}: {saved_file.mime_type}, {len(saved_file.data)} bytes")
        elif files:
            print_status(f"the answer holds what text cannot show ({', '.join(one.mime_type for one in files)}): "
                         "-f json has it, and -o FILE.png or another ending saves the first that fits")


class _EventLines:
    """Shows each event of a stream as one line of JSON; the results of tools are a line of their own."""

    def __init__(self, writer: PlainWriter) -> None:
        self._writer = writer

    def show_chunk(self, chunk: StreamChunk) -> None:
        data: Dict[str, object] = chunk.data
        if chunk.tool_results is not None:
            data = {"functionResponses": [result._asdict() for result in chunk.tool_results]}
        self._writer.write(f"{_to_json(data)}\n")

    def end(self) -> None:
        """Each line is ended already."""


class _TextView:
    """Shows the text of an answer with `writer`; thoughts and the calls that ran go to standard error.

    `shares_screen` says that standard output is a terminal, where a thought must not begin in the middle of a line.
    """

    def __init__(self, writer: Writer, thinking: bool, shares_screen: bool) -> None:
        self._writer = writer
        self._thinking = thinking
        self._shares_screen = shares_screen
        self._last_thought = ""  # "" when no line of thoughts is open
        self._pending_calls: List[FunctionCall] = []

    def show_chunk(self, chunk: StreamChunk) -> None:
        self.show_thoughts(chunk.thinking_delta)
        self.show_text(chunk.text_delta)
        if chunk.function_calls:
            self._pending_calls += chunk.function_calls
            self.end()  # the tools run next, and may print
        if chunk.tool_results is not None:
            self._show_results(chunk.tool_results)

    def show_thoughts(self, text: str) -> None:
        if not (self._thinking and text):
            return
        if not self._last_thought and self._shares_screen:
            self._writer.finish_text()
        self._last_thought = text
        print_raw(_dim(escape_controls(text)))

    def show_text(self, text: str) -> None:
        if text:
            self._end_thoughts()
            self._writer.write(text)

    def end(self) -> None:
        """End the open lines of thoughts and text."""
        self._end_thoughts()
        self._writer.finish_text()

    def _show_results(self, results: Sequence[FunctionResult]) -> None:
        for call, result in zip(self._pending_calls, results):
            print_status(f"called {_describe_call(call)} -> {_shorten(result.response)}")
        self._pending_calls = []

    def _end_thoughts(self) -> None:
        if self._last_thought:  # an empty line stands between thoughts and text
            print_raw("\n\n" if not self._last_thought.endswith("\n") else "\n")
        self._last_thought = ""


def _to_json(value: object, indent: Optional[int] = None) -> str:
    """`value` as JSON, in ASCII where standard output has another encoding than JSON's."""
    encoding = (sys.stdout.encoding or "utf-8").lower().replace("-", "").replace("_", "")
    return json.dumps(value, ensure_ascii=encoding != "utf8", indent=indent)


def _dim(text: str) -> str:
    """`text` in the terminal's dimmed style, where standard error can show it."""
    plain = not sys.stderr.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[2m{text}\x1b[0m"


def last_fenced_block(text: str) -> Optional[str]:
    """The content of the last fenced block of Markdown `text`, which may lack its closing fence; None without one."""
    found: Optional[str] = None
    lines = text.split("\n")
    start = 0
    while start < len(lines):
        fence = opening_fence(lines[start])
        start += 1
        if fence is not None:
            end = start
            while end < len(lines) and not closes(lines[end], fence):
                end += 1
            found, start = "".join(f"{line}\n" for line in lines[start:end]), end + 1
    return found


def _describe_call(call: FunctionCall) -> str:
    return describe_call(call.name, call.args)


def describe_call(name: str, arguments: Mapping[str, object]) -> str:
    """A call as it would be written, with long arguments cut."""
    shown = ", ".join(f"{key}={_shorten(value)}" for key, value in islice(arguments.items(), _MOST_ARGUMENTS))
    return f"{name}({shown})"


def _shorten(value: object) -> str:
    """The start of `value` as JSON."""
    return preview_json(value, _LONGEST_VALUE)
