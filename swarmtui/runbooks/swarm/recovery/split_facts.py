"""What the end of one of two Swarms that live side by side is planned from (swarm-dr.md §4). Changes nothing.

Each side is asked through the engine of one of its own managers: the two have the same id, so a session could be
connected to either.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.jobs import new_id
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.link.together import together
from swarmtui.model.inventory import NodeItem
from swarmtui.model.recovery import Condition, Diagnosis, Member
from swarmtui.model.swarm import Node, NodeSpec, Role
from swarmtui.model.text import one_line
from swarmtui.opening import node_target
from swarmtui.runbooks.swarm.recovery.recover import KINDS, Around, happened, names_of
from swarmtui.runbooks.swarm.recovery.restore_workers import WorkerAt, look_at_workers
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import Where, where
from swarmtui.session import Session


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """A manager of the side that ends.

    Attributes:
        was: its entry in the Swarm that stays, or that of its own side where it has none there.
        at: its host.
        address: its own, as its raft knows it.
        root: the data root of its Docker.
        entry: whether the Swarm that stays has an entry of it.
        voter: its Spec there, where it still counts for the quorum of the Swarm that stays; else None.
    """

    was: NodeItem
    at: Where
    address: str
    root: str
    entry: bool = True
    voter: NodeSpec | None = None


class SplitFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        job: what names this recovery on the hosts.
        situation: the diagnosis in a sentence.
        two: whether there are two Swarms at all; else there is nothing to do, and the rest is empty.
        seed: the manager that stays, and leads where that one can be reached.
        seed_id: its node id; remote: "IP:PORT" that joining hosts dial.
        staying: the other managers of that side.
        leaving: the managers of the other side.
        not_fenced: managers that nobody gets to and that are not declared dead, with the reason.
        workers: those that follow the other side now, and have an entry in the one that stays.
        strangers: names of workers that only the other side has an entry of.
        lost: what only the other side has, "KIND NAME".
    """

    cluster: str
    cluster_id: str
    job: str
    situation: str
    two: bool
    seed: Where | None = None
    seed_id: str = ""
    remote: str = ""
    staying: tuple[Where, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    not_fenced: tuple[tuple[str, str], ...] = ()
    workers: tuple[WorkerAt, ...] = ()
    strangers: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


async def survey(session: Session, params: Mapping[str, Any]) -> SplitFacts:
    """Looks at both sides.

    Raises:
        UsageError: the manager that is to stay is none that can be asked.
        RefusedError: a side cannot be asked.
    """
    if not any(isinstance(target, SshTarget) for target in session.opening.targets):
        raise UsageError(
            f"{session.name} is not reached over SSH, and its hosts cannot be worked on without.",
            "Name a manager: --target ssh://USER@MANAGER",
        )
    around, found = await happened(session, params.get("dead", ()))
    base = SplitFacts(
        cluster=session.name,
        cluster_id=around.cluster_id,
        job=new_id(),
        situation=found.situation,
        two=found.two,
    )
    return await _sides(session, base, around, found, params.get("keep", "")) if found.two else base


async def _sides(session: Session, base: SplitFacts, around: Around, found: Diagnosis, keep: str) -> SplitFacts:
    working = [one for one in around.members if one.condition is Condition.WORKS and one.leader_id]
    kept = _named(working, keep or found.best.params["keep"])
    side = [one for one in working if one.leader_id == kept.leader_id]
    # The leader itself where it can be reached: what it says of its nodes is the newest.
    seed = next((one for one in side if one.node_id == kept.leader_id), kept)
    other = next(one for one in working if one.leader_id != kept.leader_id)
    nodes, theirs = await together(_nodes(session, around, seed), _nodes(session, around, other))
    lost = await _only_there(session, around, seed, other)
    voters = {node.id for node in nodes.values() if node.is_voter}
    staying = {one.name for one in side}
    leaving, unreached = [], []
    for member in around.members:
        if member.name in staying or member.condition is Condition.DEAD:
            continue
        follows_other = bool(member.leader_id) and member.leader_id != kept.leader_id
        if member.condition is Condition.UNREACHABLE or member.name not in around.hosts:
            if member.node_id not in voters:
                unreached.append((member.name, member.why))
        elif follows_other or (member.node_id not in voters and member.has_state):
            leaving.append(_leaving(session, around, member, nodes, theirs))
    ready = {node.id for node in nodes.values() if node.is_ready}
    captured = [node for node in theirs.values() if not _manages(node) and node.is_ready and node.id not in ready]
    captured.sort(key=lambda node: node.name)
    return msgspec.structs.replace(
        base,
        seed=_where(session, around, seed.name),
        seed_id=seed.node_id,
        remote=next((node.manager_status.addr for node in nodes.values() if node.is_leader and node.manager_status), "")
        or f"{seed.address}:2377",
        staying=tuple(_where(session, around, one.name) for one in side if one is not seed),
        leaving=tuple(leaving),
        not_fenced=tuple(unreached),
        workers=await look_at_workers(
            session,
            [(node.id, node.name, node_target(session.opening, node)) for node in captured if node.id in nodes],
        ),
        strangers=tuple(sorted(node.name for node in captured if node.id not in nodes)),
        lost=lost,
    )


def _named(working: Iterable[Member], keep: str) -> Member:
    working = list(working)
    named = [one for one in working if keep in (one.name, one.node_id, one.address, one.target)]
    if len(named) != 1:
        raise UsageError(
            f'"{one_line(keep)}" is no manager that works.', f"Those are: {', '.join(one.name for one in working)}."
        )
    return named[0]


def _leaving(
    session: Session, around: Around, member: Member, nodes: Mapping[str, Node], theirs: Mapping[str, Node]
) -> Leaving:
    entry = nodes.get(member.node_id)
    node = entry or theirs.get(member.node_id) or Node(id=member.node_id)
    return Leaving(
        was=NodeItem(
            id=member.node_id,
            name=node.hostname or member.name,
            role=Role.MANAGER,
            availability=node.spec.availability,
            address=member.address,
            labels=dict(node.labels),
        ),
        at=_where(session, around, member.name),
        address=member.address,
        root=member.root,
        entry=entry is not None,
        voter=entry.spec if entry is not None and entry.is_voter else None,
    )


def _manages(node: Node) -> bool:
    return node.is_voter or node.spec.role == Role.MANAGER


def _where(session: Session, around: Around, name: str) -> Where:
    target = parse_target(around.hosts[name])
    assert isinstance(target, SshTarget)
    return where(session, name, target)


async def _nodes(session: Session, around: Around, member: Member) -> dict[str, Node]:
    """The nodes of the side of a manager, by id."""
    engine = await session.engine_of(_where(session, around, member.name).ssh)
    body = await engine.get("/nodes")
    try:
        return {node.id: node for node in msgspec.json.decode(body, type=list[Node])}
    except msgspec.MsgspecError as error:
        raise RefusedError(
            f"What {member.name} says of the nodes cannot be read.", "Look there: docker node ls."
        ) from error


async def _only_there(session: Session, around: Around, seed: Member, other: Member) -> tuple[str, ...]:
    """What only the other side has."""
    ours, theirs = await asyncio.gather(
        *(names_of(session, _where(session, around, member.name).ssh) for member in (seed, other))
    )
    if ours is None or theirs is None:
        return ()
    return tuple(f"{kind[:-1]} {one_line(name)}" for kind in KINDS for name in sorted(theirs[kind] - ours[kind]))


def as_facts(known: SplitFacts) -> dict[str, Any]:
    """As plain JSON values."""
    built: dict[str, Any] = json.loads(msgspec.json.encode(known))
    return built
