"""A conversation: a history that grows by whole turns or not at all."""
from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from . import contents, tools
from .errors import ConversationBusyError, GeminiError
from .options import GeminiOptions, seconds
from .response import GenerateContentResponse, StreamChunk
from .stream import Chunks, Events, Fold, Stream, chunks

Contents = List[Dict[str, Any]]
Ask = Callable[[Contents, GeminiOptions, str, Optional[float]], GenerateContentResponse]
AskStream = Callable[[Contents, GeminiOptions, str, Optional[float]], Events]
Result = Union[Tuple[str, Any], Tuple[str, Any, Optional[str]]]
Runnable = Tuple[tools.Tool, tools.FunctionCall]


class Chat:
    """A conversation with the model, which remembers its turns; `client.chat()` makes one.

    A turn is kept when its answer is whole, with the answer, as the last step of a send. Whatever fails or is
    cancelled before leaves the history as it was, and the error has the turns that were not kept, with the results of
    tools that ran: pass ``error.turns`` to `send_message` to go on from there. It belongs to one thread at a time; a
    second thread gets a `ConversationBusyError`.

    Python functions among the ``tools`` are called, and their results sent, until the model answers; after
    ``max_tool_rounds`` of that, and for tools without a function, the calls are the caller's to answer, with
    `send_tool_results`.
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
        with self._entered():
            self._history = []
            self._session = self.options.model, self.options.session_id or new_session_id()

    def send_message(self, prompt: Any, **overrides: Any) -> GenerateContentResponse:
        """Send `prompt` after the history and return the answer, after the tools that the model called have run.

        `prompt` is a string, a part dict, (bytes, MIME type), a pathlib path, a list of these (one turn), or a list
        of content dicts (several). `overrides` are fields of `GeminiOptions` for this call, and ``deadline`` in
        seconds. Raises `GeminiError`; ValueError and TypeError for input that cannot be sent.
        """
        turns = contents.turns(prompt)
        return self._send(lambda options: turns, overrides)

    def send_message_stream(self, prompt: Any, **overrides: Any) -> Stream:
        """`send_message`, streamed: the request is sent now, the turn is kept when the stream has been read."""
        turns = contents.turns(prompt)
        return self._send_stream(lambda options: turns, overrides)

    def send_tool_result(
        self, name: str, response: Any, id: Optional[str] = None, **overrides: Any,
    ) -> GenerateContentResponse:
        """`send_tool_results` for the one call that is owed."""
        return self.send_tool_results([(name, response, id)], **overrides)

    def send_tool_result_stream(self, name: str, response: Any, id: Optional[str] = None, **overrides: Any) -> Stream:
        """`send_tool_result`, streamed."""
        return self.send_tool_results_stream([(name, response, id)], **overrides)

    def send_tool_results(self, results: Sequence[Result], **overrides: Any) -> GenerateContentResponse:
        """Answer all calls of the model's last turn, in one turn and in their order.

        A result is (name, response) or (name, response, id); without an id it answers the first call of that name
        that is still owed. A response that is no dict is sent as ``{"result": response}``.
        """
        return self._send(lambda options: self._answers(results, options), overrides)

    def send_tool_results_stream(self, results: Sequence[Result], **overrides: Any) -> Stream:
        """`send_tool_results`, streamed."""
        return self._send_stream(lambda options: self._answers(results, options), overrides)

    def _send(
        self, make_turns: Callable[[GeminiOptions], Contents], overrides: Dict[str, Any],
    ) -> GenerateContentResponse:
        options, until = self._settings(overrides)
        with self._entered():
            turns = self._begin(make_turns(options), options)
            earlier: List[GenerateContentResponse] = []
            try:
                while True:
                    response = self._ask(self._history + turns, options, self._session_id(options), until)
                    ran = self._run_tools(response, options, len(earlier))
                    if ran is None:
                        break
                    turns += ran[0]
                    earlier.append(response)
                    options = options.unforced()
            except GeminiError as error:
                error.turns = turns
                raise
            response.earlier = earlier
            self._keep(turns, response)
            return response

    def _send_stream(self, make_turns: Callable[[GeminiOptions], Contents], overrides: Dict[str, Any]) -> Stream:
        options, until = self._settings(overrides)
        with self._entered():
            turns = self._begin(make_turns(options), options)
            events = self._asked_stream(turns, options, until)
            fold = Fold(options.reading)
            stream = Stream(self._streamed(turns, events, fold, options, until), fold, events, self._guard)
            self._open = weakref.ref(stream)
            return stream

    def _asked_stream(self, turns: Contents, options: GeminiOptions, until: Optional[float]) -> Events:
        try:
            return self._ask_stream(self._history + turns, options, self._session_id(options), until)
        except GeminiError as error:
            error.turns = turns
            raise

    def _streamed(
        self, turns: Contents, events: Events, fold: Fold, options: GeminiOptions, until: Optional[float],
    ) -> Chunks:
        rounds = 0
        while True:
            try:
                yield from chunks(events, fold)
            except GeneratorExit:
                if fold.complete:  # closed at its end
                    fold.complete = not self._runnable(fold.response(), options, rounds)
                    if fold.complete:
                        self._keep(turns, fold.response())
                raise
            except GeminiError as error:
                error.turns = turns
                raise
            response = fold.response()
            ran = self._run_tools(response, options, rounds)
            if ran is None:
                self._keep(turns, response)
                return
            turns += ran[0]
            rounds += 1
            fold.next_round()
            options = options.unforced()
            yield StreamChunk({}, fold.reading, ran[1])
            events = self._asked_stream(turns, options, until)

    def _begin(self, turns: Contents, options: GeminiOptions) -> Contents:
        """`turns`, which may follow this history; from here on they are the ones that may be kept."""
        contents.check_next(self._history, turns, options.toolbox.user_name)
        self._pending = turns
        return turns

    def _answers(self, results: Sequence[Result], options: GeminiOptions) -> Contents:
        toolbox = options.toolbox
        named = [(toolbox.wire_name(name), tools.response_object(response, name), *rest)
                 for name, response, *rest in results]
        return [contents.answers(contents.owed(self._history), named, toolbox.user_name)]

    def _runnable(self, response: GenerateContentResponse, options: GeminiOptions, rounds: int) -> List[Runnable]:
        """The calls of the answer with their tools; empty where the calls, or some of them, are the caller's."""
        if not options.tools or rounds >= options.max_tool_rounds:
            return []
        found = [(options.toolbox.tool(call.get("name", "")), call) for call in contents.calls(response.parts)]
        calls = [(tool, tools.FunctionCall(call["name"], call.get("args") or {}, call.get("id")))
                 for tool, call in found if tool is not None]
        return calls if len(calls) == len(found) else []

    def _run_tools(
        self, response: GenerateContentResponse, options: GeminiOptions, rounds: int,
    ) -> Optional[Tuple[Contents, List[tools.FunctionResult]]]:
        """The model's turn and the one that answers its calls, and the results; None where there is nothing to run."""
        todo = self._runnable(response, options, rounds)
        if not todo:
            return None
        said = tools.run_all(todo, options.parallel_tools)
        named = [(call.name, one, call.id) for (_, call), one in zip(todo, said)]
        turns = [{"role": "model", "parts": contents.sendable(response.parts)},
                 contents.answers(contents.calls(response.parts), named)]
        return turns, [tools.FunctionResult(tool.name, one, call.id) for (tool, call), one in zip(todo, said)]

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
    def _entered(self) -> Iterator[None]:
        """Inside the conversation, alone, with no earlier stream still open."""
        with self._guard:
            stream = self._open()
            if stream is not None:
                stream.discard(GeminiError("This stream was closed, and its turn given up, because its conversation "
                                           "went on: read a stream to its end before you send again."))
            self._pending = None
            yield

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(getattr(self, '_history', ()))} turns>"  # none while it is made

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
