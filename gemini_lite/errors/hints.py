"""The names that other clients have for things, and what to write here instead."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, NoReturn, Sequence, TypeVar

F = TypeVar("F", bound=Callable[..., object])

CALL_SETTINGS = ("deadline", "timeout", "retries")

_PROMPT = "the prompt is the first argument: client.generate(prompt)"
_MESSAGES = ("the prompt is the first argument, and a conversation is client.chat(history); for OpenAI's messages see "
             "gemini_lite.openai_compat.OpenAIChat")
_FILES = "they are part of the prompt, a list: client.generate([text, pathlib.Path(name)])"
_CONFIG = "its entries are options of their own: temperature=..., max_output_tokens=..."
_KEY = "write GeminiClient(api_key=...)"
_VERTEX = "write GeminiClient(backend=VertexAI(project=..., location=...))"
_STREAMS = "write client.stream(prompt) or client.send_message_stream(prompt)"
_THINKING = "write thinking_budget=... or thinking_level=..., and include_thoughts=True to read the thoughts"

_OPTIONS: Dict[str, str] = {  # by the name in OpenAI's, Google's and other clients
    "max_tokens": "write max_output_tokens=...", "max_completion_tokens": "write max_output_tokens=...",
    "maxOutputTokens": "write max_output_tokens=...", "max_new_tokens": "write max_output_tokens=...",
    "system": "write system_prompt=...", "system_instruction": "write system_prompt=...",
    "systemInstruction": "write system_prompt=...", "system_message": "write system_prompt=...",
    "instructions": "write system_prompt=...",
    "config": _CONFIG, "generation_config": _CONFIG, "generationConfig": _CONFIG,
    "contents": _PROMPT, "content": _PROMPT, "input": _PROMPT, "message": _PROMPT, "messages": _MESSAGES,
    "history": "a conversation with a past is client.chat(history)",
    "thinking_config": _THINKING, "thinkingConfig": _THINKING, "thinking": _THINKING, "reasoning_effort": _THINKING,
    "reasoning": _THINKING,
    "n": "write candidate_count=...", "stop": "write stop_sequences=[...]", "topP": "write top_p=...",
    "topK": "write top_k=...", "model_name": "write model=...", "model_id": "write model=...",
    "functions": "write tools=[...]", "function_declarations": "write tools=[...]",
    "response_format": "write response_schema=... for JSON of a type, or response_mime_type='application/json'",
    "response_json_schema": "write response_schema=...", "responseSchema": "write response_schema=...",
    "modalities": "write response_modalities=[...]", "top_logprobs": "write response_logprobs=True, logprobs=...",
    "parallel_tool_calls": "write parallel_tools=True to run the calls of a turn in threads",
    "automatic_function_calling": "write max_tool_rounds=..., 0 for no calls",
    "schema": "write response_schema=...", "json_schema": "write response_schema=...",
    "search": 'write tools=[{"googleSearch": {}}]', "google_search": 'write tools=[{"googleSearch": {}}]',
    "files": _FILES, "file": _FILES, "attachments": _FILES, "images": _FILES, "image": _FILES,
    "max_workers": "client.map, client.map_to and client.embed take a number of calls at a time: concurrency",
    "stream": _STREAMS, "extra_body": "write extra={...}", "user": "write labels={...} where the backend has labels",
    "key": _KEY, "apikey": _KEY, "apiKey": _KEY, "token": _KEY, "google_api_key": _KEY, "gemini_api_key": _KEY,
    "credentials": "write GeminiClient(credentials_path=...) for Gemini CLI's file, or GeminiClient(backend=...)",
    "base_url": "write GeminiClient(backend=DeveloperAPI(api_key, base_url=...))",
    "api_endpoint": "write GeminiClient(backend=DeveloperAPI(api_key, base_url=...))",
    "http_options": "write GeminiClient(timeout=..., retries=..., session=...), and the address and version with "
                    "backend=DeveloperAPI(api_key, base_url=..., api_version=...)",
    "max_retries": "write retries=...", "request_timeout": "write timeout=...",
    "vertexai": _VERTEX, "project": _VERTEX, "location": _VERTEX,
}
_GENERATE = "write client.generate(prompt, ...) for one request, or client.send_message(prompt) for a conversation"
_COMPLETIONS = ("write client.generate(prompt, ...); for OpenAI's messages write "
                "gemini_lite.openai_compat.OpenAIChat(client).chat.completions.create(...)")
_ASYNC = "this client is blocking: call it in a thread, such as asyncio.to_thread(client.generate, prompt)"

_ATTRIBUTES: Dict[str, Dict[str, str]] = {  # by what has the attribute
    "client": {
        "generate_content": _GENERATE, "generate_content_async": _ASYNC, "generate_content_stream": _STREAMS,
        "completions": _COMPLETIONS, "messages": _COMPLETIONS, "responses": _COMPLETIONS, "invoke": _GENERATE,
        "chats": "write client.chat()", "start_chat": "write client.chat(history)", "aio": _ASYNC,
        "send": "write client.send_message(prompt)", "ask": _GENERATE, "complete": _GENERATE,
        "query": "write gemini_lite.query(prompt) or client.generate(prompt)",
        "reset": "write client.clear_history()", "get_history": "write client.history",
        "list_models": "write client.models()", "generate_stream": _STREAMS,
        "embed_content": "write client.embed(prompts)",
        "clear": "write client.clear_history()",
        "cancel": "write client.close(), which ends all its calls; a stream has a close() of its own",
    },
    "chat": {
        **dict.fromkeys(("generate", "generate_content", "send", "ask", "invoke", "complete", "query"),
                        "write chat.send_message(prompt)"),
        **dict.fromkeys(("stream", "generate_content_stream", "send_message_streaming"),
                        "write chat.send_message_stream(prompt)"),
        **dict.fromkeys(("messages", "turns", "get_history"), "write chat.history"),
        **dict.fromkeys(("reset", "clear"), "write chat.clear_history()"),
        **dict.fromkeys(("close", "cancel"), "a conversation has no connections of its own: close its stream, or the "
                                             "client"),
    },
    "response": {
        "usage": "write response.usage_metadata", "choices": "write response.text, or response.candidates for all",
        "message": "write response.text", "content_text": "write response.text", "output_text": "write response.text",
        "thoughts": "write response.thinking", "reasoning_content": "write response.thinking",
        "tool_calls": "write response.function_calls", "id": "write response.response_id",
        "model": "write response.model_version", "prompt_feedback": "write response.block_reason",
        "to_dict": "write response.data", "model_dump": "write response.data", "json": "write response.parsed",
        "resolve": "the response is whole when you have it", "sources": "write response.citations",
        "tokens": "write response.usage_metadata",
    },
    "chunk": {
        "delta": "write chunk.text_delta", "choices": "write chunk.text_delta",
        "usage": "write stream.response.usage_metadata at the end",
    },
    "stream": {
        "text": "write stream.response.text for the whole text, or chunk.text_delta of each chunk",
        "text_stream": "iterate the stream and read chunk.text_delta",
        "usage": "write stream.response.usage_metadata", "usage_metadata": "write stream.response.usage_metadata",
        "parsed": "write stream.response.parsed", "thinking": "write stream.response.thinking",
        "function_calls": "write stream.response.function_calls", "candidates": "write stream.response.candidates",
        "finish_reason": "write stream.response.finish_reason", "resolve": "write stream.response",
        "get_final_message": "write stream.response", "until_done": "write stream.response",
        "cancel": "write stream.close()",
    },
}
_ATTRIBUTES["chunk"] = {**_ATTRIBUTES["response"], **_ATTRIBUTES["chunk"]}


def unknown_option(name: str, known: Sequence[str]) -> str:
    """The message for an option `name` that is not among the `known` ones: what to write, or which there are."""
    if name in CALL_SETTINGS:
        return (f"{name} is no field of GeminiOptions: it belongs to a call, client.generate(prompt, {name}=...), or "
                f"to the client, GeminiClient({name}=...)")
    if name in _OPTIONS:
        return f"unknown option {name!r}: {_OPTIONS[name]}"
    import difflib
    similar = difflib.get_close_matches(name, [*known, *CALL_SETTINGS], 1)
    if similar:
        return f"unknown option {name!r}: did you mean {similar[0]!r}?"
    return f"unknown option {name!r}; the options are: {', '.join(known)}; and for a call: {', '.join(CALL_SETTINGS)}"


def attribute_hint(kind: str, name: str, known: Sequence[str] = ()) -> str:
    """What to write instead of an attribute of a "client", "chat", "response", "chunk" or "stream"; "" if unknown.

    `known` are the names that a misspelled one may have meant. The hint begins with ": ".
    """
    if name in _ATTRIBUTES[kind]:
        return f": {_ATTRIBUTES[kind][name]}"
    import difflib
    similar = difflib.get_close_matches(name, [item for item in known if not item.startswith("_")], 1)
    return f": did you mean {similar[0]!r}?" if similar else ""


def no_attribute(kind: str, value: object, name: str) -> AttributeError:
    """The error for an attribute `name` that `value`, a "client" and so on, does not have; for ``__getattr__``."""
    known = [] if name.startswith("_") else dir(type(value))
    error = AttributeError(f"{type(value).__name__!r} object has no attribute {name!r}"
                           f"{attribute_hint(kind, name, known)}")
    setattr(error, "name", name)  # or Python 3.10 and later would add a guess of their own, among private names
    return error


class Elsewhere:
    """Stands where another client has a method: any use of it is an AttributeError that says what to write."""

    def __init__(self, name: str, step: str) -> None:
        self._message = f"there is no {name} here: {step}"

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise AttributeError(self._message)

    if not TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):  # asked by inspect, copy and others, which want no advice
                raise AttributeError(name)
            raise AttributeError(self._message)


def with_hints(**attributes: str) -> Callable[[F], F]:
    """A decorator for a method that is an object in other clients: using these attributes of it says what to write."""
    def decorate(method: F) -> F:
        for name, step in attributes.items():
            setattr(method, name, Elsewhere(f"client.{method.__name__}.{name}", step))
        return method
    return decorate


MODELS_ATTRIBUTES = {
    "generate_content": _GENERATE, "generate_content_stream": _STREAMS, "list": "write client.models()",
    "count_tokens": "write client.count_tokens(prompt)", "embed_content": "write client.embed(prompts)",
    "get": "write next(model for model in client.models() if model['name'] == ...)",
}
CHAT_ATTRIBUTES = {"completions": _COMPLETIONS, "create": "write client.chat()", "send_message": "write client.chat() "
                   "first, then chat.send_message(prompt)"}
