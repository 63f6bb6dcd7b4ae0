"""Threads, forks, new processes, greenlets, interrupts and kills: every answer goes to its caller, and nothing is left.

What a process does is a script of its own, run with ``-W error`` against a server in the test.
"""
from __future__ import annotations

import functools
import gc
import inspect
import itertools
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Set

import pytest
import requests

import gemini_lite
from gemini_lite import CodeAssist, GeminiClient, GeminiError, GeminiOptions, OAuthCredentials
from gemini_lite.auth import oauth
from gemini_lite.testing import Error, FakeGemini, Raw, Reply, Request
from gemini_lite.transport import watchdog
from gemini_lite.transport.running import RunningCall

Client = Callable[..., GeminiClient]
Serve = Callable[..., str]

SOON = 60
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def echo(request: Request) -> str:
    return str(request.body.get("request", request.body)["contents"][-1]["parts"][0]["text"])


def script(text: str, *arguments: Any, **environment: str) -> str:
    """What a script prints; it must end well and say nothing on standard error."""
    env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), **environment}
    done = subprocess.run([sys.executable, "-W", "error", "-c", text, *map(str, arguments)], env=env, timeout=SOON,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# Threads

class Moody:
    """Echoes, after faults: a prompt "n kind" meets the fault once; `asked` counts each prompt."""

    FAULTS: Dict[str, Callable[[], Any]] = {
        "busy": lambda: Error(503, "busy"), "slow": lambda: Error(429, "slow", headers={"Retry-After": "0.01"}),
        "gone": lambda: Raw(b"", status=None), "cut": lambda: Raw(b'data: {"candidates"', cut=True),
        "wrong": lambda: Error(400, "wrong"), "html": lambda: Raw(b"<html>no", headers={"Content-Type": "text/html"}),
    }

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Any:
        prompt = echo(request)
        with self._lock:
            self.asked[prompt] += 1
            first = self.asked[prompt] == 1
        fault = self.FAULTS.get(prompt.split()[-1])
        return fault() if fault and first else Reply(prompt[:3], prompt[3:])


def call(client: GeminiClient, how: str, prompt: str) -> str:
    if how == "chat":
        return client.chat().send_message(prompt).text
    answer = getattr(client, how)(prompt)
    return str(answer.text if how == "generate" else "".join(chunk.text_delta for chunk in answer))


def mixed_calls(client: Client, number: int, no_sleep: List[float]) -> None:
    kinds = list(Moody.FAULTS) + ["fine"] * 18
    hows = ("generate", "stream", "chat")
    prompts = ["%06d %s" % (n, kinds[n % len(kinds)]) for n in range(number)]
    final = ("wrong", "html")

    def ask(n: int) -> Any:
        try:
            return call(gemini, hows[n % 3], prompts[n])
        except GeminiError as error:
            return error.reason or error.code

    moody = Moody()
    before = threading.active_count()
    with FakeGemini(moody) as fake:
        gemini = client(fake, timeout=SOON)
        with ThreadPoolExecutor(64) as pool:
            got = list(pool.map(ask, range(number)))
        assert fake.connections < number
    expected = [{"wrong": 400, "html": "NOT_JSON"}.get(prompt.split()[-1], prompt) for prompt in prompts]
    assert got == expected
    assert moody.asked == {prompt: 1 if prompt.split()[-1] in (*final, "fine") else 2 for prompt in prompts}
    assert len(no_sleep) == sum(count - 1 for count in moody.asked.values())
    assert threading.active_count() == before


def test_64_threads_get_1000_mixed_answers_each_its_own(client: Client, no_sleep: List[float]) -> None:
    mixed_calls(client, 1000, no_sleep)


@pytest.mark.slow
def test_64_threads_get_5000_mixed_answers_each_its_own(client: Client, no_sleep: List[float]) -> None:
    mixed_calls(client, 5000, no_sleep)


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
@pytest.mark.parametrize("how", ["generate", "stream", "chat"])
def test_a_connection_that_the_server_closed_while_idle_is_replaced_unseen(
        client: Client, serve: Serve, no_sleep: List[float], how: str, own: bool) -> None:
    closed = threading.Semaphore(0)
    numbers = itertools.count(1)

    def handle(peer: Any) -> None:
        head, body = peer.request()
        prompt = json.loads(body)["contents"][-1]["parts"][0]["text"]
        data = json.dumps({"candidates": [{"content": {"parts": [{"text": prompt}]}, "finishReason": "STOP"}]}).encode()
        streamed = ":stream" in head
        peer.answer(b"data: %b\n\n" % data if streamed else data,
                    headers="Content-Type: " + ("text/event-stream" if streamed else "application/json"))
        next(numbers)
        peer.close()
        closed.release()

    with requests.Session() as session:
        gemini = client(serve(handle), session=None if own else session, timeout=SOON)
        for n in range(4):
            assert call(gemini, how, "%03d" % n) == "%03d" % n
            assert closed.acquire(timeout=SOON)
    assert next(numbers) == 5 and no_sleep == []


# Processes

FORK = """
import os, sys, requests
from gemini_lite import DeveloperAPI, GeminiClient

url, given, children, calls = sys.argv[1], sys.argv[2] == "given", int(sys.argv[3]), int(sys.argv[4])
session = requests.Session() if given else None
client = GeminiClient(backend=DeveloperAPI("test-key", base_url=url), session=session, retries=0)
chat = client.chat()

def work(name):
    for n in range(calls):
        prompt = "%s %d" % (name, n)
        assert client.generate(prompt).text == prompt
        assert "".join(chunk.text_delta for chunk in client.stream(prompt)) == prompt
    assert chat.send_message(name).text == name and len(chat.history) == 4

assert client.generate("before").text == "before"
assert chat.send_message("before").text == "before"
pids = []
for child in range(children):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work("child %d" % child)
            code = 0
        finally:
            client.close()
            os._exit(code)
    pids.append(pid)
work("parent")
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * children
client.close()
if session is not None:
    session.close()
"""


@needs_fork
@pytest.mark.parametrize("given", ["own", "given"])
def test_parent_and_children_of_a_fork_use_a_client_at_once_and_each_gets_its_own_answers(given: str) -> None:
    with FakeGemini(echo) as fake:
        script(FORK, fake.url, given, 4, 20)
    users: Dict[int, Set[str]] = {}
    for request in fake.requests:
        name = echo(request)
        users.setdefault(request.connection, set()).add(name[:7] if name.startswith("child") else "parent")
    assert len(fake.requests) == 2 + 5 * 41
    assert all(len(names) == 1 for names in users.values()), "a connection was shared: %s" % users


POOL = """
import multiprocessing, sys
from gemini_lite import GeminiClient, GeminiOptions, DeveloperAPI, GeminiError

def ask(task):
    url, options, prompt = task
    try:
        with GeminiClient(options, backend=DeveloperAPI("test-key", base_url=url), retries=0) as client:
            return client.generate(prompt)
    except GeminiError as error:
        return error

if __name__ == "__main__":
    url, method = sys.argv[1:]
    options = GeminiOptions(temperature=0.5, stop_sequences=["x"])
    with multiprocessing.get_context(method).Pool(2) as pool:
        got = pool.map(ask, [(url, options, "a"), (url, options, "b"), (url, options, "fail")])
        pool.close()
        pool.join()
    assert [answer.text for answer in got[:2]] == ["a", "b"], got
    assert got[0].usage_metadata.total_token_count and got[0].finish_reason == "STOP"
    assert type(got[2]).__name__ == "RateLimitError" and got[2].retry_after == 99 and got[2].retryable, got
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_options_answers_and_errors_travel_between_processes(method: str, tmp_path: Path) -> None:
    def answer(request: Request) -> Any:
        assert request.body["generationConfig"] == {"temperature": 0.5, "stopSequences": ["x"]}
        return Error(429, "no", headers={"Retry-After": "99"}) if echo(request) == "fail" else echo(request)

    main = tmp_path / "main.py"  # a new process imports it
    main.write_text(POOL)
    with FakeGemini(answer) as fake:
        env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
        done = subprocess.run([sys.executable, "-W", "error", str(main), fake.url, method], env=env, timeout=SOON,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_alive_refuses_to_be_pickled_and_says_what_to_do(fake: FakeGemini, client: Client) -> None:
    fake.reply("a")
    gemini = client(fake)
    stream = gemini.stream("Hi")
    for thing, words in ((gemini, "make one in each process"), (gemini.chat(), "keep its history"),
                         (stream, "pickle stream.response"), (OAuthCredentials(token="x"), "make them anew")):
        with pytest.raises(TypeError, match=words):
            pickle.dumps(thing)
    assert pickle.loads(pickle.dumps(stream.response)).text == "a"
    assert pickle.loads(pickle.dumps(GeminiOptions(temperature=1))) == GeminiOptions(temperature=1)


# Greenlets

GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, gevent
from gemini_lite import DeveloperAPI, GeminiClient

with GeminiClient(backend=DeveloperAPI("test-key", base_url=sys.argv[1]), retries=0) as client:
    def work(number):
        chunks = list(client.stream("greenlet %d" % number))
        assert [chunk.text_delta for chunk in chunks] == ["greenlet ", "%d" % number]
        chat = client.chat()
        assert chat.send_message("chat %d" % number).text == "chat %d" % number
        return number

    jobs = [gevent.spawn(work, number) for number in range(200)]
    gevent.joinall(jobs, timeout=50)
    assert [job.value for job in jobs] == list(range(200)), [job.exception for job in jobs if job.exception][:3]
"""


def test_200_greenlets_stream_at_once() -> None:
    """None gets its second event before all have their first."""
    pytest.importorskip("gevent")
    together = threading.Barrier(200)

    def answer(request: Request) -> Any:
        if not request.streamed:
            return echo(request)
        raw = Reply("greenlet ", echo(request)[9:]).render(request, 0)
        pieces = raw.pieces

        def paced() -> Iterator[bytes]:
            yield pieces[0]
            together.wait(SOON)
            yield pieces[1]

        raw.pieces = paced()  # type: ignore[assignment]
        return raw

    with FakeGemini(answer) as fake:
        script(GEVENT, fake.url)


GEVENT_ENDS = """
import sys
patched, url = sys.argv[1:]
if patched == "early":
    from gevent import monkey
    monkey.patch_all()
from gemini_lite import DeveloperAPI, GeminiClient, TransportError
if patched == "late":
    import warnings
    warnings.simplefilter("ignore")  # gevent's, about that
    from gevent import monkey
    monkey.patch_all()
import gevent, time

client = GeminiClient(backend=DeveloperAPI("test-key", base_url=url))

def ask(number):
    seconds = 0.5 + number % 5 / 5
    started = time.monotonic()
    try:
        client.generate("drip", deadline=seconds)
    except TransportError as error:
        assert error.reason == "DEADLINE", error
    took = time.monotonic() - started
    assert seconds <= took < seconds + 1, (seconds, took)
    return True

jobs = [gevent.spawn(ask, number) for number in range(50)]
gevent.joinall(jobs, timeout=50)
assert all(job.value for job in jobs), [job.exception for job in jobs if job.exception][:3]

def read():
    try:
        client.generate("drip")
    except TransportError as error:
        return error.reason

jobs = [gevent.spawn(read) for number in range(10)]
gevent.sleep(0.3)
client.close()
gevent.joinall(jobs, timeout=5)
assert [job.value for job in jobs] == ["CLOSED"] * 10, [job.value for job in jobs]
"""


@pytest.mark.parametrize("patched", ["early", "late"])
def test_a_deadline_and_a_close_end_greenlets_each_its_own(serve: Serve, patched: str) -> None:
    pytest.importorskip("gevent")

    def drip(peer: Any) -> None:
        peer.request()
        end = time.monotonic() + 20
        peer.send(b"HTTP/1.1 200 OK\r\nX: ")
        while time.monotonic() < end:
            peer.send(b"x")
            time.sleep(0.1)

    script(GEVENT_ENDS, patched, serve(drip))


FORK_ENDS = """
import os, sys, threading, time
from gemini_lite import DeveloperAPI, GeminiClient, TransportError

client = GeminiClient(backend=DeveloperAPI("test-key", base_url=sys.argv[1]))

def deadline():
    started = time.monotonic()
    try:
        client.generate("drip", deadline=0.5)
    except TransportError as error:
        return error.reason == "DEADLINE" and time.monotonic() - started < 1.5
    return False

assert deadline() and threading.active_count() == 2
assert deadline() and threading.active_count() == 2, "one thread for all calls"
stream = client.stream("events")
assert next(stream).text_delta == "0"
pid = os.fork()
if pid == 0:
    code = 1
    try:
        assert deadline() and threading.active_count() == 2
        client.close()
        stream._cancel()
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(pid, 0)[1] == 0
assert stream.response.text == "0123", "the child ended the parent's call"
client.close()
"""


@needs_fork
def test_a_forked_child_has_deadlines_of_its_own_and_leaves_its_parents_calls_alone() -> None:
    def answer(request: Request) -> Any:
        if request.streamed:
            raw = Reply("0", "1", "2", "3").render(request, 1)
            raw.delay = 0.4
            return raw
        raw = Raw(headers={"Content-Type": "application/json"})

        def pieces() -> Iterator[bytes]:
            end = time.monotonic() + 10
            while time.monotonic() < end:
                yield b" "
                time.sleep(0.05)

        raw.pieces = pieces()  # type: ignore[assignment]
        return raw

    with FakeGemini(answer) as fake:
        script(FORK_ENDS, fake.url)


LATE = """
import sys
from gemini_lite import DeveloperAPI, GeminiClient, TransportError

with GeminiClient(backend=DeveloperAPI("test-key", base_url="https://localhost:%s" % sys.argv[1]), retries=0) as client:
    from gevent import monkey
    monkey.patch_all()
    try:
        client.generate("Hi")
    except TransportError as error:
        assert error.reason == "TLS", error
    else:
        raise SystemExit("a certificate that nobody signed was taken")
"""


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the openssl command")
def test_a_client_that_was_made_before_gevent_patched_still_verifies(serve: Serve, tmp_path: Path) -> None:
    """As in a worker of gunicorn -k gevent --preload; urllib3's own TLS context would recurse for ever."""
    pytest.importorskip("gevent")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=elsewhere", "-addext", "subjectAltName=DNS:elsewhere", "-days", "2",
                    "-keyout", "key.pem", "-out", "cert.pem"], cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    port = serve(lambda peer: None, tls=tls).rpartition(":")[2]
    env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    trusting = {**env, "REQUESTS_CA_BUNDLE": str(tmp_path / "cert.pem")}
    for environment in (env, trusting):  # trusted, the certificate is still that of another host
        done = subprocess.run([sys.executable, "-c", LATE, port], env=environment, timeout=SOON,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode()


# Interrupts

class Interrupter:
    """Raises KeyboardInterrupt at the `number`-th point that this thread comes to in the client or what it is built on.

    A point is a line, and in what takes and gives back locks every instruction: those are more than Python has. Left
    out is where a `TimedLock` is about to be released: see there.
    """

    BY_INSTRUCTION = ("gemini_lite.chat", "gemini_lite.stream.stream", "gemini_lite.transport.timed_lock",
                      "gemini_lite.transport.running", "gemini_lite.transport.watchdog", "contextlib", "queue")

    def __init__(self, number: int) -> None:
        self.left = number
        self.place = ""

    def __call__(self, frame: Any, event: str, argument: Any) -> Any:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith(("gemini_lite.", "urllib3.", "requests.", *self.BY_INSTRUCTION)) \
                or name == "gemini_lite.testing" or frame.f_code.co_name == "__del__":
            return None
        frame.f_trace_opcodes = name in self.BY_INSTRUCTION
        return self.at_point

    def at_point(self, frame: Any, event: str, argument: Any) -> Any:
        if event == ("opcode" if frame.f_trace_opcodes else "line") and not self.is_releasing(frame):
            self.left -= 1
            if self.left == 0:
                self.place = "%s:%s, instruction %d" % (
                    frame.f_globals["__name__"], frame.f_lineno, frame.f_lasti)
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.at_point

    @staticmethod
    def is_releasing(frame: Any) -> bool:
        if frame.f_code.co_name != "within":
            return False
        lines, first = inspect.getsourcelines(frame.f_code)
        return bool((frame.f_lineno or 0) >= first + [line.strip() for line in lines].index("yield"))


# Where a socket has just been made and nobody has it yet, it is the collector that closes it, and warns.
interrupted = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


def in_another_thread(work: Callable[[], Any]) -> Any:
    """What it returns there, within SOON."""
    got: List[Any] = []
    thread = threading.Thread(target=lambda: got.append(work()), daemon=True)
    thread.start()
    thread.join(SOON)
    assert got, "another thread waits, or failed"
    return got[0]


def check_locks(gemini: GeminiClient) -> None:
    """What another thread needs is free: it can make a call, and a call is ended by its deadline."""
    assert in_another_thread(lambda: gemini.generate("other", deadline=SOON).text) == "other"
    late = RunningCall(time.monotonic())
    watchdog.watch(late)
    late.wait(SOON)
    assert late.ended == "DEADLINE"


def interrupt_everywhere(gemini: GeminiClient, fake: FakeGemini, how: str, step: int) -> int:
    """Interrupt a send at each `step`-th point; after each, what is there must be of use. The number of interrupts."""
    asked = {"role": "user", "parts": [{"text": "Hello"}]}
    said = {"role": "model", "parts": [{"text": "Hello"}]}
    done = 0
    gemini.generate("warm")
    for number in itertools.count(1, step):
        chat = gemini.chat()
        interrupter, before = Interrupter(number), sys.gettrace()
        sys.settrace(interrupter)
        try:
            answer = getattr(chat, how)("Hello")
            if how == "send_message_stream":
                for _ in answer:
                    pass
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        if not interrupter.place:
            break
        done += 1
        answer = None
        history = chat.history
        assert history in ([], [asked, said]), interrupter.place
        try:
            check_locks(gemini)
            assert chat.send_message("again").text == "again"
        except Exception as error:
            pytest.fail("after an interrupt at %s: %r" % (interrupter.place, error))
        body = fake.requests[-1].body
        assert body.get("request", body)["contents"][:-1] == history, interrupter.place
        assert len(chat.history) == len(history) + 2
    gemini.close()
    gc.collect()
    until = time.monotonic() + SOON
    while any(thread.is_alive() for _, thread in fake._open) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(thread.is_alive() for _, thread in fake._open), "a connection is left"
    print("%d interrupts" % done)
    return done


@pytest.fixture(params=["plain", "deadline", "sign-in"])
def interrupted_sends(
    request: Any, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., int]]:
    """``interrupted_sends(how, step)`` for one kind of client: `interrupt_everywhere`; a sign-in is renewed each time.
    """
    monkeypatch.setattr(oauth, "RENEW_BEFORE", 7200)
    path = tmp_path / "oauth_creds.json"
    path.write_text(json.dumps({"access_token": "old", "refresh_token": "made-up", "expiry_date": 1}))
    with FakeGemini(lambda request: [echo(request)[:2], echo(request)[2:] or "."]) as fake:
        settings: Dict[str, Any] = {"retries": 0, "timeout": SOON}
        if request.param == "sign-in":
            auth = OAuthCredentials(path, client_id="made-up", token_uri=fake.url + "/token")
            gemini = GeminiClient(backend=CodeAssist(auth, project="p", endpoints=[fake.code_assist_url]), **settings)
        else:
            gemini = client(fake, deadline=SOON if request.param == "deadline" else None, **settings)
        yield functools.partial(interrupt_everywhere, gemini, fake)


@interrupted
@pytest.mark.parametrize("how", ["send_message", "send_message_stream"])
def test_an_interrupt_leaves_client_and_history_usable(interrupted_sends: Callable[..., int], how: str) -> None:
    assert interrupted_sends(how, 31) > 50


@pytest.mark.slow
@interrupted
@pytest.mark.parametrize("how", ["send_message", "send_message_stream"])
def test_an_interrupt_at_any_point_leaves_client_and_history_usable(
    interrupted_sends: Callable[..., int], how: str,
) -> None:
    assert interrupted_sends(how, 1) > 1500


INTERRUPTED = """
import sys
from gemini_lite import DeveloperAPI, GeminiClient

with GeminiClient(backend=DeveloperAPI("test-key", base_url=sys.argv[1]), retries=0) as client:
    for round in range(3):
        try:
            for chunk in client.send_message_stream("stall"):
                print(chunk.text_delta, flush=True)
            raise SystemExit("not interrupted")
        except KeyboardInterrupt:
            assert client.history == []
    assert client.send_message("go on").text == "go on"
    assert len(client.history) == 2
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_a_stream_is_silent_leaves_client_and_history_usable() -> None:
    def answer(request: Request) -> Any:
        raw = Reply("first", "never").render(request, 0)
        raw.delay = SOON
        return raw if echo(request) == "stall" else echo(request)

    with FakeGemini(answer) as fake:
        env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
        with subprocess.Popen([sys.executable, "-W", "error", "-c", INTERRUPTED, fake.url], env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            for _ in range(3):
                assert process.stdout is not None and process.stdout.readline() == b"first\n"
                time.sleep(0.05)  # it waits for the second event now
                process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=SOON)
        assert (process.returncode, complaints) == (0, b"")


LEFT_OPEN = {
    "a name": "stream = client.stream('Hi'); next(stream)",
    "unread": "stream = client.send_message_stream('Hi')",
    "a cycle": "cycle = [client.stream('Hi')]; cycle.append(cycle); next(cycle[0])",
    "a thread": "thread = threading.Thread(target=lambda: list(client.stream('Hi')), daemon=True); thread.start(); "
                "time.sleep(0.3)",
}


@pytest.mark.parametrize("left", LEFT_OPEN)
def test_a_process_ends_with_a_stream_open(left: str) -> None:
    raw = Raw(b'data: {"candidates": [{"content": {"parts": [{"text": "a"}]}}]}\n\n', b"never", delay=SOON)
    text = ("import sys, threading, time\nfrom gemini_lite import DeveloperAPI, GeminiClient\n"
            "client = GeminiClient(backend=DeveloperAPI('test-key', base_url=sys.argv[1]))\n" + LEFT_OPEN[left])
    with FakeGemini(lambda request: raw) as fake:
        started = time.monotonic()
        script(text, fake.url)
        assert time.monotonic() - started < SOON / 2


# Kills, full disks and read-only folders

RENEWALS = """
import itertools, json, os, pathlib, random, signal, sys, time
from gemini_lite import OAuthCredentials
from gemini_lite.auth import oauth
from gemini_lite.auth.sign_in import SignIn

path, rounds = sys.argv[1], int(sys.argv[2])
numbers = itertools.count()
oauth.refresh = lambda *args: SignIn.of_json({"access_token": f"token-{next(numbers)}",
    "expiry_date": 1, "padding": "x" * random.randrange(20000)})

def renew_for_ever():
    credentials = OAuthCredentials(path, "made-up-id", "made-up-secret")
    while True:
        credentials.ready(None, (5, 5))

caught = 0
for round in range(rounds):
    pid = os.fork()
    if pid == 0:
        try:
            renew_for_ever()
        finally:
            os._exit(1)
    time.sleep(random.uniform(0.001, 0.03))
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    saved = json.loads(pathlib.Path(path).read_bytes())
    assert saved["refresh_token"] == "made-up-refresh" and saved["unknown"] == "kept", saved
    caught += os.path.exists(path + ".lock")
credentials = OAuthCredentials(path, "made-up-id", "made-up-secret")
credentials.ready(None, (5, 5))
assert not os.path.exists(path + ".lock")
print(caught, saved["access_token"])
"""


def sign_in(folder: Path) -> Path:
    path = folder / "oauth_creds.json"
    path.write_text(json.dumps({"access_token": "old", "refresh_token": "made-up-refresh", "unknown": "kept",
                                "expiry_date": 1}))
    return path


def kill_in_the_middle(folder: Path, rounds: int) -> None:
    path = sign_in(folder)
    caught, token = script(RENEWALS, path, rounds).split()
    assert int(caught) > rounds / 4, "too few kills met a write"
    assert token.startswith("token-")
    for item in folder.iterdir():  # what a killed process leaves is for nobody else's eyes
        assert item == path or item.stat().st_mode & 0o777 == 0o600


@needs_fork
def test_the_sign_in_survives_a_kill_at_any_moment_of_a_write(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path, 40)


@needs_fork
@pytest.mark.slow
def test_the_sign_in_survives_500_kills(tmp_path: Path) -> None:
    kill_in_the_middle(tmp_path, 500)


UNSAVED = """
import logging, os, sys
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
from gemini_lite import CodeAssist, GeminiClient, OAuthCredentials
url, path, trouble = sys.argv[1:]
if trouble == "full disk":  # a write stops in the middle, as on a full disk
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
elif os.getuid() == 0:  # whom no mode of a folder stops
    os.setgid(65534)
    os.setuid(65534)
credentials = OAuthCredentials(path, "made-up-id", "made-up-secret", url + "/token")
with GeminiClient(backend=CodeAssist(credentials, endpoints=[url]), retries=0) as client:
    assert [client.generate("Hi").text for _ in range(3)] == ["a"] * 3
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs POSIX")
@pytest.mark.parametrize("trouble", ["full disk", "read-only folder", "read-only file"])
def test_a_sign_in_that_cannot_be_saved_is_left_whole_and_the_calls_go_on(trouble: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # not pytest's, which is for its own user only
        folder = Path(name)
        path = sign_in(folder)
        before = path.read_bytes()
        path.chmod(0o444 if trouble == "read-only file" else 0o644)
        folder.chmod(0o555)
        if trouble == "full disk":
            folder.chmod(0o755)
        with FakeGemini(lambda request: "a") as fake:
            fake.answer("token", {"access_token": "new", "expires_in": 1}, {"access_token": "new", "expires_in": 3599})
            said = script(UNSAVED, fake.url, path, trouble).splitlines()
            tokens = {request.headers.get("authorization") for request in fake.requests} - {None}
        assert [item.name for item in folder.iterdir()] == [path.name] and path.read_bytes() == before
        folder.chmod(0o755)
    assert tokens == {"Bearer new"}
    assert len(said) == 1 and "could not be saved" in said[0] and "made-up" not in said[0], said
