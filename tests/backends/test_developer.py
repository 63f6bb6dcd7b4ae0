"""The laws of `DeveloperAPI`: paths, envelopes, addresses and the order of keys."""
from __future__ import annotations

import logging
import re
from typing import Any, Dict, List, Optional

import pytest

import gemini_lite
from gemini_lite import CredentialsError, DeveloperAPI, GeminiClient, GeminiOptions, ParseError
from gemini_lite.testing import FakeGemini, Raw

HELLO = [{"role": "user", "parts": [{"text": "Hello"}]}]


def no_post(path: str, body: Any) -> Dict[str, Any]:
    raise AssertionError("the Developer API needs no set-up call, but asked for %s" % path)


def wrap(backend: Any, method: str, request: Dict[str, Any], options: Optional[GeminiOptions] = None) -> Any:
    return backend.wrap(method, "m", request, options or GeminiOptions(), "session", no_post)


@pytest.fixture
def api() -> DeveloperAPI:
    return DeveloperAPI("test-key")


# Paths

@pytest.mark.parametrize("method, model, path", [
    ("generateContent", "m", "/v1beta/models/m:generateContent"),
    ("streamGenerateContent", "m", "/v1beta/models/m:streamGenerateContent?alt=sse"),
    ("countTokens", "gemini-2.5-pro", "/v1beta/models/gemini-2.5-pro:countTokens"),
    ("generateContent", "tunedModels/mine", "/v1beta/tunedModels/mine:generateContent"),
    ("generateContent", "m@001", "/v1beta/models/m@001:generateContent"),
    ("generateContent", "ü m", "/v1beta/models/%C3%BC%20m:generateContent"),
    ("generateContent", "models/m", "/v1beta/models/m:generateContent"),
    ("generateContent", "models/openai/gpt-4", "/v1beta/models/openai/gpt-4:generateContent"),
    ("generateContent", "publishers/google/models/m", "/v1beta/publishers/google/models/m:generateContent"),
    ("generateContent", "m%2Fx", "/v1beta/models/m%252Fx:generateContent"),
    ("generateContent", "m:deleteModel", "/v1beta/models/m%3AdeleteModel:generateContent"),
])
def test_a_model_and_a_method_make_a_path(api: DeveloperAPI, method: str, model: str, path: str) -> None:
    assert api.path(method, model) == path


@pytest.mark.parametrize("version", ["v1", "/v1alpha/", "v9/x"])
def test_the_api_version_is_part_of_every_path(version: str) -> None:
    bare = version.strip("/")
    with FakeGemini(lambda request: "a") as fake:
        fake.models.append("m")
        with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url, api_version=version)) as client:
            if bare != "v9/x":
                client.generate("Hi", model="m")
                client.stream("Hi", model="m").response
                client.count_tokens("Hi", model="m")
                client.models()
    assert [request.path.split("?")[0] for request in fake.requests] == (
        [] if bare == "v9/x" else ["/%s/models/m:%s" % (bare, method) for method in (
            "generateContent", "streamGenerateContent", "countTokens")] + ["/%s/models" % bare])
    assert DeveloperAPI("k", api_version=version).path("x", "m") == "/%s/models/m:x" % bare


# Envelopes

@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent"])
def test_the_body_is_the_request_itself(api: DeveloperAPI, method: str) -> None:
    request = {"contents": HELLO, "generationConfig": {"temperature": 0}}
    assert wrap(api, method, request) == {"contents": HELLO, "generationConfig": {"temperature": 0}}


def test_what_is_counted_is_the_contents_alone_or_the_whole_request(api: DeveloperAPI) -> None:
    whole = {"contents": HELLO, "systemInstruction": {"parts": [{"text": "Be brief."}]}}
    before = dict(whole)
    assert wrap(api, "countTokens", {"contents": HELLO}) == {"contents": HELLO}
    assert wrap(api, "countTokens", whole) == {"generateContentRequest": {"model": "models/m", **whole}}
    assert whole == before


def test_a_model_that_is_no_models_slash_is_counted_by_its_own_name(api: DeveloperAPI) -> None:
    request = {"contents": HELLO, "tools": []}
    body = api.wrap("countTokens", "tunedModels/mine", request, GeminiOptions(), "session", no_post)
    assert body["generateContentRequest"]["model"] == "tunedModels/mine"


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "countTokens"])
def test_what_this_api_cannot_take_is_a_value_error_that_names_it(api: DeveloperAPI, method: str) -> None:
    with pytest.raises(ValueError, match="session_id"):
        wrap(api, method, {"contents": HELLO}, GeminiOptions(session_id="s"))


def test_an_event_needs_no_unwrapping(api: DeveloperAPI) -> None:
    event = {"candidates": [], "response": {"candidates": [1]}}
    assert api.unwrap(event) is event


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "countTokens", ""])
def test_headers_say_who_sends_and_hold_no_key(api: DeveloperAPI, method: str) -> None:
    headers = dict(api.headers(method, "m"))
    assert headers["Content-Type"] == "application/json"
    for name in ("User-Agent", "x-goog-api-client"):
        assert headers[name].startswith("gemini-lite/%s " % gemini_lite.__version__) and "gl-python/" in headers[name]
    assert "test-key" not in str(headers)


# The list of models

def test_all_pages_of_models_are_read(fake: FakeGemini) -> None:
    fake.answer("models", {"models": [{"name": "models/a"}], "nextPageToken": "t&/=ü"},
                {"nextPageToken": "empty page"}, {"models": [{"name": "models/b"}, {"name": "models/c"}]})
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        assert [model["name"] for model in client.models()] == ["models/a", "models/b", "models/c"]
    assert [request.query.get("pageToken") for request in fake.requests] == [None, "t&/=ü", "empty page"]
    assert {(request.method, request.body) for request in fake.requests} == {("GET", b"")}


def test_a_list_without_models_is_empty(fake: FakeGemini) -> None:
    fake.answer("models", {})
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        assert client.models() == []


@pytest.mark.parametrize("pages", [
    [{"models": [{"name": "models/a"}, 5, None], "nextPageToken": "x"},
     {"models": [{"name": "models/b"}], "nextPageToken": ""}],
    [{"models": [{"name": "models/a"}, {"name": "models/b"}], "nextPageToken": 5}],
    [{"models": {"name": "models/z"}, "nextPageToken": "x"}, {"models": [{"name": "models/a"}, {"name": "models/b"}]}],
])
def test_a_list_of_another_shape_ends(fake: FakeGemini, pages: List[Dict[str, Any]]) -> None:
    fake.answer("models", *pages)
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        assert [model["name"] for model in client.models()] == ["models/a", "models/b"]


@pytest.mark.parametrize("tokens", [["a", "a"], ["a", "b", "a"], ["a", "b", "b"]])
def test_a_list_that_would_never_end_is_an_error_and_not_a_shorter_list(fake: FakeGemini, tokens: List[str]) -> None:
    fake.answer("models", *[{"models": [{"name": "models/a"}], "nextPageToken": token} for token in tokens])
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        with pytest.raises(ParseError) as caught:
            client.models()
    assert caught.value.reason == "REPEATED_PAGE" and len(fake.requests) == len(tokens)


def test_a_page_token_that_is_no_text_is_sent_all_the_same(fake: FakeGemini) -> None:
    pages = iter([rb'{"nextPageToken": "\ud800"}', b'{"models": [{"name": "models/a"}]}'])
    fake.services.append(lambda request: Raw(next(pages)))
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        assert [model["name"] for model in client.models()] == ["models/a"]


def test_this_api_tells_no_quota_and_says_who_does(fake: FakeGemini) -> None:
    with GeminiClient(backend=DeveloperAPI("test-key", base_url=fake.url)) as client:
        with pytest.raises(ValueError, match="Code Assist"):
            client.quota()
    assert fake.requests == []


# Addresses

def test_the_address_is_googles_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert DeveloperAPI("k").endpoints == ("https://generativelanguage.googleapis.com",)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "")
    assert DeveloperAPI("k").endpoints == ("https://generativelanguage.googleapis.com",)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://gateway:8080/gemini/")
    assert DeveloperAPI("k").endpoints == ("http://gateway:8080/gemini",)
    assert DeveloperAPI("k", base_url="https://other/").endpoints == ("https://other",)


@pytest.mark.parametrize("url", [
    "generativelanguage.googleapis.com", "localhost:8080", "ftp://host", "https://", "http:///path", "https://host?x=1",
    "https://host/#top", "https://host/#", "https://host?", "https://host/path/?",
    "file:///etc/passwd", "http://[::1", " ", "https://host:port", "http://host:99999",
])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_what_is_no_address_is_a_value_error_before_any_network(
        monkeypatch: pytest.MonkeyPatch, url: str, how: str) -> None:
    with pytest.raises(ValueError):
        if how == "argument":
            DeveloperAPI("k", base_url=url)
        else:
            monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
            DeveloperAPI("k")


@pytest.mark.parametrize("url", [
    "https://user:hunter2@host", "https://hunter2@host/path", "http://:hunter2@host", "https://user:hunter2@host/?x=1",
    "ftp://user:hunter2@host", "https://user:hunter2@", "https://user:hunter2@host:port", "user:hunter2@host",
])
def test_a_user_name_in_an_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        DeveloperAPI("k", base_url=url)
    assert "hunter2" not in str(caught.value)


# Keys

def key_of(backend: DeveloperAPI) -> str:
    class Request:
        headers: Dict[str, str] = {}

    return str(backend.auth(Request()).headers["x-goog-api-key"])  # type: ignore[arg-type]


@pytest.mark.parametrize("google, gemini, used", [
    ("from-google", None, "from-google"), (None, "from-gemini", "from-gemini"),
    ("from-google", "from-gemini", "from-google"), ("", "from-gemini", "from-gemini"), ("same", "same", "same"),
])
def test_google_api_key_goes_before_gemini_api_key(
        monkeypatch: pytest.MonkeyPatch, google: Optional[str], gemini: Optional[str], used: str) -> None:
    for name, value in (("GOOGLE_API_KEY", google), ("GEMINI_API_KEY", gemini)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert key_of(DeveloperAPI()) == used
    assert key_of(DeveloperAPI("argument")) == "argument"


@pytest.mark.parametrize("google, gemini, lines", [
    ("from-google", "from-gemini", 1), ("same", "same", 0), ("from-google", None, 0), ("from-google", "", 0)])
def test_one_line_is_logged_when_both_keys_are_set_and_differ(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, google: str, gemini: Optional[str],
        lines: int) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GOOGLE_API_KEY", google)
    if gemini is not None:
        monkeypatch.setenv("GEMINI_API_KEY", gemini)
    DeveloperAPI()
    ours: List[str] = [record.getMessage() for record in caplog.records if record.name == "gemini_lite"]
    assert len(ours) == lines and "from-" not in caplog.text
    assert not lines or "GOOGLE_API_KEY" in ours[0] and "GEMINI_API_KEY" in ours[0]


@pytest.mark.parametrize("keys", [{}, {"GOOGLE_API_KEY": "", "GEMINI_API_KEY": ""}])
def test_without_a_key_the_error_names_every_way_to_sign_in(
        monkeypatch: pytest.MonkeyPatch, keys: Dict[str, str]) -> None:
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsError) as caught:
        DeveloperAPI()
    for way in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "api_key=", "credentials_path=", "GOOGLE_GENAI_USE_GCA",
                "https://aistudio.google.com/apikey", "--demo"):
        assert way in str(caught.value)


@pytest.mark.parametrize("key", [" the-key", "the-key\n", "\t the-key\r\n", "\u00a0the-key\u2003"])
def test_white_space_around_a_key_is_stripped(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    assert key_of(DeveloperAPI(key)) == "the-key"
    monkeypatch.setenv("GEMINI_API_KEY", key)
    assert key_of(DeveloperAPI()) == "the-key"


@pytest.mark.parametrize("key", ["AIzaSyA", "AQ.Ab8", "sk-proj-1", "x", "no_prefix/at+all="])
def test_the_prefix_of_a_key_is_not_judged(key: str) -> None:
    assert key_of(DeveloperAPI(key)) == key


@pytest.mark.parametrize("key", [
    "hunter2\nX-Evil: 1", "hunter2\r\nsecond", "hun\0ter2hunter2", "hunter2\x7fhunter2", "hunter2 hunter2",
    "hunter2\u2028x", "hunter2ü", "hunter2…", "hunter2\ud800", "hunter2\x85x",
])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(
        monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        DeveloperAPI(key)
    assert not re.search("hun|ter2", str(caught.value) + repr(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("key", ["", "  ", "\n", 5, b"bytes", ["key"]])
def test_a_key_that_is_none_at_all_is_refused_whatever_the_environment_holds(
        monkeypatch: pytest.MonkeyPatch, key: Any) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "valid")
    with pytest.raises(CredentialsError, match="key"):
        DeveloperAPI(key)
