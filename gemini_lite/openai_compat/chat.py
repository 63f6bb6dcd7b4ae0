"""A Gemini client with the interface of OpenAI's chat completions."""
from __future__ import annotations

import re
from typing import Any, Callable, Iterable, List, Literal, Mapping, Optional, Protocol, Sequence, Tuple, Union, overload

from ..errors import BlockedError, GeminiError
from ..json_data import JSON
from ..options import GeminiOptions
from ..response import GenerateContentResponse
from ..stream import Stream
from ..tools import Toolbox
from .agent import AgentResult, OnEvent, to_agent_result, warn_if_without_tools
from .answers import chunks_to_openai, to_openai
from .attribute_dict import AttributeDict
from .messages import to_contents
from .parameters import OptionFields, allowed_declarations, search_tools, to_declarations, to_overrides

_Request = Tuple[List[JSON], OptionFields]  # contents, and fields of GeminiOptions

_MODELS_WITHOUT_CALL_IDS = re.compile(r"\bgemini-[12]\b|\bgemma")  # they refuse the ids of calls; Gemini 3 wants them


class Client(Protocol):
    """What is used of a `GeminiClient`."""

    @property
    def options(self) -> GeminiOptions:
        """What it asks for in every call."""

    @property
    def generate(self) -> Callable[..., GenerateContentResponse[Any]]:
        """See `GeminiClient.generate`."""

    @property
    def stream(self) -> Callable[..., Stream[Any]]:
        """See `GeminiClient.stream`."""


class OpenAIChat:
    """A Gemini client with the ``chat.completions.create`` of the ``openai`` package.

    What OpenAI has no parameter for comes from the client's options: ``GeminiClient(GeminiOptions(top_k=20))``.
    Parameters that Gemini does not have are a ValueError, or with `drop_params` left out and logged.
    """

    def __init__(self, client: Client, drop_params: bool = False) -> None:
        self._client = client
        self._drop_params = drop_params

    @property
    def chat(self) -> "OpenAIChat":
        """This object, so that ``chat.completions.create`` works as with the ``openai`` package."""
        return self

    @property
    def completions(self) -> "OpenAIChat":
        """This object too."""
        return self

    @overload
    def create(
        self, *, messages: Iterable[object], model: Optional[str] = None, tools: Optional[Iterable[object]] = None,
        stream: Literal[False] = False, stream_options: Optional[Mapping[str, object]] = None, **parameters: object,
    ) -> AttributeDict: ...

    @overload
    def create(
        self, *, messages: Iterable[object], model: Optional[str] = None, tools: Optional[Iterable[object]] = None,
        stream: Literal[True], stream_options: Optional[Mapping[str, object]] = None, **parameters: object,
    ) -> "ChatStream": ...

    @overload
    def create(
        self, *, messages: Iterable[object], model: Optional[str] = None, tools: Optional[Iterable[object]] = None,
        stream: bool, stream_options: Optional[Mapping[str, object]] = None, **parameters: object,
    ) -> Union[AttributeDict, "ChatStream"]: ...

    def create(
        self, *, messages: Iterable[object], model: Optional[str] = None, tools: Optional[Iterable[object]] = None,
        stream: bool = False, stream_options: Optional[Mapping[str, object]] = None, **parameters: object,
    ) -> Union[AttributeDict, "ChatStream"]:
        """The answer to `messages` as a ``chat.completion``, or with ``stream=True`` a `ChatStream` of its chunks.

        `parameters` as for `from_openai`; without `model`, the client's. Errors are the `GeminiError`s of the client,
        but a blocked prompt or answer has the ``finish_reason`` "content_filter".
        """
        model = model or self._client.options.model
        request = self._to_request(messages, model, tools, parameters)
        if stream:
            return self._stream(request, model, bool((stream_options or {}).get("include_usage")))
        return self._generate(request, model)

    def agent_stream(
        self, messages: Iterable[object], functions: Sequence[object] = (), on_event: Optional[OnEvent] = None, *,
        model: Optional[str] = None, **parameters: object,
    ) -> AgentResult:
        """One answer for an agent, streamed to `on_event` as events; without `on_event`, in one unary request.

        `functions` have a name, a description and parameters. Events are dicts: ``textResponseChunk`` with the next
        piece of text, ``toolCallInvocation`` with a sentence about a call. The result has ``textResponse`` (None if the
        model wrote no text), ``functionCalls`` (each with ``id``, ``name``, ``arguments`` as a dict, and
        ``extra_content`` where a signature came; send it back as a message's ``originalFunctionCall``), ``usage`` and
        ``finishReason``.
        """
        model = model or self._client.options.model
        if functions and model:
            warn_if_without_tools(model)
        tools = [{"type": "function", "function": function} for function in functions]
        request = self._to_request(messages, model, tools, parameters)
        if on_event is None:
            return to_agent_result([self._generate(request, model)])
        with self._stream(request, model, include_usage=True) as chunks:
            return to_agent_result(chunks, on_event)

    def _to_request(
        self, messages: Iterable[object], model: Optional[str], tools: Optional[Iterable[object]],
        parameters: Mapping[str, object],
    ) -> _Request:
        return from_openai(messages, tools, model=model, drop_params=self._drop_params, **parameters)

    def _generate(self, request: _Request, model: Optional[str]) -> AttributeDict:
        contents, overrides = request
        try:
            response = self._client.generate(contents, **overrides)
        except BlockedError as error:
            response = error.response
        return to_openai(response, model or "")

    def _stream(self, request: _Request, model: Optional[str], include_usage: bool) -> "ChatStream":
        contents, overrides = request
        return ChatStream(self._client.stream(contents, **overrides), model or "", include_usage)


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

    def __next__(self) -> AttributeDict:
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
    messages: Iterable[object], tools: Optional[Iterable[object]] = None, *, model: Optional[str] = None,
    drop_params: bool = False, **parameters: object,
) -> _Request:
    """The contents for `messages`, and the keywords of `GeminiClient.generate` that they, `tools` and the rest set.

    `parameters` are those of OpenAI's chat completions: temperature, top_p, max_tokens, max_completion_tokens, stop,
    seed, n, presence_penalty, frequency_penalty, tool_choice, response_format, reasoning_effort, logprobs,
    top_logprobs, modalities, audio, web_search_options, timeout. One that is None counts as not given. One that Gemini
    does not have is a ValueError, or with `drop_params` left out and logged. What cannot be sent is a ValueError or
    TypeError that names its place. Nothing handed in is changed.
    """
    declarations = allowed_declarations(to_declarations(tools), parameters.get("tool_choice"))
    search = search_tools(parameters.pop("web_search_options", None), drop_params)
    with_call_ids = not _MODELS_WITHOUT_CALL_IDS.search(model or "")
    contents, system_prompt = to_contents(messages, Toolbox(declarations), with_call_ids)
    overrides = to_overrides({"model": model, **parameters}, model or "", drop_params)
    if not declarations and overrides.get("tool_choice") in ("auto", "none"):
        del overrides["tool_choice"]  # without tools there is nothing to choose
    if declarations or search:
        overrides["tools"] = declarations + search
    if system_prompt:
        overrides["system_prompt"] = system_prompt
    return contents, overrides
