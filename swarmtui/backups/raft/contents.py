"""What is known of a Swarm's directory after looking inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swarmtui.model.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Problem:
    """One damage, or one thing to know before a restore.

    Attributes:
        id: stable, such as "wal-crc" (backups/raft/damage.py has them all).
        what: one sentence: what is wrong, and in which file.
        docker: one sentence: what a real dockerd does with it (swarm-dr.md §1).
        fatal: a restore would not give back the Swarm that was backed up.
    """

    id: str
    what: str
    docker: str
    fatal: bool

    def __str__(self) -> str:
        return f"{self.what} {self.docker}".strip()


@dataclass(frozen=True, slots=True)
class Member:
    """A manager as raft knows it.

    Attributes:
        address: host:port as raft keeps it; after a restore at another IP this is still the old one.
    """

    raft_id: int
    node_id: str
    address: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a Swarm's directory, as far as it could be read.

    What was not found is empty, 0 or None; `problems` says why.

    Attributes:
        locked: the key file is encrypted: its Swarm has autolock.
        kek_version: which unlock key locks it: the cluster's version when the key was made, or when autolock was
            turned off.
        opened: the raft log was decrypted, replayed, and could be read to its end.
        opened_by: the fingerprint of the unlock key that opened the key file; empty where none was needed or fitted.
        node_id: of the certificate.
        role: "manager" or "worker", of the certificate.
        cluster_id: of the certificate.
        not_before, not_after: of the certificate, unix seconds.
        root_digest: SHA-256 of the root CA's certificate file, in hex: join tokens and the store know the CA by it.
        raft_id, address: this manager as its raft log names it.
        term, commit: raft's hard state.
        last_index: of the last entry in the log; entries after `commit` were never agreed on and are not in here.
        snapshot_index: of the snapshot the log builds on; 0 where it builds on none.
        members: the managers at `commit`.
        inventory: what is in the Swarm, by name, at `commit`.
        objects: as the engine API would give them, by "swarm", "nodes", "services", "networks", "secrets", "configs".
            Without anything that only a running Swarm knows, and never with the data of a secret.
    """

    locked: bool = False
    kek_version: int = 0
    opened: bool = False
    opened_by: str = ""
    node_id: str = ""
    role: str = ""
    cluster_id: str = ""
    not_before: float = 0.0
    not_after: float = 0.0
    root_digest: str = ""
    raft_id: int = 0
    address: str = ""
    term: int = 0
    commit: int = 0
    last_index: int = 0
    snapshot_index: int = 0
    members: tuple[Member, ...] = ()
    inventory: Inventory | None = None
    problems: tuple[Problem, ...] = ()
    objects: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """Only what stands in the way of a restore."""
        return tuple(problem for problem in self.problems if problem.fatal)
