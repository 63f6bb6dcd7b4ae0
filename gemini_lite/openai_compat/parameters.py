"""OpenAI's tools and parameters as fields of `GeminiOptions`: pure functions on dicts."""
from __future__ import annotations

import logging
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional

from ..contents import merged
from ..json_data import JSON, dict_or_empty
from ..schema import to_json
from .schema import to_gemini_schema

OptionFields = Dict[str, Any]  # fields of GeminiOptions by their names

log = logging.getLogger("gemini_lite")

_RENAMED_PARAMETERS = {
    "model": "model", "temperature": "temperature", "top_p": "top_p", "seed": "seed", "n": "candidate_count",
    "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens",
    "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
}
_STREAM_PARAMETERS = frozenset(("stream", "stream_options"))  # read by OpenAIChat, nothing to send
_ONLY_SUPPORTED_VALUES = {"parallel_tool_calls": True, "service_tier": "auto"}
_NOT_GIVEN = ("NotGiven", "Omit")  # types of the openai package


class _Thinking(NamedTuple):
    """What a reasoning effort is for each family of models: a budget in tokens, or a level."""

    flash_2_5_budget: int
    pro_2_5_budget: int
    flash_3_level: str
    pro_3_level: str


_THINKING_BY_EFFORT = {  # the budgets are those of Google's own OpenAI-compatible URL; its words end with "high"
    "none": _Thinking(0, 128, "minimal", "low"),  # 2.5 Pro cannot stop thinking; 128 is its least
    "minimal": _Thinking(1024, 1024, "low", "low"),
    "low": _Thinking(1024, 1024, "low", "low"),
    "low_medium": _Thinking(4096, 4096, "medium", "low"),
    "medium": _Thinking(8192, 8192, "medium", "high"),
    "medium_high": _Thinking(16384, 16384, "high", "high"),
    "high": _Thinking(24576, 24576, "high", "high"),
    "xhigh": _Thinking(24576, 32768, "high", "high"),  # the most that each takes
    "auto": _Thinking(-1, -1, "high", "high"),
}
_LATEST = re.compile(r"\bgemini-(pro|flash|flash-lite)-latest\b")  # names that mean another model from time to time


def to_declarations(tools: Optional[Iterable[object]]) -> List[JSON]:
    """Gemini's function declarations for OpenAI's `tools`; ValueError names the tool that is not a function."""
    return [_to_declaration(to_json(tool, f"tools[{index}]"), f"tools[{index}]")
            for index, tool in enumerate(tools or ())]


def to_overrides(parameters: Mapping[str, object], model: str, drop_params: bool) -> OptionFields:
    """The fields of `GeminiOptions` that OpenAI's `parameters` set for `model` ("" if unknown).

    Parameters that are None are skipped. One that Gemini does not have is a ValueError, or with `drop_params` left out
    and logged.
    """
    overrides: OptionFields = {}
    for name, value in parameters.items():
        if value is None or type(value).__name__ in _NOT_GIVEN:
            continue
        fields = _convert_parameter(name, value, model)
        if fields is not None:
            overrides = merged(overrides, fields)
        elif drop_params:
            log.warning("%s is left out: %s has no word for it", name, model or "Gemini")
        else:
            raise ValueError(f"{model or 'Gemini'} has no word for the parameter {name}: leave it out, or have it "
                             "left out by OpenAIChat(client, drop_params=True)")
    return overrides


def _to_declaration(tool: object, where: str) -> JSON:
    function = _read_function(tool, where)
    declaration = {"name": function["name"]}
    if function.get("description"):
        declaration["description"] = function["description"]
    parameters = function.get("parameters")
    if not _has_no_parameters(parameters):
        declaration["parametersJsonSchema"] = to_gemini_schema(parameters, f"{where}.function.parameters")
    return declaration


def _has_no_parameters(schema: object) -> bool:
    """Whether `schema` is that of a function without parameters; Gemini wants such a schema left out."""
    if not isinstance(schema, dict):
        return schema is None
    return not {key for key, value in schema.items() if value} - {"type", "title", "$schema"}


def _read_function(tool: object, where: str) -> JSON:
    """The dict under ``function``, which has a name; ValueError if there is none."""
    function = dict_or_empty(dict_or_empty(tool).get("function"))
    if not isinstance(function.get("name"), str):
        raise ValueError(f"{where} is no function: write {{'type': 'function', 'function': {{'name': ..., ...}}}}")
    return function


def _convert_parameter(name: str, value: object, model: str) -> Optional[OptionFields]:
    """The fields that one parameter sets; None if Gemini has nothing like it."""
    if name in _RENAMED_PARAMETERS:
        return {_RENAMED_PARAMETERS[name]: value}
    if name in _CONVERTERS:
        return _CONVERTERS[name](value)
    if name == "reasoning_effort":
        return _thinking_fields(value, model)
    if name in _ONLY_SUPPORTED_VALUES:
        return {} if value == _ONLY_SUPPORTED_VALUES[name] else None
    return None if value and name not in _STREAM_PARAMETERS else {}  # store=False and the like ask for nothing


def _thinking_fields(effort: object, model: str) -> Optional[OptionFields]:
    """A thinking level for Gemini 3 and later, a budget for 2.5, None for others; with thoughts, except for "none".

    A budget too where the model is the default ("") or has a name that moves on: Gemini 2.5 and 3 both take it.
    The field that is not used is None, so that it replaces the one in the client's options.
    """
    if not isinstance(effort, str) or effort not in _THINKING_BY_EFFORT:
        raise ValueError(f"reasoning_effort must be one of {', '.join(_THINKING_BY_EFFORT)}, not {effort!r}")
    thinking = _THINKING_BY_EFFORT[effort]
    is_pro = "-pro" in model
    thoughts = {} if effort == "none" else {"include_thoughts": True}
    numbers = re.search(r"\bgemini-(\d+)(?:\.(\d+))?", model)
    version = (int(numbers.group(1)), int(numbers.group(2) or 0)) if numbers else (0, 0)
    if version >= (3, 0):
        level = thinking.pro_3_level if is_pro else thinking.flash_3_level
        if level == "minimal" and version >= (3, 7):  # these models do not have it
            level = "low"
        return {"thinking_level": level, "thinking_budget": None, **thoughts}
    if version == (2, 5) or not model or _LATEST.search(model):
        budget = thinking.pro_2_5_budget if is_pro else thinking.flash_2_5_budget
        return {"thinking_budget": budget, "thinking_level": None, **thoughts}
    return None


def _stop_fields(stop: object) -> OptionFields:
    return {"stop_sequences": [stop] if isinstance(stop, str) else stop}


def _tool_choice_fields(choice: object) -> OptionFields:
    if choice in ("auto", "none", "required"):
        return {"tool_choice": "any" if choice == "required" else choice}
    allowed = dict_or_empty(dict_or_empty(choice).get("allowed_tools"))
    if not allowed:
        return {"tool_choice": [_read_function(choice, "tool_choice")["name"]]}
    return {"tool_choice": "auto" if allowed.get("mode") == "auto" else _allowed_names(allowed)}


def _allowed_names(allowed: JSON) -> List[str]:
    """The names in the ``allowed_tools`` of a tool choice; ValueError for a mode that OpenAI does not have."""
    if allowed.get("mode") not in ("auto", "required"):
        raise ValueError("tool_choice: the mode of allowed_tools must be 'auto' or 'required', not "
                         f"{allowed.get('mode')!r}")
    return [_read_function(tool, "tool_choice")["name"] for tool in allowed.get("tools") or ()]


def allowed_declarations(declarations: List[JSON], tool_choice: object) -> List[JSON]:
    """The `declarations` that ``allowed_tools`` with the mode "auto" leaves; all of them for another choice.

    Gemini has names beside a mode for calls that must be made alone, so the other functions are not declared.
    """
    allowed = dict_or_empty(dict_or_empty(tool_choice).get("allowed_tools"))
    if allowed.get("mode") != "auto":
        return declarations
    names = _allowed_names(allowed)
    unknown = set(names) - {declaration["name"] for declaration in declarations}
    if unknown:
        raise ValueError(f"tool_choice allows {', '.join(sorted(unknown))}, which tools does not have")
    return [declaration for declaration in declarations if declaration["name"] in names]


def search_tools(options: object, drop_params: bool) -> List[JSON]:
    """The API's tool for ``web_search_options``: Google's search if they are not None, whatever they are.

    Gemini has no settings for it: ValueError for one, or with `drop_params` a line in the log.
    """
    if options is None or type(options).__name__ in _NOT_GIVEN:
        return []
    settings = {name: value for name, value in dict_or_empty(to_json(options, "web_search_options")).items()
                if value is not None and (name, value) != ("search_context_size", "medium")}
    if settings and not drop_params:
        raise ValueError(f"Gemini's search has no {', '.join(settings)}: write web_search_options={{}}, or have it "
                         "left out by OpenAIChat(client, drop_params=True)")
    if settings:
        log.warning("web_search_options: %s left out, Gemini's search has no such setting", ", ".join(settings))
    return [{"googleSearch": {}}]


def _timeout_fields(value: object) -> OptionFields:
    """For a number of seconds, or an ``httpx.Timeout``, known by its attributes; None is no limit of its own there."""
    if not hasattr(value, "read"):
        return {"timeout": value}
    connect, read = getattr(value, "connect", None), getattr(value, "read", None)
    if connect is None and read is None:
        return {}
    return {"timeout": (read if connect is None else connect, connect if read is None else read)}


def _modalities_fields(value: object) -> OptionFields:
    if not isinstance(value, (list, tuple)) or not all(isinstance(word, str) for word in value):
        raise ValueError(f"modalities must be a list such as ['text', 'image'], not {value!r}")
    return {"response_modalities": [word.upper() for word in value]} if list(value) != ["text"] else {}


def _audio_fields(value: object) -> OptionFields:
    """For ``audio``: its voice; the format is Gemini's own, PCM."""
    voice = dict_or_empty(to_json(value, "audio")).get("voice")
    if not isinstance(voice, str):
        raise ValueError("audio must be {'voice': ..., 'format': ...} with the name of one of Gemini's voices")
    return {"speech_config": voice}


def _response_format_fields(value: object) -> OptionFields:
    if isinstance(value, type):
        raise TypeError(f"response_format is a dict, not the class {value.__name__}: write {{'type': 'json_schema', "
                        f"'json_schema': {{'name': ..., 'schema': ...}}}} with its JSON Schema, or call "
                        f"client.generate(..., response_schema={value.__name__})")
    response_format = dict_or_empty(to_json(value, "response_format"))
    format_type = response_format.get("type")
    if format_type == "text":
        return {}
    if format_type == "json_object":
        return {"response_mime_type": "application/json"}
    if format_type != "json_schema":
        raise ValueError(f"response_format must be of the type text, json_object or json_schema, not {format_type!r}")
    schema = dict_or_empty(response_format.get("json_schema")).get("schema")
    return {"response_schema": to_gemini_schema(schema, "response_format.json_schema.schema")}


def _logprobs_fields(value: object) -> OptionFields:
    """For ``logprobs``, whose `value` is a bool, and for ``top_logprobs``, whose `value` is a number."""
    fields: OptionFields = {"response_logprobs": True} if value is True else {
        "response_logprobs": True, "logprobs": value}
    return fields if value else {}


_CONVERTERS: Dict[str, Callable[[object], OptionFields]] = {
    "stop": _stop_fields, "tool_choice": _tool_choice_fields, "response_format": _response_format_fields,
    "logprobs": _logprobs_fields, "top_logprobs": _logprobs_fields, "timeout": _timeout_fields,
    "modalities": _modalities_fields, "audio": _audio_fields,
}
