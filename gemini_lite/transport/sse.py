"""Bytes in, the data of server-sent events out.

The rules are those of https://html.spec.whatwg.org/multipage/server-sent-events.html, read from bytes: lines end in
LF, CRLF or CR and nowhere else (U+2028 and U+0085 are text), and UTF-8 is decoded by the caller, an event at a time.
"""
from __future__ import annotations

import json
import re
from typing import Iterable, Iterator, List, Optional, Union

Data = Union[bytes, memoryview]

_BOM = b"\xef\xbb\xbf"
_SLACK = len(_BOM + b"data: ")  # what a line may have beside its data
_COLON = ord(":")
_MOST_BARE_BYTES = 1 << 20  # of JSON outside of events: an error is small
_LARGE = 1 << 14  # bytes of a line from which on it is sliced without a copy: bench row "64 KB"
_LINE_OVERHEAD = 40  # bytes of memory that a line takes beside its text, so that a million empty ones count
_JSON_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Unterminated(bytes):
    """The data of a last event whose blank line never came: it may be whole, or cut."""


class BareText(bytes):
    """A JSON error that stands outside of events, as Google ends some streams."""


class EventTooLarge(ValueError):
    """One event, or one line of any kind, is larger than the limit."""


def events(blocks: Iterable[bytes], limit: int = 1 << 26) -> Iterator[Data]:
    """Yield the data of each event in `blocks`, which may be cut anywhere, as soon as its blank line is seen.

    Comments, ``event:``, ``id:`` and ``retry:`` lines are passed over; an event without data is none. A JSON error
    without ``data:``, on one line or on many, is yielded as `BareText`. More than `limit` bytes for one event raise
    `EventTooLarge`. Time is linear in the bytes, memory is one event and one block; large data is a memoryview.
    """
    line: Data
    data: Optional[Data] = None  # of the event that is not whole yet: its first line, or
    joined = bytearray()  # all its lines, if they are several; a list of many small ones would take far more memory
    bare = _BareErrorReader()
    bare_lines = bare.lines
    for lines in _lines(blocks, limit):
        lines.reverse()
        while lines:
            line = lines.pop()  # so that no large event is held for longer than it takes
            if line[:5] == b"data:" or line == b"data":
                start = 6 if line[5:6] == b" " else 5
                line = line[start:] if len(line) < _LARGE else memoryview(line)[start:]
                if bare_lines:
                    bare.reset()
                if data is None:
                    data = line
                else:
                    joined += b"\n" if joined else bytes(data) + b"\n"
                    joined += line
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
            elif line[0] != _COLON and (bare_lines or line.lstrip()[:1] in (b"{", b"[")):
                error = bare.add(line)
                if error is not None:
                    line = bytes(joined or data or b"")
                    data = None
                    joined = bytearray()
                    if _loads(line) is not None:  # an event that only its blank line is missing from
                        yield line
                    yield error
    rest = Unterminated(joined or data or b"")
    if rest:
        yield rest


def _lines(blocks: Iterable[bytes], limit: int) -> Iterator[List[bytes]]:
    """Yield the lines that each block completes, without their ends; what follows the last end comes last."""
    pending: List[Union[bytes, bytearray]] = []  # fragments of a line that is not whole yet, joined once when it is
    size = 0
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
                pending.append(lines[0])
                lines[0] = b"".join(pending)
                pending.clear()
            if size + len(block) > limit and max(map(len, lines)) > limit + _SLACK:
                raise EventTooLarge(f"one line is larger than {int(limit)} bytes")
            size = 0
            if at_start:
                at_start = False
                if lines[0][:3] == _BOM:
                    lines[0] = lines[0][3:]
            yield lines
        if tail:
            if len(tail) > 1024:
                pending.append(tail)
            elif pending and type(pending[-1]) is bytearray:
                pending[-1] += tail  # an object for each small fragment would take far more memory
            else:
                pending.append(bytearray(tail))
            size += len(tail)
            if size > limit + _SLACK:
                raise EventTooLarge(f"one line is larger than {int(limit)} bytes")
    if pending:
        line = b"".join(pending)
        yield [line[3:] if at_start and line[:3] == _BOM else line]


class _BareErrorReader:
    """Collects the lines of a JSON object or array that stands outside of events.

    JSON strings hold no line ends, so the brackets of each line can be counted as it comes.
    """

    def __init__(self) -> None:
        self.lines: List[bytes] = []
        self._size = 0
        self._depth = 0

    def reset(self) -> None:
        """Forget what was collected."""
        self.lines.clear()
        self._size = 0
        self._depth = 0

    def add(self, line: bytes) -> Optional[BareText]:
        """Take in a line; the error once it is whole. What is too large, or whole and no error, is forgotten."""
        self.lines.append(line)
        self._size += len(line) + _LINE_OVERHEAD
        if self._size > _MOST_BARE_BYTES:
            self.reset()
            return None
        marks = _JSON_STRING.sub(b"", line)
        self._depth += marks.count(b"{") + marks.count(b"[") - marks.count(b"}") - marks.count(b"]")
        if self._depth > 0:
            return None
        text = b"\n".join(self.lines)
        self.reset()
        value = _loads(text)
        items = value if isinstance(value, list) else [value]
        return BareText(text) if any(isinstance(item, dict) and item.get("error") for item in items) else None


def _loads(text: bytes) -> object:
    """The JSON value in `text`; None if it is none."""
    try:
        value: object = json.loads(text)
        return value
    except (ValueError, RecursionError):
        return None
