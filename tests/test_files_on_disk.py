"""The laws of files on disk: whole or not at all, and one writer at a time."""
from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, List

import pytest

import gemini_lite
from gemini_lite import files_on_disk
from gemini_lite.files_on_disk import locked, replacing, write

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(gemini_lite.__file__).parent.parent)}


def no_pause(seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")


def interrupted(*args: Any) -> None:
    raise KeyboardInterrupt


def full(*args: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# Whole files

@posix
@pytest.mark.parametrize("mode, umask, expected", [(0o666, 0o022, 0o644), (0o666, 0o077, 0o600), (0o600, 0o000, 0o600)])
def test_a_new_file_has_its_mode_less_the_umask_and_not_that_of_the_old_one(
    tmp_path: Path, mode: int, umask: int, expected: int,
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o604)
    before = os.umask(umask)
    try:
        write(tmp_path / "a", b"new", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"new" and os.listdir(tmp_path) == ["a"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == expected


@posix
@pytest.mark.parametrize("old", [0o600, 0o604, 0o755, 0o666, 0o400])
def test_without_a_mode_the_old_file_s_is_kept_and_is_there_before_any_data(tmp_path: Path, old: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(old)
    with replacing(tmp_path / "a") as file:
        name, = set(os.listdir(tmp_path)) - {"a"}
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == old
        file.write(b"new")
    assert ((tmp_path / "a").read_bytes(), stat.S_IMODE((tmp_path / "a").stat().st_mode)) == (b"new", old)


@pytest.mark.parametrize("name", ["a" * 255, "я" * 124 + ".txt", "\U0001f600" * 63])
def test_a_file_may_have_the_longest_name(tmp_path: Path, name: str) -> None:
    for data in (b"first", b"second"):
        write(tmp_path / name, data)
        assert (tmp_path / name).read_bytes() == data and os.listdir(tmp_path) == [name]


@posix
def test_a_file_has_its_mode_before_it_has_any_data(tmp_path: Path) -> None:
    with replacing(tmp_path / "a", 0o600) as file:
        name, = os.listdir(tmp_path)
        assert name.startswith("a.") and name.endswith(".part")
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        file.write(b"x")


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
@pytest.mark.parametrize("trouble, kind", [(full, OSError), (interrupted, KeyboardInterrupt)])
def test_what_goes_wrong_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, trouble: Any, kind: Any,
) -> None:
    write(tmp_path / "a", b"old")
    monkeypatch.setattr(call, trouble)
    with pytest.raises(kind):
        write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_an_error_in_the_middle_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    write(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as file:
        file.write(b"ne")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


@posix
@pytest.mark.parametrize("target", ["there", "not there yet"])
def test_a_link_stays_a_link_to_the_new_file(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "there").write_bytes(b"old")
    (tmp_path / "a").symlink_to(folder / target)
    (tmp_path / "b").symlink_to("a")
    write(tmp_path / "b", b"new")
    assert (tmp_path / "a").is_symlink() and (tmp_path / "b").is_symlink()
    assert (folder / target).read_bytes() == b"new"
    assert set(os.listdir(folder)) == {"there", target}


@posix
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        write(tmp_path / "pipe", b"new")
        assert read.result(30) == b"new"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_a_folder_is_no_file_to_replace(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write(tmp_path, b"new")


# The lock

def test_one_thread_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    inside: List[int] = []

    def work(number: int) -> int:
        with locked(tmp_path / "lock", 30, time.sleep):
            inside.append(number)
            time.sleep(0.002)
            alone = len(inside) == 1
            inside.pop()
        return alone

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert os.listdir(tmp_path) == [] or os.name != "posix"


COUNT = """
import sys, time
from gemini_lite.files_on_disk import locked
path, rounds = sys.argv[1], int(sys.argv[2])
for _ in range(rounds):
    with locked(path + ".lock", 30, time.sleep):
        with open(path) as file:
            number = int(file.read())
        with open(path, "w") as file:
            file.write(str(number + 1))
"""


def test_one_process_at_a_time_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    command = [sys.executable, "-W", "error", "-c", COUNT, str(path), "200"]
    children = [subprocess.Popen(command, env=ENVIRONMENT) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0] and path.read_text() == "800"


def test_a_file_that_nobody_locks_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"left behind")
    with locked(tmp_path / "lock", 0, no_pause):
        pass


HOLD = """
import sys, time
from gemini_lite.files_on_disk import locked
with locked(sys.argv[1], 0, time.sleep):
    print("held", flush=True)
    sys.stdin.read()
"""


@posix
def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], env=ENVIRONMENT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError):
            locked(path, 0, no_pause).__enter__()
        child.send_signal(signal.SIGKILL)
    assert path.exists() and stat.S_IMODE(path.stat().st_mode) == 0o600
    with locked(path, 0, no_pause):
        pass


def test_a_wait_ends_in_time_and_names_the_file(tmp_path: Path) -> None:
    pauses: List[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        time.sleep(seconds)

    with locked(tmp_path / "lock", 0, no_pause):
        with pytest.raises(TimeoutError, match="did not release the lock.*lock'") as caught:
            locked(tmp_path / "lock", 0.3, pause).__enter__()
    assert caught.value.errno == errno.ETIMEDOUT and pauses and 0 < min(pauses) and sum(pauses) <= 0.3
    with locked(tmp_path / "lock", 0, no_pause):
        pass


def test_whoever_waits_gets_the_lock_once_it_is_free(tmp_path: Path) -> None:
    waiting, order = threading.Event(), []

    def pause(seconds: float) -> None:
        waiting.set()
        time.sleep(seconds)

    def work() -> None:
        with locked(tmp_path / "lock", 30, pause):
            order.append("second")

    thread = threading.Thread(target=work)
    with locked(tmp_path / "lock", 0, no_pause):
        thread.start()
        assert waiting.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_error_while_the_lock_is_held_or_waited_for_frees_it(tmp_path: Path, error: Any) -> None:
    def pause(seconds: float) -> None:
        raise error

    with pytest.raises(error), locked(tmp_path / "lock", 0, no_pause):
        with pytest.raises(error):
            locked(tmp_path / "lock", 30, pause).__enter__()
        raise error
    with locked(tmp_path / "lock", 0, no_pause):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("removed", [True, False])
def test_a_forked_child_does_not_keep_the_lock_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool,
) -> None:
    if not removed:  # as in a folder that has become read-only
        monkeypatch.setattr(os, "unlink", full)
    reader, writer = os.pipe()
    with locked(tmp_path / "lock", 0, no_pause):
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            os._exit(0)
    try:
        with locked(tmp_path / "lock", 0, no_pause):
            pass
    finally:
        os.write(writer, b"x")
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_holds_nobody_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int,
) -> None:
    def flock(*args: Any) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr("fcntl.flock", flock)
    with locked(tmp_path / "lock", 0, no_pause):
        with locked(tmp_path / "other", 0, no_pause):
            pass
    assert os.listdir(tmp_path) == []


@posix
def test_a_lock_that_fails_for_another_reason_is_an_error_and_leaves_no_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fcntl.flock", full)
    with pytest.raises(OSError, match="No space"):
        locked(tmp_path / "lock", 0, no_pause).__enter__()
    with pytest.raises(FileNotFoundError):
        locked(tmp_path / "nowhere" / "lock", 0, no_pause).__enter__()


def test_the_lock_file_of_another_s_turn_is_not_taken_for_the_one_at_the_path(tmp_path: Path) -> None:
    """Whoever held the lock removed its file: one that had it open by then has locked a file that is gone."""
    path = tmp_path / "lock"
    with open(path, "wb") as file:
        assert files_on_disk._is_at(file, path)
        other = tmp_path / "other"
        other.touch()
        assert not files_on_disk._is_at(file, other) and not files_on_disk._is_at(file, tmp_path / "missing")
