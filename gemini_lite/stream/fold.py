"""The events of a stream, folded into the one answer that the unary call would have given."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional

from ..answers.check import check
from ..json_data import JSON, list_of_dicts
from ..response import AnswerFormat, GenerateContentResponse

if TYPE_CHECKING:
    from ..answers.streamed_calls import CallPieces


class Fold:
    """Folds the events of a stream, as they arrive, into the one answer that the unary call would have given.

    Neighbouring texts become one part, and neighbouring thoughts, but none that has a signature; the pieces of a call
    become one call. Citations and log probabilities of all events are collected, and so is what the usage has beside
    token counts; of everything else the value of the last event counts. The time is in proportion to the text, and no
    event is kept. `complete` is set once the answer is known to be whole.
    """

    def __init__(self, answer_format: AnswerFormat = AnswerFormat()) -> None:
        self.answer_format = answer_format
        self.complete = False
        self.tries = 1  # requests made for this answer
        self._earlier: List[GenerateContentResponse[Any]] = []
        self._data: JSON = {}
        self._candidates: Dict[int, _Candidate] = {}
        self._response: Optional[GenerateContentResponse[Any]] = None  # the answer so far, until something is added

    def next_round(self) -> None:
        """Put this answer to the earlier ones, and begin another."""
        self._earlier.append(self.response())
        self._data, self._candidates, self._response, self.complete = {}, {}, None, False

    def add(self, event: JSON) -> Optional[List[JSON]]:
        """Take in one event, which stays as it is.

        Where it brings pieces of calls, the parts of candidate 0 come back with the calls that it makes whole instead.
        """
        self._response = None
        parts: Optional[List[JSON]] = None
        for key, value in event.items():
            if key == "candidates":
                for candidate in list_of_dicts(value):
                    whole = self._add_candidate(candidate)
                    parts = parts if whole is None else whole
            elif key == "usageMetadata" and key in self._data:
                self._data[key] = _later_usage(self._data[key], value)
            else:
                self._data[key] = value
        return parts

    def _add_candidate(self, candidate: JSON) -> Optional[List[JSON]]:
        index = candidate.get("index", 0)
        if type(index) is not int:
            index = 0
        known = self._candidates.get(index)
        if known is None:
            known = self._candidates[index] = _Candidate()
        parts = known.add(candidate)
        return parts if not index else None

    @property
    def finished(self) -> bool:
        """Whether candidate 0 has its finish reason."""
        first = self._candidates.get(0)
        return first is not None and "finishReason" in first.data

    def response(self) -> GenerateContentResponse[Any]:
        """The answer so far."""
        if self._response is None:
            self._response = self._answer(_Candidate.text)
        return self._response

    def check(self) -> None:
        """Raise what stands in the way of calling the answer whole, which it is afterwards.

        A long text need not be joined for that.
        """
        check(self._answer(_Candidate.some_text), streamed=True)
        self.complete = True

    def _answer(self, text: Callable[[_Candidate], str]) -> GenerateContentResponse[Any]:
        candidates = [candidate.whole(text(candidate)) for _, candidate in sorted(self._candidates.items())]
        data = {**self._data, "candidates": candidates} if candidates else dict(self._data)
        response: GenerateContentResponse[Any] = GenerateContentResponse(data, self.answer_format, self._earlier)
        response.tries = self.tries
        return response


def _later_usage(earlier: object, usage: Any) -> Any:
    """`usage` with what an `earlier` event told beside the token counts, which are all the last event's."""
    if not type(earlier) is type(usage) is dict or earlier.keys() <= usage.keys():
        return usage
    kept = {key: value for key, value in earlier.items()
            if key not in usage and not key.endswith(("TokenCount", "TokensDetails"))}
    return {**kept, **usage}


class _Candidate:
    __slots__ = ("data", "content", "parts", "pieces", "piece_parts", "run", "is_thought")

    def __init__(self) -> None:
        self.data: JSON = {}
        self.content: JSON = {}
        self.parts: List[JSON] = []
        self.pieces: Optional[CallPieces] = None
        self.piece_parts: List[JSON] = []  # those of a call that is not whole
        self.run: List[str] = []  # the texts of the part that is still growing, empty if none is
        self.is_thought = False  # whether that part is a thought

    def add(self, candidate: JSON) -> Optional[List[JSON]]:
        """Take in what an event says; its parts with whole calls, if it brought pieces of calls."""
        parts: Optional[List[JSON]] = None
        for key, value in candidate.items():
            if key == "content":
                parts = self._add_content(value) if isinstance(value, dict) else None
            elif isinstance(value, dict):
                base = self.data[key] = self.data[key] if isinstance(self.data.get(key), dict) else {}
                _overlay(base, value, key in ("citationMetadata", "logprobsResult"))
            else:
                self.data[key] = value
        return parts

    def _add_content(self, content: JSON) -> Optional[List[JSON]]:
        shown: Optional[List[JSON]] = None  # the event's parts with whole calls, once it has brought a piece of one
        for key, value in content.items():
            if key != "parts":
                self.content[key] = value
                continue
            parts = list_of_dicts(value)
            for part in parts:
                size = len(part)
                if isinstance(part.get("text"), str) and (size == 1 or size == 2 and part.get("thought") is True):
                    if (size == 2) is not self.is_thought:
                        self._end_run()
                        self.is_thought = size == 2
                    self.run.append(part["text"])
                else:
                    self._end_run()
                    if "functionCall" in part and self._is_piece(part):
                        if shown is None:
                            shown = parts[:next(index for index, item in enumerate(parts) if item is part)]
                        shown += self._add_piece(part)
                        continue
                    self.parts.append(part)
                if shown is not None:
                    shown.append(part)
        return shown

    def _is_piece(self, part: JSON) -> bool:
        if self.pieces is None:
            from ..answers.streamed_calls import CallPieces  # a piece of a call has a ``functionCall``
            self.pieces = CallPieces()
        return self.pieces.is_piece(part)

    def _add_piece(self, part: JSON) -> List[JSON]:
        """Take in a piece of a call; the part with the whole call, if this makes it whole."""
        assert self.pieces is not None
        self.piece_parts.append(part)
        whole = self.pieces.add(part)
        if whole is None:
            return []
        self.parts.append(whole)
        self.piece_parts = []
        return [whole]

    def _end_run(self) -> None:
        self.parts += self._growing_part(self.text())
        self.run = []

    def text(self) -> str:
        """The text of the plain part that is still growing."""
        return "".join(self.run)

    def some_text(self) -> str:
        """A piece of it; it is empty only where all of it is."""
        return next(filter(None, self.run), "")

    def _growing_part(self, text: str) -> List[JSON]:
        """The plain part that is still growing, if there is one, with this `text`."""
        if not self.run:
            return []
        return [{"text": text, "thought": True} if self.is_thought else {"text": text}]

    def whole(self, text: str) -> JSON:
        """The candidate so far, the `text` of its growing part as it is given."""
        parts = self.parts + self.piece_parts + self._growing_part(text)
        if parts:
            return {**self.data, "content": {**self.content, "parts": parts}}
        return {**self.data, "content": dict(self.content)} if self.content else dict(self.data)


def _overlay(base: JSON, new: JSON, join_lists: bool) -> None:
    """Put `new` over `base`, which is changed, key by key; with `join_lists` lists are joined."""
    for key, value in new.items():
        if join_lists and isinstance(value, list):
            before = base.get(key)
            base[key] = before if isinstance(before, list) else []
            base[key] += value
        else:
            base[key] = value
