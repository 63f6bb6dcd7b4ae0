"""Who is calling: an API key, or a sign-in kept fresh on disk.

An auth object is a `requests.auth.AuthBase` (so that no ``.netrc`` replaces it) whose ``__call__`` does no I/O, with
``ready(session, timeout)``, called before each try, and ``renew(session, timeout)``, called once after a 401, which
says whether it is worth asking again.
"""
from __future__ import annotations

import logging
import math
import os
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple, Optional, Tuple, Union

import requests
import requests.auth

from ..errors import KEYS_PAGE, CredentialsError, GeminiError, from_response
from ..transport.body import blocks
from ..transport.locks import TimedLock
from .sign_in import SIGN_IN, SignIn, SignInFile, default_path, oauth_client

log = logging.getLogger("gemini_lite")
Timeout = Tuple[float, float]

EARLY = 300.0  # seconds before a token expires, from which on it is renewed
LARGEST_ANSWER = 1 << 20  # bytes


class Secret:
    """A key or token that no repr, log or pickle shows; `value` is the text itself."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled: sign in again where it is needed")


def hidden(value: Union[str, Secret, None]) -> Optional[Secret]:
    """`value` as a secret, at once: an argument that keeps it open is seen in tracebacks that show locals."""
    return value if value is None or isinstance(value, Secret) else Secret(value)


def checked(secret: Optional[Secret], what: str, source: str) -> Secret:
    """`secret`, stripped, if a header can carry it; `source` says where to get one."""
    if secret is None or not isinstance(secret.value, str):
        raise CredentialsError(f"the {what} must be a string, not {type(secret and secret.value).__name__}")
    secret = Secret(secret.value.strip())
    if not secret.value:
        raise CredentialsError(f"the {what} is empty: {source}")
    if not secret.value.isascii() or not secret.value.isprintable() or " " in secret.value:
        raise CredentialsError("the %s holds a character that no %s has (a line break, a blank or a letter outside "
                               "ASCII): copy it again, in one piece" % (what, what))
    return secret


class APIKey(requests.auth.AuthBase):
    """An API key in the header ``x-goog-api-key``, never in a URL."""

    def __init__(self, key: Union[str, Secret, None]) -> None:
        key = hidden(key)
        self._key = checked(key, "API key", f"get one at {KEYS_PAGE}")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["x-goog-api-key"] = self._key.value
        return request

    def ready(self, session: requests.Session, timeout: Timeout) -> None:
        """A key needs no preparation."""

    def renew(self, session: requests.Session, timeout: Timeout) -> bool:
        """A key that was refused stays refused."""
        return False


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
        client_secret, token = hidden(client_secret), token if callable(token) else hidden(token)
        if path is not None and token is not None:
            raise ValueError("give the path of a sign-in or a token, not both")
        if client_id is None and client_secret is not None:
            raise ValueError("a client_secret belongs to a client_id: give both")
        if path is None and token is None and os.environ.get("GOOGLE_GENAI_USE_GCA"):
            token = hidden(os.environ.get("GOOGLE_CLOUD_ACCESS_TOKEN") or None)
        if client_id is None and os.environ.get("GEMINI_LITE_OAUTH_CLIENT_ID"):
            client_id = os.environ["GEMINI_LITE_OAUTH_CLIENT_ID"]
            client_secret = hidden(os.environ.get("GEMINI_LITE_OAUTH_CLIENT_SECRET") or None)
        self._given = None if token is None else _giver(token)
        self._file = SignInFile(default_path() if path is None else Path(os.path.expanduser(path)))
        self.path = self._file.path if token is None else None
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_uri = token_uri
        self._current = _Token(Secret(""), 0)
        self._mine = _ThreadToken()
        self._lock = TimedLock()
        self._warned = False

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._mine.token is None:
            raise CredentialsError("no token yet: call ready(session, timeout) in this thread before the request")
        request.headers["Authorization"] = f"Bearer {self._mine.token.value}"
        return request

    def __repr__(self) -> str:
        path = getattr(self, "path", None)  # none either while this is being made
        return f"OAuthCredentials({'token=***' if path is None else repr(str(path))})"

    def __reduce__(self) -> str:
        raise TypeError("OAuthCredentials hold tokens and are not pickled: make them anew where they are needed, "
                        "from the same path")

    def ready(self, session: requests.Session, timeout: Timeout) -> None:
        """Give this thread a token that lasts, without I/O if there is one; the network's errors come as they are."""
        self._mine.token = self._token(None, session, timeout)

    def renew(self, session: requests.Session, timeout: Timeout) -> bool:
        """Whether there is another token than the one of this thread, which was refused."""
        refused = self._mine.token
        token = self._mine.token = self._token(refused, session, timeout)
        return refused is None or token.value != refused.value

    def _token(self, refused: Optional[Secret], session: requests.Session, timeout: Timeout) -> Secret:
        """The user's token; or one that lasts and is not `refused`: that at hand, the file's, or a new one."""
        if self._given is not None:
            return checked(hidden(self._given()), "access token", "sign in again, and give the new one")
        token = self._current
        if not token.serves(refused):
            until = time.monotonic() + max(timeout)
            with self._lock.within(max(timeout), "renewal of the token"):
                token = self._current  # by now perhaps another thread's
                if not token.serves(refused):
                    left = max(0.001, until - time.monotonic())
                    timeout = min(timeout[0], left), min(timeout[1], left)
                    token = self._current = self._newer(refused, session, timeout)
        return token.secret

    def _newer(self, refused: Optional[Secret], session: requests.Session, timeout: Timeout) -> _Token:
        saved = self._file.read()
        token = _Token.of(saved)
        if token.serves(refused):
            return token
        if not saved.get("refresh_token"):
            raise CredentialsError("The sign-in in %s is no longer valid, and holds no refresh_token to renew it: %s."
                                   % (self.path, SIGN_IN))
        answer = self._refreshed(saved, session, timeout)
        token = _Token.of(answer)  # or an error: what no header can carry is not saved
        try:
            self._file.merge(answer, saved["refresh_token"])
        except (OSError, CredentialsError) as error:
            if not self._warned:
                log.warning("the renewed token could not be saved, and serves this process alone: %s", error)
            self._warned = True
        return token

    def _refreshed(self, saved: SignIn, session: requests.Session, timeout: Timeout) -> SignIn:
        """Google's answer to the refresh token, in the words of the file."""
        client_id, client_secret = self._client(saved)
        form = SignIn(refresh_token=saved["refresh_token"], client_id=client_id, grant_type="refresh_token")
        if client_secret is not None:
            form["client_secret"] = client_secret.value
        code, headers, body = _posted(session, self.token_uri, form, timeout)
        answer = SignIn.parsed(body) or SignIn()
        failure = None if code == 200 and answer.get("access_token") else _refusal(code, headers, body)
        del body  # tokens, which a traceback with locals would show
        if failure is not None:
            raise failure
        lifetime = answer.pop("expires_in", None)
        answer["expiry_date"] = int((time.time() + lifetime) * 1000) if _is_number(lifetime) else None
        answer["refresh_token"] = answer.get("refresh_token") or saved["refresh_token"]
        return answer

    def _client(self, saved: SignIn) -> Tuple[str, Optional[Secret]]:
        """The OAuth client that issued the sign-in, and its secret if it has one."""
        if self.client_id is None and saved.get("client_id"):
            return saved["client_id"], hidden(saved.get("client_secret") or None)
        if self.client_id is None:
            found = oauth_client()
            if found is None:
                raise CredentialsError(
                    "The sign-in in %s has to be renewed, which takes the OAuth client of Gemini CLI, and no installed "
                    "Gemini CLI was found: run `gemini` once, which renews it too, or set GEMINI_LITE_OAUTH_CLIENT_ID "
                    "and GEMINI_LITE_OAUTH_CLIENT_SECRET." % self.path)
            self.client_id, self.client_secret = found[0], Secret(found[1])
        return self.client_id, self.client_secret


def _giver(token: Union[Secret, Callable[[], str]]) -> Callable[[], Union[str, Secret]]:
    if callable(token):
        return token
    secret = checked(token, "access token", SIGN_IN)
    return lambda: secret


class _ThreadToken(threading.local):
    """The token that this thread sends: another thread's may be another user's, where a callable tells them apart."""

    token: Optional[Secret] = None


class _Token(NamedTuple):
    """An access token and the second since 1970 at which it expires, or infinity."""

    secret: Secret
    expires: float

    @classmethod
    def of(cls, saved: SignIn) -> _Token:
        """The token of a sign-in; one that expired long ago if there is none."""
        if not saved.get("access_token"):
            return cls(Secret(""), 0)
        expires: Any = saved.get("expiry_date")
        return cls(checked(hidden(saved["access_token"]), "access token", SIGN_IN),
                   expires / 1000 if _is_number(expires) else math.inf)

    def serves(self, refused: Optional[Secret]) -> bool:
        return time.time() + EARLY < self.expires and (refused is None or refused.value != self.secret.value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 1e15  # and so neither infinite nor NaN


def _posted(
    session: requests.Session, url: str, form: SignIn, timeout: Timeout,
) -> Tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body of the answer to a form, which is there in time or not at all."""
    until = time.monotonic() + max(timeout)
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    with session.post(url, data=form, headers=headers, timeout=timeout, allow_redirects=False, stream=True,
                      auth=lambda request: request) as response:  # an auth, so that no .netrc is looked into
        body = b""
        for block in blocks(response.raw, until):
            body += block
            if len(body) > LARGEST_ANSWER:
                break
            if time.monotonic() > until:
                raise socket.timeout("the answer to the renewal of the token did not end in time")
        return response.status_code, response.headers, body


def _refusal(code: int, headers: Mapping[str, str], body: bytes) -> GeminiError:
    """The error for an answer of the token endpoint that brings no token."""
    if code == 429 or code >= 500:
        return from_response(code, headers, body)
    answer = SignIn.parsed(body) or SignIn()
    reason, text = str(answer.get("error") or ""), str(answer.get("error_description") or "")
    said = (f"{reason}: {text}" if reason and text else reason or text)[:300] or "nothing more"
    step = next(step for words, step in _REFUSALS if re.search(words, said, re.IGNORECASE))
    return CredentialsError(f"The sign-in was not renewed (status {int(code)}, {said}). {step}", code=code,
                            reason=reason or None)


_REFUSALS = (  # what the answer says, as a pattern, and the next step; the first that fits
    ("reauth|rapt", f"Your organisation wants a fresh sign-in from time to time: {SIGN_IN} again."),
    ("client_secret is missing",
     "Google wants the secret of this OAuth client too: give client_secret=..., or set GEMINI_LITE_OAUTH_CLIENT_SECRET "
     "beside GEMINI_LITE_OAUTH_CLIENT_ID."),
    ("invalid_client",
     "Google does not know this OAuth client, or its secret is another one: correct client_id and client_secret "
     "(GEMINI_LITE_OAUTH_CLIENT_ID, GEMINI_LITE_OAUTH_CLIENT_SECRET), or leave both out to use Gemini CLI's."),
    ("unauthorized_client",
     "The sign-in was issued to another OAuth client, or this one may renew no more: %s again, or give the client_id "
     "and client_secret that issued it." % SIGN_IN),
    ("invalid_grant", f"The sign-in was revoked or has expired: {SIGN_IN} again."),
    ("", f"Check token_uri and what stands between you and Google, then {SIGN_IN} again."),
)
