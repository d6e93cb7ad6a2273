"""DTR (MSR): its replicas and what each runs, which of them form its database, and where its images lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from swarmtui.demo.platform.certificates import Root
from swarmtui.demo.platform.dtr_releases import COMPONENTS, DTR_24, VOLUMES, DtrRelease
from swarmtui.demo.world.host import Container, Host
from swarmtui.demo.world.ids import stamp

if TYPE_CHECKING:
    from swarmtui.demo.world.world import World

LOST = "Error getting rethinkdb status: cannot perform read: primary replica not available"
LOCAL = "local"
NETWORK = "dtr-ol"
PHASE2 = "dtr-phase2"
"""The name of the container that does the work on a node."""
_CONTAINER = re.compile(rf"^dtr-(?:{'|'.join(COMPONENTS)})-([0-9a-f]{{12}})$")
_VOLUME = re.compile(rf"^dtr-(?:{'|'.join(VOLUMES)}|nfs-registry)-([0-9a-f]{{12}})$")
_FILES = "/var/lib/docker/volumes"


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
    """A registry: the replicas that form one database.

    Attributes:
        replicas: the members of its database, whether they run or not.
        strays: replicas that still run somewhere and are members no more.
        storage: where images lie: `local`, `volume:NAME` on each host, or the URL of a shared place.
        repositories: names, as `namespace/name`.
        tags: the metadata of images, as `namespace/name:tag`.
        answers: host → what is wrong with its API: "slow", "wrong" or "never".
        own: ca.pem, cert.pem and key.pem of whoever brought their own; empty where DTR made them.
        logs: protocol, host and level of its logs.
        keys: what opens its object storage, where it has one.
    """

    def __init__(self, world: World, release: DtrRelease = DTR_24, url: str = "", storage: str = LOCAL) -> None:
        self.world = world
        self.release = release
        self.external_url = url
        self.storage = storage
        self.root = Root("DTR CA", world.kernel.now())
        self.own: dict[str, str] = {}
        self.logs = {"logProtocol": "internal", "logHost": "", "logLevel": "INFO"}
        self.keys: dict[str, str] = {}
        self.replicas: dict[str, Replica] = {}
        self.strays: dict[str, Replica] = {}
        self.repositories: list[str] = []
        self.tags: set[str] = set()
        self.readonly = False
        self.answers: dict[str, str] = {}
        self.jobs: list[dict[str, object]] = []
        self.gc_lock = ""
        self._certificates: dict[tuple[str, ...], tuple[str, str]] = {}

    # -- who runs

    def runs(self, replica: Replica) -> bool:
        """Are all its containers there and running, on its data?"""
        host = self.world.hosts.get(replica.host)
        if host is None or not host.running or f"dtr-rethink-{replica.id}" not in host.volumes:
            return False
        names = {one.name for one in host.containers.values() if one.state == "running"}
        return all(f"dtr-{component}-{replica.id}" in names for component in COMPONENTS)

    def linked(self, one: Replica, other: Replica) -> bool:
        """Do two replicas reach each other? They speak over an overlay network of the Swarm."""
        here, there = self.world.hosts[one.host], self.world.hosts[other.host]
        if here is there:
            return True
        swarms = {host.swarm.cluster.id if host.swarm is not None else host.name for host in (here, there)}
        return len(swarms) == 1 and self.world.connected(here.name, there.name)

    def sees_majority(self, replica: Replica) -> bool:
        """Does most of the database run where this replica reaches it?"""
        if replica.id not in self.replicas:
            return False
        up = [one for one in self.replicas.values() if self.runs(one) and self.linked(replica, one)]
        return len(up) > len(self.replicas) // 2

    @property
    def quorum(self) -> bool:
        """Does some replica work with most of the database?"""
        return any(self.runs(one) and self.sees_majority(one) for one in self.replicas.values())

    def ill(self, replica: Replica) -> str:
        """Why a replica is not healthy, in DTR's words; empty when it is."""
        if not self.runs(replica):
            return f"Replica reported health too long ago: {seconds(replica.seen)}"
        if not self.sees_majority(replica):
            return LOST
        replica.seen = self.world.kernel.now()
        return replica.sick

    def healthy(self) -> list[Replica]:
        """The members that are well."""
        return [one for one in self.replicas.values() if not self.ill(one)]

    # -- images

    def _place(self, replica: Replica) -> str:
        return self.storage if shared(self.storage) else f"{replica.host}/dtr-registry-{replica.id}"

    @property
    def content(self) -> set[str]:
        """The tags whose images are really there."""
        places = {self._place(one) for one in self.replicas.values() if shared(self.storage) or self.runs(one)}
        return {tag for place in places for tag in self.world.registry_content.get(place, ())}

    def push(self, *tags: str) -> None:
        """Images come in."""
        self.tags.update(tags)
        for replica in self.replicas.values():
            self.world.registry_content.setdefault(self._place(replica), set()).update(tags)

    # -- certificates

    @property
    def ca_pem(self) -> str:
        """Who vouches for its web servers."""
        return self.own.get("ca.pem") or self.root.pem

    def certificate(self, host: Host) -> tuple[str, str]:
        """Certificate and key of a replica's web server."""
        if self.own:
            return self.own["cert.pem"], self.own["key.pem"]
        outside = self.external_url.removeprefix("https://").partition(":")[0]
        names = ("127.0.0.1", "localhost", host.name, host.ip, *([outside] if outside else []))
        if names not in self._certificates:
            self._certificates[names] = self.root.server(host.name, names)
        return self._certificates[names]

    # -- on the nodes

    def begin(self, replica: Replica, host: Host) -> None:
        """Its volumes on a host, and the network that all replicas share."""
        if host.swarm is not None and all(one.label != NETWORK for one in host.swarm.cluster.networks.values()):
            request = {"Name": NETWORK, "Driver": "overlay", "Attachable": True}
            self.world.control(host.swarm.cluster).networks.create(request)
        for volume in VOLUMES:
            if volume == "registry" and f"dtr-registry-{replica.id}" not in host.volumes:
                self.world.registry_content.pop(f"{host.name}/dtr-registry-{replica.id}", None)
            self.world.remember_volume(host, f"dtr-{volume}-{replica.id}")
        if self.storage.startswith("nfs://"):
            self.world.remember_volume(host, f"dtr-nfs-registry-{replica.id}")

    def create(self, replica: Replica, host: Host, component: str) -> None:
        """One of its containers."""
        self.world.remember_image(host, self.release.component(component), 40 << 20)
        now, name = self.world.kernel.now(), f"dtr-{component}-{replica.id}"
        project = f"Docker Trusted Registry {self.release.version} - (Replica {replica.id})"
        labels = {"com.docker.compose.project": project}
        if self.release.series >= (2, 5):
            labels |= {"com.docker.dtr.version": self.release.version, "com.docker.dtr.replica": replica.id}
        ports = ((80, replica.http), (443, replica.https)) if component == "nginx" else ()
        for key in [key for key, one in host.containers.items() if one.name == name]:
            del host.containers[key]
        container = Container(
            id=self.world.ids.container(),
            name=name,
            image=self.release.component(component),
            command=[],
            created=now,
            labels=labels,
            state="running",
            started=now,
            pid=host.next_pid(),
            restart=True,
            health="healthy" if component == "nginx" else "",
            networks={NETWORK: ""},
            ports=[{"Protocol": "tcp", "TargetPort": target, "PublishedPort": port} for target, port in ports],
        )
        host.containers[container.id] = container

    def add(self, replica_id: str, host: Host, http: int = 80, https: int = 443) -> Replica:
        """Run a whole replica on a host."""
        replica = Replica(replica_id, host.name, http, https, seen=self.world.kernel.now())
        self.begin(replica, host)
        for component in COMPONENTS:
            self.create(replica, host, component)
        self.replicas[replica_id] = replica
        return replica

    def mark(self) -> None:
        """What Docker's health checks say of its web servers."""
        for replica in (*self.replicas.values(), *self.strays.values()):
            host = self.world.hosts.get(replica.host)
            for one in host.containers.values() if host is not None else ():
                if one.name == f"dtr-nginx-{replica.id}" and one.health:
                    one.health = "unhealthy" if self.runs(replica) and self.ill(replica) else "healthy"

    def follow_on(self) -> Dtr:
        """The same registry as one of another database: what an emergency repair makes."""
        new = Dtr(self.world, self.release, self.external_url, self.storage)
        for name in ("root", "own", "logs", "keys", "repositories", "tags", "readonly", "jobs"):
            setattr(new, name, getattr(self, name))
        return new


def seconds(when: float) -> str:
    """A time as DTR writes it: in whole seconds."""
    return f"{stamp(when).partition('.')[0].rstrip('Z')}Z"


def shared(storage: str) -> bool:
    """Do several replicas see the same images there?"""
    return storage != LOCAL and not storage.startswith("volume:")


def replica_of(name: str) -> str:
    """The id of the replica that a container belongs to; empty for others."""
    match = _CONTAINER.match(name)
    return match[1] if match else ""


def found_on(host: Host) -> set[str]:
    """The replicas of which containers are on a host."""
    return {replica_of(one.name) for one in host.containers.values()} - {""}


def stored_on(host: Host, *, images: bool = True) -> set[str]:
    """The replicas of which volumes are on a host; images: also where it is the one for images alone."""
    names = [name for name in host.volumes if images or not name.startswith("dtr-registry-")]
    return {match[1] for name in names if (match := _VOLUME.match(name))}


def wipe(host: Host, replica_id: str, *, volumes: bool = True) -> None:
    """Take a replica off a host that runs."""
    for key in [key for key, one in host.containers.items() if replica_of(one.name) == replica_id]:
        del host.containers[key]
    if not volumes:
        return
    for name in [name for name in host.volumes if (match := _VOLUME.match(name)) and match[1] == replica_id]:
        del host.volumes[name]
        for path in [path for path in host.files if path.startswith(f"{_FILES}/{name}/")]:
            del host.files[path]


def all_of(world: World) -> Iterator[Dtr]:
    """The registry of now, and databases that were left behind."""
    if world.dtr is not None:
        yield world.dtr
    yield from world.past_dtrs


def serving(world: World, host: Host) -> tuple[Dtr, Replica] | None:
    """The replica whose web server answers on a host."""
    for dtr in all_of(world):
        for replica in (*dtr.replicas.values(), *dtr.strays.values()):
            if replica.host == host.name and dtr.runs(replica):
                return dtr, replica
    return None


def leave(world: World, new: Dtr | None) -> None:
    """Another registry takes its place; what is left of the old one may still come back."""
    if world.dtr is not None and world.dtr is not new:
        world.past_dtrs.append(world.dtr)
    world.dtr = new
