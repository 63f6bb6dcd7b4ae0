"""A failed call as a notebook shows it: one readable block, and the traceback for whoever opens it."""
from __future__ import annotations

import html
import sys
import traceback
import weakref
from typing import List, Optional

from .notebook import in_notebook, publish_bundle

_BLOCK = """\
<div style="border-left: 4px solid #d97706; padding: .4em .8em">
<strong>{name}</strong><br>{message}
<details><summary>Traceback</summary><pre>{traceback}</pre></details></div>"""

_last: List["weakref.ref[BaseException]"] = []  # the error that was shown as a block last


def show_failure(error: BaseException) -> List[str]:
    """The lines of an error's output in IPython, which calls an error's ``_render_traceback_`` for them.

    In a notebook a block is shown first, with the message and the folded traceback, and the lines only name the error.
    Asked again for the same error, as ``%tb`` and IPython's history do, it gives the usual traceback.
    """
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    name = type(error).__name__
    if in_notebook() and _last_shown() is not error:
        _remember(error)
        block = _BLOCK.format(name=html.escape(name), message=html.escape(str(error)).replace("\n", "<br>"),
                              traceback=html.escape("".join(lines)))
        publish_bundle({"text/html": block, "text/plain": f"{name}: {error}"})
        return [f"{name}: the message stands above"]
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return "".join(lines).splitlines()
    coloured: List[str] = shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
    return coloured


def _last_shown() -> Optional[BaseException]:
    return _last[0]() if _last else None


def _remember(error: BaseException) -> None:
    _last[:] = [weakref.ref(error)]
