"""The calls in a model's turn: which of them are owed a result, and the turn that answers them."""
from __future__ import annotations

from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..json_data import JSON, dict_or_empty, str_or_none

DisplayName = Callable[[str], str]  # the user's name of a tool by its name on the wire


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


class CallResult(NamedTuple):
    """The result of a call as it is sent: `parts` are the pictures, sound and files beside the `response`."""

    name: str
    response: JSON
    id: Optional[str] = None
    parts: Sequence[JSON] = ()


def open_calls(parts: Sequence[JSON]) -> List[JSON]:
    """The functionCall dicts among the `parts` of a model's turn, without those that the turn answers itself."""
    owed = OwedCalls()
    owed.model_turn(parts)
    return owed.calls


class OwedCalls:
    """The calls that wait for a result, as a conversation goes on; neighbouring turns of one role are one turn.

    Calls of which none has a result may be passed over: models before Gemini 3 go on from there.
    """

    def __init__(self, contents: Sequence[JSON] = (), display_name: DisplayName = str) -> None:
        self.calls: List[JSON] = []
        self._results = 0  # for the calls of the last turn of the model's
        self._after_user = False
        self._display_name = display_name
        for content in contents:
            self.add(content, "a turn")

    def add(self, content: JSON, where: str) -> None:
        """Take in a turn. ValueError, with the turn's name `where`, if it does not fit the calls before it."""
        if content["role"] == "user":
            self._user_turn(content["parts"])
        else:
            if self._after_user:
                self.check_none_owed(where, may_pass_over=True)
                self.calls, self._results = [], 0
            self.model_turn(content["parts"])
        self._after_user = content["role"] == "user"

    def model_turn(self, parts: Sequence[JSON]) -> None:
        """Take in the calls of the model, and the results of tools that ran on the server."""
        self.calls += _dicts(parts, "functionCall")
        results = _results(parts)
        if results:
            found = _match(self.calls, results)[0]
            self.calls = _without(self.calls, found)

    def _user_turn(self, parts: Sequence[JSON]) -> None:
        results = _results(parts)
        if results:
            found = _match_all(self.calls, results, self._display_name)
            self.calls = _without(self.calls, found)
            self._results += len(found)

    def check_none_owed(self, where: str, may_pass_over: bool = False) -> None:
        """ValueError if a call still waits when the turn `where` comes; `may_pass_over` allows it where all wait."""
        if self.calls and not (may_pass_over and self._after_user and not self._results):
            raise ValueError(
                f"the model waits for the results of its calls, and {where} holds something else: answer with "
                f"send_tool_results first; still owed: {list_calls(self.calls, self._display_name)}")


def owed_calls(contents: Sequence[JSON]) -> List[JSON]:
    """The functionCall dicts of the last turns that wait for a result."""
    return OwedCalls(contents).calls


def results_content(owed: Sequence[JSON], results: Sequence[CallResult], display_name: DisplayName = str) -> JSON:
    """The user's content that answers the `owed` calls, in their order, with `results`.

    A result without an id answers the first call of its name that is left. ValueError says what is still owed.
    """
    found = _match_all(owed, results, display_name)
    if len(found) < len(owed):
        raise ValueError("all calls of a turn are answered together; still owed: "
                         f"{list_calls(_without(owed, found), display_name)}")
    return {"role": "user", "parts": [_result_part(call, found[index]) for index, call in enumerate(owed)]}


def _result_part(call: JSON, result: CallResult) -> JSON:
    part: JSON = {"id": call["id"]} if call.get("id") else {}
    part.update(name=call.get("name"), response=result.response)
    if result.parts:
        part["parts"] = list(result.parts)
    return {"functionResponse": part}


def named_results(results: object) -> List[Tuple[str, object, Optional[str]]]:
    """The (name, response, id) of what `send_tool_results` takes: tuples in a list, or a dict of responses by name."""
    if isinstance(results, Mapping):
        items: List[object] = list(results.items())
    elif isinstance(results, (list, tuple)) and not (results and isinstance(results[0], str)):
        items = list(results)
    else:
        raise TypeError(f"{_RESULT_FORMS}, not {results!r:.80}")
    return [_named_result(item) for item in items]


_RESULT_FORMS = "results are a list of (name, response) or (name, response, id), or a dict {name: response}"


def _named_result(item: object) -> Tuple[str, object, Optional[str]]:
    if not isinstance(item, (tuple, list)) or len(item) not in (2, 3) or not isinstance(item[0], str):
        raise TypeError(f"{_RESULT_FORMS}; {item!r:.80} is neither")
    id = item[2] if len(item) == 3 else None
    if id is not None and not isinstance(id, str):
        raise TypeError(f"the id of a result is a string, not {id!r:.80}")
    return item[0], item[1], id


def _match_all(
    owed: Sequence[JSON], results: Sequence[CallResult], display_name: DisplayName,
) -> Dict[int, CallResult]:
    """The result for each of the `owed` calls, by its index; ValueError for one that answers none."""
    found, left = _match(owed, results)
    if left is not None:
        given = list_calls([{"name": left.name, "id": left.id}], display_name)
        rest = list_calls(_without(owed, found), display_name) or "none"
        raise ValueError(f"no call of {given} waits for a result; owed: {rest}")
    return found


def _match(
    owed: Sequence[JSON], results: Sequence[CallResult],
) -> Tuple[Dict[int, CallResult], Optional[CallResult]]:
    """The result for each of the `owed` calls that has one, by its index, and a result that answers none.

    Those with an id choose first; a call without an id takes a result with any.
    """
    by_name: Dict[str, List[int]] = {}
    by_id: Dict[Tuple[str, str], List[int]] = {}
    for index in reversed(range(len(owed))):  # so that pop gives the first
        name, id = str(owed[index].get("name")), str(owed[index].get("id") or "")
        by_name.setdefault(name, []).append(index)
        by_id.setdefault((name, id), []).append(index)
    found: Dict[int, CallResult] = {}
    left: Optional[CallResult] = None
    for result in sorted(results, key=lambda result: not result.id):
        places = ([by_id.get((str(result.name), str(result.id)), []), by_id.get((str(result.name), ""), [])]
                  if result.id else [by_name.get(str(result.name), [])])
        place = next((index for indices in places for index in _pop_unmatched(indices, found)), None)
        if place is None:
            left = left or result
        else:
            found[place] = result
    return found, left


def _pop_unmatched(indices: List[int], found: Mapping[int, object]) -> Iterator[int]:
    """The first of `indices` that is not found yet, which is taken out of them."""
    while indices:
        index = indices.pop()
        if index not in found:
            yield index
            return


def _results(parts: Sequence[JSON]) -> List[CallResult]:
    return [CallResult(str(item.get("name")), dict_or_empty(item.get("response")), str_or_none(item.get("id")))
            for item in _dicts(parts, "functionResponse")]


def _dicts(parts: Sequence[JSON], key: str) -> List[JSON]:
    return [part[key] for part in parts if isinstance(part.get(key), dict) and part[key]]


def _without(owed: Sequence[JSON], found: Mapping[int, object]) -> List[JSON]:
    return [call for index, call in enumerate(owed) if index not in found]


def list_calls(calls: Sequence[JSON], display_name: DisplayName = str) -> str:
    """The names and ids of `calls`, for a message."""
    named = [display_name(str(call.get("name"))) + (f" (id {call['id']})" if call.get("id") else "")
             for call in calls[:_MOST_LISTED]]
    return ", ".join(named) + (f" and {len(calls) - _MOST_LISTED} more" if len(calls) > _MOST_LISTED else "")


_MOST_LISTED = 20
