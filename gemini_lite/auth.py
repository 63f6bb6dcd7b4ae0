"""Who is calling: an API key, or a sign-in kept fresh on disk.

An auth object is a `requests.auth.AuthBase` (so that no ``.netrc`` replaces it) whose ``__call__`` does no I/O, with
``ready(session, timeout)``, called before each try, and ``renew(session, timeout)``, called once after a 401, which
says whether it is worth asking again.
"""
from __future__ import annotations

from typing import Tuple

import requests
import requests.auth

from .errors import KEYS_PAGE, CredentialsError

Timeout = Tuple[float, float]


class Secret:
    """A key or token that no repr, log or pickle shows; `value` is the text itself."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled: sign in again where it is needed")


def checked(value: object, what: str) -> Secret:
    """`value` as a secret that a header can carry, without the white space around it."""
    if not isinstance(value, str):
        raise CredentialsError("the %s must be a string, not %s" % (what, type(value).__name__))
    value = value.strip()
    if not value:
        raise CredentialsError("the %s is empty: get one at %s" % (what, KEYS_PAGE))
    if not value.isascii() or not value.isprintable() or " " in value:
        raise CredentialsError("the %s holds a character that no %s has (a line break, a blank or a letter outside "
                               "ASCII): copy it again, in one piece" % (what, what))
    return Secret(value)


class APIKey(requests.auth.AuthBase):
    """An API key in the header ``x-goog-api-key``, never in a URL."""

    def __init__(self, key: str) -> None:
        self._key = checked(key, "API key")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["x-goog-api-key"] = self._key.value
        return request

    def ready(self, session: requests.Session, timeout: Timeout) -> None:
        """A key needs no preparation."""

    def renew(self, session: requests.Session, timeout: Timeout) -> bool:
        """A key that was refused stays refused."""
        return False


class OAuthCredentials(requests.auth.AuthBase):
    """PLACEHOLDER so that the package imports; the helper that owns auth.py replaces this."""
