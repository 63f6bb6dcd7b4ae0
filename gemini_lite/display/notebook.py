"""An answer as a notebook shows it: Markdown, pictures and players; and a stream as it grows."""
from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Tuple, Union
from urllib.parse import quote

from ..json_data import dict_or_empty, str_or_none
from ..media import Blob, blob, joined
from . import markdown

Bundle = Dict[str, str]  # MIME types and data, of which a front end shows the richest that it can
Piece = Tuple[str, Any]  # what a part of an answer shows: its kind, and Markdown or a file
TEXT, THOUGHT, BLOCK, FILE = "text", "thought", "block", "file"
_GROWING = (TEXT, THOUGHT)  # texts of these kinds go on with what follows


class Text:
    """An output of Markdown, which may grow."""

    def __init__(self) -> None:
        self._runs: List[Tuple[str, List[str]]] = []

    def write(self, kind: str, text: str) -> None:
        if not self._runs or kind not in _GROWING or self._runs[-1][0] != kind:
            self._runs.append((kind, []))
        self._runs[-1][1].append(text)

    @property
    def markdown(self) -> str:
        runs = [(kind, markdown.inert("".join(texts))) for kind, texts in self._runs]
        return "\n\n".join([markdown.quoted(text) if kind == THOUGHT else text for kind, text in runs])

    def __str__(self) -> str:
        return "\n\n".join(["".join(texts) for _, texts in self._runs])

    def _repr_mimebundle_(self) -> Bundle:
        return {"text/markdown": self.markdown, "text/plain": str(self)}


Output = Union[Text, Blob]


def pieces(response: Any, names: Any) -> Iterator[Piece]:
    """What the parts of a response or chunk show, in order; `names` are the user's names of tools."""
    for part in response.parts:
        file = blob(dict_or_empty(part.get("inlineData")))
        if file is not None:
            yield FILE, file
        elif str_or_none(part.get("text")):
            yield THOUGHT if part.get("thought") else TEXT, part["text"]
        else:
            yield from [(BLOCK, block) for block in _blocks(part, names)]
    for result in getattr(response, "tool_results", None) or ():
        said = json.dumps(result.response, ensure_ascii=False)
        yield BLOCK, markdown.code(_shortened("%s -> %s" % (result.name, said)))


def _blocks(part: Dict[str, Any], names: Any) -> Iterator[str]:
    call, ran = dict_or_empty(part.get("functionCall")), dict_or_empty(part.get("executableCode"))
    gave, file = dict_or_empty(part.get("codeExecutionResult")), dict_or_empty(part.get("fileData"))
    if call:
        name = str_or_none(call.get("name")) or ""
        arguments = ", ".join(["%s=%r" % pair for pair in dict_or_empty(call.get("args")).items()])
        yield markdown.code(_shortened("%s(%s)" % (names.get(name, name), arguments)))
    if ran:
        yield markdown.code(str_or_none(ran.get("code")) or "", (str_or_none(ran.get("language")) or "").lower())
    if gave:
        outcome = str_or_none(gave.get("outcome")) or ""
        failed = [] if outcome in ("", "OUTCOME_OK") else [outcome]
        yield markdown.code("\n".join([*failed, str_or_none(gave.get("output")) or ""]))
    if file:
        yield markdown.code(str_or_none(file.get("fileUri")) or "")


def notes(response: Any) -> Iterator[Piece]:
    """What is to be said under a whole answer: that it is empty or cut, and its sources."""
    if response.block_reason:
        yield BLOCK, "*The prompt was blocked: %s.*" % response.block_reason
    elif response.finish_reason not in (None, "STOP"):
        yield BLOCK, "*The answer ended early: %s.*" % response.finish_reason
    elif not any(pieces(response, {})):
        yield BLOCK, "*The answer is empty.*"
    sources = dict.fromkeys([(citation.title or citation.uri, citation.uri) for citation in response.citations])
    if sources:
        yield BLOCK, "Sources:\n\n" + "\n".join(["1. " + _link(*source) for source in sources])


def _link(title: str, uri: str) -> str:
    if not uri.startswith(("https://", "http://")):
        return markdown.literal(title)
    return "[%s](%s)" % (markdown.literal(title), quote(uri, safe="/:?&=#%+,;@~", errors="replace"))


def _shortened(text: str) -> str:
    return text if len(text) <= 500 else text[:500] + "..."


class Page:
    """The outputs of a cell, in order: files, and Markdown between them."""

    def __init__(self) -> None:
        self.outputs: List[Output] = []

    def add(self, found: Iterator[Piece]) -> "Page":
        for kind, what in found:
            last = self.outputs[-1] if self.outputs else None
            if kind == FILE:
                if isinstance(last, Blob):
                    self.outputs[-1:] = joined([last, what])
                else:
                    self.outputs.append(what)
                continue
            if not isinstance(last, Text):
                last = Text()
                self.outputs.append(last)
            last.write(kind, what)
        return self

    @property
    def markdown(self) -> str:
        """All of it as Markdown, in which files are only named."""
        return "\n\n".join([output.markdown if isinstance(output, Text) else markdown.code(repr(output))
                            for output in self.outputs])

    @property
    def bundle(self) -> Bundle:
        """All of it as one output."""
        if len(self.outputs) == 1:
            return self.outputs[0]._repr_mimebundle_()
        return {"text/markdown": self.markdown, "text/plain": "\n\n".join(map(str, self.outputs))}


def whole(response: Any, names: Any) -> Page:
    """The page of an answer."""
    return Page().add(pieces(response, names)).add(notes(response))


def show(stream: Any, begun: Any, names: Any) -> None:
    """Show what has `begun` of an answer, and the rest of its stream as it comes."""
    screen = _Cell() if in_notebook() else _Terminal()
    with stream:
        try:
            for response in begun.rounds:
                screen.add(pieces(response, names))
            for chunk in stream:
                # Behind these the tools run, or nothing comes: no time to hold text back.
                screen.add(pieces(chunk, names), chunk.finish_reason is not None or chunk.tool_results is not None)
            screen.add(notes(stream.response))
        finally:
            screen.end()


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel, whose outputs can be replaced."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


def publish(outputs: List[Output]) -> None:
    """Show each on its own, in the cell that runs."""
    for output in outputs:
        _display()(output._repr_mimebundle_(), raw=True)


def _display() -> Callable[..., Any]:
    return importlib.import_module("IPython.display").display  # type: ignore[no-any-return]


class _Cell:
    """The outputs under a cell; the last of them is replaced as it grows, the others stay."""

    def __init__(self) -> None:
        self._page = Page()
        self._handles: List[Any] = []
        self._last: Bundle = {}
        self._due = 0.0

    def add(self, found: Iterator[Piece], now: bool = False) -> None:
        outputs = self._page.add(found).outputs
        if now or time.monotonic() >= self._due:
            self._paint(outputs[:-1] if outputs and not now and _unfinished(outputs[-1]) else outputs)

    def end(self) -> None:
        self._paint(self._page.outputs)

    def _paint(self, outputs: List[Output]) -> None:
        display = _display()
        for index in range(max(0, len(self._handles) - 1), len(outputs)):
            bundle = outputs[index]._repr_mimebundle_()
            if index == len(self._handles):
                self._handles.append(display(bundle, raw=True, display_id=True))
            elif bundle != self._last:
                self._handles[index].update(bundle, raw=True)
            self._last = bundle
            # An output is sent whole each time: the larger it is, the less often, so that the cost stays in proportion.
            self._due = time.monotonic() + max(0.1, len(self._last.get("text/markdown", "")) / 100000)


def _unfinished(output: Output) -> bool:
    """Whether this is a sound that may go on: a player that is replaced would start again."""
    return isinstance(output, Blob) and output.raw


class _Terminal:
    """Plain text, each piece once."""

    def __init__(self) -> None:
        self._kind = ""

    def add(self, found: Iterator[Piece], now: bool = False) -> None:
        for kind, what in found:
            if self._kind and not (kind == self._kind and kind in _GROWING):
                print("\n")
            print(what if isinstance(what, str) else repr(what), end="", flush=True)
            self._kind = kind

    def end(self) -> None:
        if self._kind:
            print(flush=True)
