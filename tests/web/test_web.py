"""The web examples under every kind of WSGI worker: what the browser sees, what Gemini sees, and what is kept."""
from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set

import pytest
import requests
from web.servers import (
    APPS, EXAMPLES, LATE, SERVERS, SOON, Browser, Endless, Gated, Server, Stage, Upstream, answer_to, end, free_port,
    listens, question_of, wait_for,
)

import gemini_lite
from gemini_lite.testing import Error, Raw, Reply, Request

Staged = Callable[..., Stage]
CASES = {"%s-%s" % (app, name): (app, command) for app in APPS for name, command in SERVERS.items()}
CASES["flask-gevent-late"] = "flask", LATE
PENDING = "What was I asking?"


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    """``staged(app, command, gemini=URL, **settings)`` starts an example; all of it ends with the module."""
    with contextlib.ExitStack() as stack:
        def start(app: str, command: Any, gemini: str = "", **settings: Any) -> Stage:
            upstream = Upstream()
            stack.enter_context(upstream.fake)
            server = Server(app, command, gemini or upstream.fake.url, tmp_path_factory.mktemp(app), **settings)
            stack.callback(server.close)
            stage = Stage(server, upstream)
            stack.callback(stage.clear)
            return stage

        yield start


@pytest.fixture(scope="module", params=list(CASES.values()), ids=list(CASES))
def running(request: pytest.FixtureRequest, staged: Staged) -> Iterator[Stage]:
    stage = staged(*request.param)
    yield stage
    stage.server.close()


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    yield running
    running.clear()
    running.check_log()


def turns(*said: str) -> List[Dict[str, str]]:
    return [{"role": "model" if number % 2 else "user", "text": text} for number, text in enumerate(said)]


def sent_turns(request: Request) -> List[str]:
    """The texts of the conversation that Gemini was sent."""
    return ["".join(part["text"] for part in turn["parts"]) for turn in request.body["contents"]]


# What the browser sees

def test_each_piece_reaches_the_browser_before_gemini_says_the_next(stage: Stage) -> None:
    reply = Gated("<b>Hel", "lo\n\n", "data: you")
    stage.upstream.answer = lambda request: reply
    browser = stage.browser()
    assert browser.load()["turns"] == []
    events = browser.ask("Hi")
    assert next(events) == ("message", "<b>Hel")  # and Gemini has said no more
    reply.go.set()
    rest = list(events)
    assert rest[:-1] == [("message", "lo\n\n"), ("message", "data: you")]
    kept = browser.load()
    assert rest[-1] == ("done", kept["version"])
    assert kept["turns"] == turns("Hi", "<b>Hello\n\ndata: you") and kept["pending"] is None
    assert events.response.headers["Cache-Control"] == "no-store"
    assert events.response.headers["X-Accel-Buffering"] == "no"


FAILURES: Dict[str, Callable[[], Any]] = {
    "an error": lambda: Error(400, "planted-detail"),
    "a blocked answer": lambda: Reply({"text": ""}, finishReason="SAFETY"),
    "an answer without text": lambda: Reply({"text": "hm", "thought": True}),
    "a stream cut before its first text": lambda: Raw(
        b'data: {"candidates": [{"content": {"parts": [{"text": ""}]}}]}\n\n', cut=True),
}


def test_what_fails_before_the_first_text_is_a_502_with_a_sentence_and_the_question_is_kept(stage: Stage) -> None:
    for kind, failure in FAILURES.items():
        stage.upstream.answer = lambda request: failure()
        browser = stage.browser()
        browser.load()
        refused = browser.post("/ask", question=PENDING)
        assert (refused.status_code, refused.headers["Content-Type"]) == (502, "text/plain; charset=utf-8"), kind
        assert refused.text.startswith("Gemini ") and refused.text.endswith(".") and "\n" not in refused.text
        assert "planted" not in refused.text
        kept = browser.load()
        assert (kept["turns"], kept["pending"]) == ([], PENDING)
        stage.upstream.reset()
        assert browser.converse(PENDING) == answer_to(PENDING)
        assert browser.load()["pending"] is None


def test_what_fails_after_the_first_text_is_an_error_event_and_the_whole_turns_are_kept(stage: Stage) -> None:
    browser = stage.browser()
    first = browser.converse("one")
    stage.upstream.answer = lambda request: Raw(
        b'data: {"candidates": [{"content": {"parts": [{"text": "I wa"}]}}]}\n\n',
        b'data: {"error": {"code": 500, "message": "planted-detail"}}\n\n', delay=0.01)
    events = list(browser.ask(PENDING))
    assert events[0] == ("message", "I wa") and [kind for kind, _ in events] == ["message", "error"]
    assert events[1][1].startswith("Gemini ") and "planted" not in events[1][1]
    kept = browser.load()
    assert (kept["turns"], kept["pending"]) == (turns("one", first), PENDING)


def test_what_is_no_question_is_refused_with_a_sentence_and_nothing_is_sent(stage: Stage) -> None:
    browser = stage.browser()
    stranger = stage.browser()  # which has not loaded the conversation
    browser.load()
    before = len(stage.upstream.fake.requests)
    for question in ("", "  ", None, 7, "x" * 8001):
        assert browser.post("/ask", question=question).status_code == 400
    assert stranger.post("/ask", question="Hi").status_code in (400, 409)
    browser.version = "guessed"
    assert browser.post("/ask", question="Hi").status_code == 409
    assert browser.post("/new").status_code == 409
    assert len(stage.upstream.fake.requests) == before
    assert browser.load()["pending"] is None


def test_a_form_on_another_site_can_neither_ask_nor_forget(stage: Stage) -> None:
    browser = stage.browser()
    browser.converse("one")
    for path in ("/ask", "/new"):
        forged = browser.session.post(browser.url + path, data={"question": "Hi", "version": browser.version},
                                      headers={"Origin": "http://evil.example"}, timeout=SOON)
        assert forged.status_code in (403, 415)
    kept = browser.load()
    assert kept["turns"] == turns("one", answer_to("one")) and kept["pending"] is None


def test_half_a_surrogate_pair_in_a_question_breaks_nothing(stage: Stage) -> None:
    assert stage.browser().converse("\ud83d") == answer_to("?")


def test_a_conversation_can_be_forgotten(stage: Stage) -> None:
    browser = stage.browser()
    browser.converse("one")
    assert browser.post("/new").status_code == 204
    assert browser.load()["turns"] == []
    browser.converse("two")
    assert sent_turns(stage.upstream.fake.requests[-1]) == ["two"]


# Browsers that leave, come back, or are two

def test_a_browser_that_goes_away_closes_the_call_to_gemini_and_frees_the_worker(stage: Stage) -> None:
    for _ in range(stage.capacity + 1):
        reply = Endless()
        stage.upstream.answer = lambda request: reply
        browser = stage.browser()
        browser.load()
        events = browser.ask(PENDING)
        assert next(events) == ("message", "first ")
        events.close()
        assert reply.left.wait(SOON)
    stage.upstream.reset()
    assert browser.load()["pending"] == PENDING
    with ThreadPoolExecutor(stage.capacity) as pool:
        said = list(pool.map(lambda n: stage.browser().converse("after %d" % n), range(stage.capacity)))
    assert said == [answer_to("after %d" % n) for n in range(stage.capacity)]


def test_a_reload_in_mid_stream_shows_whole_turns_and_the_question_which_is_then_answered_once(stage: Stage) -> None:
    browser = stage.browser()
    first = browser.converse("one")
    reply = Gated("half ", "an answer")
    stage.upstream.answer = lambda request: reply
    events = browser.ask(PENDING)
    assert next(events) == ("message", "half ")
    events.close()
    kept = browser.load()
    assert (kept["turns"], kept["pending"]) == (turns("one", first), PENDING)
    stage.upstream.reset()
    again = browser.converse(PENDING)
    reply.go.set()  # the first answer may end now, if its worker has not noticed yet
    browser.converse("three")
    assert browser.load()["turns"] == turns("one", first, PENDING, again, "three", answer_to("three"))


def test_a_second_tab_cannot_overwrite_what_it_has_not_seen(stage: Stage) -> None:
    tab = stage.browser()
    tab.load()
    stale = tab.version
    tab.converse("one")
    tab.version = stale
    refused = tab.post("/ask", question="two")
    assert refused.status_code == 409 and "elsewhere" in refused.text
    assert tab.load()["turns"] == turns("one", answer_to("one"))


def test_a_second_tab_that_has_seen_the_open_question_may_go_on_and_the_first_is_told(stage: Stage) -> None:
    reply = Gated("half ", "an answer")
    stage.upstream.answer = lambda request: reply
    tab = stage.browser()
    tab.load()
    first = tab.ask(PENDING)
    assert next(first) == ("message", "half ")
    stage.upstream.reset()
    assert tab.load()["pending"] == PENDING
    assert tab.converse("two") == answer_to("two")
    reply.go.set()
    assert next(first) == ("message", "an answer")
    kind, sentence = next(first)
    assert kind == "error" and "was not kept" in sentence
    assert tab.load()["turns"] == turns("two", answer_to("two"))


def test_of_questions_asked_at_the_same_moment_one_is_answered_and_the_others_are_told(stage: Stage) -> None:
    browser = stage.browser()
    said: List[str] = []
    for _ in range(5):
        browser.load()
        tabs = [stage.tab(browser) for _ in range(stage.capacity)]
        together = threading.Barrier(len(tabs))

        def ask(number: int) -> int:
            together.wait(SOON)
            return tabs[number].post("/ask", question="tab %d" % number).status_code

        with ThreadPoolExecutor(len(tabs)) as pool:
            codes = list(pool.map(ask, range(len(tabs))))
        assert sorted(codes) == [200] + [409] * (len(tabs) - 1)
        question = "tab %d" % codes.index(200)
        said += [question, answer_to(question)]
    assert browser.load()["turns"] == turns(*said)


# Many users, many workers

def test_users_at_once_get_only_their_own_answers(stage: Stage) -> None:
    users = stage.capacity
    together = threading.Barrier(users)

    def answer(request: Request) -> Reply:
        together.wait(SOON)  # all of them are being answered now
        return Reply(*question_of(request), " of %d" % len(request.body["contents"]))

    def converse(user: int) -> List[str]:
        browser = stage.browser()
        return [browser.converse("user %d, %d" % (user, turn)) for turn in range(3)]

    stage.upstream.answer = answer
    with ThreadPoolExecutor(users) as pool:
        said = list(pool.map(converse, range(users)))
    assert said == [["user %d, %d of %d" % (user, turn, 2 * turn + 1) for turn in range(3)] for user in range(users)]


def test_another_worker_goes_on_with_the_conversation_of_one_that_was_killed(stage: Stage) -> None:
    browser = stage.browser()
    first = browser.converse("one")
    server = stage.server
    if not server.forks:
        killed = [server.process.pid]
        server.kill()
        server.start()
    else:
        killed = [wait_for(lambda: server.served("/ask"), "a line in the access log")[-1]]
        os.kill(killed[0], signal.SIGKILL)
    browser.session.close()
    second = browser.converse("two")
    assert sent_turns(stage.upstream.fake.requests[-1]) == ["one", first, "two"]
    assert browser.load()["turns"] == turns("one", first, "two", second)
    if server.forks:
        assert killed[0] not in server.workers
        assert wait_for(lambda: set(server.served("/ask")) - {killed[0]}, "a line of another worker")


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("rounds", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_kill_9_of_workers_loses_no_turn_and_doubles_none(staged: Staged, app: str, rounds: int) -> None:
    stage = staged(app, ("gunicorn", "-w", "3", "-k", "gthread", "--threads", "4", "--preload"))
    over = threading.Event()
    answered = threading.Semaphore(0)
    cuts: List[str] = []

    def converse(user: int) -> List[str]:
        browser = patient(stage.browser)
        said: List[str] = []
        while not over.is_set():
            question = "user %d, %d" % (user, len(said) // 2)
            said += [question, asked_until_answered(browser, question, said, cuts)]
            answered.release()
        return said

    stage.upstream.answer = slowly
    with ThreadPoolExecutor(6) as pool:
        users = [pool.submit(converse, user) for user in range(6)]
        try:
            for number in range(rounds):
                assert answered.acquire(timeout=SOON)
                workers = wait_for(lambda: stage.server.workers, "a worker")
                os.kill(random.Random(number).choice(workers), signal.SIGKILL)
        finally:
            over.set()
        seen = sorted(user.result(SOON) for user in users)
    kept = sorted(["".join(part["text"] for part in turn["parts"]) for turn in history]
                  for history in stage.server.histories().values() if history)
    assert kept == seen
    assert cuts
    stage.check_log()
    stage.server.close()


def slowly(request: Request) -> Reply:
    reply = Reply("re: ", question_of(request), " end")
    reply.delay = 0.03
    return reply


def patient(step: Callable[[], Any]) -> Any:
    """What `step` returns when no worker dies under it."""
    def tried() -> Any:
        with contextlib.suppress(requests.RequestException):
            return step()

    return wait_for(tried, "an answer of the server")


def asked_until_answered(browser: Browser, question: str, said: List[str], cuts: List[str]) -> str:
    """What a user does whose connection breaks: load, look what was kept, and ask again if it was not answered.

    `said` is what the user has been told so far, and `cuts` notes the questions whose answers broke off.
    """
    expected = "re: %s end" % question
    for _ in range(30):
        kept = patient(browser.load)
        texts = [turn["text"] for turn in kept["turns"]]
        assert texts[:len(said)] == said
        if len(texts) > len(said):
            assert texts[len(said):] == [question, expected] and kept["pending"] is None
            return expected
        assert kept["pending"] in (None, question)
        with contextlib.suppress(requests.RequestException):
            events = list(browser.ask(question))
            if events and events[-1][0] == "done":  # this was told to the user: it must be kept from here on
                assert "".join(text for _, text in events[:-1]) == expected
                return expected
        cuts.append(question)
    raise AssertionError("no answer after 30 tries")


@pytest.mark.parametrize("app", APPS)
def test_a_conversation_that_is_full_is_kept_and_a_new_one_can_be_begun(staged: Staged, app: str) -> None:
    stage = staged(app, SERVERS["waitress"])
    browser = stage.browser()
    count = next(n for n in range(100) if not answered_or_full(browser, "x" * 8000))
    kept = browser.load()
    assert count >= 10 and len(kept["turns"]) == 2 * count and kept["pending"] is None
    assert browser.post("/new").status_code == 204
    assert browser.converse("Hi") == answer_to("Hi")
    stage.check_log()
    stage.server.close()


def answered_or_full(browser: Browser, question: str) -> bool:
    browser.load()
    said = browser.post("/ask", question=question)
    if said.status_code == 200:
        return True
    assert said.status_code == 409 and said.text == "This conversation is full: begin a new one."
    return False


@pytest.mark.parametrize("app, table", [("flask", "conversations"), ("django", "django_session")])
def test_an_answer_that_cannot_be_kept_is_never_called_done(staged: Staged, app: str, table: str) -> None:
    stage = staged(app, SERVERS["gthread"])
    reply = Gated("all ", "of it")
    stage.upstream.answer = lambda request: reply
    browser = stage.browser()
    browser.load()
    events = browser.ask(PENDING)
    assert next(events) == ("message", "all ")
    database, = stage.server.data.glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(database)) as store:
        store.execute("DROP TABLE %s" % table)
    reply.go.set()
    assert list(events) == [("message", "of it"), ("error", "The answer could not be kept: ask again.")]
    stage.server.close()


# Processes and time limits

def test_a_client_that_was_used_before_the_fork_shares_no_connection_with_the_workers(staged: Staged) -> None:
    stage = staged("flask", SERVERS["gthread-preload"], target="used_before_fork:app")
    before = stage.upstream.fake.requests[0].connection
    owners: Dict[int, Set[str]] = {}

    def converse(user: int) -> None:
        browser = stage.browser()
        browser.load()
        events = browser.ask("user %d" % user)
        assert "".join(text for kind, text in events if kind == "message") == answer_to("user %d" % user)
        asked, = (request for request in stage.upstream.fake.requests if question_of(request) == "user %d" % user)
        owners.setdefault(asked.connection, set()).add(events.response.headers["X-Worker"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(converse, range(60)))
    assert len({worker for workers in owners.values() for worker in workers}) == 2
    assert all(len(workers) == 1 for workers in owners.values())
    assert before not in owners
    stage.check_log()
    stage.server.close()


def test_a_silent_gemini_holds_a_worker_no_longer_than_its_read_timeout(staged: Staged) -> None:
    stage = staged("flask", ("gunicorn", "-w", "1"), target="short_timeout:app")
    for stays in (True, False):
        reply = Gated("first ", "never")
        stage.upstream.answer = lambda request: reply
        browser = stage.browser()
        browser.load()
        events = browser.ask(PENDING)
        assert next(events) == ("message", "first ")
        if stays:
            kind, sentence = next(events)
            assert kind == "error" and sentence.startswith("Gemini ")
        events.close()
        stage.upstream.reset()
        assert browser.converse(PENDING) == answer_to(PENDING)  # by the only worker
        reply.go.set()
    stage.check_log()
    stage.server.close()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
@pytest.mark.parametrize("case", [case for case in CASES if "gevent" in case or "gthread-preload" in case])
def test_the_workers_reach_a_gemini_behind_https(
        staged: Staged, serve: Callable[..., str], tmp_path: Path, case: str) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1"], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))

    def handle(peer: Any) -> None:
        while True:
            peer.request()
            peer.answer(b'data: {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}\n\n',
                        headers="Content-Type: text/event-stream")

    stage = staged(*CASES[case], serve(handle, tls=tls), REQUESTS_CA_BUNDLE=str(tmp_path / "cert.pem"))
    with ThreadPoolExecutor(stage.capacity) as pool:
        said = list(pool.map(lambda n: stage.browser().converse("Hi"), range(3 * stage.capacity)))
    assert said == ["hi"] * (3 * stage.capacity)
    stage.check_log()
    stage.server.close()


# The two lines

def lines_of(app: str) -> List[str]:
    text = (EXAMPLES / "README.rst").read_text()
    return [line.strip() for line in text[text.lower().index("\n%s\n---" % app):].splitlines() if " v/bin/" in line][:2]


@pytest.mark.parametrize("app", APPS)
def test_the_two_lines_of_the_readme_start_the_example_without_an_account(tmp_path: Path, app: str) -> None:
    """But for the installation; and on another port."""
    install, run = [line.replace("v/bin/", os.path.dirname(sys.executable) + "/") for line in lines_of(app)]
    port = free_port()
    places = [str(Path(gemini_lite.__file__).parents[1])]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CHAT_DATA": str(tmp_path), "no_proxy": "*",
                   "PYTHONPATH": os.pathsep.join(places)}
    for command in install.split(" && ")[2:]:
        subprocess.run(shlex.split(command), cwd=EXAMPLES.parent, env=environment, check=True, timeout=SOON)
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([*shlex.split(run), "--bind=127.0.0.1:%d" % port], cwd=EXAMPLES.parent,
                                   env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(lambda: listens(port), "the example does not start")
        browser = Browser("http://127.0.0.1:%d" % port)
        assert browser.converse("Hello?").startswith("You said: Hello?")
        browser.close()
    finally:
        end(process)
