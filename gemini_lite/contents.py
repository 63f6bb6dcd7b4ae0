"""Prompt and options in, request dict out: pure functions on dicts."""
from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from . import media, schema
from .options import GeminiOptions

Part = Dict[str, Any]
Content = Dict[str, Any]
Request = Dict[str, Any]
DisplayName = Callable[[str], str]

_BYTES = (bytes, bytearray, memoryview)
_FORMS = ("a string, a part dict, (bytes, MIME type), a pathlib path, a picture, or a list of these; "
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


def build(contents: List[Content], options: GeminiOptions) -> Request:
    """The request that the API documents: `contents`, and of `options` what is set."""
    request: Request = {"contents": _signed(contents) if options.fill_missing_signatures else contents}
    if options.system_prompt:
        request["systemInstruction"] = {"role": "user", "parts": [{"text": options.system_prompt}]}
    config = _renamed(options, _CONFIG_NAMES)
    thinking = _renamed(options, _THINKING_NAMES)
    if options.thinking_level is not None:
        thinking["thinkingLevel"] = options.thinking_level.upper()
    if thinking:
        config["thinkingConfig"] = thinking
    if options.response_schema is not None:
        config["responseJsonSchema"] = schema.to_schema(options.response_schema, "response_schema")
        config.setdefault("responseMimeType", "application/json")
    if config:
        request["generationConfig"] = config
    request.update(_renamed(options, _REQUEST_NAMES))
    if options.tools:
        request["tools"] = options.toolbox.to_api()
    if options.tool_choice is not None:
        request["toolConfig"] = options.toolbox.choice(options.tool_choice)
    return merged(request, options.extra) if options.extra else request


def _signed(contents: List[Content]) -> List[Content]:
    """`contents` with Google's stand-in on the first call of each model turn since the user's last text."""
    start = next((index for index in reversed(range(len(contents))) if contents[index]["role"] == "user"
                  and any("text" in part for part in contents[index]["parts"])), 0)
    return contents[:start] + [_signed_turn(item) for item in contents[start:]]


def _signed_turn(item: Content) -> Content:
    place = next((index for index, part in enumerate(item["parts"]) if part.get("functionCall")), None)
    if item["role"] != "model" or place is None or item["parts"][place].get("thoughtSignature"):
        return item
    parts = list(item["parts"])
    parts[place] = {**parts[place], "thoughtSignature": "skip_thought_signature_validator"}
    return {**item, "parts": parts}


def _renamed(options: GeminiOptions, names: Mapping[str, str]) -> Dict[str, Any]:
    return {api: value for own, api in names.items() if (value := getattr(options, own)) is not None}


def merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> Dict[str, Any]:
    """`base` with `extra` laid over it: dicts key by key, anything else replaces; neither is changed."""
    result = dict(base)
    for key, value in extra.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def turns(prompt: Any) -> List[Content]:
    """The contents of a `prompt`: one user turn, or the conversation that a list of content dicts is.

    The result shares nothing that can change with `prompt`. ValueError or TypeError says what to write instead.
    """
    items = list(prompt) if isinstance(prompt, list) else [prompt]
    if not items:
        raise ValueError(f"the prompt is empty: give {_FORMS}")
    whole = [index for index, item in enumerate(items) if _is_content(item)]
    if not whole:
        return [{"role": "user", "parts": [_part(item) for item in items]}]
    if len(whole) < len(items):
        odd = next(index for index in range(len(items)) if index not in whole)
        raise ValueError("the prompt mixes content dicts with other items (entry %d is %s): make entry %d a content "
                         "dict too, or give parts only" % (odd, type(items[odd]).__name__, odd))
    return [content(item, f"entry {int(index)} of the prompt") for index, item in enumerate(items)]


def content(value: Any, where: str) -> Content:
    """A content dict of the user's, checked and copied, without the thoughts that are not sent back."""
    if not _is_content(value):
        raise ValueError("%s is no content dict ({'role': 'user' or 'model', 'parts': [...]})" % where)
    role, parts = value.get("role", "user"), value.get("parts")
    if role not in ("user", "model"):
        openai = role in ("assistant", "system", "developer", "tool", "function")
        hint = "; for OpenAI's messages see gemini_lite.openai_compat" if openai else ""
        raise ValueError(f"{where} has the role {role!r}; the roles are 'user' and 'model'{hint}")
    if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) and part for part in parts):
        raise ValueError("%s has no parts; write {'role': %r, 'parts': [{'text': '...'}]}" % (where, role))
    for part in parts:
        for key in ("functionCall", "functionResponse"):
            if key in part and not (isinstance(part[key], Mapping) and isinstance(part[key].get("name"), str)):
                raise ValueError(f"{where} holds a {key} without a name: {part[key]!r:.200}")
    kept = sendable(parts)
    if not kept:
        raise ValueError(f"{where} holds nothing but thoughts or empty text: leave it out, with its neighbour")
    return {**copied(value), "role": role, "parts": kept}


def sendable(parts: List[Part]) -> List[Part]:
    """Copies of the parts that are sent back: no unsigned thoughts, no text that is empty and nothing else."""
    return [copied(part) for part in parts
            if "thoughtSignature" in part or not part.get("thought") and part != {"text": ""}]


def history(value: Any) -> List[Content]:
    """A conversation's past, checked and copied: user and model in turn, a user's first, a model's last."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"a history is a list of content dicts, not {type(value).__name__}")
    checked = [content(item, f"entry {int(index)} of the history") for index, item in enumerate(value)]
    _check_order(checked, "the history", None, str)
    if len(checked) % 2:
        raise ValueError("entry %d of the history, its last, is a user's turn that nobody answered: leave it out and "
                         "send it with send_message" % (len(checked) - 1))
    return checked


def check_next(past: List[Content], new: List[Content], display_name: DisplayName = str) -> None:
    """Raise ValueError unless `new` turns may follow `past` ones: alternating, the user's last, all calls answered.

    `display_name` gives the name that a message uses for a tool whose name on the wire is another.
    """
    _check_order(new, "the prompt", past[-1] if past else None, display_name)
    if new[-1]["role"] != "user":
        raise ValueError(f"entry {int(len(new) - 1)} of the prompt, its last, is the model's: a prompt ends with 'user'")


def _check_order(contents: List[Content], what: str, before: Optional[Content], display_name: DisplayName) -> None:
    for index, item in enumerate(contents):
        due = ("user", "model")[index % 2]
        if item["role"] != due:
            raise ValueError("entry %d of %s has the role %r where %r is due: a conversation starts with 'user' and "
                             "alternates" % (index, what, item["role"], due))
        if due == "user":
            _check_answers(owed([before] if before else []), item["parts"], f"entry {int(index)} of {what}", display_name)
        before = item


def _check_answers(due: List[Part], parts: List[Part], where: str, display_name: DisplayName) -> None:
    """Raise ValueError unless the parts of a user's turn answer the calls that are due, and those alone."""
    given = [part["functionResponse"] for part in parts if part.get("functionResponse")]
    if due and len(given) < len(parts):
        raise ValueError("the model waits for the results of its calls, and %s holds something else: answer with "
                         "send_tool_results first; owed: %s" % (where, _listed(due, display_name)))
    if given or due:
        answers(due, [(item.get("name"), item.get("response"), item.get("id")) for item in given], display_name)


def calls(parts: List[Part]) -> List[Part]:
    """The functionCall dicts among `parts`."""
    return [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]


def owed(past: List[Content]) -> List[Part]:
    """The functionCall dicts that the last turn waits to have answered."""
    return calls(past[-1]["parts"]) if past and past[-1]["role"] == "model" else []


def answers(due: List[Part], results: Sequence[Tuple[Any, ...]], display_name: DisplayName = str) -> Content:
    """The user's turn that answers the calls `due`, in their order, with `results`: (name, response dict[, id]).

    A result without an id answers the first call of its name that is left. ValueError says what is still owed.
    """
    found: Dict[int, Part] = {}
    named = [(name, response, rest[0] if rest else None) for name, response, *rest in results]
    for name, response, id in sorted(named, key=lambda result: result[2] is None):  # those with an id have first choice
        place = next((index for index, call in enumerate(due) if index not in found and call.get("name") == name
                      and id in (None, call.get("id"))), None)
        if place is None:
            left = [call for index, call in enumerate(due) if index not in found]
            raise ValueError("no call of %s waits for a result; owed: %s" % (
                _listed([{"name": name, "id": id}], display_name), _listed(left, display_name) or "none"))
        found[place] = response
    if len(found) < len(due):
        left = [call for index, call in enumerate(due) if index not in found]
        raise ValueError(f"all calls of a turn are answered together; still owed: {_listed(left, display_name)}")
    parts = [{"functionResponse": {
        **({"id": call["id"]} if call.get("id") else {}), "name": call.get("name"), "response": found[index]}}
        for index, call in enumerate(due)]
    return {"role": "user", "parts": parts}


def _listed(due: List[Part], display_name: DisplayName) -> str:
    ids = [f" (id {call['id']})" if call.get("id") else "" for call in due]
    return ", ".join(display_name(str(call.get("name"))) + id for call, id in zip(due, ids))


def _is_content(item: Any) -> bool:
    return isinstance(item, Mapping) and ("parts" in item or "role" in item)


def copied(value: Any) -> Any:
    """A deep copy of JSON data; anything else stays as it is, for the encoder to refuse."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [copied(item) for item in value]
    return value


def _part(item: Any) -> Part:
    if isinstance(item, str):
        if not item:
            raise ValueError(f"the prompt is empty: give {_FORMS}")
        return {"text": item}
    if isinstance(item, Mapping) and item:
        return copied(item)  # type: ignore[no-any-return]
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], _BYTES):
        return media.from_bytes(*item)
    if isinstance(item, _BYTES):
        return media.from_bytes(item)
    if isinstance(item, os.PathLike):
        return media.from_path(item)
    part = media.from_object(item)
    if part is None:
        raise TypeError(f"a prompt cannot hold {type(item).__name__}: give {_FORMS}")
    return part
