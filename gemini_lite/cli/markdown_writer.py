"""Markdown on a terminal, rendered by rich while it is written.

A block (a paragraph, a list, a table) that is complete is printed once and scrolls away like any text. Only the last
block, which may still grow, is redrawn in place; of one that is taller than the screen only the last lines are drawn.
"""
from __future__ import annotations

import importlib
import os
import re
import time
from importlib import metadata
from typing import Any, Callable, Iterator, List, Optional, Protocol, Sequence, TextIO, Tuple

_REDRAW_PAUSE_FACTOR = 4  # after a redraw of t seconds there is none for this many times t


class _Token(Protocol):
    """What is used of markdown_it's Token; `map` is its first line and the line after its last."""

    level: int
    map: Optional[Sequence[int]]
    nesting: int


class _Segment(Protocol):
    """What is used of rich's Segment, a piece of a line; its `style` is a rich Style or None."""

    text: str
    style: Any


class MarkdownWriter:
    """Renders the text that is written, once `clean` has escaped what would steer the terminal.

    ImportError without rich 13.5 or newer.
    """

    def __init__(self, out: TextIO, clean: Callable[[str], str]) -> None:
        if _rich_version() < (13, 5):
            raise ImportError("this rich leaves tables out, or fails at them")
        parser = importlib.import_module("markdown_it").MarkdownIt("commonmark", {"html": False})
        parser.enable(["strikethrough", "table"])
        parser.disable(["image", "reference"])  # rich's own parser does not show where these lead, nor any HTML
        self._parse: Callable[[str], List[_Token]] = parser.parse
        self._markdown = importlib.import_module("rich.markdown").Markdown
        self._segment_lines = importlib.import_module("rich.segment").SegmentLines
        self._console = importlib.import_module("rich.console").Console(
            file=out, highlight=False, no_color=bool(os.environ.get("NO_COLOR")) or None)
        self._live = importlib.import_module("rich.live").Live(
            self, console=self._console, auto_refresh=False, transient=True, redirect_stdout=False,
            redirect_stderr=False, vertical_overflow="crop")
        self._clean = clean
        self._unprinted = ""
        self._has_printed = False  # whether a block of this answer stands above
        self._next_redraw = 0.0  # by time.monotonic()

    def write(self, text: str) -> None:
        """Write the next piece, and redraw if the last redraw was long enough ago."""
        self._unprinted += self._clean(text)
        self._live.start()
        started = time.monotonic()
        if started >= self._next_redraw:
            whole_lines, line_end, rest = self._unprinted.rpartition("\n")
            *complete, growing = self._split_blocks(whole_lines + line_end)
            self._unprinted = growing + rest
            self._update_screen(complete)
            self._next_redraw = time.monotonic() + _REDRAW_PAUSE_FACTOR * (time.monotonic() - started)

    def finish_text(self) -> None:
        """Print what is not printed yet, and give the terminal back."""
        try:
            complete, self._unprinted = self._split_blocks(self._unprinted), ""
            self._update_screen(complete)
        finally:
            self._live.stop()
            self._has_printed = False
            self._next_redraw = 0.0

    def _update_screen(self, complete: List[str]) -> None:
        """Print the complete blocks, and draw what is unprinted anew below them."""
        for block in complete:
            lines = self._render(block)
            self._has_printed = self._has_printed or bool(lines)
            self._console.print(self._segment_lines(lines, new_lines=True), end="")
        self._live.refresh()

    def __rich_console__(self, console: Any, options: object) -> Iterator[object]:
        """What rich's Live draws: the last lines of the unprinted text that the screen has room for, and an empty one.

        The cursor stands in the empty line. At the end of a full one the echo of Ctrl-C would begin a new line, and the
        next redraw would leave the first line standing.
        """
        lines = self._render(self._unprinted)[-max(1, console.size.height - 2):]
        yield self._segment_lines([*lines, []], new_lines=True)

    def _render(self, text: str) -> List[List[_Segment]]:
        """The lines of `text`, after an empty one if there is a block above."""
        rendered = self._markdown("", hyperlinks=False)  # an address is shown, not hidden behind other words
        rendered.parsed = self._parse(text)
        lines: List[List[_Segment]] = self._console.render_lines(rendered, pad=False)
        while lines and _is_blank(lines[0]):
            del lines[0]
        while lines and _is_blank(lines[-1]):
            del lines[-1]
        return [[], *lines] if lines and self._has_printed else lines

    def _split_blocks(self, text: str) -> List[str]:
        """The top-level Markdown blocks of `text`, at least one; together they are `text`."""
        starts = [token.map[0] for token in self._parse(text) if token.level == 0 and token.map and token.nesting >= 0]
        lines = re.findall(r".*\n|.+", text)  # as Markdown counts them; str.splitlines splits at other characters too
        cuts = [0, *starts[1:], len(lines)]
        return ["".join(lines[start:end]) for start, end in zip(cuts, cuts[1:])]


def _rich_version() -> Tuple[int, ...]:
    """Major and minor; PackageNotFoundError, an ImportError, if rich is not installed."""
    return tuple(int(number) for number in metadata.version("rich").split(".")[:2])


def _is_blank(line: Sequence[_Segment]) -> bool:
    """Whether nothing of the line can be seen, not even a background colour."""
    return not any(segment.text.strip() or segment.style and segment.style.bgcolor for segment in line)
