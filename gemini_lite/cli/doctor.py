"""The doctor command: shows who is signed in, where requests go and whether Gemini answers, and never a secret."""
from __future__ import annotations

import os
import platform
import ssl
import stat
import time
from importlib import metadata
from typing import Callable, ContextManager, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from ..auth.oauth import OAuthCredentials
from ..auth.oauth_client import find_installed_client
from ..auth.sign_in import SignInFile, default_path
from ..backends.base import Backend
from ..backends.code_assist import CodeAssist
from ..backends.vertex import VertexAI
from ..client import GeminiClient
from ..errors import APIError, GeminiError, TransportError
from ..version import __version__
from . import saved
from .writers import escape_controls

_VARIABLES = (  # of the environment, which change where a request goes; only their names are shown
    "GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE",
    "GOOGLE_CLOUD_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT", "GOOGLE_VERTEX_BASE_URL",
    "GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_ACCESS_TOKEN", "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_PROJECT_ID", "GEMINI_CLI_HOME", "GEMINI_LITE_OAUTH_CLIENT_ID", "GEMINI_LITE_OAUTH_CLIENT_SECRET",
    "GEMINI_MODEL", "GOOGLE_GEMINI_BASE_URL", "CODE_ASSIST_ENDPOINT", "CODE_ASSIST_API_VERSION", "GEMINI_LITE_HOME",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)
Rows = Iterator[Tuple[str, str]]  # (heading, text); an empty heading goes on with the one above


def run_doctor(open_client: Callable[[], ContextManager[GeminiClient]], *, is_demo: bool = False) -> int:
    """Print what is found, line by line, and make one call; 0 if it was answered and all is well, else 1."""
    for heading, text in (*_version_rows(), *_environment_rows()):
        _print_row(heading, text)
    try:
        with open_client() as client:
            for heading, text in _backend_rows(client.backend, is_demo):
                _print_row(heading, text)
            return 0 if _make_test_call(client) else 1
    except (GeminiError, ValueError) as error:  # nobody is signed in, or a setting cannot be used
        _print_row("sign-in", f"FAILED: {error}")
        return 1


def _print_row(heading: str, text: str) -> None:
    print(f"{heading:14}{escape_controls(' '.join(text.split()))}", flush=True)


def _version_rows() -> Rows:
    yield "gemini-lite", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield "packages", ", ".join(f"{name} {_package_version(name)}" for name in ("requests", "urllib3", "rich"))
    yield "TLS", ssl.OPENSSL_VERSION


def _package_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _environment_rows() -> Rows:
    """The settings and files that decide who signs in, also those that are not used."""
    names = [name for name, value in sorted(os.environ.items()) if value and (
        name in _VARIABLES or name.upper() in _VARIABLES and name.endswith("_proxy"))]
    yield "environment", f"set: {', '.join(names)}" if names else "nothing is set that concerns Gemini"
    keys = [os.environ.get(name, "").strip() for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY")]
    if all(keys) and keys[0] != keys[1]:
        yield "", "GOOGLE_API_KEY and GEMINI_API_KEY differ: the first is used; unset one"
    use_code_assist = os.environ.get("GOOGLE_GENAI_USE_GCA")
    if use_code_assist and use_code_assist != "true":
        yield "", "GOOGLE_GENAI_USE_GCA chooses Code Assist if it is 'true', and is something else: it is not heeded"
    path = default_path()
    if path.exists():
        unused = "" if use_code_assist == "true" else \
            ", which is not used: GOOGLE_GENAI_USE_GCA=true would choose it"
        yield "file", f"{path}, a sign-in of Gemini CLI{unused}"
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield "", f"others on this machine may open that file: chmod 600 {path}"
    yield "conversations", f"{len(saved.names())} saved in {saved.folder()}"


def _backend_rows(backend: Backend, is_demo: bool) -> Rows:
    """Where requests go, and why."""
    urls = [urlsplit(url) for url in backend.endpoints]
    hosts = ", ".join(f"{url.scheme}://{url.netloc}" for url in urls)
    if isinstance(backend, CodeAssist):
        yield "backend", f"Code Assist, because GOOGLE_GENAI_USE_GCA=true, at {hosts}"
        if isinstance(backend.auth, OAuthCredentials):
            yield from _sign_in_rows(backend.auth)
    elif isinstance(backend, VertexAI):
        where = ", ".join(f"{name} {value}" for name, value in (("project", backend.project),
                                                                ("location", backend.location)) if value)
        yield "backend", f"Vertex AI{f' ({where})' if where else ''}, at {hosts}"
        describe = getattr(backend.auth, "describe", None)
        if describe is not None:
            yield "credentials", describe()
    else:
        key = "GOOGLE_API_KEY" if os.environ.get("GOOGLE_API_KEY") else "GEMINI_API_KEY"
        reason = "as a demo" if is_demo else f"because {key} is set"
        yield "backend", f"the Gemini Developer API, {reason}, at {hosts}"
    model = os.environ.get("GEMINI_MODEL")
    yield "model", f"{model}, from GEMINI_MODEL" if model else f"{backend.default_model}, the default"
    yield "proxy", _describe_proxy(backend.endpoints[0])
    bundle = next((os.environ[name] for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if bundle:
        yield "CA bundle", bundle if os.path.exists(bundle) else f"{bundle}, which is NOT THERE: correct or unset it"


def _sign_in_rows(credentials: OAuthCredentials) -> Rows:
    if credentials.path is None:
        yield "sign-in", "an access token of your own"
        return
    sign_in = SignInFile(credentials.path).read()
    renewal = "can be renewed" if sign_in.refresh_token else "CANNOT be renewed: sign in again"
    yield "sign-in", f"{credentials.path}; the token {_describe_expiry(sign_in.expires)}, and {renewal}"
    if credentials.client_id is None and sign_in.client is None:
        yield "OAuth client", "that of the installed Gemini CLI" if find_installed_client() else (
            "NOT FOUND: to renew tokens, install Gemini CLI or set GEMINI_LITE_OAUTH_CLIENT_ID and _SECRET")


def _describe_expiry(expires: Optional[float]) -> str:
    """How long a token still holds; `expires` is in seconds since 1970."""
    if expires is None:
        return "has no date of expiry"
    seconds_left = expires - time.time()
    return f"holds for {int(seconds_left / 60)} minutes" if seconds_left > 0 else "has expired"


def _describe_proxy(url: str) -> str:
    """The proxy for `url`, without the user and password that its own URL may hold; errors of urlsplit show them."""
    proxy = select_proxy(url, get_environ_proxies(url))
    return proxy.rpartition("@")[2].rpartition("//")[2].partition("/")[0] if proxy else "none"


def _make_test_call(client: GeminiClient) -> bool:
    """Make one call that costs nothing and print how it went; whether it was answered and GEMINI_MODEL exists."""
    started = time.monotonic()
    try:
        answer, models = _describe_models(client)
    except GeminiError as error:
        _print_row("answer", f"FAILED at {_failed_step(error)}: {error}")
        return False
    _print_row("answer", f"OK: {answer}, in {time.monotonic() - started:.1f} s")
    model = os.environ.get("GEMINI_MODEL", "")
    if models and model and f"models/{model}" not in models and model not in models:
        _print_row("model", f"FAILED: GEMINI_MODEL names {model}, which is not among them: see gemini-lite models")
        return False
    return True


def _describe_models(client: GeminiClient) -> Tuple[str, List[str]]:
    """How many models there are, in words, and their names; Code Assist lists only those with a quota, unnamed."""
    if isinstance(client.backend, CodeAssist):
        return f"models with a quota: {len(client.quota())}", []
    if isinstance(client.backend, VertexAI):  # its list takes other rights than a prompt does
        return f"a prompt was counted: {client.count_tokens('Hi')} tokens", []
    names = [str(model.get("name")) for model in client.models()]
    return f"models: {len(names)}", names


def _failed_step(error: GeminiError) -> str:
    """The step of a call that failed: the name look-up, the connection, TLS, the sign-in..."""
    if isinstance(error, APIError):
        return f"the HTTP status {error.code}"
    if not isinstance(error, TransportError):
        return "the sign-in" if error.code is None else f"the sign-in (status {error.code})"
    message = str(error) if error.reason == "CONNECTION" else ""  # it holds the class name of the cause
    if "gaierror" in message or "NameResolution" in message:
        return "the name (DNS)"
    if "SSL" in message:
        return "TLS"
    return {"TLS": "TLS", "PROXY": "the proxy", "CONNECTION": "the connection (TCP)",
            "CONNECT_TIMEOUT": "the connection (TCP)"}.get(error.reason or "", "the answer (HTTP)")
