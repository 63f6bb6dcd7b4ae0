"""From the options of a command to `GeminiOptions`."""
from __future__ import annotations

import json
from typing import Dict, List, Optional

from ..json_data import JSON
from ..options import GeminiOptions
from ..tools import ToolLike
from .arguments import Arguments
from .functions import ask_before_running, import_tools, load_functions


def build_options(arguments: Arguments, *, response_schema: Optional[JSON] = None) -> GeminiOptions:
    """The options that a prompt, a chat or a token count asks for; ValueError or TypeError for what cannot be one."""
    tools = [*(import_tools(arguments.tool) or []), *load_functions(arguments.functions)]
    tools = [tool if getattr(arguments, "yes", True) else ask_before_running(tool) for tool in tools]
    search: List[ToolLike] = [{"googleSearch": {}}] if arguments.search else []
    options = GeminiOptions(
        model=arguments.model, system_prompt=arguments.system, temperature=getattr(arguments, "temperature", None),
        include_thoughts=getattr(arguments, "thinking", False) or None, tools=[*tools, *search] or None,
        response_schema=response_schema)
    options = apply_settings(options, arguments.settings)
    options.toolbox  # raises now, before anything is sent, for what cannot be a tool
    return options


def apply_settings(options: GeminiOptions, settings: List[str]) -> GeminiOptions:
    """`options` with each NAME=VALUE of --set; a value is JSON where the option takes it, else a string."""
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise ValueError(f"--set {setting}: write NAME=VALUE, such as --set top_p=0.9")
        changes: Dict[str, object] = {name: _json_or_text(text)}
        try:
            options = options.replace(**changes)
        except TypeError:
            try:
                options = options.replace(**{name: text})  # 7 as a system prompt
            except TypeError as error:
                example = f": --set {name}='{json.dumps([text])}'" if "must be a list" in str(error) else ""
                raise TypeError(f"{error}{example}") from None
    return options


def _json_or_text(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value
