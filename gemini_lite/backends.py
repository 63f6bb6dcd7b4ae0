"""Where a request goes, and the envelope it wears there.

A backend is any object with ``auth``, ``endpoints`` (base URLs, in order), ``default_model``, ``headers`` and the
methods of `DeveloperAPI`.
"""
from __future__ import annotations

import logging
import os
import sys
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.parse import quote, urlsplit

from . import __version__
from .auth import APIKey
from .errors import KEYS_PAGE, CredentialsError
from .options import GeminiOptions

log = logging.getLogger("gemini_lite")

_US = "gemini-lite/%s gl-python/%d.%d.%d" % (__version__, *sys.version_info[:3])
_WAYS = (
    "Nobody is signed in. Set GEMINI_API_KEY (or GOOGLE_API_KEY) to a key from %s, or write GeminiClient(api_key=...); "
    "for Code Assist write GeminiClient(credentials_path=...) or set GOOGLE_GENAI_USE_GCA=true. To try without an "
    "account: gemini-lite --demo \"Hello\"" % KEYS_PAGE
)


class DeveloperAPI:
    """The Gemini Developer API, with an API key.

    Without `api_key` the environment's GOOGLE_API_KEY is used, then GEMINI_API_KEY; without `base_url`
    GOOGLE_GEMINI_BASE_URL, then Google's. The ``-latest`` model names exist in `api_version` ``v1beta`` alone.
    Source: https://ai.google.dev/api
    """

    default_model = "gemini-flash-latest"
    headers: Mapping[str, str] = {"Content-Type": "application/json", "User-Agent": _US, "x-goog-api-client": _US}

    def __init__(
        self, api_key: Optional[str] = None, *, base_url: Optional[str] = None, api_version: str = "v1beta",
    ) -> None:
        if api_key is None:
            api_key = key_from_environment()
        if api_key is None:
            raise CredentialsError(_WAYS)
        self.auth = APIKey(api_key)
        base = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or "https://generativelanguage.googleapis.com"
        self.endpoints: Tuple[str, ...] = (checked_url(base, "base_url"),)
        self.api_version = api_version.strip("/")

    def path(self, method: str, model: str) -> str:
        """The path and query of an API method such as ``generateContent``."""
        name = model if "/" in model else "models/" + model
        query = "?alt=sse" if method == "streamGenerateContent" else ""
        return "/%s/%s:%s%s" % (self.api_version, quote(name, safe="/-._~@"), method, query)

    def wrap(
        self, method: str, model: str, request: Dict[str, Any], options: GeminiOptions, session_id: Optional[str],
    ) -> Dict[str, Any]:
        """The body for `request`; this API knows no sessions."""
        for name in ("labels", "session_id"):
            if getattr(options, name) is not None:
                raise ValueError("the Gemini Developer API has no %s: leave it out, or choose another backend" % name)
        if method == "countTokens" and len(request) > 1:
            return {"generateContentRequest": {"model": "models/" + model, **request}}
        return request

    def unwrap(self, event: Dict[str, Any]) -> Dict[str, Any]:
        """The API's own object inside an answer or event."""
        return event

    def models_path(self, page_token: str) -> str:
        """The path and query of one page of the list of models."""
        page = "&pageToken=" + quote(page_token, safe="") if page_token else ""
        return "/%s/models?pageSize=1000%s" % (self.api_version, page)


def key_from_environment() -> Optional[str]:
    """GOOGLE_API_KEY, then GEMINI_API_KEY: the order of Google's own Python client."""
    google, gemini = os.environ.get("GOOGLE_API_KEY"), os.environ.get("GEMINI_API_KEY")
    if google and gemini and google != gemini:
        log.warning("GOOGLE_API_KEY and GEMINI_API_KEY are both set and differ: GOOGLE_API_KEY is used")
    return google or gemini or None


def choose(api_key: Optional[str], credentials_path: Any, backend: Any) -> Any:
    """The backend that the arguments name, or else the environment."""
    given = {"api_key": api_key, "credentials_path": credentials_path, "backend": backend}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise ValueError("%s exclude each other: give one of them" % " and ".join(named))
    if backend is not None:
        return backend
    if credentials_path is not None or api_key is None and os.environ.get("GOOGLE_GENAI_USE_GCA") == "true":
        raise CredentialsError("Code Assist is not in this version: use an API key from %s" % KEYS_PAGE)
    return DeveloperAPI(api_key)


def checked_url(url: str, name: str) -> str:
    """`url` without its last slash, or a ValueError that says what is wrong with it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("%s must be like 'https://host' or 'http://host:port/path', not %r" % (name, url))
    if parts.username is not None or parts.password is not None:
        raise ValueError("%s must hold no user name or password: URLs end up in logs" % name)
    return url.rstrip("/")
