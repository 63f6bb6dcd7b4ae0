"""Answers one chunk of a `Recipe`'s prompts in a worker; equal recipes share connections and a pace in a process."""
from __future__ import annotations

import codecs
import importlib
import os
import pickle
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Protocol, Tuple, Union, cast

from ..auth.secret import Secret, as_secret
from ..backends.base import Backend
from ..backends.developer import DeveloperAPI
from ..errors import CredentialsError, GeminiError
from ..options import GeminiOptions
from ..route import Route
from ..transport.deadline import CallLimits
from ..transport.transport import Transport
from .pace import Pace, Quota, Start
from .records import to_line
from .runs import Caller, start_run


class Instructions(Protocol):
    """A `Recipe`, as far as a worker reads it."""

    @property
    def options(self) -> GeminiOptions:
        """What each prompt asks for."""

    @property
    def backend(self) -> Optional[Callable[..., Backend]]:
        """What makes the backend, in the worker; None for the developer API."""

    @property
    def key_env(self) -> Optional[str]:
        """The environment variable that holds the key."""

    @property
    def key_file(self) -> Optional[str]:
        """The file that holds the key."""

    @property
    def key_function(self) -> Union[str, Callable[[], str], None]:
        """The function that returns the key, or its name as ``"module:function"``."""

    @property
    def concurrency(self) -> int:
        """The most calls in flight at once."""

    @property
    def copies(self) -> str:
        """What all copies of this recipe have in common, and no other recipe has."""


class SharedPace(Pace):
    """A `Pace` that several threads may use at once."""

    def __init__(self, concurrency: int) -> None:
        super().__init__(concurrency)
        self._lock = threading.Lock()

    def room(self, now: float) -> int:
        with self._lock:
            return super().room(now)

    def opens_at(self) -> float:
        with self._lock:
            return super().opens_at()

    def start(self, now: float, tokens: float = 0.0) -> Start:
        with self._lock:
            return super().start(now, tokens)

    def answered(self, start: Start, tokens: Optional[float] = None) -> None:
        with self._lock:
            super().answered(start, tokens)

    def refused(self, start: Start, now: float, retry_after: Optional[float], quota: Quota) -> None:
        with self._lock:
            super().refused(start, now, retry_after, quota)

    def overloaded(self, start: Start) -> None:
        with self._lock:
            super().overloaded(start)


CallerAndPace = Tuple[Caller, SharedPace]
_callers: Dict[Tuple[int, bytes], CallerAndPace] = {}
_lock = threading.Lock()


class Answered(NamedTuple):
    """The results of a chunk as lines of a file of results, and the error that ended it before its last prompt."""

    lines: List[bytes]
    error: Optional[Exception]


def answer_chunk(recipe: Instructions, serial: str, prompts: List[object]) -> Answered:
    """The results of `prompts`.

    `serial` is another for each call and otherwise unused: an executor such as dask's gives calls with the same
    arguments one answer.
    """
    caller, pace = _caller_for(recipe)
    size = max(1, min(recipe.concurrency, len(prompts)))
    lines: List[bytes] = []
    with start_run(caller, prompts, concurrency=size, pace=pace, progress=False, ends_in_outage=False) as run:
        try:
            for result in run:
                lines.append(to_line(result, 0, run.model))
        except GeminiError as error:
            return Answered(lines, error.with_traceback(None))
    return Answered(lines, None)


def _caller_for(recipe: Instructions) -> CallerAndPace:
    name = (os.getpid(), _identity(recipe))
    with _lock:
        if name not in _callers:
            _callers[name] = _make_caller(recipe)
        return _callers[name]


def _identity(recipe: Instructions) -> bytes:
    """What equal recipes have in common; where a notebook's class or function is in it, what its copies have."""
    try:
        return pickle.dumps((recipe.options, recipe.backend, recipe.key_env, recipe.key_file, recipe.key_function,
                             recipe.concurrency))
    except (pickle.PicklingError, AttributeError, TypeError):  # no module here has it: it was pickled by value
        return recipe.copies.encode("ascii")


def _make_caller(recipe: Instructions) -> CallerAndPace:
    key = read_key(recipe)
    make = cast(Callable[..., Backend], recipe.backend or DeveloperAPI)
    backend = make() if key is None else make(key)
    transport = Transport(backend.auth)
    return Caller(Route(backend, transport), transport, recipe.options, CallLimits()), SharedPace(recipe.concurrency)


def read_key(recipe: Instructions) -> Optional[Secret]:
    """The key, from where the recipe says; None if it says nothing, and CredentialsError if none is there."""
    key: Optional[Secret]
    if recipe.key_env is not None:
        where, key = f"the environment variable {recipe.key_env}", Secret(os.environ.get(recipe.key_env, ""))
    elif recipe.key_file is not None:
        where, key = f"the file {recipe.key_file}", _read_file(recipe.key_file)
    elif recipe.key_function is not None:
        where, key = f"the function {recipe.key_function}", as_secret(_function(recipe.key_function)() or "")
    else:
        return None
    if key is None or not isinstance(key.value, str):
        raise CredentialsError(f"This worker got no text from {where}, and an API key is one: decode bytes.")
    if not key.value.strip():
        raise CredentialsError(f"This worker finds no API key in {where}.")
    return Secret(key.value.strip())


def _read_file(path: str) -> Secret:
    try:
        with open(path, "rb") as file:
            data = file.read()
        is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell writes
        return Secret(data.decode("utf-16" if is_utf_16 else "utf-8-sig", "replace"))
    except OSError as error:
        raise CredentialsError(f"This worker cannot read its API key from {path}: {error.strerror}") from None


def _function(name: Union[str, Callable[[], str]]) -> Callable[[], str]:
    if callable(name):
        return name
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise CredentialsError(f"This worker cannot find the function {name} ({error}): write key_function="
                               "'module:function'") from None
    return cast(Callable[[], str], found)
