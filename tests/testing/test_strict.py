"""Strict mode refuses what Google refuses, and takes what Google takes."""
from __future__ import annotations

from typing import Any, Callable, Iterator, List

import pytest
import requests
from testing.prompts import MODEL, UNARY, VERTEX

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import FakeGemini, call

Ask = Callable[..., requests.Response]
GEMINI_3 = "/v1beta/models/gemini-3-pro-preview:generateContent"
HELLO = {"role": "user", "parts": [{"text": "Hello"}]}
CALL = {"role": "model", "parts": [call("f", {}), call("g", {})]}
SIGNED_CALL = {"role": "model", "parts": [call("f", {}, signature="c2ln"), call("g", {})]}


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeGemini(lambda request: "ok", strict=True) as fake:
        yield fake


def results(*names: str) -> Any:
    return {"role": "user", "parts": [{"functionResponse": {"name": name, "response": {}}} for name in names]}


def refusal(ask: Ask, fake: FakeGemini, path: str, body: Any = None, **options: Any) -> Any:
    """The error that a request gets; {} if it is answered."""
    return ask(fake, path, body, **options).json().get("error", {})


def test_what_our_client_sends_passes(fake: FakeGemini) -> None:
    def weather(city: str) -> str:
        """The weather."""
        return "fine"

    with GeminiClient(backend=DeveloperAPI("k", base_url=fake.url), model="gemini-2.5-flash", thinking_level="low",
                      system_prompt="s", temperature=0, tools=[weather]) as client:
        assert client.send_message("a").text == client.send_message("b").text == "ok"
        assert client.count_tokens("c")


@pytest.mark.parametrize("sent", [b"{broken", b"", b'["a"]', b'{"contents": [}', b"5"])
def test_what_is_no_json_object_is_refused(fake: FakeGemini, ask: Ask, sent: bytes) -> None:
    error = refusal(ask, fake, UNARY, data=sent, headers={"Content-Type": "application/json"})
    assert error["status"] == "INVALID_ARGUMENT"
    words = "Invalid JSON payload received." if sent else "* GenerateContentRequest.contents"
    assert error["message"].startswith(words)


def test_an_unknown_field_is_refused_with_its_place(fake: FakeGemini, ask: Ask) -> None:
    error = refusal(ask, fake, UNARY, {"contents": [HELLO], "generationConfig": {"topQ": 1}, "model_name": "x"})
    first = "Invalid JSON payload received. Unknown name \"topQ\" at 'generation_config': Cannot find field."
    second = 'Invalid JSON payload received. Unknown name "model_name": Cannot find field.'
    assert error["message"] == f"{first}\n{second}"
    assert error["details"] == [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
        {"field": "generation_config", "description": first}, {"description": second}]}]


@pytest.mark.parametrize("path, body", [
    ("/v1internal:generateContent", {"model": "gemini-2.5-pro", "request": {"contents": [HELLO], "topQ": 1}}),
    (f"{MODEL}:countTokens", {"contents": [HELLO], "topQ": 1}),
    ("/v1beta/cachedContents", {"model": "m", "topQ": 1}),
    (f"{MODEL}:batchGenerateContent",
     {"batch": {"inputConfig": {"requests": {"requests": [{"request": {"topQ": 1}}]}}}}),
    (VERTEX, {"contents": [HELLO], "topQ": 1}),
])
def test_every_api_and_method_has_its_fields_checked(fake: FakeGemini, ask: Ask, path: str, body: Any) -> None:
    assert 'Unknown name "topQ"' in refusal(ask, fake, path, body)["message"]


@pytest.mark.parametrize("path, words", [
    ("/v1beta/models/nope:generateContent",
     "models/nope is not found for API version v1beta, or is not supported for generateContent."),
    ("/v1/models/nope:countTokens",
     "models/nope is not found for API version v1, or is not supported for countTokens."),
    ("/v1beta/models/gemini-embedding-001:generateContent", "is not supported for generateContent."),
    (f"{MODEL}:embedContent", "is not supported for embedContent."),
    (VERTEX.replace("gemini-2.5-flash", "nope"),
     "Publisher Model `projects/p/locations/l/publishers/google/models/nope`"),
])
def test_a_model_that_is_not_there_is_a_404(fake: FakeGemini, ask: Ask, path: str, words: str) -> None:
    error = refusal(ask, fake, path, {"content" if "embed" in path.rpartition(":")[2] else "contents": [HELLO]})
    assert error["code"] == 404 and words in error["message"]


@pytest.mark.parametrize("added", ["nope", "n*"])
def test_models_can_be_added_by_name_or_with_a_star(fake: FakeGemini, ask: Ask, added: str) -> None:
    fake.models.append(added)
    assert refusal(ask, fake, "/v1beta/models/nope:generateContent", {"contents": [HELLO]}) == {}
    listed = ask(fake, "/v1beta/models", method="GET").json()["models"]
    assert [model for model in listed if "*" in model["name"]] == []


@pytest.mark.parametrize("contents, words", [
    ([], "contents is not specified"),
    ([HELLO, {"role": "model", "parts": []}], "contents[1].parts: contents.parts must not be empty."),
    ([{"role": "user", "parts": [{}]}], "contents[0].parts[0].data: required oneof field 'data'"),
    ([{"role": "assistant", "parts": [{"text": "a"}]}], "Please use a valid role: user, model."),
    ([HELLO, CALL, results("f")], "number of function response parts is equal to the number of function call parts"),
    ([HELLO, CALL], "number of function response parts is equal"),
    ([HELLO, CALL, results("f", "g", "h")], "number of function response parts is equal"),
    ([CALL, results("f", "g")], "function call turn comes immediately after a user turn"),
    ([HELLO, results("f")], "function response turn comes immediately after a function call turn."),
])
def test_contents_that_google_refuses_are_refused(fake: FakeGemini, ask: Ask, contents: Any, words: str) -> None:
    assert words in refusal(ask, fake, UNARY, {"contents": contents})["message"]


@pytest.mark.parametrize("contents", [
    [{"parts": [{"text": ""}]}],
    [HELLO, HELLO],
    [HELLO, {"role": "model", "parts": [{"text": "a"}]}],
    [HELLO, CALL, results("f", "g")],
    [HELLO, CALL, results("f"), results("g"), HELLO],
    [HELLO, {"role": "model", "parts": [call("f", {}), {"functionResponse": {"name": "f", "response": {}}}]}, HELLO],
    [HELLO, CALL, HELLO],
    HELLO,
])
def test_contents_that_google_takes_are_taken(fake: FakeGemini, ask: Ask, contents: Any) -> None:
    assert refusal(ask, fake, UNARY, {"contents": contents}) == {}


def test_vertex_has_its_own_words_for_missing_contents(fake: FakeGemini, ask: Ask) -> None:
    assert "at least one contents field is required" in refusal(ask, fake, VERTEX, {"contents": []})["message"]


@pytest.mark.parametrize("contents, refused", [
    ([HELLO, CALL, results("f", "g")], True),
    ([HELLO, SIGNED_CALL, results("f", "g")], False),
    ([HELLO, SIGNED_CALL, results("f", "g"), CALL, results("f", "g")], True),
    ([HELLO, CALL, results("f", "g"), {"role": "model", "parts": [{"text": "a"}]}, HELLO], False),
])
def test_gemini_3_wants_the_first_call_of_each_step_signed_since_the_last_prompt(
        fake: FakeGemini, ask: Ask, contents: Any, refused: bool) -> None:
    error = refusal(ask, fake, GEMINI_3, {"contents": contents})
    assert bool(error) == refused
    assert not refused or "missing a thought_signature" in error["message"] and "`default_api:f`" in error["message"]


def test_calls_that_the_user_passed_over_are_refused_by_gemini_3_alone(fake: FakeGemini, ask: Ask) -> None:
    contents = [HELLO, SIGNED_CALL, HELLO]
    assert refusal(ask, fake, UNARY, {"contents": contents}) == {}
    assert "function response parts" in refusal(ask, fake, GEMINI_3, {"contents": contents})["message"]


@pytest.mark.parametrize("count, words", [(100, ""), (101, "at most 100 requests can be in one batch"),
                                          (0, "requests is not specified")])
def test_embeddings_are_a_hundred_at_most(fake: FakeGemini, ask: Ask, count: int, words: str) -> None:
    each = {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 2}
    error = refusal(ask, fake, "/v1beta/models/gemini-embedding-001:batchEmbedContents", {"requests": [each] * count})
    assert words in error.get("message", "") and bool(error) == bool(words)


@pytest.mark.parametrize("field", ["systemInstruction", "tools", "toolConfig"])
def test_nothing_that_a_cache_holds_may_stand_beside_it(fake: FakeGemini, ask: Ask, field: str) -> None:
    body = {"contents": [HELLO], "cachedContent": "cachedContents/c"}
    value: Any = {"tools": [{"googleSearch": {}}], "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}.get(
        field, {"parts": [{"text": "s"}]})
    assert refusal(ask, fake, UNARY, {**body, field: None}) == {}
    assert "CachedContent can not be used" in refusal(ask, fake, UNARY, {**body, field: value})["message"]
    assert "using cached content" in refusal(ask, fake, VERTEX, {**body, field: value})["message"]


def test_expired_files_and_caches_are_gone(fake: FakeGemini, ask: Ask) -> None:
    fake.expired |= {"files/old", "cachedContents/old"}
    for name, gone in [("old", True), ("new", False)]:
        uri = f"https://generativelanguage.googleapis.com/v1beta/files/{name}"
        content = {"role": "user", "parts": [{"fileData": {"fileUri": uri}}]}
        with_file = refusal(ask, fake, UNARY, {"contents": [content]})
        with_cache = refusal(ask, fake, UNARY, {"contents": [HELLO], "cachedContent": f"cachedContents/{name}"})
        assert [error.get("code") for error in (with_file, with_cache)] == ([403, 403] if gone else [None, None])


def test_a_refusal_leaves_the_script_and_is_told_when_the_reply_was_not_asked_for(ask: Ask) -> None:
    with pytest.raises(AssertionError, match=r"(?s)never asked for.*strict mode refused:.*Unknown name \"topQ\""):
        with FakeGemini(strict=True) as fake:
            fake.reply("a")
            refusal(ask, fake, UNARY, {"contents": [HELLO], "topQ": 1})


def test_without_strict_nothing_is_refused(ask: Ask) -> None:
    with FakeGemini(lambda request: "ok", strict=False) as fake:
        bodies: List[Any] = [{}, {"topQ": 1}, {"contents": [CALL]}]
        assert [refusal(ask, fake, "/v1beta/models/nope:generateContent", body) for body in bodies] == [{}, {}, {}]


@pytest.mark.parametrize("value, strict", [("1", True), ("0", False), ("", False), (None, False)])
def test_a_variable_makes_strict_the_default(monkeypatch: pytest.MonkeyPatch, value: "str | None",
                                             strict: bool) -> None:
    assert FakeGemini().strict    # our own suites have set it
    monkeypatch.delenv("GEMINI_LITE_FAKE_STRICT")
    if value is not None:
        monkeypatch.setenv("GEMINI_LITE_FAKE_STRICT", value)
    assert FakeGemini().strict is strict
    assert FakeGemini(strict=True).strict and not FakeGemini(strict=False).strict
