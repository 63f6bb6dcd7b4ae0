"""The one route of a call: contents, request, body, network, answer."""
from __future__ import annotations

import os
from typing import Generator, List, Optional

from . import contents
from .answers.check import check
from .backends.base import Backend, check_model
from .errors import GeminiError
from .json_data import JSON
from .options import GeminiOptions
from .response import GenerateContentResponse
from .stream.fold import Fold
from .transport.deadline import CallSettings, Deadline
from .transport.transport import Call, Transport

Events = Generator[JSON, None, None]


class Route:
    """Takes the calls of a client, and of its conversations, to a backend."""

    def __init__(self, backend: Backend, transport: Transport) -> None:
        self.backend = backend
        self._transport = transport
        self._default_model = os.environ.get("GEMINI_MODEL") or backend.default_model

    def generate(
        self, turns: List[JSON], options: GeminiOptions, session_id: str, settings: CallSettings,
    ) -> GenerateContentResponse:
        """The whole answer to `turns`."""
        settings = settings.started()
        answer = self.request("generateContent", turns, options, session_id, settings)
        response: GenerateContentResponse = GenerateContentResponse(answer, contents.answer_format(options))
        response.tries = settings.tries
        try:
            check(response)
        except GeminiError as error:
            error.tries = settings.tries
            raise
        return response

    def stream(self, turns: List[JSON], options: GeminiOptions, session_id: str, settings: CallSettings) -> Events:
        """The events that answer `turns`; the first has arrived when this returns."""
        call = self._call("streamGenerateContent", turns, options, session_id, settings)
        return self._transport.stream(self.backend.endpoints, call)

    def request(
        self, method: str, turns: List[JSON], options: GeminiOptions, session_id: str, settings: CallSettings,
    ) -> JSON:
        """The JSON object that answers the API's `method` for `turns`."""
        call = self._call(method, turns, options, session_id, settings)
        return self._transport.request(self.backend.endpoints, call)

    def send(self, path: str, body: Optional[JSON] = None, *, method: str = "POST", model: str = "",
             settings: CallSettings = CallSettings(), creates: bool = False) -> JSON:
        """The JSON object that answers a call outside the model's: `path` is the part of the URL after the endpoint.

        With `creates` it is never sent again when it may have been worked on.
        """
        headers = self.backend.headers("", model or self._default_model)
        return self._transport.request(self.backend.endpoints, Call(path, headers, body, method=method,
                                                                    settings=settings, creates=creates))

    def events(self, path: str, body: Optional[JSON] = None, *, settings: CallSettings = CallSettings(),
               creates: bool = False) -> Events:
        """`send`, answered by a stream of events; without a body the call is a GET."""
        call = Call(path, self.backend.headers("", self._default_model), body, method="GET" if body is None else "POST",
                    settings=settings, creates=creates)
        return self._transport.stream(self.backend.endpoints, call)

    def sign_in(self, settings: CallSettings) -> None:
        """Have the credentials found and kept ready, before there is anything to send."""
        self._transport.sign_in(settings)

    def post(self, settings: CallSettings, model: str = "") -> BackendPost:
        """The function that a backend is handed for calls of its own."""
        return BackendPost(self, model, settings)

    def model(self, options: GeminiOptions) -> str:
        """The model that `options` name, or the default; ValueError for a name that would leave the API's path."""
        model = options.model or self._default_model
        own_check = getattr(self.backend, "check_model", None)  # "models/x" is something else on Vertex AI
        return check_model(model) if own_check is None else str(own_check(model.strip()))

    def _call(
        self, method: str, turns: List[JSON], options: GeminiOptions, session_id: str, settings: CallSettings,
    ) -> Call:
        backend, model = self.backend, self.model(options)
        request = contents.build_request(turns, options)
        body = backend.wrap(method, model, request, options, session_id, self.post(settings, model))
        return Call(backend.path(method, model), backend.headers(method, model), body, backend.unwrap,
                    settings=settings)


class BackendPost:
    """Sends the calls of a backend's own, all of them within one deadline."""

    def __init__(self, route: Route, model: str, settings: CallSettings) -> None:
        self._route, self._model, self._settings = route, model, settings

    @property
    def deadline(self) -> Deadline:
        """The moment by which all of them must be done."""
        return self._settings.deadline

    def sign_in(self) -> None:
        """Have the credentials found, for a backend that asks them for its project or host."""
        self._route.sign_in(self._settings)

    def __call__(self, path: str, body: Optional[JSON]) -> JSON:
        """The JSON object that answers `body`; without a body the call is a GET."""
        return self._route.send(path, body, method="GET" if body is None else "POST", model=self._model,
                                settings=self._settings)


def new_fold(options: GeminiOptions) -> Fold:
    """What folds the events of a stream into the answer to `options`."""
    return Fold(contents.answer_format(options))


def new_session_id() -> str:
    """A random UUID (version 4); the module ``uuid`` imports ``platform``, which on Python 3.8 starts a process."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
