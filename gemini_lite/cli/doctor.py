"""Who is signed in, where that leads, and whether Gemini answers; never a secret."""
from __future__ import annotations

import os
import platform
import ssl
import stat
import time
from importlib import metadata
from typing import Any, Callable, ContextManager, Iterator, List, Optional, Tuple
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from ..auth.sign_in import SignInFile, default_path, oauth_client
from ..backends.code_assist import CodeAssist
from ..client import GeminiClient
from ..errors import APIError, GeminiError, TransportError
from ..version import __version__
from . import saved
from .printer import printable

_NAMES = (  # what changes who is asked, and how; their values are not shown
    "GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_GCA", "GOOGLE_CLOUD_ACCESS_TOKEN", "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_PROJECT_ID", "GEMINI_CLI_HOME", "GEMINI_LITE_OAUTH_CLIENT_ID", "GEMINI_LITE_OAUTH_CLIENT_SECRET",
    "GEMINI_MODEL", "GOOGLE_GEMINI_BASE_URL", "CODE_ASSIST_ENDPOINT", "CODE_ASSIST_API_VERSION", "GEMINI_LITE_HOME",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)


def examine(connect: Callable[[], ContextManager[GeminiClient]], demo: bool = False) -> int:
    """Print what is found, line by line; 0 if a call was answered, else 1."""
    for name, text in (*_versions(), *_surroundings()):
        _print(name, text)
    try:
        with connect() as client:
            backend = client.backend
            for name, text in _backend(backend, demo):
                _print(name, text)
            problem = _asked(client, backend)
    except (GeminiError, ValueError) as error:  # nobody is signed in, or a setting is of no use
        _print("sign-in", f"FAILED: {error}")
        return 1
    return 0 if problem is None else 1


def _print(name: str, text: str) -> None:
    print(f"{name:14}{printable(' '.join(text.split()))}", flush=True)


def _versions() -> Iterator[Tuple[str, str]]:
    yield "gemini-lite", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield "packages", ", ".join(f"{name} {_version(name)}" for name in ("requests", "urllib3", "rich"))
    yield "TLS", ssl.OPENSSL_VERSION


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _surroundings() -> Iterator[Tuple[str, str]]:
    """What may decide who signs in, used or not."""
    names = [name for name, value in sorted(os.environ.items()) if value and (
        name in _NAMES or name.upper() in _NAMES and name.endswith("_proxy"))]
    yield "environment", (f"set: {', '.join(names)}") if names else "nothing is set that concerns Gemini"
    keys = [os.environ.get(name, "").strip() for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY")]
    if all(keys) and keys[0] != keys[1]:
        yield "", "GOOGLE_API_KEY and GEMINI_API_KEY differ: the first is used; unset one"
    wish = os.environ.get("GOOGLE_GENAI_USE_GCA")
    if wish and wish != "true":
        yield "", "GOOGLE_GENAI_USE_GCA chooses Code Assist if it is 'true', and is something else: it is not heeded"
    path = default_path()
    if path.exists():
        yield "file", "%s, a sign-in of Gemini CLI%s" % (path, "" if wish == "true" else ", which is not used: "
                                                         "GOOGLE_GENAI_USE_GCA=true would choose it")
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield "", f"others on this machine may open that file: chmod 600 {path}"
    yield "conversations", f"{len(saved.names())} saved in {saved.folder()}"


def _backend(backend: Any, demo: bool) -> Iterator[Tuple[str, str]]:
    """Where the sign-in leads, and why."""
    hosts = ["%s://%s" % urlsplit(url)[:2] for url in backend.endpoints]
    if isinstance(backend, CodeAssist):
        yield "backend", f"Code Assist, because GOOGLE_GENAI_USE_GCA=true, at {', '.join(hosts)}"
        yield from _sign_in(backend.auth)
    else:
        key = "GOOGLE_API_KEY" if os.environ.get("GOOGLE_API_KEY") else "GEMINI_API_KEY"
        yield "backend", "the Gemini Developer API, %s, at %s" % (
            "as a demo" if demo else "because %s is set" % key, ", ".join(hosts))
    yield "model", "%s, %s" % (os.environ.get("GEMINI_MODEL") or backend.default_model,
                               "from GEMINI_MODEL" if os.environ.get("GEMINI_MODEL") else "the default")
    yield "proxy", _proxy(backend.endpoints[0])
    bundle = next((os.environ[name] for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if bundle:
        yield "CA bundle", bundle + ("" if os.path.exists(bundle) else ", which is NOT THERE: correct or unset it")


def _sign_in(auth: Any) -> Iterator[Tuple[str, str]]:
    if auth.path is None:
        yield "sign-in", "an access token of your own"
        return
    saved = SignInFile(auth.path).read()
    expires = saved.get("expiry_date")
    left = (expires / 1000 - time.time()) if isinstance(expires, (int, float)) else None
    yield "sign-in", "%s; the token %s, and %s" % (
        auth.path, "has no date of expiry" if left is None else "holds for %d minutes" % (left / 60) if left > 0
        else "has expired", "can be renewed" if saved.get("refresh_token") else "CANNOT be renewed: sign in again")
    if auth.client_id is None and not saved.get("client_id"):
        yield "OAuth client", "that of the installed Gemini CLI" if oauth_client() else (
            "NOT FOUND: to renew tokens, install Gemini CLI or set GEMINI_LITE_OAUTH_CLIENT_ID and _SECRET")


def _proxy(url: str) -> str:
    """The proxy for `url`, without the user and password that may stand in its own."""
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return "none"
    parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return parts.netloc.rpartition("@")[2]


def _asked(client: GeminiClient, backend: Any) -> Optional[str]:
    """Make one cheap call, and say how it went; what is wrong, or None."""
    started = time.monotonic()
    problem = None
    try:
        said, models = _answer(client, backend)
        _print("answer", f"OK: {said}, in {time.monotonic() - started:.1f} s")
        model = os.environ.get("GEMINI_MODEL", "")
        if models and model and f"models/{model}" not in models and model not in models:
            problem = f"GEMINI_MODEL names {model}, which is not among them: see gemini-lite models"
            _print("model", f"FAILED: {problem}")
    except GeminiError as error:
        problem = str(error)
        _print("answer", f"FAILED at {_layer(error)}: {problem}")
    return problem


def _answer(client: GeminiClient, backend: Any) -> Tuple[str, List[str]]:
    if isinstance(backend, CodeAssist):
        return f"models with a quota: {len(client.quota())}", []
    models = [str(model.get("name")) for model in client.models()]
    return f"models: {len(models)}", models


def _layer(error: GeminiError) -> str:
    """How far the call got."""
    if isinstance(error, APIError):
        return f"the HTTP status {error.code}"
    if not isinstance(error, TransportError):
        return "the sign-in" if error.code is None else f"the sign-in (status {int(error.code)})"
    root = str(error) if error.reason == "CONNECTION" else ""  # which the error names by its class
    if "gaierror" in root or "NameResolution" in root:
        return "the name (DNS)"
    if "SSL" in root:
        return "TLS"
    return {"TLS": "TLS", "PROXY": "the proxy", "CONNECTION": "the connection (TCP)",
            "CONNECT_TIMEOUT": "the connection (TCP)"}.get(str(error.reason), "the answer (HTTP)")
