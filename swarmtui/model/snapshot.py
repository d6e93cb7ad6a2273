"""The Snapshot: all that is known of a cluster at one moment, and how fresh each part of it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from swarmtui.model.services import Service, Task
from swarmtui.model.swarm import Info, Node

if TYPE_CHECKING:
    from swarmtui.model.backups import BackupHolding
    from swarmtui.model.dtr.seen import DtrSeen
    from swarmtui.model.objects import Config, Network, Secret, Volume
    from swarmtui.model.ucp.status import UcpSeen


class Reading(Struct, frozen=True):
    """How fresh one collection of a snapshot is.

    Attributes:
        at: when it was last read whole, seconds since the epoch; 0.0 for never.
        trouble: why the newest attempt failed, one sentence; "" when it did not.
    """

    at: float = 0.0
    trouble: str = ""

    @property
    def known(self) -> bool:
        return self.at > 0.0


COLLECTIONS = ("nodes", "services", "tasks")
"""What is read all the time."""
ON_DEMAND = ("networks", "secrets", "configs", "volumes")
"""What is only read while somebody wants it (`Session.want`)."""
UCP = "ucp"
"""What is read of UCP: of its managers always, of all nodes while somebody wants it."""
DTR = "dtr"
"""What is read of DTR: oftener while somebody wants it."""


class KeyHolding(Struct, frozen=True):
    """Whether the vault has the key that unlocks the managers. No key is in it.

    Attributes:
        state: held: the vault has the cluster's key; differs: it has keys of this cluster, but not this one; missing:
            it has none; off: autolock is off; unknown: the vault cannot be read.
        fingerprint: of the cluster's key, where it is held.
        where: where the vault keeps keys, in plain words.
        durable: whether the key outlives this program.
        trouble: why it is unknown.
        at: when it first was found so, seconds since the epoch; 0.0 where there was nothing to compare.
    """

    state: str = "unknown"
    fingerprint: str = ""
    where: str = ""
    durable: bool = False
    trouble: str = ""
    at: float = 0.0


class Snapshot(Struct, frozen=True):
    """All we know of a cluster at one moment. What could not be read keeps its last value; `readings` says how
    old it is.

    Attributes:
        seq: grows by one with every snapshot of a session.
        taken_at: seconds since the epoch.
        source: name of the manager it was read through.
        cluster_id: id of the Swarm, "" until known.
        certificates: node id → time its certificate expires, seconds since the epoch, where known.
        networks: those of the Swarm, and the local ones of the engine in use.
        volumes: name → volume, on the engine in use only.
        locked: ids of the managers that are locked, as far as their own engines could be asked.
        rivals: names of the managers that follow another leader, as far as they could be asked: a second Swarm lives.
        unlock_key: whether the vault has the cluster's unlock key; None until somebody compared.
        backups: what the catalogue has of it; None until somebody looked.
        ucp: what was read of UCP beside the polls; None where there is none, or nobody looked.
        dtr: what was read of DTR; None as well.
    """

    seq: int = 0
    taken_at: float = 0.0
    source: str = ""
    info: Info = Info()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    readings: Mapping[str, Reading] = field(default_factory=dict)
    certificates: Mapping[str, float] = field(default_factory=dict)
    cluster_id: str = ""
    networks: Mapping[str, Network] = field(default_factory=dict)
    secrets: Mapping[str, Secret] = field(default_factory=dict)
    configs: Mapping[str, Config] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    unlock_key: KeyHolding | None = None
    locked: frozenset[str] = frozenset()
    rivals: frozenset[str] = frozenset()
    backups: BackupHolding | None = None
    ucp: UcpSeen | None = None
    dtr: DtrSeen | None = None

    @property
    def complete(self) -> bool:
        """Nodes, services and tasks were read at least once, and the newest attempt at each succeeded."""
        return all((r := self.readings.get(c)) is not None and r.known and not r.trouble for c in COLLECTIONS)

    @property
    def nodes_known(self) -> bool:
        return (reading := self.readings.get("nodes")) is not None and reading.known

    def oldest(self) -> float:
        """When the stalest collection was read, seconds since the epoch; 0.0 when one never was."""
        return min((self.readings[c].at if c in self.readings else 0.0) for c in COLLECTIONS)

    def is_live(self, task: Task) -> bool:
        """Whether a task really runs: one on a node that is down, or that is no more, reads "running" all the same.

        After a forced cluster the engine's own counts include those (swarm-dr.md, trap 4).
        """
        return task.runs and (node := self.nodes.get(task.node_id)) is not None and node.is_ready

    def tasks_on(self, node_id: str) -> list[Task]:
        return [task for task in self.tasks.values() if task.node_id == node_id]
