"""The Batch API: requests with keys, states in both spellings, results by key, and never a second paid job."""
from __future__ import annotations

import datetime
import json
import logging
import threading
import time
from typing import Any, Callable, Dict, List, Optional

import pytest

from gemini_lite import GeminiClient, GeminiError, JobFailedError
from gemini_lite.api import batch_jobs, batch_requests
from gemini_lite.api.batch import Batch, describe
from gemini_lite.api.batch_requests import build_requests
from gemini_lite.options import GeminiOptions
from gemini_lite.testing import FakeGemini, Raw, Request
from gemini_lite.testing.batches_service import BatchesService, text_answer
from gemini_lite.testing.files_service import FilesService


@pytest.fixture
def service() -> BatchesService:
    return BatchesService(FilesService())


@pytest.fixture
def client(fake: FakeGemini, service: BatchesService, client: Callable[..., GeminiClient]) -> GeminiClient:
    fake.services += [service, service.files]
    return client(fake, model="gemini-x")


def created(fake: FakeGemini) -> List[Any]:
    return [request.body for request in fake.requests if ":batchGenerateContent" in request.path]


def test_prompts_go_inline_with_a_key_each_and_results_come_back_by_key(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float]) -> None:
    job = client.batches.create([("a", "one"), "two", {"key": "c", "prompt": "three"}], display_name="mine",
                                temperature=0, system_prompt="s")
    assert fake.requests[0].path == "/v1beta/models/gemini-x:batchGenerateContent"
    batch = created(fake)[0]["batch"]
    assert batch["displayName"] == "mine"
    entries = batch["inputConfig"]["requests"]["requests"]
    assert [entry["metadata"]["key"] for entry in entries] == ["a", "1", "c"]
    assert entries[0]["request"] == {
        "contents": [{"role": "user", "parts": [{"text": "one"}]}], "generationConfig": {"temperature": 0},
        "systemInstruction": {"role": "user", "parts": [{"text": "s"}]}}
    ended = client.batches.wait(job)
    assert (ended.state, ended.state_name, ended.request_count, ended.successful_count, ended.failed_count) == (
        "SUCCEEDED", "BATCH_STATE_SUCCEEDED", 3, 3, 0)
    with pytest.raises(TypeError, match="write \\[key\\] for one"):
        client.batches.results(ended, keys="a1c")
    assert [result.key for result in client.batches.results(ended, keys=["a", 1, "c"])] == ["c", "1", "a"]
    results = list(client.batches.results(ended, keys=["a", "1", "c"]))
    assert [(result.key, result.index, result.text) for result in results] == [
        ("c", 2, "answer c"), ("1", 1, "answer 1"), ("a", 0, "answer a")]


def test_large_input_goes_as_a_file_and_its_results_come_from_one(
        fake: FakeGemini, client: GeminiClient, service: BatchesService, no_sleep: List[float],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_requests, "INLINE_LIMIT", 100)
    job = client.batches.wait(client.batches.create([(str(n), f"prompt {n}") for n in range(50)]))
    name = created(fake)[0]["batch"]["inputConfig"]["fileName"]
    lines = [json.loads(line) for line in service.files.contents[name].splitlines()]
    assert [line["key"] for line in lines] == [str(n) for n in range(50)]
    assert lines[0]["request"]["contents"] == [{"role": "user", "parts": [{"text": "prompt 0"}]}]
    assert job.responses_file == "files/batch-b1"
    assert {result.key: result.text for result in client.batches.results(job)} == {
        str(n): f"answer {n}" for n in range(50)}


def test_an_uploaded_file_is_handed_in_by_its_name(
        fake: FakeGemini, client: GeminiClient, service: BatchesService) -> None:
    line = {"key": "k", "request": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}}
    file = client.files.upload(json.dumps(line).encode(), mime_type="application/jsonl")
    client.batches.create(file)
    client.batches.create(file.name)
    assert [body["batch"]["inputConfig"] for body in created(fake)] == 2 * [{"fileName": file.name}]


def test_a_file_whose_type_is_refused_is_sent_as_another_type(
        fake: FakeGemini, client: GeminiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from gemini_lite.testing import Error
    monkeypatch.setattr(batch_requests, "INLINE_LIMIT", 0)
    refused = [Error(400, "Unsupported MIME type: application/jsonl")]
    fake.services.insert(0, lambda request: refused.pop() if request.path.startswith("/upload") and refused else None)
    client.batches.create(["Hi"])
    types = [request.headers["x-goog-upload-header-content-type"] for request in fake.requests
             if request.headers.get("x-goog-upload-command") == "start"]
    assert types == ["application/jsonl", "jsonl"]


@pytest.mark.parametrize("items", [
    [("a", "x"), ("a", "y")], [("1", "x"), "y"], [{"key": "a", "prompt": "x"}, ("a", "y")]])
def test_a_key_that_comes_twice_is_refused_before_anything_is_sent(
        fake: FakeGemini, client: GeminiClient, items: Any) -> None:
    with pytest.raises(ValueError, match="twice"):
        client.batches.create(items)
    assert fake.requests == []


def test_no_prompt_or_a_lone_prompt_is_refused(fake: FakeGemini, client: GeminiClient) -> None:
    with pytest.raises(ValueError, match="no prompt"):
        client.batches.create([])
    with pytest.raises(TypeError, match="list"):
        list(build_requests("a prompt", GeminiOptions(), "gemini-x"))
    assert fake.requests == []


@pytest.mark.parametrize("prefix", ["BATCH_STATE_", "JOB_STATE_", ""])
@pytest.mark.parametrize("state, fails", [
    ("SUCCEEDED", False), ("PARTIALLY_SUCCEEDED", False), ("FAILED", True), ("CANCELLED", True), ("EXPIRED", True)])
def test_every_end_is_known_in_every_spelling(
        client: GeminiClient, service: BatchesService, no_sleep: List[float], prefix: str, state: str,
        fails: bool) -> None:
    service.prefix, service.states = prefix, ["PENDING", "SOMETHING_NEW", "RUNNING", state]
    service.jobs.clear()
    job = client.batches.create(["Hi"])
    if not fails:
        assert client.batches.wait(job.name).state == state
        return
    service.error = {"code": 8, "message": "no luck"}
    with pytest.raises(JobFailedError, match="no luck") as caught:
        client.batches.wait(job.name)
    assert caught.value.reason == state and caught.value.job.error == {"code": 8, "message": "no luck"}


def test_an_unknown_state_is_no_end(no_sleep: List[float]) -> None:
    assert not Batch({"metadata": {"state": "BATCH_STATE_CANCELLING"}}).has_ended
    assert Batch({"metadata": {"state": "BATCH_STATE_CANCELLING"}}).state == "CANCELLING"


def test_failed_missing_doubled_and_foreign_keys_are_found_and_said(
        client: GeminiClient, service: BatchesService, no_sleep: List[float],
        caplog: pytest.LogCaptureFixture) -> None:
    def answer(key: str, request: Dict[str, Any]) -> Dict[str, Any]:
        if key == "bad":
            return {"error": {"code": 503, "message": "busy"}}
        if key == "blocked":
            return {"response": {"promptFeedback": {"blockReason": "SAFETY"}}}
        return text_answer(key, request)

    service.answer, service.dropped_keys = answer, ["gone"]
    service.extra_lines = [{"key": "good", **text_answer("good", {})}, {"key": "foreign", **text_answer("x", {})},
                           text_answer("nobody", {}), {"key": "empty-line"}]
    keys = ["good", "bad", "blocked", "gone", "empty-line"]
    service.by_file, service.dropped_keys = True, ["gone", "empty-line"]
    job = client.batches.wait(client.batches.create([(key, "x") for key in keys]))
    with caplog.at_level(logging.WARNING, "gemini_lite"):
        results = {result.key: result for result in client.batches.results(job, keys=keys)}
    assert sorted(results) == sorted(keys)
    assert results["good"].text == "answer good"
    assert {key: (type(result.error).__name__, result.error.reason) for key, result in results.items()
            if result.error is not None} == {
        "bad": ("OverloadedError", None), "blocked": ("BlockedError", "SAFETY"), "gone": ("IncompleteError", "MISSING"),
        "empty-line": ("ParseError", "NO_RESULT")}
    assert [word in caplog.text for word in ("two results", "foreign", "no key")] == [True] * 3


@pytest.mark.parametrize("again", [False, True])
def test_a_lost_answer_is_looked_up_and_the_job_is_never_made_twice(
        client: GeminiClient, service: BatchesService, no_sleep: List[float], again: bool) -> None:
    service.lost.append(True)
    if again:
        with pytest.raises(GeminiError):
            client.batches.create(["Hi"], again=True)
    else:
        assert client.batches.create(["Hi"]).name == "batches/b1"
    assert len(service.jobs) == 1


@pytest.mark.parametrize("option", [{"timeout": 0.2}, {"deadline": 0.2}])
def test_the_limits_of_one_call_hold_for_making_a_job(
        fake: FakeGemini, client: GeminiClient, no_sleep: List[float], option: Dict[str, float],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_jobs, "LOOK_SECONDS", 0.05)
    is_over = threading.Event()
    fake.services.insert(0, lambda request: is_over.wait(5) and None if ":batchGenerate" in request.path else None)
    began = time.monotonic()
    with pytest.raises(JobFailedError, match="was lost"):
        client.batches.create(["Hi"], **option)  # type: ignore[arg-type, unused-ignore]
    assert time.monotonic() - began < 3
    is_over.set()


def test_an_answer_without_a_name_is_a_lost_one(
        fake: FakeGemini, client: GeminiClient, service: BatchesService, no_sleep: List[float]) -> None:
    def answer_nothing(request: Request) -> Optional[Raw]:
        return service(request) and Raw(b"{}") if ":batchGenerate" in request.path else None

    fake.services.insert(0, answer_nothing)
    assert client.batches.create(["Hi"]).name == "batches/b1" and len(service.jobs) == 1


def test_a_job_that_is_not_found_is_said_with_both_ways_on(
        fake: FakeGemini, client: GeminiClient, service: BatchesService, no_sleep: List[float],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_jobs, "LOOK_SECONDS", 0.05)
    service.lost.append(False)
    with pytest.raises(JobFailedError, match=r"again=True") as caught:
        client.batches.create(["Hi"], display_name="mine")
    assert caught.value.reason == "UNKNOWN" and "mine" in str(caught.value)
    assert service.jobs == {} and len(created(fake)) == 1


def test_a_definite_refusal_is_raised_as_it_is(fake: FakeGemini, client: GeminiClient) -> None:
    from gemini_lite.testing import Error
    fake.services.insert(0, lambda request: Error(400, "no such model"))
    with pytest.raises(GeminiError, match="no such model"):
        client.batches.create(["Hi"])
    assert len(fake.requests) == 1


def test_a_request_of_the_apis_own_is_laid_over_the_options(fake: FakeGemini, client: GeminiClient) -> None:
    own = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"topK": 1}}
    client.batches.create([{"key": "k", "request": own}], temperature=0)
    entry = created(fake)[0]["batch"]["inputConfig"]["requests"]["requests"][0]
    assert entry["request"] == {**own, "generationConfig": {"topK": 1, "temperature": 0}}


def test_functions_are_treated_as_by_generate(fake: FakeGemini, client: GeminiClient) -> None:
    def weather(city: str) -> str:
        """The weather."""
        return city

    with pytest.raises(ValueError, match="max_tool_rounds=0"):
        client.batches.create(["Hi"], tools=[weather])
    assert fake.requests == []
    client.batches.create(["Hi"], tools=[weather], max_tool_rounds=0)
    assert "tools" in created(fake)[0]["batch"]["inputConfig"]["requests"]["requests"][0]["request"]


def test_options_beside_a_file_of_requests_are_refused(fake: FakeGemini, client: GeminiClient) -> None:
    with pytest.raises(ValueError, match="temperature belongs into them"):
        client.batches.create("files/abc", temperature=0)
    assert fake.requests == []


def test_a_job_that_has_not_ended_has_no_results_and_a_failed_one_raises(
        client: GeminiClient, service: BatchesService, no_sleep: List[float]) -> None:
    service.states = ["PENDING", "RUNNING", "FAILED"]
    job = client.batches.create(["Hi"])
    with pytest.raises(ValueError, match="is RUNNING.*client.batches.wait"):
        client.batches.results(job, keys=["0"])
    with pytest.raises(JobFailedError, match="ended as FAILED"):
        client.batches.results(job, keys=["0"])


def test_where_a_job_stands_is_said_with_its_age_and_counts(client: GeminiClient) -> None:
    made = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=26, minutes=3)
    data = {"state": "BATCH_STATE_RUNNING", "createTime": made.isoformat(), "batchStats": {
        "successfulRequestCount": "1200", "pendingRequestCount": "3"}}
    job = Batch({"name": "batches/b", "metadata": data})
    assert describe(job) == "batches/b is RUNNING for 26 h 03 min, 1,200 done, 3 pending"
    assert describe(Batch({"name": "batches/b", "metadata": {**data, "state": "SUCCEEDED"}})) == (
        "batches/b is SUCCEEDED, 1,200 done, 3 pending")


def test_a_running_job_is_cancelled_before_it_is_deleted(
        fake: FakeGemini, client: GeminiClient, service: BatchesService) -> None:
    job = client.batches.create(["Hi"])
    client.batches.delete(job)
    assert [(request.method, request.path) for request in fake.requests[1:]] == [
        ("GET", "/v1beta/batches/b1"), ("POST", "/v1beta/batches/b1:cancel"), ("DELETE", "/v1beta/batches/b1")]
    assert service.jobs == {}


def test_the_list_is_fetched_page_by_page(fake: FakeGemini, client: GeminiClient) -> None:
    for number in range(3):
        client.batches.create(["Hi"], display_name=str(number))
    found = client.batches.list(page_size=2)
    before = len(fake.requests)
    assert next(found).display_name == "0" and len(fake.requests) == before + 1
    assert [job.display_name for job in found] == ["1", "2"]


def test_the_results_of_a_listed_job_are_fetched(client: GeminiClient, no_sleep: List[float]) -> None:
    client.batches.wait(client.batches.create(["Hi"]))
    listed, = client.batches.list()
    assert listed.has_ended and not listed.has_results
    assert [result.text for result in client.batches.results(listed)] == ["answer 0"]


def test_embeddings_are_handed_in_with_their_task(fake: FakeGemini, client: GeminiClient) -> None:
    client.batches.create_embeddings(["a", "b"], task_type="RETRIEVAL_DOCUMENT", output_dimensionality=256)
    request = fake.requests[0]
    assert request.path == "/v1beta/models/gemini-embedding-001:asyncBatchEmbedContent"
    assert request.body["batch"]["inputConfig"]["requests"]["requests"][1] == {
        "metadata": {"key": "1"}, "request": {"content": {"role": "user", "parts": [{"text": "b"}]},
                                              "taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 256}}


def test_one_text_is_one_item_and_many_vectors_go_by_a_file(
        fake: FakeGemini, client: GeminiClient, service: BatchesService, monkeypatch: pytest.MonkeyPatch) -> None:
    client.batches.create_embeddings("one text")
    assert len(fake.requests[0].body["batch"]["inputConfig"]["requests"]["requests"]) == 1
    monkeypatch.setattr(batch_requests, "INLINE_LIMIT", 100)
    client.batches.create_embeddings(["a", "b", "c"], task_type="clustering")
    name = fake.requests[-1].body["batch"]["inputConfig"]["fileName"]
    lines = [json.loads(line) for line in service.files.contents[name].splitlines()]
    assert [line["key"] for line in lines] == ["0", "1", "2"] and lines[0]["request"] == {
        "content": {"role": "user", "parts": [{"text": "a"}]}, "taskType": "CLUSTERING"}
    with pytest.raises(ValueError, match="no prompt"):
        client.batches.create_embeddings([])


def test_a_wait_ends_at_its_deadline_with_the_job(
        client: GeminiClient, service: BatchesService, no_sleep: List[float]) -> None:
    service.states = ["PENDING"]
    with pytest.raises(GeminiError) as caught:
        client.batches.wait(client.batches.create(["Hi"]), deadline=0.05, poll=0.01)
    assert caught.value.reason == "DEADLINE" and caught.value.job.name == "batches/b1"


def test_odd_shapes_of_a_job_raise_nothing() -> None:
    for odd in (None, 1, "x", [], {}, {"a": 1}, [[]]):
        for name in ("name", "metadata", "done", "error", "response", "state", "batchStats"):
            for data in ({name: odd}, {"metadata": {name: odd}}, {"response": {"inlinedResponses": odd}}):
                job: Any = Batch(data)
                for attribute in ("name", "display_name", "state", "state_name", "has_ended", "stats", "request_count",
                                  "failed_count", "pending_count", "successful_count", "error", "output",
                                  "responses_file", "inline_responses", "create_time", "model", "output_directory",
                                  "has_results"):
                    getattr(job, attribute)
                repr(job)
                describe(job)
