"""Google's own client keeps files and caches, and embeds, at FakeGemini too."""
from __future__ import annotations

import io
from typing import Any

import pytest

from gemini_lite.testing import Error, FakeGemini
from gemini_lite.testing.caches_service import CachesService
from gemini_lite.testing.embeddings_service import EmbeddingsService, vector
from gemini_lite.testing.files_service import FilesService, Loss

genai = pytest.importorskip("google.genai")
FLASH = "gemini-2.5-flash"


@pytest.fixture
def files(fake: FakeGemini) -> FilesService:
    service = FilesService()
    fake.services += [service, CachesService(), EmbeddingsService()]
    return service


@pytest.fixture
def theirs(fake: FakeGemini, files: FilesService) -> Any:
    return genai.Client(api_key="test-key", http_options={"base_url": fake.url})


def test_it_uploads_a_path(theirs: Any, files: FilesService, tmp_path: Any) -> None:
    (tmp_path / "note.txt").write_bytes(b"hello files")
    file = theirs.files.upload(file=tmp_path / "note.txt")
    assert (file.mime_type, file.size_bytes, file.state.name) == ("text/plain", 11, "ACTIVE")
    assert files.contents[file.name] == b"hello files"


@pytest.mark.parametrize("data", [b"", b'{"a": 1}', bytes(20 << 20)], ids=["empty", "JSON", "20 MiB"])
def test_it_uploads_bytes(theirs: Any, files: FilesService, data: bytes) -> None:
    config = {"mime_type": "application/json", "name": "my-file", "display_name": "Mine"}
    file = theirs.files.upload(file=io.BytesIO(data), config=config)
    assert (file.name, file.display_name, files.contents[file.name]) == ("files/my-file", "Mine", data)


def test_it_tries_a_lost_status_again(theirs: Any, files: FilesService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    files.lose(Loss(0, Error(503, "no")))
    file = theirs.files.upload(file=io.BytesIO(b"hello"), config={"mime_type": "text/plain"})
    assert files.contents[file.name] == b"hello"


def test_it_sees_a_file_get_ready(theirs: Any, files: FilesService) -> None:
    file = theirs.files.upload(file=io.BytesIO(b"film"), config={"mime_type": "video/mp4"})
    assert file.state.name == "PROCESSING" and theirs.files.get(name=file.name).state.name == "ACTIVE"


def test_it_lists_downloads_and_deletes(theirs: Any, files: FilesService) -> None:
    for number in range(3):
        files.add(b"result", name=f"files/gen{number}")
    assert [file.name for file in theirs.files.list(config={"page_size": 2})] == [
        "files/gen2", "files/gen1", "files/gen0"]
    assert theirs.files.download(file=theirs.files.get(name="files/gen1")) == b"result"
    theirs.files.delete(name="files/gen1")
    with pytest.raises(genai.errors.ClientError, match="may not exist"):
        theirs.files.get(name="files/gen1")


def test_it_prompts_with_a_file(theirs: Any, fake: FakeGemini) -> None:
    fake.reply("A note.")
    file = theirs.files.upload(file=io.BytesIO(b"hello"), config={"mime_type": "text/plain"})
    assert theirs.models.generate_content(model=FLASH, contents=[file, "?"]).text == "A note."


def test_it_keeps_caches(theirs: Any, fake: FakeGemini) -> None:
    cache = theirs.caches.create(model=FLASH, config={
        "contents": "A long text.", "system_instruction": "Be brief.", "ttl": "60s", "display_name": "d"})
    assert cache.usage_metadata.total_token_count > 0 and cache.model == f"models/{FLASH}"
    assert theirs.caches.get(name=cache.name) == cache and [item.name for item in theirs.caches.list()] == [cache.name]
    assert theirs.caches.update(name=cache.name, config={"ttl": "7200s"}).expire_time > cache.expire_time
    fake.reply("Short.")
    answer = theirs.models.generate_content(model=FLASH, contents="?", config={"cached_content": cache.name})
    assert answer.text == "Short."
    theirs.caches.delete(name=cache.name)
    with pytest.raises(genai.errors.ClientError, match="not found"):
        theirs.caches.get(name=cache.name)


def test_it_embeds_and_gets_the_vectors_that_we_get(theirs: Any, client: Any, fake: FakeGemini) -> None:
    config = {"output_dimensionality": 4, "task_type": "CLUSTERING"}
    found = theirs.models.embed_content(model="gemini-embedding-001", contents=["a", "b"], config=config)
    ours = client(fake).embed(["a", "b"], task_type="clustering", output_dimensionality=4)
    assert [item.values for item in found.embeddings] == ours.to_list()
    assert ours[0].tolist() == vector({"parts": [{"text": "a"}]}, "CLUSTERING", 4)


def test_it_folds_what_we_keep_apart(theirs: Any, client: Any, fake: FakeGemini) -> None:
    theirs_found = theirs.models.embed_content(model="gemini-embedding-2", contents=["a", "b"])
    assert len(theirs_found.embeddings) == 1
    assert len(client(fake).embed(["a", "b"], model="gemini-embedding-2")) == 2


def test_its_batches_run_and_answer(fake: FakeGemini) -> None:
    theirs = genai.Client(api_key="test-key", http_options={"base_url": fake.url})
    job = theirs.batches.create(model=FLASH, src=[
        {"contents": "one", "metadata": {"key": "a"}}, {"contents": "two", "metadata": {"key": "b"}}],
        config={"display_name": "mine"})
    while not job.state.name.endswith("SUCCEEDED"):
        job = theirs.batches.get(name=job.name)
    assert sorted(one.response.text for one in job.dest.inlined_responses) == ["answer a", "answer b"]
    assert [one.display_name for one in theirs.batches.list()] == ["mine"]
    theirs.batches.cancel(name=job.name)
    theirs.batches.delete(name=job.name)


def test_its_interactions_are_made_streamed_and_read_again(fake: FakeGemini) -> None:
    theirs = genai.Client(api_key="test-key", http_options={"base_url": fake.url})
    made = theirs.interactions.create(model=FLASH, input="Hi")
    assert (made.status, made.output_text) == ("completed", "ok")
    events = list(theirs.interactions.create(model=FLASH, input="Hi", stream=True))
    assert [event.event_type for event in events][:2] == ["interaction.created", "step.start"]
    assert events[-1].event_type == "interaction.completed"
    assert theirs.interactions.get(made.id).output_text == "ok"
    theirs.interactions.delete(made.id)
