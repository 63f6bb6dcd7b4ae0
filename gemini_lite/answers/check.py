"""Whether an answer is whole: blocks, broken calls, missing ends, and what to do about each."""
from __future__ import annotations

import logging
import math
from typing import List, Optional, Protocol, Tuple

from ..errors import BlockedError, GeminiError, IncompleteError
from ..json_data import JSON, dict_or_empty, first_candidate, is_thought, list_of_dicts
from .usage import UsageMetadata


class Answer(Protocol):
    """What is read of a response."""

    data: JSON

    @property
    def finish_reason(self) -> Optional[str]:
        """Why the answer ended."""

    @property
    def finish_message(self) -> Optional[str]:
        """What Google says about it."""

    @property
    def block_reason(self) -> Optional[str]:
        """Why the prompt was blocked."""

    @property
    def block_reason_message(self) -> Optional[str]:
        """What Google says about it."""

    @property
    def usage_metadata(self) -> UsageMetadata:
        """The token counts."""


log = logging.getLogger("gemini_lite")

_MOST_BITS = 1024  # of an integer: Google, as most readers of JSON, takes a double
_MOST_LEVELS = 128  # of objects and lists in a part: Google's own reader takes 100, and Python's encoder some 1000

_BLOCKED_PROMPT = {
    "SAFETY": "The prompt was blocked for safety. Change the prompt, or the thresholds with safety_settings",
    "BLOCKLIST": "The prompt holds a blocked term. Change the prompt",
    "PROHIBITED_CONTENT": "The prompt was blocked for prohibited content, which no setting allows. Change the prompt",
    "IMAGE_SAFETY": "The prompt asks for a picture that is not safe. Change the prompt",
    "MODEL_ARMOR": "The prompt was blocked by a Model Armor template of your project. Change the prompt, or the "
                   "template",
    "JAILBREAK": "The prompt was blocked as an attempt to get round the model's rules. Change the prompt",
    "OTHER": "The prompt was blocked, and Google does not say why. Change the prompt",
}
_BLOCKED_ANSWER = {
    "SAFETY": "The answer was blocked for safety. Change the prompt, or the thresholds with safety_settings",
    "RECITATION": "The answer was blocked because it recites a source. Ask for it in other words",
    "BLOCKLIST": "The answer was blocked for a blocked term. Change the prompt",
    "PROHIBITED_CONTENT": "The answer was blocked for prohibited content, which no setting allows. Change the prompt",
    "SPII": "The answer was blocked for personal data. Change the prompt",
    "MODEL_ARMOR": "The answer was blocked by a Model Armor template of your project. Change the prompt, or the "
                   "template",
    "IMAGE_SAFETY": "The picture was blocked for safety. Change the prompt",
    "IMAGE_PROHIBITED_CONTENT": "The picture was blocked for prohibited content. Change the prompt",
    "IMAGE_RECITATION": "The picture was blocked because it resembles a source. Change the prompt",
    "IMAGE_OTHER": "The picture was not made. Change the prompt, or ask again",
}
_INVALID_CALL = {
    "MALFORMED_FUNCTION_CALL": "The model wrote a call that cannot be read. Ask again, or simplify the tools",
    "UNEXPECTED_TOOL_CALL": "The model called a tool that the request does not have. Ask again, or give the tool",
}
_NOTHING_VISIBLE = {
    "LANGUAGE": "The model answers nothing in this language. Use another language or model",
    "NO_IMAGE": "The model made no picture. Ask for one in so many words",
    "OTHER": "The model stopped without an answer, for a reason that Google does not name. Ask again, or change the "
             "prompt",
    "TOO_MANY_TOOL_CALLS": "The model called tools too often. Ask for less at once",
    "MISSING_THOUGHT_SIGNATURE": "A call in the history lacks its thought signature. Send turns back as they came, or "
                                 "set fill_missing_signatures",
    "MALFORMED_RESPONSE": "The model wrote an answer that Google cannot read. Ask again",
    "FINISH_REASON_UNSPECIFIED": "The model stopped without an answer and without a reason. Ask again",
}
_LASTING = ("MAX_TOKENS", "LANGUAGE", "MISSING_THOUGHT_SIGNATURE")  # asking again gives the same


def check(response: Answer, streamed: bool = False) -> None:
    """Raise what stands in the way of calling this answer whole: a block, a broken call, a missing end.

    The calls of a whole answer have names and arguments. An answer with nothing visible that ends in STOP passes, with
    a warning in the log.
    """
    reason = response.finish_reason or ""
    _check_blocks(response, reason)
    if reason in _INVALID_CALL:
        raise _incomplete(_INVALID_CALL[reason], reason, response)
    if streamed and not reason:
        raise _incomplete("The stream ended without a finish reason: the answer is not whole. Ask again; "
                          "error.response holds what arrived", "CUT", response)
    if not list_of_dicts(dict_or_empty(response.data).get("candidates")):
        raise _incomplete("The answer holds no candidate and no reason for it. Ask again", "NO_CANDIDATES", response)
    parts = list_of_dicts(dict_or_empty(first_candidate(response.data).get("content")).get("parts"))
    _check_calls(parts, response)
    if reason and not any(map(_is_visible, parts)):
        if reason != "STOP":
            raise _nothing_visible(reason, response)
        log.warning("the model finished with STOP and no answer; such a turn is not kept in a history")


def _check_blocks(response: Answer, reason: str) -> None:
    blocked = response.block_reason
    if blocked:
        sentence = _BLOCKED_PROMPT.get(blocked, "The prompt was blocked. Change the prompt")
        raise _blocked(sentence, blocked, response.block_reason_message, response)
    if reason in _BLOCKED_ANSWER or reason.startswith("IMAGE_"):
        sentence = _BLOCKED_ANSWER.get(reason, "The picture was blocked. Change the prompt")
        raise _blocked(sentence, reason, response.finish_message, response)


def _blocked(sentence: str, reason: str, words: Optional[str], response: Answer) -> GeminiError:
    return BlockedError(f"{_with_reason(sentence, reason, words)} error.response holds what there is.", reason=reason,
                        response=response)


def _incomplete(sentence: str, reason: str, response: Answer) -> GeminiError:
    return IncompleteError(_with_reason(sentence, reason, response.finish_message), reason=reason, response=response,
                           retryable=reason not in _LASTING)


def _with_reason(sentence: str, reason: str, words: Optional[str]) -> str:
    """`sentence`, a fact and a step, with the reason after the fact, and Google's own `words` about it."""
    fact, _, step = sentence.partition(". ")
    words = (words or "").strip().rstrip(".")
    return f"{fact} ({reason}){f': {words}' if words else ''}. {step}."


def _nothing_visible(reason: str, response: Answer) -> GeminiError:
    if reason == "MAX_TOKENS":
        thoughts = response.usage_metadata.thoughts_token_count
        spent = f"{thoughts} tokens went into thoughts" if thoughts else "the limit on tokens was reached"
        sentence = (f"The answer was cut before its first word: {spent}. Raise max_output_tokens, or lower "
                    "thinking_budget (thinking_level for Gemini 3)")
    else:
        sentence = _NOTHING_VISIBLE.get(reason, "The model stopped without an answer. Ask again, or change the prompt")
    return _incomplete(sentence, reason, response)


def _is_visible(part: JSON) -> bool:
    """Whether a part is text, a call, a file, code or anything else than a thought."""
    return not is_thought(part) and any(
        value not in (None, "", {}) for key, value in part.items() if key not in ("thought", "thoughtSignature"))


def _check_calls(parts: List[JSON], response: Answer) -> None:
    """Raise IncompleteError for calls that cannot be run, and results without a name."""
    calls = [part for part in parts if "functionCall" in part or "functionResponse" in part]
    if not calls:
        return
    from .streamed_calls import CallPieces
    problem = ""
    pieces = CallPieces()
    for part in calls:
        if pieces.is_piece(part):
            part = pieces.add(part) or {}
        problem = problem or _why_no_call(part)
    if not problem and (pieces.problem or pieces.open):
        problem = f"a call that came in pieces is not whole: {pieces.problem or 'its last piece is missing'}"
    if problem:
        raise _incomplete(f"The model wrote a call that cannot be run, as {problem}. Ask again, or simplify the tools",
                          "MALFORMED_FUNCTION_CALL", response)


def check_sendable(parts: List[JSON], response: Answer) -> None:
    """Raise IncompleteError for parts that JSON cannot say again, so that they cannot be sent back."""
    problem = why_not_json(parts)
    if problem:
        raise _incomplete(f"The answer cannot be kept, because no JSON can say it again: {problem}. Ask again; "
                          "error.response holds it", "NOT_JSON", response)


def _why_no_call(part: JSON) -> str:
    for key in ("functionCall", "functionResponse"):
        value = part.get(key)
        if value is None or value == {} and len(part) == 1:  # an empty part, which is not sent back
            continue
        name = value.get("name") if isinstance(value, dict) else None
        if not isinstance(name, str) or not name:
            return f"it holds a {'call' if key == 'functionCall' else 'result of a call'} without a name"
        if not isinstance(value.get("args", {}), dict) and value["args"] is not None:
            return f"the arguments of its call of {name[:80]} are no object"
        if not isinstance(value.get("id", ""), str) and value["id"] is not None:
            return f"its call of {name[:80]} has an id that is no text"
    return ""


def why_not_json(value: object) -> str:
    """Why JSON that Google takes cannot say `value` again, or ""."""
    waiting: List[Tuple[object, int]] = [(value, 0)]
    while waiting:
        value, level = waiting.pop()
        if isinstance(value, str):
            if not value.isascii() and not _is_text(value):
                return "it holds half a character (a lone surrogate)"
        elif isinstance(value, float):
            if not math.isfinite(value):
                return f"it holds {value!r}, which JSON cannot say"
        elif isinstance(value, int):
            if value.bit_length() > _MOST_BITS:
                return f"it holds an integer of {value.bit_length()} bits, which is more than readers of JSON take"
        elif isinstance(value, (dict, list)):
            if level == _MOST_LEVELS:
                return f"it is nested more than {_MOST_LEVELS} levels deep"
            if isinstance(value, dict):
                waiting += [(key, level) for key in value]
            waiting += [(item, level + 1) for item in (value.values() if isinstance(value, dict) else value)]
    return ""


def _is_text(value: str) -> bool:
    try:
        value.encode()
        return True
    except UnicodeEncodeError:
        return False
