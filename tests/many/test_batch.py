"""``client.batch_to``: one job for the prompts of a file of results, whatever is killed, lost or changed meanwhile."""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import gemini_lite
from gemini_lite import (
    BadRequestError, BlockedError, GeminiError, JobFailedError, OverloadedError, ParseError, TransportTimeout,
    read_results,
)
from gemini_lite.api import batch_jobs
from gemini_lite.many import batch
from gemini_lite.testing import Error, FakeGemini
from gemini_lite.testing.batches_service import BatchesService, text_answer


@pytest.fixture
def service():
    return BatchesService()


@pytest.fixture
def client(fake, service, client, no_sleep):
    fake.services += [service, service.files]
    fake.models.append("gemini-x")
    return client(fake, model="gemini-x")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.jsonl"


PROMPTS = [(f"k{number}", f"prompt {number}") for number in range(5)]


def texts(path):
    return {result.key: result.text for result in read_results(path)}


def answered(prompts=PROMPTS):
    return {key: f"answer {key}" for key, _ in prompts}


def note(path):
    return json.loads(Path(f"{path}.batch.json").read_text())


def created(fake):
    return [request for request in fake.requests if ":batchGenerateContent" in request.path]


def test_results_come_into_the_same_file_as_those_of_map_to(fake, client, service, out):
    summary = client.batch_to(out, PROMPTS)
    assert (summary.answered, summary.failed, summary.skipped, summary.in_flight, summary.total) == (5, 0, 0, 0, 5)
    assert texts(out) == answered()
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.jsonl"]
    assert client.map_to(out, PROMPTS).skipped == 5  # the hashes agree
    assert {result.key: result.index for result in read_results(out)} == {f"k{number}": number for number in range(5)}


def test_the_request_is_the_one_that_map_to_would_send(fake, client, service, out):
    client.batch_to(out, ["Hi"], wait=False, temperature=0, system_prompt="s")
    entry = created(fake)[0].body["batch"]["inputConfig"]["requests"]["requests"][0]
    fake.reply("x")
    client.map_to(out.parent / "other.jsonl", ["Hi"], temperature=0, system_prompt="s")
    assert entry == {"metadata": {"key": "0"}, "request": fake.requests[-1].body}


def test_what_has_a_line_is_not_handed_in_again(fake, client, service, out):
    fake.reply("online")
    fake.reply("online")
    client.map_to(out, PROMPTS[:2])
    summary = client.batch_to(out, PROMPTS)
    assert (summary.answered, summary.skipped) == (3, 2)
    assert texts(out) == {**answered(), "k0": "online", "k1": "online"}
    assert client.batch_to(out, PROMPTS).skipped == 5 and len(created(fake)) == 1


def test_without_waiting_a_call_hands_in_and_the_next_ones_look(fake, client, service, out):
    first = client.batch_to(out, PROMPTS, wait=False)
    assert (first.done, first.in_flight) == (0, 5)
    found = note(out)
    assert found["name"] == "batches/b1" and found["display_name"].startswith("gemini-lite-")
    assert service.jobs["batches/b1"]["metadata"]["displayName"] == found["display_name"]
    if os.name == "posix":
        assert Path(f"{out}.batch.json").stat().st_mode & 0o777 == 0o600
    assert client.batch_to(out, PROMPTS, wait=False).in_flight == 5  # running
    assert client.batch_to(out, PROMPTS, wait=False).answered == 5
    assert texts(out) == answered() and len(created(fake)) == 1
    assert not Path(f"{out}.batch.json").exists()


@pytest.mark.parametrize("change", [
    lambda prompts: prompts + [("more", "x")], lambda prompts: prompts[:-1],
    lambda prompts: [("k0", "y"), *prompts[1:]]])
def test_other_prompts_than_those_of_the_job_are_refused(fake, client, service, out, change):
    client.batch_to(out, PROMPTS, wait=False)
    with pytest.raises(ValueError, match="batches/b1 is under way for other prompts.*Collect it first"):
        client.batch_to(out, change(PROMPTS), wait=False)
    with pytest.raises(ValueError, match="under way"):
        client.batch_to(out, PROMPTS, temperature=1)
    assert client.batch_to(out, reversed(PROMPTS)).answered == 5  # keys tell them apart, in whatever order
    assert len(created(fake)) == 1


def test_without_resume_a_job_that_is_under_way_is_refused(client, service, out):
    client.batch_to(out, PROMPTS, wait=False)
    with pytest.raises(ValueError, match="resume=True"):
        client.batch_to(out, PROMPTS, resume=False)


def test_failures_are_error_lines_and_what_is_missing_is_left_for_the_next_call(fake, client, service, out, caplog):
    def answer(key, request):
        if key == "k1":
            return {"error": {"code": 503, "message": "busy"}}
        if key == "k2":
            return {"response": {"promptFeedback": {"blockReason": "SAFETY"}}}
        return text_answer(key, request)

    service.answer, service.dropped_keys = answer, ["k3"]
    service.extra_lines = [{"key": "foreign", **text_answer("x", {})}]
    summary = client.batch_to(out, PROMPTS)
    assert (summary.answered, summary.failed, summary.in_flight) == (2, 2, 1)
    errors = {result.key: result.error for result in read_results(out)}
    assert isinstance(errors["k2"], BlockedError) and errors["k1"].retryable and set(errors) == {"k0", "k1", "k2", "k4"}
    assert "the key foreign" in caplog.text and "no result for 1" in caplog.text
    fake.reply("online")
    fake.reply("online")
    client.map_to(out, PROMPTS)
    assert {key for key, text in texts(out).items() if text == "online"} == {"k1", "k3"}


def test_an_error_with_a_number_of_google_rpc_is_tried_again_where_it_may_pass(fake, client, service, out):
    service.answer = lambda key, request: {"error": {"code": 14 if key == "k1" else 3, "message": "no"}}
    assert client.batch_to(out, PROMPTS).failed == 5
    errors = {result.key: result.error for result in read_results(out)}
    assert isinstance(errors["k1"], OverloadedError) and isinstance(errors["k2"], BadRequestError)
    service.answer = text_answer
    assert client.batch_to(out, PROMPTS).answered == 1


def test_what_is_missing_goes_into_a_new_job_by_the_same_call(fake, client, service, out):
    service.dropped_keys = ["k3"]
    client.batch_to(out, PROMPTS)
    service.dropped_keys = []
    assert (client.batch_to(out, PROMPTS).answered, texts(out)) == (1, answered())
    handed_in = [len(request.body["batch"]["inputConfig"]["requests"]["requests"]) for request in created(fake)]
    assert handed_in == [5, 1]


def test_a_prompt_that_cannot_be_sent_is_an_error_line_and_no_part_of_the_job(fake, client, service, out):
    summary = client.batch_to(out, [{"key": "bad", "request": {}},
                                    {"key": "nan", "request": {"contents": [], "x": float("nan")}},
                                    ("lone", "\ud800"), *PROMPTS])
    assert (summary.answered, summary.failed) == (5, 3)
    assert {result.key for result in read_results(out) if result.error is not None} == {"bad", "nan", "lone"}


def test_an_answer_that_does_not_fit_the_schema_is_an_error_line(client, service, out):
    client.batch_to(out, ["Hi"], response_schema={"type": "object", "properties": {"a": {"type": "integer"}}})
    assert isinstance(next(read_results(out)).error, ParseError)


def test_large_input_is_uploaded_in_a_step_of_its_own(fake, client, service, out, monkeypatch):
    monkeypatch.setattr(batch, "INLINE_BYTES", 100)
    refused = [Error(400, "Unsupported MIME type: application/jsonl")]
    fake.services.insert(0, lambda request: refused.pop() if request.path.startswith("/upload") and refused else None)
    client.batch_to(out, PROMPTS)
    assert "fileName" in created(fake)[0].body["batch"]["inputConfig"] and texts(out) == answered()


def test_an_answer_that_is_lost_is_looked_up(fake, client, service, out):
    service.lost.append(True)
    client.batch_to(out, PROMPTS)
    assert texts(out) == answered() and len(service.jobs) == len(created(fake)) == 1


def test_a_job_that_nobody_can_find_is_unknown_and_both_ways_on_work(fake, client, service, out, monkeypatch):
    monkeypatch.setattr(batch_jobs, "LOOK_SECONDS", 0.05)
    service.lost.append(False)
    for _ in range(2):
        with pytest.raises(JobFailedError, match="same call later.*again=True") as caught:
            client.batch_to(out, PROMPTS)
        assert caught.value.reason == "UNKNOWN" and note(out)["display_name"] in str(caught.value)
        assert caught.value.summary.in_flight == 5
    assert len(created(fake)) == 1 and service.jobs == {}
    client.batch_to(out, PROMPTS, wait=False, again=True)
    assert len(created(fake)) == 2
    client.batch_to(out, PROMPTS, again=True)  # it is there now: none is made
    assert len(created(fake)) == 2 and texts(out) == answered()


def test_a_job_that_comes_late_is_found_by_the_same_call(fake, client, service, out, monkeypatch):
    monkeypatch.setattr(batch_jobs, "LOOK_SECONDS", 0.05)
    service.lost.append(True)
    hidden = [Error(500, "no list")]
    fake.services.insert(0, lambda request: hidden[0] if hidden and "pageSize" in request.path else None)
    with pytest.raises(JobFailedError):
        client.batch_to(out, PROMPTS)
    hidden.clear()
    assert client.batch_to(out, PROMPTS).answered == 5 and len(created(fake)) == 1


def test_again_makes_no_second_job_while_nobody_can_look(fake, client, service, out, monkeypatch):
    monkeypatch.setattr(batch_jobs, "LOOK_SECONDS", 0.05)
    service.lost.append(True)
    hidden = [Error(500, "no list")]
    fake.services.insert(0, lambda request: hidden[0] if hidden and "pageSize" in request.path else None)
    for again in (False, True):
        with pytest.raises(GeminiError, match="no list|not in the list"):
            client.batch_to(out, PROMPTS, again=again)
    assert len(created(fake)) == 1
    hidden.clear()
    assert client.batch_to(out, PROMPTS, again=True).answered == 5 and len(created(fake)) == 1


def test_a_job_that_was_deleted_is_gone_and_not_unknown(fake, client, service, out):
    client.batch_to(out, PROMPTS, wait=False)
    service.jobs.clear()
    with pytest.raises(JobFailedError, match="batches/b1") as caught:
        client.batch_to(out, PROMPTS)
    assert caught.value.reason == "GONE"
    assert client.batch_to(out, PROMPTS, again=True).answered == 5


@pytest.mark.parametrize("code", [400, 403, 429])
def test_a_refused_job_leaves_no_note(fake, client, service, out, code):
    refusal = [Error(code, "no")]
    fake.services.insert(0, lambda request: refusal[0] if refusal and ":batchGenerate" in request.path else None)
    with pytest.raises(GeminiError, match="no"):
        client.batch_to(out, PROMPTS)
    assert not Path(f"{out}.batch.json").exists()
    refusal.clear()
    assert client.batch_to(out, PROMPTS).answered == 5 and len(service.jobs) == 1


@pytest.mark.parametrize("state", ["FAILED", "EXPIRED", "CANCELLED"])
def test_a_job_that_failed_is_said_and_the_same_call_hands_in_another(client, service, out, state):
    service.states = ["PENDING", state]
    with pytest.raises(JobFailedError) as caught:
        client.batch_to(out, PROMPTS)
    assert caught.value.reason == state and caught.value.summary.in_flight == 5
    service.states = ["PENDING", "SUCCEEDED"]
    assert client.batch_to(out, PROMPTS).answered == 5 and len(service.jobs) == 2


def test_a_deadline_ends_the_wait_and_the_same_call_goes_on(fake, client, service, out, monkeypatch):
    service.states = ["PENDING"]
    monkeypatch.setattr("gemini_lite.transport.retry.sleep", time.sleep)
    with pytest.raises(TransportTimeout) as caught:
        client.batch_to(out, PROMPTS, deadline=0.2, poll=(0.01, 0.05))
    assert caught.value.reason == "DEADLINE" and caught.value.summary.in_flight == 5
    service.states = ["PENDING", "SUCCEEDED"]
    assert client.batch_to(out, PROMPTS).answered == 5 and len(created(fake)) == 1


@pytest.mark.parametrize("place", [":batchGenerate", "/upload/"])
def test_a_deadline_ends_the_making_of_a_job_too(fake, client, out, monkeypatch, place):
    if place == "/upload/":
        monkeypatch.setattr(batch, "INLINE_BYTES", 100)
    is_over = threading.Event()
    fake.services.insert(0, lambda request: is_over.wait(20) and None if place in request.path else None)
    began = time.monotonic()
    with pytest.raises(GeminiError):
        client.batch_to(out, PROMPTS, deadline=0.5)
    assert time.monotonic() - began < 10
    is_over.set()


def test_a_damaged_note_is_said_and_left(client, service, out):
    Path(f"{out}.batch.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        client.batch_to(out, PROMPTS)
    assert service.jobs == {} and Path(f"{out}.batch.json").read_text() == "{"


def test_progress_is_called_with_the_counts(client, service, out):
    seen = []
    client.batch_to(out, PROMPTS, progress=lambda stats: seen.append((stats.done, stats.in_flight, stats.total)))
    assert seen[0] == (0, 5, 5) and seen[-1] == (5, 0, 5)


def test_functions_among_the_tools_and_settings_of_one_request_are_refused(fake, client, out):
    def weather(city: str) -> str:
        """The weather."""
        return city

    with pytest.raises(ValueError, match="max_tool_rounds=0"):
        client.batch_to(out, PROMPTS, tools=[weather])
    with pytest.raises(ValueError, match="give it to the client"):
        client.batch_to(out, PROMPTS, retries=3)
    assert fake.requests == [] and not out.exists()


CHILD = """
import os, signal, sys
from gemini_lite import DeveloperAPI, GeminiClient, JobFailedError
from gemini_lite.api import batch_jobs, files
from gemini_lite.many import batch, journal
from gemini_lite.transport import retry

url, out, count, place, again = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "again"
batch_jobs.LOOK_SECONDS = 0.3
batch.INLINE_BYTES = 1000 if count > 5 else 10 ** 7
reached = 0

def passed():
    global reached
    if reached == place:
        os.kill(os.getpid(), signal.SIGKILL)
    reached += 1

def killed_around(owner, name):
    function = getattr(owner, name)
    def around(*args, **keywords):
        passed()
        value = function(*args, **keywords)
        passed()
        return value
    setattr(owner, name, around)

if place >= 0:
    for owner, name in ((batch, "write_manifest"), (batch_jobs.Jobs, "create"), (batch_jobs.Jobs, "get"),
                        (files.Files, "upload"), (files.Files, "download"), (journal.Journal, "add"),
                        (journal.Journal, "end"), (batch, "remove_manifest")):
        killed_around(owner, name)
client = GeminiClient(backend=DeveloperAPI("k", base_url=url), model="gemini-x")
try:
    client.batch_to(out, ((f"k{number}", f"prompt {number}") for number in range(count)), poll=(0.01, 0.05),
                    again=again)
except JobFailedError as error:
    print(error)
    sys.exit(5 if error.reason == "UNKNOWN" else 1)
"""


def start(fake, out, count, place, again):
    environment = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    command = [sys.executable, "-c", CHILD, fake.url, str(out), str(count), str(place), "again" if again else ""]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def check_once(service, out, count):
    assert len(service.jobs) == 1
    keys = Counter(json.loads(line)["key"] for line in out.read_bytes().splitlines())
    assert keys == Counter(f"k{number}" for number in range(count))
    assert not Path(f"{out}.batch.json").exists()


def finish(fake, out, count):
    """Make the call until it is done; where nobody can know whether there is a job, with `again`."""
    again = False
    for _ in range(5):
        code = start(fake, out, count, -1, again).wait(60)
        if code == 0:
            return
        assert code == 5 and not again
        again = True
    raise AssertionError("it is never done")


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("count", [
    pytest.param(3, id="inline"), pytest.param(20, id="as a file", marks=pytest.mark.slow)])
def test_a_kill_at_any_step_makes_one_job_and_loses_nothing(tmp_path, count):
    place = 0
    while True:
        out, service = tmp_path / f"{place}.jsonl", BatchesService()
        with FakeGemini() as fake:
            fake.services += [service, service.files]
            code = start(fake, out, count, place, False).wait(60)
            if code != 0:
                assert code == -signal.SIGKILL
                finish(fake, out, count)
        check_once(service, out, count)
        if code == 0:
            break
        place += 1
    assert place >= 16  # two for each of: two notes, the job, looks, three results, their end, the note's removal


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_fifty_kills_at_random_make_one_job_and_lose_nothing(tmp_path):
    chooser, count, unknown = random.Random(50), 20_000, 0
    out, service = tmp_path / "out.jsonl", BatchesService()
    service.states = ["PENDING"]
    with FakeGemini() as fake:
        fake.services += [service, service.files]
        again = False
        for kill in range(50):
            if kill == 25:  # from here on results are taken in
                service.states = ["PENDING", "SUCCEEDED"]
            process = start(fake, out, count, -1, again)
            if kill < 25:
                time.sleep(chooser.uniform(0, 3))
            else:
                wait_for_growth(out, chooser.randrange(1, 150_000), process)
            process.kill()
            code = process.wait(60)
            assert code in (-signal.SIGKILL, 5)
            again = code == 5
            unknown += again
        finish(fake, out, count)
    print(f"\n50 kills, {unknown} times nobody could know")
    check_once(service, out, count)


def wait_for_growth(out, size, process):
    begun, deadline = out.stat().st_size, time.monotonic() + 30
    while out.stat().st_size < begun + size and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
