"""From the flags of a command to `GeminiOptions`, with the Python functions that --tool names."""
from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import List, Optional, Sequence, cast

from ..json_data import JSON
from ..options import GeminiOptions
from ..tools import ToolLike
from .arguments import Arguments


def build_options(arguments: Arguments, *, response_schema: Optional[JSON] = None) -> GeminiOptions:
    """The options that the flags of a prompt or a chat ask for."""
    options = GeminiOptions(
        model=arguments.model, system_prompt=arguments.system, temperature=arguments.temperature,
        include_thoughts=arguments.thinking or None, tools=import_tools(arguments.tool),
        response_schema=response_schema)
    options.toolbox  # raises now, before anything is sent, for what cannot be a tool
    return options


def import_tools(names: Sequence[str]) -> Optional[List[ToolLike]]:
    """The objects named ``module:function``, None for no names; modules in the current folder are found too."""
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return [_import_tool(name) for name in names] or None


def _import_tool(name: str) -> ToolLike:
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise ValueError(f"{name!r} names no tool: write --tool module:function")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for the answer
            found: object = importlib.import_module(module)
    except Exception as error:  # the user's code may raise anything
        raise ValueError(f"the tool {name} cannot be imported: {type(error).__name__}: {error}") from error
    try:
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except AttributeError as error:
        raise ValueError(f"the tool {name} is not there: {error}") from None
    return cast(ToolLike, found)  # whoever declares the tools refuses an object that is none
