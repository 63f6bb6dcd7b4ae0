"""Answers as a new column of a frame; frames are known by their methods, and no library of theirs is imported."""
from __future__ import annotations

from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional

from ..api.prompts import check_prompts
from ..response import Result

Columns = Mapping[str, List[Optional[str]]]


class Column:
    """Adds to a frame the answers to the prompts in a column; made by `Recipe.column`, where all is said."""

    def __init__(
        self, answer: Callable[[Iterable[object]], List[Result]], name: str, into: str, error: Optional[str],
    ) -> None:
        self._answer, self._name, self._into, self._error = answer, name, into, error

    def __call__(self, frame: Any) -> Any:
        """`frame` with the answers, or an iterator of frames that have them; what is handed in is not changed."""
        if hasattr(frame, "__next__"):
            return self._each(frame)
        add = _adder(frame)
        prompts = frame[self._name]
        check_prompts(prompts)
        results = self._answer([(str(index), prompt) for index, prompt in enumerate(prompts)])
        columns = {self._into: [result.text for result in results]}
        if self._error is not None:
            columns[self._error] = [None if result.error is None else str(result.error) for result in results]
        else:
            for result in results:
                result.unwrap()
        return add(columns)

    def _each(self, frames: Iterator[Any]) -> Iterator[Any]:
        for frame in frames:
            yield self(frame)


def _adder(frame: Any) -> Callable[[Columns], Any]:
    """What adds columns to `frame`; TypeError, before anything is paid for, if nothing can."""
    if hasattr(frame, "with_columns") and hasattr(frame, "to_series"):  # polars, which reads in the texts that they are
        series = type(frame.to_series())
        return lambda columns: frame.with_columns([series(name, ["", *values])[1:] for name, values in columns.items()])
    if hasattr(frame, "assign"):  # pandas, and the pieces of others that are pandas inside
        return lambda columns: frame.assign(**columns)
    if isinstance(frame, Mapping):  # a batch of columns, such as Ray's
        return lambda columns: {**frame, **columns}
    raise TypeError(f"a column cannot be added to {type(frame).__name__}: give a pandas or polars frame, a dict of "
                    "columns, or an iterator of these")
