"""Answers in a real kernel, and the example executed by one: by hand, tox -e notebook."""
from __future__ import annotations

import html.parser
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Set

import nbconvert
import nbformat
import pytest
from jupyter_client.manager import KernelManager

from gemini_lite.display import markdown
from gemini_lite.testing import FakeGemini

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLE, TOOL = ROOT / "examples" / "notebook.ipynb", ROOT / "tools" / "run_notebook.py"
Message = Dict[str, Any]
SSE = {"Content-Type": "text/event-stream"}
SLOW_DISPLAY = """
import time
publisher = type(get_ipython().display_pub)
def publish(*args, publish=publisher.publish, **named):
    publish(*args, **named)
    time.sleep(0.5)
publisher.publish = publish
"""
SHOWN = ("display_data", "update_display_data", "execute_result", "stream", "error")


class Kernel:
    """A kernel with a client made in it, and what it sends while it runs a cell."""

    def __init__(self, url: str) -> None:
        self.manager = KernelManager()
        environment = {**os.environ, "GEMINI_API_KEY": "test-key", "GOOGLE_GEMINI_BASE_URL": url}
        self.manager.start_kernel(env=environment)
        self._client = self.manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self.run("from gemini_lite import GeminiClient\nclient = GeminiClient(retries=0)\nchat = client.chat()")

    def close(self) -> None:
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str, heard: Callable[[Message], None] = lambda message: None) -> List[Message]:
        """All that a cell with this code shows, in order; `heard` is told at once."""
        ran, until = self._client.execute(code), time.monotonic() + 60
        found: List[Message] = []
        while True:
            message = self._client.get_iopub_msg(timeout=until - time.monotonic())
            if message["parent_header"].get("msg_id") != ran:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return found
            if message["msg_type"] in SHOWN:
                found.append(message)
                heard(message)


@pytest.fixture
def kernel(fake: FakeGemini) -> Iterator[Kernel]:
    made = Kernel(fake.url)
    yield made
    made.close()


def events(*texts: str) -> List[bytes]:
    """A stream of these texts."""
    reasons = [None] * (len(texts) - 1) + ["STOP"]
    return [b"data: %b\n\n" % json.dumps({"candidates": [{
        "content": {"role": "model", "parts": [{"text": text}]}, **({"finishReason": reason} if reason else {}),
    }]}).encode() for text, reason in zip(texts, reasons)]


def text(message: Message) -> str:
    """What a message shows: Markdown, else plain text."""
    content = message["content"]
    data = content.get("data", {})
    return str(data.get("text/markdown") or data.get("text/plain") or content.get("text") or content.get("ename"))


def kinds(messages: List[Message]) -> List[str]:
    return [message["msg_type"] for message in messages]


def test_an_answer_is_a_numbered_output_of_markdown(fake: FakeGemini, kernel: Kernel) -> None:
    fake.reply("**Hi** <b>")
    [message] = kernel.run("client.generate('Hi')")
    assert message["msg_type"] == "execute_result"
    assert message["content"]["data"] == {"text/markdown": "**Hi** &lt;b>", "text/plain": "**Hi** <b>"}


def test_text_and_pictures_are_outputs_of_their_own(fake: FakeGemini, kernel: Kernel) -> None:
    fake.reply("A square:", {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}, "There.")
    messages = kernel.run("answer = client.generate('Draw')\nanswer")
    assert [(message["msg_type"], next(iter(message["content"]["data"]))) for message in messages] == [
        ("display_data", "text/markdown"), ("display_data", "image/png"), ("display_data", "text/markdown")]
    assert [text(message) for message in kernel.run("answer.images[0], answer.text; answer.images[0]")] \
        == ["Blob('image/png', 4 bytes)"]


def test_a_stream_grows_under_its_cell_while_the_loop_of_the_kernel_runs(fake: FakeGemini, kernel: Kernel) -> None:
    words = ["word%d " % number for number in range(12)]
    fake.raw(*events(*words), headers=SSE, delay=0.05)
    messages = kernel.run("import asyncio\nloop = asyncio.get_running_loop()\nawait asyncio.sleep(0)\n"
                          "chat.send_message_stream('Go').display()\nprint(loop.is_running(), len(chat.history))")
    assert kinds(messages)[0] == "display_data" and kinds(messages)[-1] == "stream"
    assert set(kinds(messages)[1:-1]) == {"update_display_data"}
    assert len({message["content"]["transient"]["display_id"] for message in messages[:-1]}) == 1
    shown = [text(message) for message in messages[:-1]]
    assert len(shown) >= 3 and all(later.startswith(sooner) for sooner, later in zip(shown, shown[1:]))
    assert shown[-1] == "".join(words) and text(messages[-1]) == "True 2\n"


def test_a_fast_stream_updates_ten_times_a_second_at_most(fake: FakeGemini, kernel: Kernel) -> None:
    fake.reply(*["word "] * 5000)
    messages = kernel.run("client.stream('Go').display()")
    began, ended = [message["header"]["date"] for message in (messages[0], messages[-1])]
    assert len(messages) <= 4 + (ended - began).total_seconds() / 0.1
    assert text(messages[-1]) == "word " * 5000


def test_an_interrupt_leaves_the_text_the_history_and_a_usable_client(fake: FakeGemini, kernel: Kernel) -> None:
    fake.raw(*events("The beginning ", "and the end"), headers=SSE, delay=300)
    cell = "chat.send_message_stream('Tell').display()"
    kernel.run(SLOW_DISPLAY)  # so that the interrupt comes while the text is being shown
    began = time.monotonic()
    messages = kernel.run(cell, lambda message: kernel.manager.interrupt_kernel() if "begin" in text(message) else None)
    assert time.monotonic() - began < 60
    assert kinds(messages) == ["display_data", *["update_display_data"] * (len(messages) - 2), "error"]
    assert {text(message) for message in messages[:-1]} == {"The beginning "}
    assert [text(message) for message in kernel.run("chat.history, chat")] == ["([], <Chat: 0 turns>)"]
    fake.reply("The beginning ", "and the end")
    assert text(kernel.run(cell)[-1]) == "The beginning and the end"
    assert text(kernel.run("len(chat.history)")[0]) == "2"


def test_a_failed_call_is_one_block_with_its_traceback_folded_below(fake: FakeGemini, kernel: Kernel) -> None:
    fake.error(404, "no <b>such</b> model")
    kernel.run("from gemini_lite.display.kernel import prepare_kernel\nprepare_kernel()\nprepare_kernel()")
    messages = kernel.run("client.generate('Hi')")
    assert kinds(messages) == ["display_data", "error"]
    block, error = messages
    page = block["content"]["data"]["text/html"]
    assert "<strong>NotFoundError</strong>" in page and "&lt;b&gt;such&lt;/b&gt;" in page and "<b>" not in page
    assert page.index("no &lt;b") < page.index("<details>") < page.index("Traceback (most recent call last)")
    assert error["content"]["traceback"] == ["NotFoundError: the message stands above"]


def test_a_wait_is_one_output_that_counts_down_and_is_empty_at_the_end(fake: FakeGemini, kernel: Kernel) -> None:
    fake.error(503, "busy", headers={"Retry-After": "1.5"})
    fake.reply("Here")
    kernel.run("from gemini_lite.display.kernel import prepare_kernel\nprepare_kernel()\n"
               "client = GeminiClient(retries=1)")
    shown = [text(message) for message in kernel.run("client.stream('Hi').display()")]
    assert shown[0].startswith("waiting 2 s before try 2") and shown[-1] == "Here" and "None" in shown
    logged = kernel.run("import logging\nlogging.getLogger('gemini_lite').handlers")
    assert text(logged[0]).count("WaitHandler") == 1


def test_an_interrupt_ends_the_output_of_a_wait(fake: FakeGemini, kernel: Kernel) -> None:
    fake.error(503, "busy", headers={"Retry-After": "30"})
    kernel.run("client = GeminiClient(retries=1)")
    kernel.run("client.generate('Hi')",
               lambda message: kernel.manager.interrupt_kernel() if "waiting" in text(message) else None)
    counting = "import threading\n[one.name for one in threading.enumerate() if 'count_down' in one.name]"
    assert [text(message) for message in kernel.run(counting)] == ["[]"]


def test_an_interrupt_before_the_first_event_shows_nothing_and_keeps_nothing(fake: FakeGemini, kernel: Kernel) -> None:
    fake.raw(b"", b"late", delay=300)

    def interrupt(message: Message) -> None:
        until = time.monotonic() + 60
        while not fake.requests and time.monotonic() < until:
            time.sleep(0.01)
        if "asking" in text(message):
            kernel.manager.interrupt_kernel()

    shown = kernel.run("print('asking')\nchat.send_message('Tell')", interrupt)
    assert [text(message) for message in shown] == ["asking\n", "KeyboardInterrupt"]
    fake.reply("Here")
    assert text(kernel.run("chat.send_message('Tell')")[0]) == "Here"


def test_a_failure_in_mid_stream_leaves_the_text_and_is_the_error_of_the_cell(
    fake: FakeGemini, kernel: Kernel,
) -> None:
    fake.raw(*events("Once", "more")[:1], headers=SSE, cut=True)
    messages = kernel.run("client.stream('Tell').display()")
    assert kinds(messages) == ["display_data", "display_data", "error"] and text(messages[0]) == "Once"
    assert text(messages[1]).startswith("TransportError: ")


def test_tools_are_shown_as_they_run_and_use_the_kernel(fake: FakeGemini, kernel: Kernel) -> None:
    fake.reply(FakeGemini.call("add", {"a": 1, "b": 2}))
    fake.reply("It is 3.")
    messages = kernel.run("def add(a: int, b: int) -> int:\n    'Add.'\n    print('adding')\n    return a + b\n"
                          "chat.send_message_stream('1+2?', tools=[add]).display()")
    assert kinds(messages)[:2] == ["display_data", "stream"]
    assert text(messages[-1]) == '```\nadd(a=1, b=2)\n```\n\n```\nadd -> {"result": 3}\n```\n\nIt is 3.'


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: Set[str] = set()
        self.attributes: Set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_whatever_a_model_says_becomes_no_element_that_acts() -> None:
    render = nbconvert.filters.markdown2html
    tokens = ["<script>", "<img src=x onerror=y>", "<b onclick=z", ">", "!", "![a](http://x/y)", "[x]: http://x/y\n",
              "![x]", "`", "``", "```", "```html\n", "~~~\n", "\n", "\n\n", "    ", "> ", "- ", "1. ", "\\", "$", "$$",
              "word ", "&#60;", "<pre>", "<code>", "</code>", "</pre>", "<!--", "-->", "|a|b|\n|-|-|\n", "*", "_"]
    source, seen, marked = random.Random(2), Tags(), Tags()
    for _ in range(4000):
        said = "".join(source.choices(tokens, k=source.randrange(1, 16)))
        seen.feed(render(said))
        marked.feed(render(markdown.make_harmless(said)))
    assert {"script", "img"} <= seen.found and "onerror" in seen.attributes
    assert not marked.found & {"script", "img", "b"} and not marked.attributes & {"onerror", "onclick", "src"}


def steady(book: Any) -> str:
    """A notebook as text, without the rate of a run and the number of a system's error."""
    return re.sub(r"[\d,]+/s|\[Errno \d+\]", "", nbformat.writes(book))


def test_the_example_runs_in_a_kernel_and_has_the_outputs_of_its_cells(tmp_path: pathlib.Path) -> None:
    subprocess.run([sys.executable, str(TOOL), str(tmp_path / "new.ipynb")], check=True, timeout=240)
    kept, book = [nbformat.read(path, as_version=4) for path in (EXAMPLE, tmp_path / "new.ipynb")]
    nbformat.validate(book)
    assert steady(kept) == steady(book), f"run {TOOL}, and look at what changes"

    def outputs(words: str) -> List[Any]:
        [found] = [cell.outputs for cell in book.cells if cell.cell_type == "code" and words in cell.source]
        return list(found)

    assert [out.output_type for out in outputs('client.generate("What are')] == ["execute_result"]
    assert "| Planet |" in outputs("stream.display()")[0].data["text/markdown"]
    assert outputs("include_thoughts")[0].data["text/markdown"].startswith("> **Reading")
    assert "get_weather(city='demo')" in outputs("def get_weather")[0].data["text/markdown"]
    assert "Person(name='demo'" in outputs("class Person")[0].data["text/plain"]
    assert [next(iter(out.data)) for out in outputs("as a woodcut")] == ["text/markdown", "image/png"]
    assert [sorted(out.data)[0] for out in outputs("speechConfig")] == ["text/markdown", "text/html"]
    assert "<progress" in outputs("client.map")[0].data["text/html"]
    assert outputs("nobody.generate")[0].text.startswith("TransportError\n")
    exporter: Any = nbconvert.HTMLExporter
    page, _ = exporter().from_notebook_node(book)
    assert "<audio controls" in page and 'src="data:image/png;base64,' in page
