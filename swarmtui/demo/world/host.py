"""A simulated machine: power, the Docker service, and what a Swarm left on its disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from swarmtui.demo.world.events import EventLog
from swarmtui.demo.world.objects import Json
from swarmtui.demo.world.pki import Certificate

if TYPE_CHECKING:
    from swarmtui.demo.world.cluster import Cluster
    from swarmtui.demo.world.raft import Raft


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
        locked: started, and waiting for the key.
        seen_leader: since Docker started here, has it been part of a working Swarm?
        error: why the swarm component does not run, when it does not.
        remotes: managers it knows, node id → address.
        cert_begin, cert_end: the validity of its certificate, in seconds since the epoch.
        certificate: the certificate itself, made when somebody looks.
        rejected: it was removed from the Swarm, and learned so when Docker started.
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
    locked: bool = False
    seen_leader: bool = True
    error: str = ""
    remotes: dict[str, str] = field(default_factory=dict)
    cert_begin: float = 0.0
    cert_end: float = 0.0
    certificate: Certificate | None = None
    stuck: bool = False
    rejected: bool = False
    superseded: bool = False

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
        files: files beside the engine's own, by path; `folders` are empty ones.
        aside: Swarm folders that were moved away, by their present path.
        blocked: ports that its firewall drops, as "udp 7946".
        leased: is its address one of DHCP?
        named: do the others know its name?
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
    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    aside: dict[str, LocalSwarm] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    forwarding: bool = True
    events: EventLog = field(default_factory=EventLog)
    pids: int = 1200
    clock_offset: float = 0.0
    answers_from: float = 0.0
    blocked: set[str] = field(default_factory=set)
    leased: bool = False
    named: bool = True

    @property
    def running(self) -> bool:
        """Is there an engine that could answer?"""
        return self.powered and self.docker

    def next_pid(self) -> int:
        """A new process id."""
        self.pids += 7
        return self.pids
