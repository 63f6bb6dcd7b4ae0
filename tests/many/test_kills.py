"""Runs that are killed at random: every key has one line in the end, and few prompts are paid for twice."""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

import gemini_lite
from gemini_lite.testing import FakeGemini

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
CONCURRENCY = 16
CHILD = """
import sys
from gemini_lite import DeveloperAPI, GeminiClient
client = GeminiClient(backend=DeveloperAPI("k", base_url=sys.argv[1]))
client.map_to(sys.argv[2], ((f"k{number}", f"prompt {number}") for number in range(int(sys.argv[3]))),
              concurrency=int(sys.argv[4]), on_crash=sys.argv[5])
"""


class Outcome:
    """What a loop of kills did."""

    def __init__(self):
        self.kills = self.torn = 0
        self.answered = Counter()


def kill_until_done(out, count, kills, on_crash, chooser):
    """Run until done, with `kills` of them killed; the prompts that the server answered, and how often."""
    outcome, lock = Outcome(), threading.Lock()

    def answer(request):
        time.sleep(chooser.uniform(0.005, 0.03))
        with lock:
            outcome.answered[request.body["contents"][0]["parts"][0]["text"]] += 1
        return "x"

    environment = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}
    with FakeGemini(answer) as fake:
        while True:
            command = [sys.executable, "-c", CHILD, fake.url, str(out), str(count), str(CONCURRENCY), on_crash]
            begun = len(fake.requests)
            process = subprocess.Popen(command, env=environment)
            if outcome.kills < kills:
                deadline = time.monotonic() + 30
                while len(fake.requests) == begun and time.monotonic() < deadline and process.poll() is None:
                    time.sleep(0.002)
                time.sleep(chooser.uniform(0, 0.25))
                process.send_signal(signal.SIGKILL)
            if process.wait(120) == 0:
                break
            outcome.kills += 1
            # An error LOST is on the disk before its key is taken from the file of those sent: no power cut tears it.
            if out.exists() and chooser.random() < 0.5 and b'"LOST"' not in out.read_bytes()[-1000:]:
                outcome.torn += 1
                with open(out, "r+b") as file:  # as a power cut may leave it: the last line is half there
                    size = file.seek(0, 2)
                    file.truncate(max(0, size - chooser.randrange(1, 60)))
    return outcome


def check_lines(out, count):
    keys = Counter(json.loads(line)["key"] for line in out.read_bytes().splitlines())
    assert keys == Counter(f"k{number}" for number in range(count))


@pytest.mark.parametrize("kills, count", [
    pytest.param(3, 400, id="short"), pytest.param(50, 6000, id="fifty kills", marks=pytest.mark.slow)])
def test_every_key_has_one_line_and_few_are_paid_twice(tmp_path, kills, count):
    out = tmp_path / "out.jsonl"
    outcome = kill_until_done(out, count, kills, "resend", random.Random(kills))
    check_lines(out, count)
    twice = sum(times - 1 for times in outcome.answered.values())
    print(f"\n{outcome.kills} kills, {outcome.torn} torn, {twice} paid twice of {count}")
    assert twice <= outcome.kills * CONCURRENCY + outcome.torn  # a torn line was an answer, too


@pytest.mark.parametrize("kills, count", [
    pytest.param(3, 400, id="short"), pytest.param(25, 3000, id="many kills", marks=pytest.mark.slow)])
def test_with_report_nothing_is_paid_twice(tmp_path, kills, count):
    out = tmp_path / "out.jsonl"
    outcome = kill_until_done(out, count, kills, "report", random.Random(kills))
    check_lines(out, count)
    assert max(outcome.answered.values()) == 1
