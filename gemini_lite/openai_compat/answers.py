"""Gemini's answers and chunks in OpenAI's shape: pure functions on dicts."""
from __future__ import annotations

import copy
import json
import os
import time
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from ..contents import sendable
from ..errors import BlockedError, IncompleteError
from ..json_data import dict_or_empty, int_or_none, list_of_dicts
from ..response import GenerateContentResponse, StreamChunk
from ..schema import to_json
from ..stream import Fold
from ..tools import FunctionCall

_FINISHES = {
    "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter", "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter",
}
_BROKEN = ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL")
_OPTIONAL = frozenset((  # what the openai package's objects have as None where it was not sent
    "accepted_prediction_tokens", "annotations", "audio", "audio_tokens", "cache_write_tokens", "content",
    "function_call", "image_tokens", "metadata", "moderation", "obfuscation", "refusal", "rejected_prediction_tokens",
    "role", "service_tier", "system_fingerprint", "text_tokens", "tool_calls", "usage",
))


class Record(Dict[str, Any]):
    """A dict whose entries are attributes too, for code that was written for the ``openai`` package."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name in _OPTIONAL:
            return None
        raise AttributeError(f"{name!r} is not in the answer; there are: {', '.join(self)}")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def model_dump(self, *, exclude_none: bool = False, **_: Any) -> Dict[str, Any]:
        """A copy as plain dicts; other settings of the openai package's are of no effect."""
        plain = to_json(self)
        return _without_none(plain) if exclude_none else plain  # type: ignore[no-any-return]

    def model_dump_json(self, *, indent: Optional[int] = None, **settings: Any) -> str:
        return json.dumps(self.model_dump(**settings), indent=indent, ensure_ascii=False)

    to_dict, to_json = model_dump, model_dump_json


def _without_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_none(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_none(one) for name, one in value.items() if one is not None}
    return value


def _record(value: Any) -> Any:
    if isinstance(value, dict):
        return Record((name, _record(one)) for name, one in value.items())
    return [_record(one) for one in value] if isinstance(value, list) else value


def to_openai(response: GenerateContentResponse, model: str = "") -> Record:
    """The ``chat.completion`` that `response` is; `model` is what to call a model that does not say its name.

    Thoughts are ``message.reasoning_content``. A call's signature is in its ``extra_content.google.thought_signature``,
    a text's in the message's; there, ``google.parts`` has whatever else the content has no room for, such as pictures.
    IncompleteError for a call that cannot be run.
    """
    choices = [{
        "index": index,
        "message": _message(view),
        "logprobs": _logprobs(view),
        "finish_reason": _finish_reason(view),
    } for index, view in _views(response)]
    head = _head(response, "chat.completion", model)
    return _record({**head, "choices": choices, "usage": _usage(response)})  # type: ignore[no-any-return]


def chunks_to_openai(chunks: Iterable[StreamChunk], model: str = "", include_usage: bool = False) -> Iterator[Record]:
    """Yield the ``chat.completion.chunk``s of a stream; errors pass, but for a block, which is a ``finish_reason``.

    A call comes whole, in one chunk. The last chunk of a choice has its ``finish_reason``, and what `to_openai` puts
    beside a message's content; with `include_usage` one more has the usage and no choice.
    """
    fold = Fold()
    head: Dict[str, Any] = {}
    calls: Dict[int, int] = {}  # how many each choice has had
    try:
        for chunk in chunks:
            fold.add(chunk.data)
            head = head or _head(chunk, "chat.completion.chunk", model, include_usage)
            for index, view in _views(chunk):
                delta, logprobs = _delta(view, calls.get(index, 0)), _logprobs(view)
                if index not in calls:
                    delta = {"role": "assistant", "content": "", **delta}
                calls[index] = calls.get(index, 0) + len(delta.get("tool_calls", ()))
                if delta or logprobs:
                    yield _chunk(head, index, delta, logprobs)
    except BlockedError:  # the last event said so
        pass
    response = fold.response()
    for index, view in _views(response):
        if view.finish_reason or view.block_reason:
            yield _chunk(head, index, _beside(view), None, _finish_reason(view))
    usage = _usage(response)
    if include_usage and usage:
        yield _record({**head, "choices": [], "usage": usage})


def _views(response: GenerateContentResponse) -> List[Tuple[int, GenerateContentResponse]]:
    """Each candidate's index and a view on it alone; a blocked prompt is a candidate that says nothing."""
    if response.block_reason:
        return [(0, response)]
    found = []
    for candidate in response.candidates:
        view = copy.copy(response)
        view.data = {"candidates": [{**candidate, "index": 0}]}
        found.append((int_or_none(candidate.get("index")) or 0, view))
    return found


def _head(response: GenerateContentResponse, kind: str, model: str, include_usage: bool = False) -> Dict[str, Any]:
    head = {"id": response.response_id or f"chatcmpl-{os.urandom(12).hex()}", "object": kind,
            "created": int(time.time()), "model": response.model_version or model}
    return {**head, "usage": None} if include_usage else head


def _chunk(head: Dict[str, Any], index: int, delta: Dict[str, Any], logprobs: Any, reason: Any = None) -> Record:
    choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
    return _record({**head, "choices": [choice]})  # type: ignore[no-any-return]


def _message(view: GenerateContentResponse) -> Dict[str, Any]:
    delta = _delta(view)
    calls = [{key: value for key, value in call.items() if key != "index"} for call in delta.pop("tool_calls", ())]
    content = view.text or (None if calls else "")
    message = {"role": "assistant", "refusal": None, **delta, "content": content, **_beside(view)}
    return {**message, "tool_calls": calls} if calls else message


def _delta(view: GenerateContentResponse, first: int = 0) -> Dict[str, Any]:
    """What there is of text, thoughts and calls; the calls are numbered from `first`."""
    found = zip(view.function_calls, (part for part in view.parts if dict_or_empty(part.get("functionCall"))))
    calls = [_tool_call(index, call, part) for index, (call, part) in enumerate(found, first)]
    delta = {"content": view.text, "reasoning_content": view.thinking, "tool_calls": calls}
    return {key: value for key, value in delta.items() if value}


def _tool_call(index: int, call: FunctionCall, part: Dict[str, Any]) -> Dict[str, Any]:
    signature = part.get("thoughtSignature")
    extra = {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}
    return {"index": index, "id": call.id or f"call_{os.urandom(12).hex()}", "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.args, ensure_ascii=False)}, **extra}


def _beside(view: GenerateContentResponse) -> Dict[str, Any]:
    """The ``extra_content`` of a message: the signature of its text, and the parts that its content cannot say.

    Plain text at the beginning is not repeated there.
    """
    parts = [part for part in sendable(view.parts) if not part.get("functionCall")]
    while parts and parts[0].keys() == {"text"}:
        del parts[0]
    if not parts:
        return {}
    signature = parts[-1].get("thoughtSignature")
    google = {"thought_signature": signature} if signature else {}
    whole = {"text": view.text, "thoughtSignature": signature}
    return {"extra_content": {"google": google if parts == [whole] else {**google, "parts": parts}}}


def _finish_reason(view: GenerateContentResponse) -> str:
    reason = view.finish_reason or ""
    if reason in _BROKEN:
        raise IncompleteError("The model asked for a call that cannot be run (%s). Ask again, or simplify the tools."
                              % reason, reason=reason, response=view, retryable=True)
    if view.block_reason or reason.startswith("IMAGE_"):
        return "content_filter"
    return _FINISHES.get(reason) or ("tool_calls" if view.function_calls else "stop")


def _usage(response: GenerateContentResponse) -> Optional[Dict[str, Any]]:
    """The counts, of which cached tokens are among the prompt's and thoughts among the answer's; None if none came."""
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


def _logprobs(view: GenerateContentResponse) -> Optional[Dict[str, Any]]:
    found = dict_or_empty(view.candidates[0].get("logprobsResult")) if view.candidates else {}
    chosen, tops = list_of_dicts(found.get("chosenCandidates")), list_of_dicts(found.get("topCandidates"))
    tops += [{}] * (len(chosen) - len(tops))
    content = [{**_logprob(one), "top_logprobs": [_logprob(other) for other in list_of_dicts(top.get("candidates"))]}
               for one, top in zip(chosen, tops)]
    return {"content": content, "refusal": None} if content else None


def _logprob(token: Dict[str, Any]) -> Dict[str, Any]:
    text = str(token.get("token") or "")
    return {"token": text, "bytes": list(text.encode("utf-8", "surrogatepass")),
            "logprob": token.get("logProbability", 0.0)}  # which is not sent where it is 0
