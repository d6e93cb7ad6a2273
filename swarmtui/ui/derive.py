"""From a snapshot to everything the screen shows, away from the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from swarmtui.model.dtr.status import Cluster, cluster, runs_dtr
from swarmtui.model.health import Finding, alarms, findings
from swarmtui.model.quorum import Quorum, quorum
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.ucp.status import product
from swarmtui.ui.cells import Rows
from swarmtui.ui.views import Env, Maker, view


@dataclass(frozen=True, slots=True)
class Derived:
    """What is shown of one snapshot.

    Attributes:
        rows: view → its rows, for the views that were on the screen.
        env: what the rows depended on besides the snapshot.
        ucp: what people call the UCP that manages the Swarm; "" where there is none.
        dtr: its DTR; None where there is none.
    """

    snapshot: Snapshot
    quorum: Quorum
    leader: str
    ready: int
    findings: tuple[Finding, ...]
    alarms: int
    rows: Mapping[str, Rows]
    env: Env
    ucp: str = ""
    dtr: Cluster | None = None


class Deriver:
    """Derives one snapshot after another; not thread-safe, one call at a time."""

    def __init__(self) -> None:
        self._makers: dict[str, Maker] = {}
        self._last: Derived | None = None

    def __call__(self, snapshot: Snapshot, env: Env, names: Iterable[str] = ("nodes",)) -> Derived:
        """Derives what these views show, and what the header does."""
        last = self._last
        if last is None or last.snapshot is not snapshot:  # else somebody only looks at another view of it
            found = tuple(findings(snapshot, now=env.now, zone_label=env.zone_label))
            last = Derived(
                snapshot=snapshot,
                quorum=quorum(snapshot.nodes.values()),
                leader=next((node.name for node in snapshot.nodes.values() if node.is_leader), ""),
                ready=sum(node.is_ready for node in snapshot.nodes.values()),
                findings=found,
                alarms=len(alarms(list(found))),
                rows={},
                env=env,
                ucp=product(snapshot),
                dtr=cluster(snapshot) if runs_dtr(snapshot) else None,
            )
        env = replace(env, findings=last.findings)
        self._last = replace(last, rows={name: self._maker(name)(snapshot, env) for name in names}, env=env)
        return self._last

    def _maker(self, name: str) -> Maker:
        maker = self._makers.get(name)
        if maker is None:
            maker = self._makers[name] = view(name).maker()
        return maker
