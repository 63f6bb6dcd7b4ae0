"""A table of keys that takes about 20 bytes for each: its number, and whether it was met."""
from __future__ import annotations

import hashlib
from array import array
from typing import List, Optional, Tuple

_PER_BUCKET = 128  # keys: a bucket is searched from its beginning
_SEEN = 1  # the lowest bit of a key's number says whether the key was met


def hash_bytes(data: bytes) -> int:
    """A hash of `data` with 64 bits, never 0, whose lowest bit is 0."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") & ~_SEEN or 2


class KnownKeys:
    """A table of keys, each with a number below 2**64; in place of its lowest bit, it keeps whether the key was met.

    Of a key its hash is kept, of 63 bits: two of ten million keys have the same with a probability of 5e-6. Looking up
    is fast for up to `expected` keys.
    """

    def __init__(self, expected: int = 0) -> None:
        self._mask = (1 << max(8, (expected // _PER_BUCKET).bit_length())) - 1
        self._keys: List[array[int]] = [array("Q") for _ in range(self._mask + 1)]
        self._numbers: List[array[int]] = [array("Q") for _ in range(self._mask + 1)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: str, number: int, *, seen: bool) -> None:
        """Note `key`, and its number, such as the hash of its request."""
        hash = _hash_key(key)
        self._keys[hash >> 1 & self._mask].append(hash)
        self._numbers[hash >> 1 & self._mask].append(number & ~_SEEN | (_SEEN if seen else 0))
        self._count += 1

    def see(self, key: str) -> Optional[int]:
        """The number of `key`, None if the key is not known; ValueError if it was met before."""
        bucket, place = self._find(key)
        if place < 0:
            return None
        number = self._numbers[bucket][place]
        if number & _SEEN:
            raise ValueError(f"the key {key!r} is given to two prompts: every prompt needs one of its own")
        self._numbers[bucket][place] = number | _SEEN
        return number

    def is_seen(self, key: str) -> bool:
        """Whether `key` is known, and was met."""
        bucket, place = self._find(key)
        return place >= 0 and bool(self._numbers[bucket][place] & _SEEN)

    def __contains__(self, key: str) -> bool:
        return self._find(key)[1] >= 0

    def _find(self, key: str) -> Tuple[int, int]:
        """The bucket of `key`, and its place there; -1 if it is not known."""
        hash = _hash_key(key)
        bucket = hash >> 1 & self._mask
        try:
            return bucket, self._keys[bucket].index(hash)
        except ValueError:
            return bucket, -1


def _hash_key(key: str) -> int:
    return hash_bytes(key.encode("utf-8", "surrogatepass"))
