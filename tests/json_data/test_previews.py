"""Previews: short texts of any value, in time that does not grow with it."""
from __future__ import annotations

from typing import Any

import pytest
from growth import growth

from gemini_lite.json_data.previews import preview, preview_json, shorten


@pytest.mark.parametrize("value, shown", [
    (None, "None"), ("it's", '"it\'s"'), (1.5, "1.5"), ([1, [2]], "[1, [2]]"), ({"a": {"b": []}}, "{'a': {'b': []}}"),
    (list(range(9)), "[0, 1, 2, 3, 4, 5, ...]"), ([[[[[1]]]]], "[[[[[...]]]]]"), (1 << 5000, "an integer of 5001 bits"),
    ({}, "{}"), ((1, 2), "[1, 2]"),
])
def test_a_preview_is_the_start_of_the_repr(value: Any, shown: str) -> None:
    assert preview(value) == shown


def test_a_preview_may_be_json() -> None:
    assert preview_json({"a": [None, True, "é"]}) == '{"a": [null, true, "é"]}' and preview_json(b"x") == "b'x'"


def test_a_preview_is_short_however_large_the_value() -> None:
    deep: Any = []
    for _ in range(100000):
        deep = [deep]
    for value in ("x" * 10 ** 6, ["x" * 10 ** 6] * 10 ** 5, {"k" * 10 ** 6: 1}, deep):
        assert len(preview(value)) <= 83 and len(preview(value, 500)) <= 503


def test_the_time_of_a_preview_does_not_grow() -> None:
    assert growth(lambda n: {"a": ["x" * n] * n}, preview, 1000) < 50
    assert shorten("abc", 3) == "abc" and shorten("abcd", 3) == "abc..."
