"""Which conversations Google refuses: results that do not match the calls, calls without their signature."""
from __future__ import annotations

from typing import Iterator, List, Optional, Sequence, Tuple

from ..json_data import JSON
from .replies import Error
from .request import Request


def bad_history(request: Request) -> Optional[Error]:
    """Calls and results that do not match, and calls without a signature where the model asks for one."""
    turns = list(_turns(request.contents))
    for number, (role, parts) in enumerate(turns):
        before = turns[number - 1][1] if number else []
        after = turns[number + 1][1] if number + 1 < len(turns) else None
        problem = _bad_calls(request.model, parts, before, after) if role == "model" else _bad_results(parts, before)
        if problem:
            return Error(400, problem)
    return _bad_signatures(request) if request.model.startswith("gemini-3") else None


def _bad_calls(model: str, parts: List[JSON], before: List[JSON], after: Optional[List[JSON]]) -> str:
    calls = _count(parts, "functionCall")
    results = _count(parts, "functionResponse") + _count(after or [], "functionResponse")
    if not calls:
        return ""
    if not before:
        return ("Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn.")
    # Models before Gemini 3 answered recorded requests in which the user went on without any result.
    passed_over = results == 0 and after is not None and not model.startswith("gemini-3")
    return "" if results == calls or passed_over else (
        "Please ensure that the number of function response parts is equal to the number of function call parts of the "
        "function call turn.")


def _bad_results(parts: List[JSON], before: List[JSON]) -> str:
    if not _count(parts, "functionResponse") or _count(before, "functionCall"):
        return ""
    return "Please ensure that function response turn comes immediately after a function call turn."


def _turns(contents: Sequence[JSON]) -> Iterator[Tuple[str, List[JSON]]]:
    """The contents with neighbours of one role joined, as Google reads them."""
    role, parts = "", []  # type: Tuple[str, List[JSON]]
    for content in contents:
        own = str(content.get("role") or "user")
        if own != role and parts:
            yield role, parts
            parts = []
        role, parts = own, [*parts, *content["parts"]]
    if parts:
        yield role, parts


def _count(parts: Sequence[JSON], field: str) -> int:
    return sum(part.get(field) is not None for part in parts)


def _bad_signatures(request: Request) -> Optional[Error]:
    """The first call of each step must be signed, from the last prompt of the user on; older ones are not looked at."""
    contents = request.contents
    prompts = [number for number, content in enumerate(contents)
               if content.get("role") != "model" and not _count(content["parts"], "functionResponse")]
    for number in range(prompts[-1] if prompts else 0, len(contents)):
        calls = [part for part in contents[number]["parts"] if part.get("functionCall") is not None]
        if contents[number].get("role") == "model" and calls and not calls[0].get("thoughtSignature"):
            return Error(400, (
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{calls[0]['functionCall'].get('name')}` , position {number + 1}. "
                "Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details."))
    return None
