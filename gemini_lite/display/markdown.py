"""A model's text as Markdown that can run nothing and load nothing."""
from __future__ import annotations

import re
from typing import Dict, Iterator, List, Match, NamedTuple, Optional, Tuple

# JupyterLab runs the HTML in the Markdown of a cell that was just executed, scripts too, and nbconvert writes it to the
# page; the address of a picture can carry the text of the conversation to a server; a link or a formula can hold
# javascript:. Markdown programs disagree about where code, formulas and links begin and end, so the rules below hold
# wherever the characters stand, and only the way in which they are written depends on that.
_SPACE = r"[ \t\n\r\f\v>]*"  # with the signs that quote a next line
# What is no address of http, https or mailto, and may have another scheme: a colon, entity or backslash comes in it.
_FOREIGN_ADDRESS = rf"{_SPACE}(?!https?://|mailto:)[^ \t\n\r\f\v\[\]()&\\:/?#]{{0,200}}[:&\\]"
_TEX_COMMANDS = "href|url|style|class|cssId|data|bbox|mmlToken|csname|require|includegraphics"
_KNOWN_ENTITIES = "amp|lt|gt|quot|apos|nbsp|copy|reg|deg|euro|middot|times|ndash|mdash|hellip|laquo|raquo"
_ACTIVE = (rf"<(?=[A-Za-z/!?])|!(?=\[)|&(?!(?:{_KNOWN_ENTITIES});)(?=#?\w{{1,40}};)"
           rf"|\](?=\({_FOREIGN_ADDRESS})|\](?=:{_FOREIGN_ADDRESS})|\\(?=(?:{_TEX_COMMANDS})(?![A-Za-z]))")
# Compiled when first used, and kept by `re`: it takes too long for an import.
_ACTIVE_CHARACTER = f"(?ai){_ACTIVE}"
_ENTITIES = {"<": "&lt;", "!": "&#33;", "&": "&amp;", "]": "&#93;", "\\": "\\ "}
_DOLLAR = "<span>&#36;</span>"  # the text of an element of its own, which MathJax does not join to a formula
_PUNCTUATION = r"[^A-Za-z0-9 \x80-\U0010ffff]"


def make_harmless(text: str) -> str:
    """Markdown `text` with HTML, linked pictures and links of other schemes than http, https and mailto shown as typed.

    So are the commands of formulas that can do the same, and dollar signs that begin no formula. Code looks as before.
    """
    return "\n".join(_harmless_blocks(text)) if re.search(r"[<&$\]\\]|!\[", text) else text


def _harmless_blocks(text: str) -> Iterator[str]:
    """The fenced code blocks of `text` and what stands between them."""
    lines, paragraph, start = text.split("\n"), [], 0
    while start < len(lines):
        line = lines[start]
        fence = opening_fence(line)
        if fence is None and line.strip(" \t"):
            paragraph.append(line)
            start += 1
            continue
        if paragraph:
            yield _harmless_paragraph("\n".join(paragraph))
            paragraph = []
        if fence is None:
            yield line
            start += 1
        else:
            end = start + 1
            while end < len(lines) and not closes(lines[end], fence):
                end += 1
            yield _harmless_fence(lines[start:end + 1], fence, end < len(lines))
            start = end + 1
    if paragraph:
        yield _harmless_paragraph("\n".join(paragraph))


class Fence(NamedTuple):
    """The beginning of a line that opens a fenced block of code."""

    indent: str
    marks: str  # the backticks or tildes


def opening_fence(line: str) -> Optional[Fence]:
    """What opens a block in `line`, None if nothing does."""
    unindented = line.lstrip(" \t")
    mark = unindented[:1]
    info = unindented.lstrip(mark) if mark in ("`", "~") else unindented
    marks = len(unindented) - len(info)
    if marks < 3 or "`" in info:
        return None
    return Fence(line[:len(line) - len(unindented)], mark * marks)


def closes(line: str, fence: Fence) -> bool:
    """Whether `line` closes the block that `fence` has opened."""
    line = line.strip(" \t\r")
    return line.startswith(fence.marks) and not line.strip("`~")


def _harmless_fence(lines: List[str], fence: Fence, is_closed: bool) -> str:
    whole = "\n".join(lines)
    if not re.search(_ACTIVE_CHARACTER, whole):
        return whole
    code = lines[1:-1] if is_closed else lines[1:]
    unindented = [line[min(len(fence.indent), len(line) - len(line.lstrip(" \t"))):] for line in code]
    ending = "\n" if is_closed and code else ""
    return f"{fence.indent}<pre><code>{escape_punctuation(chr(10).join(unindented) + ending)}</code></pre>"


def _harmless_paragraph(text: str) -> str:
    """A paragraph with its code spans; these are written as entities where they hold something active."""
    shown: List[str] = []
    position = 0
    for start, end, ticks in _code_spans(text):
        span = text[start:end]
        shown.append(_harmless_text(text[position:start]))
        shown.append(f"<code>{escape_punctuation(span[ticks:-ticks])}</code>"
                     if re.search(_ACTIVE_CHARACTER, span) else span)
        position = end
    return "".join([*shown, _harmless_text(text[position:])])


def _code_spans(text: str) -> Iterator[Tuple[int, int, int]]:
    """Where each code span begins and ends, and its number of backticks on either side."""
    runs = [(found.start(), found.end()) for found in re.finditer("`+", text)]
    next_of_length: Dict[int, int] = {}
    closing = [-1] * len(runs)
    for index in range(len(runs) - 1, -1, -1):
        length = runs[index][1] - runs[index][0]
        closing[index] = next_of_length.get(length, -1)
        next_of_length[length] = index
    index = 0
    while index < len(runs):
        if closing[index] >= 0:
            yield runs[index][0], runs[closing[index]][1], runs[index][1] - runs[index][0]
            index = closing[index]
        index += 1


def _harmless_text(text: str) -> str:
    """Text without code: in formulas a space ends what would be active, elsewhere an entity shows it as typed."""
    shown: List[str] = []
    position = 0
    for start, end in _dollar_regions(text):
        shown.append(re.sub(_ACTIVE_CHARACTER, _as_entity, text[position:start]))
        region = text[start:end]
        is_formula = len(region) > 2 and region[-1] == "$"
        shown.append(re.sub(_ACTIVE_CHARACTER, _with_space, region) if is_formula
                     else _DOLLAR * (len(region) - region.count("\\")))
        position = end
    return "".join([*shown, re.sub(_ACTIVE_CHARACTER, _as_entity, text[position:])])


def _as_entity(found: Match[str]) -> str:
    return _ENTITIES[found.group()]


def _with_space(found: Match[str]) -> str:
    return f"{found.group()} "


def _dollar_regions(text: str) -> Iterator[Tuple[int, int]]:
    r"""Where each formula begins and ends, its dollar signs included; and each ``$``, ``$$`` or ``\$`` that is text."""
    marks = [found for found in re.finditer(r"(?s)\\.|\$\$?", text) if found.group()[-1] == "$"]
    last_double = max((index for index, mark in enumerate(marks) if mark.group() == "$$"), default=-1)
    index = 0
    while index < len(marks):
        mark, end = marks[index], index
        if mark.group() == "$$" and index < last_double:
            end = next(later for later in range(index + 1, len(marks)) if marks[later].group() == "$$")
        elif mark.group() == "$":
            later = next((later for later in range(index + 1, len(marks)) if marks[later].group()[0] == "$"), index)
            if marks[later].group() == "$" and _is_formula(text, mark.end(), marks[later].start()):
                end = later
        yield mark.start(), marks[end].end()
        index = end + 1


def _is_formula(text: str, start: int, end: int) -> bool:
    """Whether two dollar signs with `text[start:end]` between them are those of a formula, and not of prices."""
    if end <= start or text[start].isspace() or text[end - 1].isspace() or text[end + 1:end + 2].isdigit():
        return False
    content = text[start:end]
    return not (content[0].isdigit() and re.search(r"\s[^\W\d]{2,}", content) and not re.search(r"[\\^_={}]", content))


def escape_punctuation(text: str) -> str:
    """`text` with every character that Markdown or HTML could interpret written as an entity."""
    return re.sub(_PUNCTUATION, lambda found: f"&#{ord(found.group())};", text)


def code_block(text: str, language: str = "") -> str:
    """A fenced code block, whose fence is longer than any run of backticks in `text`."""
    fence = "`" * (max([2, *map(len, re.findall("`+", text))]) + 1)
    language = re.sub(r"[^\w+#.-]", "", language)
    stripped = text.rstrip("\n")
    return f"{fence}{language}\n{stripped}\n{fence}"


def block_quote(text: str) -> str:
    """Every line of `text` quoted with ``>``."""
    return re.sub("(?m)^", "> ", text)
