"""UCP 2.2.5: what it is, what it runs on each node, and what its commands do to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from swarmtui.demo.platform import archive, openpgp
from swarmtui.demo.platform.accounts import Accounts
from swarmtui.demo.platform.certificates import Root
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.host import Container, Host

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

VERSION = "2.2.5"
ON_WORKERS = ("ucp-dsinfo", "ucp-reconcile", "ucp-proxy")
ON_MANAGERS = (
    "ucp-controller", "ucp-swarm-manager", "ucp-kv", "ucp-cluster-root-ca", "ucp-client-root-ca", "ucp-auth-store",
    "ucp-auth-api", "ucp-auth-worker", "ucp-metrics",
)  # fmt: skip
VOLUMES = (
    "ucp-auth-api-certs", "ucp-auth-store-certs", "ucp-auth-store-data", "ucp-auth-worker-certs",
    "ucp-auth-worker-data", "ucp-client-root-ca", "ucp-cluster-root-ca", "ucp-controller-client-certs",
    "ucp-controller-server-certs", "ucp-kv", "ucp-kv-certs", "ucp-metrics-data", "ucp-metrics-inventory",
    "ucp-node-certs",
)  # fmt: skip
IMAGES = (
    "ucp-agent", "ucp-auth", "ucp-auth-store", "ucp-cfssl", "ucp-compose", "ucp-controller", "ucp-dsinfo", "ucp-etcd",
    "ucp-hrm", "ucp-metrics", "ucp-swarm",
)  # fmt: skip
_IMAGE_OF = {
    "ucp-swarm-manager": "ucp-swarm",
    "ucp-kv": "ucp-etcd",
    "ucp-cluster-root-ca": "ucp-cfssl",
    "ucp-client-root-ca": "ucp-cfssl",
    "ucp-auth-api": "ucp-auth",
    "ucp-auth-worker": "ucp-auth",
    "ucp-reconcile": "ucp-agent",
    "ucp-proxy": "ucp-agent",
}
_TABLES = 100
"""Files of the metrics store: they bring a backup over the hundred entries that a check expects."""


class UcpError(Exception):
    """A command of UCP failed; the text is its last words."""


class Ucp:
    """UCP on one Swarm.

    Attributes:
        paused: managers whose UCP containers are stopped while a backup is taken there.
        sick: manager → why its health check fails.
    """

    def __init__(self, world: World, cluster: Cluster, admin: str, password: str, sans: list[str]) -> None:
        self.world = world
        self.cluster = cluster
        self.accounts = Accounts()
        self.accounts.create(admin, password, full_name="Administrator", admin=True)
        self.accounts.create("docker-datacenter", "", full_name="docker-datacenter", org=True)
        self.sans = sans
        self.root = Root("UCP Client Root CA", world.kernel.now())
        self.paused: set[str] = set()
        self.sick: dict[str, str] = {}
        self.instance = cluster.id

    # -- on the nodes

    def place(self) -> None:
        """Run the components on every node, and the agent's service on the Swarm."""
        control = self.world.control(self.cluster)
        control.create_service(
            {
                "Name": "ucp-agent",
                "Labels": {"com.docker.ucp.InstanceID": self.instance, "com.docker.ucp.version": VERSION},
                "TaskTemplate": {
                    "ContainerSpec": {"Image": f"docker/ucp-agent:{VERSION}"},
                    "Placement": {"Constraints": ["node.platform.os==linux"]},
                },
                "Mode": {"Global": {}},
            }
        )
        for host in self.hosts():
            self.place_on(host)

    def place_on(self, host: Host) -> None:
        """Run the components that belong on this node."""
        manager = host.swarm is not None and host.swarm.role == "manager"
        for name in (*ON_WORKERS, *(ON_MANAGERS if manager else ())):
            self._run(host, name)
        for name in VOLUMES if manager else ("ucp-node-certs",):
            self.world.remember_volume(host, name)

    def _run(self, host: Host, name: str) -> None:
        now = self.world.kernel.now()
        done = name == "ucp-reconcile"
        container = Container(
            id=self.world.ids.container(),
            name=name,
            image=f"docker/{_IMAGE_OF.get(name, name)}:{VERSION}",
            command=[],
            created=now,
            labels={"com.docker.ucp.InstanceID": self.instance, "com.docker.ucp.version": VERSION},
            state="exited" if done else "running",
            started=now,
            finished=now if done else 0.0,
            pid=0 if done else host.next_pid(),
            restart=not done,
            health="" if name in ("ucp-reconcile", "ucp-dsinfo") else "healthy",
        )
        host.containers[container.id] = container

    def stop_on(self, host: Host) -> None:
        """Stop the components of one node."""
        for container in host.containers.values():
            if container.name in (*ON_WORKERS, *ON_MANAGERS) and container.state == "running":
                container.state, container.finished, container.pid = "exited", self.world.kernel.now(), 0

    def start_on(self, host: Host) -> None:
        """Start the components of one node."""
        for container in host.containers.values():
            if container.name in (*ON_WORKERS, *ON_MANAGERS) and container.restart and container.state != "running":
                container.state, container.started = "running", self.world.kernel.now()
                container.pid = host.next_pid()

    def hosts(self) -> list[Host]:
        """The hosts of the Swarm that run."""
        found = (self.world.host_of(self.cluster, node_id) for node_id in self.cluster.nodes)
        return [host for host in found if host is not None and host.running]

    def managers(self) -> list[Host]:
        """Those of them that are managers."""
        return [host for host in self.hosts() if host.swarm is not None and host.swarm.role == "manager"]

    def ill(self, host: Host) -> str:
        """Why UCP is not healthy on a manager; empty when it is."""
        if not host.running or host.swarm is None or host.swarm.role != "manager":
            return "node is unreachable"
        if host.swarm.locked or not host.swarm.raft.leads_for(host):
            return "Docker Swarm Cluster: no leader"
        if host.name in self.paused:
            return "stopped for a backup"
        names = {c.name for c in host.containers.values() if c.state == "running"}
        missing = [name for name in ON_MANAGERS if name not in names]
        return self.sick.get(host.name, f"{missing[0]} does not run" if missing else "")

    def leftovers(self) -> list[str]:
        """Component containers and services that are still on the Swarm, as `node/name`."""
        found = [f"{host.name}/{c.name}" for host in self.hosts() for c in host.containers.values() if _ours(c.name)]
        return found + [s.name for s in self.cluster.services.values() if s.name.startswith("ucp-agent")]

    def remove(self) -> None:
        """Take UCP off every node. The volume with the server's certificates stays, as documented."""
        for host in self.hosts():
            host.containers = {k: c for k, c in host.containers.items() if not _ours(c.name)}
            host.volumes = {
                name: volume
                for name, volume in host.volumes.items()
                if name not in VOLUMES or name == "ucp-controller-server-certs"
            }
        control = self.world.control(self.cluster)
        for service in [s for s in self.cluster.services.values() if s.name.startswith("ucp-agent")]:
            control.remove_service(service)

    # -- backup and restore

    def backup(self, host: Host, passphrase: str) -> bytes:
        """The archive of one manager: a tar, encrypted if there is a passphrase."""
        certificate, key = self.root.server(host.name, [host.name, host.ip])
        files = {
            "./ucp-controller.json": _inspect("ucp-controller"),
            "./ucp-kv.json": _inspect("ucp-kv"),
            "./ucp-auth-store-data/accounts.json": json.dumps(self.accounts.dump()).encode(),
            "./ucp-client-root-ca/cert.pem": self.root.pem.encode(),
            "./ucp-client-root-ca/config.json": b"{}",
            "./ucp-client-root-ca/key.pem": self.root.key_pem.encode(),
            "./ucp-cluster-root-ca/cert.pem": self.cluster.authority.pem.encode(),
            "./ucp-controller-server-certs/ca.pem": self.root.pem.encode(),
            "./ucp-controller-server-certs/cert.pem": certificate.encode(),
            "./ucp-controller-server-certs/key.pem": key.encode(),
            "./ucp-kv/instance": self.instance.encode(),
            "./ucp-kv/sans": json.dumps(self.sans).encode(),
        }
        node_certificate, node_key = self.root.server(host.name, [host.name])
        for volume in ("ucp-node-certs", "ucp-kv-certs", "ucp-auth-store-certs", "ucp-auth-api-certs"):
            files[f"./{volume}/ca.pem"] = self.root.pem.encode()
            files[f"./{volume}/cert.pem"] = node_certificate.encode()
            files[f"./{volume}/key.pem"] = node_key.encode()
        for number in range(_TABLES):
            files[f"./ucp-metrics-data/{number:03d}"] = b"simulated\n"
        data = archive.pack(files, self.world.kernel.now())
        return openpgp.encrypt(data, passphrase) if passphrase else data

    @staticmethod
    def open_backup(data: bytes, passphrase: str) -> dict[str, bytes]:
        """The files of a backup.

        Raises:
            UcpError: it cannot be opened, is none, or is of another version.
        """
        if passphrase:
            try:
                data = openpgp.decrypt(data, passphrase)
            except openpgp.WrongPassphrase as error:
                raise UcpError(f"Unable to decrypt the backup: {error}") from None
        files = archive.unpack(data)
        if "./ucp-auth-store-data/accounts.json" not in files:
            raise UcpError("Unable to read the backup: it is not a UCP backup, or it is encrypted")
        image = json.loads(files["./ucp-controller.json"])[0]["Config"]["Image"]
        if not image.endswith(f":{VERSION}"):
            raise UcpError(f"The backup is of {image}; run restore with that version")
        return files

    def load(self, files: dict[str, bytes]) -> None:
        """Take over accounts and settings of a backup. Sessions end; on another Swarm, admins' bundles do too."""
        self.accounts.load(json.loads(files["./ucp-auth-store-data/accounts.json"]))
        self.sans = json.loads(files["./ucp-kv/sans"])
        if files["./ucp-kv/instance"].decode() != self.cluster.id:
            for account in self.accounts.by_name.values():
                if account.admin:
                    account.keys.clear()


def _ours(name: str) -> bool:
    return name in ON_WORKERS or name in ON_MANAGERS or name.startswith("ucp-agent.")


def _inspect(name: str) -> bytes:
    image = f"docker/{_IMAGE_OF.get(name, name)}:{VERSION}"
    return json.dumps([{"Name": f"/{name}", "Config": {"Image": image}}]).encode()
