"""The judge of the requests that our suites send: the fields that Google publishes, and no others.

Every body that reaches a `FakeGemini` is checked when its test is over: Developer API against the protocol buffers,
Vertex AI and Code Assist against the discovery document, as `gemini_lite.testing.fields` has them. A test that sends a
field of its own on purpose is marked ``foreign_fields``.
"""
from __future__ import annotations

import re
from typing import Any, Iterator, List, Optional, Tuple

import pytest

from gemini_lite.testing import FakeGemini

unknown_fields: Any
try:
    from gemini_lite.testing.fields import unknown_fields
except ImportError:  # the stand-in has no strict mode yet: nothing is judged
    unknown_fields = None

_METHOD = re.compile(r":(\w+)(?:\?|$)")
_MESSAGES = {
    "generateContent": "GenerateContentRequest", "streamGenerateContent": "GenerateContentRequest",
    "countTokens": "CountTokensRequest", "embedContent": "EmbedContentRequest",
    "batchEmbedContents": "BatchEmbedContentsRequest", "batchGenerateContent": "BatchGenerateContentRequest",
}
_CODE_ASSIST_MESSAGES = {
    "generateContent": "CodeAssistRequest", "streamGenerateContent": "CodeAssistRequest",
    "countTokens": "CodeAssistCountRequest",
}


@pytest.fixture(autouse=True)
def official_shapes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test whose requests hold a field that nobody at Google knows."""
    servers: List[FakeGemini] = []
    start = FakeGemini.start

    def recorded(self: FakeGemini) -> FakeGemini:
        servers.append(self)
        return start(self)

    monkeypatch.setattr(FakeGemini, "start", recorded)
    yield
    own_requests = request.path.parent.name != "testing"  # the stand-in's tests write theirs by hand, wrong ones too
    if own_requests and request.node.get_closest_marker("foreign_fields") is None:
        odd = [(sent.path, name) for server in servers for sent in server.requests for name in odd_fields(sent)]
        assert odd == [], "fields that Google does not publish"


def odd_fields(sent: Any) -> List[str]:
    """The fields of a request that its API does not have."""
    message, api = _message(sent.path)
    if unknown_fields is None or message is None or not isinstance(sent.body, dict):
        return []
    if message == "CodeAssistRequest" and "request" not in sent.body:  # a suite opened the envelope
        opened = {name: value for name, value in sent.body.items() if name != "model"}
        return unknown_fields(opened, "CodeAssistContentRequest", api)
    return unknown_fields(sent.body, message, api)


def _message(path: str) -> Tuple[Optional[str], str]:
    """The message that a request to `path` is, None for one that is not checked, and its API."""
    if path.endswith("/batchPredictionJobs"):
        return "BatchPredictionJob", "vertex"
    found = _METHOD.search(path)
    method = found.group(1) if found else ""
    if re.match(r"/\w+:", path):
        return _CODE_ASSIST_MESSAGES.get(method), "vertex"
    return _MESSAGES.get(method), "vertex" if "/publishers/" in path else "developer"
