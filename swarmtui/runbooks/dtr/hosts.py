"""What lies of DTR on the hosts of a Swarm, whether DTR's API and UCP answer or not: by each host's own engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from swarmtui.errors import SwarmtuiError
from swarmtui.link.dtr.parts import read_held
from swarmtui.link.target import TcpTarget
from swarmtui.link.together import together
from swarmtui.model.dtr.seen import Held, Part
from swarmtui.model.text import one_line
from swarmtui.runbooks.image import host as engine
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where
from swarmtui.runbooks.ucp.places import Place, places
from swarmtui.session import Session

CORE: Final = ("nginx", "registry", "rethinkdb", "api")
"""Components without which a replica of every version does not work."""
DATABASE: Final = "rethinkdb"


class ReplicaOnHost(msgspec.Struct, frozen=True, kw_only=True):
    """What lies of one replica on one node.

    Attributes:
        id: of the replica.
        node: where it lies.
        parts: its containers. volumes: names of its volumes.
    """

    id: str
    node: Place
    parts: tuple[Part, ...] = ()
    volumes: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Of DTR, by its containers; "" where none tells."""
        return next((part.version for part in self.parts if part.version), "")

    @property
    def runs(self) -> bool:
        """Whether the components run without which it does not work."""
        return all(self._running(component) for component in CORE)

    @property
    def database(self) -> bool:
        """Whether its database runs, which is what the quorum of replicas is made of."""
        return self._running(DATABASE)

    @property
    def data(self) -> bool:
        """Whether the volume with its database is there."""
        return any(name == f"dtr-rethink-{self.id}" for name in self.volumes)

    @property
    def ports(self) -> tuple[int, int]:
        """HTTP and HTTPS port on the host; 0 where they are not published."""
        web = next((part for part in self.parts if part.http or part.https), None)
        return (web.http, web.https) if web is not None else (0, 0)

    @property
    def words(self) -> str:
        """What there is, for a sentence."""
        counts = ((len(self.parts), "container"), (len(self.volumes), "volume"))
        told = " and ".join(f"{number} {what}{'' if number == 1 else 's'}" for number, what in counts if number)
        return f"{told} of replica {self.id} on {one_line(self.node.name)}"

    def _running(self, component: str) -> bool:
        return any(part.component == component and part.state == "running" for part in self.parts)


class Looked(msgspec.Struct, frozen=True):
    """What lies of DTR on many nodes.

    Attributes:
        found: by node and replica.
        silent: node id → why it could not be asked, a sentence.
    """

    found: tuple[ReplicaOnHost, ...] = ()
    silent: dict[str, str] = msgspec.field(default_factory=dict)

    def of(self, replica_id: str) -> tuple[ReplicaOnHost, ...]:
        """What lies of one replica, on whichever nodes."""
        return tuple(one for one in self.found if one.id == replica_id)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all replicas of which something lies anywhere."""
        return tuple(sorted({one.id for one in self.found}))


async def look(session: Session, at: Where) -> Held:
    """What lies of DTR on a host, with its ids. Raises LinkError, EngineError."""
    there = await session.engine_of(at.ssh)
    return (await read_held(lambda path, params: there.get(path, params=params)))[""]


async def look_at_all(session: Session, nodes: Sequence[Place] = ()) -> Looked:
    """What lies of DTR on nodes, all asked at once. Never fails for a host that does not answer.

    Args:
        nodes: those to ask; all that the Swarm lists, where none are given. A node that is down is tried too: its
            engine may have lost only the Swarm.
    """
    wanted = tuple(nodes) or places(session, session.snapshot)
    through_ucp = await _through_ucp(session)

    async def one(node: Place) -> tuple[Place, Held | None, str]:
        if through_ucp and (node.name in through_ucp or not node.down):
            # UCP tells of all nodes that it reaches: what it does not name has nothing.
            return node, through_ucp.get(node.name, Held()), ""
        try:
            return node, await look(session, node.at), ""
        except SwarmtuiError as error:
            return node, None, error.what

    answers = await together(*(one(node) for node in wanted))
    found = [replica for node, held, _ in answers if held is not None for replica in on(node, held)]
    silent = {node.id: why for node, held, why in answers if held is None}
    return Looked(tuple(sorted(found, key=lambda each: (each.node.name, each.id))), silent)


async def _through_ucp(session: Session) -> dict[str, Held]:
    """The same by UCP, which lists what all nodes have, where the cluster was opened with a client bundle."""
    if not any(isinstance(target, TcpTarget) for target in session.opening.targets):
        return {}
    try:
        return await read_held(lambda path, params: session.get(path, params))
    except SwarmtuiError:
        return {}


async def looked(session: Session) -> tuple[ReplicaOnHost, ...]:
    """What lies of DTR on the nodes that answer, leftovers too."""
    return (await look_at_all(session)).found


def on(node: Place, held: Held) -> tuple[ReplicaOnHost, ...]:
    """What lies there, by replica."""
    return tuple(
        ReplicaOnHost(
            id=replica,
            node=node,
            parts=tuple(part for part in held.parts if part.replica == replica),
            volumes=tuple(sorted(name for name, of in held.volumes.items() if of == replica)),
        )
        for replica in sorted(held.replicas)
    )


async def remove(session: Session, left: ReplicaOnHost) -> None:
    """Removes it from its host: containers, running or not, and then volumes. Raises LinkError, EngineError."""
    await engine.remove(session, left.node.at, [part.name for part in left.parts], list(left.volumes))


def without(left: ReplicaOnHost | None, keep: Sequence[str]) -> ReplicaOnHost | None:
    """What is there besides these volumes; None for nothing."""
    if left is None:
        return None
    rest = tuple(name for name in left.volumes if name not in keep)
    return msgspec.structs.replace(left, volumes=rest) if left.parts or rest else None


def words(left: Iterable[ReplicaOnHost]) -> str:
    """What is left where, for a sentence; "" for nothing."""
    return "; ".join(each.words for each in left)
