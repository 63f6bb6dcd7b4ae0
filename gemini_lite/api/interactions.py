"""The Interactions API: stored conversations, background agents, and streams that can be taken up again."""
from __future__ import annotations

import threading
from typing import (
    TYPE_CHECKING, Any, Callable, Generic, Iterator, Mapping, NamedTuple, Optional, Set, Type, TypeVar, Union, overload,
)
from urllib.parse import quote, urlencode

from ..answers.check import why_not_json
from ..contents import Prompt
from ..errors import GeminiError, IncompleteError, JobFailedError, TransportError
from ..json_data import JSON, dict_or_empty, list_of_dicts, str_or_none
from ..options import GeminiOptions
from ..response import T
from ..transport import retry
from ..transport.deadline import CallSettings, Deadline
from ..transport.running import CLOSED, RunningCall
from ..transport.transport import Transport
from .interaction import FAILED, Interaction, InteractionEvent, InteractionFold
from .interaction_body import build_body
from .places import collection_path
from .sending import Sender
from .waiting import JobProgress, Poll, wait_until, whole_deadline

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..options.overrides import Overrides

S = TypeVar("S")  # what ``response_schema`` names
Resume = Callable[[str, str], Iterator[JSON]]  # the events of an interaction's id after the event of this id
InteractionOrId = Union[Interaction[Any], str]

_ADVICE = "use the Gemini Developer API or Vertex AI, or client.generate and client.chat here"


class Interactions:
    """Creates interactions and looks after those that are stored; `GeminiClient.interactions` is one.

    Unlike a chat's, the conversation is kept by Google: go on with ``previous_interaction``. Tools, the system prompt
    and other options hold for one call and have to be given again.
    """

    def __init__(self, sender: Sender, options: GeminiOptions) -> None:
        self._sender, self._options = sender, options
        self._route, self._limits = sender.route, sender.limits

    @overload
    def create(
        self, prompt: Prompt, *, agent: Optional[str] = None, previous_interaction: Optional[InteractionOrId] = None,
        background: bool = False, store: Optional[bool] = None, response_schema: Type[S],
        **overrides: Unpack[Overrides],
    ) -> Interaction[S]: ...

    @overload
    def create(
        self, prompt: Prompt, *, agent: Optional[str] = None, previous_interaction: Optional[InteractionOrId] = None,
        background: bool = False, store: Optional[bool] = None, response_schema: object = None,
        **overrides: Unpack[Overrides],
    ) -> Interaction[Any]: ...

    def create(
        self, prompt: Prompt, *, agent: Optional[str] = None, previous_interaction: Optional[InteractionOrId] = None,
        background: bool = False, store: Optional[bool] = None, **overrides: Any,
    ) -> Interaction[Any]:
        """Ask, and return the interaction: whole, or with `background` as soon as it is queued (see `wait`).

        `prompt` is what `generate` takes, or ``[(name, result, id), ...]`` to answer function calls. JobFailedError if
        it failed, with the interaction as ``job``. It is never sent again where a first one may have been worked on.
        """
        options, body, settings = self._request(prompt, agent, previous_interaction, background, store, overrides)
        data = self._send(self._path(), body, settings)
        data = self._follow_continuations(data, body, settings)
        return _checked(Interaction(data, options.response_schema))

    @overload
    def stream(
        self, prompt: Prompt, *, agent: Optional[str] = None, previous_interaction: Optional[InteractionOrId] = None,
        background: bool = False, store: Optional[bool] = None, response_schema: Type[S],
        **overrides: Unpack[Overrides],
    ) -> InteractionStream[S]: ...

    @overload
    def stream(
        self, prompt: Prompt, *, agent: Optional[str] = None, previous_interaction: Optional[InteractionOrId] = None,
        background: bool = False, store: Optional[bool] = None, response_schema: object = None,
        **overrides: Unpack[Overrides],
    ) -> InteractionStream[Any]: ...

    def stream(
        self, prompt: Prompt, *, agent: Optional[str] = None, previous_interaction: Optional[InteractionOrId] = None,
        background: bool = False, store: Optional[bool] = None, **overrides: Any,
    ) -> InteractionStream[Any]:
        """`create`, streamed: the first event has arrived when this returns.

        A stream that breaks is taken up again where it broke, if the interaction is stored.
        """
        options, body, settings = self._request(prompt, agent, previous_interaction, background, store, overrides)
        events = self._events(self._path(), {**body, "stream": True}, settings)
        resumable = body.get("store") is not False
        retries = self._retries(settings) if resumable else 0
        return InteractionStream(self._sender.transport, settings, events, self._resume_function(settings), retries,
                                 options.response_schema)

    @overload
    def get(self, interaction: Interaction[S], *, include_input: bool = False) -> Interaction[S]: ...

    @overload
    def get(self, interaction: str, *, include_input: bool = False) -> Interaction[Any]: ...

    def get(self, interaction: InteractionOrId, *, include_input: bool = False) -> Interaction[Any]:
        """The interaction as it is now; `include_input` adds the steps that were sent."""
        query = {**({"include_input": "true"} if include_input else {}), "stream": "false"}
        return Interaction(self._get(interaction, query, self._limits.start()), _schema_of(interaction))

    @overload
    def cancel(self, interaction: Interaction[S]) -> Interaction[S]: ...

    @overload
    def cancel(self, interaction: str) -> Interaction[Any]: ...

    def cancel(self, interaction: InteractionOrId) -> Interaction[Any]:
        """Stop the work; what it has cost so far is billed."""
        path = f"{self._path(interaction)}/cancel"
        data = self._route.send(path, settings=self._limits.start()._replace(retries=0))
        return Interaction(data, _schema_of(interaction))

    def delete(self, interaction: InteractionOrId) -> None:
        """Forget the interaction; work that goes on is cancelled with `cancel` first."""
        self._route.send(self._path(interaction), method="DELETE", settings=self._limits.start())

    @overload
    def wait(
        self, interaction: Interaction[S], *, poll: Poll = (2, 10), deadline: Optional[float] = None,
        progress: JobProgress[Interaction[S]] = None,
    ) -> Interaction[S]: ...

    @overload
    def wait(
        self, interaction: str, *, poll: Poll = (2, 10), deadline: Optional[float] = None,
        progress: JobProgress[Interaction[Any]] = None,
    ) -> Interaction[Any]: ...

    def wait(
        self, interaction: InteractionOrId, *, poll: Poll = (2, 10), deadline: Optional[float] = None,
        progress: JobProgress[Interaction[Any]] = None,
    ) -> Interaction[Any]:
        """The interaction once its work has ended; looks at it every `poll` = (first, longest) seconds.

        JobFailedError if it failed or was cancelled; TransportTimeout with the reason DEADLINE after `deadline`
        seconds: the work goes on and is billed until `cancel`. Both have the interaction as ``job``.
        """
        until = whole_deadline(deadline)
        first = interaction if isinstance(interaction, Interaction) and interaction.status else self.get(interaction)
        ended = wait_until(
            first, lambda _: self._refresh(interaction, until), lambda one: not one.is_live,
            transport=self._sender.transport, poll=poll, deadline=until, progress=progress,
            describe=lambda one: f"interaction {one.id}: {one.status}")
        return _checked(ended)

    def _refresh(self, interaction: InteractionOrId, until: Deadline) -> Interaction[Any]:
        data = self._get(interaction, {"stream": "false"}, self._sender.settings(until))
        return Interaction(data, _schema_of(interaction))

    def _get(self, interaction: InteractionOrId, query: Mapping[str, str], settings: CallSettings) -> JSON:
        return self._route.send(f"{self._path(interaction)}?{urlencode(query)}", method="GET", settings=settings)

    def _send(self, path: str, body: JSON, settings: CallSettings) -> JSON:
        return self._route.send(path, body, settings=settings, creates=True)

    def _follow_continuations(self, data: JSON, body: JSON, settings: CallSettings) -> JSON:
        """`data`, and as long as the API asks for a continuation, what follows it; a token is used once.

        An error has what there is as ``response``: it is paid for.
        """
        used: Set[str] = set()
        while data.get("status") == "requires_continuation":
            token = str_or_none(data.get("continuation_token"))
            if not token or token in used or why_not_json([token, data.get("id")]):  # each is billed
                break
            used.add(token)
            try:
                data = _merged(data, self._send(self._path(), _continuation(body, data), settings))
            except GeminiError as error:
                error.response = Interaction(data)
                raise
        return data

    def _request(
        self, prompt: Prompt, agent: Optional[str], previous: Optional[InteractionOrId], background: bool,
        store: Optional[bool], overrides: Mapping[str, object],
    ) -> _Request:
        limits, changes = self._limits.split(overrides)
        options = self._options.replace(**changes)
        if agent is not None and "model" not in changes:
            options = options.replace(model=None)
        body = build_body(
            prompt, options, model=None if agent is not None else self._route.model(options), agent=agent,
            previous_interaction=None if previous is None else _id(previous), background=background, store=store)
        return _Request(options, body, limits.start())

    def _events(self, path: str, body: Optional[JSON], settings: CallSettings) -> Iterator[JSON]:
        return self._route.events(path, body, settings=settings, creates=body is not None)

    def _resume_function(self, settings: CallSettings) -> Resume:
        def resume(id: str, last_event: str) -> Iterator[JSON]:
            query = urlencode({"last_event_id": last_event, "stream": "true"}, errors="replace")
            return self._events(f"{self._path(id)}?{query}", None, settings)
        return resume

    def _retries(self, settings: CallSettings) -> int:
        return self._sender.retries if settings.retries is None else settings.retries

    def _path(self, interaction: Optional[InteractionOrId] = None) -> str:
        base = collection_path(self._sender, "interactions", _ADVICE)
        return base if interaction is None else f"{base}/{quote(_id(interaction), safe='-._~')}"


class _Request(NamedTuple):
    options: GeminiOptions
    body: JSON
    settings: CallSettings


class InteractionStream(Generic[T]):
    """The events of an interaction as they come; `interaction` is the whole of it afterwards.

    Ends with the event ``interaction.completed`` or raises: an ``error`` event is the error it states, a stream that
    breaks and cannot be taken up again is the error of the break, or of the last attempt. Each has what arrived as
    ``response``. The stream belongs to one thread at a time; `close` may be called by another, and wakes the one that
    is reading.
    """

    def __init__(
        self, transport: Transport, settings: CallSettings, events: Iterator[JSON], resume: Resume, retries: int,
        response_schema: object = None,
    ) -> None:
        self._transport = transport
        self._call = settings.running or RunningCall()
        self._events = events
        self._resume = resume
        self._retries = retries
        self._schema = response_schema
        self._owner = threading.get_ident()  # the thread that reads
        self._fold = InteractionFold()
        self._last_event: Optional[str] = None
        self._seen: Set[str] = set()
        self._tries = 0  # how often it was taken up again since the last event that was new
        self._closed = False

    def __iter__(self) -> InteractionStream[T]:
        return self

    def __next__(self) -> InteractionEvent:
        while not (self._closed or self._fold.completed):
            self._owner = threading.get_ident()
            event = InteractionEvent(self._next_data())
            if event.id is not None:
                if event.id in self._seen:
                    continue  # a stream that was taken up again may repeat what it said last
                self._seen.add(event.id)
                self._last_event = event.id
                self._tries = 0
            self._fold.add(event)
            if self._fold.completed:
                self._close_events()
            return event
        raise StopIteration

    @property
    def interaction(self) -> Interaction[T]:
        """The whole interaction; reads what has not been read yet. JobFailedError if it failed."""
        for _ in self:
            pass
        interaction: Interaction[T] = Interaction(self._fold.data(), self._schema)
        if not self._fold.completed:
            raise IncompleteError(
                "This stream was closed before its end: read it to the end, or ask for the interaction with "
                "client.interactions.get(id).", reason="CLOSED", response=interaction)
        return _checked(interaction)

    def close(self) -> None:
        """End the stream; work in the background goes on until it is cancelled.

        From another thread than the one that reads, it ends the call: that thread gets a TransportError with the reason
        CLOSED.
        """
        self._closed = True
        if self._owner == threading.get_ident():
            self._close_events()
        else:
            self._call.end(CLOSED)

    def __enter__(self) -> InteractionStream[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _next_data(self) -> JSON:
        """The next event's dict, taken up again after a break as often as `retries` allow in a row."""
        try:
            while True:
                try:
                    return next(self._events)
                except StopIteration:
                    failure: GeminiError = IncompleteError("The stream ended without interaction.completed: it is not "
                                                           "whole.", reason="CUT", retryable=True)
                except (TransportError, IncompleteError) as error:
                    failure = error
                self._resume_after(failure)
        except GeminiError as error:
            error.response = Interaction(self._fold.data(), self._schema)
            raise

    def _resume_after(self, failure: GeminiError) -> None:
        """Take the stream up again after the last event that arrived, or raise `failure`."""
        id, last = self._fold.id, self._last_event
        seconds = retry.wait(failure, self._tries, self._transport.max_wait) if self._tries < self._retries else None
        if id is None or not _is_id(id) or last is None or seconds is None or seconds >= self._call.left:
            raise failure
        self._tries += 1
        self._close_events()
        with self._transport.operation(self._call):
            retry.pause(seconds)
        try:
            self._events = self._resume(id, last)
        except TransportError as error:
            self._events = _failing(error)

    def _close_events(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


def _failing(error: GeminiError) -> Iterator[JSON]:
    raise error
    yield {}


def _id(interaction: InteractionOrId) -> str:
    id = interaction.id if isinstance(interaction, Interaction) else interaction
    if not isinstance(id, str) or not _is_id(id):
        raise ValueError(f"{id!r} is no id of an interaction: give the Interaction, or its id as the API gave it")
    return id


def _is_id(id: str) -> bool:
    """Whether `id` can stand in a path without leading to another."""
    return id not in ("", ".", "..") and id.isprintable() and not any(character in id for character in "/?#\\")


def _schema_of(interaction: InteractionOrId) -> object:
    return interaction._schema if isinstance(interaction, Interaction) else None


def _checked(interaction: Interaction[S]) -> Interaction[S]:
    """`interaction`, or the error if it ended badly."""
    if interaction.status not in FAILED:
        return interaction
    reasons = "; ".join(str(error.get("message")) for error in interaction.errors if error.get("message"))
    error = JobFailedError(
        f"The interaction {interaction.id} ended as {interaction.status}{f': {reasons}' if reasons else ''}. "
        "error.job holds what there is; ask again, or go on from the interaction before.",
        reason=interaction.status.upper())
    error.job = interaction
    raise error


def _continuation(body: JSON, data: JSON) -> JSON:
    """The request for what follows `data`: without the input where the interaction is stored."""
    kept = {name: value for name, value in body.items() if name not in ("input", "previous_interaction_id")}
    token = {"continuation_token": data["continuation_token"]}
    if body.get("store") is False:
        return {**kept, "input": body["input"], **token}
    return {**kept, **token, "previous_interaction_id": data.get("id")}


def _merged(first: JSON, second: JSON) -> JSON:
    """Two answers of one interaction as one: the steps of both, the usage added up."""
    usage = dict(dict_or_empty(first.get("usage")))
    for name, value in dict_or_empty(second.get("usage")).items():
        before = usage.get(name)
        usage[name] = before + value if type(before) is int and type(value) is int else value
    steps = list_of_dicts(first.get("steps")) + list_of_dicts(second.get("steps"))
    return {**first, **second, "steps": steps, **({"usage": usage} if usage else {})}
