"""Gemini's responses and stream chunks in OpenAI's format: pure functions on dicts."""
from __future__ import annotations

import copy
import json
import os
import time
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from ..calls import FunctionCall
from ..errors import BlockedError, IncompleteError
from ..fold import Fold
from ..json_data import JSON, dict_or_empty, int_or_none, list_of_dicts
from ..response import GenerateContentResponse, StreamChunk
from ..schema import to_json
from ..turns import sendable

_FINISH_REASONS = {  # all others are "stop" or "tool_calls"
    "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter", "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter",
}
_INVALID_CALL_REASONS = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")
_OPTIONAL_FIELDS = frozenset((  # attributes of the openai package's objects that are None if the field was not sent
    "accepted_prediction_tokens", "annotations", "audio", "audio_tokens", "cache_write_tokens", "content",
    "function_call", "image_tokens", "metadata", "moderation", "obfuscation", "refusal", "rejected_prediction_tokens",
    "role", "service_tier", "system_fingerprint", "text_tokens", "tool_calls", "usage",
))


class AttributeDict(Dict[str, Any]):
    """A dict whose entries are attributes too, for code that was written for the ``openai`` package."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name in _OPTIONAL_FIELDS:
            return None
        raise AttributeError(f"{name!r} is not in the answer; there are: {', '.join(self)}")

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def model_dump(self, *, exclude_none: bool = False, **_: object) -> JSON:
        """A copy as plain dicts; the openai package's other settings are accepted and have no effect."""
        data: JSON = to_json(self)
        return _without_none(data) if exclude_none else data

    def model_dump_json(self, *, indent: Optional[int] = None, exclude_none: bool = False, **_: object) -> str:
        """The copy that `model_dump` makes, as JSON text."""
        return json.dumps(self.model_dump(exclude_none=exclude_none), indent=indent, ensure_ascii=False)

    to_dict, to_json = model_dump, model_dump_json


def _without_none(data: JSON) -> JSON:
    """`data` without the entries that are None, at any depth."""
    return {name: _value_without_none(value) for name, value in data.items() if value is not None}


def _value_without_none(value: object) -> object:
    if isinstance(value, list):
        return [_value_without_none(item) for item in value]
    return _without_none(value) if isinstance(value, dict) else value


def _to_attribute_dict(data: JSON) -> AttributeDict:
    """`data` as an `AttributeDict`, and so every dict in it."""
    return AttributeDict((name, _to_attribute_value(value)) for name, value in data.items())


def _to_attribute_value(value: object) -> object:
    if isinstance(value, list):
        return [_to_attribute_value(item) for item in value]
    return _to_attribute_dict(value) if isinstance(value, dict) else value


def to_openai(response: GenerateContentResponse, model: str = "") -> AttributeDict:
    """The ``chat.completion`` for `response`; `model` is its ``model`` if the response does not name one.

    Thoughts are ``message.reasoning_content``. A call's signature is in its ``extra_content.google.thought_signature``,
    a text's in the message's. ``extra_content.google.parts`` of a message has the parts that ``content`` has no room
    for, such as pictures. IncompleteError if the model asked for a call that cannot be run.
    """
    choices = [{
        "index": index,
        "message": _to_message(candidate),
        "logprobs": _to_logprobs(candidate),
        "finish_reason": _to_finish_reason(candidate),
    } for index, candidate in _split_candidates(response)]
    common = _common_fields(response, "chat.completion", model)
    return _to_attribute_dict({**common, "choices": choices, "usage": _to_usage(response)})


def chunks_to_openai(
    chunks: Iterable[StreamChunk], model: str = "", include_usage: bool = False,
) -> Iterator[AttributeDict]:
    """Yield a ``chat.completion.chunk`` for each chunk of a stream.

    Errors of `chunks` are raised, except for `BlockedError`, which is a ``finish_reason``. A call comes whole, in one
    chunk. The last chunk of a choice has its ``finish_reason`` and the message's ``extra_content`` as in `to_openai`.
    With `include_usage` one more chunk has the usage, if any came, and no choices.
    """
    fold = Fold()
    common: JSON = {}
    call_counts: Dict[int, int] = {}  # the calls that each choice has had, by its index
    try:
        for chunk in chunks:
            fold.add(chunk.data)
            common = common or _common_fields(chunk, "chat.completion.chunk", model, include_usage)
            for index, candidate in _split_candidates(chunk):
                delta, logprobs = _to_delta(candidate, call_counts.get(index, 0)), _to_logprobs(candidate)
                if index not in call_counts:
                    delta = {"role": "assistant", "content": "", **delta}
                call_counts[index] = call_counts.get(index, 0) + len(delta.get("tool_calls", ()))
                if delta or logprobs:
                    yield _make_chunk(common, index, delta, logprobs)
    except BlockedError:  # its reason is in the last event, which was folded
        pass
    response = fold.response()
    for index, candidate in _split_candidates(response):
        if candidate.finish_reason or candidate.block_reason:
            yield _make_chunk(common, index, _extra_content(candidate), None, _to_finish_reason(candidate))
    usage = _to_usage(response)
    if include_usage and usage:
        yield _to_attribute_dict({**common, "choices": [], "usage": usage})


def _split_candidates(response: GenerateContentResponse) -> List[Tuple[int, GenerateContentResponse]]:
    """For each candidate its index and a response that has it alone; a blocked prompt counts as an empty candidate."""
    if response.block_reason:
        return [(0, response)]
    found = []
    for candidate in response.candidates:
        single = copy.copy(response)
        single.data = {"candidates": [{**candidate, "index": 0}]}
        found.append((int_or_none(candidate.get("index")) or 0, single))
    return found


def _common_fields(
    response: GenerateContentResponse, object_type: str, model: str, include_usage: bool = False,
) -> JSON:
    """The fields beside ``choices``, the same in all chunks of a stream; with `include_usage` a ``usage`` of None."""
    fields = {"id": response.response_id or f"chatcmpl-{os.urandom(12).hex()}", "object": object_type,
              "created": int(time.time()), "model": response.model_version or model}
    return {**fields, "usage": None} if include_usage else fields


def _make_chunk(
    common: JSON, index: int, delta: JSON, logprobs: Optional[JSON], finish_reason: Optional[str] = None,
) -> AttributeDict:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
    return _to_attribute_dict({**common, "choices": [choice]})


def _to_message(candidate: GenerateContentResponse) -> JSON:
    delta = _to_delta(candidate)
    calls = [{key: value for key, value in call.items() if key != "index"} for call in delta.pop("tool_calls", ())]
    content = candidate.text or (None if calls else "")
    message = {"role": "assistant", "refusal": None, **delta, "content": content, **_extra_content(candidate)}
    return {**message, "tool_calls": calls} if calls else message


def _to_delta(candidate: GenerateContentResponse, first_call: int = 0) -> JSON:
    """Text, thoughts and calls, without those that are empty; the calls are numbered from `first_call`."""
    parts = [part for part in candidate.parts if dict_or_empty(part.get("functionCall"))]
    calls = [_to_tool_call(index, call, part)
             for index, (call, part) in enumerate(zip(candidate.function_calls, parts), first_call)]
    delta = {"content": candidate.text, "reasoning_content": candidate.thinking, "tool_calls": calls}
    return {key: value for key, value in delta.items() if value}


def _to_tool_call(index: int, call: FunctionCall, part: JSON) -> JSON:
    """OpenAI's tool call for `call`; `part` is the part that it came in, which has the signature."""
    signature = part.get("thoughtSignature")
    extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
    return {"index": index, "id": call.id or f"call_{os.urandom(12).hex()}", "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.args, ensure_ascii=False)}, **extra}


def _extra_content(candidate: GenerateContentResponse) -> JSON:
    """A message's ``extra_content``: the signature of its text, and the parts that ``content`` has no room for.

    Unsigned texts at the beginning are not among these parts. Empty if there is neither.
    """
    parts = [part for part in sendable(candidate.parts) if not part.get("functionCall")]
    while parts and parts[0].keys() == {"text"}:
        del parts[0]
    if not parts:
        return {}
    signature = parts[-1].get("thoughtSignature")
    google: JSON = {"thought_signature": signature} if signature else {}
    if parts != [{"text": candidate.text, "thoughtSignature": signature}]:  # more than one signed text
        google["parts"] = parts
    return {"extra_content": {"google": google}}


def _to_finish_reason(candidate: GenerateContentResponse) -> str:
    reason = candidate.finish_reason or ""
    if reason in _INVALID_CALL_REASONS:
        raise IncompleteError(
            f"The model asked for a call that cannot be run ({reason}). Ask again, or simplify the tools.",
            reason=reason, response=candidate, retryable=True)
    if candidate.block_reason or reason.startswith("IMAGE_"):
        return "content_filter"
    return _FINISH_REASONS.get(reason) or ("tool_calls" if candidate.function_calls else "stop")


def _to_usage(response: GenerateContentResponse) -> Optional[JSON]:
    """The token counts; OpenAI counts cached tokens as part of the prompt's and thoughts as part of the completion's.

    None if no counts came.
    """
    usage = response.usage_metadata
    if usage.prompt_token_count is None:
        return None
    prompt = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
    completion = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached_content_token_count},
        "completion_tokens_details": {"reasoning_tokens": usage.thoughts_token_count},
    }


def _to_logprobs(candidate: GenerateContentResponse) -> Optional[JSON]:
    result = dict_or_empty(candidate.candidates[0].get("logprobsResult")) if candidate.candidates else {}
    chosen, top = list_of_dicts(result.get("chosenCandidates")), list_of_dicts(result.get("topCandidates"))
    top += [{}] * (len(chosen) - len(top))
    content = [
        {**_to_token_logprob(token), "top_logprobs": [
            _to_token_logprob(other) for other in list_of_dicts(others.get("candidates"))]}
        for token, others in zip(chosen, top)]
    return {"content": content, "refusal": None} if content else None


def _to_token_logprob(token: JSON) -> JSON:
    text = str(token.get("token") or "")
    return {"token": text, "bytes": list(text.encode("utf-8", "surrogatepass")),
            "logprob": token.get("logProbability", 0.0)}  # the API leaves it out where it is 0
