"""The body of a response, block by block as it arrives.

urllib3's own ways wait for as many bytes as were asked for, or for the end of a chunk, and know no clock.
"""
from __future__ import annotations

import http.client
import zlib
from typing import Any, Iterator

BLOCK = 1 << 16


def blocks(raw: Any, punctual: bool) -> Iterator[bytes]:
    """Blocks of a urllib3 response's body, unpacked, each as soon as it is there; ends on a whole body only.

    `punctual` blocks do not wait for the rest of a chunk, which may never come; that takes half as long again.
    """
    if raw.chunked and not punctual:  # one block for each HTTP chunk: neither waits nor gathers
        yield from raw.stream(BLOCK, decode_content=True)
        return
    if hasattr(raw, "read1"):
        yield from iter(lambda: raw.read1(BLOCK, decode_content=True) or b"", b"")  # None once it is closed
        return
    yield from _blocks_below(raw)


def _blocks_below(raw: Any) -> Iterator[bytes]:
    """`blocks` for urllib3 before 2.2, whose ``read(n)`` waits for n bytes: read beneath it."""
    packed = raw.headers.get("Content-Encoding", "identity").lower()
    unpack = _Unpacker() if packed in ("gzip", "x-gzip", "deflate") else None
    length, got = raw.headers.get("Content-Length", ""), 0
    for block in iter(lambda: raw._fp.read1(BLOCK), b""):
        got += len(block)
        if unpack is not None:
            block = unpack.feed(block)
        if block:
            yield block
    if length.isdigit() and got < int(length):
        raise http.client.IncompleteRead(b"", int(length) - got)
    raw.read()  # finds the end and so gives the connection back


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
