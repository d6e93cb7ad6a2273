"""A cluster written by hand: every state that a view has a word or a colour for, as `GET` of the engine gives it.

Six hosts in three zones: one of them away, one drained, one paused, and one that joined again under the same name. Its
services converge, update, wait for a place, fail and restart. Names are long, foreign or hostile where a name may be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests import builders as b

Json = dict[str, Any]

RELEASE = "registry.example/shop"
DAY, HOUR = "2026-11-20T03:00:00Z", "2026-11-21T02:00:00Z"
MINUTES = "2026-11-21T02:48:00.5Z"
SECONDS = "2026-11-21T02:59:40Z"
OLD = "2026-06-01T08:00:00Z"


def _node(name: str, zone: str, **changes: Any) -> Json:
    made = b.node(name, labels={"zone": zone} if zone else {}, **changes)
    return {**made, "CreatedAt": OLD, "UpdatedAt": DAY}


MGR1 = _node("mgr1", "a", manager="leader", addr="10.77.0.1")
MGR2 = _node("mgr2", "b", manager="reachable", addr="10.77.0.2", engine="20.10.24")
MGR3 = _node("mgr3", "c", manager="unreachable", addr="10.77.0.3", state="down", message="heartbeat failure")
WRK1 = _node("wrk1", "a", addr="10.77.0.11")
WRK2 = _node("wrk2", "b", addr="10.77.0.12", availability="drain")
WRK3 = _node("wrk3", "c", addr="10.77.0.13")
WRK3_BEFORE = _node("wrk3", "c", addr="10.77.0.13", state="down", id=b.object_id("node", "wrk3", "before"))
GPU = _node("gpu-rack7.dc2.example.internal", "", addr="10.77.9.40", availability="pause", arch="aarch64", cpus=64)
NODES = [MGR1, MGR2, MGR3, WRK1, WRK2, WRK3, WRK3_BEFORE, GPU]


def _service(name: str, stack: str = "", **changes: Any) -> Json:
    made = b.service(f"{stack}_{name}" if stack else name, **changes)
    if stack:
        made["Spec"]["Labels"]["com.docker.stack.namespace"] = stack
    made["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = ["LOG_LEVEL=info"]
    return {**made, "CreatedAt": OLD, "UpdatedAt": DAY}


def _updating(made: Json, state: str, message: str) -> Json:
    made["PreviousSpec"] = json.loads(json.dumps(made["Spec"]))
    made["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"] = f"{RELEASE}/web:1.4.2@sha256:4567"
    return {**made, "UpdateStatus": {"State": state, "StartedAt": MINUTES, "Message": message}}


WEB = _updating(
    _service("web", "shop", replicas=4, image=f"{RELEASE}/web:1.5.0@sha256:89ab", ports=[b.port(443)], cpus=0.5),
    "updating",
    "update in progress",
)
API = _service("api", "shop", replicas=3, image=f"{RELEASE}/api:2.0.1@sha256:0123", memory=256 << 20)
DB = _service("db", "shop", image="postgres:15.4@sha256:cdef", constraints=["node.labels.zone == a"])
MAILER = _service("mailer", "shop", replicas=2, image=f"{RELEASE}/mailer:0.9", constraints=["node.labels.disk == ssd"])
REPORTS = _updating(
    _service("reports", "shop", replicas=1, image=f"{RELEASE}/reports:3.1"),
    "paused",
    "update paused due to failure or early termination of task 9x1",
)
PROXY = _service("proxy", "edge", mode="global", image="traefik:2.11@sha256:4242", ports=[b.port(80, mode="host")])
AGENT = _service("日本語-agent", mode="global", image="agent:1")
HOSTILE = _service("[red]not\x1b[31mred", replicas=0, image="alpine:3.19")
CACHE = _service("cache", "shop", replicas=4, image="redis:7.2")
MIGRATE = _service("migrate", "shop", mode="job", replicas=2, image=f"{RELEASE}/api:2.0.1")
SERVICES = [WEB, API, DB, MAILER, REPORTS, PROXY, AGENT, HOSTILE, CACHE, MIGRATE]


def _secret(name: str, labels: Json | None = None) -> Json:
    spec = {"Name": name, "Labels": labels or {}}
    return {"ID": b.object_id("blob", name), "Version": {"Index": 7}, "CreatedAt": OLD, "UpdatedAt": DAY, "Spec": spec}


def _network(name: str, number: int, **changes: Any) -> Json:
    made = {
        "Id": b.object_id("network", name),
        "Name": name,
        "Created": OLD,
        "Scope": "swarm",
        "Driver": "overlay",
        "IPAM": {"Driver": "default", "Config": [{"Subnet": f"10.0.{number}.0/24", "Gateway": f"10.0.{number}.1"}]},
        "Labels": {},
        "Options": {},
    }
    return {**made, **changes}


_SHOP = {"com.docker.stack.namespace": "shop"}
BACK = _network("shop_back", 1, Labels=_SHOP, Options={"encrypted": ""}, Internal=True)
NETWORKS = [
    _network("ingress", 0, Ingress=True),
    BACK,
    _network("edge_public", 2, Attachable=True),
    _network("left-over", 3),
    _network("bridge", 17, Scope="local", Driver="bridge"),
    _network("host", 18, Scope="local", Driver="host", IPAM={"Driver": "default", "Config": None}),
]
DB_PASSWORD = _secret("shop_db-password", _SHOP)
SECRETS = [DB_PASSWORD, _secret("tls-2025.key"), _secret("tls-2026.key", {"owner": "edge"})]
WEB_CONF = _secret("shop_web.conf", _SHOP)
CONFIGS = [WEB_CONF, _secret("prometheus.yml")]
VOLUMES = [
    {"Name": "shop_db", "Driver": "local", "Mountpoint": "/var/lib/docker/volumes/shop_db/_data", "CreatedAt": OLD}
    | {"Scope": "local", "Labels": _SHOP},
    {"Name": "nfs-media", "Driver": "nfs", "Mountpoint": "/mnt/media", "CreatedAt": DAY, "Scope": "global"},
]

for _of in (WEB, API, DB):
    _of["Spec"]["TaskTemplate"]["Networks"] = [{"Target": BACK["Id"]}]
DB["Spec"]["TaskTemplate"]["ContainerSpec"] |= {
    "Secrets": [{"SecretID": DB_PASSWORD["ID"], "SecretName": "shop_db-password"}],
    "Mounts": [{"Type": "volume", "Source": "shop_db", "Target": "/var/lib/postgresql/data"}],
}
WEB["Spec"]["TaskTemplate"]["ContainerSpec"]["Configs"] = [{"ConfigID": WEB_CONF["ID"], "ConfigName": "shop_web.conf"}]


def _task(
    of: Json, on: Json | None, slot: int, state: str, at: str, *, error: str = "", code: int = 0, wanted: str = ""
) -> Json:
    made = b.task(of, on, slot, state=state, desired=wanted, id=b.object_id(of["ID"], on, slot, state, at, error))
    if "Global" in next(iter(of["Spec"]["Mode"])):
        del made["Slot"]
    status = {"Timestamp": at, "State": state, "Message": "started" if state == "running" else state}
    if error:
        status["Err"] = error
    status["ContainerStatus"] = {"ContainerID": b.object_id("container", made["ID"]) * 2, "ExitCode": code}
    return {**made, "Status": status, "CreatedAt": at, "UpdatedAt": at}


def _tasks() -> Iterator[Json]:
    yield _task(WEB, WRK1, 1, "running", SECONDS)
    yield _task(WEB, MGR2, 1, "shutdown", MINUTES, wanted="shutdown")
    yield _task(WEB, WRK3, 2, "preparing", SECONDS)
    yield _task(WEB, MGR1, 3, "running", DAY)
    yield _task(WEB, MGR3, 4, "running", DAY)  # nobody knows: its node is away
    for slot, node in enumerate((WRK1, WRK3, MGR2), 1):
        yield _task(API, node, slot, "running", HOUR)
    killed = "task: non-zero exit (137): killed, out of memory"
    yield _task(API, WRK1, 2, "failed", HOUR, error=killed, code=137, wanted="shutdown")
    yield _task(DB, WRK1, 1, "running", OLD)
    for slot in (1, 2):
        missing = "no suitable node (scheduling constraints not satisfied on 8 nodes)"
        yield _task(MAILER, None, slot, "pending", MINUTES, error=missing)
    for at in (SECONDS, MINUTES, HOUR):
        yield _task(REPORTS, WRK3, 1, "failed", at, error="task: non-zero exit (1)", code=1, wanted="shutdown")
    yield _task(REPORTS, WRK3, 1, "starting", SECONDS)
    for node in (MGR1, MGR2, WRK1, WRK3):
        yield _task(PROXY, node, 0, "running", OLD)
        yield _task(AGENT, node, 0, "running", DAY)
    yield _task(AGENT, MGR3, 0, "running", DAY)
    for slot, node in enumerate((WRK1, WRK1, WRK1, WRK3), 1):
        yield _task(CACHE, node, slot, "running", DAY)
    gone = {"ID": b.object_id("node", "removed long ago")}
    yield _task(PROXY, gone, 0, "running", OLD)  # a ghost (moby#37320)
    yield _task(API, WRK3_BEFORE, 3, "orphaned", DAY, wanted="remove")
    yield _task(MIGRATE, WRK1, 1, "complete", HOUR, wanted="complete")
    yield _task(MIGRATE, WRK3, 2, "running", SECONDS, wanted="complete")


TASKS = list(_tasks())
CERTIFICATES = {MGR1["ID"]: 1_795_230_000 + 80 * 86_400, MGR2["ID"]: 1_795_230_000 + 3 * 86_400}
"""Node id → when the certificate of its manager port ends."""
ROOT_CA = """\
-----BEGIN CERTIFICATE-----
MIIBJzCBzqADAgECAgEHMAoGCCqGSM49BAMCMBMxETAPBgNVBAMMCHN3YXJtLWNh
MB4XDTI2MDYwMTA4MDAwMFoXDTQ2MDUyNzA4MDAwMFowEzERMA8GA1UEAwwIc3dh
cm0tY2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATF+qNmPRxW9MQv4ybDGhXQ
zZuJdhAh2vT/6TDw5BvltD1rFrdWGLOqOf6L1NAlGqped3oslbGsY2Q3TUU56tyw
oxMwETAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIBufZSoQfV1a
yoor5JmIdXUceQRXmq07GD6EGNM4saL6AiEAhnyLTZKN5ulQoUWCf9bJ2BU5sY9D
p6uQ7uFcYb+NNc4=
-----END CERTIFICATE-----
"""
"""Ends on 2046-05-27; nobody has its key."""
UNLOCK_KEY = "SWMKEY-1-notTheKeyOfAnySwarmOnlyOfAPicture0000000000000"
SWARM: Json = {
    "ID": b.CLUSTER,
    "Version": {"Index": 9},
    "CreatedAt": OLD,
    "UpdatedAt": DAY,
    "Spec": {
        "Name": "default",
        "EncryptionConfig": {"AutoLockManagers": True},
        "CAConfig": {"NodeCertExpiry": 7776000000000000},
        "Orchestration": {"TaskHistoryRetentionLimit": 5},
        "Raft": {
            "SnapshotInterval": 10000,
            "KeepOldSnapshots": 0,
            "LogEntriesForSlowFollowers": 500,
            "ElectionTick": 10,
            "HeartbeatTick": 1,
        },
        "Dispatcher": {"HeartbeatPeriod": 5000000000},
        "TaskDefaults": {},
    },
    "TLSInfo": {"TrustRoot": ROOT_CA},
    "RootRotationInProgress": False,
}
TOKENS = {
    role: f"SWMTKN-1-notATokenOfAnySwarm{place:023d}-only4apicture{place:012d}"
    for place, role in enumerate(("Worker", "Manager"))
}
INFO: Json = {
    "ID": "E:N:G",
    "Name": "mgr1",
    "ServerVersion": "26.1.5",
    "Swarm": {
        "NodeID": MGR1["ID"],
        "NodeAddr": "10.77.0.1",
        "LocalNodeState": "active",
        "ControlAvailable": True,
        "Managers": 3,
        "Nodes": 8,
        "Cluster": SWARM,
    },
}


def _event(second: int, kind: str, action: str, name: str, **attributes: str) -> Json:
    actor = {"ID": b.object_id(kind, name), "Attributes": {"name": name, **attributes}}
    nano = (1_795_229_000 + second) * 1_000_000_000
    return {"Type": kind, "Action": action, "Actor": actor, "scope": "swarm", "timeNano": nano}


EVENTS = [
    _event(0, "node", "update", "mgr3", **{"state.old": "ready", "state.new": "down"}),
    _event(41, "service", "update", "shop_web", **{"updatestate.old": "completed", "updatestate.new": "updating"}),
    _event(60, "secret", "create", "tls-2026.key"),
    _event(61, "secret", "remove", "tls-2024.key"),
    _event(400, "node", "update", "wrk2", **{"availability.old": "active", "availability.new": "drain"}),
]


def _run(name: str, runbook: str, title: str, *entries: Json, at: str) -> tuple[str, list[Json]]:
    begun = {"at": at, "kind": "run", "schema": 1, "tool": "0", "runbook": runbook, "version": 1, "title": title}
    begun |= {"cluster_id": b.CLUSTER, "target": "prod", "operator": "ops@bastion", "accepted": [], "params": {}}
    return name, [begun, *({"at": at, **entry} for entry in entries)]


_WAITED = "shop_db has no replacement yet: no suitable node."
_DRAIN = {"kind": "intent", "step": "drain", "commands": ["docker node update --availability drain wrk2"]}
RUNS = dict(
    [
        _run(
            "20261119T141500Z-service.update-71aa",
            "service.update",
            "Update shop_web",
            {"kind": "intent", "step": "update", "commands": ["docker service update --image web:1.5.0 shop_web"]},
            {"kind": "done", "step": "update"},
            {"kind": "end", "outcome": "done", "detail": ""},
            at="2026-11-19T14:15:00.000+00:00",
        ),
        _run(
            "20261121T024500Z-node.drain-3f9a",
            "node.drain",
            "Drain wrk2",
            _DRAIN,
            {"kind": "done", "step": "drain"},
            {"kind": "failed", "step": "wait", "detail": _WAITED},
            {"kind": "end", "outcome": "failed", "detail": _WAITED},
            at="2026-11-21T02:45:00.000+00:00",
        ),
        _run(
            "20261121T025900Z-node.drain-9b01", "node.drain", "Drain wrk2", _DRAIN, at="2026-11-21T02:59:00.000+00:00"
        ),
    ]
)
_LISTS: dict[str, Any] = {
    "/info": INFO,
    "/swarm": {**SWARM, "JoinTokens": TOKENS},
    "/swarm/unlockkey": {"UnlockKey": UNLOCK_KEY},
    "/nodes": NODES,
    "/services": SERVICES,
    "/tasks": TASKS,
    "/networks": NETWORKS,
    "/secrets": SECRETS,
    "/configs": CONFIGS,
    "/volumes": {"Volumes": VOLUMES, "Warnings": None},
}


def answer(path: str) -> Json | list[Json] | None:
    """What the engine answers to a GET; None for what is not there."""
    if path in _LISTS:
        found: Json | list[Json] = _LISTS[path]
        return found
    kind, _, key = path.removeprefix("/").partition("/")
    everything = _LISTS.get(f"/{kind}", [])
    objects = everything["Volumes"] if kind == "volumes" else everything
    return next((each for each in objects if key in (each.get("ID"), each.get("Id"), each.get("Name"))), None)
