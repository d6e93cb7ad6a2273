"""One SSH server for each simulated host, on its own port of 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any

from swarmtui.demo.api.server import EngineServer
from swarmtui.demo.hosts import probing, swarm_port
from swarmtui.demo.hosts.commands import HostShell
from swarmtui.demo.hosts.swarm_port import SwarmPort
from swarmtui.demo.platform.balancer import both
from swarmtui.demo.sshlib import asyncssh
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

LOOPBACK = "127.0.0.1"
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")
_MAX_INPUT = 256 * 1024 * 1024
_PIECE = 256 * 1024


class _Server(asyncssh.SSHServer):
    """One SSH connection to a simulated host."""

    def __init__(self, owner: HostServer) -> None:
        self._owner = owner
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._owner.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._owner.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def unix_connection_requested(self, dest_path: str) -> Awaitable[asyncssh.SSHUNIXSession[bytes]]:
        assert self._connection is not None
        engine = self._owner.engine
        if dest_path not in SOCKETS or not self._owner.host.forwarding or not engine.listening:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "open failed")
        return self._connection.forward_unix_connection(str(engine.path))  # type: ignore[return-value]

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> swarm_port.Handler | bool:
        """The Swarm ports of simulated managers answer in memory, UCP and DTR on ports of this machine; else nobody."""
        owner = self._owner
        if not owner.host.forwarding:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "open failed")
        called = owner.host if dest_host in (LOOPBACK, "localhost") else owner.world.host_at(dest_host)
        port = owner.world.published.get((called.name if called is not None else "", dest_port))
        if port is not None:
            return partial(owner.pass_on, port)
        swarm = swarm_port.listening(owner.world, owner.host, dest_host, dest_port)
        return False if swarm is None else owner.swarm_port.serve(swarm)


class HostServer:
    """The sshd of one host. It keeps its port while the host is off, and refuses connections then."""

    def __init__(
        self,
        world: World,
        host: Host,
        engine: EngineServer,
        key: asyncssh.SSHKey,
        allowed: asyncssh.SSHAuthorizedKeys,
    ) -> None:
        self.world = world
        self.host = host
        self.engine = engine
        self.key = key
        self.shell = HostShell(world, host)
        self.swarm_port = SwarmPort(engine.path.parent)
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.port = 0
        self._running: set[asyncio.Task[None]] = set()
        self._allowed = allowed
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._placeholder: socket.socket | None = None

    @property
    def listening(self) -> bool:
        """Does it accept connections?"""
        return self._acceptor is not None

    async def start(self) -> None:
        """Accept connections."""
        if self._acceptor is not None:
            return
        self._release()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((LOOPBACK, self.port))
        self.port = sock.getsockname()[1]
        self._acceptor = await asyncssh.listen(
            sock=sock,
            config=(),
            server_factory=lambda: _Server(self),
            server_host_keys=[self.key],
            process_factory=self._process,
            encoding=None,
            server_version="OpenSSH_9.2p1-simulated",
            authorized_client_keys=self._allowed,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            line_editor=False,
            login_timeout=30,
        )

    async def stop(self, *, keep_port: bool = True) -> None:
        """Cut all connections; refuse new ones."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            acceptor.close()
            for connection in list(self.connections):
                connection.abort()
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await acceptor.wait_closed()
        self._release()
        if keep_port and self.port:
            self._placeholder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._placeholder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._placeholder.bind((LOOPBACK, self.port))

    def _release(self) -> None:
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None

    async def pass_on(self, port: int, reader: Any, writer: Any) -> None:
        """What answers on a port of this machine, over a channel."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await both(reader, writer, *await asyncio.open_connection(LOOPBACK, port))
        except (asyncssh.Error, OSError):
            pass
        finally:
            writer.close()
            self._running.discard(task)

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            await self._run(process)
        except (asyncssh.Error, ConnectionError):
            process.close()
        finally:
            self._running.discard(task)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.subsystem is not None or process.command is None:
            process.stderr.write(b"This is a simulated host: it runs single commands, no sessions.\n")
            process.exit(1)
            return
        if self.shell.is_dial(process.command):
            await self._dial(process)
            return
        listener = probing.listen(self.world, self.host, process.command)
        if listener is not None:
            await self._listen(process, listener)
            return
        stdin = b"" if not self.shell.wants_input(process.command) else await _read_all(process.stdin)
        result = await self.shell.run(process.command, stdin)
        out = result.out.encode("utf-8", "surrogateescape")
        for begin in range(0, len(out), _PIECE):
            process.stdout.write(out[begin : begin + _PIECE])
            await process.stdout.drain()
        process.stderr.write(result.err.encode("utf-8", "surrogateescape"))
        process.exit(result.code)

    async def _listen(self, process: asyncssh.SSHServerProcess[bytes], listener: probing.Listener) -> None:
        """A program that listens on ports until its input ends, and tells what it heard."""
        process.stdout.write("".join(f"taken {port}\n" for port in listener.taken).encode() + b"ready\n")
        ended = asyncio.Event()

        async def watch() -> None:
            await _read_all(process.stdin)
            ended.set()

        watching = asyncio.ensure_future(watch())
        try:
            process.stdout.write((await probing.serve(listener, self.world, ended)).encode())
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        process.exit(0)

    async def _dial(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """`docker system dial-stdio`: the engine's socket over this session."""
        try:
            if not self.engine.listening:
                raise FileNotFoundError
            reader, writer = await asyncio.open_unix_connection(str(self.engine.path))
        except OSError:
            process.stderr.write(
                b"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"
            )
            process.exit(1)
            return

        async def upwards() -> None:
            while data := await process.stdin.read(65536):
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

        async def downwards() -> None:
            while data := await reader.read(65536):
                process.stdout.write(data)
                await process.stdout.drain()

        up = asyncio.ensure_future(upwards())
        try:
            await downwards()
        finally:
            up.cancel()
            with contextlib.suppress(asyncio.CancelledError, asyncssh.Error, ConnectionError):
                await up
            writer.close()
        process.exit(0)


async def _read_all(stdin: asyncssh.SSHReader[bytes]) -> bytes:
    data = bytearray()
    while len(data) < _MAX_INPUT:
        piece = await stdin.read(65536)
        if not piece:
            break
        data += piece
    return bytes(data)


def write_client_files(folder: Path, client_key: asyncssh.SSHKey, hosts: list[HostServer]) -> Path:
    """Write the client's key, known_hosts and ssh_config into a folder of our own; returns the ssh_config."""
    key, known, config = folder / "id_ed25519", folder / "known_hosts", folder / "ssh_config"
    key.touch(0o600)
    key.write_bytes(client_key.export_private_key())
    known.write_text(
        "".join(f"[{LOOPBACK}]:{host.port} {host.key.export_public_key().decode().strip()}\n" for host in hosts)
    )
    config.write_text(
        "".join(
            f"Host {host.host.name}\n"
            f"  HostName {LOOPBACK}\n"
            f"  Port {host.port}\n"
            "  User root\n"
            f"  IdentityFile {key}\n"
            "  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {known}\n"
            "  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n\n"
            for host in hosts
        )
    )
    return config
