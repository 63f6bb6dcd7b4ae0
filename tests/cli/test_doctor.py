"""The laws of the doctor: what it shows is true, each failure has its next step, and no secret is shown."""
from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Callable, Tuple

import pytest

from gemini_lite.cli.doctor import _describe_proxy
from gemini_lite.cli.main import main
from gemini_lite.testing import Error, FakeGemini, Raw

SECRETS = ("made-up-google-key", "made-up-gemini-key", "made-up-token", "made-up-refresh", "made-up-password",
           "made-up-client-secret")


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sign-in, saved chat or Gemini CLI of this machine."""
    for name in ("HOME", "USERPROFILE", "GEMINI_LITE_HOME", "GEMINI_CLI_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("gemini_lite.auth.oauth_client._USUAL_FOLDERS", ())


RunDoctor = Callable[[], Tuple[int, str]]


@pytest.fixture
def run_doctor(capsys: pytest.CaptureFixture[str]) -> RunDoctor:
    """The exit code and what was printed, in which no secret or half of one may be."""
    def run() -> Tuple[int, str]:
        code = main(["doctor"])
        out, err = capsys.readouterr()
        assert err == ""
        assert not [secret for secret in SECRETS if secret[3:-3] in out], out
        return code, out
    return run


def line(out: str, name: str) -> str:
    """The text after the heading `name`."""
    return next(row[14:] for row in out.splitlines() if row[:14].strip() == name)


def test_a_key_that_works_is_code_0(fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "made-up-gemini-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    code, out = run_doctor()
    assert code == 0
    assert line(out, "backend") == "the Gemini Developer API, because GEMINI_API_KEY is set, at " + fake.url
    assert line(out, "environment").startswith("set: GEMINI_API_KEY, GEMINI_CLI_HOME, GEMINI_LITE_HOME, GOOGLE_GEM")
    assert line(out, "model") == "gemini-flash-latest, the default" and line(out, "proxy") == "none"
    assert line(out, "answer").startswith("OK: models: ")
    for word in ("gemini-lite ", sys.version.split()[0], "requests 2.", "urllib3 ", "SSL ", "0 saved in "):
        assert word in out
    assert [request.path.partition("?")[0] for request in fake.requests] == ["/v1beta/models"]


def test_nobody_signed_in_is_code_1_with_the_ways_to(run_doctor: RunDoctor) -> None:
    code, out = run_doctor()
    assert code == 1 and "FAILED: No API key was found. Set GEMINI_API_KEY" in line(out, "sign-in")


def test_two_keys_that_differ_are_reported(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    monkeypatch.setenv("GEMINI_API_KEY", "made-up-gemini-key")
    monkeypatch.setenv("GOOGLE_API_KEY", "made-up-google-key")
    code, out = run_doctor()
    assert code == 0 and "differ" in out and "because GOOGLE_API_KEY is set" in line(out, "backend")
    assert fake.requests[0].headers["x-goog-api-key"] == "made-up-google-key"


@pytest.mark.parametrize("answer, expected", [
    (Error(400, "API key not valid.", details=[{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]),
     "FAILED at the HTTP status 400: API key not valid. Check the key, or make a new one at https://"),
    (Error(403, "no"), "FAILED at the HTTP status 403: no. Check that this key"),
    (Error(503, "busy"), "FAILED at the HTTP status 503: busy. Try again later"),
    (Raw(b"<html>", headers={"Content-Type": "text/html"}), "FAILED at "),
])
def test_a_refusal_is_code_1_and_has_its_next_step(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor, answer: Any, expected: str) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "made-up-gemini-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    fake.answer("models", answer)
    code, out = run_doctor()
    assert code == 1 and line(out, "answer").startswith(expected)
    assert len(fake.requests) == 1, "it does not try again"


def refused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_the_step_that_failed_is_named(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "made-up-gemini-key")
    for url, expected in (
            (f"http://127.0.0.1:{refused_port()}", "FAILED at the connection (TCP): "),
            ("http://no-such-host.invalid", "FAILED at the name (DNS): "),
            (fake.url.replace("http:", "https:"), "FAILED at TLS: ")):
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
        code, out = run_doctor()
        assert code == 1 and line(out, "answer").startswith(expected), out
        assert "Check the network and the base URL." in out
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://example.com")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:made-up-password@127.0.0.1:{refused_port()}/x")
    code, out = run_doctor()
    assert code == 1 and line(out, "answer").startswith("FAILED at the proxy: ")
    assert line(out, "proxy").startswith("127.0.0.1:") and "HTTP_PROXY" in line(out, "environment")


def test_an_invalid_base_url_is_code_1(monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "made-up-gemini-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "https://me:made-up-password@host")
    code, out = run_doctor()
    assert code == 1 and "FAILED: base_url must hold no user name or password" in out


def test_a_model_that_is_not_there_is_code_1(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "made-up-gemini-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    for model in ("gemini-2.5-pro", "models/gemini-2.5-pro", "gemini-9"):
        monkeypatch.setenv("GEMINI_MODEL", model)
        code, out = run_doctor()
        assert code == (model == "gemini-9") and line(out, "model") == model + ", from GEMINI_MODEL"
    assert "FAILED: GEMINI_MODEL names gemini-9, which is not among them: see gemini-lite models" in out


def sign_in(folder: Path, **changes: Any) -> Path:
    path = folder / ".gemini" / "oauth_creds.json"
    path.parent.mkdir()
    saved = {"access_token": "made-up-token", "refresh_token": "made-up-refresh",
             "expiry_date": int((time.time() + 3599) * 1000), **changes}
    path.write_text(json.dumps(saved))
    path.chmod(0o600)
    return path


def test_a_sign_in_that_is_not_used_is_reported_as_unused(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor, tmp_path: Path) -> None:
    path = sign_in(tmp_path)
    code, out = run_doctor()
    assert code == 1 and str(path) in line(out, "file") and "which is not used" in line(out, "file")
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "1")
    assert "GOOGLE_GENAI_USE_GCA chooses Code Assist if it is 'true'" in run_doctor()[1]
    if os.name == "posix":
        path.chmod(0o644)
        assert f"chmod 600 {path}" in run_doctor()[1]


@pytest.mark.parametrize("changes, expected", [
    ({}, "the token holds for 59 minutes, and can be renewed"),
    ({"refresh_token": None}, "CANNOT be renewed"), ({"expiry_date": None}, "has no date of expiry"),
])
def test_a_sign_in_leads_to_code_assist_and_its_expiry_and_renewal_are_shown(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor, tmp_path: Path, changes: Any,
        expected: str) -> None:
    path = sign_in(tmp_path, **changes)
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url)
    code, out = run_doctor()
    assert code == 0 and line(out, "sign-in").startswith(str(path)) and expected in line(out, "sign-in")
    assert line(out, "backend") == "Code Assist, because GOOGLE_GENAI_USE_GCA=true, at " + fake.code_assist_url
    assert line(out, "answer").startswith("OK: models with a quota: 1") and "NOT FOUND" in line(out, "OAuth client")
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_ID", "id")
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_SECRET", "made-up-client-secret")
    assert "OAuth client" not in run_doctor()[1]


@pytest.mark.parametrize("content, expected", [
    (None, "There is no sign-in at "), ("{", "is not the JSON object"), ("{}", "neither an access_token nor")])
def test_a_sign_in_that_is_of_no_use_is_code_1(
        monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor, tmp_path: Path, content: Any, expected: str) -> None:
    monkeypatch.setattr("gemini_lite.transport.retry.sleep", lambda seconds: None)
    if content is not None:
        sign_in(tmp_path).write_text(content)
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    code, out = run_doctor()
    assert code == 1 and "FAILED: " in line(out, "sign-in") and expected in line(out, "sign-in")


def test_an_expired_sign_in_that_cannot_be_renewed_is_code_1(
        monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor, tmp_path: Path) -> None:
    sign_in(tmp_path, expiry_date=1)
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    code, out = run_doctor()
    assert code == 1 and "has expired" in out and line(out, "answer").startswith("FAILED at the sign-in: ")


def test_an_access_token_of_the_user_is_named_and_not_shown(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_ACCESS_TOKEN", "made-up-token")
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.code_assist_url)
    code, out = run_doctor()
    assert code == 0 and line(out, "sign-in") == "an access token of your own"


def test_a_missing_ca_bundle_is_reported(monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "made-up-gemini-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", f"https://127.0.0.1:{refused_port()}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    code, out = run_doctor()
    assert code == 1 and "/nowhere.pem, which is NOT THERE" in line(out, "CA bundle")
    assert line(out, "answer").startswith("FAILED at TLS: The CA bundle /nowhere.pem cannot be read")


def test_vertex_is_named_with_its_project_and_location(
        fake: FakeGemini, monkeypatch: pytest.MonkeyPatch, run_doctor: RunDoctor) -> None:
    for name, value in {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_API_KEY": "made-up-google-key",
                        "GOOGLE_VERTEX_BASE_URL": fake.url}.items():
        monkeypatch.setenv(name, value)
    code, out = run_doctor()
    assert code == 0 and line(out, "backend") == f"Vertex AI, at {fake.url}"
    assert line(out, "answer").startswith("OK: a prompt was counted: 1 tokens")
    assert "GOOGLE_GENAI_USE_VERTEXAI" in line(out, "environment")


@pytest.mark.parametrize("proxy", [
    "http://me:made-up-password@host:80/x", "me:made-up-password@host:80", "http://host:80", "host:80",
    "http://me:made-up-\u2100@host:80"])  # urlsplit refuses the last, in words that show it all
def test_a_proxy_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert _describe_proxy("https://example.com") == "host:80"
