"""A manager's raft log as its disk holds it: the store's objects as SwarmKit's messages, in the order of versions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from swarmtui.demo.swarmkit import schema
from swarmtui.demo.swarmkit.log import MEMBERSHIP, Entry, snapshot_file, wal
from swarmtui.demo.swarmkit.wire import always, blob, moment, number, raw, text, texts
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.objects import Json, Node, Service, StoreObject, Task
from swarmtui.demo.world.resources import Blob, Network

_CREATE = 1
_TARGETS = {"node": 2, "service": 3, "task": 4, "network": 5, "cluster": 6, "secret": 7, "config": 10}
"""Kind → field of StoreAction (api/raft.proto)."""
_STORED = {"node": 1, "service": 2, "network": 3, "task": 4, "cluster": 5, "secret": 6, "config": 9}
"""Kind → field of StoreSnapshot (api/snapshot.proto)."""
_ISSUED = 3
_FIRST_TERM = 2
_FREE = 9
"""Entries before the first version of anything: the members are written there, and after the rest if they are more."""


@dataclass(slots=True)
class Log:
    """What a manager's raft log holds: the state of its Swarm at one moment.

    Attributes:
        members: node id → address of the voters.
        terms: for each election, its term and the index from which on it counts.
        leader: the node id of the one voted for last.
        live: a hot look at a running manager: its last entry is not yet agreed on.
    """

    cluster: Cluster
    members: dict[str, str]
    terms: tuple[tuple[int, int], ...]
    leader: str
    live: bool = False

    @property
    def last(self) -> int:
        """The index of the last entry that is agreed on."""
        return self.cluster.index + max(0, len(self.members) - _FREE)

    def term(self, index: int) -> int:
        """The term of an entry."""
        return max((term for term, since in self.terms if since <= index), default=_FIRST_TERM)

    @property
    def snapshot(self) -> int:
        """The index of the snapshot the log builds on; 0 for none."""
        interval = int(self.cluster.spec["Raft"].get("SnapshotInterval") or 0)
        return self.last // interval * interval if interval else 0


def raft_id(cluster_id: str, node_id: str) -> int:
    """The number of a manager in its raft."""
    return int.from_bytes(hashlib.sha256(f"{cluster_id} {node_id}".encode()).digest()[:8], "big") >> 1 | 1


def wal_name(log: Log) -> str:
    """The name of the log's file: of the first one while there is no snapshot."""
    return f"{1:016x}-{log.snapshot:016x}.wal" if log.snapshot else f"{0:016x}-{0:016x}.wal"


def snapshot_name(log: Log) -> str:
    """The name of the snapshot's file; empty where there is none."""
    return f"{log.term(log.snapshot):016x}-{log.snapshot:016x}.snap" if log.snapshot else ""


def write_wal(log: Log, node_id: str, key: bytes) -> bytes:
    """The log's file, as this member of it would have written it."""
    last = log.last
    entries = list(_entries(log))
    if log.live:
        entries.append(Entry(log.term(last), last + 1, b""))
    vote = raft_id(log.cluster.id, log.leader) if log.leader else 0
    snapshot = (log.snapshot, log.term(log.snapshot)) if log.snapshot else (0, 0)
    own = _member(log, node_id)
    return wal(own, entries, key=key, state=(log.term(last), vote, last), snapshot=snapshot)


def write_snapshot(log: Log, key: bytes) -> bytes:
    """The snapshot's file."""
    objects = defaultdict(list)
    for version, kind, body in _objects(log.cluster):
        if version <= log.snapshot:
            objects[kind].append(body)
    store = b"".join(raw(field, body) for kind, field in _STORED.items() for body in objects[kind])
    members = b"".join(raw(1, _member(log, node_id)) for node_id in log.members)
    voters = [raft_id(log.cluster.id, node_id) for node_id in log.members]
    data = raw(2, members) + raw(3, store)
    return snapshot_file(data, key=key, index=log.snapshot, term=log.term(log.snapshot), voters=voters)


def _entries(log: Log) -> Iterable[Entry]:
    """All entries after the snapshot. Where an object was overwritten since, an empty entry has its place."""
    actions: dict[int, list[bytes]] = defaultdict(list)
    for version, kind, body in _objects(log.cluster):
        actions[version].append(raw(2, number(1, _CREATE) + raw(_TARGETS[kind], body)))
    members = [] if log.snapshot else [_change(log, node_id) for node_id in log.members]
    for index in range(log.snapshot + 1, log.last + 1):
        if index in actions:
            yield Entry(log.term(index), index, number(1, index) + b"".join(actions[index]))
        elif members:
            yield Entry(log.term(index), index, members.pop(0), MEMBERSHIP)
        else:
            yield Entry(log.term(index), index, b"")


def _member(log: Log, node_id: str) -> bytes:
    address = log.members.get(node_id, "")
    return schema.RAFT_MEMBER.body({"RaftID": raft_id(log.cluster.id, node_id), "NodeID": node_id, "Addr": address})


def _change(log: Log, node_id: str) -> bytes:
    """A change of the membership: ConfChangeAddNode of etcd's raftpb."""
    number_of = raft_id(log.cluster.id, node_id)
    return always(1, number_of) + always(2, 0) + always(3, number_of) + raw(4, _member(log, node_id))


def _objects(cluster: Cluster) -> Iterable[tuple[int, str, bytes]]:
    """All objects of the store: version, kind, message."""
    yield cluster.version, "cluster", _cluster(cluster)
    for network in cluster.networks.values():
        yield network.index, "network", _network(network)
    for node in cluster.nodes.values():
        yield node.index, "node", _node(node)
    for secret in cluster.secrets.values():
        yield secret.index, "secret", _blob(secret)
    for config in cluster.configs.values():
        yield config.index, "config", _blob(config)
    for service in cluster.services.values():
        yield service.index, "service", _service(service)
    # Tasks of one version share their Spec, and tasks of one service its name and labels.
    specs: dict[int, bytes] = {}
    names: dict[str, bytes] = {}
    for task in cluster.tasks.values():
        spec = specs.get(id(task.spec))
        if spec is None:
            spec = specs[id(task.spec)] = schema.TASK_SPEC(3, task.spec)
        named = names.get(task.service_id)
        if named is None:
            named = names[task.service_id] = _service_name(cluster.services.get(task.service_id))
        yield task.index, "task", _task(task, spec, named)


def _head(item: StoreObject) -> bytes:
    return text(1, item.id) + _meta(item.index, item.created, item.updated)


def _meta(version: int, created: float, updated: float) -> bytes:
    return raw(2, raw(1, number(1, version)) + moment(2, created) + moment(3, updated))


def _annotated(spec: Json) -> Json:
    return {**spec, "Annotations": {"Name": spec.get("Name"), "Labels": spec.get("Labels")}}


def _service_spec(field: int, spec: Json | None) -> bytes:
    if spec is None:
        return b""
    template = dict(spec["TaskTemplate"])
    pids = ((template.get("Resources") or {}).get("Limits") or {}).get("Pids")
    if pids:
        template["ContainerSpec"] = {**template["ContainerSpec"], "PidsLimit": pids}
    return schema.SERVICE_SPEC(field, {**_annotated(spec), **spec["Mode"], "TaskTemplate": template})


def _service(service: Service) -> bytes:
    doc = service.doc()
    return (
        _head(service)
        + _service_spec(3, service.spec)
        + schema.ENDPOINT(4, doc["Endpoint"])
        + schema.UPDATE_STATUS(5, service.update)
        + _service_spec(6, service.previous_spec)
        + schema.VERSION(10, {"Index": service.spec_version})
        + (schema.VERSION(11, {"Index": service.previous_version}) if service.previous_spec is not None else b"")
        + schema.JOB_STATUS(12, service.job)
    )


def _node(node: Node) -> bytes:
    doc = node.doc()
    spec = {**_annotated(doc["Spec"]), "Membership": node.membership}
    issued = {"Role": node.role, "Status": {"State": _ISSUED}, "CN": node.id}
    return (
        _head(node)
        + schema.NODE_SPEC(3, spec)
        + schema.DESCRIPTION(4, doc["Description"] if node.described else None)
        + schema.NODE_STATUS(5, doc["Status"])
        + schema.CERTIFICATE(8, issued)
        + schema.ROLE(9, node.role)
    )


def _network(network: Network) -> bytes:
    doc = network.doc()
    labels = {"com.docker.swarm.predefined": "true"} if network.predefined else dict(network.labels)
    spec = {
        "Annotations": {"Name": network.label, "Labels": labels},
        "DriverConfiguration": {"Name": network.driver, "Options": network.options},
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": network.ingress,
        "IPAM": None if network.predefined else {"Driver": {"Name": "default"}, "Configs": doc["IPAM"]["Config"]},
    }
    state: Json = {"Name": network.driver, "Options": {} if network.predefined else doc["Options"]}
    allocated = {"Driver": {"Name": "default"}, "Configs": doc["IPAM"]["Config"]}
    return (
        _head(network)
        + schema.NETWORK_SPEC(3, spec)
        + schema.DRIVER(4, state)
        + (b"" if network.predefined else schema.IPAM(5, allocated))
    )


def _blob(item: Blob) -> bytes:
    named = schema.ANNOTATIONS(1, {"Name": item.name, "Labels": item.spec.get("Labels")})
    return _head(item) + raw(3, named + blob(2, item.spec.get("Data")))


def _service_name(service: Service | None) -> bytes:
    named = {"Name": service.name, "Labels": service.spec.get("Labels")} if service is not None else {}
    return schema.ANNOTATIONS(8, named)


def _task(task: Task, spec: bytes, named: bytes) -> bytes:
    doc = task.doc()
    return (
        _head(task)
        + spec
        + text(4, task.service_id)
        + number(5, task.slot)
        + text(6, task.node_id)
        + raw(7, b"")
        + named
        + schema.TASK_STATUS(9, doc["Status"])
        + schema.TASK_STATE(10, task.desired)
        + b"".join(raw(11, _attachment(one)) for one in task.attachments)
        + schema.VERSION(14, {"Index": task.spec_version})
        + schema.VERSION(16, doc.get("JobIteration"))
    )


def _attachment(attachment: Json) -> bytes:
    network: Mapping[str, str] = attachment["Network"]
    spec = attachment["Network"]["Spec"]
    named = schema.ANNOTATIONS(1, {"Name": spec["Name"], "Labels": spec.get("Labels")})
    inner = text(1, network["ID"]) + raw(3, named)
    return raw(1, inner) + texts(2, attachment.get("Addresses"))


def _cluster(cluster: Cluster) -> bytes:
    authority = cluster.authority
    root = {
        "CAKey": authority.key_pem,
        "CACert": authority.pem,
        "CACertHash": authority.digest,
        "JoinTokens": {"Worker": cluster.worker_token, "Manager": cluster.manager_token},
    }
    keys = b""
    if cluster.unlock_key:
        bare = cluster.unlock_key.removeprefix("SWMKEY-1-") + "="
        keys = schema.ENCRYPTION_KEY(9, {"Subsystem": "swarm-manager", "Key": bare})
    return (
        text(1, cluster.id)
        + _meta(cluster.version, cluster.created, cluster.updated)
        + schema.CLUSTER_SPEC(3, _annotated(cluster.spec))
        + schema.ROOT_CA(4, root)
        + keys
        + texts(11, ["10.0.0.0/8"])
        + number(12, 24)
        + number(13, cluster.data_path_port)
    )
