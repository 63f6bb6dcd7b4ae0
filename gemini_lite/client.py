"""`GeminiClient` and `query`: a backend, a route and a conversation joined."""
from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Sequence, Type, TypeVar, Union, cast, overload

import requests

from . import contents
from .auth.secret import Secret, as_secret
from .backends.base import Backend
from .backends.developer import DeveloperAPI
from .chat import Chat
from .contents import Prompt
from .errors import ParseError
from .errors.hints import CALL_SETTINGS, CHAT_ATTRIBUTES, MODELS_ATTRIBUTES, with_hints
from .json_data import JSON, preview, readable
from .options import GeminiOptions, list_options, options_for_one_request, unknown_field_message
from .response import GenerateContentResponse
from .route import Route, new_fold, new_session_id
from .stream import Stream, chunks
from .transport.deadline import CallLimits, Timeout
from .transport.transport import Limits, Transport

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .api.batches import Batches
    from .api.caches import Caches
    from .api.embedding_items import EmbedPrompts
    from .api.embeddings import Embeddings
    from .api.files import Files
    from .api.interactions import Interactions
    from .api.sending import Sender
    from .api.waiting import Poll
    from .many.engine import Run
    from .many.progress import Progress
    from .many.runs import Caller
    from .many.stats import Stats
    from .options.overrides import ChatOverrides, OptionFields, Overrides, QueryOverrides

log = logging.getLogger("gemini_lite")

CredentialsPath = Union[str, "os.PathLike[str]", None]
S = TypeVar("S")  # what ``response_schema`` names


class GeminiClient(Chat):
    """A client for Gemini, and the conversation it holds itself; one client serves many threads, see below.

    Who signs in: `api_key`, `credentials_path` (Code Assist) or a `backend`, one of them; without any, the
    environment's GOOGLE_API_KEY or GEMINI_API_KEY. `timeout` is (connect, read between bytes) in seconds, `deadline`
    the seconds for a whole call with all its waits, `retries` how often a call is made again, `max_wait` the longest
    wait in seconds that a server may ask for. A `session` (`requests.Session`) keeps its proxies, ``verify``, headers
    and adapters and is not closed. What is larger than ``max_..._bytes``, unpacked, is refused.

    `generate`, `stream`, `count_tokens` and `models` may be called from any number of threads at once;
    `send_message` and the history are one conversation for one user: make others with `chat`.
    """

    _hints = "client"

    def __init__(
        self, options: Optional[GeminiOptions] = None, credentials_path: CredentialsPath = None, *,
        api_key: Union[str, Secret, None] = None, backend: Optional[Backend] = None,
        timeout: Union[float, Timeout] = (10, 300), retries: int = 4,
        max_wait: float = 60, deadline: Optional[float] = None, session: Optional[requests.Session] = None,
        max_event_bytes: int = Limits().event, max_body_bytes: int = Limits().body,
        max_error_bytes: int = Limits().error, **overrides: Unpack[OptionFields],
    ) -> None:
        api_key = as_secret(api_key)
        wrong = unknown_field_message(cast(JSON, overrides))
        if options is not None and not isinstance(options, GeminiOptions):
            wrong, options = _no_options(options), None  # it may be a key, which no traceback may show
        if wrong:
            raise TypeError(wrong)
        backend = _choose_backend(api_key, credentials_path, backend)
        sizes = Limits(max_event_bytes, max_body_bytes, max_error_bytes)
        self._transport = Transport(backend.auth, session, timeout, retries, max_wait, sizes)
        limits, _ = CallLimits().split({"deadline": deadline})
        options = (options or GeminiOptions()).replace(**overrides)
        super().__init__(Route(backend, self._transport), options, limits=limits)
        if "IPython" in sys.modules:
            from .display.kernel import prepare_kernel
            prepare_kernel()

    @property
    def backend(self) -> Backend:
        """The backend that was given or chosen: a `DeveloperAPI`, a `VertexAI`, a `CodeAssist` or one of your own."""
        return self._route.backend

    @overload
    def generate(
        self, prompt: Prompt, *, response_schema: Type[S], **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[S]: ...

    @overload
    def generate(
        self, prompt: Prompt, *, response_schema: object = None, **overrides: Unpack[Overrides],
    ) -> GenerateContentResponse[Any]: ...

    def generate(self, prompt: Prompt, **overrides: Any) -> GenerateContentResponse[Any]:
        """One request, no history, and no functions run; `prompt`, `overrides` and errors as for `send_message`.

        Functions among the client's ``tools`` are left out. Given in this call they are a ValueError, unless
        ``max_tool_rounds=0`` says that the calls are wanted, or ``tool_choice="none"`` that there will be none.
        """
        options, settings = self._settings(overrides)
        options = options_for_one_request(options, overrides, "generate")
        turns = contents.from_prompt(prompt)
        return self._route.generate(turns, options, options.session_id or new_session_id(), settings)

    @overload
    def stream(
        self, prompt: Prompt, *, response_schema: Type[S], **overrides: Unpack[Overrides],
    ) -> Stream[S]: ...

    @overload
    def stream(
        self, prompt: Prompt, *, response_schema: object = None, **overrides: Unpack[Overrides],
    ) -> Stream[Any]: ...

    def stream(self, prompt: Prompt, **overrides: Any) -> Stream[Any]:
        """`generate`, streamed; its first event has arrived when this returns."""
        options, settings = self._settings(overrides)
        options = options_for_one_request(options, overrides, "stream")
        session_id = options.session_id or new_session_id()
        events = self._route.stream(contents.from_prompt(prompt), options, session_id, settings)
        fold = new_fold(options)
        return Stream(chunks(events, fold, settings), fold, events, settings.running)

    @with_hints(**CHAT_ATTRIBUTES)
    def chat(self, history: Optional[Sequence[JSON]] = None, **overrides: Unpack[ChatOverrides]) -> Chat:
        """Another conversation over the same connections, from a `history` or none; `overrides` hold for all of it."""
        limits, changes = self._limits.split(overrides)
        return Chat(self._route, self.options.replace(**changes), () if history is None else history, limits)

    def count_tokens(self, prompt: Prompt, **overrides: Unpack[ChatOverrides]) -> int:
        """How many tokens `prompt` has for the model, with the system prompt and tools of the options.

        Code Assist counts the prompt alone.
        """
        options, settings = self._settings(overrides)
        answer = self._route.request("countTokens", contents.from_prompt(prompt), options, "", settings)
        total = answer.get("totalTokens")
        if type(total) is not int:
            raise ParseError(f"The answer holds no token count: {preview(answer, 200)}", reason="NO_COUNT")
        return total

    @with_hints(**MODELS_ATTRIBUTES)
    def models(self) -> List[JSON]:
        """The models this caller can use, as the API describes them: ``name``, ``inputTokenLimit`` and so on."""
        return readable(self.backend.models(self._route.post(self._limits.start())))  # type: ignore[no-any-return]

    def quota(self) -> List[JSON]:
        """What is left of the quota, as the API describes it: ``modelId``, ``remainingFraction``; Code Assist only."""
        return readable(self.backend.quota(self._route.post(self._limits.start())))  # type: ignore[no-any-return]

    @overload
    def map(
        self, prompts: Iterable[object], *, concurrency: int = 64, ordered: bool = True,
        requests_per_minute: Optional[float] = None, max_errors: Optional[int] = None, progress: Progress = None,
        response_schema: Type[S], **overrides: Unpack[Overrides],
    ) -> Run[S]: ...

    @overload
    def map(
        self, prompts: Iterable[object], *, concurrency: int = 64, ordered: bool = True,
        requests_per_minute: Optional[float] = None, max_errors: Optional[int] = None, progress: Progress = None,
        response_schema: object = None, **overrides: Unpack[Overrides],
    ) -> Run[Any]: ...

    def map(
        self, prompts: Iterable[object], *, concurrency: int = 64, ordered: bool = True,
        requests_per_minute: Optional[float] = None, max_errors: Optional[int] = None, progress: Progress = None,
        **overrides: Any,
    ) -> Run[Any]:
        """Answer many `prompts`, `concurrency` of them at a time, paced by what the server says: a `Result` for each.

        Each is what `generate` takes, ``(key, prompt)``, or a dict with a "key" and a "prompt" or a whole "request".
        They are read as there is room, and nothing is sent while nobody iterates. A prompt that fails has a result
        with its `error`. What fails for all of them ends the run when what is in flight has arrived: credentials, a
        quota that is spent, a model that is not there, more than `max_errors` failures, 20 failures alike at the
        beginning, Ctrl-C. Not `ordered`: results as they come. `progress` is a function of the `Stats`, True, or
        False; None shows a line on a terminal and a bar in a notebook. `overrides` as for `generate`, but ``deadline``
        is for each prompt from its first request, and the functions among ``tools`` are refused.
        """
        from .many.runs import start_run
        return start_run(
            self._as_caller(), prompts, concurrency=concurrency, ordered=ordered,
            requests_per_minute=requests_per_minute, max_errors=max_errors, progress=progress, overrides=overrides)

    def map_to(
        self, path: Union[str, "os.PathLike[str]"], prompts: Iterable[object], *, resume: bool = True,
        retry_errors: str = "transient", fsync_every: float = 1.0, on_crash: str = "resend", concurrency: int = 64,
        requests_per_minute: Optional[float] = None, max_errors: Optional[int] = None, progress: Progress = None,
        **overrides: Unpack[ChatOverrides],
    ) -> Stats:
        """`map` into the file `path`, a line of JSON for each prompt as its answer arrives; the counts at the end.

        The same call goes on with a file that is there, after any end, and sends nothing that has a line: a key (the
        position, where none is given) has one line, once. Of the errors in it, `retry_errors` are tried again:
        "transient", "all" or "none". `fsync_every` is in seconds: a power cut costs what was written within that time,
        0 is every line. A killed run may have up to `concurrency` prompts in flight: `on_crash="resend"` sends them
        again, ``"report"`` makes them errors instead. ValueError for a changed prompt, a key given twice, and a file
        that is damaged or of another kind; the file stays as it was. `read_results` reads it.
        """
        from .many.runs import run_to_file
        return run_to_file(
            self._as_caller(), path, prompts, resume=resume, retry_errors=retry_errors, fsync_every=fsync_every,
            on_crash=on_crash, concurrency=concurrency, requests_per_minute=requests_per_minute, max_errors=max_errors,
            progress=progress, overrides=overrides)

    def batch_to(
        self, path: Union[str, "os.PathLike[str]"], prompts: Iterable[object], *, wait: bool = True,
        poll: Poll = (5, 60), deadline: Optional[float] = None, resume: bool = True,
        retry_errors: str = "transient", fsync_every: float = 1.0, progress: Progress = None, again: bool = False,
        **overrides: Unpack[OptionFields],
    ) -> Stats:
        """`map_to` by a job of the Batch API, at half the price and within a day: the same file, the same arguments.

        One job is handed in for all prompts that have no line yet; while it runs, the same call finds it again, from
        another process too, by a note beside the file whose name ends in ``.batch.json``. Without `wait` the call hands
        in, or looks once and takes in the results if there are any; ``in_flight`` counts the prompts without a result.
        `poll` and `deadline` are seconds, as for ``client.batches.wait``. A prompt that the job has no result for stays
        without a line, for the same call again or for `map_to`. JobFailedError if the job failed, expired or was
        cancelled (the same call hands in another one), or with the reason UNKNOWN if nobody can know whether it was
        made, GONE if it was and is not there: `again` says that another one may be. ValueError for other prompts than
        those of the job under way.
        """
        from .many.batch import run_batch
        return run_batch(
            self._sender(), self.options, path, prompts, wait=wait, poll=poll,
            deadline=deadline, resume=resume, retry_errors=retry_errors, fsync_every=fsync_every, progress=progress,
            again=again, overrides=overrides)

    def _as_caller(self) -> Caller:
        from .many.runs import Caller
        return Caller(self._route, self._transport, self.options, self._limits)

    @property
    def files(self) -> Files:
        """The files that the API keeps: ``upload``, ``get``, ``list``, ``delete``, ``wait`` and ``download``."""
        from .api.files import Files
        return Files(self._sender())

    @property
    def caches(self) -> Caches:
        """The contents that the API keeps for prompts to begin with: ``create``, ``get``, ``list`` and so on."""
        from .api.caches import Caches
        return Caches(self._sender(), self.options)

    @property
    def batches(self) -> Batches:
        """Jobs of many prompts at half the price: `create`, `wait`, `results` and so on."""
        from .api.batches import Batches
        return Batches(self._sender(), self.options)

    @property
    def interactions(self) -> Interactions:
        """Conversations and background agents that Google keeps: `create`, `stream`, `get`, `wait` and so on."""
        from .api.interactions import Interactions
        return Interactions(self._sender(), self.options)

    def embed(
        self, prompts: EmbedPrompts, *, model: Optional[str] = None, task_type: Optional[str] = None,
        title: Optional[str] = None, output_dimensionality: Optional[int] = None, normalize: bool = False,
        concurrency: int = 1, deadline: Optional[float] = None,
    ) -> Embeddings:
        """A vector for each item of `prompts`, a list of any length.

        Each has `output_dimensionality` numbers, and the length 1 with `normalize`. `task_type`, such as
        "RETRIEVAL_QUERY", and `title` are for models that know them. `concurrency` calls are under way at a time;
        `deadline` is in seconds, for all of them. An error has ``embeddings``: the vectors that were made before it.
        """
        from .api.embeddings import embed
        return embed(self._sender(), prompts, model=model, task_type=task_type, title=title,
                     output_dimensionality=output_dimensionality, normalize=normalize, concurrency=concurrency,
                     deadline=deadline)

    def _sender(self) -> Sender:
        from .api.sending import Sender
        return Sender(self._route, self._transport, self._limits)

    def close(self) -> None:
        """End the calls that other threads are making, and close the connections (not those of a session you gave).

        The threads get a TransportError with the reason CLOSED; a later call opens new connections.
        """
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError("a client holds connections and credentials and cannot be pickled: make one in each process; "
                        "options, histories and responses can be passed on, and a gemini_lite.Recipe answers many "
                        "prompts in other processes")


def _no_options(value: object) -> str:
    """What to write for a first argument that is no GeminiOptions."""
    step = ("write GeminiClient(api_key=...) for a key, GeminiClient(model=...) for a model" if isinstance(value, str)
            else "write GeminiClient(GeminiOptions(temperature=0)) or GeminiClient(temperature=0)")
    return f"the first argument is a GeminiOptions, not {type(value).__name__}: {step}"


def _choose_backend(
    api_key: Optional[Secret], credentials_path: CredentialsPath, backend: Optional[Backend],
) -> Backend:
    """The backend that the arguments name, else the one that the environment does.

    A sign-in of Gemini CLI that is on the disk chooses nothing: Code Assist is asked for by name.
    """
    given = {"api_key": api_key, "credentials_path": credentials_path, "backend": backend}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ValueError(f"{' and '.join(named)} exclude each other: give one of them")
    if backend is not None:
        return backend
    if credentials_path is not None or api_key is None and os.environ.get("GOOGLE_GENAI_USE_GCA") == "true":
        from .backends.code_assist import CodeAssist  # imported here, as the next, because it takes time
        return CodeAssist(credentials_path)
    if _environment_chooses_vertex():
        from .backends.vertex import VertexAI
        return VertexAI(api_key=api_key)
    return DeveloperAPI(api_key)


def _environment_chooses_vertex() -> bool:
    """Whether the environment asks for Vertex AI, in either of its names, as Google's own client reads them."""
    new, old = os.environ.get("GOOGLE_GENAI_USE_ENTERPRISE"), os.environ.get("GOOGLE_GENAI_USE_VERTEXAI")
    if new is not None and old is not None and _is_true(new) != _is_true(old):
        log.warning("GOOGLE_GENAI_USE_ENTERPRISE and GOOGLE_GENAI_USE_VERTEXAI are both set and differ: "
                    "GOOGLE_GENAI_USE_ENTERPRISE is used")
    return _is_true(old if new is None else new)


def _is_true(value: Optional[str]) -> bool:
    return value is not None and value.strip().lower() in ("true", "1")


@overload
def query(
    prompt: Prompt, model: Optional[str] = None, credentials_path: CredentialsPath = None, *,
    api_key: Union[str, Secret, None] = None, backend: Optional[Backend] = None, response_schema: Type[S],
    **overrides: Unpack[QueryOverrides],
) -> GenerateContentResponse[S]: ...


@overload
def query(
    prompt: Prompt, model: Optional[str] = None, credentials_path: CredentialsPath = None, *,
    api_key: Union[str, Secret, None] = None, backend: Optional[Backend] = None, response_schema: object = None,
    **overrides: Unpack[QueryOverrides],
) -> GenerateContentResponse[Any]: ...


def query(
    prompt: Prompt, model: Optional[str] = None, credentials_path: CredentialsPath = None, *,
    api_key: Union[str, Secret, None] = None, backend: Optional[Backend] = None, **overrides: Any,
) -> GenerateContentResponse[Any]:
    """Ask once and close again; `str()` of the response is its text."""
    api_key = as_secret(api_key)
    wrong = unknown_field_message(overrides, CALL_SETTINGS)
    if wrong:
        raise TypeError(wrong)
    with GeminiClient(GeminiOptions(model=model), credentials_path, api_key=api_key, backend=backend) as client:
        return client.send_message(prompt, **overrides)


list_options(GeminiClient, GeminiClient.batch_to)
list_options(GeminiClient.generate, GeminiClient.stream, GeminiClient.chat, GeminiClient.count_tokens,
             GeminiClient.map, GeminiClient.map_to,
             Chat.send_message, Chat.send_message_stream, Chat.send_tool_result, Chat.send_tool_result_stream,
             Chat.send_tool_results, Chat.send_tool_results_stream, also=CALL_SETTINGS)
list_options(query, without=("model", "response_schema"), also=CALL_SETTINGS)
