"""Pages of answers: what part dicts show, in which order, and what stands under them."""
from __future__ import annotations

import base64
import random
from typing import Any, Iterable, List, Optional, Tuple

import pytest

from gemini_lite.display.pages import Page, answer_page
from gemini_lite.display.pieces import tool_result_pieces
from gemini_lite.media import Blob

PNG = b"\x89PNG\r\n\x1a\n"
PNG_PART = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}


def pcm(data: bytes) -> Any:
    return {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": base64.b64encode(data).decode()}}


def page(
    *parts: Any, reason: Optional[str] = "STOP", blocked: Optional[str] = None, sources: Iterable[Tuple[str, str]] = (),
) -> Page:
    """The page of these parts, of which a string is a text part."""
    dicts = [{"text": part} if isinstance(part, str) else part for part in parts]
    return answer_page(dicts, {"wire_name": "my.tool"}, finish_reason=reason, block_reason=blocked, sources=sources)


@pytest.mark.parametrize("answer, shown", [
    (page("**Hi**"), "**Hi**"), (page("a", "b"), "ab"),
    (page({"text": "Hm\nso", "thought": True}, "Yes"), "> Hm\n> so\n\nYes"),
    (page({"functionCall": {"name": "wire_name", "args": {"city": "Paris", "n": 1}}}),
     "```\nmy.tool(city='Paris', n=1)\n```"),
    (page("So:", {"executableCode": {"language": "PYTHON", "code": "print(1)\n"}},
          {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}, "One."),
     "So:\n\n```python\nprint(1)\n```\n\n```\n1\n```\n\nOne."),
    (page({"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}}), "```\nOUTCOME_FAILED\nno\n```"),
    (page({"fileData": {"fileUri": "https://a/b"}}), "```\nhttps://a/b\n```"),
    (page("Hel", reason="MAX_TOKENS"), "Hel\n\n*The answer ended early: MAX_TOKENS.*"),
    (page(reason="SAFETY"), "*The answer ended early: SAFETY.*"),
    (page(reason=None, blocked="OTHER"), "*The prompt was blocked: OTHER.*"),
    (page(), "*The answer is empty.*"), (page({"text": "", "thoughtSignature": "s"}), "*The answer is empty.*"),
    (page(reason=None), "*The answer is empty.*"),
    (page("<script>x</script>"), "&lt;script>x&lt;/script>"),
    (page({"text": "<b>", "thought": True}), "> &lt;b>"),
])
def test_an_answer_is_markdown_and_never_nothing(answer: Page, shown: str) -> None:
    assert answer.markdown == answer.bundle["text/markdown"] == shown
    assert answer.bundle["text/plain"] and set(answer.bundle) == {"text/markdown", "text/plain"}


def test_the_plain_form_of_text_is_the_text_as_it_came() -> None:
    assert page("a <b> `<i>`").bundle["text/plain"] == "a <b> `<i>`"


def test_sources_stand_under_the_answer_once_each_and_cannot_be_more_than_links() -> None:
    web = ("a.org", "https://a.org/x(1)?q=a b")
    shown = page("Yes so", sources=[web, web, ("](x) <b>", "javascript:alert(1)"), ("", "https://b.org")])
    assert shown.markdown == (
        "Yes so\n\nSources:\n\n1. [a&#46;org](https://a.org/x%281%29?q=a%20b)\n1. &#93;&#40;x&#41; &#60;b&#62;\n"
        "1. [https&#58;&#47;&#47;b&#46;org](https://b.org)")


def test_text_and_files_are_outputs_of_their_own_in_order() -> None:
    outputs = page("A cat:", PNG_PART, "And a ", "sound:", pcm(b"\1\0"), pcm(b"\2\0")).outputs
    assert [next(iter(output._repr_mimebundle_())) for output in outputs] == [
        "text/markdown", "image/png", "text/markdown", "text/html"]
    assert str(outputs[2]) == "And a sound:"
    assert outputs[1::2] == [Blob("image/png", PNG), Blob("audio/L16;rate=24000", b"\1\0\2\0")]


def test_a_page_as_one_output_names_its_files() -> None:
    assert page("A cat:", PNG_PART).bundle == {
        "text/markdown": "A cat:\n\n```\nBlob('image/png', 8 bytes)\n```",
        "text/plain": "A cat:\n\nBlob('image/png', 8 bytes)"}


def test_a_page_of_one_file_is_that_file() -> None:
    assert page(PNG_PART).bundle == Blob("image/png", PNG)._repr_mimebundle_()


def test_the_results_of_tools_are_code_and_long_ones_are_cut() -> None:
    shown = Page().add(tool_result_pieces([("add", {"result": "\xe9"}), ("long", {"result": "x" * 999})])).markdown
    assert shown.startswith('```\nadd -> {"result": "\xe9"}\n```\n\n```\nlong -> ')
    assert shown.endswith("x...\n```") and len(shown) < 600


@pytest.mark.parametrize("part", [
    {}, {"text": 5}, {"functionCall": []}, {"functionCall": {"name": 5, "args": []}}, {"inlineData": {"data": "x"}},
    {"executableCode": {"code": 5, "language": []}}, {"codeExecutionResult": {"outcome": {}}}, {"fileData": {"x": 1}},
])
def test_a_part_of_another_shape_than_documented_is_no_error(part: Any) -> None:
    assert page("before", part, "after").markdown.startswith("before")


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = {"a": [value]}
    return value


ODD: List[Any] = [None, True, 0, -1, 1e308, 10 ** 5000, "", "x", "\ud800", [], {}, [None], {"": None}, deep(700), b"x",
                  "=" * 99]
KEYS = ["inlineData", "text", "thought", "functionCall", "executableCode", "codeExecutionResult", "fileData",
        "functionResponse",
        "name", "args", "mimeType", "data", "code", "language", "outcome", "output", "fileUri", "response"]


def test_any_part_whatever_is_shown() -> None:
    source = random.Random(2)
    for _ in range(5000):
        part = {name: source.choice([*ODD, {inner: source.choice(ODD) for inner in source.sample(KEYS, 3)}])
                for name in source.sample(KEYS, 3)}
        page = answer_page([part], {}, finish_reason=source.choice([None, "STOP", "x"]))
        assert len(page.markdown) + len(str(page.bundle)) < 100000
