"""What a recording does not keep: keys and tokens, project ids, the addresses of uploads, and texts if so asked."""
from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
from typing import Callable, Dict, Iterator, Mapping, Set
from urllib.parse import parse_qsl, quote, urlencode

from ..json_data import dict_or_empty
from .camel_case import snake
from .request import SECRET_FIELDS, SECRET_QUERY, Request

REQUEST_HEADERS = {"content-type", "x-goog-upload-protocol", "x-goog-upload-command", "x-goog-upload-offset",
                   "api-revision"}
ANSWER_HEADERS = {"content-type", "retry-after", "x-goog-upload-status", "x-goog-upload-url",
                  "x-goog-upload-chunk-granularity", "x-goog-upload-size-received"}
KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
KEY, PROJECT = "REDACTED_KEY", "REDACTED_PROJECT"
_SECRET_QUERY = {*SECRET_QUERY, "upload_id"}
_PROJECT_FIELDS = {"project", "cloudaicompanionProject", "duetProject", "billingProject"}
_KEYS = re.compile(r"AIza[\w-]{35}|ya29\.[\w.-]+")  # as Google makes them, whoever they belong to
_PROJECTS = re.compile(
    r"(?<=projects/)[^/\"\s'`]+|(?<=project_number:)\d+|(?<=[?&]project=)[\w-]+|(?<=in project )\d+")
# Strings that tell the shape of an exchange and nothing of what was written in it.
_STRUCTURAL = {
    "role", "model", "modelVersion", "responseId", "finishReason", "mimeType", "mime_type", "type", "status", "state",
    "blockReason", "category", "threshold", "probability", "modality", "mode", "taskType", "task_type", "reason",
    "@type", "retryDelay", "quotaId", "quotaMetric", "quotaValue", "name", "responseMimeType", "thinkingLevel",
    "toolType", "event_type", "event_id", "thoughtSignature", "trafficType", "serviceTier", "ttl", "object", "version",
    "source", "sizeBytes", "created", "updated",
}
_NUMBERS_AND_TIMES = re.compile(".+(Count|Time)")  # fields, too, in which a hash would be no value
_FREE = {"args", "arguments", "result", "labels"}  # below these the names are the program's own
_RESULTS = {"functionResponse", "function_response"}  # and below the "response" of these
_HASH = re.compile("sha256:[0-9a-f]{16}")
_SHORTEST_SECRET = 6  # what is shorter would be replaced in the middle of words


class Redaction:
    """Replaces what must not be kept; it learns the keys from the requests, and finds them wherever they stand.

    The keys in the environment it knows from the start.
    """

    def __init__(self, texts: bool = False) -> None:
        self._hash_texts = texts
        self._secrets: Dict[str, str] = {}  # a form of a secret: what stands for it
        self._pattern = re.compile("(?!)")
        self._lock = threading.Lock()
        for name in KEY_VARIABLES:
            self.learn_key(os.environ.get(name, ""))

    def learn(self, request: Request) -> None:
        """Remember the credentials and the project of a request."""
        headers, body = request.headers, dict_or_empty(request.body)
        self.learn_key(headers.get("x-goog-api-key", ""))
        self.learn_key(headers.get("authorization", "").rpartition(" ")[2])
        for name, value in request.query.items():
            if name in _SECRET_QUERY:
                self.learn_key(value)
        self._learn_project(headers.get("x-goog-user-project", ""))
        for project in re.findall(r"/projects/([^/:]+)", request.bare_path):
            self._learn_project(project)
        for name in _PROJECT_FIELDS & body.keys():
            self._learn_project(str(body[name]))

    def learn_key(self, key: str) -> None:
        """Remember a key or token."""
        if len(key) >= _SHORTEST_SECRET and key != KEY:
            self._learn({form: KEY for form in _forms(key)})

    def text(self, text: str) -> str:
        """`text` without keys and project ids."""
        text = self._pattern.sub(lambda match: self._secrets[match.group()], text)
        return _PROJECTS.sub(PROJECT, _KEYS.sub(KEY, text))

    def data(self, data: bytes) -> bytes:
        """Bytes of any kind without keys and project ids."""
        return self.text(data.decode("latin-1")).encode("latin-1")

    def path(self, path: str) -> str:
        """A path whose query has no key."""
        place, mark, query = path.partition("?")
        kept = [(self.text(name), KEY if name in _SECRET_QUERY else PROJECT if name in _PROJECT_FIELDS else
                 self.text(value)) for name, value in parse_qsl(query)]
        return self.text(place) + mark + urlencode(kept, safe="$:/")

    def value(self, value: object) -> object:
        """JSON data without keys, tokens and project ids; texts as hashes if so asked."""
        return self._walk(value, "", is_free=False)

    def body(self, content_type: str, text: str) -> str:
        """The text of an answer: JSON, or events with a JSON each."""
        if "event-stream" in content_type:
            return "".join(map(self._event, re.split(r"((?:\r?\n){2,})", text)))
        return self._json_text(text)

    def _learn(self, forms: Mapping[str, str]) -> None:
        with self._lock:
            if forms.keys() <= self._secrets.keys():
                return
            self._secrets = {**self._secrets, **forms}
            self._pattern = re.compile("|".join(
                re.escape(form) if self._secrets[form] == KEY else rf"(?<![\w-]){re.escape(form)}(?![\w-])"
                for form in sorted(self._secrets, key=len, reverse=True)))

    def _learn_project(self, project: str) -> None:
        if len(project) >= _SHORTEST_SECRET and project != PROJECT:
            self._learn({project: PROJECT})

    def _event(self, text: str) -> str:
        """One event, the space between two, or the bare JSON that Google breaks a stream off with."""
        if not re.match(r"(?m)(data|event|id|retry)?:", text):
            return self._json_text(text) if text.strip() else text
        lines = re.split(r"(\r?\n)", text)
        return "".join(f"data: {self._json_text(line[5:].lstrip(' '))}" if re.match(r"data:(?! ?\[DONE\]) ?.", line)
                       else self.text(line) for line in lines)

    def _json_text(self, text: str) -> str:
        """The text of a JSON document: as it is, if there is nothing to replace in it."""
        try:
            value: object = json.loads(text)
            kept = self.value(value)
            return self.text(text) if kept == value else json.dumps(kept, ensure_ascii=False)
        except (ValueError, RecursionError):
            return hashed(text) if self._hash_texts else self.text(text)

    def _walk(self, value: object, field: str, is_free: bool) -> object:
        if isinstance(value, dict):
            is_project = field == "cloudaicompanionProject"  # {"id": ..., "name": ...}
            return {self.text(name): self._walk(inner, field if is_project else name, is_free or name in _FREE or (
                name == "response" and field in _RESULTS)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._walk(item, field, is_free) for item in value]
        return self._string(value, field, is_free) if isinstance(value, str) else value

    def _string(self, text: str, field: str, is_free: bool) -> str:
        if snake(field) in SECRET_FIELDS and not is_free:
            self.learn_key(text)
            return KEY
        if field in _PROJECT_FIELDS and not is_free:
            self._learn_project(text)
            return PROJECT
        is_shape = not is_free and (field in _STRUCTURAL or _NUMBERS_AND_TIMES.fullmatch(field))
        return hashed(text) if self._hash_texts and not is_shape else self.text(text)


def hashed(text: str) -> str:
    """What stands for a text: equal for equal texts, and for itself."""
    if _HASH.fullmatch(text):
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def kept(headers: Mapping[str, str], allowed: Set[str], redact: Callable[[str], str]) -> Dict[str, str]:
    """The headers that a recording keeps."""
    return {name.lower(): redact(value) for name, value in headers.items() if name.lower() in allowed}


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a secret is written: as it is, in JSON, in a URL, and inside of base64."""
    yield secret
    yield json.dumps(secret)[1:-1]
    quoted = quote(secret, safe="")
    yield quoted
    yield re.sub("%..", lambda match: match.group().lower(), quoted)
    data = secret.encode("utf-8", "replace")
    for before in range(3):  # bytes of the same group of three that stand before the secret
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(before) + data).decode()
            yield text[(8 * before + 5) // 6:8 * (before + len(data)) // 6]
