"""The Files API: upload once, refer to it in prompts for 48 hours."""
from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import pathlib
from typing import Iterator, Optional, Tuple, Union, overload
from urllib.parse import quote

from ..auth.secret import Secret
from ..errors import JobFailedError, NotFoundError, PermissionDeniedError
from ..files_on_disk import StrPath
from ..json_data import JSON, dict_or_empty, str_or_none
from ..transport.deadline import NEVER, Deadline, check_count
from ..transport.pages import pages
from . import downloads, upload
from .places import collection_path
from .progress import ByteProgress, byte_reporter
from .resources import Resource, parse_count, parse_time, resource_name
from .sending import Sender
from .sources import PIECE, FileSource, MemorySource, Source, UploadSource, mime_type_of, open_source
from .upload_state import UploadState, hash_of_beginning
from .urls import check_https, placed
from .waiting import JobProgress, Poll, wait_until, whole_deadline

_ADVICE = ("send it inline (a pathlib path in the prompt), or give a gs:// or https:// address with "
           "gemini_lite.media.from_uri(uri, mime_type); the Files API belongs to the Gemini Developer API")
_UNFINISHED = frozenset(("PROCESSING", "STATE_UNSPECIFIED"))
_CLOCK_ERROR = datetime.timedelta(minutes=10)  # where the server's clock was not seen, ours stands in


class File(Resource):
    """A file that the API keeps, for 48 hours; in a prompt it stands for its content."""

    collection = "files"
    shown = ("name", "display_name", "mime_type", "size_bytes", "state", "source", "create_time", "expiration_time")

    @property
    def mime_type(self) -> Optional[str]:
        """Its MIME type."""
        return str_or_none(self.data.get("mimeType"))

    @property
    def size_bytes(self) -> Optional[int]:
        """How many bytes it has."""
        return parse_count(self.data.get("sizeBytes"))

    @property
    def expiration_time(self) -> Optional[datetime.datetime]:
        """When the API deletes it."""
        return parse_time(self.data.get("expirationTime"))

    @property
    def sha256_hash(self) -> Optional[str]:
        """Its SHA-256 as the API writes it."""
        return str_or_none(self.data.get("sha256Hash"))

    @property
    def uri(self) -> Optional[str]:
        """What a ``fileData`` part refers to it by."""
        return str_or_none(self.data.get("uri"))

    @property
    def download_uri(self) -> Optional[str]:
        """Where a generated file is downloaded from; None for an uploaded one."""
        return str_or_none(self.data.get("downloadUri"))

    @property
    def state(self) -> Optional[str]:
        """``PROCESSING``, ``ACTIVE`` (a prompt may use it) or ``FAILED``; there may be others."""
        return str_or_none(self.data.get("state"))

    @property
    def source(self) -> Optional[str]:
        """``UPLOADED``, ``GENERATED`` or ``REGISTERED``; there may be others."""
        return str_or_none(self.data.get("source"))

    @property
    def error(self) -> Optional[JSON]:
        """Why it failed, as the API says it."""
        return dict_or_empty(self.data.get("error")) or None

    @property
    def video_metadata(self) -> Optional[JSON]:
        """What the API knows about a video."""
        return dict_or_empty(self.data.get("videoMetadata")) or None

    def to_part(self) -> JSON:
        """The ``fileData`` part that stands for this file in a prompt."""
        if not self.uri:
            raise ValueError(f"the file {self.name} has no uri, so a prompt cannot refer to it")
        return {"fileData": {"fileUri": self.uri, **({"mimeType": self.mime_type} if self.mime_type else {})}}


FileOrName = Union[File, str]


class Files:
    """``client.files``: the files that the Gemini Developer API keeps for your project."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def upload(
        self, source: UploadSource, *, mime_type: Optional[str] = None, display_name: Optional[str] = None,
        name: Optional[str] = None, wait: bool = True, resume: Optional[UploadState] = None,
        progress: ByteProgress = None, deadline: Optional[float] = None, chunk_size: int = 8 << 20,
    ) -> File:
        """Upload a path, bytes, a file opened with 'rb' or an iterable of bytes; the file, ready to be used.

        `mime_type` is told by the name or the first bytes where it is not given, `name` is the id that the file gets.
        With `wait` this returns when the file can be used in a prompt. `progress` is called with (bytes the server
        has, bytes in all); True draws a bar. `deadline` is in seconds, for all of it; `chunk_size` in bytes.

        After a loss the server is asked how much has arrived. An error has ``upload``, an `UploadState`: give it as
        `resume`, with the same source, and the upload goes on. JobFailedError if the server cannot use the file.
        """
        path, whole = self._path(), whole_deadline(deadline)
        check_count(chunk_size, "chunk_size")
        if resume is not None and not isinstance(resume, UploadState):
            raise TypeError(f"resume is the UploadState of an error (error.upload), not {type(resume).__name__}")
        opened = open_source(source, resume.size if resume is not None else None)
        with self._sender.transport.operation():
            with contextlib.closing(opened):
                if resume is None:
                    state = _new_state(opened, mime_type, display_name, name)
                    upload.start(self._sender, f"/upload{path}", state, whole)
                else:
                    state = _resumed_state(resume, opened, self._sender.route.backend.endpoints[0])
                run = upload.Upload(self._sender, opened, state, chunk_size, whole,
                                    byte_reporter(progress, display_name or state.file_name),
                                    lambda state: self._find(state, opened, whole))
                file = File(run.run(resumed=resume is not None))
            return self._wait(file, file, (1, 10), whole, None) if wait else file

    def get(self, file: FileOrName) -> File:
        """The file as it is now."""
        return self._get(resource_name(file, File), NEVER)

    def list(self, *, page_size: Optional[int] = None) -> Iterator[File]:
        """All files of the project, each page fetched when it is needed; `page_size` at most 100."""
        path = self._path()
        return (File(data) for data in pages(lambda query: self._sender.get(path + query), "files", page_size))

    def delete(self, file: FileOrName) -> None:
        """Delete the file now."""
        self._sender.send(self._path_of(resource_name(file, File)), None, method="DELETE")

    def wait(
        self, file: FileOrName, *, poll: Poll = (1, 10), deadline: Optional[float] = None,
        progress: JobProgress[File] = None,
    ) -> File:
        """The file once a prompt can use it; JobFailedError, with ``job``, if the server cannot.

        `poll` is (first, longest) wait in seconds, `deadline` the seconds for all of it. `progress` is called with
        the file after each look; True prints a line.
        """
        whole = whole_deadline(deadline)
        first = file if isinstance(file, File) else self._get(resource_name(file, File), whole)
        return self._wait(first, file, poll, whole, progress)

    @overload
    def download(self, file: FileOrName, to: None = None, *, deadline: Optional[float] = None) -> bytes: ...

    @overload
    def download(self, file: FileOrName, to: StrPath, *, deadline: Optional[float] = None) -> pathlib.Path: ...

    @overload
    def download(
        self, file: FileOrName, to: Optional[StrPath] = None, *, deadline: Optional[float] = None,
    ) -> Union[bytes, pathlib.Path]: ...

    def download(
        self, file: FileOrName, to: Optional[StrPath] = None, *, deadline: Optional[float] = None,
    ) -> Union[bytes, pathlib.Path]:
        """The bytes of a file that the API generated; with `to` they are written there, and the path is returned.

        Uploaded files cannot be downloaded.
        """
        name, whole = resource_name(file, File), whole_deadline(deadline)
        collection = self._path()
        endpoint = self._sender.route.backend.endpoints[0]
        ordinary = Secret(f"{endpoint}{collection}{name[len('files'):]}:download?alt=media")
        if isinstance(file, File) and file.download_uri:
            return downloads.download(self._sender, Secret(_with_media(placed(file.download_uri, endpoint))), to, whole)
        if isinstance(file, File) and file.source == "UPLOADED":
            raise ValueError(f"{name} was uploaded, and the API gives back only files that it has made itself")
        try:
            return downloads.download(self._sender, ordinary, to, whole)
        except NotFoundError:
            other = Secret(f"{endpoint}/download{collection}{name[len('files'):]}:download?alt=media")
            return downloads.download(self._sender, other, to, whole)

    def _wait(
        self, first: File, asked: FileOrName, poll: Poll, deadline: Deadline, progress: JobProgress[File],
    ) -> File:
        """The file `first`, once it is ready; `asked` is what the caller knows it by, whatever the server calls it."""
        file = wait_until(
            first, lambda seen: self._get(resource_name(asked, File), deadline),
            lambda seen: seen.state not in _UNFINISHED, transport=self._sender.transport, poll=poll, deadline=deadline,
            progress=progress, describe=lambda seen: f"{seen.name} is {seen.state}")
        if file.state == "FAILED":
            reason = str_or_none((file.error or {}).get("message")) or "the server gives no reason"
            error = JobFailedError(f"The file {file.name} cannot be used: {reason}. Check that it is what its type "
                                   f"({file.mime_type}) says, and upload it again.", reason="FAILED")
            error.job = file
            raise error
        return file

    def _get(self, name: str, deadline: Deadline) -> File:
        return File(self._sender.get_resource(self._path_of(name), deadline))

    def _path(self) -> str:
        return collection_path(self._sender, "files", _ADVICE)

    def _path_of(self, name: str) -> str:
        return self._path() + quote(name[len("files"):], safe="/-._~")

    def _find(self, state: UploadState, source: Source, deadline: Deadline) -> Optional[JSON]:
        """The file that a finished session made: by its name, else the one new file that can be it."""
        if state.name:
            try:
                file = self._get(resource_name(state.name, File), deadline)
            except (NotFoundError, PermissionDeniedError):
                return None
            return file.data if file.size_bytes in (state.size, None) else None
        found = [file for file in self._since(state, deadline) if _is_of(file, state, source)]
        return found[0].data if len(found) == 1 else None

    def _since(self, state: UploadState, deadline: Deadline) -> Iterator[File]:
        started = parse_time(state.started)
        path = self._path()
        for data in pages(lambda query: self._sender.get(path + query, deadline), "files", 100):
            file = File(data)
            if started is None or file.create_time is None or file.create_time >= started - _CLOCK_ERROR:
                yield file


def _new_state(
    source: Source, mime_type: Optional[str], display_name: Optional[str], name: Optional[str],
) -> UploadState:
    file_name = source.file_name
    if display_name is None and file_name and upload.header_text(file_name) != file_name:
        display_name = file_name.encode("utf-8", "replace").decode("utf-8")  # the header cannot carry the true name
    return UploadState(
        None, source.size, mime_type_of(source, mime_type), resource_name(name, File) if name is not None else None,
        display_name, file_name, hash_of_beginning(source))


def _resumed_state(resume: UploadState, source: Source, endpoint: str) -> UploadState:
    if resume.url is None:
        raise ValueError("this state has no URL to go on with: a pickle leaves it out; between processes use "
                         "UploadState.save(path) and UploadState.load(path)")
    check_https(resume.url.value, endpoint)
    resume.check_source(source)
    return resume


def _is_of(file: File, state: UploadState, source: Source) -> bool:
    """Whether `file` can be what was uploaded from `source`."""
    if file.size_bytes != state.size or file.mime_type != state.mime_type:
        return False
    if state.display_name and file.display_name != state.display_name:
        return False
    if file.sha256_hash and isinstance(source, (FileSource, MemorySource)):
        return file.sha256_hash in _hashes(source)
    started = parse_time(state.started)
    return started is not None and file.create_time is not None and file.create_time >= started


def _hashes(source: Source) -> Tuple[str, ...]:
    """The SHA-256 of all of `source` as the API may write it: base64 of the bytes, or hexadecimal, or base64 of that.
    """
    digest, at = hashlib.sha256(), 0
    source.prepare(0, source.size)
    while at < source.size:
        piece = source.read(at, PIECE)
        if not piece:
            break
        digest.update(piece)
        at += len(piece)
    hexadecimal = digest.hexdigest()
    return (base64.b64encode(digest.digest()).decode("ascii"), hexadecimal,
            base64.b64encode(hexadecimal.encode("ascii")).decode("ascii"))


def _with_media(url: str) -> str:
    return url if "alt=media" in url else f"{url}{'&' if '?' in url else '?'}alt=media"
