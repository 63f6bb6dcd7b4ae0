"""google-auth's own credentials, end to end: from a file or a machine, by a token server, to the model's answer."""
from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
import requests
from auth.google_servers import (
    AUTHORIZED_USER, METADATA, ROBOT, SCOPE, Google, Redirecting, answer, claims_of, impersonation_url, new_key,
    service_account, workload_identity, write,
)
from auth.test_secrets_in_frames import frames_of, text_in
from vertex_fake import FakeVertex

import gemini_lite
from gemini_lite import CredentialsError, GeminiClient, OverloadedError, VertexAI
from gemini_lite.auth.google import GoogleCredentials
from gemini_lite.testing import Error, Raw

pytest.importorskip("google.auth")
# Of old Pythons and unchecked files google-auth warns itself; that is no failure of ours.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning:google"),
              pytest.mark.filterwarnings("ignore::UserWarning:google"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning:google"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning:cryptography"),
              pytest.mark.filterwarnings("ignore::ResourceWarning")]

TIMEOUT = (5.0, 5.0)


@pytest.fixture
def fake() -> Iterator[FakeVertex]:
    with FakeVertex(lambda request: "ok") as fake:
        yield fake


@pytest.fixture
def google(fake: FakeVertex, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    for name in ("CLOUDSDK_CONFIG", "GCLOUD_PROJECT", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # without gcloud
    google = Google(fake)
    yield google
    google.session.close()


@pytest.fixture(scope="module")
def key() -> str:
    return new_key()


def ask(google: Google, backend: VertexAI, **settings: Any) -> Dict[str, str]:
    """The headers with which the model was asked."""
    with GeminiClient(backend=backend, session=google.session, **settings) as client:
        assert client.generate("Hi").text == "ok"
    return google._fake.requests[-1].headers


def paths(google: Google) -> List[str]:
    return [f"{request.method} {urllib.parse.unquote(request.path)}" for request in google.requests]


# Files

def test_the_sign_in_of_a_person_is_renewed_and_its_quota_project_billed(google: Google, tmp_path: Path) -> None:
    headers = ask(google, VertexAI("p", "eu", write(tmp_path / "adc.json", AUTHORIZED_USER)))
    assert headers["authorization"] == "Bearer token-1" and headers["x-goog-user-project"] == "billed"
    assert google.requests[0].body == {"grant_type": "refresh_token", "client_id": "cid", "client_secret": "csec",
                                       "refresh_token": "rtok", "scope": SCOPE}
    assert google.adapter.hosts == ["oauth2.googleapis.com", "aiplatform.eu.rep.googleapis.com"]


def test_a_service_account_signs_a_jwt_for_the_scope_of_google_cloud(google: Google, tmp_path: Path, key: str) -> None:
    headers = ask(google, VertexAI(credentials=write(tmp_path / "sa.json", service_account(key))))
    assert headers["authorization"] == "Bearer token-1"
    assert google._fake.paths[-1][1].startswith("/v1beta1/projects/sa-project/locations/global/")  # from the file
    claims = claims_of(google.requests[0].body["assertion"])
    assert (claims["iss"], claims["scope"]) == (ROBOT, SCOPE)


def test_a_service_account_object_without_scopes_is_given_one(google: Google, key: str) -> None:
    from google.oauth2 import service_account as module
    given = module.Credentials.from_service_account_info(service_account(key))
    ask(google, VertexAI(credentials=given))
    assert claims_of(google.requests[0].body["assertion"])["scope"] == SCOPE
    assert given.scopes is None and given.token is None
    assert "/projects/sa-project/" in google._fake.paths[-1][1]


def test_a_delegated_subject_is_kept(google: Google, key: str) -> None:
    from google.oauth2 import service_account as module
    given = module.Credentials.from_service_account_info(service_account(key), subject="boss@example.com")
    ask(google, VertexAI("p", credentials=given))
    assert claims_of(google.requests[0].body["assertion"])["sub"] == "boss@example.com"


def test_a_service_account_of_another_cloud_goes_to_that_cloud_without_a_token_server(
        google: Google, tmp_path: Path, key: str) -> None:
    path = write(tmp_path / "sa.json", service_account(key, universe_domain="s3ns.fr"))
    backend = VertexAI(None, "u-france-east1", path)
    headers = ask(google, backend)
    assert google.requests == [] and claims_of(headers["authorization"].split()[1])["scope"] == SCOPE
    assert google.adapter.hosts[-1] == "u-france-east1-aiplatform.s3ns.fr"


def test_an_impersonated_service_account_is_asked_for_by_its_source(google: Google, tmp_path: Path) -> None:
    file = {"type": "impersonated_service_account", "service_account_impersonation_url": impersonation_url(),
            "delegates": [], "source_credentials": AUTHORIZED_USER}
    headers = ask(google, VertexAI("p", credentials=write(tmp_path / "imp.json", file)))
    token, impersonation = google.requests
    assert token.body["refresh_token"] == "rtok" and impersonation.headers["authorization"] == "Bearer token-1"
    assert impersonation.body["scope"] == [SCOPE] and headers["authorization"] == "Bearer token-2"


@pytest.mark.parametrize("kind", ["text file", "json file", "url"])
@pytest.mark.parametrize("impersonates", [False, True])
def test_a_workload_identity_is_exchanged(google: Google, tmp_path: Path, kind: str, impersonates: bool) -> None:
    (tmp_path / "subject").write_text('{"id": "subject-from-file"}' if kind == "json file" else "subject-from-file")
    as_json = {"format": {"type": "json", "subject_token_field_name": "id"}}
    source = {"text file": {"file": str(tmp_path / "subject")},
              "json file": {"file": str(tmp_path / "subject"), **as_json},
              "url": {"url": "https://subjects.example/subject", "headers": {"X-Mine": "1"}, **as_json}}[kind]
    fields = {"service_account_impersonation_url": impersonation_url()} if impersonates else {}
    headers = ask(google, VertexAI("p", credentials=write(tmp_path / "wif.json", workload_identity(source, **fields))))
    exchange = next(request for request in google.requests if "subject_token" in (request.body or {}))
    assert exchange.body["subject_token"] == ("subject-from-url" if kind == "url" else "subject-from-file")
    assert exchange.body["scope"] == ("https://www.googleapis.com/auth/iam" if impersonates else SCOPE)
    if kind == "url":
        assert google.requests[0].headers["x-mine"] == "1"
    if impersonates:
        assert google.requests[-1].path.endswith(":generateAccessToken")
    assert headers["authorization"] == f"Bearer token-{len(google.requests)}"


# Application Default Credentials

@pytest.mark.parametrize("project", ["p", None])
def test_the_file_that_the_environment_names_is_used(
        google: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, project: Any) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write(tmp_path / "sa.json", service_account(key))))
    assert ask(google, VertexAI(project))["authorization"] == "Bearer token-1"
    assert f"/projects/{project or 'sa-project'}/locations/global/" in google._fake.paths[-1][1]
    assert paths(google) == ["POST /token"]


@pytest.mark.parametrize("project", ["p", None])
def test_the_file_that_gcloud_writes_is_used(
        google: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project: Any) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    write(tmp_path / "application_default_credentials.json", AUTHORIZED_USER)
    backend = VertexAI(project)
    if project is None:  # such a file names none, and gcloud is not here to be asked
        with pytest.raises(CredentialsError, match="GOOGLE_CLOUD_PROJECT"):
            ask(google, backend)
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "env-project")
        backend = VertexAI()
    assert ask(google, backend)["x-goog-user-project"] == "billed"
    assert f"/projects/{project or 'env-project'}/locations/global/" in google._fake.paths[-1][1]


def test_gcloud_is_not_run_for_a_project_that_is_known(
        google: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    write(tmp_path / "application_default_credentials.json", AUTHORIZED_USER)
    monkeypatch.setattr(subprocess, "check_output", lambda *args, **kwargs: pytest.fail("gcloud was run"))
    ask(google, VertexAI("p"))


@pytest.mark.parametrize("project", ["p", None])
def test_a_machine_of_googles_signs_in_by_its_metadata_server(google: Google, project: Any) -> None:
    assert ask(google, VertexAI(project))["authorization"].startswith("Bearer token-")
    assert f"/projects/{project or 'metadata-project'}/locations/global/" in google._fake.paths[-1][1]
    assert {request.headers.get("metadata-flavor") for request in google.requests} == {"Google"}
    token = next(path for path in paths(google) if "/token" in path)
    assert token.startswith(f"GET {METADATA}instance/service-accounts/")


def test_an_object_for_a_machine_asks_the_metadata_server_over_our_session(google: Google) -> None:
    from google.auth import compute_engine
    assert ask(google, VertexAI("p", credentials=compute_engine.Credentials()))["authorization"].startswith("Bearer t")


def test_the_host_of_the_metadata_server_may_be_named_in_the_environment(google: Google, tmp_path: Path) -> None:
    host = google._fake.url[len("http://"):]
    script = textwrap.dedent("""
        import warnings; warnings.simplefilter("ignore")
        import sys
        from gemini_lite import GeminiClient, VertexAI
        with GeminiClient(backend=VertexAI(base_url=sys.argv[1])) as client:
            print(client.generate("Hi"))
    """)
    environment = {**os.environ, "GCE_METADATA_HOST": host, "GCE_METADATA_ROOT": host, "GCE_METADATA_IP": host,
                   "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script, google._fake.url], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")
    assert "/projects/metadata-project/" in google._fake.paths[-1][1]


class Nowhere(requests.adapters.BaseAdapter):
    """A network that swallows packets."""

    def send(self, request: Any, *args: Any, timeout: Any = None, **kwargs: Any) -> requests.Response:  # type: ignore
        seconds = timeout if isinstance(timeout, (int, float)) else min(timeout)
        time.sleep(min(seconds, 0.05))
        raise requests.ConnectTimeout("swallowed")

    def close(self) -> None:
        pass


def test_where_nobody_is_signed_in_the_error_says_how_and_nothing_is_tried_twice(google: Google) -> None:
    nowhere = Nowhere()
    for host in ("metadata.google.internal", "169.254.169.254"):
        google.session.mount(f"http://{host}/", nowhere)
    with GeminiClient(backend=VertexAI("p"), session=google.session) as client:
        with pytest.raises(CredentialsError, match="gcloud auth application-default login") as caught:
            client.generate("Hi")
    assert caught.value.reason == "NO_CREDENTIALS" and google._fake.requests == []


@pytest.mark.parametrize("content, words", [
    ("{", "not a valid json"), ('{"type": "mine"}', "valid type"), ('{"type": "service_account"}', "expected format")])
def test_a_file_that_is_none_is_a_credentials_error_that_names_it(
        google: Google, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(CredentialsError, match=words):
        ask(google, VertexAI("p", credentials=path))
    with pytest.raises(CredentialsError, match="missing.json"):
        ask(google, VertexAI("p", credentials=tmp_path / "missing.json"))


# Refusals

@pytest.mark.parametrize("error, description, step", [
    ("invalid_grant", "Token has been expired or revoked.", "gcloud auth application-default login"),
    ("invalid_grant", "Bad Request", "gcloud auth application-default login"),
    ("invalid_client", "The OAuth client was not found.", "OAuth client"),
])
def test_a_refusal_of_the_token_server_says_what_to_do_and_is_not_repeated(
        google: Google, tmp_path: Path, error: str, description: str, step: str) -> None:
    google.answers["token"] = [answer({"error": error, "error_description": description}, 400)]
    with pytest.raises(CredentialsError, match=step) as caught:
        ask(google, VertexAI("p", credentials=write(tmp_path / "adc.json", AUTHORIZED_USER)))
    assert len(google.requests) == 1 and caught.value.__context__ is None
    assert not any(secret in str(caught.value) for secret in ("rtok", "csec"))


def test_a_refused_impersonation_names_the_role(google: Google, tmp_path: Path) -> None:
    google.answers["generateAccessToken"] = [answer({"error": {
        "code": 403, "message": "Permission 'iam.serviceAccounts.getAccessToken' denied", "status": "x"}}, 403)]
    file = {"type": "impersonated_service_account", "service_account_impersonation_url": impersonation_url(),
            "delegates": [], "source_credentials": AUTHORIZED_USER}
    with pytest.raises(CredentialsError, match="serviceAccountTokenCreator"):
        ask(google, VertexAI("p", credentials=write(tmp_path / "imp.json", file)))


def test_a_busy_token_server_is_asked_again_without_the_sleeps_of_google_auth(
        google: Google, tmp_path: Path, no_sleep: List[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("google-auth slept"))
    google.answers["token"] = [answer({"error": "internal_failure"}, 500) for _ in range(3)]
    assert ask(google, VertexAI("p", credentials=write(tmp_path / "a.json", AUTHORIZED_USER)))["authorization"]
    assert len(google.requests) == 4 and len(no_sleep) == 3
    google.answers["token"] = [answer({}, 503)]
    with pytest.raises(OverloadedError):
        ask(google, VertexAI("p", credentials=write(tmp_path / "a.json", AUTHORIZED_USER)), retries=0)


def test_a_static_token_that_is_refused_says_that_it_cannot_be_renewed(google: Google) -> None:
    from google.oauth2.credentials import Credentials
    google._fake._default = lambda request: Error(401, "expired")
    with pytest.raises(CredentialsError, match="mere access token"):
        ask(google, VertexAI("p", credentials=Credentials("static")))
    assert [request.headers["authorization"] for request in google._fake.requests] == ["Bearer static"]


# The traps of google-auth

def test_our_session_stays_open_when_google_auth_has_done_with_it(google: Google, tmp_path: Path) -> None:
    with GeminiClient(backend=VertexAI("p", credentials=write(tmp_path / "a.json", AUTHORIZED_USER)),
                      session=google.session) as client:
        client.generate("Hi")
        gc.collect()
        assert not google.adapter.closed
        client.generate("Hi")
    assert google._fake.connections == 1


def test_no_thread_of_google_auths_uses_our_session(google: Google, tmp_path: Path, key: str) -> None:
    before = {*threading.enumerate()}
    with GeminiClient(backend=VertexAI(credentials=write(tmp_path / "sa.json", service_account(key))),
                      session=google.session) as client:
        for _ in range(3):
            client.generate("Hi")
        assert not [thread for thread in {*threading.enumerate()} - before if "boundary" in thread.name.lower()]
    assert [path for _, path in google._fake.paths if "allowedLocations" in path] == []


def test_64_threads_fetch_one_token_for_each_expiry(google: Google, tmp_path: Path) -> None:
    backend = VertexAI("p", credentials=write(tmp_path / "a.json", AUTHORIZED_USER))
    assert isinstance(backend.auth, GoogleCredentials)
    with GeminiClient(backend=backend, session=google.session) as client, ThreadPoolExecutor(64) as pool:
        for fetched in (1, 2):
            assert {*pool.map(lambda _: str(client.generate("Hi")), range(64))} == {"ok"}
            assert len(google.requests) == fetched
            used = backend.auth._held
            assert used is not None
            used.value.expiry = used.value.expiry.replace(year=2001)


def test_a_refused_token_is_renewed_once_and_the_call_goes_on(google: Google, tmp_path: Path) -> None:
    google._fake._default = lambda request: (
        Error(401, "expired") if request.headers["authorization"] == "Bearer token-1" else "ok")
    assert ask(google, VertexAI("p", credentials=write(tmp_path / "a.json", AUTHORIZED_USER)), retries=0)[
        "authorization"] == "Bearer token-2"
    assert len(google.requests) == 2


def test_google_auth_is_imported_with_the_first_call_only() -> None:
    script = ("import sys, gemini_lite\n"
              "gemini_lite.GeminiClient(backend=gemini_lite.VertexAI('p')).close()\n"
              "print([name for name in sys.modules if name.startswith('google.')])")
    environment = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout.decode().replace("'", '"')) == []


# Secrets

PLANTED = {"client_secret": "planted-client-secret", "refresh_token": "planted-refresh-token"}


class Interrupting(Redirecting):
    """Ctrl-C while the token server is asked."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        raise KeyboardInterrupt


@pytest.mark.parametrize("fault", ["refused", "busy", "no JSON", "no token", "cut", "interrupt", "token for no header"])
def test_no_secret_is_in_the_frames_of_what_goes_wrong(
        google: Google, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "gemini_lite")
    token = {"access_token": "planted-access\ntoken", "expires_in": 3600}
    google.answers["token"] = {
        "refused": [answer({"error": "invalid_grant"}, 400)], "busy": [answer({}, 503)], "no JSON": [answer("<html>")],
        "no token": [answer({"id_token": "planted-id-token"})],
        "cut": [Raw(b"{", headers={"Content-Length": "9"}, cut=True)],
        "token for no header": [answer(token)]}.get(fault, [])
    if fault == "interrupt":
        google.session.mount("https://", Interrupting(google._fake.url))
    auth = GoogleCredentials(write(tmp_path / "adc.json", {**AUTHORIZED_USER, **PLANTED}))
    with pytest.raises(BaseException) as caught:
        auth.ready(google.session, TIMEOUT)
    error = caught.value
    assert isinstance(error, KeyboardInterrupt if fault == "interrupt" else gemini_lite.GeminiError)
    frames = [frame for frame in frames_of(error) if "gemini_lite" in frame.f_code.co_filename
              and "tests" not in frame.f_code.co_filename]
    assert any(frame.f_code.co_name == "ready" for frame in frames)
    for text in text_in([error, str(error), *(frame.f_locals for frame in frames), caplog.text, vars(auth)]):
        assert "planted" not in text


def test_the_search_for_secrets_finds_credentials_that_are_not_hidden() -> None:
    from google.oauth2.credentials import Credentials
    assert any("planted" in text for text in text_in(Credentials("planted")))
