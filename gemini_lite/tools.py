"""A Python function as the model sees it, and the call the model asks for."""
from __future__ import annotations

import functools
import inspect
import logging
import re
import threading
import types
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Pattern, Sequence, Set, Tuple

from .errors import ParseError
from .schema import MISSING, Entry, Shape, record, to_json, type_hints

Declaration = Dict[str, Any]

_log = logging.getLogger("gemini_lite")

_MODES = ("auto", "any", "none", "validated")
_LAWFUL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")

_GOOGLE_HEAD = re.compile(r"((Keyword )?Arg(ument)?s|(Other )?Param(eter)?s):\s*")
_GOOGLE = re.compile(r"(?P<names>\*{0,2}\w+)\s*(\(.*?\))?\s*:(?P<text>.*)")
_NUMPY_HEAD = re.compile(r"(Other )?Parameters\s*")
_NUMPY = re.compile(r"(?P<names>\*{0,2}\w+(\s*,\s*\*{0,2}\w+)*)\s*(:.*)?(?P<text>)")
_UNDERLINE = re.compile(r"-{3,}\s*")
_SPHINX = re.compile(r":(param|parameter|arg|argument|key|keyword)\s+([^:]*\s)?(?P<names>\*{0,2}\w+)\s*:(?P<text>.*)")
_SPHINX_TYPE = re.compile(r":type\s+\w+\s*:.*")


class FunctionCall(NamedTuple):
    """A call that the model asks for; `args` is a dict, `id` None where the model gave none."""

    name: str
    args: Dict[str, Any]
    id: Optional[str] = None


class FunctionResult(NamedTuple):
    """What a call gave: `response` is the dict that the model gets."""

    name: str
    response: Dict[str, Any]
    id: Optional[str] = None


class Tool:
    """A function that the model may call; without `function`, one that you answer by hand.

    `parameters` is a JSON Schema of type object, and the function gets what fits it as plain JSON data. Left out, it is
    made from the function's type hints and its docstring's parameter list (Google, NumPy or Sphinx), and the function
    gets what its hints say. TypeError and ValueError say what cannot be declared, and what to write instead.
    """

    def __init__(
        self, name: str, description: str = "", parameters: Optional[Mapping[str, Any]] = None,
        function: Optional[Callable[..., Any]] = None,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a tool has a name, not {name!r}")
        if function is not None:
            _check_callable(function, name)
        self.name = name
        self.description = description
        self.function = function
        self.parameters: Optional[Dict[str, Any]] = None
        self._derived = parameters is None and function is not None
        if parameters is not None:
            self.parameters = to_json(parameters, f"the parameters of {name}")
        elif function is not None:
            schema = _parameters(function, name).schema
            self.parameters = schema if schema["properties"] else None  # the API refuses objects without properties

    @classmethod
    def from_function(cls, function: Callable[..., Any]) -> "Tool":
        """The tool that `function` is: its name, its docstring without the parameter list, and its signature."""
        return cls(_name(function), _documented(function)[0], function=function)

    def to_api(self) -> Declaration:
        """The declaration as the API documents it; what is empty is left out."""
        declaration: Declaration = {"name": self.name}
        if self.description:
            declaration["description"] = self.description
        if self.parameters:
            declaration["parametersJsonSchema"] = to_json(self.parameters)
        return declaration

    def arguments(self, args: Mapping[str, Any]) -> Dict[str, Any]:
        """The model's `args` as the function takes them; ParseError says to the model what is wrong with them."""
        values: Dict[str, Any] = to_json(args)  # the function may change its own
        if self._derived:
            values = _parameters(self.function, self.name).read(values, "")
        elif self.function is not None:
            try:
                inspect.signature(self.function).bind(**values)
            except TypeError as error:
                raise ParseError(str(error)) from error
        return values

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"


def run(tool: Tool, call: FunctionCall) -> Dict[str, Any]:
    """The ``response`` object of the functionResponse for `call`; what it says under ``error`` is for the model.

    The function is not called with arguments that do not fit. What it raises is logged with its traceback. A result
    that is no object comes as ``{"result": ...}``; one that JSON cannot say is a TypeError or ValueError, for you.
    """
    if tool.function is None:
        raise TypeError(f"the tool {tool.name} has no function to run")
    try:
        arguments = tool.arguments(call.args)
    except ParseError as error:
        return {"error": f"The function was not called: {error}"}
    try:
        result = tool.function(**arguments)
    except Exception as error:  # whatever it is, the model is told and may find another way
        _log.exception("the tool %s failed", tool.name)
        return {"error": f"{type(error).__name__}: {error}"}
    return response_object(result, tool.name)


def run_all(todo: Sequence[Tuple[Tool, FunctionCall]], parallel: bool) -> List[Dict[str, Any]]:
    """The responses of these calls, in their order; `parallel` gives each call a thread."""
    if not parallel or len(todo) < 2:
        return [run(tool, call) for tool, call in todo]
    outcomes: Dict[int, Any] = {}

    def work(index: int) -> None:
        try:
            outcomes[index] = run(*todo[index])
        except BaseException as error:  # raised again in the caller's thread
            outcomes[index] = error

    threads = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(len(todo))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failure = next((outcome for outcome in outcomes.values() if isinstance(outcome, BaseException)), None)
    if failure is not None:
        raise failure
    return [outcomes[index] for index in range(len(todo))]


def response_object(result: Any, name: str) -> Dict[str, Any]:
    """`result` as the object that the API wants: anything else is put under ``result``."""
    said = to_json(result, f"the result of the tool {name}")
    return said if isinstance(said, dict) else {"result": said}


class Toolbox:
    """The tools of a request, and the names they travel under.

    `tools` may mix Python functions, `Tool`, declaration dicts (``{"name": ...}``), ``{"functionDeclarations": [...]}``
    and the API's own (``{"googleSearch": {}}``). Only names that the API refuses travel under another.
    """

    def __init__(self, tools: Sequence[Any] = ()) -> None:
        if not isinstance(tools, (list, tuple)):
            raise TypeError(f"tools is a list of functions, Tool objects and dicts, not {type(tools).__name__}")
        self._api: List[Dict[str, Any]] = []
        self._declarations: List[Declaration] = []
        self._placed = False
        self._tools: Dict[str, Optional[Tool]] = {}  # by the user's name
        for index, item in enumerate(tools):
            self._add(item, f"tools[{int(index)}]")
        self._wire = _wire_names(list(self._tools))
        self._user = {wire: user for user, wire in self._wire.items()}
        for declaration in self._declarations:
            declaration["name"] = self._wire[declaration["name"]]

    def to_api(self) -> List[Dict[str, Any]]:
        """The request's ``tools``: all declarations in one entry, where the first of them stood."""
        return self._api

    def wire_name(self, name: str) -> str:
        """The name that `name` travels under; one that is none of these tools' stays."""
        return self._wire.get(name, name)

    def user_name(self, wire: str) -> str:
        """The name that the user gave to what travels as `wire`; one that is none of these tools' stays."""
        return self._user.get(wire, wire)

    @property
    def renamed(self) -> Dict[str, str]:
        """The user's names by those on the wire, where they differ."""
        return {wire: user for wire, user in self._user.items() if wire != user}

    def tool(self, wire: str) -> Optional[Tool]:
        """The tool to `run` for a call of `wire`; None where the user answers by hand, or nobody knows the name."""
        tool = self._tools.get(self.user_name(wire))
        return tool if tool is not None and tool.function is not None else None

    def choice(self, tool_choice: Any) -> Dict[str, Any]:
        """The request's ``toolConfig`` for "auto", "any", "none", "validated", a tool's name, or a list of names."""
        if isinstance(tool_choice, str) and tool_choice in _MODES:
            return {"functionCallingConfig": {"mode": tool_choice.upper()}}
        names = [tool_choice] if isinstance(tool_choice, str) else tool_choice
        if not isinstance(names, (list, tuple)) or not names:
            raise TypeError("tool_choice is %s, a tool's name, or a list of names, not %r"
                            % (", ".join(map(repr, _MODES)), tool_choice))
        for name in names:
            if name not in self._wire:
                raise ValueError("tool_choice names %r, which is neither a mode (%s) nor one of the tools (%s)"
                                 % (name, ", ".join(_MODES), ", ".join(self._wire) or "none"))
        return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [self._wire[name] for name in names]}}

    def _add(self, item: Any, where: str) -> None:
        if isinstance(item, Tool):
            self._declare(item.to_api(), where, item)
        elif isinstance(item, Mapping):
            self._add_dict(to_json(item, where), where)
        elif callable(item):
            tool = Tool.from_function(item)
            self._declare(tool.to_api(), where, tool)
        else:
            raise TypeError(f"{where} is {item!r}: give a function, a Tool or a dict")

    def _add_dict(self, item: Dict[str, Any], where: str) -> None:
        if "functionDeclarations" in item:
            declarations = item.pop("functionDeclarations")
            self._place(item)
            for index, declaration in enumerate(declarations):
                self._declare(declaration, f"{where}.functionDeclarations[{int(index)}]")
        elif "name" in item:
            self._declare(item, where)
        elif item.get("type") == "function":
            raise ValueError("%s is a tool in OpenAI's form: give {'name': ..., 'description': ..., "
                             "'parametersJsonSchema': ...}, or see gemini_lite.openai_compat" % where)
        else:
            self._api.append(item)

    def _declare(self, declaration: Any, where: str, tool: Optional[Tool] = None) -> None:
        name = declaration.get("name") if isinstance(declaration, dict) else None
        if not isinstance(name, str) or not name:
            raise ValueError(f"{where} is no declaration with a name: {declaration!r:.80}")
        if name in self._tools:
            raise ValueError(f"two tools are named {name}: rename one, with Tool(name, description, function=...)")
        self._place({})
        self._tools[name] = tool
        self._declarations.append(dict(declaration))

    def _place(self, rest: Dict[str, Any]) -> None:
        """A place for the declarations, unless there is one; `rest` is what stood beside them."""
        if not self._placed:
            self._api.append({**rest, "functionDeclarations": self._declarations})
        elif rest:
            self._api.append(rest)
        self._placed = True


def _wire_names(names: List[str]) -> Dict[str, str]:
    """A lawful name for each: its own if it is one, else one like it that nobody has."""
    wire = {name: name for name in names if _LAWFUL.fullmatch(name)}
    for name in names:
        if name not in wire:
            wire[name] = next(like for like in _lawful_likes(name) if like not in wire.values())
    return wire


def _lawful_likes(name: str) -> Iterator[str]:
    like = re.sub(r"[^A-Za-z0-9_.:-]", "_", name)
    like = (like if _LAWFUL.match(like) else f"_{like}")[:64]
    yield like
    number = 2
    while True:
        end = f"_{int(number)}"
        yield like[:64 - len(end)] + end
        number += 1


def _check_callable(function: Any, name: str) -> None:
    if not callable(function):
        raise TypeError(f"the function of {name} is {function!r}, which cannot be called")
    if isinstance(function, type):
        raise TypeError(f"{name} is a class: give a function that makes one")
    code = _code(function)
    if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
        raise TypeError("%s is async, and there is no event loop here: give a function that calls it with asyncio.run"
                        % name)
    try:
        inspect.signature(function)
    except ValueError as error:
        raise TypeError(f"{name} does not tell its parameters: wrap it in a function of yours") from error


def _base(function: Any) -> Any:
    """What is under the `functools.partial`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _code(function: Any) -> Any:
    """What holds the annotations: the function, or the ``__call__`` of an object."""
    base = _base(function)
    return base if hasattr(base, "__name__") else type(base).__call__


def _name(function: Any) -> str:
    base = _base(function)
    name: str = getattr(function, "__name__", None) or getattr(base, "__name__", None) or type(base).__name__
    if name == "<lambda>":
        raise ValueError("a lambda has no name to call it by: write a def, or Tool(name, description, function=...)")
    return name


def _parameters(function: Any, name: str) -> Shape:
    """What the model may give: all parameters but those that a `functools.partial` has filled in."""
    parameters = _open_parameters(function)
    for one in parameters:
        if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            raise TypeError("%s: the model gives arguments by name, which %s does not take: name each parameter "
                            "(on a decorator, functools.wraps does), or give Tool the parameters" % (name, one))
    hints = type_hints(
        types.SimpleNamespace(__annotations__={one.name: one.annotation for one in parameters}), name,
        getattr(inspect.unwrap(_code(function)), "__globals__", {}), {},
    )
    texts = _documented(function)[1]
    return record([Entry(one.name, _hint(one, hints), _default(one), texts.get(one.name)) for one in parameters], name)


def _open_parameters(function: Any) -> List[inspect.Parameter]:
    filled: Set[str] = set()
    parameters = inspect.signature(function).parameters
    while isinstance(function, functools.partial):
        filled.update(function.keywords)
        function = function.func
    return [parameter for name, parameter in parameters.items() if name not in filled]


def _hint(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    """The type hint; where there is none, the type of a simple default."""
    if parameter.annotation is not parameter.empty:
        return hints[parameter.name]
    kind = type(parameter.default)
    return kind if kind in (str, int, float, bool) else MISSING


def _default(parameter: inspect.Parameter) -> Any:
    return MISSING if parameter.default is parameter.empty else parameter.default


def _documented(function: Any) -> Tuple[str, Dict[str, str]]:
    """The docstring without its parameter lists, and what these say by the parameter's name."""
    code = _code(function)
    text = code.__doc__ or (None if code is _base(function) else type(_base(function)).__doc__)
    lines = inspect.cleandoc(text or "").splitlines()
    kept: List[str] = []
    texts: Dict[str, str] = {}
    while lines:
        found, count = _parameter_list(lines)
        texts.update(found)
        kept += lines[:1] if not count else []
        del lines[:count or 1]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), texts


def _parameter_list(lines: List[str]) -> Tuple[Dict[str, str], int]:
    """What the parameter list at the start of `lines` says, and how many lines it takes; 0 where there is none."""
    end = next((index for index, line in enumerate(lines) if index and line and not line[0].isspace()), len(lines))
    if _GOOGLE_HEAD.fullmatch(lines[0]):
        found = _entries(inspect.cleandoc("\n".join(["", *lines[1:end]])).splitlines(), _GOOGLE)
        return found, end if found else 0
    if _SPHINX.fullmatch(lines[0]):
        return _entries(lines[:end], _SPHINX), end
    if _SPHINX_TYPE.fullmatch(lines[0]):
        return {}, end
    if _NUMPY_HEAD.fullmatch(lines[0]) and _UNDERLINE.fullmatch("".join(lines[1:2])):
        heads = [index - 1 for index, line in enumerate(lines) if index > 1 and _UNDERLINE.fullmatch(line)]
        end = min(heads, default=len(lines))
        return _entries(lines[2:end], _NUMPY), end
    return {}, 0


def _entries(lines: List[str], pattern: Pattern[str]) -> Dict[str, str]:
    """The descriptions in a parameter list whose entries start at the margin, as `pattern` says."""
    texts: Dict[str, List[str]] = {}
    names: List[str] = []
    for line in lines:
        entry = pattern.fullmatch(line)
        if entry:
            names, line = re.findall(r"\w+", entry.group("names")), entry.group("text")
        for name in names:
            texts.setdefault(name, []).append(line.strip())
    return {name: " ".join(filter(None, parts)) for name, parts in texts.items()}
