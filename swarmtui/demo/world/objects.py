"""The objects of a Swarm's store and their Engine API shapes (API 1.41).

Each object knows how to write itself as JSON and keeps the bytes until it changes: a poll of ten thousand tasks
is then one join of byte strings.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from swarmtui.demo.world.ids import stamp

Json = dict[str, Any]

STATES = (
    "new",
    "allocated",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "shutdown",
    "failed",
    "rejected",
    "remove",
    "orphaned",
)
"""Task states in order; what lies behind `running` is over for good."""

RANK = {state: rank for rank, state in enumerate(STATES)}
RUNNING = RANK["running"]

PLUGINS: list[Json] = [
    {"Type": "Log", "Name": name}
    for name in ("awslogs", "fluentd", "gcplogs", "gelf", "journald", "json-file", "local", "syslog")
]
PLUGINS += [{"Type": "Network", "Name": name} for name in ("bridge", "host", "ipvlan", "macvlan", "null", "overlay")]
PLUGINS += [{"Type": "Volume", "Name": "local"}]


@dataclass(slots=True, kw_only=True)
class StoreObject:
    """What all objects of the store have: an id, a version, times, and the bytes last written."""

    kind: ClassVar[str]
    id: str
    index: int = 0
    created: float = 0.0
    updated: float = 0.0
    _encoded: bytes | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What a person calls it."""
        raise NotImplementedError

    def doc(self) -> Json:
        """The object as the API shows it."""
        raise NotImplementedError

    def head(self) -> Json:
        """The fields every object begins with."""
        return {
            "ID": self.id,
            "Version": {"Index": self.index},
            "CreatedAt": stamp(self.created),
            "UpdatedAt": stamp(self.updated),
        }

    def forget(self) -> None:
        """Something that is shown has changed: write it anew when asked."""
        self._encoded = None

    def encoded(self) -> bytes:
        """The object as JSON."""
        if self._encoded is None:
            self._encoded = msgspec.json.encode(self.doc())
        return self._encoded


@dataclass(slots=True)
class ManagerStatus:
    """How the leader sees a member of the raft."""

    leader: bool
    reachability: str
    address: str


@dataclass(slots=True, kw_only=True)
class Node(StoreObject):
    """A node of the cluster.

    Attributes:
        wanted_role: the role in its Spec; `role` follows a moment later.
        manager: set by the raft while the node is a member, whatever its Spec says.
        described: has it reported what it is?
        membership: "pending" after any update over the API, which has no field for it: so do real engines.
    """

    kind: ClassVar[str] = "node"
    hostname: str
    address: str
    wanted_role: str
    role: str
    label_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    availability: str = "active"
    architecture: str = "x86_64"
    os: str = "linux"
    cpus: int = 4
    memory: int = 8 << 30
    engine: str = "20.10.24"
    engine_labels: dict[str, str] = field(default_factory=dict)
    plugins: list[Json] = field(default_factory=lambda: PLUGINS)
    state: str = "ready"
    message: str = ""
    tls: Json = field(default_factory=dict)
    manager: ManagerStatus | None = None
    described: bool = True
    membership: str = "accepted"

    @property
    def name(self) -> str:
        return self.label_name or self.hostname

    def spec(self) -> Json:
        """Its Spec."""
        named: Json = {"Name": self.label_name} if self.label_name else {}
        return {
            **named,
            "Labels": dict(self.labels),
            "Role": self.wanted_role,
            "Availability": self.availability,
        }

    def doc(self) -> Json:
        engine: Json = {"EngineVersion": self.engine}
        if self.engine_labels:
            engine["Labels"] = self.engine_labels
        engine["Plugins"] = self.plugins
        status: Json = {"State": self.state}
        if self.message:
            status["Message"] = self.message
        if self.address:
            status["Addr"] = self.address
        doc = {
            **self.head(),
            "Spec": self.spec(),
            "Description": {
                "Hostname": self.hostname,
                "Platform": {"Architecture": self.architecture, "OS": self.os},
                "Resources": {"NanoCPUs": self.cpus * 10**9, "MemoryBytes": self.memory},
                "Engine": engine,
                "TLSInfo": self.tls,
            }
            if self.described
            else {"Platform": {}, "Resources": {}, "Engine": {}, "TLSInfo": {}},
            "Status": status,
        }
        if self.manager is not None:
            shown: Json = {"Leader": True} if self.manager.leader else {}
            doc["ManagerStatus"] = {
                **shown,
                "Reachability": self.manager.reachability,
                "Addr": self.manager.address,
            }
        return doc


@dataclass(slots=True, kw_only=True)
class Service(StoreObject):
    """A service. `spec` is in API shape with the engine's own additions (see specs.py).

    Attributes:
        spec_version: changes with every update of the Spec; tasks remember the one they were made from.
        ended: slots whose task ended and which the restart policy does not start again.
    """

    kind: ClassVar[str] = "service"
    spec: Json
    spec_version: int = 0
    previous_spec: Json | None = None
    previous_version: int = 0
    update: Json | None = None
    ports: list[Json] = field(default_factory=list)
    vips: list[Json] = field(default_factory=list)
    ended: set[int | str] = field(default_factory=set)
    job: Json | None = None

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def template(self) -> Json:
        """Its TaskTemplate."""
        template: Json = self.spec["TaskTemplate"]
        return template

    @property
    def mode(self) -> str:
        """`Replicated`, `Global`, `ReplicatedJob` or `GlobalJob`."""
        return str(next(iter(self.spec["Mode"])))

    @property
    def replicas(self) -> int:
        """Replicas asked for; 0 for global services."""
        return int(self.spec["Mode"].get("Replicated", {}).get("Replicas", 0))

    def status(self, running: int, desired: int, completed: int) -> bytes:
        """The object as JSON with its ServiceStatus, which only a listing shows."""
        counts = msgspec.json.encode({"RunningTasks": running, "DesiredTasks": desired, "CompletedTasks": completed})
        return self.encoded()[:-1] + b',"ServiceStatus":' + counts + b"}"

    def doc(self) -> Json:
        doc = {**self.head(), "Spec": self.spec}
        if self.previous_spec is not None:
            doc["PreviousSpec"] = self.previous_spec
        endpoint: Json = {"Spec": {}}
        if self.ports or self.vips:
            endpoint = {"Spec": copy.deepcopy(self.spec.get("EndpointSpec", {}))}
            if self.ports:
                endpoint["Ports"] = self.ports
            if self.vips:
                endpoint["VirtualIPs"] = self.vips
        doc["Endpoint"] = endpoint
        if self.update is not None:
            doc["UpdateStatus"] = self.update
        if self.job is not None:
            doc["JobStatus"] = self.job
        return doc


@dataclass(slots=True, kw_only=True)
class Task(StoreObject):
    """A task.

    Attributes:
        spec: the TaskTemplate it was made from, shared between the tasks of one version, already encoded.
        slot: its number in a replicated service; 0 in a global one.
        fixed_node: the node a global service wants it on.
        started: when it reached `running`.
    """

    kind: ClassVar[str] = "task"
    service_id: str
    spec: Json
    spec_json: msgspec.Raw
    spec_version: int
    slot: int = 0
    node_id: str = ""
    fixed_node: str = ""
    state: str = "new"
    message: str = "created"
    error: str = ""
    when: float = 0.0
    desired: str = "running"
    container: str = ""
    pid: int = 0
    exit_code: int = 0
    attachments: list[Json] = field(default_factory=list)
    host_ports: list[Json] = field(default_factory=list)
    job_iteration: int | None = None
    started: float = 0.0

    @property
    def name(self) -> str:
        return self.id

    @property
    def over(self) -> bool:
        """Has it ended for good?"""
        return RANK[self.state] > RUNNING

    @property
    def wanted(self) -> bool:
        """Is it meant to run, now or soon?"""
        return RANK[self.desired] < RANK["shutdown"]

    @property
    def may_start(self) -> bool:
        """Is it meant to run now? (A task of a job is meant to be complete.)"""
        return self.desired in ("running", "complete")

    @property
    def place(self) -> int | str:
        """What distinguishes it within its service: the slot, or the node for global services."""
        return self.slot or self.fixed_node

    def doc(self) -> Json:
        status: Json = {"Timestamp": stamp(self.when), "State": self.state, "Message": self.message}
        if self.error:
            status["Err"] = self.error
        if self.container or self.state == "rejected":
            status["ContainerStatus"] = {
                "ContainerID": self.container,
                "PID": self.pid,
                "ExitCode": self.exit_code,
            }
        status["PortStatus"] = {"Ports": self.host_ports} if self.host_ports else {}
        doc = {**self.head(), "Labels": {}, "Spec": self.spec_json, "ServiceID": self.service_id}
        if self.slot:
            doc["Slot"] = self.slot
        if self.node_id:
            doc["NodeID"] = self.node_id
        doc["Status"] = status
        doc["DesiredState"] = self.desired
        if self.attachments:
            doc["NetworksAttachments"] = self.attachments
        if self.job_iteration is not None:
            doc["JobIteration"] = {"Index": self.job_iteration} if self.job_iteration else {}
        return doc
