"""The URLs that the API hands out, for upload sessions and downloads: where they may lead."""
from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from ..errors import ParseError

GOOGLE = "https://generativelanguage.googleapis.com"


def placed(url: str, endpoint: str) -> str:
    """`url` at the host of `endpoint` if that is not Google's own, as a gateway's is; else `url`, if it is https.

    ParseError for any other URL.
    """
    parts, base = _split(url), urlsplit(endpoint)
    if endpoint != GOOGLE and not parts.netloc == base.netloc:
        return urlunsplit((base.scheme, base.netloc, base.path + parts.path, parts.query, ""))
    return check_https(urlunsplit((base.scheme if endpoint != GOOGLE else parts.scheme, parts.netloc, parts.path,
                                   parts.query, "")), endpoint)


def check_https(url: str, endpoint: str) -> str:
    """`url` if it is https, or at the origin of `endpoint`; else ParseError."""
    parts = _split(url)
    if parts.scheme != "https" and not same_origin(url, endpoint):
        raise ParseError(f"The server sent a URL at {parts.netloc or 'no host'} that is not https, and nothing is sent "
                         "there. Check the base URL and what stands between you and Google.", reason="NOT_HTTPS")
    return url


def joined(base: str, location: str) -> str:
    """The URL that `location`, a header of the answer at `base`, leads to; ParseError if it is none."""
    try:
        url = urljoin(base, location)
    except ValueError:
        url = ""
    _split(url)
    return url


def same_origin(url: str, endpoint: str) -> bool:
    """Whether credentials for `endpoint` may go to `url`."""
    return _origin(url) == _origin(endpoint)


def _origin(url: str) -> object:
    parts = _split(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.port != 0 and parts.hostname and "@" not in parts.netloc and url.isascii() and url.isprintable():
            return parts
    except ValueError:  # the port is no number, or a bracket is missing
        pass
    raise ParseError("The server sent something in place of a URL. Check the base URL and what stands between you and "
                     "Google.", reason="NO_URL")
