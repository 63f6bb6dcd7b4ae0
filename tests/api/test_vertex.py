"""Caches, embeddings and batches on Vertex AI go where google-genai 3.4.0 was recorded to; files are refused."""
from __future__ import annotations

import json
import pathlib
import re
from typing import Any, Callable, Dict, Iterator

import pytest

from gemini_lite import Batch, GeminiClient, ParseError, VertexAI
from gemini_lite.testing import FakeGemini, Raw
from gemini_lite.testing.caches_service import CachesService

WIRE = pathlib.Path(__file__).parent.parent / "wire"
RECORDED = {case["case"]: case["requests"][0] for name in ("google-genai-more.json", "google-genai-3.4.0-vertex.json")
            for case in json.loads((WIRE / name).read_text("utf-8"))["cases"] if case["requests"]}
FLASH, OLD = "gemini-2.5-flash", "gemini-embedding-001"
PREDICTIONS = {"predictions": [{"embeddings": {"values": [1, 2], "statistics": {"token_count": 3}}}] * 2}

CASES: Dict[str, Callable[[Any], Any]] = {
    "vertex_embed_001": lambda client: client.embed("a", model=OLD, task_type="RETRIEVAL_DOCUMENT",
                                                    output_dimensionality=256),
    "vertex_embed_001_many": lambda client: client.embed(["a", "b"], model=OLD),
    "vertex_embed_text_005": lambda client: client.embed(
        ["a", "b"], model="text-embedding-005", task_type="RETRIEVAL_QUERY", output_dimensionality=256, title="T"),
    "vertex_cache_create": lambda client: client.caches.create("long", model=FLASH, system_prompt="s", ttl=3600,
                                                               display_name="d"),
    "vertex_cache_get": lambda client: client.caches.get("c1"),
    "vertex_cache_update": lambda client: client.caches.update(
        "projects/p1/locations/us-central1/cachedContents/c1", ttl=60),
    "vertex_cache_delete": lambda client: client.caches.delete("cachedContents/c1"),
    "vertex_batch_bq": lambda client: client.batches.create(
        "bq://p.d.t", destination="bq://p.d.out", model=FLASH, display_name="job"),
    "vertex_batch_get": lambda client: client.batches.get(
        "projects/p1/locations/us-central1/batchPredictionJobs/123"),
    "vertex_batch_delete": lambda client: client.batches.delete(Batch({"name": "123", "state": "JOB_STATE_FAILED"})),
}


@pytest.fixture
def server() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        def answer(request: Any) -> Any:
            if request.path.endswith(":predict"):
                return Raw(json.dumps(PREDICTIONS).encode())
            is_known = request.path.endswith("/c1") or "/batchPredictionJobs" in request.path
            return Raw(b'{"name": "c1"}') if is_known else None
        fake.services += [answer, CachesService()]
        yield fake


@pytest.fixture
def ours(server: FakeGemini) -> Iterator[GeminiClient]:
    backend = VertexAI("p1", "us-central1", lambda: "made-up-token", base_url=server.url)
    with GeminiClient(backend=backend) as client:
        yield client


def normal(body: Any) -> Any:
    """A body without what google-genai says besides, and we do not."""
    if isinstance(body, dict):
        return {re.sub("_([a-z])", lambda found: found.group(1).upper(), key): normal(value)
                for key, value in body.items() if key not in ("autoTruncate", "encryption_spec")}
    return [normal(item) for item in body] if isinstance(body, list) else body


@pytest.mark.parametrize("case", sorted(CASES))
def test_our_requests_are_those_of_googles_own_client(server: Any, ours: Any, case: str) -> None:
    CASES[case](ours)
    request, recorded = server.requests[0], RECORDED[case]
    assert (request.method, request.path) == (recorded["method"], recorded["path"])
    assert normal(request.body or "") == normal(recorded["body"])


def test_a_list_is_split_by_the_limit_there(server: Any, ours: Any) -> None:
    assert len(ours.embed(["a"] * 251, output_dimensionality=2)) == 251
    assert [request.path.rpartition(":")[2] for request in server.requests] == ["batchEmbedContents", "embedContent"]


def test_older_models_have_vectors_and_counts_too(ours: Any) -> None:
    vectors = ours.embed(["a", "b"], model="text-embedding-005")
    assert vectors.to_list() == [[1.0, 2.0]] * 2 and vectors.usage_metadata.prompt_token_count == 6
    with pytest.raises(ValueError, match="one text an item"):
        ours.embed([["a", "b"]], model="text-embedding-005")
    with pytest.raises(ParseError):
        ours.embed(["a", "b", "c"], model="text-embedding-005")


def test_files_are_refused_with_what_to_do_instead(server: Any, ours: Any) -> None:
    with pytest.raises(ValueError, match="gs://"):
        ours.files.upload(b"x")
    assert not server.requests


def test_in_express_mode_there_are_no_caches(server: Any) -> None:
    with GeminiClient(backend=VertexAI(api_key="made-up-key", base_url=server.url)) as client:
        with pytest.raises(ValueError, match="express"):
            client.caches.create("x", model=FLASH)
        assert len(client.embed("a", model=OLD, output_dimensionality=2)) == 1
    assert server.requests[0].path == "/v1beta1/publishers/google/models/gemini-embedding-001:embedContent"
