"""Connections that belong to a call: it knows the socket it waits on, and whether its request was sent.

They rest on what http.client and urllib3 1.26 and 2.x have in common beneath their public interface;
tests/transport/test_compat.py holds that against each version.
"""
from __future__ import annotations

import functools
import http.client
import queue
import socket
import ssl
from typing import Any, List, Optional, Tuple, Type

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from .running import RunningCall, current_call

MOST_INTERIM_ANSWERS = 100


class _Response(http.client.HTTPResponse):
    """An answer; http.client skips 100 Continue alone of the interim ones, and any number of them."""

    def _read_status(self) -> Any:
        call = current_call()
        try:
            came = self.fp.peek(1)
        except ConnectionError as error:
            raise http.client.RemoteDisconnected(f"no answer came ({type(error).__name__})") from None
        if call is not None and came:
            call.unsent = False
        for _ in range(MOST_INTERIM_ANSWERS):
            status = super()._read_status()  # type: ignore[misc]
            if not 100 <= status[1] < 200 or status[1] == http.client.SWITCHING_PROTOCOLS:
                return status
            http.client.parse_headers(self.fp)
        raise http.client.BadStatusLine(f"more than {MOST_INTERIM_ANSWERS} interim answers")


class TrackedConnection:
    """What both kinds of connections add to urllib3's; `call` is the one that uses it now."""

    response_class: Any = _Response
    call: Optional[RunningCall] = None
    attached: Any = None  # the socket that `call` waits on
    is_reused = False

    def begin(self, call: Optional[RunningCall]) -> None:
        """`call` uses this connection from now on, which may be open already."""
        connection: Any = self
        self.is_reused = connection.sock is not None
        self.call = call
        if call is not None:
            call.unsent = True
            if self.is_reused:
                self._attach(_plain_socket(connection.sock))

    def finish(self) -> None:
        """The call that used this connection is done with it."""
        call, self.call = self.call, None
        if call is not None and self.attached is not None:
            call.detach(self.attached)
            if call.ended is not None:
                connection: Any = self
                connection.close()
        self.attached = None

    def connect(self) -> None:
        """Connect; silence is a connect timeout up to the end of the TLS handshake."""
        connection: Any = super()
        try:
            connection.connect()
        except socket.timeout as error:
            raise ConnectTimeoutError(self, f"no connection in time ({error})") from None
        finally:
            if self.call is not None:
                self.call.unsent = True  # what was sent was for the proxy
        self._attach(_plain_socket(getattr(self, "sock", None)))

    def send(self, data: Any) -> None:
        """Send; from here on a request may be worked on, unless a connection that was idle has ended by then."""
        connection: Any = self
        if connection.sock is None and connection.auto_open:
            connection.connect()
        if self.call is not None:
            self.call.unsent = self.is_reused
        connection = super()
        connection.send(data)

    def _new_conn(self) -> socket.socket:
        """A connected socket, known to the call before it connects: urllib3 has no place to tell it there."""
        connection: Any = self
        try:
            return self._open_socket()
        except socket.timeout:
            raise ConnectTimeoutError(self, f"Connection to {connection.host} timed out") from None
        except OSError as error:
            raise NewConnectionError(connection, f"Failed to establish a new connection: {error}") from error

    def _open_socket(self) -> socket.socket:
        connection: Any = self
        failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
        found = socket.getaddrinfo(*self._first_hop(), allowed_gai_family(), socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            if self.call is not None and self.call.is_over:
                raise socket.timeout("the call is over")
            sock = self._make_socket(family, kind, protocol, address)
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                if isinstance(connection.timeout, (int, float)):  # else one of urllib3's or socket's marks for none
                    sock.settimeout(connection.timeout)
                if connection.source_address:
                    sock.bind(connection.source_address)
                self._attach(sock)
                sock.connect(self._goal(address))
                return sock
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
        try:
            raise failure
        finally:
            del failure  # or its traceback and this frame would hold each other

    def _first_hop(self) -> Tuple[str, int]:
        """The host and port to which the socket connects."""
        connection: Any = self
        return connection._dns_host.strip("[]"), connection.port

    def _make_socket(self, family: int, kind: int, protocol: int, address: Any) -> socket.socket:
        """A socket for one `address` of the first hop."""
        return socket.socket(family, kind, protocol)

    def _goal(self, address: Any) -> Any:
        """What that socket is told to connect to."""
        return address

    def _attach(self, sock: Any) -> None:
        if self.call is not None and sock is not None:
            self.attached = sock
            self.call.attach(sock)


class _Connection(TrackedConnection, HTTPConnection):
    pass


class _TLSConnection(TrackedConnection, HTTPSConnection):
    pass


class _IdleConnections:
    """A pool's idle connections, the last one first: those methods of `queue.LifoQueue` that urllib3's pools call.

    It has no lock, as a queue does: an interrupt could leave it locked, and the next call would hang.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._idle: List[Any] = []

    def put(self, connection: Any, block: bool = True) -> None:
        if len(self._idle) >= self._most:
            raise queue.Full
        self._idle.append(connection)

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            raise queue.Empty from None

    def qsize(self) -> int:
        return len(self._idle)


class TrackingPool:
    """What both kinds of pools add to urllib3's: a connection is handed to the call, and taken back, here."""

    QueueCls: Any = _IdleConnections

    def _get_conn(self, timeout: Any = None) -> Any:
        pool: Any = super()
        connection = pool._get_conn(timeout)
        connection.begin(current_call())
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.finish()  # before another call can have it
        pool: Any = super()
        pool._put_conn(conn)


class HTTPPool(TrackingPool, urllib3.HTTPConnectionPool):
    """Connections to one origin or proxy."""

    ConnectionCls = _Connection


class TLSPool(TrackingPool, urllib3.HTTPSConnectionPool):
    """Connections over TLS to one origin."""

    ConnectionCls = _TLSConnection


POOLS = {"http": HTTPPool, "https": TLSPool}


def track_handshakes(context: ssl.SSLContext) -> None:
    """Let a call know the socket of its TLS handshake: the plain one has no descriptor from there on."""
    kind = getattr(context, "sslsocket_class", None)
    if kind is not None:
        context.sslsocket_class = _tracked_socket(kind)  # type: ignore[misc, unused-ignore]


@functools.lru_cache(maxsize=8)
def _tracked_socket(kind: Type[ssl.SSLSocket]) -> Type[ssl.SSLSocket]:
    class TrackedSocket(kind):  # type: ignore[misc, valid-type]
        """A TLS socket that tells the call of its handshake."""

        def do_handshake(self, *args: Any, **kwargs: Any) -> Any:
            call = current_call()
            if call is not None:
                call.attach(self)
            return super().do_handshake(*args, **kwargs)

    return TrackedSocket


def _plain_socket(sock: Any) -> Any:
    """The socket that has the descriptor: inside of TLS in TLS, and of pyOpenSSL's, there is another."""
    while sock is not None and not isinstance(sock, socket.socket) and hasattr(sock, "socket"):
        sock = sock.socket
    return sock
