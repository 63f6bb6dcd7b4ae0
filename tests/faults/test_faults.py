"""The fault matrix: each fault for each call, backend and session, once and for ever; every cell keeps the same laws.

The error has the right class, reason and ``retryable``; the server got the request as often as docs/billing.rst says,
and the call told how often; it waited as the server asked; it ended in time; no text came twice; a history grew by the
whole turn or not at all; the client works on,
and no connection, thread or descriptor is left.

What is not crossed is drawn by a fixed seed; the slow tests cross more.
"""
from __future__ import annotations

import contextlib
import datetime
import email.utils
import gc
import gzip
import itertools
import json
import logging
import os
import pickle
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import pytest
import requests
import urllib3

from gemini_lite import (
    APIError, AuthenticationError, BadRequestError, BlockedError, CodeAssist, DeveloperAPI, GeminiClient, GeminiError,
    IncompleteError, NotFoundError, OverloadedError, ParseError, PermissionDeniedError, QuotaExhaustedError,
    RateLimitError, ServerError, TransportError, TransportTimeout, VertexAI,
)
from gemini_lite.transport import watchdog
from gemini_lite.transport.running import RunningCall

Serve = Callable[..., str]

AXES: Dict[str, Sequence[Any]] = {
    "call": ("generate", "stream", "send_message", "send_message_stream"),
    "backend": ("developer", "vertex", "code assist"),
    "session": ("own", "given"), "lasts": ("once", "always"),
}
RETRIES = 2
PATIENCE = 0.5  # seconds of silence that a client bears where the fault is silence
SOON = 20.0  # seconds that what happens at once may take on a busy machine
KEY, TOKEN, NEW_TOKEN = "made-up-key", "made-up-token", "made-up-second-token"
TEXTS = ("Hel", "lo ü😀\u2028")
WHOLE = "".join(TEXTS)
PAST = [{"role": "user", "parts": [{"text": "One"}]}, {"role": "model", "parts": [{"text": "Two"}]}]


NEVER, ONCE = 0, 1


class Outcome(NamedTuple):
    """How a call ends under a fault that stays: with an error of this class, or with the answer if `kind` is None.

    `again` is how often the client makes the call again by itself: NEVER, ONCE where the server may have worked on it,
    or as often as its RETRIES; `text` is what a stream has delivered, `wait` the least and the most seconds of a wait.
    A `reason`, `retryable` or `again` of None may be anything.
    """

    kind: Any
    reason: Optional[str] = None
    retryable: Optional[bool] = False
    again: Optional[int] = 0
    text: str = ""
    wait: Tuple[float, float] = (0, 1)


ANSWER = Outcome(None)
LOST = Outcome(TransportError, "CONNECTION", True, again=ONCE)
UNREACHED = Outcome(TransportError, "CONNECTION", True, again=RETRIES)
SILENT = Outcome(TransportTimeout, "READ_TIMEOUT", True)
LATE = Outcome(TransportTimeout, "DEADLINE", True)
TOO_LARGE = Outcome(TransportError, "TOO_LARGE")
GARBLED = Outcome(TransportError, "ENCODING")
NO_JSON = Outcome(ParseError, "NOT_JSON")
CUT = Outcome(IncompleteError, "CUT", True)  # the stream ended as it should, but nothing says that the answer is whole
BROKEN_OFF = Outcome((TransportError, IncompleteError), None, True, again=None)


def late(outcome: Outcome, text: str = TEXTS[0]) -> Outcome:
    """That outcome once events have been delivered: nothing is sent again."""
    return outcome._replace(again=NEVER, text=text)


class Fault(NamedTuple):
    """What the server does in place of an answer, and how a unary and a streamed call end then.

    `expect` says it for a cell, where that is not enough; None: there is no such cell. `settings` are the client's, and
    its `proxy`; with `where`, another base URL, no request arrives. A connection that `keeps` serves what follows too.
    """

    name: str
    act: Callable[["Peer", "Ask"], Any]
    unary: Outcome
    stream: Outcome
    settings: Dict[str, Any] = {}
    expect: Optional[Callable[["Cell"], Optional[Outcome]]] = None
    keeps: bool = False
    where: str = ""
    proxy: str = ""


class Cell:
    """One call under one fault, and what the server saw of it."""

    def __init__(self, fault: Fault, call: str, backend: str, session: str, lasts: str) -> None:
        self.name = ", ".join((fault.name, call, backend, session + " session", lasts))
        self.fault, self.call, self.backend, self.session = fault, call, backend, session
        self.streamed, self.always = "stream" in call, lasts == "always"
        self.stated = fault.expect(self) if fault.expect else fault.stream if self.streamed else fault.unary
        self.token = TOKEN
        self.sent = self.connections = self.open = 0
        self.delivered = threading.Event()  # the caller has the first event


Peer = Any  # of conftest


class Ask:
    """One request, and the bytes that answer it."""

    def __init__(self, cell: Cell, streamed: bool) -> None:
        self.cell, self.streamed = cell, streamed

    def dump(self, value: Any, wrap: bool = True) -> bytes:
        value = {"response": value} if wrap and self.cell.backend == "code assist" else value
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return b"data: %b\n\n" % data if self.streamed else data

    def bodies(self, *texts: str, finish: Optional[str] = "STOP") -> List[bytes]:
        """The events of a stream, or the one body of a unary answer, that say these texts."""
        texts = (texts or TEXTS) if self.streamed else ("".join(texts or TEXTS),)
        return [self.dump(said(text, finish if number == len(texts) else None)) for number, text in enumerate(texts, 1)]

    def body(self) -> bytes:
        return b"".join(self.bodies())

    def start(self) -> bytes:
        """A stream's first event, or the beginning of a unary answer."""
        return self.bodies()[0] if self.streamed else self.body()[:20]

    def head(self, *headers: str, status: str = "200 OK", kind: str = "") -> bytes:
        kind = kind or ("text/event-stream" if self.streamed else "application/json")
        return "".join(line + "\r\n" for line in ("HTTP/1.1 " + status, "Content-Type: " + kind, *headers, "")).encode()

    def chunked(self, *pieces: bytes, end: bytes = b"0\r\n\r\n", headers: Sequence[str] = (), kind: str = "") -> bytes:
        return self.head("Transfer-Encoding: chunked", *headers, kind=kind) + b"".join(map(chunk, pieces)) + end

    def measured(self, body: bytes, *headers: str, length: Any = None, status: str = "200 OK", kind: str = "") -> bytes:
        """With a Content-Length, which may be a lie."""
        length = len(body) if length is None else length
        return self.head("Content-Length: %s" % length, *headers, status=status, kind=kind) + body

    def closing(self, body: bytes) -> bytes:
        """Ends where the connection ends."""
        return self.head("Connection: close") + body

    def good(self) -> bytes:
        return self.chunked(*self.bodies())


Make = Callable[[Ask], bytes]


def said(text: str, finish: Optional[str] = None) -> Dict[str, Any]:
    candidate: Dict[str, Any] = {"content": {"parts": [{"text": text}]}}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate]}


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def stays(make: Make) -> Callable[[Peer, Ask], Any]:
    """Send these bytes and leave the connection open."""
    return lambda peer, ask: peer.send(make(ask))


def ends(make: Make) -> Callable[[Peer, Ask], Any]:
    """Send these bytes and close the connection."""
    def act(peer: Peer, ask: Ask) -> None:
        peer.send(make(ask))
        peer.close()
    return act


def stalls(make: Make) -> Callable[[Peer, Ask], Any]:
    """Send these bytes and then nothing, until the client hangs up."""
    def act(peer: Peer, ask: Ask) -> None:
        peer.send(make(ask))
        hung_up(peer)
    return act


def hung_up(peer: Peer) -> None:
    peer.sock.settimeout(SOON)
    with contextlib.suppress(ConnectionError):
        assert peer.sock.recv(1) == b"", "the client says more where it should wait or hang up"
    peer.close()


def hung_up_silently(peer: Peer) -> None:
    """Take all that is said and answer nothing."""
    peer.sock.settimeout(SOON)
    with contextlib.suppress(OSError):
        while peer.sock.recv(1 << 16):
            pass


class Lab:
    """A server whose paths begin with the number of a cell, clients for it, and the waits of each thread."""

    def __init__(self, serve: Serve) -> None:
        self.serve = serve
        self.url = serve(self._handle)
        self.closed_port = 0
        self.deaf_url = ""
        self.tls: Optional[ssl.SSLContext] = None
        self._cells: List[Cell] = []
        self._changed = threading.Condition()
        self._mine = threading.local()

    def sleep(self, seconds: float) -> None:
        self._mine.waits.append(seconds)

    def _handle(self, peer: Peer) -> None:
        cell = None
        try:
            while peer.sock.fileno() >= 0:
                head, body = peer.request()
                known, cell = cell, self._cells[int(head.split("/")[1])]
                with self._changed:
                    cell.connections += known is None
                    cell.open += known is None
                self._answer(peer, cell, head, body)
        finally:
            if cell is not None:
                with self._changed:
                    cell.open -= 1
                    self._changed.notify_all()

    @staticmethod
    def _answer(peer: Peer, cell: Cell, head: str, body: bytes) -> None:
        ask = Ask(cell, ":stream" in head)
        if ":loadCodeAssist" in head:
            peer.answer(b'{"currentTier": {"id": "standard-tier"}, "cloudaicompanionProject": "made-up"}')
        elif b"go on" in body:
            peer.send(ask.good())
        else:
            cell.sent += 1
            if cell.always or cell.sent == 1:
                cell.fault.act(peer, ask)
            else:
                peer.send(ask.good())

    def run(self, cell: Cell) -> Optional[str]:
        """Live through a cell; the law that was broken, or None."""
        with self._changed:
            self._cells.append(cell)
            number = len(self._cells) - 1
        try:
            self._run(cell, "%s/%d" % (cell.fault.where or self.url, number))
        except Exception as error:  # a cell that fails must not hide the others
            return "%s: %s: %s" % (cell.name, type(error).__name__, error)
        return None

    def _run(self, cell: Cell, url: str) -> None:
        waits = self._mine.waits = []
        fault = cell.fault
        with contextlib.ExitStack() as stack:
            session = stack.enter_context(requests.Session()) if cell.session == "given" or fault.proxy else None
            if fault.proxy and session is not None:
                session.proxies = {"http": fault.proxy, "https": fault.proxy}
            backend: Any = DeveloperAPI(KEY, base_url=url)
            if cell.backend == "vertex":
                backend = VertexAI("p", "global", lambda: cell.token, base_url=url)
            if cell.backend == "code assist":
                backend = CodeAssist(lambda: cell.token, endpoints=[url])
                if fault.settings and not fault.where:  # the set-up is not what has to be quick
                    with GeminiClient(backend=backend) as patient:
                        patient.generate("go on")
            settings = {"timeout": SOON, "retries": RETRIES, **fault.settings}
            client = stack.enter_context(GeminiClient(backend=backend, session=session, **settings))
            chat = client.chat(PAST)
            ended = Ended(cell, chat if "send" in cell.call else client)
            check(cell, ended, waits)
            check_history(cell, ended, chat)
            if not (fault.where or "timeout" in fault.settings):
                check_goes_on(cell, chat)
        if session is None:  # a given one closes its connections when urllib3's own cycles are collected
            law(self.all_closed([cell]), "%d connections left", cell.open)

    def all_closed(self, cells: Sequence[Cell]) -> bool:
        """Whether the client has hung up, everywhere and soon."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(cell.open for cell in cells), SOON)


class Ended:
    """How a call ended: with an answer or an error, after these deltas and seconds."""

    def __init__(self, cell: Cell, target: Any) -> None:
        self.deltas: List[str] = []
        self.error: Optional[GeminiError] = None
        self.text, self.tries = "", 0
        started = time.monotonic()
        try:
            answer = getattr(target, cell.call)("Hi")
            if cell.streamed:
                for piece in answer:
                    self.deltas.append(piece.text_delta)
                    cell.delivered.set()
                answer = answer.response
            self.text, self.tries = answer.text, answer.tries
        except GeminiError as error:
            self.error, self.tries = error, error.tries
        self.seconds = time.monotonic() - started


class Broken(Exception):
    """A law was broken."""


def law(holds: Any, words: str, *values: Any) -> None:
    if not holds:
        raise Broken(words % values)


def check(cell: Cell, ended: Ended, waits: List[float]) -> None:
    stated, error = cell.stated, ended.error
    assert stated is not None
    if stated.kind is None or not cell.always and (stated.again or stated.again is None and error is None):
        law(error is None, "error: %r", error)
        law(ended.text == WHOLE and ended.deltas == list(TEXTS) * cell.streamed, "answer: %s", ended.deltas)
    elif error is None:
        raise Broken("answered: %r" % ended.text)
    else:
        kinds = stated.kind if isinstance(stated.kind, tuple) else (stated.kind,)
        law(type(error) in kinds, "class: %r", error)
        law(stated.reason in (None, error.reason), "reason: %s, %s", error.reason, error)
        law(stated.retryable in (None, error.retryable), "retryable: %s, %s", error.retryable, error)
        law("".join(ended.deltas) == stated.text, "delivered: %r", ended.deltas)
        law(not ended.deltas or error.response.text == stated.text, "response: %r", error.response)
        law(str(pickle.loads(pickle.dumps(error))) == str(error) != "", "pickle: %r", error)
    tries = len(waits) + 1
    again = RETRIES if stated.again is None else stated.again
    most = 1 + (again if cell.always else min(again, 1))
    law(1 <= tries <= most if stated.again is None else tries == most, "%d tries", tries)
    renewals = cell.token == NEW_TOKEN and cell.backend != "developer"
    law(cell.sent == (0 if cell.fault.where else tries + renewals), "sent %d times", cell.sent)
    law(ended.tries == tries + renewals, "it says %s tries", ended.tries)
    spread = [1 + 0.1 * number / 1.1 for number in range(len(waits))]  # upwards, and more with each try
    law(all(stated.wait[0] <= wait <= stated.wait[1] * more + 1e-9 for wait, more in zip(waits, spread)),
        "waits: %s", waits)
    law(ended.seconds < SOON / 4, "%.1f seconds", ended.seconds)


def check_history(cell: Cell, ended: Ended, chat: Any) -> None:
    asked = {"role": "user", "parts": [{"text": "Hi"}]}
    kept = "send" in cell.call and ended.error is None
    turns = [asked, {"role": "model", "parts": [{"text": WHOLE}]}] if kept else []
    law(chat.history == [*PAST, *turns], "history: %r", chat.history)
    if "send" in cell.call and ended.error is not None:
        law(ended.error.turns == [asked], "turns: %r", ended.error.turns)


def check_goes_on(cell: Cell, chat: Any) -> None:
    """The client and the conversation are of use as before, and so is a connection that keeps."""
    before = len(chat.history)
    law(chat.send_message("go on", deadline=SOON).text == WHOLE, "what follows is wrong")
    law(len(chat.history) == before + 2, "the history does not go on")
    law(not cell.fault.keeps or cell.connections == 1, "%d connections", cell.connections)


# The faults: generators of `Fault`, each handed the lab

def connections(lab: Lab) -> Iterator[Fault]:
    def reset_later(peer: Peer, ask: Ask) -> None:
        peer.send(ask.chunked(ask.start(), end=b""))
        assert not ask.streamed or ask.cell.delivered.wait(SOON)
        peer.reset()

    def kept_or_new(cell: Cell) -> Outcome:
        """The set-up of Code Assist leaves a kept connection, whose end is no loss."""
        return LOST._replace(again=2) if (cell.backend, cell.session) == ("code assist", "own") else LOST

    yield Fault("reset before headers", lambda peer, ask: peer.reset(), LOST, LOST, expect=kept_or_new)
    yield Fault("closed before headers", lambda peer, ask: peer.close(), LOST, LOST, expect=kept_or_new)
    yield Fault("no HTTP", ends(lambda ask: b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), LOST, LOST)
    yield Fault("reset after headers", lambda peer, ask: (peer.send(ask.chunked(end=b"")), peer.reset()), LOST, LOST)
    yield Fault("closed after headers", ends(lambda ask: ask.chunked(end=b"")), LOST, LOST)
    yield Fault("reset after the first event", reset_later, LOST, late(LOST))
    yield Fault("closed after the first event", ends(lambda ask: ask.chunked(ask.start(), end=b"")), LOST, late(LOST))
    yield Fault("200 headers", ends(lambda ask: ask.measured(ask.body(), *["X: 1"] * 200)), LOST, LOST)
    yield Fault("a header of 70 KB", ends(lambda ask: ask.measured(ask.body(), "X: " + "x" * 70000)), LOST, LOST)
    for name, interim in (("100 Continue", b"HTTP/1.1 100 Continue\r\n\r\n"),
                          ("102 Processing", b"HTTP/1.1 102 Processing\r\n\r\n"),
                          ("103 Early Hints", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")):
        def skipped(cell: Cell, name: str = name) -> Optional[Outcome]:
            return ANSWER if cell.session == "own" or name == "100 Continue" else None

        for times in (1, 10):
            yield Fault("%s before the answer, %d times" % (name, times), stays(
                lambda ask, sent=interim * times: sent + ask.good()), ANSWER, ANSWER, keeps=True, expect=skipped)
        yield Fault(name + " without end", ends(lambda ask, interim=interim: interim * 1000), LOST, LOST,
                    expect=lambda cell: None if cell.session == "given" else LOST)


def silences(lab: Lab) -> Iterator[Fault]:
    makes: List[Tuple[str, Make, str]] = [
        ("before headers", lambda ask: b"", ""),
        ("inside headers", lambda ask: ask.head()[:-9], ""),
        ("after headers", lambda ask: ask.chunked(end=b""), ""),
        ("after a comment", lambda ask: ask.chunked(b": ping\n\n" if ask.streamed else b" ", end=b""), ""),
        ("inside the first event", lambda ask: ask.measured(ask.body()[:15], length=999), ""),
        ("between events", lambda ask: ask.chunked(ask.start(), end=b""), TEXTS[0]),
        ("between events, with a length", lambda ask: ask.measured(ask.start(), length=999), TEXTS[0]),
        ("between events, without any length", lambda ask: ask.closing(ask.start()), TEXTS[0]),
        ("after the last event", lambda ask: ask.chunked(*ask.bodies(), end=b""), WHOLE),
    ]
    for name, make, text in makes:
        yield Fault("silence " + name, stalls(make), SILENT, late(SILENT, text), {"timeout": (SOON, PATIENCE)})
        yield Fault("silence %s, and a deadline" % name, stalls(make), LATE, late(LATE, text), {"deadline": PATIENCE})


def trickles(lab: Lab) -> Iterator[Fault]:
    def by_the_byte(peer: Peer, ask: Ask) -> None:
        for byte in ask.good():
            peer.send(bytes([byte]))

    def drips(make: Make, drop: bytes) -> Callable[[Peer, Ask], Any]:
        def act(peer: Peer, ask: Ask) -> None:
            peer.send(make(ask))
            until = time.monotonic() + SOON
            while time.monotonic() < until:
                peer.send(drop)
                time.sleep(0.02)
        return act

    def own(cell: Cell) -> Optional[Outcome]:
        """A deadline bounds the head of an answer in our own session alone: docs/billing.rst."""
        return LATE if cell.session == "own" else None

    told = Outcome((OverloadedError, TransportTimeout), None, True, again=None)
    makes: List[Tuple[str, Make, bytes, Outcome, Outcome]] = [
        ("of comments", lambda ask: ask.chunked(ask.start(), end=b""), chunk(b": ping\n\n"), LATE, late(LATE)),
        ("before the first event", lambda ask: ask.chunked(end=b""), chunk(b": ping\n\n"), LATE, LATE),
        ("with a length", lambda ask: ask.measured(ask.start(), length=1 << 20), b" ", LATE, late(LATE)),
        ("without any length", lambda ask: ask.closing(ask.start()), b" ", LATE, late(LATE)),
        ("inside one chunk", lambda ask: ask.chunked(ask.start(), end=b"fffff\r\n"), b" ", LATE, late(LATE)),
        ("of headers", lambda ask: ask.head()[:-2], b"X: 1\r\n", LATE, LATE),
        ("of a header line", lambda ask: ask.head()[:-2] + b"X: ", b"x", LATE, LATE),
        ("of trailers", lambda ask: ask.chunked(ask.start(), end=b"0\r\n"), b"X: 1\r\n", LATE, late(LATE)),
        ("of a chunk's extension", lambda ask: ask.chunked(ask.start(), end=b"5;"), b"x", LATE, late(LATE)),
        ("of empty gzip members", lambda ask: ask.chunked(headers=["Content-Encoding: gzip"], end=b""),
         chunk(gzip.compress(b"")), LATE, LATE),
        ("of an error", lambda ask: ask.head("Transfer-Encoding: chunked", status="503 no"), chunk(b" "), told, told),
    ]
    yield Fault("byte by byte", by_the_byte, ANSWER, ANSWER, keeps=True)
    for name, make, drop, unary, stream in makes:
        yield Fault("a trickle %s, and a deadline" % name, drips(make, drop), unary, stream, {"deadline": PATIENCE},
                    expect=own if name == "of a header line" else None)


def bodies(lab: Lab) -> Iterator[Fault]:
    """Whole HTTP answers of status 200 with a body that is none of Google's."""
    html = b"<!DOCTYPE html><title>Log in</title>\n\ndata: {}\n\ndata: log in\n\n"
    empty = Outcome(IncompleteError, "NO_CANDIDATES", True)

    def first_and(data: bytes) -> Make:
        return lambda ask: ask.chunked(*[ask.start()] * ask.streamed, data)

    yield Fault("HTML", stays(lambda ask: ask.chunked(html, kind="text/html")), NO_JSON, NO_JSON)
    yield Fault("HTML that calls itself events",
                stays(lambda ask: ask.chunked(html, kind="text/event-stream")), NO_JSON, NO_JSON)
    for name, data in (("broken", b'data: {"candidates": [\n\n'), ("a number", b"data: 5\n\n"),
                       ("an array", b"data: [{}]\n\n"), ("null", b"data: null\n\n"),
                       ("no UTF-8", b'data: {"\xff"}\n\n'),
                       ("too deep", b"data: " + b"[" * 100000 + b"\n\n")):
        def first(ask: Ask, data: bytes = data) -> bytes:
            return ask.chunked(data if ask.streamed else data[6:].strip())

        yield Fault("JSON that is " + name, stays(first), NO_JSON, NO_JSON)
        yield Fault("a later event that is " + name, stays(first_and(data)), NO_JSON, late(NO_JSON))
    yield Fault("an empty body", stays(lambda ask: ask.measured(b"")), NO_JSON, CUT, keeps=True)
    yield Fault("an empty chunked body", stays(lambda ask: ask.chunked()), NO_JSON, CUT, keeps=True)
    yield Fault("204", stays(lambda ask: b"HTTP/1.1 204 No Content\r\n\r\n"), NO_JSON, NO_JSON, keeps=True)
    yield Fault("an empty object", stays(lambda ask: ask.chunked(ask.dump({}))), empty, CUT, keeps=True)
    yield Fault("no candidates", stays(lambda ask: ask.chunked(ask.dump({"candidates": []}))), empty, CUT, keeps=True)
    yield Fault("no finishReason", stays(lambda ask: ask.chunked(*ask.bodies(finish=None))), ANSWER,
                late(CUT, WHOLE), keeps=True)
    yield Fault("[DONE] and comments", stays(lambda ask: ask.chunked(
        *([b": a\n\n", *ask.bodies(), b"data: [DONE]\n\n"] if ask.streamed else ask.bodies()))), ANSWER, ANSWER,
        keeps=True)
    for reason in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "SAFETY", "RECITATION", "IMAGE_SAFETY"):
        blocked = "CALL" not in reason
        outcome = Outcome(BlockedError if blocked else IncompleteError, reason, not blocked)
        yield Fault("ends in " + reason, stays(lambda ask, reason=reason: ask.chunked(
            *ask.bodies(finish=reason))), outcome, late(outcome, WHOLE), keeps=True)
    blocked_prompt = Outcome(BlockedError, "SAFETY")
    yield Fault("a blocked prompt", stays(lambda ask: ask.chunked(ask.dump({"promptFeedback": {
        "blockReason": "SAFETY"}}))), blocked_prompt, blocked_prompt, keeps=True)


def errors_inside(lab: Lab) -> Iterator[Fault]:
    """Error objects and arrays of them inside an answer of status 200."""
    for code, kind, retryable in ((400, BadRequestError, False), (401, AuthenticationError, False),
                                  (429, RateLimitError, True), (500, ServerError, True), (503, OverloadedError, True)):
        for wrap in ("object", "array"):
            def error(ask: Ask, code: int = code, wrap: str = wrap) -> bytes:
                value: Any = {"error": {"code": code, "message": "no"}}
                return ask.dump([value] if wrap == "array" else value, wrap=False)

            outcome = Outcome(kind, None, retryable, again=RETRIES * retryable)
            name = "a %d in an %s " % (code, wrap)
            yield Fault(name + "first", stays(lambda ask, error=error: ask.chunked(
                error(ask))), outcome, outcome)
            yield Fault(name + "in the middle", stays(lambda ask, error=error: ask.chunked(
                *[ask.start()] * ask.streamed, error(ask))), outcome, late(outcome))


def lengths(lab: Lab) -> Iterator[Fault]:
    """Content-Length and chunk framing that lie."""
    yield Fault("Content-Length too long", ends(lambda ask: ask.measured(ask.body(), length=9999)), LOST,
                late(LOST, WHOLE))
    yield Fault("Content-Length too short", stays(lambda ask: ask.measured(ask.body(), length=len(ask.body()) - 9)),
                NO_JSON, late(CUT))
    for lie in ("abc", "-5", ""):
        yield Fault("Content-Length: %r" % lie, ends(lambda ask, lie=lie: ask.measured(
            ask.body(), "Connection: close", length=lie)), ANSWER, ANSWER)
    yield Fault("two Content-Lengths", ends(lambda ask: ask.measured(ask.body(), length="5, 9")), LOST, LOST)
    yield Fault("Content-Length and chunks", stays(lambda ask: ask.chunked(
        *ask.bodies(), headers=["Content-Length: 9"])), ANSWER, ANSWER)
    for lie in ("zz", "-5", "-1", "", "5\r\nhello world", "ffffffffffffffffffff"):
        end = lie.encode() + b"\r\n"
        yield Fault("a first chunk of size %r" % lie, ends(lambda ask, end=end: ask.chunked(
            end=end)), LOST, LOST)
        yield Fault("a later chunk of size %r" % lie, ends(lambda ask, end=end: ask.chunked(
            ask.start(), end=end)), LOST, late(LOST))
    yield Fault("1000 empty data lines", stays(lambda ask: ask.chunked(
        *[b"data:\n" * 1000 + b"\n"] * ask.streamed, *ask.bodies())), ANSWER, TOO_LARGE, {"max_event_bytes": 998})
    yield Fault("a line without end", stays(lambda ask: ask.measured(b"data: " * ask.streamed + b"x" * 100000)),
                TOO_LARGE, TOO_LARGE, {"max_event_bytes": 50000, "max_body_bytes": 60000})
    yield Fault("a later line without end", stays(lambda ask: ask.chunked(ask.start(), b"x" * 100000)), TOO_LARGE,
                late(TOO_LARGE), {"max_event_bytes": 50000, "max_body_bytes": 60000})


def encodings(lab: Lab) -> Iterator[Fault]:
    def packed(change: Callable[[bytes], bytes], name: str = "gzip", shape: str = "chunked") -> Make:
        def make(ask: Ask) -> bytes:
            data = change(gzip.compress(ask.body()))
            header = "Content-Encoding: " + name
            return ask.chunked(data, headers=[header]) if shape == "chunked" else ask.measured(data, header)
        return make

    def flipped(data: bytes) -> bytes:
        return data[:12] + bytes([data[12] ^ 0xFF]) + data[13:]

    for shape in ("chunked", "measured"):
        yield Fault("gzip, " + shape, stays(packed(lambda data: data, shape=shape)), ANSWER, ANSWER, keeps=True)
        yield Fault("gzip that is none, " + shape, stays(packed(lambda data: b"not gzip at all", shape=shape)),
                    GARBLED, GARBLED)
        yield Fault("gzip with a flipped byte, " + shape, stays(packed(flipped, shape=shape)), GARBLED, GARBLED)
        yield Fault("gzip with a wrong sum, " + shape, stays(packed(lambda data: data[:-8] + bytes(8), shape=shape)),
                    GARBLED, GARBLED)
        yield Fault("gzip without its end, " + shape, stays(packed(lambda data: data[:30], shape=shape)), LOST,
                    BROKEN_OFF)
        for name in ("rot13", "deflate", "br", "gzip, gzip", "identity, gzip", "gzip,"):
            yield Fault("encoded as %s, %s" % (name, shape), stays(packed(lambda data: data, name, shape)), GARBLED,
                        GARBLED)


def refusals(lab: Lab) -> Iterator[Fault]:
    """Statuses that no second try helps against, and redirects, as Google and as a proxy words them."""
    def status(code: int, *headers: str, html: bool = False) -> Make:
        def make(ask: Ask) -> bytes:
            error: Any = {"error": {"code": code, "message": "no"}}
            body = b"<html><title>no" if html else json.dumps([error] if ask.streamed else error).encode()
            return ask.measured(body, *headers, status="%d no" % code, kind="text/html" if html else "")
        return make

    def renewed(times: int) -> Callable[[Peer, Ask], Any]:
        def act(peer: Peer, ask: Ask) -> None:
            ask.cell.token = NEW_TOKEN
            peer.send(status(401)(ask) if ask.cell.sent <= times else ask.good())
        return act

    for code, kind in ((400, BadRequestError), (401, AuthenticationError), (402, BadRequestError),
                       (403, PermissionDeniedError), (404, NotFoundError), (405, BadRequestError),
                       (409, BadRequestError), (413, BadRequestError), (422, BadRequestError), (451, BadRequestError),
                       (501, ServerError), (505, ServerError), (599, ServerError)):
        for html in (False, True):
            yield Fault("%d%s" % (code, " with HTML" if html else ""), stays(status(code, html=html)), Outcome(kind),
                        Outcome(kind), keeps=True)
    for code in (300, 301, 302, 303, 304, 305, 307, 308):
        def moved(ask: Ask, code: int = code) -> bytes:
            if code == 304:
                return b"HTTP/1.1 304 no\r\nLocation: /\r\n\r\n"
            return status(code, "Location: %s/elsewhere" % lab.url)(ask)
        yield Fault("%d" % code, stays(moved), Outcome(APIError), Outcome(APIError), keeps=True)
    refused = Outcome(AuthenticationError)
    yield Fault("401 until the token is another", renewed(1), refused, refused,
                expect=lambda cell: ANSWER if cell.backend != "developer" else refused)
    yield Fault("401 whatever the token", renewed(9), refused, refused)


def busy(lab: Lab) -> Iterator[Fault]:
    """The statuses that pass, with each way to say for how long."""
    for code in (408, 429, 499, 500, 502, 503, 504):
        for name, headers, error, seconds in DELAYS:
            yield _busy(code, name, headers, error, seconds)


def _busy(code: int, name: str, headers: Callable[[], str], error: Dict[str, Any], seconds: Any) -> Fault:
    kind = {408: APIError, 429: RateLimitError, 499: APIError, 503: OverloadedError}.get(code, ServerError)
    about_quota = code in (429, 499, 503)
    outcome = Outcome(kind, None, True, again=RETRIES)
    if seconds == "terminal":
        outcome = Outcome(QuotaExhaustedError) if about_quota else outcome
    elif seconds == "capacity":
        outcome = outcome._replace(kind=OverloadedError if code == 429 else kind)
    elif isinstance(seconds, tuple):
        outcome = outcome._replace(wait=(seconds[0], seconds[0] * 1.1)) if about_quota else outcome
    elif seconds is not None:
        seconds_again = RETRIES * (seconds <= 60)
        outcome = outcome._replace(wait=(seconds - 5 * (name == "a date"), seconds * 1.1), again=seconds_again)
    details = error.get("details", [])
    reason = next((detail["reason"] for detail in details if "reason" in detail), None)

    def make(ask: Ask) -> bytes:
        value: Any = {"error": {"code": code, "message": "busy", **error}}
        body = json.dumps([value] if ask.streamed else value).encode()
        return ask.measured(body, *filter(None, [headers()]), status="%d busy" % code)

    outcome = outcome._replace(reason=reason)
    return Fault("%d, %s" % (code, name), stays(make), outcome, outcome, keeps=True)


def nothing() -> str:
    return ""


def detail(kind: str, **fields: Any) -> Dict[str, Any]:
    return {"details": [{"@type": "type.googleapis.com/google.rpc." + kind, **fields}]}


def info(reason: str, domain: str = "cloudcode-pa.googleapis.com", **metadata: str) -> Dict[str, Any]:
    return detail("ErrorInfo", reason=reason, domain=domain, metadata=metadata)


def in_20_seconds() -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=20)
    return "Retry-After: " + email.utils.format_datetime(moment, usegmt=True)


# name, header, fields of the error, seconds: stated, (those of a quota), what else it means, or None for our own wait
DELAYS: List[Tuple[str, Callable[[], str], Dict[str, Any], Any]] = [
    ("no delay", nothing, {}, None),
    ("seconds", lambda: "Retry-After: 7", {}, 7),
    ("a date", in_20_seconds, {}, 20),
    ("a date that is over", lambda: "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", {}, None),
    ("no seconds", lambda: "Retry-After: soon", {}, None),
    ("negative seconds", lambda: "Retry-After: -7", {}, None),
    ("too many seconds", lambda: "Retry-After: 61", {}, 61),
    ("RetryInfo", nothing, detail("RetryInfo", retryDelay="34.074824224s"), 34.074824224),
    ("RetryInfo in ms", nothing, detail("RetryInfo", retryDelay="539.477544ms"), 0.539477544),
    ("RetryInfo as an object", nothing, detail("RetryInfo", retryDelay={"seconds": 3, "nanos": 500000000}), 3.5),
    ("RetryInfo of hours", nothing, detail("RetryInfo", retryDelay="11h33m30s"), 41610),
    ("RetryInfo that is none", nothing, detail("RetryInfo", retryDelay="a while"), None),
    ("RetryInfo below the header", lambda: "Retry-After: 9", detail("RetryInfo", retryDelay="3s"), 9),
    ("quotaResetDelay", nothing, info("SOMETHING", quotaResetDelay="12.5s"), 12.5),
    ("a sentence", nothing, {"message": "Please retry in 8.25s."}, 8.25),
    ("a sentence of hours", nothing, {"message": "Your quota will reset after 1h2m3s."}, 3723),
    ("JSON in the message", nothing, {"message": json.dumps({"error": {"message": "retry in 4s"}})}, 4),
    ("a quota per minute", nothing, detail("QuotaFailure", violations=[{"quotaId": "RequestsPerMinute"}]), (60,)),
    ("RATE_LIMIT_EXCEEDED", nothing, info("RATE_LIMIT_EXCEEDED"), (10,)),
    ("RATE_LIMIT_EXCEEDED of another", nothing, info("RATE_LIMIT_EXCEEDED", "example.com"), None),
    ("a quota per day", nothing, detail("QuotaFailure", violations=[{"quotaId": "RequestsPerDay"}]), "terminal"),
    ("QUOTA_EXHAUSTED", nothing, info("QUOTA_EXHAUSTED"), "terminal"),
    ("limit 0", nothing, {"message": "Quota exceeded, limit: 0"}, "terminal"),
    ("no capacity", nothing, info("MODEL_CAPACITY_EXHAUSTED"), "capacity"),
]


def cuts(lab: Lab) -> Iterator[Fault]:
    """The connection ends after each byte of a short answer, in each shape that a body can have."""
    shapes: Dict[str, Make] = {"chunked": Ask.good, "length": lambda ask: ask.measured(ask.body()),
                               "close": lambda ask: ask.closing(ask.body())}
    for shape, make in shapes.items():
        for place in range(400):  # more than any of the answers has
            def cut(ask: Ask, make: Make = make, place: int = place) -> bytes:
                return make(ask)[:place]

            def expect(cell: Cell, shape: str = shape, make: Make = make, place: int = place) -> Optional[Outcome]:
                ask = Ask(cell, cell.streamed)
                return _cut(ask, shape, make(ask), place)

            yield Fault("cut at byte %d, %s" % (place, shape), ends(cut), LOST, LOST, expect=expect)


def _cut(ask: Ask, shape: str, answer: bytes, place: int) -> Optional[Outcome]:
    """How a call ends that gets so many bytes of the answer; None where nothing is cut, or urllib3 may choose."""
    head, body = answer.split(b"\r\n\r\n", 1)
    came = body[:max(0, place - len(head) - 4)]
    if place >= len(answer):
        return None
    if place < len(head) + 4 or shape == "close" and not came:
        return BROKEN_OFF
    pieces = [chunk(piece) for piece in ask.bodies()] if shape == "chunked" else ask.bodies()
    if shape == "close" and ask.streamed:  # an event is whole without its blank line
        pieces[:-1] = [piece[:-2] for piece in pieces[:-1]]
    needed = [body.index(piece) + len(piece) for piece in pieces]
    if shape == "chunked" and any(end - 2 <= len(came) < end for end in needed):
        return None
    if len(came) > needed[-1] or shape == "close" and came.rstrip(b"\n") == body.rstrip(b"\n"):
        return ANSWER
    if not ask.streamed:
        return NO_JSON if shape == "close" else LOST
    whole = sum(end <= len(came) for end in needed)
    if not whole:
        return BROKEN_OFF if shape == "close" else LOST
    return late(CUT if shape == "close" else LOST, "".join(TEXTS[:whole]))


def unreachable(lab: Lab) -> Iterator[Fault]:
    """Names that nobody has, ports where nobody listens, TLS that fails, and proxies."""
    def fault(name: str, outcome: Outcome, where: str, proxy: str = "", **settings: Any) -> Fault:
        return Fault(name, lambda peer, ask: peer.close(), outcome, outcome, settings, where=where, proxy=proxy)

    def answering(answer: bytes, tls: Any = None) -> str:
        def handle(peer: Peer) -> None:
            peer.sock.recv(1 << 16)
            peer.send(answer)
        return lab.serve(handle, tls)

    no_proxy = UNREACHED._replace(reason="PROXY")
    nobody = "http://127.0.0.1:%d" % lab.closed_port
    https = "https://127.0.0.1:%d" % lab.closed_port
    yield fault("refused", UNREACHED, nobody)
    yield fault("no such name", UNREACHED, "http://gemini.invalid")
    yield fault("no such name, TLS", UNREACHED, "https://gemini.invalid")
    yield fault("no answer to a connection", Outcome(TransportTimeout, "CONNECT_TIMEOUT", True, again=RETRIES),
                lab.deaf_url, timeout=(0.2, SOON))
    for name, said in (("where none is spoken", b"HTTP/1.1 400 no\r\n\r\n"), ("that is closed at once", b"")):
        yield fault("TLS " + name, UNREACHED, answering(said).replace("http:", "https:"))._replace(
            expect=lambda cell: UNREACHED if cell.session == "own" else LOST)  # requests does not tell when it failed
    if lab.tls is not None:
        yield fault("a certificate of nobody's", Outcome(TransportError, "TLS"), answering(b"", lab.tls))
    yield fault("a proxy that refuses", no_proxy, lab.url, nobody)
    yield fault("a proxy that refuses, TLS", no_proxy, https, nobody)
    yield fault("a proxy without a name", no_proxy, lab.url, "http://proxy.invalid")
    for code, outcome in ((403, Outcome(PermissionDeniedError)), (407, Outcome(BadRequestError)),
                          (502, Outcome(ServerError, None, True, again=RETRIES))):
        answer = b"HTTP/1.1 %d no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % code
        yield fault("a proxy's %d" % code, outcome, lab.url, answering(answer))
        refused = no_proxy if code == 502 else no_proxy._replace(retryable=False, again=NEVER)
        yield fault("a proxy's %d, TLS" % code, refused, https, answering(answer))
    gone = UNREACHED._replace(reason=None, again=None)  # urllib3 does not always know whether it was the proxy
    yield fault("a proxy that hangs up", gone, lab.url, answering(b""))
    yield fault("a proxy that hangs up, TLS", gone, https, answering(b""))
    stalled = Outcome(TransportTimeout, "CONNECT_TIMEOUT", True, again=RETRIES)
    yield fault("a TLS handshake that stalls", stalled, lab.serve(hung_up_silently).replace("http:", "https:"),
                timeout=(0.2, SOON))._replace(
        expect=lambda cell: stalled if cell.session == "own" else SILENT)  # requests does not tell what it waited for


# The matrix

Group = Callable[[Lab], Iterator[Fault]]
EACH, ALL = ("call", "backend", "lasts"), tuple(AXES)
GROUPS: Dict[Group, Tuple[Sequence[str], Sequence[str]]] = {  # the axes that are crossed: usually, and in the slow run
    connections: (EACH, ALL), silences: (("call",), ALL), trickles: (("call",), ALL), bodies: (EACH, ALL),
    errors_inside: (EACH, ALL), lengths: (EACH, ALL), encodings: (EACH, ALL), refusals: (EACH, ALL),
    busy: (("call",), EACH), cuts: ((), ("call",)), unreachable: (("call",), ALL),
}


def cells(lab: Lab, group: Group, crossed: Sequence[str]) -> Iterator[Cell]:
    draw = random.Random(group.__name__)
    for fault in group(lab):
        axes = [values if name in crossed else [draw.choice(values)] for name, values in AXES.items()]
        for combination in itertools.product(*axes):
            cell = Cell(fault, *combination)
            if cell.stated is None:
                continue
            if cell.stated.again == NEVER or fault.where:  # once and for ever are the same
                if not cell.always and "lasts" in crossed:
                    continue
                cell.always = True
            yield cell


@pytest.fixture
def lab(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        ) -> Iterator[Lab]:
    caplog.set_level(logging.CRITICAL, "urllib3")  # pytest would keep its tracebacks, and so the connections
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    lab = Lab(serve)
    monkeypatch.setattr("gemini_lite.transport.retry.sleep", lab.sleep)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with contextlib.ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            lab.closed_port = listener.getsockname()[1]
        deaf = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        lab.deaf_url = "http://127.0.0.1:%d" % deaf.getsockname()[1]
        for _ in range(8):  # fills its queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        lab.tls = tls_of_nobody(tmp_path)
        yield lab


def tls_of_nobody(folder: Path) -> Optional[ssl.SSLContext]:
    """A server's context with a certificate that signed itself; None without the openssl command."""
    if not shutil.which("openssl"):
        return None
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=127.0.0.1", "-days", "2", "-keyout", "key.pem", "-out", "certificate.pem"],
                   cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(folder / "certificate.pem"), str(folder / "key.pem"))
    return context


class Tally:
    """What the matrix came to; a line of it stands in pytest's summary."""

    def __init__(self) -> None:
        self.cells = self.failed = self.requests = 0

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line("fault matrix: %d cells, %d failed, %d requests, on urllib3 %s and requests %s" % (
            self.cells, self.failed, self.requests, urllib3.__version__, requests.__version__))


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Tally:
    tally = Tally()
    request.config.pluginmanager.register(tally)
    return tally


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def run(lab: Lab, tally: Tally, group: Group, crossed: Sequence[str]) -> None:
    """Live through all cells of a group, many at a time."""
    todo = list(cells(lab, group, crossed))
    watchdog.watch(RunningCall(time.monotonic()))  # its thread stays
    before = descriptors(), threading.active_count()
    with ThreadPoolExecutor(24) as pool:
        broken = [law for law in pool.map(lab.run, todo) if law is not None]
    gc.collect()  # what was left open would warn here, and warnings are errors
    if not lab.all_closed(todo):
        broken.append("%d connections left" % sum(cell.open for cell in todo))
    until = time.monotonic() + SOON
    while (descriptors(), threading.active_count()) > before and time.monotonic() < until:
        time.sleep(0.01)
    tally.cells += len(todo)
    tally.failed += len(broken)
    tally.requests += sum(cell.sent for cell in todo)
    if broken:
        pytest.fail("%d of %d cells:\n%s" % (len(broken), len(todo), "\n".join(broken[:60])), pytrace=False)
    assert descriptors() <= before[0] and threading.active_count() <= before[1]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_cell_of_the_matrix_keeps_the_laws(lab: Lab, tally: Tally, group: Group) -> None:
    run(lab, tally, group, GROUPS[group][0])


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_cell_of_the_larger_matrix_keeps_the_laws(lab: Lab, tally: Tally, group: Group) -> None:
    run(lab, tally, group, GROUPS[group][1])
