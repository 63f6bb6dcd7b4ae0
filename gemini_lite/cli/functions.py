"""The Python functions that the model may call: found by --tool and --functions, and asked about before they run."""
from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
import sys
import threading
from types import ModuleType
from typing import Any, Callable, Iterator, List, Optional, Sequence, cast

from ..tools import Tool, ToolLike
from .inputs import stdin_is_piped
from .printer import describe_call
from .standard_error import confirm

_asking = threading.Lock()  # one question at a time, where tools run in threads


def import_tools(names: Sequence[str]) -> Optional[List[ToolLike]]:
    """The objects named ``module:function``, None for no names; modules in the current folder are found too."""
    if not names:
        return None
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        raise ValueError("the current folder is not there any more, so no tool can be found in it: change to another "
                         "one") from None
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return [_import_tool(name) for name in names]


def load_functions(paths: Sequence[str]) -> List[ToolLike]:
    """The functions that are defined in the Python files: those of ``__all__``, else those whose names begin with no _.
    """
    return [function for path in paths for function in _functions_of(_load_file(path), path)]


def ask_before_running(tool: ToolLike) -> ToolLike:
    """`tool`, which at a terminal asks the user each time before its function runs; as it is where it has none."""
    if stdin_is_piped() or not sys.stderr.isatty():
        return tool
    if isinstance(tool, Tool) and tool.function is not None:
        return Tool(tool.name, tool.description, tool.parameters, function=_asked(tool.function, tool.name))
    if callable(tool):
        return _asked(tool, getattr(tool, "__name__", type(tool).__name__))
    return tool


def _asked(function: Callable[..., object], name: str) -> Callable[..., object]:
    @functools.wraps(function)
    def ask_and_run(*args: Any, **arguments: Any) -> object:
        with _asking:
            is_allowed = confirm(f"run {describe_call(name, arguments)}?")
        if not is_allowed:
            return {"error": "the user did not allow this call"}
        return function(*args, **arguments)
    return ask_and_run


def _import_tool(name: str) -> ToolLike:
    module, colon, path = name.partition(":")
    if module.endswith(".py"):
        raise ValueError(f"--tool takes a module's name and no file: write --tool {module[:-3]}:{path or 'function'}, "
                         f"or --functions {module}")
    if not (module and colon and path):
        raise ValueError(f"{name!r} names no tool: write --tool module:function")
    with _import_errors(f"the tool {name}"):
        found: object = importlib.import_module(module)
    try:
        for attribute in path.split("."):
            found = getattr(found, attribute)
    except AttributeError as error:
        raise ValueError(f"the tool {name} is not there: {error}") from None
    return cast(ToolLike, found)  # whoever declares the tools refuses an object that is none


def _load_file(path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise ValueError(f"{path} is no file: write --functions FILE.py")
    if not path.endswith(".py"):
        raise ValueError(f"{path} is no Python file, whose name ends in .py")
    module = ModuleType("gemini_lite_functions")
    module.__file__ = path
    with _import_errors(path):
        sys.modules[module.__name__] = module  # dataclasses look their module up there
        with open(path, "rb") as file:  # as it stands: the cache of compiled files may hold the one of a second ago
            exec(compile(file.read(), path, "exec", dont_inherit=True), vars(module))
    return module


def _functions_of(module: ModuleType, path: str) -> List[ToolLike]:
    chosen: Optional[Sequence[str]] = getattr(module, "__all__", None)
    if chosen is not None:
        missing = [name for name in chosen if not callable(getattr(module, name, None))]
        if missing:
            raise ValueError(f"{path} has no function {missing[0]}, which its __all__ names")
        return [getattr(module, name) for name in chosen]
    found: List[ToolLike] = [value for name, value in vars(module).items() if inspect.isfunction(value)
                             and value.__module__ == module.__name__ and not name.startswith("_")]
    if not found:
        raise ValueError(f"{path} defines no function whose name begins without _")
    return found


@contextlib.contextmanager
def _import_errors(name: str) -> Iterator[None]:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for the answer
            yield
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and a script may end in sys.exit()
        raise ValueError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
