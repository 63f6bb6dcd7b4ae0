"""A Gemini that lives on 127.0.0.1, for your tests and ours.

    with FakeGemini() as fake:
        fake.reply("Hel", "lo")                       # two events of a stream, or one unary answer "Hello"
        fake.error(429, "slow down", headers={"Retry-After": "1"})
        ... the code under test, with fake.url as its base URL ...
    assert fake.requests[0].contents[0]["parts"] == [{"text": "Hi"}]

The version in a path may be anything, and no key or token is checked.
"""
from __future__ import annotations

import os
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Sequence, Set, Tuple, Type, Union, cast

from ..json_data import JSON
from .built_in import MODELS, BuiltInAnswers
from .connection import preflight
from .limits import Limits, TokenBucket
from .listener import Listener
from .playback import Playback
from .replies import Answer, Error, Item, Raw, Reply, Service, call, json_answer
from .request import Request, redacted
from .script import Script, check_name
from .strict import Known, refusal

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Answer", "Error", "FakeGemini", "Given", "Item", "Raw", "Reply", "Request", "Service", "call"]

Given = Union[str, JSON, Sequence[Item], Answer]


class FakeGemini:
    """The Developer API, Vertex AI, Code Assist and the OAuth token endpoint on one loopback port, from a script.

    `url` (Developer API and Vertex AI), `code_assist_url` and `token_url` are its addresses while it runs; `requests`
    has what arrived, in order, and `connections` counts the TCP connections.

    `reply`, `error`, `raw` and `drop` script what generateContent and streamGenerateContent get, in order. `default` is
    called with the `Request` when the script is empty (from many threads at once) and returns a text, a part, a list of
    items, or a `Reply`, `Error` or `Raw`. With no reply left the answer is HTTP 400. All else has an answer of its own
    that `answer` can script: models, counts, embeddings, files, caches, batches, interactions.

    `strict=True` refuses what Google refuses, before the script is asked: broken JSON, no contents, unknown fields,
    models that are not in `models`, calls without results and the like; None: if the variable
    GEMINI_LITE_FAKE_STRICT is set to 1. `models` (ids, also what is listed; a star stands for anything, as in
    ``gemini-*``) and `expired` (names of files and caches that are gone) may be changed at any time.

    `services` are asked where nothing is scripted, before what the stand-in has itself: callables that take a `Request`
    and return an answer, or None for what is not theirs.

    `latency` is the seconds before each answer, `event_delay` those between two events of a stream, `gzip` whether a
    client that accepts gzip gets it.

    Leaving the `with` block raises AssertionError for scripted replies nobody asked for and for requests that found
    none left, and what `default` or a service raised; never when an exception is on its way out already.
    `redact=True` records credentials as `***`.
    """

    def __init__(self, default: Optional[Callable[[Request], Given]] = None, *, redact: bool = False,
                 strict: Optional[bool] = None) -> None:
        if default is not None and not callable(default):
            raise TypeError(f"default is called with each request, and {type(default).__name__} is no function: write "
                            "FakeGemini(lambda request: ...)")
        self.requests: List[Request] = []
        self.services: List[Service] = []
        self.models: List[str] = list(MODELS)
        self.expired: Set[str] = set()
        self.strict = os.environ.get("GEMINI_LITE_FAKE_STRICT") == "1" if strict is None else strict
        self.latency = 0.0
        self.event_delay = 0.0
        self.gzip = False
        self._default = default
        self._redact = redact
        self._script = Script()
        self._built_in = BuiltInAnswers(self.models)
        self._limits = Limits()
        self._refused: List[str] = []
        self._unscripted_calls: List[str] = []
        self._failures: List[Exception] = []
        self._lock = threading.Lock()
        self._own_services: Optional[List[Service]] = None
        self._listener = Listener(self._answer, lambda: self.gzip)
        self._url = ""

    @classmethod
    def from_recording(cls, path: Union[str, os.PathLike[str]], *, redact: bool = False,
                       strict: Optional[bool] = None) -> Self:
        """A stand-in that plays a file of `record`: a request gets the answer that the same request got then.

        Keys, projects and the order of a query do not count, nor whether fields are in snake_case. A model call that
        was not recorded is a 404 that says where it differs; scripted replies come first.
        """
        fake = cls(redact=redact, strict=strict)
        playback = Playback(path, lambda: fake.url)
        fake.services.append(playback)
        fake.models += sorted(playback.models - set(fake.models))
        return fake

    def reply(self, *items: Item, delay: Optional[float] = None, cut: bool = False, **fields: Any) -> None:
        """Script a model's answer: see `Reply`."""
        self._add("generate", Reply(*items, delay=delay, cut=cut, **fields))

    def error(self, code: int, message: str = "", status: Optional[str] = None, details: Sequence[JSON] = (),
              headers: Optional[Mapping[str, str]] = None, *, reason: Optional[str] = None, times: int = 1) -> None:
        """Script an error in Google's shape, for that many requests, each try of a client being one: see `Error`."""
        self._add("generate", *[Error(code, message, status, details, headers, reason)] * times)

    def raw(self, *pieces: bytes, status: Optional[int] = 200, headers: Optional[Mapping[str, str]] = None,
            cut: bool = False, delay: float = 0) -> None:
        """Script exact bytes: see `Raw`."""
        self._add("generate", Raw(*pieces, status=status, headers=headers, cut=cut, delay=delay))

    def drop(self, *, times: int = 1) -> None:
        """Script a hang-up: the request is read and the connection closed without an answer."""
        self._add("generate", *[Raw(status=None, cut=True)] * times)

    call = staticmethod(call)

    def answer(self, method: str, *replies: Union[JSON, Answer]) -> None:
        """Script the next answers of another call; a dict is the JSON body of a 200.

        `method` is a kind of request (models, countTokens, embedContent, batchEmbedContents, predict, token,
        loadCodeAssist, ...), or an HTTP method and a path, in which a star stands for anything:
        ``GET /v1beta/files``, ``POST /v1beta/models/*:predict``. A path without "?" matches with any query.
        """
        check_name(method)
        self._add(method, *(given if isinstance(given, Answer) else json_answer(given) for given in replies))

    def limit(self, requests: float, per: float = 60.0, burst: Optional[int] = None, tell: bool = True) -> None:
        """Answer 429 to a client that generates or embeds more than `requests` times in `per` seconds.

        A token bucket that fills at a steady rate and holds `burst`, by default `requests`. The 429 is worded as the
        API's that was called; with `tell` it has RetryInfo and QuotaFailure with the limit as its quotaValue. Several
        limits (per minute and per day) hold together. A refused request uses up neither a limit nor the script.
        """
        self._limits.add(TokenBucket(requests, per, burst, tell))

    def start(self, port: int = 0) -> Self:
        """Listen on `port` of 127.0.0.1, by default a free one, once; returns itself."""
        self._url = self._listener.start(port)
        return self

    def close(self) -> None:
        """Stop listening, hang up on every client, and wait up to 5 s for the threads; a second call does nothing."""
        self._listener.close()

    @property
    def url(self) -> str:
        """The base URL of the Developer API and of Vertex AI; RuntimeError before the start."""
        if not self._url:
            raise RuntimeError("FakeGemini has no address before it runs: write 'with FakeGemini() as fake:', or call "
                               "its start()")
        return self._url

    @property
    def code_assist_url(self) -> str:
        """The base URL of Code Assist."""
        return self.url

    @property
    def token_url(self) -> str:
        """Where tokens are refreshed."""
        return f"{self.url}/token"

    @property
    def connections(self) -> int:
        """How many TCP connections were opened."""
        return self._listener.connections

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open now."""
        return sum(thread.is_alive() for _, thread in self._open)

    @property
    def _open(self) -> List[Tuple[socket.socket, threading.Thread]]:
        return self._listener.open    # tests of leaks look at the threads

    def __enter__(self) -> Self:
        return self if self._listener.is_running else self.start()

    def __exit__(self, _type: Optional[Type[BaseException]], error: Optional[BaseException],
                 _trace: Optional[TracebackType]) -> None:
        self.close()
        if error is not None:
            return
        if self._failures:
            raise self._failures[0]
        unused = "".join(f"\n  {name}: {answer!r:.200}" for name, answer in self._script.left())
        if unused:
            refused = "".join(f"\n  {line}" for line in self._refused)
            reasons = f"\nstrict mode refused:{refused}" if refused else ""
            raise AssertionError(f"scripted for FakeGemini, but never asked for:{unused}{reasons}")
        if self._unscripted_calls:
            raise AssertionError("FakeGemini was asked for more than was scripted (a client may have tried again): "
                                 f"{', '.join(self._unscripted_calls[:5])}")

    def _add(self, name: str, *answers: Answer) -> None:
        with self._lock:
            self._script.add(name, list(answers))

    def _answer(self, request: Request) -> Raw:
        if self.latency:
            self._listener.pause(self.latency)
        recorded = redacted(request) if self._redact else request
        with self._lock:    # so that the replies go out in the order of `requests`
            self.requests.append(recorded)
            serial = self._script.count(recorded)
            answer = self._refusal(request) or self._script.take(recorded)
        answer = answer or self._unscripted(recorded, serial)
        raw = answer.render(recorded, serial)
        if isinstance(answer, Reply) and answer.delay is None:
            raw.delay = self.event_delay
        return raw

    def _refusal(self, request: Request) -> Optional[Answer]:
        """What answers a request that does not come through: malformed, or more than a limit allows."""
        error = refusal(request, Known(self.models, self.expired)) if self.strict else None
        if error:
            self._refused.append(f"{request.method} {request.path}: {error.error['message']}")
            return error
        return self._limits.refusal(request)

    def _api_services(self) -> List[Service]:
        """Those for files, caches, embeddings, batches and interactions; made for the first request that needs one."""
        with self._lock:
            if self._own_services is None:
                from .services import api_services
                self._own_services = api_services()
            return self._own_services

    def _unscripted(self, request: Request, serial: int) -> Answer:
        try:
            return _ask(self.services, request) or self._own_answer(request, serial)
        except Exception as error:    # the test's own code: its failure belongs to the test, see __exit__
            self._failures.append(error)
            return Error(400, f"what the test gave FakeGemini to answer by raised {error!r}")

    def _own_answer(self, request: Request, serial: int) -> Answer:
        if request.method == "OPTIONS":
            return preflight(request)
        if request.kind != "generate":
            return self._built_in.answer(request, serial) or _ask(self._api_services(), request) or Error(
                404, f"FakeGemini has nothing at {request.method} {request.path}: script it with answer()")
        if self._default is None:
            self._unscripted_calls.append(f"{request.method} {request.path}")
            return Error(400, f"FakeGemini has no reply left for {request.method} {request.path}: script one more with "
                              "reply(), error() or raw(), or give FakeGemini a default. A client that tries again asks "
                              "again: error(..., times=5) fails five tries, retries=0 makes only one")
        given = self._default(request)
        if isinstance(given, Answer):
            return given
        if hasattr(given, "__iter__") and not isinstance(given, (str, bytes, dict)):
            return Reply(*given)
        return Reply(cast(Item, given))  # refuses what is no item, as None where a return was forgotten


def _ask(services: Sequence[Service], request: Request) -> Optional[Answer]:
    """The answer of the first service that has one."""
    return next((answer for service in services if (answer := service(request)) is not None), None)
