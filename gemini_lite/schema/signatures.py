"""A Python function as a model may call it: its name, its documentation and the shape of its arguments."""
from __future__ import annotations

import functools
import inspect
import types
from typing import Any, Callable, Dict, List, Mapping, Set, Tuple

from .docstrings import split_docstring
from .fields import MISSING, Field
from .hint_parts import resolve_hints
from .hints import Record, fields_record

Function = Callable[..., object]


def check_callable(function: object, name: str) -> None:
    """TypeError if `function` cannot be called from synchronous code with arguments by name."""
    if not callable(function):
        raise TypeError(f"the function of {name} is {function!r}, which cannot be called")
    if isinstance(function, type):
        raise TypeError(f"{name} is a class: give a function that makes one")
    code = _annotated_function(function)
    if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
        raise TypeError(f"{name} is async, and there is no event loop here: give a function that calls it with "
                        "asyncio.run")
    try:
        inspect.signature(function)
    except ValueError as error:
        raise TypeError(f"{name} does not tell its parameters: wrap it in a function of yours") from error


def function_name(function: Function) -> str:
    """The name of a function, or of the class of a callable object; ValueError for a lambda."""
    inner = _without_partial(function)
    name: str = getattr(function, "__name__", None) or getattr(inner, "__name__", None) or type(inner).__name__
    if name == "<lambda>":
        raise ValueError("a lambda has no name to call it by: write a def, or Tool(name, description, function=...)")
    return name


def documentation(function: Function) -> Tuple[str, Dict[str, str]]:
    """The docstring without its parameter lists, and the descriptions of the parameters by name."""
    inner, code = _without_partial(function), _annotated_function(function)
    docstring = code.__doc__ or (None if code is inner else type(inner).__doc__)
    return split_docstring(docstring or "")


def arguments_shape(function: Function, name: str) -> Record:
    """The arguments as an object, read as a dict of what the type hints say; TypeError where a hint is missing.

    Parameters that a `functools.partial` has filled in are left out.
    """
    parameters = _unfilled_parameters(function)
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{name}: the model gives arguments by name, which {parameter} does not take: name each "
                            "parameter (on a decorator, functools.wraps does), or give Tool the parameters")
    hints = resolve_hints(
        types.SimpleNamespace(__annotations__={one.name: one.annotation for one in parameters}), name,
        getattr(inspect.unwrap(_annotated_function(function)), "__globals__", {}), {},
    )
    descriptions = documentation(function)[1]
    return fields_record([_field(one, hints, descriptions) for one in parameters], name)


def _without_partial(function: Function) -> Function:
    """The callable inside any number of `functools.partial`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _annotated_function(function: Function) -> Callable[..., Any]:
    """The function that has the annotations: `function` itself, or the ``__call__`` of a callable object's class."""
    inner = _without_partial(function)
    return inner if hasattr(inner, "__name__") else type(inner).__call__


def _unfilled_parameters(function: Function) -> List[inspect.Parameter]:
    """The parameters without those that a `functools.partial` has filled in."""
    filled: Set[str] = set()
    parameters = inspect.signature(function).parameters
    while isinstance(function, functools.partial):
        filled.update(function.keywords)
        function = function.func
    return [parameter for name, parameter in parameters.items() if name not in filled]


def _field(parameter: inspect.Parameter, hints: Mapping[str, object], descriptions: Mapping[str, str]) -> Field:
    required = parameter.default is parameter.empty
    default = MISSING if required else parameter.default
    return Field(parameter.name, _hint(parameter, hints), required, default, descriptions.get(parameter.name))


def _hint(parameter: inspect.Parameter, hints: Mapping[str, object]) -> object:
    """The type hint; where there is none, the type of a simple default."""
    if parameter.annotation is not parameter.empty:
        return hints[parameter.name]
    default_type = type(parameter.default)
    return default_type if default_type in (str, int, float, bool) else MISSING
