"""Disasters in which some manager still lives, or only sleeps: nothing has to be taken from a backup."""

from __future__ import annotations

from collections.abc import Iterable

from swarmtui.demo.scenarios.base import Progress, Scenario, Size
from swarmtui.demo.scenarios.builder import Builder
from swarmtui.demo.scenarios.goals import (
    content_kept,
    current,
    managers_healthy,
    nodes_up,
    one_swarm,
    remember,
    same_swarm,
    services_full,
)
from swarmtui.demo.scenarios.shop import shop
from swarmtui.demo.world import membership
from swarmtui.demo.world.disk import freeze
from swarmtui.demo.world.host import File, Host
from swarmtui.demo.world.world import World

KEY_FILE = "/root/swarm-unlock-key"
SECOND_RETURN = 600.0
"""Seconds until the other old manager is switched on again."""
AGO = 900.0
GIB = 1 << 30


def _workers(size: Size, managers: int, least: int = 3) -> int:
    return max((size.nodes or managers + 5) - managers, least)


def spares(world: World, *names: str, base: int = 40) -> None:
    """Machines with Docker that are in no Swarm."""
    for number, name in enumerate(names, 1):
        world.add_host(name, f"10.0.1.{base + number}", cpus=2, memory=4 * GIB)


def down(build: Builder, names: Iterable[str], *, power: bool) -> None:
    """These managers have been off for some time, without a leader since if too few are left."""
    world, raft = build.world, build.control.raft
    for name in names:
        host = world.hosts[name]
        freeze(host)
        host.docker = host.socket = False
        host.powered = not power
        world.agents[name].stopped(graceful=False)
    raft.leader = None
    raft.leaderless_since = world.kernel.now() - AGO
    raft.refresh()


def restart(world: World, host: Host) -> None:
    """The host was switched off, and is back for some minutes."""
    freeze(host)
    world.agents[host.name].stopped(graceful=False)
    host.boot = host.docker_since = world.kernel.now() - 240.0
    assert host.swarm is not None
    host.swarm.seen_leader, host.swarm.locked = False, bool(host.swarm.key)


def force(build: Builder, name: str, removed: Iterable[str]) -> None:
    """Somebody has forced a new cluster on a host, and removed old managers from it."""
    world, host = build.world, build.world.hosts[name]
    assert host.swarm is not None
    membership.found_anew(world, host, host.swarm, {"ListenAddr": "0.0.0.0:2377"})
    assert host.swarm is not None
    build.cluster = host.swarm.cluster
    build.control = world.control(build.cluster)
    for node in list(build.cluster.nodes.values()):
        alive = world.node_connected(build.cluster, node.id)
        node.state, node.message = ("ready", "") if alive else ("down", "heartbeat failure")
        node.forget()
        if node.hostname in removed:
            build.control.nodes.remove(node.id, force=False)


# -- quorum-lost, quorum-lost-five


def _lost(world: World, size: Size, managers: int, lost: tuple[str, ...]) -> None:
    build = shop(world, managers=managers, workers=_workers(size, managers))
    spares(world, *(f"spare{n}" for n in range(1, len(lost) + 1)))
    remember(world, build.cluster)
    down(build, lost, power=True)


def _three(world: World, size: Size) -> None:
    _lost(world, size, 3, ("mgr2", "mgr3"))


def _five(world: World, size: Size) -> None:
    _lost(world, size, 5, ("mgr1", "mgr3", "mgr5"))


def whole(world: World, least: int = 3) -> Progress:
    """One Swarm, the one it was, with everything it had, and managers enough."""
    control = current(world)
    left = one_swarm(world) + same_swarm(world, control) + managers_healthy(control, least=least)
    left += nodes_up(control) + services_full(control) + content_kept(world, control)
    return Progress(not left, tuple(left))


# -- managers-locked


def _locked(world: World, size: Size) -> None:
    build = shop(world, workers=_workers(size, 3), autolock=True)
    remember(world, build.cluster)
    managers = [world.hosts[f"mgr{n}"] for n in (1, 2, 3)]
    for host in managers:
        restart(world, host)
    build.control.raft.leader = None
    build.control.raft.leaderless_since = world.kernel.now() - AGO
    build.control.raft.refresh()
    world.hosts["wrk1"].files[KEY_FILE] = File(f"{build.cluster.unlock_key}\n".encode(), mode=0o600)


def _forced(world: World) -> list[str]:
    forced = world.journal.kinds("swarm.force")
    return ["A new cluster was forced, and nothing was lost that needed it."] if forced else []


# -- partition


def _partition(world: World, size: Size) -> None:
    build = shop(world, workers=_workers(size, 3))
    remember(world, build.cluster)
    for name in ("mgr2", "mgr3"):
        world.hosts[name].blocked.add("tcp 2377")
    build.control.raft.leader = None
    build.control.raft.leaderless_since = world.kernel.now() - AGO
    build.control.raft.refresh()


# -- split-brain


def _split(world: World, size: Size) -> None:
    build = shop(world, workers=_workers(size, 3))
    remember(world, build.cluster)
    old, raft = build.cluster, build.control.raft
    strays = [f"wrk{_workers(size, 3)}"]
    down(build, ("mgr2", "mgr3"), power=False)
    for name in strays:
        world.hosts[name].docker = False
    force(build, "mgr1", ("mgr2", "mgr3"))
    for name in ("mgr2", "mgr3", *strays):
        host = world.hosts[name]
        host.docker = host.socket = True
        host.docker_since = world.kernel.now() - AGO / 2
        if host.swarm is not None:
            host.swarm.log = None
    raft.elect_now(next(member.node_id for member in raft.members.values() if member.host == "mgr2"))
    control = world.control(old)
    for node in old.nodes.values():
        alive = world.node_connected(old, node.id)
        node.state, node.message = ("ready", "") if alive else ("down", "heartbeat failure")
        node.forget()
    world.update_remotes(old)
    control.orchestrator.touch_all()
    build.control.orchestrator.touch_all()


# -- old-managers


def _old(world: World, size: Size) -> None:
    build = shop(world, workers=_workers(size, 3))
    remember(world, build.cluster)
    down(build, ("mgr2", "mgr3"), power=True)
    force(build, "mgr1", ("mgr2", "mgr3"))
    build.control.orchestrator.touch_all()
    back, later = world.hosts["mgr2"], world.hosts["mgr3"]
    back.powered = back.docker = back.socket = True
    restart(world, back)
    world.kernel.after(SECOND_RETURN, lambda: world.boot(later))


def _old_risky(world: World) -> list[str]:
    leaders = [control for cluster in world.clusters if (control := world.control(cluster)).raft.leader is not None]
    return ["The old managers formed a second Swarm."] if len(leaders) > 1 else []


DISASTERS = (
    Scenario(
        "quorum-lost",
        "two of three managers have burnt: the Swarm has no leader, its services still run",
        "mgr2 and mgr3 are gone for good. Get the same Swarm back with three managers (spare1 and spare2 are free).",
        _three,
        whole,
    ),
    Scenario(
        "quorum-lost-five",
        "three of five managers have burnt, the leader among them",
        "mgr1, mgr3 and mgr5 are gone for good. Get the same Swarm back with five managers (spare1 to 3 are free).",
        _five,
        lambda world: whole(world, 5),
    ),
    Scenario(
        "managers-locked",
        "a power failure has restarted all managers, and autolock has locked them",
        f"Get the Swarm back. The unlock key lies in {KEY_FILE} on wrk1.",
        _locked,
        whole,
        _forced,
    ),
    Scenario(
        "partition",
        "all managers live, and none of them gets to another: somebody has changed their firewalls",
        "Get the Swarm back without forcing anything.",
        _partition,
        whole,
        _forced,
    ),
    Scenario(
        "split-brain",
        "a new cluster was forced on mgr1, and then the old managers came back: two live Swarms",
        "Be left with one Swarm, that of mgr1, with three managers and all workers.",
        _split,
        whole,
    ),
    Scenario(
        "old-managers",
        "a new cluster was forced on mgr1; mgr2 has come back, and mgr3 will in ten minutes",
        "Make both of them managers of the new cluster again, before they form a Swarm of their own.",
        _old,
        whole,
        _old_risky,
    ),
)
