"""The README is run: each of its Python blocks, in order, against a Gemini on loopback."""
from __future__ import annotations

import pathlib
import re
import sys
import textwrap
import types
from typing import Any, Dict, List, Tuple

import pytest

from gemini_lite.testing import FakeGemini, Reply, Request

README = pathlib.Path(__file__).parent.parent / "README.rst"
TEXT = README.read_text("utf-8") if README.exists() else ""
pytestmark = pytest.mark.skipif(not TEXT, reason="there is no README beside the installed tests")


def blocks(kind: str) -> List[str]:
    found = re.findall(r"\.\. code-block:: %s\n\n((?:(?:    .*)?\n)+)" % kind, TEXT)
    return [textwrap.dedent(block) for block in found]


def answer(request: Request) -> Reply:
    if "responseJsonSchema" in request.body.get("generationConfig", {}):
        return Reply('{"name": "Ada"}')
    tools = request.body.get("tools", [{}])[0].get("functionDeclarations")
    if tools and "text" in request.body["contents"][-1]["parts"][0]:
        values = {"get_weather": {"city": "Paris"}, "ask_user": {"question": "When?"}}
        return Reply(FakeGemini.call(tools[0]["name"], values[tools[0]["name"]], id="c1"))
    return Reply("Hel", "lo")


def test_the_python_of_the_readme_runs_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str],
) -> None:
    python = blocks("python")
    assert len(python) >= 5
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    module = types.ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    names: Dict[str, Any] = vars(module)
    with FakeGemini(answer) as fake:
        monkeypatch.setenv("GEMINI_API_KEY", "test-key")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        for number, block in enumerate(python):
            exec(compile(block, "README block %d" % number, "exec", dont_inherit=True), names)
        names["test_the_greeting_is_streamed"]()
        names["client"].close()
    out = capsys.readouterr().out
    assert out.startswith("Hello\nHello\nHello") and "Ada" in out
    assert "called get_weather -> {'sky': 'clear', 'temperature': 21, 'unit': 'celsius'}" in out


def test_every_name_in_the_tables_exists() -> None:
    import gemini_lite
    from gemini_lite import GeminiClient, GenerateContentResponse
    errors = re.findall(r"``(\w+Error|TransportTimeout)``", TEXT)
    named: List[Tuple[str, Any]] = [(name, gemini_lite) for name in errors]
    named += [(name, GeminiClient) for name in re.findall(r"client\.(\w+)", TEXT) if name != "py"]
    named += [(name, GenerateContentResponse) for name in re.findall(r"response\.(\w+)", TEXT)]
    missing = [name for name, owner in named if not hasattr(owner, name)
               and name not in ("TypeError", "ValueError", "data")]
    assert not missing
