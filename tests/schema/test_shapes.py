"""The kinds of JSON values: what each reads, and how it refuses what does not fit."""
import dataclasses
import datetime
import decimal
from typing import Any, Dict, List, Optional, Set, Tuple, Union

import pytest
from schema.samples import Adult, City, Color, Movie, Node, Person

from gemini_lite.errors import ParseError
from gemini_lite.schema import from_json, to_json, to_schema


@dataclasses.dataclass
class Price:
    """What it refuses, it refuses with errors that are no ValueError."""

    amount: str
    unit: str

    def __post_init__(self):
        self.worth = decimal.Decimal(self.amount) * {"EUR": 1}[self.unit]


DATES_AND_TIMES = [
    (datetime.date, "date", "2024-02-29", datetime.date(2024, 2, 29)),
    (datetime.time, "time", "12:30:05", datetime.time(12, 30, 5)),
    (datetime.time, "time", "12:30", datetime.time(12, 30)),
    (datetime.datetime, "date-time", "2024-02-29T12:30:05", datetime.datetime(2024, 2, 29, 12, 30, 5)),
    (datetime.datetime, "date-time", "2024-02-29 12:30:05.5",
     datetime.datetime(2024, 2, 29, 12, 30, 5, 500000)),
    (datetime.datetime, "date-time", "2024-02-29t12:30:05.123456789z",
     datetime.datetime(2024, 2, 29, 12, 30, 5, 123456, datetime.timezone.utc)),
    (datetime.datetime, "date-time", "2024-02-29T12:30:05+02:00",
     datetime.datetime(2024, 2, 29, 12, 30, 5, 0, datetime.timezone(datetime.timedelta(hours=2)))),
]
OTHER_TEXTS = [
    (datetime.date, "2023-02-29"), (datetime.date, "20240229"), (datetime.date, "2024-02-29T12:30:05"),
    (datetime.date, 1709164800), (datetime.time, "25:00:00"), (datetime.time, "noon"),
    (datetime.datetime, "2024-02-29"), (datetime.datetime, "tomorrow"), (datetime.datetime, None),
    (datetime.date, "\u0662\u0660\u0662\u0664-02-29"),
]


@pytest.mark.parametrize("hint, format, text, expected", DATES_AND_TIMES)
def test_dates_and_times_are_written_as_rfc_3339_says(hint, format, text, expected):
    assert to_schema(hint, "it") == {"type": "string", "format": format}
    assert from_json(text, hint) == expected
    assert from_json(to_json(expected), hint) == expected


@pytest.mark.parametrize("hint, text", OTHER_TEXTS)
def test_any_other_date_or_time_is_refused(hint, text):
    with pytest.raises(ParseError):
        from_json(text, hint)


@pytest.mark.parametrize("value, hint, complaint", [
    ({"people": [{"name": "A"}, {"name": "B"}, {"name": 3}]}, Dict[str, List[City]],
     "people[2].name must be a string, not 3"),
    ({"people": [{}]}, Dict[str, List[City]], "people[0].name is missing; it must be a string"),
    ({"a b": [1, "x"]}, Dict[str, List[int]], "['a b'][1] must be an integer, not 'x'"),
    ({"name": "A", "size": 1}, City, "size is unknown; the names are: name, country"),
    ({"value": 1, "next": {"value": "2"}}, Node, "next.value must be an integer, not '2'"),
    ({"name": "A", "age": True, "home": {"name": "B"}}, Person, "age must be an integer, not True"),
    ([1, None], Tuple[int, str], "[1] must be a string, not None"),
    ([[]], List[Union[int, str]],
     "[0] fits none of its types: [0] must be an integer, not []; [0] must be a string, not []"),
    ({"age": 3}, Adult, "the value does not fit: too young"),
    ([{"age": 3}], List[Adult], "[0] does not fit: too young"),
    ({"amount": "a lot", "unit": "EUR"}, Price, "the value does not fit: InvalidOperation: [<class "
     "'decimal.ConversionSyntax'>]"),
    ([{"amount": "1", "unit": "apples"}], List[Price], "[0] does not fit: KeyError: 'apples'"),
    ([[1]], Set[Any], "the value does not fit: unhashable type: 'list'"),
    ("green", Color, "the value must be one of 'red', 'blue', not 'green'"),
    ("x" * 500, int, "the value must be an integer, not '" + "x" * 79 + "..."),
    (10 ** 400, float, "the value must be a number, not an integer of 1329 bits"),
])
def test_a_mismatch_names_the_place_and_what_was_expected(value, hint, complaint):
    with pytest.raises(ParseError) as caught:
        from_json(value, hint)
    assert str(caught.value) == complaint


def test_a_mismatch_starts_where_the_caller_says():
    with pytest.raises(ParseError, match=r"^answer\.people\[0\] must be an integer"):
        from_json({"people": ["x"]}, Dict[str, List[int]], "answer")


@pytest.mark.parametrize("hint, value, expected", [
    (Union[float, int], 3, 3), (Union[int, float], 3.0, 3.0), (Union[datetime.date, str], "soon", "soon"),
    (Union[datetime.date, str], "2024-02-29", datetime.date(2024, 2, 29)),
    (Union[str, datetime.date], "2024-02-29", "2024-02-29"),
    (Union[City, Movie], {"title": "M", "year": 1}, {"title": "M", "year": 1}), (Union[Color, str], "red", Color.RED),
    (Union[int, bool], True, True), (Optional[float], 3, 3.0),
    (Union[Price, Dict[str, str]], {"amount": "1", "unit": "pears"}, {"amount": "1", "unit": "pears"}),
])
def test_a_union_takes_its_first_type_that_fits_and_keeps_numbers(hint, value, expected):
    read = from_json(value, hint)
    assert read == expected and type(read) is type(expected)
