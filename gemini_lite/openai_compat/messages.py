"""A list of OpenAI's chat messages as Gemini contents and a system prompt: pure functions on dicts."""
from __future__ import annotations

import dataclasses
import json
from typing import Dict, Iterable, List, Mapping, Optional, Tuple

from ..answers.check import why_not_json
from ..json_data import JSON, dict_or_empty, has_text, list_of_dicts, str_or_none
from ..schema import to_json
from ..tools import Toolbox
from .parts import CALL_PLACE, read_string, read_text, user_parts


def to_contents(messages: object, toolbox: Toolbox, with_call_ids: bool) -> Tuple[List[JSON], Optional[str]]:
    """The contents and the system prompt (None without one) of `messages`, which are dicts or pydantic models.

    Calls and results go by the wire names of `toolbox`. `with_call_ids` sends the ids of calls: Gemini 3 matches
    results to calls by them, earlier models refuse them. ValueError and TypeError name the message that is wrong.
    """
    if not isinstance(messages, Iterable) or isinstance(messages, (str, bytes, Mapping)):
        raise TypeError(f"messages is a list of dicts, not {type(messages).__name__}")
    builder = _ContentsBuilder(toolbox, with_call_ids)
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        builder.add(to_json(message, where), where)
    return builder.build()


@dataclasses.dataclass
class _Call:
    """A function call of the model; `response` is None until its result was added."""

    name: str
    id: Optional[str]
    response: Optional[JSON] = None


class _ContentsBuilder:
    """Builds contents message by message. The results of a turn's calls become one user turn when all are there."""

    def __init__(self, toolbox: Toolbox, with_call_ids: bool) -> None:
        self._toolbox = toolbox
        self._with_call_ids = with_call_ids
        self._contents: List[JSON] = []
        self._system_texts: List[str] = []
        self._calls: List[_Call] = []  # of the model's last turn
        self._calls_where = ""  # the message that they came with
        self._more_calls_may_join = False  # to the model's last turn: see _add_call_of_result

    def add(self, message: object, where: str) -> None:
        """Add the next message; `where` is its place in errors."""
        if not isinstance(message, dict):
            raise TypeError(f"{where} is no dict but {type(message).__name__}")
        role = message.get("role")
        if role in ("system", "developer"):
            self._system_texts += filter(None, [read_text(message.get("content"), where)])
        elif role in ("tool", "function"):
            self._add_result(message, where)
        elif role in ("user", "assistant"):
            self._check_all_answered(where)
            self._more_calls_may_join = False
            if role == "user":
                self._add_parts("user", user_parts(message.get("content"), where))
            else:
                self._add_assistant_message(message, where)
        else:
            raise ValueError(f"{where} has the role {role!r}; the roles are system, developer, user, assistant and "
                             "tool")

    def build(self) -> Tuple[List[JSON], Optional[str]]:
        """The contents and the system prompt; ValueError if calls have no results, or there is nothing to send."""
        self._check_all_answered("the end")
        if not self._contents:
            raise ValueError("messages hold nothing to answer: add {'role': 'user', 'content': '...'}")
        return self._contents, "\n\n".join(self._system_texts) or None

    def _add_parts(self, role: str, parts: List[JSON]) -> None:
        """Add `parts` to the last turn if it has the same `role`, else as a new turn.

        A turn of results takes no other parts: the text of a user after it is a turn of its own.
        """
        last = self._contents[-1] if self._contents else {}
        if last.get("role") == role and "functionResponse" not in last["parts"][-1]:
            last["parts"] += parts
        elif parts:
            self._contents.append({"role": role, "parts": parts})

    def _add_assistant_message(self, message: JSON, where: str) -> None:
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list):
            raise TypeError(f"{where}.tool_calls is a list of calls, not {type(calls).__name__}")
        if message.get("function_call"):
            calls = [*calls, {"function": message["function_call"]}]
        self._calls, self._calls_where = [], where
        call_parts = [self._read_call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls)]
        self._add_parts("model", _with_calls(_assistant_parts(message, where), call_parts))

    def _read_call(self, data: object, where: str) -> JSON:
        """The part of a call, either OpenAI's ``{"id", "function": {"name", "arguments"}}`` or all of it on one level.

        The call waits for its result from now on.
        """
        fields = dict_or_empty(data)
        function = dict_or_empty(fields.get("function", data))
        call = _Call(read_string(function, where, "name"), fields.get("id"))
        part = {"functionCall": {**self._name_and_id(call), "args": _parse_arguments(function.get("arguments"), where)}}
        signature = _signature(fields)
        self._calls.append(call)
        return {**part, "thoughtSignature": signature} if signature else part

    def _add_result(self, message: JSON, where: str) -> None:
        if message.get("originalFunctionCall"):
            self._add_call_of_result(message["originalFunctionCall"], where)
            call = self._calls[-1]
        else:
            call = self._find_call(message, where)
        call.response = _to_function_response(read_text(message.get("content"), where))
        if not self._unanswered_calls():
            self._contents.append({"role": "user", "parts": [
                {"functionResponse": {**self._name_and_id(call), "response": call.response}} for call in self._calls]})

    def _add_call_of_result(self, call: object, where: str) -> None:
        """Add the call that AnythingLLM sends inside the message of its result.

        The calls of one answer come in one message each, and only the first of them has a signature: a call without a
        signature is joined to the calls before it.
        """
        self._check_all_answered(where)
        if self._more_calls_may_join and not _signature(call):
            self._contents.pop()  # the turn of results, which is added again with the result of this call
        else:
            self._calls, self._calls_where = [], where
        self._add_parts("model", [self._read_call(call, f"{where}.originalFunctionCall")])
        self._more_calls_may_join = True

    def _unanswered_calls(self) -> List[_Call]:
        return [call for call in self._calls if call.response is None]

    def _find_call(self, message: JSON, where: str) -> _Call:
        """The unanswered call that a result message is for: by the call's id, or without one by the function's name.

        If the id is "" and there is no name, the first call with that id: Google's OpenAI-compatible URL has no other.
        """
        call_id, name = message.get("tool_call_id"), message.get("name")
        key, wanted = ("id", call_id) if call_id else ("name", name)
        unanswered = self._unanswered_calls()
        for call in unanswered:
            if call.id == call_id if call_id else call.name == name if name else call.id == call_id == "":
                return call
        raise ValueError(f"{where} is the result of a call that is not there ({key} {wanted!r}); "
                         f"owed: {_describe_calls(unanswered) or 'none'}")

    def _check_all_answered(self, where: str) -> None:
        """ValueError if calls wait for results at `where`, where something else comes."""
        unanswered = self._unanswered_calls()
        if unanswered:
            raise ValueError(f"{self._calls_where} calls functions whose results do not come before {where}; "
                             f"owed: {_describe_calls(unanswered)}")

    def _name_and_id(self, call: _Call) -> Dict[str, str]:
        """The ``name`` on the wire, and the ``id`` if there is one and the model takes it."""
        name = self._toolbox.wire_name(call.name)
        name = Toolbox([{"name": name}]).wire_name(name)  # a tool that is no longer declared needs a legal name too
        return {"id": call.id, "name": name} if call.id and self._with_call_ids else {"name": name}


def _describe_calls(calls: List[_Call]) -> str:
    return ", ".join(f"{call.name} (id {call.id})" for call in calls)


def _google_extra(data: object) -> JSON:
    """The ``extra_content`` that `to_openai`, and Google's own endpoints, add to a message or a call."""
    extra = dict_or_empty(dict_or_empty(data).get("extra_content"))
    return dict_or_empty(extra.get("google") or extra.get("vertex"))


def _signature(data: object) -> Optional[str]:
    """The thought signature of a message or a call."""
    return str_or_none(_google_extra(data).get("thought_signature")
                       or dict_or_empty(data).get("thought_signature"))


def _assistant_parts(message: JSON, where: str) -> List[JSON]:
    """The parts of an assistant message without its calls: its text, and the parts of its ``extra_content``.

    The texts of those parts are also the end of the message's text. If it was edited and ends otherwise, they and
    their signatures no longer apply, and the text alone is sent.
    """
    text = read_text(message.get("content") or message.get("refusal"), where)
    extra_parts = list_of_dicts(_google_extra(message).get("parts"))
    extra_text = "".join([part["text"] for part in extra_parts if has_text(part) and not part.get("thought")])
    if not text.endswith(extra_text):
        return [{"text": text}] if text else []
    leading_text = text[:len(text) - len(extra_text)]
    signature = None if extra_parts else _signature(message)
    if signature:
        return [{"text": leading_text, "thoughtSignature": signature}]
    return ([{"text": leading_text}] if leading_text else []) + extra_parts


def _with_calls(parts: List[JSON], call_parts: List[JSON]) -> List[JSON]:
    """`parts` with the calls in the places that `to_openai` marked, or after them if the calls are not as many."""
    others = [part for part in parts if part != CALL_PLACE]
    if len(parts) - len(others) != len(call_parts):
        return others + call_parts
    calls = iter(call_parts)
    return [next(calls) if part == CALL_PLACE else part for part in parts]


def _parse_arguments(arguments: object, where: str) -> JSON:
    """The arguments of a call, JSON text or a dict, as a dict; many models write nothing where there are none."""
    if arguments is None or isinstance(arguments, str) and not arguments.strip():
        return {}
    try:
        args = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} has arguments that are no JSON: {error}") from None
    if not isinstance(args, dict):
        raise ValueError(f"{where} has arguments that are no JSON object: {arguments!r:.100}")
    problem = why_not_json(args)
    if problem:
        raise ValueError(f"{where} has arguments that are no JSON: {problem}")
    return args


def _to_function_response(text: str) -> JSON:
    """The result of a call as the object that the API takes: a JSON object as it is, anything else as ``result``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, (dict, list)) or why_not_json(value) or '"$ref"' in text:  # the API would look for a $ref
        return {"result": text}
    return value if isinstance(value, dict) else {"result": value}
