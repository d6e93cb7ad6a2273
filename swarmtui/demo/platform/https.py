"""HTTPS for UCP and DTR: one port of 127.0.0.1 for each host and product, which refuses while they do not run."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from swarmtui.demo.api.http import HttpConnection, Request, Response
from swarmtui.demo.platform.certificates import public

LOOPBACK = "127.0.0.1"


class Client(NamedTuple):
    """Whose certificate a client showed: the user that it names, and its public key in PEM; both empty without one."""

    user: str = ""
    key: str = ""


Api = Callable[[Request, Client], Awaitable[Response]]
"""Answers a request."""


class TlsServer:
    """One HTTPS endpoint. It keeps its port while it is closed.

    Args:
        make_api: gets the port and returns what answers there.
    """

    def __init__(self, make_api: Callable[[int], Api]) -> None:
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._placeholder: socket.socket | None = self._bind(0)
        self.port = int(self._placeholder.getsockname()[1])
        self._api = make_api(self.port)

    @staticmethod
    def _bind(port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, port))
        return sock

    @property
    def listening(self) -> bool:
        """Does it accept connections?"""
        return self._server is not None

    async def start(self, certificate: str, key: str, client_ca: str, folder: Path) -> None:
        """Accept connections.

        Args:
            certificate, key, client_ca: in PEM; clients may show a certificate of that CA.
            folder: where the first two may lie for a moment; TLS reads them from files only.
        """
        if self._server is not None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        chain = folder / f"tls-{self.port}.pem"
        chain.touch(0o600)
        chain.write_text(f"{key}\n{certificate}\n")
        context.load_cert_chain(chain)
        chain.unlink()
        context.load_verify_locations(cadata=client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        sock = self._placeholder or self._bind(self.port)
        self._placeholder = None
        self._server = await asyncio.start_server(self._serve, sock=sock, ssl=context, limit=64 * 1024)

    async def stop(self, *, keep_port: bool = True) -> None:
        """Cut all clients off; refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            clients = list(self._clients)
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
        if keep_port and self._placeholder is None:
            self._placeholder = self._bind(self.port)
        elif not keep_port and self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        key = public(ssl.DER_cert_to_PEM_cert(shown)) if shown else ""
        client = Client(_common_name(writer.get_extra_info("peercert")), key)
        try:
            await HttpConnection(reader, writer, lambda request: self._api(request, client)).serve()
        except (asyncio.CancelledError, ssl.SSLError):
            writer.transport.abort()
        finally:
            self._clients.discard(task)


def _common_name(certificate: dict[str, tuple[tuple[tuple[str, str], ...], ...]] | None) -> str:
    for part in (certificate or {}).get("subject", ()):
        for name, value in part:
            if name == "commonName":
                return value
    return ""
