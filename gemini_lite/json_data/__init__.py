"""The API's JSON data: read without trusting its shape, as attributes too, and shown in few words."""
from .previews import preview, preview_json, shorten
from .reading import (
    JSON, APIObject, copied, dict_or_empty, first_candidate, has_text, int_or_none, is_thought,
    list_of_dicts, number_or_none, readable, str_or_none,
)

__all__ = [
    "APIObject", "JSON", "copied", "dict_or_empty", "first_candidate", "has_text", "int_or_none", "is_thought",
    "list_of_dicts", "number_or_none", "preview", "preview_json", "readable", "shorten", "str_or_none",
]
