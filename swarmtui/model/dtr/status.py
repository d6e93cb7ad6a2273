"""What DTR on a Swarm is and how each of its replicas is, merged from everything that was read of it. Pure.

Its containers and volumes tell where a replica is, and its own `cluster_status` how it is; either will do alone:
without a quorum of its database DTR's API answers nothing, and a node may be out of reach while its replica is well.
Nothing that was read is believed against what is known to be gone: a node that is down has no replica that is up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from swarmtui.model.dtr import facts
from swarmtui.model.dtr.ping import ping_why
from swarmtui.model.dtr.seen import BALANCER, DtrSeen, Held, Part, Place, Storage, Tables, Told
from swarmtui.model.quorum import quorum_of, tolerance_of
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.model.ucp.status import Door

OK: Final = "OK"
"""What DTR says of a replica that is well; every other text says what is wrong with it."""
TOO_LONG_AGO: Final = "Replica reported health too long ago"
"""What it says of one that does not run, or is cut off (ucp-dtr.md §3.2)."""

State = Literal["healthy", "unhealthy", "down", "gone", "leftover", "unknown"]


class Replica(Struct, frozen=True, kw_only=True):
    """One replica.

    Attributes:
        node_id: "" where no node of the Swarm is known to have it.
        node: name of that node; what DTR's settings say where none is known.
        version: "" where nothing tells.
        state: healthy; unhealthy: it runs and is not well; down: it does not run; gone: DTR counts it in, and nothing
            of it is on the node where it should be; leftover: something of it lies on a node, and DTR knows it no more.
        why: why it is not healthy, in a few words; DTR's own text is among them, to the letter.
        up: whether its database runs, which is what counts for the quorum; None where nobody knows.
        member: whether DTR counts it in; by what lies on the nodes, where DTR does not answer.
        volumes: whether the volumes of its database are there; None where its node could not be read.
        parts: its containers; missing: components that should be among them.
        told: what DTR says of its health; "" where it said nothing.
        timestamp: when it wrote that, RFC 3339.
        readonly: whether it takes no pushes; None where nothing tells.
        tables: None where nothing tells.
    """

    id: str
    node_id: str = ""
    node: str = ""
    version: str = ""
    state: State = "unknown"
    why: str = ""
    up: bool | None = None
    member: bool = True
    volumes: bool | None = None
    parts: tuple[Part, ...] = ()
    missing: tuple[str, ...] = ()
    told: str = ""
    timestamp: str = ""
    readonly: bool | None = None
    tables: Tables | None = None
    door: Door | None = None
    place: Place = Place()


class Cluster(Struct, frozen=True, kw_only=True):
    """DTR as a whole.

    Attributes:
        replicas: all of them, by the names of their nodes.
        versions: version → the replicas that run it.
        url: external URL; "" where nothing tells.
        storage: None where nothing tells.
        jobs: names of the jobs that run; None where nothing tells.
        unread: names of nodes that may have replicas of which nobody tells: DTR never did, and they cannot be read.
    """

    replicas: tuple[Replica, ...] = ()
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    url: str = ""
    storage: Storage | None = None
    jobs: tuple[str, ...] | None = None
    unwritable: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[Replica, ...]:
        """The replicas that DTR counts in."""
        return tuple(replica for replica in self.replicas if replica.member)

    @property
    def healthy(self) -> int:
        return sum(replica.state == "healthy" for replica in self.members)

    @property
    def needed(self) -> int:
        """Replicas whose database must run before anything can be read or written: a majority."""
        return quorum_of(len(self.members))

    @property
    def tolerance(self) -> int:
        """Replicas that may be lost while all are up: 0, 1, 2 or 3 of 1, 3, 5 or 7 (ucp-dtr.md §5.2)."""
        return tolerance_of(len(self.members))

    @property
    def slack(self) -> int:
        """Further replicas that may be lost as it is now; negative: so many must come back."""
        return sum(replica.up is True for replica in self.members) - self.needed

    @property
    def quorum(self) -> bool | None:
        """Whether a majority is up; None where too little is known of them to tell."""
        if not self.members:
            return None
        if self.unwritable:
            return False
        if self.unread:
            # How many there are nobody knows; but one that is well has a quorum behind it: its /_ping asks RethinkDB.
            return True if any(replica.door is not None and replica.door.ok for replica in self.members) else None
        if self.slack >= 0:
            return True
        unsure = sum(replica.up is None for replica in self.members)
        return None if self.slack + unsure >= 0 else False

    @property
    def version(self) -> str:
        """The version that most replicas run; "" where none tells."""
        return max(self.versions, key=lambda one: len(self.versions[one]), default="")

    @property
    def product(self) -> str:
        """What people call it, "DTR 2.4.1" or "MSR 2.9.4"."""
        release = self.release
        return release.product if release is not None else "DTR"

    @property
    def release(self) -> facts.Version | None:
        """The version, to ask the table of facts with; None where it is not known."""
        return parsed(self.version)


def parsed(version: str) -> facts.Version | None:
    """A version as the table of facts knows it; None for what is none."""
    try:
        return facts.Version.parse(version)
    except ValueError:
        return None


def runs_dtr(snapshot: Snapshot) -> bool:
    """Whether anything of DTR is known here: replicas, or what is left of them, or where it should answer."""
    seen = snapshot.dtr
    if seen is None:
        return False
    return seen.named or seen.told is not None or any(held.replicas for held in seen.held.values())


def cluster(snapshot: Snapshot) -> Cluster:
    """DTR as a whole, with everything that is known of it."""
    seen = snapshot.dtr or DtrSeen()
    # Who was in it when it last told is the best that is known while it tells nothing.
    told = seen.told or Told(places=seen.remembered)
    replicas = _replicas(snapshot, seen, told)
    versions: dict[str, tuple[str, ...]] = {}
    for replica in replicas:
        if replica.version and replica.member:
            versions[replica.version] = (*versions.get(replica.version, ()), replica.id)
    door = seen.doors.get(BALANCER)
    return Cluster(
        replicas=replicas,
        versions=versions,
        url=told.url or (door.url if door is not None else ""),
        storage=told.storage,
        jobs=told.jobs,
        # What was told before the API fell silent says nothing of now.
        unwritable=told.unwritable if not seen.trouble else (),
        unread=_unread(snapshot, seen),
    )


def _unread(snapshot: Snapshot, seen: DtrSeen) -> tuple[str, ...]:
    if seen.told is not None or seen.remembered:
        return ()
    # It runs on workers only (ucp-dtr.md §5.1); a manager that has it all the same is found where it can be read.
    nodes = [node for node in snapshot.nodes.values() if not node.is_voter]
    return tuple(sorted(node.name for node in nodes if (held := seen.held.get(node.id)) is None or not held.at))


def _replicas(snapshot: Snapshot, seen: DtrSeen, told: Told) -> tuple[Replica, ...]:
    ids = {replica for held in seen.held.values() for replica in held.replicas}
    found = [_replica(snapshot, seen, told, one) for one in ids | told.members | told.servers]
    return tuple(sorted(found, key=lambda replica: (not replica.member, replica.node, replica.id)))


def _replica(snapshot: Snapshot, seen: DtrSeen, told: Told, replica_id: str) -> Replica:
    place = told.places.get(replica_id, Place())
    node = _node(snapshot, seen, replica_id, place)
    held = seen.held.get(node.id) if node is not None else None
    parts = tuple(part for part in (held.parts if held is not None else ()) if part.replica == replica_id)
    volumes = _volumes(held, replica_id)
    made = Replica(
        id=replica_id,
        node_id=node.id if node is not None else "",
        node=one_line(node.name if node is not None else place.node),
        version=next((part.version for part in parts if part.version), ""),
        member=_is_member(seen, told, replica_id, parts, volumes),
        volumes=volumes,
        parts=parts,
        missing=_missing(parts),
        # What was told before the API fell silent is not how it is now.
        told="" if seen.trouble else told.health.get(replica_id, ""),
        timestamp=told.timestamps.get(replica_id, ""),
        readonly=None if seen.trouble else told.readonly.get(replica_id),
        tables=None if seen.trouble else told.tables.get(replica_id),
        door=seen.doors.get(replica_id),
        place=place,
    )
    return _judged(made, node, held, told)


def _node(snapshot: Snapshot, seen: DtrSeen, replica_id: str, place: Place) -> Node | None:
    """The node that has it: where its containers are, before its volumes, before what DTR's settings say."""
    nodes = snapshot.nodes
    for node_id, held in seen.held.items():
        if node_id in nodes and any(part.replica == replica_id for part in held.parts):
            return nodes[node_id]
    for node_id, held in seen.held.items():
        if node_id in nodes and replica_id in held.volumes.values():
            return nodes[node_id]
    named = [node for node in nodes.values() if place.node and place.node in (node.hostname, node.name)]
    # A node that was removed and joined anew leaves a ghost of the same name.
    return max(named, key=lambda node: (node.is_ready, node.created_at), default=None)


def _volumes(held: Held | None, replica_id: str) -> bool | None:
    """Whether the database's volume is there, without which there is nothing to repair from (ucp-dtr.md §4.3)."""
    if held is None or not held.at:
        return None
    return held.volumes.get(f"dtr-rethink-{replica_id}") == replica_id


def _is_member(seen: DtrSeen, told: Told, replica_id: str, parts: tuple[Part, ...], volumes: bool | None) -> bool:
    if told.members and (not seen.trouble or replica_id in told.members):
        return replica_id in told.members
    return bool(volumes) or any(part.component == "rethinkdb" for part in parts)


def _missing(parts: Iterable[Part]) -> tuple[str, ...]:
    there = {part.component for part in parts}
    if not there:
        return ()
    # The scanner's database had another name in the oldest 2.2 (ucp-dtr.md §4.3), and later versions know more.
    return tuple(
        one
        for one in facts.COMPONENTS
        if one not in there and not (one == "scanningstore" and "nautilusstore" in there)
    )


def _judged(one: Replica, node: Node | None, held: Held | None, told: Told) -> Replica:
    """The same with its state, why that is so, and whether its database is up."""
    up = _up(one, node, held, told)
    reasons = list(_reasons(one, node, held))
    state: State
    if not one.member:
        state, reasons = "leftover", _left(one)
    elif up is False and not one.parts and one.volumes is False and node is not None and node.is_ready:
        state = "gone"
    elif up is False:
        state = "down"
    elif reasons:
        state = "unhealthy"
    elif up or (one.door is not None and one.door.ok):
        state = "healthy"
    else:
        state, reasons = "unknown", [held.trouble] if held is not None and held.trouble else []
    return replace(one, state=state, up=up, why="; ".join(reason.rstrip(".") for reason in reasons))


def _up(one: Replica, node: Node | None, held: Held | None, told: Told) -> bool | None:
    if node is not None and not node.is_ready:
        return False
    read = held is not None and held.at and not held.trouble
    if read:
        return any(part.component == "rethinkdb" and part.state == "running" for part in one.parts)
    if one.told:
        return one.id in told.servers or one.told == OK if TOO_LONG_AGO not in one.told else False
    return True if one.door is not None and one.door.ok else None


def _reasons(one: Replica, node: Node | None, held: Held | None) -> Iterable[str]:
    if node is None and one.place.node:
        yield f"its node {one.place.node} is not in the Swarm"
    elif node is not None and not node.is_ready:
        yield f"its node is {one_line(node.status.state) or 'in an unknown state'}"
    if one.told and one.told != OK:
        yield one.told
    if node is not None and node.is_ready and held is not None and held.at and not held.trouble:
        if not one.parts:
            left = "only its volumes are left" if one.volumes else "nothing of it is there"
            yield f"{left} on {node.name}"
        yield from (f"{part.name} {part.trouble}" for part in one.parts if part.trouble)
        yield from (f"dtr-{name}-{one.id} is missing" for name in one.missing)
    if one.tables is not None:
        yield from (f"{count} of its tables are {state}" for state, count in sorted(one.tables.bad.items()))
    same = one.door is not None and one.door.text and one.door.text in one.told
    if (why := ping_why(one.door)) and not same and (node is None or node.is_ready):
        yield why


def _left(one: Replica) -> list[str]:
    what = "containers and volumes" if one.parts and one.volumes else "containers" if one.parts else "volumes"
    return [f"DTR does not know it any more: its {what} are left"]
