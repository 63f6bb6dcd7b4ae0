"""The turns of a conversation: checked, copied, and what of an answer is sent back."""
from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from ..json_data import JSON, is_thought, preview
from .calls import DisplayName, OwedCalls

_OBJECT_FIELDS = ("functionCall", "functionResponse", "inlineData", "fileData", "executableCode", "codeExecutionResult")


class GivenTurns(List[JSON]):
    """Turns that the user gave as content dicts: a conversation of their own, which may pass over calls."""


def is_content(item: object) -> bool:
    """Whether `item` is meant as a content dict."""
    return isinstance(item, Mapping) and ("parts" in item or "role" in item)


def check_content(value: Any, where: str) -> JSON:
    """A content dict of the user's, checked and copied, without the parts that are not sent back."""
    if not is_content(value):
        raise ValueError(f"{where} is no content dict ({{'role': 'user' or 'model', 'parts': [...]}})")
    role, parts = value.get("role", "user"), value.get("parts")
    if role not in ("user", "model"):
        openai = role in ("assistant", "system", "developer", "tool", "function")
        hint = "; for OpenAI's messages see gemini_lite.openai_compat" if openai else ""
        raise ValueError(f"{where} has the role {role!r}; the roles are 'user' and 'model'{hint}")
    if not isinstance(parts, list) or not all(isinstance(part, Mapping) for part in parts) or not any(parts):
        raise ValueError(f"{where} has no parts; write {{'role': {role!r}, 'parts': [{{'text': '...'}}]}}")
    for part in parts:
        for key in ("functionCall", "functionResponse"):
            item = part.get(key)  # null is the same as absent
            if item is not None and not (isinstance(item, Mapping) and isinstance(item.get("name"), str)):
                raise ValueError(f"{where} holds a {key} without a name: {preview(item, 200)}")
    kept = sendable(parts) or [copy_json(part) for part in parts if part == {"text": ""}][:1]  # Google takes one
    if not kept:
        raise ValueError(f"{where} holds nothing but thoughts, which are not sent back: leave it out")
    return {**copy_json(value), "role": role, "parts": kept}


def sendable(parts: Sequence[Mapping[str, Any]]) -> List[JSON]:
    """Copies of the parts that are sent back: no unsigned thoughts, and nothing that is empty."""
    return [copy_json(part) for part in parts
            if part.get("thoughtSignature") is not None or not is_thought(part) and _has_data(part)]


def _has_data(part: Mapping[str, Any]) -> bool:
    """Whether a part says anything that the API would take."""
    return part != {"text": ""} and any(
        value is not None and key not in ("thought", "thoughtSignature") and not _is_malformed(key, value)
        for key, value in part.items())


def _is_malformed(key: str, value: object) -> bool:
    return key in _OBJECT_FIELDS and not (isinstance(value, Mapping) and value) or (
        key == "text" and not isinstance(value, str))


def check_history(value: object) -> List[JSON]:
    """The past of a conversation, checked and copied; its last calls may still wait for their results."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"a history is a list of content dicts, not {type(value).__name__}")
    checked = [check_content(item, f"entry {index} of the history") for index, item in enumerate(value)]
    _check_order(checked, "the history", OwedCalls(), None)
    return checked


def check_next(history: List[JSON], new: List[JSON], display_name: DisplayName = str) -> None:
    """Raise ValueError unless `new` contents may follow the `history`: each call has its result, and no other.

    Neighbouring turns of one role are one turn to the API. Calls may be passed over by `GivenTurns`. `display_name`
    gives the name that a message uses for a tool whose name on the wire is another.
    """
    owed = OwedCalls(_from_last_model_turn(history), display_name)
    _check_order(new, "the prompt", owed, history[-1] if history else None)
    owed.check_none_owed(f"entry {len(new) - 1} of the prompt", may_pass_over=isinstance(new, GivenTurns))


def _from_last_model_turn(history: List[JSON]) -> List[JSON]:
    """The last turns of `history` from the model's on, which alone can hold calls that wait."""
    start = len(history)
    for role in ("user", "model"):
        while start and history[start - 1]["role"] == role:
            start -= 1
    return history[start:]


def _check_order(contents: List[JSON], what: str, owed: OwedCalls, before: Any) -> None:
    for index, item in enumerate(contents):
        where = f"entry {index} of {what}"
        if before is None and item["role"] == "model" and any(part.get("functionCall") for part in item["parts"]):
            raise ValueError(f"{where} is a call of the model's, which nothing came before: a conversation with calls "
                             "starts with 'user'")
        owed.add(item, where)
        before = item


def copy_json(value: Any) -> Any:
    """A deep copy of JSON data; anything else stays as it is, for the encoder to refuse.

    ValueError for data that is nested too deeply for Python, or holds itself.
    """
    try:
        return _copy(value)
    except RecursionError:
        raise ValueError("the data is nested too deeply, or holds itself: JSON cannot say that") from None


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(item) for item in value]
    return value
