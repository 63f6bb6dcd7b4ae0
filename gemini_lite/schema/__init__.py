"""Python types, function signatures and values as JSON Schema and JSON, and JSON as those types again."""
from .hints import from_json, to_schema
from .json_values import to_json

__all__ = ["from_json", "to_json", "to_schema"]
