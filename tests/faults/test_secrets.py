"""Secrets planted wherever a user can put them, and looked for wherever they could show; and who we are stays ours."""
from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pickle
import shutil
import ssl
import subprocess
import sys
import traceback
import types
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
import requests
from vertex_fake import FakeVertex, Token

import gemini_lite
from gemini_lite import (
    CodeAssist, CredentialsError, DeveloperAPI, GeminiClient, GeminiError, OAuthCredentials, VertexAI,
)
from gemini_lite.auth.api_key import APIKey
from gemini_lite.cli import arguments, main
from gemini_lite.testing import Error, FakeGemini, Raw

Serve = Callable[..., str]

# No scanner shall take one of these for real.
KEY, ACCESS, REFRESH, CLIENT_SECRET, RENEWED, ID_TOKEN, PROXY_PASSWORD = SECRETS = [
    "planted-%s-%s" % (name, 7 * "q8") for name in
    ("key", "access", "refresh", "client-secret", "renewed", "id-token", "proxy-password")]
OURS = str(Path(gemini_lite.__file__).parent)


def shown(*things: Any, but: Any = None) -> str:
    """What repr, str and vars of these things show, and of all they hold but `but`; and pickles of the things."""
    seen: Dict[int, Any] = {id(but): but}
    parts: List[str] = []

    def look(thing: Any) -> None:
        if id(thing) in seen or isinstance(thing, (types.ModuleType, type, types.FunctionType, types.MethodType)):
            return
        seen[id(thing)] = thing
        if isinstance(thing, bytes):
            parts.append(thing.decode("latin-1"))
            return
        parts.extend((repr(thing), str(thing)))
        if isinstance(thing, dict):
            inside = list(thing.values())
        elif isinstance(thing, (list, tuple, set)):
            inside = list(thing)
        else:
            inside = list(getattr(thing, "__dict__", {}).values())
        for item in inside:
            look(item)

    for thing in things:
        look(thing)
        with contextlib.suppress(TypeError):  # most refuse, and say so
            parts.append(pickle.dumps(thing).decode("latin-1"))
    return "\n".join(parts)


def of_error(error: BaseException) -> str:
    """What an error shows, with all that caused it, with the locals of our frames, and as a pickle."""
    parts = [pickle.dumps(error).decode("latin-1") if isinstance(error, GeminiError) else ""]
    chain: List[BaseException] = [error]
    for item in chain:
        chain += [cause for cause in (item.__cause__, item.__context__) if cause is not None and cause not in chain]
        parts += [shown(item)] + traceback.format_exception(type(item), item, item.__traceback__)
        frames = traceback.StackSummary.extract(traceback.walk_tb(item.__traceback__), capture_locals=True)
        ours = [frame for frame in frames if frame.filename.startswith(OURS)]
        parts += ["%s %s %s" % (frame.name, frame.line, frame.locals) for frame in ours]
    return "\n".join(parts)


def clean(text: str) -> None:
    for secret in SECRETS:
        place = text.find(secret)
        assert place < 0, "shown: ...%s..." % text[max(0, place - 300):place + 40]


# The places

class Place:
    """A way to give secrets: makes a client for a fake; `asked_of` says what the server must then see."""

    def __init__(self, make: Callable[[FakeGemini, Path, pytest.MonkeyPatch], GeminiClient], asked_of: str) -> None:
        self.make, self.asked_of = make, asked_of


def file(folder: Path) -> Path:
    """A sign-in that must be renewed."""
    path = folder / "oauth_creds.json"
    path.write_text(json.dumps({"access_token": ACCESS, "refresh_token": REFRESH, "id_token": ID_TOKEN,
                                "expiry_date": 1}))
    return path


def installed_cli(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "npm/lib/node_modules/@google/gemini-cli-core/dist/src/code_assist"
    package.mkdir(parents=True, exist_ok=True)
    (package / "oauth2.js").write_text(
        "const OAUTH_CLIENT_ID = 'planted.apps.googleusercontent.com';\n"
        "const OAUTH_CLIENT_SECRET = '%s';\n" % CLIENT_SECRET)
    monkeypatch.setenv("npm_config_prefix", str(folder / "npm"))


def code_assist(fake: FakeGemini, credentials: Any, **settings: Any) -> GeminiClient:
    return GeminiClient(backend=CodeAssist(credentials, endpoints=[fake.url]), retries=0, **settings)


def vertex(fake: FakeGemini, project: Any = "p", **settings: Any) -> GeminiClient:
    return GeminiClient(backend=VertexAI(project, base_url=fake.url, **settings), retries=0)


class Planted(Token):
    """Credentials in google-auth's form, with secrets among their attributes."""

    refresh_token = REFRESH

    def refresh(self, request: Any) -> None:
        self.token = RENEWED


def by_environment(name: str) -> Callable[..., GeminiClient]:
    def make(fake: FakeGemini, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GeminiClient:
        monkeypatch.setenv(name, KEY)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
        return GeminiClient(retries=0)
    return make


def by_argument(fake: FakeGemini, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GeminiClient:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", fake.url)
    return GeminiClient(api_key=KEY, retries=0)


def by_session(fake: FakeGemini, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GeminiClient:
    """A key in the client, and others in the headers and the auth of a session."""
    session = requests.Session()
    session.headers.update({"x-goog-api-key": RENEWED, "X-Mine": PROXY_PASSWORD})
    session.auth = ("me", CLIENT_SECRET)
    return GeminiClient(backend=DeveloperAPI(KEY, base_url=fake.url), session=session, retries=0)


def by_file(client: Callable[[Path, pytest.MonkeyPatch], Dict[str, Any]]) -> Callable[..., GeminiClient]:
    def make(fake: FakeGemini, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GeminiClient:
        for _ in range(4):  # at first, and after each 401
            fake.answer("token", {"access_token": RENEWED, "expires_in": 3599})
        credentials = OAuthCredentials(file(folder), token_uri=fake.token_url, **client(folder, monkeypatch))
        return code_assist(fake, credentials)
    return make


def environment_client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Dict[str, Any]:
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_ID", "planted-id")
    monkeypatch.setenv("GEMINI_LITE_OAUTH_CLIENT_SECRET", CLIENT_SECRET)
    return {}


def by_gca(fake: FakeGemini, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GeminiClient:
    monkeypatch.setenv("GOOGLE_GENAI_USE_GCA", "true")
    monkeypatch.setenv("GOOGLE_CLOUD_ACCESS_TOKEN", ACCESS)
    monkeypatch.setenv("CODE_ASSIST_ENDPOINT", fake.url)
    return GeminiClient(retries=0)


PLACES: Dict[str, Place] = {
    "argument": Place(by_argument, KEY), "GEMINI_API_KEY": Place(by_environment("GEMINI_API_KEY"), KEY),
    "GOOGLE_API_KEY": Place(by_environment("GOOGLE_API_KEY"), KEY), "session": Place(by_session, KEY),
    "token": Place(lambda fake, folder, patch: code_assist(fake, OAuthCredentials(token=ACCESS)), ACCESS),
    "callable": Place(lambda fake, folder, patch: code_assist(fake, lambda: ACCESS), ACCESS),
    "GOOGLE_CLOUD_ACCESS_TOKEN": Place(by_gca, ACCESS),
    "vertex, callable": Place(lambda fake, folder, patch: vertex(fake, credentials=lambda: ACCESS), ACCESS),
    "vertex, object": Place(lambda fake, folder, patch: vertex(fake, credentials=Planted()), RENEWED),
    "vertex, express": Place(lambda fake, folder, patch: vertex(fake, project=None, api_key=KEY), KEY),
    "file, client by argument": Place(by_file(lambda folder, patch: {
        "client_id": "planted-id", "client_secret": CLIENT_SECRET}), RENEWED),
    "file, client in the environment": Place(by_file(environment_client), RENEWED),
    "file, client of the installed CLI": Place(by_file(
        lambda folder, patch: installed_cli(folder, patch) or {}), RENEWED),
}
FAULTS: Dict[str, Callable[[], Any]] = {
    "none": lambda: "Hello", "400": lambda: Error(400, "no"), "401": lambda: Error(401, "who?"),
    "403": lambda: Error(403, "no"), "429": lambda: Error(429, "slow", headers={"Retry-After": "99"}),
    "503": lambda: Error(503, "busy"), "302": lambda: Raw(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    "no HTTP": lambda: Raw(b"x", status=None), "HTML": lambda: Raw(b"<html>"),
    "cut": lambda: Raw(b"data: {", cut=True), "no gzip": lambda: Raw(b"no", headers={"Content-Encoding": "gzip"}),
    "blocked": lambda: Raw(b'data: {"promptFeedback": {"blockReason": "OTHER"}}\n\n'),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("npm_config_prefix", raising=False)


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
def test_no_secret_shows_anywhere_whatever_goes_wrong(
        place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fault: Any = None

    def answer(request: Any) -> Any:
        return FAULTS[fault]()

    with FakeVertex(answer) as fake, FakeVertex(answer, redact=True) as redacted:
        for server in (fake, redacted):
            client = place.make(server, tmp_path, monkeypatch)
            chat = client.chat([])
            for fault in FAULTS:
                for target, name in ((client, "generate"), (client, "stream"), (chat, "send_message_stream")):
                    try:
                        answer = getattr(target, name)("Hi")
                        clean(shown(answer, getattr(answer, "response", None)))
                    except GeminiError as error:
                        clean(of_error(error))
            clean(shown(client, client.options, client.history, chat, client._route, client._transport,
                        but=client._transport._given))  # a session of the user's is as open as the user made it
            client.close()
        asked = [request for request in fake.requests if request.kind == "generate"]
        assert len(asked) >= 3 * len(FAULTS) and all(place.asked_of in str(request.headers) for request in asked)
        clean("\n".join(request.path for request in fake.requests + redacted.requests))
        recorded = str(redacted.requests)
        clean(recorded.replace("'x-mine': '%s'" % PROXY_PASSWORD, ""))  # a header that only the user knows to be secret
    assert any(record.name == "gemini_lite" for record in caplog.records)
    assert any(record.name.startswith("urllib3") for record in caplog.records)
    clean(caplog.text + "".join(str(vars(record)) for record in caplog.records))


TOKEN_FAULTS: Dict[str, Callable[[], Any]] = {
    "revoked": lambda: Raw(b'{"error": "invalid_grant"}', status=400), "busy": lambda: Error(503, "busy"),
    "no HTTP": lambda: Raw(b"x", status=None), "HTML": lambda: Raw(b"<html>"),
    "a token that no header can carry": lambda: Raw(json.dumps({"access_token": RENEWED + "\n" + ACCESS}).encode()),
    "a redirect": lambda: Raw(status=302, headers={"Location": "http://127.0.0.1:1/"}),
}


@pytest.mark.parametrize("name", TOKEN_FAULTS)
def test_no_secret_shows_when_a_renewal_fails(
        name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FakeGemini(redact=True) as fake:
        fake.answer("token", TOKEN_FAULTS[name]())
        credentials = OAuthCredentials(file(tmp_path), "planted-id", CLIENT_SECRET, fake.token_url)
        with code_assist(fake, credentials) as client, pytest.raises(GeminiError) as caught:
            client.generate("Hi")
        clean(of_error(caught.value) + shown(client, credentials) + str(fake.requests))
    assert len(fake.requests) == 1
    clean(caplog.text)


def test_no_secret_shows_when_the_file_cannot_be_written(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    with FakeGemini() as fake:
        fake.answer("token", {"access_token": RENEWED, "expires_in": 3599})
        fake.reply("a")
        monkeypatch.setattr("gemini_lite.auth.sign_in.os.replace", full)
        with code_assist(fake, OAuthCredentials(file(tmp_path), "planted-id", CLIENT_SECRET, fake.token_url)) as client:
            assert client.generate("Hi").text == "a"
    assert "No space left" in caplog.text
    clean(caplog.text)


# What is refused is not printed

BAD = {"line break": KEY[:12] + "\n" + KEY, "blank": KEY + " " + KEY, "letter": KEY + "ü", "control": KEY + "\x7f",
       "NUL": "\0" + KEY, "Unicode line": KEY + "\u2028" + KEY, "half a pair": KEY + "\ud800"}
NOWHERE = ["http://127.0.0.1:1"]
BAD_PLACES: Dict[str, Callable[[str], Any]] = {
    "api_key": lambda bad: GeminiClient(api_key=bad),
    "DeveloperAPI": lambda bad: DeveloperAPI(bad),
    "APIKey": lambda bad: APIKey(bad),
    "token": lambda bad: OAuthCredentials(token=bad),
    "callable": lambda bad: GeminiClient(backend=CodeAssist(lambda: bad, endpoints=NOWHERE)).generate("Hi"),
    "CLI": lambda bad: main._open_client(arguments.parse_arguments(["Hi"])[1]).__enter__(),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
@pytest.mark.parametrize("place", BAD_PLACES)
def test_a_key_with_a_bad_character_is_refused_without_being_shown(
        place: str, bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if place == "CLI":
        if "\0" in bad or "\ud800" in bad:
            pytest.skip("no variable of the environment holds this")
        monkeypatch.setenv("GEMINI_API_KEY", bad)
    with pytest.raises(CredentialsError) as caught:
        BAD_PLACES[place](bad)
    clean(of_error(caught.value))


WRONG: Dict[str, Callable[[], Any]] = {
    "retries": lambda: GeminiClient(api_key=KEY, retries=-1),
    "timeout": lambda: GeminiClient(api_key=KEY, timeout="soon"),
    "deadline": lambda: GeminiClient(api_key=KEY, deadline=0),
    "options": lambda: GeminiClient({}, api_key=KEY),
    "two ways": lambda: GeminiClient(api_key=KEY, credentials_path="x"),
    "base_url": lambda: DeveloperAPI(KEY, base_url="ftp://x"),
    "secret without id": lambda: OAuthCredentials(client_secret=CLIENT_SECRET),
    "path and token": lambda: OAuthCredentials("x", token=ACCESS),
    "no string": lambda: DeveloperAPI(KEY.encode()),
    "project number": lambda: CodeAssist(OAuthCredentials(token=ACCESS), project="123"),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=list(WRONG))
def test_an_argument_that_is_wrong_shows_none_of_the_others(make: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError, CredentialsError)) as caught:
        make()
    clean(of_error(caught.value))


@pytest.mark.parametrize("url", ["https://me:%s@host", "https://host/?key=%s", "https://host/#%s", "%s", "https:// %s"])
def test_a_url_with_a_secret_in_it_is_refused_without_being_shown(url: str) -> None:
    for make in (lambda: DeveloperAPI("x", base_url=url % KEY), lambda: CodeAssist(lambda: "x", endpoints=[url % KEY])):
        with pytest.raises(ValueError) as caught:
            make()
        clean(str(caught.value))


def test_a_proxy_s_password_does_not_show(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.delenv("no_proxy")
    for scheme in ("http", "https"):
        monkeypatch.setenv(scheme + "_proxy", "http://me:%s@127.0.0.1:1" % PROXY_PASSWORD)
        with GeminiClient(backend=DeveloperAPI(KEY, base_url=scheme + "://127.0.0.1:2"), retries=0) as client:
            with pytest.raises(GeminiError) as caught:
                client.generate("Hi")
        assert caught.value.reason == "PROXY"
        clean("".join([str(caught.value), caplog.text, pickle.dumps(caught.value).decode("latin-1")]))


# Who we are stays ours

@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_neither_netrc_nor_a_redirect_changes_who_we_are(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    path = tmp_path / "netrc"
    path.write_text("default login somebody password %s\n" % PROXY_PASSWORD)
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    with FakeGemini() as fake, FakeGemini() as other, requests.Session() as session:
        requests.get(other.url + "/plain", timeout=10).close()
        assert other.requests.pop().headers["authorization"].startswith("Basic ")  # the file is in force
        fake.answer("token", {"access_token": RENEWED, "expires_in": 3599})
        fake.reply("a")
        fake.raw(status=307, headers={"Location": other.url + "/v1internal:generateContent"})
        credentials = OAuthCredentials(file(tmp_path), "planted-id", CLIENT_SECRET, fake.token_url)
        with code_assist(fake, credentials, session=None if own else session) as client:
            assert client.generate("Hi").text == "a"
            with pytest.raises(GeminiError, match="edirect"):
                client.generate("Hi")
        assert other.requests == []
        assert {request.headers.get("authorization") for request in fake.requests} == {None, "Bearer " + RENEWED}
        assert [request.kind for request in fake.requests if "authorization" not in request.headers] == ["token"]


@pytest.mark.skipif(not shutil.which("openssl", path="/usr/bin:/bin"), reason="needs the openssl command")
def test_the_client_certificate_of_a_session_is_shown_to_the_server(serve: Serve, tmp_path: Path) -> None:
    for name in ("server", "client"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                        "-keyout", name + ".key", "-out", name + ".pem"],
                       cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(str(tmp_path / "server.pem"), str(tmp_path / "server.key"))
    tls.load_verify_locations(str(tmp_path / "client.pem"))
    tls.verify_mode = ssl.CERT_REQUIRED
    names = []

    def handle(peer: Any) -> None:
        while True:
            peer.request()
            names.append(dict(field for part in peer.sock.getpeercert()["subject"] for field in part)["commonName"])
            peer.answer(b'{"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}')

    url = serve(handle, tls=tls)
    with requests.Session() as session:
        session.verify = str(tmp_path / "server.pem")
        with GeminiClient(backend=DeveloperAPI(KEY, base_url=url), session=session, retries=0) as client:
            with pytest.raises(GeminiError):
                client.generate("Hi")
            session.cert = (str(tmp_path / "client.pem"), str(tmp_path / "client.key"))
            assert [client.generate("Hi").text for _ in range(2)] == ["a", "a"]
    assert names == ["client", "client"]


# The command line

def run_cli(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(Path(OURS).parent), "GEMINI_API_KEY": KEY, **environment}
    return subprocess.run([sys.executable, "-W", "error", *arguments], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, universal_newlines=True)


CRASH = """
import sys, gemini_lite.cli.main as main, gemini_lite.transport.transport as transport
def crash(*args): raise RuntimeError("crash")
transport.{name} = crash
sys.exit(main.main(["Hi"]))
"""


@pytest.mark.parametrize("name", ["Transport.request", "Transport.stream", "answers.read_events", "Transport.__init__"])
def test_a_crash_of_the_command_line_shows_no_key(name: str) -> None:
    with FakeGemini(lambda request: "Hello") as fake:
        done = run_cli("-X", "dev", "-c", CRASH.format(name=name), GOOGLE_GEMINI_BASE_URL=fake.url)
    assert (done.returncode == 0) == (name == "Transport.request"), "only that one is not on the way"
    assert done.returncode == 0 or "RuntimeError: crash" in done.stderr
    clean(done.stdout + done.stderr)


@pytest.mark.parametrize("environment", [
    {"GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:1"}, {"GEMINI_API_KEY": KEY + "ü"},
    {"GEMINI_API_KEY": KEY + "\n" + KEY},
    {"GOOGLE_GEMINI_BASE_URL": "https://me:%s@host" % KEY}, {"GOOGLE_GEMINI_BASE_URL": "https://host?key=%s" % KEY},
    {"GOOGLE_GEMINI_BASE_URL": KEY}, {"GOOGLE_API_KEY": ACCESS, "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:1"},
], ids=["refused", "letter", "line break", "user in URL", "key in URL", "key for URL", "two keys"])
def test_an_error_of_the_command_line_shows_no_key(environment: Dict[str, str], monkeypatch: pytest.MonkeyPatch,
                                                   capfd: pytest.CaptureFixture[str]) -> None:
    for name, value in {"GEMINI_API_KEY": KEY, **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("gemini_lite.transport.retry.sleep", lambda seconds: None)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert main.main(["Hi"]) in (1, 2)
    out, err = capfd.readouterr()
    assert err.startswith("gemini-lite: ")
    clean(out + err)
