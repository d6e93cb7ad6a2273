"""A file of any size from a host, as fast as its disk and the line allow: its bytes are handed on while it comes.

The SSH window is large, so that a long line is never waited for, and the bytes are taken where asyncssh hands them out:
its own stream reader copies them twice more. Digesting and whatever is done with the bytes happens in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncssh

from swarmtui.errors import SwarmtuiError
from swarmtui.link.ssh import Completed, SshHost
from swarmtui.model.text import harmless

WINDOW = 16 << 20
"""Bytes on the way: 100 MB/s at 150 ms."""
PACKET = 256 << 10
BATCH = 1 << 20
"""Bytes that are handed on at once: a hop to a thread costs as much as a packet."""
QUEUED = 16
"""Batches that wait for the taker; then the host is not read from for a while."""
SILENCE_SECONDS = 60.0
"""How long nothing may come, on a connection that is kept alive by itself."""
ERRORS_MAX = 16 << 10


class StreamError(SwarmtuiError):
    """A file could not be read on its host, or did not come whole."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came. digest: sha256, in hex."""

    size: int
    digest: str


@dataclass(eq=False)
class _Arriving(asyncssh.SSHClientSession[bytes]):
    """Collects what comes into batches; stops the host while too many wait."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    queue: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    errors: bytearray = field(default_factory=bytearray)
    paused: bool = False
    lost: Exception | None = None
    code: int | None = None
    channel: asyncssh.SSHClientChannel[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype is not None:
            self.errors += data[: max(0, ERRORS_MAX - len(self.errors))]
            return
        self.parts.append(data)
        self.size += len(data)
        if self.size >= BATCH:
            self._hand_on()

    def _hand_on(self) -> None:
        if self.parts:
            self.queue.put_nowait(b"".join(self.parts))
            self.parts, self.size = [], 0
        if self.queue.qsize() >= QUEUED and not self.paused and self.channel is not None:
            self.paused = True
            self.channel.pause_reading()

    def taken(self) -> None:
        """A batch was taken."""
        if self.paused and self.queue.qsize() <= QUEUED // 2 and self.channel is not None:
            self.paused = False
            self.channel.resume_reading()

    def exit_status_received(self, status: int) -> None:
        self.code = status

    def eof_received(self) -> bool:
        self._hand_on()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._hand_on()
        self.lost = exc
        self.queue.put_nowait(None)


async def stream(host: SshHost, command: str, take: Callable[[bytes], None], size: int = 0) -> Streamed:
    """Runs a command on a host and hands on what it writes.

    Args:
        take: called in a thread, with one batch after the other; may block.
        size: bytes that are expected, where that is known.

    Raises:
        StreamError: the command failed, or not all came.
        LinkError: the connection was lost, or nothing came for a minute.
    """
    line, first = await host.prepared(command)
    arriving = _Arriving()
    try:
        channel, _ = await host.connection.create_session(
            lambda: arriving, line, encoding=None, window=WINDOW, max_pktsize=PACKET, request_pty=False
        )
    except (asyncssh.Error, OSError) as error:
        raise host.lost(error) from error
    digest = hashlib.sha256()
    came = 0

    def work(batch: bytes) -> None:
        digest.update(batch)
        take(batch)

    try:
        with contextlib.suppress(OSError):
            if first:
                channel.write(first)
            channel.write_eof()
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    batch = await arriving.queue.get()
            except TimeoutError as error:
                raise host.lost(error) from error
            if batch is None:
                break
            arriving.taken()
            came += len(batch)
            await asyncio.to_thread(work, batch)
    finally:
        channel.close()
    if arriving.lost is not None or arriving.code is None:
        raise host.lost(arriving.lost)
    if arriving.code != 0:
        errors = harmless(bytes(arriving.errors).decode("utf-8", "replace"))
        raise StreamError(
            f"`{command}` failed on {host.label}: {Completed(arriving.code, '', errors).words}.",
            "Look there, then retry.",
        )
    if size and came != size:
        raise StreamError(f"{came} of {size} bytes came from {host.label}.", "Retry.")
    return Streamed(came, digest.hexdigest())
