"""The memory of an upload does not grow with its size, and that of results hardly with their number."""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gemini_lite

PROGRAM = """
import resource, sys
from gemini_lite import DeveloperAPI, GeminiClient
client = GeminiClient(backend=DeveloperAPI("k", base_url=sys.argv[1]))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
client.files.upload(b"small", mime_type="text/plain")
before = peak()
sources = {"path": lambda: sys.argv[2], "stream": lambda: (bytes(1 << 20) for _ in range(200))}
client.files.upload(sources[sys.argv[3]](), mime_type="text/plain")
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux counts it")
@pytest.mark.parametrize("source", ["path", "stream"])
def test_an_upload_of_200_mb_costs_at_most_24_mb(serve: Any, tmp_path: Any, source: str) -> None:
    received = [0]

    def handle(peer: Any) -> None:
        while True:
            head, body = peer.request()
            command, = re.findall(r"(?i)x-goog-upload-command: (.*)\r", head)
            status = "final" if "finalize" in command else "active"
            if command != "start":
                received[0] += len(body)
            file = json.dumps({"file": {"name": "files/f", "state": "ACTIVE"}}).encode()
            peer.answer(file, headers=f"X-Goog-Upload-Status: {status}\r\nX-Goog-Upload-URL: {url[0]}/upload?id=1")

    url = [""]
    url[0] = serve(handle)
    with open(tmp_path / "big", "wb") as file:
        file.truncate(200 << 20)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url[0], str(tmp_path / "big"), source], stdout=subprocess.PIPE, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}, timeout=120)
    assert received[0] == (200 << 20) + 5
    assert int(done.stdout) <= 24


RESULTS = """
import resource, sys
from gemini_lite import DeveloperAPI, GeminiClient
client = GeminiClient(backend=DeveloperAPI("k", base_url=sys.argv[1]))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
keys = [str(number) for number in range(200_000)] if sys.argv[2] == "keys" else None
job = client.batches.get("b")
before = peak()
assert sum(result.error is None for result in client.batches.results(job, keys=keys)) == 200_000
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux counts it")
@pytest.mark.parametrize("keys", ["keys", "no keys"])
def test_200_000_results_of_a_batch_cost_at_most_10_mb(serve: Any, keys: str) -> None:
    response = b'{"candidates": [{"content": {"parts": [{"text": "%b"}]}, "finishReason": "STOP"}]}' % (b"x" * 400)
    results = b"".join(b'{"key": "%d", "response": %b}\n' % (number, response) for number in reversed(range(200_000)))
    job = json.dumps({"name": "batches/b", "done": True, "response": {"responsesFile": "files/r"}}).encode()

    def handle(peer: Any) -> None:
        while True:
            head, _ = peer.request()
            peer.answer(results if ":download" in head else job)

    done = subprocess.run(
        [sys.executable, "-c", RESULTS, serve(handle), keys], stdout=subprocess.PIPE, check=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)})
    assert int(done.stdout) <= 10
