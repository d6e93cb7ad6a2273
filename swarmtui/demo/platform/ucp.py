"""UCP on one Swarm: its accounts and certificates, its members, and why it is not healthy where it is not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from swarmtui.demo.platform import ucp_archive, ucp_nodes
from swarmtui.demo.platform.accounts import Accounts
from swarmtui.demo.platform.certificates import Root
from swarmtui.demo.platform.releases import UCP_22, Release
from swarmtui.demo.platform.ucp_archive import UcpError
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.objects import Json

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

__all__ = ["BEGINS", "DATA", "Ucp", "UcpError"]

DATA = "ucp-auth-store-data"
"""The volume whose loss is the loss of a manager's part of the accounts."""
BEGINS = 20.0
"""Seconds from a new manager's first components to its being healthy."""
_LOOKS = 3.0
"""Seconds between two looks of the reconciler."""


class Ucp:
    """UCP on one Swarm.

    Attributes:
        members: managers that hold its data, and since when they are healthy, in seconds since the epoch.
        paused: managers whose UCP containers are stopped while a backup is taken there.
        sick: manager → why its health check fails.
        pings: manager → what is wrong with its `_ping`: "slow", "wrong" or "never".
        own: ca.pem, cert.pem and key.pem of whoever brought their own; empty where UCP made them.
        backups: those that were asked for over the API, as it shows them.
    """

    def __init__(
        self,
        world: World,
        cluster: Cluster,
        admin: str,
        password: str,
        sans: list[str],
        release: Release = UCP_22,
    ) -> None:
        self.world = world
        self.release = release
        self.instance = cluster.id
        self.accounts = Accounts()
        self.accounts.create(admin, password, full_name="Administrator", admin=True)
        self.accounts.create("docker-datacenter", "", full_name="docker-datacenter", org=True)
        self.sans = sans
        self.root = Root("UCP Client Root CA", world.kernel.now())
        self.own: dict[str, str] = {}
        self.members: dict[str, float] = {}
        self.paused: set[str] = set()
        self.sick: dict[str, str] = {}
        self.pings: dict[str, str] = {}
        self.backups: list[dict[str, Any]] = []
        self._cluster = cluster
        self._certificates: dict[tuple[str, ...], tuple[str, str]] = {}

    @property
    def cluster(self) -> Cluster:
        """Its Swarm as it is now: forcing or restoring one makes another with the same id."""
        for cluster in reversed(self.world.clusters):
            if cluster.id == self._cluster.id and self.world.control(cluster).raft.leader is not None:
                return cluster
        return self._cluster

    @property
    def ca_pem(self) -> str:
        """Who vouches for its web servers."""
        return self.own.get("ca.pem") or self.root.pem

    def certificate(self, host: Host) -> tuple[str, str]:
        """Certificate and key of a manager's web server."""
        if self.own:
            return self.own["cert.pem"], self.own["key.pem"]
        names = (host.name, "127.0.0.1", "localhost", host.ip, *self.sans)
        if names not in self._certificates:
            self._certificates[names] = self.root.server(host.name, names)
        return self._certificates[names]

    # -- on the nodes

    def place(self) -> None:
        """Run the components on every node, and the agents' services on the Swarm."""
        ucp_nodes.serve(self.world, self.cluster, self.release, self.instance)
        for host in self.hosts():
            self.place_on(host)
        self.watch()

    def place_on(self, host: Host, *, fresh: bool = False, data: bool = True) -> None:
        """Run the components that belong on this node; fresh ones become healthy after a while.

        Args:
            data: does a manager get its part of the accounts from somewhere?
        """
        manager = ucp_nodes.is_manager(host)
        known = ucp_nodes.components(host)
        for name in self.release.places(manager=manager):
            if name not in known:
                ucp_nodes.run(self.world, host, self.release, self.instance, name, fresh=fresh and manager)
        for name in self.release.volumes if manager else ("ucp-node-certs",):
            if data or name != DATA:
                self.world.remember_volume(host, name)
        if manager:
            files = {"ca.pem": self.ca_pem, **dict(zip(("cert.pem", "key.pem"), self.certificate(host), strict=True))}
            ucp_nodes.fill(self.world, host, ucp_nodes.SURVIVES, files)
            ucp_nodes.fill_data(self.world, host)
        if manager and data and (fresh or host.name not in self.members):
            wait = BEGINS / self.world.kernel.speed if fresh else 0.0
            self.members[host.name] = self.world.kernel.now() + wait
        self._label(host, manager)

    def _label(self, host: Host, manager: bool) -> None:
        swarm = host.swarm
        node = self.cluster.nodes.get(swarm.node_id) if swarm is not None else None
        if node is None:
            return
        labels = {"com.docker.ucp.access.label": "/System" if manager else "/Shared"}
        labels["com.docker.ucp.collection"] = "system" if manager else "shared"
        for name in ("root", "swarm", labels["com.docker.ucp.collection"]):
            labels[f"com.docker.ucp.collection.{name}"] = "true"
        if manager:
            labels["com.docker.ucp.SANs"] = ",".join((host.name, "127.0.0.1", "localhost", host.ip, *self.sans))
        if self.release.files:
            labels["com.docker.ucp.orchestrator.swarm"] = "true"
        if any(node.labels.get(key) != value for key, value in labels.items()):
            node.labels = {**node.labels, **labels}
            self.cluster.change_node(node)

    def watch(self) -> None:
        """From now on the reconciler looks after the nodes."""
        self.world.kernel.after(_LOOKS, self._look)

    def _look(self) -> None:
        if self.world.ucp is self:
            self.reconcile()
            self.world.kernel.after(_LOOKS, self._look)

    def reconcile(self) -> None:
        """What is missing on a node is run, what no longer belongs there is removed."""
        changed, quorum = False, self.quorum
        for host in self.hosts():
            manager = ucp_nodes.is_manager(host)
            known = ucp_nodes.components(host)
            wanted = set(self.release.places(manager=manager))
            if not manager and host.name in self.members:
                del self.members[host.name]
            for name in known.keys() - wanted:
                changed = True
                host.containers.pop(known[name].id, None)
            lost = manager and (host.name not in self.members or DATA not in host.volumes)
            if ucp_nodes.agent_runs(host) and (wanted - known.keys() or (lost and quorum)):
                changed = True
                self.place_on(host, fresh=True, data=quorum or not lost)
            ready = self.members.get(host.name, 0.0) <= self.world.kernel.now()
            for one in known.values():
                if ready and one.health == "starting" and one.state == "running":
                    one.health, changed = "healthy", True
        if quorum:
            here = {host.name for host in self.hosts()}
            nodes = {node.hostname for node in self.cluster.nodes.values()}
            for name in [name for name in self.members if name not in here and name not in nodes]:
                del self.members[name]
        if changed:
            self.world.on_platform_change()

    def stop_on(self, host: Host) -> None:
        """Stop the components of one node."""
        for one in ucp_nodes.components(host).values():
            if one.state == "running":
                one.state, one.finished, one.pid = "exited", self.world.kernel.now(), 0

    def start_on(self, host: Host) -> None:
        """Start the components of one node."""
        for one in ucp_nodes.components(host).values():
            if one.restart and one.state != "running":
                one.state, one.started, one.pid = "running", self.world.kernel.now(), host.next_pid()

    def hosts(self) -> list[Host]:
        """The hosts of the Swarm that run."""
        return ucp_nodes.hosts(self.world, self.cluster)

    def managers(self) -> list[Host]:
        """Those of them that are managers."""
        return [host for host in self.hosts() if ucp_nodes.is_manager(host)]

    # -- health

    @property
    def quorum(self) -> bool:
        """Do most of the managers that hold its data run?"""
        up = [
            host
            for host in self.managers()
            if host.name in self.members and DATA in host.volumes and "ucp-auth-store" in self._running(host)
        ]
        return len(up) > len(self.members) // 2

    @staticmethod
    def _running(host: Host) -> set[str]:
        return {one.name for one in ucp_nodes.components(host).values() if one.state == "running"}

    def up(self, host: Host) -> bool:
        """Does its controller on this host accept connections?"""
        mine = host.swarm is not None and host.swarm.cluster.id == self._cluster.id
        return host.running and mine and "ucp-controller" in self._running(host) and host.name not in self.paused

    def ill(self, host: Host) -> str:
        """Why UCP is not healthy on a manager; empty when it is."""
        if not host.running or host.swarm is None or host.swarm.role != "manager":
            return "node is unreachable"
        if host.swarm.locked or not host.swarm.raft.leads_for(host):
            return "Docker Swarm Cluster: no leader"
        if host.name in self.paused:
            return "stopped for a backup"
        missing = [name for name in self.release.managers if name not in self._running(host)]
        if missing:
            return f"{missing[0]} does not run"
        if self.members.get(host.name, 0.0) > self.world.kernel.now() or host.name not in self.members:
            return "unable to reach controller"
        if not self.quorum:
            return "ERROR: RethinkDB Health check timed out"
        return self.sick.get(host.name, "" if self._agent_allowed(host) else "The ucp-agent task is shutdown")

    def _agent_allowed(self, host: Host) -> bool:
        """Is the node one that Swarm lets the agent run on? Draining ends it, as it does any task."""
        node = self.cluster.nodes.get(host.swarm.node_id) if host.swarm is not None else None
        return node is not None and node.availability != "drain"

    def message(self, node: Json) -> str:
        """What UCP says of a node, given as the engine shows it: Status.Message of its own API."""
        host = self.world.hosts.get(str(node["Description"]["Hostname"]))
        manager = node["Spec"]["Role"] == "manager"
        if host is None or node["Status"]["State"] != "ready":
            return f"Unhealthy UCP {'manager' if manager else 'worker'}: node is unreachable"
        if not manager:
            down = [name for name in self.release.everywhere if name not in ucp_nodes.components(host)]
            return "[Pending] Completing node registration" if down else "Healthy UCP worker"
        why = self.ill(host)
        if why and self.members.get(host.name, 0.0) > self.world.kernel.now():
            return "[Pending] Completing node registration"
        return f"Unhealthy UCP manager: {why}" if why else "Healthy UCP manager"

    def leftovers(self) -> list[str]:
        """Component containers and services that are still on the Swarm, as `node/name`."""
        return ucp_nodes.leftovers(self.world, self.cluster)

    # -- backup and restore

    def backup(self, host: Host, passphrase: str) -> bytes:
        """The archive of one manager: a tar, encrypted if there is a passphrase."""
        return ucp_archive.pack(self, host, passphrase)

    def load(self, files: dict[str, bytes]) -> None:
        """Take over accounts and settings of a backup. Sessions end; on another Swarm, admins' bundles do too."""
        self.accounts.load(ucp_archive.accounts_in(files))
        ca = "./ucp-client-root-ca"
        pem, key = (files[f"{ca}/{name}.pem"].decode() for name in ("cert", "key"))
        self.root = Root.load(pem, key, self.world.kernel.now())
        self.sans = json.loads(files["./ucp-kv/sans"])
        if files["./ucp-kv/instance"].decode() != self._cluster.id:
            for account in self.accounts.by_name.values():
                if account.admin:
                    account.keys.clear()
