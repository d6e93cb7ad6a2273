"""The services pane: what runs, counted by tasks that live on nodes that are ready (swarm-dr.md, trap 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from swarmtui.model.swarm import Service, Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.cells import Cell, Column, Row, natural

COLUMNS = (
    Column("name", "SERVICE", min_width=10, max_width=40, flex=1),
    Column("mode", "MODE", priority=60),
    Column("running", "RUNNING", align="right", priority=90),
    Column("image", "IMAGE", min_width=10, max_width=60, flex=1, priority=70),
    Column("update", "UPDATE", priority=50),
    Column("ports", "PORTS", max_width=30, priority=40),
)


class ServiceRows:
    """Makes the rows of the services pane; a service that did not change yields the row made before."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[object, Row]] = {}

    def __call__(self, snapshot: Snapshot) -> Mapping[str, Row]:
        ready = {node.id for node in snapshot.nodes.values() if node.is_ready}
        running = Counter(t.service_id for t in snapshot.tasks.values() if t.runs and t.node_id in ready)
        wanted = Counter(t.service_id for t in snapshot.tasks.values() if t.desired_state == "running")
        known = all((r := snapshot.readings.get(name)) is not None and r.known for name in ("nodes", "tasks"))
        made: dict[str, tuple[object, Row]] = {}
        rows: dict[str, Row] = {}
        for service in snapshot.services.values():
            desired = service.replicas if service.replicas is not None else wanted[service.id]
            basis = (service, running[service.id], desired, known)
            before = self._made.get(service.id)
            if before is None or before[0] != basis:
                before = (basis, _row(service, running[service.id], desired, known=known))
            made[service.id] = before
            rows[service.id] = before[1]
        self._made = made
        return rows


def _row(service: Service, running: int, desired: int, *, known: bool) -> Row:
    name = one_line(service.name)
    container = service.spec.task_template.container_spec
    image = one_line(container.image).partition("@")[0] if container else "-"
    ports = service.spec.endpoint_spec.ports if service.spec.endpoint_spec else None
    shown = ", ".join(f"{p.published_port}->{p.target_port}/{p.protocol}" for p in ports or [] if p.published_port)
    short = running < desired and not service.is_job
    mode = ("global" if service.is_global else "replicated") + ("-job" if service.is_job else "")
    update = service.update_status
    return (
        Cell(name, "", natural(name)),
        Cell(mode, "dim"),
        Cell("?", "dim", 0)
        if not known
        else Cell(
            f"{running}/{desired}", "bad" if short and not running else "warn" if short else "good", running - desired
        ),
        Cell(image),
        Cell(one_line(update.state) if update and update.state else "-", "dim"),
        Cell(shown or "-", "dim"),
    )
