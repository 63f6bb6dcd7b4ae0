"""The rooms of the package: imports go down or nowhere, and each outside thing comes in at one door."""
import ast
import pathlib

import pytest

import gemini_lite

TREES = {path.stem: ast.parse(path.read_text("utf-8"))
         for path in pathlib.Path(gemini_lite.__file__).parent.glob("*.py")}


def imports(tree):
    """The modules that `tree` imports anywhere, a room of the package by its bare name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level and not node.module:
            yield from (alias.name if alias.name in TREES else "__init__" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_imports_never_go_round():
    below = {room: {name for name in imports(tree) if name in TREES} for room, tree in TREES.items()}
    before = None
    while below != before:  # leave out the rooms that import none of those left, or that none of those imports
        before, wanted = below, set().union(*below.values())
        below = {room: names & below.keys() for room, names in below.items() if names & below.keys() and room in wanted}
    assert below == {}


@pytest.mark.parametrize("room", sorted(TREES))
def test_no_import_is_for_the_type_checker_alone(room):
    assert "TYPE_CHECKING" not in {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(TREES[room])}


def test_only_these_rooms_know_requests():
    assert {room for room, tree in TREES.items() if any(name.split(".")[0] == "requests" for name in imports(tree))} \
        == {"auth", "client", "doctor", "network", "session", "transport"}


@pytest.mark.parametrize("room", sorted(TREES))
def test_optional_packages_are_not_imported_with_a_room(room):
    top = {name.split(".")[0] for statement in TREES[room].body for name in imports(ast.Module([statement], []))}
    assert not top & {"pydantic", "PIL", "IPython", "rich", "tqdm", "numpy", "matplotlib", "openai", "google"}


def test_only_retry_sleeps():
    assert [room for room, tree in TREES.items() if "sleep" in {
        getattr(node, "id", getattr(node, "attr", getattr(node, "name", ""))) for node in ast.walk(tree)
    }] == ["retry"]
