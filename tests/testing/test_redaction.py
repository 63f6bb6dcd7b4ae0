"""No key, token, project or upload address stays in a recording, in whatever form it came."""
from __future__ import annotations

import base64
import json
import random
import re
import string
import urllib.parse
from typing import Any, Dict

import pytest

from gemini_lite.testing import Request
from gemini_lite.testing.redaction import Redaction, hashed
from gemini_lite.testing.request import SECRET_FIELDS

KEY = "AQ.Ab8+key/with=signs~\"and\\more"
PROJECT = "secret-project-77"


def redaction(headers: Any = None, path: str = "/v1beta/models", body: Any = None, texts: bool = False) -> Redaction:
    """One that has seen a request with these; by default, with the key in its header."""
    made = Redaction(texts)
    made.learn(Request("POST", path, {"x-goog-api-key": KEY} if headers is None else headers, body, 1))
    return made


def leaks(text: str, secret: str = KEY) -> bool:
    """Whether `text` has the secret in it, also when it is read as a URL or as base64 from any of its characters."""
    plain = [text, urllib.parse.unquote(text), *(decoded(text[start:]).decode("latin-1") for start in range(4))]
    return any(secret in each for each in plain)


def decoded(text: str) -> bytes:
    """Base64 of either alphabet, as far as there is any."""
    data = re.sub("[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
    return base64.b64decode(data[:len(data) // 4 * 4])


@pytest.mark.parametrize("write", [
    lambda key: key, lambda key: json.dumps(key), lambda key: urllib.parse.quote(key, safe=""),
    lambda key: re.sub("%..", lambda code: code.group().lower(), urllib.parse.quote(key, safe="")),
    lambda key: f"x{key}x",
])
def test_a_key_is_found_in_every_form(write: Any) -> None:
    text = f"before {write(KEY)} after"
    clean = redaction().text(text)
    assert clean.startswith("before ") and clean.endswith(" after") and "REDACTED_KEY" in clean
    assert not leaks(clean)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", range(7))
def test_a_key_is_found_inside_of_base64(encode: Any, before: int) -> None:
    data = encode(b"GEMINI"[:before] + KEY.encode() + b"\n" * 5).decode()
    assert leaks(data)
    clean = redaction().text(data)
    assert not leaks(clean) and not leaks(clean, KEY[2:12])


def test_random_keys_are_found_between_random_bytes() -> None:
    source = random.Random(7)
    for _ in range(200):
        key = "".join(source.choices(string.ascii_letters + string.digits + "-_./+=", k=source.randint(6, 60)))
        around = [bytes(source.choices(range(256), k=source.randint(0, 9))) for _ in range(2)]
        made = redaction({"authorization": f"Bearer {key}"})
        data = around[0] + key.encode() + around[1]
        assert key.encode() not in made.data(data)
        assert not leaks(made.text(base64.b64encode(data).decode()), key)


@pytest.mark.parametrize("headers, path", [
    ({"x-goog-api-key": KEY}, "/x"), ({"authorization": f"Bearer {KEY}"}, "/x"),
    ({}, "/x?key=" + urllib.parse.quote(KEY, safe="")), ({}, "/x?a=1&access_token=" + urllib.parse.quote(KEY)),
])
def test_a_key_is_learnt_wherever_a_request_carries_it(headers: Dict[str, str], path: str) -> None:
    made = redaction(headers, path)
    assert made.text(f"a {KEY} b") == "a REDACTED_KEY b"
    assert not leaks(made.path(path))
    assert not leaks(made.path("/models/%41?q=" + "".join(f"%{ord(letter):02x}" for letter in KEY)))


def test_a_key_of_the_environment_is_known_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_API_KEY", "another-key")
    assert Redaction().text(f"{KEY} another-key") == "REDACTED_KEY REDACTED_KEY"


def test_keys_in_googles_form_are_replaced_whoever_they_belong_to() -> None:
    assert Redaction().text(f"AIza{'x' * 35} ya29.a0-b_c AIza") == "REDACTED_KEY REDACTED_KEY AIza"


@pytest.mark.parametrize("sent", [
    {"headers": {"x-goog-user-project": PROJECT}}, {"headers": {}, "body": {"project": PROJECT}},
    {"headers": {}, "body": {"cloudaicompanionProject": PROJECT}},
    {"headers": {}, "path": f"/v1/projects/{PROJECT}/locations/global/publishers/google/models/m:generateContent"},
    {"headers": {}, "path": f"/v1/projects/{PROJECT}"}, {"headers": {}, "path": f"/v1%2Fprojects%2F{PROJECT}?a=b"},
])
def test_a_project_is_learnt_from_a_request(sent: Any) -> None:
    assert redaction(**sent).text(f"in {PROJECT}, {PROJECT}-2") == f"in REDACTED_PROJECT, {PROJECT}-2"


@pytest.mark.parametrize("value", [
    {"response": {"cloudaicompanionProject": {"id": PROJECT, "name": PROJECT}}}, {"project": PROJECT},
    {"consumer": f"projects/{PROJECT}"}, {"uri": f"https://console/overview?project={PROJECT}"},
])
def test_a_project_in_an_answer_is_replaced_there_and_from_then_on(value: Any) -> None:
    made = redaction()
    assert PROJECT not in json.dumps(made.value(value))
    if "consumer" not in value and "uri" not in value:
        assert made.text(PROJECT) == "REDACTED_PROJECT"


@pytest.mark.parametrize("value", [
    {"parameters": {"type": "object", "properties": {"project": {"type": "string"}, "api_key": {"type": "string"}}}},
    {"functionCall": {"name": "f", "args": {"project": "Apollo", "api_key": "none"}}},
    {"text": "in project management, for project 7"},
])
def test_what_only_looks_like_a_secret_stays(value: Any) -> None:
    assert redaction().value(value) == value


@pytest.mark.parametrize("field", [
    *SECRET_FIELDS, "accessToken", "apiKey", "apiKeyString", "clientSecret", "idToken", "refreshToken", "subjectToken"])
def test_a_secret_is_replaced_however_its_field_is_spelled(field: str) -> None:
    assert redaction().value({"a": [{field: "issued-token"}]}) == {"a": [{field: "REDACTED_KEY"}]}


def test_a_token_that_was_issued_is_replaced_wherever_it_is_used() -> None:
    made = redaction()
    assert made.value({"access_token": "issued-token"}) == {"access_token": "REDACTED_KEY"}
    assert made.text("Bearer issued-token") == "Bearer REDACTED_KEY"


@pytest.mark.parametrize("texts", [False, True])
def test_an_error_that_ends_a_stream_is_looked_at_too(texts: bool) -> None:
    events = f'data: {{"text": "a"}}\r\n\r\n{{"error": {{"code": 400, "message": "bad {KEY[:5]}"}}}}\r\n'
    made = redaction({"x-goog-api-key": KEY[:5] + "2345"}, texts=texts)
    made.learn_key(f"bad {KEY[:5]}")
    clean = made.body("text/event-stream", events)
    assert "bad" not in clean and json.loads(clean.split("\r\n\r\n")[1])["error"]["code"] == 400


@pytest.mark.parametrize("texts", [False, True])
def test_the_end_of_a_stream_and_its_space_are_kept(texts: bool) -> None:
    events = 'event: step.delta\nid: ev_1\ndata: {"code": 1}\n\n: ping\n\ndata: [DONE]\n\n'
    assert redaction(texts=texts).body("text/event-stream", events) == events


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": 1', '{"a": NaN}', "", '"\\ud800"', '{"a": "x", "a": "y"}'])
def test_odd_answers_are_no_trouble(text: str) -> None:
    assert redaction().body("application/json", text) == text
    redaction(texts=True).body("application/json", text)


def test_hashes_hide_the_texts_and_keep_the_shape() -> None:
    value = {
        "role": "model", "sizeBytes": "3", "createTime": "2026-11-21T00:00:00Z", "executableCode": {"code": "secret"},
        "functionCall": {"name": "f", "args": {"name": "secret", "list": [{"type": "secret"}], "n": 1}},
        "functionResponse": {"name": "f", "response": {"status": "secret"}}, "response": {"finishReason": "STOP"}}
    made = redaction(texts=True)
    clean: Any = made.value(value)
    assert "secret" not in json.dumps(clean)
    assert [clean["role"], clean["sizeBytes"], clean["createTime"], clean["functionCall"]["name"],
            clean["response"]["finishReason"]] == ["model", "3", "2026-11-21T00:00:00Z", "f", "STOP"]
    assert made.value(clean) == clean and hashed(hashed("a")) == hashed("a") != hashed("b")
