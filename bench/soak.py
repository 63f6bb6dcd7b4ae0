"""Half an hour of mixed calls and faults from many threads: memory stays flat, nothing leaks, and the accounts balance.

    python bench/soak.py --minutes 30 --threads 16

Two clients (Gemini API, and Code Assist with a deadline that is never met) talk to a server in a process of its own.
The prompt says what the server does with it and how the call must end; every answer is compared with its own prompt.
Some calls stall until their deadline, or until another thread closes their stream or their client. At the end: calls =
answered + failed, tries that the clients logged = requests that the server counted (stalled calls may have ended before
they were sent), as many descriptors as before, and one thread more: the one that watches deadlines.
"""
from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from gemini_lite import CodeAssist, DeveloperAPI, GeminiClient, GeminiError
from gemini_lite.testing import Error, FakeGemini, Raw, Reply, Request, call

SSE = {"Content-Type": "text/event-stream"}
READ_TIMEOUT = 2.0  # seconds
WHOLE = "Answer to %s, in some words that come piece by piece.\n"

FAULTS: Dict[str, Callable[[], Any]] = {
    "busy": lambda: Error(503, "busy", headers={"Retry-After": "0.05"}), "broken": lambda: Error(500, "oh"),
    "slow": lambda: Error(429, "slow down", headers={"Retry-After": "0.05"}), "gone": lambda: Raw(status=None),
    "wrong": lambda: Error(400, "wrong"), "unknown": lambda: Error(404, "no such model"),
    "page": lambda: Raw(b"<html>no</html>", headers={"Content-Type": "text/html"}),
    "no JSON": lambda: Raw(b"data: {broken\n\n", headers=SSE),
    "cut": lambda: Raw(b'data: {"candidates": [{"content": {"parts": [{"text": "Ans', cut=True, headers=SSE),
    "blocked": lambda: Raw(b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\n\n', headers=SSE),
    "error inside": lambda: Raw(b'data: {"error": {"code": 500, "status": "INTERNAL", "message": "oh"}}\n\n',
                                headers=SSE),
    "stalled": lambda: Raw(b'data: {"candidates": [{"content": {"parts": [{"text": "Ans"}]}}]}\n\n', b": never\n\n",
                           headers=SSE, delay=READ_TIMEOUT * 0.9),
    "silent": lambda: Raw(b": wait\n\n", b": never\n\n", headers=SSE, delay=READ_TIMEOUT * 2),
}
PASSING = ("busy", "broken", "slow", "gone")  # met once, and the call goes on
ENDING = tuple(fault for fault in FAULTS if fault != "stalled")  # met every time
HOWS = ("generate", "stream", "send_message", "send_message_stream", "tools", "count_tokens", "left early")
STREAMED = "stream", "send_message_stream"
ENDED = {"deadline": "DEADLINE", "stream closed": "CLOSED", "client closed": "CLOSED"}  # a stalled call, and the reason
ALLOWED = 0.3  # seconds that a stalled call has


# The server, in a process of its own

class Server:
    """Answers as the prompt says; keeps no request."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._seen: Dict[str, bool] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Any:
        body = request.body.get("request", request.body)
        part = body["contents"][-1]["parts"][-1]
        if "functionResponse" in part:
            return WHOLE % part["functionResponse"]["response"]["result"]
        prompt = part["text"]
        number, how, lasts, fault = prompt.split("|")
        with self._lock:
            met = lasts == "once" and self._seen.pop(number, False)
            if lasts == "once" and not met:
                self._seen[number] = True
        if fault in FAULTS and not met:
            return FAULTS[fault]()
        if how == "tools":
            return call("look_up", {"prompt": prompt})
        return Reply(*(WHOLE % prompt).split(" "), "end") if how == "left early" else Reply(*_pieces(WHOLE % prompt))


def _pieces(text: str) -> List[str]:
    return [text[start:start + 9] for start in range(0, len(text), 9)]


def serve() -> None:
    """Print the URL, then a count for each line of standard input."""
    with FakeGemini(Server()) as fake:
        print(fake.url, flush=True)
        counted = 0
        for _ in sys.stdin:
            requests, fake.requests = fake.requests, []
            counted += len(requests)
            print(json.dumps({"requests": counted, "connections": fake.connections}), flush=True)


# The clients

class Ending(NamedTuple):
    """How a call ended: "answered", or the class of its error."""

    wanted: str
    got: str


class Tries(logging.Handler):
    """Counts the requests that the clients log."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.levelno == logging.DEBUG and record.msg.startswith("%s %s: ")  # under the handler's lock


class Account:
    """What was called and how it ended; a call that ended otherwise than its prompt says is told and counted."""

    def __init__(self) -> None:
        self.calls = self.answered = self.failed = self.surprises = 0
        self.kinds: Counter[str] = Counter()
        self.overruns: List[float] = []  # seconds that stalled calls went on after their deadline or close()
        self._lock = threading.Lock()

    def add(self, prompt: str, error: Any, surprise: str) -> None:
        with self._lock:
            self.calls += 1
            self.answered += error is None
            self.failed += error is not None
            kind = "answered" if error is None else type(error).__name__
            self.kinds[error.reason if getattr(error, "reason", None) in ENDED.values() else kind] += 1
            if surprise:
                self.surprises += 1
                print("surprise: %s: %s" % (prompt, surprise), file=sys.stderr, flush=True)


def look_up(prompt: str) -> str:
    """Look it up.

    Args:
        prompt: what
    """
    return prompt


def text_of(client: GeminiClient, chat: Any, how: str, prompt: str, **limits: Any) -> str:
    """The text that a call brought; the history must have grown by it."""
    if how == "generate":
        return client.generate(prompt, **limits).text
    if how == "count_tokens":
        return WHOLE % prompt if client.count_tokens(prompt) > 0 else ""
    if how == "left early":
        with client.stream(prompt) as stream:
            return WHOLE % prompt if next(stream).text_delta == "Answer" else ""
    if how == "tools":
        return str(chat.send_message(prompt, tools=[look_up], **limits).text)
    if how == "send_message":
        return str(chat.send_message(prompt, **limits).text)
    return "".join(chunk.text_delta for chunk in stream_of(client, chat, how, prompt, **limits))


def stream_of(client: GeminiClient, chat: Any, how: str, prompt: str, **limits: Any) -> Any:
    return (client.stream if how == "stream" else chat.send_message_stream)(prompt, **limits)


def text_of_stalled(client: GeminiClient, chat: Any, how: str, prompt: str, account: Account) -> str:
    """`text_of` for a call that is ended in its midst, as its prompt says."""
    started, end = time.monotonic(), prompt.split("|")[2]
    try:
        if end == "deadline":
            return text_of(client, chat, how, prompt, deadline=ALLOWED)
        if end == "stream closed":
            stream = stream_of(client, chat, how, prompt)
            started = time.monotonic()
            with ending(stream):
                return "".join(chunk.text_delta for chunk in stream)
        with GeminiClient(backend=client.backend, retries=0) as other, ending(other):
            return text_of(other, other.chat(chat.history), how, prompt)
    finally:
        account.overruns.append(time.monotonic() - started - ALLOWED)


@contextlib.contextmanager
def ending(closeable: Any) -> Iterator[None]:
    """Another thread closes it after a while."""
    timer = threading.Timer(ALLOWED, closeable.close)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def one_call(client: GeminiClient, chat: Any, how: str, prompt: str, account: Account) -> None:
    """Make it, and compare its end with what the prompt says; a failed call must leave the history alone."""
    lasts, fault = prompt.split("|")[2:]
    must_fail = lasts == "always" or lasts in ENDED
    before, error, surprise = len(chat.history), None, ""
    try:
        text = text_of_stalled(client, chat, how, prompt, account) if lasts in ENDED else \
            text_of(client, chat, how, prompt)
        if text != WHOLE % prompt:
            surprise = "another answer: %r" % text[:200]
    except GeminiError as raised:
        error = raised
    except Exception as raised:
        error, surprise = raised, "not one of our errors: %r" % raised
    if (error is not None) != must_fail:
        surprise = surprise or "ended with %r" % error
    if lasts in ENDED and getattr(error, "reason", None) != ENDED[lasts]:
        surprise = surprise or "not ended, but %r" % error
    grown = len(chat.history) - before
    if grown and (error is not None or grown not in (2, 4)):
        surprise = "the history grew by %d after %r" % (grown, error)
    account.add(prompt, error, surprise)


def work(seed: int, clients: List[GeminiClient], pause: float, until: float, account: Account) -> None:
    """One thread: calls until the time is over, in conversations that end after some turns."""
    draw = random.Random(seed)
    serial = 0
    while time.monotonic() < until:
        client = draw.choice(clients)
        chat = client.chat()
        for _ in range(draw.randrange(1, 12)):
            serial += 1
            how, kind = draw.choice(HOWS), draw.random()
            lasts, fault = ("never", "fine") if kind < 0.7 else ("once", draw.choice(PASSING)) if kind < 0.85 \
                else ("always", draw.choice(ENDING if draw.random() < 0.3 else ENDING[:-1])) if kind < 0.94 \
                else (draw.choice(tuple(ENDED)), "stalled")
            if lasts == "stream closed":
                how = draw.choice(STREAMED)
            if how == "count_tokens" or how == "left early" and fault in ("blocked", "stalled"):  # left before
                lasts, fault = "never", "fine"
            one_call(client, chat, how, "%d-%d|%s|%s|%s" % (seed, serial, how, lasts, fault), account)
            time.sleep(draw.uniform(0, 2 * pause))


def usage() -> Tuple[float, int, int]:
    """Resident memory in MB, open descriptors, threads; as /proc tells."""
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    return int(status["VmRSS"].split()[0]) / 1024, len(os.listdir("/proc/self/fd")), threading.active_count()


def slope(points: List[Tuple[float, float]]) -> float:
    """By least squares."""
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / (sum((x - mean_x) ** 2 for x, _ in points) or 1)


def soak(minutes: float, threads: int, rate: float) -> bool:
    """Whether all held."""
    tries, account = Tries(), Account()
    log = logging.getLogger("gemini_lite")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(tries)
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          universal_newlines=True) as server:
        assert server.stdin is not None and server.stdout is not None
        url = server.stdout.readline().strip()
        gc.collect()
        at_first = usage()
        settings: Dict[str, Any] = {"timeout": (10, READ_TIMEOUT), "retries": 2, "max_wait": 5}
        clients = [GeminiClient(backend=DeveloperAPI("key", base_url=url), **settings),
                   GeminiClient(backend=CodeAssist(lambda: "token", endpoints=[url]), deadline=60, **settings)]
        started = time.monotonic()
        until = started + minutes * 60
        workers = [threading.Thread(target=work, args=(seed, clients, threads / rate, until, account))
                   for seed in range(threads)]
        for worker in workers:
            worker.start()
        memory: List[Tuple[float, float]] = []
        print("%8s %10s %8s %12s %8s" % ("minutes", "calls", "RSS, MB", "descriptors", "threads"))
        step = min(60.0, minutes * 60 / 6)
        while any(worker.is_alive() for worker in workers):
            time.sleep(min(step, max(1.0, until - time.monotonic())))
            _counted(server)
            resident, descriptors, alive = usage()
            passed = (time.monotonic() - started) / 60
            memory.append((passed, resident))
            print("%8.1f %10d %8.1f %12d %8d" % (passed, account.calls, resident, descriptors, alive), flush=True)
        for client in clients:
            client.close()
        del clients, client
        gc.collect()
        at_last = usage()
        counted = _counted(server)
        server.stdin.close()
    late = memory[len(memory) // 3:]
    growth = slope(late) if len(late) > 1 else 0.0
    print("\n%d calls = %d answered + %d failed; %d surprises" % (
        account.calls, account.answered, account.failed, account.surprises))
    print("%d tries logged, %d requests counted by the server, over %d connections" % (
        tries.count, counted["requests"], counted["connections"]))
    print("the latest of %d stalled calls ended %.2f s after its deadline or close()" % (
        len(account.overruns), max(account.overruns, default=0)))
    print("how they ended: " + ", ".join("%s %d" % pair for pair in sorted(account.kinds.items())))
    print("memory after the first third: %+.3f MB a minute; at the end %.1f MB" % (growth, at_last[0]))
    print("descriptors %d -> %d, threads %d -> %d" % (at_first[1], at_last[1], at_first[2], at_last[2]))
    return (account.calls == account.answered + account.failed and not account.surprises
            and 0 <= tries.count - counted["requests"] <= len(account.overruns)
            and at_last[1:] == (at_first[1], at_first[2] + 1) and growth < 0.1)


def _counted(server: Any) -> Dict[str, int]:
    server.stdin.write("count\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())  # type: ignore[no-any-return]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rate", type=float, default=150, help="calls a second, of all threads together")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    else:
        sys.exit(0 if soak(arguments.minutes, arguments.threads, arguments.rate) else 1)
