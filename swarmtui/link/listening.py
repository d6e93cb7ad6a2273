"""A command on a host that listens for a while, and tells at its end what it heard.

It ends with its standard input. So nothing stays behind on the host, however we go away: sshd closes that input too
when the connection is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncssh

from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.model.text import harmless, one_line

READY = "ready"
OUTPUT_MAX = 1 << 20


class Listening:
    """A listener that is ready.

    Attributes:
        opened: what it said before it was ready, one entry a line.
    """

    def __init__(self, host: SshHost, process: asyncssh.SSHClientProcess[bytes], opened: tuple[str, ...]) -> None:
        self.opened = opened
        self._host = host
        self._process = process

    async def heard(self, timeout: float) -> tuple[str, ...]:
        """Ends it; returns what it said since it was ready, one entry a line.

        Raises:
            LinkError: the connection was lost, or it does not end.
        """
        try:
            async with asyncio.timeout(timeout):
                self._process.stdin.write_eof()
                told = b""
                while len(told) < OUTPUT_MAX and (part := await self._process.stdout.read(65_536)):
                    told += part
        except TimeoutError as error:
            what = f"A command that listens on {self._host.label} did not end within {timeout:g} s."
            raise LinkError(Reason.TIMEOUT, self._host.label, what, "Try again.") from error
        except (asyncssh.Error, OSError) as error:
            raise LinkError(Reason.CONNECTION_LOST, self._host.label, because=one_line(str(error))) from error
        return tuple(harmless(told.decode("utf-8", "replace")).splitlines())


@contextlib.asynccontextmanager
async def listening(host: SshHost, command: str, timeout: float) -> AsyncIterator[Listening]:
    """Runs a listener for the length of a block.

    Args:
        command: says `ready` on a line of its own once it listens, and ends with its standard input.
        timeout: seconds until it must be ready.

    Raises:
        LinkError: it never was, or the connection was lost.
    """
    try:
        process: asyncssh.SSHClientProcess[bytes] = await host.connection.create_process(
            command, encoding=None, stdin=asyncssh.PIPE, request_pty=False
        )
    except (asyncssh.Error, OSError) as error:
        raise LinkError(Reason.CONNECTION_LOST, host.label, because=one_line(str(error))) from error
    try:
        opened: list[str] = []
        try:
            async with asyncio.timeout(timeout):
                while (line := await process.stdout.readline()) and line.strip() != READY.encode():
                    opened.append(one_line(line.decode("utf-8", "replace")))
                if not line:
                    why = one_line((await process.stderr.read(2000)).decode("utf-8", "replace"))
                    what = f"A command that should listen on {host.label} ended at once: {why or 'it said nothing'}."
                    raise LinkError(Reason.CONNECTION_LOST, host.label, what, "Look on the host what is missing there.")
        except TimeoutError as error:
            what = f"A command that should listen on {host.label} was not ready within {timeout:g} s."
            raise LinkError(Reason.TIMEOUT, host.label, what, "Try again.") from error
        except (asyncssh.Error, OSError) as error:
            raise LinkError(Reason.CONNECTION_LOST, host.label, because=one_line(str(error))) from error
        yield Listening(host, process, tuple(opened))
    finally:
        process.close()
