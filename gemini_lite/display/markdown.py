"""A model's text as Markdown that can run nothing and load nothing."""
from __future__ import annotations

import re
from typing import Match

# JupyterLab runs the HTML in the Markdown of a cell that was just executed, scripts too, and nbconvert writes it to the
# page; the address of a picture can carry the text of the conversation to a server. A space behind one of these
# characters ends the element, and does no harm in mathematics.
_ELEMENT_START = r"<(?=[A-Za-z/!?])|!(?=\[)"
_FENCED_CODE = r"^([ \t]*)(`{3,}|~{3,})[^`\n]*\n(.*?)(?:^[ \t]*\2[`~]*[ \t]*$|\Z)"
_CODE_SPAN = r"(?<!`)(`{1,9})(?!`)((?:(?!\n[ \t]*\n).)+?)(?<!`)\4(?!`)"
# Compiled when first used, and kept by `re`: it takes too long for an import.
_CODE_OR_ELEMENT = f"(?sm){_FENCED_CODE}|{_CODE_SPAN}|{_ELEMENT_START}"
_PUNCTUATION = r"[^A-Za-z0-9 \x80-\U0010ffff]"


def html_as_text(text: str) -> str:
    """Markdown `text` with HTML and linked pictures shown as they are written; code looks as before."""
    return re.sub(_CODE_OR_ELEMENT, _element_as_text, text) if re.search(_ELEMENT_START, text) else text


def _element_as_text(found: Match[str]) -> str:
    """The replacement for a piece of code, or for a character that would begin an element."""
    whole = found.group()
    indent, fence, block, _, span = found.groups()
    if fence is None and span is None:
        return f"{whole} "
    if not re.search(_ELEMENT_START, whole):
        return whole
    # Markdown programs disagree about where code begins and ends; entities are safe in either case.
    if fence is None:
        return f"<code>{escape_punctuation(span)}</code>"
    unindented = re.sub(f"(?m)^[ \t]{{0,{len(indent)}}}", "", block)
    return f"{indent}<pre><code>{escape_punctuation(unindented)}</code></pre>"


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
