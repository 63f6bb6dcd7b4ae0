"""Markdown on a terminal, while it is written: needs rich.

What is finished is printed for good, and so is in the terminal's scrollback; only the block that still grows is drawn
again and again, its last lines if it is longer than the screen.
"""
from __future__ import annotations

import importlib
import os
import re
import time
from importlib import metadata
from typing import Any, Callable, Iterator, List, TextIO

_SHARE = 4  # a drawing is followed by this many times its own duration without one


class MarkdownPen:
    """Renders what is written as it comes, after `clean` has taken out what would steer the terminal."""

    def __init__(self, out: TextIO, clean: Callable[[str], str]) -> None:
        if [int(number) for number in metadata.version("rich").split(".")[:2]] < [13, 5]:
            raise ImportError("this rich leaves tables out, or fails at them")
        parser = importlib.import_module("markdown_it").MarkdownIt("commonmark", {"html": False})
        # rich's own parser leaves out HTML, and addresses of pictures and references: here nothing is lost
        self._parse = parser.enable(["strikethrough", "table"]).disable(["image", "reference"]).parse
        self._markdown = importlib.import_module("rich.markdown").Markdown
        self._segment_lines = importlib.import_module("rich.segment").SegmentLines
        self._console = importlib.import_module("rich.console").Console(
            file=out, highlight=False, no_color=bool(os.environ.get("NO_COLOR")) or None)
        self._live = importlib.import_module("rich.live").Live(
            self, console=self._console, auto_refresh=False, transient=True, redirect_stdout=False,
            redirect_stderr=False, vertical_overflow="crop")
        self._clean = clean
        self._growing = ""
        self._begun = False  # whether a block stands above
        self._next = 0.0  # when to draw again

    def write(self, text: str) -> None:
        """Write on."""
        self._growing += self._clean(text)
        self._live.start()
        started = time.monotonic()
        if started >= self._next:
            whole, end, rest = self._growing.rpartition("\n")
            *done, growing = self._blocks(whole + end)
            self._growing = growing + rest
            self._print(done)
            self._next = time.monotonic() + _SHARE * (time.monotonic() - started)

    def end_line(self) -> None:
        """Print what is not yet printed, and leave the terminal as it was."""
        try:
            done, self._growing = self._blocks(self._growing), ""
            self._print(done)
        finally:
            self._live.stop()
            self._begun = False
            self._next = 0.0

    def _print(self, done: List[str]) -> None:
        """Print finished blocks above the one that grows, which is drawn again."""
        for block in done:
            lines = self._lines(block)
            self._begun = self._begun or bool(lines)
            self._console.print(self._segment_lines(lines, new_lines=True), end="")
        self._live.refresh()

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """The last lines of the block that grows; an empty one where there is none, which old rich needs to stop."""
        lines = self._lines(self._growing)[-max(1, console.size.height - 1):]
        yield self._segment_lines(lines or [[]], new_lines=True)

    def _lines(self, text: str) -> List[List[Any]]:
        """`text` rendered, with one empty line between it and what is above."""
        rendered = self._markdown("", hyperlinks=False)  # an address is shown, not hidden behind other words
        rendered.parsed = self._parse(text)
        lines: List[List[Any]] = self._console.render_lines(rendered, pad=False)
        while lines and _is_empty(lines[0]):
            del lines[0]
        while lines and _is_empty(lines[-1]):
            del lines[-1]
        return [[]] * (self._begun and bool(lines)) + lines

    def _blocks(self, text: str) -> List[str]:
        """`text` cut before each of its blocks but the first."""
        starts = [token.map[0] for token in self._parse(text) if token.level == 0 and token.map and token.nesting >= 0]
        lines = re.findall(r".*\n|.+", text)  # as Markdown has it: str.splitlines knows other ends too
        cuts = [0, *starts[1:], len(lines)]
        return ["".join(lines[start:end]) for start, end in zip(cuts, cuts[1:])]


def _is_empty(line: List[Any]) -> bool:
    return not any(segment.text.strip() or segment.style and segment.style.bgcolor for segment in line)
