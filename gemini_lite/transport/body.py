"""The body of a response, block by block as it arrives, unpacked within limits."""
from __future__ import annotations

import functools
import http.client
import math
import zlib
from typing import Any, Iterator

from ..errors import TransportError
from . import watchdog
from .compat import packed_reader, release, socket_of
from .deadline import NEVER, Deadline
from .running import RunningCall

BLOCK = 1 << 16  # bytes
_GZIP = zlib.MAX_WBITS | 16


def blocks(raw: Any, deadline: Deadline = NEVER) -> Iterator[bytes]:
    """`call_blocks` for a response that belongs to no call."""
    call = deadline.start()
    watchdog.watch(call)
    try:
        yield from call_blocks(raw, call)
    finally:
        watchdog.leave(call)


def call_blocks(raw: Any, call: RunningCall, limit: float = math.inf) -> Iterator[bytes]:
    """Blocks of a urllib3 response's body, unpacked, each as soon as it is there; ends on a whole body only.

    Raises what the network raises, zlib.error, the call's own error once it is over, and TransportError for a
    Content-Encoding that nobody asked for, and for more than `limit` bytes, packed or unpacked.
    """
    encoding = raw.headers.get("Content-Encoding", "").strip().lower()
    packed = _packed_blocks(raw, call, limit)
    if encoding in ("", "identity"):
        return packed
    if encoding in ("gzip", "x-gzip"):
        return _limited(unpack_gzip(packed), limit)
    raise TransportError(f"The answer is encoded as {encoding[:100]!r}, where gzip or nothing was asked for. Check "
                         "what stands between you and Google.", reason="ENCODING")


def _packed_blocks(raw: Any, call: RunningCall, limit: float) -> Iterator[bytes]:
    length, received = raw.headers.get("Content-Length", ""), 0
    total = int(length) if length.isdigit() and len(length) < 20 and not raw.chunked else None
    read, is_timed = packed_reader(raw), call.moment != math.inf
    find_socket = functools.partial(socket_of, raw)
    if getattr(raw.connection, "attached", None) is None:  # a connection of a session of the user's
        call.attach(find_socket)
    try:
        while True:
            block = read(BLOCK)
            if call.ended is not None:  # a connection that was shut down ends like one that the server closed
                raise call.error()
            if not block:
                break
            received += len(block)
            if received > limit:
                raise _too_large_body(limit)
            if received == total:  # whoever takes an error from this block takes no other
                call.detach(find_socket)
                if call.ended is None:
                    release(raw)
                yield block
                return
            yield block
            if is_timed and call.is_over:
                raise call.error()
    finally:
        call.detach(find_socket)
    if total is not None and received < total:
        raise http.client.IncompleteRead(b"", total - received)
    if call.ended is None:
        release(raw)


def _limited(source: Iterator[bytes], limit: float) -> Iterator[bytes]:
    size = 0
    for block in source:
        size += len(block)
        if size > limit:
            raise _too_large_body(limit)
        yield block


def _too_large_body(limit: float) -> TransportError:
    return TransportError(too_large(f"the answer is larger than {int(limit)} bytes", "body"), reason="TOO_LARGE")


def too_large(what: str, limit: str) -> str:
    """The message for data that was refused for its size."""
    return f"The server's data was refused: {what}. Allow more with GeminiClient(max_{limit}_bytes=...)."


def unpack_gzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    """The data of gzip members, in blocks that are no larger than `BLOCK`; IncompleteRead if the last has no end."""
    member = zlib.decompressobj(_GZIP)
    begun = False
    for block in packed:
        data = b""
        while block or len(data) == BLOCK:  # a full block: there may be more without more input
            if member.eof:
                member = zlib.decompressobj(_GZIP)
            begun = True
            data = member.decompress(block, BLOCK)
            block = member.unused_data if member.eof else member.unconsumed_tail
            if data:
                yield data
    if begun and not member.eof:
        raise http.client.IncompleteRead(b"")
