"""Failures in a notebook: a block that can be read, the traceback folded; elsewhere what IPython would show."""
from __future__ import annotations

import sys
import types
from typing import Any, Dict, List

import pytest

from gemini_lite import GeminiError
from gemini_lite.display import failures, notebook


def raised(message: str) -> GeminiError:
    try:
        raise GeminiError(message)
    except GeminiError as error:
        return error


def test_a_notebook_shows_a_block_whose_text_is_no_html(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: List[Dict[str, str]] = []
    monkeypatch.setattr(failures, "in_notebook", lambda: True)
    monkeypatch.setattr(failures, "publish_bundle", shown.append)
    error = raised("<script>\nnext")
    assert failures.show_failure(error) == ["GeminiError: the message stands above"]
    again = "\n".join(failures.show_failure(error))
    assert "Traceback" in again and len(shown) == 1, "IPython asks again, and so does %tb"
    page = shown[0]["text/html"]
    assert "&lt;script&gt;<br>next" in page and "<script" not in page and "test_failures.py" in page
    assert shown[0]["text/plain"] == "GeminiError: <script>\nnext"


def test_elsewhere_the_usual_traceback_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert failures.show_failure(raised("x"))[-1] == "gemini_lite.errors.GeminiError: x"
    formatter = types.SimpleNamespace(structured_traceback=lambda *_: ["coloured"])
    shell: Any = types.SimpleNamespace(InteractiveTB=formatter)
    ipython: Any = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert failures.show_failure(raised("x")) == ["coloured"] and not notebook.in_notebook()
