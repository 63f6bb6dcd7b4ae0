"""The tools of a request: how the model is told of them, the names they travel under, and how a call is run."""
from __future__ import annotations

import contextvars
import inspect
import itertools
import logging
import re
import threading
from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import media
from .answers.check import why_not_json
from .errors import ParseError
from .json_data import JSON
from .schema import signatures, to_json
from .turns.calls import FunctionCall

log = logging.getLogger("gemini_lite")

_CHOICE_MODES = ("auto", "any", "none", "validated")
_VALID_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")  # as the API allows it


class Tool:
    """A function that the model may call; without `function`, one whose calls you answer yourself.

    `parameters` is a JSON Schema of type object for the model; the function gets what the model writes, as plain JSON
    data that nobody has checked against the schema. Left out, it is made from the function's type hints and its
    docstring's parameter list (Google, NumPy or Sphinx), and the function gets arguments of the types in its hints.
    TypeError and ValueError say what cannot be declared, and what to write instead.
    """

    def __init__(
        self, name: str, description: str = "", parameters: Optional[Mapping[str, object]] = None,
        function: Optional[Callable[..., object]] = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a tool has a name, not {name!r}")
        if function is not None:
            signatures.check_callable(function, name)
        self.name = name
        self.description = description
        self.function = function
        self.parameters: Optional[JSON] = None
        self._reads_type_hints = parameters is None and function is not None
        if parameters is not None:
            self.parameters = to_json(parameters, f"the parameters of {name}")
        elif function is not None:
            schema = signatures.arguments_shape(function, name).schema
            self.parameters = schema if schema["properties"] else None  # the API refuses objects without properties

    @classmethod
    def from_function(cls, function: Callable[..., object]) -> "Tool":
        """A tool with the function's name, its docstring without the parameter list, and its signature."""
        return cls(signatures.function_name(function), signatures.documentation(function)[0], function=function)

    def to_api(self) -> JSON:
        """The function declaration as the API documents it; what is empty is left out."""
        declaration: JSON = {"name": self.name}
        if self.description:
            declaration["description"] = self.description
        if self.parameters:
            declaration["parametersJsonSchema"] = to_json(self.parameters)
        return declaration

    def arguments(self, args: Mapping[str, object]) -> JSON:
        """The model's `args` as the function takes them; ParseError says to the model what is wrong with them."""
        values: JSON = to_json(args)  # a copy: the function may change what it gets
        if self.function is None:
            return values
        if self._reads_type_hints:
            values = signatures.arguments_shape(self.function, self.name).read(values, "")
        else:
            try:
                inspect.signature(self.function).bind(**values)
            except TypeError as error:
                raise ParseError(str(error)) from error
        return values

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"


ToolLike = Union[Callable[..., object], Tool, Mapping[str, object]]  # what the option ``tools`` may hold


class ToolOutput(NamedTuple):
    """What the model gets for a call: the ``response`` object, and as ``parts`` the pictures, sound and files.

    `failure` says why the function's result could not be sent; the model gets its words.
    """

    response: JSON
    parts: Sequence[JSON] = ()
    failure: Optional[Exception] = None


def is_function(item: object) -> bool:
    """Whether an item of the option ``tools`` is a Python function, which can be called, and no mere declaration."""
    return item.function is not None if isinstance(item, Tool) else callable(item) and not isinstance(item, Mapping)


def run(tool: Tool, call: FunctionCall) -> ToolOutput:
    """Run `tool` for `call`.

    Arguments that do not fit, and whatever the function raises, come back under ``error``, for the model to read; the
    latter is logged with its traceback. `tool_output` says what becomes of a result.
    """
    if tool.function is None:
        raise TypeError(f"the tool {tool.name} has no function to run")
    try:
        arguments = tool.arguments(call.args)
    except ParseError as error:
        return ToolOutput({"error": _encodable(f"The function was not called: {error}")})
    try:
        result = tool.function(**arguments)
    except Exception as error:  # any error of the user's function is an answer that the model can react to
        log.exception("the tool %s failed", tool.name)
        return ToolOutput({"error": _describe(error)})
    try:
        return tool_output(result, tool.name)
    except (TypeError, ValueError) as error:
        failure: Exception = error
    except Exception as error:  # what saves a picture or makes a model a dict is the user's too
        failure = ValueError(f"the result of the tool {tool.name} cannot be sent: {_describe(error)}")
    return ToolOutput({"error": _encodable(f"The function ran, but its result cannot be sent: {failure}")},
                      failure=failure)


def run_all(todo: Sequence[Tuple[Tool, FunctionCall]], parallel: bool) -> List[ToolOutput]:
    """Run these calls and return what they give in the same order.

    `parallel` gives each call a thread, with a copy of the caller's context variables.
    """
    if not parallel or len(todo) < 2:
        return [run(tool, call) for tool, call in todo]
    outputs: Dict[int, ToolOutput] = {}
    failures: List[BaseException] = []

    def run_one(index: int) -> None:
        try:
            outputs[index] = run(*todo[index])
        except BaseException as error:  # raised again in the caller's thread
            failures.append(error)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(run_one, index), daemon=True)
               for index in range(len(todo))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [outputs[index] for index in range(len(todo))]


def tool_output(result: object, name: str) -> ToolOutput:
    """The result of the tool `name` as the model gets it.

    A dict is sent as it is, anything else under ``result``. Pictures, sound and files (`Blob`, bytes, (bytes, MIME
    type), pictures of PIL and matplotlib, uploaded files), alone or in a list, are sent as parts beside the rest of
    the list. TypeError or ValueError if the result cannot be sent.
    """
    items = list(result) if isinstance(result, (list, tuple)) and not media.is_media(result) else [result]
    files = [media.to_part(item) for item in items if media.is_media(item)]
    if not files:
        return ToolOutput(_response_object(result, name))
    rest = [item for item in items if not media.is_media(item)]
    return ToolOutput(_response_object(rest[0] if len(rest) == 1 else rest, name) if rest else {}, files)


def _response_object(result: object, name: str) -> JSON:
    where = f"the result of the tool {name}"
    converted = to_json(result, where)
    problem = why_not_json(converted)
    if problem:
        raise ValueError(f"{where} cannot be sent: {problem}")
    return converted if isinstance(converted, dict) else {"result": converted}


def _describe(error: Exception) -> str:
    """The type and the words of `error`, whose ``__str__`` may fail as well."""
    try:
        return _encodable(f"{type(error).__name__}: {error}")
    except Exception:  # the class is the user's
        return type(error).__name__


def _encodable(text: str) -> str:
    """`text` as a request can carry it: halves of characters, as in names of odd files, are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Toolbox:
    """The tools of a request, and the names they travel under.

    `tools` may mix Python functions, `Tool`, function declarations (``{"name": ...}``), and the API's own tool objects
    (``{"functionDeclarations": [...]}``, ``{"googleSearch": {}}``). A tool travels under its own name, unless the API
    would refuse that.
    """

    def __init__(self, tools: Sequence[object] = ()) -> None:
        if not isinstance(tools, (list, tuple)):
            raise TypeError(f"tools is a list of functions, Tool objects and dicts, not {type(tools).__name__}")
        self._api_tools: List[JSON] = []
        self._declarations: List[JSON] = []
        self._has_declarations_entry = False
        self._tools: Dict[str, Optional[Tool]] = {}  # by the user's name
        for index, item in enumerate(tools):
            self._add(item, f"tools[{index}]")
        self._wire_names = _wire_names(list(self._tools))
        self._user_names = {wire: user for user, wire in self._wire_names.items()}
        for declaration in self._declarations:
            declaration["name"] = self._wire_names[declaration["name"]]

    def to_api(self) -> List[JSON]:
        """The request's ``tools``: all function declarations in one entry, in the place of the first of them."""
        return self._api_tools

    def wire_name(self, name: str) -> str:
        """The name that the user's `name` travels under; the same name if no tool has it."""
        return self._wire_names.get(name, name)

    def user_name(self, wire: str) -> str:
        """The user's name of the tool that travels under `wire`; the same name if no tool has it."""
        return self._user_names.get(wire, wire)

    @property
    def renamed(self) -> Dict[str, str]:
        """The user's names by those on the wire, of the tools where they differ."""
        return {wire: user for wire, user in self._user_names.items() if wire != user}

    def tool(self, wire: str) -> Optional[Tool]:
        """The tool to `run` for a call of `wire`; None if it has no function, or there is no such tool."""
        tool = self._tools.get(self.user_name(wire))
        return tool if tool is not None and tool.function is not None else None

    def choice(self, tool_choice: object) -> JSON:
        """The request's ``toolConfig`` for "auto", "any", "none", "validated", a tool's name, or a list of names."""
        if isinstance(tool_choice, str) and tool_choice in _CHOICE_MODES:
            return {"functionCallingConfig": {"mode": tool_choice.upper()}}
        names = [tool_choice] if isinstance(tool_choice, str) else tool_choice
        if not isinstance(names, (list, tuple)) or not names:
            raise TypeError(f"tool_choice is {', '.join(map(repr, _CHOICE_MODES))}, a tool's name, or a list of names, "
                            f"not {tool_choice!r}")
        for name in names:
            if not isinstance(name, str) or name not in self._wire_names:
                hint = "; OpenAI's 'required' is 'any' here" if name == "required" else ""
                raise ValueError(f"tool_choice names {name!r}, which is neither a mode ({', '.join(_CHOICE_MODES)}) "
                                 f"nor one of the tools ({', '.join(self._wire_names) or 'none'}){hint}")
        allowed = [self._wire_names[name] for name in names]
        return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": allowed}}

    def _add(self, item: object, where: str) -> None:
        if isinstance(item, Tool):
            self._add_declaration(item.to_api(), where, item)
        elif isinstance(item, Mapping):
            self._add_dict(to_json(item, where), where)
        elif callable(item):
            tool = Tool.from_function(item)
            self._add_declaration(tool.to_api(), where, tool)
        else:
            raise TypeError(f"{where} is {item!r}: give a function, a Tool or a dict")

    def _add_dict(self, item: JSON, where: str) -> None:
        if "functionDeclarations" in item:
            declarations = item.pop("functionDeclarations")
            if not isinstance(declarations, list):
                raise TypeError(f"{where}.functionDeclarations is a list, not {declarations!r:.80}")
            self._add_declarations_entry(item)
            for index, declaration in enumerate(declarations):
                self._add_declaration(declaration, f"{where}.functionDeclarations[{index}]")
        elif "name" in item:
            self._add_declaration(item, where)
        elif item.get("type") == "function":
            raise ValueError(f"{where} is a tool in OpenAI's form: give {{'name': ..., 'description': ..., "
                             "'parametersJsonSchema': ...}, or see gemini_lite.openai_compat")
        else:
            self._api_tools.append(item)

    def _add_declaration(self, declaration: object, where: str, tool: Optional[Tool] = None) -> None:
        name = declaration.get("name") if isinstance(declaration, dict) else None
        if not isinstance(declaration, dict) or not isinstance(name, str) or not name:
            raise ValueError(f"{where} is no declaration with a name: {declaration!r:.80}")
        if name in self._tools:
            raise ValueError(f"two tools are named {name}: rename one, with Tool(name, description, function=...)")
        self._add_declarations_entry({})
        self._tools[name] = tool
        self._declarations.append(dict(declaration))

    def _add_declarations_entry(self, other_tools: JSON) -> None:
        """Add the entry that holds all declarations, unless it is there, and what the user's entry held beside them."""
        if not self._has_declarations_entry:
            self._api_tools.append({**other_tools, "functionDeclarations": self._declarations})
        elif other_tools:
            self._api_tools.append(other_tools)
        self._has_declarations_entry = True


def _wire_names(names: Sequence[str]) -> Dict[str, str]:
    """A name that the API allows for each of `names`: itself if it is allowed, else a similar one that is free."""
    wire = {name: name for name in names if _VALID_NAME.fullmatch(name)}
    for name in names:
        if name not in wire:
            wire[name] = next(similar for similar in _similar_valid_names(name) if similar not in wire.values())
    return wire


def _similar_valid_names(name: str) -> Iterator[str]:
    similar = re.sub(r"[^A-Za-z0-9_.:-]", "_", name)
    similar = (similar if _VALID_NAME.match(similar) else f"_{similar}")[:64]
    yield similar
    for number in itertools.count(2):
        ending = f"_{number}"
        yield similar[:64 - len(ending)] + ending
