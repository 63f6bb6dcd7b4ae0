"""Where the bytes of an upload come from: a path, bytes, a file object, or an iterable of bytes."""
from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from typing import IO, BinaryIO, Callable, Iterable, Iterator, Optional, Protocol, Sized, Union

from .. import media
from ..transport.deadline import Deadline

Data = Union[bytes, bytearray, memoryview]
UploadSource = Union[str, "os.PathLike[str]", Data, IO[bytes], Iterable[bytes]]

log = logging.getLogger("gemini_lite")

PIECE = 1 << 17  # bytes that are read and sent at a time
SPOOL = 8 << 20  # bytes of a source of unknown size that are kept in memory


class Source(Protocol):
    """Bytes to upload. `prepare` is called before the `read`s of each chunk, and may drop the bytes before it."""

    size: int
    file_name: Optional[str]

    def prepare(self, offset: int, length: int) -> None:
        """Make `length` bytes from `offset` on ready; ValueError if they were dropped, or the source ends before."""

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; b"" if the source has become shorter."""

    def close(self) -> None:
        """Close what was opened for this."""


class FileSource:
    """A file that can seek, from its `start` on."""

    def __init__(self, file: BinaryIO, file_name: Optional[str] = None, owned: bool = False) -> None:
        self._file, self._owned, self.file_name = file, owned, file_name
        self.start = file.tell()
        file.seek(0, os.SEEK_END)  # returns nothing in a SpooledTemporaryFile before Python 3.11
        self.size = max(0, file.tell() - self.start)

    def prepare(self, offset: int, length: int) -> None:
        """Seek to the byte `offset`, counted from where the file stood; OSError if it cannot."""
        self._file.seek(self.start + offset)
        self._at = offset

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on; b"" if the file has become shorter."""
        if offset != self._at:
            self.prepare(offset, length)
        data = _as_bytes(self._file.read(length))
        self._at = offset + len(data)
        return data

    def close(self) -> None:
        """Close the file; one of the caller's is left where it stood, so that it can be uploaded again, or resumed."""
        if self._owned:
            self._file.close()
            return
        with contextlib.suppress(OSError, ValueError):  # the caller has closed it
            self._file.seek(self.start)


class MemorySource:
    """Bytes in memory."""

    file_name: Optional[str] = None

    def __init__(self, data: Data) -> None:
        self._data = memoryview(data).cast("B")
        self.size = len(self._data)

    def prepare(self, offset: int, length: int) -> None:
        """Nothing to do."""

    def read(self, offset: int, length: int) -> bytes:
        """A copy of at most `length` bytes from `offset` on."""
        return bytes(self._data[offset:offset + length])

    def close(self) -> None:
        """Give the memory back, so that a `bytearray` can be resized again."""
        self._data.release()


class StreamSource:
    """A source of known size that cannot seek: one chunk is kept, for the server may not have got it."""

    file_name: Optional[str] = None

    def __init__(self, read: Callable[[int], bytes], size: int) -> None:
        self._read, self.size = read, size
        self._kept, self._start = bytearray(), 0

    def prepare(self, offset: int, length: int) -> None:
        """Read up to `offset` + `length`, and keep that chunk alone; ValueError if it lies behind, or the source ends.
        """
        if offset < self._start:
            raise ValueError("the server lost bytes that this source gave before and cannot give again: upload it from "
                             "the beginning, from a file or another source that can seek")
        while offset - self._start > len(self._kept):  # a resumed upload: what the server has is skipped
            self._start += len(self._kept)
            self._kept = bytearray(self._next(min(PIECE, offset - self._start)))
        del self._kept[:offset - self._start]
        self._start = offset
        while len(self._kept) < length:
            self._kept += self._next(min(PIECE, length - len(self._kept)))

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on, out of the chunk that was prepared."""
        begin = offset - self._start
        return bytes(self._kept[begin:begin + length])

    def close(self) -> None:
        """The source is the caller's."""

    def _next(self, size: int) -> bytes:
        data = self._read(size)
        if not data:
            raise ValueError(f"the source ended before the {self.size} bytes that it should have")
        return data


def open_source(source: UploadSource, known_size: Optional[int] = None) -> Source:
    """The `source` ready to read; one whose size nobody knows is read to its end first, into a file past 8 MiB."""
    if isinstance(source, (str, os.PathLike)):
        return _open_path(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return MemorySource(source)
    read = getattr(source, "read", None)
    if isinstance(source, io.TextIOBase) or read is None and not hasattr(source, "__iter__"):
        raise TypeError(f"an upload is a path, bytes, a file opened with 'rb' or an iterable of bytes, not "
                        f"{type(source).__name__}")
    if read is not None and _seekable(source):
        return _from_where_it_stands(source)
    read = _checked(read) if read is not None else _reader(iter(source))
    size = known_size
    if size is None and hasattr(source, "read") and isinstance(source, Sized):
        size = len(source)
    return StreamSource(read, size) if size is not None else _spooled(read)


def _from_where_it_stands(file: object) -> FileSource:
    """What is left to read of the caller's `file`; ValueError if it has just been written and stands at its end."""
    source = FileSource(file)  # type: ignore[arg-type]
    if not source.size and source.start:
        raise ValueError(f"the file stands at its end (byte {source.start}), and nothing is left to read: call "
                         "file.seek(0) before")
    return source


def _open_path(path: Union[str, "os.PathLike[str]"]) -> Source:
    try:
        file = open(path, "rb")
    except OSError as error:
        raise ValueError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    name = os.path.basename(os.fspath(path))
    if file.seekable():
        return FileSource(file, name, owned=True)
    with file:
        spooled = _spooled(file.read)
    spooled.file_name = name
    return spooled


def _seekable(source: object) -> bool:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return bool(source.seekable())  # type: ignore[attr-defined]
    return False


def _checked(read: Callable[[int], object]) -> Callable[[int], bytes]:
    return lambda size: _as_bytes(read(size))


def _as_bytes(piece: object) -> bytes:
    if not isinstance(piece, (bytes, bytearray, memoryview)):
        raise TypeError(f"the source gives {type(piece).__name__} where it should give bytes: open files with 'rb', "
                        "encode text")
    return bytes(piece)


def _reader(pieces: Iterator[object]) -> Callable[[int], bytes]:
    """``read(size)`` over an iterator of bytes."""
    rest = b""

    def read(size: int) -> bytes:
        nonlocal rest
        while not rest:
            try:
                rest = _as_bytes(next(pieces))
            except StopIteration:
                return b""
        data, rest = rest[:size], rest[size:]
        return data

    return read


def _spooled(read: Callable[[int], bytes]) -> FileSource:
    file = tempfile.SpooledTemporaryFile(max_size=SPOOL)
    try:
        size, told = 0, False
        while True:
            piece = read(PIECE)
            if not piece:
                break
            file.write(piece)
            size += len(piece)
            if size > SPOOL and not told:
                told = True
                log.warning("the size of this source is unknown until it is read: it is kept in a temporary file")
        file.seek(0)
        return FileSource(file, owned=True)  # type: ignore[arg-type, unused-ignore]
    except BaseException:
        file.close()
        raise


def mime_type_of(source: Source, mime_type: Optional[str]) -> str:
    """The type that was given, or that of the name, or that of the first bytes, or text/plain for UTF-8.

    ValueError for the name of a compressed file, and if nothing tells a type.
    """
    if mime_type is not None:
        # "jsonl" is what Google's guide to batches writes.
        if not isinstance(mime_type, str) or "/" not in mime_type and mime_type != "jsonl" or not (
                mime_type.isascii() and mime_type.isprintable()):
            raise ValueError(f"{mime_type!r} is no MIME type: write one such as 'video/mp4'")
        return mime_type.strip()
    told = media.type_of_name(source.file_name) if source.file_name else None
    if told is None:
        first = beginning(source, 4096)
        told = media.type_of_data(first, is_cut=len(first) == 4096)
    if told is not None:
        return told
    raise ValueError(f"neither the name nor the first bytes of {source.file_name or 'the source'} tell its type: "
                     "give mime_type='type/subtype'")


def beginning(source: Source, length: int) -> bytes:
    """The first `length` bytes of a source of which no more has been prepared, or all if it has fewer."""
    length = min(length, source.size)
    source.prepare(0, length)
    data = b""
    while len(data) < length:
        piece = source.read(len(data), length - len(data))
        if not piece:
            raise ValueError("the source has fewer bytes than it had a moment ago")
        data += piece
    return data


class ChunkBody:
    """A chunk as requests sends it: read piece by piece, each of which has the socket's timeout for itself."""

    def __init__(self, source: Source, offset: int, length: int, deadline: Deadline) -> None:
        self._source, self._at, self._end, self._deadline = source, offset, offset + length, deadline
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(), b"")

    def read(self, size: int = -1) -> bytes:
        """The next piece, of a size of our own: http.client asks for 8 or 16 KiB."""
        if self._at >= self._end:
            return b""
        if self._deadline.expired:
            raise Deadline.error()
        try:
            piece = self._source.read(self._at, min(PIECE, self._end - self._at))
        except OSError as error:  # must not be taken for a failure of the network
            raise SourceError(error) from error
        if not piece:
            raise SourceError(ValueError("the source has fewer bytes than it had when the upload began"))
        self._at += len(piece)
        return piece


class SourceError(Exception):
    """Reading the source failed while a chunk was sent; `error` says how."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error
