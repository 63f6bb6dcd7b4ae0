"""A deadline, and a close from another thread, end a call in every phase of a connection, whatever the other side does.

The phases, the manners of misbehaving and the routes are crossed; see `cells`.
"""
from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

import pytest
import requests
import urllib3
from transport.served import SOON, answer, certificate, dump

from gemini_lite import DeveloperAPI, GeminiClient, GeminiError, TransportError, TransportTimeout

DEADLINE = 1.0  # seconds
LATEST = 1.25
THREADS = 24

ROUTES = ("direct", "TLS", "HTTP proxy", "CONNECT proxy")
MANNERS = ("silent", "drip", "endless")

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
PACKED = CHUNKED[:-2] + b"Content-Encoding: gzip\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def empty_gzip() -> bytes:
    """The beginning of a gzip member that says nothing."""
    packer = zlib.compressobj(wbits=31)
    return packer.compress(b"") + packer.flush(zlib.Z_SYNC_FLUSH)


class Phase(NamedTuple):
    """What is sent, and what then comes, if anything, slowly or without end; `refused` where a limit may come first."""

    begin: bytes
    drop: bytes
    refused: bool = False


BEFORE = {  # a request
    "TLS handshake": Phase(b"\x16\x03\x03\x40\x00", b"\x02", refused=True),
    "CONNECT status": Phase(b"", b"H", refused=True),
    "CONNECT headers": Phase(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n", refused=True),
}
AFTER = {
    "status line": Phase(b"", b"H", refused=True),
    "header line": Phase(b"HTTP/1.1 200 OK\r\nX: ", b"x", refused=True),
    "headers": Phase(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n", refused=True),
    "100 Continue": Phase(b"", b"HTTP/1.1 100 Continue\r\n\r\n", refused=True),
    "103 Early Hints": Phase(b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", refused=True),
    "body with a length": Phase(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: 99999999\r\n\r\n", b" "),
    "body without a length": Phase(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nConnection: close\r\n\r\n", b" "),
    "body of HTTP 1.0": Phase(b"HTTP/1.0 200 OK\r\nContent-Type: %b\r\n\r\n", b" "),
    "chunk size": Phase(CHUNKED, b"0", refused=True),
    "chunk extension": Phase(CHUNKED + b"5;", b"x", refused=True),
    "inside a chunk": Phase(CHUNKED + b"fffffff\r\n", b" "),
    "chunks": Phase(CHUNKED, chunk(b" ")),
    "comments": Phase(CHUNKED, chunk(b": ping\n\n")),
    "trailers": Phase(CHUNKED + chunk(b" ") + b"0\r\n", b"X: 1\r\n"),
    "gzip of nothing": Phase(PACKED + chunk(empty_gzip()), chunk(b"\0\0\0\xff\xff")),
    "empty gzip members": Phase(PACKED, chunk(gzip.compress(b""))),
    "error body": Phase(CHUNKED.replace(b"200 OK", b"500 no"), chunk(b" "), refused=True),
    "packed error body": Phase(PACKED.replace(b"200 OK", b"500 no") + chunk(empty_gzip()), chunk(b"\0\0\0\xff\xff"),
                               refused=True),
    "redirect body": Phase(CHUNKED.replace(b"200 OK", b"302 no\r\nLocation: /"), chunk(b" "), refused=True),
}
HEADLESS = ("status line", "header line", "headers", "100 Continue", "103 Early Hints")


class Cell(NamedTuple):
    """One call over one route to one phase."""

    call: str
    route: str
    phase: str
    manner: str

    def __str__(self) -> str:
        return ", ".join(self)

    @property
    def sent(self) -> Phase:
        return {**BEFORE, **AFTER}[self.phase]


def cells(calls: Sequence[str], routes: Sequence[str] = ROUTES, manners: Sequence[str] = MANNERS) -> List[Cell]:
    def goes(route: str, phase: str) -> bool:
        return phase in AFTER or phase == "TLS handshake" and route in ("TLS", "CONNECT proxy") \
            or phase.startswith("CONNECT") and route == "CONNECT proxy"

    return [Cell(call, route, phase, manner) for call in calls for route in routes for phase in (*BEFORE, *AFTER)
            for manner in manners if goes(route, phase)]


class Lab:
    """A server, a TLS server, one that breaks in the handshake and a proxy; the host or the path names the cell."""

    def __init__(self, serve: Callable[..., str], tls: ssl.SSLContext, tally: Any) -> None:
        self._tls, self.tally = tls, tally
        self._cells: List[Cell] = []
        self.arrived: Dict[int, threading.Event] = {}
        self.urls = {"direct": serve(self._answer), "TLS": serve(self._answer, tls)}
        self._serve = serve
        self.proxy = serve(self._pass)
        self._over = threading.Event()

    def add(self, cell: Cell) -> str:
        """The base URL that leads to `cell`."""
        self._cells.append(cell)
        number = len(self._cells) - 1
        self.arrived[number] = threading.Event()
        if cell.phase == "TLS handshake" and cell.route == "TLS":
            return self._serve(lambda peer: self._misbehave(peer.sock, number)).replace("http:", "https:")
        if cell.route in self.urls:
            return "%s/%d" % (self.urls[cell.route], number)
        return "%s://c%d.cells.test/%d" % ("http" if cell.route == "HTTP proxy" else "https", number, number)

    def close(self) -> None:
        self._over.set()

    def _answer(self, peer: Any) -> None:
        while True:
            head, body = peer.request()
            path = head.split(" ")[1].split("://")[-1]
            number = int(path.split("/")[1])
            if b"go on" in body:
                peer.answer(dump(answer("on")))
            else:
                self._misbehave(peer.sock, number)
                return

    def _pass(self, peer: Any) -> None:
        """What a proxy does: as an HTTP proxy it answers itself, and in a tunnel it is the other end."""
        head = peer.sock.recv(1 << 16, socket.MSG_PEEK)
        if not head.startswith(b"CONNECT"):
            self._answer(peer)
            return
        head, _ = peer.request()
        number = int(head.split(" ")[1].split(".")[0][1:])
        if self._cells[number].phase.startswith("CONNECT"):
            self._misbehave(peer.sock, number)
            return
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        if self._cells[number].phase == "TLS handshake":
            self._misbehave(peer.sock, number)
            return
        with self._tls.wrap_socket(peer.sock, server_side=True) as sock:
            peer.sock, peer._file = sock, sock.makefile("rb")
            self._answer(peer)

    def _misbehave(self, sock: socket.socket, number: int) -> None:
        cell = self._cells[number]
        kind = b"text/event-stream" if cell.call == "stream" else b"application/json"
        begin = cell.sent.begin
        sock.sendall(begin % kind if b"%b" in begin else begin)
        self.arrived[number].set()
        until = time.monotonic() + SOON
        if cell.manner == "silent":
            sock.settimeout(SOON)
            with contextlib.suppress(OSError):
                while sock.recv(1 << 16) and time.monotonic() < until:
                    pass
        with contextlib.suppress(OSError):
            while time.monotonic() < until and not self._over.is_set() and cell.manner != "silent":
                sock.sendall(cell.sent.drop * (1 if cell.manner == "drip" else 50))
                time.sleep(0.3 if cell.manner == "drip" else 0.01)


@pytest.fixture
def lab(serve: Callable[..., str], certificates: Path, monkeypatch: pytest.MonkeyPatch, tally: Any) -> Iterator[Lab]:
    certificate(certificates, "cells", "DNS:*.cells.test,IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificates / "cells.pem"))
    lab = Lab(serve, context, tally)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    monkeypatch.setenv("http_proxy", lab.proxy)
    monkeypatch.setenv("https_proxy", lab.proxy)
    yield lab
    lab.close()


def ask(client: GeminiClient, call: str) -> None:
    result = getattr(client, call)("Hi")
    if call == "stream":
        result.response


def is_late(lab: Lab, cell: Cell, session: Optional[requests.Session] = None) -> Optional[str]:
    """Make the call of a cell with a deadline: None if it ended in time and as it should, or what was wrong."""
    with GeminiClient(backend=DeveloperAPI("k", base_url=lab.add(cell)), deadline=DEADLINE, session=session) as client:
        started = time.monotonic()
        try:
            ask(client, cell.call)
        except TransportTimeout as error:
            problem = None if error.reason == "DEADLINE" else "reason %s" % error.reason
        except GeminiError as error:
            problem = None if cell.sent.refused and (cell.manner != "silent" or "error" in cell.phase
                                                     or "redirect" in cell.phase) else repr(error)
        else:
            problem = "answered"
        seconds = time.monotonic() - started
    if seconds > LATEST:
        problem = "%.2f s" % seconds
    return problem and "%s: %s" % (cell, problem)


class Tally:
    """How many cells there were; a line of it stands in pytest's summary."""

    def __init__(self) -> None:
        self.cells = 0

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line("ends of calls: %d cells, on urllib3 %s and requests %s" % (
            self.cells, urllib3.__version__, requests.__version__))


@pytest.fixture(scope="module", autouse=True)
def tally(request: pytest.FixtureRequest) -> Tally:
    tally = Tally()
    request.config.pluginmanager.register(tally)
    return tally


def run(lab: Lab, todo: Sequence[Cell], live: Callable[[Cell], Optional[str]]) -> None:
    """Live through all cells; those that a busy machine may have made late have another go, alone."""
    lab.tally.cells += len(todo)
    with ThreadPoolExecutor(THREADS) as pool:
        wrong = [cell for cell, problem in zip(todo, pool.map(live, todo)) if problem]
    problems = [problem for problem in map(live, wrong) if problem]
    assert not problems, "%d of %d cells:\n%s" % (len(problems), len(todo), "\n".join(problems))


@pytest.mark.parametrize("route", ROUTES)
def test_a_deadline_ends_a_call_in_every_phase(lab: Lab, route: str) -> None:
    run(lab, cells(["generate"], [route]), lambda cell: is_late(lab, cell))


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
def test_a_deadline_ends_a_stream_in_every_phase(lab: Lab, route: str) -> None:
    run(lab, cells(["stream"], [route]), lambda cell: is_late(lab, cell))


def test_with_a_session_of_the_users_a_deadline_holds_from_the_head_of_the_answer_on(lab: Lab) -> None:
    def live(cell: Cell) -> Optional[str]:
        with requests.Session() as session:
            return is_late(lab, cell, session)

    todo = cells(["generate", "stream"], ["direct", "CONNECT proxy"])
    run(lab, [cell for cell in todo if cell.phase in AFTER and cell.phase not in HEADLESS], live)


def is_deaf(lab: Lab, cell: Cell) -> Optional[str]:
    """Close the client of a call from another thread: None if it ended at once and can go on."""
    with GeminiClient(backend=DeveloperAPI("k", base_url=lab.add(cell))) as client:
        number = len(lab._cells) - 1
        caught: List[Any] = []

        def work() -> None:
            try:
                ask(client, cell.call)
            except GeminiError as error:
                caught.append(error)
            caught.append(time.monotonic())

        thread = threading.Thread(target=work)
        thread.start()
        lab.arrived[number].wait(SOON)
        time.sleep(0.1)  # so that it waits again
        closed = time.monotonic()
        client.close()
        thread.join(SOON)
        if thread.is_alive():
            return "%s: still there" % cell
        error, ended = caught if len(caught) == 2 else (None, caught[0])
        if ended - closed > LATEST - DEADLINE:
            return "%s: %.2f s" % (cell, ended - closed)
        if not isinstance(error, TransportError) \
                or (error.reason, error.retryable, error.tries) != ("CLOSED", False, 1):
            return "%s: %r" % (cell, error)
        if cell.phase in AFTER and client.generate("go on").text != "on":
            return "%s: it does not go on" % cell
    return None


@pytest.mark.parametrize("route", ROUTES)
def test_closing_the_client_ends_a_call_of_another_thread_in_every_phase(lab: Lab, route: str) -> None:
    run(lab, cells(["generate"], [route], ["silent"]), lambda cell: is_deaf(lab, cell))


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
def test_closing_the_client_ends_a_drip_of_another_thread_in_every_phase(lab: Lab, route: str) -> None:
    run(lab, cells(["generate", "stream"], [route], ["silent", "drip"]), lambda cell: is_deaf(lab, cell))
