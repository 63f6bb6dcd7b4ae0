"""A conversation: a history that grows by whole turns or not at all."""
from __future__ import annotations

import sys
import threading
import weakref
from types import FrameType
from typing import (
    TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type, TypeVar, Union, overload,
)

from . import contents
from .answers.check import why_not_json
from .contents import Prompt
from .errors import ConversationBusyError, GeminiError
from .json_data import JSON, is_thought
from .options import FixedOptions, GeminiOptions
from .response import GenerateContentResponse, StreamChunk, plain_parts
from .route import Events, Route, new_fold, new_session_id
from .stream import Chunks, Stream, chunks
from .stream.fold import Fold
from .tool_loop import run_calls, runnable_calls
from .transport.deadline import CallLimits, CallSettings
from .turns.calls import CallResult, named_results, owed_calls, results_content
from .turns.history import check_history, check_next, copy_json, sendable

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options.overrides import Overrides

S = TypeVar("S")  # what ``response_schema`` names
ToolResult = Union[Tuple[str, object], Tuple[str, object, Optional[str]]]  # (name, response[, id])
ToolResults = Union[Sequence[ToolResult], Mapping[str, object]]


class Chat(FixedOptions):
    """A conversation with the model, which remembers its turns; `client.chat()` makes one.

    A turn is kept when its answer is whole, with the answer, as the last step of a send. Whatever fails or is
    cancelled before leaves the history as it was, and the error has the turns that were not kept, with the results of
    tools that ran: pass ``error.turns`` to `send_message` to go on from there. It belongs to one thread at a time; a
    second thread gets a `ConversationBusyError`, and so does a tool that sends in the conversation that runs it.

    Python functions among the ``tools`` are called, and their results sent, until the model answers; after
    ``max_tool_rounds`` of that, and for tools without a function, the calls are the caller's to answer, with
    `send_tool_results`.
    """

    def __init__(
        self, route: Route, options: GeminiOptions, history: Sequence[JSON] = (), limits: CallLimits = CallLimits(),
    ) -> None:
        self.options = options
        self._route = route
        self._limits = limits
        self._history = check_history(history)
        self._guard = _OneAtATime()
        self._open: Callable[[], Optional[Stream[Any]]] = lambda: None  # a weak reference to the last stream
        self._session: Optional[Tuple[Optional[str], str]] = None  # the model, and the id of its session

    @property
    def history(self) -> List[JSON]:
        """The turns so far, a copy: content dicts, exactly what will be sent next; `json.dumps` keeps them."""
        return copy_json(list(self._history))  # type: ignore[no-any-return]

    def clear_history(self) -> None:
        """Forget all turns; the next message opens a new session."""
        with self._guard:
            self._leave_stream()
            self._history = []
            self._session = None

    @overload
    def send_message(
        self, prompt: Prompt, *, response_schema: Type[S], **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[S]: ...

    @overload
    def send_message(
        self, prompt: Prompt, *, response_schema: object = None, **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[Any]: ...

    def send_message(self, prompt: Prompt, **overrides: Any) -> GenerateContentResponse[Any]:
        """Send `prompt` after the history and return the answer, after the tools that the model called have run.

        `prompt` is a string, a part dict, (bytes, MIME type), a pathlib path, a list of these (one turn), or a list
        of content dicts (several). `overrides` are fields of `GeminiOptions` for this call, and ``deadline`` in
        seconds. Raises `GeminiError`; ValueError and TypeError for input that cannot be sent.
        """
        turns = contents.from_prompt(prompt)
        return self._send(lambda options: turns, overrides)

    @overload
    def send_message_stream(
        self, prompt: Prompt, *, response_schema: Type[S], **overrides: Unpack[Overrides],
    ) -> Stream[S]: ...

    @overload
    def send_message_stream(
        self, prompt: Prompt, *, response_schema: object = None, **overrides: Unpack[Overrides],
    ) -> Stream[Any]: ...

    def send_message_stream(self, prompt: Prompt, **overrides: Any) -> Stream[Any]:
        """`send_message`, streamed: the request is sent now, the turn is kept when the stream has been read."""
        turns = contents.from_prompt(prompt)
        return self._send_stream(lambda options: turns, overrides)

    @overload
    def send_tool_result(
        self, name: str, response: object, id: Optional[str] = None, *, response_schema: Type[S],
        **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[S]: ...

    @overload
    def send_tool_result(
        self, name: str, response: object, id: Optional[str] = None, *, response_schema: object = None,
        **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[Any]: ...

    def send_tool_result(
        self, name: str, response: object, id: Optional[str] = None, **overrides: Any,
    ) -> GenerateContentResponse[Any]:
        """`send_tool_results` for the one call that is owed."""
        return self.send_tool_results([(name, response, id)], **overrides)

    @overload
    def send_tool_result_stream(
        self, name: str, response: object, id: Optional[str] = None, *, response_schema: Type[S],
        **overrides: Unpack[Overrides],
    ) -> Stream[S]: ...

    @overload
    def send_tool_result_stream(
        self, name: str, response: object, id: Optional[str] = None, *, response_schema: object = None,
        **overrides: Unpack[Overrides],
    ) -> Stream[Any]: ...

    def send_tool_result_stream(
        self, name: str, response: object, id: Optional[str] = None, **overrides: Any,
    ) -> Stream[Any]:
        """`send_tool_result`, streamed."""
        return self.send_tool_results_stream([(name, response, id)], **overrides)

    @overload
    def send_tool_results(
        self, results: ToolResults, *, response_schema: Type[S], **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[S]: ...

    @overload
    def send_tool_results(
        self, results: ToolResults, *, response_schema: object = None, **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[Any]: ...

    def send_tool_results(self, results: ToolResults, **overrides: Any) -> GenerateContentResponse[Any]:
        """Answer all calls of the model's last turn, in one turn and in their order.

        A result is (name, response) or (name, response, id); without an id it answers the first call of that name
        that is still owed. A dict of responses by name does as well. A response that is no dict is sent as
        ``{"result": response}``; pictures, sound and files, alone or in a list, are sent as such.
        """
        return self._send(lambda options: self._results_turns(results, options), overrides)

    @overload
    def send_tool_results_stream(
        self, results: ToolResults, *, response_schema: Type[S], **overrides: Unpack[Overrides],
    ) -> Stream[S]: ...

    @overload
    def send_tool_results_stream(
        self, results: ToolResults, *, response_schema: object = None, **overrides: Unpack[Overrides],
    ) -> Stream[Any]: ...

    def send_tool_results_stream(self, results: ToolResults, **overrides: Any) -> Stream[Any]:
        """`send_tool_results`, streamed."""
        return self._send_stream(lambda options: self._results_turns(results, options), overrides)

    def _send(
        self, make_turns: Callable[[GeminiOptions], List[JSON]], overrides: Mapping[str, object],
    ) -> GenerateContentResponse[Any]:
        options, settings = self._settings(overrides)
        with self._guard:
            self._leave_stream()
            turns = self._checked(make_turns(options), options)
            earlier: List[GenerateContentResponse[Any]] = []
            try:
                while True:
                    response = self._route.generate(
                        self._history + turns, options, self._session_id(options), settings)
                    ran = run_calls(response, options, len(earlier))
                    if ran is None:
                        break
                    turns += ran.turns
                    ran.raise_failure()
                    earlier.append(response)
                    options = options.without_forced_calls()
            except GeminiError as error:
                error.turns = turns
                raise
            response.earlier = earlier
            self._keep(turns, response)
            return response

    def _send_stream(
        self, make_turns: Callable[[GeminiOptions], List[JSON]], overrides: Mapping[str, object],
    ) -> Stream[Any]:
        options, settings = self._settings(overrides)
        with self._guard:
            self._leave_stream()
            turns = self._checked(make_turns(options), options)
            events = self._events(turns, options, settings)
            fold = new_fold(options)
            stream = Stream(
                self._chunks(turns, events, fold, options, settings), fold, events, settings.running, self._guard)
            self._open = weakref.ref(stream)
            return stream

    def _events(self, turns: List[JSON], options: GeminiOptions, settings: CallSettings) -> Events:
        try:
            return self._route.stream(self._history + turns, options, self._session_id(options), settings)
        except GeminiError as error:
            error.turns = turns
            raise

    def _chunks(
        self, turns: List[JSON], events: Events, fold: Fold, options: GeminiOptions, settings: CallSettings,
    ) -> Chunks:
        """The chunks of a send, over all its rounds of tools; the turns are kept at the end."""
        rounds = 0
        while True:
            try:
                yield from chunks(events, fold, settings)
                response = fold.response()
                ran = run_calls(response, options, rounds)
                if ran is not None:
                    turns += ran.turns
                    ran.raise_failure()
            except GeneratorExit:
                if fold.complete:  # closed after its finish reason, and its end came
                    fold.complete = not runnable_calls(fold.response(), options, rounds)
                    if fold.complete:
                        self._keep(turns, fold.response())
                raise
            except GeminiError as error:
                error.turns = turns
                raise
            if ran is None:
                self._keep(turns, response)
                return
            rounds += 1
            fold.next_round()
            options = options.without_forced_calls()
            yield StreamChunk({}, fold.answer_format, ran.results)
            events = self._events(turns, options, settings)

    def _checked(self, turns: List[JSON], options: GeminiOptions) -> List[JSON]:
        """`turns`, if they may follow this history."""
        check_next(self._history, turns, options.toolbox.user_name if options.tools else str)
        return turns

    def _results_turns(self, results: ToolResults, options: GeminiOptions) -> List[JSON]:
        from .tools import tool_output
        toolbox = options.toolbox
        named = [CallResult(toolbox.wire_name(name), output.response, id, output.parts)
                 for name, response, id in named_results(results) for output in [tool_output(response, name)]]
        return [results_content(owed_calls(self._history), named, toolbox.user_name)]

    def _keep(self, turns: List[JSON], response: GenerateContentResponse[Any]) -> None:
        """Add the turns of a send to the history, if its answer says anything, or tools have run for it."""
        parts = sendable(plain_parts(response))
        says_nothing = all(map(is_thought, parts)) or why_not_json(parts)
        answer = [] if says_nothing else [{"role": "model", "parts": parts}]
        if answer or response.earlier:
            self._history += [*turns, *answer]

    def _settings(self, overrides: Mapping[str, object]) -> Tuple[GeminiOptions, CallSettings]:
        """The options and the settings of a call that begins now."""
        if not overrides:
            return self.options, self._limits.start()
        limits, changes = self._limits.split(overrides)
        return self.options.replace(**changes), limits.start()

    def _session_id(self, options: GeminiOptions) -> str:
        """One id for the conversation; another model is another session, as the server demands."""
        if options.session_id is not None:
            return options.session_id
        if self._session is None or self._session[0] != options.model:
            self._session = options.model, new_session_id()
        return self._session[1]

    def _leave_stream(self) -> None:
        """Close the last stream, if it is still open; called inside the guard."""
        stream = self._open()
        if stream is not None:
            stream.discard(GeminiError("This stream was closed, and its turn given up, because its conversation "
                                       "went on: read a stream to its end before you send again."))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(getattr(self, '_history', ()))} turns>"  # none while it is made

    def __reduce__(self) -> str:
        raise TypeError("a conversation holds a live client and cannot be pickled: keep its history (JSON data) and "
                        "its options, and make it again with client.chat(history)")


class _OneAtATime:
    """A lock that does not wait, and that an interrupt cannot leave held for ever.

    It knows the thread and the frame whose ``with`` block it is held for. A thread that comes back when that frame is
    not running any more finds it free.
    """

    def __init__(self) -> None:
        self._held: Dict[str, Tuple[int, FrameType]] = {}  # changed by one call each, which nothing can interrupt

    def __enter__(self) -> None:
        this = threading.get_ident(), sys._getframe(1)
        holder = self._held.setdefault("by", this)
        if holder is not this:
            if holder[0] != this[0] or _is_running(holder[1]):
                raise ConversationBusyError("This conversation is sending already, and neither another thread nor a "
                                            "tool that it runs can send in it: use client.generate or another "
                                            "client.chat() there.", retryable=True)
            self._held["by"] = this

    def __exit__(self, *exc: object) -> None:
        self._held.pop("by", None)


def _is_running(frame: FrameType) -> bool:
    """Whether `frame` is one of those that have led here."""
    caller: Optional[FrameType] = sys._getframe()
    while caller is not None and caller is not frame:
        caller = caller.f_back
    return caller is not None
