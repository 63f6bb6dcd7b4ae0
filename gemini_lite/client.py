"""`GeminiClient` and `query`: a backend, a transport and a conversation joined."""
from __future__ import annotations

import os
from typing import Any, Dict, Generator, List, Optional, Union

import requests

from . import contents
from .auth.oauth import Secret, hidden
from .backends.code_assist import CodeAssist, Quota
from .backends.developer import DeveloperAPI, Post
from .chat import Chat, new_session_id
from .errors import ParseError
from .options import GeminiOptions, seconds
from .response import GenerateContentResponse, check
from .stream import Fold, Stream, chunks
from .transport.transport import Call, Limits, Transport

Contents = List[Dict[str, Any]]


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

    def __init__(
        self, options: Optional[GeminiOptions] = None, credentials_path: Any = None, *,
        api_key: Union[str, Secret, None] = None, backend: Any = None, timeout: Any = (10, 300), retries: int = 4,
        max_wait: float = 60, deadline: Optional[float] = None, session: Optional[requests.Session] = None,
        max_event_bytes: int = Limits().event, max_body_bytes: int = Limits().body,
        max_error_bytes: int = Limits().error,
    ) -> None:
        api_key = hidden(api_key)
        if options is not None and not isinstance(options, GeminiOptions):
            raise TypeError(f"options must be GeminiOptions(...), not {type(options).__name__}")
        backend = _chosen(api_key, credentials_path, backend)
        limits = Limits(max_event_bytes, max_body_bytes, max_error_bytes)
        self._transport = Transport(backend.auth, session, timeout, retries, max_wait, limits)
        self._route = _Route(backend, self._transport)
        if deadline is not None:
            seconds(deadline, "deadline")
        super().__init__(self._route.ask, self._route.ask_stream, options or GeminiOptions(), deadline=deadline)

    @property
    def backend(self) -> Any:
        """The backend that was given or chosen: a `DeveloperAPI`, a `CodeAssist` or one of your own."""
        return self._route.backend

    def generate(self, prompt: Any, **overrides: Any) -> GenerateContentResponse:
        """One request, no history; `prompt`, `overrides` and errors as for `send_message`."""
        options, until = self._settings(overrides)
        return self._route.ask(contents.turns(prompt), options, options.session_id or new_session_id(), until)

    def stream(self, prompt: Any, **overrides: Any) -> Stream:
        """`generate`, streamed; its first event has arrived when this returns."""
        options, until = self._settings(overrides)
        session_id = options.session_id or new_session_id()
        events = self._route.ask_stream(contents.turns(prompt), options, session_id, until)
        fold = Fold(options.reading)
        return Stream(chunks(events, fold), fold, events)

    def chat(self, history: Any = None, **overrides: Any) -> Chat:
        """Another conversation over the same connections, from a `history` or none; `overrides` hold for all of it."""
        deadline = overrides.pop("deadline", self._deadline)
        if deadline is not None:
            seconds(deadline, "deadline")
        past = () if history is None else history
        return Chat(self._route.ask, self._route.ask_stream, self.options.replace(**overrides), past, deadline)

    def count_tokens(self, prompt: Any, **overrides: Any) -> int:
        """How many tokens `prompt` has for the model, with the system prompt and tools of the options."""
        options, until = self._settings(overrides)
        answer = self._route.request("countTokens", contents.turns(prompt), options, "", until)
        if type(answer.get("totalTokens")) is not int:
            raise ParseError(f"The answer holds no token count: {answer!r:.200}", reason="NO_COUNT")
        return answer["totalTokens"]  # type: ignore[no-any-return]

    def models(self) -> List[Dict[str, Any]]:
        """The models this caller can use, as the API describes them: ``name``, ``inputTokenLimit`` and so on."""
        _, until = self._settings({})
        return self._route.backend.models(self._route.post(until=until))  # type: ignore[no-any-return]

    def quota(self) -> List[Quota]:
        """What is left of the quota, model by model; Code Assist only."""
        _, until = self._settings({})
        return self._route.backend.quota(self._route.post(until=until))  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connections (not those of a session you gave); a later call opens new ones."""
        self._transport.close()

    def __enter__(self) -> "GeminiClient":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __reduce__(self) -> str:
        raise TypeError("a client holds connections and credentials and cannot be pickled: make one in each process; "
                        "options, histories and responses can be passed on")


class _Route:
    """The one route of a call: contents, request, body, network, answer."""

    def __init__(self, backend: Any, transport: Transport) -> None:
        self.backend = backend
        self._transport = transport
        self._model = os.environ.get("GEMINI_MODEL") or backend.default_model

    def ask(
        self, turns: Contents, options: GeminiOptions, session_id: str, until: Optional[float],
    ) -> GenerateContentResponse:
        answer = self.request("generateContent", turns, options, session_id, until)
        response = GenerateContentResponse(answer, options.reading)
        check(response)
        return response

    def ask_stream(
        self, turns: Contents, options: GeminiOptions, session_id: str, until: Optional[float],
    ) -> Generator[Dict[str, Any], None, None]:
        call = self._call("streamGenerateContent", turns, options, session_id, until)
        return self._transport.stream(self.backend.endpoints, call)

    def request(
        self, method: str, turns: Contents, options: GeminiOptions, session_id: str, until: Optional[float],
    ) -> Dict[str, Any]:
        return self.sent(self._call(method, turns, options, session_id, until))

    def sent(self, call: Call) -> Dict[str, Any]:
        return self._transport.request(self.backend.endpoints, call)  # type: ignore[no-any-return]

    def post(self, model: str = "", until: Optional[float] = None) -> Post:
        """The function that a backend is handed for calls of its own."""
        return _Post(self, model or self._model, until)

    def _call(
        self, method: str, turns: Contents, options: GeminiOptions, session_id: str, until: Optional[float],
    ) -> Call:
        backend = self.backend
        model = (options.model or self._model).strip()
        model = model[len("models/"):] if model.startswith("models/") else model
        request = contents.build(turns, options)
        body = backend.wrap(method, model, request, options, session_id, self.post(model, until))
        return Call(backend.path(method, model), backend.headers(method, model), body, backend.unwrap, until=until)


class _Post:
    """Sends the calls of a backend's own, all of them by `until`."""

    def __init__(self, route: _Route, model: str, until: Optional[float]) -> None:
        self._route, self._model, self.until = route, model, until

    def __call__(self, path: str, body: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        headers = self._route.backend.headers("", self._model)
        return self._route.sent(Call(path, headers, body, method="GET" if body is None else "POST", until=self.until))


def _chosen(api_key: Optional[Secret], credentials_path: Any, backend: Any) -> Any:
    """The backend that the arguments name, or else the environment; a file alone never chooses Code Assist."""
    given = {"api_key": api_key, "credentials_path": credentials_path, "backend": backend}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ValueError(f"{' and '.join(named)} exclude each other: give one of them")
    if backend is not None:
        return backend
    if credentials_path is not None or api_key is None and os.environ.get("GOOGLE_GENAI_USE_GCA") == "true":
        return CodeAssist(credentials_path)
    return DeveloperAPI(api_key)


def query(
    prompt: Any, model: Optional[str] = None, credentials_path: Any = None, **overrides: Any,
) -> GenerateContentResponse:
    """Ask once and close again; `str()` of the response is its text."""
    with GeminiClient(GeminiOptions(model=model), credentials_path) as client:
        return client.send_message(prompt, **overrides)
