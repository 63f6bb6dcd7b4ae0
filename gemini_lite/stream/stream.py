"""An answer as it comes: an iterator of chunks, and the whole answer afterwards."""
from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, ContextManager, Generator, Generic, NoReturn, Optional, Type

from ..errors import GeminiError, IncompleteError
from ..errors.hints import no_attribute
from ..json_data import JSON
from ..response import GenerateContentResponse, StreamChunk, T
from ..transport import watchdog
from ..transport.deadline import CallSettings
from ..transport.running import CLOSED, RunningCall
from .fold import Fold

REST = 1.0  # seconds that reading what follows a finish reason may take
Events = Generator[JSON, None, None]
Chunks = Generator[StreamChunk[Any], None, None]


def chunks(events: Events, fold: Fold, settings: CallSettings = CallSettings()) -> Chunks:
    """Yield a chunk for each event and fold it; at the end, the answer is checked and complete."""
    answer_format = fold.answer_format
    fold.tries = settings.tries
    try:
        for event in events:
            parts = fold.add(event)
            yield StreamChunk(event, answer_format, None, parts)
        fold.check()
    except GeneratorExit:
        if settings.running is not None and settings.running.keeps_rest:
            _read_rest(events, fold)
        raise
    except GeminiError as error:
        error.response, error.tries = fold.response(), fold.tries
        raise
    finally:
        events.close()


def _read_rest(events: Events, fold: Fold) -> None:
    """Fold what comes after the finish reason; the answer is complete if its end comes."""
    with contextlib.suppress(GeminiError):
        for event in events:
            fold.add(event)
        fold.check()


class Stream(Generic[T]):
    """An answer as it comes: iterate for `StreamChunk`s; `response` is the whole of it.

    The request was sent when this was made. What fails later is raised while iterating, and again by `response`.
    ``with`` or `close` ends it early; left alone it closes by itself. It belongs to one thread at a time; `close` may
    be called by another, and wakes the one that is reading.
    """

    def __init__(
        self, source: Chunks, fold: Fold, events: Optional[Events] = None, call: Optional[RunningCall] = None,
        guard: Optional[ContextManager[None]] = None,
    ) -> None:
        self._source = source
        self._events = events  # what the source reads first: it has no chance to close them before it is started
        self._fold = fold
        self._call = call or RunningCall()
        self._guard = guard  # a context manager to be inside of while the source runs
        self._owner = threading.get_ident()  # the thread that reads
        self._response: Optional[GenerateContentResponse[T]] = None
        self._error: Optional[Exception] = None  # what every later use raises

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> StreamChunk[T]:
        if self._guard is None:
            return self._next()
        with self._guard:
            return self._next()

    def _next(self) -> StreamChunk[T]:
        self._owner = threading.get_ident()
        if self._error is not None:
            self._close()
            raise self._error.with_traceback(None)  # or it would hold the frames of all who met it
        try:
            return next(self._source)
        except GeminiError as error:
            self._error = error
            raise

    @property
    def response(self) -> GenerateContentResponse[T]:
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
        from ..display.notebook import LiveDisplay
        with self, LiveDisplay(self._fold.answer_format.tool_names) as live:
            for response in self._fold.response().rounds:
                live.add_parts(response.parts)
            for chunk in self:
                if chunk.tool_results is not None:
                    live.add_tool_results([(result.name, result.response) for result in chunk.tool_results])
                else:  # after a finish reason tools run, or nothing comes: no time to hold text back
                    live.add_parts(chunk.parts, now=chunk.finish_reason is not None)
            answer = self.response
            live.add_closing(answer.parts, finish_reason=answer.finish_reason, block_reason=answer.block_reason,
                             sources=[(one.title, one.uri) for one in answer.citations])

    def close(self) -> None:
        """End the answer here and close its connection; what was read stays as it is.

        After a finish reason what is left is read first, for a second at most: with its end the answer is whole. From
        another thread than the one that reads, it ends the call: that thread gets a TransportError with the reason
        CLOSED.
        """
        if self._owner != threading.get_ident():
            self._cancel()
            return
        with self._guard or contextlib.nullcontext():
            self._finish()

    def discard(self, error: Exception) -> None:
        """`close`, inside the guard; if the answer is not whole, let later reads raise `error`."""
        self._finish()
        if not self._fold.complete:
            self._error = self._error or error

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], *exc: object) -> None:
        if kind is None or issubclass(kind, Exception):
            self.close()
        else:  # an interrupt or the exit, which do not wait
            self._close()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, ValueError):  # half made; or running in another thread, which ends it
            self._close()

    def _cancel(self) -> None:
        self._call.end(CLOSED)
        if not self._fold.complete:
            self._error = self._error or self._call.error()

    def _finish(self) -> None:
        """Close, after reading what follows a finish reason."""
        if self._fold.finished and not self._fold.complete and self._error is None and self._call.is_of_this_process:
            self._call.keeps_rest = True
            watchdog.hurry(self._call, REST)
        self._close()

    def _close(self) -> None:
        self._source.close()
        if self._events is not None:
            self._events.close()

    if not TYPE_CHECKING:  # a type checker would take any name for known
        def __getattr__(self, name: str) -> NoReturn:
            raise no_attribute("stream", self, name)

    def __repr__(self) -> str:
        return "<Stream: iterate it, or show it with .display()>"

    def __reduce__(self) -> str:
        raise TypeError("a stream is a live connection and cannot be pickled: pickle stream.response")
