"""Python values as JSON data: what each becomes, and what is refused with its place."""
import collections
import datetime
import decimal
import json
import types
from typing import NamedTuple

import pytest
from schema.samples import City, Color, Level

from gemini_lite.schema import to_json


class Point(NamedTuple):
    x: float
    y: float = 0.0


Bare = collections.namedtuple("Bare", "x y")


class Plain:
    pass


JSON_DATA = [
    (None, None), ("a", "a"), (1, 1), (1.5, 1.5), (True, True), ([1, (2, [3])], [1, [2, [3]]]),
    ({"a": (1,)}, {"a": [1]}), (Color.RED, "red"), (Level.HIGH, 2), ({Color.RED: Color.BLUE}, {"red": "blue"}),
    ({"a"}, ["a"]), (frozenset([1]), [1]), (City("Rome"), {"name": "Rome", "country": "FR"}),
    (Point(1.0), {"x": 1.0, "y": 0.0}), ([Bare(1, 2)], [{"x": 1, "y": 2}]),
    (datetime.date(2024, 2, 29), "2024-02-29"), (datetime.time(12), "12:00:00"),
    (datetime.datetime(2024, 2, 29, 1), "2024-02-29T01:00:00"), (types.MappingProxyType({"a": 1}), {"a": 1}),
    (types.SimpleNamespace(tolist=lambda: [1, [2.5]]), [1, [2.5]]),
]
NO_JSON = [
    (b"a", "the value is of the type bytes"), ([bytearray()], r"the value\[0\] is of the type bytearray"),
    (memoryview(b"a"), "the value is of the type memoryview"), (Plain(), "the value is of the type Plain"),
    (City, "the value is of the type type"), ({"a": [1, 1j]}, r"the value\.a\[1\] is of the type complex"),
    (iter([]), "list_iterator"), ({1: 2}, "the value has the key 1"), ({"a": float("nan")}, r"the value\.a is nan"),
    ([float("-inf")], r"the value\[0\] is -inf"), (City(Plain()), r"the value\.name is of the type Plain"),
    ({"a b": {None: 1}}, r"the value\['a b'\] has the key None"), (decimal.Decimal(1), "Decimal"), (len, "builtin"),
    (types.SimpleNamespace(tolist=lambda: [float("nan")]), r"the value\[0\] is nan"),
]


@pytest.mark.parametrize("value, expected", JSON_DATA, ids=repr)
def test_a_python_value_becomes_json_data(value, expected):
    assert to_json(value) == expected
    assert json.loads(json.dumps(to_json(value), allow_nan=False)) == expected


@pytest.mark.parametrize("value, complaint", NO_JSON, ids=repr)
def test_a_value_that_json_cannot_hold_is_refused_with_its_place(value, complaint):
    with pytest.raises((TypeError, ValueError), match=complaint):
        to_json(value)


def test_a_container_inside_itself_is_refused_and_one_used_twice_is_not():
    ring = {"a": []}
    ring["a"].append(ring)
    with pytest.raises(ValueError, match=r"the value\.a\[0\] leads back to itself"):
        to_json(ring)
    shared = [1]
    assert to_json([shared, shared]) == [[1], [1]]


def test_json_data_shares_nothing_with_the_value():
    value = {"a": [1]}
    to_json(value)["a"].append(2)
    assert value == {"a": [1]}


def test_dates_and_times_of_numpy_become_text_of_any_precision():
    numpy = pytest.importorskip("numpy")
    for unit, text in (("D", "2020-01-02"), ("s", "2020-01-02T00:00:00"), ("ns", "2020-01-02T00:00:00.000000000")):
        date = numpy.datetime64("2020-01-02", unit)
        assert to_json([date, numpy.array([date])]) == [text, [text]]
    assert to_json(numpy.timedelta64(5, "D")) == "5 days"


def test_numbers_and_arrays_of_numpy_become_numbers_and_lists():
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.arange(4).reshape(2, 2), "b": numpy.float32(0.5), "c": numpy.int64(3), "d": numpy.bool_(True),
             "e": numpy.float64(1.5), "f": numpy.str_("x")}
    expected = {"a": [[0, 1], [2, 3]], "b": 0.5, "c": 3, "d": True, "e": 1.5, "f": "x"}
    assert json.loads(json.dumps(to_json(value))) == expected
    with pytest.raises(ValueError, match=r"the value\[1\] is nan"):
        to_json(numpy.array([1.0, numpy.nan]))
