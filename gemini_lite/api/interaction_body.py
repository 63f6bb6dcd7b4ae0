"""Prompts and options as the Interactions API writes them: snake_case, steps and content blocks."""
from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Sequence

from .. import schema
from ..contents import Prompt, from_prompt, merged
from ..json_data import JSON, dict_or_empty, list_of_dicts
from ..options import GeminiOptions
from ..tools import Toolbox, ToolLike, tool_output

_CONFIG_NAMES = ("temperature", "top_p", "max_output_tokens", "seed", "stop_sequences", "speech_config")
_TOOL_NAMES = {  # the API's own tools: their name in generateContent, and here
    "googleSearch": "google_search", "codeExecution": "code_execution", "urlContext": "url_context",
    "googleMaps": "google_maps", "fileSearch": "file_search", "computerUse": "computer_use", "retrieval": "retrieval",
}
_NOT_SENT = frozenset((  # options that concern this side of the wire alone, or are read elsewhere in this file
    "model", "system_prompt", "thinking_level", "include_thoughts", "response_schema", "response_mime_type", "tools",
    "tool_choice", "max_tool_rounds", "parallel_tools", "fill_missing_signatures", "safety_settings", "labels", "extra",
))
_ADVICE = {
    "thinking_budget": "give thinking_level", "cached_content": "caching is done by the service",
    "candidate_count": "ask several times", "session_id": "give previous_interaction",
    "tool_config": "give tool_choice", "image_config": "give extra={'response_format': {'type': 'image', ...}}",
    "response_modalities": "give extra={'response_format': {'type': 'image'}} or the like",
}


def build_input(prompt: Prompt) -> object:
    """The ``input`` for a prompt: a text, or a list of steps; ``[(name, result, id)]`` answers function calls."""
    if isinstance(prompt, str) and prompt:
        return prompt
    results = _function_results(prompt)
    if results:
        return results
    return [step for content in from_prompt(prompt) for step in _steps(content)]


def _function_results(prompt: object) -> List[JSON]:
    """The steps for a list of (name, result, id) tuples; empty for any other prompt."""
    if not isinstance(prompt, list) or not prompt:
        return []
    if not all(isinstance(item, tuple) and len(item) == 3 and isinstance(item[0], str) for item in prompt):
        return []
    return [{"type": "function_result", "name": name, "call_id": call_id, "result": _result(result, name)}
            for name, result, call_id in prompt]


def _result(result: object, name: str) -> object:
    """The result of a function: an object, or where it holds pictures, sound or files, a list of blocks."""
    output = tool_output(result, name)
    if not output.parts:
        return output.response
    text = [{"type": "text", "text": json.dumps(output.response, ensure_ascii=False)}] if output.response else []
    return [*text, *map(_block, output.parts)]


def _steps(content: JSON) -> List[JSON]:
    """The steps of one content dict: what it says, and each call or result as a step of its own, in order."""
    kind = "model_output" if content["role"] == "model" else "user_input"
    steps: List[JSON] = []
    for part in content["parts"]:
        step = _thought_or_call_step(part)
        if step is not None:
            steps.append(step)
        elif steps and steps[-1]["type"] == kind:
            steps[-1]["content"].append(_block(part))
        else:
            steps.append({"type": kind, "content": [_block(part)]})
    return steps


def _thought_or_call_step(part: JSON) -> Optional[JSON]:
    """The step for a thought, a function call or its result; None for a part that is content."""
    if part.get("thought") or "thoughtSignature" in part and not part.get("text") and "functionCall" not in part:
        return {"type": "thought", "signature": part.get("thoughtSignature", "")}
    call, result = part.get("functionCall"), part.get("functionResponse")
    if isinstance(call, dict):
        return {"type": "function_call", "id": call.get("id"), "name": call.get("name"),
                "arguments": call.get("args", {})}
    if isinstance(result, dict):
        return {"type": "function_result", "name": result.get("name"), "call_id": result.get("id"),
                "result": result.get("response")}
    return None


def _block(part: JSON) -> JSON:
    """The content block for a part: a text, or data or a URI with a MIME type."""
    if isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if isinstance(part.get("type"), str):
        return part  # a block of this API already
    inline, file = dict_or_empty(part.get("inlineData")), dict_or_empty(part.get("fileData"))
    mime_type = inline.get("mimeType") or file.get("mimeType")
    if inline:
        return {"type": _media_type(mime_type), "data": inline.get("data"), "mime_type": mime_type}
    if file:
        return {"type": _media_type(mime_type), "uri": file.get("fileUri"),
                **({"mime_type": mime_type} if mime_type else {})}
    raise ValueError(f"the Interactions API has no content for a part with {', '.join(part) or 'nothing in it'}: give "
                     "text, data with a MIME type, or a URI")


def _media_type(mime_type: object) -> str:
    kind = str(mime_type).partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def build_options(options: GeminiOptions) -> JSON:
    """The fields of a request that `options` say; ValueError for an option that this API has no word for."""
    _check_known(options)
    body: JSON = {}
    if options.system_prompt:
        body["system_instruction"] = _system_text(options.system_prompt)
    config: JSON = {name: value for name in _CONFIG_NAMES if (value := getattr(options, name, None)) is not None}
    if options.thinking_level is not None:
        config["thinking_level"] = options.thinking_level.lower()
    if options.include_thoughts is not None:
        config["thinking_summaries"] = "auto" if options.include_thoughts else "none"
    if options.tool_choice is not None:
        config["tool_choice"] = _tool_choice(options.tool_choice)
    if config:
        body["generation_config"] = config
    if options.tools:
        body["tools"] = _tools(options.tools)
    if options.response_schema is not None:
        body["response_format"] = {"type": "text", "mime_type": options.response_mime_type or "application/json",
                                   "schema": schema.to_schema(options.response_schema, "response_schema")}
    elif options.response_mime_type is not None:
        body["response_format"] = {"type": "text", "mime_type": options.response_mime_type}
    if options.safety_settings is not None:
        body["safety_settings"] = [_safety_setting(setting) for setting in options.safety_settings]
    if options.labels is not None:
        body["labels"] = dict(options.labels)
    return body


def _check_known(options: GeminiOptions) -> None:
    for name, value in options.__getstate__().items():
        if value is not None and name not in _NOT_SENT and name not in _CONFIG_NAMES:
            advice = _ADVICE.get(name, "leave it out, or use client.generate")
            raise ValueError(f"the Interactions API has no {name}: {advice}")


def _system_text(prompt: object) -> str:
    if isinstance(prompt, str):
        return prompt
    texts = [item if isinstance(item, str) else dict_or_empty(item).get("text") for item in _as_list(prompt)]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("the Interactions API takes a system prompt of text alone")
    return "\n\n".join(map(str, texts))


def _as_list(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else [value]


def _tool_choice(choice: object) -> object:
    """``auto``, ``any``, ``none`` and ``validated`` as they are; names as the functions that may be called."""
    if isinstance(choice, str) and choice in ("auto", "any", "none", "validated"):
        return choice
    return {"allowed_tools": {"mode": "any", "tools": list(map(str, _as_list(choice)))}}


def _tools(given: Sequence[ToolLike]) -> List[JSON]:
    """Tools in this API's form (with a ``type``) as they are, then the others, turned into it."""
    own_form = [tool for tool in given if isinstance(tool, Mapping) and isinstance(tool.get("type"), str)]
    tools: List[JSON] = [dict(tool) for tool in own_form]
    for entry in Toolbox([tool for tool in given if tool not in own_form]).to_api():
        for name, value in entry.items():
            if name == "functionDeclarations":
                tools += [_function(declaration) for declaration in list_of_dicts(value)]
            elif name in _TOOL_NAMES:
                tools.append({"type": _TOOL_NAMES[name], **_snake_case(dict_or_empty(value))})
            else:
                raise ValueError(f"the Interactions API has no tool {name!r}: give it in that API's form, with a type")
    return tools


def _function(declaration: JSON) -> JSON:
    parameters = declaration.get("parametersJsonSchema") or declaration.get("parameters")
    return {"type": "function", "name": declaration.get("name"),
            **({"description": declaration["description"]} if declaration.get("description") else {}),
            **({"parameters": parameters} if parameters else {})}


def _snake_case(value: Mapping[str, Any]) -> Dict[str, Any]:
    return {"".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name): one
            for name, one in value.items()}


def _safety_setting(setting: Mapping[str, Any]) -> JSON:
    """``{"category": "HARM_CATEGORY_HATE_SPEECH", ...}`` as this API names it: ``type``, in small letters."""
    result = {name: value for name, value in setting.items() if name != "category"}
    if "category" in setting:
        result["type"] = str(setting["category"]).lower().replace("harm_category_", "", 1)
    return result


def build_body(
    prompt: Prompt, options: GeminiOptions, *, model: Optional[str], agent: Optional[str],
    previous_interaction: Optional[str], background: bool, store: Optional[bool],
) -> JSON:
    """The body of a create request; ValueError for arguments that exclude each other."""
    if agent is not None and options.model is not None:
        raise ValueError("model and agent exclude each other: an agent chooses its models")
    if store is False and (background or previous_interaction):
        raise ValueError("store=False keeps nothing to go on with: it excludes background and previous_interaction")
    body: JSON = {"agent": agent} if agent is not None else {"model": model}
    body["input"] = build_input(prompt)
    body.update(build_options(options))
    if agent is not None and "generation_config" in body:
        names = ", ".join(body["generation_config"])
        raise ValueError(f"an agent takes no {names}: give extra={{'agent_config': ...}}")
    if previous_interaction is not None:
        body["previous_interaction_id"] = previous_interaction
    if background:
        body["background"] = True
    if store is not None:
        body["store"] = store
    return merged(body, options.extra) if options.extra else body
