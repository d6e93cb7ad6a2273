"""The sockets of the simulated engines: one unix socket for each host, there only while its Docker runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from swarmtui.demo.api.endpoints import Router
from swarmtui.demo.api.http import HttpConnection
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World


class EngineServer:
    """The engine API of one host on one unix socket."""

    def __init__(self, world: World, host: Host, path: Path) -> None:
        self.world = world
        self.host = host
        self.path = path
        self._router = Router(world, host)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def listening(self) -> bool:
        """Is the socket there?"""
        return self._server is not None

    async def start(self) -> None:
        """Open the socket, for its owner only."""
        if self._server is None:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self.serve, str(self.path), limit=64 * 1024)
            self.path.chmod(0o600)

    async def stop(self) -> None:
        """Close the socket and cut all clients off, as a stopped engine does."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        self.path.unlink(missing_ok=True)
        await self.drop_clients()

    async def drop_clients(self) -> None:
        """Cut all clients off; the socket stays, and the next connection starts Docker again."""
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client, whatever its connection came over."""
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if not self.host.docker:
                self.world.start_docker(self.host)
            await self.world.until_answers(self.host)
            await HttpConnection(reader, writer, self._router).serve()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._clients.discard(task)
