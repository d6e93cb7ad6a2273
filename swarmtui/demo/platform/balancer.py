"""A load balancer before the managers of UCP: it passes TCP on, and ends no TLS, as the documentation wants it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

LOOPBACK = "127.0.0.1"
_PIECE = 64 * 1024


class Balancer:
    """One port of 127.0.0.1.

    Args:
        targets: the ports that answer for healthy managers at the moment.
    """

    def __init__(self, targets: Callable[[], Sequence[int]]) -> None:
        self._targets = targets
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._turn = 0
        self.port = 0

    async def start(self) -> None:
        """Accept connections."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
            self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Cut all clients off."""
        if self._server is not None:
            self._server.close()
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        ports = self._targets()
        self._turn += 1
        try:
            if ports:
                behind = await asyncio.open_connection(LOOPBACK, ports[self._turn % len(ports)])
                await both(reader, writer, *behind)
        except OSError:
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()
            self._clients.discard(task)


async def both(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner: asyncio.StreamReader,
    outer: asyncio.StreamWriter,
) -> None:
    """Pass on in both directions until one of them ends; closes the outer side."""
    ways = [asyncio.ensure_future(_pass(reader, outer)), asyncio.ensure_future(_pass(inner, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        # First of all: whoever is cancelled twice does not come to the end of this.
        outer.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while (piece := await source.read(_PIECE)) and not target.is_closing():
            target.write(piece)
            await target.drain()
