"""From a snapshot to everything the screen shows, away from the event loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from swarmtui.model.health import Finding, alarms, findings
from swarmtui.model.quorum import Quorum, quorum
from swarmtui.model.swarm import Snapshot
from swarmtui.ui.cells import Row
from swarmtui.ui.panes.nodes import NodeRows
from swarmtui.ui.panes.services import ServiceRows


@dataclass(frozen=True, slots=True)
class Derived:
    """What is shown of one snapshot."""

    snapshot: Snapshot
    quorum: Quorum
    leader: str
    ready: int
    findings: tuple[Finding, ...]
    alarms: int
    nodes: Mapping[str, Row]
    services: Mapping[str, Row]


class Deriver:
    """Derives one snapshot after another; not thread-safe, one call at a time."""

    def __init__(self, zone_label: str) -> None:
        self._zone_label = zone_label
        self._nodes = NodeRows(zone_label)
        self._services = ServiceRows()

    def __call__(self, snapshot: Snapshot, through: str) -> Derived:
        now = time.time()
        found = findings(snapshot, now=now, zone_label=self._zone_label)
        return Derived(
            snapshot=snapshot,
            quorum=quorum(snapshot.nodes.values()),
            leader=next((node.name for node in snapshot.nodes.values() if node.is_leader), ""),
            ready=sum(node.is_ready for node in snapshot.nodes.values()),
            findings=tuple(found),
            alarms=len(alarms(found)),
            nodes=self._nodes(snapshot, now=now, through=through),
            services=self._services(snapshot),
        )
