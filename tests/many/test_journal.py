"""Laws of a file of results: every key once, nothing paid for twice that was written, and never another file harmed."""
import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import gemini_lite
from gemini_lite import BadRequestError, BlockedError, OverloadedError, RateLimitError, Result, read_results
from gemini_lite.api.known_keys import KnownKeys
from gemini_lite.many.records import hash_request
from gemini_lite.testing import FakeGemini
from gemini_lite.testing.server import Error, Reply

ANSWER = {"candidates": [{"content": {"parts": [{"text": "from before"}]}, "finishReason": "STOP"}]}


def asked(request):
    return request.body["contents"][0]["parts"][0]["text"]


@pytest.fixture
def echoing():
    with FakeGemini(lambda request: f"answer to {asked(request)}") as fake:
        yield fake


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


def keys(path):
    return Counter(json.loads(line)["key"] for line in path.read_bytes().splitlines())


def numbers(count):
    return [str(number) for number in range(count)]


def test_each_prompt_has_one_line_in_the_form_of_the_batch_api(echoing, client, out):
    summary = client(echoing).map_to(out, [("a", "x"), ("b", "y")])
    assert (summary.done, summary.failed, summary.skipped) == (2, 0, 0)
    lines = {line["key"]: line for line in map(json.loads, out.read_text().splitlines())}
    assert set(lines) == {"a", "b"}
    assert lines["a"]["response"]["candidates"][0]["content"]["parts"] == [{"text": "answer to x"}]
    assert set(lines["a"]) == {"key", "response", "meta"}
    assert out.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in out.parent.iterdir()] == ["out.jsonl"]


def test_what_has_a_line_is_not_sent_again(echoing, client, out):
    client(echoing).map_to(out, numbers(20))
    summary = client(echoing).map_to(out, numbers(50))
    assert (summary.done, summary.skipped, len(echoing.requests)) == (30, 20, 50)
    assert keys(out) == Counter(numbers(50))


def test_results_are_read_as_they_were(client, out):
    def some_fail(request):
        failures = {"1": Reply("half", finishReason="SAFETY"), "2": Error(503, "overloaded")}
        return failures.get(asked(request), '{"a": 1}')
    with FakeGemini(some_fail) as fake:
        client(fake).map_to(out, numbers(3), retries=0)
    results = {result.index: result for result in read_results(out)}
    assert isinstance(results[0], Result) and results[0].parsed == {"a": 1} and results[0].key == "0"
    assert isinstance(results[1].error, BlockedError) and results[1].error.response.text == "half"
    assert isinstance(results[2].error, OverloadedError) and results[2].error.retryable
    assert (results[2].error.code, results[2].error.status) == (503, "UNAVAILABLE")


def test_a_file_that_googles_batch_api_wrote_is_gone_on_with(echoing, client, out):
    out.write_text(json.dumps({"key": "0", "response": ANSWER}) + "\n"
                   + json.dumps({"key": "1", "error": {"code": 8, "message": "exhausted"}}) + "\n"
                   + json.dumps({"key": "2", "error": {"code": 3, "message": "bad"}}) + "\n")
    errors = [result.error for result in read_results(out) if result.error]
    assert [(type(error), error.code, error.retryable) for error in errors] \
        == [(RateLimitError, 429, True), (BadRequestError, 400, False)]
    summary = client(echoing).map_to(out, numbers(4))
    assert (summary.done, summary.skipped) == (2, 2)
    assert {result.key: result.text for result in read_results(out)} \
        == {"0": "from before", "1": "answer to 1", "2": None, "3": "answer to 3"}


@pytest.mark.parametrize("which, sent", [("transient", ["1"]), ("all", ["1", "2"]), ("none", [])])
def test_errors_are_tried_again_as_asked_and_have_one_line_still(client, out, which, sent):
    broken = [True]

    def some_fail(request):
        error = {"1": Error(500, "oops"), "2": Error(400, "bad")}.get(asked(request))
        return error if broken[0] and error else "x"
    with FakeGemini(some_fail) as fake:
        client(fake).map_to(out, numbers(3), retries=0)
        broken[0], before = False, len(fake.requests)
        client(fake).map_to(out, numbers(3), retry_errors=which)
        assert sorted(asked(request) for request in fake.requests[before:]) == sent
    assert keys(out) == Counter(numbers(3))


@pytest.mark.parametrize("tail", [b'{"key": "9', b'{"key":"9","respo\n', b"\0" * 300, b'{"key":"9","response":{}'])
def test_a_torn_last_line_is_cut_off_and_its_prompt_sent_again(echoing, client, out, tail):
    client(echoing).map_to(out, numbers(9))
    with out.open("ab") as file:
        file.write(tail)
    assert len(list(read_results(out))) == 9
    client(echoing).map_to(out, numbers(12))
    assert keys(out) == Counter(numbers(12))


def test_a_last_line_that_lacks_only_its_end_is_kept(echoing, client, out):
    client(echoing).map_to(out, numbers(3))
    os.truncate(out, out.stat().st_size - 1)
    summary = client(echoing).map_to(out, numbers(4))
    assert (summary.done, summary.skipped) == (1, 3)
    assert keys(out) == Counter(numbers(4))


def spoil_middle(data):
    lines = data.splitlines(keepends=True)
    return lines[0] + lines[1][:20] + b"\n" + b"".join(lines[2:])


@pytest.mark.parametrize("spoil, words", [
    (spoil_middle, "line 2 .* is damaged"),
    (lambda data: data + data.splitlines(keepends=True)[0], "stands there before"),
    (lambda data: b"id,text\n1,hello\n", "no file of results"),
    (lambda data: b'{"text": "a"}\n' + data, "no file of results"),
    (lambda data: b"one line without an end", "no file of results"),
    (lambda data: b"\0" * 50, "no file of results"),
], ids=["damaged", "doubled", "csv", "other json", "text", "zeros"])
def test_a_file_that_is_damaged_or_of_another_kind_is_left_as_it_is(echoing, client, out, spoil, words):
    client(echoing).map_to(out, numbers(5))
    out.write_bytes(spoil(out.read_bytes()))
    before, sent = out.read_bytes(), len(echoing.requests)
    with pytest.raises(ValueError, match=words):
        client(echoing).map_to(out, numbers(5))
    assert out.read_bytes() == before and len(echoing.requests) == sent


@pytest.mark.parametrize("change", [{"temperature": 1}, {"model": "other"}, {"system_prompt": "x"}])
def test_a_changed_prompt_under_an_old_key_is_refused(echoing, client, out, change):
    client(echoing).map_to(out, ["a"])
    before = out.read_bytes()
    with pytest.raises(ValueError, match="key '0' is not the one"):
        client(echoing).map_to(out, ["b"])
    with pytest.raises(ValueError, match="key '0' is not the one"):
        client(echoing).map_to(out, ["a"], **change)
    assert out.read_bytes() == before


def test_a_key_that_two_prompts_have_is_refused(echoing, client, out):
    with pytest.raises(ValueError, match="'k' is given to two prompts"):
        client(echoing).map_to(out, [("k", "a"), ("l", "b"), ("k", "c")])
    assert keys(out) == Counter(["k", "l"])


def test_without_resume_a_file_with_results_is_refused(echoing, client, out):
    client(echoing).map_to(out, ["a"])
    with pytest.raises(FileExistsError, match="resume=True"):
        client(echoing).map_to(out, ["a"], resume=False)


def test_a_second_process_on_the_same_file_is_refused(client, out):
    release = threading.Event()

    def slow(request):
        release.wait(10)
        return "x"
    with FakeGemini(slow) as fake:
        first = threading.Thread(target=client(fake).map_to, args=(out, ["a"]))
        first.start()
        while not fake.requests:
            pass
        try:
            with pytest.raises(BlockingIOError, match="another process"):
                client(fake).map_to(out, ["a"])
        finally:
            release.set()
            first.join()
    assert keys(out) == Counter(["0"])


def test_a_folder_that_is_not_there_or_cannot_be_written_is_an_oserror_that_names_it(fake, client, tmp_path):
    with pytest.raises(OSError, match="results cannot be written here.*none"):
        client(fake).map_to(tmp_path / "none" / "out.jsonl", ["a"])
    with pytest.raises(ValueError, match="no regular file"):
        client(fake).map_to(tmp_path, ["a"])


FULL_DISK = """
import resource, signal, sys
from gemini_lite import DeveloperAPI, GeminiClient
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
client = GeminiClient(backend=DeveloperAPI("k", base_url=sys.argv[1]))
try:
    client.map_to(sys.argv[2], (str(number) for number in range(200)), concurrency=4)
except OSError as error:
    print("stopped:", error, error.summary.done)
"""


def test_a_full_disk_ends_the_run_with_whole_lines_and_the_same_call_goes_on(echoing, client, out):
    environment = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    output = subprocess.run([sys.executable, "-c", FULL_DISK, echoing.url, str(out)], env=environment, timeout=60,
                            stdout=subprocess.PIPE, universal_newlines=True).stdout
    assert "a result could not be written" in output
    written = len(list(read_results(out)))
    assert out.read_bytes().endswith(b"\n") and 5 < written < 30
    summary = client(echoing).map_to(out, numbers(200))
    assert summary.skipped == written
    assert keys(out) == Counter(numbers(200))


@pytest.mark.parametrize("trouble", ["error", "part of a line"])
def test_what_is_in_flight_is_kept_when_no_more_can_be_noted(client, out, monkeypatch, trouble):
    """With on_crash="report" a full disk is met before a prompt is sent, and 63 others are under way."""
    write, noted = os.write, []

    def filling(file, data):
        if bytes(data).startswith(b'["'):
            noted.append(data)
            if len(noted) == 6 and trouble == "error":
                raise OSError(errno.ENOSPC, "No space left on device")
            if len(noted) == 6:
                return write(file, data[:3])
        return write(file, data)

    def slow(request):
        time.sleep(0.2)
        return "x"
    with FakeGemini(slow) as fake:
        monkeypatch.setattr("os.write", filling)
        with pytest.raises(OSError, match="No space left") as caught:
            client(fake).map_to(out, numbers(20), on_crash="report")
        assert keys(out) == Counter(numbers(5)) and len(fake.requests) == 5 and caught.value.summary.done == 5
        assert client(fake).map_to(out, numbers(20), on_crash="report").failed == 0
        assert keys(out) == Counter(numbers(20)) and len(fake.requests) == 20


@pytest.mark.parametrize("call", [1, 2, 3])
def test_what_is_in_flight_is_kept_when_the_callers_progress_fails(client, out, monkeypatch, call):
    monkeypatch.setattr("gemini_lite.many.progress.EVERY", 0.05)
    shown = []

    def progress(stats):
        shown.append(stats.done)
        if len(shown) == call:
            raise LookupError("the bar is closed")

    def slow(request):
        time.sleep(0.1)
        return "x"
    with FakeGemini(slow) as fake:
        with pytest.raises(LookupError, match="the bar is closed") as caught:
            client(fake).map_to(out, numbers(100), concurrency=8, progress=progress, on_crash="report")
        assert len(keys(out)) == len(fake.requests) == caught.value.summary.done < 100
        assert not (out.parent / "out.jsonl.sent").exists() and len(shown) == call


def test_all_is_closed_though_the_last_progress_fails(client, echoing, out):
    def progress(stats):
        if stats.done == 3:
            raise LookupError("the bar is closed")
    with pytest.raises(LookupError):
        client(echoing).map_to(out, numbers(3), progress=progress, on_crash="report")
    assert len(keys(out)) == 3 and [path.name for path in out.parent.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("response", [{}, {"error": None}, {"error": {}}], ids=str)
@pytest.mark.parametrize("error", [{}, {"response": None}], ids=str)
def test_a_program_that_rewrites_a_file_may_write_nulls(echoing, client, out, response, error):
    """pandas and polars give each line the names of all lines."""
    def answer(request):
        return Error(400, "bad") if asked(request) == "1" else "x"
    with FakeGemini(answer) as fake:
        client(fake).map_to(out, numbers(3))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    out.write_text("".join(json.dumps({**line, **(error if "error" in line else response)}) + "\n" for line in lines))
    assert {result.key: result.text for result in read_results(out)} == {"0": "x", "1": None, "2": "x"}
    summary = client(echoing).map_to(out, numbers(3), retry_errors="all")
    assert (summary.skipped, summary.answered, len(echoing.requests)) == (2, 1, 1)


@pytest.mark.parametrize("hash", ["f" * 17, "-1", "", "ü", 5, None, [], "0x12", "1_0", "f" * 4000], ids=str)
def test_a_hash_that_is_none_belongs_to_any_prompt(echoing, client, out, hash):
    client(echoing).map_to(out, ["x"])
    line = json.loads(out.read_text())
    line["meta"]["hash"] = hash
    out.write_text(json.dumps(line) + "\n")
    assert client(echoing).map_to(out, ["y"]).skipped == 1


@pytest.mark.parametrize("depth", [100, 900, 960, 970, 975, 980, 985])
def test_an_answer_that_is_nested_too_deep_for_a_line_is_an_error_there(client, out, depth):
    part = '{"functionCall": {"name": "f", "args": {"a": %s}}}' % ("[" * depth + "]" * depth)
    body = '{"candidates": [{"content": {"parts": [%s]}, "finishReason": "STOP"}]}' % part
    with FakeGemini() as fake:
        fake.raw(body.encode())
        fake.reply("second")
        client(fake).map_to(out, ["x", "y"], concurrency=1)
    assert keys(out) == Counter(["0", "1"]) and b"second" in out.read_bytes()


def test_half_a_surrogate_in_an_answer_is_kept(client, out):
    with FakeGemini() as fake:
        fake.raw(b'{"candidates": [{"content": {"parts": [{"text": "a\\ud800"}]}, "finishReason": "STOP"}]}')
        client(fake).map_to(out, ["x"])
    assert [result.text for result in read_results(out)] == ["a\ud800"]


def test_reported_prompts_are_sent_again_only_if_asked(echoing, client, out):
    (out.parent / "out.jsonl.sent").write_text('["0", 0, 0]\n["1", 0, 1]\n["2",')
    summary = client(echoing).map_to(out, numbers(3), on_crash="report")
    assert (summary.done, summary.skipped) == (1, 2)
    assert sorted(result.error.reason for result in read_results(out) if result.error) == ["LOST", "LOST"]
    assert client(echoing).map_to(out, numbers(3), on_crash="report").done == 0
    out.write_bytes(b"".join(line for line in out.read_bytes().splitlines(keepends=True) if b"LOST" not in line))
    assert client(echoing).map_to(out, numbers(3), retry_errors="all").done == 2
    assert keys(out) == Counter(numbers(3))


def test_the_keys_of_a_resumed_file_take_at_most_25_bytes_each():
    import tracemalloc
    count = 50_000
    tracemalloc.start()
    known = KnownKeys(expected=count)
    for number in range(count):
        known.add(f"key-{number}", 2 * number, seen=False)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(known) == count and size / count <= 25


def test_known_keys_are_found_with_what_was_asked():
    known = KnownKeys()
    known.add("a", 1234, seen=False)
    assert known.see("b") is None and known.see("a") == 1234
    with pytest.raises(ValueError, match="two prompts"):
        known.see("a")
    assert hash_request({"a": 1}, "m") == hash_request({"a": 1}, "m") != hash_request({"a": 2}, "m")
    assert hash_request({"a": 1}, "m") != hash_request({"a": 1}, "n")
