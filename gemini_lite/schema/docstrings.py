"""Docstrings split into the description and the parameter list, in the styles of Google, NumPy and Sphinx."""
from __future__ import annotations

import inspect
import re
from typing import Dict, List, Pattern, Tuple

_GOOGLE_HEADING = re.compile(r"((Keyword )?Arg(ument)?s|(Other )?Param(eter)?s):\s*")
_GOOGLE_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+)\s*(?:\(.*?\)\s*)?:(?P<text>.*)")
_NUMPY_HEADING = re.compile(r"(Other )?Parameters\s*")
_NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(\s*,\s*\*{0,2}\w+)*)\s*(:.*)?(?P<text>)")
_NUMPY_UNDERLINE = re.compile(r"-{3,}\s*")
_SPHINX_ENTRY = re.compile(
    r":(param|parameter|arg|argument|key|keyword)\s+(?:[^\s:][^:]*\s)?(?P<names>\*{0,2}\w+)\s*:(?P<text>.*)")
_SPHINX_TYPE = re.compile(r":type\s+\w+\s*:.*")


def split_docstring(docstring: str) -> Tuple[str, Dict[str, str]]:
    """The docstring without its parameter lists, and the descriptions in these by the parameter's name."""
    lines = inspect.cleandoc(docstring).splitlines()
    kept: List[str] = []
    descriptions: Dict[str, str] = {}
    start = 0
    while start < len(lines):
        found, line_count = _read_parameter_list(lines, start)
        descriptions.update(found)
        kept += lines[start:start + 1] if not line_count else []
        start += line_count or 1
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), descriptions


def _read_parameter_list(lines: List[str], start: int) -> Tuple[Dict[str, str], int]:
    """The descriptions in the parameter list that begins at `start`, and its number of lines: 0 if there is none."""
    first = lines[start]
    if _GOOGLE_HEADING.fullmatch(first):
        block = _indented_block(lines, start)
        found = _read_entries(inspect.cleandoc("\n".join(["", *block[1:]])).splitlines(), _GOOGLE_ENTRY)
        return found, len(block) if found else 0
    if _SPHINX_ENTRY.fullmatch(first):
        block = _indented_block(lines, start)
        return _read_entries(block, _SPHINX_ENTRY), len(block)
    if _SPHINX_TYPE.fullmatch(first):
        return {}, len(_indented_block(lines, start))
    if _NUMPY_HEADING.fullmatch(first) and _NUMPY_UNDERLINE.fullmatch("".join(lines[start + 1:start + 2])):
        end = _next_numpy_heading(lines, start)
        return _read_entries(lines[start + 2:end], _NUMPY_ENTRY), end - start
    return {}, 0


def _indented_block(lines: List[str], start: int) -> List[str]:
    """The line at `start`, and those after it that are empty or indented."""
    end = start + 1
    while end < len(lines) and (not lines[end] or lines[end][0].isspace()):
        end += 1
    return lines[start:end]


def _next_numpy_heading(lines: List[str], start: int) -> int:
    """The index of the first heading after the one at `start`, or the number of lines."""
    underlines = (index for index in range(start + 2, len(lines)) if _NUMPY_UNDERLINE.fullmatch(lines[index]))
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
