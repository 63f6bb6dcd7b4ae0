"""The sign-in file of Gemini CLI, which that program reads and writes too."""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple, Optional

from .. import files_on_disk
from ..errors import KEYS_PAGE, CredentialsError
from ..json_data import JSON, number_or_none, str_or_none
from ..transport.deadline import NEVER, Deadline
from ..transport.retry import pause
from .oauth_client import OAuthClient
from .secret import Secret, hides_frames

HOW_TO_SIGN_IN = "run `gemini` and sign in with Google"

_MOST_READS, _READ_PAUSE = 5, 0.05  # how often a file that is not whole is read, and the seconds between
_LOCK_SECONDS = 1.0  # the longest wait for another process that writes the file, which takes it a millisecond


class SignIn(NamedTuple):
    """What a sign-in file holds; its repr shows no secret."""

    access_token: Optional[Secret]
    refresh_token: Optional[Secret]
    expires: Optional[float]  # seconds since 1970; None if it is not known when the access token expires
    client: Optional[OAuthClient]  # if the file names the one that the sign-in was issued to
    kind: str
    json_text: Secret  # all of it, with the fields that only other programs know

    @classmethod
    def of_json(cls, data: JSON) -> SignIn:
        """The sign-in in a JSON object, whose ``expiry_date`` is in milliseconds; for functions that hide frames."""
        milliseconds, client_id = number_or_none(data.get("expiry_date")), str_or_none(data.get("client_id"))
        return cls(
            _secret_of(data, "access_token"),
            _secret_of(data, "refresh_token"),
            None if milliseconds is None else milliseconds / 1000,
            OAuthClient(client_id, _secret_of(data, "client_secret")) if client_id else None,
            str(data.get("type", "authorized_user")),
            Secret(json.dumps(data)),
        )


class SignInFile:
    """The file with the sign-in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, deadline: Deadline = NEVER) -> SignIn:
        """What the file holds once it is whole: Gemini CLI writes in place, and may be in the middle of it."""
        for _ in range(_MOST_READS):
            try:
                sign_in = _load(self.path)
            except FileNotFoundError:
                raise CredentialsError(self._missing_message()) from None
            except OSError as error:
                raise CredentialsError(
                    f"{self.path} cannot be read ({error.strerror}): make it a file that this user may read.") from None
            if sign_in is not None:
                self._check(sign_in)
                return sign_in
            pause(min(_READ_PAUSE, deadline.left))
        raise CredentialsError(
            f"{self.path} is not the JSON object that Gemini CLI keeps there: remove it, then {HOW_TO_SIGN_IN}.")

    def merge(self, renewed: SignIn, refresh_token: Secret, deadline: Deadline = NEVER) -> None:
        """Put the fields of `renewed` into the file, whole or not at all, for its owner alone.

        Nothing is done if the file by now holds another sign-in than that of `refresh_token`. OSError if the file
        cannot be written, or another process holds its lock for too long.
        """
        lock = f"{os.path.realpath(self.path)}.lock"  # one for all links to the file
        with files_on_disk.locked(lock, min(_LOCK_SECONDS, deadline.left), pause):
            saved = self.read(deadline)
            if saved.refresh_token == refresh_token:
                with files_on_disk.replacing(self.path, 0o600) as file:
                    _dump_merged(saved, renewed, file)

    def _missing_message(self) -> str:
        message = f"There is no sign-in at {self.path}: {HOW_TO_SIGN_IN}, or use an API key ({KEYS_PAGE})."
        encrypted = os.environ.get("GEMINI_FORCE_ENCRYPTED_FILE_STORAGE") == "true"
        if encrypted or (self.path.parent / "gemini-credentials.json").exists():
            message += (" Gemini CLI may keep it encrypted, for itself alone: to get that file, unset "
                        "GEMINI_FORCE_ENCRYPTED_FILE_STORAGE and sign in again.")
        return message

    def _check(self, sign_in: SignIn) -> None:
        if sign_in.kind == "service_account":
            raise CredentialsError(f"{self.path} is the key of a service account, and Code Assist serves people: "
                                   f"{HOW_TO_SIGN_IN}, or use an API key ({KEYS_PAGE}).")
        if sign_in.kind != "authorized_user":
            raise CredentialsError(f"{self.path} holds credentials of the type {sign_in.kind[:40]!r}, not the sign-in "
                                   f"of a person: {HOW_TO_SIGN_IN}.")
        if sign_in.access_token is None and sign_in.refresh_token is None:
            raise CredentialsError(f"{self.path} holds neither an access_token nor a refresh_token: {HOW_TO_SIGN_IN}.")


def default_path() -> Path:
    """Where Gemini CLI keeps its sign-in."""
    return Path(os.environ.get("GEMINI_CLI_HOME") or os.path.expanduser("~"), ".gemini", "oauth_creds.json")


def parse_object(data: bytes) -> Optional[JSON]:
    """The JSON object that `data` is, or None; for functions that hide frames."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@hides_frames
def _load(path: Path) -> Optional[SignIn]:
    """The sign-in in a file, or None if the file is not one JSON object."""
    data = parse_object(path.read_bytes())
    try:
        return None if data is None else SignIn.of_json(data)
    except RecursionError:
        return None


def _secret_of(data: JSON, name: str) -> Optional[Secret]:
    """The field `name`, None if it is missing or empty."""
    return Secret(data[name]) if data.get(name) else None


@hides_frames
def _dump_merged(saved: SignIn, renewed: SignIn, file: BinaryIO) -> None:
    """Write the fields of `saved`, those of `renewed` over them, as JSON into `file`."""
    data = {**json.loads(saved.json_text.value), **json.loads(renewed.json_text.value)}
    file.write(json.dumps(data, indent=2).encode("ascii"))
