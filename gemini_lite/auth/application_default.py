"""Where Google credentials are found: a file, or Application Default Credentials, by means of google-auth."""
from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..errors import CredentialsError
from ..json_data import str_or_none
from .google_errors import NO_GOOGLE_AUTH
from .google_request import GoogleRequest

GoogleObject = Any  # credentials of google-auth, known by their methods: that package need not be there
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


class Found(NamedTuple):
    """Credentials (an object of google-auth) and the project they name, if they do."""

    credentials: GoogleObject
    project: Optional[str]


def find(path: Optional[Path], project_is_known: bool, request: GoogleRequest) -> Found:
    """The credentials in the file at `path`, or those that google-auth finds; may use the network and run gcloud.

    CredentialsError without google-auth; its own errors come as they are.
    """
    auth = _google_auth()
    if path is None and project_is_known:
        path = _default_credentials_file()  # google.auth.default() would run gcloud for a second to ask for the project
    if path is None:
        return Found(*auth.default(scopes=[CLOUD_PLATFORM], request=request))
    with warnings.catch_warnings():  # newer releases advise against files from strangers; this one the user names
        warnings.simplefilter("ignore", DeprecationWarning)
        return Found(*auth.load_credentials_from_file(
            os.path.expanduser(path), scopes=[CLOUD_PLATFORM], request=request))


def with_scope(credentials: GoogleObject) -> GoogleObject:
    """`credentials`, or a copy with the scope of Google Cloud if they need one and have none."""
    if getattr(credentials, "requires_scopes", False) and hasattr(credentials, "with_scopes"):
        return credentials.with_scopes([CLOUD_PLATFORM])
    return credentials


def with_quota_project(credentials: GoogleObject) -> GoogleObject:
    """`credentials`, or a copy that bills GOOGLE_CLOUD_QUOTA_PROJECT if they name no quota project themselves."""
    project = os.environ.get("GOOGLE_CLOUD_QUOTA_PROJECT")
    if project and not getattr(credentials, "quota_project_id", None) and hasattr(credentials, "with_quota_project"):
        return credentials.with_quota_project(project)
    return credentials


def with_universe(credentials: GoogleObject, request: GoogleRequest) -> GoogleObject:
    """`credentials`, which know their universe domain; a machine's are asked for it over our session.

    google-auth would ask over a session of its own, and with its own timeouts, when the domain is first read.
    """
    if getattr(credentials, "_universe_domain_cached", True) or not hasattr(credentials, "with_universe_domain"):
        return credentials
    metadata = importlib.import_module("google.auth.compute_engine._metadata")
    return credentials.with_universe_domain(metadata.get_universe_domain(request))


def with_own_jwt(credentials: GoogleObject) -> GoogleObject:
    """`credentials`, which sign their tokens themselves if they are meant to; google-auth up to 2.23 left it to us."""
    if getattr(credentials, "_always_use_jwt_access", False) and getattr(credentials, "_jwt_credentials", "") is None:
        credentials._create_self_signed_jwt(None)
    return credentials


def universe_of(credentials: GoogleObject) -> str:
    """The domain of the cloud that `credentials` belong to: ``googleapis.com``, or a partner's."""
    return str_or_none(getattr(credentials, "universe_domain", None)) or "googleapis.com"


def _google_auth() -> Any:
    try:
        return importlib.import_module("google.auth")
    except ImportError:
        pass
    raise CredentialsError(NO_GOOGLE_AUTH, reason="NO_GOOGLE_AUTH")


def _default_credentials_file() -> Optional[Path]:
    """The file of GOOGLE_APPLICATION_CREDENTIALS, or the one that gcloud writes, if there is one."""
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return Path(named)
    folder = os.environ.get("CLOUDSDK_CONFIG")
    if not folder and sys.platform == "win32":
        folder = os.path.join(os.environ.get("APPDATA") or os.path.expanduser("~"), "gcloud")
    path = Path(folder or os.path.expanduser("~/.config/gcloud"), "application_default_credentials.json")
    return path if path.is_file() else None
