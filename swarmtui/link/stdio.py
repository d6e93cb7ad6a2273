"""A local socket each of whose connections runs a command on a host: `docker system dial-stdio`, without forwarding.

Every connection is a session channel, and sshd allows ten of those (MaxSessions): so they are counted, and wait.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncssh

from swarmtui.model.text import one_line

SLOTS = 6
"""Connections at a time; leaves four of sshd's ten sessions for commands."""
CHUNK = 65_536


class StdioForward:
    """A running forward. Made by `start`.

    Attributes:
        trouble: the last thing the remote command said on its standard error, one line; "" if it never did.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, command: str, first: bytes) -> None:
        self.trouble = ""
        self._connection = connection
        self._command = command
        self._first = first
        self._slots = asyncio.Semaphore(SLOTS)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    async def start(
        cls, connection: asyncssh.SSHClientConnection, command: str, path: Path, first: bytes = b""
    ) -> StdioForward:
        """Begins to listen on a path.

        Args:
            first: what the command reads before what comes from the local side.
        """
        forward = cls(connection, command, first)
        # In two steps: cancelled in the middle of one, it would leave its socket open.
        forward._server = await asyncio.start_unix_server(forward._serve, str(path), start_serving=False)
        try:
            path.chmod(0o600)
            await forward._server.start_serving()
        except BaseException:
            forward._server.close()
            raise
        return forward

    async def close(self) -> None:
        """Stops listening and ends what runs."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with self._slots:
                process: asyncssh.SSHClientProcess[bytes] = await self._connection.create_process(
                    self._command, encoding=None, request_pty=False
                )
                try:
                    await self._pump(process, reader, writer)
                finally:
                    process.close()
        except (asyncssh.Error, OSError) as error:
            self.trouble = one_line(str(error))
        except asyncio.CancelledError:
            # Ours from close(): the server that started this task would log it as an error of its own.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pump(
        self, process: asyncssh.SSHClientProcess[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def up() -> None:
            if self._first:
                process.stdin.write(self._first)
            while chunk := await reader.read(CHUNK):
                process.stdin.write(chunk)
                await process.stdin.drain()
            process.stdin.write_eof()

        async def down() -> None:
            while chunk := await process.stdout.read(CHUNK):
                writer.write(chunk)
                await writer.drain()

        async def complaints() -> None:
            while line := await process.stderr.readline():
                if text := one_line(line.decode("utf-8", "replace")):
                    self.trouble = text

        tasks = [asyncio.create_task(job()) for job in (up, down, complaints)]
        try:
            # Either side may end it: the command when its engine is gone, ours when it needs the connection no more.
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            if tasks[1].done():
                await asyncio.wait(tasks[2:], timeout=1.0)
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, BaseException) and not isinstance(
                    result, asyncio.CancelledError | asyncssh.Error | OSError
                ):
                    raise result
