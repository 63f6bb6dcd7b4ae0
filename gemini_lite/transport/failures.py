"""What a failure below HTTP means, as one of our errors."""
from __future__ import annotations

import http.client
import re
import socket
import ssl
import zlib
from typing import Any, Sequence
from urllib.parse import urlsplit

import requests.exceptions
import urllib3.exceptions

from ..errors import TransportError, TransportTimeout
from .running import RunningCall, deadline_error

NETWORK_ERRORS = (
    requests.exceptions.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, zlib.error,
)

_NO_TUNNEL = "Tunnel connection failed"  # how http.client's OSError begins


def host_of(url: str) -> str:
    """The host and port in a URL, for a message."""
    return urlsplit(url).netloc or "the server"


def never_connected(error: Exception) -> bool:
    """Whether there was no connection, so that nothing can have been sent."""
    kinds = urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError
    return any(isinstance(item, kinds) or str(item).startswith(_NO_TUNNEL) for item in _chain(error))


def failure_of(error: Exception, url: str, call: RunningCall) -> TransportError:
    """Our error for one of requests, urllib3, http.client or the socket; it keeps the root's text alone."""
    chain = _chain(error)
    host, last = host_of(url), next((item for item in reversed(chain) if not isinstance(item, ValueError)), error)
    root = f"{type(last).__name__}: {last}"

    def any_of(*kinds: Any) -> bool:
        return any(isinstance(item, kinds) for item in chain)

    ours = isinstance(error, ValueError) and isinstance(error, requests.exceptions.RequestException)
    if ours and not any_of(urllib3.exceptions.InvalidHeader):  # urllib3's is about a header of the answer
        if "SOCKS" in str(error):
            return TransportError(
                f"The way to {host} goes by a SOCKS proxy, which needs the package PySocks: pip install "
                "\"requests[socks]\", or change HTTP_PROXY, HTTPS_PROXY or ALL_PROXY.", reason="INVALID")
        # such as requests' InvalidHeader, whose text shows the header's value
        return TransportError(
            f"The request to {host} could not be made ({type(error).__name__}): check the base URL, the proxies and "
            "the session's headers.", reason="INVALID")
    if type(error) is OSError and error.errno is None:  # requests on a certificate file that is not there
        return TransportError(f"The request to {host} could not be made: {error}", reason="TLS")
    # A timeout is capped by what the deadline leaves, and may come a moment before it.
    if call.is_over or call.left < 0.05 and any_of(socket.timeout, urllib3.exceptions.TimeoutError):
        return deadline_error() if call.ended is None else call.error()
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return TransportTimeout(
            f"No connection to {host} in time. Check the network, or allow more with timeout=(connect, read).",
            reason="CONNECT_TIMEOUT", retryable=True)
    if any_of(socket.timeout, urllib3.exceptions.ReadTimeoutError):
        return TransportTimeout(f"{host} was silent for too long. Allow more with timeout=(connect, read).",
                                reason="READ_TIMEOUT", retryable=True)
    if any_of(requests.exceptions.ProxyError, urllib3.exceptions.ProxyError):
        # What the proxy refuses, such as a wrong password (407), it would refuse again, unless the time is at fault.
        refused = re.match(f"OSError: {_NO_TUNNEL}: 4(?!08|29)|SOCKS5AuthError", root)
        return TransportError(
            f"The proxy on the way to {host} failed ({root}). Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
            reason="PROXY", retryable=refused is None)
    if any_of(ssl.SSLCertVerificationError) or "CertificateError" in [type(item).__name__ for item in chain]:
        return TransportError(
            f"The certificate of {host} could not be verified ({root}). If your network signs with its own, set "
            "REQUESTS_CA_BUNDLE to its PEM file.", reason="TLS")
    if any_of(urllib3.exceptions.DecodeError, requests.exceptions.ContentDecodingError, zlib.error):
        return TransportError(f"The answer of {host} could not be unpacked ({root}).", reason="ENCODING")
    return TransportError(f"The connection to {host} failed ({root}). Check the network and the base URL.",
                          reason="CONNECTION", retryable=True)


def _chain(error: BaseException) -> Sequence[BaseException]:
    """`error` and what caused it, the root last; urllib3 and requests keep causes in ``args`` and ``reason`` too.

    PySocks keeps them in ``socket_err``; its error's context is another where the call was made in an except block.
    """
    chain = [error]
    while len(chain) < 12:
        last = chain[-1]
        held = getattr(last, "reason", None), getattr(last, "socket_err", None), *last.args
        inner = [item for item in held if isinstance(item, BaseException)]
        cause = (inner or [last.__cause__ or last.__context__])[0]  # type: ignore[list-item]
        # What else was being handled is no cause: urllib3 1.26 tries an argument of old (TypeError), callers iterate.
        if cause is None or cause in chain or not isinstance(cause, (*NETWORK_ERRORS, ValueError)):
            break
        chain.append(cause)
    return chain
