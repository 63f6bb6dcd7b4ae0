"""How an error names a place inside a value: ``people[2].name``."""
from __future__ import annotations

from typing import Dict, Optional, Tuple

_LONGEST_NAME = 100  # characters of one name, which the model may have made up
_LONGEST_PLACE = 400  # characters; of a deeper place the end is shown


def member_place(where: str, name: str) -> str:
    """The place of the member `name` of the object at `where`, which is ``""`` for the outermost value."""
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}..."
    if not name.isidentifier():
        return _shorten_place(f"{where}[{name!r}]")
    return _shorten_place(f"{where}.{name}" if where else name)


def item_place(where: str, index: int) -> str:
    """The place of one item of the array at `where`."""
    return _shorten_place(f"{where}[{index}]")


def _shorten_place(where: str) -> str:
    return where if len(where) <= _LONGEST_PLACE else f"...{where[-_LONGEST_PLACE + 3:]}"


class Place:
    """A place inside a value that is being read, and the results that are known of this reading."""

    __slots__ = ("path", "results")

    def __init__(self, path: str, results: Optional[Dict[Tuple[int, int], object]] = None) -> None:
        self.path = path
        # Of the unions inside, by the ids of union and value; a union that contains itself reads no value twice.
        self.results: Dict[Tuple[int, int], object] = {} if results is None else results

    def member(self, name: str) -> Place:
        """The place of the member `name` of the object here."""
        return Place(member_place(self.path, name), self.results)

    def item(self, index: int) -> Place:
        """The place of one item of the array here."""
        return Place(item_place(self.path, index), self.results)

    def __str__(self) -> str:
        return self.path or "the value"
