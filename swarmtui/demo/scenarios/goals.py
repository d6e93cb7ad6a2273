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


def one_swarm(world: World) -> list[str]:
    """No two Swarms live side by side."""
    live = [control for cluster in world.clusters if (control := world.control(cluster)).raft.leader is not None]
    leaders = sorted(control.raft.members[control.raft.leader or ""].host for control in live)
    return [f"There are {len(live)} live Swarms, led by {' and '.join(leaders)}."] if len(live) > 1 else []


def same_swarm(world: World, control: Control) -> list[str]:
    """It is the Swarm of the beginning, and not a new one."""
    same = control.cluster.id == world.clusters[0].id
    return [] if same else ["This is another Swarm: nothing of the old one is in it."]


def _content(cluster: Cluster) -> dict[str, dict[str, object]]:
    return {
        "service": {one.name: one.spec["TaskTemplate"]["ContainerSpec"]["Image"] for one in cluster.services.values()},
        "network": {one.label: one.driver for one in cluster.networks.values()},
        "secret": {one.name: one.spec.get("Data") for one in cluster.secrets.values()},
        "config": {one.name: one.spec.get("Data") for one in cluster.configs.values()},
    }


def remember(world: World, cluster: Cluster) -> None:
    """What is there now must be there at the end."""
    world.remembered = _content(cluster)


def content_kept(world: World, control: Control) -> list[str]:
    """All that was remembered is there, with the same content."""
    now = _content(control.cluster)
    left = []
    for kind, known in world.remembered.items():
        missing = sorted(name for name in known if name not in now[kind])
        other = sorted(name for name in known if name in now[kind] and known[name] != now[kind][name])
        left += [f"Missing: {kind} {', '.join(missing)}."] if missing else []
        left += [f"Not as it was: {kind} {', '.join(other)}."] if other else []
    return left
