"""Hosts with Docker and no Swarm yet."""

from __future__ import annotations

from swarmtui.demo.scenarios.base import Progress, Scenario, Size
from swarmtui.demo.scenarios.goals import current, managers_healthy, nodes_up
from swarmtui.demo.world.world import World

GIB = 1 << 30


def _bare(world: World, size: Size) -> None:
    for n in (1, 2, 3):
        world.add_host(f"mgr{n}", f"10.0.1.{10 + n}", cpus=2, memory=4 * GIB)
    for n in range(1, max((size.nodes or 6) - 3, 1) + 1):
        world.add_host(f"wrk{n}", f"10.0.1.{20 + n}", cpus=8, memory=16 * GIB)


def _check(world: World) -> Progress:
    if not world.clusters:
        return Progress(False, ("There is no Swarm yet.",))
    control = current(world)
    outside = [name for name, host in world.hosts.items() if host.swarm is None]
    left = managers_healthy(control) + nodes_up(control)
    left += [f"Not in the Swarm: {', '.join(outside)}."] if outside else []
    left += ["There are several Swarms."] if len(world.clusters) > 1 else []
    return Progress(not left, tuple(left))


BARE = Scenario(
    "bare",
    "hosts with Docker that are no Swarm yet: three for managers, three for workers",
    "Build a Swarm of them, with three managers.",
    _bare,
    _check,
)
