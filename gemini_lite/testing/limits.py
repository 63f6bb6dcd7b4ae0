"""Quotas: a token bucket, and the 429 that says which of Google's limits is reached."""
from __future__ import annotations

from time import monotonic
from typing import List, Optional

from ..json_data import JSON
from .replies import Error
from .request import Request

_LIMITED_KINDS = {"generate", "embedContent", "batchEmbedContents", "predict"}
_HELP = "https://ai.google.dev/gemini-api/docs/rate-limits"
_METRIC = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
_DAY = 86400.0


class Limits:
    """The limits of a stand-in, which hold together; not to be asked from two threads at once."""

    def __init__(self) -> None:
        self._buckets: List[TokenBucket] = []

    def add(self, bucket: TokenBucket) -> None:
        """Hold later requests against `bucket` too."""
        self._buckets.append(bucket)

    def refusal(self, request: Request) -> Optional[Error]:
        """The 429 for a request that is one too many; else it is counted, and None."""
        if request.kind not in _LIMITED_KINDS:
            return None
        waits = [bucket.wait() for bucket in self._buckets]
        longest = max(waits, default=0.0)
        if longest:
            return self._buckets[waits.index(longest)].refusal(request, longest)
        for bucket in self._buckets:
            bucket.take()
        return None


class TokenBucket:
    """`requests` of them in `per` seconds, at a steady rate; up to `burst` (by default all) at once.

    With `tell` the refusal has RetryInfo and QuotaFailure with the limit's value, as the Developer API sends them.
    """

    def __init__(self, requests: float, per: float = 60.0, burst: Optional[int] = None, tell: bool = True) -> None:
        if requests <= 0 or per <= 0 or (burst is not None and burst < 1):
            raise ValueError("limit() takes a number of requests, seconds and a burst above 0")
        self._requests, self._per, self._tell = requests, per, tell
        self._capacity = float(max(1, requests if burst is None else burst))
        self._left = self._capacity
        self._counted = monotonic()

    def wait(self) -> float:
        """The seconds until there is a request to take; 0.0 if there is one."""
        rate = self._requests / self._per
        now = monotonic()
        self._left = min(self._capacity, self._left + (now - self._counted) * rate)
        self._counted = now
        missing = 1 - self._left
        return missing / rate if missing > 1e-6 else 0.0    # what is less is rounding

    def take(self) -> None:
        """Take one request out."""
        self._left -= 1

    def refusal(self, request: Request, wait: float) -> Error:
        """The 429 of the API that `request` was sent to, with `wait` seconds to go."""
        if request.api == "code_assist":
            return self._code_assist_refusal(request, wait)
        if request.api == "vertex":
            return Error(429, "Resource exhausted. Please try again later. Please refer to "
                              "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.")
        if not self._tell:
            return Error(429, "Resource has been exhausted (e.g. check quota).")
        message = (
            "You exceeded your current quota, please check your plan and billing details. For more information on this "
            f"error, head to: {_HELP}. To monitor your current usage, head to: https://ai.dev/rate-limit. \n"
            f"* Quota exceeded for metric: {_METRIC}, limit: {self._value()}, model: {request.model}\n"
            f"Please retry in {_duration(wait)}.")
        return Error(429, message, details=self._details(request, wait))

    def _details(self, request: Request, wait: float) -> List[JSON]:
        period = "Day" if self._per >= _DAY else "Minute"
        violation = {
            "quotaMetric": _METRIC, "quotaId": f"GenerateRequestsPer{period}PerProjectPerModel-FreeTier",
            "quotaDimensions": {"location": "global", "model": request.model}, "quotaValue": self._value()}
        return [
            {"@type": "type.googleapis.com/google.rpc.Help",
             "links": [{"description": "Learn more about Gemini API quotas", "url": _HELP}]},
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": _duration(wait)},
        ]

    def _code_assist_refusal(self, request: Request, wait: float) -> Error:
        if not self._tell:
            return Error(429, "Resource has been exhausted (e.g. check quota).")
        metadata = {"model": request.model, "quotaResetDelay": _duration(wait), "uiMessage": "true"}
        message = f"You have exhausted your capacity on this model. Your quota will reset after {_duration(wait)}."
        return Error(429, message, details=[
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
             "domain": "cloudcode-pa.googleapis.com", "metadata": metadata},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": _duration(wait)},
        ])

    def _value(self) -> str:
        """The limit as the quota's id counts it: requests a minute, or a day."""
        period = _DAY if self._per >= _DAY else 60.0
        return str(max(1, round(self._requests * period / self._per)))


def _duration(seconds: float) -> str:
    """Seconds as a protobuf Duration, rounded up to milliseconds."""
    return f"{int(seconds * 1000 + 1) / 1000:.3f}s"
