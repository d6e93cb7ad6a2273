"""Clusters for tests: written as the engine writes them (JSON), and read by the real decoder."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from swarmtui.link.decode import Collection, decode_one
from swarmtui.model.services import Service, Task
from swarmtui.model.snapshot import COLLECTIONS, Reading, Snapshot
from swarmtui.model.swarm import Info, Node

Json = dict[str, Any]

GIB = 1 << 30
CORE = 1_000_000_000
CLUSTER = "h3yq2wq8uys0gm7ygj5xnrgr5"


def object_id(*parts: object) -> str:
    """An id like the engine's (25 letters and digits), the same each time for the same parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:25]


def node(
    name: str,
    *,
    id: str | None = None,
    manager: str = "",
    role: str = "",
    state: str = "ready",
    availability: str = "active",
    labels: Mapping[str, str] | None = None,
    engine_labels: Mapping[str, str] | None = None,
    addr: str = "10.0.0.1",
    raft_addr: str | None = None,
    cpus: float = 4,
    memory: int = 8 * GIB,
    generic: Mapping[str, int | Iterable[str]] | None = None,
    os: str = "linux",
    arch: str = "x86_64",
    engine: str = "26.1.5",
    message: str = "",
    version: int = 10,
) -> Json:
    """A node as `GET /nodes` gives it.

    Args:
        manager: "" (no member of the raft), "leader", or its reachability.
        role: what its Spec says; by default what fits to `manager`.
    """
    made: Json = {
        "ID": id if id is not None else object_id("node", name),
        "Version": {"Index": version},
        "CreatedAt": "2024-05-01T10:00:00.123456789Z",
        "UpdatedAt": "2024-05-02T10:00:00.123456789Z",
        "Spec": {
            "Labels": dict(labels or {}),
            "Role": role or ("manager" if manager else "worker"),
            "Availability": availability,
        },
        "Description": {
            "Hostname": name,
            "Platform": {"Architecture": arch, "OS": os},
            "Resources": {
                "NanoCPUs": round(cpus * CORE),
                "MemoryBytes": memory,
                "GenericResources": _generic(generic or {}),
            },
            "Engine": {
                "EngineVersion": engine,
                "Labels": dict(engine_labels or {}),
                "Plugins": [{"Type": "Volume", "Name": "local"}],
            },
        },
        "Status": {"State": state, "Message": message, "Addr": addr},
    }
    if manager:
        made["ManagerStatus"] = {
            "Leader": manager == "leader",
            "Reachability": "reachable" if manager == "leader" else manager,
            "Addr": f"{addr}:2377" if raft_addr is None else raft_addr,
        }
    return made


def _generic(amounts: Mapping[str, int | Iterable[str]]) -> list[Json]:
    made: list[Json] = []
    for kind, amount in amounts.items():
        if isinstance(amount, int):
            made.append({"DiscreteResourceSpec": {"Kind": kind, "Value": amount}})
        else:
            made += [{"NamedResourceSpec": {"Kind": kind, "Value": value}} for value in amount]
    return made


def service(
    name: str,
    *,
    replicas: int = 1,
    mode: str = "replicated",
    image: str = "shop/api:1.2@sha256:0123",
    constraints: Iterable[str] = (),
    max_replicas: int = 0,
    platforms: Iterable[tuple[str, str]] = (),
    cpus: float = 0,
    memory: int = 0,
    generic: Mapping[str, int | Iterable[str]] | None = None,
    ports: Iterable[Json] = (),
    mounts: Iterable[Json] = (),
    update: str = "",
) -> Json:
    """A service as `GET /services` gives it.

    Args:
        mode: replicated, global, job (replicated) or global-job.
        cpus: what each task reserves, with memory (bytes) and generic resources.
        platforms: (os, architecture) each.
    """
    placement: Json = {}
    if constraints := list(constraints):
        placement["Constraints"] = constraints
    if max_replicas:
        placement["MaxReplicas"] = max_replicas
    if platforms := list(platforms):
        placement["Platforms"] = [{"OS": os, "Architecture": arch} for os, arch in platforms]
    container: Json = {"Image": image}
    if mounts := list(mounts):
        container["Mounts"] = mounts
    template: Json = {"ContainerSpec": container, "Placement": placement, "ForceUpdate": 0}
    if cpus or memory or generic:
        reserved: Json = {"NanoCPUs": round(cpus * CORE), "MemoryBytes": memory}
        if generic:
            reserved["GenericResources"] = _generic(generic)
        template["Resources"] = {"Reservations": reserved}
    modes: dict[str, Json] = {
        "replicated": {"Replicated": {"Replicas": replicas}},
        "global": {"Global": {}},
        "job": {"ReplicatedJob": {"MaxConcurrent": replicas, "TotalCompletions": replicas}},
        "global-job": {"GlobalJob": {}},
    }
    made: Json = {
        "ID": object_id("service", name),
        "Version": {"Index": 20},
        "Spec": {
            "Name": name,
            "Labels": {},
            "TaskTemplate": template,
            "Mode": modes[mode],
            "EndpointSpec": {"Mode": "vip", "Ports": list(ports)},
        },
    }
    if update:
        made["UpdateStatus"] = {"State": update}
    return made


def port(published: int, *, mode: str = "ingress", protocol: str = "tcp") -> Json:
    return {"Protocol": protocol, "TargetPort": 80, "PublishedPort": published, "PublishMode": mode}


def task(
    of: Json,
    on: Json | None,
    slot: int = 1,
    *,
    state: str = "running",
    desired: str = "",
    id: str | None = None,
) -> Json:
    """A task of a service (as `GET /tasks` gives it), made from the service's template as the orchestrator does.

    Args:
        desired: "" for what the orchestrator wants of a live task of this kind of service.
    """
    is_job = "Job" in next(iter(of["Spec"]["Mode"]))
    node_id = on["ID"] if on is not None else ""
    return {
        "ID": id if id is not None else object_id("task", of["ID"], node_id, slot, state, desired),
        "Version": {"Index": 30},
        "Spec": copy.deepcopy(of["Spec"]["TaskTemplate"]),
        "ServiceID": of["ID"],
        "Slot": slot,
        "NodeID": node_id,
        "Status": {"State": state, "Timestamp": "2024-05-02T10:00:00Z"},
        "DesiredState": desired or ("complete" if is_job else "running"),
    }


def nodes_of(*nodes: Json) -> dict[str, Node]:
    """Decodes nodes as the watch does."""
    return dict(Collection("nodes", Node)(json.dumps(nodes).encode()))


def one_node(made: Json) -> Node:
    return next(iter(nodes_of(made).values()))


def snapshot(
    nodes: Iterable[Json],
    services: Iterable[Json] = (),
    tasks: Iterable[Json] = (),
    *,
    at: float = 1_700_000_000.0,
    unread: Iterable[str] = (),
    troubles: Mapping[str, str] | None = None,
    certificates: Mapping[str, float] | None = None,
    error: str = "",
) -> Snapshot:
    """A snapshot of a whole cluster, decoded from JSON.

    Args:
        unread: collections that were never read.
        troubles: collection → why its newest reading failed.
        error: what the engine's /info says is wrong with the Swarm.
    """
    missing = set(unread)
    info: Json = {
        "Name": "mgr1",
        "ServerVersion": "26.1.5",
        "Swarm": {"LocalNodeState": "active", "ControlAvailable": True, "Error": error, "Cluster": {"ID": CLUSTER}},
    }
    return Snapshot(
        seq=1,
        taken_at=at,
        source="mgr1",
        info=decode_one(json.dumps(info).encode(), Info, "itself"),
        nodes=nodes_of(*nodes),
        services=Collection("services", Service)(json.dumps(list(services)).encode()),
        tasks=Collection("tasks", Task)(json.dumps(list(tasks)).encode()),
        readings={name: Reading(at, (troubles or {}).get(name, "")) for name in COLLECTIONS if name not in missing},
        certificates=dict(certificates or {}),
        cluster_id=CLUSTER,
    )
