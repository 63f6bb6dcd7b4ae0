"""What the stand-in answers by itself."""
from __future__ import annotations

import io
import math
import subprocess
import sys
from typing import Any, Callable, Dict, Iterator

import pytest
import requests

from gemini_lite import DeveloperAPI, GeminiClient
from gemini_lite.testing import FakeGemini

Ask = Callable[..., requests.Response]
EMBEDDING = "/v1beta/models/gemini-embedding-001"
PLACE = "/v1beta1/projects/p/locations/l/publishers/google/models"


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeGemini(lambda request: "ok", strict=False) as fake:
        yield fake


def content(text: str) -> Any:
    return {"parts": [{"text": text}], "role": "user"}


def test_equal_texts_have_equal_unit_vectors_and_others_point_elsewhere(fake: FakeGemini, ask: Ask) -> None:
    requests_ = [{"content": content(text)} for text in ("a", "b", "a")]
    first, second, third = (each["values"] for each in ask(
        fake, f"{EMBEDDING}:batchEmbedContents", {"requests": requests_}).json()["embeddings"])
    assert first == third != second and len(first) == 3072
    assert math.isclose(sum(value * value for value in first), 1, rel_tol=1e-4)
    assert abs(sum(a * b for a, b in zip(first, second))) < 0.6
    for spelling in ("outputDimensionality", "output_dimensionality"):
        single = ask(fake, f"{EMBEDDING}:embedContent", {"content": content("a"), spelling: 64}).json()
        assert single["embedding"]["values"] == first[:64] and single["usageMetadata"]["promptTokenCount"] == 1


def test_vertex_embeds_by_each_of_its_methods(fake: FakeGemini, ask: Ask) -> None:
    config = {"embedContentConfig": {"outputDimensionality": 8}}
    single = ask(fake, f"{PLACE}/gemini-embedding-001:embedContent", {"content": content("a"), **config}).json()
    batch = ask(fake, f"{PLACE}/gemini-embedding-001:batchEmbedContents", {"requests": [{"content": content("a")}]})
    old = ask(fake, f"{PLACE}/text-embedding-005:predict", {
        "instances": [{"content": "a"}, {"content": "b"}], "parameters": {"outputDimensionality": 8}}).json()
    assert len(batch.json()["embeddings"][0]["values"]) == 3072
    assert old["predictions"][0]["embeddings"]["values"] == single["embedding"]["values"]
    assert old["predictions"][1]["embeddings"]["statistics"] == {"token_count": 1, "truncated": False}
    assert ask(fake, f"{PLACE}/imagen:predict", {"instances": [{"prompt": "a"}]}).status_code == 404


@pytest.mark.parametrize("path", [
    "/v1beta/tunedModels/x:generateContent", f"{PLACE}/x:generateContent",
    "/v1beta1/publishers/google/models/x:generateContent",
    "/v1beta1/projects/p/locations/l/endpoints/9:generateContent",
])
def test_every_path_of_a_model_is_served(fake: FakeGemini, ask: Ask, path: str) -> None:
    assert ask(fake, path, {"contents": [content("a")]}).json()["candidates"][0]["content"]["parts"] == [{"text": "ok"}]
    stream = path.replace(":generate", ":streamGenerate") + "?alt=sse"
    assert ask(fake, stream, {"contents": [content("a")]}).text.startswith("data: ")


def test_vertex_lists_its_models_under_its_own_names(fake: FakeGemini, ask: Ask) -> None:
    fake.models[:] = ["a", "b", "c"]
    page = ask(fake, "/v1beta1/publishers/google/models?pageSize=2", method="GET").json()
    assert [model["name"] for model in page["publisherModels"]] == [
        "publishers/google/models/a", "publishers/google/models/b"]
    one = ask(fake, "/v1beta1/publishers/google/models/c", method="GET").json()
    assert one["name"] == "publishers/google/models/c"


def test_tokens_are_computed_for_each_content(fake: FakeGemini, ask: Ask) -> None:
    assert ask(fake, f"{PLACE}/m:computeTokens", {"contents": [content("\ud800")]}).ok
    infos = ask(fake, f"{PLACE}/m:computeTokens", {"contents": [content("abcdef")]}).json()["tokensInfo"]
    assert infos[0]["role"] == "user" and infos[0]["tokens"] == ["YWJjZA==", "ZWY="] and len(infos[0]["tokenIds"]) == 2


def test_what_gemini_cli_asks_beside_the_model_has_answers(fake: FakeGemini, ask: Ask) -> None:
    assert ask(fake, "/v1internal:listExperiments", {}).json() == {"experimentIds": [], "flags": []}
    assert ask(fake, "/v1internal:fetchAdminControls", {}).json() == {"adminControlsApplicable": False}
    assert ask(fake, "/v1internal:recordCodeAssistMetrics", {}).json() == {}
    setting = "AssistGlobalUserSetting"
    ask(fake, f"/v1internal:setCode{setting}", {"freeTierDataCollectionOptin": True})
    assert ask(fake, f"/v1internal:getCode{setting}", method="GET").json() == {
        "cloudaicompanionProject": "fake-project", "freeTierDataCollectionOptin": True}


def test_code_assist_has_a_quota_for_each_model_that_generates(fake: FakeGemini, ask: Ask) -> None:
    """Gemini CLI takes another model for a preview that has none."""
    fake.models.append("my-model")
    models = [each["modelId"] for each in ask(fake, "/v1internal:retrieveUserQuota", {}).json()["buckets"]]
    assert {"gemini-3-flash-preview", "my-model"} <= {*models} and "gemini-embedding-001" not in models


def test_files_caches_embeddings_batches_and_interactions_need_no_preparation(no_sleep: Any) -> None:
    with FakeGemini(lambda request: "ok", strict=True) as fake, GeminiClient(
            backend=DeveloperAPI("k", base_url=fake.url)) as client:
        file = client.files.upload(io.BytesIO(b"abc"), mime_type="text/plain")
        cache = client.caches.create(["A long text.", file], model="gemini-2.5-flash")
        assert client.generate("Hi", cached_content=cache).text == "ok"
        assert client.generate(["Hi", file]).text == "ok"
        assert [len(row) for row in client.embed(["a", "b"], output_dimensionality=5)] == [5, 5]
        job = client.batches.wait(client.batches.create([("k1", "Hi")], model="gemini-2.5-flash"))
        assert [result.key for result in client.batches.results(job)] == ["k1"]
        assert client.interactions.create("Hi").text == "ok"
        assert len(list(client.files.list())) == len(list(client.caches.list())) == 1


def test_vertex_takes_250_embeddings_at_once_and_other_predictions_are_to_be_scripted(
        fake: FakeGemini, ask: Ask) -> None:
    each = {"content": content("a"), "outputDimensionality": 1}
    codes = [ask(fake, f"{place}:batchEmbedContents", {"requests": [each] * count}).status_code for place, count in (
        (EMBEDDING, 100), (EMBEDDING, 101), (f"{PLACE}/m", 250), (f"{PLACE}/m", 251))]
    assert codes == [200, 400, 200, 400]
    answer = ask(fake, f"{PLACE}/imagen:predict", {"instances": [{"prompt": "a"}]})
    assert answer.status_code == 404 and "script it with answer()" in answer.text


def test_what_keeps_files_and_the_like_is_imported_when_it_is_needed() -> None:
    code = "import sys, gemini_lite.testing; print([name for name in sys.modules if name.endswith('_service')])"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout.strip() == b"[]"


@pytest.mark.parametrize("method, request_body, form", [
    ("batchGenerateContent", {"contents": [{"parts": [{"text": "a"}]}]}, "inlinedResponses"),
    ("asyncBatchEmbedContent", {"content": {"parts": [{"text": "a"}]}}, "inlinedEmbedContentResponses")])
def test_a_job_whose_requests_have_no_keys_answers_in_their_order(
        fake: FakeGemini, method: str, request_body: Dict[str, Any], form: str) -> None:
    requested = {"requests": [{"request": request_body}, {"request": request_body}]}
    batch = {"batch": {"inputConfig": {"requests": requested}}}
    name = requests.post(f"{fake.url}/v1beta/models/m:{method}", json=batch).json()["name"]
    for _ in range(3):
        job = requests.get(f"{fake.url}/v1beta/{name}").json()
    results = job["response"][form]["inlinedResponses"]
    assert [result.keys() for result in results] == [{"response"}] * 2
    if form == "inlinedResponses":
        texts = [result["response"]["candidates"][0]["content"]["parts"][0]["text"] for result in results]
        assert texts == ["answer 0", "answer 1"]
    else:
        assert results[0]["response"]["embedding"] == results[1]["response"]["embedding"]
