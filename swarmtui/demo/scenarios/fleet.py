"""A Swarm of any size, for measuring."""

from __future__ import annotations

from swarmtui.demo.scenarios.builder import DAY, Builder
from swarmtui.demo.scenarios.shop import ZONES
from swarmtui.demo.world.world import World

_TEAMS = ("cart", "catalog", "checkout", "feeds", "geo", "mail", "media", "orders", "pay", "search", "stock", "users")
_PARTS = ("api", "web", "worker", "cron", "cache", "sync", "batch", "edge")
_REPLICAS = 50


def fleet(world: World, nodes: int, tasks: int) -> Builder:
    """Build it: `nodes` nodes, 3 or 5 of them managers, and about `tasks` tasks in services of 50 replicas.

    The tasks are as long in JSON as those of a measured Swarm (0.8 KB), which have no addresses to list.
    """
    build = Builder(world)
    managers = 1 if nodes < 3 else 3 if nodes < 50 else 5
    width = max(2, len(str(nodes)))
    manager_hosts = [world.add_host(f"mgr{n}", f"10.20.0.{n}", cpus=8, memory=16 << 30) for n in range(1, managers + 1)]
    worker_hosts = [
        world.add_host(f"wrk{n:0{width}d}", f"10.21.{n // 250}.{n % 250 + 1}", cpus=32, memory=128 << 30)
        for n in range(1, nodes - managers + 1)
    ]
    build.swarm(manager_hosts, worker_hosts, age=400 * DAY)
    for number, host in enumerate(manager_hosts + worker_hosts):
        build.labels(host.name, zone=ZONES[number % len(ZONES)], **({"disk": "ssd"} if number % 4 == 0 else {}))
    for team in _TEAMS:
        build.network("net", team, 300 * DAY)
    placement = ["node.role==worker"] if worker_hosts else []
    number = 0
    while tasks > 0:
        team, part = _TEAMS[number % len(_TEAMS)], _PARTS[number // len(_TEAMS) % len(_PARTS)]
        turn = number // (len(_TEAMS) * len(_PARTS))
        replicas = min(_REPLICAS, tasks)
        build.service(
            f"{part}{turn or ''}",
            f"{team}/{part}:{1 + number % 5}.{number % 10}",
            replicas,
            stack=team,
            age=(10 + number % 90) * DAY,
            constraints=placement,
            cpus=0.1,
            memory=64,
        )
        tasks -= replicas
        number += 1
    build.settle()
    return build
