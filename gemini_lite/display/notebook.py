"""An answer shown while it arrives: as outputs under a notebook's cell, or as text in a terminal."""
from __future__ import annotations

import importlib
import sys
import time
from types import TracebackType
from typing import Iterable, List, Mapping, Optional, Protocol, Sequence, Tuple, Type

from ..json_data import JSON
from ..media import Blob
from .pages import MimeBundle, Output, Page
from .pieces import Piece, closing_pieces, part_pieces, tool_result_pieces


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel, whose outputs can be replaced."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


def publish(outputs: Iterable[Output]) -> None:
    """Show each output on its own, under the cell that runs."""
    for output in outputs:
        publish_bundle(output._repr_mimebundle_())


def publish_bundle(bundle: MimeBundle) -> None:
    """Show data by MIME type as an output under the cell that runs."""
    ReplacedOutput().show(bundle)


class _DisplayHandle(Protocol):
    """IPython's own, for one output."""

    def display(self, bundle: MimeBundle, *, raw: bool) -> None:
        """Show the output."""

    def update(self, bundle: MimeBundle, *, raw: bool) -> None:
        """Replace the output."""


class ReplacedOutput:
    """An output under the cell that ran when it was first shown; what is shown later takes its place."""

    def __init__(self) -> None:
        self._handle: Optional[_DisplayHandle] = None

    def show(self, bundle: MimeBundle) -> None:
        """Show data by MIME type."""
        if self._handle is None:
            handle: _DisplayHandle = importlib.import_module("IPython.display").DisplayHandle()
            self._handle = handle  # before it is shown, or an interrupt between the two would have it shown twice
            handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)


class _Writer(Protocol):
    """Shows pieces in one place: under a cell, or in a terminal."""

    def add(self, pieces: Iterable[Piece], now: bool) -> None:
        """Show more pieces, at once if `now`."""

    def end(self) -> None:
        """Show what was held back."""


class LiveDisplay:
    """Shows an answer piece by piece; a context manager, at whose end all is shown that was held back.

    `tool_names` are the user's names of tools by those on the wire.
    """

    def __init__(self, tool_names: Mapping[str, str]) -> None:
        self._tool_names = tool_names
        self._writer: _Writer = _CellWriter() if in_notebook() else _TerminalWriter()

    def add_parts(self, parts: Sequence[JSON], now: bool = False) -> None:
        """Show part dicts; `now` if nothing may come for a while, so that no text is held back."""
        self._writer.add(part_pieces(parts, self._tool_names), now)

    def add_tool_results(self, results: Iterable[Tuple[str, JSON]]) -> None:
        """Show the results of tools: their names and ``response`` objects."""
        self._writer.add(tool_result_pieces(results), True)

    def add_closing(
        self, parts: Sequence[JSON], *, finish_reason: Optional[str] = None, block_reason: Optional[str] = None,
        sources: Iterable[Tuple[str, str]] = (),
    ) -> None:
        """Show what stands under the whole answer that has these `parts`; `sources` are pairs of title and URI."""
        self._writer.add(closing_pieces(parts, finish_reason, block_reason, sources), False)

    def __enter__(self) -> "LiveDisplay":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType],
    ) -> None:
        self._writer.end()


class _CellWriter:
    """The outputs under a notebook's cell; the last of them is replaced as it grows, the others stay."""

    def __init__(self) -> None:
        self._page = Page()
        self._shown: List[ReplacedOutput] = []
        self._last_shown: MimeBundle = {}
        self._next_update = 0.0  # on the monotonic clock

    def add(self, pieces: Iterable[Piece], now: bool) -> None:
        """Show more pieces, unless the last update was a moment ago."""
        outputs = self._page.add(pieces).outputs
        if now or time.monotonic() >= self._next_update:
            self._update(outputs[:-1] if outputs and not now and _may_grow(outputs[-1]) else outputs)

    def end(self) -> None:
        """Show all there is."""
        self._update(self._page.outputs)

    def _update(self, outputs: List[Output]) -> None:
        for index in range(max(0, len(self._shown) - 1), len(outputs)):
            bundle = outputs[index]._repr_mimebundle_()
            is_new = index == len(self._shown)
            if is_new:
                self._shown.append(ReplacedOutput())
            if is_new or bundle != self._last_shown:
                self._shown[index].show(bundle)
            self._last_shown = bundle
            # Each update sends the whole output: a longer one is sent less often, so that the cost stays in proportion.
            self._next_update = time.monotonic() + max(0.1, len(bundle.get("text/markdown", "")) / 100000)


def _may_grow(output: Output) -> bool:
    """Whether this is raw sound, whose next piece may follow: a player that is replaced would start again."""
    return isinstance(output, Blob) and output.raw


class _TerminalWriter:
    """Plain text on standard output, each piece once."""

    def __init__(self) -> None:
        self._last: Optional[Piece] = None

    def add(self, pieces: Iterable[Piece], now: bool) -> None:
        """Print more pieces."""
        for piece in pieces:
            if self._last is not None and not _continues(piece, self._last):
                print("\n")
            print(repr(piece) if isinstance(piece, Blob) else piece.text, end="", flush=True)
            self._last = piece

    def end(self) -> None:
        """End the last line."""
        if self._last is not None:
            print(flush=True)


def _continues(piece: Piece, last: Piece) -> bool:
    return not isinstance(piece, Blob) and not isinstance(last, Blob) and piece.continues(last.kind)
