"""What Google says about a failure: the JSON body of an error, read without trusting its shape."""
from __future__ import annotations

import calendar
import email.utils
import json
import re
import time
from typing import Any, Dict, Mapping, Optional, Tuple, Type

from ..errors import (
    KEYS_PAGE, APIError, AuthenticationError, BadRequestError, NotFoundError, OverloadedError, PermissionDeniedError,
    QuotaExhaustedError, RateLimitError, ServerError,
)
from ..json_data import JSON, list_of_dicts, str_or_none

LIMITS_PAGE = "https://ai.google.dev/gemini-api/docs/rate-limits"

_BY_CODE: Dict[int, Type[APIError]] = {
    401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError, 408: APIError, 429: RateLimitError,
    499: APIError, 503: OverloadedError,
}
_CODES = {  # google.rpc.Code names, for error objects that bring no HTTP code
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ABORTED": 409, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499, "UNKNOWN": 500, "INTERNAL": 500, "DATA_LOSS": 500, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_RETRYABLE = frozenset((408, 429, 499, 500, 502, 503, 504))
_QUOTA_CODES = frozenset((429, 499, 503))
_TERMINAL_REASONS = frozenset(("QUOTA_EXHAUSTED", "INSUFFICIENT_G1_CREDITS_BALANCE"))
_FINAL_REASONS = frozenset(("UNSUPPORTED_CLIENT", "TOS_VIOLATION"))
_CAPACITY_REASONS = frozenset(("MODEL_CAPACITY_EXHAUSTED", "MODEL_CAPACITY_EXCEEDED"))
_REQUEST_ID_HEADERS = ("x-goog-request-id", "x-request-id", "x-cloud-trace-context")

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_SPAN = r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|d|h|m|s))+"
_DURATION = re.compile(_SPAN)
_DURATION_STEP = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_MESSAGE_DELAY = re.compile(rf"(?:retry|try again|reset) (?:in|after) ({_SPAN})(?!\w)", re.IGNORECASE)
_LIMIT_ZERO = re.compile(r"limit:\s*0(?![\d.]*\d)")
_CAPACITY_WORDS = re.compile("exhausted your capacity|capacity exceeded|MODEL_CAPACITY_EXHAUSTED", re.IGNORECASE)
_HTML_TITLE = re.compile(r"<title[^>]*>([^<]{1,200})", re.IGNORECASE)


def parse_duration(value: object) -> Optional[float]:
    """Seconds of a duration such as ``"34.074824224s"``, ``"539.477544ms"`` or ``"11h33m30s"``; None if it is none."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_STEP.findall(value))


def error_from_response(code: int, headers: Mapping[str, str], body: bytes) -> APIError:
    """The error for an HTTP answer that is not a success; `body` may be JSON of any shape, HTML or empty."""
    return _ErrorReader(_error_object(_loads(body)) or {}, code, headers, body).error()


def error_from_event(event: object, headers: Mapping[str, str]) -> Optional[APIError]:
    """The error inside an answer of status 200, or None if `event` (parsed JSON) carries none."""
    found = _error_object(event)
    return None if found is None else _ErrorReader(found, None, headers, b"").error()


def _loads(text: object) -> Any:
    try:
        return json.loads(text)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError):
        return None


def _error_object(value: Any) -> Optional[JSON]:
    """The innermost ``error`` object of a body: it may stand in an array, or as JSON text in a ``message``."""
    found = None
    for _ in range(10):
        if isinstance(value, list):
            value = next((item for item in value if isinstance(item, dict) and item.get("error")), None)
        if not isinstance(value, dict) or value.get("error") is None:
            break
        found = value["error"]
        if not isinstance(found, dict):  # the token endpoint: {"error": "invalid_grant", "error_description": "..."}
            return {"message": value.get("error_description") or str(found), "status": str(found)}
        value = _loads(found.get("message"))
    return found


class _ErrorReader:
    """What one error object says, read without trusting its shape."""

    def __init__(self, error: JSON, code: Optional[int], headers: Mapping[str, str], body: bytes) -> None:
        own = error.get("code")
        self.headers = headers
        self.status = str_or_none(error.get("status"))
        self.code = code or (own if type(own) is int else _CODES.get(self.status or "", 500))
        self.details = list_of_dicts(error.get("details"))
        info = self.detail("ErrorInfo")
        self.reason = str_or_none(info.get("reason"))
        self.from_google = f".{info.get('domain')!s}".endswith(".googleapis.com")
        metadata = info.get("metadata")
        self.metadata: JSON = metadata if self.from_google and isinstance(metadata, dict) else {}
        self.message = (str_or_none(error.get("message")) or "").strip() or _describe(self.code, body)
        violations = list_of_dicts(self.detail("QuotaFailure").get("violations"))
        quotas = [item.get("quotaId") for item in violations] + [self.metadata.get("quota_limit")]
        self.quotas = " ".join(map(str, quotas))

    def detail(self, kind: str) -> JSON:
        return next((item for item in self.details if str(item.get("@type")).endswith(f".{kind}")), {})

    def error(self) -> APIError:
        terminal = self.terminal()
        return self.kind(terminal)(
            self.message + self.next_step(terminal),
            code=self.code, status=self.status, reason=self.reason, details=tuple(self.details),
            retryable=self.code in _RETRYABLE and not terminal and self.reason not in _FINAL_REASONS,
            retry_after=self.retry_after(),
            request_id=next((self.headers[name] for name in _REQUEST_ID_HEADERS if self.headers.get(name)), None),
        )

    def terminal(self) -> bool:
        """Whether no wait of seconds or minutes can help."""
        if self.code not in _QUOTA_CODES:
            return False
        per_day = "PerDay" in self.quotas or "Daily" in self.quotas
        spent = self.from_google and self.reason in _TERMINAL_REASONS
        return per_day or spent or bool(_LIMIT_ZERO.search(self.message))

    def kind(self, terminal: bool) -> Type[APIError]:
        if terminal:
            return QuotaExhaustedError
        if self.code == 429 and (self.reason in _CAPACITY_REASONS or _CAPACITY_WORDS.search(self.message)):
            return OverloadedError
        if self.code in _BY_CODE:
            return _BY_CODE[self.code]
        return ServerError if self.code >= 500 else BadRequestError if self.code >= 400 else APIError

    def retry_after(self) -> Optional[float]:
        """Seconds to wait: what the server states, else what its sentence says, else what its quota implies."""
        stated = [
            _proto_duration(self.detail("RetryInfo").get("retryDelay")),
            parse_duration(self.metadata.get("quotaResetDelay")),
            _retry_after_header(self.headers.get("Retry-After")),
        ]
        longest = max(filter(None, stated), default=None)
        if longest is not None:
            return longest
        sentence = _MESSAGE_DELAY.search(self.message[:4000])
        delay = parse_duration(sentence.group(1)) if sentence else None
        if delay:
            return delay
        if self.code in _QUOTA_CODES:
            if "PerMinute" in self.quotas:
                return 60.0
            if self.from_google and self.reason == "RATE_LIMIT_EXCEEDED":
                return 10.0
        return None

    def link(self) -> str:
        """" at https://...", where Google gives the page to go to."""
        pages = [item.get("url") for item in list_of_dicts(self.detail("Help").get("links"))]
        pages += [self.metadata.get(name) for name in _LINKS]
        return next((f" at {page}" for page in pages if str_or_none(page)), "")

    def next_step(self, terminal: bool) -> str:
        """One sentence, with its leading space, that says what the reader can do; empty if the server said it all."""
        everything = f"{self.reason} {self.status} {self.message}"
        for code, words, step in _NEXT_STEPS:
            if code in (None, self.code) and words in everything:
                return f" {step.replace('{link}', self.link())}"
        if 300 <= self.code < 400:
            return " Redirects are not followed, so that nobody else gets your key: check the base URL."
        if terminal:
            return f" This quota comes back later or with another plan: see {LIMITS_PAGE}"
        return ""


_USE_A_KEY = f"an API key works for everybody: {KEYS_PAGE}"
_NEXT_STEPS: Tuple[Tuple[Optional[int], str, str], ...] = (  # the first row whose code and words fit; {link} if given
    (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED",
     "If you sent an API key: Google refuses old unrestricted keys with this misleading text. No OAuth token is "
     f"needed; make a new key at {KEYS_PAGE}"),
    (None, "API_KEY_INVALID", f"Check the key, or make a new one at {KEYS_PAGE}"),
    (403, "reported as leaked", f"Revoke that key and make a new one at {KEYS_PAGE}"),
    (403, "SERVICE_DISABLED", "Switch the API on for that project{link}, and check that the project is yours."),
    (None, "UNSUPPORTED_CLIENT", f"Code Assist serves licence holders only; {_USE_A_KEY}"),
    (None, "TOS_VIOLATION", "Google suspended this account's use of Code Assist. Stop here; you can appeal{link}. "
                            "Instead, " + _USE_A_KEY),
    (None, "VALIDATION_REQUIRED", "Verify your account{link} and try again."),
    (403, "SUBSCRIPTION_REQUIRED", "The project has no Code Assist licence for you: ask its administrator for one, or "
                                   "set GOOGLE_CLOUD_PROJECT to one that has; " + _USE_A_KEY),
    (403, "#3501", "The project has no Code Assist licence for you: ask its administrator for one, or set "
                   "GOOGLE_CLOUD_PROJECT to one that has; " + _USE_A_KEY),
    (401, "API keys are not supported by this API",
     "If this is a key for Vertex AI in express mode: it must belong to a project with that API, and has generate, "
     "stream and count alone. Anything else takes VertexAI(project=..., credentials=...)."),
    (403, "requires a quota project",
     "Run `gcloud auth application-default set-quota-project PROJECT`, or set GOOGLE_CLOUD_QUOTA_PROJECT."),
    (403, "Permission 'aiplatform.", "Grant the role roles/aiplatform.user in that project to this account, and check "
                                     "that VertexAI(project=...) names the right one."),
    (404, "Publisher Model", "Check the model's name (client.models() lists Google's) and the location: newer models "
                             "are often in location='global' alone, and a preview may need access for the project."),
    (404, "an HTML page",
     "Check the base URL and, on Vertex AI, the location: one that does not exist has such a page."),
    (401, "", "Check the API key or sign in again."),
    (403, "", "Check that this key or account may use the model and the project."),
    (404, "", "Check the model's name: client.models() lists those that a key can use, and a licence may have fewer."),
    (413, "", "Send less, or upload large media with the Files API and refer to it by URI."),
    (400, "payload size exceeds", "Send less, or upload large media with the Files API and refer to it by URI."),
    (None, "MODEL_CAPACITY", "The model has no room now: try again later, or use another model."),
    (503, "", "Try again later, or use another model."),
)
_LINKS = ("activationUrl", "appeal_url", "validation_link", "validation_url")


def _describe(code: int, body: bytes) -> str:
    """A sentence for an error without one of its own."""
    text = body[:4000].decode("utf-8", "replace").strip()
    if not text:
        return f"The server answered with status {int(code)} and no explanation."
    if text.startswith("<"):
        title = _HTML_TITLE.search(text)
        named = f" titled {title.group(1).strip().replace('&amp;', '&')!r}" if title else ""
        return f"Something between you and Google answered with status {int(code)} and an HTML page{named}."
    return f"The server answered with status {int(code)}: {text[:300]}"


def _proto_duration(value: object) -> Optional[float]:
    if isinstance(value, dict):  # protobuf's other JSON form
        seconds, nanos = value.get("seconds", 0), value.get("nanos", 0)
        value = f"{seconds}s" if not nanos else f"{seconds}.{int(nanos):09}s" if type(nanos) is int else None
    return parse_duration(value)


def _retry_after_header(value: Optional[str]) -> Optional[float]:
    """Seconds of a Retry-After header, which holds seconds or an HTTP date."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(value)
            seconds = calendar.timegm(date.utctimetuple()) - time.time()  # a date without a zone is in UTC, too
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return seconds if 0 < seconds < float("inf") else None  # "nan" is neither
