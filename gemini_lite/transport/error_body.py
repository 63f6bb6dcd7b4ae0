"""What Google says about a failure: the JSON body of an error, read without trusting its shape."""
from __future__ import annotations

import calendar
import email.utils
import json
import re
import time
from typing import Any, Dict, List, Mapping, Optional, Type

from ..errors import (
    APIError, AuthenticationError, BadRequestError, NotFoundError, OverloadedError, PermissionDeniedError, Quota,
    QuotaExhaustedError, RateLimitError, ServerError,
)
from ..json_data import JSON, list_of_dicts, str_or_none
from .next_steps import next_step

_BY_CODE: Dict[int, Type[APIError]] = {
    401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError, 408: APIError, 429: RateLimitError,
    499: APIError, 503: OverloadedError,
}
_HTTP_CODES = {  # of the google.rpc.Code names, in the order of their numbers, which begin with 1
    "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
    "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
_HTTP_CODES_BY_NUMBER = dict(enumerate(_HTTP_CODES.values(), 1))
_RETRYABLE = frozenset((408, 429, 499, 500, 502, 503, 504))
_QUOTA_CODES = frozenset((429, 499, 503))
_TERMINAL_REASONS = frozenset(("QUOTA_EXHAUSTED", "INSUFFICIENT_G1_CREDITS_BALANCE"))
_FINAL_REASONS = frozenset(("UNSUPPORTED_CLIENT", "TOS_VIOLATION"))
_SIGN_IN_REASONS = frozenset((  # of google.api.ErrorReason, whatever the status: a bad key comes with a 400
    "API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_LEAKED", "API_KEY_REVOKED", "CREDENTIALS_MISSING",
    "ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_TYPE_UNSUPPORTED",
))
_CAPACITY_REASONS = frozenset(("MODEL_CAPACITY_EXHAUSTED", "MODEL_CAPACITY_EXCEEDED"))
_REQUEST_ID_HEADERS = ("x-goog-request-id", "x-request-id", "x-cloud-trace-context")

_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
# Compiled by re when the first error comes: most programs need none (bench row "import and client built").
_SPAN = r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|d|h|m|s))+"
_STEP = r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)"
_MESSAGE_DELAY = rf"(?i)(?:retry|try again|reset) (?:in|after) ({_SPAN})(?!\w)"
_LIMIT_ZERO = r"limit:\s*0(?![\d.]*\d)"
_CAPACITY_WORDS = "(?i)exhausted your capacity|capacity exceeded|MODEL_CAPACITY_EXHAUSTED"
_HTML_TITLE = r"(?i)<title[^>]*>([^<]{1,200})"


def parse_duration(value: object) -> Optional[float]:
    """Seconds of a duration such as ``"34.074824224s"``, ``"539.477544ms"`` or ``"11h33m30s"``; None if it is none."""
    if not isinstance(value, str) or not re.fullmatch(_SPAN, value.strip()):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_STEP, value))


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
        if not isinstance(value, dict) or not value.get("error"):  # {} is no error: google.rpc's code 0 is OK
            break
        found = value["error"]
        if not isinstance(found, dict):  # the token endpoint: {"error": "invalid_grant", "error_description": "..."}
            return {"message": value.get("error_description") or str(found), "status": str(found)}
        value = _loads(found.get("message"))
    return found


class _ErrorReader:
    """What one error object says, read without trusting its shape."""

    def __init__(self, error: JSON, code: Optional[int], headers: Mapping[str, str], body: bytes) -> None:
        self.headers = headers
        self.status = str_or_none(error.get("status"))
        self.code = code or _http_code(error.get("code"), self.status)
        self.details = list_of_dicts(error.get("details"))
        info = self.detail("ErrorInfo") or self.detail_without_type("reason", "domain")
        self.reason = str_or_none(info.get("reason"))
        self.from_google = f".{info.get('domain')!s}".endswith(".googleapis.com")
        metadata = info.get("metadata")
        self.metadata: JSON = metadata if self.from_google and isinstance(metadata, dict) else {}
        self.message = (str_or_none(error.get("message")) or "").strip() or _describe(self.code, body)
        self.quotas = self.read_quotas()

    def detail(self, kind: str) -> JSON:
        return next((item for item in self.details if str(item.get("@type")).endswith(f".{kind}")), {})

    def detail_without_type(self, *keys: str) -> JSON:
        """The detail that has these keys and no type, as some gateways send them."""
        return next((item for item in self.details if "@type" not in item and all(key in item for key in keys)), {})

    def read_quotas(self) -> List[Quota]:
        """The limits that the details name, those of a day first: they decide."""
        violations = list_of_dicts(self.detail("QuotaFailure").get("violations"))
        found = [_quota(item.get("quotaId"), item.get("quotaValue"), item.get("quotaMetric")) for item in violations]
        if "quota_limit" in self.metadata:
            found.append(_quota(self.metadata["quota_limit"], self.metadata.get("quota_limit_value"),
                                self.metadata.get("quota_metric")))
        return sorted(found, key=lambda quota: not _is_daily(quota))

    def error(self) -> APIError:
        terminal, message = self.terminal(), self.message
        step = next_step(self.code, f"{self.reason} {self.status} {message}", self.link(), terminal)
        return self.kind(terminal)(
            message + ("." if step and message[-1:].isalnum() else "") + step,
            code=self.code, status=self.status, reason=self.reason, details=tuple(self.details),
            retryable=self.code in _RETRYABLE and not terminal and self.reason not in _FINAL_REASONS,
            retry_after=self.retry_after(), quota=self.quotas[0] if self.quotas else None,
            request_id=next((self.headers[name] for name in _REQUEST_ID_HEADERS if self.headers.get(name)), None),
        )

    def terminal(self) -> bool:
        """Whether no wait of seconds or minutes can help."""
        if self.code not in _QUOTA_CODES:
            return False
        final = any(_is_daily(quota) or quota.value == 0 for quota in self.quotas)
        spent = self.from_google and self.reason in _TERMINAL_REASONS
        return final or spent or bool(re.search(_LIMIT_ZERO, self.message))

    def kind(self, terminal: bool) -> Type[APIError]:
        if terminal:
            return QuotaExhaustedError
        if self.from_google and self.reason in _SIGN_IN_REASONS:
            return AuthenticationError
        if self.code == 429 and (self.reason in _CAPACITY_REASONS or re.search(_CAPACITY_WORDS, self.message)):
            return OverloadedError
        if self.code in _BY_CODE:
            return _BY_CODE[self.code]
        return ServerError if self.code >= 500 else BadRequestError if self.code >= 400 else APIError

    def retry_after(self) -> Optional[float]:
        """Seconds to wait: the longest that the server states anywhere, else what its quota implies."""
        sentence = re.search(_MESSAGE_DELAY, self.message[:4000])
        stated = [
            parse_duration(sentence.group(1)) if sentence else None,
            _proto_duration(self.detail("RetryInfo").get("retryDelay")),
            parse_duration(self.metadata.get("quotaResetDelay")),
            _retry_after_header(self.headers.get("Retry-After")),
        ]
        longest = max(filter(None, stated), default=None)
        if longest is not None:
            return longest
        if self.code in _QUOTA_CODES:
            if any("PerMinute" in str(quota.id) for quota in self.quotas):
                return 60.0
            if self.from_google and self.reason == "RATE_LIMIT_EXCEEDED":
                return 10.0
        return None

    def link(self) -> str:
        """" at https://...", where Google gives the page to go to."""
        pages = [item.get("url") for item in list_of_dicts(self.detail("Help").get("links"))]
        pages += [self.metadata.get(name) for name in _LINKS]
        return next((f" at {page}" for page in pages if str_or_none(page)), "")


def _http_code(code: object, status: Optional[str]) -> int:
    """The HTTP code of an error object that came without one: its `code`, HTTP's or google.rpc's, or its `status`."""
    if type(code) is not int or code == 0:
        return _HTTP_CODES.get(status or "", 500)
    return _HTTP_CODES_BY_NUMBER.get(code, code)


_LINKS = ("activationUrl", "appeal_url", "validation_link", "validation_url")


_SUBJECTS = (("Token", "tokens"), ("Request", "requests"))
_PERIODS = (("PerDay", "day"), ("Daily", "day"), ("PerHour", "hour"), ("PerMinute", "minute"), ("PerSecond", "second"))


def _quota(id: object, value: object, metric: object) -> Quota:
    """One limit; its unit is read from Google's name of it, such as GenerateRequestsPerDayPerProjectPerModel."""
    name = str_or_none(id) or ""
    by_metric = str_or_none(metric) or ""
    subject = next((unit for word, unit in _SUBJECTS if word in name or word.lower() in by_metric), None)
    period = next((unit for word, unit in _PERIODS if word in name), None)
    unit = f"{subject} per {period}" if subject and period else subject
    text = str(value) if type(value) in (str, int) else ""
    return Quota(name or None, int(text) if re.fullmatch("[0-9]{1,18}", text) else None, unit)


def _is_daily(quota: Quota) -> bool:
    return "PerDay" in str(quota.id) or "Daily" in str(quota.id)


def _describe(code: int, body: bytes) -> str:
    """A sentence for an error without one of its own."""
    text = body[:4000].decode("utf-8", "replace").strip()
    if not text:
        return f"The server answered with status {int(code)} and no explanation."
    if text.startswith("<"):
        title = re.search(_HTML_TITLE, text)
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
