"""What a forced new cluster is planned from: the survivor with its own log, and every other old manager.

Changes nothing. What the Swarm has is read from the survivor's files, offline: nobody answers for it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from swarmtui.errors import RefusedError, UsageError
from swarmtui.link.jobs import new_id
from swarmtui.link.reasons import LinkError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.link.together import together
from swarmtui.model.inventory import Inventory, NodeItem
from swarmtui.model.recovery import Condition, Diagnosis, Member, Way
from swarmtui.model.swarm import Node, NodeDescription, NodeSpec, NodeStatus, Role, host_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.runbook import Facts, Rule
from swarmtui.runbooks.swarm.custody import custody_facts
from swarmtui.runbooks.swarm.managers import read_file
from swarmtui.runbooks.swarm.recovery.data_root import SETTINGS, START, configured_root, data_root
from swarmtui.runbooks.swarm.recovery.directory import directory
from swarmtui.runbooks.swarm.recovery.fence_steps import ROOT
from swarmtui.runbooks.swarm.recovery.force_steps import latches
from swarmtui.runbooks.swarm.recovery.gentler import gentler_rules
from swarmtui.runbooks.swarm.recovery.key_file import STATE
from swarmtui.runbooks.swarm.recovery.recover import Around, happened
from swarmtui.runbooks.swarm.recovery.recover_facts import raft_index
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, Where, look_at, where
from swarmtui.runbooks.swarm.unlock_steps import keys_of
from swarmtui.session import Session
from swarmtui.vault import Kind

if TYPE_CHECKING:
    from swarmtui.backups.raft import Contents

QUESTION_SECONDS = 15.0


class Addresses(msgspec.Struct, frozen=True):
    """How a manager was told to listen, from its docker-state.json: a forced cluster forgets it.

    Attributes:
        advertise: "IP:PORT" or "IP"; listen: "IP:PORT"; data_path: "" for the same as advertise.
    """

    advertise: str = ""
    listen: str = "0.0.0.0:2377"
    data_path: str = ""


class Survivor(msgspec.Struct, frozen=True, kw_only=True):
    """The manager that the cluster is forced on.

    Attributes:
        index: of the last entry in its log; -1 where it could not be read.
        direct: it can be forced as it runs: active or pending as a manager, with autolock off.
        runs: its Docker does.
        opened_by: fingerprint of the vault's key that opens its key file; "" where none is needed.
        latches: of recoveries that began to force here, and did not complete.
    """

    id: str
    name: str
    at: Where
    addresses: Addresses
    root: str = ROOT
    index: int = -1
    direct: bool = True
    runs: bool = True
    opened_by: str = ""
    latches: tuple[str, ...] = ()


class Old(msgspec.Struct, frozen=True, kw_only=True):
    """A manager that the Swarm has besides the survivor.

    Attributes:
        was: its entry.
        at: its host; None where nobody knows how it is reached.
        reached: somebody can log in there; else why says why not, one sentence.
        dead: it was declared dead, and nobody gets to it.
        elsewhere: its host is in another Swarm by now: it cannot come back as what it was.
        index: of the last entry in its log, where that could be read.
    """

    was: NodeItem
    at: Where | None = None
    reached: bool = False
    why: str = ""
    dead: bool = False
    elsewhere: bool = False
    addresses: Addresses = Addresses()
    root: str = ROOT
    index: int = -1

    @property
    def name(self) -> str:
        return self.was.name or self.was.id

    @property
    def fenced(self) -> bool:
        """It is reached and holds what it was: it must be fenced, and can be let back in."""
        return self.reached and not self.elsewhere and self.at is not None


class QuorumFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan is made from.

    Attributes:
        job: what names this recovery on the hosts.
        situation: the diagnosis in a sentence.
        held: the quorum holds: somebody wants to force all the same.
        inventory: what the Swarm has, by the survivor's log.
        rules: the safety rules about gentler ways.
        custody: what `custody_rules` needs, with autolock on.
        kept: the vault has the Swarm's key as its current one.
    """

    cluster: str
    cluster_id: str
    job: str
    situation: str
    held: bool
    survivor: Survivor
    others: tuple[Old, ...]
    inventory: Inventory
    rules: tuple[Rule, ...] = ()
    custody: dict[str, Any] = {}
    kept: bool = False

    @property
    def autolock(self) -> bool:
        return self.inventory.autolock


async def survey(session: Session, params: Mapping[str, Any]) -> QuorumFacts:
    """Looks at everything.

    Raises:
        UsageError: a name means nothing.
        RefusedError: nothing can be forced: there is no survivor, or what it has cannot be read.
    """
    if not any(isinstance(target, SshTarget) for target in session.opening.targets):
        raise UsageError(
            f"{session.name} is not reached over SSH, and its hosts cannot be worked on without.",
            "Name a manager: --target ssh://USER@MANAGER",
        )
    dead: frozenset[str] = frozenset(params.get("dead", ()))
    around, found = await happened(session, dead)
    chosen = await _chosen(session, around, found, params.get("survivor", ""))
    seen = await look_at(session, _where(session, around, chosen.name))
    root, contents = await _contents(session, seen, around.cluster_id)
    assert contents.inventory is not None
    items = {item.id: item for item in contents.inventory.nodes}
    _check_names(around, items, dead)
    if _unknown(around, items, contents):
        around, found = await _by_name(session, items, contents, dead)
    others = await asyncio.gather(
        *(
            _old(
                session, around, items.get(one.node_id, NodeItem(id=one.node_id, name="", role="manager")), one.address
            )
            for one in contents.members
            if one.node_id != contents.node_id
        )
    )
    survivor = await _survivor(session, chosen, seen, root, contents)
    keys = await session.vault.unlock_keys(contents.cluster_id) if contents.locked else ()
    return QuorumFacts(
        cluster=session.name,
        cluster_id=contents.cluster_id,
        job=new_id(),
        situation=found.situation,
        held=found.holds,
        survivor=survivor,
        others=tuple(sorted(others, key=lambda old: old.name)),
        inventory=contents.inventory,
        rules=gentler_rules(Way.FORCE, found),
        custody=await custody_facts(session.vault, Kind.UNLOCK_KEY, contents.cluster_id, new=True)
        if contents.locked
        else {},
        kept=any(key.fingerprint == contents.opened_by and key.state == "current" for key in keys),
    )


async def _chosen(session: Session, around: Around, found: Diagnosis, wanted: str) -> Member:
    """The manager that was named, else the one with the most advanced log."""
    there = [member for member in around.members if member.name in around.hosts]
    if wanted:
        named = [m for m in there if wanted in (m.name, m.node_id, m.address, around.hosts[m.name])]
        if len(named) != 1:
            others = ", ".join(m.name for m in there if m.has_state)
            silent = " ".join(m.why for m in there if m.condition is Condition.UNREACHABLE)
            raise UsageError(
                f'"{wanted}" is no manager that can be reached.', f"Those are: {others}." if others else silent
            )
        if named[0].condition in (Condition.UNREACHABLE, Condition.DEAD):
            raise RefusedError(f"{wanted} cannot be reached: {named[0].why}", "Mend the way there, or take another.")
        return named[0]
    able = [member for member in there if member.has_state]
    if not able:
        locked = [member.name for member in there if member.condition is Condition.LOCKED]
        if locked:
            raise RefusedError(
                f"{', '.join(locked)} could be forced, but is locked, and no key of the vault may open it.",
                "Give the unlock key to the vault first: swarmtui secrets set unlock-key CLUSTER_ID",
            )
        raise RefusedError(
            "No manager that can be reached has the Swarm's state: there is nothing to force a cluster from.",
            "Restore a backup: swarmtui recover tells which, and how.",
        )
    if found.best.way is not Way.FORCE:
        indexes = await asyncio.gather(*(_index(session, around, member) for member in able))
        able = [msgspec.structs.replace(m, index=i) for m, i in zip(able, indexes, strict=True)]
    return max(able, key=lambda member: (member.index, member.alive, member.name))


async def _index(session: Session, around: Around, member: Member) -> int:
    at = _where(session, around, member.name)
    try:
        return await raft_index(session, at, await _root(session, at))
    except LinkError:
        return -1


def _where(session: Session, around: Around, name: str) -> Where:
    target = parse_target(around.hosts[name])
    assert isinstance(target, SshTarget)
    return where(session, name, target)


async def _root(session: Session, at: Where) -> str:
    """Docker's data root as it is configured: without a leader its engine would take 20 s to tell."""
    host = await at.reach(session)
    started, settings = await together(
        host.run(START, timeout=QUESTION_SECONDS), host.run(at.root(SETTINGS), timeout=QUESTION_SECONDS)
    )
    return configured_root(started.out, settings.out)


def _check_names(around: Around, items: Mapping[str, NodeItem], dead: Collection[str]) -> None:
    """Raises UsageError where a manager is declared dead that nobody knows."""
    told = {word for m in around.members for word in (m.name, m.node_id, m.address)} | set(items)
    told |= {host_of(parsed.host) for m in around.members if (parsed := _target(around, m)) is not None}
    names = sorted(item.name for item in items.values() if item.role == Role.MANAGER)
    for name in dead:
        if name not in told and name not in names:
            raise UsageError(f'Nobody knows a manager "{name}".', f"The managers are: {', '.join(names)}.")


def _target(around: Around, member: Member) -> SshTarget | None:
    target = parse_target(around.hosts[member.name]) if member.name in around.hosts else None
    return target if isinstance(target, SshTarget) else None


def _unknown(around: Around, items: Mapping[str, NodeItem], contents: Contents) -> bool:
    """Whether a manager was not reached, or is known by its id only, that the survivor's log has a name for."""
    found = {member.node_id: member for member in around.members}
    for one in contents.members:
        member, name = found.get(one.node_id), items[one.node_id].name if one.node_id in items else ""
        away = member is None or member.condition in (Condition.UNREACHABLE, Condition.DEAD)
        if one.node_id != contents.node_id and name and away and (member is None or member.name != name):
            return True
    return False


async def _by_name(
    session: Session, items: Mapping[str, NodeItem], contents: Contents, dead: Collection[str]
) -> tuple[Around, Diagnosis]:
    """Looks again, with the names of the managers: the ssh configuration, and people, may know them by these."""
    nodes = {
        one.node_id: Node(
            id=one.node_id,
            spec=NodeSpec(role=Role.MANAGER),
            description=NodeDescription(hostname=items[one.node_id].name),
            status=NodeStatus(addr=host_of(one.address)),
        )
        for one in contents.members
        if one.node_id in items
    }
    before = session.snapshot
    session.snapshot = msgspec.structs.replace(before, nodes={**nodes, **before.nodes})
    try:
        return await happened(session, dead)
    finally:
        session.snapshot = before


async def _contents(session: Session, seen: HostSeen, cluster_id: str) -> tuple[str, Contents]:
    """The survivor's data root, and what is in its Swarm directory. Raises RefusedError."""
    from swarmtui.backups import raft

    at = seen.at
    host = await at.reach(session)
    root = await data_root(host, seen)
    keys, trouble = await keys_of(session.vault, cluster_id)
    files = await directory(session, at, root)
    contents = await asyncio.to_thread(raft.read, files, [key.secret for key in keys])
    if contents.opened and contents.inventory is not None and contents.node_id:
        return root, contents
    if contents.locked and not contents.opened_by:
        because = trouble or ("none of the vault's keys opens it" if keys else "the vault has no key of this Swarm")
        raise RefusedError(
            f"The key file of {at.name} is locked: {because.rstrip('.')}.",
            f"Give its unlock key to the vault: swarmtui secrets set unlock-key {contents.cluster_id or 'CLUSTER_ID'}",
        )
    told = contents.fatal[0].what if contents.fatal else "there is no raft log."
    raise RefusedError(
        f"What the Swarm has cannot be read on {at.name}: {one_line(told)}",
        "Take another survivor (survivor=NAME), or restore a backup: swarmtui recover",
    )


async def _survivor(session: Session, member: Member, seen: HostSeen, root: str, contents: Contents) -> Survivor:
    at, swarm = seen.at, seen.swarm
    host = await at.reach(session)
    manages = swarm.local_node_state in ("active", "pending") and swarm.control_available
    addresses = await _addresses(session, at, root)
    if not addresses.advertise:
        addresses = msgspec.structs.replace(addresses, advertise=contents.address or swarm.node_addr)
    return Survivor(
        id=contents.node_id,
        name=contents_name(contents) or member.name,
        at=at,
        addresses=addresses,
        root=root,
        index=contents.last_index,
        direct=manages and not contents.locked and not seen.docker_down and not seen.silent,
        runs=not seen.docker_down,
        opened_by=contents.opened_by,
        latches=await latches(host, at, root),
    )


def contents_name(contents: Contents) -> str:
    """The hostname of the manager whose directory it is."""
    nodes = contents.inventory.nodes if contents.inventory is not None else ()
    return next((item.name for item in nodes if item.id == contents.node_id), "")


async def _addresses(session: Session, at: Where, root: str) -> Addresses:
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        told = json.loads(await read_file(session, at.ssh, f"{root}/{STATE}"))
        advertise, listen, data = (
            one_line(str(told.get(key) or "")) for key in ("AdvertiseAddr", "ListenAddr", "DataPathAddr")
        )
        return Addresses(advertise, listen or Addresses().listen, data)
    return Addresses()


async def _old(session: Session, around: Around, item: NodeItem, address: str) -> Old:
    """An old manager as it was found; its address as the raft knows it."""
    member = next((m for m in around.members if m.node_id == item.id), None)
    own = host_of(address)
    at_address = [m for m in around.members if not m.node_id and own in (m.address, m.name)]
    if member is None:
        member = at_address[0] if at_address else None
    if member is None or member.name not in around.hosts:
        why = member.why if member is not None else "nobody knows where its host is reached."
        dead = member is not None and member.condition is Condition.DEAD
        return Old(was=item, why=why, dead=dead, addresses=Addresses(address))
    at = msgspec.structs.replace(_where(session, around, member.name), name=item.name or member.name)
    if member.condition in (Condition.UNREACHABLE, Condition.DEAD):
        return Old(
            was=item, at=at, why=member.why, dead=member.condition is Condition.DEAD, addresses=Addresses(address)
        )
    if member.condition is Condition.ELSEWHERE:
        return Old(was=item, at=at, reached=True, elsewhere=True, why=member.why)
    try:
        root = await _root(session, at)
        addresses = await _addresses(session, at, root)
    except LinkError as error:
        return Old(was=item, at=at, why=error.what, addresses=Addresses(address))
    if not addresses.advertise:
        addresses = Addresses(address)
    return Old(was=item, at=at, reached=True, addresses=addresses, root=root, index=member.index)


def facts_of(known: QuorumFacts) -> Facts:
    """As plain JSON values."""
    built: Facts = msgspec.to_builtins(known)
    return built
