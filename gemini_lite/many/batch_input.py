"""The prompts of a batch: a request for each that has no result yet, kept on disk until the job is made."""
from __future__ import annotations

import json
from typing import BinaryIO, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from ..api.batch_requests import BatchRequest
from ..api.known_keys import KnownKeys
from ..api.prompts import RequestBuilder, read_item
from ..json_data import JSON
from ..options import GeminiOptions
from ..response import Result
from .batch_manifest import InputDigest
from .failures import invalid_prompt
from .journal import Journal
from .records import hash_request


class Waiting(NamedTuple):
    """A prompt without a result: its position, and the hash of its request."""

    position: int
    hash: int


class BatchInput:
    """The requests of one call, in `spool`, an empty file.

    `waiting` are the prompts without a result, by key; `answered` the keys that have a line in the journal; `refused`
    the results of prompts that cannot be sent, with the hash of each; `digest` is over all of them.
    """

    def __init__(self, journal: Journal, options: GeminiOptions, model: str, spool: BinaryIO) -> None:
        self._journal, self._model, self._spool = journal, model, spool
        self._builder = RequestBuilder(options, model)
        self.digest = InputDigest()
        self.waiting: Dict[str, Waiting] = {}
        self.answered = KnownKeys()
        self.refused: List[Tuple[Result, int]] = []

    def read(self, prompts: Iterable[object]) -> None:
        """Take in all `prompts`; ValueError for a key that comes twice, or whose result answers another request."""
        for index, value in enumerate(prompts):
            self._add(index, value)

    def _add(self, index: int, value: object) -> None:
        key, request, line = str(index), {}, b""
        error: Optional[Exception] = None
        try:
            item = read_item(value)
            key = key if item.key is None else item.key
            request = self._builder.build(item)
            line = BatchRequest(key, request).line()
        except (ValueError, TypeError, OSError, RecursionError) as failure:
            request, error = {}, failure
        hash = self._admit(key, request)
        if hash is None:
            return
        if error is not None:
            self.refused.append((Result(index, key, None, invalid_prompt(error), 0), hash))
        else:
            self.waiting[key] = Waiting(index, hash)
            self._spool.write(line)

    def _admit(self, key: str, request: JSON) -> Optional[int]:
        hash = hash_request(request, self._model)
        self.digest.add(key, hash)
        admitted = self._journal.admit_hash(key, hash)
        if admitted is None:
            self.answered.add(key, 0, seen=False)
        return admitted

    @property
    def size(self) -> int:
        """The bytes of all requests."""
        return self._spool.seek(0, 2)

    def requests(self) -> Iterator[BatchRequest]:
        """Each key and request."""
        return (BatchRequest(**json.loads(line)) for line in self.file())

    def file(self) -> BinaryIO:
        """The file of requests, at its beginning."""
        self._spool.seek(0)
        return self._spool
