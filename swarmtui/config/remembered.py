"""The nodes of each cluster as they were last seen, kept on this machine: whom to look at when no manager answers.

One small file for each cluster, without anything secret: names, ids, addresses, and where each host is reached.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from swarmtui.config import state_dir
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import ManagerStatus, Node, NodeDescription, NodeSpec, NodeStatus, Role

SCHEMA = 1
LARGEST = 16 << 20
"""Bytes of a file that are read: 20,000 nodes fit."""
CLUSTERS = 64
"""How many clusters are remembered; of more, the one that was not seen for longest is forgotten."""
FORMER = 16
FORMER_SECONDS = 7 * 86_400.0
"""How many former managers are remembered, and for how long."""
_ID = re.compile(r"[A-Za-z0-9]{1,64}")


class NodeKept(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it was last seen.

    Attributes:
        target: where it is reached over SSH.
        gone_at: since when it is no node any more, unix seconds; 0.0 for one that is.
    """

    id: str
    name: str
    address: str = ""
    manager: bool = False
    target: str = ""
    gone_at: float = 0.0

    @property
    def node(self) -> Node:
        """As the engine API would give it, as far as it is known."""
        return Node(
            id=self.id,
            spec=NodeSpec(role=Role.MANAGER if self.manager else Role.WORKER),
            description=NodeDescription(hostname=self.name),
            status=NodeStatus(addr=self.address),
            manager_status=ManagerStatus(addr=self.address) if self.manager else None,
        )


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as it was last seen.

    Attributes:
        name: what it was opened as.
        seen_at: unix seconds.
        former: managers that were removed in the last days: old ones that come back after a forced cluster form a
            second one (swarm-dr.md §4).
    """

    schema: int = SCHEMA
    cluster_id: str
    name: str
    seen_at: float
    nodes: tuple[NodeKept, ...] = ()
    former: tuple[NodeKept, ...] = ()

    @property
    def managers(self) -> tuple[NodeKept, ...]:
        return tuple(node for node in self.nodes if node.manager)

    @property
    def workers(self) -> tuple[NodeKept, ...]:
        return tuple(node for node in self.nodes if not node.manager)


def remembered_folder() -> Path:
    """Where clusters are remembered."""
    return state_dir() / "clusters"


def seen(snapshot: Snapshot, name: str, now: float, target_of: Callable[[Node], str]) -> Remembered:
    """What is worth remembering of a snapshot.

    Args:
        target_of: where a node's host is reached over SSH; "" where nobody knows.
    """
    return Remembered(
        cluster_id=snapshot.cluster_id,
        name=name,
        seen_at=now,
        nodes=tuple(
            NodeKept(
                id=node.id,
                name=node.name,
                address=node.address,
                manager=node.is_voter or node.spec.role == Role.MANAGER,
                target=target_of(node),
            )
            for node in sorted(snapshot.nodes.values(), key=lambda node: node.id)
        ),
    )


def remember(folder: Path, known: Remembered) -> None:
    """Writes it down, in one rename; managers that it has no more are former ones then. Raises OSError."""
    if not _ID.fullmatch(known.cluster_id):
        return
    if (before := _read(folder / f"{known.cluster_id}.json")) is not None:
        known = msgspec.structs.replace(known, former=_former(known, before))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = folder / f".{known.cluster_id}-{os.getpid()}"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(known))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / f"{known.cluster_id}.json")
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in files[CLUSTERS:]:
        old.unlink(missing_ok=True)


def _former(now: Remembered, before: Remembered) -> tuple[NodeKept, ...]:
    """The managers that are none any more, and whose hosts are no other's now."""
    ids = {node.id for node in now.nodes}
    hosts = {node.target for node in now.nodes}
    gone = [msgspec.structs.replace(node, gone_at=now.seen_at) for node in before.managers]
    kept = [node for node in before.former if node.gone_at > now.seen_at - FORMER_SECONDS]
    there = {node.id: node for node in (*gone, *kept) if node.id not in ids and node.target not in hosts}
    return tuple(list(there.values())[:FORMER])


def former_targets(folder: Path, cluster_id: str) -> tuple[str, ...]:
    """Where the former managers of a cluster are reached."""
    known = _read(folder / f"{cluster_id}.json") if _ID.fullmatch(cluster_id) else None
    return tuple(node.target for node in known.former if node.target) if known is not None else ()


def _read(path: Path) -> Remembered | None:
    """A file; None for one that is not there or cannot be read: what is remembered helps, and nothing rests on it."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        if path.stat().st_size <= LARGEST:
            known = msgspec.json.decode(path.read_bytes(), type=Remembered)
            return known if known.schema == SCHEMA else None
    return None


def recall(folder: Path, name: str, targets: Collection[str]) -> tuple[Remembered, ...]:
    """Every cluster that was opened as this, or has a manager at one of these; the one that was seen last first."""
    found = []
    for path in folder.glob("*.json") if folder.is_dir() else ():
        if (known := _read(path)) is not None:
            there = any(node.target in targets for node in known.managers if node.target)
            if known.name == name or there:
                found.append(known)
    return tuple(sorted(found, key=lambda known: known.seen_at, reverse=True))
