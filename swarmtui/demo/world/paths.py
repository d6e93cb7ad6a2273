"""By which addresses nodes find each other: managers by those in their raft, workers by those they remember.

Both outlive what they lead to. A manager that was restored on another address is still looked for at its old one, and
a worker whose managers are gone follows whoever answers there, also one that has forced a new cluster (swarm-dr.md §3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.demo.world.host import Host

if TYPE_CHECKING:
    from swarmtui.demo.world.raft import Raft
    from swarmtui.demo.world.world import World


def bare(address: str) -> str:
    """An address without its port."""
    return address.rpartition(":")[0] if ":" in address else address


def route(world: World, origin: Host, address: str) -> Host | None:
    """Who gets what a host sends to an address; None where it does not arrive."""
    wanted = bare(address)
    wanted = origin.redirects.get(wanted, wanted)
    if wanted in ("127.0.0.1", "localhost", "::1"):
        return origin
    to = world.host_at(wanted)
    return to if to is not None and to.powered and world.connected(origin.name, to.name) else None


def in_session(world: World, host: Host) -> bool:
    """Has this worker a manager that leads it to the leader? It keeps the one it has, or finds another."""
    swarm = host.swarm
    if swarm is None or swarm.raft.leader is None:
        return False
    via = world.hosts.get(swarm.session)
    if via is not None and world.connected(host.name, via.name) and _leads(swarm.raft, via):
        return True
    swarm.session = ""
    for address in swarm.remotes.values():
        via = route(world, host, address)
        if via is not None and _leads(swarm.raft, via):
            swarm.session = via.name
            return True
    return False


def _leads(raft: Raft, via: Host) -> bool:
    swarm = via.swarm
    if swarm is None or swarm.raft is not raft or swarm.node_id not in raft.members:
        return False
    return raft.alive(raft.members[swarm.node_id]) and raft.leads_for(via)


def follow(world: World, host: Host) -> None:
    """A worker that has lost its managers asks at the addresses it knows: somebody may speak for its Swarm there."""
    swarm = host.swarm
    if swarm is None or not host.running or swarm.role == "manager" or in_session(world, host):
        return
    for address in swarm.remotes.values():
        via = route(world, host, address)
        other = via.swarm if via is not None else None
        if via is None or other is None or other.cluster is swarm.cluster or other.cluster.id != swarm.cluster.id:
            continue
        if swarm.node_id not in other.cluster.nodes or not _leads(other.raft, via):
            continue
        old, swarm.cluster, swarm.raft, swarm.session = swarm.cluster, other.cluster, other.raft, via.name
        world.bind(other.cluster, swarm.node_id, host)
        world.control(old).nodes.check(swarm.node_id)
        world.control(other.cluster).nodes.check(swarm.node_id)
        return


def follow_all(world: World) -> None:
    """Something changed: every worker without a manager looks again."""
    for host in world.hosts.values():
        follow(world, host)
