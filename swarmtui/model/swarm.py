"""A Swarm and its nodes as the engine API gives them, frozen, and what its other objects are made of.

Field names are the engine API's own (Docker Engine API 1.24 to the newest), in Python spelling. Fields that an old or
a foreign engine leaves out have defaults, so that one decoder reads all versions. Times stay RFC 3339 text until
somebody asks (`when`): most are never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct

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
