"""SSH connections to the hosts of a cluster: one each, opened when it is first needed, and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from swarmtui.link.manager import Manager
from swarmtui.link.person import Person
from swarmtui.link.reasons import LinkError
from swarmtui.link.ssh import SshHost
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget
from swarmtui.model.swarm import Node

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine

AGAIN_SECONDS = 1.0
"""Between two tries at a host that is away."""


class Hosts:
    """The hosts of one cluster, those that are nodes and those that are to become some.

    Args:
        target_of: where the host of a node is reached.
    """

    def __init__(self, target_of: Callable[[Node], SshTarget], settings: SshSettings) -> None:
        self._target_of = target_of
        self._settings = settings
        self._open: dict[str, SshHost] = {}
        self._engines: dict[str, Manager] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def open(self, node: Node, person: Person, there: Callable[[], SshHost | None]) -> SshHost:
        """Opens a connection to a node's host, or finds it open.

        Args:
            person: who answers questions on the way.
            there: a connection that stands anyway, looked for when it is this node's turn.

        Raises:
            LinkError: it cannot be reached, or nobody knows how.
        """
        async with self._lock(node.id):
            if (standing := there()) is not None:
                return standing
            return await self._connected(node.id, lambda: self._target_of(node), person)

    async def reach(self, target: SshTarget, person: Person) -> SshHost:
        """Opens a connection to a host by its address, or finds it open.

        Raises:
            LinkError: it cannot be reached.
        """
        async with self._lock(str(target)):
            return await self._connected(str(target), lambda: target, person)

    async def engine(self, target: SshTarget, person: Person) -> Engine:
        """The engine of a host's own socket; opened anew where it was lost, or Docker was restarted.

        Raises:
            LinkError: the host cannot be reached, or no engine answers there.
        """
        key = str(target)
        host = await self.reach(target, person)
        async with self._lock(f"engine {key}"):
            known = self._engines.get(key)
            if known is not None and known.host is host and not host.closed and not known.engine.lost:
                return known.engine
            if known is not None:
                await known.engine.close()
            self._engines[key] = await Manager.on(host, self._settings)
            return self._engines[key].engine

    async def until_back(self, person: Person, timeout: float) -> None:
        """Waits until every host that was lost can be reached again.

        Raises:
            LinkError: one cannot be in time, or only a person can mend it.
        """
        end = time.monotonic() + timeout
        # Where no connection is lost it was an engine that went away: it gets a moment as well.
        await asyncio.sleep(AGAIN_SECONDS)
        for host in list(self._open.values()):
            while host.closed:
                try:
                    await self.reach(host.target, person)
                    break
                except LinkError as error:
                    if not error.reason.retry_helps or time.monotonic() >= end:
                        raise
                await asyncio.sleep(AGAIN_SECONDS)

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    async def _connected(self, key: str, target: Callable[[], SshTarget], person: Person) -> SshHost:
        host = self._open.get(key)
        if host is None or host.closed:
            host = self._open[key] = await SshHost.connect(target(), self._settings, person)
        return host

    async def close(self) -> None:
        """Ends every connection."""
        engines, self._engines = list(self._engines.values()), {}
        for manager in engines:
            await manager.engine.close()
        hosts, self._open = list(self._open.values()), {}
        for host in hosts:
            await host.close()
