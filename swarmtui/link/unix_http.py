"""The SDK's transport for Unix sockets, with three things mended.

It keeps one pool of connections for the socket and not one for every URL, closes a socket that could not connect, and
can be closed while in use.
"""

from __future__ import annotations

import socket
import threading
import weakref
from typing import Any

from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool


class ClosingAdapter(UnixHTTPAdapter):  # type: ignore[misc]  # the SDK has no types
    """Like the SDK's, but `shut` ends all connections at once, also those that a thread waits on."""

    def __init__(self, socket_url: str, timeout: float) -> None:
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._shut = False
        self._lock = threading.Lock()
        super().__init__(socket_url, timeout)

    def get_connection(self, url: str, proxies: Any = None) -> Any:
        # The SDK keeps a pool for every URL, path and query included: each new path would cost a new channel through
        # SSH, and its idle connection would stay. There is one socket, so there is one pool.
        with self.pools.lock:
            pool = self.pools.get("")
            if pool is None:
                pool = self.pools[""] = _Pool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
                pool.adapter = self
            return pool

    def opened(self, sock: socket.socket) -> None:
        """Notes a connection. Raises ConnectionError when all were shut meanwhile."""
        with self._lock:
            if self._shut:
                raise ConnectionAbortedError("closed")
            self._open.add(sock)

    def shut(self) -> None:
        """Ends all connections; no new one can be opened."""
        with self._lock:
            self._shut = True
            sockets = list(self._open)
        for sock in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                # Closed already.
                continue


class _Pool(UnixHTTPConnectionPool):  # type: ignore[misc]
    adapter: ClosingAdapter

    def _new_conn(self) -> Any:
        connection = _Connection(self.base_url, self.socket_path, self.timeout)
        connection.adapter = self.adapter
        return connection


class _Connection(UnixHTTPConnection):  # type: ignore[misc]
    adapter: ClosingAdapter

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
            self.adapter.opened(sock)
        except BaseException:
            sock.close()
            raise
        self.sock = sock
