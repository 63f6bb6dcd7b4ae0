"""Secrets in what sentry-sdk sends with its defaults, which walks mappings and sequences in the frames' locals."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from gemini_lite import CodeAssist, DeveloperAPI, GeminiClient, GeminiError, OAuthCredentials
from gemini_lite.cli import main as cli
from gemini_lite.testing import Error, FakeGemini, Raw

sentry_sdk = pytest.importorskip("sentry_sdk")
KEY, ACCESS, REFRESH, CLIENT_SECRET = SECRETS = [
    f"planted-{name}-{'q8' * 7}" for name in ("key", "access", "refresh", "client-secret")]


@pytest.fixture
def sent() -> Iterator[List[str]]:
    """What sentry-sdk would send, as text."""
    found: List[str] = []

    class Transport(sentry_sdk.transport.Transport):  # type: ignore[name-defined,misc]
        def capture_envelope(self, envelope: Any) -> None:
            found.extend(item.get_bytes().decode("utf-8") for item in envelope.items)

    sentry_sdk.init(dsn="https://a@127.0.0.1/1", transport=Transport)
    yield found
    sentry_sdk.init()  # sends nothing any more


def capture(error: BaseException, sent: List[str]) -> None:
    sentry_sdk.capture_exception(error)
    text = "\n".join(sent)
    assert "gemini_lite" in text and '"vars"' in text, "the frames with their locals were in it"
    for secret in SECRETS:
        place = text.find(secret)
        assert place < 0, f"sent: ...{text[max(0, place - 300):place + 40]}..."


ANSWERS: Dict[str, Any] = {
    "error": Error(400, "no"), "unauthorized": Error(401, "no"), "cut": Raw(b'{"x"', cut=True), "html": Raw(b"<html>"),
    "odd": Raw(b'{"candidates": 5}'),
}


@pytest.mark.filterwarnings("default")  # sentry's own
@pytest.mark.parametrize("name", sorted(ANSWERS))
@pytest.mark.parametrize("streamed", [False, True])
def test_a_failed_call_with_a_key_is_reported_without_it(sent: List[str], name: str, streamed: bool) -> None:
    with FakeGemini(lambda request: ANSWERS[name]) as fake:
        client = GeminiClient(backend=DeveloperAPI(KEY, base_url=fake.url), retries=0)
        try:
            (client.stream("Hi").response if streamed else client.generate("Hi")).parsed
            raise GeminiError("an odd answer is no failure")
        except GeminiError as error:
            try:
                client.generate("Hi", model="../x")
            except (GeminiError, ValueError) as refused:
                sentry_sdk.capture_exception(refused)
            capture(error, sent) if "odd" != name else None
        client.close()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("answer", [
    Raw(b'{"error": "invalid_grant"}', status=400), Raw(b"x", status=500), Raw(b'{"access_token": "a b"}'),
    Raw(b'{"access_to', cut=True),
])
def test_a_refused_sign_in_is_reported_without_its_tokens(sent: List[str], tmp_path: Path, answer: Raw) -> None:
    path = tmp_path / "oauth_creds.json"
    path.write_text(json.dumps({"access_token": ACCESS, "refresh_token": REFRESH, "expiry_date": 1}))
    with FakeGemini(lambda request: answer) as fake:
        credentials = OAuthCredentials(path, client_id="planted-id", client_secret=CLIENT_SECRET,
                                       token_uri=fake.token_url)
        client = GeminiClient(backend=CodeAssist(credentials, endpoints=[fake.url]), retries=0)
        with pytest.raises(GeminiError) as caught:
            client.generate("Hi")
        client.close()
    capture(caught.value, sent)


@pytest.mark.filterwarnings("default")
def test_a_crash_inside_the_command_line_is_reported_without_the_key(
        sent: List[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def crash(*args: Any, **more: Any) -> None:
        raise RuntimeError("crash")

    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr("gemini_lite.cli.printer.Printer.print_stream", crash)
    with FakeGemini(lambda request: "a") as fake, pytest.raises(RuntimeError) as caught:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        cli.main(["Hi"])
    capture(caught.value, sent)
