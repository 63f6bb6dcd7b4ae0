"""Connections by way of a SOCKS proxy, which belong to a call like all others; needs PySocks."""
from __future__ import annotations

import socket
from typing import Any, Tuple

import socks  # type: ignore[import-not-found, import-untyped, unused-ignore]
import urllib3
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection
from urllib3.exceptions import NewConnectionError, ProxyError

from .connections import TrackedConnection, TrackingPool


class _Socket(socks.socksocket):  # type: ignore[misc, unused-ignore]
    """A socket that reaches its address through a proxy; silence is a timeout, as with any socket."""

    def connect(self, address: Any) -> None:
        try:
            super().connect(address)
        except socks.ProxyError as error:
            if isinstance(error.socket_err, socket.timeout):
                raise error.socket_err from None
            raise


class _ProxiedConnection(TrackedConnection):
    def _first_hop(self) -> Tuple[str, int]:
        return self._options["proxy_host"].strip("[]"), self._options["proxy_port"] or 1080

    def _make_socket(self, family: int, kind: int, protocol: int, address: Any) -> socket.socket:
        sock, options = _Socket(family, kind, protocol), self._options
        sock.set_proxy(options["socks_version"], *address[:2], options["rdns"], options["username"],
                       options["password"])
        return sock

    def _goal(self, address: Any) -> Any:
        connection: Any = self
        return connection.host, connection.port

    def _new_conn(self) -> socket.socket:
        try:
            return super()._new_conn()
        except NewConnectionError as error:
            raise ProxyError("Unable to connect to proxy", error) from error

    @property
    def _options(self) -> Any:
        connection: Any = self
        return connection._socks_options


class _Connection(_ProxiedConnection, SOCKSConnection):
    pass


class _TLSConnection(_ProxiedConnection, SOCKSHTTPSConnection):
    pass


class _Pool(TrackingPool, urllib3.HTTPConnectionPool):
    ConnectionCls: Any = _Connection


class _TLSPool(TrackingPool, urllib3.HTTPSConnectionPool):
    ConnectionCls: Any = _TLSConnection


POOLS = {"http": _Pool, "https": _TLSPool}
