"""Keys and tokens that no repr, log, pickle or traceback shows."""
from __future__ import annotations

import functools
import http.client
import sys
from typing import Callable, List, Optional, TypeVar, Union, cast

import requests

from ..errors import CredentialsError

Function = TypeVar("Function", bound=Callable[..., object])


class Secret:
    """A key or token that no repr, log or pickle shows; `value` is the text itself."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled: sign in again where it is needed")


def as_secret(value: Union[str, Secret, None]) -> Optional[Secret]:
    """`value` as a Secret, None for None.

    Call it first in a function that takes one: tracebacks with locals show an argument that stays a string.
    """
    return value if value is None or isinstance(value, Secret) else Secret(value)


def hides_frames(function: Function) -> Function:
    """`function`, whose frames no traceback shows: what it raises has none of them, nor of what it called.

    It may then have secrets in plain local variables. Its arguments and its result are seen, and must be `Secret`.
    """
    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        handled = sys.exc_info()[1]  # the caller's exception, if it calls this while handling one
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            _drop_frames(error, handled)
            raise error  # not a bare `raise`, which before Python 3.11 brings the frames back
    return cast(Function, call)


@hides_frames
def check_secret(secret: Optional[Secret], name: str, next_step: str) -> Secret:
    """`secret`, stripped, if a header can carry it, else CredentialsError; `next_step` says where to get one."""
    if secret is None or not isinstance(secret.value, str):
        kind = type(secret and secret.value).__name__
        raise CredentialsError(f"the {name} must be a string, not {kind}: {next_step}")
    secret = Secret(secret.value.strip())
    if not secret.value:
        raise CredentialsError(f"the {name} is empty: {next_step}")
    if not secret.value.isascii() or not secret.value.isprintable() or " " in secret.value:
        raise CredentialsError(f"the {name} holds a character that no {name} has (a line break, a blank or a letter "
                               "outside ASCII): copy it again, in one piece")
    return secret


def _drop_frames(error: BaseException, handled: Optional[BaseException]) -> None:
    """Take frames and copies of what was sent or received from `error` and its causes, except from `handled`."""
    chain: List[BaseException] = [error]
    for item in chain:
        item.__traceback__ = None
        if isinstance(item, requests.RequestException):
            item.request = item.response = None
        if isinstance(item, http.client.IncompleteRead) and isinstance(item.partial, bytes):  # urllib3's has a count
            item.partial, item.args = b"", ()
        causes = (item.__cause__, item.__context__, getattr(item, "reason", None), *item.args)
        chain += [cause for cause in causes
                  if isinstance(cause, BaseException) and cause is not handled and cause not in chain]
