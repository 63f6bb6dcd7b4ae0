"""The outputs under a notebook's cell: runs of Markdown, and files between them."""
from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from ..json_data import JSON
from ..media import Blob, joined
from . import markdown
from .pieces import LINKS, THOUGHT, Piece, TextPiece, closing_pieces, part_pieces

MimeBundle = Dict[str, str]  # data by MIME type; a front end shows the richest type that it knows


class MarkdownOutput:
    """One output of Markdown, to which pieces may be added."""

    def __init__(self) -> None:
        self._text_runs: List[Tuple[str, List[str]]] = []  # a kind, and neighbouring texts of that kind

    def add(self, piece: TextPiece) -> None:
        """Add a piece; it is joined to the last one if it continues that."""
        if not piece.continues(self._text_runs[-1][0] if self._text_runs else None):
            self._text_runs.append((piece.kind, []))
        self._text_runs[-1][1].append(piece.text)

    @property
    def markdown(self) -> str:
        """The output as Markdown without active HTML, thoughts as quotations."""
        runs = [(kind, "".join(texts)) for kind, texts in self._text_runs]
        runs = [(kind, text if kind == LINKS else markdown.make_harmless(text)) for kind, text in runs]
        return "\n\n".join([markdown.block_quote(text) if kind == THOUGHT else text for kind, text in runs])

    def __str__(self) -> str:
        return "\n\n".join(["".join(texts) for _, texts in self._text_runs])

    def _repr_mimebundle_(self) -> MimeBundle:
        return {"text/markdown": self.markdown, "text/plain": str(self)}


Output = Union[MarkdownOutput, Blob]


class Page:
    """The outputs of one cell, in order."""

    def __init__(self) -> None:
        self.outputs: List[Output] = []

    def add(self, pieces: Iterable[Piece]) -> "Page":
        """Add pieces and return the page; raw sound is joined to the sound before it."""
        for piece in pieces:
            last = self.outputs[-1] if self.outputs else None
            if not isinstance(piece, Blob):
                if not isinstance(last, MarkdownOutput):
                    last = MarkdownOutput()
                    self.outputs.append(last)
                last.add(piece)
            elif isinstance(last, Blob):
                self.outputs[-1:] = joined([last, piece])
            else:
                self.outputs.append(piece)
        return self

    @property
    def markdown(self) -> str:
        """The whole page as Markdown, in which files are only named."""
        return "\n\n".join([output.markdown if isinstance(output, MarkdownOutput) else markdown.code_block(repr(output))
                            for output in self.outputs])

    @property
    def bundle(self) -> MimeBundle:
        """The whole page as one output."""
        if len(self.outputs) == 1:
            return self.outputs[0]._repr_mimebundle_()
        return {"text/markdown": self.markdown, "text/plain": "\n\n".join(map(str, self.outputs))}


def answer_page(
    parts: Sequence[JSON], tool_names: Mapping[str, str], *, finish_reason: Optional[str] = None,
    block_reason: Optional[str] = None, sources: Iterable[Tuple[str, str]] = (),
) -> Page:
    """The page of a whole answer.

    `parts` are its part dicts, `tool_names` the user's names of tools by those on the wire, `sources` pairs of title
    and URI.
    """
    closing = closing_pieces(parts, finish_reason, block_reason, sources)
    return Page().add(part_pieces(parts, tool_names)).add(closing)
