"""The OAuth client that a sign-in was issued to and is renewed with, and the search for that of Gemini CLI.

As for any installed application, Google ships the CLI's client inside the CLI's package. It is looked up there when it
is needed, and neither stored nor shown.
"""
from __future__ import annotations

import glob
import os
import re
import shutil
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

from .secret import Secret, hides_frames

_FOLDERS_ABOVE_COMMAND = ("node_modules", "lib/node_modules", "libexec/lib/node_modules")  # in each folder above it
_USUAL_FOLDERS = (  # where npm and the like install for everybody, if `gemini` is not on PATH or is a mere shim
    "$npm_config_prefix/lib/node_modules", "$APPDATA/npm/node_modules", "~/.npm-global/lib/node_modules",
    "~/.local/lib/node_modules", "/usr/local/lib/node_modules", "/usr/lib/node_modules",
    "/opt/homebrew/lib/node_modules", "/opt/homebrew/opt/gemini-cli/libexec/lib/node_modules",
    "~/.nvm/versions/node/*/lib/node_modules",
    "~/.local/share/fnm/node-versions/*/installation/lib/node_modules",
    "~/.volta/tools/image/packages/@google/gemini-cli/lib/node_modules",
    "~/.npm/_npx/*/node_modules",
)
_SOURCE_FILES = (  # in a node_modules folder
    "@google/gemini-cli-core/dist/src/code_assist/oauth2.js",  # up to 0.35: each module on its own
    "@google/gemini-cli/node_modules/@google/gemini-cli-core/dist/src/code_assist/oauth2.js",
    "@google/gemini-cli/bundle/*.js",  # since 0.38 at the latest: some seventy bundles
    "@google/gemini-cli-core/bundle/*.js",
)
_ID_AND_SECRET_PATTERN = re.compile(
    rb"""\bOAUTH_CLIENT_ID\w*\s*=\s*["']([\w-]+\.apps\.googleusercontent\.com)["']"""
    rb""".{0,2000}?\bOAUTH_CLIENT_SECRET\w*\s*=\s*["']([\w-]+)["']""", re.DOTALL)


class OAuthClient(NamedTuple):
    """An application that is registered with Google; not each has a secret."""

    id: str
    secret: Optional[Secret]


@hides_frames
def find_installed_client() -> Optional[OAuthClient]:
    """The client in the package of an installed Gemini CLI, or None if no such package is found."""
    for folder in _node_modules_folders():
        for source in _SOURCE_FILES:
            for path in sorted(folder.glob(source)):
                client = _read_client(path)
                if client is not None:
                    return client
    return None


def _node_modules_folders() -> Iterator[Path]:
    """The folders that may hold the package: first those around the `gemini` that would run."""
    command = shutil.which("gemini")
    if command is not None:
        for parent in Path(os.path.realpath(command)).parents:
            yield from (parent / folder for folder in _FOLDERS_ABOVE_COMMAND)
    for pattern in _USUAL_FOLDERS:
        yield from map(Path, glob.glob(os.path.expanduser(os.path.expandvars(pattern))))


def _read_client(path: Path) -> Optional[OAuthClient]:
    """The client that a source file of Gemini CLI names, if it does and can be read."""
    try:
        match = _ID_AND_SECRET_PATTERN.search(path.read_bytes())
    except OSError:
        return None
    return OAuthClient(match.group(1).decode("ascii"), Secret(match.group(2).decode("ascii"))) if match else None
