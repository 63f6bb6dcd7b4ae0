"""The laws of `GoogleCredentials` that need no google-auth: one renewal for all threads, in time."""
from __future__ import annotations

import copy
import datetime
import pathlib
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest
import requests
from auth.google_servers import Google, answer
from auth.sign_ins import held_by_another_thread
from vertex_fake import FakeVertex, Token

from gemini_lite import CredentialsError, GeminiClient, ServerError, TransportError, TransportTimeout, VertexAI
from gemini_lite.auth.google import GoogleCredentials
from gemini_lite.auth.google_request import GoogleRequest
from gemini_lite.testing import Error, Raw
from gemini_lite.transport.deadline import CallSettings, Deadline

TIMEOUT = (5.0, 5.0)


class Lasting(Token):
    """Credentials whose tokens last for `lifetime` seconds; `before` is called in each refresh."""

    def __init__(self, lifetime: float, before: Callable[[Any], object] = lambda request: None) -> None:
        super().__init__()
        self._lifetime, self._before = lifetime, before

    def refresh(self, request: Any) -> None:
        self._before(request)
        super().refresh(request)
        self.expiry = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self._lifetime)


def asks_for_a_token(request: Any) -> None:
    request("https://oauth2.googleapis.com/token", method="POST", body=b"", headers={}, timeout=120)


@pytest.fixture
def fake() -> Iterator[FakeVertex]:
    with FakeVertex(lambda request: "ok") as fake:
        yield fake


@pytest.fixture
def google(fake: FakeVertex) -> Google:
    return Google(fake)


def bearer(auth: GoogleCredentials, session: Optional[requests.Session] = None) -> str:
    auth.ready(session or requests.Session(), TIMEOUT)
    return str(auth(requests.Request("GET", "http://x").prepare()).headers["Authorization"])


def vertex(fake: FakeVertex, credentials: Any, **settings: Any) -> GeminiClient:
    return GeminiClient(backend=VertexAI("p", "global", credentials, base_url=fake.url), **settings)


def test_a_token_that_lasts_is_asked_for_once() -> None:
    credentials = Lasting(3600)
    auth = GoogleCredentials(credentials)
    assert [bearer(auth) for _ in range(3)] == ["Bearer token-1"] * 3
    assert credentials.refreshed == 1


@pytest.mark.parametrize("left, renewed", [(300, False), (200, True), (-5, True)])
def test_a_token_is_renewed_a_while_before_it_expires(left: float, renewed: bool) -> None:
    credentials = Lasting(3600)
    auth = GoogleCredentials(credentials)
    bearer(auth)
    credentials.expiry = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=left)
    assert bearer(auth) == ("Bearer token-2" if renewed else "Bearer token-1")


def test_an_expiry_without_a_zone_is_in_utc() -> None:
    credentials = Lasting(3600)
    auth = GoogleCredentials(credentials)
    bearer(auth)
    credentials.expiry = credentials.expiry.replace(tzinfo=None)
    assert bearer(auth) == "Bearer token-1"


def test_a_token_that_never_lasts_long_is_not_renewed_with_every_call() -> None:
    auth = GoogleCredentials(Lasting(100))
    assert {bearer(auth) for _ in range(5)} == {"Bearer token-1"}


def test_64_threads_renew_once() -> None:
    credentials = Lasting(3600, lambda request: time.sleep(0.05))
    auth = GoogleCredentials(credentials)
    with ThreadPoolExecutor(64) as pool:
        assert {*pool.map(lambda _: bearer(auth), range(64))} == {"Bearer token-1"}
    assert credentials.refreshed == 1


def test_64_threads_whose_token_was_refused_renew_once(fake: FakeVertex) -> None:
    credentials = Lasting(3600)
    together = threading.Barrier(64)

    def refuse_first(request: Any) -> Any:
        if request.headers["authorization"] == "Bearer token-1":
            together.wait(20)
            return Error(401, "expired")
        return "ok"

    fake._default = refuse_first
    with vertex(fake, credentials) as client, ThreadPoolExecutor(64) as pool:
        assert [*pool.map(lambda _: str(client.generate("Hi")), range(64))] == ["ok"] * 64
    assert credentials.refreshed == 2


def test_a_token_that_is_refused_whatever_it_is_is_renewed_once(fake: FakeVertex) -> None:
    fake._default = lambda request: Error(401, "no")
    with vertex(fake, Lasting(3600)) as client, pytest.raises(Exception, match="no"):
        client.generate("Hi")
    assert [request.headers["authorization"] for request in fake.requests] == ["Bearer token-1", "Bearer token-2"]


def test_a_stream_goes_on_with_the_token_it_began_with(fake: FakeVertex) -> None:
    credentials = Lasting(3600)
    fake.reply("a", "b", "c")
    with vertex(fake, credentials) as client:
        stream = client.stream("Hi")
        next(stream)
        credentials.expiry = datetime.datetime.now(datetime.timezone.utc)
        assert stream.response.text == "abc" and credentials.refreshed == 1
        client.generate("Hi")
    assert [request.headers["authorization"] for request in fake.requests] == ["Bearer token-1", "Bearer token-2"]


def test_each_thread_sends_what_it_was_given() -> None:
    auth = GoogleCredentials(Token())
    seen: List[Any] = []

    def ask() -> None:
        with pytest.raises(CredentialsError, match="ready"):
            auth(requests.Request("GET", "http://x").prepare())
        seen.append(bearer(auth))

    bearer(auth)
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen == ["Bearer token-1"]


def test_credentials_need_a_scope_or_have_one() -> None:
    class Scoped(Token):
        scopes: List[str] = []

        @property
        def requires_scopes(self) -> bool:
            return not self.scopes

        def with_scopes(self, scopes: List[str]) -> Scoped:
            made = Scoped()
            made.scopes = scopes
            return made

        def refresh(self, request: Any) -> None:
            self.token = ",".join(self.scopes)

    given = Scoped()
    assert bearer(GoogleCredentials(given)) == "Bearer https://www.googleapis.com/auth/cloud-platform"
    assert given.scopes == [] and given.token is None
    given.scopes = ["mine"]
    assert bearer(GoogleCredentials(given)) == "Bearer mine"


def test_the_environments_quota_project_is_billed_unless_the_credentials_name_one(
        monkeypatch: pytest.MonkeyPatch) -> None:
    class Billed(Token):
        def with_quota_project(self, project: str) -> Billed:
            return Billed(project)

    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", "env-project")
    for given, billed in ((Billed(), "env-project"), (Billed("own"), "own")):
        auth = GoogleCredentials(given)
        auth.ready(requests.Session(), TIMEOUT)
        headers = auth(requests.Request("GET", "http://x").prepare()).headers
        assert headers["x-goog-user-project"] == billed


def test_what_credentials_put_into_the_headers_is_sent() -> None:
    class Key(Token):
        valid = True  # type: ignore[assignment]

        def apply(self, headers: Dict[str, str]) -> None:
            headers.update({"x-goog-api-key": "k", "X-Allowed-Locations": "0x0", "x-goog-api-client": "cred-type/u"})

    auth = GoogleCredentials(Key())
    auth.ready(requests.Session(), TIMEOUT)
    assert {**auth(requests.Request("GET", "http://x").prepare()).headers} == {"x-goog-api-key": "k"}
    assert auth.renew(requests.Session(), TIMEOUT) is False


@pytest.mark.parametrize("bad", ["a\nb", "a\r\nX: y", "\u00fc", "", None, 7])
def test_a_token_that_no_header_can_carry_is_a_credentials_error(bad: Any) -> None:
    class Odd(Token):
        def refresh(self, request: Any) -> None:
            self.token = bad

    with pytest.raises(CredentialsError):
        bearer(GoogleCredentials(Odd()))


@pytest.mark.parametrize("refused", [False, True])
def test_a_sign_in_leaves_no_call_behind_that_close_would_end(
        fake: FakeVertex, google: Google, refused: bool) -> None:
    if refused:
        google.answers["token"] = [answer({"error": "x"}, 400)]

    def ask(request: Any) -> None:
        if request("https://oauth2.googleapis.com/token", method="POST").status != 200:
            raise ValueError("refused")

    with vertex(fake, Lasting(3600, ask), session=google.session) as client:
        if refused:
            with pytest.raises(CredentialsError):
                client.generate("Hi")
        assert client.generate("Hi").text == "ok" and client._transport._calls == set()
        client._transport.sign_in(CallSettings())
        assert client._transport._calls == set()


# Failures

def test_a_busy_token_server_is_asked_again_by_our_own_rules(
        fake: FakeVertex, google: Google, no_sleep: List[float]) -> None:
    google.answers["token"] = [answer({"error": "internal_failure"}, 503), answer({"error": "x"}, 500)]
    credentials = Lasting(3600, asks_for_a_token)
    with vertex(fake, credentials, session=google.session) as client:
        assert client.generate("Hi").text == "ok"
    assert len(google.requests) == 3 and len(no_sleep) == 2


def test_a_token_server_that_stays_busy_is_a_server_error(
        fake: FakeVertex, google: Google, no_sleep: List[float]) -> None:
    google.answers["token"] = [answer({"error": "x"}, 503) for _ in range(3)]
    with vertex(fake, Lasting(3600, asks_for_a_token), session=google.session, retries=2) as client:
        with pytest.raises(ServerError):
            client.generate("Hi")
    assert fake.paths.count(("POST", "/token")) == 3 == len(fake.requests)


@pytest.mark.parametrize("deadline, timeout", [(0.5, (10, 300)), (None, (0.5, 0.5))])
def test_a_silent_token_server_holds_a_call_no_longer_than_its_deadline(
        serve: Callable[..., str], fake: FakeVertex, deadline: Optional[float], timeout: Any) -> None:
    silent = serve(lambda peer: peer.sock.recv(1 << 16) and peer.sock.recv(1))
    credentials = Lasting(3600, lambda request: request(f"{silent}/token", method="POST", timeout=120))
    with vertex(fake, credentials, timeout=timeout, deadline=deadline) as client:
        with pytest.raises(TransportTimeout) as caught:
            client.generate("Hi")
    assert caught.value.reason in ("DEADLINE", "READ_TIMEOUT") and fake.requests == []


def test_a_token_server_that_trickles_holds_a_call_no_longer_than_its_deadline(
        serve: Callable[..., str], fake: FakeVertex) -> None:
    stop = threading.Event()

    def trickle(peer: Any) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.05):
            peer.send(b" ")

    credentials = Lasting(3600, lambda request: request(f"{serve(trickle)}/token", method="POST", timeout=120))
    with vertex(fake, credentials, deadline=0.5) as client, pytest.raises(TransportTimeout):
        client.generate("Hi")
    stop.set()


def test_an_answer_without_end_is_refused(serve: Callable[..., str]) -> None:
    url = serve(lambda peer: peer.request() and peer.answer(b"x" * (2 << 20)))
    with requests.Session() as session, pytest.raises(TransportError, match="more than"):
        GoogleRequest(session, TIMEOUT, Deadline.after(5))(f"{url}/token")


def test_after_a_wait_for_anothers_renewal_only_the_rest_of_the_time_is_left() -> None:
    left: List[float] = []
    auth = GoogleCredentials(Lasting(3600, lambda request: left.append(request._deadline.left)))
    with held_by_another_thread(auth._lock, 0.3):
        bearer(auth)
    assert len(left) == 1 and left[0] < max(TIMEOUT) - 0.2


def test_a_thread_waits_for_anothers_renewal_no_longer_than_its_deadline(fake: FakeVertex) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(request: Any) -> None:
        begun.set()
        go_on.wait(20)

    with vertex(fake, Lasting(3600, slowly)) as client:
        first = threading.Thread(target=client.generate, args=("Hi",))
        first.start()
        assert begun.wait(20)
        with pytest.raises(TransportTimeout, match="renewal|deadline"):
            client.generate("Hi", deadline=0.2, retries=0)
        go_on.set()
        first.join()
    assert len(fake.requests) == 1


def test_what_credentials_raise_is_a_credentials_error_without_their_frames() -> None:
    class RefreshError(Exception):
        pass

    def fail(request: Any) -> None:
        secret = "planted-secret"
        raise RefreshError("invalid_grant: Token has been expired or revoked.", {"error": "invalid_grant", "x": secret})

    with pytest.raises(CredentialsError, match="gcloud auth application-default login") as caught:
        bearer(GoogleCredentials(Lasting(3600, fail)))
    error = caught.value
    assert error.reason == "invalid_grant" and error.__cause__ is None and error.__context__ is None
    assert "planted" not in str(error)
    assert pickle.loads(pickle.dumps(error)).reason == "invalid_grant"


@pytest.mark.parametrize("words, step", [
    ("Reauthentication is needed", "fresh sign-in"),
    ("Unable to acquire impersonated credentials", "serviceAccountTokenCreator"),
    ("invalid_scope: Invalid OAuth scope", "cloud-platform"),
    ("invalid_grant: Invalid JWT Signature.", "check the clock"),
    ("invalid_client: The OAuth client was not found.", "OAuth client"),
    ("The credentials do not contain the necessary fields need to refresh the access token.", "mere access token"),
    ("Failed to retrieve x from the Google Compute Engine metadata service", "service account is attached"),
    ("something new", "gcloud auth application-default login"),
])
def test_each_refusal_has_its_next_step(words: str, step: str) -> None:
    def fail(request: Any) -> None:
        raise ValueError(words)

    with pytest.raises(CredentialsError, match=step):
        bearer(GoogleCredentials(Lasting(3600, fail)))


@pytest.mark.parametrize("credentials", [None, pathlib.Path("/nowhere/key.json")])
def test_without_google_auth_the_error_says_what_to_install(
        monkeypatch: pytest.MonkeyPatch, fake: FakeVertex, credentials: Any) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with vertex(fake, credentials) as client, pytest.raises(CredentialsError, match=r"gemini_lite\[vertex\]"):
        client.generate("Hi")


# The transport that google-auth is given

def test_our_request_is_never_copied() -> None:
    with requests.Session() as session, pytest.raises(TypeError, match="not copied"):
        copy.deepcopy(GoogleRequest(session, TIMEOUT, Deadline.after(5)))


def test_a_ping_that_nothing_answers_is_made_once(serve: Callable[..., str], google: Google) -> None:
    url = serve(lambda peer: peer.reset())
    with requests.Session() as session:
        assert GoogleRequest(session, TIMEOUT, Deadline.after(5))(f"{url}/", timeout=1).status == 503
        with pytest.raises(TransportError):
            GoogleRequest(session, TIMEOUT, Deadline.after(5))(f"{url}/computeMetadata/v1/x", timeout=1)


def test_a_refusal_is_left_to_google_auth(fake: FakeVertex, google: Google) -> None:
    google.answers["token"] = [answer({"error": "invalid_grant"}, 400)]
    found = GoogleRequest(google.session, TIMEOUT, Deadline.after(5))("https://oauth2.googleapis.com/token", "POST")
    assert (found.status, found.data) == (400, b'{"error": "invalid_grant"}')


@pytest.mark.parametrize("length", [{"Content-Length": "0"}, {}])
def test_a_redirect_of_a_token_server_is_not_followed_and_no_netrc_is_read(
        fake: FakeVertex, google: Google, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path,
        length: Dict[str, str]) -> None:
    (tmp_path / "netrc").write_text("machine oauth2.googleapis.com login me password mine")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    google.answers["token"] = [Raw(status=307, headers={"Location": f"{fake.url}/elsewhere", **length})]
    found = GoogleRequest(google.session, TIMEOUT, Deadline.after(5))("https://oauth2.googleapis.com/token", "POST")
    assert found.status == 307 and fake.paths == [("POST", "/token")]
    assert "authorization" not in fake.requests[0].headers


def test_the_metadata_server_is_asked_directly_and_token_servers_by_way_of_the_proxy(
        monkeypatch: pytest.MonkeyPatch, fake: FakeVertex) -> None:
    monkeypatch.delenv("no_proxy")
    seen: List[str] = []
    fake.services.append(lambda request: seen.append(request.path) or answer("{}"))  # type: ignore[func-returns-value]
    monkeypatch.setenv("http_proxy", fake.url)
    with requests.Session() as session:
        request = GoogleRequest(session, TIMEOUT, Deadline.after(5))
        request("http://token.example/token")
        request(f"{fake.url}/computeMetadata/v1/x", headers={"Metadata-Flavor": "Google"})
    assert seen == ["http://token.example/token", "/computeMetadata/v1/x"]


def test_the_credentials_show_no_token_and_are_not_pickled() -> None:
    auth = GoogleCredentials(Token())
    bearer(auth)
    assert "token-1" not in f"{auth!r} {vars(auth)['_per_thread']!r}"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(auth)


def test_credentials_describe_themselves_without_their_token() -> None:
    credentials = Lasting(3600)
    auth = GoogleCredentials(credentials)
    assert "not looked for yet" in auth.describe()
    bearer(auth)
    credentials.quota_project_id, credentials.service_account_email = "billed", "robot@p"  # type: ignore[attr-defined]
    words = auth.describe()
    assert all(word in words for word in ("Lasting", "of robot@p", "billed to billed", "holds for 59 minutes"))
    assert "token-1" not in words
