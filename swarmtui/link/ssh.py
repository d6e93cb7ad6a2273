"""One SSH connection to a host: commands, and ways to sockets on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from swarmtui.link.dialing import Dialer
from swarmtui.link.person import Nobody, PasswordPerson, Person
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.sockets import SocketFolder, sweep
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.stdio import StdioForward
from swarmtui.link.sudo import Sudo
from swarmtui.link.target import SshTarget
from swarmtui.link.together import together
from swarmtui.model.text import harmless, one_line

__all__ = ["Completed", "Nobody", "PasswordPerson", "Person", "SshHost", "SshSettings"]

OUTPUT_MAX = 64 << 20
"""Bytes of output of one command that are kept; a command that says more is cut off, and fails."""
RUNS = 4
"""Commands at a time; more wait. With those of `stdio.SLOTS` they make the ten sessions that sshd allows."""
CLOSE_SECONDS = 1.0
WORDS_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ran to its end: exit code (128 + N where signal N ended it), output made harmless."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said last, for a sentence."""
        lines = [line for line in (self.err or self.out).splitlines() if line.strip()]
        return one_line(" ".join(lines[-2:]))[-WORDS_LENGTH:].rstrip(". ") or f"exit code {self.code}"


class SshHost:
    """A host we are logged in to. Made by `connect`.

    Attributes:
        label: "user@host", with the port where it was given and is not 22.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, label: str, target: SshTarget, person: Person) -> None:
        self.label = label
        self._sudo = Sudo(person, label)
        self.target = target
        self._connection = connection
        self._folder: SocketFolder | None = None
        self._runs = asyncio.Semaphore(RUNS)
        self._stdio: list[StdioForward] = []
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, target: SshTarget, settings: SshSettings, person: Person) -> SshHost:
        """Logs in, through jump hosts where the ssh configuration names some.

        Raises:
            LinkError: there is no way in.
        """
        connection, label = await Dialer(settings, person).dial(target)
        return cls(connection, label, target, person)

    @property
    def user(self) -> str:
        return str(self._connection.get_extra_info("username"))

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        """The connection itself, for what this class has no word for (streams of their own)."""
        return self._connection

    @property
    def closed(self) -> bool:
        """Closed by us, by the host, or by the silence between."""
        return self._connection.is_closed()

    async def prepared(self, command: str) -> tuple[str, bytes]:
        """A command as it is to be run on `connection`, and what it must read first: a password of sudo, if any."""
        return await self._sudo.prepared(command)

    def lost(self, error: Exception | None) -> LinkError:
        """The error for what failed on `connection`."""
        return self._lost(error)

    async def run(self, command: str, *, stdin: bytes | None = None, timeout: float) -> Completed:
        """Runs a command in the user's login shell, without a terminal. `sudo -n` gets the vault's password, if any.

        Args:
            stdin: what it gets on its standard input, and then the end of it; None: nothing at all.
            timeout: seconds, from its start; then its channel is closed, which ends a command that reads or writes.

        Raises:
            LinkError: the connection was lost, or the time was up. The command may have done some or all of its work.
        """
        command, first = await self._sudo.prepared(command)
        try:
            async with self._runs, asyncio.timeout(timeout):
                process: asyncssh.SSHClientProcess[bytes] = await self._connection.create_process(
                    command, encoding=None, stdin=asyncssh.PIPE, request_pty=False
                )
                try:
                    out, err = await self._talk(process, first + (stdin or b""))
                finally:
                    process.close()
                code = process.returncode
        except TimeoutError as error:
            raise LinkError(
                Reason.TIMEOUT,
                self.label,
                f"A command on {self.label} did not end within {timeout:g} s.",
                "Look on the host whether it still runs, and what holds it.",
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise self._lost(error) from error
        if code is None:
            raise self._lost(None)
        return Completed(code if code >= 0 else 128 - code, _text(out), self._sudo.heard(_text(err)))

    async def _talk(self, process: asyncssh.SSHClientProcess[bytes], stdin: bytes) -> tuple[bytes, bytes]:
        async def feed() -> None:
            # A command may end, or close its input, before it has read everything.
            with contextlib.suppress(BrokenPipeError, ConnectionError):
                if stdin:
                    process.stdin.write(stdin)
                    await process.stdin.drain()
                process.stdin.write_eof()

        _, out, err = await together(feed(), _read(process.stdout), _read(process.stderr))
        if len(out) > OUTPUT_MAX or len(err) > OUTPUT_MAX:
            raise LinkError(
                Reason.CONNECTION_LOST, self.label, f"A command on {self.label} wrote too much to be kept.", ""
            )
        await process.wait_closed()
        return out, err

    def _lost(self, error: Exception | None) -> LinkError:
        if isinstance(error, asyncssh.ChannelOpenError) and not self.closed:
            return LinkError(
                Reason.CONNECTION_LOST,
                self.label,
                f"{self.label} lets us in but runs no command: {one_line(error.reason)}.",
                "Look at its sshd_config (ForceCommand, MaxSessions) and at the user's shell.",
            )
        return LinkError(Reason.CONNECTION_LOST, self.label, because=one_line(str(error or "")))

    async def forward_socket(self, remote_path: str) -> Path:
        """Makes a local socket (in a 0700 folder, removed on close) whose connections end in a socket on the host.

        Whether the host has such a socket, and lets us use it, shows only when somebody connects.
        """
        path = await self._new_socket()
        await self._listening(self._connection.forward_local_path(str(path), remote_path))
        return path

    async def forward_port(self, host: str, port: int) -> Path:
        """Makes a local socket, as `forward_socket` does, whose connections end in a TCP port as seen from the host.

        Raises:
            LinkError: the connection was lost.
        """
        path = await self._new_socket()
        await self._listening(self._connection.forward_local_path_to_port(str(path), host, port))
        return path

    async def _listening(self, begun: Awaitable[asyncssh.SSHListener]) -> None:
        """Waits until a local socket is forwarded. Raises LinkError."""
        listening = asyncio.ensure_future(begun)
        try:
            await asyncio.shield(listening)
        except asyncio.CancelledError:
            # Cancelled in the middle, it would leave its socket open; it only takes one more turn of the loop.
            (await listening).close()
            raise
        except (asyncssh.Error, OSError) as error:
            raise self._lost(error) from error

    async def forward_command(self, command: str) -> tuple[Path, StdioForward]:
        """Makes a local socket each of whose connections runs a command on the host and talks to its streams."""
        path = await self._new_socket()
        command, first = await self._sudo.prepared(command)
        forward = await StdioForward.start(self._connection, command, path, first)
        self._stdio.append(forward)
        return path, forward

    async def _new_socket(self) -> Path:
        if self._folder is None:
            await asyncio.to_thread(sweep)
            self._folder = self._folder or SocketFolder()
        return self._folder.new()

    async def probe_socket(self, remote_path: str) -> bool:
        """Whether sshd opens a socket on the host for us. False for every refusal: it does not say why."""
        try:
            _, writer = await self._connection.open_unix_connection(remote_path)
        except asyncssh.ChannelOpenError:
            return False
        except (asyncssh.Error, OSError) as error:
            raise self._lost(error) from error
        writer.close()
        return True

    async def open_tcp(self, host: str, port: int) -> tuple[Any, Any]:
        """Opens a TCP connection from the host to somewhere; returns reader and writer of bytes, as asyncio's are.

        Raises:
            OSError: it could not be opened, as with asyncio.open_connection.
        """
        try:
            return await self._connection.open_connection(host, port)
        except asyncssh.Error as error:
            raise ConnectionError(f"{self.label} opened no connection to {host} port {port}: {error}") from error

    async def wait_closed(self) -> None:
        """Returns when the connection has ended, whoever ended it."""
        await self._connection.wait_closed()

    async def close(self) -> None:
        """Ends the connection, its jump hosts and its forwarded sockets, within a second even where nobody answers."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            for forward in self._stdio:
                await forward.close()
            self._connection.close()
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.wait_closed()
        except TimeoutError:
            pass
        finally:
            # Also when this is cut short, as at the end of the event loop.
            self._connection.abort()
            if self._folder is not None:
                self._folder.remove()


async def _read(stream: asyncssh.SSHReader[bytes]) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= OUTPUT_MAX and (part := await stream.read(65_536)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _text(output: bytes) -> str:
    return harmless(output.decode("utf-8", "replace").replace("\r\n", "\n"))
