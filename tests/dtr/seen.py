"""DTR as it was seen, for tests of what is made of it. Shapes typed from reference/ucp-dtr.md §3.2 and §4.3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from swarmtui.model.dtr import told as reading
from swarmtui.model.dtr.seen import BALANCER, DtrSeen, Held, Part, Told
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.ucp.status import Door
from tests import builders as b
from tests.ucp import seen as ucp

NOW = ucp.NOW
ONE, TWO, THREE = "f2277ad178f7", "f3712d9c419a", "5eb9459a7832"
IDS = (ONE, TWO, THREE, "56b65e8c1404", "a6a628053157", "47f20fb864cf", "daa7b23c3a61")
RUN = (
    "api", "garant", "jobrunner", "nginx", "notary-server", "notary-signer", "registry", "rethinkdb", "scanningstore",
)  # fmt: skip
LIE = ("ca", "notary", "postgres", "registry", "rethink")
TOO_LONG_AGO = "Replica reported health too long ago: 2017-02-18T01:11:20Z"


def parts(replica: str, *, version: str = "2.4.1", told: Mapping[str, str] | None = None) -> tuple[Part, ...]:
    """The containers of a replica; told: component → what `docker ps` says of it, "" for one that is not there."""
    made = []
    for component in RUN:
        status = (told or {}).get(component, "Up 3 hours (healthy)" if component == "nginx" else "Up 3 hours")
        if status:
            state = "running" if status.startswith("Up") else "exited"
            ports = (80, 443) if component == "nginx" else (0, 0)
            name, image = f"dtr-{component}-{replica}", f"docker/dtr-{component}:{version}"
            made.append(Part(name, image, state, status, component, replica, version, *ports))
    return tuple(made)


def held(replica: str, *, volumes: bool = True, at: float = NOW - 20, trouble: str = "", **how: Any) -> Held:
    """What a node has of one replica."""
    names = {f"dtr-{kind}-{replica}": replica for kind in LIE} if volumes else {}
    return Held(parts(replica, **how), names, at, trouble)


def door(host: str, status: int = 200, *, text: str = "", trouble: str = "") -> Door:
    return Door(f"https://{host}", status, text, trouble, 0.1, NOW - 10)


def document(
    ids: Iterable[str], health: Mapping[str, str] | None = None, *, away: Iterable[str] = (), **more: Any
) -> dict[str, Any]:
    """`cluster_status` of these replicas, put together from the documented fragments."""
    known, gone = list(ids), set(away)
    ready = [one for one in known if one not in gone]
    held_by = [{"server": f"dtr_rethinkdb_{one}", "state": "disconnected" if one in gone else "ready"} for one in known]
    quorum = len(ready) > len(known) // 2
    made = {
        "rethink_system_tables": {
            "cluster_config": [{"heartbeat_timeout_secs": 10, "id": "heartbeat"}],
            "current_issues": [
                {"critical": False, "description": f"The following servers are not reachable: dtr_rethinkdb_{one}"}
                for one in gone
            ],
            "db_config": [{"id": "339de11f-...", "name": "notaryserver"}, {"id": "aa2e893f-...", "name": "dtr2"}],
            "server_status": [{"id": "9c41fbc6", "name": f"dtr_rethinkdb_{one}", "network": {}} for one in ready],
            "stats": [],
            "table_config": [],
            "table_status": [
                {
                    "db": "dtr2",
                    "id": "..",
                    "name": name,
                    "raft_leader": "..",
                    "shards": [
                        {"primary_replicas": [f"dtr_rethinkdb_{one}" for one in ready[:1]], "replicas": held_by}
                    ],
                    "status": {"all_replicas_ready": not gone, "ready_for_reads": quorum, "ready_for_writes": quorum},
                }
                for name in ("tags", "repositories")
            ],
        },
        "replica_health": {one: (health or {}).get(one, TOO_LONG_AGO if one in gone else "OK") for one in known},
        "replica_timestamp": dict.fromkeys(known, "2024-05-02T11:59:20Z"),
        "replica_readonly": dict.fromkeys(known, False),
        "gc_lock_holder": "",
    }
    return {**made, **more}


def settings(places: Mapping[str, str], **more: Any) -> dict[str, Any]:
    """`meta/settings`: replica id → node."""
    found = {one: {"HTTPPort": 80, "HTTPSPort": 443, "node": node} for one, node in places.items()}
    storage = {"storageVolume": "", "nfsHost": "nas.example.org", "nfsPath": "/dtr"}
    return {"dtrHost": "dtr.example.org", "replicaSettings": found, "gcMode": "automatic", **storage, **more}


def told(status: object, of: object = None, jobs: object = None) -> Told:
    found = reading.with_status(Told(at=NOW - 5), status)
    found = reading.with_settings(found, of) if of is not None else found
    return reading.with_jobs(found, {"jobs": []} if jobs is None else jobs)


def under_dtr(
    count: int = 3,
    *,
    down: Iterable[str] = (),
    changed: Mapping[str, Held | None] | None = None,
    doors: Mapping[str, Door] | None = None,
    says: Told | None = None,
    silent: str = "",
    managers: int = 3,
) -> Snapshot:
    """A Swarm under UCP with so many replicas on dtr1, dtr2, …; all is well where nothing else is said.

    Args:
        down: nodes that are.
        changed: node → what lies there instead; None for a node that could not be read yet.
        says: what the API told; where it is silent, why.
    """
    nodes = ucp.nodes(managers, 1)
    gone = set(down)
    names = [f"dtr{i}" for i in range(1, count + 1)]
    nodes += [
        b.node(name, state="down" if name in gone else "ready", addr=f"10.0.2.{i}")
        for i, name in enumerate(names, start=1)
    ]
    ids = dict(zip(names, IDS, strict=False))
    keys = {node["Description"]["Hostname"]: node["ID"] for node in nodes}
    those: dict[str, Held | None] = {name: held(one) for name, one in ids.items()} | {"wrk1": Held(at=NOW - 20)}
    those.update(changed or {})
    ill = [one for name, one in ids.items() if name in gone]
    if says is None and not silent:
        says = told(document(ids.values(), away=ill), settings({one: name for name, one in ids.items()}))
    found = {one: door(f"10.0.2.{i}") for i, one in enumerate(ids.values(), start=1) if one not in ill}
    found |= {BALANCER: door("dtr.example.org")}
    seen = DtrSeen(
        {keys[name]: one for name, one in those.items() if one is not None}, {**found, **(doors or {})}, says, silent
    )
    made = ucp.under_ucp(nodes)
    return replace(made, dtr=seen)
