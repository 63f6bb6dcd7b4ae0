"""Every way a call can fail; `hints` says what to write instead of the names of other clients."""
from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

KEYS_PAGE = "https://aistudio.google.com/apikey"


class Quota(NamedTuple):
    """The limit that a call ran into; what the server did not say is None.

    `id` is Google's name of it, `value` how much is allowed, `unit` of what: "requests per day", "tokens per minute".
    """

    id: Optional[str]
    value: Optional[int]
    unit: Optional[str]


class GeminiError(Exception):
    """Any failure of a call; the fields hold what is known about it.

    ``code`` HTTP status, ``status`` its name in Google's words (``"RESOURCE_EXHAUSTED"``), ``reason`` the cause as a
    word (``"API_KEY_INVALID"``, ``"READ_TIMEOUT"``, ``"SAFETY"``), ``details`` Google's own list of dicts,
    ``retryable`` whether the same call may succeed later, ``retry_after`` seconds to wait when somebody said so,
    ``quota`` the limit that was reached, where Google says which (a `Quota`), ``request_id`` as the server named it,
    ``response`` the answer or the part of it that arrived, ``turns`` the contents that were not added to the history
    (``send_message(error.turns)`` goes on from there), ``tries`` how many requests were made for the call, those that
    never arrived too. ``job`` is the file, batch or interaction that was waited for, ``upload`` an `UploadState` for
    ``files.upload(resume=...)``, and ``embeddings`` the vectors that were there before a list failed.
    """

    tries = 0
    job: Any = None
    upload: Any = None
    embeddings: Any = None

    def __init__(
        self,
        message: str = "",
        *,
        code: Optional[int] = None,
        status: Optional[str] = None,
        reason: Optional[str] = None,
        details: Tuple[Dict[str, Any], ...] = (),
        retryable: bool = False,
        retry_after: Optional[float] = None,
        request_id: Optional[str] = None,
        response: Any = None,
        turns: Optional[List[Dict[str, Any]]] = None,
        quota: Optional[Quota] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.reason = reason
        self.details = list(details)
        self.retryable = retryable
        self.retry_after = retry_after
        self.request_id = request_id
        self.response = response
        self.turns = turns
        self.quota = quota


class CredentialsError(GeminiError):
    """No usable way to sign in; the message says which there are."""


class ConversationBusyError(GeminiError):
    """A conversation was used while it was sending: by a second thread, or by a tool that it runs."""


class TransportError(GeminiError):
    """The request or its answer did not get through."""


class TransportTimeout(TransportError):
    """Nothing came in time; ``reason`` is CONNECT_TIMEOUT, READ_TIMEOUT or DEADLINE."""


class APIError(GeminiError):
    """The server answered with an error."""


class BadRequestError(APIError):
    """4xx: the request itself is wrong and would fail again."""


class AuthenticationError(APIError):
    """401, or 400 for a key that is invalid or expired: the server does not know who is calling."""


class PermissionDeniedError(APIError):
    """403: the caller is known and may not do this."""


class NotFoundError(APIError):
    """404: no such model or resource for this caller."""


class RateLimitError(APIError):
    """429: too many requests for now."""


class QuotaExhaustedError(RateLimitError):
    """429: a quota that no short wait brings back (per day, ``limit: 0``, credits).

    ``retryable`` is False even where ``retry_after`` is set: Google sends a short delay with a daily quota too.
    """


class ServerError(APIError):
    """5xx: the server failed."""


class OverloadedError(ServerError):
    """503, or 429 for lack of capacity: the model has no room for the call now."""


class BlockedError(GeminiError):
    """The prompt or the answer was blocked; ``reason`` says why, ``response`` is the answer as it came."""


class IncompleteError(GeminiError):
    """The answer broke off, or the model wrote a call that nobody can run; ``response`` is what arrived."""


class JobFailedError(GeminiError):
    """What was waited for ended badly; ``job`` is the file, batch or interaction."""


class ParseError(GeminiError):
    """Something that should be JSON, or fit a schema, is not or does not."""


class ToolResultError(GeminiError, TypeError):
    """A tool ran, and its result cannot be sent; ``send_message(error.turns)`` goes on without running it again."""
