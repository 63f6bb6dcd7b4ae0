"""Forks, threads and event loops."""
from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
import requests
from transport.served import SOON, Client, environment, texts

from gemini_lite.testing import FakeGemini, Request


def echo(request: Request) -> str:
    return str(request.body["contents"][-1]["parts"][0]["text"])


FORK = """
import os, sys, requests
from gemini_lite import DeveloperAPI, GeminiClient

url, given = sys.argv[1:]
session = requests.Session() if given == "given" else None
client = GeminiClient(backend=DeveloperAPI("test-key", base_url=url), session=session, retries=0)
stream = client.stream("streamed")
next(stream)
assert client.generate("before").text == "before"  # which leaves a second connection idle
pid = os.fork()
if pid == 0:
    code = 1
    try:
        assert [client.generate("child %d" % n).text for n in range(3)] == ["child %d" % n for n in range(3)]
        stream.close()
        client.close()
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(pid, 0)[1] == 0
assert stream.response.text == "streamed, and on"
assert [client.generate("parent %d" % n).text for n in range(3)] == ["parent %d" % n for n in range(3)]
client.close()
if session is not None:
    session.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("given", ["own", "given"])
def test_a_client_works_on_both_sides_of_a_fork(given: str) -> None:
    def answers(request: Request) -> Any:
        return [echo(request), ", and on"] if request.streamed else echo(request)

    with FakeGemini(answers) as fake:
        done = subprocess.run([sys.executable, "-W", "error", "-c", FORK, fake.url, given], env=environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        assert (done.returncode, done.stderr.decode()) == (0, "")
        used: Dict[str, set] = {}
        for request in fake.requests:
            used.setdefault(echo(request).split(" ")[0], set()).add(request.connection)
    assert len(used["child"]) == 1 and used["before"] != used["streamed"]
    assert not used["child"] & (used["before"] | used["streamed"] | used["parent"])
    assert used["parent"] <= used["before"] | used["streamed"], "the parent's connections outlive the child"


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_16_threads_share_a_client_and_each_gets_its_own_answers(client: Client, method: str) -> None:
    start = threading.Barrier(16)

    def ask(thread: int) -> List[str]:
        start.wait(SOON)
        results = [getattr(gemini, method)("%d of %d" % (number, thread)) for number in range(20)] \
            if method == "generate" else (gemini.stream("%d of %d" % (number, thread)).response for number in range(20))
        return [result.text for result in results]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with FakeGemini(echo) as fake, ThreadPoolExecutor(16) as pool:
            gemini = client(fake, retries=0)
            got = list(pool.map(ask, range(16)))
    finally:
        sys.setswitchinterval(interval)
    assert got == [["%d of %d" % (number, thread) for number in range(20)] for thread in range(16)]
    assert fake.connections <= 16, "a thread's first calls must not make sessions of their own"


def test_threads_that_start_together_share_one_session(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Session(requests.Session):
        def __init__(self) -> None:
            made.append(self)
            time.sleep(0.05)  # long enough for every thread to find that there is none yet
            super().__init__()

    monkeypatch.setattr(requests, "Session", Session)
    with FakeGemini(echo) as fake, ThreadPoolExecutor(8) as pool:
        gemini = client(fake)
        start = threading.Barrier(8)
        assert sorted(pool.map(lambda name: start.wait(SOON) >= 0 and gemini.generate(name).text, "abcdefgh")) \
            == list("abcdefgh")
    assert len(made) == 1


def test_threads_that_start_together_share_one_tls_pool(
        tls_server: Callable[..., str], certificates: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = itertools.count()
    original = requests.Session.merge_environment_settings

    def slow(self: requests.Session, *args: Any, **kwargs: Any) -> Any:
        time.sleep(0.05 * next(looked_up))  # so that a thread is done before the next has mounted its adapter
        return original(self, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "merge_environment_settings", slow)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    gemini = client(tls_server())
    start = threading.Barrier(4)

    def ask(thread: int) -> List[str]:
        start.wait(SOON)
        first = gemini.generate("Hi").text
        start.wait(SOON)
        return [first, gemini.generate("Hi").text]

    with ThreadPoolExecutor(4) as pool:
        got = [text for pair in pool.map(ask, range(4)) for text in pair]
    assert set(got) <= {"over %d" % number for number in range(1, 5)}


def test_any_number_of_models_is_served_over_one_connection(client: Client) -> None:
    with FakeGemini(lambda request: request.model) as fake:
        fake.models.append("m*")
        gemini = client(fake)
        names = ["m%d" % number for number in range(300)] + ["m0"]
        assert [gemini.generate("Hi", model=name).text for name in names] == names
    assert fake.connections == 1


def test_a_client_works_inside_a_running_event_loop(fake: FakeGemini, client: Client) -> None:
    async def main() -> Tuple[str, List[str]]:
        gemini = client(fake)
        return gemini.generate("Hi").text, texts(gemini.stream("Hi"))

    fake.reply("a")
    fake.reply("b", "c")
    assert asyncio.run(main()) == ("a", ["b", "c"])
