"""The whole simulated platform: hosts, the network between them, and the Swarms they form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from swarmtui.demo.world import faults, paths, returners, startup
from swarmtui.demo.world.agent import Agent
from swarmtui.demo.world.cluster import Cluster
from swarmtui.demo.world.control import Control
from swarmtui.demo.world.disk import FOLDERS, SWARM, Archive, freeze
from swarmtui.demo.world.host import Host
from swarmtui.demo.world.ids import Ids
from swarmtui.demo.world.journal import Journal
from swarmtui.demo.world.kernel import Kernel
from swarmtui.demo.world.objects import Json, Node, Service, Task
from swarmtui.demo.world.raft import COLD_START, Raft

if TYPE_CHECKING:
    from swarmtui.demo.hosts.probing import Listener
    from swarmtui.demo.platform.dtr import Dtr
    from swarmtui.demo.platform.ucp import Ucp

DOCKER_START = 0.6
DOCKER_STOP = 0.4
SWARM_TIMEOUT = 20.0
"""How long a starting engine waits for its Swarm before it answers anything, in seconds."""
LOCAL_NETWORKS: tuple[tuple[str, str, dict[str, str], dict[str, str]], ...] = (
    ("bridge", "bridge", {"Subnet": "172.17.0.0/16"}, {"com.docker.network.bridge.name": "docker0"}),
    (
        "docker_gwbridge",
        "bridge",
        {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"},
        {"com.docker.network.bridge.name": "docker_gwbridge"},
    ),
    ("host", "host", {}, {}),
    ("none", "null", {}, {}),
)
"""What every host that ever was in a Swarm has: name, driver, addresses and options."""
BOOT = 3.0
"""Seconds from power to a host that answers."""


class World:
    """Everything that is simulated.

    Args:
        seed: two worlds of one seed, treated alike, go the same way.
        speed: simulated seconds in one real one.
        start: the time it begins, in seconds since the epoch; now if not given.

    Attributes:
        listeners: what operators let listen on ports for a while.
        archived: what was read from the hosts' disks, so that it can be put back.
        archives: backups that lie on the machine of whoever works on this, by name.
        ucp_archives, dtr_archives: the same of UCP and of DTR.
        past_dtrs: registries that another one took the place of, and of which something may be left on hosts.
        registry_content: where images lie, a shared place or a volume → the tags that are there.
        nas: file servers beside the hosts that answer for NFS, by name.
        dtr_behind: the hosts that the load balancer before DTR was told of; None where it finds them by itself.
        published: host and port of it → the port of this machine where that answers.
        configured: hosts that this person knows as managers; empty for those that are.
        registry: images that hosts can pull beside those that the simulation makes up.
        runs: containers of operators that are at work.
        remembered: what must be there at the end of a drill: kind → name → content.
    """

    def __init__(self, seed: int = 1, speed: float = 1.0, start: float | None = None) -> None:
        self.kernel = Kernel(start, speed)
        self.ids = Ids(seed)
        self.hosts: dict[str, Host] = {}
        self.agents: dict[str, Agent] = {}
        self.clusters: list[Cluster] = []
        self.on_host_change: Callable[[Host], None] = lambda host: None
        self.on_platform_change: Callable[[], None] = lambda: None
        self.journal = Journal(self.kernel.now)
        self.ucp: Ucp | None = None
        self.dtr: Dtr | None = None
        self.secrets: dict[str, str] = {}
        self.archived = Archive()
        self.listeners: list[Listener] = []
        self.archives: dict[str, bytes] = {}
        self.ucp_archives: dict[str, bytes] = {}
        self.dtr_archives: dict[str, bytes] = {}
        self.past_dtrs: list[Dtr] = []
        self.registry_content: dict[str, set[str]] = {}
        self.nas: set[str] = {"nas.shop.example"}
        self.dtr_behind: set[str] | None = None
        self.published: dict[tuple[str, int], int] = {}
        self.configured: list[str] = []
        self.remembered: dict[str, dict[str, object]] = {}
        self.registry: set[str] = set()
        self.runs: set[asyncio.Future[int]] = set()
        self._controls: dict[int, Control] = {}
        self._where: dict[tuple[int, str], str] = {}
        self._groups: dict[str, int] = {}

    # -- hosts

    def add_host(self, name: str, ip: str, **more: Any) -> Host:
        """A new machine, switched on, with Docker running and part of no Swarm."""
        now = self.kernel.now()
        host = Host(name=name, ip=ip, engine_id=self.ids.engine(), boot=now, docker_since=now, **more)
        for label, driver, config, options in LOCAL_NETWORKS:
            made = {"Name": label, "Id": self.ids.container(), "Driver": driver, "Created": now}
            host.networks.append({**made, "Config": config, "Options": options})
        host.folders[SWARM] = FOLDERS[""]
        self.hosts[name] = host
        self.agents[name] = Agent(self, host)
        return host

    def host_at(self, address: str) -> Host | None:
        """The host with this IP address (a port after it does not matter) or name; of several, one that is on."""
        bare = paths.bare(address)
        found = None
        for host in self.hosts.values():
            if bare == host.ip or bare == host.name or bare in host.aliases:
                if host.powered:
                    return host
                found = found or host
        return found

    def connected(self, one: str, other: str) -> bool:
        """Does the network carry traffic between these two hosts?"""
        return one == other or self._groups.get(one, 0) == self._groups.get(other, 0)

    def partition(self, *groups: Iterable[str]) -> None:
        """Cut the network into the rest and these groups of hosts; with none, heal it."""
        self._groups = {name: number for number, group in enumerate(groups, 1) for name in group}
        self.network_changed()

    def network_changed(self, delay: tuple[float, float] | None = None) -> None:
        """Something leads elsewhere now. With `delay`, bounds of the seconds that an election takes now."""
        for cluster in self.clusters:
            self.control(cluster).raft.refresh(delay)
        paths.follow_all(self)
        for cluster in self.clusters:
            for node_id in list(cluster.nodes):
                self.control(cluster).nodes.check(node_id)

    # -- Docker on a host

    def stop_docker(self, host: Host, *, socket: bool = True) -> None:
        """`systemctl stop docker`; with `socket`, docker.socket as well."""
        if socket:
            host.socket = False
        if host.docker:
            self.journal.note("docker.stop", f"Docker was stopped on {host.name}.")
            freeze(host)
            host.docker = False
            self.agents[host.name].stopped(graceful=True)
            self._engine_stopped(host)
        self.on_host_change(host)

    def start_docker(self, host: Host) -> None:
        """`systemctl start docker`: a manager with a locked key waits for it."""
        host.socket = True
        if host.docker or not host.powered:
            self.on_host_change(host)
            return
        if faults.DOCKER_WILL_NOT_START in host.faults or "docker" in host.masked:
            host.docker_failed = True
            self.on_host_change(host)
            return
        self.journal.note("docker.start", f"Docker was started on {host.name}.")
        host.docker, host.docker_failed = True, False
        startup.at_start(self, host)
        host.docker_since = self.kernel.now()
        for container in host.containers.values():
            if container.restart:
                container.state, container.started = "running", self.kernel.now()
                container.pid = host.next_pid()
        swarm = host.swarm
        if swarm is not None:
            swarm.rejected = swarm.node_id in swarm.cluster.blocked
            if swarm.role == "manager":
                swarm.locked, swarm.unlocking = bool(swarm.key), False
                swarm.seen_leader = False
        self._swarm_started(host)
        if swarm is not None and not swarm.locked and (swarm.rejected or not swarm.seen_leader):
            host.answers_from = self.kernel.now() + SWARM_TIMEOUT / self.kernel.speed
        self.on_host_change(host)

    def _swarm_started(self, host: Host) -> None:
        """The swarm component of a host runs (again)."""
        swarm = host.swarm
        if swarm is None:
            return
        if swarm.rejected:
            return
        returners.comes_back(self, host)
        if swarm.stuck or swarm.cert_end - self.kernel.now() < (swarm.cert_end - swarm.cert_begin) / 2:
            swarm.renew(self.kernel.now())
        swarm.raft.refresh(COLD_START if swarm.raft.leader is None else None)
        swarm.session = ""
        paths.follow(self, host)
        if swarm.role == "manager" and swarm.raft.leads_for(host):
            swarm.seen_leader = True
        self.control(swarm.cluster).nodes.check(swarm.node_id)

    async def until_answers(self, host: Host) -> None:
        """Wait until a starting engine answers: at once, or once its Swarm has come up or has not for 20 s."""
        while host.docker and (left := host.answers_from - self.kernel.now()) > 0:
            if host.swarm is not None and host.swarm.seen_leader and not host.swarm.rejected:
                host.answers_from = 0.0
                return
            await self.kernel.sleep(min(left * self.kernel.speed, 0.2))

    def _engine_stopped(self, host: Host) -> None:
        host.events.end()
        swarm = host.swarm
        if swarm is not None:
            swarm.raft.refresh()
            self.control(swarm.cluster).nodes.check(swarm.node_id)

    def docker_dies(self, host: Host) -> None:
        """dockerd ends by itself, and its containers with it."""
        freeze(host)
        host.docker = False
        self.agents[host.name].stopped(graceful=False)
        self._engine_stopped(host)
        self.on_host_change(host)

    def crash(self, host: Host) -> None:
        """The power goes."""
        for process in list(host.processes.values()):
            process.lose_power()
        host.processes.clear()
        if host.running:
            freeze(host)
        host.powered = False
        host.docker = False
        self.agents[host.name].stopped(graceful=False)
        self._engine_stopped(host)
        self.on_host_change(host)

    def boot(self, host: Host) -> None:
        """The power comes back; Docker starts where its unit is enabled."""
        if host.powered:
            return

        def up() -> None:
            for table in (host.files, host.folders, host.links):
                for path in [path for path in table if path.startswith("/run/")]:
                    del table[path]
            host.aliases = [alias for alias in host.aliases if alias not in host.prefixes]
            host.prefixes.clear()
            host.redirects.clear()
            host.powered = True
            host.boot = self.kernel.now()
            host.socket = "docker.socket" not in host.stays_off
            if "docker" in host.stays_off:
                self.on_host_change(host)
            else:
                self.start_docker(host)

        self.kernel.after(BOOT, up)

    def reboot(self, host: Host) -> None:
        """`systemctl reboot`."""
        self.crash(host)
        self.boot(host)

    # -- clusters

    def found(self) -> Cluster:
        """A new, empty Swarm without members."""
        cluster = Cluster(self.kernel, self.ids)
        raft = Raft(self, cluster)
        self.clusters.append(cluster)
        self._controls[id(cluster)] = Control(self, cluster, raft)
        cluster.publish = lambda message: self._publish(cluster, message)
        return cluster

    def adopt(self, cluster: Cluster, raft: Raft) -> Control:
        """Take in a cluster that was copied from another one (a forced new cluster, a restored backup)."""
        control = Control(self, cluster, raft)
        cluster.publish = lambda message: self._publish(cluster, message)
        self._controls[id(cluster)] = control
        self.clusters.append(cluster)
        return control

    def control(self, cluster: Cluster) -> Control:
        """The control plane of a cluster."""
        return self._controls[id(cluster)]

    def bind(self, cluster: Cluster, node_id: str, host: Host) -> None:
        """This node of this cluster is this host."""
        self._where[id(cluster), node_id] = host.name

    def host_of(self, cluster: Cluster, node_id: str) -> Host | None:
        """The host of a node, if that host still believes so."""
        host = self.hosts.get(self._where.get((id(cluster), node_id), ""))
        if host is None or host.swarm is None or host.swarm.cluster is not cluster:
            return None
        return host if host.swarm.node_id == node_id else None

    def node_connected(self, cluster: Cluster, node_id: str) -> bool:
        """Does this node have a session with the leader?"""
        host = self.host_of(cluster, node_id)
        return host is not None and self.agents[host.name].connected()

    def tell_host(self, cluster: Cluster, task: Task) -> None:
        """A task's assignment or desired state changed."""
        host = self.host_of(cluster, task.node_id)
        if host is not None:
            self.agents[host.name].task_changed(task)

    def sync_host(self, cluster: Cluster, node_id: str) -> None:
        """A node's session begins anew."""
        host = self.host_of(cluster, node_id)
        if host is not None:
            if host.swarm is not None:
                host.swarm.seen_leader = True
                # A session begins with the managers of the moment, at the addresses that the raft has of them.
                members = self.control(cluster).raft.members.values()
                host.swarm.remotes = {member.node_id: member.address for member in members}
            self.agents[host.name].sync()

    def describe(self, cluster: Cluster, node: Node) -> None:
        """A node reports its description."""
        host = self.host_of(cluster, node.id)
        if host is not None:
            node.hostname, node.cpus, node.memory = host.name, host.cpus, host.memory
            node.engine, node.address = host.engine, host.ip if host.swarm is None else host.swarm.address
            node.tls = cluster.authority.tls_info()
            node.described = True

    def removed(self, cluster: Cluster, node_id: str) -> None:
        """A node was removed from its cluster: if its host lives, it loses its tasks."""
        host = self.host_of(cluster, node_id)
        if host is not None:
            self.agents[host.name].forget_all()

    def update_remotes(self, cluster: Cluster) -> None:
        """Every connected node learns the present managers."""
        raft = self.control(cluster).raft
        remotes = {member.node_id: member.address for member in raft.members.values()}
        for node_id in cluster.nodes:
            host = self.host_of(cluster, node_id)
            if host is not None and host.swarm is not None and self.agents[host.name].connected():
                host.swarm.remotes = dict(remotes)

    def rekey(self, cluster: Cluster) -> None:
        """Living managers encrypt their files with the present unlock key; the others will when they are back."""
        raft = self.control(cluster).raft
        for member in raft.members.values():
            host = self.hosts.get(member.host)
            if host is None or host.swarm is None or not raft.alive(member) or not raft.leads_for(host):
                continue
            if host.swarm.key != cluster.unlock_key:
                host.swarm.key, host.swarm.key_version = cluster.unlock_key, cluster.version

    def networks_of(self, cluster: Cluster, service: Service, task: Task) -> list[Json]:
        """The networks a new task is attached to."""
        return self.control(cluster).networks.attachments(service)

    def _publish(self, cluster: Cluster, message: Json) -> None:
        control = self._controls.get(id(cluster))
        if control is None:
            return
        for member in control.raft.members.values():
            host = self.hosts.get(member.host)
            if host is not None and control.raft.alive(member) and control.raft.leads_for(host):
                host.events.publish(message)

    def tell_local(self, host: Host, kind: str, action: str, name: str, attributes: dict[str, str]) -> None:
        """Something about an object of one host happened: its event stream tells."""
        now = self.kernel.now()
        host.events.publish(
            {
                "Type": kind,
                "Action": action,
                "Actor": {"ID": name, "Attributes": attributes},
                "scope": "local",
                "time": int(now),
                "timeNano": int(now * 1e9),
            }
        )

    # -- what is on a host

    def remember_image(self, host: Host, image: str, size: int) -> None:
        """An image was pulled."""
        if image not in host.images:
            now = self.kernel.now()
            host.images[image] = {"Id": "sha256:" + self.ids.container(), "Size": size, "Created": int(now)}

    def remember_volume(self, host: Host, name: str) -> None:
        """A named volume exists from now on, if it did not."""
        host.volumes.setdefault(name, {"Name": name, "Created": self.kernel.now()})
