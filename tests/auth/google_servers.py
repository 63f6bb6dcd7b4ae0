"""Google's token servers on loopback, files of credentials made on the spot, and a session that leads there."""
from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional
from urllib.parse import urlsplit

import pytest
import requests
import requests.adapters

from gemini_lite.testing import Answer, FakeGemini, Raw, Request

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ROBOT = "robot@sa-project.iam.gserviceaccount.com"
AUTHORIZED_USER = {"type": "authorized_user", "client_id": "cid", "client_secret": "csec", "refresh_token": "rtok",
                   "quota_project_id": "billed"}
METADATA = "/computeMetadata/v1/"


class Redirecting(requests.adapters.HTTPAdapter):
    """Sends what is for a host of Google's to the fake instead, and notes for which host it was."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.hosts: List[str] = []
        self.closed = False
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        self.hosts.append(str(parts.hostname))
        request.url = f"{self._url}{parts.path}{'?' + parts.query if parts.query else ''}"
        return super().send(request, *args, **kwargs)

    def close(self) -> None:
        self.closed = True
        super().close()


class Google:
    """What Google's token servers have: they give ``token-1``, ``token-2``, ... to all who ask.

    `requests` has the requests for tokens, in order; `answers` (by the last word of a path) go before the built-in
    ones, and are used up.
    """

    def __init__(self, fake: FakeGemini) -> None:
        self.requests: List[Request] = []
        self.answers: Dict[str, List[Answer]] = {}
        self.lifetime = 3600
        self._fake = fake
        fake.services.append(self._serve)
        self.session = requests.Session()
        self.adapter = Redirecting(fake.url)
        self.session.mount("https://", self.adapter)
        for host in ("metadata.google.internal", "169.254.169.254"):
            self.session.mount(f"http://{host}/", self.adapter)

    def token(self) -> str:
        return f"token-{len(self.requests)}"

    def _serve(self, request: Request) -> Optional[Answer]:
        path = urlsplit(request.path).path
        word = path.rstrip("/").split("/")[-1].split(":")[-1]
        built_in: Mapping[str, Callable[[], Any]] = {
            "token": lambda: {"access_token": self.token(), "expires_in": self.lifetime, "token_type": "Bearer",
                              "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"},
            "generateAccessToken": lambda: {"accessToken": self.token(), "expireTime": "2100-01-01T00:00:00Z"},
            "subject": lambda: {"id": "subject-from-url"},
            "project-id": lambda: "metadata-project",
            "universe-domain": lambda: "googleapis.com",
            "default": lambda: {"email": ROBOT, "scopes": [SCOPE], "aliases": ["default"]},
            "": lambda: "",
        }
        if word not in built_in and "default" not in path:
            return None
        self.requests.append(request)
        if self.answers.get(word):
            return self.answers[word].pop(0)
        return answer(built_in.get(word, built_in["default"])())


def answer(body: Any, status: int = 200) -> Raw:
    """An answer as a token server, or the metadata server, gives it."""
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "application/text" if isinstance(body, str) else "application/json"
    return Raw(text.encode(), status=status, headers={
        "Content-Type": kind, "Metadata-Flavor": "Google", "Content-Length": str(len(text))})


def new_key() -> str:
    """An RSA key in PEM, made with the openssl command."""
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return made.stdout.decode()


def service_account(key: str, token_uri: str = "https://oauth2.googleapis.com/token", **fields: str) -> Dict[str, str]:
    return {"type": "service_account", "project_id": "sa-project", "private_key_id": "kid", "private_key": key,
            "client_email": ROBOT, "token_uri": token_uri, **fields}


def workload_identity(source: Mapping[str, Any], **fields: Any) -> Dict[str, Any]:
    return {"type": "external_account", "token_url": "https://sts.googleapis.com/v1/token",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/prov",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": source, **fields}


def impersonation_url() -> str:
    return f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ROBOT}:generateAccessToken"


def write(path: Path, data: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(data))
    return path


def claims_of(assertion: str) -> Dict[str, Any]:
    """The claims of a JWT, not verified."""
    claims = assertion.split(".")[1]
    parsed: Dict[str, Any] = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return parsed
