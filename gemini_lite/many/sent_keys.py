"""The keys of prompts that went out, beside a file of results: what is there and has no result was lost by a crash."""
from __future__ import annotations

import contextlib
import errno
import json
import os
from typing import Iterator, Sequence, Tuple

from .records import encode_line

Sent = Tuple[str, int, int]  # key, hash of the request, index


class SentKeys:
    """The file at `path`; without `is_wanted` nothing is written, and what is there is left."""

    def __init__(self, path: str, *, is_wanted: bool) -> None:
        self._path, self._is_wanted = path, is_wanted
        self._file = -1

    def open(self) -> Iterator[Sent]:
        """What an earlier run left, if it is wanted; a torn last line is left out, for its prompt was not sent."""
        if not self._is_wanted:
            return
        with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
            for line in file:
                try:
                    key, hash, index = json.loads(line)
                except (ValueError, TypeError):
                    continue
                yield str(key), int(hash), int(index)

    def add(self, key: str, hash: int, index: int) -> None:
        """Note a prompt before it is sent; OSError if it cannot be noted whole."""
        if not self._is_wanted:
            return
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self._path, flags, 0o600)
        line = encode_line([key, hash, index])
        if os.write(self._file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def replace(self, sent: Sequence[Sent]) -> None:
        """Keep these alone; without any, no file."""
        if not self._is_wanted:
            return
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        for item in sent:
            self.add(*item)

    def close(self) -> None:
        """Close the file, and leave it there."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
