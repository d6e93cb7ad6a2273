"""Asking a manager's web server how it is: whatever answers, and whether anything does, it ends soon and in words."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from swarmtui.link.ucp.door import ANSWER_MAX, look_at, read_certificate
from swarmtui.model.ucp.status import Door
from tests.ucp import tls
from tests.ucp.tls import Asked, Authority, answer

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
START = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2054, 5, 1, tzinfo=datetime.UTC)


def made(folder: Path, *, names: bool = True) -> tuple[Path, bytes]:
    """A certificate with its key in a file, and as DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mgr1\x1b[31m")])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "UCP Client Root CA")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer if names else subject)
    builder = builder.public_key(key.public_key()).serial_number(1).not_valid_before(START).not_valid_after(END)
    if names:
        shown = [x509.DNSName("ucp.example.org"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(shown), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    path = folder / "tls.pem"
    path.write_bytes(pem)
    return path, certificate.public_bytes(serialization.Encoding.DER)


@asynccontextmanager
async def serving(folder: Path, serve: Serve, *, tls: bool = True) -> AsyncIterator[str]:
    """A server on loopback; yields its address."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made(folder)[0])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def saying(answer: bytes, *, hang: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if hang:
            await asyncio.sleep(30)

    return serve


async def asked(folder: Path, serve: Serve, *, tls: bool = True, patience: float = 5.0) -> Door:
    async with serving(folder, serve, tls=tls) as url:
        return await look_at(url, patience=patience)


async def test_a_healthy_one_and_its_certificate(tmp_path: Path) -> None:
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
        await asyncio.sleep(30)  # it does not hang up: what it says of its length is enough

    async with serving(tmp_path, serve) as url:
        before = time.monotonic()
        door = await look_at(url)
        assert time.monotonic() - before < 5
    assert (door.ok, door.status, door.text, door.trouble, door.url) == (True, 200, "OK", "", url)
    assert door.at > 0 and door.took > 0
    shown = door.certificate
    assert shown is not None and shown.names == ("ucp.example.org", "10.0.0.1")
    assert (shown.expires, shown.issuer, shown.itself) == (END.timestamp(), "UCP Client Root CA", False)
    request, authority = requests
    assert authority.startswith(b"GET /ca HTTP/1.1\r\n") and shown.leads is None, "what it names is no authority"
    assert request.startswith(b"GET /_ping HTTP/1.1\r\n") and b"uthorization" not in request


class Shop:
    """A server with a certificate below an authority between; tells what it was asked."""

    def __init__(self, folder: Path, *, whole: bool, named: str = "root") -> None:
        root, other = Authority("Root"), Authority("Root")
        between = Authority("Between", root)
        self.file = between.server(folder, "127.0.0.1")
        if whole:
            self.file.write_text(self.file.read_text() + between.pem)
        self.named = {"root": root, "between": between, "other": other}[named].pem
        self.asked: list[str] = []

    async def speak(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked.path)
        writer.write(answer(200, self.named.encode() if asked.path == "/ca" else b"OK"))


@pytest.mark.parametrize(
    ("whole", "named", "leads"),
    [(True, "root", True), (False, "root", False), (False, "between", True), (True, "other", False)],
)
async def test_whether_its_certificates_lead_to_its_authority(
    tmp_path: Path, whole: bool, named: str, leads: bool
) -> None:
    shop = Shop(tmp_path, whole=whole, named=named)
    async with tls.serving(shop.speak, shop.file) as url:
        first = await look_at(url)
        again = await look_at(url, before=first.certificate)
    assert first.ok and first.certificate is not None and first.certificate.leads is leads
    assert again.certificate == first.certificate
    once = ["/_ping", "/ca", *(["/_ping"] if leads else [])]
    assert shop.asked == [*once, *(["/_ping"] if leads else once)], "one that leads is not asked about again"


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", 500, "its /_ping answers 500."),
        (
            b"HTTP/1.1 500 x\r\n\r\nRethinkDB \x1b[31mtimed\nout",
            500,
            'its /_ping answers 500: "RethinkDB \ufffd[31mtimed out".',
        ),
        (b"HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\n\r\n", 302, "its /_ping answers 302."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n", 200, ""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200, ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nshort", 200, ""),
        (b"HTTP/1.1 200 OK\r\n\r\n<HTML>It works!", 200, "shows a web page in place of UCP's /_ping."),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 0, "does not speak HTTP as UCP does."),
        (b"", 0, "does not speak HTTP as UCP does."),
    ],
)
async def test_whatever_it_answers_becomes_one_sentence(tmp_path: Path, answer: bytes, status: int, why: str) -> None:
    door = await asked(tmp_path, saying(answer))
    assert door.status == status and door.why.endswith(why) and bool(door.why) == bool(why), door
    assert door.certificate is not None and "\x1b" not in door.why


async def test_an_answer_that_never_ends_is_cut(tmp_path: Path) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 2000 * ANSWER_MAX:
            writer.write(b"x" * 4096)
            sent += 4096
            await writer.drain()
            await asyncio.sleep(0)  # asyncio's TLS takes more from us for ever once the other side has said goodbye

    door = await asked(tmp_path, serve)
    assert door.ok and len(door.text) <= 300
    assert sent < 1000 * ANSWER_MAX


async def test_one_that_tells_and_then_hangs_has_told_it(tmp_path: Path) -> None:
    door = await asked(tmp_path, saying(b"HTTP/1.1 500 x\r\n\r\nsick", hang=True), patience=0.5)
    assert (door.status, door.text, door.trouble) == (500, "sick", "")


async def test_one_that_never_answers_or_never_shakes_hands(tmp_path: Path) -> None:
    silent = await asked(tmp_path, saying(b"", hang=True), patience=0.4)
    assert silent.trouble.endswith("did not answer its /_ping within 0.4 s.") and silent.certificate is not None
    mute = await asked(tmp_path, saying(b"", hang=True), tls=False, patience=0.4)
    assert mute.trouble.endswith("did not answer its /_ping within 0.4 s.") and mute.certificate is None


async def test_one_without_tls_one_that_cuts_and_one_that_is_not_there(tmp_path: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async def cuts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)

    assert "does not speak TLS" in (await asked(tmp_path, plain, tls=False)).trouble
    cut = await asked(tmp_path, cuts, tls=False)
    assert cut.status == 0 and "nobody answers at https://127.0.0.1:" in cut.trouble
    async with serving(tmp_path, cuts) as url:
        pass
    gone = await look_at(url)
    assert gone.status == 0 and f"nobody answers at {url}: " in gone.trouble


async def test_an_address_that_is_none_is_said_and_not_asked() -> None:
    door = await look_at("http://10.0.0.1")
    assert not door.ok and "no address of UCP" in door.trouble


async def test_it_can_be_asked_from_elsewhere(tmp_path: Path) -> None:
    opened: list[tuple[str, int]] = []
    async with serving(tmp_path, saying(b"HTTP/1.1 200 OK\r\n\r\nOK")) as url:
        port = int(url.rpartition(":")[2])

        async def opener(host: str, at: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            opened.append((host, at))
            return await asyncio.open_connection("127.0.0.1", port)

        assert (await look_at("https://10.0.0.9", opener)).ok
    assert set(opened) == {("10.0.0.9", 443)}


def test_a_certificate_without_names_has_that_of_its_subject(tmp_path: Path) -> None:
    shown = read_certificate(made(tmp_path, names=False)[1])
    assert shown is not None and shown.names == ("mgr1\ufffd[31m",) and shown.itself
    assert read_certificate(b"none") is None
