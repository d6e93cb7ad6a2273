"""Whether another Swarm with the same members lives beside the one in use: old managers that came back after a forced
cluster form one (swarm-dr.md §4). Hosts that should be managers, and are none here, are asked whom they follow.

The Docker socket of a host is not touched before systemd has said that Docker runs: docker.socket would start it, and
nobody wants a fenced manager started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.link.target import SshTarget
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Info, Node

if TYPE_CHECKING:
    from swarmtui.link.engine import Engine
    from swarmtui.link.ssh import SshHost

FIRST_SECONDS = 5.0
"""After the nodes are known: the first table comes first."""
AGAIN_SECONDS = 30.0
ASK_SECONDS = 8.0
"""An engine that looks for the others is no rival, and is not waited for."""
RUNS = "systemctl is-active docker.service"
MANAGERS = {"filters": '{"role":["manager"]}'}

Reach = Callable[[SshTarget], Awaitable["SshHost"]]
EngineAt = Callable[[SshTarget], Awaitable["Engine"]]


async def keep_watching(
    snapshot: Callable[[], Snapshot],
    suspects: Callable[[Snapshot], Iterable[SshTarget]],
    reach: Reach,
    engine_at: EngineAt,
    found: Callable[[frozenset[str]], None],
) -> None:
    """Asks the suspects whom they follow, again and again, until it is cancelled.

    Args:
        suspects: where hosts are reached that may be managers, and are none of the reachable ones.
        reach, engine_at: a host, and the engine of its own socket; ask nobody anything.
        found: is told the names of all managers that follow another leader, whenever they are others than before.
    """
    rivals: frozenset[str] = frozenset()
    ours: dict[SshTarget, str] = {}
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        now = snapshot()
        led = {node.id for node in now.nodes.values() if node.is_reachable}
        asked = [target for target in suspects(now) if ours.get(target) not in led]
        answers = await asyncio.gather(*(_ask(now, target, reach, engine_at) for target in asked))
        for target, (node_id, name) in zip(asked, answers, strict=True):
            if node_id and not name:
                ours[target] = node_id
        newest = frozenset(name for _, name in answers if name)
        if newest != rivals:
            rivals = newest
            found(rivals)
        await asyncio.sleep(AGAIN_SECONDS)


async def _ask(now: Snapshot, target: SshTarget, reach: Reach, engine_at: EngineAt) -> tuple[str, str]:
    """The node that answers there, and its name where it follows another leader; ("", "") where nobody answers."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            host = await reach(target)
            if (await host.run(RUNS, timeout=ASK_SECONDS)).out.strip() != "active":
                return "", ""
            engine = await engine_at(target)
            info = await engine.info()
            if not info.swarm.control_available or info.swarm.error:
                return "", ""
            theirs = msgspec.json.decode(await engine.get("/nodes", params=MANAGERS), type=list[Node])
    except (SwarmtuiError, TimeoutError, msgspec.MsgspecError):
        return "", ""
    return info.swarm.node_id, (info.name or str(target)) if is_rival(now, info, theirs) else ""


def is_rival(now: Snapshot, info: Info, theirs: Iterable[Node]) -> bool:
    """Whether a manager is of another Swarm with the same id. Pure.

    One raft has one leader that can change anything. Another one that was cut off goes on answering for 13 s before it
    notices, and still has the first among its voters; the leader of a second raft has not, or is not among ours.
    """
    cluster = info.swarm.cluster
    if cluster is None or cluster.id != now.cluster_id:
        return False
    return _parted(now.nodes, {node.id: node for node in theirs})


def _parted(ours: Mapping[str, Node], theirs: Mapping[str, Node]) -> bool:
    mine = next((node.id for node in ours.values() if node.is_leader), "")
    other = next((node.id for node in theirs.values() if node.is_leader), "")
    if not mine or not other or mine == other:
        return False
    return not (mine in theirs and theirs[mine].is_voter and other in ours and ours[other].is_voter)
