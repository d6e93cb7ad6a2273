"""Disasters that only a backup gets one out of. The backup is a genuine one: an archive of a manager's directory."""

from __future__ import annotations

from swarmtui.demo.hosts import archives, tarball
from swarmtui.demo.scenarios.base import Progress, Scenario, Size
from swarmtui.demo.scenarios.builder import HOUR, Builder
from swarmtui.demo.scenarios.disasters import down, spares, whole
from swarmtui.demo.scenarios.goals import (
    content_kept,
    current,
    managers_healthy,
    nodes_up,
    remember,
    services_full,
)
from swarmtui.demo.scenarios.shop import shop
from swarmtui.demo.world.disk import SWARM, freeze
from swarmtui.demo.world.world import World

BACKUP = "swarm.bkp"
"""What the archive is called on the machine of whoever works on this."""
_AGE = 9 * HOUR


def back_up(build: Builder, name: str, age: float = _AGE) -> None:
    """A cold backup was taken of a manager, with the commands of the guides; remembers what was there."""
    world, host = build.world, build.world.hosts[name]
    freeze(host)
    host.docker = False
    members = archives.members(host, SWARM, SWARM)
    host.docker = True
    assert host.swarm is not None
    host.swarm.log = None
    world.archives[BACKUP] = tarball.pack(members, tarball.Form(sparse=True), now=world.kernel.now() - age)
    remember(world, build.cluster)


def _all(world: World, size: Size) -> Builder:
    build = shop(world, workers=max((size.nodes or 8) - 3, 3))
    world.configured = ["mgr1", "mgr2", "mgr3"]
    back_up(build, "mgr2")
    build.service(
        "reviews", "shop/reviews:0.9.0", 2, stack="shop", age=2 * HOUR, constraints=["node.role==worker"], memory=128
    )
    build.settle_new()
    return build


def _wiped(world: World, size: Size) -> None:
    build = _all(world, size)
    managers = ("mgr1", "mgr2", "mgr3")
    down(build, managers, power=False)
    for name in managers:
        host = world.hosts[name]
        host.swarm = None
        for table in (host.containers, host.volumes, host.images):
            table.clear()
        host.docker = host.socket = True
        host.boot = host.docker_since = world.kernel.now() - HOUR


def _moved(world: World, size: Size) -> None:
    build = _all(world, size)
    spares(world, "new1", "new2", "new3", base=30)
    down(build, ("mgr1", "mgr2", "mgr3"), power=True)


def _deleted(world: World, size: Size) -> None:
    build = shop(world, workers=max((size.nodes or 8) - 3, 3))
    back_up(build, "mgr2")
    control, cluster = build.control, build.cluster
    for service in [one for one in cluster.services.values() if one.name.startswith("shop_")]:
        control.remove_service(service)
    for blob in [*cluster.secrets.values(), *cluster.configs.values()]:
        if blob.name.startswith("shop_"):
            control.blobs.remove(blob)
    for network in [one for one in cluster.networks.values() if one.label.startswith("shop_")]:
        control.networks.remove(network)


def _deleted_check(world: World) -> Progress:
    control = current(world)
    left = content_kept(world, control) + services_full(control)
    left += managers_healthy(control) + nodes_up(control)
    return Progress(not left, tuple(left))


def _deleted_risky(world: World) -> list[str]:
    forced = world.journal.kinds("swarm.force")
    return ["A healthy Swarm was replaced by its backup, and what was newer is lost."] if forced else []


RESTORES = (
    Scenario(
        "all-managers-lost",
        "all managers were installed anew, and know no Swarm; a backup of nine hours ago is there",
        "Get the Swarm of the backup back, with three managers and the workers that are left.",
        _wiped,
        whole,
    ),
    Scenario(
        "new-address",
        "all managers are gone with their addresses; new1 to new3 are free, and a backup is there",
        "Get the Swarm of the backup back on new hosts, with three managers and the workers that are left.",
        _moved,
        whole,
    ),
    Scenario(
        "content-deleted",
        "somebody has deleted the shop, its networks and its secrets; the Swarm itself is healthy",
        "Bring back what the backup has and the Swarm has not, without restoring the Swarm.",
        _deleted,
        _deleted_check,
        _deleted_risky,
    ),
)
