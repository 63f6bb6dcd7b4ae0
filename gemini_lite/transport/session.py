"""The `requests.Session` that a call goes out on: ours, which prepares once, or the user's, as it is."""
from __future__ import annotations

import functools
import os
import ssl
import threading
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import requests
import requests.adapters
import requests.utils
import urllib3.util.ssl_

from ..errors import TransportError

Timeout = Tuple[float, float]
POOL_SIZE = 64
_SSLContext = ssl.SSLContext  # as it is now: gevent may put another in its place


class GivenSession:
    """A session of the user's: its headers, proxies, ``verify``, hooks and adapters hold, as requests has it."""

    def __init__(self, session: requests.Session) -> None:
        self.session = session

    def send(
        self, method: str, url: str, headers: Mapping[str, str], data: Optional[bytes], auth: Any, timeout: Timeout,
    ) -> requests.Response:
        defaults = requests.utils.default_headers()
        changed = {name.lower() for name, value in self.session.headers.items() if defaults.get(name) != value}
        headers = {name: value for name, value in headers.items() if name.lower() not in changed}
        request = requests.Request(method, url, headers=headers, data=data, auth=auth)
        prepared = self.session.prepare_request(request)
        prepared.hooks["response"].append(_refuse_redirect)
        settings = self.session.merge_environment_settings(prepared.url, {}, True, None, None)
        return self.session.send(prepared, timeout=timeout, allow_redirects=False, **settings)


class OwnSession:
    """A session of our own: requests are prepared, and proxies looked up, once and not with every call."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # keeps none
        self._tls = _SharedContextAdapter()
        self.session.mount("https://", self._tls)
        self.session.mount("http://", _Adapter(pool_maxsize=POOL_SIZE))
        self._proxies: Dict[str, Dict[str, str]] = {}  # by origin
        self._templates: Dict[Any, requests.PreparedRequest] = {}

    def send(
        self, method: str, url: str, headers: Mapping[str, str], data: Optional[bytes], auth: Any, timeout: Timeout,
    ) -> requests.Response:
        template = self._template(method, url, headers)
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = template.method, template.url
        prepared.headers = template.headers.copy()
        if data is not None:
            prepared.body = data
            prepared.headers["Content-Length"] = str(len(data))
        origin = url[:url.find("/", 8)]
        proxies = self._proxies.get(origin)
        if proxies is None:
            proxies = self._proxies[origin] = self._looked_up(url)
        adapter = self.session.get_adapter(url)  # the session itself would look for cookies, hooks and redirects
        return adapter.send(auth(prepared), stream=True, timeout=timeout, proxies=proxies)

    def _template(self, method: str, url: str, headers: Mapping[str, str]) -> requests.PreparedRequest:
        key = method, url, *headers.values()
        template = self._templates.get(key)
        if template is None:
            request = requests.Request(method, url, headers=headers, auth=_no_auth)
            template = self.session.prepare_request(request)
            if len(self._templates) >= 256:
                self._templates.clear()
            self._templates[key] = template
        return template

    def _looked_up(self, url: str) -> Dict[str, str]:
        settings = self.session.merge_environment_settings(url, {}, True, None, None)
        self._tls.verify = settings["verify"] or True
        return dict(settings["proxies"] or {})


Sender = Union[GivenSession, OwnSession]


class _Adapter(requests.adapters.HTTPAdapter):
    """Closes its idle connections when it is closed; urllib3 waits until no answer and no error knows them any more."""

    def close(self) -> None:
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        base: Any = super()
        base.close()


class _SharedContextAdapter(_Adapter):
    """Verifies with one SSLContext, where requests reads the CA bundle into a fresh one for each connection.

    The context is made with the first connection, because that takes longer than making a client. `verify` is what
    requests found in the environment: True, or the path of a bundle.
    """

    def __init__(self) -> None:
        self.verify: Union[bool, str] = True
        self._lock = threading.Lock()
        self._manager: Any = None
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        self._arguments = args, kwargs  # for later

    @property
    def poolmanager(self) -> Any:
        """The connections, made when they are needed."""
        with self._lock:
            if self._manager is None:
                args, kwargs = self._arguments
                base: Any = super()  # of which old stubs know no types
                base.init_poolmanager(*args, ssl_context=_tls_context(self.verify), **kwargs)
            return self._manager

    @poolmanager.setter
    def poolmanager(self, manager: Any) -> None:
        self._manager = manager

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        context = _tls_context(self.verify)
        base: Any = super()
        return base.proxy_manager_for(proxy, ssl_context=context, proxy_ssl_context=context, **kwargs)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"  # and no bundle: the context holds it

    def close(self) -> None:
        if self._manager is not None or self.proxy_manager:
            base: Any = super()
            base.close()


def _tls_context(verify: Union[bool, str]) -> ssl.SSLContext:
    """A verifying context with requests' own CA bundle, or the one that REQUESTS_CA_BUNDLE names."""
    return _context_of(verify, ssl.SSLContext)


@functools.lru_cache(maxsize=8)
def _context_of(verify: Union[bool, str], kind: type) -> ssl.SSLContext:
    bundle = requests.utils.DEFAULT_CA_BUNDLE_PATH if verify is True else str(verify)
    where: Any = {"capath" if os.path.isdir(bundle) else "cafile": bundle}
    try:
        if kind is not _SSLContext:  # gevent patched ssl after urllib3 was loaded, whose own would recurse endlessly
            return ssl.create_default_context(**where)
        context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
        context.load_verify_locations(**where)
    except OSError as error:
        raise TransportError(
            "The CA bundle %s cannot be read (%s): set REQUESTS_CA_BUNDLE to a PEM file, or unset it."
            % (bundle, error.strerror or error), reason="TLS") from None
    return context


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """The auth of a template: it keeps requests from looking into ``.netrc``; ours is applied to each copy."""
    return request


def _refuse_redirect(response: requests.Response, **kwargs: Any) -> None:
    """requests resolves a redirect even when it is not to follow it, and reads that whole body: take it away."""
    if 300 <= response.status_code < 400:
        response.headers.pop("Location", None)
