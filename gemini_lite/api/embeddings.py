"""Embeddings: one vector for each item of a list of any length."""
from __future__ import annotations

import math
from array import array
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple, Union, overload

from ..answers.usage import UsageMetadata
from ..errors import ParseError
from ..json_data import JSON, preview
from ..transport.deadline import Deadline, check_count
from .embedding_forms import Form, form_of
from .embedding_items import EmbedPrompts, read_items
from .sending import Sender
from .waiting import whole_deadline


class Embeddings(Sequence["array[float]"]):
    """The vectors for a list, in its order; each is an ``array('d')``, which `numpy.asarray` takes without a copy.

    In ``error.embeddings`` a vector that was not made is None.
    """

    def __init__(self, vectors: Sequence[Optional[array[float]]], usage: JSON) -> None:
        self._vectors, self._usage = list(vectors), usage

    @property
    def usage_metadata(self) -> UsageMetadata:
        """The tokens of all calls together, where the API counts them."""
        return UsageMetadata(self._usage)

    @property
    def missing(self) -> List[int]:
        """The indexes of the items that have no vector; empty unless a call failed."""
        return [index for index, vector in enumerate(self._vectors) if vector is None]

    def to_list(self) -> List[List[float]]:
        """The vectors as lists of floats, which JSON can say; one that is missing is empty."""
        return [[] if vector is None else vector.tolist() for vector in self._vectors]

    def __len__(self) -> int:
        return len(self._vectors)

    @overload
    def __getitem__(self, index: int) -> array[float]: ...

    @overload
    def __getitem__(self, index: slice) -> Embeddings: ...

    def __getitem__(self, index: Union[int, slice]) -> Union[array[float], Embeddings]:
        if isinstance(index, slice):
            return Embeddings(self._vectors[index], self._usage)
        return self._vectors[index]  # type: ignore[return-value]  # None in error.embeddings alone

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Embeddings) and other._vectors == self._vectors

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        size = next((len(vector) for vector in self._vectors if vector is not None), 0)
        missing = f", {len(self.missing)} missing" if self.missing else ""
        return f"Embeddings({len(self)} vectors of {size}{missing})"


def embed(
    sender: Sender, prompts: EmbedPrompts, *, model: Optional[str] = None, task_type: Optional[str] = None,
    title: Optional[str] = None, output_dimensionality: Optional[int] = None, normalize: bool = False,
    concurrency: int = 1, deadline: Optional[float] = None,
) -> Embeddings:
    """A vector for each item of `prompts`, split into as many calls as it needs, `concurrency` of them at a time.

    A string, a part or a file is one item, and so is a list inside the list: one vector for all that it holds. An
    error has ``embeddings``, with the vectors that were made before. `deadline` is in seconds, for all of it.
    """
    check_count(concurrency, "concurrency")
    model, items, fields = read_items(prompts, model, task_type, title, output_dimensionality)
    if not items:
        return Embeddings([], {})
    form = form_of(sender, model)
    slices = [items[start:start + form.limit] for start in range(0, len(items), form.limit)]
    run = _Run(sender, model, form, fields, normalize, whole_deadline(deadline))
    if concurrency == 1 or len(slices) == 1:
        answers, error = run.one_by_one(slices)
    else:
        answers, error = run.side_by_side(slices, concurrency)
    found = _join(slices, answers)
    if error is not None:
        setattr(error, "embeddings", found)
        raise error
    return found


Answer = Tuple[List["array[float]"], JSON]  # the vectors of a slice, and their usage
Answers = Dict[int, Answer]  # by the number of the slice
Running = Dict["Future[Answer]", int]


class _Run:
    """The calls for one list."""

    def __init__(
        self, sender: Sender, model: str, form: Form, fields: JSON, normalize: bool, deadline: Deadline,
    ) -> None:
        self._sender, self._model, self._form, self._fields = sender, model, form, fields
        self._normalize, self._deadline = normalize, deadline

    def one_by_one(self, slices: List[List[JSON]]) -> Tuple[Answers, Optional[BaseException]]:
        """The answers up to the first failure, and that."""
        answers: Answers = {}
        for number, items in enumerate(slices):
            try:
                answers[number] = self._call(items)
            except BaseException as error:  # Ctrl-C, too: what was made is paid for
                return answers, error
        return answers, None

    def side_by_side(
        self, slices: List[List[JSON]], concurrency: int,
    ) -> Tuple[Answers, Optional[BaseException]]:
        """The answers, and the first failure: no call begins after it, and those under way are waited for."""
        answers: Answers = {}
        error: Optional[BaseException] = None
        waiting: Iterator[Tuple[int, List[JSON]]] = iter(enumerate(slices))
        running: Running = {}
        with ThreadPoolExecutor(min(concurrency, len(slices)), "gemini-lite-embed") as pool:
            while True:
                while error is None and len(running) < concurrency:
                    number, items = next(waiting, (-1, []))
                    if number < 0:
                        break
                    running[pool.submit(self._call, items)] = number
                if not running:
                    return answers, error
                error = _take_ended(running, answers) or error

    def _call(self, items: List[JSON]) -> Answer:
        form = self._form
        path = self._sender.route.backend.path(form.method(len(items)), self._model)
        answer = self._sender.send(path, form.body(items, self._fields), deadline=self._deadline)
        vectors = [self._vector(item) for item in form.embeddings(answer)]
        if len(vectors) != len(items):
            raise ParseError(f"The server gave {len(vectors)} vectors for {len(items)} items, so which is whose cannot "
                             "be told. Ask again, or use another model.", reason="WRONG_COUNT")
        return vectors, form.usage(answer)

    def _vector(self, embedding: JSON) -> array[float]:
        values = embedding.get("values")
        try:
            if not isinstance(values, list) or not values:
                raise TypeError
            vector = array("d", values)
        except (TypeError, OverflowError):
            raise ParseError(f"An embedding holds no numbers: {preview(embedding, 200)}", reason="NO_VECTOR") from None
        return _unit(vector) if self._normalize else vector


def _take_ended(running: Running, answers: Answers) -> Optional[BaseException]:
    """Move the next calls that end from `running` to `answers`; the failure of one, or the interrupt of the wait."""
    error: Optional[BaseException] = None
    try:
        ended: Set["Future[Answer]"] = wait(running, return_when=FIRST_COMPLETED).done
    except KeyboardInterrupt as interrupt:
        return interrupt
    for future in ended:
        number, failure = running.pop(future), future.exception()
        if failure is None:
            answers[number] = future.result()
        error = error or failure
    return error


def _unit(vector: array[float]) -> array[float]:
    """`vector` with length 1; one of zeros stays."""
    length = math.hypot(*vector)
    return array("d", [value / length for value in vector]) if length else vector


def _join(slices: List[List[JSON]], answers: Answers) -> Embeddings:
    vectors: List[Optional[array[float]]] = []
    usage: JSON = {}
    for number, items in enumerate(slices):
        found, counted = answers.get(number, ([], {}))
        vectors.extend(found or (None for _ in items))
        for name, value in counted.items():
            if type(value) is int:
                usage[name] = usage.get(name, 0) + value
    return Embeddings(vectors, usage)
