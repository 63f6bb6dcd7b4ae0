"""The Files API for `FakeGemini`: resumable uploads that can be lost on purpose, states, expiry, downloads."""
from __future__ import annotations

import base64
import datetime
import hashlib
import itertools
import re
import threading
from collections import deque
from typing import Callable, Deque, Dict, Mapping, NamedTuple, Optional

from ..json_data import JSON, dict_or_empty
from .replies import Answer, Error, Raw, json_answer
from .request import Request
from .service_answers import now, page, time_text

_START = re.compile(r"/upload/[^/]+/files")
_ONE = re.compile(r"(/download)?/[^/]+/files/([^/:]+)(:download)?")
_ALL = re.compile(r"/[^/]+/files")
_GOOGLE = "https://generativelanguage.googleapis.com"
_LIFETIME = datetime.timedelta(hours=48)


class Loss(NamedTuple):
    """What happens to one request of an upload: its first `kept` bytes arrive (None: all), then comes `answer`.

    An `answer` of None is the true one; ``Raw(status=None)`` ends the connection.
    """

    kept: Optional[int] = None
    answer: Optional[Answer] = None


class Session:
    """One upload: what was announced, and what has arrived."""

    def __init__(self, file: JSON, size: Optional[int]) -> None:
        self.file, self.size = file, size
        self.data = bytearray()
        self.final = False
        self.cancelled = False
        self.taken_twice = 0  # bytes that came again though they were there


class FilesService:
    """Answers the Files API; append it to ``FakeGemini.services``.

    `lose` scripts what happens to the next requests with bytes (or, with `command`, to others: "start", "query").
    A file of a type in `slow` is PROCESSING for the first `looks` looks; one whose bytes are in `broken` ends FAILED.
    `granularity` is announced as a server does; None leaves the header out. `contents` has the bytes by name.
    """

    def __init__(self, *, granularity: Optional[int] = 1 << 18, looks: int = 1,
                 now: Callable[[], datetime.datetime] = now) -> None:
        self.granularity, self.looks = granularity, looks
        self.files: Dict[str, JSON] = {}
        self.contents: Dict[str, bytes] = {}
        self.sessions: Dict[str, Session] = {}
        self.slow = ("video/", "audio/")
        self.broken: Dict[bytes, str] = {}
        self.answers_queries_with_file = True
        self._now = now
        self._losses: Dict[str, Deque[Loss]] = {}
        self._looks_left: Dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def lose(self, *losses: Loss, command: str = "bytes") -> None:
        """Script what happens to the next requests of this kind: "bytes", "start" or "query"."""
        self._losses.setdefault(command, deque()).extend(losses)

    def add(
        self, content: bytes, mime_type: str = "text/plain", *, source: str = "GENERATED", **fields: object,
    ) -> JSON:
        """Put a file there, such as one that the API generated, and return its dict."""
        with self._lock:
            return self._keep({"mimeType": mime_type, "source": source, **fields}, content)

    def __call__(self, request: Request) -> Optional[Answer]:
        """The answer to a request for this API; None for any other."""
        path = request.bare_path
        with self._lock:
            self._expire()
            if request.method == "POST" and _START.fullmatch(path):
                return self._upload(request)
            if request.method == "GET" and _ALL.fullmatch(path):
                return page(request, "files", list(self.files.values())[::-1], 10)
            one = _ONE.fullmatch(path)
            return self._one(request, one) if one else None

    def _upload(self, request: Request) -> Answer:
        command = request.headers.get("x-goog-upload-command", "")
        kind = command if command in ("start", "query") else "bytes"
        losses = self._losses.get(kind)
        loss = losses.popleft() if losses else Loss()
        if kind == "start":
            answer = loss.answer or self._start(request)
        else:
            session = self.sessions.get(request.query.get("upload_id", ""))
            if session is None:
                return Error(404, "Upload session not found")
            answer = self._status(session) if kind == "query" else self._take(request, session, command, loss.kept)
        return loss.answer or answer

    def _start(self, request: Request) -> Answer:
        id = f"UPL{next(self._numbers)}"
        size = request.headers.get("x-goog-upload-header-content-length", "")
        file = dict_or_empty(request.json.get("file"))
        file.setdefault("mimeType", request.headers.get("x-goog-upload-header-content-type", ""))
        if str(file.get("name")) in self.files:
            return Error(409, f"Requested entity already exists: {file['name']}", "ALREADY_EXISTS")
        self.sessions[id] = Session(file, int(size) if size.isdecimal() else None)
        headers = {"X-Goog-Upload-URL": f"http://{request.headers.get('host', '')}{request.bare_path}"
                                        f"?upload_id={id}&upload_protocol=resumable",
                   "X-Goog-Upload-Status": "active", "Date": self._now().strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if self.granularity is not None:
            headers["X-Goog-Upload-Chunk-Granularity"] = str(self.granularity)
        return json_answer({}, 200, headers)

    def _take(self, request: Request, session: Session, command: str, kept: Optional[int]) -> Answer:
        """Take the bytes of one request as far as they arrive."""
        offset = int(request.headers.get("x-goog-upload-offset", "0"))
        data = request.body if isinstance(request.body, bytes) else b""
        whole = kept is None or kept >= len(data)
        if session.final or session.cancelled:
            return Error(400, "Upload has already been terminated.", headers=_status_header("final"))
        if offset != len(session.data):
            session.taken_twice += max(0, len(session.data) - offset)
            return Error(400, f"Invalid upload offset: {offset}, expected {len(session.data)}",
                         headers=_status_header("active"))
        if "finalize" not in command and (self.granularity or 0) > 1 and len(data) % (self.granularity or 1):
            return Error(400, f"Chunk size {len(data)} is no multiple of {self.granularity}",
                         headers=_status_header("final"))
        session.data += data if whole else data[:kept]
        if "finalize" in command and whole:
            if session.size not in (None, len(session.data)):
                return Error(400, f"{len(session.data)} bytes arrived of {session.size}",
                             headers=_status_header("final"))
            session.final = True
            session.file = self._keep({**session.file, "source": "UPLOADED"}, bytes(session.data))
        return self._status(session)

    def _status(self, session: Session) -> Answer:
        status = "cancelled" if session.cancelled else "final" if session.final else "active"
        headers = {**_status_header(status), "X-Goog-Upload-Size-Received": str(len(session.data))}
        shown = {"file": session.file} if session.final and self.answers_queries_with_file else {}
        return json_answer(shown, 200, headers)

    def _keep(self, fields: Mapping[str, object], content: bytes) -> JSON:
        number = next(self._numbers)
        name = str(fields.get("name") or f"files/fake{number}")
        now = self._now()
        slow = str(fields.get("mimeType", "")).startswith(self.slow)
        file: JSON = {
            **fields, "name": name, "sizeBytes": str(len(content)),
            "createTime": time_text(now), "updateTime": time_text(now),
            "expirationTime": time_text(now + _LIFETIME),
            "state": "PROCESSING" if slow or content in self.broken else "ACTIVE",
            "sha256Hash": base64.b64encode(hashlib.sha256(content).hexdigest().encode()).decode(),
            "uri": f"{_GOOGLE}/v1beta/{name}",
        }
        if fields.get("source") == "GENERATED":
            file["downloadUri"] = f"{_GOOGLE}/download/v1beta/{name}:download?alt=media"
        self.files[name], self.contents[name], self._looks_left[name] = file, content, self.looks
        return file

    def _one(self, request: Request, match: "re.Match[str]") -> Answer:
        name = f"files/{match.group(2)}"
        file = self.files.get(name)
        if file is None:
            return Error(403, f"You do not have permission to access the File {match.group(2)} or it may not exist.")
        if match.group(3):
            if file.get("source") != "GENERATED":
                return Error(400, f"The File {match.group(2)} cannot be downloaded.")
            content = self.contents[name]
            return Raw(content, headers={"Content-Type": str(file["mimeType"]), "Content-Length": str(len(content))})
        if request.method == "DELETE":
            del self.files[name], self.contents[name]
            return json_answer({})
        return json_answer(self._seen(file)) if request.method == "GET" else Error(404, "Not found")

    def _seen(self, file: JSON) -> JSON:
        """The file as a look shows it: it is ready after `looks` looks."""
        name = file["name"]
        self._looks_left[name] -= 1
        if file["state"] == "PROCESSING" and self._looks_left[name] <= 0:
            reason = self.broken.get(self.contents[name])
            file = self.files[name] = {**file, "state": "ACTIVE"} if reason is None else {
                **file, "state": "FAILED", "error": {"code": 13, "message": reason}}
        return file

    def _expire(self) -> None:
        now = time_text(self._now())
        for name in [name for name, file in self.files.items() if str(file["expirationTime"]) < now]:
            del self.files[name], self.contents[name]


def _status_header(status: str) -> Dict[str, str]:
    return {"X-Goog-Upload-Status": status}
