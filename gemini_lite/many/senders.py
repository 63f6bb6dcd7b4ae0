"""The threads of a run: each takes a task, sends it, and puts it back with what came of it."""
from __future__ import annotations

import queue
import threading
from typing import Any, Optional, Union

from ..answers.check import check
from ..backends.base import Backend
from ..contents import answer_format
from ..json_data import JSON
from ..options import GeminiOptions
from ..response import AnswerFormat, GenerateContentResponse
from ..route import Route, new_session_id
from ..transport.deadline import CallLimits, CallSettings
from ..transport.transport import Call, Transport
from .failures import Refusals, invalid_prompt
from .pace import Start


class Task:
    """A prompt on its way: its request, and how often it was sent and why again."""

    __slots__ = ("index", "key", "request", "hash", "size", "tries", "failures", "refusals", "was_lost", "unsent",
                 "settings", "call", "start", "response", "error")

    def __init__(self, index: int, key: str, request: JSON, hash: int = 0) -> None:
        self.index, self.key, self.request, self.hash = index, key, request, hash
        self.size = 0  # bytes, where somebody counted them
        self.tries = 0  # requests
        self.failures = 0  # of them, those that count against the retries
        self.refusals: Optional[Refusals] = None
        self.was_lost = False  # a request of it that may have been worked on
        self.unsent = False  # the last request certainly was not worked on
        self.settings: Optional[CallSettings] = None
        self.call: Optional[Call] = None
        self.start: Optional[Start] = None
        self.response: Optional[GenerateContentResponse[Any]] = None
        self.error: Optional[BaseException] = None


class TaskSender:
    """Sends one task, once; it is called in many threads at a time."""

    def __init__(self, route: Route, transport: Transport, options: GeminiOptions, limits: CallLimits) -> None:
        self._backend: Backend = route.backend
        self._route, self._transport, self._options = route, transport, options
        self._model = route.model(options)
        self._limits = limits._replace(retries=0)  # the run itself decides what is sent again
        self._format: AnswerFormat = answer_format(options)

    def send(self, task: Task) -> None:
        """Put an answer or an error into `task`."""
        task.response = task.error = None
        try:
            call = (task.call or self._prepare(task)).started()
            try:
                data = self._transport.request(self._backend.endpoints, call)
            except (ValueError, TypeError) as error:  # the request cannot be written as JSON
                raise invalid_prompt(error) from None
            finally:
                task.unsent = call.running.unsent
            response: GenerateContentResponse[Any] = GenerateContentResponse(data, self._format)
            check(response)
            if self._format.schema is not None:
                response.parsed  # raises ParseError, which keeps the response
            task.response = response
        except BaseException as error:  # whatever it is, the run's own thread must see it
            task.error = error.with_traceback(None)

    def _prepare(self, task: Task) -> Call:
        """The call of `task`, the same for all its tries; the clock of its deadline starts here."""
        settings = self._limits.start()
        options, backend, model = self._options, self._backend, self._model
        session_id = options.session_id or new_session_id()
        body = backend.wrap("generateContent", model, task.request, options, session_id,
                            self._route.post(settings, model))
        task.settings = settings
        task.call = Call(backend.path("generateContent", model), backend.headers("generateContent", model), body,
                         backend.unwrap, settings=settings)
        return task.call


class Threads:
    """A pool of threads that send tasks and put them into `done`; they end with `close`, or with the process."""

    def __init__(self, sender: TaskSender, done: "queue.SimpleQueue[Union[Task, None]]") -> None:
        self._sender = sender
        self._tasks: "queue.SimpleQueue[Optional[Task]]" = queue.SimpleQueue()
        self._done = done
        self._count = 0

    def send(self, task: Task, in_flight: int) -> None:
        """Have `task` sent; `in_flight` tasks, with this one, need as many threads."""
        if self._count < in_flight:
            self._count += 1
            _start_thread(self._tasks, self._done, self._sender)
        self._tasks.put(task)

    def close(self) -> None:
        """End the threads when they have sent what they are at."""
        for _ in range(self._count):
            self._tasks.put(None)
        self._count = 0


def _start_thread(*arguments: object) -> None:
    threading.Thread(target=_send_tasks, args=arguments, name="gemini-lite map", daemon=True).start()


def _send_tasks(
    tasks: "queue.SimpleQueue[Optional[Task]]", done: "queue.SimpleQueue[Union[Task, None]]", sender: TaskSender,
) -> None:
    """What each thread does; it knows nothing of the run, so that a run that is forgotten can end."""
    while True:
        task = tasks.get()
        if task is None:
            return
        sender.send(task)
        done.put(task)
        del task  # its answer is the caller's now
