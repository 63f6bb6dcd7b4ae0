"""The `requests.Session` that a call goes out on: ours, which prepares once, or the user's, as it is."""
from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy
from typing import Callable, Dict, Iterator, Mapping, Protocol, Tuple, Union

import requests
import requests.utils
import urllib3

from .compat import POOL_SIZE, Adapter, copy_prepared, reopen_body
from .deadline import Timeout


class Body(Protocol):
    """A body that is read while it is sent; requests takes its length from ``len()``."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def read(self, size: int = -1) -> bytes: ...


Data = Union[bytes, Body, None]
AddCredentials = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class GivenSession:
    """A session of the user's: its headers, proxies, ``verify``, hooks and adapters hold, as requests has it."""

    def __init__(self, session: requests.Session) -> None:
        self.session = session

    def send(
        self, method: str, url: str, headers: Mapping[str, str], data: Data, auth: AddCredentials,
        timeout: Union[Timeout, urllib3.Timeout],
    ) -> requests.Response:
        """The response to one request, its body not read yet."""
        defaults = requests.utils.default_headers()
        changed = {name.lower() for name, value in self.session.headers.items() if defaults.get(name) != value}
        headers = {name: value for name, value in headers.items() if name.lower() not in changed}
        request = requests.Request(method, url, headers=headers, data=data, auth=auth)
        prepared = self.session.prepare_request(request)
        prepared.hooks["response"].append(forget_location)
        settings = self.session.merge_environment_settings(prepared.url, {}, True, None, None)
        try:
            response = self.session.send(
                prepared, timeout=timeout, allow_redirects=False, **settings)  # type: ignore[arg-type]
        except requests.exceptions.HTTPError as error:  # of a hook that calls raise_for_status
            if error.response is None:
                raise
            response = error.response
        reopen_body(response)
        return response


class OwnSession:
    """A session of our own: requests are prepared, and proxies looked up, once and not with every call.

    It keeps up to `pool_size` idle connections for each origin.
    """

    def __init__(self, pool_size: int = POOL_SIZE) -> None:
        self.session = requests.Session()
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # keeps none
        self.session.mount("https://", Adapter(tls=True, pool_size=pool_size))
        self.session.mount("http://", Adapter(tls=False, pool_size=pool_size))
        self._proxies: Dict[str, Dict[str, str]] = {}  # by origin
        self._templates: Dict[Tuple[object, ...], requests.PreparedRequest] = {}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], data: Data, auth: AddCredentials,
        timeout: Union[Timeout, urllib3.Timeout],
    ) -> requests.Response:
        """The response to one request, its body not read yet."""
        prepared = auth(copy_prepared(self._template(method, url, headers), data))
        origin = url[:url.find("/", 8)]
        proxies = self._proxies.get(origin)
        if proxies is None:
            proxies = self._proxies[origin] = self._find_proxies(url)
        # The session itself would look for cookies, hooks and redirects.
        return self.session.get_adapter(url).send(
            prepared, stream=True, timeout=timeout, proxies=proxies)  # type: ignore[arg-type, unused-ignore]

    def _template(self, method: str, url: str, headers: Mapping[str, str]) -> requests.PreparedRequest:
        key = (method, url, *headers.items())
        template = self._templates.get(key)
        if template is None:
            request = requests.Request(method, url, headers=headers, auth=no_auth)
            template = self.session.prepare_request(request)
            if len(self._templates) >= 256:
                self._templates.clear()
            self._templates[key] = template
        return template

    def _find_proxies(self, url: str) -> Dict[str, str]:
        return dict(self.session.merge_environment_settings(url, {}, True, None, None)["proxies"] or {})


SessionSender = Union[GivenSession, OwnSession]


def no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An auth that adds nothing, so that requests reads no ``.netrc``."""
    return request


def forget_location(response: requests.Response, **kwargs: object) -> None:
    """requests resolves a redirect even when it is not to follow it, and reads that whole body: take it away."""
    if 300 <= response.status_code < 400:
        response.headers.pop("Location", None)
