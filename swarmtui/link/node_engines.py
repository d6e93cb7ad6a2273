"""Each node's own engine, asked beside the polls for what no Swarm API tells: its plain containers and volumes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from swarmtui.errors import SwarmtuiError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.model.swarm import Node

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine
    from swarmtui.link.ssh import SshHost

AT_ONCE: Final = 6
"""Nodes that are asked at a time."""
RUNS: Final = "systemctl is-active docker.service"
STOPPED: Final = frozenset({"inactive", "failed", "deactivating", "activating"})
"""What systemd says of a Docker that does not run. Its socket is not touched then: docker.socket would start it, in the
middle of a backup or after somebody stopped it. A host without systemd says none of these."""

Get = Callable[[str, Mapping[str, str]], Awaitable[bytes]]
"""GETs from an engine. Raises LinkError or EngineError."""
EngineOf = Callable[[Node], Awaitable["Engine"]]
HostOf = Callable[[Node], Awaitable["SshHost"]]
Through = Callable[[], tuple[str, str]]
"""Id of the node that is in use, and the way there."""
Opener = Callable[[str, int], Awaitable[tuple[Any, Any]]]
"""Opens a TCP connection to (host, port); reader and writer of bytes, as asyncio's are. Raises OSError."""
T = TypeVar("T")


class NodeEngines:
    """The engines of nodes.

    Args:
        through, get: the engine in use, which is not opened once more.
        host_of, engine_of: another node's host, and the engine of its own socket; ask nobody anything.
    """

    def __init__(self, through: Through, get: Get, host_of: HostOf, engine_of: EngineOf) -> None:
        self.through = through
        self.get = get
        self.host_of = host_of
        self._engine_of = engine_of
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def read(self, node: Node, reader: Callable[[Get], Awaitable[T]], seconds: float) -> T | str:
        """What a reader makes of a node's own engine, or why it cannot be read, one sentence."""

        runs = False

        async def get(path: str, params: Mapping[str, str]) -> bytes:
            nonlocal runs
            if node.id == self.through()[0]:
                return await self.get(path, params)
            told = "" if runs else (await (await self.host_of(node)).run(RUNS, timeout=seconds)).out.strip()
            if told in STOPPED:
                raise LinkError(Reason.DOCKER_DOWN, node.name, f"Docker does not run on {node.name}: it is {told}.")
            runs = True
            return await (await self._engine_of(node)).get(path, params=params)

        async with self._slots:
            return await within(reader(get), seconds)


async def within(reading: Awaitable[T], seconds: float) -> T | str:
    """What was read, or why it cannot be, one sentence."""
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError:
        return f"Its Docker did not tell its containers within {seconds:g} s."
    except SwarmtuiError as error:
        return error.what


async def from_inside(opener: Opener, host: str, port: int) -> tuple[Any, Any]:
    """Opens a connection as the manager in use would; from this machine, where its sshd forwards nothing.

    Raises:
        OSError: nobody answers.
    """
    try:
        return await opener(host, port)
    except OSError as error:
        if "prohibited" not in str(error):
            raise
    return await asyncio.open_connection(host, port)
