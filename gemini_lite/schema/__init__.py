"""A Python type as JSON Schema, and JSON as that type again."""
from .schema import MISSING, Entry, Shape, from_json, record, to_json, to_schema, type_hints

__all__ = ["MISSING", "Entry", "Shape", "from_json", "record", "to_json", "to_schema", "type_hints"]
