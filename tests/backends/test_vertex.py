"""The laws of `VertexAI`: hosts, resource names, bodies, and which way to the model the environment chooses."""
from __future__ import annotations

import itertools
import logging
import os
import pathlib
import subprocess
import sys
from typing import Any, Dict, List, Optional

import pytest
from auth.google_servers import answer
from vertex_fake import FakeVertex, Token

from gemini_lite import (
    AuthenticationError, CodeAssist, CredentialsError, DeveloperAPI, GeminiClient, GeminiOptions, NotFoundError,
    PermissionDeniedError, VertexAI, query,
)
from gemini_lite.auth.secret import Secret
from gemini_lite.testing import Error, FakeGemini, Raw

HELLO = [{"role": "user", "parts": [{"text": "Hello"}]}]
PLACE = "projects/p1/locations/us-central1"


class NoPost:
    """Set-up calls are a failure: whoever passes this knows that there is nothing to find."""

    deadline: Any = None

    def sign_in(self) -> None:
        raise AssertionError("signed in, though the credentials need no finding")

    def __call__(self, path: str, body: Any) -> Dict[str, Any]:
        raise AssertionError(f"asked for {path}")


def token() -> str:
    return "t"


@pytest.fixture
def api() -> VertexAI:
    return VertexAI("p1", "us-central1", token)


def wrap(backend: VertexAI, method: str, request: Dict[str, Any], **options: Any) -> Any:
    return backend.wrap(method, "m", request, GeminiOptions(**options), "session", NoPost())


# Hosts

@pytest.mark.parametrize("location, host", [
    (None, "aiplatform.googleapis.com"), ("global", "aiplatform.googleapis.com"),
    ("us", "aiplatform.us.rep.googleapis.com"), ("eu", "aiplatform.eu.rep.googleapis.com"),
    ("us-central1", "us-central1-aiplatform.googleapis.com"),
    ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
])
def test_a_location_has_a_host_of_its_own(location: Optional[str], host: str) -> None:
    assert VertexAI("p1", location, token).endpoints == (f"https://{host}",)


@pytest.mark.parametrize("location, host", [
    ("global", "aiplatform.s3ns.fr"), ("u-france-east1", "u-france-east1-aiplatform.s3ns.fr")])
def test_the_cloud_that_the_credentials_belong_to_is_part_of_the_host(location: str, host: str) -> None:
    backend = VertexAI("p1", location, Token(universe_domain="s3ns.fr"))
    backend.auth.ready(None, (1, 1))  # type: ignore[arg-type]
    assert backend.endpoints == (f"https://{host}",)


def test_a_base_url_goes_before_the_environments_and_both_before_the_location(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_VERTEX_BASE_URL", "http://gateway.example/x/")
    assert VertexAI("p1", "eu", token).endpoints == ("http://gateway.example/x",)
    assert VertexAI("p1", "eu", token, base_url="http://other.example").endpoints == ("http://other.example",)


@pytest.mark.parametrize("given", ["ftp://x", "https://u:p@host", "https://h?x=y"])
def test_a_base_url_that_is_none_is_a_value_error(given: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        VertexAI("p1", "eu", token, base_url=given)


@pytest.mark.parametrize("project, location", [
    ("None", "global"), ("p/q", "global"), ("", "us-central1/x"), ("p1", "us.central1"), ("p1", "evil.example/"),
    ("p1", "None"), ("../x", "global")])
def test_a_project_or_location_that_would_lead_elsewhere_is_a_value_error(project: str, location: str) -> None:
    with pytest.raises(ValueError, match="project|location"):
        VertexAI(project, location, token)


# Resource names

@pytest.mark.parametrize("model, resource", [
    ("gemini-2.5-flash", f"{PLACE}/publishers/google/models/gemini-2.5-flash"),
    (" gemini-2.5-flash ", f"{PLACE}/publishers/google/models/gemini-2.5-flash"),
    ("meta/llama-4", f"{PLACE}/publishers/meta/models/llama-4"),
    ("google/gemini-2.5-flash", f"{PLACE}/publishers/google/models/gemini-2.5-flash"),
    ("publishers/anthropic/models/claude@20251001", f"{PLACE}/publishers/anthropic/models/claude@20251001"),
    ("projects/p2/locations/us-east1/endpoints/99", "projects/p2/locations/us-east1/endpoints/99"),
    ("projects/p2/locations/us-east1/models/7", "projects/p2/locations/us-east1/models/7"),
    ("endpoints/99", f"{PLACE}/endpoints/99"),
])
def test_a_model_has_the_resource_name_that_vertex_gives_it(api: VertexAI, model: str, resource: str) -> None:
    assert api.model_resource(model) == resource
    assert api.path("generateContent", model) == f"/v1beta1/{resource}:generateContent"
    assert api.path("streamGenerateContent", model) == f"/v1beta1/{resource}:streamGenerateContent?alt=sse"


def test_a_name_of_the_developer_api_is_refused_with_both_spellings(fake: FakeGemini) -> None:
    with GeminiClient(backend=VertexAI("p1", "eu", token, base_url=fake.url)) as client:
        with pytest.raises(ValueError, match="'gemini-x' for Google.*'projects/PROJECT/locations/LOCATION/models/gem"):
            client.generate("Hi", model="models/gemini-x")
    assert fake.requests == []


@pytest.mark.parametrize("model", [
    "../../x", "a/../../../evil", "m?key=x", "m#x", "m&x", "a//b", "/m", "m/", "a\\b", "m\r\nX: y", "tunedModels/x",
    "a/b/c"])
def test_a_name_that_is_no_models_is_a_value_error_and_nothing_is_sent(fake: FakeGemini, model: str) -> None:
    with GeminiClient(backend=VertexAI("p1", "eu", token, base_url=fake.url)) as client:
        with pytest.raises(ValueError, match="model"):
            client.generate("Hi", model=model)
    assert fake.requests == []


@pytest.mark.parametrize("name, whole", [
    ("c1", f"{PLACE}/cachedContents/c1"), ("cachedContents/c1", f"{PLACE}/cachedContents/c1"),
    ("locations/eu/cachedContents/c1", "projects/p1/locations/eu/cachedContents/c1"),
    ("projects/p/locations/l/cachedContents/c1", "projects/p/locations/l/cachedContents/c1"),
])
def test_a_cache_is_named_in_full_and_the_callers_request_stays(api: VertexAI, name: str, whole: str) -> None:
    request = {"contents": HELLO, "cachedContent": name}
    assert wrap(api, "generateContent", request) == {"contents": HELLO, "cachedContent": whole}
    assert request == {"contents": HELLO, "cachedContent": name}


@pytest.mark.parametrize("version", ["v1", "/v1beta1/", "v9"])
def test_the_api_version_is_part_of_the_path(version: str) -> None:
    path = VertexAI("p1", "eu", token, api_version=version).path("countTokens", "m")
    assert path == f"/{version.strip('/')}/projects/p1/locations/eu/publishers/google/models/m:countTokens"


# Bodies

def test_the_body_is_the_request_itself_with_its_labels(api: VertexAI) -> None:
    request = {"contents": HELLO, "labels": {"team": "a"}}
    assert wrap(api, "generateContent", request, labels={"team": "a"}) is request


def test_what_is_counted_is_what_has_tokens(api: VertexAI) -> None:
    whole = {"contents": HELLO, "systemInstruction": {"parts": [{"text": "s"}]}, "tools": [], "labels": {"a": "b"},
             "generationConfig": {}, "safetySettings": [], "toolConfig": {}}
    counted = wrap(api, "countTokens", whole)
    assert counted == {name: whole[name] for name in ("contents", "systemInstruction", "tools", "generationConfig")}
    with pytest.raises(ValueError, match="cached_content"):
        wrap(api, "countTokens", {"contents": HELLO, "cachedContent": "c"})


def test_a_session_is_a_value_error_that_names_it(api: VertexAI) -> None:
    with pytest.raises(ValueError, match="session_id"):
        wrap(api, "generateContent", {"contents": HELLO}, session_id="s")


@pytest.mark.parametrize("uri", ["files/abc", "https://generativelanguage.googleapis.com/v1beta/files/abc"])
def test_a_file_of_the_developer_api_is_refused_with_what_to_do_instead(api: VertexAI, uri: str) -> None:
    turn = {"role": "user", "parts": [{"fileData": {"fileUri": uri, "mimeType": "image/png"}}]}
    with pytest.raises(ValueError, match="gs://"):
        wrap(api, "generateContent", {"contents": [turn]})


def test_media_in_cloud_storage_is_sent_by_its_uri() -> None:
    part = {"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf"}}
    with FakeVertex(lambda request: "ok") as fake:
        with GeminiClient(backend=VertexAI("p1", "eu", token, base_url=fake.url)) as client:
            client.generate([part, "sum up"])
    assert fake.requests[0].body["contents"][0]["parts"] == [part, {"text": "sum up"}]


def test_an_event_needs_no_unwrapping(api: VertexAI) -> None:
    event = {"candidates": [], "response": {"candidates": [1]}}
    assert api.unwrap(event) is event


def test_headers_say_who_sends_and_hold_no_token(api: VertexAI) -> None:
    headers = dict(api.headers("generateContent", "m"))
    assert headers["User-Agent"].startswith("gemini-lite/") and headers["Content-Type"] == "application/json"
    assert not {"authorization", "x-goog-api-key"} & {name.lower() for name in headers}


def test_there_is_no_quota_to_ask_for(api: VertexAI) -> None:
    with pytest.raises(ValueError, match="quota"):
        api.quota(NoPost())


# The list of models

def models_service(*pages: Dict[str, Any]) -> Any:
    left = list(pages)

    def serve(request: Any) -> Any:
        return answer(left.pop(0)) if "/publishers/google/models?" in request.path else None
    return serve


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_all_pages_of_models_are_read_without_the_project(fake: FakeGemini, version: str) -> None:
    fake.services.append(models_service(
        {"publisherModels": [{"name": "publishers/google/models/a"}], "nextPageToken": "t&/="},
        {"publisherModels": [{"name": "publishers/google/models/b"}]}))
    with GeminiClient(backend=VertexAI("p1", "eu", token, base_url=fake.url, api_version=version)) as client:
        assert [model["name"][-1] for model in client.models()] == ["a", "b"]
    assert [request.path for request in fake.requests] == [
        "/v1beta1/publishers/google/models?pageSize=100",
        "/v1beta1/publishers/google/models?pageSize=100&pageToken=t%26%2F%3D"]


# Who is calling

@pytest.mark.parametrize("credentials, header", [
    (token, "Bearer t"), (Secret("s"), "Bearer s"), (Token(), "Bearer token-1")])
def test_credentials_of_each_form_are_the_bearer(fake: FakeGemini, credentials: Any, header: str) -> None:
    with FakeVertex(lambda request: "ok") as fake:
        with GeminiClient(backend=VertexAI("p1", "eu", credentials, base_url=fake.url)) as client:
            assert client.generate("Hi").text == "ok"
    assert fake.requests[0].headers["authorization"] == header
    assert "x-goog-api-key" not in fake.requests[0].headers


def test_a_quota_project_is_billed() -> None:
    with FakeVertex(lambda request: "ok") as fake:
        with GeminiClient(backend=VertexAI("p1", "eu", Token("billed"), base_url=fake.url)) as client:
            client.generate("Hi")
    assert fake.requests[0].headers["x-goog-user-project"] == "billed"


@pytest.mark.parametrize("credentials", ["/a/file.json", "ya29.token", b"x"])
def test_a_plain_string_is_refused_because_it_could_be_either(credentials: Any) -> None:
    with pytest.raises(TypeError, match=r"pathlib\.Path.*function"):
        VertexAI("p1", "eu", credentials)


def test_what_is_no_credential_at_all_is_refused() -> None:
    with pytest.raises(TypeError, match="not dict"):
        VertexAI("p1", "eu", {"token": "t"})


def test_a_key_and_credentials_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        VertexAI(credentials=token, api_key="k")


def test_a_key_alone_needs_nothing_else_and_has_models_only() -> None:
    with FakeVertex(lambda request: "ok") as fake:
        with GeminiClient(backend=VertexAI(api_key="k", base_url=fake.url)) as client:
            assert client.generate("Hi", model="gemini-2.5-flash").text == "ok"
            with pytest.raises(ValueError, match="express mode"):
                client.generate("Hi", cached_content="c1")
    assert fake.paths == [("POST", "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent")]
    assert fake.requests[0].headers["x-goog-api-key"] == "k" and "authorization" not in fake.requests[0].headers


def test_a_key_with_a_location_and_no_project_is_refused() -> None:
    with pytest.raises(ValueError, match="project"):
        VertexAI(location="eu", api_key="k")


def test_without_any_project_the_error_says_how_to_name_one(fake: FakeGemini) -> None:
    with GeminiClient(backend=VertexAI(credentials=token, base_url=fake.url)) as client:
        with pytest.raises(CredentialsError, match=r"GOOGLE_CLOUD_PROJECT.*VertexAI\(project="):
            client.generate("Hi")
    assert fake.requests == []


def test_nothing_is_looked_for_in_a_constructor(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    GeminiClient(backend=VertexAI()).close()
    GeminiClient(backend=VertexAI(credentials=tmp_path / "missing.json")).close()


# What wins: every combination of what can be given and what the environment can say

def expected(project: bool, location: bool, key: bool, credentials: bool, env: Dict[str, str]) -> str:
    """The path up to the publisher and the header that a call has, or the kind of error."""
    if key and credentials:
        return "ValueError"
    env_project, env_location = env.get("GOOGLE_CLOUD_PROJECT"), env.get("GOOGLE_CLOUD_LOCATION")
    env_key = env.get("GOOGLE_API_KEY") or env.get("GEMINI_API_KEY")
    if not (project or location or credentials) and (key or env_key and not (env_project or env_location)):
        return f"/v1beta1/ {'k' if key else env_key}"
    of_project, of_location = "p" if project else env_project, "eu" if location else env_location or "global"
    if of_project is None:
        return "ValueError" if key else "CredentialsError"  # those of this test name no project
    return f"/v1beta1/projects/{of_project}/locations/{of_location}/ {'k' if key else 'bearer'}"


ENVIRONMENT = {"GOOGLE_CLOUD_PROJECT": "ep", "GOOGLE_CLOUD_LOCATION": "us-east5", "GOOGLE_API_KEY": "ek",
               "GEMINI_API_KEY": "gk"}
SUBSETS = [dict(items) for size in range(5) for items in itertools.combinations(ENVIRONMENT.items(), size)]


@pytest.mark.parametrize("env", SUBSETS, ids=lambda env: "+".join(env) or "nothing")
def test_every_combination_of_arguments_and_environment_has_its_result_and_no_none_in_a_path(
        monkeypatch: pytest.MonkeyPatch, env: Dict[str, str]) -> None:
    monkeypatch.setattr("gemini_lite.auth.application_default.find", lambda *args: (Token(), None))
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    got: List[str] = []
    wanted: List[str] = []
    with FakeVertex(lambda request: "ok") as fake:
        for project, location, key, credentials in itertools.product((False, True), repeat=4):
            wanted.append(expected(project, location, key, credentials, env))
            try:
                backend = VertexAI("p" if project else None, "eu" if location else None, Token() if credentials
                                   else None, api_key="k" if key else None, base_url=fake.url)
                with GeminiClient(backend=backend) as client:
                    client.generate("Hi")
            except (ValueError, CredentialsError) as error:
                got.append(type(error).__name__)
                continue
            headers = fake.requests[-1].headers
            assert ("x-goog-api-key" in headers) != ("authorization" in headers)
            path = fake.paths[-1][1].split("publishers/")[0]
            got.append(f"{path} {headers.get('x-goog-api-key', 'bearer')}")
    assert got == wanted
    assert not any("None" in path for _, path in fake.paths)


FLAGS: List[Optional[str]] = [None, "false", "true"]


@pytest.mark.parametrize("gca, new, old, key", [*itertools.product(FLAGS, FLAGS, FLAGS, [None, "k"])])
def test_every_combination_of_the_environments_switches_chooses_one_backend(
        monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, gca: Optional[str], new: Optional[str],
        old: Optional[str], key: Optional[str]) -> None:
    switches = {"GOOGLE_GENAI_USE_GCA": gca, "GOOGLE_GENAI_USE_ENTERPRISE": new, "GOOGLE_GENAI_USE_VERTEXAI": old}
    for name, value in switches.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("GEMINI_API_KEY", "gk")
    caplog.set_level(logging.WARNING, "gemini_lite")
    kind: Any = DeveloperAPI
    if gca == "true" and key is None:
        kind = CodeAssist
    elif (new or old) == "true":
        kind = VertexAI
    with GeminiClient(api_key=key) as client:
        assert type(client.backend) is kind
    differ = new is not None and old is not None and new != old
    assert ("are both set and differ" in caplog.text) == (differ and kind is not CodeAssist)


@pytest.mark.parametrize("value, chosen", [
    ("true", True), ("TRUE", True), ("1", True), ("True ", True), ("", False), ("0", False), ("yes", False)])
def test_a_switch_is_on_as_googles_own_client_reads_it(
        monkeypatch: pytest.MonkeyPatch, value: str, chosen: bool) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", value)
    monkeypatch.setenv("GEMINI_API_KEY", "gk")
    with GeminiClient() as client:
        assert type(client.backend) is (VertexAI if chosen else DeveloperAPI)


def test_an_explicit_key_or_path_or_backend_goes_before_the_switches(
        monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "ep")
    with GeminiClient(credentials_path=tmp_path / "x") as client:
        assert type(client.backend) is CodeAssist
    with GeminiClient(backend=DeveloperAPI("k")) as client:
        assert type(client.backend) is DeveloperAPI
    with GeminiClient(api_key="k") as client:
        assert client.backend.endpoints == ("https://aiplatform.googleapis.com",)
        assert client.backend.path("x", "m") == "/v1beta1/publishers/google/models/m:x"


def test_query_goes_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeVertex(lambda request: "ok") as fake:
        for name, value in {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_API_KEY": "k",
                            "GOOGLE_VERTEX_BASE_URL": fake.url}.items():
            monkeypatch.setenv(name, value)
        assert str(query("Hi")) == "ok"
    assert fake.paths == [("POST", "/v1beta1/publishers/google/models/gemini-2.5-flash:generateContent")]


def test_importing_the_package_does_not_import_this_backend() -> None:
    script = ("import sys, gemini_lite; print([name for name in sys.modules if 'vertex' in name or 'google' in name]); "
              "from gemini_lite import *; print(VertexAI.__name__, 'VertexAI' in dir(gemini_lite))")
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                          stdout=subprocess.PIPE, check=True, universal_newlines=True)
    assert done.stdout == "[]\nVertexAI True\n"


# Errors

NOT_FOUND = ("Publisher Model `projects/p1/locations/us-central1/publishers/google/models/gemini-3-pro` was not found "
             "or your project does not have access to it. Please ensure you are using a valid model version.")


@pytest.mark.parametrize("error, kind, step", [
    (Error(404, NOT_FOUND), NotFoundError, "location='global'"),
    (Error(401, "API keys are not supported by this API. Expected OAuth2 access token or other authentication "
                "credentials that assert a principal."), AuthenticationError, "express mode"),
    (Error(403, "Permission 'aiplatform.endpoints.predict' denied on resource "
                "'//aiplatform.googleapis.com/projects/p1' (or it may not exist)."),
     PermissionDeniedError, "roles/aiplatform.user"),
    (Error(403, "Your application is authenticating by using local Application Default Credentials. The "
                "aiplatform.googleapis.com API requires a quota project, which is not set by default."),
     PermissionDeniedError, "set-quota-project"),
], ids=["model not here", "key refused", "role missing", "no quota project"])
def test_an_error_says_what_to_do_on_vertex(error: Error, kind: Any, step: str) -> None:
    with FakeVertex(lambda request: error) as fake:
        with GeminiClient(backend=VertexAI("p1", "us-central1", token, base_url=fake.url)) as client:
            with pytest.raises(kind) as caught:
                client.generate("Hi")
    assert step in str(caught.value)


def test_a_page_where_a_location_should_be_says_so(fake: FakeGemini) -> None:
    fake.services.append(lambda request: _page() if "/projects/" in request.path else None)
    with GeminiClient(backend=VertexAI("p1", "us-centrl1", token, base_url=fake.url)) as client:
        with pytest.raises(NotFoundError, match="location"):
            client.generate("Hi")


def _page() -> Raw:
    return Raw(b"<html><title>Error 404 (Not Found)!!1</title></html>", status=404,
               headers={"Content-Type": "text/html"})
