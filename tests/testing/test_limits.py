"""Quotas: who is refused, in which words, and for how long."""
from __future__ import annotations

import re
from typing import Callable, Iterator, List

import pytest
import requests
from testing.prompts import HELLO, MODEL, UNARY, VERTEX

from gemini_lite.testing import FakeGemini

Ask = Callable[..., requests.Response]


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeGemini(lambda request: "ok") as fake:
        yield fake


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """The time that the buckets see; the last item is now."""
    now = [1000.0]
    monkeypatch.setattr("gemini_lite.testing.limits.monotonic", lambda: now[-1])
    return now


def codes(ask: Ask, fake: FakeGemini, count: int) -> List[int]:
    return [ask(fake, UNARY, HELLO).status_code for _ in range(count)]


def test_a_bucket_lets_a_burst_through_and_fills_steadily(fake: FakeGemini, ask: Ask, clock: List[float]) -> None:
    fake.limit(30, per=60, burst=2)
    assert codes(ask, fake, 4) == [200, 200, 429, 429]
    clock.append(clock[-1] + 2)
    assert codes(ask, fake, 2) == [200, 429]
    clock.append(clock[-1] + 3600)
    assert codes(ask, fake, 3) == [200, 200, 429]


def test_who_waits_as_long_as_told_is_let_in(fake: FakeGemini, ask: Ask, clock: List[float]) -> None:
    fake.limit(7, per=60, burst=1)
    assert codes(ask, fake, 1) == [200]
    for _ in range(50):
        details = ask(fake, UNARY, HELLO).json()["error"]["details"]
        clock.append(clock[-1] + float(details[-1]["retryDelay"][:-1]))
        assert codes(ask, fake, 1) == [200]


def test_the_refusal_is_in_the_developer_apis_words(fake: FakeGemini, ask: Ask, clock: List[float]) -> None:
    fake.limit(10, burst=1)
    assert codes(ask, fake, 1) == [200]
    error = ask(fake, UNARY, HELLO).json()["error"]
    assert error["status"] == "RESOURCE_EXHAUSTED" and "You exceeded your current quota" in error["message"]
    assert re.search(r"Please retry in 6\.00\ds\.$", error["message"])
    kinds = {detail["@type"].rpartition(".")[2]: detail for detail in error["details"]}
    violation = kinds["QuotaFailure"]["violations"][0]
    assert (violation["quotaValue"], violation["quotaDimensions"]["model"]) == ("10", "gemini-2.5-flash")
    assert "PerMinute" in violation["quotaId"] and kinds["RetryInfo"]["retryDelay"] in error["message"]


def test_a_daily_limit_says_so_and_holds_beside_another(fake: FakeGemini, ask: Ask, clock: List[float]) -> None:
    fake.limit(100, burst=100)
    fake.limit(2, per=86400)
    assert codes(ask, fake, 2) == [200, 200]
    violation = ask(fake, UNARY, HELLO).json()["error"]["details"][1]["violations"][0]
    assert "PerDay" in violation["quotaId"] and violation["quotaValue"] == "2"


def test_without_tell_nothing_says_how_long(fake: FakeGemini, ask: Ask, clock: List[float]) -> None:
    fake.limit(1, tell=False)
    assert codes(ask, fake, 1) == [200]
    assert ask(fake, UNARY, HELLO).json() == {"error": {
        "code": 429, "message": "Resource has been exhausted (e.g. check quota).", "status": "RESOURCE_EXHAUSTED"}}


def test_each_api_refuses_in_its_own_words(fake: FakeGemini, ask: Ask, clock: List[float]) -> None:
    fake.limit(1)
    assert codes(ask, fake, 1) == [200]
    assert ask(fake, VERTEX, HELLO).json()["error"]["message"].startswith("Resource exhausted. Please try again later.")
    body = {"model": "gemini-2.5-pro", "project": "p", "request": HELLO}
    error = ask(fake, "/v1internal:generateContent", body).json()["error"]
    assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED" and error["details"][1]["retryDelay"][-1] == "s"


def test_a_refused_request_leaves_the_script_and_other_calls_are_not_counted(
        ask: Ask, clock: List[float]) -> None:
    with FakeGemini(strict=False) as fake:
        fake.limit(1)
        fake.reply("one")
        fake.reply("two")
        assert ask(fake, f"{MODEL}:countTokens", HELLO).status_code == 200
        assert [ask(fake, UNARY, HELLO).status_code for _ in range(2)] == [200, 429]
        clock.append(clock[-1] + 60)
        assert "two" in ask(fake, UNARY, HELLO).text


@pytest.mark.parametrize("arguments", [(0,), (1, 0), (1, 60, 0)])
def test_a_limit_without_sense_is_refused(fake: FakeGemini, arguments: "tuple[float, ...]") -> None:
    with pytest.raises(ValueError, match="above 0"):
        fake.limit(*arguments)
