"""A conversation: a history that grows by whole turns or not at all."""
from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Tuple

from . import contents
from .errors import ConversationBusyError, GeminiError
from .options import GeminiOptions, seconds
from .response import Chunks, Fold, GenerateContentResponse, Stream, check, chunks

Contents = List[Dict[str, Any]]
Ask = Callable[[Contents, GeminiOptions, str, Optional[float]], GenerateContentResponse]
AskStream = Callable[[Contents, GeminiOptions, str, Optional[float]], Generator[Dict[str, Any], None, None]]


class Chat:
    """A conversation with the model, which remembers its turns; `client.chat()` makes one.

    A turn is kept when its answer is whole, with the answer, as the last step of a send. Whatever fails or is
    cancelled before leaves the history as it was, and the error has the turns that were not kept: pass
    ``error.turns`` to `send_message` to go on from there. It belongs to one thread at a time; a second thread gets
    a `ConversationBusyError`.
    """

    def __init__(
        self, ask: Ask, ask_stream: AskStream, options: GeminiOptions, history: Any = (),
        deadline: Optional[float] = None,
    ) -> None:
        self.options = options
        self._ask = ask
        self._ask_stream = ask_stream
        self._deadline = deadline
        self._history = contents.history(history)
        self._guard = _OneAtATime()
        self._open: Callable[[], Optional[Stream]] = lambda: None  # a weak reference to the last stream
        self._pending: Optional[Contents] = None  # the turns that may still be kept
        self._session: Tuple[Optional[str], str] = (options.model, options.session_id or new_session_id())

    @property
    def history(self) -> Contents:
        """The turns so far, a copy: content dicts, exactly what will be sent next; `json.dumps` keeps them."""
        return contents.copied(list(self._history))  # type: ignore[no-any-return]

    def clear_history(self) -> None:
        """Forget all turns; the next message opens a new session."""
        with self._entered(None):
            self._history = []
            self._session = self.options.model, self.options.session_id or new_session_id()

    def send_message(self, prompt: Any, **overrides: Any) -> GenerateContentResponse:
        """Send `prompt` after the history and return the answer.

        `prompt` is a string, a part dict, (bytes, MIME type), a pathlib path, a list of these (one turn), or a list
        of content dicts (several). `overrides` are fields of `GeminiOptions` for this call, and ``deadline`` in
        seconds. Raises `GeminiError`; ValueError and TypeError for input that cannot be sent.
        """
        options, until = self._settings(overrides)
        turns = contents.new_turns(prompt)
        with self._entered(turns):
            try:
                response = self._ask(self._history + turns, options, self._session_id(options), until)
            except GeminiError as error:
                error.turns = turns
                raise
            self._keep(turns, response)
            return response

    def send_message_stream(self, prompt: Any, **overrides: Any) -> Stream:
        """`send_message`, streamed: the request is sent now, the turn is kept when the stream has been read."""
        options, until = self._settings(overrides)
        turns = contents.new_turns(prompt)
        with self._entered(turns):
            try:
                events = self._ask_stream(self._history + turns, options, self._session_id(options), until)
            except GeminiError as error:
                error.turns = turns
                raise
            stream = Stream(self._streamed(turns, events), self._guard)
            self._open = weakref.ref(stream)
            return stream

    def _streamed(self, turns: Contents, events: Generator[Dict[str, Any], None, None]) -> Chunks:
        fold = Fold()
        try:
            yield from chunks(events, fold)
        except GeneratorExit:
            if fold.finished:  # closed after its finish reason: nothing is missing but the end of the body
                with contextlib.suppress(GeminiError):
                    check(fold.outline(), streamed=True)
                    self._keep(turns, fold.response())
            raise
        except GeminiError as error:
            error.turns = turns
            raise
        self._keep(turns, fold.response())
        return fold

    def _keep(self, turns: Contents, response: GenerateContentResponse) -> None:
        parts = contents.sendable(response.parts)
        if self._pending is turns and any(not part.get("thought") for part in parts):
            self._history += [*turns, {"role": "model", "parts": parts}]

    def _settings(self, overrides: Dict[str, Any]) -> Tuple[GeminiOptions, Optional[float]]:
        """The options of one call, and the `time.monotonic` by which it must be done."""
        deadline = overrides.pop("deadline", self._deadline)
        options = self.options.replace(**overrides)
        return options, None if deadline is None else time.monotonic() + seconds(deadline, "deadline")

    def _session_id(self, options: GeminiOptions) -> str:
        """One id for the conversation; another model is another session, as the server demands."""
        if options.session_id is not None:
            return options.session_id
        if self._session[0] != options.model:
            self._session = options.model, new_session_id()
        return self._session[1]

    @contextlib.contextmanager
    def _entered(self, turns: Optional[Contents]) -> Iterator[None]:
        """Inside the conversation, alone, with no earlier stream still open."""
        with self._guard:
            stream = self._open()
            if stream is not None:
                stream.discard(GeminiError("This stream was closed, and its turn given up, because its conversation "
                                           "went on: read a stream to its end before you send again."))
            self._pending = turns
            yield

    def __reduce__(self) -> str:
        raise TypeError("a conversation holds a live client and cannot be pickled: keep its history (JSON data) and "
                        "its options, and make it again with client.chat(history)")


class _OneAtATime:
    """A lock that does not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(False):
            raise ConversationBusyError("Another thread is inside this conversation: give each thread its own, with "
                                        "client.chat().", retryable=True)

    def __exit__(self, *exc: object) -> None:
        self._lock.release()


def new_session_id() -> str:
    """A random UUID (version 4), without the import of ``uuid``."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
