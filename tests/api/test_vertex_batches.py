"""Batches on Vertex AI: jobs over a bucket, and results that are told apart by the requests in them."""
from __future__ import annotations

import json
import logging
from typing import Any, Callable, Dict, Iterator, List

import pytest

from gemini_lite import (
    BadRequestError, BlockedError, DeveloperAPI, GeminiClient, GeminiError, JobFailedError, OverloadedError, VertexAI,
)
from gemini_lite.testing import Error, FakeGemini
from gemini_lite.testing.batches_service import BatchesService

PLACE = "projects/p1/locations/us-central1/batchPredictionJobs"
SOURCE, DESTINATION = "gs://bucket/requests.jsonl", "gs://bucket/results/"
PROMPTS = [("a", "one"), ("b", "two"), ("c", "three")]


def echo(key: str, request: Dict[str, Any]) -> Dict[str, Any]:
    """An answer that says what was asked."""
    text = f"re {request['contents'][-1]['parts'][0]['text']}"
    return {"response": {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]},
                                         "finishReason": "STOP"}]}}


@pytest.fixture
def service() -> BatchesService:
    service = BatchesService(answer=echo)
    service.states = ["QUEUED", "PENDING", "RUNNING", "SUCCEEDED"]
    return service


@pytest.fixture
def client(fake: FakeGemini, service: BatchesService, no_sleep: List[float]) -> Iterator[GeminiClient]:
    fake.services.append(service)
    backend = VertexAI("p1", "us-central1", lambda: "made-up-token", base_url=fake.url)
    with GeminiClient(backend=backend, model="gemini-2.5-flash") as client:
        yield client


@pytest.fixture
def put(client: GeminiClient, service: BatchesService, tmp_path: Any) -> Callable[..., Any]:
    """What the user does for a job: write the requests, and copy them into the bucket."""
    def put(prompts: Any, **overrides: Any) -> None:
        client.batches.write_requests(tmp_path / "requests.jsonl", prompts, **overrides)
        service.bucket[SOURCE] = (tmp_path / "requests.jsonl").read_bytes()

    return put


def fetched(service: BatchesService, job: Any, path: Any) -> Any:
    """The results, copied from the bucket."""
    path.write_bytes(service.bucket[f"{job.output_directory}/predictions.jsonl"])
    return path


def test_a_job_goes_from_prompts_to_results_by_key(
        fake: FakeGemini, client: GeminiClient, service: BatchesService, put: Any, tmp_path: Any) -> None:
    put(PROMPTS, temperature=0.5, system_prompt="s")
    job = client.batches.create(SOURCE, destination=DESTINATION, display_name="mine")
    assert (fake.requests[0].method, fake.requests[0].path) == ("POST", f"/v1beta1/{PLACE}")
    assert fake.requests[0].body == {
        "displayName": "mine", "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [SOURCE]}},
        "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": DESTINATION}}}
    assert (job.name, job.state_name, job.display_name) == (f"{PLACE}/1", "JOB_STATE_QUEUED", "mine")
    ended = client.batches.wait(job.name)
    assert (ended.state, ended.successful_count, ended.failed_count, ended.request_count) == ("SUCCEEDED", 3, 0, None)
    path = fetched(service, ended, tmp_path / "predictions.jsonl")
    results = client.batches.read_results(path, PROMPTS, temperature=0.5, system_prompt="s")
    assert [(result.index, result.key, result.text) for result in results] == [
        (2, "c", "re three"), (1, "b", "re two"), (0, "a", "re one")]


def test_the_file_has_what_generate_would_send_and_no_key(
        fake: FakeGemini, client: GeminiClient, tmp_path: Any) -> None:
    options: Dict[str, Any] = dict(
        temperature=0, thinking_budget=1, cached_content="c1",
        response_schema={"type": "object", "properties": {"a": {"type": "integer"}}})
    assert client.batches.write_requests(tmp_path / "r.jsonl", ["Hi"], **options) == 1
    fake.reply('{"a": 1}')
    client.generate("Hi", **options)
    assert json.loads((tmp_path / "r.jsonl").read_text()) == {"request": fake.requests[-1].body}
    assert fake.requests[-1].body["cachedContent"] == "projects/p1/locations/us-central1/cachedContents/c1"


def test_for_the_developer_api_the_lines_have_keys(fake: FakeGemini, client: Any, tmp_path: Any) -> None:
    with GeminiClient(backend=DeveloperAPI("k", base_url=fake.url)) as developer:
        developer.batches.write_requests(tmp_path / "r.jsonl", PROMPTS)
    assert [json.loads(line)["key"] for line in (tmp_path / "r.jsonl").read_bytes().splitlines()] == ["a", "b", "c"]


DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize("prompts", [
    [], ["fine", {"key": "k", "request": {}}], ["fine", "\ud800"], [{"request": {"contents": [], "deep": DEEP}}],
], ids=["nothing", "no request", "half a surrogate pair", "too deep"])
def test_a_file_that_cannot_be_written_leaves_the_old_one(client: GeminiClient, tmp_path: Any, prompts: Any) -> None:
    (tmp_path / "r.jsonl").write_text("old")
    with pytest.raises(ValueError, match="no prompt|contents|surrogate|deeply"):
        client.batches.write_requests(tmp_path / "r.jsonl", prompts)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("r.jsonl", "old")]


def line(text: str, status: str = "", response: Any = None, **request: Any) -> bytes:
    asked = {"contents": [{"parts": [{"fileData": None, "text": text}], "role": "user"}], **request}
    return json.dumps({"status": status, "processed_time": "2026-11-21T00:00:00Z", "request": asked,
                       "response": response or {}}).encode() + b"\n"


ANSWER = echo("", {"contents": [{"parts": [{"text": "x"}]}]})["response"]


def read(client: GeminiClient, tmp_path: Any, lines: List[bytes], prompts: Any, **overrides: Any) -> Dict[str, Any]:
    (tmp_path / "p.jsonl").write_bytes(b"".join(lines))
    return {result.key: result for result in client.batches.read_results(tmp_path / "p.jsonl", prompts, **overrides)}


def test_a_request_is_known_however_the_service_writes_it_again(client: GeminiClient, tmp_path: Any) -> None:
    echoed = line("one", response=ANSWER, labels=None, generationConfig={"topK": None, "temperature": 1})
    assert read(client, tmp_path, [echoed], ["one"], temperature=1.0)["0"].text == "re x"


def test_results_of_requests_that_are_alike_are_given_out_in_turn(client: GeminiClient, tmp_path: Any) -> None:
    results = read(client, tmp_path, [line("one", response=ANSWER)] * 2, [("a", "one"), ("b", "one"), ("c", "one")])
    assert [(key, result.error is None) for key, result in results.items()] == [
        ("a", True), ("b", True), ("c", False)]


def test_missing_doubled_and_foreign_results_are_found_and_said(
        client: GeminiClient, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "gemini_lite"):
        results = read(client, tmp_path, [line("one", response=ANSWER)] * 2 + [line("foreign", response=ANSWER)],
                       [("a", "one"), ("b", "two")])
    assert results["a"].error is None and results["b"].error.reason == "MISSING" and len(results) == 2
    assert caplog.text.count("has no key") == 2


@pytest.mark.parametrize("status, kind, words", [
    ('Bad Request: {"error": {"code": 400, "message": "a valid role", "status": "INVALID_ARGUMENT"}}', BadRequestError,
     "a valid role"),
    ('{"code": 503, "message": "busy"}', OverloadedError, "busy"), ("It broke {", GeminiError, "It broke"),
])
def test_a_failure_is_read_from_the_text_of_the_status(
        client: GeminiClient, tmp_path: Any, status: str, kind: Any, words: str) -> None:
    error = read(client, tmp_path, [line("one", status=status)], ["one"])["0"].error
    assert isinstance(error, kind) and words in str(error)


def test_a_blocked_answer_is_the_error_that_generate_raises(client: GeminiClient, tmp_path: Any) -> None:
    lines = [line("one", response={"promptFeedback": {"blockReason": "SAFETY"}})]
    assert isinstance(read(client, tmp_path, lines, ["one"])["0"].error, BlockedError)


def test_results_for_other_prompts_are_refused(client: GeminiClient, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match="as they were given to write_requests"):
        read(client, tmp_path, [line("one", response=ANSWER)], ["one"], system_prompt="another")


def test_odd_lines_raise_nothing_but_errors_of_ours(client: GeminiClient, tmp_path: Any) -> None:
    deep = b'{"request": ' + b"[" * 700 + b"]" * 700 + b"}\n"
    for odd in (b'{"request": 1}\n', b'{"request": {"contents": null}, "status": 5}\n', b"{}\n", deep):
        assert read(client, tmp_path, [odd, line("one", response=ANSWER)], ["one"])["0"].error is None
    with pytest.raises(GeminiError, match="Line 1"):
        read(client, tmp_path, [b"nonsense\n"], ["one"])


def test_results_say_how_they_are_fetched(client: GeminiClient, put: Any) -> None:
    put(PROMPTS)
    job = client.batches.create(SOURCE, destination=DESTINATION)
    with pytest.raises(ValueError, match="PENDING.*client.batches.wait"):
        client.batches.results(job)
    job = client.batches.wait(job)
    with pytest.raises(ValueError, match=rf"gcloud storage cp {job.output_directory}/predictions.jsonl .*read_results"):
        client.batches.results(job)


def test_a_failed_job_is_said_with_its_reason(client: GeminiClient) -> None:
    job = client.batches.create("gs://bucket/nothing-there.jsonl", destination=DESTINATION)
    with pytest.raises(JobFailedError, match="has no requests") as caught:
        client.batches.wait(job)
    assert caught.value.reason == "FAILED" and caught.value.job.name == job.name
    with pytest.raises(JobFailedError, match="has no requests"):
        client.batches.results(job.name)


def test_a_running_job_is_cancelled_and_awaited_before_it_is_deleted(
        fake: FakeGemini, client: GeminiClient, service: BatchesService, put: Any) -> None:
    put(PROMPTS)
    job = client.batches.create(SOURCE, destination=DESTINATION)
    client.batches.cancel(job.name.rpartition("/")[2])
    assert job.data["name"] in service.jobs and service.jobs[job.name]["state"] == "JOB_STATE_CANCELLING"
    client.batches.delete(client.batches.create(SOURCE, destination=DESTINATION))
    assert list(service.jobs) == [job.name] and fake.requests[-1].method == "DELETE"
    client.batches.delete(job)
    assert service.jobs == {}


def test_jobs_are_listed_page_by_page(fake: FakeGemini, client: GeminiClient, put: Any) -> None:
    put(PROMPTS)
    for number in range(3):
        client.batches.create(SOURCE, destination=DESTINATION, display_name=str(number))
    assert [job.display_name for job in client.batches.list(page_size=2)] == ["0", "1", "2"]
    assert [request.path for request in fake.requests[3:]] == [
        f"/v1beta1/{PLACE}?pageSize=2", f"/v1beta1/{PLACE}?pageSize=2&pageToken=2"]


def test_a_lost_answer_is_looked_up_and_the_job_is_never_made_twice(
        client: GeminiClient, service: BatchesService, put: Any) -> None:
    put(PROMPTS)
    service.lost.append(True)
    assert client.batches.create(SOURCE, destination=DESTINATION).name == f"{PLACE}/1"
    assert len(service.jobs) == 1


@pytest.mark.parametrize("call, words", [
    (lambda client, path: client.batches.create(PROMPTS), "reads the requests of a batch from a bucket"),
    (lambda client, path: client.batches.create(SOURCE), "destination='gs://"),
    (lambda client, path: client.batches.create("files/abc", destination=DESTINATION), "reads and writes 'gs://"),
    (lambda client, path: client.batches.create(SOURCE, destination="/tmp"), "reads and writes 'gs://"),
    (lambda client, path: client.batches.create(SOURCE, destination=DESTINATION, temperature=0), "write_requests"),
    (lambda client, path: client.batches.create_embeddings(["a"]), "client.embed"),
    (lambda client, path: client.batches.get("batches/b1"), "batchPredictionJobs"),
    (lambda client, path: client.batch_to(path, PROMPTS), "write_requests.*client.map"),
])
def test_what_cannot_be_is_refused_with_what_to_do_instead(
        fake: FakeGemini, client: GeminiClient, tmp_path: Any, call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(client, tmp_path / "out.jsonl")
    assert fake.requests == [] and list(tmp_path.iterdir()) == []


def test_what_belongs_to_vertex_is_refused_elsewhere(fake: FakeGemini, client: Any) -> None:
    with GeminiClient(backend=DeveloperAPI("k", base_url=fake.url)) as developer:
        for source in (["Hi"], "files/abc"):
            with pytest.raises(ValueError, match="destination is for Vertex AI"):
                developer.batches.create(source, destination=DESTINATION)
    with GeminiClient(backend=VertexAI(api_key="made-up-key", base_url=fake.url)) as express:
        with pytest.raises(ValueError, match="express"):
            express.batches.create(SOURCE, destination=DESTINATION)
    assert fake.requests == []


def test_a_refusal_is_raised_as_it_is(fake: FakeGemini, client: GeminiClient) -> None:
    fake.services.insert(0, lambda request: Error(403, "not your bucket"))
    with pytest.raises(GeminiError, match="not your bucket"):
        client.batches.create(SOURCE, destination=DESTINATION)
    assert len(fake.requests) == 1
