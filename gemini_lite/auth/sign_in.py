"""What the user's own Gemini CLI keeps on this machine: its sign-in file, and the OAuth client in its package.

A sign-in is renewed with the client that issued it. As for any installed application, Google ships the CLI's client
inside the CLI's package; here it is looked up when it is needed, and neither stored nor shown.
"""
from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

from ..errors import KEYS_PAGE, CredentialsError
from ..transport.retry import pause

SIGN_IN = "run `gemini` and sign in with Google"
_PAUSE = 0.05  # seconds between looks at a file that somebody else is writing
_READS, _WAITS = 5, 20  # how often to look at one that is half written, or locked


class SignIn(Dict[str, Any]):
    """The JSON object with the tokens; its repr shows the names alone.

    ``access_token``, ``refresh_token``, ``expiry_date`` (milliseconds since 1970), ``id_token``, ``scope``...
    """

    def __repr__(self) -> str:
        return "{%s}" % ", ".join(self)

    @classmethod
    def parsed(cls, data: bytes) -> Optional[SignIn]:
        """The JSON object that `data` is, or None."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return cls(value) if isinstance(value, dict) else None


class SignInFile:
    """The file with the sign-in, which other programs read and write too."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> SignIn:
        """What the file holds once it is whole: Gemini CLI writes in place and may be caught in the middle of it."""
        for _ in range(_READS):
            try:
                saved = SignIn.parsed(self.path.read_bytes())
            except FileNotFoundError:
                raise CredentialsError(self._missing()) from None
            except OSError as error:
                raise CredentialsError("%s cannot be read (%s): make it a file that this user may read." % (
                    self.path, error.strerror)) from None
            if saved is not None:
                self._check(saved)
                return saved
            pause(_PAUSE)
        raise CredentialsError("%s is not the JSON object that Gemini CLI keeps there: remove it, then %s." % (
            self.path, SIGN_IN))

    def merge(self, answer: SignIn, refresh_token: str) -> None:
        """Add `answer` to the file, whole or not at all, unless by now it is another sign-in than `refresh_token`'s."""
        target = os.path.realpath(self.path)
        with _one_writer(target):
            saved = self.read()
            if saved.get("refresh_token") != refresh_token:
                return
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix="oauth_creds.")  # mode 0600
            try:
                with open(descriptor, "w", encoding="utf-8") as file:
                    json.dump({**saved, **answer}, file, indent=2)
                os.replace(temporary, target)
            finally:
                with contextlib.suppress(OSError):  # it is gone, if all went well
                    os.unlink(temporary)

    def _missing(self) -> str:
        text = f"There is no sign-in at {self.path}: {SIGN_IN}, or use an API key ({KEYS_PAGE})."
        encrypted = os.environ.get("GEMINI_FORCE_ENCRYPTED_FILE_STORAGE") == "true"
        if encrypted or (self.path.parent / "gemini-credentials.json").exists():
            text += (" Gemini CLI may keep it encrypted, for itself alone: to get that file, unset "
                     "GEMINI_FORCE_ENCRYPTED_FILE_STORAGE and sign in again.")
        return text

    def _check(self, saved: SignIn) -> None:
        kind = saved.get("type", "authorized_user")
        if kind == "service_account":
            raise CredentialsError("%s is the key of a service account, and Code Assist serves people: %s, or use an "
                                   "API key (%s)." % (self.path, SIGN_IN, KEYS_PAGE))
        if kind != "authorized_user":
            raise CredentialsError("%s holds credentials of the type %.40r, where a person's sign-in is due: %s." % (
                self.path, kind, SIGN_IN))
        if not saved.get("access_token") and not saved.get("refresh_token"):
            raise CredentialsError(f"{self.path} holds neither an access_token nor a refresh_token: {SIGN_IN}.")


@contextlib.contextmanager
def _one_writer(target: str) -> Iterator[None]:
    """Hold other processes of ours back, so that each reads what the one before it wrote.

    A lock that stays for a second was left by a process that died: writing takes a thousandth of that.
    """
    lock = f"{target}.lock"
    for _ in range(_WAITS):
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            break
        except FileExistsError:
            pause(_PAUSE)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(lock)


def default_path() -> Path:
    """Where Gemini CLI keeps its sign-in."""
    return Path(os.environ.get("GEMINI_CLI_HOME") or os.path.expanduser("~"), ".gemini", "oauth_creds.json")


_AROUND = ("node_modules", "lib/node_modules", "libexec/lib/node_modules")  # in a folder above `gemini`
_USUAL = (  # where npm and its relatives install for everybody, if `gemini` is not on PATH or is a mere shim
    "$npm_config_prefix/lib/node_modules", "$APPDATA/npm/node_modules", "~/.npm-global/lib/node_modules",
    "~/.local/lib/node_modules", "/usr/local/lib/node_modules", "/usr/lib/node_modules",
    "/opt/homebrew/lib/node_modules", "/opt/homebrew/opt/gemini-cli/libexec/lib/node_modules",
    "~/.nvm/versions/node/*/lib/node_modules",
    "~/.local/share/fnm/node-versions/*/installation/lib/node_modules",
    "~/.volta/tools/image/packages/@google/gemini-cli/lib/node_modules",
    "~/.npm/_npx/*/node_modules",
)
_SOURCES = (  # in a node_modules folder
    "@google/gemini-cli-core/dist/src/code_assist/oauth2.js",  # up to 0.35: each module on its own
    "@google/gemini-cli/node_modules/@google/gemini-cli-core/dist/src/code_assist/oauth2.js",
    "@google/gemini-cli/bundle/*.js",  # since 0.38 at the latest: some seventy bundles
    "@google/gemini-cli-core/bundle/*.js",
)
_CLIENT = re.compile(
    rb"""\bOAUTH_CLIENT_ID\w*\s*=\s*["']([\w-]+\.apps\.googleusercontent\.com)["']"""
    rb""".{0,2000}?\bOAUTH_CLIENT_SECRET\w*\s*=\s*["']([\w-]+)["']""", re.DOTALL)


def oauth_client() -> Optional[Tuple[str, str]]:
    """(client id, client secret), or None if no Gemini CLI is found that names them."""
    for folder in _folders():
        for source in _SOURCES:
            for path in sorted(folder.glob(source)):
                found = _client_in(path)
                if found is not None:
                    return found
    return None


def _folders() -> Iterator[Path]:
    """The node_modules folders that may hold the package: first those around the `gemini` that would run."""
    command = shutil.which("gemini")
    if command is not None:
        for parent in Path(os.path.realpath(command)).parents:
            yield from (parent / folder for folder in _AROUND)
    for pattern in _USUAL:
        yield from map(Path, glob.glob(os.path.expanduser(os.path.expandvars(pattern))))


def _client_in(path: Path) -> Optional[Tuple[str, str]]:
    try:
        found = _CLIENT.search(path.read_bytes())
    except OSError:
        return None
    return (found.group(1).decode("ascii"), found.group(2).decode("ascii")) if found else None
