"""A simulated machine: power, the Docker service, and what a Swarm left on its disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from swarmtui.demo.world.events import EventLog
from swarmtui.demo.world.objects import Json
from swarmtui.demo.world.pki import Certificate

if TYPE_CHECKING:
    from swarmtui.demo.world.cluster import Cluster
    from swarmtui.demo.world.raft import Raft
    from swarmtui.demo.world.saved import Log


@dataclass(slots=True)
class File:
    """A file on a host.

    Attributes:
        size: its length in bytes where that is more than there are data: the rest is a hole, which reads as zeros.
        mtime: when it was written last, in seconds since the epoch.
    """

    data: bytes
    size: int = 0
    mode: int = 0o644
    mtime: float = 0.0

    @property
    def length(self) -> int:
        """Its length in bytes, holes included."""
        return max(self.size, len(self.data))

    def whole(self) -> bytes:
        """Its content with the zeros of the hole."""
        return self.data + bytes(self.length - len(self.data))


class Process(Protocol):
    """What runs detached on a host."""

    def lose_power(self) -> None:
        """The host went off: nothing of it runs any more."""


@dataclass(slots=True)
class Container:
    """A container on a host.

    Attributes:
        task: the id of its task; empty for one that no Swarm started.
        restart: does it start with the engine?
        health: what its health check says; empty without one.
    """

    id: str
    name: str
    image: str
    command: list[str]
    created: float
    task: str = ""
    service: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    state: str = "created"
    exit_code: int = 0
    pid: int = 0
    started: float = 0.0
    finished: float = 0.0
    networks: dict[str, str] = field(default_factory=dict)
    mounts: list[Json] = field(default_factory=list)
    ports: list[Json] = field(default_factory=list)
    restart: bool = False
    health: str = ""


@dataclass(slots=True)
class LocalSwarm:
    """What /var/lib/docker/swarm of a host says.

    Attributes:
        role: the role in its certificate.
        key: the key its files are encrypted with; empty when they are not.
        key_version: the version of the cluster when it got that key, or when it joined as a manager.
        locked: started, and waiting for the key.
        unlocking: it got the key, and looks for a leader.
        seen_leader: since Docker started here, has it been part of a working Swarm?
        error: why the swarm component does not run, when it does not.
        remotes: managers it knows, node id → address.
        session: the host of the manager that a worker is connected to.
        cert_begin, cert_end: the validity of its certificate, in seconds since the epoch.
        certificate: the certificate itself, made when somebody looks.
        rejected: it was removed from the Swarm, and learned so when Docker started.
        log: what its raft log held when Docker stopped here; None while it follows.
        rendered: files that were made already, with what they were made from.
        superseded: another manager forced a new cluster that still lists this one; it is about to follow.
        stuck: its certificate is not renewed by itself, until Docker is restarted.
    """

    cluster: Cluster
    raft: Raft
    node_id: str
    role: str
    address: str
    listen: str = "0.0.0.0:2377"
    key: str = ""
    key_version: int = 0
    locked: bool = False
    unlocking: bool = False
    seen_leader: bool = True
    error: str = ""
    remotes: dict[str, str] = field(default_factory=dict)
    session: str = ""
    cert_begin: float = 0.0
    cert_end: float = 0.0
    certificate: Certificate | None = None
    stuck: bool = False
    rejected: bool = False
    superseded: bool = False
    log: Log | None = None
    rendered: dict[str, tuple[object, File]] = field(default_factory=dict, repr=False)

    def renew(self, now: float) -> None:
        """Get a new certificate for the present role, valid for as long as the Swarm's Spec says."""
        validity = self.cluster.spec["CAConfig"].get("NodeCertExpiry", 0) / 1e9
        self.cert_begin, self.cert_end, self.certificate, self.stuck = now - 3600, now + validity, None, False


@dataclass(slots=True)
class Host:
    """A machine.

    Attributes:
        docker: is dockerd running?
        socket: is docker.socket listening? With Docker stopped, the first connection then starts it again.
        boot: when it was switched on last, in seconds since the epoch.
        answers_from: when its Docker begins to answer, in seconds since the epoch.
        clock_offset: by how much its clock is wrong, in seconds.
        forwarding: does its sshd forward sockets?
        aliases: further addresses of its network card.
        prefixes: how long the network is of those that somebody added; they go with the next boot.
        redirects: where its firewall sends what goes to an address instead (DNAT).
        files: files beside the engine's own, by path; `folders` are those that were made, with their modes; `links`
            are symbolic links, with what they point to.
        aside: Swarm folders that were moved away, by their present path.
        room: bytes that are left on its disk; None for plenty.
        faults: what goes wrong on it from now on, of world/faults.py.
        docker_failed: Docker could not be started.
        swarm_error: why no Swarm could be made of what was found on its disk.
        processes: what runs detached, by its unit.
        blocked: ports that its firewall drops, as "udp 7946".
        leased: is its address one of DHCP?
        named: do the others know its name?
        owners: whom files and folders were given to with chown.
        disabled, masked: units that `systemctl disable` and `systemctl mask` were said to.
    """

    name: str
    ip: str
    cpus: int = 4
    memory: int = 8 << 30
    engine: str = "20.10.24"
    engine_id: str = ""
    boot: float = 0.0
    powered: bool = True
    docker: bool = True
    socket: bool = True
    swarm: LocalSwarm | None = None
    docker_since: float = 0.0
    containers: dict[str, Container] = field(default_factory=dict)
    images: dict[str, Json] = field(default_factory=dict)
    volumes: dict[str, Json] = field(default_factory=dict)
    networks: list[Json] = field(default_factory=list)
    files: dict[str, File] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    room: int | None = None
    faults: set[str] = field(default_factory=set)
    docker_failed: bool = False
    swarm_error: str = ""
    processes: dict[str, Process] = field(default_factory=dict)
    aside: dict[str, LocalSwarm] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    prefixes: dict[str, str] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    forwarding: bool = True
    events: EventLog = field(default_factory=EventLog)
    pids: int = 1200
    clock_offset: float = 0.0
    answers_from: float = 0.0
    blocked: set[str] = field(default_factory=set)
    leased: bool = False
    named: bool = True
    owners: dict[str, str] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    masked: set[str] = field(default_factory=set)

    @property
    def running(self) -> bool:
        """Is there an engine that could answer?"""
        return self.powered and self.docker

    @property
    def stays_off(self) -> set[str]:
        """Units that do not start with the host."""
        return self.disabled | self.masked

    def next_pid(self) -> int:
        """A new process id."""
        self.pids += 7
        return self.pids
