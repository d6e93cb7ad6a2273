"""Questions that goals ask of a world. Each answer is a list of what is missing, one sentence each."""

from __future__ import annotations

from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.objects import Node
from swarmtui.demo.world.world import World


def current(world: World) -> Control:
    """The control plane of the cluster that counts: the newest one that has a leader."""
    for cluster in reversed(world.clusters):
        control = world.control(cluster)
        if control.raft.leader is not None:
            return control
    return world.control(world.clusters[-1])


def managers_healthy(control: Control, *, least: int = 3) -> list[str]:
    """A leader, an odd number of managers, and all of them reachable."""
    members = control.raft.members.values()
    left = []
    if control.raft.leader is None:
        left.append("The Swarm has no leader.")
    lost = sorted(member.host for member in members if not member.reachable)
    if lost:
        left.append(f"Unreachable managers: {', '.join(lost)}.")
    number = len(members)
    if number < least:
        left.append(f"There are {number} managers; at least {least} are wanted.")
    elif number % 2 == 0:
        left.append(f"There are {number} managers, an even number.")
    wanted = sum(node.wanted_role == "manager" for node in control.cluster.nodes.values())
    if wanted != number:
        left.append("A change of roles is still under way.")
    return left


def services_full(control: Control) -> list[str]:
    """Every replica runs on a node that is up."""
    left = []
    ready = {node.id for node in control.cluster.nodes.values() if node.state == "ready"}
    for service in control.cluster.services.values():
        if service.mode != "Replicated":
            continue
        running = sum(
            task.state == "running" and task.wanted and task.node_id in ready
            for task in control.cluster.tasks_in(service.id)
        )
        if running < service.replicas:
            left.append(f"{service.name} has {running} of {service.replicas} replicas.")
    return left


def nodes_up(control: Control) -> list[str]:
    """No node is down."""
    down = sorted(node.hostname for node in control.cluster.nodes.values() if node.state != "ready")
    return [f"Not ready: {', '.join(down)}."] if down else []


def node_named(cluster: Cluster, hostname: str) -> Node | None:
    """The node of a hostname; the living one if there are several."""
    found = [node for node in cluster.nodes.values() if node.hostname == hostname]
    return next((node for node in found if node.state == "ready"), found[0] if found else None)


def tasks_on(control: Control, node: Node) -> int:
    """How many tasks still run there."""
    return sum(not task.over for task in control.cluster.tasks_on(node.id))
