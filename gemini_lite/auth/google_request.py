"""How google-auth reaches the network through our session: the transport object that its credentials ask for."""
from __future__ import annotations

import socket
from typing import Any, Dict, Mapping, NamedTuple, Optional
from urllib.parse import urlsplit

import requests

from ..errors import GeminiError, TransportError
from ..transport.body import blocks
from ..transport.deadline import Deadline, Timeout
from ..transport.error_body import error_from_response
from ..transport.failures import NETWORK_ERRORS, failure_of, host_of
from ..transport.running import current_call
from ..transport.session import forget_location, no_auth

LARGEST_ANSWER = 1 << 20  # bytes
_NOT_THERE = 503  # what a ping of the metadata server gets that nothing answers
_BUSY = frozenset((408, 429, 500, 502, 503, 504))


class Answer(NamedTuple):
    """An HTTP answer, with the attributes that google-auth reads."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class GoogleRequest:
    """What google-auth calls a Request: sends the calls of its credentials over our session, within a deadline.

    google-auth's own closes the session that it was given, and waits up to two minutes for each answer. Failures of
    the network, and statuses that ask for another try, are raised as `GeminiError`: google-auth lets these through, so
    that they are tried again by our rules and within the deadline, not by its own sleeps.
    """

    def __init__(self, session: requests.Session, timeout: Timeout, deadline: Deadline) -> None:
        self._session, self._timeout, self._deadline = session, timeout, deadline

    def __call__(
        self, url: str, method: str = "GET", body: Any = None, headers: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None, **others: object,
    ) -> Answer:
        """The answer to one HTTP request; `timeout` in seconds may shorten the deadline, never lengthen it."""
        given = self._timeout if timeout is None else (min(self._timeout[0], timeout), min(self._timeout[1], timeout))
        limits = self._deadline.cap(given)
        is_ping = urlsplit(url).path in ("", "/")  # whether there is a metadata server
        failure: GeminiError
        try:
            answer = self._exchange(url, method, body, headers or {}, limits, self._deadline.earlier(max(limits)))
        except NETWORK_ERRORS as error:
            failure = failure_of(error, url, current_call() or self._deadline.start())
        else:
            if is_ping or answer.status not in _BUSY:
                return answer
            failure = error_from_response(*answer)
        if is_ping and not self._deadline.expired:
            return Answer(_NOT_THERE, {}, b"")  # google-auth would try twice more, with sleeps in between
        raise failure

    def __deepcopy__(self, memo: Dict[int, object]) -> GoogleRequest:
        """google-auth copies it for a thread of its own, which would use the session at any time."""
        raise TypeError("the requests of credentials belong to the call that needs them, and are not copied")

    def _exchange(
        self, url: str, method: str, body: Any, headers: Mapping[str, str], timeout: Timeout, deadline: Deadline,
    ) -> Answer:
        # Credentials of a machine are fetched from the machine itself: a proxy would hand out its own.
        local = any(name.lower() == "metadata-flavor" for name in headers)
        proxies: Any = {"http": None, "https": None} if local else None
        with self._session.request(method, url, data=body, headers=dict(headers), timeout=timeout, proxies=proxies,
                                   allow_redirects=False, stream=True, auth=no_auth,
                                   hooks={"response": forget_location}) as response:
            data = b""
            for block in blocks(response.raw, deadline):
                data += block
                if len(data) > LARGEST_ANSWER:
                    raise TransportError(f"{host_of(url)} answered a request for a token with more than "
                                         f"{LARGEST_ANSWER} bytes. Check what stands between you and Google.",
                                         reason="TOO_LARGE")
                if deadline.expired:
                    raise socket.timeout("the answer did not end in time")
            return Answer(response.status_code, response.headers, data)
