"""The pages on files, caches and embeddings are run: each of their Python blocks, in order."""
from __future__ import annotations

import pathlib
import re
import sys
import textwrap
import types
from typing import Any, Dict

import pytest

from gemini_lite.testing import FakeGemini, Reply
from gemini_lite.testing.caches_service import CachesService
from gemini_lite.testing.files_service import FilesService

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="there is no documentation beside the installed tests")
PRINTED = {"files": "PROCESSING", "caches": "gemini-2.5-flash", "embeddings": "3 768"}


@pytest.mark.parametrize("page", sorted(PRINTED))
def test_the_python_of_the_page_runs_as_it_stands(
    page: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str], no_sleep: Any,
) -> None:
    found = re.findall(r"\.\. code-block:: python\n\n((?:(?:    .*)?\n)+)", (DOCS / f"{page}.rst").read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", module)
    names: Dict[str, Any] = vars(module)
    with FakeGemini(lambda request: Reply("Hello")) as fake:
        fake.services += [FilesService(), CachesService()]
        monkeypatch.setenv("GEMINI_API_KEY", "test-key")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        for number, block in enumerate(found):
            exec(compile(textwrap.dedent(block), f"{page} block {number}", "exec", dont_inherit=True), names)
        names["client"].close()
    assert len(found) >= 2 and PRINTED[page] in capsys.readouterr().out
