"""The parts of an answer as pieces to show: texts, blocks of Markdown and files."""
from __future__ import annotations

from itertools import islice
from typing import Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
from urllib.parse import quote

from ..json_data import JSON, dict_or_empty, str_or_none
from ..json_data.previews import preview, preview_json, shorten
from ..media import Blob, blob
from . import markdown

TEXT, THOUGHT, BLOCK, LINKS = "text", "thought", "block", "links"
_LONGEST_CALL = 500  # characters
_MOST_ARGUMENTS = 50


class TextPiece(NamedTuple):
    """A piece of Markdown; its kind is TEXT, THOUGHT, BLOCK, or LINKS, which were made here and are harmless."""

    kind: str
    text: str

    def continues(self, kind: Optional[str]) -> bool:
        """Whether this goes on with the text before it, which is of that kind; BLOCK and LINKS stand alone."""
        return self.kind == kind and kind in (TEXT, THOUGHT)


Piece = Union[TextPiece, Blob]


def part_pieces(parts: Sequence[JSON], tool_names: Mapping[str, str]) -> Iterator[Piece]:
    """What part dicts show, in order; `tool_names` are the user's names of tools by those on the wire."""
    for part in parts:
        file = blob(dict_or_empty(part.get("inlineData")))
        text = str_or_none(part.get("text"))
        if file is not None:
            yield file
        elif text:
            yield TextPiece(THOUGHT if part.get("thought") else TEXT, text)
        else:
            yield from _block_pieces(part, tool_names)


def tool_result_pieces(results: Iterable[Tuple[str, JSON]]) -> Iterator[Piece]:
    """What the results of tools show; each is the name of a tool and its ``response`` object."""
    for name, response in results:
        yield _code_piece(shorten(f"{name} -> {preview_json(response, _LONGEST_CALL)}", _LONGEST_CALL))


def closing_pieces(
    parts: Sequence[JSON], finish_reason: Optional[str], block_reason: Optional[str],
    sources: Iterable[Tuple[str, str]],
) -> Iterator[Piece]:
    """What stands under a whole answer: that it is empty, blocked or cut, and its sources (title, uri), once each."""
    if block_reason:
        yield TextPiece(BLOCK, f"*The prompt was blocked: {block_reason}.*")
    elif finish_reason not in (None, "STOP"):
        yield TextPiece(BLOCK, f"*The answer ended early: {finish_reason}.*")
    elif not any(part_pieces(parts, {})):
        yield TextPiece(BLOCK, "*The answer is empty.*")
    links = dict.fromkeys((title or uri, uri) for title, uri in sources)
    if links:
        yield TextPiece(LINKS, "Sources:\n\n" + "\n".join(f"1. {_link(title, uri)}" for title, uri in links))


def _block_pieces(part: JSON, tool_names: Mapping[str, str]) -> Iterator[Piece]:
    """A part's function call, executable code, its result, and file URI, each as a code block."""
    call, code = dict_or_empty(part.get("functionCall")), dict_or_empty(part.get("executableCode"))
    result, file = dict_or_empty(part.get("codeExecutionResult")), dict_or_empty(part.get("fileData"))
    if call:
        name = str_or_none(call.get("name")) or ""
        arguments = ", ".join(f"{key}={preview(value, _LONGEST_CALL)}"
                              for key, value in islice(dict_or_empty(call.get("args")).items(), _MOST_ARGUMENTS))
        yield _code_piece(shorten(f"{tool_names.get(name, name)}({arguments})", _LONGEST_CALL))
    if code:
        yield _code_piece(str_or_none(code.get("code")) or "", (str_or_none(code.get("language")) or "").lower())
    if result:
        outcome = str_or_none(result.get("outcome")) or ""
        failure = [] if outcome in ("", "OUTCOME_OK") else [outcome]
        yield _code_piece("\n".join([*failure, str_or_none(result.get("output")) or ""]))
    if file:
        yield _code_piece(str_or_none(file.get("fileUri")) or "")


def _code_piece(text: str, language: str = "") -> TextPiece:
    return TextPiece(BLOCK, markdown.code_block(text, language))


def _link(title: str, uri: str) -> str:
    """A Markdown link; only the title where the address is none of the web."""
    if not uri.startswith(("https://", "http://")):
        return markdown.escape_punctuation(title)
    return f"[{markdown.escape_punctuation(title)}]({quote(uri, safe='/:?&=#%+,;@~', errors='replace')})"
