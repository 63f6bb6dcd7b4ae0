"""An API key as the one who is calling."""
from __future__ import annotations

from typing import Tuple, Union

import requests
import requests.auth

from ..errors import KEYS_PAGE
from .secret import Secret, as_secret, check_secret

DEMO_KEY = "demo"  # what the stand-in of `gemini_lite.demo` is asked with; no key of Google's


class APIKey(requests.auth.AuthBase):
    """An API key in the header ``x-goog-api-key``, never in a URL."""

    def __init__(self, key: Union[str, Secret, None]) -> None:
        key = as_secret(key)
        self._key = check_secret(key, "API key", f"get one at {KEYS_PAGE}")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["x-goog-api-key"] = self._key.value
        return request

    def ready(self, session: requests.Session, timeout: Tuple[float, float]) -> None:
        """A key needs no preparation."""

    def renew(self, session: requests.Session, timeout: Tuple[float, float]) -> bool:
        """False: a key that was refused stays refused."""
        return False


def is_demo(auth: object) -> bool:
    """Whether `auth` is for the stand-in, whose answers are made up."""
    return isinstance(auth, APIKey) and auth._key.value == DEMO_KEY
