"""What a caller may give as one of many prompts, and the request that it becomes."""
from __future__ import annotations

from numbers import Integral
from typing import List, Mapping, NamedTuple, Optional, Tuple, cast

from .. import contents
from ..contents import Prompt
from ..json_data import JSON
from ..options import GeminiOptions


class Item(NamedTuple):
    """One of the caller's prompts; `key` is None where none was given, `is_request` where it is the whole request."""

    key: Optional[str]
    prompt: object
    is_request: bool = False


def read_item(value: object) -> Item:
    """What the caller gave: a prompt, ``(key, prompt)``, or the dict of a line with "request" or "prompt"."""
    pair = _key_and_prompt(value)
    if pair is not None:
        return Item(*pair)
    if isinstance(value, Mapping):
        key = value.get("key")
        key = key if key is None else str(key)
        if "request" in value:
            return Item(key, value["request"], is_request=True)
        if "prompt" in value:
            return Item(key, value["prompt"])
        if "custom_id" in value:
            raise ValueError("this is a line in OpenAI's form: 'gemini-lite map' reads it, and "
                             "gemini_lite.openai_compat.from_openai makes contents of its messages")
    return Item(None, value)


def _key_and_prompt(value: object) -> Optional[Tuple[str, object]]:
    """``(key, prompt)`` if `value` is that; the key may be a text or any whole number, such as numpy's."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (str, Integral)):
        return str(value[0]), value[1]
    return None


def check_prompts(prompts: object) -> None:
    """TypeError for what is one prompt and not many, and for a table, which is iterated by its columns."""
    if hasattr(prompts, "columns"):
        raise TypeError(f"prompts is an iterable of prompts, and {type(prompts).__name__} is a table: give one of its "
                        "columns, such as table['text']")
    if isinstance(prompts, (str, bytes, Mapping)) or not hasattr(prompts, "__iter__"):
        raise TypeError(f"prompts is a list, a generator or another iterable of prompts, not {type(prompts).__name__}: "
                        "write [prompt] for one")


class RequestBuilder:
    """Makes the requests of one run; what all of them share is made once, and raises at once if it cannot be sent."""

    def __init__(self, options: GeminiOptions, model: str) -> None:
        self._options, self._model = options, model
        self._shared = contents.build_request([], options)
        self._each_anew = options.fill_missing_signatures or "contents" in (options.extra or {})

    def build(self, item: Item) -> JSON:
        """The request for `item`; ValueError, TypeError or OSError for what cannot be sent."""
        if item.is_request:
            return self._complete(item.prompt)
        turns: List[JSON] = contents.from_prompt(cast(Prompt, item.prompt))
        if self._each_anew:
            return contents.build_request(turns, self._options)
        return {**self._shared, "contents": turns}

    def _complete(self, request: object) -> JSON:
        """A line's own request, over what the options of the run say."""
        if not isinstance(request, Mapping) or not isinstance(request.get("contents"), list):
            raise ValueError('the "request" of a line is a dict with a list of "contents"')
        own: JSON = dict(request)
        model = own.pop("model", None)
        if model is not None and str(model).split("/")[-1] != self._model.split("/")[-1]:
            raise ValueError(f"the line is for the model {model}, and this run is for {self._model}: make a run of its "
                             "own for each model")
        return contents.merged(self._shared, own)


def with_key(index: int, value: object) -> object:
    """`value`, a prompt as the caller gave it, with a key: its own, or else its `index`."""
    if isinstance(value, Mapping) and ("request" in value or "prompt" in value):
        return value if value.get("key") is not None else {**value, "key": str(index)}
    return _key_and_prompt(value) or (str(index), value)
