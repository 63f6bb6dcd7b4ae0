"""Prompt and options in, request dict out: pure functions on dicts."""
from __future__ import annotations

import logging
import os
from typing import IO, Any, List, Mapping, Optional, Protocol, Sequence, Tuple, Union

from . import media, schema
from .calls import DisplayName, list_calls, owed_calls, results_content
from .json_data import JSON
from .options import GeminiOptions


class Image(Protocol):
    """A ``PIL.Image``, known by its methods."""

    def getbands(self) -> Tuple[str, ...]:
        """The names of the channels."""

    def save(self, fp: IO[bytes], format: Optional[str] = None) -> None:
        """Write the picture."""


class Figure(Protocol):
    """A matplotlib figure, known by its method."""

    def savefig(self, fname: IO[bytes], *, format: str) -> None:
        """Write the picture."""


class PartLike(Protocol):
    """What stands for a part, such as a `File`."""

    def to_part(self) -> JSON:
        """The part."""


PromptItem = Union[
    str, bytes, bytearray, memoryview, Mapping[str, Any], Tuple[Union[bytes, bytearray, memoryview], str],
    "os.PathLike[str]", media.Blob, Image, Figure, PartLike,
]
Prompt = Union[PromptItem, Sequence[PromptItem]]

log = logging.getLogger("gemini_lite")

LARGE = 20_000_000  # bytes of attachments from which on a prompt is warned about
_BYTES = (bytes, bytearray, memoryview)
_PROMPT_FORMS = ("a string, a part dict, (bytes, MIME type), a pathlib path, a picture, or a list of these; "
                 "or content dicts ({'role': ..., 'parts': [...]})")
_CONFIG_NAMES = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_output_tokens": "maxOutputTokens",
    "stop_sequences": "stopSequences", "seed": "seed", "candidate_count": "candidateCount",
    "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
    "response_mime_type": "responseMimeType",
}
_THINKING_NAMES = {"thinking_budget": "thinkingBudget", "include_thoughts": "includeThoughts"}
_REQUEST_NAMES = {
    "tool_config": "toolConfig", "safety_settings": "safetySettings", "labels": "labels",
    "cached_content": "cachedContent",
}


def build_request(contents: List[JSON], options: GeminiOptions) -> JSON:
    """The request that the API documents: `contents`, and those of the `options` that are set."""
    request: JSON = {"contents": _with_signatures(contents) if options.fill_missing_signatures else contents}
    if options.system_prompt:
        request["systemInstruction"] = {"role": "user", "parts": [{"text": options.system_prompt}]}
    config = _set_options(options, _CONFIG_NAMES)
    thinking = _set_options(options, _THINKING_NAMES)
    if options.thinking_level is not None:
        thinking["thinkingLevel"] = options.thinking_level.upper()
    if thinking:
        config["thinkingConfig"] = thinking
    if options.response_schema is not None:
        config["responseJsonSchema"] = schema.to_schema(options.response_schema, "response_schema")
        config.setdefault("responseMimeType", "application/json")
    if config:
        request["generationConfig"] = config
    request.update(_set_options(options, _REQUEST_NAMES))
    if options.tools:
        request["tools"] = options.toolbox.to_api()
    if options.tool_choice is not None:
        request["toolConfig"] = options.toolbox.choice(options.tool_choice)
    return merged(request, options.extra) if options.extra else request


def _with_signatures(contents: List[JSON]) -> List[JSON]:
    """`contents` with Google's stand-in on the first call of each model turn since the user's last text."""
    start = next((index for index in reversed(range(len(contents))) if contents[index]["role"] == "user"
                  and any("text" in part for part in contents[index]["parts"])), 0)
    return contents[:start] + [_with_signature(item) for item in contents[start:]]


def _with_signature(item: JSON) -> JSON:
    place = next((index for index, part in enumerate(item["parts"]) if part.get("functionCall")), None)
    if item["role"] != "model" or place is None or item["parts"][place].get("thoughtSignature"):
        return item
    parts = list(item["parts"])
    parts[place] = {**parts[place], "thoughtSignature": "skip_thought_signature_validator"}
    return {**item, "parts": parts}


def _set_options(options: GeminiOptions, names: Mapping[str, str]) -> JSON:
    """The options among `names` that are set, by the API's names."""
    return {api: value for own, api in names.items() if (value := getattr(options, own)) is not None}


def merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> JSON:
    """`base` with `extra` laid over it: dicts key by key, anything else replaces; neither is changed."""
    result = dict(base)
    for key, value in extra.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def from_prompt(prompt: Prompt) -> List[JSON]:
    """The contents of a `prompt`: one user turn, or the conversation that a list of content dicts is.

    The result shares nothing that can change with `prompt`. ValueError or TypeError says what to write instead.
    """
    items = list(prompt) if isinstance(prompt, list) else [prompt]
    if not items:
        raise ValueError(f"the prompt is empty: give {_PROMPT_FORMS}")
    whole = [index for index, item in enumerate(items) if _is_content(item)]
    if not whole:
        parts = [_part(item) for item in items]
        _warn_of_size(parts)
        return [{"role": "user", "parts": parts}]
    if len(whole) < len(items):
        odd = next(index for index in range(len(items)) if index not in whole)
        raise ValueError(f"the prompt mixes content dicts with other items (entry {odd} is {type(items[odd]).__name__}"
                         f"): make entry {odd} a content dict too, or give parts only")
    return [check_content(item, f"entry {index} of the prompt") for index, item in enumerate(items)]


def _warn_of_size(parts: List[JSON]) -> None:
    """Log that a prompt is large: what the API takes changes, so nothing is refused here."""
    size = 0
    for part in parts:
        inline = part.get("inlineData")
        if isinstance(inline, dict) and isinstance(inline.get("data"), str):
            size += len(inline["data"]) * 3 // 4
    if size > LARGE:
        log.warning("%.0f MB are sent inside this request, and again with each later turn of a conversation: "
                    "client.files.upload(path) sends a file once, and a prompt takes what it returns", size / 1e6)


def check_content(value: Any, where: str) -> JSON:
    """A content dict of the user's, checked and copied, without the thoughts that are not sent back."""
    if not _is_content(value):
        raise ValueError(f"{where} is no content dict ({{'role': 'user' or 'model', 'parts': [...]}})")
    role, parts = value.get("role", "user"), value.get("parts")
    if role not in ("user", "model"):
        openai = role in ("assistant", "system", "developer", "tool", "function")
        hint = "; for OpenAI's messages see gemini_lite.openai_compat" if openai else ""
        raise ValueError(f"{where} has the role {role!r}; the roles are 'user' and 'model'{hint}")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) and part for part in parts):
        raise ValueError(f"{where} has no parts; write {{'role': {role!r}, 'parts': [{{'text': '...'}}]}}")
    for part in parts:
        for key in ("functionCall", "functionResponse"):
            if key in part and not (isinstance(part[key], Mapping) and isinstance(part[key].get("name"), str)):
                raise ValueError(f"{where} holds a {key} without a name: {repr(part[key])[:200]}")
    kept = sendable(parts)
    if not kept:
        raise ValueError(f"{where} holds nothing but thoughts or empty text: leave it out, with its neighbour")
    return {**copy_json(value), "role": role, "parts": kept}


def sendable(parts: Sequence[Mapping[str, Any]]) -> List[JSON]:
    """Copies of the parts that are sent back: no unsigned thoughts, no text that is empty and nothing else."""
    return [copy_json(part) for part in parts
            if "thoughtSignature" in part or not part.get("thought") and part != {"text": ""}]


def check_history(value: object) -> List[JSON]:
    """The past of a conversation, checked and copied: user and model in turn, a user's first, a model's last."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"a history is a list of content dicts, not {type(value).__name__}")
    checked = [check_content(item, f"entry {index} of the history") for index, item in enumerate(value)]
    _check_order(checked, "the history", None, str)
    if len(checked) % 2:
        raise ValueError(f"entry {len(checked) - 1} of the history, its last, is a user's turn that nobody answered: "
                         "leave it out and send it with send_message")
    return checked


def check_next(history: List[JSON], new: List[JSON], display_name: DisplayName = str) -> None:
    """Raise ValueError unless `new` contents may follow the `history`: in turn, the user's last, all calls answered.

    `display_name` gives the name that a message uses for a tool whose name on the wire is another.
    """
    _check_order(new, "the prompt", history[-1] if history else None, display_name)
    if new[-1]["role"] != "user":
        raise ValueError(f"entry {len(new) - 1} of the prompt, its last, is the model's: a prompt ends with 'user'")


def _check_order(contents: List[JSON], what: str, before: Optional[JSON], display_name: DisplayName) -> None:
    for index, item in enumerate(contents):
        role = ("user", "model")[index % 2]
        if item["role"] != role:
            raise ValueError(f"entry {index} of {what} has the role {item['role']!r} where {role!r} is due: a "
                             "conversation starts with 'user' and alternates")
        if role == "user":
            _check_results(owed_calls([before] if before else []), item["parts"], f"entry {index} of {what}",
                           display_name)
        before = item


def _check_results(owed: List[JSON], parts: List[JSON], where: str, display_name: DisplayName) -> None:
    """Raise ValueError unless the parts of a user's turn answer the `owed` calls, and those alone."""
    given = [part["functionResponse"] for part in parts if part.get("functionResponse")]
    if owed and len(given) < len(parts):
        raise ValueError(f"the model waits for the results of its calls, and {where} holds something else: answer with "
                         f"send_tool_results first; owed: {list_calls(owed, display_name)}")
    if given or owed:
        results = [(item.get("name"), item.get("response"), item.get("id")) for item in given]
        results_content(owed, results, display_name)


def _is_content(item: object) -> bool:
    return isinstance(item, Mapping) and ("parts" in item or "role" in item)


def copy_json(value: Any) -> Any:
    """A deep copy of JSON data; anything else stays as it is, for the encoder to refuse."""
    if isinstance(value, Mapping):
        return {key: copy_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [copy_json(item) for item in value]
    return value


def _part(item: object) -> JSON:
    if isinstance(item, str):
        if not item:
            raise ValueError(f"the prompt is empty: give {_PROMPT_FORMS}")
        return {"text": item}
    if isinstance(item, Mapping) and item:
        return copy_json(item)  # type: ignore[no-any-return]
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], _BYTES):
        return media.from_bytes(*item)
    if isinstance(item, _BYTES):
        return media.from_bytes(item)
    if isinstance(item, os.PathLike):
        return media.from_path(item)
    if callable(getattr(item, "to_part", None)):
        return item.to_part()  # type: ignore[attr-defined, no-any-return]
    part = media.from_object(item)
    if part is None:
        raise TypeError(f"a prompt cannot hold {type(item).__name__}: give {_PROMPT_FORMS}")
    return part
