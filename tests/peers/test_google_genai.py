"""Google's own client, pointed at FakeGemini, gets its answers too."""
from __future__ import annotations

from typing import Any

import pytest

from gemini_lite.testing import FakeGemini

genai = pytest.importorskip("google.genai")


@pytest.fixture
def theirs(fake: FakeGemini) -> Any:
    return genai.Client(api_key="test-key", http_options={"base_url": fake.url, "api_version": "v1beta"})


def test_it_generates(fake: FakeGemini, theirs: Any) -> None:
    fake.reply("Hel", "lo\u2028there")
    assert theirs.models.generate_content(model="gemini-2.5-flash", contents="Hi").text == "Hello\u2028there"


def test_it_streams(fake: FakeGemini, theirs: Any) -> None:
    fake.reply("Hel", "lo")
    chunks = theirs.models.generate_content_stream(model="gemini-2.5-flash", contents="Hi")
    assert [chunk.text for chunk in chunks] == ["Hel", "lo"]


def test_it_chats(fake: FakeGemini, theirs: Any) -> None:
    chat = theirs.chats.create(model="gemini-2.5-flash")
    fake.reply("One")
    assert chat.send_message("1?").text == "One"
    fake.reply("T", "wo")
    assert "".join(chunk.text for chunk in chat.send_message_stream("2?")) == "Two"
    assert [content["role"] for content in fake.requests[-1].body["contents"]] == ["user", "model", "user"]


def test_it_calls_functions(fake: FakeGemini, theirs: Any) -> None:
    def double(number: int) -> int:
        """Twice the number."""
        return 2 * number

    fake.reply(FakeGemini.call("double", {"number": 21}))
    fake.reply("42")
    answer = theirs.models.generate_content(model="gemini-2.5-flash", contents="?", config={"tools": [double]})
    assert answer.text == "42"


def test_it_counts_and_lists(fake: FakeGemini, theirs: Any) -> None:
    assert theirs.models.count_tokens(model="gemini-2.5-flash", contents="Hello you").total_tokens == 3
    assert "models/gemini-2.5-pro" in [model.name for model in theirs.models.list()]


def test_it_sees_the_errors(fake: FakeGemini, theirs: Any) -> None:
    fake.error(429, "slow down")
    with pytest.raises(genai.errors.ClientError, match="slow down"):
        theirs.models.generate_content(model="gemini-2.5-flash", contents="Hi")
