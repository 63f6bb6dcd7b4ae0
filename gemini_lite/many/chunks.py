"""The chunks of a recipe's prompts, answered by an executor: out, held until their turn, and handed on in order."""
from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Callable, Dict, Iterator, List, Optional, Set, Tuple

from .worker import Answered

Submit = Callable[[int, List[object]], "Future[Answered]"]


class Chunks:
    """Iterates over the number and the lines of each chunk; at most `ahead` are out or held.

    An error, of a worker or of the caller's `pieces`, is raised when all that was under way has been handed on.
    """

    def __init__(self, pieces: Iterator[List[object]], submit: Submit, ahead: int) -> None:
        self._pieces, self._submit, self._ahead = enumerate(pieces), submit, ahead
        self._out: Dict["Future[Answered]", int] = {}  # the number of each
        self._held: Dict[int, List[bytes]] = {}  # by number
        self._is_over = False
        self._error: Optional[BaseException] = None

    def __iter__(self) -> Iterator[Tuple[int, List[bytes]]]:
        following = 0
        try:
            self._fill()
            while self._out:
                self._collect()
                while following in self._held:
                    yield following, self._held.pop(following)
                    following += 1
                self._fill()
            yield from sorted(self._held.items())  # after one that did not come
            if self._error is not None:
                raise self._error
        finally:
            self._cancel()

    def _fill(self) -> None:
        """Hand out as many chunks as may be."""
        while not self._is_over and len(self._out) + len(self._held) < self._ahead:
            try:
                number, piece = next(self._pieces)
                self._out[self._submit(number, piece)] = number
            except StopIteration:
                self._is_over = True
            except Exception as error:  # the caller's own iterator, or an executor that is broken
                self._end(error)

    def _collect(self) -> None:
        """Wait for a chunk, and take in what is there."""
        done: Set["Future[Answered]"] = wait(self._out, return_when=FIRST_COMPLETED).done
        for future in done:
            number = self._out.pop(future)
            failure = future.exception()
            if failure is None:
                self._held[number], failure = future.result()
            if failure is not None:
                self._end(failure)
                self._cancel()

    def _end(self, error: BaseException) -> None:
        self._is_over = True
        self._error = self._error or error

    def _cancel(self) -> None:
        """Take back the chunks that nobody has begun."""
        for future in list(self._out):
            if future.cancel():
                del self._out[future]
