"""OpenAI chat messages in, Gemini contents out, and back."""
from __future__ import annotations

import json
import logging
import re
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from ..chat import new_session_id
from ..client import GeminiClient
from ..contents import merged
from ..errors import (
    AuthenticationError, BadRequestError, BlockedError, CredentialsError, GeminiError, NotFoundError,
    PermissionDeniedError, QuotaExhaustedError, RateLimitError,
)
from ..stream import Stream
from ..tools import Toolbox
from .answers import Record, chunks_to_openai, to_openai
from .messages import to_contents
from .parameters import declarations as to_declarations, overrides as to_overrides

_log = logging.getLogger("gemini_lite")

_WITHOUT_IDS = re.compile(r"\bgemini-[12]\b|\bgemma")  # models that refuse the ids of calls; Gemini 3 wants them
_ERRORS = (  # the first row that fits: its type and code in OpenAI's words
    ((AuthenticationError, CredentialsError), "authentication_error", "invalid_api_key"),
    (PermissionDeniedError, "permission_error", "permission_denied"),
    (NotFoundError, "invalid_request_error", "model_not_found"),
    (QuotaExhaustedError, "insufficient_quota", "insufficient_quota"),
    (RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
    (BlockedError, "invalid_request_error", "content_filter"),
    ((BadRequestError, ValueError, TypeError), "invalid_request_error", None),
)


class OpenAIChat:
    """A Gemini client with the ``chat.completions.create`` of the ``openai`` package's.

    What OpenAI has no word for comes from the client's options: ``GeminiClient(GeminiOptions(top_k=20))``. Parameters
    that Gemini has no word for are a ValueError, or with `drop_params` left out and logged.
    """

    def __init__(self, client: GeminiClient, drop_params: bool = False) -> None:
        self._client = client
        self._drop_params = drop_params

    @property
    def chat(self) -> "OpenAIChat":
        """This object, so that ``chat.completions.create`` is found where it is with OpenAI."""
        return self

    completions = chat

    def create(
        self, *, messages: Any, model: Optional[str] = None, tools: Any = None, stream: Any = False,
        stream_options: Any = None, **parameters: Any,
    ) -> Any:
        """The answer to `messages` as a ``chat.completion``, or with ``stream=True`` a `ChatStream` of its chunks.

        `parameters` as for `from_openai`; without `model`, the client's. Errors are the `GeminiError`s of the client,
        but a blocked prompt or answer has the ``finish_reason`` "content_filter".
        """
        client = self._client
        model = model or client.options.model
        contents, overrides = from_openai(messages, tools, drop_params=self._drop_params, model=model, **parameters)
        if "extra" in overrides:
            overrides["extra"] = merged(client.options.extra or {}, overrides["extra"])
        if stream:
            include_usage = bool((stream_options or {}).get("include_usage"))
            return ChatStream(client.stream(contents, **overrides), model or "", include_usage)
        try:
            response = client.generate(contents, **overrides)
        except BlockedError as error:
            response = error.response
        return to_openai(response, model or "")

    def agent_stream(
        self, messages: Any, functions: Sequence[Any] = (), on_event: Optional[Callable[[Dict[str, Any]], Any]] = None,
        **parameters: Any,
    ) -> Dict[str, Any]:
        """One answer for an agent, told to `on_event` piece by piece; without it, in one request that is not streamed.

        `functions` have a name, a description and parameters. Events are dicts: ``textResponseChunk`` with the next
        piece of text, ``toolCallInvocation`` with a sentence about a call. The result has ``textResponse`` (None if the
        model said nothing), ``functionCalls`` (each with ``id``, ``name``, ``arguments`` as a dict, and
        ``extra_content`` where a signature came; send it back as a message's ``originalFunctionCall``), ``usage`` and
        ``finishReason``.
        """
        model = parameters.get("model") or self._client.options.model
        if functions and model and not re.match(r"(models/)?gemini", model):
            _log.warning("%s may have no tools: models that are named gemini do", model)
        tools = [{"type": "function", "function": function} for function in functions]
        if on_event is None:
            return _told([self.create(messages=messages, tools=tools, **parameters)], lambda event: None)
        settings: Dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        with self.create(messages=messages, tools=tools, **settings, **parameters) as chunks:
            return _told(chunks, on_event)


def _told(chunks: Iterable[Record], on_event: Callable[[Dict[str, Any]], Any]) -> Dict[str, Any]:
    """What `chunks`, or the one whole answer, come to; each piece is told to `on_event` when it is there."""
    uuid, reason, usage = new_session_id(), None, None
    texts: List[str] = []
    calls: List[Dict[str, Any]] = []
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices[:1]:
            said = choice["delta"] if "delta" in choice else choice.message
            reason = choice.finish_reason or reason
            if said.content:
                texts.append(said.content)
                on_event({"type": "textResponseChunk", "uuid": uuid, "content": said.content})
            for call in said.tool_calls or ():
                on_event({"type": "toolCallInvocation", "content": "Assembling Tool Call: %s(%s)" % (
                    call.function.name, call.function.arguments),
                    "uuid": "%s:tool_call_invocation%s" % (uuid, ":%d" % len(calls) if calls else "")})
                calls.append(_function_call(call))
    return {"textResponse": "".join(texts) or None, "functionCalls": calls, "usage": usage, "finishReason": reason}


def _function_call(call: Record) -> Dict[str, Any]:
    extra = {"extra_content": call["extra_content"]} if "extra_content" in call else {}
    arguments = json.loads(call.function.arguments)
    return {"id": call.id, "name": call.function.name, "arguments": arguments, **extra}


class ChatStream:
    """An answer as it comes: iterate for ``chat.completion.chunk`` dicts; ``with`` or `close` ends it early.

    The request was sent when this was made. What fails later is raised while iterating, and by every later use.
    """

    def __init__(self, stream: Stream, model: str = "", include_usage: bool = False) -> None:
        self._stream = stream
        self._chunks = chunks_to_openai(stream, model, include_usage)
        self._error: Optional[GeminiError] = None

    def __iter__(self) -> "ChatStream":
        return self

    def __next__(self) -> Record:
        if self._error is not None:
            raise self._error
        try:
            return next(self._chunks)
        except GeminiError as error:
            self._error = error
            raise

    def close(self) -> None:
        """End the answer here and close its connection."""
        self._chunks = iter(())
        self._stream.close()

    def __enter__(self) -> "ChatStream":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def from_openai(
    messages: Any, tools: Any = None, *, drop_params: bool = False, **parameters: Any,
) -> Tuple[List[Dict[str, Any]], Dict[str, Any]]:
    """The contents that `messages` are, and the fields of `GeminiOptions` that they, `tools` and `parameters` set.

    `parameters` are those of OpenAI's chat completions: model, temperature, top_p, max_tokens, max_completion_tokens,
    stop, seed, n, presence_penalty, frequency_penalty, tool_choice, response_format, reasoning_effort, logprobs,
    top_logprobs; None is not given. What Gemini has no word for is a ValueError, or with `drop_params` left out and
    logged. What cannot be sent is a ValueError or TypeError that names its place. Nothing handed in is changed.
    """
    declarations = to_declarations(tools)
    with_ids = not _WITHOUT_IDS.search(parameters.get("model") or "")
    contents, system_prompt = to_contents(messages, Toolbox(declarations), with_ids)
    if not declarations and parameters.get("tool_choice") in ("auto", "none"):
        parameters["tool_choice"] = None  # there is nothing to choose
    overrides = to_overrides(parameters, drop_params)
    if declarations:
        overrides["tools"] = declarations
    if system_prompt:
        overrides["system_prompt"] = system_prompt
    return contents, overrides


def to_openai_error(error: BaseException) -> Dict[str, Any]:
    """The body that OpenAI sends for such an error, with ``retryable`` beside it."""
    kind, code = next(((kind, code) for types, kind, code in _ERRORS if isinstance(error, types)),
                      ("server_error", None))
    reason = getattr(error, "reason", None)
    return {"error": {"message": str(error), "type": kind, "param": None, "code": code or reason,
                      "retryable": getattr(error, "retryable", False)}}
