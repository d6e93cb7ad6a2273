"""Where a backup is rehearsed: a host over SSH, or this machine. Commands, bytes in, and an engine's API."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Protocol

import asyncssh

from swarmtui.errors import UsageError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import Completed
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.text import harmless, one_line
from swarmtui.runbooks.runbook import Shown
from swarmtui.runbooks.swarm.rehearsal.rehearse_commands import Commands
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine

LOCAL = "local"
SILENCE_SECONDS = 60.0
"""How long the host may take nothing of a stream."""


class Place(Protocol):
    """A host."""

    label: str

    def shown(self, line: str, feed: Shown | None = None) -> Shown:
        """A command there, as a person would type it."""
        ...

    async def run(self, line: str, *, timeout: float) -> Completed:
        """Runs a line of shell to its end. Raises LinkError."""
        ...

    async def feed(self, line: str, chunks: Iterator[bytes]) -> Completed:
        """Runs a line of shell that reads these bytes; they are made in a thread. Raises LinkError, or what they do."""
        ...

    def engine(self, commands: Commands) -> contextlib.AbstractAsyncContextManager[Engine]:
        """The API of the isolated dockerd. Raises LinkError."""
        ...


class SshPlace:
    """A host over SSH; its connection is opened anew where it was lost."""

    def __init__(self, session: Session, target: SshTarget) -> None:
        self._session = session
        self._target = target
        self.label = target.destination

    def shown(self, line: str, feed: Shown | None = None) -> Shown:
        return Shown(line, self._target.destination, self._target.port, feed)

    async def run(self, line: str, *, timeout: float) -> Completed:
        host = await self._session.reach(self._target)
        return await host.run(line, timeout=timeout)

    async def feed(self, line: str, chunks: Iterator[bytes]) -> Completed:
        host = await self._session.reach(self._target)
        command, first = await host.prepared(line)
        try:
            process: asyncssh.SSHClientProcess[bytes] = await host.connection.create_process(
                command, encoding=None, stdin=asyncssh.PIPE, request_pty=False
            )
            try:
                errors = asyncio.ensure_future(process.stderr.read())
                # A command that fails reads no further: what it said tells more than that.
                with contextlib.suppress(BrokenPipeError, ConnectionError):
                    process.stdin.write(first)
                    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                        process.stdin.write(chunk)
                        async with asyncio.timeout(SILENCE_SECONDS):
                            await process.stdin.drain()
                    process.stdin.write_eof()
                async with asyncio.timeout(SILENCE_SECONDS):
                    said = await errors
                    await process.wait_closed()
            finally:
                process.close()
        except TimeoutError as error:
            raise LinkError(
                Reason.TIMEOUT, self.label, f"{self.label} took nothing more for {SILENCE_SECONDS:g} s.", "Retry."
            ) from error
        except (asyncssh.Error, OSError) as error:
            raise host.lost(error) from error
        if process.returncode is None:
            raise host.lost(None)
        return Completed(process.returncode, "", harmless(said.decode("utf-8", "replace")))

    @contextlib.asynccontextmanager
    async def engine(self, commands: Commands) -> AsyncIterator[Engine]:
        host = await self._session.reach(self._target)
        path, stdio = await host.forward_command(commands.api)
        try:
            async with _engine(f"unix://{path}", self.label, forwarded=True) as engine:
                yield engine
        finally:
            await stdio.close()


class LocalPlace:
    """This machine."""

    label = "this machine"

    def shown(self, line: str, feed: Shown | None = None) -> Shown:
        return Shown(line, feed=feed, here=True)

    async def run(self, line: str, *, timeout: float) -> Completed:
        return await self._run(line, iter(()), timeout)

    async def feed(self, line: str, chunks: Iterator[bytes]) -> Completed:
        return await self._run(line, chunks, None)

    async def _run(self, line: str, chunks: Iterator[bytes], timeout: float | None) -> Completed:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_shell(
            line, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        reading = asyncio.gather(process.stdout.read(), process.stderr.read())
        try:
            async with asyncio.timeout(timeout):
                with contextlib.suppress(BrokenPipeError, ConnectionError):
                    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                        process.stdin.write(chunk)
                        await process.stdin.drain()
                process.stdin.close()
                out, err = await reading
                code = await process.wait()
        except TimeoutError as error:
            raise LinkError(
                Reason.TIMEOUT, self.label, f"A command on this machine did not end within {timeout:g} s.", ""
            ) from error
        finally:
            if process.returncode is None:
                # The whole group: what the shell started would keep the pipes open, and `wait` waits for those as well.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.stdin.close()
                await process.wait()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        told = [harmless(stream.decode("utf-8", "replace")) for stream in (out, err)]
        return Completed(code if code >= 0 else 128 - code, told[0], told[1])

    def engine(self, commands: Commands) -> contextlib.AbstractAsyncContextManager[Engine]:
        return _engine(f"unix://{commands.socket}", self.label, forwarded=False)


@contextlib.asynccontextmanager
async def _engine(url: str, label: str, *, forwarded: bool) -> AsyncIterator[Engine]:
    engines: type[Engine] = (await asyncio.to_thread(importlib.import_module, "swarmtui.link.engine")).Engine
    engine = await engines.connect(url, where=f"the isolated Docker on {label}", calls=2, forwarded=forwarded)
    try:
        yield engine
    finally:
        await engine.close()


def host_kind(text: str) -> str:
    """A host to rehearse on: "local", or ssh://[USER@]HOST[:PORT]; the kind of a parameter."""
    if text == LOCAL:
        return text
    try:
        target = parse_target(text if "://" in text else f"ssh://{text}")
    except UsageError as error:
        raise ValueError(f"is no host: {error.what}".rstrip(".")) from error
    if not isinstance(target, SshTarget):
        raise ValueError('is neither "local" nor an SSH address')
    return str(target)


def place_of(session: Session, text: str) -> Place:
    """The host that a text names.

    Raises:
        UsageError: it names none, or it is this machine and we are not root.
    """
    try:
        checked = host_kind(text)
    except ValueError as error:
        raise UsageError(f'"{one_line(text)}" {error}.', 'Write ssh://USER@HOST, or "local".') from None
    if checked == LOCAL:
        if os.geteuid() != 0:
            raise UsageError("A rehearsal on this machine needs root.", "Run it as root, or name a host over SSH.")
        return LocalPlace()
    target = parse_target(checked)
    assert isinstance(target, SshTarget)
    return SshPlace(session, target)
