"""Google's token endpoint: a refresh token in, a renewed sign-in or the reason for a refusal out."""
from __future__ import annotations

import re
import socket
import time
from typing import Dict, Mapping, NamedTuple

import requests

from ..errors import CredentialsError, GeminiError
from ..json_data import number_or_none, str_or_none
from ..transport.body import blocks
from ..transport.deadline import Deadline, Timeout
from ..transport.error_body import error_from_response
from ..transport.session import forget_location, no_auth
from .oauth_client import OAuthClient
from .secret import Secret, check_secret, hides_frames
from .sign_in import HOW_TO_SIGN_IN, SignIn, parse_object

LARGEST_ANSWER = 1 << 20  # bytes


class _Answer(NamedTuple):
    code: int
    headers: Mapping[str, str]
    body: bytes


@hides_frames
def refresh(
    session: requests.Session, url: str, refresh_token: Secret, client: OAuthClient, timeout: Timeout,
) -> SignIn:
    """The renewed sign-in; its `json_text` holds what is new.

    CredentialsError if the endpoint refuses, another GeminiError if it is busy; the network's errors come as they are.
    """
    form = {"refresh_token": check_secret(refresh_token, "refresh token", HOW_TO_SIGN_IN).value,
            "client_id": client.id, "grant_type": "refresh_token"}
    if client.secret is not None:
        form["client_secret"] = check_secret(client.secret, "client secret", "leave it out if there is none").value
    answer = _post_form(session, url, form, timeout)
    data = parse_object(answer.body) or {}
    if answer.code != 200 or not data.get("access_token"):
        raise _refusal(answer)
    fields = {name: value for name, value in data.items() if not isinstance(value, (dict, list))}
    lifetime = number_or_none(fields.pop("expires_in", None))
    fields["expiry_date"] = None if lifetime is None else int((time.time() + lifetime) * 1000)
    fields["refresh_token"] = str_or_none(fields.get("refresh_token")) or refresh_token.value
    return SignIn.of_json({"access_token": data["access_token"], **fields})


def _post_form(session: requests.Session, url: str, form: Dict[str, str], timeout: Timeout) -> _Answer:
    """The answer to a form, which is there in time or not at all."""
    deadline = Deadline.after(max(timeout))
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    with session.post(url, data=form, headers=headers, timeout=timeout, allow_redirects=False, stream=True,
                      auth=no_auth, hooks={"response": forget_location}) as response:
        body = b""
        for block in blocks(response.raw, deadline):
            body += block
            if len(body) > LARGEST_ANSWER:
                break
            if deadline.expired:
                raise socket.timeout("the answer to the renewal of the token did not end in time")
        return _Answer(response.status_code, response.headers, body)


def _refusal(answer: _Answer) -> GeminiError:
    """The error for an answer that brings no token."""
    if answer.code == 429 or answer.code >= 500:
        return error_from_response(*answer)
    data = parse_object(answer.body) or {}
    reason, description = str(data.get("error") or ""), str(data.get("error_description") or "")
    words = ": ".join(filter(None, (reason, description)))[:300] or "nothing more"
    step = next(step for pattern, step in _NEXT_STEPS if re.search(pattern, words, re.IGNORECASE))
    return CredentialsError(f"The sign-in was not renewed (status {answer.code}, {words}). {step}", code=answer.code,
                            reason=reason or None)


_NEXT_STEPS = (  # a pattern for the words of the answer, and what to do; the first that fits
    ("reauth|rapt", f"Your organisation wants a fresh sign-in from time to time: {HOW_TO_SIGN_IN} again."),
    ("client_secret is missing",
     "Google wants the secret of this OAuth client too: give client_secret=..., or set GEMINI_LITE_OAUTH_CLIENT_SECRET "
     "beside GEMINI_LITE_OAUTH_CLIENT_ID."),
    ("invalid_client",
     "Google does not know this OAuth client, or its secret is another one: correct client_id and client_secret "
     "(GEMINI_LITE_OAUTH_CLIENT_ID, GEMINI_LITE_OAUTH_CLIENT_SECRET), or leave both out to use Gemini CLI's."),
    ("unauthorized_client",
     f"The sign-in was issued to another OAuth client, or this one may renew no more: {HOW_TO_SIGN_IN} again, or give "
     "the client_id and client_secret that issued it."),
    ("invalid_grant", f"The sign-in was revoked or has expired: {HOW_TO_SIGN_IN} again."),
    ("", f"Check token_uri and what stands between you and Google, then {HOW_TO_SIGN_IN} again."),
)
