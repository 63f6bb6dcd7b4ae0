"""Chats that are killed while they save: the conversation is the old one or the new, whole."""
from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gemini_lite
from gemini_lite.cli import saved
from gemini_lite.cli.saved import ChatFile, ChatRecord
from gemini_lite.testing import FakeGemini, Request

posix = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_LITE_HOME", str(tmp_path / "home"))


def killed_chats(fake: FakeGemini, rounds: int) -> int:
    """How often a file was left half written beside the conversation by a chat that was killed while it saved."""
    folder = saved.folder()
    known, caught = 0, 0
    env = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent),
           "GEMINI_API_KEY": "test-key", "GOOGLE_GEMINI_BASE_URL": fake.url}
    for round in range(rounds):
        if round % 25 == 0:  # or it grows and grows
            for path in folder.glob("*"):
                path.unlink()
            begun = [{"role": role, "parts": [{"text": role}]} for role in ("user", "model")]
            ChatFile("x").write(ChatRecord(None, None, begun))
            known = len(begun)
        with subprocess.Popen([sys.executable, "-m", "gemini_lite", "chat", "--conversation", "x"], env=env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(b"".join(b"message %d\n" % number for number in range(1000)))
            child.stdin.flush()
            answers = random.randrange(1, 6)
            for _ in range(answers):
                assert child.stdout.readline().startswith(b"answer")
            if round % 2:
                before, end = set(os.listdir(folder)), time.monotonic() + 2
                while set(os.listdir(folder)) <= before and time.monotonic() < end:
                    pass  # until it writes
            child.kill()
            said = [line for line in child.stdout.read().splitlines(True) if line.startswith(b"answer")]
        assert child.returncode == -signal.SIGKILL
        caught += any(name.endswith(".part") for name in os.listdir(folder))
        history = ChatFile("x").read().history  # or the error of a damaged file
        assert known + 2 * (answers + len(said) - 1) <= len(history) <= known + 2 * (answers + len(said) + 1)
        assert all(turn["parts"][0]["text"].startswith("answer") for turn in history[3::2])
        assert saved.names() == ["x"]
        known = len(history)
    return caught


def answer(request: Request) -> str:
    return "answer to %d turns " % len(request.body["contents"]) + "x" * 5000


@posix
def test_a_chat_that_is_killed_while_it_saves_leaves_the_old_conversation_or_the_new() -> None:
    with FakeGemini(answer) as fake:
        assert killed_chats(fake, 30) > 0, "it was never killed in the middle of a write"


@posix
@pytest.mark.slow
def test_a_chat_that_is_killed_again_and_again_leaves_whole_conversations() -> None:
    with FakeGemini(answer) as fake:
        assert killed_chats(fake, 100) > 0
