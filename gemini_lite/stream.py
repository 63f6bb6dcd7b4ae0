"""The events of a stream, and the one answer that they fold into."""
from __future__ import annotations

import contextlib
from typing import Any, Dict, Generator, List, Optional

from .display import notebook
from .errors import GeminiError, IncompleteError
from .json_data import dict_or_empty, has_text, int_or_none, list_of_dicts
from .response import GenerateContentResponse, Reading, StreamChunk, check

Events = Generator[Dict[str, Any], None, None]
Chunks = Generator[StreamChunk, None, None]


class Fold:
    """Folds the events of a stream, as they arrive, into the one answer that the unary call would have given.

    Neighbouring plain texts are joined, a part with a signature never is; of everything else the last word counts,
    but citations and log probabilities add up. Linear in the text; keeps the text and no event. `complete` is set
    once the answer is known to be whole.
    """

    def __init__(self, reading: Reading = (None, {})) -> None:
        self.reading = reading
        self.complete = False
        self._earlier: List[GenerateContentResponse] = []
        self._data: Dict[str, Any] = {}
        self._candidates: Dict[int, _Candidate] = {}

    def next_round(self) -> None:
        """Put this answer to the earlier ones, and begin another."""
        self._earlier.append(self.response())
        self._data, self._candidates, self.complete = {}, {}, False

    def add(self, event: Dict[str, Any]) -> None:
        """Take in one event, which stays as it is."""
        for key, value in event.items():
            if key != "candidates":
                self._data[key] = value
                continue
            for candidate in list_of_dicts(value):
                index = int_or_none(candidate.get("index")) or 0
                known = self._candidates.get(index)
                if known is None:
                    known = self._candidates[index] = _Candidate()
                known.add(candidate)

    @property
    def finished(self) -> bool:
        """Whether candidate 0 has its finish reason."""
        first = self._candidates.get(0)
        return first is not None and "finishReason" in first.data

    def outline(self) -> GenerateContentResponse:
        """The answer so far without its contents: what `check` reads, at no cost."""
        return self._answer([candidate.data for _, candidate in sorted(self._candidates.items())])

    def response(self) -> GenerateContentResponse:
        """The answer so far."""
        return self._answer([candidate.whole() for _, candidate in sorted(self._candidates.items())])

    def _answer(self, candidates: List[Dict[str, Any]]) -> GenerateContentResponse:
        data = {**self._data, "candidates": candidates} if candidates else dict(self._data)
        return GenerateContentResponse(data, self.reading, self._earlier)


class _Candidate:
    __slots__ = ("data", "content", "parts", "run", "kind")

    def __init__(self) -> None:
        self.data: Dict[str, Any] = {}
        self.content: Dict[str, Any] = {}
        self.parts: List[Dict[str, Any]] = []
        self.run: List[str] = []  # the texts of the plain part that is still growing
        self.kind = 0  # what else that part has, by the number of its keys: 1 nothing, 2 "thought": True

    def add(self, candidate: Dict[str, Any]) -> None:
        for key, value in candidate.items():
            if key == "content":
                self._add_content(dict_or_empty(value))
            elif isinstance(value, dict):
                mine = self.data[key] = self.data[key] if isinstance(self.data.get(key), dict) else {}
                _lay_over(mine, value, key in ("citationMetadata", "logprobsResult"))
            else:
                self.data[key] = value

    def _add_content(self, content: Dict[str, Any]) -> None:
        for key, value in content.items():
            if key != "parts":
                self.content[key] = value
                continue
            for part in list_of_dicts(value):
                size = len(part)
                if has_text(part) and (size == 1 or size == 2 and part.get("thought") is True):
                    if size != self.kind:
                        self._end_run()
                        self.kind = size
                    self.run.append(part["text"])
                else:
                    self._end_run()
                    self.parts.append(part)

    def _end_run(self) -> None:
        self.parts += self._grown()
        self.run = []
        self.kind = 0

    def _grown(self) -> List[Dict[str, Any]]:
        """The plain part that is still growing, if there is one."""
        if not self.run:
            return []
        text = "".join(self.run)
        return [{"text": text} if self.kind == 1 else {"text": text, "thought": True}]

    def whole(self) -> Dict[str, Any]:
        parts = self.parts + self._grown()
        if parts:
            return {**self.data, "content": {**self.content, "parts": parts}}
        return {**self.data, "content": dict(self.content)} if self.content else dict(self.data)


def _lay_over(mine: Dict[str, Any], new: Dict[str, Any], lists: bool) -> None:
    """Put `new` over `mine` key by key; `lists` are put one after the other."""
    for key, value in new.items():
        if lists and isinstance(value, list):
            known = mine.get(key)
            mine[key] = known if isinstance(known, list) else []
            mine[key] += value
        else:
            mine[key] = value


def chunks(events: Events, fold: Fold) -> Chunks:
    """Yield a chunk for each event and fold it; at the end, the answer is checked and complete."""
    reading = fold.reading
    try:
        for event in events:
            fold.add(event)
            yield StreamChunk(event, reading)
        check(fold.outline(), streamed=True)
        fold.complete = True
    except GeneratorExit:
        if fold.finished:  # nothing is missing but the end of the body
            with contextlib.suppress(GeminiError):
                check(fold.outline(), streamed=True)
                fold.complete = True
        raise
    except GeminiError as error:
        error.response = fold.response()
        raise
    finally:
        events.close()


class Stream:
    """An answer as it comes: iterate for `StreamChunk`s; `response` is the whole of it.

    The request was sent when this was made. What fails later is raised while iterating, and again by `response`.
    ``with`` or `close` ends it early; left alone it closes by itself. It belongs to one thread at a time.
    """

    def __init__(self, source: Chunks, fold: Fold, events: Optional[Events] = None, guard: Any = None) -> None:
        self._source = source
        self._events = events  # what the source reads first: it has no chance to close them before it is started
        self._fold = fold
        self._guard = guard  # a context manager to be inside of while the source runs
        self._response: Optional[GenerateContentResponse] = None
        self._error: Optional[Exception] = None  # what every later use raises

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> StreamChunk:
        if self._guard is None:
            return self._next()
        with self._guard:
            return self._next()

    def _next(self) -> StreamChunk:
        if self._error is not None:
            raise self._error.with_traceback(None)  # or it would hold the frames of all who met it
        try:
            return next(self._source)
        except GeminiError as error:
            self._error = error
            raise

    @property
    def response(self) -> GenerateContentResponse:
        """The whole answer; reads what has not been read yet."""
        for _ in self:
            pass
        if not self._fold.complete:
            raise IncompleteError("This stream was closed before its end: read it to the end for the whole answer.",
                                  reason="CLOSED")
        if self._response is None:
            self._response = self._fold.response()
        return self._response

    def display(self) -> None:
        """Show the answer as it comes: in a notebook as Markdown that grows under the cell, elsewhere as plain text.

        The answer is `response` afterwards. What arrived stays on show when the cell is interrupted or the call fails.
        """
        notebook.show(self, self._fold.response(), self._fold.reading[1])

    def close(self) -> None:
        """End the answer here and close its connection; what was read stays as it is."""
        with self._guard or contextlib.nullcontext():
            self._close()

    def discard(self, error: Exception) -> None:
        """Close, and if the answer is not whole, let later reads raise `error`."""
        self._close()
        if not self._fold.complete:
            self._error = self._error or error

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, ValueError):  # half made; or running in another thread, which ends it
            self._close()

    def _close(self) -> None:
        self._source.close()
        if self._events is not None:
            self._events.close()

    def __repr__(self) -> str:
        return "<Stream: iterate it, or show it with .display()>"

    def __reduce__(self) -> str:
        raise TypeError("a stream is a live connection and cannot be pickled: pickle stream.response")
