"""Markdown of a model's words: it shows them, code as it is, and can do nothing else."""
from __future__ import annotations

import html
import random
import re

import pytest

from gemini_lite.display import markdown

ACTIVE = re.compile(r"<[A-Za-z/!?]|!\[")
OURS = re.compile(r"</?(?:pre|code)>")


@pytest.mark.parametrize("text", [
    "plain", "a < b and b > a", "$x < y$", "`a` ``b`c``", "```python\nif a < b:\n    print(a[0] != b)\n```",
    "what! [x](y)",
    "| a | b |\n|---|---|\n| 1 | 2 |", "&lt;b&gt;", "",
])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert markdown.html_as_text(text) == text


@pytest.mark.parametrize("text, shown", [
    ("<script>alert(1)</script>", "< script>alert(1)< /script>"),
    ("x <img src=x onerror=y>", "x < img src=x onerror=y>"),
    ("<!-- a --> <?php ?>", "< !-- a --> < ?php ?>"), ("$a<b$", "$a< b$"), ("<https://a.b>", "< https://a.b>"),
    ("![a](https://a.b/?secret)", "! [a](https://a.b/?secret)"), (r"\![a](b) \<b>", r"\! [a](b) \< b>"),
    ("`` ` <b>", "`` ` < b>"), ("`a\n\n<b>`", "`a\n\n< b>`"),
])
def test_html_and_linked_pictures_are_only_text(text: str, shown: str) -> None:
    assert markdown.html_as_text(text) == shown


@pytest.mark.parametrize("text, code", [
    ("a `<b>` c", "<b>"), ("``a`<i>``", "a`<i>"), ("```html\n<p>*x*\n\n  $y$\n```\nafter", "<p>*x*\n\n  $y$\n"),
    ("1. x\n\n   ```\n   <p>\n     <b>\n   ```\n", "<p>\n  <b>\n"), ("~~~\n<p>\n```\n~~~", "<p>\n```\n"),
    ("```\n<p> still coming", "<p> still coming"),
])
def test_code_with_html_in_it_looks_as_it_was_written(text: str, code: str) -> None:
    found = re.findall("<code>([^<]*)</code>", markdown.html_as_text(text))
    assert [html.unescape(one) for one in found] == [code]
    assert not re.search("[^A-Za-z0-9 &#;]", found[0])


def test_no_text_whatever_gets_an_active_character_through() -> None:
    tokens = ["<", "<b", "<script>", "!", "![", "[x](y)", "`", "``", "```", "~~~", "```html\n", "\n", "\n\n", "    ",
              "> ", "\\", "$", "$$", "a", "&#60;", "<code>", "</code>", "<pre>", "- ", "1. ", "-->", "]]>", "\t", "\r"]
    source = random.Random(1)
    for _ in range(20000):
        text = "".join(source.choices(tokens, k=source.randrange(1, 14)))
        shown = markdown.html_as_text(text)
        assert not ACTIVE.search(OURS.sub(" ", shown)), (text, shown)


@pytest.mark.parametrize("text", ["a", "```", "x ```` y", "", "\n"])
def test_a_fenced_block_holds_any_text(text: str) -> None:
    first, *lines, last = markdown.code_block(text, "python").split("\n")
    assert set(last) == {"`"} and first == last + "python" and last not in "\n".join(lines)
    assert "\n".join(lines) == text.rstrip("\n")


def test_a_language_cannot_leave_its_line() -> None:
    assert markdown.code_block("x", "c++\n<b>`") == "```c++b\nx\n```"


def test_a_quotation_has_all_lines() -> None:
    assert markdown.block_quote("a\n\nb") == "> a\n> \n> b"
