"""The nodes pane: procedures.md row B3, with tasks, zone, engine, address and certificate."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.ui.cells import Cell, Column, Row, Rows, labels_cell, natural
from swarmtui.ui.describe import Lines, gone, node_lines
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, View, known

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

DAY = 86_400.0
THROUGH = " ←"
"""Behind the name of the node we talk through."""

COLUMNS = (
    Column("name", "NODE", min_width=8, max_width=32, flex=1),
    Column("state", "STATE", priority=90),
    Column("availability", "AVAIL", priority=85),
    Column("manager", "MANAGER", priority=95),
    Column("tasks", "TASKS", align="right", priority=70),
    Column("zone", "ZONE", max_width=14, priority=50),
    Column("engine", "ENGINE", max_width=14, priority=40),
    Column("address", "ADDRESS", max_width=39, priority=60),
    Column("certificate", "CERT", align="right", priority=45, quiet=True),
    Column("cpus", "CPUS", align="right", wide=True, priority=20),
    Column("memory", "MEM", align="right", wide=True, priority=20),
    Column("platform", "PLATFORM", max_width=16, wide=True, priority=15),
    Column("labels", "LABELS", max_width=60, wide=True, priority=10),
    Column("message", "MESSAGE", max_width=60, wide=True, priority=12),
    Column("id", "ID", width=25, wide=True, priority=5),
)

STALE = frozenset({"stale-hostname", "stale-address"})
"""Rules of model/health that find what a host left behind that joined again."""
_STATE_STYLES = {"ready": "good", "down": "bad", "disconnected": "bad", "unknown": "warn"}
_AVAILABILITY_STYLES = {"active": "", "pause": "warn", "drain": "warn"}


class NodeRows:
    """Makes the rows of the nodes pane."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        tasks_known = known(snapshot, "tasks")
        running = Counter(task.node_id for task in snapshot.tasks.values() if task.is_wanted)
        stale = {finding.node_id for finding in env.findings if finding.rule in STALE}
        bases: dict[str, tuple[Node, int | None, int | None, bool, bool, bool, str]] = {}
        for node in snapshot.nodes.values():
            expires = snapshot.certificates.get(node.id)
            bases[node.id] = (
                node,
                running[node.id] if tasks_known else None,
                int((expires - env.now) // DAY) if expires is not None else None,
                node.id == env.through,
                node.id in stale,
                node.id in snapshot.locked,
                env.zone_label,
            )
        return self._kept.rows(bases)


def _row(
    node: Node, tasks: int | None, days: int | None, through: bool, stale: bool, locked: bool, zone_label: str
) -> Row:
    name = one_line(node.name)
    resources = node.description.resources
    platform = node.description.platform
    manager, manager_style, rank = ("Locked", "bad", 2) if locked else _manager(node)
    return (
        Cell(name + THROUGH if through else name, "strong" if node.is_voter else "", natural(name)),
        Cell(
            (one_line(node.status.state) or "?") + (", stale" if stale else ""),
            _STATE_STYLES.get(node.status.state, "warn"),
        ),
        Cell(one_line(node.spec.availability), _AVAILABILITY_STYLES.get(node.spec.availability, "warn")),
        Cell(manager, manager_style, (rank, natural(name))),
        Cell("?" if tasks is None else str(tasks), "dim" if not tasks else "", tasks or 0),
        Cell(one_line(node.labels.get(zone_label, "")) or "-"),
        Cell(one_line(node.description.engine.engine_version) or "-"),
        Cell(one_line(node.address) or "-"),
        _certificate(days),
        Cell(f"{resources.nano_cpus / 1e9:g}", "", resources.nano_cpus),
        Cell(f"{resources.memory_bytes / 2**30:.1f}G", "", resources.memory_bytes),
        Cell(one_line(f"{platform.os}/{platform.architecture}")),
        labels_cell(node.labels),
        Cell(one_line(node.status.message) or "-", "dim"),
        Cell(one_line(node.id), "dim"),
    )


def _manager(node: Node) -> tuple[str, str, int]:
    """What the column says, its style, and its rank when sorted by it."""
    if node.is_leader:
        return "Leader", "good strong", 0
    if node.is_voter:
        if node.spec.role == "worker":
            return "Leaving", "warn", 3
        return ("Reachable", "good", 1) if node.is_reachable else ("Unreachable", "bad", 2)
    if node.spec.role == "manager":
        return "Joining", "warn", 4
    return "-", "dim", 5


def _certificate(days: int | None) -> Cell:
    if days is None:
        return Cell("-", "dim", 1 << 30)
    if days < 0:
        return Cell("expired", "bad", days)
    return Cell(f"{days}d", "bad" if days < 2 else "warn" if days < 14 else "", days)


def _facets(snapshot: Snapshot, key: str) -> Facets:
    node = snapshot.nodes.get(key)
    return Facets(node=(node.name, node.id), labels=node.labels) if node is not None else NO_FACETS


def _describe(derived: Derived, key: str) -> Lines:
    node = derived.snapshot.nodes.get(key)
    if node is None:
        return gone("node")
    return node_lines(node, derived.snapshot, derived.findings)


VIEW = View(
    name="nodes",
    one="node",
    columns=COLUMNS,
    maker=NodeRows,
    describe=_describe,
    reads=("nodes", "tasks"),
    path=lambda snapshot, key: f"/nodes/{key}",
    facets=_facets,
)
