"""What the reader of an error can do about it: the sentence after Google's own."""
from __future__ import annotations

from typing import Optional, Tuple

from ..errors import KEYS_PAGE

LIMITS_PAGE = "https://ai.google.dev/gemini-api/docs/rate-limits"


def next_step(code: int, words: str, link: str, terminal: bool) -> str:
    """One sentence, with its leading space, that says what the reader can do; empty if the server said it all.

    `words` are the error's reason, status and message; `link` is " at https://..." where Google names a page to go to;
    a `terminal` error is of a quota that no short wait brings back.
    """
    for row_code, row_words, step in _NEXT_STEPS:
        if row_code in (None, code) and row_words in words:
            return f" {step.replace('{link}', link)}"
    if 300 <= code < 400:
        return " Redirects are not followed, so that nobody else gets your key: check the base URL."
    if terminal:
        return f" This quota comes back later or with another plan: see {LIMITS_PAGE}"
    if code == 429:
        return f" Send less often, or later: see {LIMITS_PAGE}"
    if code >= 500:
        return " Try again later; if it stays so, send less, or use another model."
    return ""


_USE_A_KEY = f"an API key works for everybody: {KEYS_PAGE}"
_TOO_LARGE = ("Send less, or upload large media with the Files API and give the file in its place: "
              "client.generate([client.files.upload(path), ...])")
_NEXT_STEPS: Tuple[Tuple[Optional[int], str, str], ...] = (  # the first row whose code and words fit; {link} if given
    (401, "ACCESS_TOKEN_TYPE_UNSUPPORTED",
     "If you sent an API key: Google refuses old unrestricted keys with this misleading text. No OAuth token is "
     f"needed; make a new key at {KEYS_PAGE}"),
    (None, "API_KEY_EXPIRED", f"Make a new key at {KEYS_PAGE}"),
    (None, "API key expired", f"Make a new key at {KEYS_PAGE}"),
    (None, "API_KEY_INVALID", f"Check the key, or make a new one at {KEYS_PAGE}"),
    (403, "reported as leaked", f"Revoke that key and make a new one at {KEYS_PAGE}"),
    (None, "API_KEY_LEAKED", f"Revoke that key and make a new one at {KEYS_PAGE}"),
    (None, "CREDENTIALS_MISSING", "No key or token arrived: a proxy or gateway may have taken it out."),
    (403, "unregistered callers", "No key or token arrived: a proxy or gateway may have taken it out."),
    (None, "ACCESS_TOKEN_EXPIRED", "Sign in again."),
    (401, "API keys are not supported by this API",
     "If this is a key for Vertex AI in express mode: it must belong to a project with that API, and has generate, "
     "stream and count alone. Anything else takes VertexAI(project=..., credentials=...)."),
    (403, "requires a quota project",
     "Run `gcloud auth application-default set-quota-project PROJECT`, or set GOOGLE_CLOUD_QUOTA_PROJECT."),
    (403, "Permission 'aiplatform.", "Grant the role roles/aiplatform.user in that project to this account, and check "
                                     "that VertexAI(project=...) names the right one."),
    (403, "IAM_PERMISSION_DENIED", "Ask the project's administrator for a role that may do this, such as Vertex AI "
                                   "User (roles/aiplatform.user), and check the project and the location."),
    (403, "SERVICE_DISABLED", "Switch the API on for that project{link}, and check that the project is yours."),
    (None, "UNSUPPORTED_CLIENT", f"Code Assist serves licence holders only; {_USE_A_KEY}"),
    (None, "TOS_VIOLATION", "Google suspended this account's use of Code Assist. Stop here; you can appeal{link}. "
                            "Instead, " + _USE_A_KEY),
    (None, "VALIDATION_REQUIRED", "Verify your account{link} and try again."),
    (403, "SUBSCRIPTION_REQUIRED", "The project has no Code Assist licence for you: ask its administrator for one, or "
                                   "set GOOGLE_CLOUD_PROJECT to one that has; " + _USE_A_KEY),
    (403, "#3501", "The project has no Code Assist licence for you: ask its administrator for one, or set "
                   "GOOGLE_CLOUD_PROJECT to one that has; " + _USE_A_KEY),
    (403, "access the File ", "It says so in four cases: the file expired (48 hours) or was deleted, it belongs to "
                              "another key or project, its name is wrong, or the project's billing has a problem. "
                              "client.files.list() shows what this key can use."),
    (400, "not in an ACTIVE state", "Wait for it first: file = client.files.wait(file)"),
    (400, "Cached content is too small", "The first number is what the cache would have, the second the least that "
                                         "this model takes: cache more, use a model that takes less, or send it "
                                         "uncached."),
    (403, "CachedContent not found", "The cache expired or was deleted, belongs to another key or project, or its name "
                                     "is wrong: client.caches.list() shows those there are."),
    (400, "at most 100 requests", "Give client.embed the whole list: it splits it."),
    (404, "Publisher Model", "Check the model's name (client.models() lists Google's) and the location: newer models "
                             "are often in location='global' alone, and a preview may need access for the project."),
    (404, "an HTML page",
     "Check the base URL and, on Vertex AI, the location: one that does not exist has such a page."),
    (401, "", "Check the API key or sign in again."),
    (403, "", "Check that this key or account may use the model and the project."),
    (404, "models/", "Check the model's name: client.models() lists those that a key can use, and a licence may have "
                     "fewer."),
    (404, "", "Check the name of what was asked for (a licence may have fewer models than a key), and the base URL."),
    (400, "exceeds the maximum number of tokens", "Send less: client.count_tokens(prompt) tells the size beforehand."),
    (413, "", _TOO_LARGE),
    (400, "payload size exceeds", _TOO_LARGE),
    (None, "MODEL_CAPACITY", "The model has no room now: try again later, or use another model."),
    (503, "", "Try again later, or use another model."),
)
