"""What goes to Vertex AI is what Google's own client, google-genai 3.4.0, was recorded to send, and where to."""
from __future__ import annotations

import contextlib
import json
import pathlib
from typing import Any, Callable, Dict, Optional, Tuple

import pytest
from test_wire import normal
from vertex_fake import FakeVertex, Token

from gemini_lite import DeveloperAPI, GeminiClient, VertexAI
from gemini_lite.client import _choose_backend

CASES = {case["case"]: case for case in json.loads(
    pathlib.Path(__file__).with_name("wire").joinpath("google-genai-3.4.0-vertex.json").read_text("utf-8"))["cases"]}
FLASH = "gemini-2.5-flash"
CACHE = "projects/p1/locations/us-central1/cachedContents/c1"
Call = Callable[[GeminiClient], object]


class Fake(Token):
    """Credentials whose token is the recordings'."""

    def refresh(self, request: Any) -> None:
        self.token = "fake-token"


def ask(prompt: str, **options: Any) -> Call:
    return lambda client: client.generate(prompt, **{"model": FLASH, **options})


CALLS: Dict[str, Call] = {
    "vertex_generate": ask("hi", labels={"team": "a"}, temperature=0.3),
    "vertex_generate_global_quota_project": ask("hi"),
    "vertex_stream": lambda client: client.stream("hi", model=FLASH).response,
    "vertex_count": lambda client: client.count_tokens("hi", model=FLASH, system_prompt="s"),
    "vertex_endpoint_model": ask("hi", model="projects/p2/locations/us-east1/endpoints/99"),
    "vertex_generate_with_cache": ask("q", cached_content=CACHE),
    "express_generate": ask("hi"),
    "express_stream": lambda client: client.stream("hi", model=FLASH).response,
    "express_key_with_project": ask("hi"),
}
ELSEWHERE = {  # caches, embeddings, batches, interactions and media have rooms of their own; we have no computeTokens
    name for name in CASES if any(word in name for word in ("cache_", "embed", "batch", "interactions", "imagen", "veo",
                                                            "compute", "files", "get_model", "list_base"))}


def backend_of(case: str, url: str) -> VertexAI:
    if case.startswith("express"):
        place = ("p1", "us-central1") if case == "express_key_with_project" else (None, None)
        return VertexAI(*place, api_key="express-key", base_url=url)
    is_global = case == "vertex_generate_global_quota_project"
    return VertexAI("p1", "global" if is_global else "us-central1", Fake("quota-proj" if is_global else None),
                    base_url=url)


@pytest.mark.parametrize("case", sorted(CALLS))
def test_our_requests_are_those_of_googles_own_client(case: str) -> None:
    recorded = CASES[case]["requests"][0]
    with FakeVertex(lambda request: "ok") as fake:
        fake.models.append("endpoints/*")
        with GeminiClient(backend=backend_of(case, fake.url)) as client:
            CALLS[case](client)
    ours, = fake.requests
    assert fake.paths == [(recorded["method"], recorded["path"])]
    assert normal(ours.body) == normal(recorded["body"])
    assert ours.headers.keys() >= recorded["headers"].keys() - {"accept"}
    for name in ("authorization", "x-goog-api-key", "x-goog-user-project"):
        assert ours.headers.get(name) == recorded["headers"].get(name)


@pytest.mark.parametrize("case", [name for name in CASES if name.endswith("list_base_models")])
def test_models_are_listed_where_googles_own_client_lists_them(case: str) -> None:
    recorded = CASES[case]["requests"][0]
    with FakeVertex() as fake:
        with contextlib.suppress(Exception), GeminiClient(backend=backend_of(case, fake.url)) as client:
            client.models()
    assert fake.paths[0][1].split("?")[0] == recorded["path"].split("?")[0]


def test_every_recorded_call_is_compared_but_these() -> None:
    calls = {name for name in CASES if not name.startswith("host ")}
    assert calls - set(CALLS) - ELSEWHERE == {"vertex_models_prefix"}  # which we refuse: tests/backends/test_vertex.py


# Hosts

Made = Callable[[], Any]
HOSTS: Dict[str, Tuple[Dict[str, str], Made]] = {
    "host vertex global": ({}, lambda: VertexAI("p1", "global", Fake())),
    "host vertex us": ({}, lambda: VertexAI("p1", "us", Fake())),
    "host vertex eu": ({}, lambda: VertexAI("p1", "eu", Fake())),
    "host vertex europe-west4": ({}, lambda: VertexAI("p1", "europe-west4", Fake())),
    "host vertexai=True": ({}, lambda: VertexAI("p1", "us-central1", Fake())),
    "host express": ({}, lambda: VertexAI(api_key="k")),
    "host key+project+loc": ({}, lambda: VertexAI("p1", "us-central1", api_key="k")),
    "host env project/loc + key arg": (
        {"GOOGLE_CLOUD_PROJECT": "ep", "GOOGLE_CLOUD_LOCATION": "europe-west1"}, lambda: VertexAI(api_key="k")),
    "host env USE_VERTEXAI": (
        {"GOOGLE_CLOUD_PROJECT": "ep", "GOOGLE_CLOUD_LOCATION": "us-east5"}, lambda: VertexAI(credentials=Fake())),
    "host api_version env beta vertex": ({}, lambda: VertexAI("p1", "global", Fake())),
    "host api_version v1 vertex": ({}, lambda: VertexAI("p1", "global", Fake(), api_version="v1")),
    "host vertex psc googleapis base_url": (
        {}, lambda: VertexAI("p1", credentials=Fake(), base_url="https://us-central1-aiplatform.mtls.googleapis.com")),
}
OF_THE_DEVELOPER_API = {name for name in CASES if name.startswith("host ") and ("dev" in name or "GEMINI_BASE" in name)}
DIFFERENT = {  # case: how ours differs, on purpose
    "host key+project only": "locations/global where theirs says locations/None",
    "host vertex base_url no auth": "a base URL replaces the host; theirs drops the path",
    "host vertex base_url COLLECTION": "the same",
    "host env key + project/loc args": "an error when a call is made, theirs when the client is",
    "host no auth at all": "the same",
    "host creds + key": "a ValueError too: tests/backends/test_vertex.py",
    "host env USE_ENTERPRISE=false USE_VERTEXAI=true": "below",
}


@pytest.mark.parametrize("case", sorted(HOSTS))
def test_hosts_and_paths_are_those_of_googles_own_client(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = CASES[case]["requests"][0]
    environment, make = HOSTS[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    backend = make()
    assert f"{backend.endpoints[0]}{backend.path('generateContent', FLASH)}" \
        == f"https://{recorded['host']}{recorded['path']}"
    header: Optional[str] = recorded["headers"].get("x-goog-api-key")
    assert (header is not None) == (type(backend.auth).__name__ == "APIKey")


def test_every_recorded_host_is_compared_but_these() -> None:
    hosts = {name for name in CASES if name.startswith("host ")}
    assert hosts - set(HOSTS) == OF_THE_DEVELOPER_API | set(DIFFERENT)


def test_the_newer_name_of_the_switch_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GOOGLE_GENAI_USE_ENTERPRISE": "false", "GOOGLE_GENAI_USE_VERTEXAI": "true",
                        "GEMINI_API_KEY": "gk"}.items():
        monkeypatch.setenv(name, value)
    assert type(_choose_backend(None, None, None)) is DeveloperAPI


def test_a_key_with_a_project_alone_goes_to_the_global_location() -> None:
    path = VertexAI("p1", api_key="k").path("generateContent", FLASH)
    assert path == f"/v1beta1/projects/p1/locations/global/publishers/google/models/{FLASH}:generateContent"


def test_project_and_location_go_before_the_environments_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "ek")
    backend = VertexAI("p1", "us-central1")
    assert type(backend.auth).__name__ == "GoogleCredentials"
