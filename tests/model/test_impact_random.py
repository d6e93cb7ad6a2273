"""Impact over random clusters, against a checker that shares nothing with the model: it reads the engine's JSON."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmtui.model.impact import Impact, impact_of, with_availability, with_labels
from swarmtui.model.swarm import Availability
from tests import builders as b

LIVE = ("new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running")


# -- the checker: swarmkit's filters, written down once more and differently -----------------------------------------


def satisfies(node: b.Json, constraint: str) -> bool:
    negative = "!=" in constraint
    key, wanted = (part.strip() for part in constraint.split("!=" if negative else "==", 1))
    spec, description = node["Spec"], node["Description"]
    if key == "node.ip":
        inside = ipaddress.ip_address(node["Status"]["Addr"]) in ipaddress.ip_network(wanted)
        return bool(inside != negative)
    value = {
        "node.hostname": description["Hostname"],
        "node.role": spec["Role"],
        "node.platform.os": description["Platform"]["OS"],
        "node.labels.zone": spec["Labels"].get("zone", ""),
        "engine.labels.disk": description["Engine"]["Labels"].get("disk", ""),
    }[key]
    return bool((value.casefold() == wanted.casefold()) != negative)


def allowed(service: b.Json, node: b.Json) -> bool:
    """Whether a node may have any task of the service at all, were it empty."""
    template = service["Spec"]["TaskTemplate"]
    placement = template["Placement"]
    platforms = placement.get("Platforms")
    here = node["Description"]["Platform"]
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(here["Architecture"], here["Architecture"])
    return (
        node["Status"]["State"] == "ready"
        and node["Spec"]["Availability"] == "active"
        and all(satisfies(node, c) for c in placement.get("Constraints", []))
        and (not platforms or any(p["OS"] == here["OS"] and p["Architecture"] in ("", arch) for p in platforms))
    )


def needs(service: b.Json) -> tuple[int, int, int]:
    reserved = service["Spec"]["TaskTemplate"].get("Resources", {}).get("Reservations", {})
    gpus = sum(g["DiscreteResourceSpec"]["Value"] for g in reserved.get("GenericResources", []))
    return reserved.get("NanoCPUs", 0), reserved.get("MemoryBytes", 0), gpus


def has(node: b.Json) -> tuple[int, int, int]:
    resources = node["Description"]["Resources"]
    gpus = sum(g["DiscreteResourceSpec"]["Value"] for g in resources["GenericResources"])
    return resources["NanoCPUs"], resources["MemoryBytes"], gpus


def host_ports(service: b.Json) -> set[int]:
    return {p["PublishedPort"] for p in service["Spec"]["EndpointSpec"]["Ports"] if p["PublishMode"] == "host"}


def fits(service: b.Json, node: b.Json, there: Counter[str], services: dict[str, b.Json]) -> bool:
    """Whether one more task of the service fits on a node that has these tasks (service id → how many)."""
    used = [sum(needs(services[sid])[i] * n for sid, n in there.items()) for i in range(3)]
    most = service["Spec"]["TaskTemplate"]["Placement"].get("MaxReplicas", 0)
    return (
        allowed(service, node)
        and all(not want or used[i] + want <= has(node)[i] for i, want in enumerate(needs(service)))
        and not any(n and host_ports(service) & host_ports(services[sid]) for sid, n in there.items())
        and (not most or there[service["ID"]] < most)
    )


# -- random clusters -------------------------------------------------------------------------------------------------

CONSTRAINTS = [
    "node.labels.zone==a",
    "node.labels.zone != A",
    "node.hostname!=n1",
    "node.role==worker",
    "engine.labels.disk==SSD",
    "node.ip==10.0.0.0/31",
    "node.platform.os==linux",
]


def nodes() -> st.SearchStrategy[list[b.Json]]:
    one: dict[str, st.SearchStrategy[Any]] = {
        "manager": st.sampled_from(["", "", "reachable"]),
        "state": st.sampled_from(["ready", "ready", "ready", "down"]),
        "availability": st.sampled_from(["active", "active", "pause", "drain"]),
        "labels": st.sampled_from([{}, {"zone": "a"}, {"zone": "b"}]),
        "engine_labels": st.sampled_from([{}, {"disk": "ssd"}]),
        "cpus": st.integers(1, 4),
        "memory": st.sampled_from([b.GIB, 4 * b.GIB]),
        "generic": st.sampled_from([{}, {"gpu": 2}]),
        "arch": st.sampled_from(["x86_64", "aarch64"]),
    }
    return st.lists(st.fixed_dictionaries(one), min_size=1, max_size=5).map(
        lambda drawn: [b.node(f"n{i}", addr=f"10.0.0.{i}", **options) for i, options in enumerate(drawn)]
    )


def services(constraints: list[str]) -> st.SearchStrategy[list[b.Json]]:
    one: dict[str, st.SearchStrategy[Any]] = {
        "mode": st.sampled_from(["replicated", "replicated", "replicated", "global"]),
        "constraints": st.lists(st.sampled_from(constraints), max_size=2, unique=True),
        "platforms": st.sampled_from([[], [], [("linux", "amd64")], [("linux", "")], [("windows", "amd64")]]),
        "max_replicas": st.sampled_from([0, 0, 1, 2]),
        "cpus": st.sampled_from([0, 0, 1, 2]),
        "memory": st.sampled_from([0, 0, b.GIB]),
        "generic": st.sampled_from([{}, {}, {"gpu": 1}]),
        "ports": st.sampled_from([[], [], [b.port(80, mode="host")], [b.port(80)]]),
    }
    return st.lists(st.fixed_dictionaries(one), min_size=1, max_size=4).map(
        lambda drawn: [b.service(f"s{i}", replicas=3, **options) for i, options in enumerate(drawn)]
    )


states = st.sampled_from(
    [("running", "running")] * 5
    + [
        ("preparing", "running"),
        ("ready", "ready"),
        ("running", "shutdown"),
        ("shutdown", "shutdown"),
        ("failed", "running"),
    ]
)


@st.composite
def clusters(draw: st.DrawFn, constraints: list[str] = CONSTRAINTS) -> tuple[list[b.Json], list[b.Json], list[b.Json]]:
    drawn_nodes, drawn_services = draw(nodes()), draw(services(constraints))
    tasks = []
    for slot in range(draw(st.integers(0, 10))):
        state, desired = draw(states)
        of, on = draw(st.sampled_from(drawn_services)), draw(st.sampled_from(drawn_nodes))
        tasks.append(b.task(of, on, slot, state=state, desired=desired))
    return drawn_nodes, drawn_services, tasks


def is_live(task: b.Json) -> bool:
    return task["DesiredState"] in ("running", "ready") and task["Status"]["State"] in LIVE


def check(
    impact: Impact, after: list[b.Json], made_services: list[b.Json], tasks: list[b.Json], evicted: list[b.Json]
) -> None:
    """Holds an impact against the checker: nothing lost, nothing where it is forbidden, nothing stuck without need."""
    assert impact.known
    by_id = {service["ID"]: service for service in made_services}
    by_name = {node["Description"]["Hostname"]: node for node in after}
    gone = {task["ID"] for task in evicted}
    expected = Counter(task["ServiceID"] for task in evicted)
    assert {s.service_id: s.moving + s.stuck + s.leaving for s in impact.services} == dict(expected)

    there: dict[str, Counter[str]] = defaultdict(Counter)
    for task in tasks:
        if is_live(task) and task["ID"] not in gone:
            there[task["NodeID"]][task["ServiceID"]] += 1
    for found in impact.services:
        is_global = "Global" in by_id[found.service_id]["Spec"]["Mode"]
        assert (found.leaving > 0) is is_global
        assert sum(count for _, count in found.targets) == found.moving
        assert bool(found.stuck_why) is (found.stuck > 0)
        for name, count in found.targets:
            there[by_name[name]["ID"]][found.service_id] += count
    for found in impact.services:
        service = by_id[found.service_id]
        for name, _ in found.targets:
            node = by_name[name]
            without_one = there[node["ID"]] - Counter([service["ID"]])
            assert fits(service, node, without_one, by_id), f"{found.name} does not fit on {name}"
        if found.stuck:
            free = [n["Description"]["Hostname"] for n in after if fits(service, n, there[n["ID"]], by_id)]
            assert not free, f"{found.name} is said to be stuck, but fits on {free}"

    ready = {node["ID"] for node in after if node["Status"]["State"] == "ready"}
    for found in impact.services:
        mine = [t for t in tasks if t["ServiceID"] == found.service_id and t["NodeID"] in ready]
        running = [t for t in mine if t["Status"]["State"] == t["DesiredState"] == "running"]
        stays = [t for t in running if t["ID"] not in gone]
        assert found.running_before == len(running)
        assert found.to_zero is (bool(running) and not stays and not found.moving)


@given(clusters(), st.data())
def test_draining_one_or_several_nodes(
    cluster: tuple[list[b.Json], list[b.Json], list[b.Json]], data: st.DataObject
) -> None:
    made, of, tasks = cluster
    leaving = data.draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique_by=lambda n: n["ID"]))
    ids = {node["ID"] for node in leaving}
    now = b.snapshot(made, of, tasks)
    impact = impact_of(now, {i: with_availability(now.nodes[i], Availability.DRAIN) for i in ids})
    after = [node | {"Spec": node["Spec"] | {"Availability": "drain"}} if node["ID"] in ids else node for node in made]
    check(impact, after, of, tasks, [task for task in tasks if is_live(task) and task["NodeID"] in ids])


@settings(max_examples=120)
@given(clusters(constraints=[c for c in CONSTRAINTS if "zone" in c]), st.data())
def test_changing_labels(cluster: tuple[list[b.Json], list[b.Json], list[b.Json]], data: st.DataObject) -> None:
    made, of, tasks = cluster
    busy = {task["NodeID"] for task in tasks}
    node = data.draw(st.sampled_from([node for node in made if node["ID"] in busy] or made))
    labels = data.draw(st.sampled_from([{}, {"zone": "a"}, {"zone": "b"}, {"zone": "c"}]))
    now = b.snapshot(made, of, tasks)
    impact = impact_of(now, {node["ID"]: with_labels(now.nodes[node["ID"]], labels)})
    changed = node | {"Spec": node["Spec"] | {"Labels": labels}}
    after = [changed if other["ID"] == node["ID"] else other for other in made]
    by_id = {service["ID"]: service for service in of}

    def newly_broken(task: b.Json) -> bool:
        constraints = by_id[task["ServiceID"]]["Spec"]["TaskTemplate"]["Placement"].get("Constraints", [])
        return any(satisfies(node, c) and not satisfies(changed, c) for c in constraints)

    # The enforcer acts on active nodes only (swarmkit); one that is down has nothing left to evict; one that is drained
    # empties itself, whatever its labels.
    spec = node["Spec"]
    acts = node["Status"]["State"] == "ready" and spec["Availability"] == "active"
    evicted = [
        task
        for task in tasks
        if is_live(task)
        and task["NodeID"] == node["ID"]
        and (spec["Availability"] == "drain" or (acts and newly_broken(task)))
    ]
    check(impact, after, of, tasks, evicted)
