"""What went wrong with Google credentials, said with the next step."""
from __future__ import annotations

import re
from typing import Iterator, List, Optional

from ..errors import CredentialsError, GeminiError

LOGIN = "gcloud auth application-default login"
HOW_TO_SIGN_IN = (
    f"run `{LOGIN}`, set GOOGLE_APPLICATION_CREDENTIALS to a credentials file, or give "
    "VertexAI(credentials=...); for a key of Vertex AI in express mode VertexAI(api_key=...)"
)
NO_GOOGLE_AUTH = (
    "To find and use Google credentials the package google-auth is needed: pip install 'gemini_lite[vertex]'. Without "
    "it give VertexAI(credentials=...) a function that returns an access token, or VertexAI(api_key=...)."
)


def explain(error: BaseException) -> GeminiError:
    """The error for what credentials raised: ours if ours is among its causes, else a CredentialsError."""
    for cause in _causes(error):
        if isinstance(cause, GeminiError):
            return cause
    told = [item for item in error.args[:2] if isinstance(item, (str, Exception))]  # not the answer of a server
    words = ": ".join(str(item).strip().rstrip(".") for item in told)[:300] or type(error).__name__
    if type(error).__name__ == "DefaultCredentialsError" and "not found" in words and "File" not in words:
        return CredentialsError(f"No Google credentials were found: {HOW_TO_SIGN_IN}.", reason="NO_CREDENTIALS")
    step = next(step for pattern, step in _NEXT_STEPS if re.search(pattern, words, re.IGNORECASE | re.DOTALL))
    return CredentialsError(f"The Google credentials gave no token ({type(error).__name__}: {words}). {step}",
                            reason=_reason(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what led to it; google-auth keeps causes in ``args`` too."""
    chain: List[BaseException] = [error]
    for item in chain:
        yield item
        for cause in (item.__cause__, item.__context__, *item.args):
            if isinstance(cause, BaseException) and cause not in chain:
                chain.append(cause)


def _reason(error: BaseException) -> Optional[str]:
    """The OAuth error code that google-auth keeps of the answer, such as ``invalid_grant``."""
    answer = next((item for item in error.args[1:] if isinstance(item, dict)), {})
    code = answer.get("error")
    return code if isinstance(code, str) else None


_NEXT_STEPS = (  # a pattern for google-auth's words, and what to do; the first that fits
    ("reauth|rapt", f"Your organisation wants a fresh sign-in from time to time: run `{LOGIN}` again."),
    ("unable to acquire impersonated|getAccessToken",
     "Grant the role roles/iam.serviceAccountTokenCreator on the service account to whoever impersonates it, and "
     "switch the IAM Service Account Credentials API on."),
    ("invalid_scope|scope", "Make the credentials for the scope https://www.googleapis.com/auth/cloud-platform."),
    ("invalid_grant.*(jwt|signature|account not found)",
     "The key of this service account was deleted, belongs to another account, or the clock of this machine is wrong: "
     "check the clock, then make a new key."),
    ("invalid_grant|token has been expired or revoked|invalid_rapt",
     f"The sign-in was revoked or has expired: run `{LOGIN}` again."),
    ("invalid_client|unauthorized_client|deleted_client",
     f"Google does not know the OAuth client of this credentials file: run `{LOGIN}` again."),
    ("do not contain the necessary fields|refresh_token",
     "These credentials are a mere access token, which has expired or was refused: give credentials that can be "
     f"renewed ({HOW_TO_SIGN_IN})."),
    ("was not found|not a valid json|valid type|failed to load|deserialize|malformed|PEM",
     f"Check the credentials file (GOOGLE_APPLICATION_CREDENTIALS), or {HOW_TO_SIGN_IN}."),
    ("metadata|compute engine",
     "Check that a service account is attached to this machine, and that its access scopes include cloud-platform."),
    ("subject token|executable|audience|sts|oauth token exchange",
     "Check the workload identity configuration: its source of the subject token, its audience and its provider."),
    ("", f"Check these credentials, or {HOW_TO_SIGN_IN}."),
)
