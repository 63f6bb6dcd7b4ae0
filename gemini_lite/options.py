"""What to ask: `GeminiOptions`, one frozen value."""
from __future__ import annotations

import dataclasses
import functools
import logging
from typing import Any, Dict, Mapping, Optional, Protocol, Sequence, Tuple, TypedDict, Union

from .tools import Toolbox, ToolLike
from .transport.deadline import Timeout


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

    ``model`` may carry one ``models/`` prefix. ``thinking_budget`` is in tokens (0 off, -1 the model decides),
    ``thinking_level`` a word (``"low"``, ``"high"``); give one of the two. ``response_schema`` is a JSON Schema dict, a
    dataclass, TypedDict, Enum, ``List`` of these or a pydantic model; the answer is then ``response.parsed``.
    ``tools`` are Python functions, `Tool`s, declaration dicts and the API's own tools (``{"googleSearch": {}}``).
    ``tool_choice`` is "auto", "any", "none", a name or a list of names; "any" and names hold for the first request of
    a send. ``max_tool_rounds`` is how often the functions of one send are called at most, ``parallel_tools`` runs the
    calls of a turn in threads. ``fill_missing_signatures`` puts Google's stand-in on calls of a foreign history.
    ``tool_config`` and ``safety_settings`` are as the API documents them. ``cached_content`` is a `Cache` or its name:
    it has a system prompt, tools and a model of its own, so these are not given with it.
    ``extra`` is merged into the request last, in the API's own camelCase names: dicts key by key, anything else
    replaces. Source: https://ai.google.dev/api/generate-content
    """

    model: Optional[str] = None
    system_prompt: Optional[str] = None
    temperature: Optional[float] = None
    top_p: Optional[float] = None
    top_k: Optional[int] = None
    max_output_tokens: Optional[int] = None
    stop_sequences: Optional[Sequence[str]] = None
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
                raise TypeError(f"{name} must be {words}, not {type(value).__name__}")
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
            raise TypeError(f"unknown option {unknown[0]!r}; the options are: {', '.join(_NAMES)}")
        if not changes:
            return self
        if changes.get("cached_content", self.cached_content) is not None:
            changes = self._over_cache(changes)
        copy = dataclasses.replace(self, **changes)
        if "toolbox" in self.__dict__ and "tools" not in changes:
            copy.__dict__["toolbox"] = self.toolbox
        return copy

    def _take_cache(self, cache: Union[str, CacheLike]) -> None:
        """Keep the name of `cache`, and its model where none is named."""
        if not isinstance(cache, str) and isinstance(getattr(cache, "name", None), str):
            object.__setattr__(self, "cached_content", cache.name)
            if self.model is None:
                object.__setattr__(self, "model", cache.model)

    def _over_cache(self, changes: Dict[str, Any]) -> Dict[str, Any]:
        """`changes` for a prompt over a cache; if they bring it, without what these options say and the cache has."""
        given = [name for name in _IN_CACHE if changes.get(name)]
        if given:
            raise ValueError(f"{given[0]} and cached_content exclude each other: a cache has its own system prompt and "
                             "tools, which client.caches.create(..., system_prompt=, tools=, tool_config=) puts there")
        if "cached_content" not in changes:
            return changes
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
        return Toolbox(self.tools or ())

    def without_forced_calls(self) -> GeminiOptions:
        """These options for the request that brings results: a model that must call again would never answer."""
        return self if self.tool_choice in (None, "auto", "none", "validated") else self.replace(tool_choice=None)


class BaseOptions(TypedDict, total=False):
    """The fields of `GeminiOptions` as keywords of a call, for type checkers; all but the model and the schema."""

    system_prompt: Optional[str]
    temperature: Optional[float]
    top_p: Optional[float]
    top_k: Optional[int]
    max_output_tokens: Optional[int]
    stop_sequences: Optional[Sequence[str]]
    seed: Optional[int]
    candidate_count: Optional[int]
    presence_penalty: Optional[float]
    frequency_penalty: Optional[float]
    thinking_budget: Optional[int]
    thinking_level: Optional[str]
    include_thoughts: Optional[bool]
    response_mime_type: Optional[str]
    tools: Optional[Sequence[ToolLike]]
    tool_choice: Union[str, Sequence[str], None]
    tool_config: Optional[Mapping[str, Any]]
    max_tool_rounds: int
    parallel_tools: bool
    fill_missing_signatures: bool
    safety_settings: Optional[Sequence[Mapping[str, Any]]]
    labels: Optional[Mapping[str, str]]
    cached_content: Union[str, CacheLike, None]
    session_id: Optional[str]
    extra: Optional[Mapping[str, Any]]


class ModelOptions(BaseOptions, total=False):
    """`BaseOptions` and the model."""

    model: Optional[str]


class OptionFields(ModelOptions, total=False):
    """All fields of `GeminiOptions`."""

    response_schema: object


class QueryOverrides(BaseOptions, total=False):
    """`BaseOptions`, and what holds for the call itself."""

    deadline: Optional[float]
    timeout: Union[float, Timeout, None]
    retries: Optional[int]


class Overrides(QueryOverrides, total=False):
    """What one call may set; ``response_schema``, which gives the answer its type, is a parameter of its own."""

    model: Optional[str]


class ChatOverrides(Overrides, total=False):
    """`Overrides` and the schema."""

    response_schema: object


_IN_CACHE = ("system_prompt", "tools", "tool_choice", "tool_config")  # said when a cache is made, and never again
_NAMES = tuple(field.name for field in dataclasses.fields(GeminiOptions))
_STRING, _WHOLE, _NUMBER = (str, "a string"), (int, "a whole number"), ((int, float), "a number")
_LIST, _DICT, _FLAG = ((list, tuple), "a list"), (Mapping, "a dict"), (bool, "True or False")
_TYPES: Dict[str, Tuple[Any, str]] = {
    "model": _STRING, "system_prompt": _STRING, "thinking_level": _STRING, "response_mime_type": _STRING,
    "cached_content": _STRING, "session_id": _STRING,
    "temperature": _NUMBER, "top_p": _NUMBER, "presence_penalty": _NUMBER, "frequency_penalty": _NUMBER,
    "top_k": _WHOLE, "max_output_tokens": _WHOLE, "seed": _WHOLE, "candidate_count": _WHOLE, "thinking_budget": _WHOLE,
    "max_tool_rounds": _WHOLE, "include_thoughts": _FLAG, "parallel_tools": _FLAG, "fill_missing_signatures": _FLAG,
    "tool_choice": ((str, list, tuple), "'auto', 'any', 'none', a name or a list of names"),
    "stop_sequences": _LIST, "tools": _LIST, "safety_settings": _LIST,
    "tool_config": _DICT, "labels": _DICT, "extra": _DICT,
}
