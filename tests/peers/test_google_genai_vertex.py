"""Google's own client in its Vertex AI form, pointed at the fake, gets its answers too."""
from __future__ import annotations

from typing import Any, Iterator

import pytest
from vertex_fake import FakeVertex

from gemini_lite import GeminiClient, VertexAI
from gemini_lite.testing import FakeGemini
from gemini_lite.testing.batches_service import BatchesService

genai = pytest.importorskip("google.genai")

PLACE = "/v1beta1/projects/p/locations/us-central1/publishers/google/models"
MODEL = "gemini-2.5-flash"


@pytest.fixture
def fake() -> Iterator[FakeVertex]:
    with FakeVertex() as fake:
        yield fake


def credentials() -> Any:
    from google.oauth2.credentials import Credentials
    return Credentials("test-token")


@pytest.fixture
def theirs(fake: FakeVertex) -> Any:
    return genai.Client(vertexai=True, project="p", location="us-central1", credentials=credentials(),
                        http_options={"base_url": fake.url})


@pytest.fixture
def ours(fake: FakeVertex) -> Iterator[GeminiClient]:
    with GeminiClient(backend=VertexAI("p", "us-central1", credentials(), base_url=fake.url), model=MODEL) as client:
        yield client


def test_it_generates(fake: FakeVertex, theirs: Any) -> None:
    fake.reply("Hel", "lo\u2028there")
    assert theirs.models.generate_content(model=MODEL, contents="Hi").text == "Hello\u2028there"
    assert fake.paths == [("POST", f"{PLACE}/{MODEL}:generateContent")]


def test_it_streams(fake: FakeVertex, theirs: Any) -> None:
    fake.reply("Hel", "lo")
    assert [chunk.text for chunk in theirs.models.generate_content_stream(model=MODEL, contents="Hi")] == ["Hel", "lo"]


def test_it_calls_functions(fake: FakeVertex, theirs: Any) -> None:
    def double(number: int) -> int:
        """Twice the number."""
        return 2 * number

    fake.reply(FakeGemini.call("double", {"number": 21}))
    fake.reply("42")
    assert theirs.models.generate_content(model=MODEL, contents="?", config={"tools": [double]}).text == "42"


def test_it_counts(fake: FakeVertex, theirs: Any) -> None:
    config = {"system_instruction": "You are kind"}
    assert theirs.models.count_tokens(model=MODEL, contents="Hello you", config=config).total_tokens == 6


@pytest.mark.parametrize("call", ["generate", "stream", "count", "express"])
def test_both_send_the_same(fake: FakeVertex, theirs: Any, ours: GeminiClient, call: str) -> None:
    for _ in range(0 if call == "count" else 2):
        fake.reply("a")
    if call == "generate":
        theirs.models.generate_content(model=MODEL, contents="Hi", config={"temperature": 0, "labels": {"a": "b"}})
        ours.generate("Hi", temperature=0, labels={"a": "b"})
    elif call == "stream":
        list(theirs.models.generate_content_stream(model=MODEL, contents="Hi"))
        list(ours.stream("Hi"))
    elif call == "express":
        theirs = genai.Client(vertexai=True, api_key="k", http_options={"base_url": fake.url})
        theirs.models.generate_content(model=MODEL, contents="Hi")
        with GeminiClient(backend=VertexAI(api_key="k", base_url=fake.url)) as express:
            express.generate("Hi", model=MODEL)
    else:
        theirs.models.count_tokens(model=MODEL, contents="Hi", config={"system_instruction": "s"})
        ours.count_tokens("Hi", system_prompt="s")
    first, second = fake.requests
    assert first.body == second.body and fake.paths[0] == fake.paths[1]
    for name in ("authorization", "x-goog-api-key", "content-type"):
        assert first.headers.get(name) == second.headers.get(name)


def test_it_sees_the_errors(fake: FakeVertex, theirs: Any) -> None:
    fake.error(429, "slow down")
    with pytest.raises(genai.errors.ClientError, match="slow down"):
        theirs.models.generate_content(model=MODEL, contents="Hi")


def test_its_batches_run_over_a_bucket_and_are_deleted(fake: FakeVertex, theirs: Any, ours: GeminiClient) -> None:
    service = BatchesService()
    service.bucket["gs://b/in.jsonl"] = b'{"request": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}}\n'
    fake.services.append(service)
    job = theirs.batches.create(model=MODEL, src="gs://b/in.jsonl",
                                config={"display_name": "mine", "dest": "gs://b/out"})
    ours.batches.create("gs://b/in.jsonl", destination="gs://b/out", display_name="mine")
    first, second = fake.requests
    assert first.body == second.body and fake.paths[0] == fake.paths[1]
    assert (job.state.name, job.display_name) == ("JOB_STATE_PENDING", "mine")
    while not job.state.name.endswith("SUCCEEDED"):
        job = theirs.batches.get(name=job.name)
    assert job.completion_stats.successful_count == 1
    assert f"{job.output_info.gcs_output_directory}/predictions.jsonl" in service.bucket
    assert [one.name for one in theirs.batches.list(config={"page_size": 1})] == [
        one.name for one in ours.batches.list()]
    assert theirs.batches.delete(name=job.name).done
    other, = theirs.batches.list()
    theirs.batches.cancel(name=other.name)
    assert theirs.batches.get(name=other.name).state.name == "JOB_STATE_CANCELLED" and len(service.jobs) == 1
