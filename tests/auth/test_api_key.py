"""The laws of the API key."""
from __future__ import annotations

import requests
from auth.sign_ins import TIMEOUT

from gemini_lite.auth.api_key import APIKey


def test_a_key_goes_into_a_header_and_needs_no_network(session: requests.Session) -> None:
    key = APIKey(" made-up-key\n")
    key.ready(session, TIMEOUT)
    request = requests.Request("GET", "http://127.0.0.1/", auth=key).prepare()
    assert request.headers["x-goog-api-key"] == "made-up-key" and "made-up-key" not in str(request.url)
    assert key.renew(session, TIMEOUT) is False
