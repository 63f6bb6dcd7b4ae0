"""One thread ends the calls whose time is over, and none that is done."""
from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict

from transport.served import SOON, Client

from gemini_lite import RateLimitError
from gemini_lite.testing import Error, FakeGemini, Request
from gemini_lite.transport import watchdog
from gemini_lite.transport.running import CLOSED, RunningCall


def in_seconds(seconds: float) -> RunningCall:
    call = RunningCall(time.monotonic() + seconds)
    watchdog.watch(call)
    return call


def ends(call: RunningCall) -> bool:
    until = time.monotonic() + SOON
    while call.ended is None and time.monotonic() < until:
        time.sleep(0.005)
    return call.ended is not None


def test_calls_end_in_the_order_of_their_deadlines_whatever_the_order_of_their_beginnings() -> None:
    late, early, middle = in_seconds(0.4), in_seconds(0.05), in_seconds(0.2)
    assert ends(early) and middle.ended is None and late.ended is None
    assert ends(middle) and late.ended is None
    assert ends(late)


def test_a_call_that_is_done_is_not_ended_and_not_kept() -> None:
    done = in_seconds(0.05)
    watchdog.leave(done)
    assert ends(in_seconds(0.1)) and done.ended is None
    assert done not in watchdog._watchdog._calls


def test_a_thousand_calls_of_many_threads_all_end_and_one_thread_does_it() -> None:
    in_seconds(0)
    before = threading.active_count()
    with ThreadPoolExecutor(16) as pool:
        calls = list(pool.map(lambda number: in_seconds(0.05 + number % 10 / 50), range(1000)))
    assert threading.active_count() <= before and all(map(ends, calls))


def test_a_call_can_be_hurried_but_not_delayed() -> None:
    call = in_seconds(60)
    watchdog.hurry(call, 0.05)
    assert ends(call)
    call = in_seconds(0.05)
    watchdog.hurry(call, 60)
    assert ends(call)


def test_a_socket_that_was_detached_is_left_alone() -> None:
    near, far = socket.socketpair()
    with near, far:
        call = RunningCall()
        call.attach(near)
        call.detach(near)
        call.end(CLOSED)
        near.sendall(b"a")
        assert far.recv(1) == b"a"
        call.attach(near)  # of a call that is over: shut down at once
        assert far.recv(1) == b""


def test_a_wait_between_tries_ends_with_the_call(client: Client) -> None:
    with FakeGemini(lambda request: Error(429, headers={"Retry-After": "30"})) as fake:
        gemini, caught = client(fake), []

        def ask() -> None:
            try:
                gemini.generate("Hi")
            except Exception as error:
                caught.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not fake.requests:
            time.sleep(0.01)
        time.sleep(0.2)
        gemini.close()
        thread.join(2)
        assert not thread.is_alive() and caught[0].reason == "CLOSED" and len(fake.requests) == 1


def test_many_calls_with_a_deadline_leave_nothing_behind(client: Client) -> None:
    with FakeGemini(lambda request: "a") as fake:
        gemini = client(fake, deadline=1000)
        for _ in range(50):
            gemini.generate("Hi")
            with gemini.stream("Hi") as stream:
                next(stream)
        stream_call = weakref.ref(stream)
        del stream
        gc.collect()
        assert stream_call() is None
        assert not gemini._transport._calls
        assert not [call for call in watchdog._watchdog._calls if call.left > 500]


def test_threads_that_share_a_quota_do_not_come_back_together(client: Client) -> None:
    """64 threads and a bucket of 200 requests a second: at most two refusals for each answer."""
    lock, start = threading.Lock(), time.monotonic()
    bucket: Dict[str, float] = {"tokens": 20.0, "filled": start}
    counts = {"answered": 0, "refused": 0}

    def serve(request: Request) -> Any:
        with lock:
            now = time.monotonic()
            bucket["tokens"] = min(20.0, bucket["tokens"] + (now - bucket["filled"]) * 200)
            bucket["filled"] = now
            if bucket["tokens"] >= 1:
                bucket["tokens"] -= 1
                counts["answered"] += 1
                return "a"
            counts["refused"] += 1
            wait = (1 - bucket["tokens"]) / 200
        return Error(429, details=[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "%.4fs" % wait}])

    def work(number: int) -> None:
        while time.monotonic() < start + 3:
            try:
                gemini.generate("Hi", retries=100)
            except RateLimitError:
                pass

    with FakeGemini(serve) as fake, ThreadPoolExecutor(64) as pool:
        gemini = client(fake)
        list(pool.map(work, range(64)))
    assert counts["answered"] > 100 and counts["refused"] <= 2 * counts["answered"], counts
