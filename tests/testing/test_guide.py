"""The page "Test your own program": its snippets run, in order."""
from __future__ import annotations

import pathlib
import re
import textwrap
from typing import Any, Dict, List

import pytest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "testing-your-program.rst"


def snippets() -> List[str]:
    blocks = re.findall(r"(?m)^\.\. code-block:: python\n\n((?:(?: {4}.*)?\n)+)", PAGE.read_text("utf-8"))
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.skipif(not PAGE.exists(), reason="the pages are not in this distribution")
def test_the_snippets_of_the_guide_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: Dict[str, Any] = {}
    for snippet in snippets():
        exec(compile(snippet, str(PAGE), "exec"), names)
    names["folder"].cleanup()
    names["client"].close()
    printed = capsys.readouterr().out
    assert "Hello\n" in printed and "RateLimitError\n" in printed
    assert "Unknown name \"topk\" at 'generation_config'" in printed
