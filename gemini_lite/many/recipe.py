"""How to answer prompts elsewhere, in other processes or on other machines: picklable, and never with a key inside."""
from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import re
from concurrent.futures import Executor, Future
from typing import Callable, Iterable, Iterator, List, Optional, Union

from ..api.prompts import check_prompts, with_key
from ..backends.base import Backend
from ..contents import answer_format
from ..options import GeminiOptions
from ..response import Result
from ..transport.deadline import check_count
from .checks import check_options
from .chunks import Chunks
from .columns import Column
from .records import read_record, to_result
from .worker import Answered, answer_chunk

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"AIza|ya29|(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9]).{20}")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a worker needs to answer prompts, without a key; at most one of ``key_...`` says where the worker finds it.

    `key_env` is the name of an environment variable, `key_file` the path of a file, `key_function` a function of a
    module, or its name as ``"module:function"``. `backend` is called with the key, or without one where none of the
    three is given; it is `DeveloperAPI` unless you say otherwise, such as
    ``functools.partial(DeveloperAPI, base_url=...)``. `concurrency` is for each chunk that is being answered. Each
    process has one set of connections, and one pace, for equal recipes.
    """

    options: GeminiOptions = GeminiOptions()
    backend: Optional[Callable[..., Backend]] = None
    key_env: Optional[str] = None
    key_file: Optional[str] = None
    key_function: Union[str, Callable[[], str], None] = None
    concurrency: int = 32
    copies: str = dataclasses.field(init=False, repr=False, compare=False)  # the same in all copies of this one

    def __init__(
        self, options: Optional[GeminiOptions] = None, *, backend: Optional[Callable[..., Backend]] = None,
        key_env: Optional[str] = None, key_file: Union[str, "os.PathLike[str]", None] = None,
        key_function: Union[str, Callable[[], str], None] = None, concurrency: int = 32,
    ) -> None:
        if key_env is not None and not _is_variable(key_env):
            key_env = None  # it may be a key, and tracebacks show locals
            raise ValueError("key_env is the name of an environment variable, such as 'GEMINI_API_KEY', and never the "
                             "key itself (what was given is not shown, because it may be one)")
        _check_backend(backend)
        given = [name for name, value in (("key_env", key_env), ("key_file", key_file), ("key_function", key_function))
                 if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: give one of them")
        check_count(concurrency, "concurrency")
        options = options or GeminiOptions()
        check_options(options)
        fields = {"options": options, "backend": backend, "key_env": key_env, "key_function": key_function,
                  "key_file": None if key_file is None else os.fspath(key_file), "concurrency": concurrency,
                  "copies": os.urandom(8).hex()}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def map(
        self, prompts: Iterable[object], *, executor: Executor, chunk: int = 100, ahead: Optional[int] = None,
    ) -> Iterator[Result]:
        """The results of `prompts`, in order, answered by the workers of any ``concurrent.futures`` executor.

        A worker gets `chunk` prompts at a time; at most `ahead` chunks are out or wait for others before them, by
        default two for each worker. What ends a run in a worker is raised here, when all that is there was handed on.
        """
        check_prompts(prompts)
        check_count(chunk, "chunk")
        if ahead is not None:
            check_count(ahead, "ahead")
        workers = getattr(executor, "_max_workers", None) or os.cpu_count() or 2
        return self._map(prompts, executor, chunk, ahead or 2 * workers)

    def answer(self, prompts: Iterable[object]) -> List[Result]:
        """The results of one chunk of `prompts`, answered in this process.

        What ends the run is raised; its ``results`` are those that there are.
        """
        check_prompts(prompts)
        lines, error = answer_chunk(self, "", list(prompts))
        results = self._results(0, lines)
        if error is not None:
            setattr(error, "results", results)
            raise error
        return results

    def column(self, name: str, *, into: str, error: Optional[str] = None) -> Column:
        """A function that adds to a frame the answers to the prompts in its column `name`, as the column `into`.

        It takes a pandas or polars frame, a dict of columns, or an iterator of these, and can be pickled. The column
        `error` has the messages of those that failed, None for the others; without `error`, the first is raised.
        """
        if not isinstance(into, str) or not isinstance(error, (str, type(None))) or into == error:
            raise ValueError(f"into and error are names of two columns, not {into!r} and {error!r}")
        return Column(self.answer, name, into, error)

    def _map(self, prompts: Iterable[object], executor: Executor, chunk: int, ahead: int) -> Iterator[Result]:
        run = os.urandom(16).hex()  # an engine may give one answer to two tasks that look alike: none do
        pairs = (with_key(index, prompt) for index, prompt in enumerate(prompts))
        pieces = iter(lambda: list(itertools.islice(pairs, chunk)), [])

        def submit(number: int, piece: List[object]) -> "Future[Answered]":
            return executor.submit(answer_chunk, self, f"{run}-{number}", piece)

        for number, lines in Chunks(pieces, submit, ahead):
            yield from self._results(number * chunk, lines)

    def _results(self, offset: int, lines: Iterable[bytes]) -> List[Result]:
        """The results in `lines`; the first has the index `offset`."""
        format = answer_format(self.options)
        results = [to_result(read_record(line) or {}, 0, format) for line in lines]
        for result in results:
            result.index += offset
        return results


def _is_variable(name: object) -> bool:
    """Whether `name` may be that of an environment variable, and does not look like a key."""
    return isinstance(name, str) and bool(_VARIABLE.fullmatch(name)) and not _KEY.match(name)


def _check_backend(backend: object) -> None:
    """TypeError for a backend that is made already, ValueError for one that would take a key along."""
    if backend is not None and not callable(backend):
        raise TypeError("backend is what a worker calls to make one, such as CodeAssist or "
                        "functools.partial(DeveloperAPI, base_url=...): one that is made holds credentials")
    if isinstance(backend, functools.partial) and (backend.args or "api_key" in backend.keywords):
        raise ValueError("backend is to hold no key: say where a worker finds it, with key_env=, key_file= or "
                         "key_function=")
