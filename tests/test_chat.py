"""The laws of a conversation: its history grows by whole turns or not at all."""
from __future__ import annotations

import contextlib
import copy
import gc
import json
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, List

import pytest

from gemini_lite import (
    APIError, BlockedError, ConversationBusyError, GeminiClient, GeminiError, GeminiOptions, IncompleteError,
    TransportError,
)
from gemini_lite.testing import FakeGemini, Raw, Reply, Request, call

Client = Callable[..., GeminiClient]

SOON = 5  # seconds after which a test gives up waiting for what should have happened at once


def user(text: str) -> Dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def model(*parts: Any) -> Dict[str, Any]:
    return {"role": "model", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


PAST = [user("What is 2+2?"), model("4")]


@pytest.fixture
def chat(fake: FakeGemini, client: Client) -> Any:
    """A conversation that has a past, so that what is lost from it shows too."""
    return client(fake).chat(PAST)


def send(chat: Any, how: str, prompt: Any = "Times ten?") -> Any:
    """The response of a whole send, streamed or not."""
    return chat.send_message(prompt) if how == "unary" else chat.send_message_stream(prompt).response


both = pytest.mark.parametrize("how", ["unary", "streamed"])


# What is kept

@both
def test_a_turn_is_kept_with_its_answer_and_sent_with_the_next(fake: FakeGemini, client: Client, how: str) -> None:
    gemini = client(fake)
    for question, reply in (("a", "A"), ("b", "B"), ("c", "C")):
        fake.reply(reply)
        assert send(gemini, how, question).text == reply
    assert gemini.history == [user("a"), model("A"), user("b"), model("B"), user("c"), model("C")]
    assert [request.body["contents"] for request in fake.requests] == [
        gemini.history[:1], gemini.history[:3], gemini.history[:5]]


def test_a_run_of_text_is_one_part_however_many_events_it_took(fake: FakeGemini, chat: Any) -> None:
    fake.reply(*"forty of them")
    fake.reply("x", "y", call("f", {"a": 1}), "z", {"text": "!"})
    chat.send_message_stream("Times ten?").response
    chat.send_message_stream("Call f").response
    assert chat.history[3] == model("forty of them")
    assert chat.history[5] == model("xy", call("f", {"a": 1}), "z!")


@both
def test_a_streamed_turn_is_kept_like_a_unary_one(fake: FakeGemini, client: Client, how: str) -> None:
    fake.reply({"text": "hm", "thought": True}, "Hel", "lo", {"text": "", "thoughtSignature": "c2ln"}, "!")
    gemini = client(fake)
    send(gemini, how, "Hi")
    assert gemini.history == [user("Hi"), model("Hello", {"text": "", "thoughtSignature": "c2ln"}, "!")]


@both
def test_thoughts_are_not_kept_unless_they_are_signed(fake: FakeGemini, chat: Any, how: str) -> None:
    signed = {"text": "signed thought", "thought": True, "thoughtSignature": "c2lnMQ=="}
    fake.reply({"text": "plain thought", "thought": True}, signed, "40")
    assert send(chat, how).thinking == "plain thoughtsigned thought"
    assert chat.history == [*PAST, user("Times ten?"), model(signed, "40")]


@both
def test_signatures_stay_on_exactly_their_part(fake: FakeGemini, chat: Any, how: str) -> None:
    parts = [{"text": "a", "thoughtSignature": "MQ=="}, {"text": "b"}, {"text": "c", "thoughtSignature": "Mg=="},
             call("f", {}, signature="Mw=="), call("g", {}), {"text": "", "thoughtSignature": "NA=="}]
    results = [{"functionResponse": {"name": name, "response": {"result": 1}}} for name in "fg"]
    fake.reply(*parts)
    fake.reply("on")
    send(chat, how)
    send(chat, how, results)
    assert chat.history[3] == model(*parts)
    assert fake.requests[1].body["contents"] == [
        *PAST, user("Times ten?"), model(*parts), {"role": "user", "parts": results}]


@both
def test_an_answer_cut_by_max_tokens_is_kept(fake: FakeGemini, chat: Any, how: str) -> None:
    fake.reply("for", "t", finishReason="MAX_TOKENS")
    assert send(chat, how).finish_reason == "MAX_TOKENS"
    assert chat.history == [*PAST, user("Times ten?"), model("fort")]


@both
def test_of_several_candidates_the_one_with_index_0_is_kept(fake: FakeGemini, chat: Any, how: str) -> None:
    fake.reply("x", candidates=[{"index": number, "content": model(text), "finishReason": "STOP"}
                                for number, text in ((1, "other"), (0, "first"))])
    assert send(chat, how).text == "first"
    assert chat.history[-1] == model("first")


def test_a_list_of_parts_is_one_turn_and_a_list_of_contents_is_several(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    fake.reply("A")
    gemini.send_message(["look", (b"\x00", "image/png")])
    fake.reply("C")
    gemini.send_message([user("b"), model("B"), user("c")])
    assert gemini.history == [
        {"role": "user", "parts": [{"text": "look"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]},
        model("A"), user("b"), model("B"), user("c"), model("C")]


# What is not kept

FAILURES: Dict[str, Any] = {
    "error": lambda fake: fake.error(400, "no"),
    "no JSON": lambda fake: fake.raw(b"data: <html>\n\n"),
    "cut": lambda fake: fake.raw(b'data: {"candidates": [', headers={"Content-Length": "99"}, cut=True),
    "blocked prompt": lambda fake: fake.reply(promptFeedback={"blockReason": "SAFETY"}),
    "blocked answer": lambda fake: fake.reply("well", finishReason="PROHIBITED_CONTENT"),
    "malformed call": lambda fake: fake.reply("well", finishReason="MALFORMED_FUNCTION_CALL"),
    "no candidate": lambda fake: fake.reply("x", candidates=None),
}


@both
@pytest.mark.parametrize("failure", list(FAILURES))
def test_history_is_untouched_by_a_failure_whose_turns_can_be_sent_again(
        fake: FakeGemini, client: Client, how: str, failure: str) -> None:
    chat = client(fake, retries=0).chat(PAST)
    FAILURES[failure](fake)
    with pytest.raises(GeminiError) as caught:
        send(chat, how)
    assert chat.history == PAST
    assert caught.value.turns == [user("Times ten?")]
    fake.reply("40")
    assert send(chat, how, caught.value.turns).text == "40"
    assert chat.history == [*PAST, user("Times ten?"), model("40")]


def test_history_is_untouched_when_the_stream_is_cut(fake: FakeGemini, chat: Any) -> None:
    piece = b'data: {"candidates": [{"content": {"parts": [{"text": "4"}]}}]}\n\n'
    fake.raw(piece, piece, cut=True)
    got = []
    with pytest.raises((TransportError, IncompleteError)) as caught:
        for chunk in chat.send_message_stream("Times ten?"):
            got.append(chunk.text_delta)
    assert got == ["4", "4"] and caught.value.response.text == "44"
    assert caught.value.turns == [user("Times ten?")] and chat.history == PAST


def test_history_is_untouched_when_a_stream_has_no_finish_reason(fake: FakeGemini, chat: Any) -> None:
    fake.reply("4", "0", finishReason=None)
    with pytest.raises(IncompleteError) as caught:
        chat.send_message_stream("Times ten?").response
    assert caught.value.turns == [user("Times ten?")] and chat.history == PAST


def test_an_error_keeps_its_turns_when_it_is_raised_again(fake: FakeGemini, chat: Any) -> None:
    fake.reply("4", finishReason=None)
    stream = chat.send_message_stream("Times ten?")
    for _ in range(2):
        with pytest.raises(IncompleteError) as caught:
            stream.response
        assert caught.value.turns == [user("Times ten?")]


@both
@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
                                    "IMAGE_OTHER"])
def test_a_blocked_answer_raises_with_the_answer_and_is_not_kept(
        fake: FakeGemini, chat: Any, how: str, reason: str) -> None:
    fake.reply("Once", " upon", finishReason=reason)
    with pytest.raises(BlockedError, match=reason) as caught:
        send(chat, how)
    assert caught.value.reason == reason and caught.value.response.text == "Once upon"
    assert chat.history == PAST


@both
def test_a_blocked_prompt_raises_with_the_answer_and_is_not_kept(fake: FakeGemini, chat: Any, how: str) -> None:
    fake.reply(promptFeedback={"blockReason": "BLOCKLIST"})
    with pytest.raises(BlockedError, match="BLOCKLIST") as caught:
        send(chat, how)
    assert caught.value.response.block_reason == "BLOCKLIST" and chat.history == PAST


@both
@pytest.mark.parametrize("parts, reason", [
    ([], "STOP"), ([{"text": "only thoughts", "thought": True}], "STOP"), ([""], "STOP"),
    ([{"text": "signed", "thought": True, "thoughtSignature": "MQ=="}], "STOP"),
])
def test_an_answer_without_words_is_returned_with_its_reason_and_not_kept(
        fake: FakeGemini, chat: Any, how: str, parts: List[Any], reason: str) -> None:
    fake.reply(*parts, finishReason=reason)
    response = send(chat, how)
    assert (response.text, response.finish_reason) == ("", reason)
    assert chat.history == PAST
    fake.reply("40")
    send(chat, how)
    assert fake.requests[1].body["contents"] == [*PAST, user("Times ten?")]


def test_bad_input_leaves_history_alone_and_sends_nothing(fake: FakeGemini, chat: Any) -> None:
    for bad, error in (("", ValueError), ([], ValueError), (5, TypeError), ([user("a"), "b"], ValueError),
                       ([user("")], ValueError), ([{"role": "user", "parts": []}], ValueError)):
        for method in (chat.send_message, chat.send_message_stream):
            with pytest.raises(error):
                method(bad)
    for method in (chat.send_message, chat.send_message_stream):
        with pytest.raises(TypeError, match="temprature"):
            method("Hi", temprature=1)
    assert chat.history == PAST and fake.requests == []
    fake.reply("ok")
    assert chat.send_message("Hi").text == "ok"  # and the conversation is not left busy


# Streams that are not read to their end

def endless() -> Raw:
    """A stream that goes on until nobody listens, or for `SOON` seconds, with a finish reason nowhere."""
    raw = Raw(headers={"Content-Type": "text/event-stream"})

    def pieces() -> Iterator[bytes]:
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            yield b'data: {"candidates": [{"content": {"parts": [{"text": "%s"}]}}]}\n\n' % (b"x" * 1000)

    raw.pieces = pieces()  # type: ignore[assignment]
    return raw


@pytest.fixture
def long_chat(client: Client) -> Iterator[Any]:
    """A conversation whose streamed answers have no end and whose unary answers echo."""
    def answers(request: Request) -> Any:
        return endless() if request.streamed else "echo: " + request.body["contents"][-1]["parts"][0]["text"]

    with FakeGemini(answers) as fake:
        chat = client(fake).chat(PAST)
        chat.fake = fake
        yield chat


def test_break_close_with_and_neglect_leave_history_as_it_was(long_chat: Any) -> None:
    for chunk in long_chat.send_message_stream("break"):
        break
    assert long_chat.history == PAST
    stream = long_chat.send_message_stream("close")
    next(stream)
    stream.close()
    assert long_chat.history == PAST
    with long_chat.send_message_stream("with") as stream:
        next(stream)
    assert long_chat.history == PAST
    stream = long_chat.send_message_stream("never read")
    del stream
    gc.collect()
    assert long_chat.history == PAST
    assert long_chat.send_message("on").text == "echo: on"
    assert long_chat.history == [*PAST, user("on"), model("echo: on")]
    assert long_chat.fake.requests[-1].body["contents"] == [*PAST, user("on")]


def test_an_exception_in_the_consumer_leaves_history_as_it_was(long_chat: Any) -> None:
    for error in (KeyboardInterrupt, ZeroDivisionError):
        with pytest.raises(error):
            for chunk in long_chat.send_message_stream("Hi"):
                raise error
        assert long_chat.history == PAST
    assert long_chat.send_message("on").text == "echo: on"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signal.pthread_kill")
@pytest.mark.usefixtures("interruptible")
@both
def test_ctrl_c_in_the_middle_of_a_read_leaves_history_as_it_was(client: Client, how: str) -> None:
    main = threading.main_thread().ident
    answered = []

    def interrupt(request: Request) -> Any:
        if answered:
            return "40"
        answered.append(request)

        def later() -> None:
            time.sleep(0.1)
            signal.pthread_kill(main, signal.SIGINT)

        threading.Thread(target=later).start()
        return Raw(b'data: {"candidates": [{"content": {"parts": [{"text": "4"}]}}]}\n\n', b"never", delay=SOON)

    with FakeGemini(interrupt) as fake:
        chat = client(fake).chat(PAST)
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            send(chat, how)
        assert time.monotonic() - start < SOON
        assert chat.history == PAST and len(fake.requests) == 1
        assert send(chat, how).text == "40"
        assert fake.requests[1].body["contents"] == [*PAST, user("Times ten?")]


ENDS: Dict[str, Callable[[Any, Any], Any]] = {
    "close": lambda chat, stream: stream.close(),
    "with": lambda chat, stream: stream.__exit__(None, None, None),
    "with an error": lambda chat, stream: stream.__exit__(ValueError, ValueError(), None),
    "send": lambda chat, stream: chat.send_message("on"),
    "response": lambda chat, stream: stream.response,
}
LOSSES: Dict[str, Callable[[Any, Any], Any]] = {
    "neglect": lambda chat, stream: stream.__del__(),
    "interrupt": lambda chat, stream: stream.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None),
    "exit": lambda chat, stream: stream.__exit__(SystemExit, SystemExit(), None),
    "another thread": lambda chat, stream: join(threading.Thread(target=stream.close)),
    "client closed": lambda chat, stream: chat._route._transport.close(),
}


def join(thread: threading.Thread) -> None:
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive()


def finished(chat: Any) -> Any:
    """A stream that has been read to its finish reason and no further."""
    stream = chat.send_message_stream("Times ten?")
    for chunk in stream:
        if chunk.finish_reason:
            return stream


def rest_of(request: Request, *rest: bytes, cut: bool = False, delay: float = 0) -> Raw:
    """A stream with something after its finish reason."""
    whole = Reply("4", "0").render(request, 1)
    return Raw(*whole.pieces, *rest, headers=whole.headers, cut=cut, delay=delay)


LATER = b'data: {"candidates": [{"content": {"parts": [{"text": "!"}]}}]}\n\n'


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_closed_after_its_finish_reason_is_kept_with_what_came_after_it(client: Client, end: str) -> None:
    with FakeGemini(lambda request: rest_of(request, LATER, delay=0.05) if request.streamed else "on") as fake:
        chat = client(fake).chat(PAST)
        ENDS[end](chat, finished(chat))
        assert chat.history[:4] == [*PAST, user("Times ten?"), model("40!")]
        assert chat.send_message("on").text == "on" and fake.connections == 1


@pytest.mark.parametrize("end", [*ENDS, *LOSSES])
@pytest.mark.parametrize("rest", ["cut", "silence"])
def test_a_stream_whose_end_does_not_come_after_its_finish_reason_is_given_up(
        client: Client, end: str, rest: str) -> None:
    over = threading.Event()

    def answer(request: Request) -> Any:
        if not request.streamed:
            return "on"
        raw = rest_of(request, LATER, b"never", cut=rest == "cut")
        pieces = list(raw.pieces)

        def slow() -> Iterator[bytes]:
            yield from pieces[:-1]
            if rest == "silence":
                over.wait(SOON)

        raw.pieces = slow()  # type: ignore[assignment]
        return raw

    with FakeGemini(answer) as fake:
        chat = client(fake).chat(PAST)
        started = time.monotonic()
        stream = finished(chat)
        if end == "response":
            stream.close()
        with contextlib.suppress(GeminiError):
            {**ENDS, **LOSSES}[end](chat, stream)
        assert time.monotonic() - started < SOON / 2, "it waits for more than a second"
        assert user("Times ten?") not in chat.history
        assert chat.send_message("on").text == "on"
        over.set()


@pytest.mark.parametrize("end", LOSSES)
def test_a_turn_is_given_up_where_nobody_waits_for_its_end(client: Client, end: str) -> None:
    with FakeGemini(lambda request: rest_of(request, LATER, delay=0.05) if request.streamed else "on") as fake:
        chat = client(fake).chat(PAST)
        LOSSES[end](chat, finished(chat))
        assert chat.history == PAST
        assert chat.send_message("on").text == "on" and len(chat.history) == 4


def test_a_deadline_bounds_the_reading_of_what_follows_a_finish_reason(client: Client) -> None:
    over = threading.Event()

    def answer(request: Request) -> Any:
        raw = rest_of(request)
        pieces = list(raw.pieces)

        def slow() -> Iterator[bytes]:
            yield from pieces
            over.wait(SOON)

        raw.pieces = slow()  # type: ignore[assignment]
        return raw

    with FakeGemini(answer) as fake:
        chat = client(fake).chat(PAST)
        stream = chat.send_message_stream("Times ten?", deadline=0.5)
        for chunk in stream:
            if chunk.finish_reason:
                break
        started = time.monotonic()
        stream.close()
        assert time.monotonic() - started < 0.8 and chat.history == PAST
        over.set()


@pytest.mark.parametrize("make", [lambda gemini: gemini.stream("Hi"), lambda gemini: gemini.send_message_stream("Hi")],
                         ids=["stream", "send_message_stream"])
def test_the_response_of_a_stream_closed_after_its_finish_reason_is_whole(
        fake: FakeGemini, client: Client, make: Any) -> None:
    fake.reply("4", "0")
    with make(client(fake)) as stream:
        for chunk in stream:
            if chunk.finish_reason:
                break
    assert stream.response.text == "40" and stream.response.finish_reason == "STOP"


def test_a_stream_closed_after_a_blocking_finish_reason_is_not_kept(fake: FakeGemini, chat: Any) -> None:
    fake.reply("4", "0", finishReason="SAFETY")
    for chunk in chat.send_message_stream("Times ten?"):
        if chunk.finish_reason:
            break
    assert chat.history == PAST


@pytest.mark.parametrize("how", ["unary", "streamed", "clear"])
def test_going_on_closes_an_unfinished_stream_and_gives_up_its_turn(long_chat: Any, how: str) -> None:
    stream = long_chat.send_message_stream("unfinished")
    next(stream)
    if how == "unary":
        long_chat.send_message("on")
        assert long_chat.history == [*PAST, user("on"), model("echo: on")]
    elif how == "streamed":
        with long_chat.send_message_stream("on") as newer:
            assert next(newer).text_delta
    else:
        long_chat.clear_history()
        assert long_chat.history == []
    before = long_chat.history
    for use in (lambda: next(stream), lambda: list(stream), lambda: stream.response):
        with pytest.raises(GeminiError, match="closed"):
            use()
    assert long_chat.history == before
    if how != "clear":
        assert long_chat.fake.requests[-1].body["contents"] == [*PAST, user("on")]


def test_a_finished_stream_keeps_its_response_when_the_conversation_goes_on(fake: FakeGemini, chat: Any) -> None:
    fake.reply("4", "0")
    fake.reply("400")
    stream = chat.send_message_stream("Times ten?")
    assert [chunk.text_delta for chunk in stream] == ["4", "0"]
    chat.send_message("Again?")
    assert stream.response.text == "40"
    assert list(stream) == []


def test_closing_an_old_stream_late_does_not_touch_the_newer_turns(long_chat: Any) -> None:
    stream = long_chat.send_message_stream("old")
    next(stream)
    long_chat.send_message("new")
    stream.close()
    del stream
    gc.collect()
    assert long_chat.history == [*PAST, user("new"), model("echo: new")]


def test_streams_of_different_conversations_do_not_close_each_other(client: Client) -> None:
    with FakeGemini(lambda request: ["a", "b"]) as fake:
        gemini = client(fake)
        streams = [gemini.send_message_stream("1"), gemini.chat().send_message_stream("2"), gemini.stream("3")]
        chats = [next(stream).text_delta for stream in streams]
        assert chats == ["a", "a", "a"]
        assert [stream.response.text for stream in streams] == ["ab", "ab", "ab"]


# Two threads

def busy(first: Callable[[Any], Any], second: Callable[[Any], Any], chat: Any, entered: threading.Event,
         leave: threading.Event) -> Any:
    """What `second` raises while `first` is inside the conversation in another thread."""
    results: List[Any] = []
    thread = threading.Thread(target=lambda: results.append(first(chat)))
    thread.start()
    try:
        assert entered.wait(SOON)
        with pytest.raises(ConversationBusyError, match="chat") as caught:
            second(chat)
    finally:
        leave.set()
        thread.join(SOON)
    assert len(results) == 1, "the thread that was there first goes on undisturbed"
    return caught.value


@pytest.mark.parametrize("first", [lambda chat: chat.send_message("a"),
                                   lambda chat: chat.send_message_stream("a").response], ids=["unary", "streamed"])
@pytest.mark.parametrize("second", [lambda chat: chat.send_message("b"), lambda chat: chat.send_message_stream("b"),
                                    lambda chat: chat.clear_history()], ids=["unary", "streamed", "clear"])
def test_a_second_thread_in_one_conversation_is_told_that_it_is_busy(
        client: Client, first: Any, second: Any) -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait(request: Request) -> str:
        entered.set()
        leave.wait(SOON)
        return "A"

    with FakeGemini(wait) as fake:
        chat = client(fake).chat(PAST)
        error = busy(first, second, chat, entered, leave)
        assert error.retryable
        assert chat.history == [*PAST, user("a"), model("A")] and len(fake.requests) == 1
        assert chat.send_message("b").text == "A"


def test_a_second_thread_is_busy_while_an_event_is_waited_for(client: Client) -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait(request: Request) -> Raw:
        whole = Reply("A", "B").render(request, 1)
        raw = Raw(headers=whole.headers)

        def pieces() -> Iterator[bytes]:
            yield whole.pieces[0]
            leave.wait(SOON)
            yield whole.pieces[1]

        raw.pieces = pieces()  # type: ignore[assignment]
        return raw

    def read(chat: Any) -> str:
        stream = chat.send_message_stream("a")
        assert next(stream).text_delta == "A"
        entered.set()
        return str(stream.response)

    with FakeGemini(wait) as fake:
        chat = client(fake).chat()
        error: Any = None
        thread_done = threading.Event()
        results = []

        def first() -> None:
            results.append(read(chat))
            thread_done.set()

        threading.Thread(target=first).start()
        assert entered.wait(SOON)
        end = time.monotonic() + SOON
        while error is None and time.monotonic() < end:  # until that thread is inside next()
            time.sleep(0.02)
            if not chat._guard._held:
                continue
            try:
                chat.send_message("b")
            except ConversationBusyError as busy_error:
                error = busy_error
        leave.set()
        assert thread_done.wait(SOON) and error is not None
        assert results == ["AB"] and chat.history == [user("a"), model("AB")]


def test_chats_of_one_client_run_at_the_same_time(client: Client) -> None:
    together = threading.Barrier(4)

    def meet(request: Request) -> str:
        together.wait(SOON)  # all four requests must be here at once
        return "to " + request.body["contents"][-1]["parts"][0]["text"]

    with FakeGemini(meet) as fake:
        gemini = client(fake)
        chats = [gemini.chat() for _ in range(3)] + [gemini]
        threads = [threading.Thread(target=chat.send_message, args=(str(number),))
                   for number, chat in enumerate(chats)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
        assert [chat.history for chat in chats] == [[user(str(n)), model("to %d" % n)] for n in range(4)]


# The history as data

def test_history_is_a_deep_copy_both_ways(fake: FakeGemini, client: Client) -> None:
    past = copy.deepcopy(PAST)
    chat = client(fake).chat(past)
    past[0]["parts"][0]["text"] = "changed"
    past.append("rubbish")  # type: ignore[arg-type]
    assert chat.history == PAST
    got = chat.history
    got[1]["parts"][0]["text"] = "changed"
    got.clear()
    assert chat.history == PAST
    prompt = [{"text": "Times ten?"}]
    fake.reply("40")
    response = chat.send_message(prompt)
    prompt[0]["text"] = "changed"
    response.parts[0]["text"] = "changed"
    fake.reply("400")
    chat.send_message("Again?")
    assert fake.requests[1].body["contents"] == [*PAST, user("Times ten?"), model("40"), user("Again?")]


def test_turns_of_an_error_can_be_changed_without_touching_the_history(fake: FakeGemini, chat: Any) -> None:
    fake.error(400)
    with pytest.raises(APIError) as caught:
        chat.send_message("Times ten?")
    turns = caught.value.turns
    fake.reply("40")
    chat.send_message(turns)
    turns[0]["parts"][0]["text"] = "changed"
    assert chat.history == [*PAST, user("Times ten?"), model("40")]


def test_the_callers_objects_are_never_changed(fake: FakeGemini, client: Client) -> None:
    past, prompt = copy.deepcopy(PAST), [user("a"), model("b"), {"parts": [{"text": "c"}]}]
    before = copy.deepcopy((past, prompt))
    fake.reply("d")
    client(fake).chat(past).send_message(prompt)
    assert (past, prompt) == before


def test_a_history_survives_json(fake: FakeGemini, client: Client) -> None:
    signed = {"text": "ü\u2028", "thoughtSignature": "MQ=="}
    fake.reply(call("f", {"a": [1, None, 1.5]}, id="c1", signature="Mg=="), signed)
    gemini = client(fake)
    gemini.send_message(["look", (b"\x00\xff", "image/png")])
    again = json.loads(json.dumps(gemini.history))
    assert again == gemini.history
    fake.reply("B")
    result = {"functionResponse": {"id": "c1", "name": "f", "response": {"result": 1}}}
    gemini.chat(again).send_message(result)
    assert fake.requests[1].body["contents"] == [*again, {"role": "user", "parts": [result]}]


REFUSED: Dict[str, Any] = {
    "a string": ("Hi", "history"),
    "a dict": ({"role": "user", "parts": [{"text": "a"}]}, "history"),
    "strings": (["Hi"], "entry 0"),
    "assistant": ([user("a"), {"role": "assistant", "parts": [{"text": "b"}]}], "entry 1.*openai_compat"),
    "OpenAI": ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "entry 0"),
    "role of another type": ([{"role": 5, "parts": [{"text": "a"}]}, model("b")], "entry 0"),
    "no parts": ([user("a"), {"role": "model", "parts": []}], "entry 1"),
    "parts missing": ([user("a"), {"role": "model"}], "entry 1"),
    "parts as text": ([{"role": "user", "parts": "a"}, model("b")], "entry 0"),
    "parts as strings": ([{"role": "user", "parts": ["a"]}, model("b")], "entry 0"),
    "empty part": ([user("a"), {"role": "model", "parts": [{}]}], "entry 1"),
    "only thoughts": ([user("a"), model({"text": "b", "thought": True})], "entry 1"),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_a_list_that_is_no_conversation_is_refused_by_its_entry(fake: FakeGemini, client: Client, kind: str) -> None:
    history, said = REFUSED[kind]
    before = copy.deepcopy(history)
    with pytest.raises((ValueError, TypeError), match=said):
        client(fake).chat(history)
    assert history == before and fake.requests == []


@pytest.mark.parametrize("history", [None, [], (), PAST, tuple(PAST)])
def test_a_conversation_starts_from_a_history_or_none(fake: FakeGemini, client: Client, history: Any) -> None:
    fake.reply("A")
    chat = client(fake).chat(history)
    chat.send_message("a")
    assert fake.requests[0].body["contents"] == [*(history or ()), user("a")]


@pytest.mark.parametrize("history", [None, PAST])
def test_clear_history_forgets_everything(fake: FakeGemini, client: Client, history: Any) -> None:
    chat = client(fake).chat(history)
    fake.reply("A")
    chat.send_message("a")
    chat.clear_history()
    assert chat.history == []
    fake.reply("B")
    chat.send_message("b")
    assert fake.requests[1].body["contents"] == [user("b")]


# Conversations and their client

def test_conversations_are_independent(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    one, two = gemini.chat(), gemini.chat(PAST)
    for number, chat in enumerate([gemini, one, two, gemini, one, two]):
        fake.reply("answer %d" % number)
        chat.send_message("question %d" % number)
    one.clear_history()
    assert gemini.history == [user("question 0"), model("answer 0"), user("question 3"), model("answer 3")]
    assert one.history == []
    assert two.history == [*PAST, user("question 2"), model("answer 2"), user("question 5"), model("answer 5")]
    assert {request.connection for request in fake.requests} == {1}


def test_generate_and_stream_neither_use_nor_change_the_history(fake: FakeGemini, client: Client) -> None:
    gemini = client(fake)
    for _ in range(3):
        fake.reply("A")
    gemini.send_message("a")
    gemini.generate("b"), gemini.stream("c").response
    assert [request.body["contents"] for request in fake.requests[1:]] == [[user("b")], [user("c")]]
    assert gemini.history == [user("a"), model("A")]


def test_a_chat_keeps_its_client_usable(fake: FakeGemini, client: Client) -> None:
    def make() -> Any:
        return client(fake, GeminiOptions(system_prompt="Be brief.")).chat()

    chat = make()
    gc.collect()
    fake.reply("A")
    fake.reply("B")
    assert chat.send_message("a").text == "A"
    assert chat.send_message_stream("b").response.text == "B"
    assert chat.history[-1] == model("B")


def test_a_stream_keeps_its_chat_alive(fake: FakeGemini, client: Client) -> None:
    fake.reply("A", "B")
    stream = client(fake).chat().send_message_stream("a")
    gc.collect()
    assert stream.response.text == "AB"


def test_overrides_hold_for_a_chat_or_for_a_send(fake: FakeGemini, client: Client) -> None:
    fake.models += ["m0", "m1", "m2"]
    gemini = client(fake, GeminiOptions(model="m0", temperature=0, system_prompt="zero"))
    chat = gemini.chat(model="m1", temperature=1)
    for settings in ({}, {"temperature": 2, "model": "m2"}, {"temperature": None, "system_prompt": None}, {}):
        fake.reply("A")
        chat.send_message("a", **settings)
    fake.reply("A")
    gemini.send_message("a")
    assert [request.model for request in fake.requests] == ["m1", "m2", "m1", "m1", "m0"]
    configs = [request.body.get("generationConfig", {}) for request in fake.requests]
    assert [config.get("temperature") for config in configs] == [1, 2, None, 1, 0]
    systems = [request.body.get("systemInstruction", {"parts": [{}]})["parts"][0].get("text")
               for request in fake.requests]
    assert systems == ["zero", "zero", None, "zero", "zero"]
    assert gemini.options == GeminiOptions(model="m0", temperature=0, system_prompt="zero")
    assert chat.options == GeminiOptions(model="m1", temperature=1, system_prompt="zero")


@pytest.mark.parametrize("make", [
    lambda gemini: gemini.chat(temprature=1), lambda gemini: gemini.chat(None, temprature=1),
    lambda gemini: gemini.send_message("Hi", temprature=1),
    lambda gemini: gemini.chat().send_message_stream("Hi", temprature=1),
])
def test_an_unknown_override_is_a_type_error_that_names_it(fake: FakeGemini, client: Client, make: Any) -> None:
    with pytest.raises(TypeError, match="temprature"):
        make(client(fake))
    assert fake.requests == []


@pytest.mark.parametrize("where", ["client", "chat", "send"])
def test_a_deadline_holds_for_a_client_a_chat_or_a_send(client: Client, where: str) -> None:
    silence = threading.Event()
    with FakeGemini(lambda request: silence.wait(SOON) and "late" or "late") as fake:
        deadline = {"deadline": 0.2}
        gemini = client(fake, **(deadline if where == "client" else {}))
        chat = gemini.chat(PAST, **(deadline if where == "chat" else {}))
        start = time.monotonic()
        with pytest.raises(TransportError) as caught:
            chat.send_message("Hi", **(deadline if where == "send" else {}))
        elapsed = time.monotonic() - start
        silence.set()
    assert elapsed < 1 and caught.value.turns == [user("Hi")] and chat.history == PAST


def test_a_deadline_of_none_lifts_that_of_the_client(client: Client) -> None:
    with FakeGemini(lambda request: time.sleep(0.3) or "late") as fake:
        gemini = client(fake, deadline=0.1)
        assert gemini.send_message("Hi", deadline=None).text == "late"
        assert gemini.chat(deadline=None).send_message("Hi").text == "late"


def test_a_long_conversation_costs_little_more_than_a_short_one(client: Client) -> None:
    past = [turn for number in range(200) for turn in (user("question %d " % number * 20), model("answer " * 80))]
    with FakeGemini(lambda request: "A") as fake:
        chat = client(fake).chat(past)
        chat.send_message("warm up")
        start = time.process_time()
        for _ in range(20):
            chat.send_message("a")
        # the fake runs in this process and parses all of it, too: half of this is its own
        assert (time.process_time() - start) / 20 < 0.05
    assert len(chat.history) == 442


@contextlib.contextmanager
def profiled(frames: List[str]) -> Iterator[None]:
    sys.setprofile(lambda frame, kind, arg: frames.append(frame.f_code.co_name) if kind == "call" else None)
    try:
        yield
    finally:
        sys.setprofile(None)


def test_the_past_is_not_walked_through_again_with_every_send(client: Client) -> None:
    counts = []
    with FakeGemini(lambda request: "A") as fake:
        for pairs in (1, 100):
            chat = client(fake).chat([user("q"), model("a")] * pairs)
            chat.send_message("warm up")
            frames: List[str] = []
            with profiled(frames):
                chat.send_message("b")
            counts.append(len(frames))
    assert counts[1] - counts[0] < 50, "only the new turn is normalised; the history is in wire form"


# Another thread ends it

def stalled(over: threading.Event) -> Callable[[Request], Any]:
    """Streams one event and then nothing until `over`; a prompt "on" is answered."""
    def serve(request: Request) -> Any:
        if request.body["contents"][-1]["parts"][0].get("text") == "on":
            return "on"
        whole = Reply("A", "B").render(request, 1)
        raw = Raw(headers=whole.headers)

        def pieces() -> Iterator[bytes]:
            yield whole.pieces[0]
            over.wait(SOON)

        raw.pieces = pieces()  # type: ignore[assignment]
        return raw
    return serve


@pytest.mark.parametrize("who", ["stream", "client"])
@pytest.mark.parametrize("blocked", [True, False], ids=["reading", "between reads"])
def test_another_thread_ends_a_stream_at_once_and_the_conversation_goes_on(
        client: Client, who: str, blocked: bool) -> None:
    over, caught = threading.Event(), []
    with FakeGemini(stalled(over)) as fake:
        gemini = client(fake)
        chat = gemini.chat(PAST)
        stream = chat.send_message_stream("a")
        assert next(stream).text_delta == "A"

        def close() -> None:
            time.sleep(0.2 * blocked)
            (stream if who == "stream" else gemini).close()
            caught.append(time.monotonic())

        thread = threading.Thread(target=close)
        thread.start()
        if not blocked:
            thread.join(SOON)
        with pytest.raises(TransportError) as error:
            next(stream)
        ended = time.monotonic()
        thread.join(SOON)
        assert (error.value.reason, error.value.retryable) == ("CLOSED", False)
        assert ended - caught[0] < 0.5 and chat.history == PAST
        with pytest.raises(TransportError, match="close"):
            stream.response
        assert chat.send_message("on").text == "on" and len(chat.history) == 4
        assert gemini.stream("on").response.text == "on"
        assert len(fake.requests) == 3, "nothing is sent again"
        over.set()


def test_nothing_more_is_sent_for_a_stream_that_is_ended_while_its_tool_runs(fake: FakeGemini, client: Client) -> None:
    chat = client(fake).chat(PAST)

    def slow() -> str:
        """Slow."""
        join(threading.Thread(target=stream.close))
        return "late"

    fake.reply(call("slow", {}))
    stream = chat.send_message_stream("a", tools=[slow])
    with pytest.raises(TransportError) as error:
        list(stream)
    assert error.value.reason == "CLOSED" and chat.history == PAST and len(error.value.turns) == 3
    assert len(fake.requests) == 1
    fake.reply("on")
    assert chat.send_message("on").text == "on"


def test_a_conversation_that_an_interrupt_left_held_is_free_for_its_thread_and_for_no_other(
        fake: FakeGemini, client: Client) -> None:
    chat = client(fake).chat()

    def interrupted() -> None:
        chat._guard.__enter__()  # and an interrupt comes before the block

    interrupted()
    with ThreadPoolExecutor(1) as pool, pytest.raises(ConversationBusyError):
        pool.submit(chat.send_message, "a").result(SOON)
    fake.reply("b")
    assert chat.send_message("a").text == "b"


@pytest.mark.parametrize("how", ["send_message", "send_message_stream"])
def test_a_tool_that_sends_in_its_own_conversation_finds_it_busy(fake: FakeGemini, client: Client, how: str) -> None:
    chat, errors = client(fake).chat(), []

    def again() -> str:
        """Again."""
        try:
            chat.send_message("inside")
        except ConversationBusyError as error:
            errors.append(error)
        return "no"

    fake.reply(call("again", {}))
    fake.reply("done")
    answer = getattr(chat, how)("a", tools=[again])
    assert (answer if how == "send_message" else answer.response).text == "done" and len(errors) == 1


def test_every_answer_says_how_many_requests_it_took(fake: FakeGemini, client: Client, no_sleep: List[float]) -> None:
    def tool() -> str:
        """Tool."""
        return "x"

    chat = client(fake).chat()
    for how in ("send_message", "send_message_stream"):
        fake.error(503)
        fake.reply(call("tool", {}))
        fake.error(503)
        fake.error(503)
        fake.reply("done")
        answer = getattr(chat, how)("a", tools=[tool])
        answer = answer if how == "send_message" else answer.response
        assert [response.tries for response in answer.rounds] == [2, 3]
    fake.error(503)
    fake.reply("", finishReason="SAFETY")
    with pytest.raises(GeminiError) as caught:
        chat.send_message("a")
    assert caught.value.tries == 2
