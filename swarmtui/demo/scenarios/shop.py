"""The world most scenarios begin with: the Swarm of a small web shop, some months old."""

from __future__ import annotations

from collections.abc import Iterable

from swarmtui.demo.scenarios.builder import DAY, HOUR, Builder
from swarmtui.demo.world.world import World

ZONES = ("a", "b", "c")


def shop(
    world: World,
    *,
    managers: int = 3,
    workers: int = 5,
    zones: tuple[str, ...] = ZONES,
    autolock: bool = False,
    card_data_on: Iterable[str] = (),
    edge: bool = True,
) -> Builder:
    """Build it: `managers` and `workers` over the zones, three stacks, everything running.

    Args:
        card_data_on: if given, the only hosts that may run the checkout service.
        edge: is there a proxy on ports 80 and 443 of the managers?
    """
    build = Builder(world)
    manager_hosts = [
        world.add_host(f"mgr{n}", f"10.0.1.{10 + n}", cpus=2, memory=4 << 30) for n in range(1, managers + 1)
    ]
    worker_hosts = [
        world.add_host(f"wrk{n}", f"10.0.1.{20 + n}", cpus=8, memory=16 << 30) for n in range(1, workers + 1)
    ]
    build.swarm(manager_hosts, worker_hosts, age=212 * DAY, autolock=autolock)
    for number, host in enumerate(manager_hosts):
        build.labels(host.name, zone=zones[number % len(zones)])
    for number, host in enumerate(worker_hosts):
        build.labels(host.name, zone=zones[number % len(zones)])
    for host in worker_hosts[:2]:
        build.labels(host.name, disk="ssd")
    if len(worker_hosts) > 2:
        build.labels(worker_hosts[2].name, db="true")
    for name in card_data_on:
        build.labels(name, pci="true")
    _shop_stack(build, "node.labels.pci==true" if card_data_on else "node.role==worker")
    _monitoring_stack(build)
    if edge:
        _edge_stack(build)
    build.settle()
    _history(build)
    return build


_ROLLING = {"Parallelism": 1, "Delay": 2 * 10**9, "Order": "start-first", "FailureAction": "rollback"}


def _shop_stack(build: Builder, checkout: str) -> None:
    front = build.network("front", "shop", 212 * DAY)
    back = build.network("back", "shop", 212 * DAY)
    build.blob("db-password", "shop", 200 * DAY, secret=True)
    build.blob("payment-key", "shop", 90 * DAY, secret=True)
    build.blob("nginx-conf", "shop", 41 * DAY, secret=False)
    worker = "node.role==worker"
    build.service(
        "web", "nginx:1.25", 6, stack="shop", age=41 * DAY, networks=[front], constraints=[worker],
        ports=[(8080, 80)], spread="node.labels.zone", cpus=0.25, memory=128, update=_ROLLING,
    )  # fmt: skip
    build.service(
        "cart", "shop/cart:2.4.1", 5, stack="shop", age=9 * DAY, networks=[front, back], constraints=[worker],
        cpus=0.5, memory=256, max_per_node=2, update={"Parallelism": 2, "Delay": 10**9},
    )  # fmt: skip
    build.service(
        "checkout", "shop/checkout:1.9.0", 3, stack="shop", age=2 * DAY, networks=[front, back],
        constraints=[checkout], cpus=0.5, memory=512, max_per_node=1, secrets=["payment-key"], update=_ROLLING,
    )  # fmt: skip
    build.service(
        "catalog", "shop/catalog:3.2.0", 6, stack="shop", age=16 * DAY, networks=[front, back],
        constraints=[worker], spread="node.labels.zone", cpus=0.5, memory=256,
    )  # fmt: skip
    build.service(
        "jobs", "shop/jobs:2.4.1", 4, stack="shop", age=9 * DAY, networks=[back], constraints=[worker],
        cpus=0.25, memory=256,
    )  # fmt: skip
    build.service(
        "cache", "redis:7.2", 2, stack="shop", age=120 * DAY, networks=[back],
        constraints=["node.labels.disk==ssd"], memory=1024, max_per_node=1,
    )  # fmt: skip
    build.service(
        "db", "postgres:15", 1, stack="shop", age=200 * DAY, networks=[back], secrets=["db-password"],
        constraints=["node.labels.db==true"], volumes=[("pgdata", "/var/lib/postgresql/data")],
        cpus=2, memory=4096, StopGracePeriod=60 * 10**9,
    )  # fmt: skip


def _monitoring_stack(build: Builder) -> None:
    net = build.network("net", "mon", 180 * DAY, Attachable=True)
    build.service(
        "prometheus", "prom/prometheus:v2.48.0", 1, stack="mon", age=60 * DAY, networks=[net],
        constraints=["node.labels.disk==ssd"], volumes=[("tsdb", "/prometheus")], memory=2048,
    )  # fmt: skip
    build.service(
        "grafana", "grafana/grafana:10.2.2", 1, stack="mon", age=60 * DAY, networks=[net],
        constraints=["node.role==worker"], ports=[(3000, 3000)], memory=256,
    )  # fmt: skip
    build.service(
        "exporter", "prom/node-exporter:v1.7.0", None, stack="mon", age=60 * DAY, networks=[net],
        host_ports=[(9100, 9100)], memory=32,
    )  # fmt: skip
    build.service("logs", "grafana/promtail:2.9.2", None, stack="mon", age=60 * DAY, networks=[net], memory=64)


def _edge_stack(build: Builder) -> None:
    net = build.network("net", "edge", 210 * DAY)
    build.blob("tls-cert", "edge", 34 * DAY, secret=True)
    build.service(
        "traefik", "traefik:v2.10", None, stack="edge", age=100 * DAY, networks=[net],
        constraints=["node.role==manager"], host_ports=[(80, 80), (443, 443)], secrets=["tls-cert"],
    )  # fmt: skip
    build.service(
        "certs", "edge/certbot:2.7", 1, stack="edge", age=100 * DAY, networks=[net],
        constraints=["node.role==worker"], memory=64,
    )  # fmt: skip


def _history(build: Builder) -> None:
    """What went wrong lately and what was rolled out, so that histories are not empty."""
    tasks = {}
    for service in build.cluster.services.values():
        ordered = sorted(build.cluster.tasks_in(service.id), key=lambda task: (task.slot, task.id))
        tasks[service.name] = [task for task in ordered if task.state == "running"]
    for number, task in enumerate(tasks["shop_checkout"]):
        build.past(task, 2 * DAY - 60 * number - HOUR, "shutdown", image="shop/checkout:1.8.4")
    for task, age in zip(tasks["shop_jobs"], (3.2 * HOUR, 27 * HOUR), strict=False):
        build.past(task, age, "failed", error="task: non-zero exit (137)", code=137)
        build.past(task, age + 4 * HOUR, "failed", error="task: non-zero exit (1)", code=1)
    for task in tasks["shop_catalog"][:1]:
        build.past(task, 11 * DAY, "failed", error="task: non-zero exit (2)", code=2)
    for task in tasks["shop_web"][:2]:
        build.past(task, 6 * HOUR, "shutdown")
