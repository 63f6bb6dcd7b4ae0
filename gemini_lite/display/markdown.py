"""What a model said as Markdown that shows it, and does nothing else."""
from __future__ import annotations

import re
from typing import Match

# JupyterLab runs what HTML is in the Markdown of a cell just executed, scripts too, and nbconvert writes it to the
# page; an address of a picture can carry away what was said. A space behind these ends it, in mathematics too.
_ACTIVE = r"<(?=[A-Za-z/!?])|!(?=\[)"
_FENCED = r"^([ \t]*)(`{3,}|~{3,})[^`\n]*\n(.*?)(?:^[ \t]*\2[`~]*[ \t]*$|\Z)"
_SPAN = r"(?<!`)(`{1,9})(?!`)((?:(?!\n[ \t]*\n).)+?)(?<!`)\4(?!`)"
_PIECES = f"(?sm){_FENCED}|{_SPAN}|{_ACTIVE}"  # compiled when first used, and kept by `re`: it takes long
_PUNCTUATION = r"[^A-Za-z0-9 \x80-\U0010ffff]"


def inert(text: str) -> str:
    """`text` with HTML and linked pictures shown as they are written; code looks as before."""
    return re.sub(_PIECES, _harmless, text) if re.search(_ACTIVE, text) else text


def _harmless(piece: Match[str]) -> str:
    whole = piece.group()
    indent, fence, block, _, span = piece.groups()
    if fence is None and span is None:
        return f"{whole} "
    if not re.search(_ACTIVE, whole):
        return whole
    # Programs disagree about where code begins and ends; entities are safe wherever they put them.
    if fence is None:
        return f"<code>{literal(span)}</code>"
    return "%s<pre><code>%s</code></pre>" % (indent, literal(re.sub("(?m)^[ \t]{0,%d}" % len(indent), "", block)))


def literal(text: str) -> str:
    """`text` with all that Markdown or HTML could read as more than text written as entities."""
    return re.sub(_PUNCTUATION, lambda found: f"&#{int(ord(found.group()))};", text)


def code(text: str, language: str = "") -> str:
    """A fenced block."""
    fence = f"{'`' * max([2, *map(len, re.findall('`+', text))])}`"
    return "%s%s\n%s\n%s" % (fence, re.sub(r"[^\w+#.-]", "", language), text.rstrip("\n"), fence)


def quoted(text: str) -> str:
    """A block quote."""
    return re.sub("(?m)^", "> ", text)
