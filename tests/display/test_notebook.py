"""Answers in a notebook: what is shown, in which order, how often; by a stand-in for IPython's display."""
from __future__ import annotations

import ast
import base64
import json
import pathlib
import re
import sys
import types
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import pytest
from ipython_stand_in import Cell, notebook_cell, stand_in

from gemini_lite import GeminiClient, GeminiError, GenerateContentResponse, IncompleteError, Stream, StreamChunk, demo
from gemini_lite.display import notebook
from gemini_lite.response import AnswerFormat
from gemini_lite.testing import FakeGemini

EXAMPLE = pathlib.Path(__file__).parent.parent.parent / "examples" / "notebook.ipynb"
PNG = b"\x89PNG\r\n\x1a\n"
PNG_PART = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}


def pcm(data: bytes) -> Dict[str, Any]:
    return {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": base64.b64encode(data).decode()}}


def answer(*parts: Any, reason: Optional[str] = "STOP", **fields: Any) -> GenerateContentResponse:
    parts_given = [{"text": part} if isinstance(part, str) else part for part in parts]
    candidate = {"content": {"role": "model", "parts": parts_given}, "finishReason": reason, **fields}
    return GenerateContentResponse({"candidates": [candidate]}, AnswerFormat(None, {"wire_name": "my.tool"}))


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    return notebook_cell(monkeypatch)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """The time as the display sees it: it stands still, and ``clock(seconds)`` moves it on."""
    now = [1000.0]
    monkeypatch.setattr(notebook, "time", types.SimpleNamespace(monotonic=lambda: now[0]))

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    yield pass_by


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No IPython, wherever these tests run."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))


# An answer

@pytest.mark.parametrize("response, shown", [
    (answer("**Hi**"), "**Hi**"), (answer("Hel", reason="MAX_TOKENS"), "Hel\n\n*The answer ended early: MAX_TOKENS.*"),
    (answer({"functionCall": {"name": "wire_name", "args": {"n": 1}}}), "```\nmy.tool(n=1)\n```"),
    (GenerateContentResponse({"promptFeedback": {"blockReason": "OTHER"}}), "*The prompt was blocked: OTHER.*"),
    (GenerateContentResponse({}), "*The answer is empty.*"),
])
def test_a_response_is_shown_as_the_page_of_its_parts(response: GenerateContentResponse, shown: str) -> None:
    assert response._repr_markdown_() == shown
    bundle = response._repr_mimebundle_()
    assert bundle["text/markdown"] == shown and bundle["text/plain"] and set(bundle) == {"text/markdown", "text/plain"}


def test_the_sources_of_a_response_stand_under_it_once_each() -> None:
    web = [{"web": {"title": "a.org", "uri": "https://a.org/x"}}]
    supports = [{"groundingChunkIndices": [0], "segment": {"text": one}} for one in ("Yes", "so")]
    shown = answer("Yes so", groundingMetadata={"groundingChunks": web, "groundingSupports": supports})
    assert shown._repr_markdown_() == "Yes so\n\nSources:\n\n1. [a&#46;org](https://a.org/x)"


def test_text_and_files_are_outputs_of_their_own_in_order(cell: Cell) -> None:
    response = answer("A cat:", PNG_PART, "And a ", "sound:", pcm(b"\1\0"), pcm(b"\2\0"))
    response._ipython_display_()
    kinds = [next(iter(output)) for output in cell.outputs]
    assert kinds == ["text/markdown", "image/png", "text/markdown", "text/html"]
    assert cell.outputs[2]["text/markdown"] == "And a sound:"
    assert [file.data for file in response.audio] == [b"\1\0\2\0"]


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace()])
def test_elsewhere_and_for_one_output_ipython_asks_for_the_bundle(
    monkeypatch: pytest.MonkeyPatch, cell: Cell, shell: Any,
) -> None:
    with pytest.raises(NotImplementedError):
        answer("Hi")._ipython_display_()
    stand_in(monkeypatch, shell)
    mixed = answer("A cat:", PNG_PART)
    with pytest.raises(NotImplementedError):
        mixed._ipython_display_()
    assert mixed._repr_mimebundle_()["text/plain"] == "A cat:\n\nBlob('image/png', 8 bytes)"
    assert cell.messages == []


# A stream

Connected = Callable[..., GeminiClient]


def before_each(stream: Stream, do: Callable[[], None]) -> Stream:
    """`stream`, which does this before each chunk."""
    class Watched(Stream):
        def __next__(self) -> StreamChunk:
            do()
            return super().__next__()

    stream.__class__ = Watched
    return stream


def test_a_stream_grows_in_one_output(fake: FakeGemini, client: Connected, cell: Cell,
                                      clock: Callable[[float], None]) -> None:
    fake.reply("Once ", "upon ", "a time")
    stream = before_each(client(fake).stream("Tell"), lambda: clock(1))
    assert stream.display() is None  # type: ignore[func-returns-value]
    assert [(message.new, message.number, message.text) for message in cell.messages] == [
        (True, 0, "Once "), (False, 0, "Once upon "), (False, 0, "Once upon a time")]
    assert stream.response.text == "Once upon a time"


def test_events_that_come_faster_than_a_tenth_of_a_second_share_an_update(
    fake: FakeGemini, client: Connected, cell: Cell, clock: Callable[[float], None],
) -> None:
    fake.reply(*["word "] * 100)
    before_each(client(fake).stream("Tell"), lambda: clock(0.01)).display()
    assert 10 <= len(cell.messages) <= 12
    assert cell.outputs == [{"text/markdown": "word " * 100, "text/plain": "word " * 100}]


def test_the_cost_of_a_long_answer_is_in_proportion_to_the_time_it_takes(
    fake: FakeGemini, client: Connected, cell: Cell, clock: Callable[[float], None],
) -> None:
    fake.reply(*["x" * 1000] * 500)
    before_each(client(fake).stream("Tell"), lambda: clock(0.1)).display()
    assert sum(len(message.text) for message in cell.messages) < 2 * 100000 * 50 + 500000
    assert len(cell.outputs[0]["text/markdown"]) == 500000


def test_the_end_and_the_sources_come_at_once(fake: FakeGemini, client: Connected, cell: Cell,
                                              clock: Callable[[float], None]) -> None:
    grounding = {"groundingChunks": [{"web": {"title": "t", "uri": "https://a"}}]}
    fake.reply("a", "b", "c", groundingMetadata=grounding)
    client(fake).stream("Hi").display()
    assert [message.text for message in cell.messages] == ["a", "abc", "abc\n\nSources:\n\n1. [t](https://a)"]


def test_a_file_is_sent_once_and_a_sound_when_it_is_whole(fake: FakeGemini, client: Connected, cell: Cell,
                                                          clock: Callable[[float], None]) -> None:
    fake.reply("Look: ", PNG_PART, "and hear: ", pcm(b"\1\0"), pcm(b"\2\0"), pcm(b"\3\0"))
    stream = before_each(client(fake).stream("Show"), lambda: clock(1))
    stream.display()
    assert [(message.new, message.number) for message in cell.messages] == [(True, number) for number in range(4)]
    assert cell.outputs[3] == stream.response.audio[0]._repr_mimebundle_()
    assert stream.response.audio[0].data == b"\1\0\2\0\3\0"


def test_calls_are_shown_before_their_tools_run_and_results_after(fake: FakeGemini, client: Connected, cell: Cell,
                                                                  clock: Callable[[float], None]) -> None:
    seen: List[str] = []

    def add(a: int, b: int) -> int:
        """Add."""
        seen.append(cell.outputs[0]["text/markdown"])
        return a + b

    fake.reply("Let me add. ", FakeGemini.call("add", {"a": 1, "b": 2}))
    fake.reply("It is ", "3.")
    client(fake).send_message_stream("1+2?", tools=[add]).display()
    assert seen == ["Let me add. \n\n```\nadd(a=1, b=2)\n```"]
    assert [output["text/markdown"] for output in cell.outputs] == [
        seen[0] + '\n\n```\nadd -> {"result": 3}\n```\n\nIt is 3.']


def test_what_was_read_before_is_shown_too_and_a_read_stream_can_be_shown_again(
    fake: FakeGemini, client: Connected, cell: Cell,
) -> None:
    fake.reply("a", "b", "c")
    stream = client(fake).stream("Hi")
    next(stream)
    stream.display()
    stream.display()
    assert [output["text/markdown"] for output in cell.outputs] == ["abc", "abc"]


def test_a_closed_stream_shows_what_it_has_and_says_that_it_is_not_all(
    fake: FakeGemini, client: Connected, cell: Cell,
) -> None:
    fake.reply("a", "b")
    stream = client(fake).stream("Hi")
    next(stream)
    stream.close()
    with pytest.raises(IncompleteError):
        stream.display()
    assert [output["text/markdown"] for output in cell.outputs] == ["a"]


def test_an_interrupt_leaves_the_partial_text_and_the_history_as_it_was(
    fake: FakeGemini, client: Connected, cell: Cell, clock: Callable[[float], None],
) -> None:
    fake.reply("Hel", "lo")
    fake.reply("Once", " upon", " a time", "...")
    fake.reply("Bye")
    chat = client(fake).chat()
    chat.send_message("Hi")
    before = chat.history
    stream = chat.send_message_stream("Tell")
    left = [None, None]

    def ctrl_c() -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()

    with pytest.raises(KeyboardInterrupt):
        before_each(stream, ctrl_c).display()
    assert [output["text/markdown"] for output in cell.outputs] == ["Once upon"]
    assert chat.history == before
    left.append(None)
    with pytest.raises(IncompleteError):
        stream.response
    assert chat.send_message("Bye").text == "Bye" and len(chat.history) == 4


def test_a_failure_in_mid_stream_leaves_the_partial_text_and_is_raised(
    fake: FakeGemini, client: Connected, cell: Cell, clock: Callable[[float], None],
) -> None:
    event = b'data: {"candidates": [{"content": {"role": "model", "parts": [{"text": "%b"}]}}]}\n\n'
    fake.raw(event % b"one ", event % b"two", headers={"Content-Type": "text/event-stream"}, cut=True)
    chat = client(fake).chat()
    with pytest.raises(GeminiError) as caught:
        chat.send_message_stream("Tell").display()
    assert [output["text/markdown"] for output in cell.outputs] == ["one two"]
    assert chat.history == [] and caught.value.turns


# Elsewhere

@pytest.mark.usefixtures("plain")
def test_outside_a_notebook_the_text_is_printed_as_it_comes(
    fake: FakeGemini, client: Connected, capsys: pytest.CaptureFixture[str],
) -> None:
    fake.reply({"text": "Hm ", "thought": True}, {"text": "so", "thought": True}, "Once ", "upon <b>", PNG_PART)
    stream = client(fake).stream("Tell")
    stream.display()
    assert capsys.readouterr().out == "Hm so\n\nOnce upon <b>\n\nBlob('image/png', 8 bytes)\n"
    assert stream.response.text == "Once upon <b>"


@pytest.mark.usefixtures("plain")
def test_a_printed_answer_that_breaks_off_ends_its_line(
    fake: FakeGemini, client: Connected, capsys: pytest.CaptureFixture[str],
) -> None:
    fake.raw(b'data: {"candidates": [{"content": {"parts": [{"text": "Once"}]}}]}\n\n', cut=True,
             headers={"Content-Type": "text/event-stream"})
    with pytest.raises(GeminiError):
        client(fake).stream("Tell").display()
    assert capsys.readouterr().out == "Once\n"


def test_clients_conversations_and_streams_say_what_they_are_and_no_secret(
    fake: FakeGemini, client: Connected,
) -> None:
    fake.reply("Hello")
    made = client(fake, key="top-secret")
    stream = made.send_message_stream("Hi")
    assert "display()" in repr(stream) and stream.response.text == "Hello"
    said = repr(made) + repr(made.chat()) + repr(stream)
    assert "GeminiClient: 2 turns" in said and "Chat: 0 turns" in said and "secret" not in said


# The example

def cells() -> List[Tuple[str, str]]:
    if not EXAMPLE.exists():
        pytest.skip("there are no examples beside the installed tests")
    book = json.loads(EXAMPLE.read_text("utf-8"))
    assert (book["nbformat"], book["metadata"]["kernelspec"]["name"]) == (4, "python3")
    return [(cell["cell_type"], "".join(cell["source"])) for cell in book["cells"]]


def test_the_notebook_has_short_cells_and_small_outputs_that_know_nothing_of_the_machine_they_came_from() -> None:
    assert all(len(source.splitlines()) <= 15 for _, source in cells())
    ran = [cell for cell in json.loads(EXAMPLE.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in ran] == list(range(1, len(ran) + 1))
    assert [cell["source"] for cell in ran if not cell["outputs"]] == [["client.close()"]]
    shown = json.dumps([[cell["outputs"], cell["metadata"]] for cell in ran])
    assert len(shown) < 120_000 and not re.search(r"/(?:home|root|tmp|Users)/|Traceback|AIza", shown)


@pytest.mark.usefixtures("plain")
def test_the_code_of_the_notebook_runs_as_a_script_too(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "DELAY", 0)
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("book")
    monkeypatch.setitem(sys.modules, "book", module)
    results = []
    with demo.demo() as server:
        monkeypatch.setenv("GEMINI_API_KEY", "demo")
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        for number, (_, source) in enumerate(one for one in cells() if one[0] == "code"):
            tree = ast.parse(source)
            last = tree.body[-1]
            if isinstance(last, ast.Expr):
                tree.body.pop()
            exec(compile(tree, "cell %d" % number, "exec", dont_inherit=True), vars(module))
            if isinstance(last, ast.Expr):
                code = compile(ast.Expression(last.value), "cell %d" % number, "eval", dont_inherit=True)
                results.append(eval(code, vars(module)))
    assert "You said: " in capsys.readouterr().out
    assert all(result is None or repr(result) for result in results) and list(tmp_path.iterdir()) == []
