"""Python types, function signatures and values as JSON Schema and JSON, and JSON as those types again."""
from .answer_text import parse_answer
from .hints import from_json, to_schema
from .json_values import to_json

__all__ = ["from_json", "parse_answer", "to_json", "to_schema"]
