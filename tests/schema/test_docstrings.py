"""Docstrings: the parameter list of each style is taken out, and any other text stays."""
from __future__ import annotations

import pytest

from gemini_lite.schema.docstrings import split_docstring

GOOGLE = """Find a place.

    It looks everywhere.

    Args:
        city (str, optional): The city: its
            full name.
        days (Dict[str, int]): How many.

    Keyword Args:
        **unit: C or F.

    Returns:
        A dict.
    """
NUMPY = """
    Find a place.

    It looks everywhere.

    Parameters
    ----------
    city : str, optional
        The city: its
        full name.
    days, hours
        How many.

    Other Parameters
    ----------------
    unit : {"C", "F"}

        C or F.

    Returns
    -------
    dict
    """
SPHINX = """Find a place.

    It looks everywhere.

    :param str city: The city: its
        full name.
    :param days: How many.
    :type days: Dict[str, int]
    :keyword unit: C or F.
    :returns: A dict.
    """


@pytest.mark.parametrize("docstring, rest", [
    (GOOGLE, "Returns:\n    A dict."), (NUMPY, "Returns\n-------\ndict"), (SPHINX, ":returns: A dict."),
])
def test_the_parameter_list_is_separated_from_the_description(docstring: str, rest: str) -> None:
    assert split_docstring(docstring) == (
        f"Find a place.\n\nIt looks everywhere.\n\n{rest}",
        {**({"hours": "How many."} if docstring is NUMPY else {}),
         "city": "The city: its full name.", "days": "How many.", "unit": "C or F."},
    )


@pytest.mark.parametrize("docstring", [
    "Args:", "Args:\n\nNothing here: at all.", "Parameters\n\nare what it takes.", "Say :param city: somewhere.",
    "Arguments: there are none.", "",
])
def test_a_text_that_only_resembles_a_parameter_list_stays_in_the_description(docstring: str) -> None:
    assert split_docstring(docstring) == (docstring, {})


def test_each_numpy_section_ends_where_the_next_begins() -> None:
    docstring = "Parameters\n----------\na\n    First.\n\nNotes\n-----\nMore.\n\nOther Parameters\n---\nb\n    Second."
    assert split_docstring(docstring) == ("Notes\n-----\nMore.", {"a": "First.", "b": "Second."})
