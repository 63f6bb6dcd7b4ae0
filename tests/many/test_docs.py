"""The page about many prompts is run: each block, in order; those of a package that is not installed are left out."""
import importlib.util
import json
import pathlib
import re
import textwrap

import pytest

from gemini_lite.testing import FakeGemini

PAGE = pathlib.Path(__file__).parent.parent.parent / "docs" / "many-prompts.rst"
TEXT = PAGE.read_text("utf-8") if PAGE.exists() else ""
pytestmark = pytest.mark.skipif(not TEXT, reason="there are no docs beside the installed tests")
BLOCKS = [textwrap.dedent(block)
          for block in re.findall(r"\.\. code-block:: py(?:thon)?\n\n((?:(?:    .*)?\n)+)", TEXT)]
ENGINES = ("dask", "pandas", "polars", "ray", "pyspark")


def needs(block):
    return [name for name in ENGINES if re.search(rf"^(import|from) {name}\b", block, re.MULTILINE)]


def answer(request):
    is_structured = "responseJsonSchema" in request.body.get("generationConfig", {})
    return json.dumps({"mood": "good"}) if is_structured else "good"


@pytest.fixture
def names(monkeypatch, tmp_path):
    """The names that the blocks before the engines' make, with a fake Gemini behind them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text("id,text\na,nice\nb,nasty\n")
    (tmp_path / "key").write_text("test-key\n")
    names = {"__name__": "many_prompts"}
    monkeypatch.setitem(__import__("sys").modules, "many_prompts", __import__("types").SimpleNamespace())
    with FakeGemini(answer) as fake:
        monkeypatch.setenv("GEMINI_API_KEY", "test-key")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        yield names


def run(block, names):
    exec(compile(block.replace("/etc/gemini.key", "key"), "many-prompts", "exec", dont_inherit=True), names)


def test_the_blocks_without_an_engine_run_as_they_stand(names, capsys):
    plain = [block for block in BLOCKS if not needs(block)]
    for block in plain:
        run(block, names)
    assert len(plain) >= 5
    assert "0 good" in capsys.readouterr().out
    assert names["rows"] == names["answers"] == ["good"] * 3
    assert names["reviews"][0].mood == "good"


@pytest.mark.parametrize("block", [block for block in BLOCKS if needs(block)], ids=lambda block: "-".join(needs(block)))
def test_the_blocks_of_engines_run_as_they_stand(names, block):
    missing = [name for name in needs(block) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {missing[0]}")
    assert len(block.strip().splitlines()) <= 15
    run(BLOCKS[0], names)
    run(block, names)
    found = names.get("rows") or list(names.get("table", names["frame"])["answer"])
    assert found and all(
        (row if isinstance(row, str) else row["answer"]) == "good" for row in found)
