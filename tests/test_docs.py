"""Every page of the documentation runs: its Python blocks, in order, as one script against the demo's Gemini.

A page may hold comments for the test: ``.. invisible-code-block: python`` (code that the reader need not see),
``.. runs-with: NAME=value`` (an environment variable; ``{url}`` and ``{code_assist_url}`` are the server's),
``.. needs: package`` (the page is skipped where it is not installed) and ``.. runs-offline:`` (nothing is sent).
Blocks that are not for running, such as those of another client, are ``.. code-block:: py``.
"""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from typing import Dict, List, Optional

import pytest

import gemini_lite
from gemini_lite import demo
from gemini_lite.testing import FakeGemini

DOCS = pathlib.Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
RUNNING = [page for page in PAGES if re.search(r"code-block:+ python\n", page.read_text("utf-8"))]
PACKAGES = str(pathlib.Path(gemini_lite.__file__).parent.parent)
pytestmark = pytest.mark.skipif(not PAGES, reason="there is no documentation beside the installed tests")

_BLOCK = re.compile(r"( *(?:[*-] +)*)\.\. (?:code-block::|invisible-code-block:) python$")


CALL_TESTS = """
for _name, _test in list(globals().items()):
    if _name.startswith("test_") and not _test.__code__.co_argcount:
        _test()
"""


def script(page: str) -> str:
    """The Python blocks of a page, each line of them in the place that it has in the page."""
    code: List[str] = []
    block: Optional[int] = None  # the column of the directive whose block we are in
    left: Optional[int] = None  # the column where its code begins
    for line in page.splitlines():
        column = len(line) - len(line.lstrip())
        if block is not None and line.strip() and column <= block:
            block = None
        in_block = block is not None and line.strip() and not (left is None and line.lstrip().startswith(":"))
        if in_block and left is None:
            left = column
        code.append(line[left:] if in_block else "")
        start = _BLOCK.match(line)
        if start:
            block, left = len(start.group(1)), None
    return "\n".join(code) + "\n"


@pytest.mark.parametrize("page", RUNNING, ids=[page.stem for page in RUNNING])
def test_the_python_of_a_page_runs_as_one_script(
        page: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page.read_text("utf-8")
    for package in re.findall(r"^\.\. needs: (\S+)$", text, re.MULTILINE):
        pytest.importorskip(package)
    file = tmp_path / f"{page.stem}.rst.py"
    file.write_text(script(text) + CALL_TESTS, "utf-8")
    monkeypatch.setattr(demo, "DELAY", 0, raising=False)
    with demo.demo() as server:
        run = subprocess.run(
            [sys.executable, "-W", "error", file.name], cwd=tmp_path, env=environment(text, server), timeout=100,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert run.returncode == 0, run.stdout.decode("utf-8", "replace")
    assert server.connections or "FakeGemini(" in text or ".. runs-offline:" in text


def environment(text: str, server: FakeGemini) -> Dict[str, str]:
    """The variables for the script of a page."""
    given = dict(re.findall(r"^\.\. runs-with: (\w+)=(.*)$", text, re.MULTILINE))
    places = {"url": server.url, "code_assist_url": server.code_assist_url}
    return {
        **os.environ, "PYTHONPATH": PACKAGES, "PYTHONIOENCODING": "utf-8", "GEMINI_API_KEY": "test-key",
        "GOOGLE_GEMINI_BASE_URL": server.url, "CODE_ASSIST_ENDPOINT": server.code_assist_url,
        **{name: value.format(**places) for name, value in given.items()}}


COMING_FROM = ["gemini-py", "google-genai", "openai", "anythingllm", "llm-api-key-proxy"]


@pytest.mark.parametrize("name", COMING_FROM)
def test_there_is_a_page_for_who_comes_from_another_client(name: str) -> None:
    text = (DOCS / f"coming-from-{name}.rst").read_text("utf-8")
    assert ".. list-table::" in text and text.count(".. code-block:: python\n") >= 5


@pytest.mark.parametrize("page", [
    ".. code-block:: python\n\n   a = 1\n   if a:\n      b = 2\n\n   c = 3\n\nText\n\n.. code-block:: py\n\n    n(\n",
    "* - .. code-block:: py\n\n        theirs(\n\n  - .. code-block:: python\n\n        a = 1\n        if a:\n"
    "            b = 2\n        c = 3\n\n* - next\n",
    ".. invisible-code-block: python\n\n  a = 1\n  b = 2\n\n.. code-block:: python\n    :name: x\n\n    c = 3\n",
])
def test_the_blocks_of_a_page_are_one_script_with_the_lines_of_the_page(page: str) -> None:
    names: Dict[str, object] = {}
    found = script(page)
    exec(found, names)
    assert (names["a"], names["b"], names["c"]) == (1, 2, 3)
    assert [line.strip() for line in page.splitlines()].index("c = 3") == found.splitlines().index("c = 3")
