"""A sign-in with Google as the one who is calling: kept fresh on disk, or an access token from elsewhere."""
from __future__ import annotations

import functools
import http.client
import logging
import math
import os
import socket
import ssl
import threading
import time
import urllib.error
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Union

import requests
import requests.auth
import urllib3.exceptions

from ..errors import CredentialsError, GeminiError
from ..transport.deadline import Deadline, Timeout
from ..transport.timed_lock import TimedLock
from .oauth_client import OAuthClient, find_installed_client
from .secret import Secret, as_secret, check_secret
from .sign_in import HOW_TO_SIGN_IN, SignIn, SignInFile, default_path
from .token_endpoint import refresh

log = logging.getLogger("gemini_lite")

RENEW_BEFORE = 300.0  # seconds before a token expires, from which on it is renewed

_NETWORK_ERRORS = (  # of what a token function may call; other kinds of OSError concern files and programs
    requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, urllib.error.URLError,
    ConnectionError, socket.timeout, socket.gaierror, ssl.SSLError,
)


class OAuthCredentials(requests.auth.AuthBase):
    """The sign-in that Gemini CLI keeps on disk, renewed in good time; or an access token of your own.

    `path` is the file, by default ``.gemini/oauth_creds.json`` in GEMINI_CLI_HOME or the home directory. `client_id`
    and `client_secret` are those of the OAuth client that issued it, by default GEMINI_LITE_OAUTH_CLIENT_ID and
    GEMINI_LITE_OAUTH_CLIENT_SECRET, then the file's own, then those of the installed Gemini CLI, looked up when they
    are needed. `token` is an access token, or a callable that returns one and is asked before each try; without
    `path` and `token` it is GOOGLE_CLOUD_ACCESS_TOKEN, if GOOGLE_GENAI_USE_GCA is set too. With a token `path` is None.
    """

    def __init__(
        self, path: Union[str, "os.PathLike[str]", None] = None, client_id: Optional[str] = None,
        client_secret: Union[str, Secret, None] = None, token_uri: str = "https://oauth2.googleapis.com/token", *,
        token: Union[str, Secret, Callable[[], str], None] = None,
    ) -> None:
        client_secret, token = as_secret(client_secret), token if callable(token) else as_secret(token)
        if path is not None and token is not None:
            raise ValueError("give the path of a sign-in or a token, not both")
        if client_id is None and client_secret is not None:
            raise ValueError("a client_secret belongs to a client_id: give both")
        if path is None and token is None and os.environ.get("GOOGLE_GENAI_USE_GCA"):
            token = as_secret(os.environ.get("GOOGLE_CLOUD_ACCESS_TOKEN") or None)
        if client_id is None and os.environ.get("GEMINI_LITE_OAUTH_CLIENT_ID"):
            client_id = os.environ["GEMINI_LITE_OAUTH_CLIENT_ID"]
            client_secret = as_secret(os.environ.get("GEMINI_LITE_OAUTH_CLIENT_SECRET") or None)
        self._get_token = None if token is None else _token_function(token)
        self._file = SignInFile(default_path() if path is None else Path(os.path.expanduser(path)))
        self.path = self._file.path if token is None else None
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_uri = token_uri
        self._current = _AccessToken(Secret(""), 0)
        self._per_thread = _ThreadToken()
        self._lock = TimedLock()
        self._warned = False

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._per_thread.token is None:
            raise CredentialsError("no token yet: call ready(session, timeout) in this thread before the request")
        request.headers["Authorization"] = f"Bearer {self._per_thread.token.value}"
        return request

    def __repr__(self) -> str:
        path = getattr(self, "path", None)  # missing too, while __init__ runs
        return f"OAuthCredentials({'token=***' if path is None else repr(str(path))})"

    def __reduce__(self) -> str:
        raise TypeError("OAuthCredentials hold tokens and are not pickled: make them anew where they are needed, "
                        "from the same path")

    def ready(self, session: requests.Session, timeout: Timeout) -> None:
        """Give this thread a token that lasts, without I/O if there is one; the network's errors come as they are."""
        self._per_thread.token = self._valid_token(None, session, timeout)

    def renew(self, session: requests.Session, timeout: Timeout) -> bool:
        """Whether there is another token now than that of this thread, which was refused."""
        refused = self._per_thread.token
        self._per_thread.token = self._valid_token(refused, session, timeout)
        return self._per_thread.token != refused

    def _valid_token(self, refused: Optional[Secret], session: requests.Session, timeout: Timeout) -> Secret:
        """The token function's; or one that lasts and is not `refused`: the current one, the file's, or a new one."""
        if self._get_token is not None:
            return self._get_token()
        token = self._current
        if not token.is_usable(refused):
            deadline = Deadline.after(max(timeout))
            with self._lock.within(deadline.left, "renewal of the token"):
                token = self._current  # by now perhaps another thread's
                if not token.is_usable(refused):
                    token = self._current = self._read_or_refresh(refused, session, timeout, deadline)
        return token.secret

    def _read_or_refresh(
        self, refused: Optional[Secret], session: requests.Session, timeout: Timeout, deadline: Deadline,
    ) -> _AccessToken:
        saved = self._file.read(deadline)
        token = _AccessToken.of(saved)
        if token.is_usable(refused):
            return token
        if saved.refresh_token is None:
            raise CredentialsError(f"The sign-in in {self.path} is no longer valid, and holds no refresh_token to "
                                   f"renew it: {HOW_TO_SIGN_IN}.")
        client = self._client_of(saved)
        renewed = refresh(session, self.token_uri, saved.refresh_token, client, deadline.cap(timeout))
        token = self._current = _AccessToken.of(renewed)  # before it is saved: an interrupt there does not lose it
        self._save(renewed, saved.refresh_token, deadline)
        return token

    def _save(self, renewed: SignIn, refresh_token: Secret, deadline: Deadline) -> None:
        """Put `renewed` into the file; a failure is logged, once."""
        try:
            self._file.merge(renewed, refresh_token, deadline)
        except (OSError, CredentialsError, RecursionError) as error:
            if not self._warned:
                log.warning("the renewed token could not be saved, and serves this process alone: %s", error)
            self._warned = True

    def _client_of(self, saved: SignIn) -> OAuthClient:
        """The OAuth client that issued the sign-in."""
        if self.client_id is None and saved.client is not None:
            return saved.client
        if self.client_id is None:
            installed = find_installed_client()
            if installed is None:
                raise CredentialsError(
                    f"The sign-in in {self.path} has to be renewed, which takes the OAuth client of Gemini CLI, and no "
                    "installed Gemini CLI was found: run `gemini` once, which renews it too, or set "
                    "GEMINI_LITE_OAUTH_CLIENT_ID and GEMINI_LITE_OAUTH_CLIENT_SECRET.")
            self.client_id, self.client_secret = installed
        return OAuthClient(self.client_id, self.client_secret)


def _token_function(token: Union[Secret, Callable[[], str]]) -> Callable[[], Secret]:
    """A function that returns a checked access token: `token` itself, or what `token()` returns each time."""
    if callable(token):
        return functools.partial(_call_token_function, token)
    secret = check_secret(token, "access token", HOW_TO_SIGN_IN)
    return lambda: secret


def _call_token_function(function: Callable[[], str]) -> Secret:
    """The access token that the user's `function` returns.

    What it raises is a CredentialsError, so that it is not taken for a failure of our own connection and tried again;
    a GeminiError and a network error of its own are let through.
    """
    try:
        secret = as_secret(function())
    except (GeminiError, *_NETWORK_ERRORS):
        raise
    except Exception as error:  # anything: it is the user's code
        raise CredentialsError(f"the token function raised {type(error).__name__}: {error}") from error
    return check_secret(secret, "access token", "sign in again, and return the new one")


class _ThreadToken(threading.local):
    """The token that this thread sends: another thread's may be another user's, where a function tells them apart."""

    token: Optional[Secret] = None


class _AccessToken(NamedTuple):
    """An access token and the second since 1970 at which it expires, or infinity."""

    secret: Secret
    expires: float

    @classmethod
    def of(cls, sign_in: SignIn) -> _AccessToken:
        """The token of a sign-in; one that expired long ago if there is none."""
        if sign_in.access_token is None:
            return cls(Secret(""), 0)
        return cls(check_secret(sign_in.access_token, "access token", HOW_TO_SIGN_IN),
                   math.inf if sign_in.expires is None else sign_in.expires)

    def is_usable(self, refused: Optional[Secret]) -> bool:
        """Whether it lasts and is not the token that was refused."""
        return time.time() + RENEW_BEFORE < self.expires and self.secret != refused
