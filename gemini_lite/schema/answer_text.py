"""The text of an answer, read as the type that ``response_schema`` named."""
from __future__ import annotations

import json
from typing import Any, Optional

from ..errors import ParseError
from .hints import from_json


def parse_answer(text: str, schema: object, response: object, cut: Optional[str]) -> Any:
    """The JSON in `text` as the type `schema`, or as plain JSON where that is None or a dict.

    ParseError with the `response` if it does not fit; `cut` is why the answer ended early, None if it did not.
    """
    try:
        value = json.loads(text)
        return value if schema is None else from_json(value, schema)
    except (ValueError, RecursionError, ParseError) as error:
        reason = "MISMATCH" if isinstance(error, ParseError) else "NOT_JSON"
        what = "is no JSON (response_schema=... asks for it)" if schema is None else "does not fit its schema"
        early = f" (the answer was cut: {cut})" if cut is not None else ""
        raise ParseError(f"The answer {what}{early}: {error}. The answer: {text[:500]}",
                         reason=reason, response=response) from None
