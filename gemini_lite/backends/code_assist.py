"""Code Assist: its envelope, the project to work in, and its quota."""
from __future__ import annotations

import os
import re
import sys
from time import monotonic
from typing import Any, Callable, List, Mapping, Optional, Sequence, Union, cast

from .. import errors
from ..auth.oauth import OAuthCredentials
from ..auth.secret import Secret
from ..json_data import JSON, dict_or_empty, list_of_dicts
from ..options import GeminiOptions
from ..transport import retry
from ..transport.timed_lock import TimedLock
from ..transport.transport import Auth
from ..version import __version__
from .base import CLIENT_NAME, PYTHON_NAME, Post, check_url, model_resource

_FINAL = frozenset(("UNSUPPORTED_CLIENT", "TOS_VIOLATION", "VALIDATION_REQUIRED"))  # no set-up gets past these


class CodeAssist:
    """Gemini Code Assist, with the sign-in of Gemini CLI; read the README on who may use it, and Google's terms.

    `credentials` are `OAuthCredentials`, the path of such a file, a callable that returns an access token, or None
    for the CLI's own file. `project` is the Cloud project that the licence belongs to, else the environment's
    GOOGLE_CLOUD_PROJECT or GOOGLE_CLOUD_PROJECT_ID; the server's own answer comes before both. `endpoints` are tried
    in order when one fails. `user_agent` is a template with ``{version} {model} {platform} {arch}``. `onboard` lets
    the account be set up for its tier, where that was never done.
    """

    default_model = "gemini-2.5-pro"

    def __init__(
        self, credentials: Union[Auth, Callable[[], str], Secret, str, "os.PathLike[str]", None] = None, *,
        project: Optional[str] = None, endpoints: Optional[Sequence[str]] = None, api_version: Optional[str] = None,
        user_agent: Optional[str] = None, onboard: bool = False,
    ) -> None:
        self.auth = _auth_of(credentials)
        default = os.environ.get("CODE_ASSIST_ENDPOINT") or "https://cloudcode-pa.googleapis.com"
        given = (default,) if endpoints is None else (endpoints,) if isinstance(endpoints, str) else endpoints
        self.endpoints = tuple(check_url(url, "an endpoint") for url in given)
        if not self.endpoints:
            raise ValueError("endpoints is empty; give at least one base URL, or None for Google's")
        self.api_version = (api_version or os.environ.get("CODE_ASSIST_API_VERSION") or "v1internal").strip("/")
        self.project = project or os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GOOGLE_CLOUD_PROJECT_ID")
        if self.project and str(self.project).isdigit():
            raise ValueError(f"{self.project} is a project number; Code Assist wants the project's id, which has "
                             "letters: see https://console.cloud.google.com")
        self._user_agent = user_agent or "gemini-lite/{version}/{model} ({platform}; {arch})"
        self._user_agent_for(self.default_model)
        self._capture_source = os.environ.get("CAPTURE_SOURCE")
        self._onboard = onboard
        self._found_project: Optional[str] = None
        self._set_up = TimedLock()

    def path(self, method: str, model: str = "") -> str:
        """The path and query of an API method such as ``generateContent``."""
        return f"/{self.api_version}:{method}{'?alt=sse' if method == 'streamGenerateContent' else ''}"

    def headers(self, method: str, model: str) -> Mapping[str, str]:
        """The headers that say what is sent and who sends it, without the credentials."""
        headers = {
            "Accept": "*/*" if method == "streamGenerateContent" else "application/json",
            "Content-Type": "application/json", "User-Agent": self._user_agent_for(model),
            "x-goog-api-client": f"{PYTHON_NAME} {CLIENT_NAME}",
        }
        if self._capture_source:
            headers["x-capture-source"] = self._capture_source
        return headers

    def wrap(
        self, method: str, model: str, request: JSON, options: GeminiOptions, session_id: str, post: Post,
    ) -> JSON:
        """The envelope around `request`, with ids that stay the same over its tries."""
        if method == "countTokens":
            return {"request": {"model": model_resource(model), "contents": request["contents"]}}
        return {
            "model": model, "project": self._project(post), "user_prompt_id": os.urandom(7).hex(),
            "request": {**request, "session_id": session_id},
        }

    def unwrap(self, event: JSON) -> JSON:
        """The API's own object inside an answer or event, with the trace id as its response id."""
        inner = event.get("response")
        if not isinstance(inner, dict):
            return event
        if "traceId" in event:
            inner.setdefault("responseId", event["traceId"])
        return inner

    def models(self, post: Post) -> List[JSON]:
        """This API has no such call."""
        raise ValueError("Code Assist has no list of models; client.quota() names those that you have a quota for")

    def quota(self, post: Post) -> List[JSON]:
        """What is left, model by model, as the API describes it: ``modelId``, ``remainingFraction``..."""
        answer = post(self.path("retrieveUserQuota"), {"project": self._project(post)})
        return list_of_dicts(answer.get("buckets"))

    def _user_agent_for(self, model: str) -> str:
        """The User-Agent for calls to `model`."""
        try:
            name = self._user_agent.format(version=__version__, model=model, platform=_PLATFORM, arch=_ARCH)
        except (LookupError, ValueError) as error:
            raise ValueError("user_agent may hold {version} {model} {platform} {arch} and no other braces "
                             f"({error})") from None
        if not name.isascii() or not name.isprintable():
            raise ValueError("user_agent holds a character that no header can carry")
        return name

    def _project(self, post: Post) -> str:
        """The project to work in, which the server is asked for once."""
        if self._found_project is None:
            with self._set_up.within(post.deadline.left, "set-up of Code Assist"):
                if self._found_project is None:
                    self._found_project = self._discover(post)
        return self._found_project

    def _discover(self, post: Post) -> str:
        """What loadCodeAssist says, and where the account has no tier yet, onboardUser."""
        state = self._loaded(post)
        ineligible = list_of_dicts(state.get("ineligibleTiers"))
        if not state.get("currentTier"):
            reasons = {str(tier.get("reasonCode")) for tier in ineligible}
            if ineligible and (not self._onboard or not state.get("allowedTiers") or reasons & _FINAL):
                raise _ineligible(ineligible)
            if not self._onboard:
                raise errors.CredentialsError(
                    "This account has never been set up for Code Assist. Run 'gemini' once, or write "
                    "CodeAssist(onboard=True) to have it set up for its tier.", reason="NOT_ONBOARDED")
            state = self._onboarded(post, state)
        found = _project_id(state.get("cloudaicompanionProject")) or self.project
        if found:
            return found
        if ineligible:
            raise _ineligible(ineligible)
        raise errors.CredentialsError(
            "Code Assist wants a Google Cloud project for this account: set GOOGLE_CLOUD_PROJECT or write "
            "CodeAssist(project=...).", reason="PROJECT_REQUIRED")

    def _loaded(self, post: Post) -> JSON:
        try:
            return post(self.path("loadCodeAssist"), self._setup_body())
        except errors.APIError as error:
            if any(detail.get("reason") == "SECURITY_POLICY_VIOLATED" for detail in error.details):
                return {"currentTier": {"id": "standard-tier"}}  # behind VPC Service Controls only licences work
            raise

    def _onboarded(self, post: Post, state: JSON) -> JSON:
        """The account set up for its default tier; asks every 5 seconds, for 2 minutes, whether that is done."""
        defaults = [tier.get("id") for tier in list_of_dicts(state.get("allowedTiers")) if tier.get("isDefault")]
        tier_id = next((id for id in defaults if isinstance(id, str) and id.isprintable()), "legacy-tier")
        # the free tier has a project of its own, and refuses another with "Precondition Failed"
        operation = post(self.path("onboardUser"), {"tierId": tier_id, **self._setup_body(tier_id != "free-tier")})
        until = monotonic() + 120
        while not operation.get("done"):
            if not operation.get("name") or monotonic() > until:
                raise errors.TransportTimeout("Code Assist did not finish setting up this account. Try again in a few "
                                              "minutes.", reason="DEADLINE", retryable=True)
            retry.pause(min(5, post.deadline.left))
            operation = post(f"/{self.api_version}/{operation['name']}", None)
        return dict_or_empty(operation.get("response"))

    def _setup_body(self, with_project: bool = True) -> JSON:
        """The metadata of loadCodeAssist and onboardUser."""
        metadata = {"ideType": "IDE_UNSPECIFIED", "platform": "PLATFORM_UNSPECIFIED", "pluginType": "GEMINI"}
        if not (with_project and self.project):
            return {"metadata": metadata}
        return {"cloudaicompanionProject": self.project, "metadata": {**metadata, "duetProject": self.project}}


def _auth_of(credentials: Union[Auth, Callable[[], str], Secret, str, "os.PathLike[str]", None]) -> Auth:
    """Who is calling, by one of the forms that `credentials` may have."""
    if credentials is None or isinstance(credentials, (str, os.PathLike)):
        return OAuthCredentials(credentials)
    if hasattr(credentials, "ready"):
        return cast(Auth, credentials)
    return OAuthCredentials(token=credentials)


def _node_arch() -> str:
    """The processor by the name that Node gives it."""
    machine = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "unknown")
    names = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "i386": "ia32", "i686": "ia32", "x86": "ia32",
             "armv7l": "arm", "armv6l": "arm"}
    return names.get(machine.lower(), machine.lower())


_PLATFORM = sys.platform if sys.platform == "win32" else re.sub(r"\d+$", "", sys.platform)  # in Node's words
_ARCH = _node_arch()


def _project_id(value: Any) -> Optional[str]:
    """The id in loadCodeAssist's answer: a text, or an object that has it; never a project number."""
    value = value.get("id") if isinstance(value, dict) else value
    return value if isinstance(value, str) and value.isprintable() and value and not value.isdigit() else None


def _ineligible(tiers: Sequence[JSON]) -> errors.APIError:
    """The error for an account that Code Assist does not serve, in Google's words and with the next step."""
    said = ", ".join(str(tier["reasonMessage"]) for tier in tiers if tier.get("reasonMessage"))
    code = next((str(tier["reasonCode"]) for tier in tiers if tier.get("reasonCode")), None)
    link = next((str(tier["validationUrl"]) for tier in tiers if tier.get("validationUrl")), None)
    if link:
        step = f"Verify the account at {link} and try again."
    elif code in ("UNSUPPORTED_LOCATION", "UNKNOWN_LOCATION", "RESTRICTED_AGE", "RESTRICTED_NETWORK"):
        step = "This account cannot use Code Assist from here."
    else:
        step = "Code Assist serves holders of a Standard or Enterprise licence."
    message = said or "This account is not eligible for Code Assist."
    return errors.PermissionDeniedError(f"{message} {step} Everybody can use an API key: {errors.KEYS_PAGE}",
                                        reason=code)
