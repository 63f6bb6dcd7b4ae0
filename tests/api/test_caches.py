"""Caches: made once, used with nothing that they have themselves, found again when the answer was lost."""
from __future__ import annotations

import datetime
import logging
import pickle
from typing import Any, List

import pytest

from gemini_lite import (
    BadRequestError, Cache, CodeAssist, GeminiClient, GeminiError, GeminiOptions, PermissionDeniedError, ServerError,
)
from gemini_lite.testing import Error, FakeGemini, Raw
from gemini_lite.testing.caches_service import CachesService

MODEL = "gemini-2.5-flash"
LOST = Raw(status=None)


def look_up(word: str) -> str:
    """Look a word up."""
    return word


@pytest.fixture
def caches(fake: FakeGemini) -> CachesService:
    service = CachesService()
    fake.services.insert(0, service)
    return service


@pytest.fixture
def ours(client: Any, fake: FakeGemini, caches: CachesService, no_sleep: List[float]) -> GeminiClient:
    return client(fake)  # type: ignore[no-any-return]


def posts(fake: Any) -> int:
    return sum(request.method == "POST" for request in fake.requests)


def test_a_cache_has_the_prompt_the_system_prompt_and_the_tools(ours: Any, fake: Any) -> None:
    cache = ours.caches.create(
        "A long text.", model=MODEL, system_prompt="Be brief.", tools=[look_up], tool_choice="any", ttl=7200,
        display_name="d")
    body = fake.requests[0].body
    assert fake.requests[0].path == "/v1beta/cachedContents"
    assert (body["model"], body["ttl"], body["displayName"]) == ("models/gemini-2.5-flash", "7200s", "d")
    assert body["contents"] == [{"role": "user", "parts": [{"text": "A long text."}]}]
    assert body["systemInstruction"] == {"role": "user", "parts": [{"text": "Be brief."}]}
    assert body["tools"][0]["functionDeclarations"][0]["name"] == "look_up"
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
    assert (cache.display_name, cache.model) == ("d", "models/gemini-2.5-flash") and cache.token_count > 0


def test_a_cache_has_the_clients_own_system_prompt_and_no_other_options(client: Any, fake: Any, caches: Any) -> None:
    ours = client(fake, model=MODEL, system_prompt="Be brief.", temperature=0)
    ours.caches.create("A long text.")
    assert fake.requests[0].body.keys() == {"contents", "systemInstruction", "model"}


def test_a_cache_takes_no_options_of_an_answer(ours: Any, fake: Any) -> None:
    with pytest.raises(TypeError, match="temperature"):
        ours.caches.create("x", temperature=0)
    assert not fake.requests


@pytest.mark.parametrize("ttl, text", [
    (60, "60s"), (0.5, "0.5s"), (datetime.timedelta(hours=2), "7200s"), (1e-9, "0.000000001s"), (1e6, "1000000s")])
def test_a_ttl_is_seconds_or_a_timedelta(ours: Any, fake: Any, ttl: Any, text: str) -> None:
    ours.caches.create("x", ttl=ttl)
    assert fake.requests[0].body["ttl"] == text


@pytest.mark.parametrize("settings", [
    {"ttl": 0}, {"ttl": -1}, {"ttl": "60s"}, {"ttl": True}, {"ttl": float("inf")}, {"ttl": 10 ** 400},
    {"expire_time": "tomorrow"},
    {"expire_time": datetime.datetime(2030, 1, 1)}, {"ttl": 1, "expire_time": "2030-01-01T00:00:00Z"}])
def test_an_expiry_that_is_none_is_refused_before_anything_is_sent(ours: Any, fake: Any, settings: Any) -> None:
    for call in (lambda: ours.caches.create("x", **settings), lambda: ours.caches.update("c", **settings)):
        with pytest.raises(ValueError):
            call()
    assert not fake.requests


def test_a_cache_is_looked_at_listed_prolonged_and_deleted(ours: Any, fake: Any) -> None:
    moment = datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc)
    cache = ours.caches.create("x", expire_time=moment)
    assert cache.expire_time == moment and ours.caches.get(cache) == cache == ours.caches.get(cache.name[15:])
    assert list(ours.caches.list(page_size=1)) == [cache]
    updated = ours.caches.update(cache, ttl=60)
    assert updated.expire_time < moment and fake.requests[-1].body == {"ttl": "60s"}
    assert fake.requests[-1].method == "PATCH" and "updateMask" not in fake.requests[-1].path
    ours.caches.delete(updated)
    with pytest.raises(PermissionDeniedError, match="client.caches.list"):
        ours.caches.get(cache)


def test_an_update_of_nothing_is_refused(ours: Any) -> None:
    with pytest.raises(ValueError, match="nothing else"):
        ours.caches.update("c")


def test_a_prompt_over_a_cache_sends_the_rest_to_the_caches_model(ours: Any, fake: Any) -> None:
    cache = ours.caches.create("A long text.", model=MODEL)
    fake.reply("Short.", usageMetadata={"cachedContentTokenCount": cache.token_count})
    answer = ours.generate("Sum up.", cached_content=cache)
    request = fake.requests[-1]
    assert request.body == {"contents": [{"role": "user", "parts": [{"text": "Sum up."}]}],
                            "cachedContent": cache.name}
    assert request.model == MODEL and answer.usage_metadata.cached_content_token_count == cache.token_count


@pytest.mark.parametrize("given", [{"system_prompt": "s"}, {"tools": [look_up]}, {"tool_choice": "any"},
                                   {"tool_config": {"functionCallingConfig": {}}}])
@pytest.mark.parametrize("by_name", [True, False])
def test_what_a_cache_has_is_refused_in_the_same_call(ours: Any, fake: Any, given: Any, by_name: bool) -> None:
    cache = Cache({"name": "cachedContents/c", "model": "models/m"})
    for call in (ours.generate, ours.send_message, ours.stream):
        with pytest.raises(ValueError, match="caches.create"):
            call("x", cached_content=cache.name if by_name else cache, **given)
    with pytest.raises(ValueError, match="caches.create"):
        GeminiOptions(cached_content=cache.name if by_name else cache, **given)
    assert not fake.requests


def test_what_the_clients_own_options_say_is_left_out_and_logged(
    client: Any, fake: Any, caches: Any, caplog: pytest.LogCaptureFixture,
) -> None:
    fake.models.append("another")
    ours = client(fake, model="another", system_prompt="Be brief.", tools=[look_up], temperature=0)
    cache = ours.caches.create("A long text.", model=MODEL)
    fake.reply("Short.")
    with caplog.at_level(logging.INFO, "gemini_lite"):
        ours.generate("Sum up.", cached_content=cache)
    body = fake.requests[-1].body
    assert body.keys() == {"contents", "cachedContent", "generationConfig"} and fake.requests[-1].model == MODEL
    assert "left out because the cache has its own: system_prompt, tools" in caplog.text
    fake.reply("Long.")
    ours.generate("And now?")
    assert "systemInstruction" in fake.requests[-1].body


def test_a_chat_over_a_cache_sends_only_the_rest(client: Any, fake: Any, caches: Any) -> None:
    ours = client(fake, system_prompt="Be brief.")
    chat = ours.chat(cached_content=ours.caches.create("A long text.", model=MODEL))
    fake.reply("One."), fake.reply("Two.")
    chat.send_message("1?"), chat.send_message("2?")
    body = fake.requests[-1].body
    assert [part["text"] for turn in body["contents"] for part in turn["parts"]] == ["1?", "One.", "2?"]
    assert body["cachedContent"] and "systemInstruction" not in body and fake.requests[-1].model == MODEL
    with pytest.raises(ValueError, match="caches.create"):
        chat.send_message("3?", system_prompt="Be long.")


def test_options_with_a_cache_pickle(ours: Any) -> None:
    options = GeminiOptions(cached_content=Cache({"name": "cachedContents/c", "model": "models/m"}))
    assert pickle.loads(pickle.dumps(options)) == options
    assert (options.cached_content, options.model) == ("cachedContents/c", "models/m")


def test_one_that_is_too_small_is_explained_with_both_numbers(ours: Any, caches: Any) -> None:
    caches.minimum = 1024
    with pytest.raises(BadRequestError, match="total_token_count=1, min_total_token_count=1024.*the least") as caught:
        ours.caches.create("x")
    assert "cache more" in str(caught.value)


@pytest.mark.parametrize("loss", [LOST, Error(503, "no"), Raw(b"no JSON")], ids=["lost", "503", "no JSON"])
def test_a_cache_whose_answer_is_lost_is_found_and_not_made_again(
    ours: Any, fake: Any, caches: Any, loss: Any, caplog: pytest.LogCaptureFixture,
) -> None:
    caches.lose(loss)
    cache = ours.caches.create("x", display_name="mine")
    assert list(caches.caches) == [cache.name] and posts(fake) == 1
    assert "it was found" in caplog.text


def test_without_a_name_of_its_own_a_lost_cache_is_an_error_that_says_so(ours: Any, fake: Any, caches: Any) -> None:
    caches.lose(LOST)
    with pytest.raises(GeminiError, match="may have been made.*display_name") as caught:
        ours.caches.create("x")
    assert posts(fake) == 1 and not caught.value.retryable


def test_one_that_was_certainly_not_made_is_made_again(ours: Any, fake: Any, caches: Any) -> None:
    losses = [LOST, Error(500, "no"), Error(429, "slow down")]
    fake.services.insert(0, lambda request: losses.pop(0) if losses and request.method == "POST" else None)
    cache = ours.caches.create("x")
    assert list(caches.caches) == [cache.name] and posts(fake) == 4


def test_making_it_again_ends(ours: Any, fake: Any, caches: Any) -> None:
    fake.services.insert(0, lambda request: Error(503, "no") if request.method == "POST" else None)
    with pytest.raises(ServerError):
        ours.caches.create("x")
    assert posts(fake) == 5


def test_when_looking_fails_too_nothing_is_made_again(ours: Any, fake: Any, caches: Any) -> None:
    fake.services.insert(0, lambda request: Error(503, "no"))
    with pytest.raises(ServerError, match="looking for it failed"):
        ours.caches.create("x", display_name="mine")
    assert posts(fake) == 1


def test_caches_expire(ours: Any, caches: Any) -> None:
    now = [datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)]
    caches._now = lambda: now[0]
    cache = ours.caches.create("x", ttl=60)
    now[0] += datetime.timedelta(seconds=61)
    with pytest.raises(PermissionDeniedError):
        ours.generate("x", cached_content=cache)


def test_a_backend_without_caches_says_so(fake: Any) -> None:
    with GeminiClient(backend=CodeAssist(lambda: "token", endpoints=[fake.url])) as client:
        with pytest.raises(ValueError, match="Vertex AI"):
            client.caches.create("x")
    assert not fake.requests


def test_a_cache_reads_by_attributes_and_pickles() -> None:
    cache = Cache({"name": "cachedContents/c", "model": "models/m", "usageMetadata": {"totalTokenCount": "7"}})
    assert cache.token_count == 7 and pickle.loads(pickle.dumps(cache)) == cache and "cachedContents/c" in repr(cache)
    assert Cache({"usageMetadata": 7, "expireTime": 7}).token_count is None
