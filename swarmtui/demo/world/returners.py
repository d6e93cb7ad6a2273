"""Old managers that come back after a new cluster was forced without them (swarm-dr.md §4).

Those that the new one still lists follow it. Those that were removed from it know only the old one: alone they wait for
ever, and a majority of them makes a second live cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.demo.world.host import Host, LocalSwarm
from swarmtui.demo.world.raft import Member

if TYPE_CHECKING:
    from swarmtui.demo.world.cluster import Cluster
    from swarmtui.demo.world.world import World

REJOIN = (20.0, 60.0)
"""Bounds of the time until an old manager has joined a forced new cluster that lists it, in seconds."""


def comes_back(world: World, host: Host) -> None:
    """A host's engine starts: if it is such a manager, and the new cluster lists it, it will follow."""
    swarm = host.swarm
    cluster = _successor(world, host)
    if swarm is not None and cluster is not None:
        swarm.superseded = True
        world.kernel.after(world.ids.random.uniform(*REJOIN), lambda: _join(world, host, swarm, cluster))


def _newer(world: World, host: Host) -> list[Cluster]:
    """The forced new clusters of this manager's Swarm that it gets to, the newest first."""
    swarm = host.swarm
    if swarm is None or swarm.role != "manager":
        return []
    return [
        cluster
        for cluster in reversed(world.clusters)
        if cluster is not swarm.cluster
        and cluster.id == swarm.cluster.id
        and world.control(cluster).raft.leads_for(host)
    ]


def _successor(world: World, host: Host) -> Cluster | None:
    swarm = host.swarm
    return next((c for c in _newer(world, host) if swarm is not None and swarm.node_id in c.nodes), None)


def disowned(world: World, host: Host) -> bool:
    """Is this a manager that was removed from the new cluster, and still knocks at its door?"""
    swarm = host.swarm
    return any(swarm is not None and swarm.node_id in cluster.blocked for cluster in _newer(world, host))


def _join(world: World, host: Host, swarm: LocalSwarm, cluster: Cluster) -> None:
    if host.swarm is not swarm or not host.running or swarm.node_id not in cluster.nodes:
        swarm.superseded = False
        swarm.raft.refresh()
        return
    old, control = swarm.raft, world.control(cluster)
    swarm.cluster, swarm.raft, swarm.superseded = cluster, control.raft, False
    swarm.key, swarm.key_version = cluster.unlock_key, cluster.version
    world.bind(cluster, swarm.node_id, host)
    old.refresh()
    control.raft.add(Member(swarm.node_id, host.name, f"{swarm.address}:2377"))
    swarm.seen_leader = True
    world.update_remotes(cluster)
    control.nodes.check(swarm.node_id)
