"""DTR 2.4.1: its replicas, what they run, and what its commands do to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swarmtui.demo.platform import archive
from swarmtui.demo.platform.certificates import Root
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.world.host import Container, Host
from swarmtui.demo.world.ids import stamp

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

VERSION = "2.4.1"
DTR_IMAGE = f"docker/dtr:{VERSION}"
COMPONENTS = (
    "api", "garant", "jobrunner", "nginx", "notary-server", "notary-signer", "registry", "rethinkdb", "scanningstore",
)  # fmt: skip
_IMAGES = {"rethinkdb": "rethink", "scanningstore": "postgres"}
VOLUMES = ("ca", "notary", "postgres", "registry", "rethink")
_DATABASES = ("dtr2", "jobrunner", "notaryserver", "notarysigner")


class DtrError(Exception):
    """A command of DTR failed; the text is its last words."""


@dataclass(slots=True)
class Replica:
    """One replica.

    Attributes:
        sick: why its health check fails; empty when it does not.
        seen: when it last wrote its health, in seconds since the epoch.
    """

    id: str
    host: str
    http: int = 80
    https: int = 443
    sick: str = ""
    seen: float = 0.0


class Dtr:
    """A registry of one UCP.

    Attributes:
        storage: where images lie: `local`, or the URL of a shared place.
        repositories: names, as `namespace/name`; the metadata that a backup keeps.
        images: tags whose content is there, as `namespace/name:tag`; no backup keeps it.
    """

    def __init__(self, world: World, ucp: Ucp, external_url: str, storage: str = "local") -> None:
        self.world = world
        self.ucp = ucp
        self.external_url = external_url
        self.storage = storage
        self.root = Root("DTR CA", world.kernel.now())
        self.replicas: dict[str, Replica] = {}
        self.repositories: list[str] = []
        self.images: set[str] = set()

    def host_of(self, replica: Replica) -> Host | None:
        """The host of a replica, if it runs."""
        host = self.world.hosts.get(replica.host)
        return host if host is not None and host.running else None

    def runs(self, replica: Replica) -> bool:
        """Are all its containers there and running?"""
        host = self.host_of(replica)
        if host is None:
            return False
        names = {c.name for c in host.containers.values() if c.state == "running"}
        return all(f"dtr-{component}-{replica.id}" in names for component in COMPONENTS)

    @property
    def quorum(self) -> bool:
        """Does a majority of the replicas run?"""
        return sum(map(self.runs, self.replicas.values())) > len(self.replicas) // 2

    def ill(self, replica: Replica) -> str:
        """Why a replica is not healthy, in DTR's words; empty when it is."""
        if not self.runs(replica):
            return f"Replica reported health too long ago: {stamp(replica.seen).partition('.')[0].rstrip('Z')}Z"
        if not self.quorum:
            return "Error getting rethinkdb status: cannot perform read: primary replica not available"
        replica.seen = self.world.kernel.now()
        return replica.sick

    def add(self, replica_id: str, host: Host, http: int = 80, https: int = 443) -> Replica:
        """Run a replica on a host."""
        now = self.world.kernel.now()
        replica = Replica(replica_id, host.name, http, https, seen=now)
        for component in COMPONENTS:
            name = f"dtr-{component}-{replica_id}"
            container = Container(
                id=self.world.ids.container(),
                name=name,
                image=f"docker/dtr-{_IMAGES.get(component, component)}:{VERSION}",
                command=[],
                created=now,
                labels={"com.docker.compose.project": f"Docker Trusted Registry {VERSION} - (Replica {replica_id})"},
                state="running",
                started=now,
                pid=host.next_pid(),
                restart=True,
                health="healthy" if component == "nginx" else "",
                networks={"dtr-ol": ""},
            )
            if component == "nginx":
                container.ports = [
                    {"Protocol": "tcp", "TargetPort": target, "PublishedPort": port}
                    for target, port in ((80, http), (443, https))
                ]
            host.containers[container.id] = container
        for volume in VOLUMES:
            self.world.remember_volume(host, f"dtr-{volume}-{replica_id}")
        self.replicas[replica_id] = replica
        return replica

    def drop(self, replica_id: str) -> None:
        """Remove a replica with its containers and volumes, as far as its host can be reached."""
        replica = self.replicas.pop(replica_id)
        host = self.host_of(replica)
        if host is not None:
            host.containers = {k: c for k, c in host.containers.items() if not c.name.endswith(f"-{replica_id}")}
            host.volumes = {k: v for k, v in host.volumes.items() if not k.endswith(f"-{replica_id}")}
        if self.storage == "local" and not self.replicas:
            self.images.clear()

    def backup(self) -> bytes:
        """The metadata, in a plain tar: no images, no users."""
        folder = f"dtr-backup-v{VERSION}/rethink"
        properties = {"external_url": self.external_url, "storage": self.storage}
        files = {
            f"{folder}/properties/0": json.dumps(properties).encode(),
            f"{folder}/repositories/0": json.dumps(self.repositories).encode(),
            f"{folder}/tags/0": json.dumps(sorted(self.images)).encode(),
            f"{folder}/layers/0": b"[]",
            f"{folder}/events/0": b"[]",
            f"{folder}/private_keys/0": b"[]",
        }
        return archive.pack(files, self.world.kernel.now())

    @staticmethod
    def open_backup(data: bytes) -> list[str]:
        """The repositories of a backup.

        Raises:
            DtrError: it is none, or of another version.
        """
        files = archive.unpack(data)
        if not files:
            raise DtrError("Failed to read the backup from standard input: it is no tar archive")
        first = next(iter(files))
        if not first.startswith(f"dtr-backup-v{VERSION}/"):
            raise DtrError(f"The backup {first.partition('/')[0]} is not of version {VERSION}")
        repositories: list[str] = json.loads(files[f"dtr-backup-v{VERSION}/rethink/repositories/0"])
        return repositories

    def status(self) -> dict[str, Any]:
        """`cluster_status`."""
        health = {replica.id: self.ill(replica) for replica in self.replicas.values()}
        gone = [r.id for r in self.replicas.values() if not self.runs(r)]
        servers = [self._server(replica) for replica in self.replicas.values() if replica.id not in gone]
        return {
            "rethink_system_tables": {
                "cluster_config": [{"heartbeat_timeout_secs": 10, "id": "heartbeat"}],
                "current_issues": [self._issue(replica_id) for replica_id in gone],
                "db_config": [
                    {"id": f"{n:08x}-0000-4000-8000-000000000000", "name": name} for n, name in enumerate(_DATABASES)
                ],
                "server_status": servers,
                "stats": [],
                "table_config": [],
                "table_status": [self._table(gone)],
            },
            "replica_health": {replica_id: text or "OK" for replica_id, text in health.items()},
            "replica_timestamp": {
                r.id: f"{stamp(r.seen).partition('.')[0].rstrip('Z')}Z" for r in self.replicas.values()
            },
            "replica_readonly": dict.fromkeys(self.replicas, False),
            "gc_lock_holder": "",
        }

    def _server(self, replica: Replica) -> dict[str, Any]:
        others = [r.id for r in self.replicas.values() if r.id != replica.id and self.runs(r)]
        return {
            "id": f"{replica.id}-0000-4000",
            "name": f"dtr_rethinkdb_{replica.id}",
            "network": {
                "canonical_addresses": [{"host": f"dtr-rethinkdb-{replica.id}.dtr-ol", "port": 29015}],
                "cluster_port": 29015,
                "connected_to": {f"dtr_rethinkdb_{other}": True for other in others},
                "hostname": replica.id,
                "http_admin_port": "<no http admin>",
                "reql_port": 28015,
                "time_connected": stamp(replica.seen),
            },
            "process": {
                "argv": [],
                "cache_size_mb": 512,
                "pid": 1,
                "time_started": stamp(replica.seen),
                "version": "rethinkdb 2.3.6",
            },
        }

    def _issue(self, replica_id: str) -> dict[str, Any]:
        return {
            "critical": False,
            "description": "The table has some replicas that are not ready. The following servers are not "
            f"reachable: dtr_rethinkdb_{replica_id}",
            "type": "table_availability",
        }

    def _table(self, gone: list[str]) -> dict[str, Any]:
        states = [
            {"server": f"dtr_rethinkdb_{r}", "state": "disconnected" if r in gone else "ready"} for r in self.replicas
        ]
        ready = [state["server"] for state in states if state["state"] == "ready"]
        return {
            "db": "dtr2",
            "id": "00000000-0000-4000-8000-00000000000f",
            "name": "tags",
            "raft_leader": ready[0] if ready else "",
            "shards": [{"primary_replicas": ready[:1], "replicas": states}],
            "status": {
                "all_replicas_ready": not gone,
                "ready_for_outdated_reads": True,
                "ready_for_reads": self.quorum,
                "ready_for_writes": self.quorum,
            },
        }
