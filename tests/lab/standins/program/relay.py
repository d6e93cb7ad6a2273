"""Hands requests on to the engine behind the socket, byte for byte: streams and hijacked connections too."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standin import engine, pki, state, store
from standin.components import Ucp

_HOPS = {"host", "authorization", "connection", "accept-encoding", "keep-alive"}


class Handler(BaseHTTPRequestHandler):
    """One TLS connection of a client."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    ucp: Ucp

    def setup(self) -> None:
        assert isinstance(self.request, ssl.SSLSocket)
        self.request.settimeout(15)
        self.request.do_handshake()
        super().setup()

    def log_message(self, *_: Any) -> None:
        return

    def body(self) -> bytes:
        """The request's body."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def client(self) -> tuple[str, str]:
        """The CN of the client's certificate and its public key; ("", "") without one."""
        assert isinstance(self.connection, ssl.SSLSocket)
        der = self.connection.getpeercert(binary_form=True)
        return pki.common_name(der) if der else ("", "")

    def relay(self, path: str, link: socket.socket | None = None, body: bytes | None = None) -> None:
        """Hand this request on, and copy what comes back until the engine closes.

        Args:
            link: to which engine; not given: to this node's own.
            body: instead of the request's own, which was read already.
        """
        upgrade = "upgrade" in self.headers.get("Connection", "").lower()
        if body is None:
            body = b"" if upgrade else self.body()
        if link is None:
            link = socket.socket(socket.AF_UNIX)
            link.connect(engine.SOCKET)
        dropped = _HOPS if upgrade else {*_HOPS, "transfer-encoding", "content-length", "upgrade"}
        lines = [f"{self.command} {path} HTTP/1.1", "Host: docker"]
        lines += [f"{key}: {value}" for key, value in self.headers.items() if key.lower() not in dropped]
        lines.append("Connection: Upgrade" if upgrade else "Connection: close")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        self.close_connection = True
        if upgrade:
            threading.Thread(target=self._forward, args=(link,), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := link.recv(65536):
                self.wfile.write(data)
                self.wfile.flush()
        link.close()

    def _forward(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := self.rfile.read1(65536):
                link.sendall(data)
            link.shutdown(socket.SHUT_WR)


class Server(ThreadingHTTPServer):
    """HTTPS; clients may show a certificate of one of UCP's roots."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, handler: type[Handler], folder: Path, roots: str, *, required: bool) -> None:
        super().__init__(("", port), handler)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._context.load_verify_locations(cadata=roots)
        self._context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        return self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # clients that hang up, or do not trust us


class _Proxy(Handler):
    """The TLS front of one engine: certificates of the cluster's root only, which are those of administrators."""

    def _any(self) -> None:
        self.relay(self.path)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _any


def serve_proxy(ucp: Ucp) -> None:
    """Run as `ucp-proxy`."""
    folder = store.ROOT / "ucp-node-certs"
    _Proxy.ucp = ucp
    Server(2376, _Proxy, folder, (folder / "ca.pem").read_text(), required=True).serve_forever()


def roots() -> str:
    """The roots whose client certificates the controller takes."""
    names = (state.CLIENT_ROOT, state.CLUSTER_ROOT)
    return "".join((store.ROOT / name / "cert.pem").read_text() for name in names)
