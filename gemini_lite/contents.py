"""Prompt and options in, request dict out: pure functions on dicts."""
from __future__ import annotations

import logging
import os
from typing import IO, Any, List, Mapping, Optional, Protocol, Sequence, Tuple, Union

from .json_data import JSON
from .options import GeminiOptions, SystemPrompt
from .response import AnswerFormat
from .turns.history import GivenTurns, check_content, copy_json, is_content


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
    """What stands for a part, such as a `Blob` or a `File`."""

    def to_part(self) -> JSON:
        """The part."""


PromptItem = Union[
    str, bytes, bytearray, memoryview, Mapping[str, Any], Tuple[Union[bytes, bytearray, memoryview], str],
    "os.PathLike[str]", Image, Figure, PartLike,
]
# A list of PromptItems; but mypy takes ["What is this?", path] in a variable for a list of objects.
Prompt = Union[PromptItem, Sequence[object]]

log = logging.getLogger("gemini_lite")

LARGE = 20_000_000  # bytes of attachments from which on a prompt is warned about
_BYTES = (bytes, bytearray, memoryview)
_PROMPT_FORMS = ("a string, a part dict, (bytes, MIME type), a pathlib path, a picture, or a list of these; "
                 "or content dicts ({'role': ..., 'parts': [...]})")
_CONFIG_NAMES = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_output_tokens": "maxOutputTokens",
    "stop_sequences": "stopSequences", "seed": "seed", "candidate_count": "candidateCount",
    "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
    "response_mime_type": "responseMimeType", "response_modalities": "responseModalities",
    "image_config": "imageConfig", "response_logprobs": "responseLogprobs", "logprobs": "logprobs",
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
        request["systemInstruction"] = {"role": "user", "parts": _system_parts(options.system_prompt)}
    config = _set_options(options, _CONFIG_NAMES)
    if options.media_resolution is not None:
        word = options.media_resolution.upper()
        config["mediaResolution"] = word if word.startswith("MEDIA_RESOLUTION_") else f"MEDIA_RESOLUTION_{word}"
    if options.speech_config is not None:
        config["speechConfig"] = _speech_config(options.speech_config)
    thinking = _set_options(options, _THINKING_NAMES)
    if options.thinking_level is not None:
        thinking["thinkingLevel"] = options.thinking_level.upper()
    if thinking:
        config["thinkingConfig"] = thinking
    if options.response_schema is not None:
        from . import schema
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


def answer_format(options: GeminiOptions) -> AnswerFormat:
    """How to read an answer to `options`."""
    return AnswerFormat(options.response_schema, options.toolbox.renamed if options.tools else {})


def _system_parts(prompt: SystemPrompt) -> List[JSON]:
    items = [prompt] if isinstance(prompt, str) else prompt
    return [{"text": item} if isinstance(item, str) else copy_json(item) for item in items]


def _speech_config(config: Union[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The API's dict; a string is the name of one of Google's voices."""
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": config}}} if isinstance(config, str) else config


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
    whole = [index for index, item in enumerate(items) if is_content(item)]
    if not whole:
        parts = [_part(item, f"entry {index} of the prompt" if len(items) > 1 else "the prompt")
                 for index, item in enumerate(items)]
        _warn_of_size(parts)
        return [{"role": "user", "parts": parts}]
    if len(whole) < len(items):
        odd = next(index for index in range(len(items)) if index not in whole)
        raise ValueError(f"the prompt mixes content dicts with other items (entry {odd} is {type(items[odd]).__name__}"
                         f"): make entry {odd} a content dict too, or give parts only")
    checked = GivenTurns(check_content(item, f"entry {index} of the prompt") for index, item in enumerate(items))
    if all(part == {"text": ""} for item in checked for part in item["parts"]):
        raise ValueError(f"the prompt is empty: give {_PROMPT_FORMS}")
    return checked


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


def _part(item: object, where: str) -> JSON:
    if isinstance(item, str):
        if not item:
            raise ValueError(f"{where} is empty: give {_PROMPT_FORMS}")
        return {"text": item}
    if isinstance(item, Mapping) and item:
        return copy_json(item)  # type: ignore[no-any-return]
    from . import media  # most prompts are text
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], _BYTES):
        return media.from_bytes(*item)
    if isinstance(item, os.PathLike):
        return media.from_path(item)
    if media.is_media(item):
        return media.to_part(item)
    raise TypeError(f"a prompt cannot hold {type(item).__name__}: give {_PROMPT_FORMS}")
