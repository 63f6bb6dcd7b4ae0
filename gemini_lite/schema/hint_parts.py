"""A type hint taken apart: what wraps the type, which special form it is, which types its strings name."""
from __future__ import annotations

import sys
import typing
from typing import Any, Dict, Mapping, Optional, Tuple

_REPLACEMENTS = {  # what to write instead of a type that has no JSON Schema, by the name of that type
    "bytes": "str, for the bytes in base64", "bytearray": "str, for the bytes in base64", "object": "Any",
    "complex": "Tuple[float, float]", "timedelta": "float, for seconds", "UUID": "str", "Path": "str",
    "Decimal": "float, or str and make the Decimal of it", "TypeVar": "the type it stands for",
    "Optional": "Optional[int], say", "Union": "Union[int, str], say", "Callable": "a Literal of the names there are",
    "type": "a Literal of the names there are", "Iterator": "List", "Generator": "List", "deque": "List",
    "list": "List[...]", "str": "the type itself, not its name", "ForwardRef": "the type, not its name in quotes",
}


def unwrap_hint(hint: object) -> Tuple[object, Optional[str]]:
    """`hint` without NewType and Annotated around it (None becomes NoneType), and the first text in Annotated."""
    description: Optional[str] = None
    while True:
        if hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif hasattr(hint, "__metadata__") and hasattr(hint, "__origin__"):
            texts = [item for item in hint.__metadata__ if isinstance(item, str)]
            description = description or (texts[0] if texts else None)
            hint = hint.__origin__
        else:
            return type(None) if hint is None else hint, description


def special_form(hint: object) -> Optional[str]:
    """The name of a special form ("Union", "Literal", ...), None for any other hint.

    Compared by name, because typing and typing_extensions may each have an object of their own for one form.
    """
    if getattr(hint, "__module__", None) not in ("typing", "typing_extensions", "types"):
        return None
    name: Optional[str] = getattr(hint, "_name", None) or getattr(hint, "__name__", None)
    return name


def unsupported_hint(hint: object, where: str) -> TypeError:
    """The error for a hint that has no JSON Schema, with what to write instead."""
    kind = hint if isinstance(hint, type) else typing.get_origin(hint) or special_form(hint) or type(hint)
    name = getattr(kind, "__name__", str(kind))
    replacement = _REPLACEMENTS.get(name, "a dataclass, a TypedDict, a NamedTuple or an Enum")
    shown = hint.__qualname__ if isinstance(hint, type) else repr(hint)
    return TypeError(f"{where}: JSON Schema cannot say {shown}: write {replacement}")


def resolve_hints(
    owner: object, where: str, module_names: Optional[Dict[str, Any]], more_names: Mapping[str, object],
) -> Mapping[str, object]:
    """The type hints of `owner` by name; hints written as strings are looked up in `module_names` and `more_names`.

    `module_names` None means those of the owner's module. TypeError if a string cannot be resolved.
    """
    try:
        if sys.version_info >= (3, 9):
            return typing.get_type_hints(owner, module_names, dict(more_names), include_extras=True)
        return typing.get_type_hints(owner, module_names, dict(more_names))
    except (NameError, AttributeError, TypeError, SyntaxError, KeyError) as error:
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise TypeError(f"{where}: a type hint cannot be resolved ({error}): write it as Python {python} knows it, "
                        "with names from the top of its module") from error
