"""The page of the web examples: its Markdown script builds elements and nothing else, whatever a model writes."""
from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
PAGES = [EXAMPLES / "templates" / "chat.html", EXAMPLES / "django_app" / "templates" / "chat.html"]
pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="there are no examples here")
node = pytest.mark.skipif(not shutil.which("node"), reason="needs node")

ALLOWED = set("p h2 h3 h4 h5 h6 ul ol li pre code blockquote table thead tbody tr th td div strong em s a br hr"
              .split())
ATTRIBUTES = {"a": {"href", "rel", "target"}, "ol": {"start"}, "div": {"class"}, "th": {"class"}, "td": {"class"}}

# A document that knows elements, children and attributes; whatever else a script touches is an error.
DOM = """
class Element {
  constructor(name) { this.data = {name, attributes: {}, children: []}; }
  append(...children) { this.data.children.push(...children.map(one => typeof one === "string" ? one : one.data)); }
  setAttribute(name, value) { this.data.attributes[name] = value; }
}
const strict = target => new Proxy(target, {
  get(object, name) {
    if (!(name in object)) throw new Error("read " + String(name));
    return typeof object[name] === "function" ? object[name].bind(object) : object[name];
  },
  set(object, name) { throw new Error("wrote " + String(name)); },
});
const document = strict({createElement: name => strict(new Element(name))});
"""
RUN = """
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(texts.map(text => markdown(text).map(one => typeof one === "string" ? one : one.data))));
"""
TIME = """
const make = {MAKE};
const seconds = size => { const text = make(size), start = process.cpuUsage(); markdown(text);
                          const used = process.cpuUsage(start); return (used.user + used.system) / 1e6; };
for (let i = 0; i < 20; i++) seconds(2000);
console.log(JSON.stringify([Math.min(...[0, 1, 2, 3, 4].map(() => seconds(3000))), seconds(300000)]));
"""


def script() -> str:
    found = re.search(r'<script nonce="{{ nonce }}" id="markdown">\n(.*?)</script>', PAGES[0].read_text("utf-8"), re.S)
    assert found
    return found.group(1)


def run(program: str, given: str = "") -> Any:
    done = subprocess.run(["node", "-e", DOM + script() + program], input=given, stdout=subprocess.PIPE,
                          encoding="utf-8",
                          check=True, timeout=60)
    return json.loads(done.stdout)


def elements(tree: Any) -> List[Dict[str, Any]]:
    if isinstance(tree, str):
        return []
    if isinstance(tree, list):
        return [found for one in tree for found in elements(one)]
    return [tree, *elements(tree["children"])]


def outline(tree: Any) -> str:
    """The tree as text: ``p[a strong[b]]``."""
    if isinstance(tree, list):
        return " ".join(outline(one) for one in tree)
    return tree if isinstance(tree, str) else f"{tree['name']}[{outline(tree['children'])}]"


def check_harmless(tree: Any) -> None:
    for one in elements(tree):
        assert one["name"] in ALLOWED, one["name"]
        assert set(one["attributes"]) <= ATTRIBUTES.get(one["name"], set())
        assert re.match(r"(?i)https?://|mailto:", one["attributes"].get("href", "https://")), one


@node
@pytest.mark.parametrize("text, expected", [
    ("Hi **there** *you* `a<b` ~~x~~", "p[Hi  strong[there]   em[you]   code[a<b]   s[x]]"),
    ("# A\ntext\nmore", "h2[A] p[text br[] more]"), ("- a\n- b\n  - c\n\nend", "ul[li[a] li[b ul[li[c]]]] p[end]"),
    ("1. a\n2. b", "ol[li[a] li[b]]"), ("> q\n> r", "blockquote[p[q br[] r]]"),
    ("```py\n<b>\n  x\n```\nend", "pre[code[<b>\n  x]] p[end]"), ("```\nstill", "pre[code[still]]"),
    ("| a | b |\n|---|--:|\n| 1 | **2** |", "div[table[thead[tr[th[a] th[b]]] tbody[tr[td[1] td[strong[2]]]]]]"),
    ("[x](https://a/b) and https://c.d/e.", "p[a[x]  and  a[https://c.d/e] .]"), ("[x](mailto:a@b)", "p[a[x]]"),
    ("<script>alert(1)</script>", "p[<script>alert(1)</script>]"), ("2 * 3 * 4", "p[2 * 3 * 4]"),
    ("snake_case_name", "p[snake_case_name]"), ("\\*a\\*", "p[* a *]"), ("a\n\n---\n\nb", "p[a] hr[] p[b]"),
    ("![x](https://a/b.png)", "p[! a[x]]"), ("[x](javascript:alert(1))", "p[[x](javascript:alert(1))]"), ("", ""),
])
def test_markdown_becomes_elements(text: str, expected: str) -> None:
    assert outline(run(RUN, json.dumps([text]))[0]) == expected


@node
def test_the_columns_of_a_table_stand_where_its_second_line_says() -> None:
    table = run(RUN, json.dumps(["| a | b | c |\n|:--|--:|:-:|\n| 1 | 2 | 3 | 4 |"]))
    cells = [one for one in elements(table) if one["name"] in ("th", "td")]
    assert [one["attributes"].get("class") for one in cells] == [None, "right", "center", None, "right", "center", None]


@node
def test_no_text_whatever_becomes_more_than_harmless_elements() -> None:
    tokens = ["<script>", "<img src=x onerror=y>", "[x](javascript:y)", "[x](JAVASCRIPT:y)", "[x](https://a)", "[x](",
              ")", "[", "]",
              "(", "javascript:", "data:text/html,x", "vbscript:", "https://", "http://a.b", "mailto:",
              "&#106;avascript:", "\\",
              "`", "```", "```\n", "~~~", "**", "*", "__", "_", "~~", "\n", "\n\n", "    ", "- ", "1. ", "> ", "# ",
              "|a|b|\n|-|-|\n",
              "|", "---", "a", "\t", "\r", "\x00", "\u2028", "\ud83d\ude00", "__proto__", "constructor",
              "[x](https://a\" onclick=y)"]
    source = random.Random(3)
    texts = ["".join(source.choices(tokens, k=source.randrange(1, 20))) for _ in range(5000)]
    trees = run(RUN, json.dumps(texts))
    seen = set()
    for tree in trees:
        check_harmless(tree)
        seen.update(one["name"] for one in elements(tree))
    assert seen >= {"a", "code", "pre", "table", "blockquote", "strong", "em", "h2", "ul", "ol", "hr"}


@node
@pytest.mark.parametrize("make", [
    "n => '*'.repeat(n)", "n => '**a'.repeat(n / 3)", "n => '`'.repeat(n)", "n => '['.repeat(n)",
    "n => '[a]('.repeat(n / 4)",
    "n => '[a](https://'.repeat(n / 12)", "n => 'https://'.repeat(n / 8)", "n => 'https://' + '.'.repeat(n)",
    "n => '> '.repeat(n / 2)",
    "n => '- '.repeat(n / 2)", "n => '- a\\n'.repeat(n / 4)", "n => '|'.repeat(n) + '\\n|-|'",
    "n => '~'.repeat(n) + '`'",
    "n => '```\\n'.repeat(n / 4)", "n => '\\n'.repeat(n)", "n => ' '.repeat(n) + 'x'", "n => '_a '.repeat(n / 3)",
    "n => '|a|\\n|-|\\n'.repeat(n / 8)", "n => '#'.repeat(n)", "n => '  '.repeat(40).concat('- a\\n').repeat(n / 84)",
    "n => '\\\\'.repeat(n)",
    "n => 'word '.repeat(n / 5)", "n => '- - - '.repeat(n / 6) + 'x'", "n => '[' + 'a'.repeat(n)",
], ids=range(24))
def test_the_script_takes_linear_time(make: str) -> None:
    small, large = run(TIME.replace("{MAKE}", make))
    assert large < 0.05 or large / max(small, 1e-5) < 1000


def test_the_page_has_no_way_for_html_to_come_in() -> None:
    text = PAGES[0].read_text("utf-8")
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "srcdoc"):
        assert f"{word}" not in re.sub("//.*", "", text), word
    assert not re.findall(r"\son\w+=", re.sub(r"(?s)<script.*?</script>", "", text)), "a handler in HTML"
    assert text.count("<script") == text.count('<script nonce="{{ nonce }}"') and 'style="' not in text


def test_each_example_has_the_page_of_its_own_and_both_are_the_same() -> None:
    assert PAGES[0].read_bytes() == PAGES[1].read_bytes()


def test_the_page_of_flask_is_sent_with_a_policy_and_a_nonce_of_its_own(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("flask")
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("CHAT_DATA", str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import flask_app  # type: ignore[import-not-found]
    browser = flask_app.app.test_client()
    pages = [browser.get("/") for _ in range(2)]
    nonces = [re.findall(r"script-src 'nonce-([\w-]{20,})'", page.headers["Content-Security-Policy"]) for page in pages]
    assert nonces[0] != nonces[1] and "default-src 'none'" in pages[0].headers["Content-Security-Policy"]
    assert set(re.findall(r'nonce="([^"]*)"', pages[0].text)) == set(nonces[0])
