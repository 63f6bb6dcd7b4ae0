"""Laws of a run: every prompt has its result, nothing is sent that nobody asks for, and what fails for all ends it."""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

import gemini_lite
from gemini_lite import (
    AuthenticationError, BadRequestError, BlockedError, GeminiError, GeminiOptions, NotFoundError, ParseError,
    QuotaExhaustedError, RateLimitError, TransportError, TransportTimeout,
)
from gemini_lite.many.failures import Refusals
from gemini_lite.many.progress import describe
from gemini_lite.testing import FakeGemini
from gemini_lite.testing.server import Error, Raw, Reply

RETRY_SOON = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.01s"}


def asked(request):
    return request.body["contents"][0]["parts"][0]["text"]


def echo(request):
    return f"answer to {asked(request)}"


@pytest.fixture
def serving():
    """``serving(default)`` starts a fake whose default that is."""
    fakes = []

    def start(default):
        fakes.append(FakeGemini(default).start())
        return fakes[-1]

    yield start
    for fake in fakes:
        fake.close()


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch):
    monkeypatch.setattr("gemini_lite.many.engine.FIRST_RETRY", 0.01)


def test_results_come_in_the_order_of_the_prompts(serving, client):
    def slow_first(request):
        time.sleep(0.2 if asked(request) == "0" else 0)
        return echo(request)
    results = list(client(serving(slow_first)).map((str(number) for number in range(50)), concurrency=8))
    assert [result.text for result in results] == [f"answer to {number}" for number in range(50)]
    assert [result.index for result in results] == list(range(50))
    assert [result.key for result in results] == [str(number) for number in range(50)]


def test_without_order_a_slow_prompt_holds_nobody_back(serving, client):
    def slow_first(request):
        time.sleep(0.3 if asked(request) == "0" else 0)
        return echo(request)
    results = list(client(serving(slow_first)).map(map(str, range(20)), concurrency=4, ordered=False))
    assert results[-1].index == 0
    assert sorted(result.index for result in results) == list(range(20))


def test_a_prompt_is_what_generate_takes_a_pair_or_a_line(serving, client):
    def parts(request):
        return str(len(request.body["contents"][-1]["parts"]))
    prompts = ["one", ["two", "parts"], ("mine", "one"), (7, ["a", "b", "c"]), {"key": "k", "prompt": "x"},
               {"key": "r", "request": {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}},
               {"text": "a part"}, (b"\x89PNG\r\n\x1a\n", "image/png"), {"role": "user", "parts": [{"text": "a"}]}]
    results = list(client(serving(parts)).map(prompts))
    assert [result.text for result in results] == ["1", "2", "1", "3", "1", "1", "1", "1", "1"]
    assert [result.key for result in results] == ["0", "1", "mine", "7", "k", "r", "6", "7", "8"]


def test_a_lines_request_stands_over_the_options_of_the_run(serving, client):
    fake = serving(echo)
    request = {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"temperature": 1}}
    list(client(fake).map([{"request": request}], temperature=0, top_p=0.5, system_prompt="Be brief."))
    assert fake.requests[0].body["generationConfig"] == {"temperature": 1, "topP": 0.5}
    assert fake.requests[0].body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert request["generationConfig"] == {"temperature": 1}


def test_errors_are_items_and_the_others_are_answered(serving, client):
    def some_fail(request):
        if asked(request) == "3":
            return Error(400, "bad prompt")
        if asked(request) == "5":
            return Reply(finishReason="SAFETY")
        return echo(request)
    results = list(client(serving(some_fail)).map([*map(str, range(6)), "", 1.5, Path("/no/such/file"), "9"]))
    kinds = [type(result.error) for result in results]
    assert kinds == [type(None)] * 3 + [BadRequestError, type(None), BlockedError] + [BadRequestError] * 3 \
        + [type(None)]
    assert [result.error.reason for result in results[6:9]] == ["INVALID_PROMPT"] * 3
    assert "/no/such/file" in str(results[8].error)
    assert results[3].text is None and results[3].tries == 1
    with pytest.raises(BadRequestError):
        results[3].unwrap()


def test_prompts_are_read_no_further_ahead_than_can_be_in_flight(serving, client):
    read = []

    def prompts():
        for number in range(1000):
            read.append(number)
            yield str(number)

    with client(serving(echo)).map(prompts(), concurrency=4) as run:
        for _ in range(10):
            next(run)
        time.sleep(0.1)
        assert len(read) <= 10 + 17 * 4  # what may wait for a slow one before it, at most


def test_a_consumer_that_stops_stops_the_sending(serving, client):
    fake = serving(echo)
    for number, _ in enumerate(client(fake).map(map(str, range(1000)), concurrency=4)):
        if number == 20:
            break
    time.sleep(0.1)
    sent = len(fake.requests)
    time.sleep(0.2)
    assert len(fake.requests) == sent <= 20 + 18 * 4


def test_at_most_concurrency_calls_are_in_flight(serving, client):
    lock, now, most = threading.Lock(), [0], [0]

    def count(request):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1
        return "x"
    list(client(serving(count)).map(map(str, range(200)), concurrency=7))
    assert most[0] == 7


@pytest.mark.parametrize("error, kind", [
    (Error(401, "no"), AuthenticationError),
    (Error(404, "models/x is not found for API version v1beta"), NotFoundError),
    (Error(429, "Quota exceeded", details=[{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [
        {"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}]), QuotaExhaustedError),
    (Error(429, "later", details=[{**RETRY_SOON, "retryDelay": "7200s"}]), RateLimitError),
    (Error(400, "API key not valid", details=[
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]), GeminiError),
])
def test_what_fails_for_all_prompts_ends_the_run_when_what_is_in_flight_is_there(serving, client, error, kind):
    def fails_at_30(request):
        return error if int(asked(request)) == 30 else echo(request)
    results = []
    with pytest.raises(kind) as caught:
        for result in client(serving(fails_at_30)).map(map(str, range(1000)), concurrency=8):
            results.append(result)
    assert 30 <= len(results) <= 300
    assert all(result.error is None for result in results)
    assert caught.value.summary.done == len(results)


@pytest.mark.parametrize("error", [
    Error(403, "You do not have permission to access the File abc or it may not exist."),
    Error(404, "CachedContent not found"),
], ids=["file", "cache"])
def test_a_file_or_a_cache_that_is_gone_is_the_prompts_own_trouble(serving, client, error):
    results = list(client(serving(lambda request: error if asked(request) == "3" else "x")).map(map(str, range(6))))
    assert [result.error is None for result in results] == [True] * 3 + [False] + [True] * 2


def test_twenty_failures_alike_at_the_beginning_end_the_run(serving, client):
    fake = serving(lambda request: Error(400, "Unable to process input image"))
    with pytest.raises(GeminiError, match="first 20 prompts all failed.*Unable to process"):
        list(client(fake).map(map(str, range(1000)), concurrency=4))
    assert len(fake.requests) <= 24


@pytest.mark.parametrize("error", [Error(500, "oops"), Error(503, "busy"), Raw(cut=True)], ids=["500", "503", "cut"])
@pytest.mark.parametrize("answered", [0, 100])
def test_an_outage_ends_a_run_into_a_file_at_its_beginning_and_later(serving, client, tmp_path, error, answered):
    def goes_down(request):
        return echo(request) if int(asked(request)) < answered else error
    fake, out = serving(goes_down), tmp_path / "out.jsonl"
    with pytest.raises(GeminiError, match="20 prompts .*failed.*so the run was stopped") as caught:
        client(fake).map_to(out, map(str, range(3000)), retries=1, concurrency=8)
    summary = caught.value.summary
    assert caught.value.retryable and summary.may_pass == summary.failed and summary.answered == answered
    assert 20 <= summary.failed < 300 and len(fake.requests) < answered + 700


def test_an_outage_loses_no_answers_that_are_in_memory(serving, client):
    fake = serving(lambda request: echo(request) if int(asked(request)) < 30 else Error(503, "busy"))
    texts = [result.text for result in client(fake).map(map(str, range(100)), retries=0)]
    assert len(texts) == 100 and texts[29] == "answer to 29" and texts[30:] == [None] * 70


def test_an_outage_at_the_beginning_ends_a_run_without_a_file(serving, client):
    with pytest.raises(GeminiError, match="The first 20 prompts all failed"):
        list(client(serving(lambda request: Error(503, "busy"))).map(map(str, range(3000)), retries=0))


def test_failures_among_answers_are_no_outage(serving, client):
    fake = serving(lambda request: Error(500, "oops") if int(asked(request)) % 10 else echo(request))
    results = list(client(fake).map(map(str, range(100)), retries=0, concurrency=1))
    assert len(results) == 100 and sum(result.error is None for result in results) == 10


def test_answers_that_the_model_does_not_finish_are_no_outage(serving, client, tmp_path):
    reasons = ["MALFORMED_RESPONSE", "OTHER"]  # each may pass, and says nothing of the other prompts
    fake = serving(lambda request: Reply(finishReason=reasons[int(asked(request)) % 2]))
    summary = client(fake).map_to(tmp_path / "out.jsonl", map(str, range(100)), retries=0)
    assert summary.failed == summary.may_pass == 100


def test_what_an_outage_failed_is_answered_by_the_second_call(serving, client, tmp_path):
    is_down = [True]
    fake = serving(lambda request: Error(503, "busy") if is_down else echo(request))
    out = tmp_path / "out.jsonl"
    with pytest.raises(GeminiError, match="busy"):
        client(fake).map_to(out, map(str, range(200)), retries=1)
    is_down.clear()
    assert client(fake).map_to(out, map(str, range(200))).failed == 0
    assert sorted(int(result.key) for result in gemini_lite.read_results(out) if result.text) == list(range(200))


def test_certificates_that_are_not_there_end_the_run_and_mark_no_prompt(client, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    out = tmp_path / "out.jsonl"
    with pytest.raises(TransportError) as caught:
        client("https://127.0.0.1:1").map_to(out, map(str, range(200)))
    assert caught.value.reason == "TLS" and out.read_bytes() == b""


def test_an_outage_does_not_read_all_prompts(serving, client, monkeypatch):
    monkeypatch.setattr("gemini_lite.many.engine.FIRST_RETRY", 0.4)
    read = []
    prompts = (read.append(number) or str(number) for number in range(5000))
    with pytest.raises(GeminiError, match="stopped"):
        list(client(serving(lambda request: Error(500, "oops"))).map(prompts, retries=1, concurrency=2))
    assert len(read) <= 2 * 16 + 30


def test_results_that_wait_for_a_retry_do_not_hold_it_back(serving, client, monkeypatch):
    monkeypatch.setattr("gemini_lite.many.engine.FIRST_RETRY", 0.5)
    seen = []

    def first_fails_once(request):
        seen.append(asked(request))
        return Error(500, "oops") if asked(request) == "0" and seen.count("0") == 1 else echo(request)
    results = list(client(serving(first_fails_once)).map(map(str, range(200)), concurrency=2))
    assert [result.text for result in results] == [f"answer to {number}" for number in range(200)]


def test_failures_are_counted_by_their_reason(serving, client):
    def two_reasons(request):
        number = int(asked(request))
        return Error(400, f"no picture {number}") if number % 3 else Error(500, "oops") if number % 2 else "x"
    run = client(serving(two_reasons)).map(map(str, range(18)), retries=0, concurrency=1)
    assert len(list(run)) == 18
    assert list(run.stats.reasons.values()) == [12, 3] and run.stats.may_pass == 3
    assert re.search(r"12 x BadRequestError 400 \w+: no picture 1\n3 x ServerError 500 \w+: oops", str(run.stats))


def test_more_than_max_errors_end_the_run(serving, client):
    def every_third(request):
        return Error(400, "bad") if int(asked(request)) % 3 == 0 else "x"
    with pytest.raises(GeminiError, match="max_errors=4") as caught:
        list(client(serving(every_third)).map(map(str, range(1000)), concurrency=2, max_errors=4))
    assert caught.value.summary.failed in (5, 6)


def test_a_server_error_is_sent_again_as_often_as_retries_says(serving, client):
    fake = serving(lambda request: Error(500, "oops"))
    result, = client(fake).map(["x"], retries=2)
    assert (result.error.code, result.tries, len(fake.requests)) == (500, 3, 3)


def test_refusals_use_up_no_retries(serving, client):
    seen = []

    def refuse_ten_times(request):
        seen.append(request)
        return Error(429, "slow down", details=[RETRY_SOON]) if len(seen) <= 10 else "x"
    run = client(serving(refuse_ten_times)).map(["x"], retries=0)
    result, = run
    assert (result.text, result.tries) == ("x", 11)
    assert run.stats.refused == 10 and run.stats.retried == 0


def test_a_prompt_that_the_quota_always_refuses_fails_and_says_why(serving, client, monkeypatch):
    """One with more tokens than a minute allows would be refused for ever, and hold all others back."""
    monkeypatch.setattr("gemini_lite.many.failures.MANY_SECONDS", 0.1)
    quota = {"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "250000"}
    details = [RETRY_SOON, {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]}]

    def answer(request):
        return Error(429, "slow down", details=details) if asked(request) == "large" else "x"
    large, *others = client(serving(answer)).map(["large", *map(str, range(10))], retries=0, concurrency=2)
    assert isinstance(large.error, RateLimitError) and large.tries == 10 and large.error.retryable
    assert "slow down" in str(large.error) and "refused this prompt 10 times" in str(large.error)
    assert [result.text for result in others] == ["x"] * 10


@pytest.mark.parametrize("seconds, for_tokens, given_up_after", [
    (60, True, 10), (1, True, 301), (1000, True, 10), (60, False, None)])
def test_no_prompt_is_given_up_soon_or_for_a_quota_of_requests(seconds, for_tokens, given_up_after):
    refusals = Refusals(1000.0)
    given_up = [refusals.add(RateLimitError("slow down"), 1000.0 + seconds * count, for_tokens=for_tokens)
                for count in range(400)]
    assert (given_up.index(True) + 1 if True in given_up else None) == given_up_after


@pytest.mark.parametrize("count", [10 ** 400, -(10 ** 400), -5, 1e308, True, "7", None, [], {}, 0.5],
                         ids="huge -huge negative 1e308 true text null list object half".split())
@pytest.mark.parametrize("name", ["promptTokenCount", "totalTokenCount"])
def test_counts_that_count_nothing_are_no_trouble(serving, client, name, count):
    answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "x"}]}, "finishReason": "STOP"}],
              "modelVersion": "m", "usageMetadata": {name: count}}
    fake = serving(lambda request: Raw(json.dumps(answer).encode()))
    lines = []
    run = client(fake).map(["a", "b"], concurrency=1, progress=lambda stats: lines.append(describe(stats)))
    assert [result.text for result in run] == ["x", "x"]
    assert run.stats.as_dict()["tokens"]["m"]["prompt"] == 0 and "0 failed" in lines[-1]
    assert str(run.stats) and run.stats._repr_html_()


def test_an_answer_that_is_lost_is_asked_for_once_more_and_no_more(serving, client):
    cut = Raw(b'{"candidates"', headers={"Content-Length": "1000"}, cut=True)
    fake = serving(lambda request: cut)
    result, = client(fake).map(["x"])
    assert len(fake.requests) == result.tries == 2
    assert result.error is not None


def test_a_read_timeout_is_never_sent_again(serving, client):
    def slow(request):
        time.sleep(0.5)
        return "x"
    fake = serving(slow)
    result, = client(fake).map(["x"], timeout=(5, 0.1))
    assert isinstance(result.error, TransportTimeout) and result.error.reason == "READ_TIMEOUT"
    assert len(fake.requests) == 1


def test_a_deadline_is_for_each_prompt(serving, client):
    def slow_one(request):
        time.sleep(1 if asked(request) == "3" else 0.01)
        return "x"
    results = list(client(serving(slow_one)).map(map(str, range(40)), concurrency=1 + 1, deadline=0.4))
    assert [result.index for result in results if result.error] == [3]
    assert results[3].error.reason == "DEADLINE"


def test_the_callers_iterator_may_fail_and_what_is_in_flight_arrives(serving, client):
    def prompts():
        yield from map(str, range(10))
        raise LookupError("the database is gone")
    results = []
    with pytest.raises(LookupError):
        for result in client(serving(echo)).map(prompts()):
            results.append(result)
    assert len(results) == 10


@dataclass
class Person:
    name: str
    age: int


def test_structured_answers_are_parsed_and_a_mismatch_is_an_error_that_keeps_the_text(serving, client):
    def people(request):
        return '{"name": "Ada", "age": 36}' if asked(request) != "1" else "I do not know."
    results = list(client(serving(people)).map(map(str, range(3)), response_schema=Person))
    assert results[0].parsed == Person("Ada", 36)
    assert isinstance(results[1].error, ParseError) and results[1].error.response.text == "I do not know."
    assert results[1].parsed is None and results[1].usage_metadata.total_token_count


def lookup(word: str) -> str:
    """Look up a word."""
    return word


def test_functions_among_the_tools_are_refused_with_the_way_that_works(fake, client):
    with pytest.raises(ValueError, match="max_tool_rounds=0"):
        client(fake).map(["x"], tools=[lookup])


def test_with_no_rounds_of_tools_the_calls_are_the_results(serving, client):
    fake = serving(lambda request: Reply(FakeGemini.call("lookup", {"word": "a"})))
    result, = client(fake).map(["x"], tools=[lookup], max_tool_rounds=0)
    assert result.response.function_calls[0].args == {"word": "a"}


@pytest.mark.parametrize("settings, error", [
    ({"concurrency": 0}, ValueError), ({"concurrency": "4"}, TypeError), ({"max_errors": -1}, ValueError),
    ({"requests_per_minute": 0}, ValueError), ({"colour": "red"}, TypeError),
])
def test_numbers_that_mean_nothing_are_refused_before_anything_is_sent(fake, client, settings, error):
    with pytest.raises(error):
        client(fake).map(["x"], **settings)


@pytest.mark.parametrize("prompts", ["one prompt", b"bytes", {"text": "a"}, None])
def test_one_prompt_is_not_many(fake, client, prompts):
    with pytest.raises(TypeError, match="iterable of prompts"):
        client(fake).map(prompts)


def test_a_concurrency_that_the_limit_of_open_files_forbids_names_ulimit(fake, client):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with pytest.raises(ValueError, match="ulimit -n"):
            client(fake).map(["x"], concurrency=500)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_run_keeps_as_many_connections_as_it_has_calls(serving, client):
    barrier = threading.Barrier(100)

    def together(request):
        if asked(request) != "last":
            barrier.wait(20)
        return "x"
    fake = serving(together)
    list(client(fake).map(map(str, range(300)), concurrency=100))
    assert fake.connections == 100


def test_tokens_are_counted_by_model_and_kind(serving, client):
    fake = serving(lambda request: Reply("x", usageMetadata={
        "promptTokenCount": 3, "cachedContentTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 4,
        "totalTokenCount": 9}))
    run = client(fake).map(map(str, range(10)), model="gemini-2.5-flash")
    list(run)
    assert run.stats.tokens == {"gemini-2.5-flash": {
        "prompt": 30, "cached": 10, "answer": 20, "thoughts": 40, "tool_use": 0, "total": 90}}


INTERRUPTED = """
import sys, time
from gemini_lite import DeveloperAPI, GeminiClient
client = GeminiClient(backend=DeveloperAPI("k", base_url=sys.argv[1]))
count = 0
print("begun", flush=True)
try:
    for result in client.map((str(number) for number in range(100000)), concurrency=8):
        count += 1
        print(result.index, flush=True)
except KeyboardInterrupt as error:
    print("interrupted", error.summary.done, count, flush=True)
"""


def interrupted_run(url, signals):
    environment = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, url], stdout=subprocess.PIPE, env=environment,
                               universal_newlines=True)
    lines = [process.stdout.readline() for _ in range(10)]
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    rest = process.communicate(timeout=20)[0]
    return "".join(lines) + rest


def test_after_ctrl_c_what_is_in_flight_arrives(serving, interruptible):
    def steady(request):
        time.sleep(0.15)
        return "x"
    fake = serving(steady)
    output = interrupted_run(fake.url, 1)
    found = re.search(r"interrupted (\d+) (\d+)", output)
    assert found and found.group(1) == found.group(2)
    assert int(found.group(1)) == len(fake.requests)


@pytest.mark.slow  # on a busy machine the two signals may come as one
def test_a_second_ctrl_c_does_not_wait(serving, interruptible):
    release = threading.Event()

    def slow(request):
        if int(asked(request)) >= 12:
            release.wait(20)
        return "x"
    begun = time.monotonic()
    output = interrupted_run(serving(slow).url, 2)
    seconds = time.monotonic() - begun
    release.set()
    assert re.search(r"interrupted (\d+) (\d+)", output)
    assert seconds < 15


def test_options_are_not_changed_by_a_run(serving, client):
    options = GeminiOptions(temperature=0.5)
    made = client(serving(echo), options)
    list(made.map(["x"], temperature=0))
    assert made.options == options


def test_the_handler_of_ctrl_c_is_put_back_after_every_end(serving, client, interruptible):
    before = signal.getsignal(signal.SIGINT)
    made = client(serving(echo))
    assert len(list(made.map(map(str, range(5))))) == 5
    assert signal.getsignal(signal.SIGINT) is before
    for _ in made.map(map(str, range(50))):
        break
    assert signal.getsignal(signal.SIGINT) is before
    with made.map(map(str, range(50))) as run:
        next(run)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_ctrl_c_that_the_run_noted_is_not_lost_when_its_consumer_leaves(serving, client, interruptible):
    with pytest.raises(KeyboardInterrupt):
        with client(serving(echo)).map(map(str, range(500))) as run:
            next(run)
            signal.raise_signal(signal.SIGINT)
            next(run)


def test_a_ctrl_c_in_long_code_of_the_consumers_is_raised_there(serving, client, interruptible):
    with client(serving(echo)).map(map(str, range(500))) as run:
        next(run)
        time.sleep(0.6)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
