"""What a recording does not keep: keys and tokens, project ids, the addresses of uploads, and texts if so asked."""
from __future__ import annotations

import hashlib
import json
import re
from typing import Callable, Dict, Mapping, Set
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

REQUEST_HEADERS = {"content-type", "x-goog-upload-protocol", "x-goog-upload-command", "x-goog-upload-offset",
                   "api-revision"}
ANSWER_HEADERS = {"content-type", "retry-after", "x-goog-upload-status", "x-goog-upload-url",
                  "x-goog-upload-chunk-granularity", "x-goog-upload-size-received"}
KEY, PROJECT = "REDACTED_KEY", "REDACTED_PROJECT"
_SECRET_QUERY = {"key", "access_token"}
_TOKEN_FIELDS = {"access_token", "refresh_token", "id_token", "client_secret", "assertion", "accessToken", "api_key",
                 "apiKey", "apiKeyString", "subject_token"}
_PROJECT_FIELDS = {"project", "cloudaicompanionProject", "duetProject", "billingProject"}
_PROJECTS = re.compile(r"(?<=projects/)[^/\"\s'`]+|(?<=project_number:)\d+|(?<=[?&]project=)[\w-]+")
# Strings that tell the shape of an exchange and nothing of what was written in it.
_STRUCTURAL = {
    "role", "model", "modelVersion", "responseId", "finishReason", "mimeType", "mime_type", "type", "status", "state",
    "blockReason", "category", "threshold", "probability", "modality", "mode", "taskType", "task_type", "code",
    "reason", "@type", "retryDelay", "quotaId", "quotaMetric", "quotaValue", "name", "responseMimeType",
    "thinkingLevel", "toolType", "event_type", "thoughtSignature", "trafficType", "serviceTier", "ttl", "expireTime",
    "createTime", "updateTime", "object", "version",
}
_SHORTEST_SECRET = 6  # what is shorter would be replaced in the middle of words


class Redaction:
    """Replaces what must not be kept; it learns the keys from the requests, and finds them wherever they stand."""

    def __init__(self, texts: bool = False) -> None:
        self._hash_texts = texts
        self._secrets: Set[str] = set()

    def learn(self, headers: Mapping[str, str], path: str) -> None:
        """Remember the credentials of a request."""
        found = [headers.get("x-goog-api-key", ""), headers.get("authorization", "").rpartition(" ")[2]]
        found += [value for name, value in parse_qsl(urlsplit(path).query) if name in _SECRET_QUERY]
        self._secrets |= {secret for secret in found if len(secret) >= _SHORTEST_SECRET}

    def text(self, text: str) -> str:
        """`text` without keys and project ids."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
                text = text.replace(form, KEY)
        return _PROJECTS.sub(PROJECT, text)

    def path(self, path: str) -> str:
        """A path whose query has no key."""
        place, mark, query = self.text(path).partition("?")
        kept = [(name, KEY if name in _SECRET_QUERY else value) for name, value in parse_qsl(query)]
        return place + mark + urlencode(kept, safe="$:/")

    def value(self, value: object) -> object:
        """JSON data without keys, tokens and project ids; texts as hashes if so asked."""
        return self._walk(value, "")

    def body(self, content_type: str, text: str) -> str:
        """The text of an answer: JSON, or events with a JSON each."""
        if "event-stream" in content_type:
            return re.sub(r"(?m)^data:[ ]?(\{.*|\[.*)$", lambda match: f"data: {self._json_text(match.group(1))}", text)
        return self._json_text(text)

    def _json_text(self, text: str) -> str:
        ending = text[len(text.rstrip()):]
        try:
            return json.dumps(self.value(json.loads(text)), ensure_ascii=False) + ending
        except ValueError:
            return hashed(text) if self._hash_texts else self.text(text)

    def _walk(self, value: object, field: str) -> object:
        if isinstance(value, dict):
            return {self.text(name): self._walk(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._walk(item, field) for item in value]
        if not isinstance(value, str):
            return value
        if field in _TOKEN_FIELDS:
            return KEY
        if field in _PROJECT_FIELDS:
            return PROJECT
        return hashed(value) if self._hash_texts and field not in _STRUCTURAL else self.text(value)


def hashed(text: str) -> str:
    """What stands for a text: equal for equal texts."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def kept(headers: Mapping[str, str], allowed: Set[str], redact: Callable[[str], str]) -> Dict[str, str]:
    """The headers that a recording keeps."""
    return {name.lower(): redact(value) for name, value in headers.items() if name.lower() in allowed}
