"""A Swarm under UCP as a snapshot, for tests of what is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from swarmtui.model.snapshot import Snapshot
from swarmtui.model.ucp.status import Certificate, Component, Door, Parts, UcpSeen
from tests import builders as b

NOW = 1_714_651_200.0  # 2024-05-02 12:00 UTC: a day after the nodes joined
DAY = 86_400.0
EVERYWHERE = ("ucp-proxy", "ucp-dsinfo", "ucp-reconcile")
MANAGERS = (
    "ucp-controller", "ucp-swarm-manager", "ucp-kv", "ucp-cluster-root-ca", "ucp-client-root-ca", "ucp-auth-store",
    "ucp-metrics", "ucp-auth-api", "ucp-auth-worker",
)  # fmt: skip
"""The containers of UCP 2.2, typed from reference/ucp-dtr.md §4.1."""


def agent(version: str = "2.2.5", name: str = "ucp-agent") -> b.Json:
    made = b.service(name, mode="global", image=f"docker/ucp-agent:{version}@sha256:0a")
    made["Spec"]["Labels"] = {"com.docker.ucp.InstanceID": "hxz5kf9atspjwnoa5oqlonigv"}
    return made


def nodes(managers: int = 3, workers: int = 1, **changes: object) -> list[b.Json]:
    made = [
        b.node(f"mgr{i}", manager="reachable" if i > 1 else "leader", addr=f"10.0.0.{i}")
        for i in range(1, managers + 1)
    ]
    return [*made, *(b.node(f"wrk{i}", addr=f"10.0.1.{i}") for i in range(1, workers + 1))]


def part(name: str, version: str = "2.2.5", status: str = "") -> Component:
    once = name == "ucp-reconcile"
    told = status or ("Exited (0) 3 hours ago" if once else "Up 3 hours (healthy)")
    state = "running" if told.startswith("Up") else "exited"
    return Component(name, f"docker/{name}:{version}", state, told, 443 if name == "ucp-controller" else 0)


def parts(
    *, manager: bool, changed: Mapping[str, str] | None = None, without: Iterable[str] = (), version: str = "2.2.5"
) -> Parts:
    """The components of a node; `changed`: name → what `docker ps` says of it."""
    names = [name for name in (*EVERYWHERE, *(MANAGERS if manager else ())) if name not in set(without)]
    told = changed or {}
    return Parts(tuple(part(name, version, told.get(name, "")) for name in names), NOW - 20)


def certificate(*names: str, days: float = 300, itself: bool = False) -> Certificate:
    return Certificate(names, NOW + days * DAY, "UCP Client Root CA", itself)


def door(host: str, status: int = 200, *, text: str = "", trouble: str = "", shown: Certificate | None = None) -> Door:
    return Door(f"https://{host}", status, text, trouble, 0.1, NOW - 10, shown)


def healthy(made: Iterable[b.Json]) -> UcpSeen:
    """What is read of these nodes when all is well."""
    found = list(made)
    names = ("ucp.example.org", *(f"10.0.0.{i}" for i in range(1, 8)))
    return UcpSeen(
        {node["ID"]: parts(manager="ManagerStatus" in node) for node in found},
        {
            node["ID"]: door(node["Status"]["Addr"], shown=certificate(*names))
            for node in found
            if "ManagerStatus" in node
        },
    )


def under_ucp(
    made: list[b.Json] | None = None, seen: UcpSeen | None = None, *, services: Iterable[b.Json] | None = None
) -> Snapshot:
    """A snapshot of a Swarm that UCP manages; everything is well where nothing else is said."""
    those = nodes() if made is None else made
    agents = [agent()] if services is None else list(services)
    tasks = [b.task(agents[0], node, 0) for node in those] if agents else []
    now = b.snapshot(those, agents, tasks, at=NOW)
    return replace(now, ucp=healthy(those) if seen is None else seen)
