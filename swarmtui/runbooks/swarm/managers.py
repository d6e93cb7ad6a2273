"""Every manager that is known, asked over its own way: also when no manager of the Swarm answers any more.

Known are the managers of the configuration, those of the last snapshot, and those that a locked manager has written
down itself: state.json beside its certificate is not encrypted, and the certificate names the cluster (its O).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

import msgspec

from swarmtui.errors import EngineError, SwarmtuiError
from swarmtui.link.manager import Manager
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.target import SshTarget, Target, parse_target
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Info, Node, NodeStatus, host_of
from swarmtui.model.text import one_line
from swarmtui.opening import node_target
from swarmtui.session import Session

if TYPE_CHECKING:
    from swarmtui.backups.raft.certificates import Identity
    from swarmtui.link.engine import Engine

SECONDS = 45.0
"""How long one manager may take to be asked: an engine that was just started answers after 20 s (swarm-dr.md §6)."""
FILE_SECONDS = 15.0
STATE_SECONDS = 4.0
BUSY_SECONDS = 30.0
"""Longer than any engine takes that answers at all."""
ROUNDS = 3
"""How often managers lead to others: the first leads to all of them as a rule."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A manager as it was found.

    Attributes:
        name: hostname, else where it was asked.
        node_id: "" where nobody tells.
        target: where it is reached, as `parse_target` reads it.
        state: LocalNodeState: locked, active, pending, error, inactive; "" where it could not be asked.
        why: why it could not be asked, and what to do; "" when it was.
        cluster_id: id of the Swarm, from its own certificate or answer; "" where neither tells.
    """

    name: str
    target: str
    node_id: str = ""
    state: str = ""
    why: str = ""
    cluster_id: str = ""


async def look(session: Session, only: Iterable[str] = ()) -> tuple[Seen, ...]:
    """Asks every manager that is known, all at once; one that two names lead to stands there once.

    Args:
        only: targets to ask, in place of all.
    """
    snapshot = session.snapshot
    waiting: dict[str, Node | None] = dict.fromkeys(only) if only else _known(session, snapshot)
    asked: dict[str, tuple[Seen, str]] = {}
    for _ in range(ROUNDS):
        fresh = {text: node for text, node in waiting.items() if text not in asked}
        if not fresh:
            break
        answers = await asyncio.gather(*(_ask(session, text, node) for text, node in fresh.items()))
        waiting = {}
        for text, (seen, engine_id, peers) in zip(fresh, answers, strict=True):
            asked[text] = (seen, engine_id)
            if not only:
                waiting.update((str(node_target(session.opening, peer)), peer) for peer in peers)
        # One that has answered is not looked for again at the address that the others know it by.
        there = {seen.node_id for seen, _ in asked.values() if seen.state}
        waiting = {text: peer for text, peer in waiting.items() if peer is None or peer.id not in there}
    return _each_once(asked.values())


def _known(session: Session, snapshot: Snapshot) -> dict[str, Node | None]:
    """Target → the node it should be, where that is known."""
    found: dict[str, Node | None] = {str(target): None for target in session.opening.targets}
    if any(isinstance(target, SshTarget) for target in session.opening.targets):
        for node in snapshot.nodes.values():
            if node.is_voter or node.spec.role == "manager":
                found[str(node_target(session.opening, node))] = node
    return found


def target_of(session: Session, text: str) -> Target:
    """The target that a text stands for; one with TLS files is among those that were opened. Raises UsageError."""
    return next((target for target in session.opening.targets if str(target) == text), None) or parse_target(text)


@contextlib.asynccontextmanager
async def reached(session: Session, text: str) -> AsyncIterator[Engine]:
    """A manager's own engine, whatever its state.

    Raises:
        LinkError: there is no way to it.
    """
    target = target_of(session, text)
    if isinstance(target, SshTarget):
        yield await session.engine_of(target)
        return
    manager = await Manager.open(target, session.opening.ssh, session.person)
    try:
        yield manager.engine
    finally:
        await manager.close()


async def _ask(session: Session, text: str, node: Node | None) -> tuple[Seen, str, list[Node]]:
    name = one_line(node.name if node is not None else host_of(text.rpartition("@")[2].removeprefix("ssh://")))
    node_id = node.id if node is not None else ""
    try:
        async with asyncio.timeout(SECONDS), reached(session, text) as engine:
            info = await engine.info()
            cluster_id, own_id, peers = await _files(session, text, info)
    except TimeoutError:
        why = f"{name} did not answer within {SECONDS:g} s."
        return Seen(name=name, target=text, node_id=node_id, why=why), "", []
    except SwarmtuiError as error:
        return Seen(name=name, target=text, node_id=node_id, why=str(error)), "", []
    seen = Seen(
        name=one_line(info.name) or name,
        target=text,
        node_id=info.swarm.node_id or own_id or node_id,
        state=info.swarm.local_node_state or "inactive",
        cluster_id=cluster_id,
    )
    # Hosts that were cloned may share an engine id.
    return seen, f"{info.id} {info.name} {info.swarm.node_addr}", peers


async def _files(session: Session, text: str, info: Info) -> tuple[str, str, list[Node]]:
    """The ids of the cluster and of the node, and the other managers: what it says, else what is in its files."""
    cluster = info.swarm.cluster
    peers = [
        Node(id=peer.node_id, status=NodeStatus(addr=host_of(peer.addr)))
        for peer in info.swarm.remote_managers or ()
        if peer.addr
    ]
    if cluster is not None and cluster.id:
        return cluster.id, info.swarm.node_id, peers
    target = target_of(session, text)
    if not isinstance(target, SshTarget) or info.swarm.local_node_state not in ("locked", "pending", "error"):
        return "", "", peers
    folder = f"{info.docker_root_dir or '/var/lib/docker'}/swarm"
    certificate, remotes = await asyncio.gather(
        *(read_file(session, target, f"{folder}/{name}") for name in ("certificates/swarm-node.crt", "state.json"))
    )
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        peers += [
            Node(id=str(peer.get("node_id", "")), status=NodeStatus(addr=host_of(str(peer["addr"]))))
            for peer in json.loads(remotes)
            if peer.get("addr")
        ]
    who = await asyncio.to_thread(identity, certificate)
    return (who.cluster_id, who.node_id, peers) if who is not None else ("", "", peers)


async def read_file(session: Session, target: SshTarget, path: str) -> str:
    """A small file on the host, with sudo where we may; "" where it cannot be read."""
    quoted = shlex.quote(path)
    with contextlib.suppress(LinkError):
        host = await session.reach(target)
        for command in (f"cat {quoted}", f"sudo -n cat {quoted}"):
            completed = await host.run(command, timeout=FILE_SECONDS)
            if completed.code == 0:
                return completed.out
    return ""


def identity(pem: str) -> Identity | None:
    """Who a node is by its certificate; None where there is none that can be read."""
    from swarmtui.backups.raft import certificates

    try:
        return certificates.identity(certificates.parse(pem.encode()))
    except certificates.CertificateError:
        return None


def _each_once(asked: Iterable[tuple[Seen, str]]) -> tuple[Seen, ...]:
    """One that answered under two names stands there once, and not again among those that did not answer; of the ways
    that one did not answer on, the first."""
    asked = tuple(asked)
    answered: dict[str, Seen] = {}
    for seen, engine_id in asked:
        if seen.state:
            key = engine_id or seen.target
            before = answered.get(key)
            answered[key] = seen if before is None or (seen.node_id and not before.node_id) else before
    there = {seen.node_id for seen in answered.values() if seen.node_id}
    silent: dict[str, Seen] = {}
    for seen, _ in asked:
        if not seen.state and seen.node_id not in there:
            silent.setdefault(seen.node_id or seen.target, seen)
    return tuple(sorted((*answered.values(), *silent.values()), key=lambda seen: (seen.name, seen.target)))


async def info_of(engine: Engine, seconds: float = STATE_SECONDS) -> Info | None:
    """What its engine says of itself; None while it does not answer in time. Raises LinkError.

    A locked engine answers at once. One that looks for the other managers takes 20 s for it (swarm-dr.md §4), and those
    are not waited for: it is not locked.
    """
    try:
        async with asyncio.timeout(seconds):
            return await engine.info()
    except (EngineError, TimeoutError):
        return None


def lost(error: LinkError) -> bool:
    """Whether the way to a host was there a moment ago, or may be in a moment: its Docker is being started, say."""
    return error.reason in (Reason.CONNECTION_LOST, Reason.TIMEOUT, Reason.DOCKER_DOWN, Reason.NO_SOCKET)
