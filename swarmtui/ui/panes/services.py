"""The services pane: what runs, counted by tasks that live on nodes that are ready (swarm-dr.md, trap 4)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from swarmtui.model.objects import stack_of
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.cells import Cell, Column, Row, Rows, labels_cell, natural
from swarmtui.ui.describe import Lines, gone
from swarmtui.ui.describe_service import service_lines
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, Once, View, known

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "SERVICE", min_width=10, max_width=40, flex=1),
    Column("mode", "MODE", priority=60),
    Column("running", "RUNNING", align="right", priority=90),
    Column("image", "IMAGE", min_width=10, max_width=60, flex=1, cut="front", priority=70),
    Column("update", "UPDATE", priority=50),
    Column("ports", "PORTS", max_width=30, priority=40),
    Column("stack", "STACK", max_width=30, wide=True, priority=20),
    Column("labels", "LABELS", max_width=60, wide=True, priority=10),
    Column("id", "ID", width=25, wide=True, priority=5),
)


class ServiceRows:
    """Makes the rows of the services pane."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        numbers, counted = counts(snapshot), known(snapshot, "nodes", "tasks")
        return self._kept.rows({s.id: (s, *numbers.of(s), counted) for s in snapshot.services.values()})


class Counts(NamedTuple):
    """Tasks by the id of their service.

    Attributes:
        running: those that run on nodes that are ready.
        wanted: those that are to run.
    """

    running: Counter[str]
    wanted: Counter[str]

    def of(self, service: Service) -> tuple[int, int]:
        """How many tasks of a service run, and how many should."""
        desired = service.replicas if service.replicas is not None else self.wanted[service.id]
        return self.running[service.id], desired


def counts(snapshot: Snapshot) -> Counts:
    """Counts the tasks of every service."""
    ready = {node.id for node in snapshot.nodes.values() if node.is_ready}
    return Counts(
        Counter(t.service_id for t in snapshot.tasks.values() if t.runs and t.node_id in ready),
        Counter(t.service_id for t in snapshot.tasks.values() if t.desired_state == "running"),
    )


def _row(service: Service, running: int, desired: int, counted: bool) -> Row:
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
        if not counted
        else Cell(
            f"{running}/{desired}", "bad" if short and not running else "warn" if short else "good", running - desired
        ),
        Cell(image),
        _update(update.state if update is not None else ""),
        Cell(shown or "-", "dim"),
        Cell(one_line(stack_of(service.spec.labels)) or "-"),
        labels_cell(service.spec.labels),
        Cell(one_line(service.id), "dim"),
    )


def _update(state: str) -> Cell:
    """A rollout that stopped or went back wants somebody to look."""
    style = {"paused": "warn", "rollback_paused": "bad", "rollback_completed": "warn", "rollback_started": "warn"}
    return Cell(one_line(state) or "-", style.get(state, "dim"))


def _nodes_by_service(snapshot: Snapshot) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, set[str]] = defaultdict(set)
    for task in snapshot.tasks.values():
        if not task.is_terminal:
            node = snapshot.nodes.get(task.node_id)
            found[task.service_id].update((node.name, node.id) if node is not None else (task.node_id,))
    return {service_id: tuple(names) for service_id, names in found.items()}


_nodes_of = Once(_nodes_by_service)


def _facets(snapshot: Snapshot, key: str) -> Facets:
    service = snapshot.services.get(key)
    if service is None:
        return NO_FACETS
    on = _nodes_of(snapshot).get(key, ())
    return Facets(on, (service.name, service.id), (stack_of(service.spec.labels),), service.spec.labels or {})


def _describe(derived: Derived, key: str) -> Lines:
    service = derived.snapshot.services.get(key)
    if service is None:
        return gone("service")
    return service_lines(service, derived.snapshot, derived.env.now)


VIEW = View(
    name="services",
    one="service",
    columns=COLUMNS,
    maker=ServiceRows,
    describe=_describe,
    reads=("services", "tasks"),
    path=lambda snapshot, key: f"/services/{key}",
    facets=_facets,
    details=("networks",),
)
