"""Saved chats: each is a JSON file under a name of its own, which only its owner can read."""
from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

from .. import files_on_disk
from ..auth.api_key import DEMO_KEY
from ..errors import GeminiError
from ..json_data import JSON
from ..transport.retry import pause
from ..turns.history import check_history

VERSION = 1  # of the file's format
_is_demo = False  # whether the command has --demo
_LOCK_SECONDS = 60.0  # the longest wait for other processes that save chats; each takes milliseconds
_LONGEST_NAME = 230  # bytes; file systems allow 255, of which the endings of the file and its lock need some
_NAME = re.compile(r"\w[\w.-]{0,63}")
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no file can have such a name


class ChatRecord(NamedTuple):
    """What a file holds: a model and a system prompt, None for the default and for none, and the content dicts."""

    model: Optional[str]
    system: Optional[str]
    history: List[JSON]


class ChatFile:
    """The file of one saved chat. It remembers what it last read or wrote, to see what other processes write."""

    def __init__(self, name: str) -> None:
        _check_name(name)
        self.name = name
        self._known_hash: Optional[str] = None  # of the file's bytes; None if there must be no file yet

    @property
    def path(self) -> Path:
        """Where the conversation is kept."""
        return folder() / f"{self.name}.json"

    def check_can_create(self) -> None:
        """ValueError if the name is taken, GeminiError if the folder cannot be made."""
        _make_folder(folder())
        if self.path.exists():
            raise ValueError(f"there is a conversation {self.name} already ({self.path}): go on with it "
                             f"(--conversation {self.name} in the shell, /load {self.name} in a chat), or take another "
                             "name")

    def exists(self) -> bool:
        """Whether there is such a file."""
        return self.path.exists()

    def delete(self) -> None:
        """Remove the file; GeminiError if that fails."""
        try:
            self.path.unlink()
        except OSError as error:
            raise GeminiError(f"{self.path} cannot be deleted: {error.strerror}") from None

    def read(self) -> ChatRecord:
        """What the file holds; ValueError if there is none, GeminiError if it is damaged."""
        data = _read_if_exists(self.path)
        if data is None:
            raise ValueError(f"there is no conversation {self.name} in {folder()}; saved are: "
                             f"{', '.join(names()) or 'none'}")
        record = _parse_record(data, self.path)
        self._known_hash = _hash(data)
        return record

    def write(self, record: ChatRecord) -> None:
        """Replace the file; if another process has written it meanwhile, take a new name and leave that file as it is.
        """
        data = f"{json.dumps({'version': VERSION, **record._asdict()}, indent=1)}\n".encode("ascii")
        _make_folder(folder())
        try:
            with files_on_disk.locked(folder() / ".lock", _LOCK_SECONDS, pause):
                for unfinished in folder().glob("*.part"):  # of a killed process: the lock lets nobody else write now
                    unfinished.unlink()
                if _hash(_read_if_exists(self.path)) not in (None, self._known_hash):
                    self.name = next(name for name in _numbered_names(self.name) if not ChatFile(name).path.exists())
                files_on_disk.write(self.path, data, 0o600)
        except OSError as error:
            raise GeminiError(
                f"the conversation could not be saved ({folder()}: {error.strerror}): make that a folder that this "
                "user may write to, or name another with GEMINI_LITE_HOME") from None
        self._known_hash = _hash(data)


def data_folder() -> Path:
    """The folder for this user's data: GEMINI_LITE_HOME, or the platform's usual one."""
    chosen, home = os.environ.get("GEMINI_LITE_HOME"), os.path.expanduser("~")
    if chosen:
        return Path(os.path.expanduser(chosen))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local"), "gemini-lite")
    if sys.platform == "darwin":
        return Path(home, "Library", "Application Support", "gemini-lite")
    xdg = os.environ.get("XDG_DATA_HOME", "")  # its specification says to ignore a relative path
    return Path(xdg if os.path.isabs(xdg) else os.path.join(home, ".local", "share"), "gemini-lite")


def folder() -> Path:
    """The folder of the saved chats; those with the stand-in, whose answers are made up, have one of their own."""
    is_demo = _is_demo or os.environ.get("GEMINI_API_KEY") == DEMO_KEY
    return data_folder() / ("demo-conversations" if is_demo else "conversations")


@contextlib.contextmanager
def with_demo(is_demo: bool) -> Iterator[None]:
    """In the block, saved chats are those with the stand-in if `is_demo`."""
    global _is_demo
    _is_demo = is_demo
    try:
        yield
    finally:
        _is_demo = False


def names() -> List[str]:
    """The names of the saved chats, sorted; files with other names are passed over."""
    return sorted(path.stem for path in folder().glob("*.json") if _is_name(path.stem))


def changed_time(name: str) -> float:
    """When a saved chat was last written, in seconds since 1970; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return ChatFile(name).path.stat().st_mtime
    return 0.0


def names_by_time() -> List[str]:
    """The names of the saved chats, that which was written last first."""
    return sorted(names(), key=changed_time, reverse=True)


def last_name() -> str:
    """The name of the chat that was written last; ValueError if none is saved."""
    found = names_by_time()
    if not found:
        raise ValueError(f"no conversation is saved in {folder()} yet: --conversation NAME begins one")
    return found[0]


def _check_name(name: str) -> None:
    """ValueError unless `name` can be a file's on every platform, and leads to no other folder."""
    if not _is_name(name):
        raise ValueError(f"{name!r} cannot name a conversation: take up to 64 letters, digits, '_', '-' and '.', a "
                         "letter or digit first")


def _is_name(name: str) -> bool:
    fits = _NAME.fullmatch(name) and len(name.encode("utf-8", "replace")) <= _LONGEST_NAME
    return bool(fits) and not name.endswith(".") and not _WINDOWS_DEVICE.fullmatch(name)


def _make_folder(path: Path) -> None:
    try:
        os.makedirs(path.parent, 0o700, exist_ok=True)  # makedirs gives its mode to the last folder alone
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise GeminiError(f"{path} cannot be made ({error.strerror}): set GEMINI_LITE_HOME to a folder that this user "
                          "may write to") from None


def _read_if_exists(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GeminiError(f"{path} cannot be read ({error.strerror})") from None


def _parse_record(data: bytes, path: Path) -> ChatRecord:
    """The record in the bytes of a file; GeminiError if there is none."""
    version: object = None
    try:
        value = json.loads(data)
        version = value["version"]
        if version == VERSION:
            model, system, history = value["model"], value["system"], check_history(value["history"])
            if isinstance(model, (str, type(None))) and isinstance(system, (str, type(None))):
                return ChatRecord(model, system, history)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        version = None
    if isinstance(version, int) and version > VERSION:
        raise GeminiError(f"{path} was written by a newer gemini-lite: update this one")
    raise GeminiError(f"{path} is damaged, and is left as it is: mend it, or move it away")


def _hash(data: Optional[bytes]) -> Optional[str]:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _numbered_names(name: str) -> Iterator[str]:
    """``name-2``, ``name-3`` and so on, short enough to be valid."""
    return (f"{name[:56]}-{number}" for number in itertools.count(2))
