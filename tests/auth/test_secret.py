"""The laws of keys and tokens: which are refused, and that nothing shows one."""
from __future__ import annotations

import copy
import http.client
import pickle
import traceback
from typing import Any, Callable, List, Optional

import pytest
import requests
import urllib3.exceptions

from gemini_lite import OAuthCredentials
from gemini_lite.auth.api_key import APIKey
from gemini_lite.auth.secret import Secret, as_secret, hides_frames
from gemini_lite.errors import CredentialsError


@pytest.mark.parametrize("make", [APIKey, lambda value: OAuthCredentials(token=value)])
@pytest.mark.parametrize("value", ["", " \n", "two words", "lin\ne", "schlüssel", 5, b"bytes"])
def test_what_no_header_can_carry_is_refused_at_once(make: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(CredentialsError) as caught:
        make(value)
    assert "schl" not in str(caught.value)
    assert "copy it again" in str(caught.value) or "aistudio" in str(caught.value) or "sign in" in str(caught.value)


def test_an_empty_key_is_told_where_keys_are_made_and_an_empty_token_is_not() -> None:
    with pytest.raises(CredentialsError, match="aistudio"):
        APIKey("")
    with pytest.raises(CredentialsError) as caught:
        OAuthCredentials(token="")
    assert "aistudio" not in str(caught.value) and "sign in" in str(caught.value)


@pytest.mark.parametrize("make", [
    lambda: OAuthCredentials("x"), lambda: OAuthCredentials(token="x"), lambda: APIKey("x"), lambda: Secret("x")])
@pytest.mark.parametrize("spread", [pickle.dumps, copy.deepcopy])
def test_what_holds_secrets_is_not_pickled_and_says_so(
    make: Callable[[], Any], spread: Callable[[Any], Any],
) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        spread(make())


@pytest.mark.parametrize("value", ["made-up", Secret("made-up")])
def test_a_text_becomes_a_secret_and_a_secret_stays_one(value: Any) -> None:
    assert as_secret(value) == Secret("made-up") != Secret("other") and as_secret(None) is None
    assert Secret("made-up") != "made-up" and len({as_secret(value), Secret("made-up")}) == 1


@hides_frames
def fail(error: BaseException, cause: Any = None) -> None:
    """Raise `error` with secrets in plain variables, here and where its cause comes from."""
    plain = "in the open"
    try:
        raise cause or ValueError(plain[:0])
    except BaseException:
        raise error


def frames(error: Optional[BaseException]) -> List[str]:
    return [frame.name for frame in traceback.extract_tb(error and error.__traceback__)]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), CredentialsError("x")], ids=repr)
def test_what_a_function_that_hides_frames_raises_has_none_of_them(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        fail(error)
    assert caught.value is error and "fail" not in frames(error)
    assert isinstance(error.__context__, ValueError) and frames(error.__context__) == []


def test_the_callers_own_exception_keeps_its_frames() -> None:
    try:
        raise KeyError("the caller's")
    except KeyError as caught:
        handled = caught
        with pytest.raises(ValueError):
            fail(ValueError("x"))
    assert frames(handled) == ["test_the_callers_own_exception_keeps_its_frames"]


def test_an_error_of_requests_loses_the_request_and_what_arrived_of_the_answer() -> None:
    request = requests.Request("POST", "http://127.0.0.1/", data="in the open").prepare()
    partial = http.client.IncompleteRead(b"in the open", 5)
    lost = requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("cut", partial), request=request)
    with pytest.raises(requests.exceptions.ConnectionError) as caught:
        fail(lost)
    assert caught.value is lost and lost.request is None and partial.partial == b"" and partial.args == ()
