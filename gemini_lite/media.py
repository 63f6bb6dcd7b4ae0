"""Pictures, sound and files as parts of a prompt, and those of an answer as files."""
from __future__ import annotations

import base64
import io
import itertools
import mimetypes
import os
import re
import struct
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Union
from urllib.parse import urlsplit

from . import files_on_disk

Part = Dict[str, Any]
Data = Union[bytes, bytearray, memoryview]

_FIRST_BYTES = (  # offset, bytes, MIME type; those that Gemini takes
    (0, b"\x89PNG\r\n\x1a\n", "image/png"), (0, b"\xff\xd8\xff", "image/jpeg"), (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"), (4, b"ftyphei", "image/heic"), (4, b"ftypmif1", "image/heif"), (0, b"BM", "image/bmp"),
    (0, b"%PDF-", "application/pdf"),
    (8, b"WAVE", "audio/wav"), (0, b"ID3", "audio/mp3"), (0, b"\xff\xfb", "audio/mp3"), (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"), (8, b"AIFF", "audio/aiff"), (0, b"\xff\xf1", "audio/aac"), (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"), (4, b"ftyp", "video/mp4"), (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (8, b"AVI ", "video/x-msvideo"), (0, b"\x00\x00\x01\xba", "video/mpeg"),
)
_PCM = re.compile(r"audio/(?:l16|pcm|x-pcm)\b", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_ELEMENTS = {"image": '<img src="%s">', "audio": '<audio controls src="%s"></audio>',
             "video": '<video controls src="%s"></video>'}
_RATE = re.compile(r"rate=(\d+)", re.IGNORECASE)
_CHANNELS = re.compile(r"channels=(\d+)", re.IGNORECASE)


def from_bytes(data: Data, mime_type: Optional[str] = None) -> Part:
    """An ``inlineData`` part of `data`; without `mime_type` its first bytes must tell what it is."""
    if mime_type is None:
        mime_type = _told_by(bytes(data[:16]))
        if mime_type is None:
            raise ValueError("the first bytes tell no MIME type: write (data, 'type/subtype')")
    if not isinstance(mime_type, str) or "/" not in mime_type:
        raise ValueError(f"{mime_type!r} is no MIME type: write (data, 'image/png')")
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode("ascii")}}


def from_path(path: Union[str, "os.PathLike[str]"], mime_type: Optional[str] = None) -> Part:
    """An ``inlineData`` part of a file; its MIME type is told by its name, else by its first bytes."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ValueError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    mime_type = mime_type or mimetypes.guess_type(os.fspath(path))[0] or _told_by(data[:16])
    if mime_type is None:
        raise ValueError("neither the name nor the first bytes of %s tell a MIME type: write "
                         "(path.read_bytes(), 'type/subtype')" % os.fspath(path))
    return from_bytes(data, mime_type)


def from_uri(uri: str, mime_type: Optional[str] = None) -> Part:
    """A ``fileData`` part: a file that Google can reach, such as one of its Files API, or a YouTube link."""
    if urlsplit(uri).scheme not in ("https", "http", "gs"):
        raise ValueError(f"{uri!r} is no URI of a file; for one on this machine use a pathlib path")
    mime_type = mime_type or mimetypes.guess_type(urlsplit(uri).path)[0]
    return {"fileData": {"fileUri": uri, **({"mimeType": mime_type} if mime_type else {})}}


def from_object(item: Any) -> Optional[Part]:
    """A part of a ``PIL.Image`` or a matplotlib figure, known by their methods; None for anything else."""
    buffer = io.BytesIO()
    if callable(getattr(item, "savefig", None)):
        item.savefig(buffer, format="png")
        return from_bytes(buffer.getvalue(), "image/png")
    if callable(getattr(item, "save", None)) and hasattr(item, "getbands"):
        kind = item.format if item.format in ("PNG", "JPEG", "WEBP") else "PNG"
        item.save(buffer, format=kind)
        return from_bytes(buffer.getvalue(), f"image/{kind.lower()}")
    return None


class Blob(NamedTuple):
    """A picture, a sound or another file in an answer: `data` as bytes and its MIME type."""

    mime_type: str
    data: bytes

    def save(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Write the file, whole or not at all; raw PCM sound is written as WAV."""
        files_on_disk.write(path, self._playable())

    @property
    def raw(self) -> bool:
        """Whether this is bare PCM, whose samples go on in the next piece of a stream."""
        return _PCM.match(self.mime_type) is not None

    def __repr__(self) -> str:
        return f"Blob({self.mime_type!r}, {len(self.data)} bytes)"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Dict[str, str]:
        """What a notebook shows: the picture, or a player."""
        kind = "audio/wav" if self.raw else self.mime_type.partition(";")[0].strip().lower()
        element = _ELEMENTS.get(kind.partition("/")[0], "") if _PLAIN_NAME.fullmatch(kind) else ""
        if not element:
            return {"text/plain": repr(self)}
        data = base64.b64encode(self._playable()).decode("ascii")
        if kind in ("image/png", "image/jpeg"):  # the two that every front end and nbconvert take
            return {kind: data, "text/plain": repr(self)}
        return {"text/html": element % (f"data:{kind};base64,{data}"), "text/plain": repr(self)}

    def _playable(self) -> bytes:
        if not self.raw:
            return self.data
        rate, channels = _RATE.search(self.mime_type), _CHANNELS.search(self.mime_type)
        return _wav(self.data, int(rate.group(1)) if rate else 24000, int(channels.group(1)) if channels else 1)


def blob(inline: Dict[str, Any]) -> Optional[Blob]:
    """The file in an ``inlineData`` dict; None if there is none, or its data is no base64."""
    try:
        return Blob(str(inline["mimeType"]), base64.b64decode(inline["data"]))
    except (KeyError, TypeError, ValueError):
        return None


def joined(files: Iterable[Blob]) -> List[Blob]:
    """`files`, with the pieces of one sound as one."""
    found: List[Blob] = []
    for (mime_type, raw), run in itertools.groupby(files, lambda file: (file.mime_type, file.raw)):
        found += [Blob(mime_type, b"".join([file.data for file in run]))] if raw else run
    return found


def _wav(pcm: bytes, rate: int, channels: int) -> bytes:
    """16-bit little-endian samples with the header that makes them a WAV file."""
    frame = 2 * channels
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, channels, rate,
                       rate * frame, frame, 16, b"data", len(pcm)) + pcm


def _told_by(first: bytes) -> Optional[str]:
    return next((kind for offset, mark, kind in _FIRST_BYTES if first[offset:offset + len(mark)] == mark), None)
