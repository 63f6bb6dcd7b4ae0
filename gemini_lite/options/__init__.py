"""What to ask: `GeminiOptions`, one frozen value."""
from __future__ import annotations

import dataclasses
import functools
import logging
from typing import (
    TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NoReturn, Optional, Protocol, Sequence, Tuple, TypeVar, Union,
)

from ..errors.hints import CALL_SETTINGS, no_attribute, unknown_option

if TYPE_CHECKING:
    from ..tools import Toolbox, ToolLike

SystemPrompt = Union[str, Sequence[Union[str, Mapping[str, Any]]]]
F = TypeVar("F", bound=Callable[..., object])

log = logging.getLogger("gemini_lite")


class CacheLike(Protocol):
    """What names a cache, such as a `Cache`."""

    @property
    def name(self) -> str:
        """The cache's name: ``cachedContents/...``."""

    @property
    def model(self) -> Optional[str]:
        """The model that it is bound to."""


@dataclasses.dataclass(frozen=True)
class GeminiOptions:
    """What a call asks for; a field that is None is not sent, so the API's own default holds.

    ``model`` is a name as it is listed, with ``models/`` or without. ``system_prompt`` is a string, or a list of
    strings and part dicts, each a part of its own. ``thinking_budget`` is in tokens (0 off, -1 the model decides),
    ``thinking_level`` a word (``"low"``, ``"high"``); give one of the two, and ``include_thoughts=True`` to read the
    thoughts, for neither asks for them. ``response_schema`` is a JSON Schema dict, a
    dataclass, TypedDict, Enum, ``List`` of these or a pydantic model; the answer is then ``response.parsed``.
    ``tools`` are Python functions, `Tool`s, declaration dicts and the API's own tools (``{"googleSearch": {}}``).
    ``tool_choice`` is "auto", "any", "none", a name or a list of names; "any" and names hold for the first request of
    a send, as the mode ANY of a ``tool_config`` does. ``max_tool_rounds`` is how often the functions of one send are
    called at most, ``parallel_tools`` runs the calls of a turn in threads. ``fill_missing_signatures`` puts Google's
    stand-in on calls of a foreign history.
    ``response_modalities`` are "TEXT", "IMAGE", "AUDIO"; ``media_resolution`` is "low", "medium" or "high";
    ``speech_config`` is the name of a voice, or the API's dict; ``response_logprobs`` asks for the log probabilities
    of the chosen tokens, ``logprobs`` for those of that many others.
    ``tool_config``, ``safety_settings`` and ``image_config`` are as the API documents them. ``cached_content`` is a
    `Cache` or its name: it has a system prompt, tools and a model of its own, so these are not given with it.
    ``extra`` is merged into the request last, in the API's own camelCase names: dicts key by key, anything else
    replaces. Source: https://ai.google.dev/api/generate-content
    """

    model: Optional[str] = None
    system_prompt: Optional[SystemPrompt] = None
    temperature: Optional[float] = None
    top_p: Optional[float] = None
    top_k: Optional[int] = None
    max_output_tokens: Optional[int] = None
    stop_sequences: Union[List[str], Tuple[str, ...], None] = None
    seed: Optional[int] = None
    candidate_count: Optional[int] = None
    presence_penalty: Optional[float] = None
    frequency_penalty: Optional[float] = None
    thinking_budget: Optional[int] = None
    thinking_level: Optional[str] = None
    include_thoughts: Optional[bool] = None
    response_mime_type: Optional[str] = None
    response_schema: object = None
    tools: Optional[Sequence[ToolLike]] = None
    tool_choice: Union[str, Sequence[str], None] = None
    tool_config: Optional[Mapping[str, Any]] = None
    max_tool_rounds: int = 10
    parallel_tools: bool = False
    fill_missing_signatures: bool = False
    safety_settings: Optional[Sequence[Mapping[str, Any]]] = None
    labels: Optional[Mapping[str, str]] = None
    cached_content: Union[str, CacheLike, None] = None
    session_id: Optional[str] = None
    response_modalities: Union[List[str], Tuple[str, ...], None] = None
    media_resolution: Optional[str] = None
    speech_config: Union[str, Mapping[str, Any], None] = None
    image_config: Optional[Mapping[str, Any]] = None
    response_logprobs: Optional[bool] = None
    logprobs: Optional[int] = None
    extra: Optional[Mapping[str, Any]] = None

    def __post_init__(self) -> None:
        if self.cached_content is not None:
            self._take_cache(self.cached_content)
        if self.thinking_budget is not None and self.thinking_level is not None:
            raise ValueError("thinking_budget and thinking_level exclude each other: models before Gemini 3 take the "
                             "budget, Gemini 3 takes the level; set the other to None")
        for name, (types, words) in _TYPES.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, types) or isinstance(value, bool) and types is not bool):
                number = _plain_number(value)
                if not isinstance(number, types) or isinstance(number, bool) and types is not bool:
                    raise TypeError(f"{name} must be {words}, not {type(value).__name__}")
                object.__setattr__(self, name, number)
        if isinstance(self.system_prompt, (list, tuple)):
            for index, item in enumerate(self.system_prompt):
                if not isinstance(item, (str, Mapping)):
                    raise TypeError(f"system_prompt[{index}] must be a string or a part dict, not "
                                    f"{type(item).__name__}")
        if self.model is not None and not self.model.strip():
            raise ValueError("model is empty; write a name such as 'gemini-flash-latest', or None for the default")
        if self.max_tool_rounds is None or self.max_tool_rounds < 0:
            raise ValueError(f"max_tool_rounds is 0 or more, not {self.max_tool_rounds!r}")
        if self.tool_choice is not None and self.tool_config is not None:
            raise ValueError("tool_choice and tool_config exclude each other: tool_choice is the short form")

    def replace(self, **changes: Any) -> GeminiOptions:
        """A copy with `changes`; an unknown name is a TypeError."""
        unknown = [name for name in changes if name not in _NAMES]
        if unknown:
            raise TypeError(unknown_option(unknown[0], _NAMES))
        if not changes:
            return self
        if changes.get("cached_content") is not None:
            changes = self._changes_for_cache(changes)
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__getstate__(), **changes)  # dataclasses.replace: bench row "small call"
        copy.__post_init__()
        if "toolbox" in self.__dict__ and "tools" not in changes:
            copy.__dict__["toolbox"] = self.toolbox
        return copy

    def _take_cache(self, cache: Union[str, CacheLike]) -> None:
        """Keep the name of `cache`, and its model where none is named; ValueError for what it has of its own."""
        given = [name for name in _IN_CACHE if getattr(self, name)]
        if given:
            raise ValueError(f"{given[0]} and cached_content exclude each other: a cache has its own system prompt and "
                             "tools, which client.caches.create(..., system_prompt=, tools=, tool_config=) puts there")
        if not isinstance(cache, str) and isinstance(getattr(cache, "name", None), str):
            object.__setattr__(self, "cached_content", cache.name)
            if self.model is None:
                object.__setattr__(self, "model", cache.model)

    def _changes_for_cache(self, changes: Dict[str, Any]) -> Dict[str, Any]:
        """`changes` that bring a cache, and take away what these options say and the cache has of its own."""
        left_out = [name for name in _IN_CACHE if name not in changes and getattr(self, name)]
        if left_out:
            log.info("left out because the cache has its own: %s", ", ".join(left_out))
        if "model" not in changes and not isinstance(changes["cached_content"], str):
            changes = {**changes, "model": None}  # the cache's own
        return {**changes, **dict.fromkeys(left_out)}

    def __getstate__(self) -> Dict[str, Any]:
        return {name: getattr(self, name) for name in _NAMES}  # without the toolbox, which is made again

    @functools.cached_property
    def toolbox(self) -> Toolbox:
        """The ``tools`` as declarations and as functions to call."""
        from ..tools import Toolbox  # most programs declare no tools, and need not wait for its import
        return Toolbox(self.tools or ())

    @functools.cached_property
    def without_functions(self) -> GeminiOptions:
        """These options without the tools that are Python functions, and without a choice among nothing."""
        from ..tools import Toolbox, is_function
        kept = [tool for tool in self.tools or () if not is_function(tool)]
        if len(kept) == len(self.tools or ()):
            return self
        return self.replace(tools=kept or None, tool_choice=_choice_among(Toolbox(kept), self.tool_choice))

    def without_forced_calls(self) -> GeminiOptions:
        """These options for the request that brings results: a model that must call again would never answer."""
        if self.tool_choice not in (None, "auto", "none", "validated"):
            return self.replace(tool_choice=None)
        config = dict(self.tool_config or {})
        calling = config.pop("functionCallingConfig", None)
        forces = isinstance(calling, Mapping) and calling.get("mode") == "ANY"
        return self.replace(tool_config=config or None) if forces else self


class FixedOptions:
    """Has ``options`` that are set once: assigning to them, or to an option's name, would be without effect later."""

    options: GeminiOptions
    _hints = "chat"  # what it is in `errors.hints`

    if not TYPE_CHECKING:  # a type checker would take any name for known
        def __setattr__(self, name: str, value: object) -> None:
            if name == "history":
                raise AttributeError("a history is given when its conversation is made: chat = client.chat(history); "
                                     "clear_history() forgets it")
            if name in _KNOWN or name in CALL_SETTINGS or name == "options" and "options" in self.__dict__:
                name = "temperature" if name == "options" else name
                raise AttributeError(
                    f"the options of a {type(self).__name__} are fixed when it is made: write {name}=... in the call, "
                    f"as in send_message(prompt, {name}=...), or make another with client.chat(history, {name}=...) "
                    f"or GeminiClient({name}=...)")
            object.__setattr__(self, name, value)

        def __getattr__(self, name: str) -> NoReturn:
            if name in _KNOWN:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}: write "
                                     f".options.{name}")
            raise no_attribute(self._hints, self, name)


_IN_CACHE = ("system_prompt", "tools", "tool_choice", "tool_config")  # what a cache has of its own
_NAMES = tuple(field.name for field in dataclasses.fields(GeminiOptions))
_KNOWN = frozenset(_NAMES)
_STRING, _WHOLE, _NUMBER = (str, "a string"), (int, "a whole number"), ((int, float), "a number")
_LIST, _DICT, _FLAG = ((list, tuple), "a list"), (Mapping, "a dict"), (bool, "True or False")
_TYPES: Dict[str, Tuple[Any, str]] = {
    "model": _STRING, "system_prompt": ((str, list, tuple), "a string, or a list of strings and part dicts"),
    "media_resolution": _STRING, "thinking_level": _STRING, "response_mime_type": _STRING,
    "cached_content": _STRING, "session_id": _STRING,
    "temperature": _NUMBER, "top_p": _NUMBER, "presence_penalty": _NUMBER, "frequency_penalty": _NUMBER,
    "top_k": _WHOLE, "max_output_tokens": _WHOLE, "seed": _WHOLE, "candidate_count": _WHOLE, "thinking_budget": _WHOLE,
    "logprobs": _WHOLE, "response_logprobs": _FLAG,
    "speech_config": ((str, Mapping), "the name of a voice, or a dict"), "image_config": _DICT,
    "response_modalities": _LIST,
    "max_tool_rounds": _WHOLE, "include_thoughts": _FLAG, "parallel_tools": _FLAG, "fill_missing_signatures": _FLAG,
    "tool_choice": ((str, list, tuple), "'auto', 'any', 'none', a name or a list of names"),
    "stop_sequences": _LIST, "tools": _LIST, "safety_settings": _LIST,
    "tool_config": _DICT, "labels": _DICT, "extra": _DICT,
}


def _choice_among(toolbox: Toolbox, choice: Union[str, Sequence[str], None]) -> Union[str, Sequence[str], None]:
    """The `choice` if it can be made among the declarations of `toolbox`, else None."""
    if choice is None or not any("functionDeclarations" in entry for entry in toolbox.to_api()):
        return None
    try:
        toolbox.choice(choice)
    except ValueError:  # it names a tool that is not there
        return None
    return choice


def _plain_number(value: object) -> object:
    """The Python number of a scalar of numpy or the like; anything else as it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


def _with_advice(init: F) -> F:
    """`init` of GeminiOptions, with a TypeError for an unknown field that says what to write."""
    @functools.wraps(init)
    def checked(self: GeminiOptions, *args: object, **fields: object) -> None:
        unknown = [name for name in fields if name not in _KNOWN]
        if unknown:
            raise TypeError(unknown_option(unknown[0], _NAMES))
        init(self, *args, **fields)
    return checked  # type: ignore[return-value]


setattr(GeminiOptions, "__init__", _with_advice(GeminiOptions.__init__))


def unknown_field_message(fields: Dict[str, Any], others: Sequence[str] = ()) -> str:
    """What to write for a name in `fields` that is neither an option nor one of the `others`; "" if there is none.

    `fields` is emptied then: its values, of which one may be a key, must not stand in the frames of a traceback.
    """
    unknown = [name for name in fields if name not in _KNOWN and name not in others]
    if not unknown:
        return ""
    fields.clear()
    return unknown_option(unknown[0], _NAMES)


def options_for_one_request(options: GeminiOptions, overrides: Mapping[str, object], method: str) -> GeminiOptions:
    """The `options` of a call that runs no functions, `method`, made from the client's and its `overrides`.

    Functions among the overrides are a ValueError, because their calls would not be answered; those of the client are
    left out. Both are declared if the model may not call them ("none") or if ``max_tool_rounds=0`` asks for the calls.
    """
    if not options.tools or options.max_tool_rounds == 0 or options.tool_choice == "none":
        return options
    reduced = options.without_functions
    if reduced is options:
        return options
    if overrides.get("tools") or overrides.get("tool_choice") not in (None, "auto"):
        raise ValueError(f"{method} runs no functions, so their calls would be lost: use send_message (of the client "
                         "or of client.chat()), which runs them; or write max_tool_rounds=0 to get the calls in "
                         "response.function_calls")
    log.debug("%s: the functions among the client's tools are left out, because only send_message runs them", method)
    return reduced


def list_options(*documented: object, without: Sequence[str] = (), also: Sequence[str] = ()) -> None:
    """Add to each docstring the names of the keywords that are taken: the fields, but those `without`, and `also`."""
    names = [f"``{name}``" for name in sorted({*_NAMES, *also}.difference(without))]
    rows = [", ".join(names[start:start + 5]) for start in range(0, len(names), 5)]
    for item in documented:
        text = item.__doc__ or ""  # none with python -OO
        indent = text[len(text.rstrip(" ")):] if "\n" in text else "    "
        if text:
            listed = f",\n{indent}".join(rows)
            item.__doc__ = f"{text.rstrip()}\n\n{indent}Keywords: {listed}.\n{indent}"
