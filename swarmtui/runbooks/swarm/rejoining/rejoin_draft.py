"""What the plans of node.rejoin and node.replace share: their facts, and how an entry goes and a host comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.quorum import after_promoting
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Availability, Node, Role, host_of
from swarmtui.runbooks.node_draft import Draft
from swarmtui.runbooks.node_facts import NodeFacts, gather
from swarmtui.runbooks.node_steps import RemoveNode
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, Where, look_at, seconds_since, where
from swarmtui.runbooks.swarm.rejoining.rejoin_join import JoinAgain, Restore, WaitIn
from swarmtui.runbooks.swarm.rejoining.rejoin_ladder import Verdict, another, judge
from swarmtui.session import Session

DEFAULT_PORT = "2377"


class RejoinFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plans of this family are made from.

    Attributes:
        nodes: the node in trouble comes first.
        seen: what its host says.
        known: ids of all nodes; twins: those of them, besides it, with its hostname or address.
        out_seconds: how long it has been out at least; -1.0 where nobody knows.
        autolock: whether managers that restart are locked.
        remotes: "address:2377" of the managers that can be joined, the leader first.
        fresh: what a new host says that is to take its place; None where there is none.
    """

    nodes: NodeFacts
    seen: HostSeen
    known: tuple[str, ...]
    twins: tuple[str, ...]
    cluster_id: str
    out_seconds: float
    autolock: bool
    remotes: tuple[str, ...]
    fresh: HostSeen | None = None

    @property
    def node(self) -> Node:
        return self.nodes.nodes[0]

    @property
    def name(self) -> str:
        return self.nodes.names[self.node.id]

    @property
    def elsewhere(self) -> bool:
        """The host answers as another node of this Swarm, or as none of it."""
        return bool(another(self.node, self.seen, self.cluster_id))

    @property
    def verdict(self) -> Verdict:
        return judge(
            self.node,
            self.seen,
            known=frozenset(self.known),
            cluster_id=self.cluster_id,
            out_seconds=self.out_seconds,
        )


async def survey(session: Session, wanted: Sequence[str], at: str = "", fresh: str = "") -> RejoinFacts:
    """Asks the managers about nodes, and the host of the first of them about itself.

    Args:
        at: where that host is reached, in place of where it is looked for.
        fresh: SSH address of a new host.
    """
    facts = await gather(session, wanted)
    snapshot, node = session.snapshot, facts.nodes[0]
    target = parse_target(at) if at else session.host_label(node)
    assert isinstance(target, SshTarget)
    cluster = snapshot.info.swarm.cluster
    return RejoinFacts(
        nodes=facts,
        seen=await look_at(session, where(session, node.name, target)),
        known=tuple(sorted(snapshot.nodes)),
        twins=tuple(sorted(other.id for other in snapshot.nodes.values() if _twins(node, other))),
        cluster_id=snapshot.cluster_id,
        out_seconds=await seconds_since(session, node.updated_at),
        autolock=cluster is not None and cluster.spec.encryption_config.auto_lock_managers,
        remotes=remotes(snapshot, node.id),
        fresh=await look_at_fresh(session, fresh) if fresh else None,
    )


async def look_at_fresh(session: Session, address: str) -> HostSeen:
    target = parse_target(address)
    assert isinstance(target, SshTarget)
    return await look_at(session, where(session, target.host, target))


def _twins(node: Node, other: Node) -> bool:
    """Whether two entries may be of one host: a ghost at the same address counts for quorum (swarm-dr.md §6)."""
    same = (other.hostname and other.hostname == node.hostname) or (other.address and other.address == node.address)
    return bool(same) and other.id != node.id


def remotes(snapshot: Snapshot, without: str) -> tuple[str, ...]:
    """Where the managers that are reachable can be joined, the leader first; a ghost at its own address is none."""
    found = []
    own = snapshot.nodes[without].address
    for node in snapshot.nodes.values():
        if node.is_reachable and node.manager_status is not None and node.id != without:
            host = host_of(node.manager_status.addr)
            if host in ("", "0.0.0.0", "127.0.0.1"):
                host = node.address
            if host == own:
                continue
            port = node.manager_status.addr.rpartition(":")[2] or DEFAULT_PORT
            found.append((not node.is_leader, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
    return tuple(address for _, address in sorted(found))


def ladder_lines(verdict: Verdict) -> list[str]:
    """What was found about each rung, for a person."""
    lines = [f"Ladder: {verdict.rung} is next. {verdict.because}"]
    return lines + [f"Ladder: {other}: {why.rstrip('.')}." for other, why in verdict.others]


def twin_warnings(facts: RejoinFacts) -> list[str]:
    """Names other entries of the same host: stale ones make names ambiguous, and may count for quorum."""
    return [
        f"Node {twin} has its hostname or address too: if it is a stale duplicate, swarmtui run node.remove node={twin}"
        for twin in facts.twins
    ]


def forget(draft: Draft, node: Node) -> None:
    """Adds the steps that take an entry out of the Swarm: out of the raft, down, removed."""
    name = draft.name(node)
    if node.is_voter:
        draft.leave_raft(node, node.spec)
    draft.wait_down(node)
    draft.steps.append(
        RemoveNode(
            id=draft.key(node, "remove"),
            title=f"Remove the entry {name}",
            why="Else it stays beside the new one: stale duplicates make names ambiguous. Its id never comes back.",
            node_id=node.id,
            name=name,
        )
    )


def join(draft: Draft, facts: RejoinFacts, at: Where, role: str, advertise: str) -> None:
    """Adds the steps that make a host join in place of the node in trouble."""
    node = facts.node
    about: dict[str, Any] = {"node_id": node.id, "name": at.name, "at": at}
    draft.steps.append(
        JoinAgain(
            id=draft.key(node, "join"),
            title=f"Join {at.name} as a {role}",
            why="Through its own engine's API: the token stands in no command line. Never copy a raft directory.",
            role=role,
            remotes=facts.remotes,
            availability=node.spec.availability,
            advertise=advertise,
            old=facts.known,
            **about,
        )
    )
    if node.labels or node.spec.name or node.spec.availability != Availability.ACTIVE:
        draft.steps.append(
            Restore(
                id=draft.key(node, "restore"),
                title=f"Give {at.name} its labels and availability",
                why="Placement constraints read the labels; a new entry begins without any.",
                as_it_was=node,
                **about,
            )
        )
    draft.steps.append(
        WaitIn(
            id=draft.key(node, "in"),
            title=f"Wait until {at.name} is in" + (", and reachable" if role == Role.MANAGER else ""),
            why="Only then it is of use; and it must be there once, not twice.",
            role=role,
            twins=facts.twins,
            seconds=draft.wait,
            **about,
        )
    )
    if role == Role.MANAGER:
        draft.raft = after_promoting(draft.raft, ready=True).after
