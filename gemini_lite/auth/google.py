"""Google credentials as the one who is calling: objects of google-auth, kept fresh over our session."""
from __future__ import annotations

import datetime
import threading
from pathlib import Path
from typing import Dict, Mapping, Optional, Tuple, cast

import requests
import requests.auth

from ..errors import CredentialsError, GeminiError
from ..json_data import str_or_none
from ..transport.deadline import Deadline, Timeout
from ..transport.timed_lock import TimedLock
from . import application_default
from .application_default import GoogleObject
from .google_errors import HOW_TO_SIGN_IN, explain
from .google_request import GoogleRequest
from .secret import Secret, check_secret, hides_frames

RENEW_BEFORE = 225.0  # seconds before a token expires, as google-auth has it: metadata servers renew theirs at 240
_OURS = frozenset(("x-goog-api-client", "x-allowed-locations"))  # headers of google-auth that are not sent


class GoogleCredentials(requests.auth.AuthBase):
    """Credentials of google-auth, renewed in good time, once for all threads, and over the session of the call.

    `credentials` are such an object (recognised by its ``refresh``; with a scope of their own or none), a
    `pathlib.Path` of a credentials file, or None for Application Default Credentials. Files and defaults need
    google-auth, and are looked for with the first call. Source: https://google.aip.dev/auth
    """

    def __init__(self, credentials: object = None, *, project_is_known: bool = False) -> None:
        self._given = _Held(cast(GoogleObject, credentials))
        self._project_is_known = project_is_known
        self._held: Optional[_Held] = None  # those in use: a scope or a quota project makes another object
        self._found_project: Optional[str] = None
        self._universe = "googleapis.com"
        self._margin = RENEW_BEFORE
        self._lock = TimedLock()
        self._per_thread = _ThreadHeaders()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._per_thread.headers is None:
            raise CredentialsError("no token yet: call ready(session, timeout) in this thread before the request")
        for name, value in self._per_thread.headers.items():
            request.headers[name] = value.value
        return request

    def __repr__(self) -> str:
        held = self.__dict__.get("_given")  # missing while __init__ runs
        given = held and held.value
        return f"GoogleCredentials({given!r})" if given is None or isinstance(given, Path) else "GoogleCredentials(***)"

    def __reduce__(self) -> str:
        raise TypeError("GoogleCredentials hold tokens and are not pickled: make them anew where they are needed")

    @property
    def is_set_up(self) -> bool:
        """Whether the credentials have been found, so that their project and universe are known."""
        return self._held is not None

    @property
    def project(self) -> Optional[str]:
        """The project that the credentials name; None before they are found, or if they name none."""
        return self._found_project

    @property
    def universe_domain(self) -> str:
        """The domain of the cloud that the credentials belong to; Google's own before they are found."""
        return self._universe

    def describe(self) -> str:
        """In words and without secrets: what the credentials are, whose, who is billed and how long the token holds."""
        if self._held is None:
            return f"{self!r}, not looked for yet"
        credentials = self._held.value
        words = [f"{type(credentials).__module__}.{type(credentials).__qualname__}"]
        account = str_or_none(getattr(credentials, "service_account_email", None))
        billed = str_or_none(getattr(credentials, "quota_project_id", None))
        left = _seconds_left(credentials)
        words += [f"of {account}"] if account else []
        words += [f"billed to {billed}"] if billed else []
        words += [] if left is None else [f"token holds for {int(left // 60)} minutes"]
        return ", ".join(words)

    def ready(self, session: requests.Session, timeout: Timeout) -> None:
        """Find the credentials and give this thread a token that lasts, without I/O if there is one."""
        self._per_thread.headers = self._fresh_headers(None, session, timeout)

    def renew(self, session: requests.Session, timeout: Timeout) -> bool:
        """Whether there is another token now than that of this thread, which was refused."""
        refused = (self._per_thread.headers or {}).get("authorization")
        if refused is None:
            return False
        self._per_thread.headers = self._fresh_headers(refused, session, timeout)
        return self._per_thread.headers.get("authorization") != refused

    def _fresh_headers(
        self, refused: Optional[Secret], session: requests.Session, timeout: Timeout,
    ) -> Dict[str, Secret]:
        """The headers of credentials that last and are not `refused`."""
        if self._held is None or _is_stale(self._held, refused, self._margin):
            deadline = Deadline.after(max(timeout))
            with self._lock.within(deadline.left, "renewal of the token"):
                held, failure = self._refresh(refused, GoogleRequest(session, timeout, deadline))
            if failure is not None:
                raise failure
            return _headers_of(held)
        return _headers_of(self._held)

    @hides_frames
    def _refresh(
        self, refused: Optional[Secret], request: GoogleRequest,
    ) -> Tuple[_Held, Optional[GeminiError]]:
        """The credentials, found and renewed where another thread has not done so, or what went wrong."""
        try:
            held = self._held or self._set_up(request)
            if _is_stale(held, refused, self._margin):
                held.value.refresh(request)
                left = _seconds_left(held.value)
                self._margin = RENEW_BEFORE if left is None else min(RENEW_BEFORE, left / 2)
        except Exception as error:  # anything: credentials may be the user's code
            failure = explain(error)
        else:
            return held, None
        failure.__cause__ = failure.__context__ = failure.__traceback__ = None  # their frames hold secrets
        return self._given, failure

    def _set_up(self, request: GoogleRequest) -> _Held:
        credentials, project = self._given.value, None
        if credentials is None or isinstance(credentials, Path):
            credentials, project = application_default.find(credentials, self._project_is_known, request)
        credentials = application_default.with_universe(credentials, request)
        credentials = application_default.with_quota_project(application_default.with_scope(credentials))
        credentials = application_default.with_own_jwt(credentials)
        self._found_project = project or str_or_none(getattr(credentials, "project_id", None))
        self._universe = application_default.universe_of(credentials)
        self._held = _Held(credentials)
        return self._held


class _Held(Secret):
    """Credentials, whose attributes hold secrets in plain text."""

    __slots__ = ()
    value: GoogleObject


class _ThreadHeaders(threading.local):
    """The headers that this thread sends: another may renew the token between two steps of this one."""

    headers: Optional[Mapping[str, Secret]] = None


@hides_frames
def _is_stale(held: _Held, refused: Optional[Secret], margin: float) -> bool:
    """Whether credentials have no token, one that expires within `margin` seconds, or the one that was refused."""
    token = getattr(held.value, "token", None)
    if refused is not None and refused.value == f"Bearer {token}":
        return True
    left = _seconds_left(held.value)
    if left is None:
        return not getattr(held.value, "valid", bool(token))
    return not token or left < margin


def _seconds_left(credentials: GoogleObject) -> Optional[float]:
    """The seconds until the token of `credentials` expires; None if that is not known."""
    expiry = getattr(credentials, "expiry", None)
    if not isinstance(expiry, datetime.datetime):
        return None
    if expiry.tzinfo is None:  # google-auth's are in UTC and do not say so
        expiry = expiry.replace(tzinfo=datetime.timezone.utc)
    return (expiry - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


@hides_frames
def _headers_of(held: _Held) -> Dict[str, Secret]:
    """What credentials put into the headers of a request, their names in lower case."""
    credentials, headers = held.value, cast(Dict[str, str], {})
    if hasattr(credentials, "apply"):
        credentials.apply(headers)
    else:
        headers["authorization"] = f"Bearer {_token_of(credentials).value}"
    quota_project = getattr(credentials, "quota_project_id", None)
    if quota_project:
        headers["x-goog-user-project"] = quota_project
    return {name.lower(): _checked(str(value)) for name, value in headers.items() if name.lower() not in _OURS}


def _token_of(credentials: GoogleObject) -> Secret:
    return check_secret(Secret(credentials.token), "access token", HOW_TO_SIGN_IN)


def _checked(value: str) -> Secret:
    """`value` if a header can carry it."""
    if not value.isascii() or not value.isprintable():
        raise CredentialsError("the credentials hold a character that no header can carry: make them anew "
                               f"({HOW_TO_SIGN_IN})")
    return Secret(value)
