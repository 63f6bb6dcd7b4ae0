"""The Gemini Developer API, with an API key."""
from __future__ import annotations

import logging
import os
from typing import List, Mapping, Optional, Tuple, Union
from urllib.parse import quote

from .. import errors
from ..auth.api_key import APIKey
from ..auth.secret import Secret, as_secret
from ..json_data import JSON
from ..options import GeminiOptions
from ..transport.pages import pages
from .base import JSON_HEADERS, Post, check_url, model_resource

log = logging.getLogger("gemini_lite")

_KEY_NAMES = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
_NO_CREDENTIALS = (
    f"No API key was found. Set GEMINI_API_KEY (or GOOGLE_API_KEY) to a key from {errors.KEYS_PAGE}, or for Code "
    "Assist GOOGLE_GENAI_USE_GCA=true. To try without an account: gemini-lite --demo \"Hello\". In Python there are "
    "GeminiClient(api_key=...) and GeminiClient(credentials_path=...), too"
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
        api_key = as_secret(api_key) or key_from_environment()
        if api_key is None:
            empty = [f"{name} is set but empty. " for name in _KEY_NAMES if name in os.environ]
            raise errors.CredentialsError("".join(empty) + _NO_CREDENTIALS)
        self.auth = APIKey(api_key)
        base = base_url or os.environ.get("GOOGLE_GEMINI_BASE_URL") or "https://generativelanguage.googleapis.com"
        self.endpoints: Tuple[str, ...] = (check_url(base, "base_url"),)
        self.api_version = api_version.strip("/")

    def path(self, method: str, model: str) -> str:
        """The path and query of an API method such as ``generateContent``."""
        query = "?alt=sse" if method == "streamGenerateContent" else ""
        return f"/{self.api_version}/{quote(model_resource(model), safe='/-._~@')}:{method}{query}"

    def collection(self, name: str) -> str:
        """The path of what the API keeps under `name`, such as ``files``."""
        return f"/{self.api_version}/{name}"

    def headers(self, method: str, model: str) -> Mapping[str, str]:
        """The headers that say what is sent and who sends it, without the credentials."""
        return JSON_HEADERS

    def wrap(
        self, method: str, model: str, request: JSON, options: GeminiOptions, session_id: str, post: Post,
    ) -> JSON:
        """The body for `request`; this API knows no sessions and needs no set-up."""
        if options.session_id is not None:
            raise ValueError("the Gemini Developer API has no session_id: leave it out, or choose another backend")
        if method == "countTokens" and len(request) > 1:
            return {"generateContentRequest": {"model": model_resource(model), **request}}
        return request

    def unwrap(self, event: JSON) -> JSON:
        """The API's own object inside an answer or event."""
        return event

    def models(self, post: Post) -> List[JSON]:
        """All models, as the API describes them."""
        return list(pages(lambda query: post(f"/{self.api_version}/models{query}", None), "models", 1000))

    def quota(self, post: Post) -> List[JSON]:
        """This API has no such call."""
        raise ValueError("the Gemini Developer API tells no quota; see https://aistudio.google.com for your limits. "
                         "Only Code Assist has this call")


def key_from_environment() -> Optional[Secret]:
    """GOOGLE_API_KEY, then GEMINI_API_KEY: the order of Google's own Python client."""
    google, gemini = [as_secret(os.environ.get(name) or None) for name in _KEY_NAMES]
    if google and gemini and google.value != gemini.value:
        log.warning("GOOGLE_API_KEY and GEMINI_API_KEY are both set and differ: GOOGLE_API_KEY is used")
    return google or gemini
