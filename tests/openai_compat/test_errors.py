"""Errors as OpenAI reports them."""
from __future__ import annotations

import json
from typing import Any, List

import pytest
from openai_compat.builders import HI

from gemini_lite import (
    APIError, AuthenticationError, BadRequestError, CredentialsError, GeminiClient, GeminiError, NotFoundError,
    OverloadedError, PermissionDeniedError, QuotaExhaustedError, RateLimitError, ServerError, TransportTimeout,
)
from gemini_lite.openai_compat import OpenAIChat, to_openai_error
from gemini_lite.testing import FakeGemini


@pytest.mark.parametrize("error, status, kind, code, retryable", [
    (AuthenticationError("m", code=401), 401, "authentication_error", "invalid_api_key", False),
    (CredentialsError("m"), 401, "authentication_error", "invalid_api_key", False),
    (AuthenticationError("m", code=400, reason="WHY"), 401, "authentication_error", "invalid_api_key", False),
    (APIError("m", code=302), 502, "server_error", None, False), (KeyError("m"), 500, "server_error", None, False),
    (PermissionDeniedError("m", code=403), 403, "permission_error", "permission_denied", False),
    (NotFoundError("m", code=404), 404, "invalid_request_error", "model_not_found", False),
    (BadRequestError("m", code=400, reason="WHY"), 400, "invalid_request_error", "WHY", False),
    (ValueError("m"), 400, "invalid_request_error", None, False),
    (RateLimitError("m", code=429, retryable=True), 429, "rate_limit_error", "rate_limit_exceeded", True),
    (QuotaExhaustedError("m", code=429), 429, "insufficient_quota", "insufficient_quota", False),
    (ServerError("m", code=500, retryable=True), 500, "server_error", None, True),
    (OverloadedError("m", code=503, retryable=True), 503, "server_error", None, True),
    (TransportTimeout("m", reason="READ_TIMEOUT", retryable=True), 504, "server_error", "READ_TIMEOUT", True),
])
def test_an_error_has_openais_type_and_code(
        error: Exception, status: int, kind: str, code: Any, retryable: bool) -> None:
    assert to_openai_error(error).status == status
    assert to_openai_error(error) == {
        "error": {"message": str(error), "type": kind, "param": None, "code": code, "retryable": retryable}}


@pytest.mark.parametrize("code, retryable", [(400, False), (401, False), (403, False), (404, False), (429, True),
                                             (500, True), (503, True)])
def test_only_errors_that_another_try_may_solve_are_retryable(
        client: GeminiClient, fake: FakeGemini, no_sleep: List[float], code: int, retryable: bool) -> None:
    tries = 5 if retryable else 1
    for _ in range(tries):
        fake.error(code, "no")
    with pytest.raises(GeminiError) as caught:
        OpenAIChat(client).create(messages=HI)
    assert caught.value.code == code and to_openai_error(caught.value)["error"]["retryable"] is retryable


class ForeignError(Exception):
    """As other packages have them: a word or a method as the code, another exception as the reason."""

    def __init__(self, code: object) -> None:
        super().__init__("m")
        self.code, self.reason, self.retryable = code, OSError("why"), "maybe"


@pytest.mark.parametrize("code", ["invalid_api_key", 418, None, print])
def test_the_fields_of_a_foreign_error_are_not_read(code: object) -> None:
    body = to_openai_error(ForeignError(code))
    assert body.status == 500 and json.loads(json.dumps(body)) == {"error": {
        "message": "m", "type": "server_error", "param": None, "code": None, "retryable": False}}
