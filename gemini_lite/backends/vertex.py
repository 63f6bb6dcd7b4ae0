"""Vertex AI: its hosts, resource names and ways to sign in."""
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Optional, Sequence, Union, cast
from urllib.parse import quote

from ..auth.api_key import APIKey
from ..auth.google import GoogleCredentials
from ..auth.google_errors import HOW_TO_SIGN_IN
from ..auth.oauth import OAuthCredentials
from ..auth.secret import Secret, as_secret
from ..errors import CredentialsError
from ..json_data import JSON, list_of_dicts
from ..options import GeminiOptions
from ..transport.pages import pages
from ..transport.transport import Auth
from .base import JSON_HEADERS, Post, check_path, check_url
from .developer import key_from_environment

_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]*")
_LOCATION = re.compile(r"[a-z0-9-]+")
_MULTI_REGIONS = frozenset(("us", "eu"))
_COUNTED = frozenset(("contents", "systemInstruction", "tools", "generationConfig"))  # all that countTokens knows


class VertexAI:
    """Gemini on Vertex AI, in a project of Google Cloud; or with an API key alone ("express mode").

    `credentials` are an object of google-auth, a function that returns an access token, or a `pathlib.Path` of a
    credentials file; by default google-auth looks for them (Application Default Credentials), with the first call.
    `project` and `location` default to the environment's GOOGLE_CLOUD_PROJECT and GOOGLE_CLOUD_LOCATION, then to the
    project of the credentials and ``global``; an `api_key` needs neither. Without `api_key`, `credentials`, project
    and location the environment's GOOGLE_API_KEY or GEMINI_API_KEY is used. `base_url` is by default
    GOOGLE_VERTEX_BASE_URL, then the host of the location.
    Source: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
    """

    default_model = "gemini-2.5-flash"

    def __init__(
        self, project: Optional[str] = None, location: Optional[str] = None, credentials: object = None, *,
        api_key: Union[str, Secret, None] = None, base_url: Optional[str] = None, api_version: str = "v1beta1",
    ) -> None:
        api_key = as_secret(api_key)
        if api_key is not None and credentials is not None:
            raise ValueError("api_key and credentials exclude each other: give one of them")
        if api_key is None and credentials is None and project is None and location is None and not _names_project():
            api_key = key_from_environment()
        if api_key is None or project is not None or location is not None:
            project = project or os.environ.get("GOOGLE_CLOUD_PROJECT") or None
            location = location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
        if api_key is not None and location is not None and project is None:
            raise ValueError("an api_key with a location takes a project too: give project=..., or leave the location "
                             "out (express mode)")
        self._given_project = _checked(project, _PROJECT, "project", "'my-project-123'")
        self.location = _checked(location, _LOCATION, "location", "'global' or 'europe-west4'")
        self.auth: Auth = (
            APIKey(api_key) if api_key is not None else _auth_of(credentials, project_is_known=project is not None))
        base = base_url or os.environ.get("GOOGLE_VERTEX_BASE_URL")
        self._base_url = check_url(base, "base_url") if base else None
        self.api_version = api_version.strip("/")

    @property
    def project(self) -> Optional[str]:
        """The project; None in express mode, and before credentials were found that may name it."""
        return self._given_project or (self.auth.project if isinstance(self.auth, GoogleCredentials) else None)

    @property
    def endpoints(self) -> Sequence[str]:
        """The base URL: of the location, in the cloud that the credentials belong to."""
        if self._base_url is not None:
            return (self._base_url,)
        domain = self.auth.universe_domain if isinstance(self.auth, GoogleCredentials) else "googleapis.com"
        if self.location in (None, "global"):
            return (f"https://aiplatform.{domain}",)
        if self.location in _MULTI_REGIONS:
            return (f"https://aiplatform.{self.location}.rep.{domain}",)
        return (f"https://{self.location}-aiplatform.{domain}",)

    def check_model(self, model: str) -> str:
        """`model`, stripped; ValueError for a name that Vertex AI would take for something else."""
        name = check_path(model)
        kind, _, rest = name.partition("/")
        if kind == "models":
            raise ValueError(
                f"on Vertex AI {name!r:.100} is a model of the project's own registry: write {rest!r:.100} for "
                f"Google's model, or 'projects/PROJECT/locations/LOCATION/{name:.100}' for that of the registry")
        if kind not in ("publishers", "projects") and name.count("/") > 1 or kind == "tunedModels":
            raise ValueError(f"Vertex AI has no model {name!r:.100}: write a name such as 'gemini-2.5-flash' or "
                             "'meta/llama-4', 'endpoints/ID' for a tuned model, or a whole resource name")
        return name

    def model_resource(self, model: str) -> str:
        """The resource name of a model: ``projects/p/locations/l/publishers/google/models/m``; no project with a key.

        ValueError for a name that is no model's.
        """
        name = self.check_model(model)
        kind, _, rest = name.partition("/")
        if kind == "projects":
            return name
        if kind == "endpoints":
            return f"{self.parent()}/{name}"
        if kind != "publishers":
            name = f"publishers/{kind}/models/{rest}" if rest else f"publishers/google/models/{name}"
        return name if self.location is None else f"{self.parent()}/{name}"

    def parent(self) -> str:
        """``projects/p/locations/l``, under which all resources are; CredentialsError if there is no project."""
        if self.location is None:
            raise ValueError("Vertex AI in express mode (an API key alone) has models and nothing else: give "
                             "VertexAI(project=..., location=...) too")
        project = self.project
        if project is None:
            raise CredentialsError("Vertex AI needs a project, and the credentials name none: set "
                                   "GOOGLE_CLOUD_PROJECT, or write VertexAI(project=...).", reason="NO_PROJECT")
        return f"projects/{project}/locations/{self.location}"

    def cache_name(self, name: str) -> str:
        """The whole resource name of a cache, of which ``c1``, ``cachedContents/c1`` or ``locations/...`` is given."""
        if name.startswith("projects/"):
            return name
        if name.startswith("locations/"):
            return f"{self.parent().split('/locations/')[0]}/{name}"
        return f"{self.parent()}/{name if name.startswith('cachedContents/') else f'cachedContents/{name}'}"

    def path(self, method: str, model: str) -> str:
        """The path and query of an API method such as ``generateContent``."""
        query = "?alt=sse" if method == "streamGenerateContent" else ""
        return f"/{self.api_version}/{quote(self.model_resource(model), safe='/-._~@:')}:{method}{query}"

    def headers(self, method: str, model: str) -> Mapping[str, str]:
        """The headers that say what is sent and who sends it, without the credentials."""
        return JSON_HEADERS

    def sign_in(self, post: Post) -> None:
        """Find the credentials, where they decide on the project or the host; nothing is done a second time."""
        if isinstance(self.auth, GoogleCredentials) and not self.auth.is_set_up:
            post.sign_in()

    def wrap(
        self, method: str, model: str, request: JSON, options: GeminiOptions, session_id: str, post: Post,
    ) -> JSON:
        """The body for `request`."""
        if options.session_id is not None:
            raise ValueError("Vertex AI has no session_id: leave it out, or choose another backend")
        for uri in _file_uris(request):
            if uri.startswith("files/") or "generativelanguage.googleapis.com" in uri:
                raise ValueError(f"Vertex AI has no Files API, and {uri!r:.100} is a file of the Developer API: put it "
                                 "into Cloud Storage and give its gs:// URI, or send the bytes")
        self.sign_in(post)
        if method == "countTokens":
            return self._counted(request)
        if isinstance(request.get("cachedContent"), str):
            return {**request, "cachedContent": self.cache_name(request["cachedContent"])}
        return request

    def unwrap(self, event: JSON) -> JSON:
        """The API's own object inside an answer or event."""
        return event

    def models(self, post: Post) -> List[JSON]:
        """Google's models, as the API describes them; not all are to be had in each location."""
        self.sign_in(post)
        path = "/v1beta1/publishers/google/models"  # not in v1
        return list(pages(lambda query: post(path + query, None), "publisherModels", 100))

    def quota(self, post: Post) -> List[JSON]:
        """This API has no such call."""
        raise ValueError("Vertex AI tells no quota; see https://console.cloud.google.com/iam-admin/quotas. Only Code "
                         "Assist has this call")

    def _counted(self, request: JSON) -> JSON:
        """What of `request` is sent to be counted; the rest has no tokens, and would be refused."""
        if "cachedContent" in request:
            raise ValueError("Vertex AI does not count what is in a cache: count the prompt without cached_content")
        return {name: value for name, value in request.items() if name in _COUNTED}


def _auth_of(credentials: object, project_is_known: bool) -> Auth:
    """Who is calling, by one of the forms that `credentials` may have."""
    if isinstance(credentials, (str, bytes)):
        raise TypeError("credentials as a plain string could be a path or a token: write pathlib.Path('...') for a "
                        "credentials file, or a function that returns the access token")
    if hasattr(credentials, "ready") and hasattr(credentials, "renew"):
        return cast(Auth, credentials)
    if credentials is None or isinstance(credentials, Path) or hasattr(credentials, "refresh"):
        return GoogleCredentials(credentials, project_is_known=project_is_known)
    if isinstance(credentials, Secret) or callable(credentials):
        return OAuthCredentials(token=cast(Union[Secret, Callable[[], str]], credentials))
    raise TypeError(f"credentials are an object of google-auth, a function that returns an access token, or a "
                    f"pathlib.Path of a credentials file, not {type(credentials).__name__}: {HOW_TO_SIGN_IN}")


def _names_project() -> bool:
    """Whether the environment names a project or a location, which go before its API key."""
    return bool(os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GOOGLE_CLOUD_LOCATION"))


def _checked(value: Optional[str], pattern: re.Pattern[str], name: str, example: str) -> Optional[str]:
    if value is not None and not pattern.fullmatch(value):
        raise ValueError(f"{name} must be like {example}, not {value!r:.100}")
    return value


def _file_uris(request: JSON) -> Iterator[str]:
    """The URIs of the files in a request's last turn: those of a conversation's earlier turns were checked before."""
    for content in list_of_dicts(list(request.get("contents") or ())[-1:]):
        for part in list_of_dicts(content.get("parts")):
            file = part.get("fileData") or part.get("file_data")
            uri = isinstance(file, dict) and (file.get("fileUri") or file.get("file_uri"))
            if isinstance(uri, str):
                yield uri
