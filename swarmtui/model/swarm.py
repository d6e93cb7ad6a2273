"""The objects of a Swarm as the engine API gives them, frozen, and the Snapshot that holds them all.

Field names are the engine API's own (Docker Engine API 1.24 to the newest), in Python spelling. Fields that an old or
a foreign engine leaves out have defaults, so that one decoder reads all versions. Times stay RFC 3339 text until
somebody asks (`when`): most are never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct, field

if TYPE_CHECKING:
    from swarmtui.model.backups import BackupHolding
    from swarmtui.model.dtr.seen import DtrSeen
    from swarmtui.model.objects import Config, Network, Secret, Volume
    from swarmtui.model.ucp.status import UcpSeen

_SPELLING = {
    "id": "ID",
    "node_id": "NodeID",
    "service_id": "ServiceID",
    "container_id": "ContainerID",
    "secret_id": "SecretID",
    "config_id": "ConfigID",
    "ipam": "IPAM",
    "ip_range": "IPRange",
    "enable_ipv6": "EnableIPv6",
    "os": "OS",
    "nano_cpus": "NanoCPUs",
    "n_cpu": "NCPU",
    "tls_info": "TLSInfo",
    "ca_config": "CAConfig",
    "tty": "TTY",
}


def _api_name(name: str) -> str:
    return _SPELLING.get(name) or "".join(word.capitalize() for word in name.split("_"))


class ApiStruct(Struct, frozen=True, rename=_api_name, gc=False, omit_defaults=True):
    """Base of everything decoded from the engine: immutable, compared by value, invisible to the cycle collector."""


def when(text: str) -> datetime | None:
    """Parses a time of the engine API (RFC 3339 with up to nine digits of fraction).

    Returns:
        The time in UTC; None for "", for Go's zero time, and for what is no time at all.
    """
    if not text or text.startswith("0001-"):
        return None
    whole, dot, rest = text.partition(".")
    if dot:
        digits = rest.rstrip("Zz")
        zone = "Z" if digits != rest else ""
        for sign in "+-":
            if sign in digits:
                digits, zone = digits.split(sign, 1)[0], sign + digits.split(sign, 1)[1]
        text = f"{whole}.{digits[:6]}{zone}"
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    try:
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except OverflowError:
        return None  # the last day of the calendar, in a zone behind UTC


class Version(ApiStruct, frozen=True):
    """Raft index at which an object was last written; an update must name it."""

    index: int = 0


# -- nodes -------------------------------------------------------------------------------------------------------


class Role(StrEnum):
    """What a node's Spec wants it to be. Who votes is told by ManagerStatus, not by this."""

    MANAGER = "manager"
    WORKER = "worker"


class Availability(StrEnum):
    """Whether the scheduler may give a node tasks (active), leaves it alone (pause), or empties it (drain)."""

    ACTIVE = "active"
    PAUSE = "pause"
    DRAIN = "drain"


class NodeSpec(ApiStruct, frozen=True):
    name: str = ""
    labels: dict[str, str] | None = None
    role: str = Role.WORKER
    availability: str = Availability.ACTIVE


class Platform(ApiStruct, frozen=True):
    architecture: str = ""
    os: str = ""


class NamedResource(ApiStruct, frozen=True):
    kind: str = ""
    value: str = ""


class DiscreteResource(ApiStruct, frozen=True):
    kind: str = ""
    value: int = 0


class GenericResource(ApiStruct, frozen=True):
    named_resource_spec: NamedResource | None = None
    discrete_resource_spec: DiscreteResource | None = None


class Resources(ApiStruct, frozen=True):
    """CPU in billionths of a core, memory in bytes."""

    nano_cpus: int = 0
    memory_bytes: int = 0
    generic_resources: list[GenericResource] | None = None


class Plugin(ApiStruct, frozen=True):
    type: str = ""
    name: str = ""


class EngineDescription(ApiStruct, frozen=True):
    engine_version: str = ""
    labels: dict[str, str] | None = None
    plugins: list[Plugin] | None = None


class TlsInfo(ApiStruct, frozen=True):
    """The Swarm's certificate authority as PEM, and who issued the node's own certificate."""

    trust_root: str = ""
    cert_issuer_subject: str = ""


class NodeDescription(ApiStruct, frozen=True):
    hostname: str = ""
    platform: Platform = Platform()
    resources: Resources = Resources()
    engine: EngineDescription = EngineDescription()
    tls_info: TlsInfo | None = None


class NodeStatus(ApiStruct, frozen=True):
    """state: unknown, down, ready, disconnected."""

    state: str = ""
    message: str = ""
    addr: str = ""


class ManagerStatus(ApiStruct, frozen=True):
    """Present on the nodes that are members of the raft, and only on those. reachability: unknown,
    unreachable, reachable."""

    leader: bool = False
    reachability: str = ""
    addr: str = ""


class Node(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: NodeSpec = NodeSpec()
    description: NodeDescription = NodeDescription()
    status: NodeStatus = NodeStatus()
    manager_status: ManagerStatus | None = None

    @property
    def hostname(self) -> str:
        return self.description.hostname

    @property
    def name(self) -> str:
        """What people call it: its hostname, else the start of its id. Not unique after a rejoin (moby#30059)."""
        return self.description.hostname or self.id[:12]

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.labels or {}

    @property
    def engine_labels(self) -> Mapping[str, str]:
        return self.description.engine.labels or {}

    @property
    def is_voter(self) -> bool:
        """A member of the raft. After a promotion, a removal or a forced cluster this differs from the Spec's role."""
        return self.manager_status is not None

    @property
    def is_leader(self) -> bool:
        return self.manager_status is not None and self.manager_status.leader

    @property
    def is_reachable(self) -> bool:
        """A raft member that the leader hears from."""
        return self.manager_status is not None and self.manager_status.reachability == "reachable"

    @property
    def is_ready(self) -> bool:
        return self.status.state == "ready"

    @property
    def takes_tasks(self) -> bool:
        return self.is_ready and self.spec.availability == Availability.ACTIVE

    @property
    def address(self) -> str:
        """IP address of the node. A manager reports 0.0.0.0 or 127.0.0.1 of itself on some engines; its raft
        address is better then."""
        if self.status.addr in ("", "0.0.0.0", "127.0.0.1", "::", "::1") and self.manager_status is not None:
            return host_of(self.manager_status.addr) or self.status.addr
        return self.status.addr


def host_of(address: str) -> str:
    """Returns the host of "host:port" or "[v6]:port", or the address itself where it has no port."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdigit() and ":" not in host else address


# -- services and tasks ------------------------------------------------------------------------------------------


class DriverConfig(ApiStruct, frozen=True):
    name: str = ""


class VolumeOptions(ApiStruct, frozen=True):
    driver_config: DriverConfig | None = None


class Mount(ApiStruct, frozen=True):
    type: str = ""
    source: str = ""
    target: str = ""
    volume_options: VolumeOptions | None = None


class SecretReference(ApiStruct, frozen=True):
    secret_id: str = ""
    secret_name: str = ""


class ConfigReference(ApiStruct, frozen=True):
    config_id: str = ""
    config_name: str = ""


class ContainerSpec(ApiStruct, frozen=True):
    image: str = ""
    mounts: list[Mount] | None = None
    secrets: list[SecretReference] | None = None
    configs: list[ConfigReference] | None = None


class ResourceNeeds(ApiStruct, frozen=True):
    limits: Resources | None = None
    reservations: Resources | None = None


class SpreadOver(ApiStruct, frozen=True):
    """spread_descriptor: node.labels.KEY or engine.labels.KEY."""

    spread_descriptor: str = ""


class PlacementPreference(ApiStruct, frozen=True):
    spread: SpreadOver | None = None


class Placement(ApiStruct, frozen=True):
    """preferences: the outermost first."""

    constraints: list[str] | None = None
    preferences: list[PlacementPreference] | None = None
    max_replicas: int = 0
    platforms: list[Platform] | None = None


class NetworkAttachment(ApiStruct, frozen=True):
    """target: id of the network."""

    target: str = ""
    aliases: list[str] | None = None


class TaskSpec(ApiStruct, frozen=True):
    container_spec: ContainerSpec | None = None
    resources: ResourceNeeds | None = None
    placement: Placement | None = None
    networks: list[NetworkAttachment] | None = None
    force_update: int = 0


class Replicated(ApiStruct, frozen=True):
    replicas: int = 0


class ReplicatedJob(ApiStruct, frozen=True):
    max_concurrent: int = 0
    total_completions: int = 0


class Empty(ApiStruct, frozen=True):
    pass


class ServiceMode(ApiStruct, frozen=True):
    replicated: Replicated | None = None
    global_: Empty | None = field(default=None, name="Global")
    replicated_job: ReplicatedJob | None = None
    global_job: Empty | None = None


class Port(ApiStruct, frozen=True):
    protocol: str = "tcp"
    target_port: int = 0
    published_port: int = 0
    publish_mode: str = "ingress"


class EndpointSpec(ApiStruct, frozen=True):
    mode: str = ""
    ports: list[Port] | None = None


class UpdateConfig(ApiStruct, frozen=True):
    """How tasks are replaced. The defaults are those of a service that has none (swarmkit, api/defaults).

    Attributes:
        parallelism: how many at a time, 0 for all.
        delay, monitor: nanoseconds; monitor 0 stands for the engine's own 5 s.
    """

    parallelism: int = 0
    delay: int = 0
    failure_action: str = "pause"
    monitor: int = 0
    max_failure_ratio: float = 0.0
    order: str = "stop-first"


class ServiceSpec(ApiStruct, frozen=True):
    """networks: where clients before API 1.25 put what the task template holds since."""

    name: str = ""
    labels: dict[str, str] | None = None
    task_template: TaskSpec = TaskSpec()
    mode: ServiceMode = ServiceMode()
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    networks: list[NetworkAttachment] | None = None
    endpoint_spec: EndpointSpec | None = None


class UpdateStatus(ApiStruct, frozen=True):
    """state: updating, paused, completed, rollback_started, rollback_paused, rollback_completed."""

    state: str = ""
    started_at: str = ""
    completed_at: str = ""
    message: str = ""


class Service(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: ServiceSpec = ServiceSpec()
    update_status: UpdateStatus | None = None

    @property
    def name(self) -> str:
        return self.spec.name or self.id[:12]

    @property
    def is_global(self) -> bool:
        return self.spec.mode.global_ is not None or self.spec.mode.global_job is not None

    @property
    def is_job(self) -> bool:
        return self.spec.mode.replicated_job is not None or self.spec.mode.global_job is not None

    @property
    def replicas(self) -> int | None:
        """Replicas asked for; None for a global service."""
        if self.spec.mode.replicated is not None:
            return self.spec.mode.replicated.replicas
        if self.spec.mode.replicated_job is not None:
            return self.spec.mode.replicated_job.total_completions
        return None


class ContainerStatus(ApiStruct, frozen=True):
    container_id: str = ""
    exit_code: int = 0


class TaskStatus(ApiStruct, frozen=True):
    timestamp: str = ""
    state: str = ""
    message: str = ""
    err: str = ""
    container_status: ContainerStatus | None = None


class Task(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: TaskSpec = TaskSpec()
    service_id: str = ""
    slot: int = 0
    node_id: str = ""
    status: TaskStatus = TaskStatus()
    desired_state: str = ""

    TERMINAL: ClassVar[frozenset[str]] = frozenset({"complete", "shutdown", "failed", "rejected", "remove", "orphaned"})

    @property
    def is_terminal(self) -> bool:
        """Its container has ended, or never will be: this task uses nothing any more."""
        return self.status.state in self.TERMINAL

    @property
    def is_wanted(self) -> bool:
        """The orchestrator wants it to run, or a job's to run to its end; "ready" waits for its predecessor."""
        return self.desired_state in ("running", "ready", "complete") and not self.is_terminal

    @property
    def runs(self) -> bool:
        """Wanted and running. Says nothing of its node: a task on a node that is down still reads "running"."""
        return self.desired_state in ("running", "complete") and self.status.state == "running"


# -- the swarm itself --------------------------------------------------------------------------------------------


class EncryptionConfig(ApiStruct, frozen=True):
    auto_lock_managers: bool = False


class CaConfig(ApiStruct, frozen=True):
    """node_cert_expiry: nanoseconds."""

    node_cert_expiry: int = 0


class Orchestration(ApiStruct, frozen=True):
    """task_history_retention_limit: how many tasks that came before are kept in each slot; None where not told."""

    task_history_retention_limit: int | None = None


class RaftConfig(ApiStruct, frozen=True):
    """snapshot_interval: log entries between two snapshots; ticks: of a second."""

    snapshot_interval: int = 0
    keep_old_snapshots: int = 0
    log_entries_for_slow_followers: int = 0
    election_tick: int = 0
    heartbeat_tick: int = 0


class Dispatcher(ApiStruct, frozen=True):
    """heartbeat_period: nanoseconds."""

    heartbeat_period: int = 0


class SwarmSpec(ApiStruct, frozen=True):
    name: str = ""
    labels: dict[str, str] | None = None
    orchestration: Orchestration = Orchestration()
    raft: RaftConfig = RaftConfig()
    dispatcher: Dispatcher = Dispatcher()
    encryption_config: EncryptionConfig = EncryptionConfig()
    ca_config: CaConfig = CaConfig()


class Cluster(ApiStruct, frozen=True):
    id: str = ""
    version: Version = Version()
    created_at: str = ""
    updated_at: str = ""
    spec: SwarmSpec = SwarmSpec()
    tls_info: TlsInfo | None = None
    root_rotation_in_progress: bool = False


class Peer(ApiStruct, frozen=True):
    node_id: str = ""
    addr: str = ""


_NO_LEADER = re.compile(
    r"does not have a leader|no (elected )?leader|lost leader status|DeadlineExceeded|code = 4\b|context "
    r"deadline exceeded",
    re.IGNORECASE,
)


def says_no_leader(text: str) -> bool:
    """Whether an engine's words mean that its Swarm has no leader, and so no quorum (texts: swarm-dr.md §4)."""
    return bool(_NO_LEADER.search(text))


class SwarmInfo(ApiStruct, frozen=True):
    """The Swarm as one engine sees it (`GET /info`, answered with 200 also in failure)."""

    node_id: str = ""
    node_addr: str = ""
    local_node_state: str = ""
    control_available: bool = False
    error: str = ""
    remote_managers: list[Peer] | None = None
    nodes: int | None = None
    managers: int | None = None
    cluster: Cluster | None = None

    @property
    def no_leader(self) -> bool:
        """Whether the engine says that its Swarm has no leader."""
        return says_no_leader(self.error)


class Info(ApiStruct, frozen=True):
    id: str = ""
    name: str = ""
    server_version: str = ""
    docker_root_dir: str = ""
    operating_system: str = ""
    swarm: SwarmInfo = SwarmInfo()


# -- the snapshot ------------------------------------------------------------------------------------------------


class Reading(Struct, frozen=True):
    """How fresh one collection of a snapshot is.

    Attributes:
        at: when it was last read whole, seconds since the epoch; 0.0 for never.
        trouble: why the newest attempt failed, one sentence; "" when it did not.
    """

    at: float = 0.0
    trouble: str = ""

    @property
    def known(self) -> bool:
        return self.at > 0.0


COLLECTIONS = ("nodes", "services", "tasks")
"""What is read all the time."""
ON_DEMAND = ("networks", "secrets", "configs", "volumes")
"""What is only read while somebody wants it (`Session.want`)."""
UCP = "ucp"
"""What is read of UCP: of its managers always, of all nodes while somebody wants it."""
DTR = "dtr"
"""What is read of DTR: oftener while somebody wants it."""


class KeyHolding(Struct, frozen=True):
    """Whether the vault has the key that unlocks the managers. No key is in it.

    Attributes:
        state: held: the vault has the cluster's key; differs: it has keys of this cluster, but not this one; missing:
            it has none; off: autolock is off; unknown: the vault cannot be read.
        fingerprint: of the cluster's key, where it is held.
        where: where the vault keeps keys, in plain words.
        durable: whether the key outlives this program.
        trouble: why it is unknown.
        at: when it first was found so, seconds since the epoch; 0.0 where there was nothing to compare.
    """

    state: str = "unknown"
    fingerprint: str = ""
    where: str = ""
    durable: bool = False
    trouble: str = ""
    at: float = 0.0


class Snapshot(Struct, frozen=True):
    """All we know of a cluster at one moment. What could not be read keeps its last value; `readings` says how
    old it is.

    Attributes:
        seq: grows by one with every snapshot of a session.
        taken_at: seconds since the epoch.
        source: name of the manager it was read through.
        cluster_id: id of the Swarm, "" until known.
        certificates: node id → time its certificate expires, seconds since the epoch, where known.
        networks: those of the Swarm, and the local ones of the engine in use.
        volumes: name → volume, on the engine in use only.
        locked: ids of the managers that are locked, as far as their own engines could be asked.
        rivals: names of the managers that follow another leader, as far as they could be asked: a second Swarm lives.
        unlock_key: whether the vault has the cluster's unlock key; None until somebody compared.
        backups: what the catalogue has of it; None until somebody looked.
        ucp: what was read of UCP beside the polls; None where there is none, or nobody looked.
        dtr: what was read of DTR; None as well.
    """

    seq: int = 0
    taken_at: float = 0.0
    source: str = ""
    info: Info = Info()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    readings: Mapping[str, Reading] = field(default_factory=dict)
    certificates: Mapping[str, float] = field(default_factory=dict)
    cluster_id: str = ""
    networks: Mapping[str, Network] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    configs: Mapping[str, Config] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    unlock_key: KeyHolding | None = None
    locked: frozenset[str] = frozenset()
    rivals: frozenset[str] = frozenset()
    backups: BackupHolding | None = None
    ucp: UcpSeen | None = None
    dtr: DtrSeen | None = None

    @property
    def complete(self) -> bool:
        """Nodes, services and tasks were read at least once, and the newest attempt at each succeeded."""
        return all((r := self.readings.get(c)) is not None and r.known and not r.trouble for c in COLLECTIONS)

    @property
    def nodes_known(self) -> bool:
        return (reading := self.readings.get("nodes")) is not None and reading.known

    def oldest(self) -> float:
        """When the stalest collection was read, seconds since the epoch; 0.0 when one never was."""
        return min((self.readings[c].at if c in self.readings else 0.0) for c in COLLECTIONS)

    def is_live(self, task: Task) -> bool:
        """Whether a task really runs: one on a node that is down, or that is no more, reads "running" all the same.

        After a forced cluster the engine's own counts include those (swarm-dr.md, trap 4).
        """
        return task.runs and (node := self.nodes.get(task.node_id)) is not None and node.is_ready

    def tasks_on(self, node_id: str) -> list[Task]:
        return [task for task in self.tasks.values() if task.node_id == node_id]
