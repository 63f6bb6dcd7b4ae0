"""OpenAI's chat messages as contents of Gemini: pure functions on dicts."""
from __future__ import annotations

import base64
import json
import mimetypes
from typing import Any, Callable, Dict, List, Optional, Tuple
from urllib.parse import unquote_to_bytes

from .. import media
from ..json_data import dict_or_empty, list_of_dicts
from ..schema import to_json
from ..tools import Toolbox

Content = Dict[str, Any]
Message = Dict[str, Any]
Part = Dict[str, Any]


def to_contents(messages: Any, toolbox: Toolbox, with_ids: bool) -> Tuple[List[Content], Optional[str]]:
    """The contents that `messages` are, and their system prompt, None where there is none.

    Tools go by their names in `toolbox`. `with_ids` keeps the ids of calls: Gemini 3 pairs calls and results by them,
    models before it refuse them. ValueError and TypeError name the place of what cannot be sent.
    """
    if not isinstance(messages, (list, tuple)):
        raise TypeError(f"messages is a list of dicts, not {type(messages).__name__}")
    conversation = _Conversation(toolbox, with_ids)
    for index, message in enumerate(messages):
        where = f"messages[{int(index)}]"
        conversation.add(to_json(message, where), where)
    return conversation.done()


class _Conversation:
    """Contents that grow message by message; calls and their answers stay together."""

    def __init__(self, toolbox: Toolbox, with_ids: bool) -> None:
        self.contents: List[Content] = []
        self._toolbox = toolbox
        self._with_ids = with_ids
        self._system: List[str] = []
        self._calls: List[Dict[str, Any]] = []  # those of the model's last turn: id, name and response, None if owed
        self._caller = ""  # where these stand
        self._growing = False  # whether another call may still join them

    def add(self, message: Any, where: str) -> None:
        if not isinstance(message, dict):
            raise TypeError(f"{where} is no dict but {type(message).__name__}")
        role = message.get("role")
        if role in ("system", "developer"):
            self._system += filter(None, [_text(message.get("content"), where)])
        elif role in ("tool", "function"):
            self._add_result(message, where)
        elif role in ("user", "assistant"):
            self._check_answered(where)
            self._growing = False
            if role == "user":
                self._turn("user", _parts(message.get("content"), where))
            else:
                self._add_assistant(message, where)
        else:
            raise ValueError("%s has the role %r; the roles are system, developer, user, assistant and tool"
                             % (where, role))

    def done(self) -> Tuple[List[Content], Optional[str]]:
        self._check_answered("the end")
        if not self.contents:
            raise ValueError("messages hold nothing to answer: add {'role': 'user', 'content': '...'}")
        return self.contents, "\n\n".join(self._system) or None

    def _turn(self, role: str, parts: List[Part]) -> None:
        """Add a turn, or to the last one if it is of the same role; what a human says never joins an answer."""
        last = self.contents[-1] if self.contents else {}
        if last.get("role") == role and "functionResponse" not in last["parts"][-1]:
            last["parts"] += parts
        elif parts:
            self.contents.append({"role": role, "parts": parts})

    def _add_assistant(self, message: Message, where: str) -> None:
        calls = list(message.get("tool_calls") or ())
        if message.get("function_call"):
            calls.append({"function": message["function_call"]})
        self._turn("model", _said(message, where))
        self._calls, self._caller = [], where
        for index, call in enumerate(calls):
            self._add_call(call, f"{where}.tool_calls[{int(index)}]")

    def _add_call(self, call: Any, where: str) -> None:
        function = dict_or_empty(dict_or_empty(call).get("function", call))
        name = _string(function, where, "name")
        one = {"id": call.get("id"), "name": name, "response": None}
        part = {"functionCall": {**self._named(one), "args": _arguments(function.get("arguments"), where)}}
        signature = _signature(call)
        self._turn("model", [{**part, "thoughtSignature": signature} if signature else part])
        self._calls.append(one)

    def _add_result(self, message: Message, where: str) -> None:
        if message.get("originalFunctionCall"):
            self._add_original(message["originalFunctionCall"], where)
            call = self._calls[-1]
        else:
            call = self._owed_by(message, where)
        call["response"] = _response(_text(message.get("content"), where))
        if not self._owed():
            self.contents.append({"role": "user", "parts": [
                {"functionResponse": {**self._named(one), "response": one["response"]}} for one in self._calls]})

    def _add_original(self, call: Any, where: str) -> None:
        """Ask for the call that a message of AnythingLLM's brings along with its result.

        The calls of one answer come as messages of their own, and the first of them alone has a signature: a call
        without one joins those before it.
        """
        self._check_answered(where)
        if self._growing and not _signature(call):
            self.contents.pop()  # the answers, which come again with the new one
        else:
            self._calls, self._caller = [], where
        self._add_call(call, f"{where}.originalFunctionCall")
        self._growing = True

    def _owed(self) -> List[Dict[str, Any]]:
        return [call for call in self._calls if call["response"] is None]

    def _owed_by(self, message: Message, where: str) -> Dict[str, Any]:
        """The call that a result is for: by its id, or where it has none by its name."""
        key = "id" if message.get("tool_call_id") else "name"
        wanted = message.get("tool_call_id") or message.get("name")
        found = next((call for call in self._owed() if call[key] == wanted), None)
        if found is None:
            raise ValueError("%s is the result of a call that is not there (%s %r); owed: %s"
                             % (where, key, wanted, _listed(self._owed()) or "none"))
        return found

    def _check_answered(self, where: str) -> None:
        if self._owed():
            raise ValueError("%s calls functions whose results do not come before %s; owed: %s"
                             % (self._caller, where, _listed(self._owed())))

    def _named(self, call: Dict[str, Any]) -> Dict[str, str]:
        """The name on the wire, and the id if the model takes one."""
        name = self._toolbox.wire_name(call["name"])
        name = Toolbox([{"name": name}]).wire_name(name)  # it may not be among the tools any more
        return {"id": call["id"], "name": name} if call["id"] and self._with_ids else {"name": name}


def _listed(calls: List[Dict[str, Any]]) -> str:
    return ", ".join(f"{call['name']} (id {call['id']})" for call in calls)


def _text(content: Any, where: str) -> str:
    """The text of a message that can hold nothing else."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ValueError(f"{where}.content must be a string or a list of parts, not {type(content).__name__}")
    texts = []
    for index, part in enumerate(content):
        place = f"{where}.content[{int(index)}]"
        if _kind(part, place) not in ("text", "refusal"):
            raise ValueError(f"{place} is {part['type']}, where only text can be")
        texts.append(_string(part, place, part["type"]))
    return "".join(texts)


def _parts(content: Any, where: str) -> List[Part]:
    """The parts of a user's message; empty text is none."""
    if not isinstance(content, list):
        text = _text(content, where)
        return [{"text": text}] if text else []
    parts = [_part(part, f"{where}.content[{int(index)}]") for index, part in enumerate(content)]
    return [part for part in parts if part != {"text": ""}]


def _part(part: Any, where: str) -> Part:
    kind = _kind(part, where)
    if kind == "text":
        return {"text": _string(part, where, "text")}
    if kind not in _MEDIA:
        raise ValueError(f"{where} is of the type {kind!r}; the types are text, {', '.join(_MEDIA)}")
    return _MEDIA[kind](part, where)


def _kind(part: Any, where: str) -> str:
    if not isinstance(part, dict):
        raise ValueError("%s is no part ({'type': 'text', 'text': ...}) but %s" % (where, type(part).__name__))
    return str(part.get("type"))


def _string(value: Any, where: str, *names: str) -> str:
    """The string in `value` under these names, one inside the other."""
    for name in names:
        value = dict_or_empty(value).get(name)
    if not isinstance(value, str):
        raise ValueError(f"{where}.{'.'.join(names)} must be a string")
    return value


def _image(part: Dict[str, Any], where: str) -> Part:
    url = _string(part, where, "image_url", "url")
    if not url.startswith("data:"):
        raise ValueError("%s has its picture elsewhere (%.100s), and nothing is fetched here: fetch it, and give "
                         "'data:image/png;base64,...'" % (where, url))
    return _from_data_url(url, where)


def _audio(part: Dict[str, Any], where: str) -> Part:
    kind = f"audio/{_string(part, where, 'input_audio', 'format')}"
    return _from_base64(_string(part, where, "input_audio", "data"), kind, where)


def _file(part: Dict[str, Any], where: str) -> Part:
    file = dict_or_empty(part.get("file"))
    if file.get("file_id"):
        raise ValueError(f"{where} is a file in OpenAI's store, which Gemini cannot read: give its file_data")
    data = _string(part, where, "file", "file_data")
    if data.startswith("data:"):
        return _from_data_url(data, where)
    kind = mimetypes.guess_type(str(file.get("filename")))[0]
    if kind is None:
        raise ValueError(f"{where} tells no MIME type: give file_data as 'data:application/pdf;base64,...'")
    return _from_base64(data, kind, where)


_MEDIA: Dict[str, Callable[[Any, str], Part]] = {"image_url": _image, "input_audio": _audio, "file": _file}


def _from_data_url(url: str, where: str) -> Part:
    head, _, data = url.partition(",")
    kind, *settings = head[len("data:"):].split(";")
    if "base64" in settings:
        return _from_base64(data, kind or "text/plain", where)
    return media.from_bytes(unquote_to_bytes(data), kind or "text/plain")


def _from_base64(data: str, kind: str, where: str) -> Part:
    try:
        return media.from_bytes(base64.b64decode("".join(data.split()), validate=True), kind)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _google(holder: Any) -> Dict[str, Any]:
    """What Google's own endpoints, and `to_openai`, put beside a message or a call."""
    extra = dict_or_empty(dict_or_empty(holder).get("extra_content"))
    return dict_or_empty(extra.get("google") or extra.get("vertex"))


def _signature(holder: Any) -> Optional[str]:
    return _google(holder).get("thought_signature") or dict_or_empty(holder).get("thought_signature")


def _said(message: Message, where: str) -> List[Part]:
    """The parts of what the model said before its calls, with their signatures where they were."""
    text = _text(message.get("content") or message.get("refusal"), where)
    rest = list_of_dicts(_google(message).get("parts"))
    signature = None if rest else _signature(message)
    told = "".join([part["text"] for part in rest if "text" in part and not part.get("thought")])
    if not text.endswith(told):  # the text was edited since
        return [{"text": text}] if text else []
    before = text[:len(text) - len(told)]
    if signature:
        return [{"text": before, "thoughtSignature": signature}]
    return ([{"text": before}] if before else []) + rest


def _arguments(arguments: Any, where: str) -> Dict[str, Any]:
    try:
        args = json.loads(arguments, parse_constant=_no_constant) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} has arguments that are no JSON: {error}") from None
    if not isinstance(args, dict):
        raise ValueError(f"{where} has arguments that are no JSON object: {arguments!r:.100}")
    return args


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _response(text: str) -> Dict[str, Any]:
    """The result of a call as the object that the API wants: a JSON object as it is, else under ``result``."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, (dict, list)) or '"$ref"' in text:  # the API would look for what a $ref refers to
        return {"result": text}
    return value if isinstance(value, dict) else {"result": value}
