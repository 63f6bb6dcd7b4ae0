"""``gemini-lite record`` as it is used: one shell records, a second runs the program, a test plays it."""
from __future__ import annotations

import contextlib
import gzip
import json
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from cli.commands import COMMAND, SOON, environment, run
from gemini_lite import APIError, DeveloperAPI, GeminiClient
from gemini_lite.testing import FakeGemini, call

KEY = "AQ.test-key/with+signs-0123456789"

# A program that is told of us by two variables alone, and does what a client can.
PROGRAM = """
import io, json, os
from gemini_lite import APIError, GeminiClient

def weather(city: str) -> str:
    '''The weather.'''
    return "rain; the key is " + os.environ["GEMINI_API_KEY"]

with GeminiClient(retries=0, model="gemini-2.5-flash") as client:
    said = ["".join(chunk.text_delta for chunk in client.stream("Hi"))]
    said.append(client.send_message("Umbrella?", tools=[weather]).text)
    file = client.files.upload(io.BytesIO(b"A text with " + os.environ["GEMINI_API_KEY"].encode()),
                               mime_type="text/plain", name="notes")
    said += [file.name, file.state, client.generate(["Sum up.", file]).text, client.count_tokens("Hi")]
    try:
        client.generate("Too much")
    except APIError as error:
        said += [error.code, error.retry_after, "API key not valid" in str(error)]
    said += [len(row) for row in client.embed(["a", "b"], output_dimensionality=2)]
    cache = client.caches.create("A long text.", model="gemini-2.5-flash")
    said += [cache.name, client.interactions.create("Hi").text]
    job = client.batches.wait(client.batches.create([("k", "Hi")]), poll=(0.01, 0.01))
    said += [(result.key, result.response.text) for result in client.batches.results(job)]
print(json.dumps(said))
"""


@pytest.fixture
def google() -> Iterator[FakeGemini]:
    """The server that is recorded."""
    with FakeGemini() as fake:
        yield fake


@contextlib.contextmanager
def recording(path: Path, *arguments: str, **variables: str) -> Iterator[Any]:
    """The command in a shell of its own: its URL; Ctrl-C at the end, and exit code 0."""
    command = [*COMMAND, "record", "-o", str(path), "--port", "0", *arguments]
    with subprocess.Popen(command, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout and process.stderr
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(SOON) == 0, process.stderr.read()


def run_program(url: str, key: str) -> Any:
    variables = environment(GEMINI_API_KEY=key, GOOGLE_GEMINI_BASE_URL=url)
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], env=variables, timeout=60, check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def script(google: FakeGemini) -> None:
    """What Google says to the program; one answer is in gzip though nobody asked for that, as from some gateways.
    """
    google.reply("Hel", "lo")
    google.reply(call("weather", {"city": "Ulm"}))
    google.reply("Take one; projects/my-project-7 says so.")
    packed = gzip.compress(json.dumps({"candidates": [
        {"content": {"role": "model", "parts": [{"text": "In short."}]}, "finishReason": "STOP"}]}).encode())
    google.raw(packed, headers={"Content-Encoding": "gzip", "Content-Length": str(len(packed))})
    google.error(429, f"API key not valid: {KEY}", headers={"Retry-After": "7"}, details=[
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "metadata": {"consumer": f"api_key:{KEY}"}}])


def expected() -> List[Any]:
    return ["Hello", "Take one; projects/my-project-7 says so.", "files/notes", "ACTIVE", "In short.", 1, 429, 7.0,
            True, 2, 2, "cachedContents/fake1", "ok", ["k", "answer k"]]


def test_what_a_program_did_is_played_to_it_again_without_a_secret_in_the_file(
        google: FakeGemini, tmp_path: Path) -> None:
    script(google)
    path = tmp_path / "cassette.jsonl"
    with recording(path, "--upstream", google.url) as url:
        said = run_program(url, KEY)
    assert said == expected()
    text = path.read_text("utf-8")
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [secret for secret in (KEY, "test-key/with", "upload_id", "my-project-7", google.url) if secret in text]
    assert {sent.headers.get("x-goog-api-key") for sent in google.requests} == {KEY, None}  # uploads
    with FakeGemini.from_recording(path) as fake:
        played = run_program(fake.url, KEY[::-1])  # not of another length: it stands in the file
    assert played[:1] + played[2:] == said[:1] + said[2:]
    assert played[1] == "Take one; projects/REDACTED_PROJECT says so."
    assert fake.connections


@pytest.mark.parametrize("flags, sent", [([], "a-key-of-the-program"), (["--send-key"], KEY)])
def test_a_program_brings_its_own_key_or_gets_that_of_the_shell(
        google: FakeGemini, tmp_path: Path, flags: List[str], sent: str) -> None:
    path = tmp_path / "cassette.jsonl"
    google.reply(f"Your keys are {KEY} and a-key-of-the-program")
    with recording(path, "--upstream", google.url, *flags, GEMINI_API_KEY=KEY) as url:
        with GeminiClient(backend=DeveloperAPI("a-key-of-the-program", base_url=url)) as client:
            client.generate("Hi")
    assert google.requests[0].headers["x-goog-api-key"] == sent
    text = path.read_text("utf-8")
    assert KEY not in text and "a-key-of-the-program" not in text


def test_texts_are_hashed_on_request(google: FakeGemini, tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    google.reply(call("weather", {"name": "Ada Lovelace"}))
    google.reply("A private answer.")
    with recording(path, "--redact-text", "--upstream", google.url) as url:
        with GeminiClient(backend=DeveloperAPI(KEY, base_url=url)) as client:
            client.generate("A private prompt.", tools=[{"functionDeclarations": [{"name": "weather"}]}])
            client.generate("Another.")
    text = path.read_text("utf-8")
    assert "private" not in text and "Ada" not in text and '"functionCall"' in text.replace("\\", "")
    with FakeGemini.from_recording(path) as fake, GeminiClient(backend=DeveloperAPI("k", base_url=fake.url)) as client:
        assert client.generate("Another.").text.startswith("sha256:")
        with pytest.raises(APIError, match="no request like this"):
            client.generate("A third.")


def test_the_demo_can_be_recorded_without_an_account(tmp_path: Path) -> None:
    path = tmp_path / "cassette.jsonl"
    with recording(path, "--demo") as url, GeminiClient(backend=DeveloperAPI("k", base_url=url)) as client:
        assert client.generate("Hello").text
    assert len(path.read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize("arguments, code, words", [
    (["--upstream", "nowhere"], 2, "is no server's URL"), (["--upstream", "https://a:b@c"], 2, "is no server's URL"),
    (["--port", "70000"], 2, "no port 70000"), (["--send-key"], 1, "which is not set"),
])
def test_what_cannot_be_recorded_is_one_line(
        tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: List[str], code: int, words: str) -> None:
    assert run("record", "-o", str(tmp_path / "x"), *arguments) == code
    out, err = capsys.readouterr()
    assert words in err and err.count("\n") == 1 and not out and not (tmp_path / "x").exists()


def test_a_taken_port_leaves_the_old_recording_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cassette.jsonl"
    path.write_text("old")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("record", "-o", str(path), "--port", str(taken.getsockname()[1])) == 1
    assert "is in use: name another one with --port" in capsys.readouterr().err and path.read_text() == "old"
    assert run("record", "-o", str(tmp_path / "no" / "folder"), "--port", "0") == 1
    assert "cannot be used" in capsys.readouterr().err
