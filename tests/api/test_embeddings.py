"""Embeddings: one vector an item, in order, whatever the length of the list, and none that was paid for is lost."""
from __future__ import annotations

import math
import pickle
import threading
from array import array
from concurrent.futures import wait
from typing import Any, Callable, List

import pytest

from gemini_lite import BadRequestError, Embeddings, File, GeminiClient, GeminiError, ParseError, TransportTimeout
from gemini_lite.api.embedding_forms import DeveloperForm, PredictForm
from gemini_lite.media import Blob
from gemini_lite.testing import Answer, Error, FakeGemini, Raw, Request
from gemini_lite.testing.embeddings_service import EmbeddingsService, vector


@pytest.fixture
def ours(client: Any, fake: FakeGemini, no_sleep: List[float]) -> GeminiClient:
    return client(fake)  # type: ignore[no-any-return]


def expected(text: str, size: int = 3072) -> List[float]:
    return vector({"parts": [{"text": text}]}, size=size)


def sizes(fake: Any) -> List[int]:
    return [len(request.body["requests"]) for request in fake.requests]


def test_each_string_has_a_vector(ours: Any, fake: Any) -> None:
    vectors = ours.embed(["a", "b"])
    assert vectors.to_list() == [expected("a"), expected("b")] and len(vectors) == 2
    assert fake.requests[0].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert fake.requests[0].body == {"requests": [
        {"model": "models/gemini-embedding-001", "content": {"role": "user", "parts": [{"text": text}]}}
        for text in "ab"]}


def test_the_model_of_the_environment_is_not_that_of_embeddings(
    ours: Any, fake: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GEMINI_MODEL", "gemini-2.5-flash")
    ours.embed("a")
    assert fake.requests[0].model == "gemini-embedding-001"


def test_a_lone_string_is_one_item(ours: Any) -> None:
    vectors = ours.embed("abc")
    assert len(vectors) == 1 and vectors[0].tolist() == expected("abc")


def test_an_iterator_is_a_list_of_items(ours: Any) -> None:
    assert ours.embed(text for text in "ab").to_list() == [expected("a"), expected("b")]


@pytest.mark.parametrize("wrong, kind", [("", ValueError), (3.5, TypeError)])
def test_an_item_that_cannot_be_embedded_is_said_by_its_number(ours: Any, fake: Any, wrong: Any, kind: Any) -> None:
    with pytest.raises(kind, match="item 2 cannot be embedded: "):
        ours.embed(["a", "b", wrong, "d"])
    assert fake.requests == []


@pytest.mark.parametrize("empty", [[], ()])
def test_an_empty_list_has_no_vectors_and_makes_no_call(ours: Any, fake: Any, empty: Any) -> None:
    assert len(ours.embed(empty)) == 0 and not fake.requests


@pytest.mark.parametrize("model", ["gemini-embedding-001", "models/gemini-embedding-2"])
def test_every_model_gives_one_vector_for_each_string(ours: Any, fake: Any, model: str) -> None:
    assert len(ours.embed(["a", "b", "c"], model=model)) == 3
    assert {item["model"] for item in fake.requests[0].body["requests"]} == {"models/" + model.split("/")[-1]}


@pytest.mark.parametrize("item, parts", [
    (["a", "b"], [{"text": "a"}, {"text": "b"}]), (("a", "b"), [{"text": "a"}, {"text": "b"}]),
    ({"text": "a"}, [{"text": "a"}]), ({"parts": [{"text": "a"}, {"text": "b"}]}, [{"text": "a"}, {"text": "b"}]),
    ((b"x", "image/png"), [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]),
    (Blob("image/png", b"x"), [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]),
    (["a", (b"x", "image/png")], [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "eA=="}}]),
    (File({"name": "files/f", "uri": "https://x/files/f", "mimeType": "image/png"}),
     [{"fileData": {"fileUri": "https://x/files/f", "mimeType": "image/png"}}]),
])
def test_what_is_not_a_string_is_one_item_of_several_kinds(ours: Any, fake: Any, item: Any, parts: Any) -> None:
    assert len(ours.embed(["first", item], model="gemini-embedding-2")) == 2
    assert fake.requests[0].body["requests"][1]["content"]["parts"] == parts


@pytest.mark.parametrize("lone", [{"text": "a"}, (b"x", "image/png"), Blob("image/png", b"x")])
def test_a_lone_part_is_one_item(ours: Any, lone: Any) -> None:
    assert len(ours.embed(lone)) == 1


@pytest.mark.parametrize("odd", [[""], [[]], [7], [None], 7, [[{"role": "user", "parts": [{"text": "a"}]}] * 2]])
def test_what_cannot_be_embedded_is_refused_before_anything_is_sent(ours: Any, fake: Any, odd: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        ours.embed(odd)
    assert not fake.requests


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("count", [100, 101, 350])
def test_a_long_list_is_split_and_keeps_its_order(ours: Any, fake: Any, concurrency: int, count: int) -> None:
    texts = [f"text {number}" for number in range(count)]
    vectors = ours.embed(texts, output_dimensionality=3, concurrency=concurrency)
    assert vectors.to_list() == [expected(text, 3) for text in texts]
    assert sorted(sizes(fake)) == sorted([100] * (count // 100) + ([count % 100] if count % 100 else []))
    assert vectors.usage_metadata.prompt_token_count > count


def test_no_more_calls_run_at_once_than_asked_for(ours: Any, fake: Any) -> None:
    lock, running, most = threading.Lock(), [0], [0]
    inner = EmbeddingsService()
    barrier = threading.Barrier(2, timeout=10)

    def count(request: Request) -> Any:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        barrier.wait()
        try:
            return inner(request)
        finally:
            with lock:
                running[0] -= 1

    fake.services.insert(0, count)
    ours.embed(["a"] * 400, output_dimensionality=3, concurrency=2)
    assert most[0] == 2


def test_a_form_may_have_another_limit(ours: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemini_lite.api.embedding_forms.DeveloperForm.limit", 2)
    ours.embed(["a"] * 5, output_dimensionality=3)
    assert sizes(fake) == [2, 2, 1]


def failing(fake: Any, fails: Callable[[Request], bool], answer: Answer, times: int = 99) -> None:
    left = [times]

    def service(request: Request) -> Any:
        if left[0] and fails(request):
            left[0] -= 1
            return answer
        return None

    fake.services.insert(0, service)


def has(text: str) -> Callable[[Request], bool]:
    return lambda request: text in str(request.body)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_slice_that_failed_is_tried_again_alone(ours: Any, fake: Any, concurrency: int) -> None:
    failing(fake, has("text 150"), Error(503, "no"), 2)
    texts = [f"text {number}" for number in range(300)]
    assert ours.embed(texts, output_dimensionality=2, concurrency=concurrency).to_list() == [
        expected(text, 2) for text in texts]
    assert len(fake.requests) == 5


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_failure_for_good_leaves_the_vectors_that_were_paid_for(ours: Any, fake: Any, concurrency: int) -> None:
    failing(fake, has("text 150"), Error(400, "no"))
    texts = [f"text {number}" for number in range(250)]
    with pytest.raises(BadRequestError) as caught:
        ours.embed(texts, output_dimensionality=2, concurrency=concurrency)
    found = caught.value.embeddings
    assert len(found) == 250 and set(range(100, 200)) <= set(found.missing) and 0 not in found.missing
    assert found[7].tolist() == expected("text 7", 2) and found[150] is None and found.to_list()[150] == []
    assert "missing" in repr(found)
    again = ours.embed([texts[index] for index in found.missing if index != 150], output_dimensionality=2)
    assert len(again) == len(found.missing) - 1


def test_a_deadline_bounds_the_whole_list(ours: Any, fake: Any) -> None:
    fake.services.insert(0, lambda request: Raw(b"", b"x", status=None, delay=20))
    with pytest.raises(TransportTimeout) as caught:
        ours.embed(["a"], deadline=0.3)
    assert caught.value.reason == "DEADLINE" and caught.value.embeddings.missing == [0]


@pytest.mark.parametrize("answer", [
    b'{"embeddings": [{"values": [1]}]}', b'{}', b'{"embeddings": 7}',
    b'{"embeddings": [{"values": [1]}, {"values": []}]}', b'{"embeddings": [{"values": [1]}, {"values": "no"}]}',
    b'{"embeddings": [{"values": [1]}, null]}', b'{"embeddings": [{"values": [1]}, {"values": [null]}]}',
    b'{"embeddings": [{"values": [1]}, {"values": {}}]}',
    b'{"embeddings": [{"values": [1]}, {"values": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}]}"])
def test_an_answer_with_another_number_of_vectors_is_an_error(ours: Any, fake: Any, answer: bytes) -> None:
    fake.services.insert(0, lambda request: Raw(answer))
    with pytest.raises(ParseError) as caught:
        ours.embed(["a", "b"])
    assert caught.value.reason in ("WRONG_COUNT", "NO_VECTOR")


def test_task_types_titles_and_sizes_go_with_every_item(ours: Any, fake: Any) -> None:
    vectors = ours.embed(["a", "b"], task_type="retrieval_document", title="T", output_dimensionality=768)
    for item in fake.requests[0].body["requests"]:
        assert (item["taskType"], item["title"], item["outputDimensionality"]) == ("RETRIEVAL_DOCUMENT", "T", 768)
    assert [len(found) for found in vectors] == [768, 768]


@pytest.mark.parametrize("model", ["gemini-embedding-2", "models/gemini-embedding-2-preview"])
def test_a_task_type_is_refused_where_the_model_knows_none(ours: Any, fake: Any, model: str) -> None:
    with pytest.raises(ValueError, match="write them into the text"):
        ours.embed("a", model=model, task_type="CLUSTERING")
    assert not fake.requests


@pytest.mark.parametrize("settings", [{"concurrency": 0}, {"concurrency": True}, {"output_dimensionality": 0},
                                      {"output_dimensionality": 1.5}, {"deadline": 0}])
def test_settings_that_are_none_are_refused(ours: Any, fake: Any, settings: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        ours.embed("a", **settings)
    assert not fake.requests


def test_normalized_vectors_have_length_1_and_those_of_zeros_stay(ours: Any, fake: Any) -> None:
    vectors = ours.embed(["a"], output_dimensionality=768, normalize=True)
    assert math.isclose(math.hypot(*vectors[0]), 1, abs_tol=1e-12)
    assert not math.isclose(math.hypot(*ours.embed("a", output_dimensionality=768)[0]), 1, abs_tol=1e-3)
    fake.services.insert(0, lambda request: Raw(b'{"embeddings": [{"values": [0, 0]}]}'))
    assert ours.embed(["a"], normalize=True).to_list() == [[0.0, 0.0]]


def test_a_vector_of_large_numbers_has_length_1_too(ours: Any, fake: Any) -> None:
    fake.services.insert(0, lambda request: Raw(b'{"embeddings": [{"values": [1.3e154, 1.3e154, 1.3e154, 1.3e154]}]}'))
    assert ours.embed(["a"], normalize=True).to_list() == [[0.5, 0.5, 0.5, 0.5]]


def test_vectors_are_arrays_of_doubles_in_a_sequence(ours: Any) -> None:
    vectors = ours.embed(["a", "b", "c"], output_dimensionality=4)
    assert isinstance(vectors[0], array) and vectors[0].typecode == "d" and memoryview(vectors[0]).nbytes == 32
    assert isinstance(vectors[1:], Embeddings) and len(vectors[1:]) == 2 and vectors[-1] == vectors[2]
    assert pickle.loads(pickle.dumps(vectors)) == vectors and "3 vectors of 4" in repr(vectors)
    assert list(vectors) == [vectors[0], vectors[1], vectors[2]] and vectors.missing == []


def test_numpy_takes_a_vector_without_a_copy(ours: Any) -> None:
    numpy = pytest.importorskip("numpy")
    vectors = ours.embed(["a", "b"], output_dimensionality=4)
    view = numpy.asarray(vectors[0])
    vectors[0][0] = 7.0
    assert view[0] == 7.0 and numpy.asarray(vectors).shape == (2, 4)


class Column:
    """What pandas, polars and numpy have in common."""

    def __iter__(self) -> Any:
        return iter(["a", "b"])


class Table(Column):
    columns = ("a", "b")


@pytest.mark.parametrize("texts", [
    ["a", "b"], ("a", "b"), iter(["a", "b"]), (text for text in "ab"), {"a": 1, "b": 2}.keys(),
    {1: "a", 2: "b"}.values(), Column()], ids=lambda value: type(value).__name__)
def test_whatever_is_iterated_is_a_list_of_items(ours: Any, texts: Any) -> None:
    assert ours.embed(texts).to_list() == [expected("a"), expected("b")]


def test_a_table_is_no_list_of_items(ours: Any, fake: Any) -> None:
    with pytest.raises(TypeError, match="Table is a table: give one of its columns"):
        ours.embed(Table())
    assert fake.requests == []


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), ValueError("half a surrogate"), MemoryError()], ids=repr)
def test_whatever_ends_it_leaves_the_vectors_that_were_paid_for(
    ours: Any, monkeypatch: pytest.MonkeyPatch, concurrency: int, trouble: BaseException,
) -> None:
    monkeypatch.setattr("gemini_lite.api.embedding_forms.DeveloperForm.limit", 1)
    body = DeveloperForm.body

    def failing_body(form: Any, items: Any, fields: Any) -> Any:
        if items[0]["parts"][0]["text"] == "2":
            raise trouble
        return body(form, items, fields)
    monkeypatch.setattr(DeveloperForm, "body", failing_body)
    with pytest.raises(type(trouble)) as caught:
        ours.embed(["0", "1", "2", "3", "4", "5"], concurrency=concurrency)
    found = caught.value.embeddings  # type: ignore[attr-defined]
    assert set(found.missing) >= {2, 4, 5} and found.to_list()[:2] == [expected("0"), expected("1")]


def test_ctrl_c_waits_for_the_calls_that_are_under_way(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gemini_lite.api.embedding_forms.DeveloperForm.limit", 1)
    waits: List[int] = []

    def interrupted(running: Any, **settings: Any) -> Any:
        waits.append(len(running))
        if len(waits) == 2:
            raise KeyboardInterrupt
        return wait(running, **settings)
    monkeypatch.setattr("gemini_lite.api.embeddings.wait", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        ours.embed([str(number) for number in range(20)], concurrency=3)
    made = 20 - len(caught.value.embeddings.missing)  # type: ignore[attr-defined]
    assert 4 <= made <= 6


def test_an_error_with_vectors_pickles(ours: Any, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(fake, has("'b'"), Error(400, "no"))
    monkeypatch.setattr("gemini_lite.api.embedding_forms.DeveloperForm.limit", 1)
    with pytest.raises(GeminiError) as caught:
        ours.embed(["a", "b"], output_dimensionality=2)
    assert pickle.loads(pickle.dumps(caught.value)).embeddings.missing == [1]


@pytest.mark.parametrize("count, tokens", [(3, 3), (3.0, 3), (float("inf"), None), (float("nan"), None), ("3", None)])
def test_odd_counts_of_tokens_are_left_out(count: Any, tokens: Any) -> None:
    answer = {"predictions": [{"embeddings": {"values": [1], "statistics": {"token_count": count}}}]}
    assert PredictForm().usage(answer).get("promptTokenCount") == tokens
