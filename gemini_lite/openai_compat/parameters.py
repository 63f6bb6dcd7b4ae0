"""OpenAI's tools and parameters as options of Gemini: pure functions on dicts."""
from __future__ import annotations

import logging
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..contents import merged
from ..json_data import dict_or_empty
from ..schema import to_json
from .schema import to_gemini

Overrides = Dict[str, Any]

_log = logging.getLogger("gemini_lite")

_RENAMED = {
    "model": "model", "temperature": "temperature", "top_p": "top_p", "seed": "seed", "n": "candidate_count",
    "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens",
    "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
}
_OF_THE_TRANSPORT = frozenset(("stream", "stream_options"))
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


def declarations(tools: Any) -> List[Dict[str, Any]]:
    """The declarations that `tools` are; ValueError names the place of what is no function."""
    return [_declaration(to_json(tool, f"tools[{int(index)}]"), f"tools[{int(index)}]")
            for index, tool in enumerate(tools or ())]


def _declaration(tool: Any, where: str) -> Dict[str, Any]:
    function = _function(tool, where)
    declaration = {"name": function["name"]}
    if function.get("description"):
        declaration["description"] = function["description"]
    parameters = function.get("parameters")
    if not _says_nothing(parameters):
        place = f"{where}.function.parameters"
        declaration["parametersJsonSchema"] = to_gemini(parameters, place)
    return declaration


def _says_nothing(schema: Any) -> bool:
    """Whether it is the schema of a function without parameters, which Gemini wants left out."""
    if not isinstance(schema, dict):
        return schema is None
    return not {key for key, value in schema.items() if value} - {"type", "title", "$schema"}


def _function(tool: Any, where: str) -> Dict[str, Any]:
    function = dict_or_empty(dict_or_empty(tool).get("function"))
    if not isinstance(function.get("name"), str):
        raise ValueError("%s is no function: write {'type': 'function', 'function': {'name': ..., ...}}" % where)
    return function


def overrides(parameters: Mapping[str, Any], drop_params: bool) -> Overrides:
    """The fields of `GeminiOptions` that `parameters` set; None is not given.

    What Gemini has no word for is a ValueError, or with `drop_params` left out and logged.
    """
    found: Overrides = {}
    model = parameters.get("model") or ""
    for name, value in parameters.items():
        if value is None or type(value).__name__ in ("NotGiven", "Omit"):  # as the openai package says it
            continue
        option = _option(name, value, model)
        if option is not None:
            found = merged(found, option)
        elif drop_params:
            _log.warning("%s is left out: %s has no word for it", name, model or "Gemini")
        else:
            raise ValueError("%s has no word for the parameter %s: leave it out, or have it left out by "
                             "OpenAIChat(client, drop_params=True)" % (model or "Gemini", name))
    return found


def _option(name: str, value: Any, model: str) -> Optional[Overrides]:
    """The overrides that a parameter is; None where Gemini has no word for it."""
    if name in _RENAMED:
        return {_RENAMED[name]: value}
    if name in _TURNED:
        return _TURNED[name](value)
    if name == "reasoning_effort":
        return _thinking(value, model)
    if name in _AS_GEMINI_DOES:
        return {} if value == _AS_GEMINI_DOES[name] else None
    return None if value and name not in _OF_THE_TRANSPORT else {}  # store=False and the like ask for nothing


def _thinking(effort: Any, model: str) -> Optional[Overrides]:
    """The level for Gemini 3 and later, the budget for 2.5; with the thoughts, unless there shall be none."""
    if effort not in _EFFORTS:
        raise ValueError(f"reasoning_effort must be one of {', '.join(_EFFORTS)}, not {effort!r}")
    family = re.search(r"\bgemini-(\d+)(?:\.(\d+))?", model)
    version = (int(family.group(1)), int(family.group(2) or 0)) if family else (0, 0)
    *budgets, flash, pro = _EFFORTS[effort]
    thoughts = {} if effort == "none" else {"include_thoughts": True}
    if version >= (3, 0):
        level = pro if "-pro" in model else flash
        level = "low" if level == "minimal" and version >= (3, 7) else level  # which has no minimal any more
        return {"thinking_level": level, "thinking_budget": None, **thoughts}
    if version == (2, 5):
        return {"thinking_budget": budgets["-pro" in model], "thinking_level": None, **thoughts}
    return None


def _choice(choice: Any) -> Overrides:
    if choice in ("auto", "none", "required"):
        return {"tool_choice": "any" if choice == "required" else choice}
    allowed = dict_or_empty(dict_or_empty(choice).get("allowed_tools"))
    if allowed:
        if allowed.get("mode") != "required":
            raise ValueError("tool_choice: Gemini takes allowed_tools with the mode 'required' only")
        return {"tool_choice": [_function(tool, "tool_choice")["name"] for tool in allowed.get("tools") or ()]}
    return {"tool_choice": [_function(choice, "tool_choice")["name"]]}


def _format(form: Any) -> Overrides:
    form = dict_or_empty(to_json(form, "response_format"))
    kind = form.get("type")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_mime_type": "application/json"}
    if kind != "json_schema":
        raise ValueError(f"response_format must be of the type text, json_object or json_schema, not {kind!r}")
    schema = dict_or_empty(form.get("json_schema")).get("schema")
    return {"response_schema": to_gemini(schema, "response_format.json_schema.schema")}


def _logprobs(value: Any) -> Overrides:
    """`value` is logprobs, which is True, or top_logprobs, which is a number."""
    config = {"responseLogprobs": True} if value is True else {"responseLogprobs": True, "logprobs": value}
    return {"extra": {"generationConfig": config}} if value else {}


_TURNED: Dict[str, Callable[[Any], Overrides]] = {
    "stop": lambda stop: {"stop_sequences": [stop] if isinstance(stop, str) else stop},
    "tool_choice": _choice, "response_format": _format, "logprobs": _logprobs, "top_logprobs": _logprobs,
}
