"""A run: the thread that iterates reads the prompts, paces, retries, writes and counts; others only send."""
from __future__ import annotations

import collections
import contextlib
import functools
import heapq
import itertools
import logging
import queue
import random
import time
from types import TracebackType
from typing import Callable, Deque, Dict, Generic, Iterable, Iterator, List, Optional, Sized, Tuple, Type

from ..api.prompts import RequestBuilder, read_item
from ..auth.api_key import is_demo
from ..errors import GeminiError, OverloadedError
from ..json_data import JSON
from ..json_data.previews import counted
from ..options import GeminiOptions
from ..response import Result, T
from ..route import Route
from ..transport import retry
from ..transport.transport import Transport
from . import failures
from .connections import transport_for
from .interrupts import Interrupts
from .order import ResultOrder
from .pace import Pace, quota_of
from .senders import Task, TaskSender, Threads
from .settings import Keeper, Settings
from .stats import Stats
from .tokens import TokenEstimate, prompt_tokens, size_of

log = logging.getLogger("gemini_lite")

BATCH = 16  # calls started before the answers are looked at: more at once cost twice the CPU
BETWEEN_BATCHES = 0.002  # seconds
BETWEEN_STEPS = 0.001  # seconds, in which results that are there are handed on and nothing else is looked at
LONGEST_LOOK = 1.0  # seconds in which something may have changed that wakes nobody
HELD = 16  # times `concurrency`: the results that may wait for a slow one before them, and the prompts for a retry
FIRST_RETRY = 1.0  # seconds, where the server named none; longer than a single call's, because nobody waits for one


class Run(Generic[T]):
    """Many prompts being answered: iterate for a `Result` of each; ``with`` or `close` ends it early.

    Prompts are read as there is room for them, and nothing is sent while nobody iterates. `stats` counts. Whoever
    iterates gets the error that ends the run when what was in flight has arrived; ``error.summary`` has the counts.
    Ctrl-C ends it in the same way, and a second one does not wait.
    """

    def __init__(
        self, route: Route, transport: Transport, options: GeminiOptions, prompts: Iterable[object],
        settings: Settings = Settings(), *, pace: Optional[Pace] = None, keeper: Optional[Keeper] = None,
        progress: Callable[[Stats, bool], None] = lambda stats, ended: None,
    ) -> None:
        self.model, self.is_demo = route.model(options), is_demo(route.backend.auth)
        self.stats = Stats(len(prompts) if isinstance(prompts, Sized) else None)
        self._settings, self._keeper, self._progress = settings, keeper, progress
        self._builder = RequestBuilder(options, self.model)
        self._open = contextlib.ExitStack()
        own = self._open.enter_context(transport_for(transport, settings.concurrency))
        self._done: "queue.SimpleQueue[Optional[Task]]" = queue.SimpleQueue()
        self._threads = Threads(TaskSender(route, own, options, settings.limits), self._done)
        self._open.callback(self._threads.close)
        self._prompts: Iterator[Tuple[int, object]] = enumerate(prompts)
        self._exhausted = False
        self._pace = pace or Pace(settings.concurrency)
        self._estimate = TokenEstimate()
        self._max_wait = transport.max_wait
        self._retries: List[Tuple[float, int, Task]] = []  # a heap, by time
        self._serial = itertools.count()
        self._in_flight: Dict[int, Task] = {}  # by index
        self._ready: Deque[Result] = collections.deque()
        self._order = ResultOrder() if settings.ordered else None
        self._failures_in_a_row = failures.FailuresInARow(settings.ends_in_outage, goes_on=keeper is not None)
        self._stop: Optional[BaseException] = None  # why no more is sent
        self._is_open = True
        self._next_step_at = 0.0
        self.interrupts = Interrupts(functools.partial(self._done.put, None))  # holds no run: one forgotten can end

    def __iter__(self) -> Run[T]:
        return self

    def __next__(self) -> Result[T]:
        if self._ready and time.monotonic() < self._next_step_at:
            return self._ready.popleft()
        try:
            with self.interrupts:
                self._step()
                while not self._ready:
                    if self._is_over():
                        self._flush_or_raise()
                    self._step()
        except BaseException:
            self.close()
            raise
        return self._ready.popleft()

    def __enter__(self) -> Run[T]:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_is_open", False):
            self.close()

    def close(self) -> None:
        """End the run without waiting for what is in flight; a second call does nothing."""
        if not self._is_open:
            return
        self._is_open = False
        self.stats.end()
        with contextlib.ExitStack() as stack:  # all of it, whatever of it fails; the last callback first
            stack.callback(self.interrupts.close)
            stack.callback(self._open.close)
            if self._keeper is not None:
                stack.callback(self._keeper.end, list(self._in_flight.values()))
            self._progress(self.stats, True)

    def _is_over(self) -> bool:
        """Whether nothing is in flight, and nothing will be."""
        return not self._in_flight and (self._stop is not None or self._exhausted and not self._retries)

    def _flush_or_raise(self) -> None:
        """Hand on what waited for others that do not come; after that, raise what ends the iteration."""
        if self._order is not None and self._order:
            self._ready.extend(self._order.flush())
        elif self._stop is None:
            raise StopIteration
        else:
            raise self._with_summary(self._stop)

    def _step(self) -> None:
        """Start what may start and settle what has arrived; wait for that if there is nothing to hand on."""
        if not self._is_open:
            raise StopIteration
        started = self._start_calls()
        self._collect(0.0 if self._ready else self._pause(started))
        if self.interrupts.count:
            self._end(KeyboardInterrupt())
            if self.interrupts.count > 1:
                raise self._with_summary(KeyboardInterrupt())
        self._show()
        self._next_step_at = time.monotonic() + BETWEEN_STEPS

    def _with_summary(self, error: BaseException) -> BaseException:
        self.interrupts.is_raised = True
        setattr(error, "summary", self.stats)
        return error

    def _show(self) -> None:
        self.stats.in_flight = len(self._in_flight)
        rate = self._pace.requests.per_second
        self.stats.requests_per_minute = None if rate is None else rate * 60
        try:
            self._progress(self.stats, False)
        except Exception as error:  # the caller's own function: it ends the run as an error of ours does
            self._progress = lambda stats, ended: None
            self._end(error)

    # What goes out

    def _start_calls(self) -> int:
        """Start calls while there is room and the pace allows it; how many."""
        pace, started = self._pace, 0
        while started < BATCH and self._stop is None:
            now = time.monotonic()
            if len(self._in_flight) >= pace.room(now) or pace.opens_at() > now:
                break
            task = self._next_task(now)
            if task is None:
                break
            self._start(task, now)
            started += 1
        return started

    def _start(self, task: Task, now: float) -> None:
        if self._pace.tokens.per_second is not None and not task.size:
            task.size = size_of(task.request)
        if self._keeper is not None and not task.tries:
            try:
                self._keeper.sending(task)
            except OSError as failure:
                self._end(failure)
                return
        task.start = self._pace.start(now, self._estimate.tokens(task.size))
        task.tries += 1
        self._in_flight[task.index] = task
        self._threads.send(task, len(self._in_flight))

    def _next_task(self, now: float) -> Optional[Task]:
        """A prompt to send now: one that failed before, if its time has come, else a new one."""
        if self._retries and self._retries[0][0] <= now:
            return heapq.heappop(self._retries)[2]
        while self._may_read() and not self.interrupts.count:
            pair = self._read()
            if pair is not None:
                task = self._make_task(*pair)
                if task is not None:
                    return task
            self._show()
        return None

    def _may_read(self) -> bool:
        """Whether there is room for another of the caller's prompts; one that is sent again needs none."""
        held = max(len(self._retries), 0 if self._order is None else len(self._order))
        return not (self._exhausted or self._stop) and held < HELD * self._settings.concurrency

    def _read(self) -> Optional[Tuple[int, object]]:
        """The next of the caller's prompts and its index; None at the end."""
        self.interrupts.may_raise = True
        try:
            return next(self._prompts)
        except StopIteration:
            self._exhausted = True
        except KeyboardInterrupt as error:
            self._stop = error.with_traceback(None)
        except Exception as error:  # the caller's own iterator: what it raises ends the run as an error of ours does
            self._stop = error
        finally:
            self.interrupts.may_raise = False
        return None

    def _make_task(self, index: int, value: object) -> Optional[Task]:
        """The task for a prompt; None if it is in the file already, or cannot be sent and is settled by that."""
        key = str(index)
        try:
            item = read_item(value)
            key = key if item.key is None else item.key
            request = self._builder.build(item)
        except (ValueError, TypeError, OSError) as error:
            self._refuse(index, key, error)
            return None
        return self._admitted(index, key, request)

    def _refuse(self, index: int, key: str, error: Exception) -> None:
        """Settle a prompt that cannot be sent."""
        task = self._admitted(index, key, {})
        if task is not None:
            self._settle(task, failures.invalid_prompt(error))

    def _admitted(self, index: int, key: str, request: JSON) -> Optional[Task]:
        """The task for `request`; None if the keeper has its result already, or says why the run must end."""
        hash: Optional[int] = 0
        if self._keeper is not None:
            try:
                hash = self._keeper.admit(key, request, self.model)
            except (ValueError, TypeError) as error:
                self._end(error)
                return None
        if hash is None:
            self.stats.skipped += 1
            return None
        return Task(index, key, request, hash)

    # What comes back

    def _pause(self, started: int) -> float:
        """Seconds to wait for an answer before there is something else to do."""
        if started == BATCH:
            return BETWEEN_BATCHES
        if self._is_over():
            return 0.0
        now = time.monotonic()
        if self._stop is not None:
            return LONGEST_LOOK
        if len(self._in_flight) >= self._pace.room(now):
            return self._pace.next_change() or LONGEST_LOOK
        next_start = self._retries[0][0] if self._retries else float("inf")
        if self._may_read():
            next_start = now
        return min(LONGEST_LOOK, max(next_start, self._pace.opens_at()) - now)

    def _collect(self, seconds: float) -> None:
        """Settle all that has arrived; wait up to `seconds` for the first."""
        try:
            task = self._done.get(timeout=seconds) if seconds > 0 else self._done.get_nowait()
            while True:
                if task is not None:
                    self._arrived(task)
                task = self._done.get_nowait()
        except queue.Empty:
            pass

    def _arrived(self, task: Task) -> None:
        """Settle one task, or have it sent again."""
        del self._in_flight[task.index]
        error = task.error
        if error is not None and not isinstance(error, GeminiError):
            self._end(error)
            return
        self._tell_pace(task, error)
        if error is None:
            self._settle(task, None)
        elif failures.is_fatal(error):
            self._end(error)
        elif not self._send_again(task, error):
            self._settle(task, error)

    def _end(self, error: BaseException) -> None:
        self._stop = self._stop or error

    def _tell_pace(self, task: Task, error: Optional[GeminiError]) -> None:
        start = task.start
        assert start is not None
        if isinstance(error, OverloadedError):
            self._pace.overloaded(start)
        elif error is not None and failures.is_refusal(error):
            self.stats.refused += 1
            self._pace.refused(start, time.monotonic(), error.retry_after, quota_of(error))
        elif error is None or error.response is not None:
            tokens = prompt_tokens(error.response if error is not None else task.response)
            if tokens:
                self._estimate.learn(task.size, tokens)
            self._pace.answered(start, float(tokens) if tokens else None)

    def _send_again(self, task: Task, error: GeminiError) -> bool:
        """Whether the task goes out once more, which is arranged then."""
        refused = failures.is_refusal(error)  # no fault of the prompt's, and not counted
        again, may_be_twice = failures.may_be_sent_again(error, task.unsent)
        if not again or may_be_twice and task.was_lost:
            return False
        if not refused and task.failures >= self._settings.retries:
            return False
        now = time.monotonic()
        seconds = self._wait_for_quota(task, error, now) if refused else _wait(error, task.failures, self._max_wait)
        if seconds is None or task.settings is not None and seconds >= task.settings.deadline.left:
            return False
        if may_be_twice:
            task.was_lost = True
            log.warning("prompt %s is sent a second time; the first, whose answer was lost, may be billed too (%s)",
                        task.key, error.reason)
        if not refused:
            task.failures += 1
            self.stats.retried += 1
        heapq.heappush(self._retries, (now + seconds, next(self._serial), task))
        return True

    def _wait_for_quota(self, task: Task, error: GeminiError, now: float) -> Optional[float]:
        """Seconds before a refused task is sent again, others first if it was refused before; None to give it up."""
        task.refusals = task.refusals or failures.Refusals(now)
        if task.refusals.add(error, now, for_tokens=quota_of(error).counts_tokens):
            return None
        return max(0.0, self._pace.opens_at() - now) + FIRST_RETRY * (task.refusals.count - 1)

    def _settle(self, task: Task, error: Optional[GeminiError]) -> None:
        """The last word on a prompt: count it, keep it, hand it on."""
        response = task.response if error is None else None
        for told in (response, error):
            if told is not None:
                told.tries = task.tries
        result = Result(task.index, task.key, response, error, task.tries)
        if self._keeper is not None:
            try:
                self._keeper.add(result, task.hash, self.model)
            except OSError as failure:
                self._end(failure)
                return
        self.stats.add(result, self.model)
        if self._order is None:
            self._ready.append(result)
        else:
            self._ready.extend(self._order.add(result))
        stop = self._failures_in_a_row.add(error)
        most = self._settings.max_errors
        if stop is None and error is not None and most is not None and self.stats.failed > most:
            failed = counted(self.stats.failed, "prompt")
            stop = GeminiError(f"{failed} failed, more than max_errors={most}; the last: {error}",
                               code=error.code, status=error.status, reason="MAX_ERRORS")
        if stop is not None:
            self._end(stop)


def _wait(error: GeminiError, failed: int, max_wait: float) -> Optional[float]:
    """Seconds before a call that failed is sent again, `failed` times having failed before; None if that is too long.
    """
    if error.retry_after is not None:
        return retry.wait(error, failed, max_wait)
    return min(max_wait, retry.LONGEST_WAIT, FIRST_RETRY * 2.0 ** min(failed, 10)) * random.uniform(0.5, 1)
