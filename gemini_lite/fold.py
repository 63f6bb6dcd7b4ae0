"""The events of a stream, folded into the one answer that the unary call would have given."""
from __future__ import annotations

from typing import Any, Dict, List

from .json_data import JSON, dict_or_empty, has_text, int_or_none, list_of_dicts
from .response import AnswerFormat, GenerateContentResponse


class Fold:
    """Folds the events of a stream, as they arrive, into the one answer that the unary call would have given.

    Neighbouring plain texts are joined, a part with a signature never is; of everything else the last word counts,
    but citations and log probabilities add up. Linear in the text; keeps the text and no event. `complete` is set
    once the answer is known to be whole.
    """

    def __init__(self, answer_format: AnswerFormat = AnswerFormat()) -> None:
        self.answer_format = answer_format
        self.complete = False
        self.tries = 1  # requests made for this answer
        self._earlier: List[GenerateContentResponse[Any]] = []
        self._data: JSON = {}
        self._candidates: Dict[int, _Candidate] = {}

    def next_round(self) -> None:
        """Put this answer to the earlier ones, and begin another."""
        self._earlier.append(self.response())
        self._data, self._candidates, self.complete = {}, {}, False

    def add(self, event: JSON) -> None:
        """Take in one event, which stays as it is."""
        for key, value in event.items():
            if key != "candidates":
                self._data[key] = value
                continue
            for candidate in list_of_dicts(value):
                index = int_or_none(candidate.get("index")) or 0
                known = self._candidates.get(index)
                if known is None:
                    known = self._candidates[index] = _Candidate()
                known.add(candidate)

    @property
    def finished(self) -> bool:
        """Whether candidate 0 has its finish reason."""
        first = self._candidates.get(0)
        return first is not None and "finishReason" in first.data

    def outline(self) -> GenerateContentResponse[Any]:
        """The answer so far without its contents: what `check` reads, at no cost."""
        return self._answer([candidate.data for _, candidate in sorted(self._candidates.items())])

    def response(self) -> GenerateContentResponse[Any]:
        """The answer so far."""
        return self._answer([candidate.whole() for _, candidate in sorted(self._candidates.items())])

    def _answer(self, candidates: List[JSON]) -> GenerateContentResponse[Any]:
        data = {**self._data, "candidates": candidates} if candidates else dict(self._data)
        response: GenerateContentResponse[Any] = GenerateContentResponse(data, self.answer_format, self._earlier)
        response.tries = self.tries
        return response


class _Candidate:
    __slots__ = ("data", "content", "parts", "run", "kind")

    def __init__(self) -> None:
        self.data: JSON = {}
        self.content: JSON = {}
        self.parts: List[JSON] = []
        self.run: List[str] = []  # the texts of the plain part that is still growing
        self.kind = 0  # what else that part has, by the number of its keys: 1 nothing, 2 "thought": True

    def add(self, candidate: JSON) -> None:
        for key, value in candidate.items():
            if key == "content":
                self._add_content(dict_or_empty(value))
            elif isinstance(value, dict):
                base = self.data[key] = self.data[key] if isinstance(self.data.get(key), dict) else {}
                _overlay(base, value, key in ("citationMetadata", "logprobsResult"))
            else:
                self.data[key] = value

    def _add_content(self, content: JSON) -> None:
        for key, value in content.items():
            if key != "parts":
                self.content[key] = value
                continue
            for part in list_of_dicts(value):
                size = len(part)
                if has_text(part) and (size == 1 or size == 2 and part.get("thought") is True):
                    if size != self.kind:
                        self._end_run()
                        self.kind = size
                    self.run.append(part["text"])
                else:
                    self._end_run()
                    self.parts.append(part)

    def _end_run(self) -> None:
        self.parts += self._grown()
        self.run = []
        self.kind = 0

    def _grown(self) -> List[JSON]:
        """The plain part that is still growing, if there is one."""
        if not self.run:
            return []
        text = "".join(self.run)
        return [{"text": text} if self.kind == 1 else {"text": text, "thought": True}]

    def whole(self) -> JSON:
        parts = self.parts + self._grown()
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
