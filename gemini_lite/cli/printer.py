"""What the command line shows: the answer on standard output, everything else on standard error."""
from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from typing import Any, Dict, List, Optional, Protocol, TextIO, Tuple, Union

from ..errors import IncompleteError
from ..response import GenerateContentResponse, StreamChunk
from ..stream import Stream
from ..tools import FunctionCall

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """`text` with its control characters written out: what a model says must not steer the terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text.replace("\r", ""))


def tell(text: str) -> None:
    """Print one line about what happens on standard error."""
    print(f"gemini-lite: {printable(' '.join(text.split()))}", file=sys.stderr, flush=True)


class Pen(Protocol):
    """What writes text to standard output as it comes."""

    def write(self, text: str) -> None:
        """Write on."""

    def end_line(self) -> None:
        """Begin a new line, unless that is done."""


class PlainPen:
    """Writes text as it is; on a terminal, without its control characters."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._last = "\n"

    def write(self, text: str) -> None:
        """Write on."""
        if text:
            print(printable(text) if self._terminal else text, end="", file=self._out, flush=True)
            self._last = text[-1]

    def end_line(self) -> None:
        """Begin a new line, unless that is done."""
        if self._last != "\n":
            self.write("\n")


def pen(rich: bool) -> Pen:
    """The pen for standard output: Markdown on a terminal that can show it, if `rich` is wanted and installed."""
    out = sys.stdout
    if rich and out.isatty() and os.environ.get("TERM") != "dumb":
        with contextlib.suppress(ImportError):  # it is not there, or too old
            from .markdown import MarkdownPen
            return MarkdownPen(out, printable)
    return PlainPen(out)


class Printer:
    """Shows answers in one form: "text", "json" (when it is whole), or "jsonl" (each event as it comes)."""

    def __init__(self, form: str = "text", *, thinking: bool = False, rich: bool = False) -> None:
        self._form = form
        self._thinking = thinking
        self._plain = PlainPen(sys.stdout)
        self._pen = pen(rich)

    def stream(self, stream: Stream) -> GenerateContentResponse:
        """Show the answer as it comes, and return it."""
        show: Union[_Events, _Text] = _Events(self._plain) if self._form == "jsonl" else self._text()
        with contextlib.redirect_stdout(sys.stderr), stream:  # what a tool prints is no part of the answer
            try:
                for chunk in stream:
                    show.add(chunk)
            finally:
                show.end()
        self._ended(stream.response)
        return stream.response

    def whole(self, response: GenerateContentResponse) -> None:
        """Show an answer that is complete."""
        if self._form == "text":
            for call in [call for earlier in response.earlier for call in earlier.function_calls]:
                tell(f"called {_called(call)}")
            show = self._text()
            show.add(StreamChunk(response.data))
            show.end()
        else:
            self.data(response.data, indent=2 if self._form == "json" else None)
        self._ended(response)

    def data(self, value: Any, indent: Optional[int] = 2) -> None:
        """Show JSON."""
        self._plain.write(f"{json.dumps(value, ensure_ascii=False, indent=indent)}\n")

    def table(self, heads: Tuple[str, ...], rows: List[Tuple[Any, ...]]) -> None:
        """Show columns, the numbers to the right."""
        table = [heads, *(tuple("-" if cell is None else str(cell) for cell in row) for row in rows)]
        sizes = [max(map(len, column)) for column in zip(*table)]
        numbers = [all(isinstance(row[place], (int, type(None))) for row in rows) for place in range(len(heads))]
        for line in table:
            cells = [cell.rjust(size) if number else cell.ljust(size)
                     for cell, size, number in zip(line, sizes, numbers)]
            self._plain.write(f"{'  '.join(cells).rstrip()}\n")

    def _text(self) -> _Text:
        return _Text(self._pen, self._thinking, sys.stdout.isatty())

    def _ended(self, response: GenerateContentResponse) -> None:
        """Tell what the text of an answer does not say; IncompleteError if there is none."""
        files = [blob.mime_type for blob in response.files]
        if response.function_calls:
            raise IncompleteError("the model's call of %s was not run, and so there is no answer: it called tools too "
                                  "often, or one that is not there" % response.function_calls[0].name,
                                  response=response)
        if response.finish_reason not in (None, "STOP"):
            tell(f"the answer ended early: {response.finish_reason}")
        elif not response.parts:
            tell("the answer is empty")
        if files and self._form == "text":
            tell(f"the answer holds what text cannot show ({', '.join(files)}): -o json has it")


class _Events:
    """Each event as one line of JSON, and one for the results of tools."""

    def __init__(self, out: PlainPen) -> None:
        self._out = out

    def add(self, chunk: StreamChunk) -> None:
        data: Dict[str, Any] = chunk.data
        if chunk.tool_results is not None:
            data = {"functionResponses": [result._asdict() for result in chunk.tool_results]}
        self._out.write(f"{json.dumps(data, ensure_ascii=False)}\n")

    def end(self) -> None:
        """Nothing is left to write."""


class _Text:
    """The text on standard output; thoughts and tools that ran on standard error."""

    def __init__(self, out: Pen, thinking: bool, terminal: bool) -> None:
        self._out = out
        self._thinking = thinking
        self._terminal = terminal
        self._thought = ""  # the last of the thoughts, while their line is open
        self._calls: List[FunctionCall] = []

    def add(self, chunk: StreamChunk) -> None:
        if self._thinking and chunk.thinking_delta:
            self._think(chunk.thinking_delta)
        if chunk.text_delta:
            self._end_thoughts()
            self._out.write(chunk.text_delta)
        if chunk.function_calls:  # tools run next, and may print
            self._calls += chunk.function_calls
            self.end()
        if chunk.tool_results is not None:
            for call, result in zip(self._calls, chunk.tool_results):
                tell(f"called {_called(call)} -> {_short(result.response)}")
            self._calls = []

    def end(self) -> None:
        """End what is begun."""
        self._end_thoughts()
        self._out.end_line()

    def _think(self, text: str) -> None:
        if not self._thought and self._terminal:
            self._out.end_line()
        self._thought = text
        print(_dim(printable(text)), end="", file=sys.stderr, flush=True)

    def _end_thoughts(self) -> None:
        if self._thought:
            print("\n" if not self._thought.endswith("\n") else "", file=sys.stderr, flush=True)
        self._thought = ""


def _dim(text: str) -> str:
    plain = not sys.stderr.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[2m{text}\x1b[0m"


def _called(call: FunctionCall) -> str:
    return "%s(%s)" % (call.name, ", ".join("%s=%s" % (name, _short(value)) for name, value in call.args.items()))


def _short(value: Any) -> str:
    return f"{json.dumps(value, ensure_ascii=False):>.300}"
