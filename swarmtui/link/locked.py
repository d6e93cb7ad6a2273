"""Which managers are only locked: the others see those as down, so their own engines are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from swarmtui.errors import SwarmtuiError
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine

LOOK_SECONDS = 2.0
"""How often it is looked whether a manager is missing; that costs nothing."""
AGAIN_SECONDS = 10.0
"""How often a manager that is missing is asked."""
ASK_SECONDS = 8.0
"""A locked engine answers at once; one that looks for the others is not waited for."""

EngineOf = Callable[[Node], Awaitable["Engine"]]


async def keep_looking(
    snapshot: Callable[[], Snapshot], engine_of: EngineOf, found: Callable[[frozenset[str]], None]
) -> None:
    """Asks the managers that the others miss, while autolock is on, until it is cancelled.

    Args:
        engine_of: the engine of a node's own socket; asks nobody anything.
        found: is told the ids of all nodes that are locked, whenever they are others than before.
    """
    asked: Mapping[str, float] = {}
    locked: frozenset[str] = frozenset()
    clock = asyncio.get_running_loop().time
    while True:
        now = snapshot()
        cluster = now.info.swarm.cluster
        on = cluster is not None and cluster.spec.encryption_config.auto_lock_managers
        missing = {node.id: node for node in now.nodes.values() if on and node.is_voter and not node.is_reachable}
        due = [node for node in missing.values() if clock() - asked.get(node.id, -AGAIN_SECONDS) >= AGAIN_SECONDS]
        states = await asyncio.gather(*(_state(node, engine_of) for node in due))
        asked = {**{key: at for key, at in asked.items() if key in missing}, **{node.id: clock() for node in due}}
        told = {node.id: state for node, state in zip(due, states, strict=True)}
        newest = frozenset(key for key in missing if told.get(key, "locked" if key in locked else "") == "locked")
        if newest != locked:
            locked = newest
            found(locked)
        await asyncio.sleep(LOOK_SECONDS)


async def _state(node: Node, engine_of: EngineOf) -> str:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            info = await (await engine_of(node)).info()
    except (SwarmtuiError, TimeoutError):
        return ""
    return info.swarm.local_node_state
