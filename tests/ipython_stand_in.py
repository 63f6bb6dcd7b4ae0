"""In the place of IPython: what a cell was told to show."""
from __future__ import annotations

import sys
import types
from typing import Any, Dict, List, NamedTuple, Optional

import pytest


class Shown(NamedTuple):
    new: bool
    number: int
    bundle: Dict[str, str]

    @property
    def text(self) -> str:
        return self.bundle.get("text/markdown", "")


class Cell:
    """The messages that a cell sent, and the outputs that stand under it then."""

    def __init__(self) -> None:
        self.messages: List[Shown] = []
        self.outputs: List[Dict[str, str]] = []

    def handle(self) -> "_Handle":
        return _Handle(self)

    def show(self, bundle: Dict[str, str], number: Optional[int]) -> int:
        assert set(map(type, bundle.values())) == {str} and "text/plain" in bundle
        if number is None:
            self.outputs.append(bundle)
            self.messages.append(Shown(True, len(self.outputs) - 1, bundle))
        else:
            self.outputs[number] = bundle
            self.messages.append(Shown(False, number, bundle))
        return self.messages[-1].number


class _Handle:
    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._number: Optional[int] = None

    def display(self, bundle: Dict[str, str], *, raw: bool) -> None:
        assert raw and self._number is None
        self._number = self._cell.show(bundle, None)

    def update(self, bundle: Dict[str, str], *, raw: bool) -> None:
        assert raw and self._number is not None
        self._cell.show(bundle, self._number)


def stand_in(monkeypatch: pytest.MonkeyPatch, shell: Any) -> Cell:
    """Put a stand-in whose shell is `shell` in the place of IPython, and return the cell that it shows things under."""
    cell = Cell()
    main, door = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    main.get_ipython = lambda: shell  # type: ignore[attr-defined]
    door.DisplayHandle = cell.handle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", main)
    monkeypatch.setitem(sys.modules, "IPython.display", door)
    return cell


def notebook_cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """The cell of a Jupyter notebook that runs."""
    events = types.SimpleNamespace(register=lambda event, function: None)
    return stand_in(monkeypatch, types.SimpleNamespace(kernel=object(), events=events))
