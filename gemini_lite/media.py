"""Pictures, sound and other files: as parts of a prompt, and out of the parts of an answer."""
from __future__ import annotations

import base64
import codecs
import contextlib
import io
import itertools
import mimetypes
import os
import re
import struct
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlsplit

from . import files_on_disk
from .json_data import JSON

Data = Union[bytes, bytearray, memoryview]
_BYTES = (bytes, bytearray, memoryview)

_FILE_SIGNATURES = (  # a pattern for the first bytes, MIME type; of the types that Gemini takes
    (rb"\x89PNG\r\n\x1a\n", "image/png"), (rb"\xff\xd8\xff", "image/jpeg"), (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF.{4}WEBP", "image/webp"), (rb".{4}ftyphe[iv][cxms]", "image/heic"), (rb".{4}ftypm[is]f1", "image/heif"),
    (rb"BM.{4}\0{4}", "image/bmp"), (rb"%PDF-", "application/pdf"),
    (rb"RIFF.{4}WAVE", "audio/wav"), (rb"ID3[\2-\4]|\xff[\xf2\xf3\xfa\xfb]", "audio/mp3"), (rb"fLaC", "audio/flac"),
    (rb"OggS", "audio/ogg"), (rb"FORM.{4}AIF[FC]", "audio/aiff"), (rb"\xff[\xf1\xf9]", "audio/aac"),
    (rb".{4}ftypM4[AB] ", "audio/mp4"), (rb".{4}ftypqt  ", "video/quicktime"), (rb".{4}ftyp3g[2p]", "video/3gpp"),
    (rb".{4}ftyp(?:iso[2-9m]|mp4[12]|avc1|dash|f4v |M4V|mmp4|MSNV)", "video/mp4"),
    (rb"\x1a\x45\xdf\xa3", "video/webm"), (rb"RIFF.{4}AVI ", "video/x-msvideo"), (rb"\0\0\x01\xba", "video/mpeg"),
)
_TYPES_BY_ENDING = {  # as Google names them, whatever the system's table says
    ".jsonl": "application/jsonl", ".md": "text/markdown", ".py": "text/x-python", ".webp": "image/webp",
}
_PCM_TYPE = re.compile(r"audio/(?:l16|pcm|x-pcm)\b", re.IGNORECASE)
_SAFE_MIME_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_PICTURE_FORMATS = {"PNG": "PNG", "JPEG": "JPEG", "WEBP": "WEBP", "MPO": "JPEG"}  # of PIL; MPO is a phone's JPEG
_HTML_ELEMENTS = {"image": '<img src="{url}">', "audio": '<audio controls src="{url}"></audio>',
                  "video": '<video controls src="{url}"></video>'}
# A header of WAV has 32 bits for the rate; what is beyond these is no sound.
_PCM_RATE = re.compile(r"\brate=0*([1-9]\d{1,5})(?!\d)", re.IGNORECASE | re.ASCII)
_PCM_CHANNELS = re.compile(r"\bchannels=0*([1-9]\d?)(?!\d)", re.IGNORECASE | re.ASCII)
_BASE64_OF_URLS = str.maketrans("-_", "+/")


def from_bytes(data: Data, mime_type: Optional[str] = None) -> JSON:
    """An ``inlineData`` part of `data`; without `mime_type`, the type is recognised by the first bytes.

    ValueError if they are those of no known type.
    """
    data = bytes(data)  # a memoryview may have gaps, or rows and columns
    if mime_type is None:
        mime_type = _type_of_signature(data)
        if mime_type is None:
            raise ValueError("the first bytes tell no MIME type: write (data, 'type/subtype')")
    if not isinstance(mime_type, str) or "/" not in mime_type:
        raise ValueError(f"{mime_type!r} is no MIME type: write (data, 'image/png')")
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode("ascii")}}


def type_of_name(name: str) -> Optional[str]:
    """The MIME type that the ending of a file's name tells; None if it tells none.

    ValueError for a compressed file such as ``notes.txt.gz``, which Gemini would take for garbled text.
    """
    mime_type, compression = _guess_type(name)
    if compression is not None:
        raise ValueError(f"{name} is compressed ({compression}), which Gemini does not read: unpack it, or name the "
                         "type of the bytes yourself, such as application/gzip")
    return mime_type


def _guess_type(name: str) -> Tuple[Optional[str], Optional[str]]:
    """`mimetypes.guess_type`, the type of some endings being ours."""
    mime_type, compression = mimetypes.guess_type(name)
    return _TYPES_BY_ENDING.get(os.path.splitext(name)[1].lower(), mime_type), compression


def from_path(path: Union[str, "os.PathLike[str]"], mime_type: Optional[str] = None) -> JSON:
    """An ``inlineData`` part of a file; without `mime_type`, the type is that of its name, else of its first bytes.

    A file of UTF-8 that neither tells is text/plain. ValueError if the file cannot be read, is empty or compressed, or
    if nothing tells its type.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ValueError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    if not data:
        raise ValueError(f"{os.fspath(path)} is empty")
    mime_type = mime_type or type_of_name(os.fspath(path)) or type_of_data(data)
    if mime_type is None:
        raise ValueError(f"neither the name nor the first bytes of {os.fspath(path)} tell a MIME type: write "
                         "(path.read_bytes(), 'type/subtype')")
    return from_bytes(data, mime_type)


def type_of_data(data: bytes, *, is_cut: bool = False) -> Optional[str]:
    """The MIME type that data tells: by its first bytes, or text/plain for UTF-8 without a null byte; None if it is
    neither. With `is_cut` the data is the beginning of more, and may end within a letter."""
    found = _type_of_signature(data)
    if found is None and b"\0" not in data:
        with contextlib.suppress(UnicodeDecodeError):
            codecs.getincrementaldecoder("utf-8")().decode(data, final=not is_cut)
            return "text/plain"
    return found


def from_uri(uri: str, mime_type: Optional[str] = None) -> JSON:
    """A ``fileData`` part of a file that Google reads: in its Files API, on the web, in Cloud Storage, on YouTube."""
    if urlsplit(uri).scheme not in ("https", "http", "gs"):
        raise ValueError(f"{uri!r} is no URI of a file; for one on this machine use a pathlib path")
    if mime_type is None:
        guessed, compression = _guess_type(urlsplit(uri).path)
        mime_type = None if compression else guessed  # Google finds it out
    return {"fileData": {"fileUri": uri, **({"mimeType": mime_type} if mime_type else {})}}


def from_object(item: object) -> Optional[JSON]:
    """A part of what stands for one (it has ``to_part``: an answer's `Blob`, an uploaded file), of a ``PIL.Image`` or
    a matplotlib figure, all recognised by their methods; None for anything else."""
    if callable(getattr(item, "to_part", None)):
        return item.to_part()  # type: ignore[attr-defined, no-any-return]
    return _from_picture(item) if _is_picture(item) else None


def is_media(item: object) -> bool:
    """Whether `to_part` takes `item`."""
    if type(item) is tuple:
        return len(item) == 2 and isinstance(item[0], _BYTES) and isinstance(item[1], str)
    return isinstance(item, _BYTES) or callable(getattr(item, "to_part", None)) or _is_picture(item)


def to_part(item: Any) -> JSON:
    """A part of bytes, (bytes, MIME type) or what `from_object` takes. ValueError if no MIME type is known."""
    if isinstance(item, _BYTES):
        return from_bytes(item)
    if type(item) is tuple:
        return from_bytes(*item)
    part = from_object(item)
    if part is None:
        raise TypeError(f"{type(item).__name__} is no picture, sound or file")
    return part


def _is_picture(item: object) -> bool:
    return callable(getattr(item, "savefig", None)) or hasattr(item, "getbands") and callable(
        getattr(item, "save", None))


def _from_picture(item: Any) -> JSON:
    buffer = io.BytesIO()
    if hasattr(item, "savefig"):
        item.savefig(buffer, format="png")
        return from_bytes(buffer.getvalue(), "image/png")
    image_format = _PICTURE_FORMATS.get(str(getattr(item, "format", "")), "PNG")
    try:
        item.save(buffer, format=image_format)
    except OSError:  # a mode that this format does not have, such as CMYK in PNG
        return from_bytes(_converted_picture(item), "image/png")
    return from_bytes(buffer.getvalue(), f"image/{image_format.lower()}")


def _converted_picture(item: Any) -> bytes:
    """A picture as PNG in red, green, blue and alpha; ValueError if PIL cannot read or convert it."""
    buffer = io.BytesIO()
    try:
        item.convert("RGBA").save(buffer, format="PNG")
    except OSError as error:
        raise ValueError(f"the picture cannot be written as PNG ({error}): open it anew, or give the bytes of its "
                         "file") from error
    return buffer.getvalue()


class Blob(NamedTuple):
    """A picture, a sound or another file in an answer: `data` as bytes and its MIME type."""

    mime_type: str
    data: bytes

    def save(self, path: Union[str, "os.PathLike[str]"]) -> None:
        """Write the file, whole or not at all; raw PCM sound is written as WAV."""
        files_on_disk.write(path, self._file_bytes())

    @property
    def raw(self) -> bool:
        """Whether this is PCM without a header, whose samples go on in the next piece of a stream."""
        return _PCM_TYPE.match(self.mime_type) is not None

    def to_part(self) -> JSON:
        """The file as an ``inlineData`` part of a prompt; raw PCM sound as WAV."""
        return from_bytes(self._file_bytes(), "audio/wav" if self.raw else self.mime_type)

    def __repr__(self) -> str:
        return f"Blob({self.mime_type!r}, {len(self.data)} bytes)"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Dict[str, str]:
        """What a notebook shows: the picture, or a player."""
        mime_type = "audio/wav" if self.raw else self.mime_type.partition(";")[0].strip().lower()
        element = _HTML_ELEMENTS.get(mime_type.partition("/")[0], "") if _SAFE_MIME_TYPE.fullmatch(mime_type) else ""
        if not element:
            return {"text/plain": repr(self)}
        data = base64.b64encode(self._file_bytes()).decode("ascii")
        if mime_type in ("image/png", "image/jpeg"):  # the two that every front end and nbconvert take
            return {mime_type: data, "text/plain": repr(self)}
        return {"text/html": element.format(url=f"data:{mime_type};base64,{data}"), "text/plain": repr(self)}

    def _file_bytes(self) -> bytes:
        """The data as a file that programs open: raw PCM as WAV, anything else as it is."""
        if not self.raw:
            return self.data
        rate, channels = _PCM_RATE.search(self.mime_type), _PCM_CHANNELS.search(self.mime_type)
        return _wav_file(self.data, int(rate.group(1)) if rate else 24000, int(channels.group(1)) if channels else 1)


def blob(inline: JSON) -> Optional[Blob]:
    """The file in an ``inlineData`` dict, in base64 of either alphabet, padded or not.

    None if the dict has no file, or its data is not base64.
    """
    mime_type, data = inline.get("mimeType"), inline.get("data")
    if not isinstance(mime_type, str) or not isinstance(data, str):
        return None
    try:
        padded = data.rstrip("=").translate(_BASE64_OF_URLS) + "=" * (-len(data.rstrip("=")) % 4)
        return Blob(mime_type, base64.b64decode(padded, validate=True))
    except ValueError:
        return None


def joined(files: Iterable[Blob]) -> List[Blob]:
    """`files`, with neighbouring pieces of raw PCM of one type joined into one file."""
    found: List[Blob] = []
    for (mime_type, raw), group in itertools.groupby(files, lambda file: (file.mime_type, file.raw)):
        found += [Blob(mime_type, b"".join([file.data for file in group]))] if raw else group
    return found


def _wav_file(pcm: bytes, rate: int, channels: int) -> bytes:
    """16-bit little-endian samples, with the header of a WAV file before them; `rate` in samples per second."""
    frame = 2 * channels
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, channels, rate,
                       rate * frame, frame, 16, b"data", len(pcm)) + pcm


def _type_of_signature(data: bytes) -> Optional[str]:
    """The MIME type of a file that begins as `data` does, of which 16 bytes are enough; None for an unknown one."""
    return next((kind for pattern, kind in _FILE_SIGNATURES if re.match(pattern, data[:16], re.DOTALL)), None)
