"""The body of a response, block by block as it arrives.

The methods of urllib3 wait for as many bytes as were asked for, or for the end of a chunk, and have no deadline.
"""
from __future__ import annotations

import http.client
import zlib
from typing import Any, Iterator, Optional

from .compat import read_available, socket_of
from .deadline import NEVER, Deadline

BLOCK = 1 << 16  # bytes


def blocks(raw: Any, deadline: Deadline = NEVER) -> Iterator[bytes]:
    """Blocks of a urllib3 response's body, unpacked, each as soon as it is there; ends on a whole body only.

    With a deadline a silence lasts until then at most. Blocks then do not wait for the rest of a chunk either, which
    may never come; that takes half as long again.
    """
    if raw.chunked and not deadline.is_set:  # one block for each HTTP chunk: neither waits nor gathers
        yield from raw.stream(BLOCK, decode_content=True)
        return
    timeout = _SocketTimeout(raw, deadline)
    if not hasattr(raw, "read1"):
        yield from _blocks_of_packed(raw, timeout)
        return
    while True:
        timeout.shorten()
        block = raw.read1(BLOCK, decode_content=True)
        if not block:  # b"" at the end; None once it is closed
            return
        yield block


def _blocks_of_packed(raw: Any, timeout: _SocketTimeout) -> Iterator[bytes]:
    """`blocks` for urllib3 before 2.2, whose ``read(n)`` waits for n bytes: read beneath it."""
    encoding = raw.headers.get("Content-Encoding", "identity").lower()
    unpacker = _Unpacker() if encoding in ("gzip", "x-gzip", "deflate") else None
    length, received = raw.headers.get("Content-Length", ""), 0
    while True:
        timeout.shorten()
        block = read_available(raw, BLOCK)
        if not block:
            break
        received += len(block)
        if unpacker is not None:
            block = unpacker.feed(block)
        if block:
            yield block
    if length.isdigit() and received < int(length):
        raise http.client.IncompleteRead(b"", int(length) - received)
    timeout.restore()
    raw.read()  # finds the end and so gives the connection back


class _SocketTimeout:
    """The timeout of the connection's socket, kept below what a deadline leaves."""

    def __init__(self, raw: Any, deadline: Deadline) -> None:
        self._raw, self._deadline = raw, deadline
        self._usual: Optional[float] = getattr(socket_of(raw), "gettimeout", lambda: None)()

    def shorten(self) -> None:
        if self._deadline.is_set:
            left = max(0.001, self._deadline.left)
            self._set(left if self._usual is None else min(left, self._usual))

    def restore(self) -> None:
        """For the connection's next user: old urllib3 sends with the timeout that it finds."""
        if self._deadline.is_set:
            self._set(self._usual)

    def _set(self, seconds: Optional[float]) -> None:
        sock = socket_of(self._raw)
        if sock is not None:
            sock.settimeout(seconds)


class _Unpacker:
    """Unpacks gzip, of any number of members, and deflate as it comes."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, block: bytes) -> bytes:
        parts = []
        while block:
            if self._member.eof:
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 32)
            parts.append(self._member.decompress(block))
            block = self._member.unused_data
        return b"".join(parts)
