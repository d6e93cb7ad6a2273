"""What a restore is planned from: the backup, the host it goes to, and every other old manager. Changes nothing.

Sources: swarm-dr.md §3 (the recipe), §4 (what old managers do that come back), procedures.md K2 and K4.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from swarmtui.backups.keys import keys_of
from swarmtui.errors import UsageError
from swarmtui.link.jobs import new_id
from swarmtui.link.reasons import LinkError
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.model.recovery import Condition, Way
from swarmtui.model.swarm import Node, NodeDescription, NodeStatus, host_of
from swarmtui.model.text import one_line
from swarmtui.opening import node_target
from swarmtui.runbooks.runbook import Facts
from swarmtui.runbooks.swarm.building import probes
from swarmtui.runbooks.swarm.custody import custody_facts
from swarmtui.runbooks.swarm.managers import identity, read_file
from swarmtui.runbooks.swarm.recovery.fence_steps import ROOT
from swarmtui.runbooks.swarm.recovery.gentler import gentler_rules
from swarmtui.runbooks.swarm.recovery.recover import Around, happened
from swarmtui.runbooks.swarm.recovery.restore_bridge import AddressFacts, look_at_address
from swarmtui.runbooks.swarm.recovery.restore_checks import Checks, checks_of
from swarmtui.runbooks.swarm.recovery.restore_inside import CERTIFICATE, BackupSeen, chosen, look_inside
from swarmtui.runbooks.swarm.recovery.restore_workers import WorkerAt, look_at_workers
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, look_at, where
from swarmtui.session import Session
from swarmtui.vault import Kind

if TYPE_CHECKING:
    pass

QUESTION_SECONDS = 20.0
_ROOT = re.compile(r"/[A-Za-z0-9._/-]{1,200}")


class TargetHost(msgspec.Struct, frozen=True, kw_only=True):
    """The host that the backup is restored on.

    Attributes:
        seen: what it says of itself; at: how it is reached, with its own hostname.
        trouble: why nothing can be restored there, one sentence; advice: what to do about it.
        root: the daemon's data root.
        free: bytes that are free there; -1 where nobody knows.
        has: the id of the Swarm whose directory lies there; "" where none does, or nobody can tell.
        node_id: of the node that this directory is of.
    """

    seen: HostSeen
    trouble: str = ""
    advice: str = ""
    root: str = ROOT
    free: int = -1
    has: str = ""
    node_id: str = ""


class OldManager(msgspec.Struct, frozen=True, kw_only=True):
    """A manager that the cluster had, other than the host that is restored to.

    Attributes:
        name: what people call it; address: as raft knows it, else as SSH does.
        seen: what its host says of itself.
        dead: somebody said by name that it is lost for good.
        elsewhere: the id of another Swarm that it is a manager of by now; "" for none.
        in_backup: it was a manager when the backup was taken.
        root: the data root of its Docker.
    """

    name: str
    node_id: str
    address: str
    seen: HostSeen
    dead: bool = False
    elsewhere: str = ""
    in_backup: bool = False
    root: str = ROOT

    @property
    def reached(self) -> bool:
        return not self.seen.trouble

    @property
    def advertise(self) -> str:
        """Its address as the other nodes shall see it."""
        own = self.seen.addresses
        wanted = (self.address, host_of(self.seen.at.ssh.host))
        return next((one for one in wanted if one in own), own[0] if own else self.address)

    @property
    def joins(self) -> bool:
        """It can take its place again, as a new node."""
        return self.reached and not self.elsewhere

    @property
    def inactive(self) -> bool:
        """Its Docker runs and is in no Swarm: nothing of it can come back."""
        return self.reached and not self.seen.silent and self.seen.swarm.local_node_state == "inactive"


class RestoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for one restore.

    Attributes:
        id: its name: what is moved aside on hosts is called after it.
        host: where it goes.
        others: the other managers that the cluster had.
        address: the IP address that it is forced to; bridge: about both, where the backup's is another one.
        workers: those that the backup has; gone: ids of those that were declared dead by name.
        checks: the operator's own.
        gentler: the safety rules of gentler ways: (id, about, what).
        unknown: names that were declared dead and are nobody's.
        custody: what `custody_rules` needs, where there is a key to rotate.
    """

    id: str
    backup: BackupSeen
    host: TargetHost
    others: tuple[OldManager, ...] = ()
    address: str = ""
    bridge: AddressFacts | None = None
    workers: tuple[WorkerAt, ...] = ()
    gone: tuple[str, ...] = ()
    checks: Checks = Checks()
    gentler: tuple[tuple[str, str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    custody: Facts = {}


async def survey(session: Session, params: Mapping[str, Any]) -> RestoreFacts:
    """Gathers the facts.

    Raises:
        UsageError: there is no such backup, or the host's address is none.
        BackupError: the backup cannot be opened, or is never unpacked.
    """
    named = tuple(params.get("dead") or ())
    entry = await chosen(session, params.get("cluster"), params["backup"])
    keys = await keys_of(session.vault, entry.cluster_id)
    session.tell_look(f"verify {entry.id}, and look inside")
    backup = await look_inside(session, entry, keys)
    dead = _also_called(backup, named)
    target = parse_target(params["host"])
    assert isinstance(target, SshTarget)  # the parameter's kind has seen to that
    host, (around, found) = await asyncio.gather(look_at_target(session, target), happened(session, dead))
    others, workers = await asyncio.gather(
        _others(session, backup, host, around, dead), _workers(session, backup, host)
    )
    gone = tuple(worker for worker in workers if worker.trouble and {worker.name, worker.node_id} & set(dead))
    said = {name for other in others for name in (other.name, other.node_id, other.address) if other.dead}
    said |= {name for worker in gone for name in (worker.name, worker.node_id)}
    address, bridge = await _address(session, backup, host, params.get("advertise", ""))
    return RestoreFacts(
        id=new_id(),
        backup=backup,
        host=host,
        others=others,
        address=address,
        bridge=bridge,
        workers=workers,
        gone=tuple(worker.node_id for worker in gone),
        checks=checks_of(session),
        gentler=tuple((rule.id, rule.about, rule.what) for rule in gentler_rules(Way.RESTORE, found)),
        unknown=tuple(one_line(name) for name in named if name not in said),
        custody=await custody_facts(session.vault, Kind.UNLOCK_KEY, entry.cluster_id, new=True)
        if backup.autolock
        else {},
    )


# -- the host ----------------------------------------------------------------------------------------------------------


async def look_at_target(session: Session, target: SshTarget) -> TargetHost:
    """Asks the host that is to be restored to; never fails, and changes nothing."""
    at = where(session, one_line(host_of(target.host)), target)
    session.tell_look(f"{at.host}$ docker info")
    seen = await look_at(session, at)
    if seen.trouble:
        return TargetHost(
            seen=seen, trouble=seen.trouble, advice="Name a host that lets us in over SSH, with root or sudo."
        )
    try:
        return await _asked(session, seen)
    except LinkError as error:
        return TargetHost(seen=seen, trouble=error.what, advice=error.next_step)


async def _asked(session: Session, seen: HostSeen) -> TargetHost:
    at = seen.at
    host = await at.reach(session)

    async def ask(line: str) -> tuple[int, str, str]:
        completed = await host.run(line, timeout=QUESTION_SECONDS)
        return completed.code, completed.out.strip(), completed.words

    if at.sudo:
        code, _, said = await ask("sudo -n true")
        if code != 0:
            return TargetHost(
                seen=seen,
                trouble=f"sudo -n does not work on {at.host}: {said}.",
                advice="Let this user run sudo without a password there, or log in as root.",
            )
    elif (await ask("id -u"))[1] != "0":
        return TargetHost(
            seen=seen,
            trouble=f"A restore needs root, and on {at.host} we are not.",
            advice="Name root@HOST, or set sudo = true for this cluster in the configuration.",
        )
    name = one_line((await ask("hostname"))[1]) or at.name
    seen = msgspec.structs.replace(seen, at=msgspec.structs.replace(at, name=name))
    if (await ask("command -v docker"))[0] != 0:
        return TargetHost(
            seen=seen,
            trouble=f"{name} has no Docker installed.",
            advice="Install it there, of the version that the backup is of.",
        )
    root = await data_root(session, seen)
    if not _ROOT.fullmatch(root) or "/../" in f"{root}/":
        return TargetHost(
            seen=seen,
            trouble=f"The data root of Docker on {name} is no path to work with: {root}.",
            advice="Look at data-root in /etc/docker/daemon.json there, or name another host.",
        )
    free = probes.free_bytes((await ask(probes.free_space(root)))[1])
    who = identity(await read_file(session, at.ssh, f"{root}/swarm/{CERTIFICATE}"))
    return TargetHost(
        seen=seen,
        root=root,
        free=-1 if free is None else free,
        has=who.cluster_id if who is not None else "",
        node_id=who.node_id if who is not None else "",
    )


async def _address(
    session: Session, backup: BackupSeen, host: TargetHost, given: str
) -> tuple[str, AddressFacts | None]:
    """The IP address that it is forced to: the backup's where the host has it, else its only one; and what there is to
    know of both where they differ.

    Raises:
        UsageError: the host has not the one that was given, or several.
    """
    if host.trouble:
        return "", None
    at = host.seen.at
    told = await (await at.reach(session)).run(probes.ADDRESSES, timeout=QUESTION_SECONDS)
    own = [found.ip for found in probes.addresses(told.out)] or list(host.seen.addresses)
    if given and given not in own:
        raise UsageError(f"{at.name} has no address {given}.", f"It has: {', '.join(own)}.")
    wanted = next((one for one in (given, backup.address, host_of(at.ssh.host)) if one and one in own), "")
    if not wanted and len(own) != 1:
        raise UsageError(
            f"Which address the other nodes use is not clear: {at.name} has {', '.join(own) or 'none'}.",
            "Say it: advertise=IP",
        )
    address = wanted or own[0]
    if address == backup.address:
        return address, None
    return address, await look_at_address(session, at, backup.raft, with_port(address, backup.port))


async def data_root(session: Session, seen: HostSeen) -> str:
    """The daemon's data root: what it says itself while it answers, else what its configuration says. Raises
    LinkError."""
    at = seen.at
    host = await at.reach(session)
    if not seen.docker_down and not seen.silent:
        told = await host.run(at.root("docker info --format '{{.DockerRootDir}}'"), timeout=QUESTION_SECONDS)
        if told.code == 0 and told.out.strip():
            return one_line(told.out.strip())
    with contextlib.suppress(ValueError, AttributeError):
        configured = json.loads(await read_file(session, at.ssh, "/etc/docker/daemon.json")).get("data-root")
        if isinstance(configured, str) and configured:
            return one_line(configured.rstrip("/"))
    return ROOT


def _also_called(backup: BackupSeen, dead: Collection[str]) -> frozenset[str]:
    """What else they are called who were declared dead: only the backup may know whose name an address's is."""
    known = [{node_id, name, address} - {""} for node_id, (name, address) in backup.members.items()]
    return frozenset(dead).union(*(called for called in known if called & set(dead)))


# -- the others --------------------------------------------------------------------------------------------------------


async def _others(
    session: Session, backup: BackupSeen, host: TargetHost, around: Around, dead: Collection[str]
) -> tuple[OldManager, ...]:
    """Every other manager: those that anybody names today, and those that the backup has besides."""
    own = {host.seen.at.target, host_of(host.seen.at.ssh.host), *host.seen.addresses}
    today = [
        (member.name, member.node_id, member.address, _ssh(around.hosts.get(member.name)))
        for member in around.members
        if around.hosts.get(member.name) not in own
        and member.address not in own
        and not (host.node_id and member.node_id == host.node_id)
        # By whatever name it is reached: the very same machine.
        and not (member.addresses and member.addresses == frozenset(host.seen.addresses))
    ]
    found = list(await asyncio.gather(*(_old(session, backup, one, dead, host) for one in today)))
    there = {old.node_id for old in found} | {
        address for old in found for address in (old.address, *old.seen.addresses)
    }
    besides = [
        (name, node_id, address, _way(session, host, node_id, name, address))
        for node_id, (name, address) in backup.members.items()
        if address not in own and not {node_id, address} & there
    ]
    found += await asyncio.gather(*(_old(session, backup, one, dead, host) for one in besides))
    return tuple(sorted(found, key=lambda old: (old.name, old.node_id)))


async def _workers(session: Session, backup: BackupSeen, host: TargetHost) -> tuple[WorkerAt, ...]:
    """The workers that the backup has, but for the host that is restored to."""
    wanted = [
        (node.id, node.name, _way(session, host, node.id, node.name, node.address))
        for node in backup.inventory.nodes
        if node.role == "worker" and node.id != host.node_id and node.address not in host.seen.addresses
    ]
    return await look_at_workers(session, wanted)


def with_port(address: str, port: str) -> str:
    """An address and a port, as Docker writes them."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _way(session: Session, host: TargetHost, node_id: str, name: str, address: str) -> SshTarget:
    """Where a node's host is reached: as the configuration says, else as the host that is restored to is."""
    node = Node(id=node_id, description=NodeDescription(hostname=name), status=NodeStatus(addr=address))
    found = node_target(session.opening, node)
    if session.opening.targets or found.host != address:
        return found
    return SshTarget(address, host.seen.at.ssh.user, host.seen.at.ssh.port)


def _ssh(text: str | None) -> SshTarget | None:
    target = parse_target(text) if text else None
    return target if isinstance(target, SshTarget) else None


async def _old(
    session: Session,
    backup: BackupSeen,
    who: tuple[str, str, str, SshTarget | None],
    dead: Collection[str],
    host: TargetHost,
) -> OldManager:
    name, node_id, address, target = who
    target = target or _way(session, host, node_id, name, address or name)
    at = where(session, one_line(name), target)
    session.tell_look(f"{at.host}$ docker info")
    seen = await look_at(session, at)
    other = seen.cluster_id if seen.cluster_id not in ("", backup.cluster_id) else ""
    root = ROOT
    with contextlib.suppress(LinkError):
        root = ROOT if seen.trouble else await data_root(session, seen)
    called = {name, name.partition(".")[0], address}
    for known, (hostname, at_address) in backup.members.items():
        if node_id == known or (not node_id and ({hostname, at_address} & called or at_address in seen.addresses)):
            node_id, name, address = known, hostname, at_address
            break
    return OldManager(
        name=one_line(name),
        node_id=node_id,
        address=address,
        seen=msgspec.structs.replace(seen, at=msgspec.structs.replace(seen.at, name=one_line(name))),
        dead=bool(seen.trouble) and bool({name, node_id, address, host_of(target.host), *called} & set(dead)),
        elsewhere=other,
        in_backup=node_id in backup.members,
        root=root,
    )


def condition_words(old: OldManager) -> str:
    """How a manager is, for people: a clause."""
    if not old.reached:
        return Condition.DEAD.value if old.dead else "not reached"
    if old.seen.docker_down:
        return f"Docker is {old.seen.unit}"
    return "Docker does not answer" if old.seen.silent else f"{one_line(old.seen.swarm.local_node_state)}"
