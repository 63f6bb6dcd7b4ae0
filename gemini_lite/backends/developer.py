"""Where a request goes, and the envelope it wears there.

A backend is any object with ``auth``, ``endpoints`` (base URLs, tried in order), ``default_model`` and the methods of
`DeveloperAPI`. To set itself up it is handed ``post(path, body)``; a `body` of None makes that a GET, and
``post.until`` is the `time.monotonic` by which all must be done, or None.
"""
from __future__ import annotations

import logging
import os
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union
from urllib.parse import quote, urlsplit

from .. import errors
from ..auth.oauth import APIKey, Secret, hidden
from ..options import GeminiOptions
from ..version import __version__

log = logging.getLogger("gemini_lite")
Body = Dict[str, Any]
Post = Callable[[str, Optional[Body]], Body]

CLIENT_NAME = f"gemini-lite/{__version__}"
PYTHON_NAME = "gl-python/%d.%d.%d" % sys.version_info[:3]
_NO_CREDENTIALS = (
    "Nobody is signed in. Set GEMINI_API_KEY (or GOOGLE_API_KEY) to a key from %s, or write GeminiClient(api_key=...); "
    "for Code Assist write GeminiClient(credentials_path=...) or set GOOGLE_GENAI_USE_GCA=true. To try without an "
    "account: gemini-lite --demo \"Hello\"" % errors.KEYS_PAGE
)


class DeveloperAPI:
    """The Gemini Developer API, with an API key.

    Without `api_key` the environment's GOOGLE_API_KEY is used, then GEMINI_API_KEY; without `base_url`
    GOOGLE_GEMINI_BASE_URL, then Google's. The ``-latest`` model names exist in `api_version` ``v1beta`` alone.
    Source: https://ai.google.dev/api
    """

    default_model = "gemini-flash-latest"

    def __init__(
        self, api_key: Union[str, Secret, None] = None, *, base_url: Optional[str] = None, api_version: str = "v1beta",
    ) -> None:
        api_key = hidden(api_key) or _key_from_environment()
        if api_key is None:
            raise errors.CredentialsError(_NO_CREDENTIALS)
        self.auth = APIKey(api_key)
        base = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or "https://generativelanguage.googleapis.com"
        self.endpoints: Tuple[str, ...] = (checked_url(base, "base_url"),)
        self.api_version = api_version.strip("/")

    def path(self, method: str, model: str) -> str:
        """The path and query of an API method such as ``generateContent``."""
        name = model if "/" in model else f"models/{model}"
        query = "?alt=sse" if method == "streamGenerateContent" else ""
        return f"/{self.api_version}/{quote(name, safe='/-._~@')}:{method}{query}"

    def headers(self, method: str, model: str) -> Mapping[str, str]:
        """The headers that say what is sent and who sends it, without the credentials."""
        return _DEVELOPER_HEADERS

    def wrap(
        self, method: str, model: str, request: Body, options: GeminiOptions, session_id: str, post: Post,
    ) -> Body:
        """The body for `request`; this API knows no sessions and needs no set-up."""
        for name in ("labels", "session_id"):
            if getattr(options, name) is not None:
                raise ValueError(f"the Gemini Developer API has no {name}: leave it out, or choose another backend")
        if method == "countTokens" and len(request) > 1:
            return {"generateContentRequest": {"model": model if "/" in model else f"models/{model}", **request}}
        return request

    def unwrap(self, event: Body) -> Body:
        """The API's own object inside an answer or event."""
        return event

    def models(self, post: Post) -> List[Body]:
        """All models, as the API describes them."""
        found: List[Body] = []
        token = ""
        while True:
            page = post(f"/{self.api_version}/models?pageSize=1000{token}", None)
            found += page.get("models") or ()
            if not page.get("nextPageToken"):
                return found
            token = f"&pageToken={quote(page['nextPageToken'], safe='')}"

    def quota(self, post: Post) -> List[Any]:
        """This API has no such call."""
        raise ValueError("the Gemini Developer API tells no quota; see https://aistudio.google.com for your limits. "
                         "Only Code Assist has this call")


_DEVELOPER_HEADERS = {
    "Content-Type": "application/json", "User-Agent": f"{CLIENT_NAME} {PYTHON_NAME}",
    "x-goog-api-client": f"{CLIENT_NAME} {PYTHON_NAME}",
}


def _key_from_environment() -> Optional[Secret]:
    """GOOGLE_API_KEY, then GEMINI_API_KEY: the order of Google's own Python client."""
    google, gemini = [hidden(os.environ.get(name) or None) for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY")]
    if google and gemini and google.value != gemini.value:
        log.warning("GOOGLE_API_KEY and GEMINI_API_KEY are both set and differ: GOOGLE_API_KEY is used")
    return google or gemini


def checked_url(url: str, name: str) -> str:
    """`url` without its last slash, or a ValueError that says what is wrong with it."""
    if "@" in url:
        raise ValueError(f"{name} must hold no user name or password: URLs end up in logs")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is none, or a bracket is missing
        good = False
    if not good or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise ValueError("%s must be like 'https://host' or 'http://host:port/path', without a query, a fragment or "
                         "blanks (it may hold a key, and so is not shown here)" % name)
    return url.rstrip("/")
