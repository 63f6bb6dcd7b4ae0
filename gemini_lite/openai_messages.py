"""A request in OpenAI's words as contents and options of Gemini: pure functions on dicts."""
from __future__ import annotations

import base64
import json
import logging
import mimetypes
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple
from urllib.parse import unquote_to_bytes

from . import media, openai_schema
from .contents import merged
from .schema import to_json
from .tools import Toolbox

Content = Dict[str, Any]
Message = Dict[str, Any]
Part = Dict[str, Any]

_log = logging.getLogger("gemini_lite")

_RENAMED = {
    "model": "model", "temperature": "temperature", "top_p": "top_p", "seed": "seed", "n": "candidate_count",
    "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens",
    "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
}
_AS_GEMINI_DOES = {"parallel_tool_calls": True, "service_tier": "auto", "modalities": ["text"]}
_EFFORTS: Dict[str, Tuple[int, int, str, str]] = {  # for 2.5 flash, 2.5 pro, 3 flash, 3 pro
    "none": (0, 128, "minimal", "low"),
    "minimal": (3072, 4096, "low", "low"),
    "low": (6144, 8192, "low", "low"),
    "low_medium": (9216, 12288, "medium", "low"),
    "medium": (12288, 16384, "medium", "high"),
    "medium_high": (18432, 24576, "high", "high"),
    "high": (24576, 32768, "high", "high"),
    "xhigh": (24576, 32768, "high", "high"),
    "auto": (-1, -1, "high", "high"),
}


def from_openai(
    messages: Any, tools: Any = None, *, drop_params: bool = False, **parameters: Any,
) -> Tuple[List[Content], Dict[str, Any]]:
    """The contents that `messages` are, and the fields of `GeminiOptions` that `tools` and `parameters` set.

    `parameters` are those of OpenAI's chat completions: model, temperature, top_p, max_tokens, max_completion_tokens,
    stop, seed, n, presence_penalty, frequency_penalty, tool_choice, response_format, reasoning_effort, logprobs,
    top_logprobs; None is not given. What Gemini has no word for is a ValueError, or with `drop_params` left out and
    logged. ValueError and TypeError name the place of a message or tool that cannot be sent. Nothing is changed.
    """
    model = parameters.get("model")
    declarations = _declarations(tools)
    conversation = _Conversation(Toolbox(declarations), not re.search(r"\bgemini-[12]\b|\bgemma", model or ""))
    overrides = conversation.read(messages)
    if declarations:
        overrides["tools"] = declarations
    elif parameters.get("tool_choice") in ("auto", "none"):
        parameters["tool_choice"] = None
    return conversation.contents, {**overrides, **_options(parameters, drop_params)}


# Messages

class _Conversation:
    """Contents that grow message by message; calls and their answers stay together."""

    def __init__(self, toolbox: Toolbox, with_ids: bool) -> None:
        self.contents: List[Content] = []
        self._toolbox = toolbox
        self._with_ids = with_ids  # Gemini 3 pairs calls and answers by them, models before refuse them
        self._system: List[str] = []
        self._calls: List[Dict[str, Any]] = []  # those of the last assistant's message: id, name, response
        self._caller = ""  # where it stands
        self._growing = False  # whether another call may join the last calls and answers

    def read(self, messages: Any) -> Dict[str, Any]:
        """Take in all messages; the system prompt comes back as an option."""
        if not isinstance(messages, (list, tuple)):
            raise TypeError("messages is a list of dicts, not %s" % type(messages).__name__)
        for index, message in enumerate(messages):
            where = "messages[%d]" % index
            self._add(to_json(message, where), where)
        self._check_answered("the end of the messages")
        if not self.contents:
            raise ValueError("messages hold nothing that could be answered: add {'role': 'user', 'content': '...'}")
        return {"system_prompt": "\n\n".join(self._system)} if self._system else {}

    def _add(self, message: Any, where: str) -> None:
        role = message.get("role") if isinstance(message, dict) else None
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
            raise ValueError("%s has the role %r: it must be system, developer, user, assistant or tool" % (where, role))

    def _turn(self, role: str, parts: List[Part]) -> None:
        """Add a turn, or to the last one if it is of the same role; what a human says never joins an answer."""
        last = self.contents[-1] if self.contents else {}
        if parts and last.get("role") == role and "functionResponse" not in last["parts"][-1]:
            last["parts"] += parts
        elif parts:
            self.contents.append({"role": role, "parts": parts})

    def _add_assistant(self, message: Message, where: str) -> None:
        calls = [(call, call.get("function")) for call in message.get("tool_calls") or ()]
        if message.get("function_call"):
            calls.append(({}, message["function_call"]))
        self._turn("model", _said(message, where))
        self._calls, self._caller = [], where
        for index, (call, function) in enumerate(calls):
            self._add_call(call, function, "%s.tool_calls[%d]" % (where, index))

    def _add_call(self, call: Dict[str, Any], function: Any, where: str) -> None:
        """Ask for the result of `function`, a dict with a name and arguments."""
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not name:
            raise ValueError("%s names no function" % where)
        one = {"id": call.get("id"), "name": name, "response": None}
        part = {"functionCall": {**self._named(one), "args": _arguments(function.get("arguments"), where)}}
        signature = _signature(call)
        self._turn("model", [{**part, "thoughtSignature": signature} if signature else part])
        self._calls.append(one)

    def _add_result(self, message: Message, where: str) -> None:
        original = message.get("originalFunctionCall")
        if original is not None:  # AnythingLLM keeps a call and its result in one message
            self._add_original(original, where)
        owed = [call for call in self._calls if call["response"] is None]
        key = "id" if message.get("tool_call_id") else "name"
        wanted = original.get("id") if original else message.get("tool_call_id") or message.get("name")
        call = owed[0] if original else next((call for call in owed if wanted and call[key] == wanted), None)
        if call is None:
            raise ValueError("%s is the result of a call that is not there (%s %r); owed: %s"
                             % (where, key, wanted, _listed(owed) or "none"))
        call["response"] = _response(_text(message.get("content"), where))
        if all(call["response"] is not None for call in self._calls):
            self._answer()

    def _add_original(self, original: Any, where: str) -> None:
        """Ask for the call that a function message brings along.

        The calls of one answer come as messages of their own, and only the first of them has a signature: a call
        without one joins those before it.
        """
        self._check_answered(where)
        self._caller = where
        if self._growing and not _signature(original):
            self.contents.pop()
            answered, self._calls = self._calls, []
            self._add_call(original, original, where + ".originalFunctionCall")
            self._calls = answered + self._calls
        else:
            self._calls = []
            self._add_call(original, original, where + ".originalFunctionCall")
        self._growing = True

    def _answer(self) -> None:
        """Add the turn with the results of all calls, in the order of the calls."""
        self.contents.append({"role": "user", "parts": [
            {"functionResponse": {**self._named(call), "response": call["response"]}} for call in self._calls]})

    def _check_answered(self, where: str) -> None:
        owed = [call for call in self._calls if call["response"] is None]
        if owed:
            raise ValueError("%s calls functions whose results do not come before %s; owed: %s"
                             % (self._caller, where, _listed(owed)))

    def _named(self, call: Dict[str, Any]) -> Dict[str, str]:
        """The name on the wire, and the id if the model takes one."""
        name = self._toolbox.wire_name(call["name"])
        if name == call["name"]:  # it is lawful, or no longer among the tools
            name = Toolbox([{"name": name}]).wire_name(name)
        return {"id": call["id"], "name": name} if call["id"] and self._with_ids else {"name": name}


def _listed(calls: List[Dict[str, Any]]) -> str:
    return ", ".join("%s (id %s)" % (call["name"], call["id"]) for call in calls)


def _text(content: Any, where: str) -> str:
    """The text of a message that can hold nothing else."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ValueError("%s.content must be a string or a list of parts, not %r" % (where, content))
    places = [(part, "%s.content[%d]" % (where, index)) for index, part in enumerate(content)]
    return "".join([_string(part, place, str(part.get("type"))) if _kind(part) in ("text", "refusal")
                    else _unknown(part, place) for part, place in places])


def _parts(content: Any, where: str) -> List[Part]:
    """The parts of a user's message; empty text is none."""
    if not isinstance(content, list):
        text = _text(content, where)
        return [{"text": text}] if text else []
    parts = [_PARTS.get(_kind(part), _unknown)(part, "%s.content[%d]" % (where, index))
             for index, part in enumerate(content)]
    return [part for part in parts if part != {"text": ""}]


def _kind(part: Any) -> str:
    return str(part.get("type")) if isinstance(part, dict) else ""


def _unknown(part: Any, where: str) -> Any:
    raise ValueError("%s is of the type %r, which cannot be sent from here" % (where, _kind(part)))


def _string(value: Any, where: str, *names: str) -> str:
    """The string in `value` under these names, one inside the other."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise ValueError("%s.%s must be a string" % (where, ".".join(names)))
    return value


def _image(part: Dict[str, Any], where: str) -> Part:
    url = _string(part, where, "image_url", "url")
    if not url.startswith("data:"):
        raise ValueError("%s has its picture elsewhere (%.100s), and nothing is fetched here: fetch it, and give "
                         "'data:image/png;base64,...'" % (where, url))
    return _from_data_url(url, where)


def _audio(part: Dict[str, Any], where: str) -> Part:
    kind = "audio/" + _string(part, where, "input_audio", "format")
    return _from_base64(_string(part, where, "input_audio", "data"), kind, where)


def _file(part: Dict[str, Any], where: str) -> Part:
    file = part.get("file")
    if isinstance(file, dict) and file.get("file_id"):
        raise ValueError("%s is a file in OpenAI's store, which Gemini cannot read: give its file_data" % where)
    data = _string(part, where, "file", "file_data")
    if data.startswith("data:"):
        return _from_data_url(data, where)
    kind = mimetypes.guess_type(str(part["file"].get("filename")))[0]
    if kind is None:
        raise ValueError("%s tells no MIME type: give file_data as 'data:application/pdf;base64,...'" % where)
    return _from_base64(data, kind, where)


_PARTS: Dict[str, Callable[[Any, str], Part]] = {
    "text": lambda part, where: {"text": _string(part, where, "text")},
    "image_url": _image, "input_audio": _audio, "file": _file,
}


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
        raise ValueError("%s: %s" % (where, error)) from None


def _google(holder: Any) -> Dict[str, Any]:
    """What Google's own endpoints, and `to_openai`, put beside a message or a call."""
    extra = holder.get("extra_content") if isinstance(holder, dict) else None
    found = extra.get("google") or extra.get("vertex") if isinstance(extra, dict) else None
    return found if isinstance(found, dict) else {}


def _signature(call: Any) -> Optional[str]:
    return _google(call).get("thought_signature") or call.get("thought_signature")


def _said(message: Message, where: str) -> List[Part]:
    """The parts of what the model said before its calls, with their signatures where they were."""
    text = _text(message.get("content") or message.get("refusal"), where)
    rest = _google(message).get("parts") or []
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
        raise ValueError("%s has arguments that are no JSON: %s" % (where, error)) from None
    if not isinstance(args, dict):
        raise ValueError("%s has arguments that are no JSON object: %.100r" % (where, arguments))
    return args


def _no_constant(name: str) -> Any:
    raise ValueError(name + " is no JSON")


def _response(text: str) -> Dict[str, Any]:
    """The result of a call as the object that the API wants: a JSON object as it is, else under ``result``."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, (dict, list)) or '"$ref"' in text:  # the API would look for what a $ref refers to
        return {"result": text}
    return value if isinstance(value, dict) else {"result": value}


# Tools and parameters

def _declarations(tools: Any) -> List[Dict[str, Any]]:
    return [_declaration(to_json(tool, "tools[%d]" % index), "tools[%d]" % index)
            for index, tool in enumerate(tools or ())]


def _declaration(tool: Any, where: str) -> Dict[str, Any]:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValueError("%s is no tool that Gemini has: write {'type': 'function', 'function': {'name': ..., "
                         "'description': ..., 'parameters': ...}}" % where)
    declaration = {"name": function["name"]}
    if function.get("description"):
        declaration["description"] = function["description"]
    parameters = function.get("parameters") or {}
    if {key for key, value in parameters.items() if value} - {"type", "title", "$schema"}:  # not for no parameters
        place = "%s.function.parameters" % where
        declaration["parametersJsonSchema"] = openai_schema.to_gemini(parameters, place)
    return declaration


def _options(parameters: Mapping[str, Any], drop_params: bool) -> Dict[str, Any]:
    overrides: Dict[str, Any] = {}
    for name, value in parameters.items():
        if value is None or type(value).__name__ in ("NotGiven", "Omit"):  # as the openai package says it
            continue
        if name in _RENAMED:
            found: Optional[Dict[str, Any]] = {_RENAMED[name]: value}
        elif name in _TURNED:
            found = _TURNED[name](value, parameters.get("model") or "")
        else:
            found = {} if value == _AS_GEMINI_DOES.get(name, value or value) and not _asks(name, value) else None
        if found is None:
            _refuse(name, drop_params)
        else:
            overrides = merged(overrides, found)
    return overrides
