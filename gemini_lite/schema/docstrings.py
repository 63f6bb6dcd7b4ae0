"""Docstrings split into the description and the parameter list, in the styles of Google, NumPy and Sphinx."""
from __future__ import annotations

import inspect
import re
from typing import Dict, List, Pattern, Tuple

_GOOGLE_HEADING = re.compile(r"((Keyword )?Arg(ument)?s|(Other )?Param(eter)?s):\s*")
_GOOGLE_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+)\s*(\(.*?\))?\s*:(?P<text>.*)")
_NUMPY_HEADING = re.compile(r"(Other )?Parameters\s*")
_NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(\s*,\s*\*{0,2}\w+)*)\s*(:.*)?(?P<text>)")
_NUMPY_UNDERLINE = re.compile(r"-{3,}\s*")
_SPHINX_ENTRY = re.compile(
    r":(param|parameter|arg|argument|key|keyword)\s+([^:]*\s)?(?P<names>\*{0,2}\w+)\s*:(?P<text>.*)")
_SPHINX_TYPE = re.compile(r":type\s+\w+\s*:.*")


def split_docstring(docstring: str) -> Tuple[str, Dict[str, str]]:
    """The docstring without its parameter lists, and the descriptions in these by the parameter's name."""
    lines = inspect.cleandoc(docstring).splitlines()
    kept: List[str] = []
    descriptions: Dict[str, str] = {}
    while lines:
        found, line_count = _read_parameter_list(lines)
        descriptions.update(found)
        kept += lines[:1] if not line_count else []
        del lines[:line_count or 1]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), descriptions


def _read_parameter_list(lines: List[str]) -> Tuple[Dict[str, str], int]:
    """The descriptions in the parameter list that `lines` start with, and its number of lines: 0 if there is none."""
    end = next((index for index, line in enumerate(lines) if index and line and not line[0].isspace()), len(lines))
    if _GOOGLE_HEADING.fullmatch(lines[0]):
        found = _read_entries(inspect.cleandoc("\n".join(["", *lines[1:end]])).splitlines(), _GOOGLE_ENTRY)
        return found, end if found else 0
    if _SPHINX_ENTRY.fullmatch(lines[0]):
        return _read_entries(lines[:end], _SPHINX_ENTRY), end
    if _SPHINX_TYPE.fullmatch(lines[0]):
        return {}, end
    if _NUMPY_HEADING.fullmatch(lines[0]) and _NUMPY_UNDERLINE.fullmatch("".join(lines[1:2])):
        end = _next_numpy_heading(lines)
        return _read_entries(lines[2:end], _NUMPY_ENTRY), end
    return {}, 0


def _next_numpy_heading(lines: List[str]) -> int:
    """The index of the first heading after the one that `lines` start with, or the number of lines."""
    underlines = (index for index, line in enumerate(lines) if index > 1 and _NUMPY_UNDERLINE.fullmatch(line))
    return next(underlines, len(lines) + 1) - 1


def _read_entries(lines: List[str], entry_pattern: Pattern[str]) -> Dict[str, str]:
    """The descriptions by parameter name; lines that do not match `entry_pattern` continue the entry before."""
    texts: Dict[str, List[str]] = {}
    names: List[str] = []
    for line in lines:
        entry = entry_pattern.fullmatch(line)
        if entry:
            names, line = re.findall(r"\w+", entry.group("names")), entry.group("text")
        for name in names:
            texts.setdefault(name, []).append(line.strip())
    return {name: " ".join(filter(None, parts)) for name, parts in texts.items()}
