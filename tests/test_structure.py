"""The rooms of the package: imports go down or nowhere, and each outside thing comes in at one door."""
import ast
import pathlib

import pytest

import gemini_lite

PACKAGE = pathlib.Path(gemini_lite.__file__).parent


def room_of(path):
    """The dotted name of a module inside the package; "" for the package's own __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {room_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {room: ast.parse(path.read_text("utf-8")) for room, path in FILES.items()}


def imports(node, room):
    """The modules that `node` imports anywhere, a room of the package by its dotted name."""
    package = room.split(".") if FILES[room].name == "__init__.py" else room.split(".")[:-1]
    for node in ast.walk(node):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[:len(package) - node.level + 1]
            base = [name for name in above if name] + (node.module.split(".") if node.module else [])
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                yield (whole if whole in TREES else ".".join(base)), True
        elif isinstance(node, ast.ImportFrom):
            yield node.module, False


def arrows(level):
    """The rooms that each room imports; `level` maps a room to the node it belongs to."""
    graph = {}
    for room, tree in TREES.items():
        if room:  # the face of the package re-exports
            below = graph.setdefault(level(room), set())
            names = {name for name, own in imports(tree, room) if own and name}
            below.update(level(name) for name in names if level(name) != level(room))
    return graph


def remaining_cycle(graph):
    """What is left of `graph` without the rooms that import none of those left, or that none of those imports."""
    before = None
    while graph != before:
        before, wanted = graph, set().union(*graph.values())
        graph = {room: names & graph.keys() for room, names in graph.items() if names & graph.keys() and room in wanted}
    return graph


def floor(graph, room):
    return 1 + max((floor(graph, name) for name in graph[room]), default=0)


def test_imports_between_rooms_never_go_round():
    assert remaining_cycle(arrows(lambda room: room)) == {}


def test_imports_between_folders_never_go_round():
    assert remaining_cycle(arrows(lambda room: room.split(".")[0])) == {}


def test_the_package_has_at_most_28_entries_on_at_most_10_floors():
    graph = arrows(lambda room: room.split(".")[0])
    assert len(graph) <= 28
    assert max(floor(graph, room) for room in graph) <= 10


def test_every_folder_says_what_it_is_for():
    assert [room for room, path in FILES.items() if path.name == "__init__.py" and not ast.get_docstring(TREES[room])] \
        == []


def test_only_these_rooms_know_requests():
    assert {room for room, tree in TREES.items()
            if any(name.split(".")[0] == "requests" for name, own in imports(tree, room) if not own)} \
        == {"auth.api_key", "auth.google", "auth.google_request", "auth.oauth", "auth.secret", "auth.token_endpoint",
            "client", "cli.doctor", "testing.recording", "transport.answers", "transport.compat", "transport.failures",
            "transport.raw", "transport.session", "transport.transport"}


@pytest.mark.parametrize("room", sorted(TREES))
def test_optional_packages_are_not_imported_with_a_room(room):
    top = {name.split(".")[0] for statement in TREES[room].body if isinstance(statement, (ast.Import, ast.ImportFrom))
           for name, own in imports(statement, room) if not own}
    assert not top & {"pydantic", "PIL", "IPython", "rich", "tqdm", "numpy", "matplotlib", "openai", "google"}


def test_types_are_all_that_is_imported_for_the_type_checker_alone():
    for room, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                hidden = isinstance(node.test, ast.UnaryOp)  # a method that no checker is to see
                allowed = (ast.FunctionDef,) if hidden else (ast.ImportFrom, ast.Assign)
                assert all(isinstance(inner, allowed) for inner in node.body), room


def test_only_retry_sleeps():
    assert [room for room, tree in TREES.items() if "sleep" in {
        getattr(node, "id", getattr(node, "attr", getattr(node, "name", ""))) for node in ast.walk(tree)
    }] == ["transport.retry"]


def test_the_architecture_page_lists_every_room():
    page = PACKAGE.parent / "docs" / "architecture.rst"
    if not page.exists():
        pytest.skip("there is no documentation beside the installed tests")
    table = page.read_text("utf-8").split(".. rooms: begin")[1].split(".. rooms: end")[0]
    listed = {line.split("``")[1] for line in table.splitlines() if line.startswith("``")}
    assert {room.split(".")[0] for room in TREES if room} <= listed
    assert listed - {room.split(".")[0] for room in TREES} <= set(), "listed, but not there"
