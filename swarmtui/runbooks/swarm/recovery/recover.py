"""What was found on the hosts, judged: how each manager is, and the least destructive way out. Changes nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Iterable
from statistics import median
from typing import Any

import msgspec

from swarmtui.backups.manifest import Manifest
from swarmtui.config.remembered import Remembered, recall, remembered_folder
from swarmtui.errors import SwarmtuiError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.link.together import together
from swarmtui.model.backups import age_words
from swarmtui.model.inventory import Inventory
from swarmtui.model.recovery import Condition, Diagnosis, Kept, Member, Way, Worker, diagnose
from swarmtui.model.swarm import Role, host_of
from swarmtui.model.text import one_line
from swarmtui.runbooks.swarm.recovery.recover_facts import Host, Listed, look_around, raft_index
from swarmtui.runbooks.swarm.recovery.recover_products import with_products
from swarmtui.runbooks.swarm.unlock_steps import keys_of
from swarmtui.session import Session

KINDS = ("services", "networks", "secrets", "configs")
CLOCK_SECONDS = 300.0
"""A certificate is valid from an hour before it was signed; TLS breaks beyond that, logs mislead long before."""


class Around(msgspec.Struct, frozen=True):
    """All that was found.

    Attributes:
        voters: how many managers the Swarm has; 0 where nobody tells.
        cluster_id: "" where nobody tells.
        hosts: the SSH target of each member, by its name; not of those that are only known by id.
        workers: those that a leader names, else those that are remembered.
        remembered_at: when the Swarm was last seen, unix seconds, where managers are only known from then; else 0.0.
    """

    members: tuple[Member, ...]
    voters: int = 0
    cluster_id: str = ""
    hosts: dict[str, str] = msgspec.field(default_factory=dict)
    workers: tuple[Worker, ...] = ()
    remembered_at: float = 0.0


async def happened(session: Session, dead: Collection[str] = (), *, products: bool = False) -> tuple[Around, Diagnosis]:
    """Looks at everything, and finds the least destructive way out.

    Args:
        dead: names, node ids or addresses of managers that a person says are lost for good.
        products: look at UCP (its accounts, beside those of its backup) and at DTR too; begins the session where it was
            not.
    """
    around, places = await _looked(session, frozenset(dead))
    found = await _found(session, around)
    if found.best.way in (Way.FORCE, Way.SPLIT):
        # Which log is the most advanced decides what is kept. It is read only now: it takes a moment.
        around = await _with_indexes(session, around, places)
        found = await _found(session, around)
    if products:
        found = await with_products(session, around.cluster_id, _working(around), found)
    return around, found


def _working(around: Around) -> dict[str, str]:
    """Name → SSH target of the managers that work."""
    names = {member.name for member in around.members if member.condition is Condition.WORKS}
    return {name: target for name, target in around.hosts.items() if name in names}


async def _looked(session: Session, dead: frozenset[str]) -> tuple[Around, dict[str, Host]]:
    targets = frozenset(str(target) for target in session.opening.targets)
    memory = await asyncio.to_thread(recall, remembered_folder(), session.name, targets)
    if session.snapshot.cluster_id:
        memory = tuple(known for known in memory if known.cluster_id == session.snapshot.cluster_id)
    hosts, used = await look_around(session, memory)
    around = await _judged(session, hosts, used, dead)
    return around, {host.name: host for host in hosts}


async def _found(session: Session, around: Around) -> Diagnosis:
    backups = await _backups(session, around)
    return diagnose(
        around.members,
        backups,
        voters=around.voters,
        workers=around.workers,
        target=session.opening.name,
        cluster_id=around.cluster_id,
    )


async def _with_indexes(session: Session, around: Around, places: dict[str, Host]) -> Around:
    survivors = [member for member in around.members if member.has_state and member.name in places]
    looked = [places[member.name] for member in survivors]
    indexes = await asyncio.gather(*(raft_index(session, host.seen.at, host.root) for host in looked))
    read = dict(zip((member.name for member in survivors), indexes, strict=True))
    members = tuple(
        msgspec.structs.replace(member, index=read.get(member.name, member.index)) for member in around.members
    )
    return msgspec.structs.replace(around, members=members)


async def _judged(session: Session, hosts: list[Host], memory: Remembered | None, dead: frozenset[str]) -> Around:
    listed = next((host.listed for host in hosts if host.listed), ())
    cluster_id = session.snapshot.cluster_id or _most(host.cluster_id for host in hosts)
    if not cluster_id and memory is not None:
        cluster_id = memory.cluster_id
    clock = median(host.offset for host in hosts if not host.seen.trouble) if _any_reached(hosts) else 0.0
    keys, trouble = await keys_of(session.vault, cluster_id) if any(map(_locked, hosts)) else ([], "")
    held = None if trouble else bool(keys)
    raft = {node_id: address for host in hosts for node_id, address in host.peers.items()}
    members = [
        _member(host, cluster_id=cluster_id, listed=listed, dead=dead, clock=clock, key_held=held, raft=raft)
        for host in hosts
        if not _is_worker(host)
    ]
    there = {member.node_id for member in members if member.node_id}
    if listed:
        # Who leads knows its managers: one that nobody reaches, and that is not among them any more, is none.
        ids = {one.id for one in listed if one.status}
        members = [
            member
            for member in members
            if member.condition not in (Condition.UNREACHABLE, Condition.DEAD)
            or (member.node_id in ids if member.node_id else not ids <= there)
        ]
    for one in listed:
        if one.id not in there and one.status:
            condition = Condition.DEAD if {one.id, one.hostname} & dead else Condition.UNREACHABLE
            why = f"{one.hostname} is known to the others ({one.status}), and nobody knows its SSH address."
            members.append(Member(name=one.hostname, condition=condition, node_id=one.id, why=why))
    voters = sum(bool(one.status) for one in listed) or len({m.node_id for m in members if m.node_id} | set(raft))
    only_remembered = memory is not None and not any(host.knows for host in hosts) and not session.snapshot.nodes
    return Around(
        members=tuple(sorted(members, key=lambda member: member.name)),
        voters=voters,
        cluster_id=cluster_id,
        hosts={host.name: host.seen.at.target for host in hosts},
        workers=_workers(session, hosts, memory),
        remembered_at=memory.seen_at if memory is not None and only_remembered else 0.0,
    )


def _workers(session: Session, hosts: list[Host], memory: Remembered | None) -> tuple[Worker, ...]:
    """The workers: as a leader tells them, else as they were last seen, and then nobody knows how they are."""
    if any(host.listed for host in hosts):
        told = next((host.workers for host in hosts if host.listed), ())
        ready = {one.hostname for one in told if one.state == "Ready"}
        # A rejoin leaves the old entry behind, which is down for ever (swarm-dr.md §6): the host itself is well.
        down = {one.hostname for one in told if one.state == "Down"} - ready
        return tuple(
            [Worker(name, ready=True) for name in sorted(ready)] + [Worker(name, ready=False) for name in sorted(down)]
        )
    known = {node.name for node in session.snapshot.nodes.values() if node.spec.role == Role.WORKER}
    if not known and memory is not None:
        known = {one.name for one in memory.workers}
    return tuple(Worker(one_line(name)) for name in sorted(known))


def _any_reached(hosts: Iterable[Host]) -> bool:
    return any(not host.seen.trouble for host in hosts)


def _locked(host: Host) -> bool:
    return host.seen.swarm.local_node_state == "locked"


def _is_worker(host: Host) -> bool:
    """It answers, and says itself that it is none of the managers."""
    swarm = host.seen.swarm
    return swarm.local_node_state == "active" and not swarm.control_available


def _most(values: Iterable[str]) -> str:
    told = [value for value in values if value]
    return max(set(told), key=told.count) if told else ""


def _member(
    host: Host,
    *,
    cluster_id: str,
    listed: tuple[Listed, ...],
    dead: frozenset[str],
    clock: float,
    key_held: bool | None,
    raft: dict[str, str],
) -> Member:
    seen, swarm = host.seen, host.seen.swarm
    condition, why = _condition(host, cluster_id, listed)
    own = raft.get(host.node_id, "")
    names = {host.name, host.node_id, host_of(seen.at.ssh.host), own} - {""}
    if names & dead and condition is Condition.UNREACHABLE:
        condition, why = Condition.DEAD, f"{host.name} was declared dead."
    away = own and seen.addresses and own not in seen.addresses
    return Member(
        name=host.name,
        condition=condition,
        node_id=host.node_id,
        address=own or host_of(seen.at.ssh.host),
        addresses=frozenset(seen.addresses),
        host=seen.at.host + (f" -p {seen.at.port}" if seen.at.port else ""),
        target=seen.at.target,
        why=why,
        leader_id=next((one.id for one in host.listed if one.status == "Leader"), ""),
        voters=frozenset(one.id for one in host.listed if one.status),
        ready=sum(one.state == "Ready" for one in (*host.listed, *host.workers)) if host.listed else -1,
        disk_full=host.disk_full,
        clock_off=not seen.trouble and abs(host.offset - clock) > CLOCK_SECONDS,
        expired=0.0 < host.expires < time.time() + clock,
        moved=own if away and swarm.local_node_state in ("active", "pending") else "",
        key_held=key_held if _locked(host) else None,
        root=host.root,
    )


def _condition(host: Host, cluster_id: str, listed: tuple[Listed, ...]) -> tuple[Condition, str]:
    seen, swarm = host.seen, host.seen.swarm
    status = next((one.status for one in listed if one.id == host.node_id), "")
    if seen.trouble:
        if status in ("Leader", "Reachable"):
            return Condition.WORKS, f"The other managers hear it; only its SSH fails: {seen.trouble}"
        return Condition.UNREACHABLE, seen.trouble
    if seen.docker_down:
        return Condition.STOPPED, f"docker.service is {seen.unit}."
    if seen.silent:
        return Condition.SILENT, seen.silent
    if cluster_id and host.cluster_id and host.cluster_id != cluster_id:
        return Condition.ELSEWHERE, f"It is in another Swarm ({host.cluster_id[:12]})."
    error = one_line(swarm.error)
    match swarm.local_node_state:
        case "locked":
            return Condition.LOCKED, ""
        case "error":
            return Condition.BROKEN, f"Its Swarm state is in error: {error}"
        case "active" if not error:
            return Condition.WORKS, ""
        case "active" | "pending" if listed and host.node_id and host.node_id not in {one.id for one in listed}:
            # swarm-dr.md §4: an old manager that came back alone after its entry was removed.
            return Condition.OUT, "It was removed from the Swarm that the others lead, and waits for it for ever."
        case "active" | "pending" if swarm.control_available:
            return Condition.LEADERLESS, "It runs, and has no leader." if swarm.no_leader else error
        case "pending":
            # swarm-dr.md §4: a node that was removed.
            return Condition.OUT, "It was removed from the Swarm, and waits for nothing."
        case _:
            return Condition.OUT, "It is in no Swarm."


async def _backups(session: Session, around: Around) -> tuple[Kept, ...]:
    """What the catalogue has of this cluster, the newest first."""
    try:
        entries = await asyncio.to_thread(session.backups.entries, around.cluster_id or None)
    except SwarmtuiError:
        return ()  # the managers matter more; `swarmtui backups list` says what is wrong with the catalogue
    now, names = time.time(), await _names(session, around)
    return tuple(
        Kept(
            entry.id,
            entry.would_restore,
            age_words(now - entry.manifest.taken_at),
            _gone(entry.manifest.inventory, names),
            _addresses(entry.manifest),
        )
        for entry in entries
        if entry.manifest is not None
        and entry.kind == "swarm"
        and not entry.broken
        # Where nobody tells which Swarm it is, it may be that of the same name.
        and (around.cluster_id or entry.manifest.cluster == session.name)
    )


def _addresses(manifest: Manifest) -> tuple[str, ...]:
    return tuple(dict.fromkeys(host_of(address) for address in (manifest.address, *manifest.managers) if address))


async def _names(session: Session, around: Around) -> dict[str, frozenset[str]] | None:
    """What the living Swarm has, by name; None while it cannot be asked."""
    working = next((m.name for m in around.members if m.condition is Condition.WORKS and m.name in around.hosts), "")
    if not working:
        return None
    target = parse_target(around.hosts[working])
    assert isinstance(target, SshTarget)
    return await names_of(session, target)


async def names_of(session: Session, target: SshTarget) -> dict[str, frozenset[str]] | None:
    """What the Swarm of one manager has, by kind (`KINDS`) and name; None while it cannot be asked."""
    try:
        engine = await session.engine_of(target)
        bodies = await together(*(engine.get(f"/{kind}") for kind in KINDS))
        lists: list[list[dict[str, Any]]] = [json.loads(body) for body in bodies]
        return {
            # Networks of one engine only are none of the Swarm's.
            kind: frozenset(
                str(one.get("Name") or one["Spec"]["Name"]) for one in objects if one.get("Scope", "swarm") == "swarm"
            )
            for kind, objects in zip(KINDS, lists, strict=True)
        }
    except (SwarmtuiError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _gone(inventory: Inventory | None, names: dict[str, frozenset[str]] | None) -> tuple[str, ...]:
    """What a backup has and the Swarm has no more, where most services are gone: no tidying up."""
    if inventory is None or names is None:
        return ()
    had = {kind: {item.name for item in getattr(inventory, kind)} for kind in KINDS}
    lost = had["services"] - names["services"]
    if not lost or 2 * len(lost) <= len(had["services"]):
        return ()
    return tuple(name for kind in KINDS for name in sorted(had[kind] - names[kind]))
