from __future__ import annotations

import asyncio
import datetime
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from swarmtui.errors import EngineError
from swarmtui.link import events as events_module
from swarmtui.link.engine import LAGGED, Engine
from swarmtui.link.manager import Manager
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.target import TcpTarget, TlsFiles
from tests.link.support import Events, FakeEngine, listening, settings


@pytest.fixture
async def client(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[Engine]:
    opened = await Engine.connect(f"unix://{tmp_path}/docker.sock", where="op@mgr1", timeout=5)
    yield opened
    await opened.close()


async def test_speaks_the_version_that_the_engine_offers(client: Engine, engine: FakeEngine) -> None:
    engine.routes["GET", "/nodes"] = (200, [])
    assert client.api_version == "1.41"
    assert await client.get("/nodes", params={"filters": '{"role":["manager"]}'}) == b"[]"
    assert [request.path.partition("?")[0] for request in engine.requests] == ["/_ping", "/v1.41/nodes"]
    assert "filters=%7B%22role%22" in engine.requests[-1].path


async def test_posts_and_deletes(client: Engine, engine: FakeEngine) -> None:
    engine.routes["POST", "/nodes/n1/update"] = (200, b"")
    engine.routes["DELETE", "/nodes/n1"] = (200, b"")
    spec = {"Role": "worker", "Labels": {"zone": "ä"}, "Name": None}
    assert await client.post("/nodes/n1/update", params={"version": "7"}, json=spec) == b""
    await client.delete("/nodes/n1", {"force": "1"})
    post, delete = engine.requests[-2:]
    assert (post.path, json.loads(post.body)) == ("/v1.41/nodes/n1/update?version=7", spec)
    assert post.headers["content-type"] == "application/json"
    assert delete.path == "/v1.41/nodes/n1?force=1"


async def test_bodies_are_made_harmless_unless_asked_not_to(client: Engine, engine: FakeEngine) -> None:
    engine.routes["GET", "/x"] = (200, b'{"a":"\\u001b[2J","b":"\xe2\x80\xae"}')
    assert b"\\u001b" not in await client.get("/x") and b"\xe2\x80\xae" not in await client.get("/x")
    assert b"\\u001b" in await client.get("/x", clean=False)


async def test_the_engines_refusals(client: Engine, engine: FakeEngine) -> None:
    engine.routes["POST", "/a"] = (500, {"message": "rpc error: code = Unknown desc = update out of sequence"})
    engine.routes["GET", "/b"] = (503, b"<html>gone \x1b[2J</html>")
    with pytest.raises(EngineError) as caught:
        await client.post("/a", json={})
    assert caught.value.status == 500 and "changed by somebody else" in caught.value.what and caught.value.next_step
    assert caught.value.message.endswith("update out of sequence")
    with pytest.raises(EngineError) as caught:
        await client.get("/b")
    assert caught.value.status == 503 and "\x1b" not in str(caught.value)


async def test_calls_that_take_too_long_leave_the_connection_alone(client: Engine, engine: FakeEngine) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)
        raise ConnectionError

    engine.routes["GET", "/hang"] = engine.routes["POST", "/hang"] = hang
    started = time.monotonic()
    with pytest.raises(EngineError) as caught:
        await client.get("/hang", timeout=0.2)
    assert caught.value.status == 0 and "0.2 s" in caught.value.what and time.monotonic() - started < 1
    lost = asyncio.ensure_future(client.wait_lost())
    assert (await client.info()).name == "mgr1"
    assert not lost.done()
    lost.cancel()


async def test_calls_do_not_wait_for_each_other_nor_for_the_loop(client: Engine, engine: FakeEngine) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    engine.routes["GET", "/slow"] = slow
    started = time.monotonic()
    await asyncio.gather(*(client.get("/slow") for _ in range(16)))
    assert 0.55 < time.monotonic() - started < 1.2  # two rounds of eight
    assert engine.most == 8


async def test_a_connection_that_was_closed_meanwhile_is_opened_again_for_reading_only(
    client: Engine, engine: FakeEngine
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine.routes["GET", "/once"] = (200, {"ok": True})
        raise ConnectionError

    engine.routes["GET", "/once"] = engine.routes["POST", "/once"] = hang_up
    assert await client.get("/once") == b'{"ok": true}'
    with pytest.raises(LinkError) as caught:
        await client.post("/once", json={})
    assert caught.value.reason is Reason.CONNECTION_LOST
    assert [request.method for request in engine.requests if request.path.endswith("/once")] == ["GET", "GET", "POST"]


async def test_answers_about_itself_that_cannot_be_read(client: Engine, engine: FakeEngine) -> None:
    for body in (b"[]", b"null", b"\xff", b'{"Name":"\xff"}', b'{"x":' * 100_000, b'{"Swarm":7}', b""):
        engine.routes["GET", "/info"] = (200, body)
        with pytest.raises(LinkError) as caught:
            await client.info()
        assert caught.value.reason is Reason.NOT_DOCKER


async def test_an_engine_that_is_gone(client: Engine, engine: FakeEngine, tmp_path: Path) -> None:
    await engine.stop()
    with pytest.raises(LinkError) as caught:
        await client.get("/info")
    assert caught.value.reason is Reason.DOCKER_DOWN
    async with asyncio.timeout(1):
        await client.wait_lost()


async def test_after_the_end(client: Engine) -> None:
    await client.close()
    await client.close()
    async with asyncio.timeout(1):
        with pytest.raises(LinkError) as caught:
            await client.get("/info")
    assert caught.value.reason is Reason.CONNECTION_LOST


async def test_closing_ends_calls_under_way(client: Engine, engine: FakeEngine) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)
        raise ConnectionError

    engine.routes["GET", "/hang"] = hang
    call = asyncio.ensure_future(client.get("/hang"))
    await asyncio.sleep(0.1)
    await client.close()
    async with asyncio.timeout(1):
        with pytest.raises(LinkError):
            await call


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, b"<html>It works!</html>"), Reason.NOT_DOCKER),
        ((200, {"hello": "world"}), Reason.NOT_DOCKER),
        ((404, b"not here"), Reason.NOT_DOCKER),
        ((302, b""), Reason.NOT_DOCKER),
        ((200, b'{"ApiVersion":"\xff"}'), Reason.NOT_DOCKER),
        ((200, b'{"x":' * 100_000), Reason.NOT_DOCKER),
        ((200, {"ApiVersion": "1.23"}), Reason.API_TOO_OLD),
        ((200, {"ApiVersion": "1.9"}), Reason.API_TOO_OLD),
        ((403, {"message": "access denied"}), Reason.AUTH_FAILED),
    ],
)
async def test_what_is_no_engine_of_use(answer: Any, reason: Reason, engine: FakeEngine, tmp_path: Path) -> None:
    engine.routes["GET", "/_ping"] = (404, b"")
    engine.routes["GET", "/version"] = answer
    with pytest.raises(LinkError) as caught:
        await Engine.connect(f"unix://{tmp_path}/docker.sock", where="unix:///x")
    assert caught.value.reason is reason


@pytest.mark.parametrize("version", ["1.24", "1.41", "1.52", "1.100"])
@pytest.mark.parametrize("ping", [(200, b"OK"), (404, b"no"), (500, b"unhealthy"), (200, b"OK", "Api-Version: 1.29")])
async def test_versions_that_are_spoken(version: str, ping: Any, engine: FakeEngine, tmp_path: Path) -> None:
    engine.routes["GET", "/_ping"] = ping
    engine.routes["GET", "/version"] = (200, {"ApiVersion": version})
    client = await Engine.connect(f"unix://{tmp_path}/docker.sock", where="x")
    await client.info()
    assert engine.requests[-1].path == f"/v{'1.29' if len(ping) > 2 else version}/info"
    await client.close()


async def test_local_sockets_that_do_not_answer(tmp_path: Path) -> None:
    with pytest.raises(LinkError) as caught:
        await Engine.connect(f"unix://{tmp_path}/none.sock", where=f"unix://{tmp_path}/none.sock")
    assert caught.value.reason is Reason.NO_SOCKET and "this machine" in caught.value.what

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(babble, str(tmp_path / "odd.sock"))
    try:
        with pytest.raises(LinkError) as caught:
            await Engine.connect(f"unix://{tmp_path}/odd.sock", where="x")
        assert caught.value.reason is Reason.NOT_DOCKER
    finally:
        server.close()


# -- events ------------------------------------------------------------------------------------------------------


@pytest.fixture
def feed(engine: FakeEngine) -> Events:
    feed = Events()
    engine.routes["GET", "/events"] = feed
    return feed


def reading(client: Engine) -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name == f"events {client.where}"}


async def test_events(client: Engine, engine: FakeEngine, feed: Events) -> None:
    stream = client.events({"scope": ["swarm"]})
    feed.send({"Type": "node", "n": 1}, b'{"Type":"ser', b'vice"}\n{"a":"\\u001b"}\n')
    got = [await anext(stream) for _ in range(3)]
    assert [json.loads(event) for event in got] == [{"Type": "node", "n": 1}, {"Type": "service"}, {"a": "\ufffd"}]
    assert "filters=%7B%22scope%22" in engine.requests[-1].path
    await asyncio.sleep(0.1)
    feed.send({"late": True})
    assert json.loads(await anext(stream)) == {"late": True}
    assert reading(client)
    await stream.aclose()
    async with asyncio.timeout(1):
        await feed.closed.wait()
        while reading(client):  # noqa: ASYNC110  # a thread
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["end", "cut"])
async def test_a_stream_that_ends_is_lost(client: Engine, engine: FakeEngine, feed: Events, how: str) -> None:
    stream = client.events({"scope": ["swarm"]})
    feed.send({"n": 1})
    await anext(stream)
    if how == "end":
        feed.end()
    else:
        await engine.stop()
    async with asyncio.timeout(2):
        with pytest.raises(LinkError) as caught:
            await anext(stream)
        assert caught.value.reason is Reason.CONNECTION_LOST
        await client.wait_lost()


async def test_a_refused_stream_is_not_a_lost_connection(client: Engine, engine: FakeEngine) -> None:
    engine.routes["GET", "/events"] = (400, {"message": "Invalid filter 'scope'"})
    with pytest.raises(EngineError) as caught:
        await anext(client.events({"scope": ["swarm"]}))
    assert caught.value.status == 400
    lost = asyncio.ensure_future(client.wait_lost())
    await asyncio.sleep(0.05)
    assert not lost.done()
    lost.cancel()


async def test_a_stream_survives_long_silence(engine: FakeEngine, tmp_path: Path, feed: Events) -> None:
    client = await Engine.connect(f"unix://{tmp_path}/docker.sock", where="silent", timeout=0.2)
    stream = client.events({})
    feed.send({"n": 1})
    await anext(stream)
    await asyncio.sleep(0.5)
    feed.send({"n": 2})
    assert json.loads(await anext(stream)) == {"n": 2}
    await stream.aclose()
    await client.close()


async def test_a_flood_is_dropped_and_said_so(client: Engine, feed: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "QUEUE_MAX", 10)
    stream = client.events({})
    feed.send({"n": -1})
    await anext(stream)
    for chunk in range(20):
        feed.send(b"".join(b'{"n":%d}\n' % (chunk * 3 + n) for n in range(3)))
    await asyncio.sleep(0.3)
    feed.send({"n": "last"})
    got = []
    async with asyncio.timeout(2):
        while not got or got[-1] != {"n": "last"}:
            event = await anext(stream)
            got.append("lagged" if event is LAGGED else json.loads(event))
    assert "lagged" in got and len(got) <= 12
    await stream.aclose()


async def test_closing_the_engine_ends_its_streams(client: Engine, feed: Events) -> None:
    stream = client.events({})
    feed.send({"n": 1})
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    await client.close()
    async with asyncio.timeout(1):
        with pytest.raises(LinkError):
            await waiting
        await feed.closed.wait()


async def test_an_event_without_an_end(client: Engine, feed: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "LINE_MAX", 100)
    stream = client.events({})
    feed.send(b"x" * 200)
    with pytest.raises(LinkError):
        await anext(stream)


# -- TLS ---------------------------------------------------------------------------------------------------------


class Authority:
    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._sign(self.name, self.key, None).public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, san: str | None) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=san is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if san is not None:
            name = x509.DNSName(san)
            builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        else:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert_file, key_file = self.folder / f"{name}.cert.pem", self.folder / f"{name}.key.pem"
        cert_file.write_bytes(self._sign(subject, key, name).public_bytes(serialization.Encoding.PEM))
        pkcs8 = serialization.PrivateFormat.PKCS8
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption()))
        return cert_file, key_file


@pytest.fixture
async def tls(tmp_path: Path) -> AsyncIterator[tuple[int, TlsFiles, Authority]]:
    authority = Authority(tmp_path, "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    fake = FakeEngine({("GET", "/events"): Events()})
    port = await fake.on_tcp(context)
    yield port, TlsFiles(authority.file, *authority.issue("client")), authority
    await fake.stop()


async def opened(port: int, files: TlsFiles, tmp_path: Path, host: str = "localhost") -> Manager:
    return await Manager.open(TcpTarget(host, port, files, "bundle"), settings(tmp_path), Nobody())


async def test_tls(tls: tuple[int, TlsFiles, Authority], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, files, _ = tls
    # Neither may take the place of what the bundle says.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    manager = await opened(port, files, tmp_path)
    assert manager.via == "tls" and manager.label == "bundle"
    assert (await manager.info()).name == "mgr1"
    stream = manager.engine.events({})
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.2)
    await manager.close()
    async with asyncio.timeout(1):
        with pytest.raises(LinkError):
            await waiting


async def test_tls_that_fails(tls: tuple[int, TlsFiles, Authority], tmp_path: Path) -> None:
    port, files, authority = tls
    stranger = Authority(tmp_path, "other")
    cases = [
        (port, TlsFiles(stranger.file, files.cert, files.key), "localhost"),  # a server of somebody else
        (port, files, "127.0.0.1"),  # a certificate for another name
        (port, TlsFiles(files.ca, *stranger.issue("mallory")), "localhost"),  # a client that it does not know
        (port, TlsFiles(files.ca, None, None), "localhost"),  # no client certificate
        (port, TlsFiles(files.ca, tmp_path / "none", tmp_path / "none"), "localhost"),
    ]
    for number, material, host in cases:
        with pytest.raises(LinkError) as caught:
            await opened(number, material, tmp_path, host)
        assert caught.value.reason in (Reason.TLS_FAILED, Reason.CONNECTION_LOST), caught.value
    manager = await opened(port, TlsFiles(None, files.cert, files.key, verify=False), tmp_path)
    await manager.close()
    assert authority.file == files.ca


async def test_tls_to_what_speaks_none(tls: tuple[int, TlsFiles, Authority], tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.2)

    _, files, _ = tls
    async with listening(babble) as port:
        with pytest.raises(LinkError) as caught:
            await opened(port, files, tmp_path)
        assert caught.value.reason is Reason.TLS_FAILED
    with pytest.raises(LinkError) as caught:
        await opened(1, files, tmp_path)
    assert caught.value.reason is Reason.CONNECTION_REFUSED and "port 1" in caught.value.what
    with pytest.raises(LinkError) as caught:
        await opened(1, files, tmp_path, "no-such-host.invalid")
    assert caught.value.reason is Reason.NAME_UNKNOWN
