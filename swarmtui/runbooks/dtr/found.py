"""DTR of a cluster as a runbook sees it: its replicas, where each is, and how it is reached. Plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.dtr.client import DtrClient
from swarmtui.model.dtr import facts
from swarmtui.model.dtr.facts import Version
from swarmtui.model.dtr.members import Members, Noted, total_members
from swarmtui.model.dtr.seen import Told
from swarmtui.model.dtr.status import OK
from swarmtui.model.text import one_line
from swarmtui.model.url import https_url
from swarmtui.runbooks.dtr.hosts import Looked, ReplicaOnHost
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.access import Access as UcpAccess
from swarmtui.session import Session
from swarmtui.vault import Secret


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One replica, by what lies on the nodes and by what DTR says.

    Attributes:
        node: name of its node, also where only DTR tells it; "" where nobody does.
        url: https://HOST:PORT at which it is reached itself; "" where nobody knows.
        on: what lies of it on its node; None where nothing was found.
        member: whether DTR counts it in; None where DTR's API does not answer.
        health: "OK", or what DTR says is wrong with it; "" where it says nothing.
    """

    id: str
    node: str = ""
    url: str = ""
    http: int = facts.HTTP_PORT
    https: int = facts.HTTPS_PORT
    on: ReplicaOnHost | None = None
    member: bool | None = None
    health: str = ""

    @property
    def well(self) -> bool:
        """Whether DTR says so; of what lies on its node, where its API says nothing."""
        return self.health == OK if self.health else self.member is None and self.on is not None and self.on.runs

    @property
    def up(self) -> bool:
        """Whether its database takes part in the quorum, as far as anybody can tell."""
        return self.on.database if self.on is not None else self.health == OK

    @property
    def at(self) -> Where | None:
        """Its host; None where nothing of it was found on any."""
        return self.on.node.at if self.on is not None else None

    @property
    def behind(self) -> str:
        """HOST:PORT by which a load balancer knows it; "" where nobody can tell."""
        address = self.on.node.address if self.on is not None else ""
        return with_port(https_url(address, self.https) if address else self.url).removeprefix("https://")

    @property
    def shown(self) -> str:
        """For a sentence: "f2277ad178f7 on node4"."""
        return f"{self.id} on {self.node}" if self.node else self.id


def through(members: Sequence[Replica]) -> Replica:
    """The replica that a command talks to: one whose containers run, where there is one."""
    return next((one for one in members if one.on is not None and one.on.runs), members[0])


class DtrAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How DTR of a cluster is reached; plain values, nothing secret.

    Attributes:
        cluster: what people call it.
        version: "2.4.1", as most replicas run it; "" where nothing tells.
        versions: version → replicas that run it: of those that DTR counts in, where it tells; else of all.
        replicas: those that DTR counts in, and those of which only something lies on a node.
        external: external URL; "" where nothing tells.
        balancer: where it is reached through a load balancer: by the configuration, else the external URL.
        username: who logs in.
        name: what the replicas' certificate is for, where they told that over SSH; "" where nobody asked.
        ca: the authority, in PEM; "" where nobody could tell it. ca_from: "config", "remembered", or the replica.
        told: what its API says; None where it does not answer, and trouble says why not.
        works: a replica says by /_ping that it is well, which it asks the quorum for; whether the API tells or not.
        silent: node id → why what lies there is not known. answering: names and hostnames of all other nodes.
        noted: whom DTR counted in when it last told this machine.
        ucp: UCP, as this machine reaches it; None where it is not to be had, and ucp_trouble says why.
        ucp_url: its address for --ucp-url, as hosts of the cluster reach it: https://HOST:PORT.
        ucp_managers: names of the managers whose UCP is healthy.
    """

    cluster: str
    cluster_id: str
    version: str = ""
    versions: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    replicas: tuple[Replica, ...] = ()
    external: str = ""
    balancer: str = ""
    username: str = "admin"
    name: str = ""
    ca: str = ""
    ca_from: str = ""
    told: Told | None = None
    trouble: str = ""
    works: bool = False
    silent: dict[str, str] = msgspec.field(default_factory=dict)
    answering: tuple[str, ...] = ()
    noted: Noted = Noted()
    ucp: UcpAccess | None = None
    ucp_trouble: str = ""
    ucp_url: str = ""
    ucp_managers: tuple[str, ...] = ()

    @property
    def release(self) -> Version:
        """The version, to ask the table of facts with. Raises RefusedError where it is not known."""
        try:
            found = Version.parse(self.version)
        except ValueError as error:
            raise RefusedError(
                f"Which version of DTR {self.cluster} has is not known: no container tells it.", "Say it: version=X.Y.Z"
            ) from error
        if not found.supported:
            raise RefusedError(f"{found.product} is not known here.", "DTR 2.4 to 2.7, MSR 2.8 and 2.9 are.")
        return found

    @property
    def product(self) -> str:
        """What people call it: "DTR 2.4.1"."""
        return self.release.product if self.version else "DTR"

    @property
    def members(self) -> tuple[Replica, ...]:
        """The replicas that DTR counts in; where it does not tell, all of which the database lies on a node."""
        if self.told is not None:
            return tuple(one for one in self.replicas if one.member)
        return tuple(one for one in self.replicas if one.on is not None and one.on.data)

    def counted(self, *more: Noted) -> Members:
        """All replicas of which a majority must be up, also those that nobody sees.

        Args:
            more: what others noted, such as the manifest of a backup.
        """
        seen = [one.id for one in self.members]
        if self.told is not None:
            return Members(seen=tuple(seen), sure=True)
        return total_members(seen, (self.noted, *more), self.answering)

    @property
    def leftovers(self) -> tuple[Replica, ...]:
        """Replicas of which something lies on a node, and that DTR does not count in."""
        return tuple(one for one in self.replicas if one not in self.members)

    @property
    def ucp_ca(self) -> str:
        """UCP's authority in PEM; "" where it is not known."""
        return self.ucp.ca if self.ucp is not None else ""

    @property
    def external_host(self) -> str:
        return urlsplit(self.external).hostname or ""

    def replica(self, name: str) -> Replica:
        """The replica of this id, or on the node of this name. Raises UsageError."""
        found = [one for one in self.replicas if name == one.id] or [one for one in self.replicas if name == one.node]
        if len(found) == 1:
            return found[0]
        known = f"Replicas: {', '.join(one.shown for one in self.replicas) or 'none'}."
        if found:
            raise UsageError(f"There are {len(found)} replicas on {one_line(name)}: name one by its id.", known)
        raise UsageError(f'"{one_line(name)}" is no replica of {self.cluster}.', known)

    def client(self, name: str = "", *, password: Secret | None = None, via: Path | None = None) -> DtrClient:
        """A client of DTR at one replica, by id or node; through the load balancer for "". Raises UsageError."""
        url = self.replica(name).url if name else self.balancer
        if not url:
            raise UsageError(
                f"Where {f'replica {name}' if name else 'the load balancer'} of DTR is reached is not known.",
                f"Say it in the configuration: [clusters.{self.cluster}.dtr] url = or replicas = {{ NODE = URL }}",
            )
        external = self.name or self.external_host or (urlsplit(self.balancer).hostname or "")
        user = self.username if password is not None else ""
        return DtrClient(url, self.ca, username=user, password=password, via=via, external=external)


def found(session: Session, looked: Looked, ucp: UcpAccess | None = None, ucp_trouble: str = "") -> DtrAccess:
    """What the nodes and the configuration tell. Pure but for the session's own data."""
    config = session.opening.cluster.dtr
    replicas = []
    for replica_id in looked.ids:
        # One that was moved by hand may lie on two nodes: where its database runs, or else is, counts.
        on = max(looked.of(replica_id), key=lambda one: (one.database, one.runs, one.data, len(one.parts)))
        http, https = on.ports
        http, https = http or facts.HTTP_PORT, https or facts.HTTPS_PORT
        address = on.node.address
        told = config.replicas.get(on.node.name) or config.replicas.get(on.node.id)
        url = told or (https_url(address, https) if address else "")
        replicas.append(Replica(id=replica_id, node=one_line(on.node.name), url=url, http=http, https=https, on=on))
    versions = _versions(replicas)
    return DtrAccess(
        cluster=session.name,
        cluster_id=session.snapshot.cluster_id,
        version=_most(versions),
        versions=versions,
        replicas=tuple(sorted(replicas, key=lambda one: (one.node, one.id))),
        balancer=config.url,
        username=config.username or (ucp.username if ucp is not None else session.opening.cluster.ucp.username),
        silent=looked.silent,
        answering=answering(session, looked),
        ucp=ucp,
        ucp_trouble=ucp_trouble,
    )


def _versions(replicas: Iterable[Replica]) -> dict[str, tuple[str, ...]]:
    """Version → ids of the replicas whose containers are of it."""
    found: dict[str, tuple[str, ...]] = {}
    for one in replicas:
        if one.on is not None and one.on.version:
            found[one.on.version] = (*found.get(one.on.version, ()), one.id)
    return found


def _most(versions: Mapping[str, tuple[str, ...]]) -> str:
    """The version that most run; "" for none."""
    return max(versions, key=lambda one: len(versions[one]), default="")


def answering(session: Session, looked: Looked) -> tuple[str, ...]:
    """Names and hostnames of the nodes of which it is known what lies there, where all were looked at."""
    nodes = [node for node in session.snapshot.nodes.values() if node.id not in looked.silent]
    return tuple(sorted({name for node in nodes for name in (node.name, node.hostname) if name}))


def with_told(session: Session, known: DtrAccess, told: Told) -> DtrAccess:
    """The same with what DTR's API says. Pure but for the session's own data."""
    if not told.members:
        # Nobody is told apart from a leftover by an answer that names nobody.
        return msgspec.structs.replace(known, trouble="Its API answers, and names no replica that it counts in.")
    config = session.opening.cluster.dtr
    addresses = {node.hostname: node.address for node in session.snapshot.nodes.values()}
    replicas = {one.id: one for one in known.replicas}
    for replica_id in sorted({*replicas, *told.members}):
        one = replicas.get(replica_id, Replica(id=replica_id))
        place = told.places.get(replica_id)
        if place is not None and one.on is None:
            address = addresses.get(place.node, "")
            https = place.https or facts.HTTPS_PORT
            url = config.replicas.get(place.node) or (https_url(address, https) if address else "")
            one = msgspec.structs.replace(
                one, node=place.node, url=url, http=place.http or facts.HTTP_PORT, https=https
            )
        member = replica_id in told.members
        health = told.health.get(replica_id, "")
        replicas[replica_id] = msgspec.structs.replace(one, member=member, health=health)
    # What is only left over may be of an older DTR: it has no say in which version this one is.
    versions = _versions(one for one in replicas.values() if one.member)
    return msgspec.structs.replace(
        known,
        version=_most(versions),
        versions=versions,
        replicas=tuple(sorted(replicas.values(), key=lambda one: (not one.member, one.node, one.id))),
        told=told,
        trouble="",
        external=told.url,
        balancer=known.balancer or told.url,
    )


def with_port(url: str) -> str:
    """The same with its port, be it the usual one; "" of none."""
    return url if not url or urlsplit(url).port else f"{url.rstrip('/')}:443"
