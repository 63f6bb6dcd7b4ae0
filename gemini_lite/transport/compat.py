"""What we use of requests, urllib3 and http.client beyond their public interface, in one place.

tests/transport/test_compat.py holds it against requests 2.25.1, 2.31, 2.32.2 and newest, urllib3 1.26, 2.0 and newest.
"""
from __future__ import annotations

import contextlib
import functools
import http.client
import io
import os
import ssl
import threading
from typing import Any, Callable, Dict, Mapping, Optional, Sized, Tuple

import requests
import requests.adapters
import requests.exceptions
import requests.utils
import urllib3
import urllib3.util.ssl_

from ..errors import TransportError
from .connections import POOLS, track_handshakes

POOL_SIZE = 64  # idle connections that are kept, for as many threads
MOST_POOLS = 100  # one for each origin
_FRAMING = ("content-encoding", "content-length", "transfer-encoding")  # of a body as it was sent
_SSLContext = ssl.SSLContext  # as it is now: gevent may put another in its place


class Adapter(requests.adapters.HTTPAdapter):
    """Our connections: one pool for each origin, whatever the version of requests.

    With `tls` it verifies with one SSLContext, where requests reads the CA bundle into a new one for each connection.
    The context is made with the first connection, because that takes longer than making a client.
    """

    def __init__(self, *, tls: bool, pool_size: int = POOL_SIZE) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        self._manager: Optional[urllib3.PoolManager] = None
        self._pools: Dict[Tuple[str, str], urllib3.HTTPConnectionPool] = {}  # by proxy and origin
        super().__init__(pool_connections=10 * MOST_POOLS, pool_maxsize=pool_size)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """Note the sizes of the pools, which are made when they are needed."""
        self._arguments: Dict[str, Any] = {"num_pools": connections, "maxsize": maxsize, "block": block}

    def connections(self, url: str, proxies: Optional[Mapping[str, str]]) -> urllib3.HTTPConnectionPool:
        """The pool for `url`, on the way that `proxies` name.

        A call that finds it takes no lock, neither ours nor urllib3's: an interrupt could leave it locked.
        """
        proxy = requests.utils.select_proxy(url, proxies) or ""
        key = proxy, url[:url.find("/", 8)]
        pool: Any = self._pools.get(key)
        if pool is None or pool.pool is None:  # which `close` has closed
            with self._lock:
                pool = self._manager_for(proxy).connection_from_url(url)
                if len(self._pools) >= MOST_POOLS:
                    self._pools.clear()  # long before urllib3 closes the oldest
                self._pools[key] = pool
        return pool  # type: ignore[no-any-return]

    def _manager_for(self, proxy: str) -> Any:
        if not proxy:
            if self._manager is None:
                tls: Dict[str, Any] = {"ssl_context": tls_context()} if self._tls else {}
                self._manager = urllib3.PoolManager(**self._arguments, **tls)
                self._manager.pool_classes_by_scheme = POOLS
            return self._manager
        try:
            proxy = requests.utils.prepend_scheme_if_needed(  # type: ignore[no-untyped-call, unused-ignore]
                proxy, "http")
            manager = self.proxy_manager_for(proxy) if urllib3.util.parse_url(proxy).host else None
        except requests.exceptions.InvalidSchema:
            raise  # PySocks is missing
        except (TypeError, ValueError):  # what requests and urllib3 raise for a part that is missing, or wrong
            manager = None
        if manager is None:
            raise requests.exceptions.InvalidProxyURL("this is no proxy's URL")
        return manager

    # The name that HTTPAdapter.send calls: up to requests 2.31, in 2.32.0 and 2.32.1, and since.
    def get_connection(self, url: Any, proxies: Optional[Mapping[str, str]] = None) -> Any:
        """See `connections`."""
        return self.connections(url, proxies)

    def _get_connection(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        return self.connections(request.url, proxies)

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """See `connections`."""
        return self.connections(request.url, proxies)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The pools of one proxy."""
        contexts = {"ssl_context": tls_context(), "proxy_ssl_context": tls_context()}
        pools: Any = POOLS
        if proxy.lower().startswith("socks"):
            del contexts["proxy_ssl_context"]
            with contextlib.suppress(ImportError):  # requests says that PySocks is missing
                from .socks_proxies import POOLS as pools
        adapter: Any = super()  # one of requests' untyped methods, as some versions of its types have it
        manager = adapter.proxy_manager_for(proxy, **contexts, **kwargs)
        manager.pool_classes_by_scheme = pools
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Ask for a verified certificate; the CA bundle is in the context already."""
        conn.cert_reqs = "CERT_REQUIRED"

    def close(self) -> None:
        """Close the idle connections now; urllib3 waits until no answer and no error refers to them any more."""
        managers = [self._manager] if self._manager is not None else []
        for manager in (*managers, *self.proxy_manager.values()):
            for key in manager.pools.keys():
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
            manager.clear()
        self._pools.clear()


def tls_context() -> ssl.SSLContext:
    """A verifying context with requests' own CA bundle, or the one that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return _context_of(bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH, ssl.SSLContext)


@functools.lru_cache(maxsize=8)
def _context_of(bundle: str, kind: type) -> ssl.SSLContext:
    where: Dict[str, Any] = {"capath" if os.path.isdir(bundle) else "cafile": bundle}
    try:
        if kind is not _SSLContext:  # gevent patched ssl after urllib3 was loaded, whose own would recurse endlessly
            context = ssl.create_default_context(**where)
        else:
            context = urllib3.util.ssl_.create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
            context.load_verify_locations(**where)
    except OSError as error:
        reason = error.strerror or error
        if error.filename is not None:  # Python tells that of a key log, and none of a bundle
            raise TransportError(f"The file {error.filename} that SSLKEYLOGFILE names cannot be written ({reason}): "
                                 "unset it, or name one that can.", reason="TLS") from None
        raise TransportError(
            f"The CA bundle {bundle} cannot be read ({reason}): set REQUESTS_CA_BUNDLE to a PEM file, or unset it.",
            reason="TLS") from None
    track_handshakes(context)
    return context


def copy_prepared(template: requests.PreparedRequest, data: Optional[Sized]) -> requests.PreparedRequest:
    """A request like `template`, with the body `data`; bench row "small call" shows what this saves over preparing."""
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = template.method, template.url
    prepared.headers = template.headers.copy()
    if data is not None:
        prepared.body = data  # type: ignore[assignment, unused-ignore]
        prepared.headers["Content-Length"] = str(len(data))
    return prepared


def reopen_body(response: requests.Response) -> None:
    """Let the body be read from the start where a part of the session, such as a hook that logs it, has read it."""
    body = getattr(response, "_content", False)
    if isinstance(body, bytes):
        headers = {name: value for name, value in response.raw.headers.items() if name.lower() not in _FRAMING}
        response.raw = urllib3.HTTPResponse(
            io.BytesIO(body), headers, response.status_code, preload_content=False)


def socket_of(raw: Any) -> Any:
    """The socket that the body of a urllib3 response is read from; None once all of it was read, and for a mock's."""
    return getattr(getattr(getattr(getattr(raw, "_fp", None), "fp", None), "raw", None), "_sock", None)


def packed_reader(raw: Any) -> Callable[[int], bytes]:
    """A function that reads at most so many bytes of a urllib3 response's packed body, or b"" at its end.

    It waits for no more than the rest of an HTTP chunk. The methods of urllib3 wait for as many bytes as were asked,
    and unpack without a limit: this reads beneath them.
    """
    body = raw._fp
    read: Callable[[int], bytes] = getattr(body, "read1", body.read)
    if not getattr(body, "chunked", False) or not isinstance(body, http.client.HTTPResponse):
        return read
    chunks: Any = body  # whose own read1 returns what is buffered, and so cuts a large chunk in many

    def read_chunk(size: int) -> bytes:
        left = chunks._get_chunk_left() if chunks.fp is not None else None  # None where it was read to its end before
        if left is None:
            return b""
        if left < 0:  # http.client takes that for a size
            raise http.client.IncompleteRead(b"")
        wanted = min(size, left)
        block: bytes = chunks.fp.read(wanted)
        if len(block) < wanted:
            raise http.client.IncompleteRead(block)
        chunks.chunk_left = left - wanted
        return block

    return read_chunk


def release(raw: Any) -> None:
    """Give the connection of a urllib3 response back, whose body was read to its end."""
    if raw.connection is not None:
        raw._fp.close()  # first: http.client takes no next request before
        raw.release_conn()
