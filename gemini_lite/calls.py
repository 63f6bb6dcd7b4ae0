"""The calls in a model's turn: which of them are owed a result, and the turn that answers them."""
from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from .json_data import JSON

DisplayName = Callable[[str], str]  # the user's name of a tool by its name on the wire
CallResult = Union[Tuple[str, JSON], Tuple[str, JSON, Optional[str]]]  # (name, response[, id])


class FunctionCall(NamedTuple):
    """A call that the model asks for; `args` is a dict, `id` None where the model gave none."""

    name: str
    args: JSON
    id: Optional[str] = None


class FunctionResult(NamedTuple):
    """The result of a call: `response` is the dict that the model gets."""

    name: str
    response: JSON
    id: Optional[str] = None


def function_calls(parts: Sequence[JSON]) -> List[JSON]:
    """The functionCall dicts among `parts`."""
    return [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), dict)]


def owed_calls(contents: Sequence[JSON]) -> List[JSON]:
    """The functionCall dicts of the last content that wait for a result."""
    return function_calls(contents[-1]["parts"]) if contents and contents[-1]["role"] == "model" else []


def results_content(owed: Sequence[JSON], results: Sequence[CallResult], display_name: DisplayName = str) -> JSON:
    """The user's content that answers the `owed` calls, in their order, with `results`.

    A result without an id answers the first call of its name that is left. ValueError says what is still owed.
    """
    found = _match(owed, results, display_name)
    if len(found) < len(owed):
        raise ValueError("all calls of a turn are answered together; still owed: "
                         f"{list_calls(_without(owed, found), display_name)}")
    parts = [{"functionResponse": {
        **({"id": call["id"]} if call.get("id") else {}), "name": call.get("name"), "response": found[index]}}
        for index, call in enumerate(owed)]
    return {"role": "user", "parts": parts}


def _match(owed: Sequence[JSON], results: Sequence[CallResult], display_name: DisplayName) -> Dict[int, JSON]:
    """The response for each of the `owed` calls, by its index; ValueError for a result that answers none."""
    found: Dict[int, JSON] = {}
    named = [(name, response, rest[0] if rest else None) for name, response, *rest in results]
    for name, response, id in sorted(named, key=lambda result: result[2] is None):  # those with an id choose first
        place = next((index for index, call in enumerate(owed) if index not in found and call.get("name") == name
                      and id in (None, call.get("id"))), None)
        if place is None:
            given = list_calls([{"name": name, "id": id}], display_name)
            left = list_calls(_without(owed, found), display_name) or "none"
            raise ValueError(f"no call of {given} waits for a result; owed: {left}")
        found[place] = response
    return found


def _without(owed: Sequence[JSON], found: Dict[int, JSON]) -> List[JSON]:
    return [call for index, call in enumerate(owed) if index not in found]


def list_calls(calls: Sequence[JSON], display_name: DisplayName = str) -> str:
    """The names and ids of `calls`, for a message."""
    return ", ".join(
        display_name(str(call.get("name"))) + (f" (id {call['id']})" if call.get("id") else "") for call in calls)
