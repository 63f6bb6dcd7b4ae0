"""Dicts whose entries are attributes too, as code for the ``openai`` package reads them."""
from __future__ import annotations

import json
from typing import Any, Dict, Optional

from ..json_data import JSON
from ..schema import to_json

_OPTIONAL_FIELDS = frozenset((  # attributes of the openai package's objects that are None if the field was not sent
    "accepted_prediction_tokens", "annotations", "audio", "audio_tokens", "cache_write_tokens", "content",
    "function_call", "image_tokens", "metadata", "moderation", "obfuscation", "refusal", "rejected_prediction_tokens",
    "role", "service_tier", "system_fingerprint", "text_tokens", "tool_calls", "usage",
))


class AttributeDict(Dict[str, Any]):
    """A dict whose entries are attributes too, for code that was written for the ``openai`` package."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if name in _OPTIONAL_FIELDS:
            return None
        raise AttributeError(f"{name!r} is not in the answer; there are: {', '.join(self)}")

    def __setattr__(self, name: str, value: object) -> None:
        self[name] = value

    def model_dump(self, *, exclude_none: bool = False, **_: object) -> JSON:
        """A copy as plain dicts; the openai package's other settings are accepted and have no effect."""
        data: JSON = to_json(self)
        return _without_none(data) if exclude_none else data

    def model_dump_json(self, *, indent: Optional[int] = None, exclude_none: bool = False, **_: object) -> str:
        """The copy that `model_dump` makes, as JSON text."""
        return json.dumps(self.model_dump(exclude_none=exclude_none), indent=indent, ensure_ascii=False)

    to_dict, to_json = model_dump, model_dump_json


def _without_none(data: JSON) -> JSON:
    """`data` without the entries that are None, at any depth."""
    return {name: _value_without_none(value) for name, value in data.items() if value is not None}


def _value_without_none(value: object) -> object:
    if isinstance(value, list):
        return [_value_without_none(item) for item in value]
    return _without_none(value) if isinstance(value, dict) else value


def to_attribute_dict(data: JSON) -> AttributeDict:
    """`data` as an `AttributeDict`, and so every dict in it."""
    return AttributeDict((name, _to_attribute_value(value)) for name, value in data.items())


def _to_attribute_value(value: object) -> object:
    if isinstance(value, list):
        return [_to_attribute_value(item) for item in value]
    return to_attribute_dict(value) if isinstance(value, dict) else value
