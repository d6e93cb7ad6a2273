"""A small engine and a small SSH server on loopback, for tests of the link that need no lab."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from swarmtui.link.hostkeys import HostKeyQuestion
from swarmtui.link.person import Nobody
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget

SECRET = "planted-Pa55phrase"
VERSION = {"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"}
PING = (200, b"OK", "Api-Version: 1.41", "Ostype: linux")
MANAGER = {"ID": "x", "Name": "mgr1", "Swarm": {"NodeID": "n1", "LocalNodeState": "active", "ControlAvailable": True}}

Answer = tuple[Any, ...]
Greet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Handler = Greet


@dataclass
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class FakeEngine:
    """Answers HTTP on a Unix socket or TCP: (method, bare path) → (status, JSON, header …), or a handler."""

    routes: dict[tuple[str, str], Answer | Handler] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    most: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.routes = {
            ("GET", "/_ping"): PING,
            ("GET", "/version"): (200, VERSION),
            ("GET", "/info"): (200, MANAGER),
            **self.routes,
        }

    async def on(self, path: Path) -> FakeEngine:
        self._server = await asyncio.start_unix_server(self._serve, str(path))
        return self

    async def on_tcp(self, ssl: Any = None) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=ssl)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        self.most = max(self.most, len(self._writers))
        try:
            while (request := await _request(reader)) is not None:
                self.requests.append(request)
                path = request.path.partition("?")[0]
                if path.startswith("/v1."):
                    path = "/" + path.split("/", 2)[2]
                answer = self.routes.get((request.method, path), (404, {"message": "page not found"}))
                if callable(answer):
                    await answer(reader, writer)
                    continue
                status, value, *headers = answer
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                head = "".join(f"{header}\r\n" for header in headers)
                writer.write(f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


class Events:
    """A handler for /events that a test feeds."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, *events: Any) -> None:
        for event in events:
            self._queue.put_nowait(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        self.opened.set()
        watch = asyncio.ensure_future(reader.read(1))
        try:
            while True:
                feed = asyncio.ensure_future(self._queue.get())
                await asyncio.wait((feed, watch), return_when=asyncio.FIRST_COMPLETED)
                if not feed.done():
                    feed.cancel()
                    raise ConnectionError
                chunk = feed.result()
                if chunk is None:
                    writer.write(b"0\r\n\r\n")
                    await writer.drain()
                    return
                writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                await writer.drain()
        finally:
            watch.cancel()
            self.closed.set()


@contextlib.asynccontextmanager
async def listening(
    greet: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A TCP server on loopback that does one thing with each connection, and closes it; yields its port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await greet(reader, writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Command = Callable[["asyncssh.SSHServerProcess[bytes]"], Awaitable[int]]


@dataclass
class FakeHost:
    """An SSH server: who may log in, what its commands answer, and where its Docker socket leads."""

    key: asyncssh.SSHKey
    folder: Path
    users: dict[str, list[asyncssh.SSHKey]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    commands: dict[str, tuple[int, str, str] | Command] = field(default_factory=dict)
    socket: Path | None = None
    tcp: bool = True
    port: int = 0
    logins: int = 0
    ran: list[str] = field(default_factory=list)
    _acceptor: asyncssh.SSHAcceptor | None = None
    _connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def start(self) -> FakeHost:
        host = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                host._connections.append(conn)
                self.conn = conn

            def begin_auth(self, username: str) -> bool:
                self.user = username
                return True

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return key.public_data in [known.public_data for known in host.users.get(username, [])]

            def password_auth_supported(self) -> bool:
                return bool(host.passwords)

            def validate_password(self, username: str, password: str) -> bool:
                return host.passwords.get(username) == password

            def auth_completed(self) -> None:
                host.logins += 1

            def unix_connection_requested(self, dest_path: str) -> Any:
                if host.socket is None or dest_path != "/var/run/docker.sock":
                    return False
                return host._forward

            def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
                return host.tcp

        self._acceptor = await asyncssh.create_server(
            Server, "127.0.0.1", self.port, server_host_keys=[self.key], process_factory=self._run, encoding=None
        )
        self.port = self._acceptor.get_port()
        return self

    async def _forward(self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None and self.socket is not None
        self._tasks.add(task)
        try:
            engine_reader, engine_writer = await asyncio.open_unix_connection(str(self.socket))
            try:
                await relay(reader, engine_writer, engine_reader, writer)
            finally:
                engine_writer.transport.abort()
        except (OSError, asyncssh.Error):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        self.ran.append(command)
        answer = self.commands.get(command, (127, "", f"sh: {command}: not found\n"))
        if callable(answer):
            process.exit(await answer(process))
            return
        code, out, err = answer
        process.stdout.write(out.encode())
        process.stderr.write(err.encode())
        process.exit(code)

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._acceptor is not None:
            self._acceptor.close()
        for connection in self._connections:
            connection.abort()
        await asyncio.sleep(0)

    def target(self, user: str | None = "op") -> SshTarget:
        return SshTarget("127.0.0.1", user, self.port)

    def known(self, name: str = "127.0.0.1") -> str:
        return f"[{name}]:{self.port} {self.key.export_public_key().decode().strip()}\n"


async def relay(reader: Any, to_engine: Any, from_engine: Any, writer: Any) -> None:
    """Copies both ways until the engine, or the client, has ended."""

    async def copy(source: Any, sink: Any) -> None:
        while chunk := await source.read(65_536):
            sink.write(chunk)
            await sink.drain()

    tasks = [asyncio.ensure_future(copy(reader, to_engine)), asyncio.ensure_future(copy(from_engine, writer))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def dial_stdio(path: Path, process: asyncssh.SSHServerProcess[bytes]) -> int:
    """What `docker system dial-stdio` does."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        await relay(process.stdin, writer, reader, process.stdout)
    finally:
        writer.transport.abort()
    return 0


@dataclass
class Asked:
    """A person who notes what was asked, and answers from a script."""

    trust: bool = True
    passphrases: list[str | None] = field(default_factory=list)
    questions: list[HostKeyQuestion] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    think: float = 0.0

    async def trust_host_key(self, q: HostKeyQuestion) -> bool:
        self.questions.append(q)
        await asyncio.sleep(self.think)
        return self.trust

    async def passphrase(self, key_file: str) -> str | None:
        self.keys.append(key_file)
        await asyncio.sleep(self.think)
        return self.passphrases.pop(0) if self.passphrases else None


@dataclass
class AskedForPassword(Asked):
    passwords: list[str | None] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    async def password(self, user_at_host: str) -> str | None:
        self.logins.append(user_at_host)
        return self.passwords.pop(0) if self.passwords else None


def settings(folder: Path, **changes: Any) -> SshSettings:
    """Settings that touch nothing of the user's own."""
    config = folder / "ssh_config"
    if not config.exists():
        config.write_text("")
    return SshSettings(**{"config_file": config, "known_hosts": folder / "known_hosts", **changes})


async def refused(target: SshTarget, folder: Path, person: Any = None, **changes: Any) -> LinkError:
    """Why a host does not let in."""
    with pytest.raises(LinkError) as caught:
        host = await SshHost.connect(target, settings(folder, **changes), person or Nobody())
        await host.close()
    assert caught.value.what and caught.value.next_step
    return caught.value


def write_locked(home: Path, key: asyncssh.SSHKey, *, public: bool = True, name: str = "id_ed25519") -> Path:
    """A private key of which SECRET is the passphrase."""
    path = home / ".ssh" / name
    key.write_private_key(path, passphrase=SECRET, rounds=50)
    if public:
        key.write_public_key(f"{path}.pub")
    return path
