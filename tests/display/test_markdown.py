"""Markdown of a model's words: it shows them, code as it is, and can do nothing else."""
from __future__ import annotations

import html
import random
import re

import pytest
from growth import assert_linear

from gemini_lite.display import markdown

ACTIVE = re.compile(r"<[A-Za-z/!?]|!\[")
OURS = re.compile(r"</?(?:pre|code|span)>")
DOLLAR = "<span>&#36;</span>"


@pytest.mark.parametrize("text", [
    "plain", "a < b and b > a", "$x < y$", "`a` ``b`c``", "```python\nif a < b:\n    print(a[0] != b)\n```",
    "what! [x](y)", "[x](https://a/b?c#d) [y](HTTP://a) [z](mailto:a@b)", "[a]: https://b\n\n[a]",
    "[x](#part) [y](a/b.md)",
    "| a | b |\n|---|---|\n| 1 | 2 |", "&lt;b&gt; &amp; a & b && c", "", "$$\\frac{a}{b}\\n$$", "see [1]: it is so",
    "a[0](x, y)",
    "$5x$ and $10$ and $2\\pi$", "`$5` or `$6`", "```\n$5 or $6\n```",
])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert markdown.make_harmless(text) == text


@pytest.mark.parametrize("text, shown", [
    ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
    ("x <img src=x onerror=y>", "x &lt;img src=x onerror=y>"),
    ("<!-- a --> <?php ?>", "&lt;!-- a --> &lt;?php ?>"), ("$a<b$", "$a< b$"), ("<https://a.b>", "&lt;https://a.b>"),
    ("![a](https://a.b/?secret)", "&#33;[a](https://a.b/?secret)"), (r"\![a](b) \<b>", r"\&#33;[a](b) \&lt;b>"),
    ("`` ` <b>", "`` ` &lt;b>"), ("`a\n\n<b>`", "`a\n\n&lt;b>`"),
])
def test_html_and_linked_pictures_are_shown_as_typed(text: str, shown: str) -> None:
    assert markdown.make_harmless(text) == shown


@pytest.mark.parametrize("text, shown", [
    ("It costs $5 or $6.", f"It costs {DOLLAR}5 or {DOLLAR}6."), ("$5-$6", f"{DOLLAR}5-{DOLLAR}6"),
    ("$1,000", f"{DOLLAR}1,000"),
    ("$5 and it is US$ 6", f"{DOLLAR}5 and it is US{DOLLAR} 6"), (r"\$5 and \$6", f"{DOLLAR}5 and {DOLLAR}6"),
    ("from $5 to 7$ and $x$", f"from {DOLLAR}5 to 7{DOLLAR} and $x$"), ("$a$ costs $5", f"$a$ costs {DOLLAR}5"),
    ("a $$ b", f"a {DOLLAR}{DOLLAR} b"), ("$x", f"{DOLLAR}x"),
])
def test_prices_are_no_formulas(text: str, shown: str) -> None:
    assert markdown.make_harmless(text) == shown


LINKS = ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd",
         "java&#115;cript:x",
         "&#106;avascript:x", "javascript&colon;x", "javascript&#x3a;x", r"javascript\:x", "ftp://a",
         "\x01javascript:x",
         "https:evil", "blob:x", "command:x", "vscode://x", "about:blank", "x-a+b.c:y", "<javascript:x>", "tel:1"]
FRAMES = ["[x]({})", "[x]( {} )", "[x](\n{})", "> [x](\n> {})", "[a]: {}\n\n[a]", "[a]:\n{}\n\n[x][a]",
          "> [a]:\n> {}\n>\n> [a]",
          "![x]({})", "[![x](https://a)]({})", "[x]({} 'title')", "- [x](\n  {})", "[`x`]({})", "[$x$]({})",
          "`a` [x]({}) `b`",
          "| a |\n|---|\n| [x]({}) |", "~~~ a`b\n~~~\n[x]({})", "\\`[x]({})\\`", "    [x]({})", "[x]({}", "# [x]({})",
          "$5 [x]({}) $6",
          "$[x]({})$", "```\n[x]({})", "[a][b] [b]: {}", "[ x\n]({})", "[x](\t{})"]


def rendered_links(text: str) -> "list[str]":
    """The addresses of links and pictures in `text` as markdown-it renders it, with HTML allowed."""
    markdown_it = pytest.importorskip("markdown_it")
    renderer = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    renderer.validateLink = lambda url: True
    found = re.findall(r"(?:href|src)=\"([^\"]*)\"", renderer.render(text))
    return [html.unescape(url) for url in found]


@pytest.mark.parametrize("frame", FRAMES)
def test_no_link_leads_out_of_the_web(frame: str) -> None:
    for link in LINKS:
        for url in rendered_links(markdown.make_harmless(frame.format(link))):
            assert re.match("(?i)https?://|mailto:", url), (frame, link, url)


@pytest.mark.parametrize("frame", FRAMES)
def test_links_into_the_web_stay(frame: str) -> None:
    before = rendered_links(frame.format("https://a/b"))
    assert [url for url in before if url != "https://a"] in ([], ["https://a/b"])
    if "`b" not in frame and "\\`" not in frame:
        shown = rendered_links(markdown.make_harmless(frame.format("https://a/b")))
        assert set(shown) <= set(before) | {"https://a/b"} and bool(shown) == bool(before)


@pytest.mark.parametrize("command", [
    r"\href{javascript:x}{y}", r"\style{position:fixed}{x}", r"\bbox[background:url(https://a)]{x}", r"\class{a}{b}",
    r"\csname href\endcsname{javascript:x}{y}", r"\mmlToken{mi}[href='javascript:x']{x}", r"\require{html}",
    r"\HREF{x}{y}",
    r"\let\a=\href \a{javascript:x}{y}", r"\h&#114;ef{javascript:x}{y}", r"\h&#x72;ef{x}{y}", r"&bsol;href{x}{y}",
    r"&#92;href{x}{y}",
])
@pytest.mark.parametrize("frame",
                         ["${}$", "$${}$$", "\\\\({}\\\\)", "{}", "$5 {} $6", "`a`{}`b`", "`{}`", "```\n{}\n```",
                          "~~~ `\n{}"])
def test_no_formula_runs_a_script_or_loads_a_picture(command: str, frame: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    page = markdown_it.MarkdownIt("commonmark", {"html": True}).render(markdown.make_harmless(frame.format(command)))
    text = html.unescape(re.sub("(?s)<code>.*?</code>|<[^>]*>", "", page))
    assert not re.search(r"(?i)\\(href|style|bbox|class|csname|mmlToken|require)\b", text), (page, text)


@pytest.mark.parametrize("text, code", [
    ("a `<b>` c", "<b>"), ("``a`<i>``", "a`<i>"), ("```html\n<p>*x*\n\n  $y$\n```\nafter", "<p>*x*\n\n  $y$\n"),
    ("1. x\n\n   ```\n   <p>\n     <b>\n   ```\n", "<p>\n  <b>\n"), ("~~~\n<p>\n```\n~~~", "<p>\n```\n"),
    ("```\n<p> still coming", "<p> still coming"), ("`[x](a:b)`", "[x](a:b)"),
])
def test_code_with_html_in_it_looks_as_it_was_written(text: str, code: str) -> None:
    found = re.findall("<code>([^<]*)</code>", markdown.make_harmless(text))
    assert [html.unescape(one) for one in found] == [code]
    assert not re.search("[^A-Za-z0-9 &#;]", found[0])


def test_no_text_whatever_gets_an_active_character_through() -> None:
    tokens = ["<", "<b", "<script>", "!", "![", "[x](y)", "`", "``", "```", "~~~", "```html\n", "\n", "\n\n", "    ",
              "> ", "\\", "$", "$$", "a", "&#60;", "<code>", "</code>", "<pre>", "- ", "1. ", "-->", "]]>", "\t", "\r",
              "[x](", "javascript:a", ")", "[a]:", "\\href", "&colon;", "[", "]", "(", "https://a"]
    source = random.Random(1)
    for _ in range(20000):
        text = "".join(source.choices(tokens, k=source.randrange(1, 14)))
        shown = markdown.make_harmless(text)
        assert not ACTIVE.search(OURS.sub(" ", shown)), (text, shown)
        if "javascript" in shown:
            schemes = [url for url in rendered_links(shown) if re.match(r"(?i)[\x00-\x20]*[a-z]+:(?!//)", url)]
            assert not schemes, (text, shown)


@pytest.mark.parametrize("line", [
    "~", "~`", "`", "` `` ", "```\n", "`a\n\n", "\n ", " ", "<a", "$", "$a ", "$$ ", "\\$", "](", "]:", "](  ", "](]:>",
    "&#", "&a", "\\\\",
    "~~~\n", "~" * 200 + "`x\n", " " * 50 + "~~~\na\n", "[x](javascript:", "\\href", "`" * 9 + "a", "$1 a", "[", "> ",
    "](a", "!["])
def test_text_is_made_harmless_in_linear_time(line: str) -> None:
    assert_linear(lambda n: line * (n // len(line) + 1) + "<a", markdown.make_harmless, 1000)
    assert_linear(lambda n: line * (n // len(line) + 1), lambda text: markdown.code_block(markdown.block_quote(text)),
                  1000)


@pytest.mark.parametrize("text", ["a", "```", "x ```` y", "", "\n"])
def test_a_fenced_block_holds_any_text(text: str) -> None:
    first, *lines, last = markdown.code_block(text, "python").split("\n")
    assert set(last) == {"`"} and first == last + "python" and last not in "\n".join(lines)
    assert "\n".join(lines) == text.rstrip("\n")


def test_a_language_cannot_leave_its_line() -> None:
    assert markdown.code_block("x", "c++\n<b>`") == "```c++b\nx\n```"


def test_a_quotation_has_all_lines() -> None:
    assert markdown.block_quote("a\n\nb") == "> a\n> \n> b"
