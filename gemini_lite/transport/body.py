"""The body of a response, block by block as it arrives, unpacked within limits."""
from __future__ import annotations

import functools
import http.client
import zlib
from typing import Any, Iterator, Optional

from ..errors import TransportError
from . import watchdog
from .compat import read_available, socket_of
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


def call_blocks(raw: Any, call: RunningCall, limit: Optional[int] = None) -> Iterator[bytes]:
    """Blocks of a urllib3 response's body, unpacked, each as soon as it is there; ends on a whole body only.

    Raises what the network raises, zlib.error, the call's own error once it is over, and TransportError for a
    Content-Encoding that nobody asked for, and for more than `limit` bytes, packed or unpacked.
    """
    encoding = ", ".join(raw.headers.get("Content-Encoding", "").lower().split(",")).strip()
    packed = _packed_blocks(raw, call)
    if encoding in ("", "identity"):
        found = packed
    elif encoding in ("gzip", "x-gzip"):
        found = unpack_gzip(_limited(packed, limit))
    else:
        raise TransportError(f"The answer is encoded as {encoding[:100]!r}, where gzip or nothing was asked for. Check "
                             "what stands between you and Google.", reason="ENCODING")
    yield from _limited(found, limit)


def _packed_blocks(raw: Any, call: RunningCall) -> Iterator[bytes]:
    length, received = raw.headers.get("Content-Length", ""), 0
    find_socket = functools.partial(socket_of, raw)
    if getattr(raw.connection, "attached", None) is None:  # a connection that is not ours, of a session of the user's
        call.attach(find_socket)
    try:
        while True:
            block = read_available(raw, BLOCK)
            if call.ended is not None:  # a connection that was shut down ends like one that the server closed
                raise call.error()
            if not block:
                break
            received += len(block)
            yield block
            if call.is_over:
                raise call.error()
    finally:
        call.detach(find_socket)
    if length.isdigit() and received < int(length) and not raw.chunked:
        raise http.client.IncompleteRead(b"", int(length) - received)
    raw.release_conn()


def _limited(source: Iterator[bytes], limit: Optional[int]) -> Iterator[bytes]:
    size = 0
    for block in source:
        size += len(block)
        if limit is not None and size > limit:
            raise TransportError(too_large(f"the answer is larger than {limit} bytes", "body"), reason="TOO_LARGE")
        yield block


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
