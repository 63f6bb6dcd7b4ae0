"""Bytes in, the data of server-sent events out.

The rules are those of https://html.spec.whatwg.org/multipage/server-sent-events.html, read from bytes: lines end in
LF, CRLF or CR and nowhere else (U+2028 and U+0085 are text), and UTF-8 is decoded by the caller, an event at a time.
"""
from __future__ import annotations

from typing import Iterable, Iterator, List, Optional

_BOM = b"\xef\xbb\xbf"
_SLACK = len(_BOM + b"data: ")  # what a line may have beside its data


class Unterminated(bytes):
    """The data of a last event whose blank line never came: it may be whole, or cut."""


class BareText(bytes):
    """Lines that are no field of an event and begin with ``{`` or ``[``, where a server fell out of the format: perhaps
    an error as plain JSON."""


class EventTooLarge(ValueError):
    """One event, or one line of any kind, is larger than the limit."""


def events(blocks: Iterable[bytes], limit: int = 1 << 26) -> Iterator[bytes]:
    """Yield the data of each event in `blocks`, which may be cut anywhere, as soon as its blank line is seen.

    Comments, ``event:``, ``id:`` and ``retry:`` lines are passed over; an event without data is none. More than
    `limit` bytes for one event raise `EventTooLarge`. Time is linear in the bytes, memory is one event and one block.
    """
    data: Optional[bytes] = None  # of the event that is not whole yet: its first line, or
    joined = bytearray()  # all its lines, if they are several; a list of many small ones would take far more memory
    bare = bytearray()
    for lines in _lines(blocks, limit):
        lines.reverse()
        while lines:
            line = lines.pop()  # so that no large event is held for longer than it takes
            if line[:5] == b"data:" or line == b"data":
                line = line[6:] if line[5:6] == b" " else line[5:]
                if bare:
                    yield BareText(bare)
                    bare = bytearray()
                if data is None:
                    data = line
                else:
                    joined += b"\n" + line if joined else data + b"\n" + line
                if len(line) > limit or len(joined) > limit:
                    raise EventTooLarge(f"one event is larger than {int(limit)} bytes")
            elif not line:
                if data is not None:
                    line = bytes(joined) if joined else data
                    data = None
                    joined = bytearray()
                    if line:
                        yield line
                        line = b""
            elif bare or line[:1] in (b"{", b"["):
                bare += line + b"\n"
                if len(bare) > limit + _SLACK:
                    raise EventTooLarge(f"one event is larger than {int(limit)} bytes")
    if bare:
        yield BareText(bare)
    rest = Unterminated(joined or data or b"")
    if rest:
        yield rest


def _lines(blocks: Iterable[bytes], limit: int) -> Iterator[List[bytes]]:
    """Yield the lines that each block completes, without their ends; what follows the last end comes last."""
    pending = bytearray()  # the line that is not whole yet
    after_cr = False  # the last block ended in CR, so a LF that opens this one belongs to it
    at_start = True
    for block in blocks:
        if after_cr and block:
            after_cr = False
            if block[0] == 10:
                block = block[1:]
        if not block:
            continue
        if len(block) > 4096 and b"\n" not in block and b"\r" not in block:  # the middle of a large line: no copy
            lines, tail = [], block
        else:
            lines = block.splitlines()  # of bytes: at LF, CR and CRLF only
            tail = b"" if block[-1] in b"\r\n" else lines.pop()
            after_cr = block[-1] == 13
        if lines:
            if pending:
                pending += lines[0]
                lines[0] = bytes(pending)
                pending = bytearray()
            if len(lines[0]) + len(block) > limit and max(map(len, lines)) > limit + _SLACK:
                raise EventTooLarge(f"one line is larger than {int(limit)} bytes")
            if at_start:
                at_start = False
                if lines[0][:3] == _BOM:
                    lines[0] = lines[0][3:]
            yield lines
        if tail:
            pending += tail
            if len(pending) > limit + _SLACK:
                raise EventTooLarge(f"one line is larger than {int(limit)} bytes")
    if pending:
        line = bytes(pending)
        yield [line[3:] if at_start and line[:3] == _BOM else line]
