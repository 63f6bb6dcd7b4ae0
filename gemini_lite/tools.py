"""A Python function as the model sees it, and the call the model asks for."""
from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional


class FunctionCall(NamedTuple):
    """A call that the model asks for; `args` is a dict, `id` None where the model gave none."""

    name: str
    args: Dict[str, Any]
    id: Optional[str] = None
