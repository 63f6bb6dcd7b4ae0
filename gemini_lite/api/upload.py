"""The resumable upload: chunks, and after every loss the question how much has arrived."""
from __future__ import annotations

import contextlib
import email.utils
import json
import logging
import re
from typing import Callable, Dict, Iterator, Mapping, Optional
from urllib.parse import quote

from ..auth.secret import Secret, hides_frames
from ..errors import APIError, GeminiError, ParseError, TransportError
from ..json_data import JSON, str_or_none
from ..transport import raw, retry
from ..transport.deadline import Deadline
from ..transport.session import Data
from .resources import parse_count
from .sending import Sender
from .sources import ChunkBody, Source, SourceError
from .upload_state import UploadState
from .urls import placed

log = logging.getLogger("gemini_lite")

Report = Callable[[int, int], object]
FindFile = Callable[[UploadState], Optional[JSON]]


class _SessionFilter(logging.Filter):
    """Takes the ids of upload sessions out of what urllib3 logs: who has one can write."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(re.sub(r"upload_id=[^&\s]+", "upload_id=***", arg) if isinstance(arg, str) else arg
                                for arg in record.args)
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_SessionFilter())

_SIZE_WORDS = re.compile(r"size|large|exceed|storage|space", re.IGNORECASE)
_ASKED_AFTER = frozenset((408, 429, 499))  # and all from 500 on: the server may have the bytes


@hides_frames
def start(sender: Sender, path: str, state: UploadState, deadline: Deadline) -> None:
    """Open a session and note in `state` where it is; repeated at will, because it makes no file yet."""
    endpoint = sender.route.backend.endpoints[0]
    file: JSON = {"mimeType": state.mime_type, "sizeBytes": state.size}
    if state.name:
        file["name"] = state.name
    if state.display_name:
        file["displayName"] = state.display_name
    request = raw.RawRequest(
        "POST", Secret(endpoint + path),
        {**sender.route.backend.headers("", ""), **_fixed_headers(state), "X-Goog-Upload-Command": "start"},
        json.dumps({"file": file}).encode("utf-8"), sender.settings(deadline))

    def attempt() -> raw.RawAnswer:
        answer = raw.exchange(sender.transport, request)
        if not answer.ok:
            raise _refused_start(answer)
        return answer

    answer = raw.run(sender.transport, attempt, request.settings)
    url = answer.headers.get("X-Goog-Upload-URL")
    if not url:
        raise ParseError(f"The server opened no upload: its answer of status {answer.status} names no URL "
                         f"(X-Goog-Upload-URL){_excerpt(answer.body)}. Check the base URL and what stands between you "
                         "and Google.", reason="NO_UPLOAD_URL")
    state.url = Secret(placed(url, endpoint))
    state.granularity = max(1, parse_count(answer.headers.get("X-Goog-Upload-Chunk-Granularity", "")) or 1)
    state.started = _server_time(answer.headers.get("Date"))


class Upload:
    """One upload in its session, from the next byte that the server needs to the last.

    After a failure the server is asked how much it has, up to `retries` times in a row without progress. `find_file`
    looks for the file of a session that has ended, when the answer that names the file was lost.
    """

    def __init__(
        self, sender: Sender, source: Source, state: UploadState, chunk_size: int, deadline: Deadline, report: Report,
        find_file: FindFile,
    ) -> None:
        self._sender, self._source, self._state = sender, source, state
        self._chunk = max(chunk_size // state.granularity, 1) * state.granularity
        self._deadline, self._report, self._find_file = deadline, report, find_file

    def run(self, resumed: bool = False) -> JSON:
        """The dict of the file, once the server has all of it; an error has ``upload``, to go on with."""
        state = self._state
        failures, furthest = 0, state.offset
        step = self._ask if resumed else self._send_chunk
        with _attached_to_errors(state):
            while True:
                try:
                    file = step()
                    if file is not None:
                        return file
                    step = self._send_chunk
                except GeminiError as error:
                    if state.offset > furthest:
                        failures, furthest = 0, state.offset
                    self._pause(error, failures)
                    failures += 1
                    step = self._ask

    def _pause(self, error: GeminiError, failures: int) -> None:
        """Wait before the server is asked what it has; raise `error` if that is not to be done."""
        asks = isinstance(error, TransportError) or error.code in _ASKED_AFTER or (error.code or 0) >= 500
        more = asks and failures < self._sender.retries
        seconds = retry.wait(error, failures, self._sender.transport.max_wait) if more else None
        if seconds is None or seconds >= self._deadline.left:
            raise error
        log.info("waiting %.2f s before going on with the upload: %s", seconds, error.reason or error.code)
        retry.pause(seconds)

    def _send_chunk(self) -> Optional[JSON]:
        """Send the next chunk; the file if that was the last."""
        state, source = self._state, self._source
        begin, end = state.offset, min(state.size, state.offset + self._chunk)
        source.prepare(begin, end - begin)
        settings = self._sender.settings(self._deadline)
        body = ChunkBody(source, begin, end - begin, settings.deadline) if end > begin else b""
        command = "upload, finalize" if end == state.size else "upload"
        answer = self._exchange({"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": str(begin)}, body)
        return self._read(answer, begin, end)

    def _ask(self) -> Optional[JSON]:
        """Ask how much has arrived; the file if all has, and the session has ended."""
        answer = self._exchange({"X-Goog-Upload-Command": "query"}, None)
        return self._read(answer, None, self._state.size)

    def _read(self, answer: raw.RawAnswer, begin: Optional[int], end: int) -> Optional[JSON]:
        """What an answer says about the bytes before `end`; `begin` is where the chunk began, None after a question."""
        state = self._state
        status = answer.headers.get("X-Goog-Upload-Status", "").strip().lower()
        received = parse_count(answer.headers.get("X-Goog-Upload-Size-Received", ""))
        if not answer.ok:
            raise _refused(answer, asked=begin is None)
        if status == "final":
            state.offset = state.size
            self._report(state.size, state.size)
            return _file_in(answer) or self._find()
        if status == "cancelled":
            raise TransportError("The server has cancelled this upload: begin it again.", reason="UPLOAD_CANCELLED")
        if status != "active" or begin is None and received is None:
            raise _no_status(answer)
        if begin is not None and end == state.size:
            raise TransportError("The server has the last bytes and did not end the upload.", retryable=True,
                                 reason="NOT_FINAL")
        received = end if received is None else received
        if received > end or begin is not None and received <= begin:
            raise TransportError(f"The server says that {received} bytes arrived when {end} were sent.",
                                 reason="WRONG_OFFSET", retryable=begin is not None)
        state.offset = received
        self._report(received, state.size)
        return None

    def _find(self) -> JSON:
        """The file of a session that has ended, by looking among the files: it is never ended twice."""
        file = self._find_file(self._state)
        if file is None:
            raise ParseError("The server has all of this upload, and did not say what file it made of it. Look for it "
                             "with client.files.list() before you upload it again; with name= it would have been "
                             "found.", reason="FILE_NOT_FOUND")
        log.info("the answer to the end of the upload was lost; the file was found: %s", file.get("name"))
        return file

    @hides_frames
    def _exchange(self, headers: Mapping[str, str], body: Data) -> raw.RawAnswer:
        assert self._state.url is not None
        client = {name: value for name, value in self._sender.route.backend.headers("", "").items()
                  if name.lower() == "user-agent"}
        request = raw.RawRequest("POST", self._state.url, {**client, **_fixed_headers(self._state), **headers}, body,
                                 self._sender.settings(self._deadline), authenticated=False)
        return raw.exchange(self._sender.transport, request)


@contextlib.contextmanager
def _attached_to_errors(state: UploadState) -> Iterator[None]:
    """Set `state` as the attribute ``upload`` of an error that is raised in here; a SourceError is unpacked."""
    try:
        yield
    except SourceError as error:
        error.error.upload = state  # type: ignore[attr-defined]
        raise error.error from None
    except BaseException as error:
        error.upload = state  # type: ignore[attr-defined]
        raise


def _fixed_headers(state: UploadState) -> Dict[str, str]:
    """Sent with every request of a session, as Google's own client does, though the start alone needs them."""
    headers = {
        "Content-Type": "application/json", "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Header-Content-Length": str(state.size), "X-Goog-Upload-Header-Content-Type": state.mime_type,
    }
    if state.file_name:
        headers["X-Goog-Upload-File-Name"] = header_text(state.file_name)
    return headers


def header_text(name: str) -> str:
    """`name` as a header can carry it: percent-encoded where it has more than printable ASCII."""
    plain = name.isascii() and name.isprintable() and name == name.strip()
    return name if plain else quote(name, safe="", errors="surrogateescape")


def _refused_start(answer: raw.RawAnswer) -> APIError:
    error = answer.error()
    if error.code in (400, 413, 429) and _SIZE_WORDS.search(str(error)):
        error.args = (f"{error} One file may have about 2 GB, and all files of a project 20 GB together (Google's "
                      "numbers, which change): client.files.list() shows them, client.files.delete(file) makes room.",)
    return error


def _refused(answer: raw.RawAnswer, asked: bool) -> APIError:
    error = answer.error()
    if asked and error.code in (400, 404, 410):
        error.args = (f"{error} The server no longer knows this upload (a session lasts for some days): upload the "
                      "source again without resume=.",)
    return error


def _no_status(answer: raw.RawAnswer) -> TransportError:
    return TransportError(f"An answer of status {answer.status} does not say how the upload stands"
                          f"{_excerpt(answer.body)}. Check what stands between you and Google.",
                          reason="NO_UPLOAD_STATUS", retryable=True)


def _file_in(answer: raw.RawAnswer) -> Optional[JSON]:
    try:
        data: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    file = data.get("file") if isinstance(data, dict) else None
    return file if isinstance(file, dict) and str_or_none(file.get("name")) else None


def _excerpt(body: bytes) -> str:
    return f": {body[:200]!r:.200}" if body else ""


def _server_time(date: Optional[str]) -> Optional[str]:
    """A Date header as RFC 3339."""
    try:
        return email.utils.parsedate_to_datetime(date or "").strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
