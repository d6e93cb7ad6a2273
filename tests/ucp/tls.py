"""A small HTTPS server on loopback that says what a test wants, and certificates for it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    token: str
    body: bytes


Speaks = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


class Authority:
    """Signs web servers' certificates; a root, or below another one."""

    def __init__(self, name: str = "UCP Client Root CA", above: Authority | None = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = above or self
        self._made = _signed(self._name, by._name, self._key.public_key(), by._key, (), 3650, authority=True)
        self.pem = self._made.public_bytes(serialization.Encoding.PEM).decode()

    def server(self, folder: Path, *names: str, days: int = 30) -> Path:
        """A file with a certificate for these names and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        made = _signed(subject, self._name, key.public_key(), self._key, names, days)
        file = folder / f"server-{names[0]}-{days}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
        return file

    def given(self, folder: Path, root: str, *names: str, between: str = "") -> Path:
        """A folder with what an operator gives to UCP: ca.pem, cert.pem, key.pem.

        Args:
            root: PEM of who is above all. between: PEM of who is between, behind the server's own certificate.
        """
        folder.mkdir()
        made = self.server(folder, *names, days=300)
        private, begin, certificate = made.read_text().partition("-----BEGIN CERTIFICATE-----")
        made.unlink()
        for name, text in (("ca", root), ("cert", f"{begin}{certificate}{between}"), ("key", private)):
            (folder / f"{name}.pem").write_text(text)
        return folder


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    days: int,
    *,
    authority: bool = False,
) -> x509.Certificate:
    end = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=4000))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        general = [_general(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@contextlib.asynccontextmanager
async def serving(speaks: Speaks, certificate: Path) -> AsyncIterator[str]:
    """Serves until the block ends; gives the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    tasks: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await speaks(await _request(reader), writer)
                await writer.drain()
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(client, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await closed(server)


async def closed(server: asyncio.Server) -> None:
    """Waits until its connections have ended, which Python 3.11 does not: those whose handshake failed are in no task,
    and would be complained about in a later test."""
    quiet = 0
    for _ in range(200):
        # One that was accepted a moment ago is not counted yet.
        quiet = 0 if getattr(server, "_active_count", 0) else quiet + 1
        if quiet > 3:
            break
        await asyncio.sleep(0.005)


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, path, _ = head.split("\r\n", 1)[0].split(" ")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.split("\r\n")[1:]}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers.get("authorization", "").removeprefix("Bearer "), body)


def answer(status: int, body: bytes, *headers: str) -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def saying(whole: bytes) -> Speaks:
    """Says the same to everybody."""

    async def speak(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole)

    return speak
