"""The keys that have a result, and what was asked for each, in about 20 bytes whatever they are."""
from __future__ import annotations

import hashlib
from array import array
from typing import List, Optional

from ..json_data import JSON
from .records import encode_line

_PER_BUCKET = 128  # keys: a bucket is searched from its beginning
_SEEN = 1  # the lowest bit of a request's hash says whether the key was met in this run


def hash_bytes(data: bytes) -> int:
    """64 bits that stand for `data`; the lowest is 0, and all of them never are."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") & ~_SEEN or 2


def hash_request(request: JSON, model: str) -> int:
    """64 bits that stand for a request and its model; 0 for what cannot be sent."""
    try:
        return hash_bytes(model.encode("utf-8") + b"\0" + encode_line(request))
    except (TypeError, ValueError, RecursionError):
        return 0


class KnownKeys:
    """Hashes of keys and of their requests; `expected` keys can be looked up fast.

    Ten million keys have two hashes alike with a probability of 3e-6.
    """

    def __init__(self, expected: int = 0) -> None:
        self._mask = (1 << max(8, (expected // _PER_BUCKET).bit_length())) - 1
        self._keys: List[array[int]] = [array("Q") for _ in range(self._mask + 1)]
        self._requests: List[array[int]] = [array("Q") for _ in range(self._mask + 1)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: str, request: int, *, seen: bool) -> None:
        """Note `key`, and the hash of its request."""
        hash = _hash_key(key)
        self._keys[hash >> 1 & self._mask].append(hash)
        self._requests[hash >> 1 & self._mask].append(request | (_SEEN if seen else 0))
        self._count += 1

    def see(self, key: str) -> Optional[int]:
        """The hash of the request for `key`, None if the key is not known; ValueError if this run met it before."""
        hash = _hash_key(key)
        bucket = hash >> 1 & self._mask
        try:
            place = self._keys[bucket].index(hash)
        except ValueError:
            return None
        request = self._requests[bucket][place]
        if request & _SEEN:
            raise ValueError(f"the key {key!r} is given to two prompts: every prompt needs one of its own")
        self._requests[bucket][place] = request | _SEEN
        return request

    def __contains__(self, key: str) -> bool:
        hash = _hash_key(key)
        return hash in self._keys[hash >> 1 & self._mask]


def _hash_key(key: str) -> int:
    return hash_bytes(key.encode("utf-8", "surrogatepass"))
