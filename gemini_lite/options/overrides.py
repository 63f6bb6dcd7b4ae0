"""The fields of `GeminiOptions` as keywords of a call, for type checkers; imported by nothing at run time."""
from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple, TypedDict, Union

from ..tools import ToolLike
from ..transport.deadline import Timeout
from . import CacheLike, SystemPrompt


class CachedOptions(TypedDict, total=False):
    """The fields that a cache can have too, all but the model."""

    system_prompt: Optional[SystemPrompt]
    tools: Optional[Sequence[ToolLike]]
    tool_choice: Union[str, Sequence[str], None]
    tool_config: Optional[Mapping[str, Any]]
    extra: Optional[Mapping[str, Any]]


class CacheOverrides(CachedOptions, total=False):
    """What a cache is made with."""

    model: Optional[str]


class BaseOptions(CachedOptions, total=False):
    """The fields of `GeminiOptions` as keywords of a call, for type checkers; all but the model and the schema."""

    temperature: Optional[float]
    top_p: Optional[float]
    top_k: Optional[int]
    max_output_tokens: Optional[int]
    stop_sequences: Union[List[str], Tuple[str, ...], None]
    seed: Optional[int]
    candidate_count: Optional[int]
    presence_penalty: Optional[float]
    frequency_penalty: Optional[float]
    thinking_budget: Optional[int]
    thinking_level: Optional[str]
    include_thoughts: Optional[bool]
    response_mime_type: Optional[str]
    max_tool_rounds: int
    parallel_tools: bool
    fill_missing_signatures: bool
    safety_settings: Optional[Sequence[Mapping[str, Any]]]
    labels: Optional[Mapping[str, str]]
    cached_content: Union[str, CacheLike, None]
    session_id: Optional[str]
    response_modalities: Union[List[str], Tuple[str, ...], None]
    media_resolution: Optional[str]
    speech_config: Union[str, Mapping[str, Any], None]
    image_config: Optional[Mapping[str, Any]]
    response_logprobs: Optional[bool]
    logprobs: Optional[int]


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
