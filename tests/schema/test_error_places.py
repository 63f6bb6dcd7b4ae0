"""How errors name the place of a value."""
from __future__ import annotations

import pytest

from gemini_lite.schema.error_places import item_place, member_place


@pytest.mark.parametrize("place, expected", [
    (member_place("", "age"), "age"), (member_place("person", "age"), "person.age"),
    (member_place("", "a b"), "['a b']"), (member_place("person", "a b"), "person['a b']"),
    (item_place("", 0), "[0]"), (item_place("people", 12), "people[12]"),
    (member_place(item_place("people", 2), "age"), "people[2].age"),
])
def test_a_place_is_written_as_python_would_reach_it(place: str, expected: str) -> None:
    assert place == expected
