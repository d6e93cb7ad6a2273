"""What happened: every manager that anybody names is looked at over SSH, also when no Swarm answers. Changes nothing.

The Docker socket of a host is not touched before systemd has said that Docker runs: docker.socket would start it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import shlex
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO

import msgspec

from swarmtui.config.remembered import NodeKept, Remembered
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.link.ssh import SshHost
from swarmtui.link.streaming import StreamError, stream
from swarmtui.link.target import SshTarget, parse_target
from swarmtui.link.together import together
from swarmtui.model.swarm import Node, NodeDescription, NodeStatus, SwarmInfo, host_of
from swarmtui.model.text import one_line
from swarmtui.opening import node_target
from swarmtui.runbooks.swarm.building import probes
from swarmtui.runbooks.swarm.managers import identity, read_file
from swarmtui.runbooks.swarm.recovery.data_root import DEFAULT, data_root
from swarmtui.runbooks.swarm.rejoining.rejoin_facts import HostSeen, Where, look_at, where
from swarmtui.session import Session

ROUNDS = 3
"""How often managers lead to others: the first leads to all of them as a rule."""
QUESTION_SECONDS = 15.0
SOON_SECONDS = 12.0
COLUMNS = ("ID", "Hostname", "ManagerStatus", "Status")
LIST_SECONDS = 25.0
"""Without a leader it takes 20 s to say so (swarm-dr.md §4)."""
FULL_BYTES = 10 << 20
"""A disk with less than 10 MiB free: raft cannot write its next record of a preallocated file."""
TRIES = 2
"""Of reading a log that its Docker may be writing: caught where a file is just made, it is read once more."""
WAL_TAR = "tar --create --gzip --directory={folder} --file=- raft/wal-v3-encrypted"
"""Compressed: Docker makes its log in files of 64 MB that are all there from the start, nearly all of it zeros. Two of
them are 128 MB over a line that may be slow, for what fits into 100 kB."""


class Listed(msgspec.Struct, frozen=True):
    """A node as `docker node ls` tells it.

    Attributes:
        status: of a manager: Leader, Reachable, Unreachable; "" for none, and for a worker.
        state: Ready, Down, Unknown or Disconnected.
    """

    id: str
    hostname: str
    status: str
    state: str = ""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host as it was looked at.

    Attributes:
        peers: the other managers, as it knows them: node id → address.
        listed, workers: what `docker node ls` says of the managers and of the workers, where it answers.
        offset: by how many seconds its clock is ahead of ours; 0.0 where it could not be read.
        expires: when its certificate does, unix seconds; 0.0 where it could not be read.
        root: the data root of its Docker.
    """

    name: str
    seen: HostSeen
    node_id: str = ""
    cluster_id: str = ""
    peers: dict[str, str] = msgspec.field(default_factory=dict)
    listed: tuple[Listed, ...] = ()
    workers: tuple[Listed, ...] = ()
    offset: float = 0.0
    disk_full: bool = False
    expires: float = 0.0
    root: str = DEFAULT

    @property
    def knows(self) -> bool:
        """It tells of other managers, or that it is alone."""
        return bool(self.peers or self.listed)


async def look_around(session: Session, memory: Sequence[Remembered] = ()) -> tuple[list[Host], Remembered | None]:
    """Looks at every manager that the configuration, the last snapshot or another manager names; each once.

    Args:
        memory: what is remembered of the cluster, that which was seen last first: where nobody tells of the managers,
            those that it names are looked at.

    Returns:
        The hosts, and what of the memory was used.
    """
    waiting = _known(session)
    asked: dict[str, Host] = {}
    peers: dict[str, Node] = {}
    used: Remembered | None = None
    # One round more than managers lead to each other: the memory is asked when nobody led anywhere.
    for _ in range(ROUNDS + 1):
        fresh = {text: node for text, node in waiting.items() if text not in asked}
        if not fresh:
            break
        hosts = await asyncio.gather(*(_look(session, text, node) for text, node in fresh.items()))
        asked.update(zip(fresh, hosts, strict=True))
        there = {host.node_id for host in asked.values() if not host.seen.trouble}
        used = _fitting(memory, asked.values())
        names = {node.id: node.name for node in used.nodes} if used is not None else {}
        peers |= {str(node_target(session.opening, peer)): peer for h in asked.values() for peer in _peers(h, names)}
        waiting = {text: peer for text, peer in peers.items() if peer.id not in there}
        if used is not None and not session.snapshot.nodes and not any(host.knows for host in asked.values()):
            waiting = {one.target: one.node for one in used.managers if one.target and one.id not in there}
    known = {text: (peer.id, "") for text, peer in peers.items()}
    if used is not None:
        known = {one.target: (one.id, one.name) for one in used.managers if one.target} | known
    for text, host in asked.items():
        if not host.node_id and text in known and host.seen.trouble:
            node_id, name = known[text]
            asked[text] = msgspec.structs.replace(host, node_id=node_id, name=one_line(name) or host.name)
    found = _each_once(asked.values())
    return [*found, *await _rivals(session, found, used)], used


async def _rivals(session: Session, hosts: Sequence[Host], memory: Remembered | None) -> list[Host]:
    """Former managers that lead, or follow, a second Swarm of the same id; others of them do not matter any more."""
    known = {host.node_id for host in hosts} | {one.id for host in hosts for one in host.listed}
    led = any(host.listed for host in hosts)
    if memory is None or not led:
        return []
    former = [one for one in (*memory.managers, *memory.former) if one.target and one.id not in known]
    looked = [host for host in await asyncio.gather(*(_soon(session, one) for one in former)) if host is not None]
    cluster_ids = {host.cluster_id for host in hosts if host.listed}
    there = {host.seen.at.target for host in hosts}
    return [
        host
        for host in looked
        if host.listed
        and host.cluster_id in cluster_ids
        and host.node_id not in known
        and host.seen.at.target not in there
    ]


def _fitting(memory: Sequence[Remembered], hosts: Iterable[Host]) -> Remembered | None:
    """What is remembered of the Swarm that the hosts are in; the newest where none of them tells."""
    told = {host.cluster_id for host in hosts if host.cluster_id}
    return next((known for known in memory if not told or known.cluster_id in told), None)


def _known(session: Session) -> dict[str, Node | None]:
    found: dict[str, Node | None] = {
        str(target): None for target in session.opening.targets if isinstance(target, SshTarget)
    }
    if found:
        for node in session.snapshot.nodes.values():
            if node.is_voter or node.spec.role == "manager":
                found[str(node_target(session.opening, node))] = node
    return found


def _peers(host: Host, names: Mapping[str, str]) -> list[Node]:
    listed = {**names, **{one.id: one.hostname for one in host.listed}}
    return [
        Node(
            id=node_id,
            description=NodeDescription(hostname=listed.get(node_id, "")),
            status=NodeStatus(addr=address),
        )
        for node_id, address in host.peers.items()
    ]


async def _soon(session: Session, one: NodeKept) -> Host | None:
    """A host that answers soon; others are not waited for: they are probably gone."""
    try:
        async with asyncio.timeout(SOON_SECONDS):
            return await _look(session, one.target, one.node)
    except TimeoutError:
        return None


async def _look(session: Session, text: str, node: Node | None) -> Host:
    target = parse_target(text)
    assert isinstance(target, SshTarget)
    name = one_line(node.hostname if node is not None and node.hostname else host_of(target.host))
    at = where(session, name, target)
    seen = await look_at(session, at)
    if seen.trouble:
        return Host(name=name, seen=seen, node_id=node.id if node is not None else "")
    try:
        return await _asked(session, name, seen, await at.reach(session))
    except LinkError as error:
        return Host(name=name, seen=msgspec.structs.replace(seen, trouble=error.what))


async def _asked(session: Session, name: str, seen: HostSeen, host: SshHost) -> Host:
    swarm = seen.swarm
    root = await data_root(host, seen)
    began = time.time()
    folder = f"{root}/swarm"
    hostname, clock, disk, certificate, remotes, managers, workers = await together(
        host.run("hostname", timeout=QUESTION_SECONDS),
        host.run(probes.CLOCK, timeout=QUESTION_SECONDS),
        host.run(probes.free_space(root), timeout=QUESTION_SECONDS),
        read_file(session, seen.at.ssh, f"{folder}/certificates/swarm-node.crt"),
        read_file(session, seen.at.ssh, f"{folder}/state.json"),
        _listed(host, seen, swarm, "manager"),
        _listed(host, seen, swarm, "worker"),
    )
    who = await asyncio.to_thread(identity, certificate)
    free = probes.free_bytes(disk.out)
    peers = {peer.node_id: host_of(peer.addr) for peer in swarm.remote_managers or () if peer.addr}
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        told: list[dict[str, Any]] = json.loads(remotes)
        peers |= {str(p["node_id"]): host_of(str(p["addr"])) for p in told if p.get("addr") and p.get("node_id")}
    return Host(
        name=one_line(hostname.out.strip()) or name,
        seen=seen,
        node_id=swarm.node_id or (who.node_id if who else ""),
        cluster_id=seen.cluster_id or (who.cluster_id if who else ""),
        peers=peers,
        listed=managers,
        workers=workers,
        offset=_offset(clock.out, began, time.time()),
        disk_full=free is not None and free < FULL_BYTES,
        expires=who.not_after if who else 0.0,
        root=root,
    )


async def _listed(host: SshHost, seen: HostSeen, swarm: SwarmInfo, role: str) -> tuple[Listed, ...]:
    """The nodes of a role, where there is a leader to ask."""
    if seen.docker_down or seen.silent or not swarm.control_available or swarm.error:
        return ()
    line = f"docker node ls --filter role={role} --format '{{{{json .}}}}'"
    try:
        told = await host.run(seen.at.root(line), timeout=LIST_SECONDS)
    except LinkError:
        return ()
    found = []
    for text in told.out.splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            row = json.loads(text)
            found.append(Listed(*(one_line(str(row.get(key, ""))) for key in COLUMNS)))
    return tuple(found)


async def raft_index(session: Session, at: Where, root: str = DEFAULT) -> int:
    """Index of the last entry in a manager's raft log, whatever its Docker does; -1 where it cannot be read.

    The entries are encrypted, their numbers are not: no key is needed. A log that grows meanwhile may be cut off inside
    its last entry, which no other manager can have agreed on yet.
    """
    for _ in range(TRIES):
        # A hot tar exits 1 where a file changed under it; what came is good all the same.
        with tempfile.TemporaryFile() as taken:
            try:
                await stream(
                    await at.reach(session), at.root(WAL_TAR.format(folder=shlex.quote(f"{root}/swarm"))), sink(taken)
                )
            except LinkError as error:
                if error.reason is not Reason.CONNECTION_LOST:
                    return -1  # it was waited for already; a connection that was lost is made again
            except StreamError:
                pass
            if (index := await asyncio.to_thread(_last_index, taken)) >= 0:
                return index
    return -1


def sink(file: BinaryIO) -> Callable[[bytes], None]:
    """What writes batches to a file."""

    def take(batch: bytes) -> None:
        file.write(batch)

    return take


def _last_index(taken: BinaryIO) -> int:
    from swarmtui.backups.archive import ArchiveFiles
    from swarmtui.backups.errors import ArchiveError
    from swarmtui.backups.raft import read

    with tempfile.TemporaryFile() as plain:
        taken.seek(0)
        try:
            # What came before the connection was lost is good as far as it goes.
            with gzip.open(taken) as packed, contextlib.suppress(EOFError):
                shutil.copyfileobj(packed, plain, 1 << 20)
            return read(ArchiveFiles(plain)).last_index or -1
        except (ArchiveError, OSError, zlib.error):
            return -1


def _offset(text: str, began: float, ended: float) -> float:
    shown = probes.clock(text)
    return shown[0] - (began + ended) / 2 if shown is not None else 0.0


def _each_once(hosts: Iterable[Host]) -> list[Host]:
    """One host that two names lead to stands there once, and not again among those that nobody got to.

    A manager that nobody got to may stand there twice: by the name in the configuration, without an id, and by the id
    and address that the others know, without a name. Who is who is not known then; how many there are is.
    """
    hosts = list(hosts)
    reached: dict[str, Host] = {}
    for host in hosts:
        if not host.seen.trouble:
            reached.setdefault(host.node_id or _machine(host), host)
    by_id: dict[str, Host] = {}
    for host in hosts:
        if host.seen.trouble and host.node_id and host.node_id not in reached:
            by_id.setdefault(host.node_id, host)
    raft = {node_id for host in reached.values() for node_id in host.peers}
    names = {host.name for host in by_id.values()}
    nameless = [host for host in hosts if host.seen.trouble and not host.node_id and host.name not in names]
    if not raft:
        return [*reached.values(), *by_id.values(), *nameless]
    unknown = [node_id for node_id, host in by_id.items() if host.name in _raft_addresses(reached.values())]
    for node_id, host in zip(unknown, nameless, strict=False):
        by_id[node_id] = msgspec.structs.replace(host, node_id=node_id)
    return [*reached.values(), *by_id.values()]


def _machine(host: Host) -> str:
    """Which machine it is, where its Docker says nothing: its own name, and all of its addresses.

    The configuration may name it by its address, and the ssh configuration by its name.
    """
    addresses = host.seen.addresses
    return f"{host.name} {' '.join(sorted(addresses))}" if addresses else host.seen.at.target


def _raft_addresses(hosts: Iterable[Host]) -> frozenset[str]:
    """The addresses by which hosts know the other managers."""
    return frozenset(address for host in hosts for address in host.peers.values())
