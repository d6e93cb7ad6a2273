"""Disasters of DTR, and of the whole platform: a replica lost, most of them, all of them, and UCP and the Swarm too."""

from __future__ import annotations

from functools import partial

from swarmtui.demo.platform import dtr_archive, ucp_archive
from swarmtui.demo.platform.dtr import Dtr, wipe
from swarmtui.demo.platform.dtr_releases import DTR_24, DTR_27, DtrRelease
from swarmtui.demo.platform.releases import UCP_22, UCP_32, Release
from swarmtui.demo.scenarios.base import Progress, Scenario, Size
from swarmtui.demo.scenarios.builder import HOUR, Builder
from swarmtui.demo.scenarios.disasters import down
from swarmtui.demo.scenarios.goals import current, managers_healthy, nodes_up, same_swarm
from swarmtui.demo.scenarios.platform import BACKUP, dtr_left, load_dtr_images, load_images, made_up, unwell, with_dtr
from swarmtui.demo.scenarios.restores import back_up
from swarmtui.demo.world.world import World

DTR_BACKUP = "dtr.bkp"
"""What an archive of DTR is called on the machine of whoever works on this."""
_AGE = 8 * HOUR
_MANAGERS = ("mgr1", "mgr2", "mgr3")


def _registry(world: World) -> Dtr:
    assert world.dtr is not None
    return world.dtr


def _begin(world: World, size: Size, ucp: Release = UCP_22, dtr: DtrRelease = DTR_24) -> Builder:
    """The platform, with a backup of DTR that is some hours old, and what must be there in the end."""
    build = with_dtr(world, size, ucp, dtr)
    registry = _registry(world)
    world.dtr_archives[DTR_BACKUP] = dtr_archive.pack(registry, age=_AGE)
    world.remembered = {"repository": dict.fromkeys(registry.repositories), "tag": dict.fromkeys(registry.tags)}
    return build


def _kept(world: World) -> list[str]:
    """Repositories and tags that are missing, and tags whose images are."""
    dtr = world.dtr
    if dtr is None:
        return []
    left = []
    missing = sorted(world.remembered["repository"].keys() - set(dtr.repositories))
    if missing:
        left.append(f"Missing repositories: {', '.join(missing)}.")
    tags = sorted(world.remembered["tag"].keys() - (dtr.tags & dtr.content))
    if tags:
        left.append(f"Images that cannot be pulled: {', '.join(tags[:3])}{', …' if len(tags) > 3 else ''}.")
    return left


def _whole(world: World) -> Progress:
    left = dtr_left(world) + _kept(world)
    return Progress(not left, tuple(left))


def _broken_off(world: World, *names: str) -> None:
    """These hosts have burnt: they are off for good."""
    for name in names:
        world.crash(world.hosts[name])


def _replica_lost(world: World, size: Size) -> None:
    build = _begin(world, Size(size.nodes or 12))
    _broken_off(world, "dtr3")
    build.settle()


def _quorum_lost(world: World, size: Size, ucp: Release, dtr: DtrRelease) -> None:
    build = _begin(world, Size(size.nodes or 13), ucp, dtr)
    _broken_off(world, "dtr2", "dtr3")
    build.settle()


def _lost(world: World, size: Size) -> None:
    _begin(world, size)
    _emptied(world)


def _emptied(world: World) -> None:
    """Somebody has removed everything of DTR but the containers of one replica, which have nothing to work on."""
    registry = _registry(world)
    first, *others = registry.replicas.values()
    host = world.hosts[first.host]
    for name in [name for name in host.volumes if name.endswith(first.id)]:
        del host.volumes[name]
    for container in host.containers.values():
        if container.name.endswith(first.id):
            container.state, container.restart, container.exit_code = "exited", False, 1
            container.finished = world.kernel.now() - HOUR
    for replica in others:
        wipe(world.hosts[replica.host], replica.id)


# -- platform-lost


def _platform_lost(world: World, size: Size) -> None:
    build = _begin(world, size)
    ucp = world.ucp
    assert ucp is not None
    world.configured = list(_MANAGERS)
    world.secrets["passphrase"] = made_up(world)
    world.ucp_archives[BACKUP] = ucp_archive.pack(
        ucp, world.hosts["mgr2"], world.secrets["passphrase"], age=_AGE + HOUR / 4
    )
    content = world.remembered
    back_up(build, "mgr2", _AGE + HOUR / 2)
    world.remembered = {**content, "account": dict.fromkeys(ucp.accounts.by_name)}
    _emptied(world)
    down(build, _MANAGERS, power=False)
    for name in _MANAGERS:
        host = world.hosts[name]
        host.swarm = None
        for table in (host.containers, host.volumes, host.images):
            table.clear()
        for path in [path for path in host.files if path.startswith("/var/lib/docker/volumes/")]:
            del host.files[path]
        load_images(world, host, ucp.release)
        host.docker = host.socket = True
        host.boot = host.docker_since = world.kernel.now() - HOUR
    load_dtr_images(world, _registry(world).release)


def _platform_back(world: World) -> Progress:
    control = current(world)
    left = same_swarm(world, control) + managers_healthy(control) + nodes_up(control)
    ucp = world.ucp
    if ucp is None:
        left.append("UCP is not there.")
    else:
        missing = sorted(world.remembered["account"].keys() - ucp.accounts.by_name.keys())
        left += ([f"Missing accounts: {', '.join(missing)}."] if missing else []) + unwell(ucp)
    left += dtr_left(world) + _kept(world)
    return Progress(not left, tuple(left))


REGISTRIES = (
    Scenario(
        "dtr-replica-lost",
        "one of three replicas of DTR 2.4.1 has burnt with its host, dtr3",
        "Get DTR back to three healthy replicas; any worker may have the third one.",
        _replica_lost,
        _whole,
        platform=True,
    ),
    Scenario(
        "dtr-quorum-lost",
        f"two of three replicas of DTR 2.4.1 have burnt with their hosts; a backup, {DTR_BACKUP}, is there",
        "Get DTR back with three healthy replicas and all its repositories; any worker may have them.",
        partial(_quorum_lost, ucp=UCP_22, dtr=DTR_24),
        _whole,
        platform=True,
    ),
    Scenario(
        "dtr-quorum-lost-27",
        f"two of three replicas of DTR 2.7.8 have burnt with their hosts; a backup, {DTR_BACKUP}, is there",
        "Get DTR back with three healthy replicas, without the loss of what is newer than the backup.",
        partial(_quorum_lost, ucp=UCP_32, dtr=DTR_27),
        _whole,
        platform=True,
    ),
    Scenario(
        "dtr-lost",
        f"all replicas of DTR 2.4.1 have lost their volumes; a backup, {DTR_BACKUP}, is there",
        "Get DTR back with three healthy replicas and all its repositories.",
        _lost,
        _whole,
        platform=True,
    ),
    Scenario(
        "platform-lost",
        "all managers were installed anew, and DTR has lost its volumes; backups of Swarm, UCP and DTR are there",
        "Get Swarm, UCP and DTR back from their backups, with three managers and three replicas.",
        _platform_lost,
        _platform_back,
        platform=True,
    ),
)
