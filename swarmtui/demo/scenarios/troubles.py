"""Scenarios with something to put right that is no disaster yet."""

from __future__ import annotations

from swarmtui.demo.scenarios.base import Progress, Scenario, Size
from swarmtui.demo.scenarios.builder import DAY, HOUR, Builder
from swarmtui.demo.scenarios.goals import (
    current,
    managers_healthy,
    node_named,
    nodes_up,
    services_full,
    tasks_on,
)
from swarmtui.demo.scenarios.shop import shop
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World


def _progress(left: list[str]) -> Progress:
    return Progress(not left, tuple(left))


# -- even-managers


def _even(world: World, size: Size) -> None:
    shop(world, managers=4, workers=max((size.nodes or 9) - 4, 1))


def _even_check(world: World) -> Progress:
    control = current(world)
    return _progress(managers_healthy(control) + services_full(control))


# -- manager-down


def _down(world: World, size: Size) -> None:
    build = shop(world, workers=max((size.nodes or 8) - 3, 1))
    fall(build, "mgr2", age=40 * 60)


def fall(build: Builder, name: str, age: float, *, power: bool = False) -> None:
    """A host went down some time ago: its Docker, or with `power` the whole machine."""
    world, node = build.world, build.node(name)
    host = world.hosts[name]
    host.docker = host.socket = False
    host.powered = not power
    world.agents[name].stopped(graceful=False)
    node.state, node.message = "down", "heartbeat failure"
    node.updated = world.kernel.now() - age
    node.forget()
    build.control.raft.refresh()
    build.control.orchestrator.touch_all()


def _down_check(world: World) -> Progress:
    control = current(world)
    left = managers_healthy(control) + nodes_up(control)
    return _progress(left + services_full(control))


def _down_risky(world: World) -> list[str]:
    removed = [entry for entry in world.journal.kinds("node.remove") if "mgr2" in entry.text]
    started = world.journal.kinds("docker.start")
    if removed and not started:
        return ["mgr2 was removed although its Docker only had to be started."]
    return []


# -- split-zones


def _zones(world: World, size: Size) -> None:
    build = shop(world, workers=max((size.nodes or 9) - 3, 3))
    for name, zone in (("mgr1", "a"), ("mgr2", "a"), ("mgr3", "b")):
        build.labels(name, zone=zone)


def _zones_check(world: World) -> Progress:
    control = current(world)
    left = managers_healthy(control)
    zones: dict[str, int] = {}
    for node_id in control.raft.members:
        node = control.cluster.nodes.get(node_id)
        if node is not None:
            zone = node.labels.get("zone", "?")
            zones[zone] = zones.get(zone, 0) + 1
    number = len(control.raft.members)
    for zone, count in sorted(zones.items()):
        if count > (number - 1) // 2:
            left.append(f"Losing zone {zone} would take {count} of {number} managers, and the quorum with them.")
    return _progress(left)


def _zones_risky(world: World) -> list[str]:
    control = current(world)
    relabelled = [
        name
        for name, zone in (("mgr1", "a"), ("mgr2", "a"), ("mgr3", "b"))
        for node in [node_named(control.cluster, name)]
        if node is not None and node.labels.get("zone") != zone
    ]
    return [f"{name} got another zone label, which moves no machine." for name in relabelled]


# -- stale-nodes


def _stale(world: World, size: Size) -> None:
    build = shop(world, workers=max((size.nodes or 8) - 3, 3))
    ghosts = [
        world.add_host(name, ip, cpus=8, memory=16 << 30)
        for name, ip in (("wrk6", "10.0.1.26"), ("wrk7", "10.0.1.27"), ("wrk2-old", "10.0.1.22"))
    ]
    for number, host in enumerate(ghosts):
        _ghost(build, host, age=(9 + 20 * number) * DAY)
    build.node("wrk2-old").hostname = "wrk2"
    build.node("wrk2-old").forget()
    for host in ghosts:
        del world.hosts[host.name]
        del world.agents[host.name]


def _ghost(build: Builder, host: Host, age: float) -> None:
    """A node whose machine was taken away long ago, without being removed."""
    from swarmtui.demo.world import membership

    node = membership.add_node(build.world, build.cluster, host, "worker", {})
    build.backdate(node, age + 90 * DAY)
    node.state, node.message, node.updated = "down", "heartbeat failure", build.now - age
    node.forget()


def _stale_check(world: World) -> Progress:
    control = current(world)
    left = nodes_up(control)
    alive = {host.swarm.node_id: host.name for host in world.hosts.values() if host.swarm is not None}
    gone = sorted(name for node_id, name in alive.items() if node_id not in control.cluster.nodes)
    if gone:
        left.append(f"Removed although alive: {', '.join(gone)}.")
    return _progress(left + services_full(control))


# -- certificates-expiring


def _certificates(world: World, size: Size) -> None:
    build = shop(world, workers=max((size.nodes or 8) - 3, 4))
    for name, left in (("mgr3", 20 * HOUR), ("wrk4", 3 * DAY)):
        swarm = world.hosts[name].swarm
        assert swarm is not None
        swarm.cert_begin, swarm.cert_end = build.now + left - 90 * DAY, build.now + left
        swarm.stuck = True


def _certificates_check(world: World) -> Progress:
    control = current(world)
    limit = world.kernel.now() + 30 * DAY
    soon = [h.name for h in world.hosts.values() if h.swarm is not None and h.swarm.cert_end < limit]
    left = [f"Certificates that end within 30 days: {', '.join(sorted(soon))}."] if soon else []
    return _progress(left + managers_healthy(control) + nodes_up(control))


# -- drain-blocked


def _blocked(world: World, size: Size) -> None:
    shop(world, workers=max((size.nodes or 8) - 3, 5), card_data_on=("wrk3", "wrk4", "wrk5"))
    world.remember_volume(world.hosts["wrk4"], "shop_pgdata")


def _blocked_check(world: World) -> Progress:
    control = current(world)
    node = node_named(control.cluster, "wrk3")
    if node is None:
        return Progress(False, ("wrk3 is gone, and it was only to be emptied.",))
    left = [] if node.availability == "drain" else ["wrk3 is not drained."]
    number = tasks_on(control, node)
    if number:
        left.append(f"{number} tasks still run on wrk3.")
    return _progress(left + services_full(control))


def _blocked_risky(world: World) -> list[str]:
    control = current(world)
    for service in control.cluster.services.values():
        if service.name != "shop_db":
            continue
        for task in control.cluster.tasks_in(service.id):
            node = control.cluster.nodes.get(task.node_id)
            if task.state == "running" and node is not None and node.hostname not in ("wrk3", "wrk4"):
                return [f"shop_db runs on {node.hostname}, where its volume is empty; wrk4 has a copy."]
    return []


TROUBLES = (
    Scenario(
        "even-managers",
        "four managers, which survive no more losses than three",
        "Bring the managers to an odd number, with everything running.",
        _even,
        _even_check,
    ),
    Scenario(
        "manager-down",
        "one of three managers is unreachable",
        "Get back to three reachable managers in the least destructive way.",
        _down,
        _down_check,
        _down_risky,
    ),
    Scenario(
        "split-zones",
        "two of three managers stand in the same zone",
        "Spread the managers, so that the loss of any one zone leaves a quorum.",
        _zones,
        _zones_check,
        _zones_risky,
    ),
    Scenario(
        "stale-nodes",
        "nodes that are gone for good are still listed, one of them twice",
        "Remove the nodes that are gone, and none that lives.",
        _stale,
        _stale_check,
    ),
    Scenario(
        "certificates-expiring",
        "two nodes' certificates are about to expire",
        "Have every node's certificate valid for at least 30 days.",
        _certificates,
        _certificates_check,
    ),
    Scenario(
        "drain-blocked",
        "wrk3 must be emptied, and some of its tasks fit nowhere else",
        "Drain wrk3 without a service losing replicas for good.",
        _blocked,
        _blocked_check,
        _blocked_risky,
    ),
)
