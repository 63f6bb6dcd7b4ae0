"""Conversations that are kept under a name, each in a file of its own."""
from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from .. import contents, files_on_disk
from ..errors import GeminiError

VERSION = 1
_NAME = re.compile(r"\w[\w.-]{0,63}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # which are no files on Windows


class Conversation(NamedTuple):
    """What is kept; None stands for the default model, and for no system prompt."""

    model: Optional[str]
    system: Optional[str]
    history: List[Dict[str, Any]]


class Saved:
    """The file of a conversation, and what it held when it was last read or written here."""

    def __init__(self, name: str) -> None:
        self.name = checked(name)
        self._known: Optional[str] = None  # the hash of the file; None where there must be none yet

    @property
    def path(self) -> Path:
        return folder() / (f"{self.name}.json")

    def claim(self) -> None:
        """Make ready to keep a new conversation, or say why that cannot be."""
        _made(folder())
        if self.path.exists():
            raise ValueError("there is a conversation %s already (%s): go on with it (--continue %s in the shell, "
                             "/load %s in a chat), or take another name" % (self.name, self.path, self.name, self.name))

    def read(self) -> Conversation:
        """What the file holds; GeminiError if it is damaged."""
        data = _bytes_of(self.path)
        if data is None:
            raise ValueError("there is no conversation %s in %s; saved are: %s" % (
                self.name, folder(), ", ".join(names()) or "none"))
        conversation = _parsed(data, self.path)
        self._known = _hash(data)
        return conversation

    def write(self, conversation: Conversation) -> None:
        """Keep it, in a file for its owner alone; under another name if somebody else has used this one meanwhile."""
        text = f"{json.dumps({'version': VERSION, **conversation._asdict()}, indent=1)}\n"
        data = text.encode("ascii")
        _made(folder())
        try:
            with _one_writer(folder()):
                for left in folder().glob("*.part"):  # by a process that was killed: nobody else is writing now
                    left.unlink()
                if _hash(_bytes_of(self.path)) not in (None, self._known):
                    self.name = next(name for name in _like(self.name) if not Saved(name).path.exists())
                files_on_disk.write(self.path, data, 0o600)
        except OSError as error:
            raise GeminiError("the conversation could not be saved (%s: %s): make that a folder that this user may "
                              "write to, or name another with GEMINI_LITE_HOME" % (folder(), error.strerror)) from None
        self._known = _hash(data)


def home() -> Path:
    """The folder for this user's data: GEMINI_LITE_HOME, or the platform's usual one."""
    given, user = os.environ.get("GEMINI_LITE_HOME"), os.path.expanduser("~")
    if given:
        return Path(os.path.expanduser(given))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or os.path.join(user, "AppData", "Local"), "gemini-lite")
    if sys.platform == "darwin":
        return Path(user, "Library", "Application Support", "gemini-lite")
    data = os.environ.get("XDG_DATA_HOME", "")
    return Path(data if os.path.isabs(data) else os.path.join(user, ".local", "share"), "gemini-lite")


def folder() -> Path:
    """Where the conversations are."""
    return home() / "conversations"


def names() -> List[str]:
    """The names of the saved conversations, sorted."""
    return sorted(path.stem for path in folder().glob("*.json"))


def checked(name: str) -> str:
    """`name` if it can be a file's on every platform, and of no other folder."""
    if not _NAME.fullmatch(name) or name.endswith(".") or _DEVICES.fullmatch(name):
        raise ValueError("%r cannot name a conversation: take up to 64 letters, digits, '_', '-' and '.', a letter or "
                         "digit first" % name)
    return name


def _made(path: Path) -> None:
    try:
        os.makedirs(path.parent, 0o700, exist_ok=True)
        os.makedirs(path, 0o700, exist_ok=True)
    except OSError as error:
        raise GeminiError("%s cannot be made (%s): set GEMINI_LITE_HOME to a folder that this user may write to"
                          % (path, error.strerror)) from None


def _bytes_of(path: Path) -> Optional[bytes]:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GeminiError(f"{path} cannot be read ({error.strerror})") from None


def _parsed(data: bytes, path: Path) -> Conversation:
    try:
        value = json.loads(data)
        version = value["version"]
        if version == VERSION:
            model, system, history = value["model"], value["system"], contents.history(value["history"])
            if isinstance(model, (str, type(None))) and isinstance(system, (str, type(None))):
                return Conversation(model, system, history)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        version = None
    if isinstance(version, int) and version > VERSION:
        raise GeminiError(f"{path} was written by a newer gemini-lite: update this one")
    raise GeminiError(f"{path} is damaged, and is left as it is: mend it, or move it away")


def _hash(data: Optional[bytes]) -> Optional[str]:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _like(name: str) -> Iterator[str]:
    return (f"{name[:56]}-{int(number)}" for number in itertools.count(2))


@contextlib.contextmanager
def _one_writer(path: Path) -> Iterator[None]:
    """Hold other processes back from the folder `path`; a lock of the system's, which ends with its process."""
    with open(path / ".lock", "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        if sys.platform == "win32":
            import msvcrt
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
