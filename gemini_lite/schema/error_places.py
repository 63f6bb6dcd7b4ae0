"""How an error names a place inside a value: ``people[2].name``."""
from __future__ import annotations


def member_place(where: str, name: str) -> str:
    """The place of the member `name` of the object at `where`, which is ``""`` for the outermost value."""
    if not name.isidentifier():
        return f"{where}[{name!r}]"
    return f"{where}.{name}" if where else name


def item_place(where: str, index: int) -> str:
    """The place of one item of the array at `where`."""
    return f"{where}[{index}]"
