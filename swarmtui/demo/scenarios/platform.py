"""The shop under UCP: with DTR, of later releases, before it is installed, and with its accounts gone."""

from __future__ import annotations

from functools import partial

from swarmtui.demo.platform.dtr import Dtr, found_on, shared
from swarmtui.demo.platform.dtr_releases import DTR_24, DTR_27, MSR_29, DtrRelease
from swarmtui.demo.platform.releases import GIB, MKE, RELEASES, UCP_22, UCP_32, Release
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.scenarios.base import Progress, Scenario, Size
from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.scenarios.shop import ZONES, shop
from swarmtui.demo.world import membership
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.world import World

REPLICAS = ("47f20fb864cf", "a6a628053157", "daa7b23c3a61")
BACKUP = "ucp.bkp"
"""What an archive of UCP is called on the machine of whoever works on this."""
EXTERNAL_URL = "https://dtr.shop.example"
STORAGE = "nfs://nas.shop.example/dtr"
_REPOSITORIES = ("shop/cart", "shop/catalog", "shop/checkout", "shop/jobs", "edge/certbot")
_PEOPLE = (("mia", "Mia Berg"), ("jon", "Jon Adler"), ("ci", "Build server"))


def load_images(world: World, host: Host, release: Release) -> None:
    """The images of a release lie on a host."""
    for number, image in enumerate((release.image, *release.needed)):
        world.remember_image(host, image, (30 + 7 * number) << 20)


def made_up(world: World) -> str:
    """A password of its own for every world."""
    return f"demo-{world.ids.random.getrandbits(60):015x}"


def _shop(world: World, size: Size, *, others: int = 3) -> Builder:
    build = shop(world, workers=max((size.nodes or 8) - others, 3), edge=False)
    for host in world.hosts.values():
        host.memory, host.cpus = 16 * GIB, 4
    world.secrets = {"username": "admin", "password": made_up(world)}
    return build


def _ucp(world: World, build: Builder, release: Release) -> Ucp:
    ucp = Ucp(world, build.cluster, world.secrets["username"], world.secrets["password"], ["ucp.shop.example"], release)
    for name, full_name in _PEOPLE:
        ucp.accounts.create(name, made_up(world), full_name=full_name)
    ucp.accounts.create("shop", "", full_name="The shop", org=True)
    world.ucp = ucp
    for host in world.hosts.values():
        load_images(world, host, release)
    ucp.place()
    return ucp


def _grow_old(world: World, build: Builder) -> None:
    """All that runs of UCP and DTR has run for long."""
    for host in world.hosts.values():
        for container in host.containers.values():
            if not container.task:
                container.created = container.started = build.now - 41 * DAY
                container.finished = container.finished and build.now - 41 * DAY
    build.settle()


def dtr_hosts(world: World, build: Builder) -> list[Host]:
    """Workers of their own for DTR, one in each zone."""
    found = []
    for number, zone in enumerate(ZONES, 1):
        host = world.add_host(f"dtr{number}", f"10.0.1.{30 + number}", cpus=4, memory=16 * GIB)
        node = membership.add_node(world, build.cluster, host, "worker", {})
        build.backdate(node, 90 * DAY)
        build.labels(host.name, zone=zone)
        found.append(host)
    return found


def load_dtr_images(world: World, release: DtrRelease) -> None:
    """The images of a release lie on all hosts."""
    for host in world.hosts.values():
        for image in release.needed:
            world.remember_image(host, image, 40 << 20)


def with_dtr(world: World, size: Size, ucp: Release = UCP_22, dtr: DtrRelease = DTR_24) -> Builder:
    """The shop under UCP, and three replicas of DTR with its images on shared storage."""
    build = _shop(world, Size(size.nodes or 11), others=6)
    hosts = dtr_hosts(world, build)
    _ucp(world, build, ucp)
    load_dtr_images(world, dtr)
    world.dtr = Dtr(world, dtr, EXTERNAL_URL, STORAGE)
    for replica_id, host in zip(REPLICAS, hosts, strict=True):
        world.dtr.add(replica_id, host)
    world.dtr.repositories = list(_REPOSITORIES)
    world.dtr.push(*(f"{name}:{tag}" for name in _REPOSITORIES for tag in ("latest", "2.4.0", "2.4.1")))
    _grow_old(world, build)
    return build


def _with_dtr(world: World, size: Size, ucp: Release = UCP_22, dtr: DtrRelease = DTR_24) -> None:
    with_dtr(world, size, ucp, dtr)


# -- no-dtr


def _no_dtr(world: World, size: Size) -> None:
    build = _shop(world, Size(size.nodes or 11), others=6)
    dtr_hosts(world, build)
    _ucp(world, build, UCP_22)
    load_dtr_images(world, DTR_24)
    _grow_old(world, build)


def dtr_left(world: World, *, least: int = 3) -> list[str]:
    """What DTR wants yet: an odd number of replicas, all of them well, on shared storage."""
    dtr = world.dtr
    if dtr is None or not dtr.replicas:
        return ["DTR is not there."]
    left = [f"The replica {one.id} on {one.host}: {why}." for one in dtr.replicas.values() if (why := dtr.ill(one))]
    number = len(dtr.replicas)
    if number < least:
        left.append(f"There are {number} replicas; at least {least} are wanted.")
    elif number % 2 == 0:
        left.append(f"There are {number} replicas, an even number.")
    if number > 1 and not shared(dtr.storage):
        left.append("Several replicas keep images on their own disks.")
    strays = sorted(
        {name for host in world.hosts.values() if host.powered for name in found_on(host)} - dtr.replicas.keys()
    )
    if strays:
        left.append(f"Left over on hosts: the replicas {', '.join(strays)}.")
    return left


def _dtr_installed(world: World) -> Progress:
    left = dtr_left(world)
    return Progress(not left, tuple(left))


# -- no-ucp


def _without(world: World, size: Size) -> None:
    _shop(world, size)
    world.secrets = {}
    for host in world.hosts.values():
        for release in RELEASES.values():
            load_images(world, host, release)


def _installed(world: World) -> Progress:
    ucp = world.ucp
    if ucp is None:
        return Progress(False, ("UCP is not installed.",))
    left = unwell(ucp)
    return Progress(not left, tuple(left))


def unwell(ucp: Ucp) -> list[str]:
    """Managers on which UCP is not healthy."""
    managers = {host.name: ucp.ill(host) for host in ucp.managers()}
    return [f"UCP on {name}: {why}." for name, why in managers.items() if why]


# -- ucp-accounts-deleted


def _deleted(world: World, size: Size) -> None:
    build = _shop(world, size)
    ucp = _ucp(world, build, UCP_22)
    _grow_old(world, build)
    world.secrets["passphrase"] = made_up(world)
    world.ucp_archives[BACKUP] = ucp.backup(world.hosts["mgr2"], world.secrets["passphrase"])
    world.remembered = {"account": dict.fromkeys(ucp.accounts.by_name)}
    for name in ("mia", "jon", "ci", "shop"):
        del ucp.accounts.by_name[name]


def _deleted_check(world: World) -> Progress:
    ucp = world.ucp
    if ucp is None:
        return Progress(False, ("UCP is not there.",))
    missing = sorted(world.remembered["account"].keys() - ucp.accounts.by_name.keys())
    left = ([f"Missing accounts: {', '.join(missing)}."] if missing else []) + unwell(ucp)
    return Progress(not left, tuple(left))


def _deleted_risky(world: World) -> list[str]:
    forced = world.journal.kinds("swarm.force")
    return ["A healthy Swarm was forced for accounts that are none of its own."] if forced else []


PLATFORMS = (
    Scenario(
        "platform",
        "the shop's Swarm under UCP 2.2.5, with three replicas of DTR 2.4.1",
        "",
        _with_dtr,
        platform=True,
    ),
    Scenario(
        "platform-3",
        "the shop's Swarm under UCP 3.2.7, with three replicas of DTR 2.7.8",
        "",
        partial(_with_dtr, ucp=UCP_32, dtr=DTR_27),
        platform=True,
    ),
    Scenario(
        "platform-mke",
        "the shop's Swarm under MKE 3.4.5, with three replicas of MSR 2.9.4",
        "",
        partial(_with_dtr, ucp=MKE, dtr=MSR_29),
        platform=True,
    ),
    Scenario(
        "no-dtr",
        "the shop's Swarm under UCP 2.2.5 without DTR; its images lie on all hosts, dtr1 to dtr3 are free",
        "Install DTR with three replicas, on storage that they share.",
        _no_dtr,
        _dtr_installed,
        platform=True,
    ),
    Scenario(
        "no-ucp",
        "the shop's Swarm without UCP; the images of 2.2.5, 3.2.7 and MKE 3.4.5 lie on all hosts",
        "Install UCP, so that it is healthy on all three managers.",
        _without,
        _installed,
        platform=True,
    ),
    Scenario(
        "ucp-accounts-deleted",
        f"somebody has deleted the accounts of UCP; a backup of it, {BACKUP}, is there, and the Swarm is healthy",
        "Bring the accounts back, and leave the Swarm alone.",
        _deleted,
        _deleted_check,
        _deleted_risky,
        platform=True,
    ),
)
