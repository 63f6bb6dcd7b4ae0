"""Gemini's responses and stream chunks in OpenAI's format: pure functions on dicts."""
from __future__ import annotations

import copy
import json
import os
import time
from typing import Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from ..answers.check import why_not_json
from ..errors import BlockedError, IncompleteError
from ..json_data import JSON, dict_or_empty, int_or_none, list_of_dicts, number_or_none, str_or_none
from ..response import GenerateContentResponse, StreamChunk, answer_format_of, plain_parts
from ..stream.fold import Fold
from ..turns.calls import open_calls
from ..turns.history import sendable
from .attribute_dict import AttributeDict, to_attribute_dict
from .parts import CALL_PLACE

_FINISH_REASONS = {  # all others are "stop" or "tool_calls"
    "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter", "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter",
}
_INVALID_CALL_REASONS = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")


def to_openai(response: GenerateContentResponse, model: str = "") -> AttributeDict:
    """The ``chat.completion`` for `response`; `model` is its ``model`` if the response does not name one.

    Thoughts are ``message.reasoning_content``. A call's signature is in its ``extra_content.google.thought_signature``,
    a text's in the message's. ``extra_content.google.parts`` of a message has the parts that ``content`` has no room
    for, such as pictures, and ``{"functionCall": {}}`` in the places of calls among them. IncompleteError if the model
    asked for a call that cannot be run.
    """
    choices = [{
        "index": index,
        "message": _to_message(candidate),
        "logprobs": _to_logprobs(candidate),
        "finish_reason": _to_finish_reason(candidate),
    } for index, candidate in _split_candidates(response)]
    common = _common_fields(response, "chat.completion", model)
    return to_attribute_dict({**common, "choices": choices, "usage": _to_usage(response)})


def chunks_to_openai(
    chunks: Iterable[StreamChunk], model: str = "", include_usage: bool = False,
) -> Iterator[AttributeDict]:
    """Yield a ``chat.completion.chunk`` for each chunk of a stream.

    Errors of `chunks` are raised, except for `BlockedError`, which is a ``finish_reason``. The calls come whole, in one
    chunk each, at the end: only then is it known which of them Google's own tools have answered. The last chunk of a
    choice has its ``finish_reason`` and the message's ``extra_content`` as in `to_openai`. With `include_usage` there
    is one more chunk with the usage, if any came, and no choices.
    """
    fold = Fold()
    common: JSON = {}
    begun: Set[int] = set()  # the indices of the choices that have had a chunk
    try:
        for chunk in chunks:
            fold.answer_format = answer_format_of(chunk)  # the user's names of the tools
            fold.add(chunk.data)
            common = common or _common_fields(chunk, "chat.completion.chunk", model, include_usage)
            for index, candidate in _split_candidates(chunk.response):
                delta, logprobs = _to_texts(candidate), _to_logprobs(candidate)
                if index not in begun:
                    delta = {"role": "assistant", "content": "", **delta}
                begun.add(index)
                if delta or logprobs:
                    yield _make_chunk(common, index, delta, logprobs)
    except BlockedError:  # its reason is in the last event, which was folded
        pass
    response = fold.response()
    for index, candidate in _split_candidates(response):
        for call in _to_tool_calls(candidate):
            yield _make_chunk(common, index, {"tool_calls": [call]}, None)
        if candidate.finish_reason or candidate.block_reason:
            yield _make_chunk(common, index, _extra_content(candidate), None, _to_finish_reason(candidate))
    usage = _to_usage(response)
    if include_usage and usage:
        yield to_attribute_dict({**common, "choices": [], "usage": usage})


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
    return to_attribute_dict({**common, "choices": [choice]})


def _to_message(candidate: GenerateContentResponse) -> JSON:
    calls = [{key: value for key, value in call.items() if key != "index"} for call in _to_tool_calls(candidate)]
    content = candidate.text or (None if calls else "")
    message = {"role": "assistant", "refusal": None, **_to_texts(candidate), "content": content,
               **_extra_content(candidate)}
    return {**message, "tool_calls": calls} if calls else message


def _to_texts(candidate: GenerateContentResponse) -> JSON:
    """Text and thoughts, without those that are empty."""
    texts = {"content": candidate.text, "reasoning_content": candidate.thinking}
    return {key: value for key, value in texts.items() if value}


def _to_tool_calls(candidate: GenerateContentResponse) -> List[JSON]:
    """The calls that wait for a result, numbered from 0."""
    parts, names = plain_parts(candidate), answer_format_of(candidate).tool_names
    calls = [part for part, is_call in zip(parts, _are_open_calls(parts)) if is_call]
    problem = why_not_json(calls)
    if problem:
        raise _invalid_call(problem, candidate)
    return [_to_tool_call(index, part, names) for index, part in enumerate(calls)]


def _to_tool_call(index: int, part: JSON, names: Mapping[str, str]) -> JSON:
    """OpenAI's tool call for the call in `part`; `names` are the user's names of tools by those on the wire."""
    call = part["functionCall"]
    name, arguments = str_or_none(call.get("name")) or "", dict_or_empty(call.get("args"))
    signature = part.get("thoughtSignature")
    extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
    return {"index": index, "id": str_or_none(call.get("id")) or f"call_{os.urandom(12).hex()}", "type": "function",
            "function": {"name": names.get(name, name), "arguments": json.dumps(arguments, ensure_ascii=False)},
            **extra}


def _are_open_calls(parts: Sequence[JSON]) -> List[bool]:
    """For each part, whether it is a call whose result is not in the same turn, as those of tools of Google's are."""
    waiting = {id(call) for call in open_calls(parts)}
    return [id(part.get("functionCall")) in waiting for part in parts]


def _with_call_places(parts: List[JSON]) -> List[JSON]:
    """`parts` with a mark in the place of each call of the message, or without the calls if they come last anyway."""
    are_calls = _are_open_calls(parts)
    others = [part for part, is_call in zip(parts, are_calls) if not is_call]
    if parts[:len(others)] == others:
        return others
    return [CALL_PLACE if is_call else part for part, is_call in zip(parts, are_calls)]


def _extra_content(candidate: GenerateContentResponse) -> JSON:
    """A message's ``extra_content``: the signature of its text, and the parts that ``content`` has no room for.

    Unsigned texts at the beginning are not among these parts. Empty if there is neither, or if JSON cannot say them.
    """
    parts = plain_parts(candidate)
    if why_not_json(parts):
        return {}
    parts = _with_call_places(sendable(parts))
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
        raise _invalid_call(reason, candidate, reason)
    if candidate.block_reason or reason.startswith("IMAGE_"):
        return "content_filter"
    return _FINISH_REASONS.get(reason) or ("tool_calls" if candidate.function_calls else "stop")


def _invalid_call(
    problem: str, candidate: GenerateContentResponse, reason: str = "MALFORMED_FUNCTION_CALL",
) -> IncompleteError:
    return IncompleteError(f"The model asked for a call that cannot be run ({problem}). Ask again, or simplify the "
                           "tools.", reason=reason, response=candidate, retryable=True)


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
    text = str_or_none(token.get("token")) or ""
    return {"token": text, "bytes": list(text.encode("utf-8", "surrogatepass")),
            "logprob": number_or_none(token.get("logProbability")) or 0.0}  # the API leaves it out where it is 0
