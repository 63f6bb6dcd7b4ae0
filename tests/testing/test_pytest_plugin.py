"""The fixture, and the stand-in from a shell, as other projects use them."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def plugin(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]")  # or it is run by our settings, where tox puts its folder into our tree
    pytester.makeconftest('pytest_plugins = ["gemini_lite.testing.pytest_plugin"]')
    return pytester


def test_the_fixture_gives_a_strict_stand_in_and_fails_a_test_with_unused_replies(plugin: pytest.Pytester) -> None:
    plugin.makepyfile("""
        def test_strict(fake_gemini):
            assert fake_gemini.strict and fake_gemini.url.startswith("http://127.0.0.1:")

        def test_unused(fake_gemini):
            fake_gemini.reply("never")
    """)
    result = plugin.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*never asked for*"])


def serve(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", "gemini_lite.testing", "--port", "0", *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_shell_gets_a_server_that_repeats_the_prompt_until_it_is_stopped() -> None:
    with serve() as process:
        url = process.stdout.readline().strip() if process.stdout else ""
        answer = post(f"{url}/v1beta/models/m:generateContent", {"contents": {"parts": {"text": "Hi there"}}})
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert answer["candidates"][0]["content"]["parts"] == [{"text": "You said: Hi there "}]


def test_what_cannot_be_served_is_one_line() -> None:
    with serve("--play", "/nowhere/session.jsonl") as process:
        assert process.wait(20) == 1
        assert process.stderr and "No such file" in process.stderr.read()
