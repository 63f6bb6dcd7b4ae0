"""A recording keeps what was exchanged, no secret, and plays it again."""
from __future__ import annotations

import gzip
import json
import os
import pathlib
import socket
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List

import pytest
import requests
from testing.prompts import STREAM, UNARY

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import Answer, Error, FakeGemini, Raw, Request, record
from gemini_lite.testing.recording import Recorder

Ask = Callable[..., requests.Response]
KEY = "test-key-0123456789"


def prompt(text: str = "Hello") -> Any:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


@pytest.fixture
def google(fake: FakeGemini) -> FakeGemini:
    """The server that is recorded."""
    return fake


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


# What the recorder lets nobody do

@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Host": "evil.example:80", "Origin": "http://evil.example"}, {"Host": ""},
    {"Host": "127.0.0.1.evil.example"}, {"Host": "["}, {"Origin": "https://evil.example"}, {"Origin": "null"},
    {"Origin": "http://127.0.0.1.evil.example"}, {"Origin": "http://localhost@evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
])
def test_what_another_sites_page_asks_is_neither_passed_on_nor_recorded(
        google: FakeGemini, ask: Ask, path: pathlib.Path, headers: Any) -> None:
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        for method in ("POST", "GET", "OPTIONS"):
            answer = ask(proxy, UNARY, prompt(), method=method, headers=headers)
            assert answer.status_code == 403 and "serves programs on this machine" in answer.text
    assert google.requests == [] and len(lines(path)) == 1


@pytest.mark.parametrize("headers", [
    {"Origin": "http://localhost:5173"}, {"Host": "localhost:1"}, {"Origin": "http://127.0.0.1:8000"},
    {"Origin": "http://[::1]:1", "Sec-Fetch-Site": "cross-site"},
])
def test_a_page_from_this_machine_is_served_event_by_event(
        google: FakeGemini, ask: Ask, path: pathlib.Path, headers: Any) -> None:
    google.reply("first", "second", delay=60)
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        asked = {**headers, "Access-Control-Request-Method": "POST"}
        assert "POST" in ask(proxy, STREAM, method="OPTIONS", headers=asked).headers["access-control-allow-methods"]
        with ask(proxy, STREAM, prompt(), headers=headers, stream=True) as answer:
            assert answer.headers.get("access-control-allow-origin") == headers.get("Origin")
            piece = next(answer.iter_content(None))
            assert b"first" in piece and b"second" not in piece
        google.close()    # which ends the delay
    assert [request.method for request in google.requests] == ["POST"]


@pytest.mark.parametrize("target", [
    ".evil.example/x", "@evil.example/x", "http://evil.example/x", ":1/x", "evil.example:443", "*"])
def test_no_request_leads_to_another_server(google: FakeGemini, path: pathlib.Path, target: str) -> None:
    with record(path, google.url) as recorder:
        port = int(recorder.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ") and b"a path that begins with /" in answer
    assert google.requests == [] and len(lines(path)) == 1


@pytest.mark.parametrize("target", ["//evil.example/x", "/@evil.example/x", "/\\evil.example", "/..//evil.example/x"])
def test_a_path_that_looks_like_another_server_is_a_path(
        google: FakeGemini, path: pathlib.Path, target: str) -> None:
    with record(path, google.url) as recorder:
        port = int(recorder.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            assert sock.recv(12) == b"HTTP/1.1 404"
    assert len(google.requests) == 1 and google.requests[0].headers["host"] == google.url[7:]


def test_an_upload_that_leads_to_another_server_is_refused(
        google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.answer("POST /upload/v1beta/files", Raw(b"{}", headers={"X-Goog-Upload-URL": "https://evil.example/x"}))
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        answer = ask(proxy, "/upload/v1beta/files", {"file": {}})
    assert answer.status_code == 502 and "leads away" in answer.text and len(lines(path)) == 1


def test_redirects_and_cookies_go_no_further(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.answer("GET /x", Raw(status=302, headers={"Location": "http://evil.example/", "Set-Cookie": "a=b"}))
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        answer = ask(proxy, "/x", method="GET", allow_redirects=False)
        ask(proxy, "/y", method="GET")
    assert answer.status_code == 302 and not {"location", "set-cookie"} & {name.lower() for name in answer.headers}
    assert "cookie" not in google.requests[1].headers


def test_the_key_of_a_netrc_replaces_no_programs_own(
        google: FakeGemini, ask: Ask, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = path.parent / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("NETRC", str(netrc))
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        ask(proxy, "/x", method="GET", headers={"Authorization": "Bearer own-token"})
    assert google.requests[0].headers["authorization"] == "Bearer own-token"


def test_a_key_of_the_recorder_takes_the_place_of_the_programs(
        google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    with Recorder(path, google.url, key=KEY) as recorder:
        proxy: Any = recorder
        ask(proxy, "/x", method="GET")
        ask(proxy, "/x", method="GET", headers={"X-Goog-Api-Key": "other"})
        ask(proxy, "/x?a=1&key=other&b=2", method="GET")
        ask(proxy, "/x", method="GET", headers={"Authorization": "Bearer token"})
    seen = [(request.path, request.headers.get("x-goog-api-key")) for request in google.requests]
    assert seen == [("/x", KEY), ("/x", KEY), (f"/x?a=1&key={KEY}&b=2", None), ("/x", None)]
    assert KEY not in path.read_text("utf-8") and "other" not in path.read_text("utf-8")


# What is odd

def test_an_answer_in_gzip_is_recorded_as_what_it_says(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    packed = gzip.compress(b'{"a": "b"}')
    google.answer("GET /x", Raw(packed[:9], packed[9:], headers={"Content-Encoding": "gzip"}),
                  Raw(packed[:-4], headers={"Content-Encoding": "gzip"}))
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        assert ask(proxy, "/x", method="GET", headers={"Accept-Encoding": "gzip"}).json() == {"a": "b"}
        with pytest.raises(requests.RequestException):
            ask(proxy, "/x", method="GET")
    assert [line["answer"] for line in lines(path)[1:]] == ['{"a": "b"}']


def test_half_a_surrogate_pair_and_a_number_too_large_are_passed_on_and_played(
        google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    body = b'{"contents": [{"parts": [{"text": "\\ud83d"}]}], "generationConfig": {"seed": 12345678901234567890}}'
    headers = {"Content-Type": "application/json"}
    google.reply("\ud83d")
    with record(path, google.url) as recorder:
        proxy: Any = recorder
        said = ask(proxy, UNARY, data=body, headers=headers).json()
    assert google.requests[0].body == json.loads(body)
    with FakeGemini.from_recording(path, strict=False) as fake:
        assert ask(fake, UNARY, data=body, headers=headers).json() == said


def test_many_programs_at_once_are_recorded_line_by_line(google: FakeGemini, path: pathlib.Path) -> None:
    def one(number: int) -> str:
        with GeminiClient(backend=DeveloperAPI(f"{KEY}-{number}", base_url=recorder.url)) as client:
            return client.generate(f"{number} {KEY}-{number}").text

    google.strict = True
    google._default = lambda request: request.contents[0]["parts"][0]["text"]
    with record(path, google.url) as recorder, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(64)))
    assert answers == [f"{number} {KEY}-{number}" for number in range(64)]
    assert recorder.count == 64 == len(lines(path)) - 1 and KEY not in path.read_text("utf-8")


def test_a_silent_server_does_not_hold_up_the_end(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    google.reply("first", "second", delay=60)
    recorder: Any = record(path, google.url).start()
    with ask(recorder, STREAM, prompt(), stream=True) as answer:
        assert b"first" in next(answer.iter_content(None))
        begun = time.monotonic()
        recorder.close()
        assert time.monotonic() - begun < 4
    assert len(lines(path)) == 1


def test_a_server_that_thinks_does_not_hold_up_the_end(path: pathlib.Path) -> None:
    with FakeGemini(lambda request: "late") as google, ThreadPoolExecutor(1) as program:
        google.latency = 60
        recorder: Any = record(path, google.url).start()
        asked = program.submit(requests.post, recorder.url + UNARY, json=prompt())
        while not recorder._calls:
            time.sleep(0.01)
        time.sleep(0.1)
        begun = time.monotonic()
        recorder.close()
        assert time.monotonic() - begun < 4
        assert asked.exception() is not None or asked.result().status_code == 502
        google.close()
    assert len(lines(path)) == 1


def test_what_comes_after_the_end_is_not_written(google: FakeGemini, ask: Ask, path: pathlib.Path) -> None:
    recorder = record(path, google.url).start()
    recorder.close()
    recorder.close()
    recorder._write({"too": "late"})
    assert len(lines(path)) == 1


@pytest.mark.parametrize("upstream", ["nowhere", "ftp://a", "https://", "https://user:password@a", "https://a?key=b"])
def test_an_upstream_that_is_no_server_is_refused(path: pathlib.Path, upstream: str) -> None:
    with pytest.raises(ValueError, match="is no server's URL"):
        record(path, upstream)
    assert not path.exists()


def test_a_recorder_does_not_pass_on_to_itself_and_keeps_the_old_file(path: pathlib.Path) -> None:
    path.write_text("old")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    recorder = Recorder(path, f"http://localhost:{port}")
    with pytest.raises(ValueError, match="to itself"):
        recorder.start(port)
    assert path.read_text() == "old"


def test_a_password_in_the_address_of_a_server_is_not_shown(path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="no server's URL") as caught:
        Recorder(path, "https://user:hunter2@server.example")
    assert "hunter2" not in str(caught.value)


GOOD = {"method": "GET", "path": "/v1beta/models", "request": None, "status": 200, "answer_headers": {},
        "answer": "{}"}


@pytest.mark.parametrize("content, words", [
    ('"a"\n"b"\n', "is no recording"), ("[1]\n", "is no recording"), ("\xff\n", "is no recording"),
    ("", "is no recording"),
    ('{"recording": "gemini_lite", "format": 1}\n{"method": "PO', "line 2 of .* is damaged"),
    ('{"recording": "gemini_lite", "format": 1}\n\n{"status": 200}\n', "line 3 of .* is damaged"),
])
def test_a_file_that_is_no_recording_or_damaged_is_named(tmp_path: pathlib.Path, content: str, words: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=words):
        FakeGemini.from_recording(tmp_path / "a.jsonl")


def test_a_recording_may_have_been_through_an_editor_of_windows(tmp_path: pathlib.Path) -> None:
    first = {"recording": "gemini_lite", "format": 1}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(first)}\r\n{json.dumps(GOOD)}\r\n", "utf-8-sig")
    with FakeGemini.from_recording(tmp_path / "a.jsonl") as fake:
        assert requests.get(f"{fake.url}/v1beta/models").json() == {}
