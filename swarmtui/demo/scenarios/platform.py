"""The shop under UCP and DTR."""

from __future__ import annotations

from swarmtui.demo.platform.dtr import Dtr
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.scenarios.base import Scenario, Size
from swarmtui.demo.scenarios.builder import DAY
from swarmtui.demo.scenarios.shop import ZONES, shop
from swarmtui.demo.world import membership
from swarmtui.demo.world.world import World

REPLICAS = ("47f20fb864cf", "a6a628053157", "daa7b23c3a61")
_REPOSITORIES = ("shop/cart", "shop/catalog", "shop/checkout", "shop/jobs", "edge/certbot")


def _platform(world: World, size: Size) -> None:
    build = shop(world, workers=max((size.nodes or 11) - 6, 3), edge=False)
    world.secrets = {"username": "admin", "password": f"demo-{world.ids.random.getrandbits(60):015x}"}
    for number, zone in enumerate(ZONES, 1):
        host = world.add_host(f"dtr{number}", f"10.0.1.{30 + number}", cpus=4, memory=16 << 30)
        node = membership.add_node(world, build.cluster, host, "worker", {})
        build.backdate(node, 90 * DAY)
        build.labels(host.name, zone=zone)
    ucp = Ucp(world, build.cluster, world.secrets["username"], world.secrets["password"], ["ucp.shop.example"])
    for name, full_name in (("mia", "Mia Berg"), ("jon", "Jon Adler"), ("ci", "Build server")):
        ucp.accounts.create(name, f"demo-{world.ids.random.getrandbits(60):015x}", full_name=full_name)
    ucp.accounts.create("shop", "", full_name="The shop", org=True)
    world.ucp = ucp
    ucp.place()
    dtr = Dtr(world, ucp, "https://dtr.shop.example", "nfs://nas.shop.example/dtr")
    for replica_id, number in zip(REPLICAS, (1, 2, 3), strict=True):
        dtr.add(replica_id, world.hosts[f"dtr{number}"])
    dtr.repositories = list(_REPOSITORIES)
    dtr.images = {f"{name}:{tag}" for name in _REPOSITORIES for tag in ("latest", "2.4.0", "2.4.1")}
    world.dtr = dtr
    for host in world.hosts.values():
        for container in host.containers.values():
            if not container.task:
                container.created = container.started = build.now - 41 * DAY
                container.finished = container.finished and build.now - 41 * DAY
    build.settle_new()


PLATFORM = Scenario(
    "platform",
    "the shop's Swarm under UCP 2.2.5, with three replicas of DTR 2.4.1",
    "",
    _platform,
    platform=True,
)
