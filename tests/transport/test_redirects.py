"""Redirects are errors."""
from __future__ import annotations

from typing import List

import pytest
import requests
from transport.served import Client, endless

from gemini_lite import APIError
from gemini_lite.testing import FakeGemini


@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_a_redirect_is_an_error_and_never_followed(
        fake: FakeGemini, client: Client, no_sleep: List[float], code: int, own: bool) -> None:
    with FakeGemini() as other, requests.Session() as session:
        fake.raw(b"moved", status=code, headers={"Location": other.url + "/v1beta/models/m:generateContent",
                                                 "Content-Length": "0" if code == 304 else "5"})
        with pytest.raises(APIError, match="edirect") as caught:
            client(fake, session=None if own else session).generate("Hi")
        assert other.requests == []
    assert caught.value.code == code and not caught.value.retryable
    assert len(fake.requests) == 1 and no_sleep == []


@pytest.mark.parametrize("location", ["http://", "http://[::1", "//", "http://127.0.0.1:99999/x", "ftp://x/", "",
                                      "\xff", "javascript:alert(1)", "http://user:pw@127.0.0.1:1/"])
@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
@pytest.mark.parametrize("method", ["generate", "stream"])
def test_a_malformed_location_is_an_error_like_any_redirect(
        fake: FakeGemini, client: Client, no_sleep: List[float], location: str, own: bool, method: str) -> None:
    fake.raw(status=302, headers={"Location": location, "Content-Length": "0"})
    with requests.Session() as session, pytest.raises(APIError) as caught:
        getattr(client(fake, session=None if own else session), method)("Hi")
    assert caught.value.code == 302 and len(fake.requests) == 1 and no_sleep == []


@pytest.mark.parametrize("own", [True, False], ids=["own session", "given session"])
def test_the_body_of_a_redirect_is_read_to_the_limit_alone(client: Client, own: bool) -> None:
    with FakeGemini(endless(b"x" * 10000, 302, {"Location": "http://127.0.0.1:1/"})) as fake:
        with requests.Session() as session, pytest.raises(APIError) as caught:
            client(fake, session=None if own else session, max_error_bytes=50000).generate("Hi")
    assert caught.value.code == 302
