"""SSH connections to the hosts of nodes: one each, opened when it is first needed, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from swarmtui.link.person import Person
from swarmtui.link.ssh import SshHost
from swarmtui.link.ssh_settings import SshSettings
from swarmtui.link.target import SshTarget
from swarmtui.model.swarm import Node


class Hosts:
    """The hosts of one cluster.

    Args:
        target_of: where the host of a node is reached.
    """

    def __init__(self, target_of: Callable[[Node], SshTarget], settings: SshSettings) -> None:
        self._target_of = target_of
        self._settings = settings
        self._open: dict[str, SshHost] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def open(self, node: Node, person: Person, there: Callable[[], SshHost | None]) -> SshHost:
        """Opens a connection to a node's host, or finds it open.

        Args:
            person: who answers questions on the way.
            there: a connection that stands anyway, looked for when it is this node's turn.

        Raises:
            LinkError: it cannot be reached, or nobody knows how.
        """
        async with self._locks.setdefault(node.id, asyncio.Lock()):
            if (standing := there()) is not None:
                return standing
            host = self._open.get(node.id)
            if host is not None and not host.closed:
                return host
            host = await SshHost.connect(self._target_of(node), self._settings, person)
            self._open[node.id] = host
            return host

    async def close(self) -> None:
        """Ends every connection."""
        hosts, self._open = list(self._open.values()), {}
        for host in hosts:
            await host.close()
