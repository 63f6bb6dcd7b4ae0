"""A recording keeps what was exchanged, no secret, and plays it again."""
from __future__ import annotations

import json
import os
import pathlib
import stat
from typing import Any, Callable, Iterator, List

import pytest
import requests

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import Answer, Error, FakeGemini, Raw, Request, record

Ask = Callable[..., requests.Response]
KEY = "test-key-0123456789"
MODEL = "/v1beta/models/gemini-2.5-flash"
UNARY = f"{MODEL}:generateContent"
STREAM = f"{MODEL}:streamGenerateContent?alt=sse"


def prompt(text: str = "Hello") -> Any:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


@pytest.fixture
def google() -> Iterator[FakeGemini]:
    """The server that is recorded."""
    with FakeGemini(strict=False) as fake:
        yield fake


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "session.jsonl"


def lines(path: pathlib.Path) -> List[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_what_our_client_got_it_gets_again_from_the_recording(google: FakeGemini, path: pathlib.Path) -> None:
    def conversation(url: str, key: str) -> List[object]:
        with GeminiClient(backend=DeveloperAPI(key, base_url=url), retries=0, model="gemini-2.5-flash") as client:
            chunks = [chunk.text_delta for chunk in client.stream("a")]
            return [chunks, client.send_message("b").text, client.send_message("c").data, client.count_tokens("d")]

    google.reply("Hel", "lö", "")
    google.reply("two")
    google.reply("three", groundingMetadata={"x": 1})
    with record(path, google.url) as recorder:
        recorded = conversation(recorder.url, KEY)
    with FakeGemini.from_recording(path) as fake:
        assert conversation(fake.url, "another-key-9876") == recorded
    assert len(lines(path)) == 5


def test_the_file_is_for_its_owner_and_its_first_line_says_what_is_kept(
        google: FakeGemini, path: pathlib.Path) -> None:
    path.write_text("old")
    path.chmod(0o644)
    with record(path, google.url):
        pass
    assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert lines(path)[0]["texts"] == "kept" and "Prompts and answers are kept" in lines(path)[0]["note"]


def test_no_key_token_or_project_is_kept_wherever_it_stands(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    token, project = "ya29.token-abc/def", "secret-project-77"
    place = f"/v1/projects/{project}/locations/l/publishers/google/models/m:generateContent"
    google.reply(f"your key is {KEY}, your token {token}")
    google.error(403, f"projects/{project} may not; project_number:123456789", details=[
        {"metadata": {"consumer": f"projects/{project}"}}])
    google.answer("token", {"access_token": "issued-token-1", "expires_in": 1})
    google.answer("loadCodeAssist", {"cloudaicompanionProject": project})
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        ask(proxy, f"{UNARY}?key={KEY}", prompt(f"{KEY} {token}"), headers={"Authorization": f"Bearer {token}"})
        ask(proxy, place, prompt(), headers={"X-Goog-Api-Key": KEY, "X-Custom": "private"})
        ask(proxy, "/token", data={"refresh_token": "old-token-1", "client_secret": "client-secret-1"})
        ask(proxy, "/v1internal:loadCodeAssist", {"cloudaicompanionProject": project})
    text = path.read_text("utf-8")
    for secret in (KEY, token, project, "issued-token-1", "old-token-1", "client-secret-1", "123456789", "private"):
        assert secret not in text
    assert len(lines(path)) == 5 and google.requests[0].headers["authorization"] == f"Bearer {token}"


def test_texts_can_be_hashed_and_still_be_played(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.reply("my answer", {"functionCall": {"name": "f", "args": {"city": "Ulm"}}})
    google.reply("other")
    with record(path, google.url, redact_text=True) as recorder:
        proxy: Any = recorder
        ask(proxy, STREAM, prompt("my prompt"))
        ask(proxy, UNARY, prompt("my other prompt"))
    text = path.read_text("utf-8")
    assert not any(word in text for word in ("my answer", "my prompt", "Ulm", "other"))
    assert lines(path)[0]["texts"] == "hashed"
    with FakeGemini.from_recording(path, strict=False) as fake:
        parts = ask(fake, UNARY, prompt("my other prompt")).json()["candidates"][0]["content"]["parts"]
        assert parts[0]["text"].startswith("sha256:")
        assert ask(fake, UNARY, prompt("never sent")).status_code == 404


def test_an_upload_is_recorded_through_the_recorders_own_address(
        google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    def serve(request: Request) -> "Answer | None":
        if request.bare_path == "/upload/v1beta/files":
            return Raw(b"{}", headers={"X-Goog-Upload-URL": f"{google.url}/secret-session", "Content-Length": "2",
                                       "X-Goog-Upload-Status": "active"})
        return Raw(b'{"file": {}}', headers={"Content-Type": "application/json"}) \
            if request.bare_path == "/secret-session" else None

    def upload(server: Any) -> Any:
        start = ask(server, "/upload/v1beta/files", {"file": {}}, headers={"X-Goog-Upload-Command": "start"})
        session = start.headers["x-goog-upload-url"]
        assert session.startswith(server.url)
        return ask(server, session[len(server.url):], data=b"\x00\xff").json()

    google.services.append(serve)
    with record(path, google.url) as recorder:
        assert upload(recorder) == {"file": {}}
    assert "secret-session" not in path.read_text("utf-8")
    with FakeGemini.from_recording(path) as fake:
        assert upload(fake) == {"file": {}}


def test_equal_requests_get_their_answers_in_order_and_then_the_last(
        google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.answer("GET /v1beta/files/a", {"state": "PROCESSING"}, {"state": "ACTIVE"})
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        for _ in range(2):
            ask(proxy, "/v1beta/files/a", method="GET")
    with FakeGemini.from_recording(path) as fake:
        states = [ask(fake, "/v1beta/files/a", method="GET").json()["state"] for _ in range(4)]
    assert states == ["PROCESSING", "ACTIVE", "ACTIVE", "ACTIVE"]


def test_a_request_that_was_not_recorded_is_told_where_it_differs(
        google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.reply("a")
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        ask(proxy, UNARY, {**prompt(), "generation_config": {"top_k": 1}})
    with FakeGemini.from_recording(path, strict=False) as fake:
        assert ask(fake, UNARY, {**prompt(), "generationConfig": {"topK": 1}}).status_code == 200
        message = ask(fake, UNARY, {**prompt(), "generationConfig": {"topK": 2}}).json()["error"]["message"]
        assert "differ at generationConfig.topK" in message
        assert "nothing was recorded" in ask(fake, STREAM, prompt()).json()["error"]["message"]
        assert ask(fake, "/v1beta/models", method="GET").status_code == 200


def test_a_server_that_cannot_be_reached_is_a_502_that_says_so(ask: Ask, path: pathlib.Path) -> None:
    with FakeGemini() as gone:
        pass
    with record(path, gone.url) as recorder:
        proxy: Any = recorder
        assert "cannot reach" in ask(proxy, UNARY, prompt()).json()["error"]["message"]
    assert len(lines(path)) == 1


def test_a_cut_answer_is_cut_for_the_client_and_not_recorded(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.reply("a", "b", cut=True)
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        with pytest.raises(requests.RequestException):
            ask(proxy, STREAM, prompt())
    assert len(lines(path)) == 1


def test_errors_are_recorded_with_their_status(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.answer(f"POST {UNARY}", Error(429, "slow", headers={"Retry-After": "7", "X-Other": "x"}))
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        ask(proxy, UNARY, prompt())
    with FakeGemini.from_recording(path, strict=False) as fake:
        answer = ask(fake, UNARY, prompt())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7") and "x-other" not in answer.headers


@pytest.mark.parametrize("text", ["", "{}\n", '{"recording": "gemini_lite", "format": 99}\n'])
def test_what_is_no_recording_is_refused(path: pathlib.Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ValueError, match="session.jsonl"):
        FakeGemini.from_recording(path)
