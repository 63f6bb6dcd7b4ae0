"""The body of a response, block by block as it arrives.

urllib3's own ways wait for as many bytes as were asked for, or for the end of a chunk, and know no clock.
"""
from __future__ import annotations

import http.client
import time
import zlib
from typing import Any, Iterator, Optional

BLOCK = 1 << 16


def blocks(raw: Any, until: Optional[float] = None) -> Iterator[bytes]:
    """Blocks of a urllib3 response's body, unpacked, each as soon as it is there; ends on a whole body only.

    With `until` a silence lasts until that `time.monotonic` at most. Then blocks do not wait for the rest of a chunk
    either, which may never come; that takes half as long again.
    """
    if raw.chunked and until is None:  # one block for each HTTP chunk: neither waits nor gathers
        yield from raw.stream(BLOCK, decode_content=True)
        return
    patience = _SocketTimeout(raw, until)
    if not hasattr(raw, "read1"):
        yield from _blocks_below(raw, patience)
        return
    while True:
        patience.shorten()
        block = raw.read1(BLOCK, decode_content=True)
        if not block:  # b"" at the end; None once it is closed
            return
        yield block


def _blocks_below(raw: Any, patience: _SocketTimeout) -> Iterator[bytes]:
    """`blocks` for urllib3 before 2.2, whose ``read(n)`` waits for n bytes: read beneath it."""
    packed = raw.headers.get("Content-Encoding", "identity").lower()
    unpack = _Unpacker() if packed in ("gzip", "x-gzip", "deflate") else None
    length, got = raw.headers.get("Content-Length", ""), 0
    while True:
        patience.shorten()
        block = raw._fp.read1(BLOCK)
        if not block:
            break
        got += len(block)
        if unpack is not None:
            block = unpack.feed(block)
        if block:
            yield block
    if length.isdigit() and got < int(length):
        raise http.client.IncompleteRead(b"", int(length) - got)
    patience.restore()
    raw.read()  # finds the end and so gives the connection back


class _SocketTimeout:
    """How long the connection's socket waits for bytes: no longer than until `until`, if there is such a time."""

    def __init__(self, raw: Any, until: Optional[float]) -> None:
        self._raw, self._until = raw, until
        self._usual = getattr(self._socket(), "gettimeout", lambda: None)()

    def shorten(self) -> None:
        if self._until is not None:
            left = max(0.001, self._until - time.monotonic())
            self._set(left if self._usual is None else min(left, self._usual))

    def restore(self) -> None:
        """For the connection's next user: old urllib3 sends with the time limit that it finds."""
        if self._until is not None:
            self._set(self._usual)

    def _set(self, seconds: Optional[float]) -> None:
        sock = self._socket()
        if sock is not None:
            sock.settimeout(seconds)

    def _socket(self) -> Any:
        """None once the connection is another's, and where it ends with the body, which then has taken the socket."""
        return getattr(self._raw.connection, "sock", None)


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
