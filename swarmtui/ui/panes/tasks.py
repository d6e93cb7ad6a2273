"""The tasks: what runs where, what came before in each slot, and what only seems to run (S1 of procedures.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import astuple

from swarmtui.model.objects import stack_of
from swarmtui.model.services import Service, Task
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.ui.ages import MINUTE, age, age_of, moment
from swarmtui.ui.cells import Cell, Column, Row, Rows, natural, plain
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.views import BEFORE, HISTORY, NO_FACETS, Env, Facets, Kept, View, known

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived


COLUMNS = (
    Column("name", "TASK", min_width=12, max_width=44, flex=1),
    Column("state", "STATE", max_width=26, priority=95),
    Column("desired", "DESIRED", priority=50),
    Column("node", "NODE", min_width=6, max_width=24, priority=90),
    Column("age", "AGE", align="right", priority=80, quiet=True),
    Column("exit", "EXIT", align="right", priority=60),
    Column("error", "ERROR", min_width=12, max_width=80, flex=1, priority=70),
    Column("image", "IMAGE", max_width=60, cut="front", wide=True, priority=30),
    Column("message", "MESSAGE", max_width=40, wide=True, priority=20),
    Column("id", "ID", width=25, wide=True, priority=5),
)

_STYLES = {
    "running": "good",
    "complete": "good",
    "pending": "warn",
    "failed": "bad",
    "rejected": "bad",
    "orphaned": "bad",
    "shutdown": "dim",
    "remove": "dim",
}


class _Basis(Struct, frozen=True, gc=False):
    """What a row is made of. There are ten thousand, which the cycle collector need not look at."""

    task: Task
    service: str
    hostname: str
    lost: str
    rank: int
    aged: str

    def __iter__(self) -> Iterator[Any]:
        return iter(astuple(self))


class TaskRows:
    """Makes the rows of the tasks view."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        now, history = env.now, HISTORY in env.options
        nodes_known = known(snapshot, "nodes")
        names = {key: service.spec.name for key, service in snapshot.services.items()}
        places = {key: (node.description.hostname, _lost_on(node)) for key, node in snapshot.nodes.items()}
        nowhere = ("", _lost_on(None) if nodes_known else "")
        ages: dict[int, str] = {}
        bases: dict[str, _Basis] = {}
        # Ten thousand times: what only a new row needs is worked out by `_row`.
        for task, rank in _ranked(snapshot):
            if rank and not history and task.is_terminal:
                continue
            node_id, status = task.node_id, task.status
            hostname, lost = places.get(node_id, nowhere)
            if lost and not (node_id and status.state == "running"):
                lost = ""
            aged = "-"
            if at := moment(status.timestamp):
                minutes = int((now - at) // MINUTE)  # no age reads otherwise within one
                aged = ages.get(minutes) or ages.setdefault(minutes, age(minutes * MINUTE))
            bases[task.id] = _Basis(task, names.get(task.service_id, ""), hostname, lost, rank, aged)
        return self._kept.rows(bases)


def _ranked(snapshot: Snapshot) -> Iterator[tuple[Task, int]]:
    """Every task with its place in its slot: 0 for the one that counts, then the newest first."""
    slots: dict[tuple[str, object], Task] = {}
    several: dict[tuple[str, object], list[Task]] = {}
    for task in snapshot.tasks.values():
        place = (task.service_id, task.slot or task.node_id)
        first = slots.setdefault(place, task)
        if first is not task:
            several.setdefault(place, [first]).append(task)
    yield from ((task, 0) for place, task in slots.items() if place not in several)
    for tasks in several.values():
        tasks.sort(key=_newest, reverse=True)
        yield from ((task, rank) for rank, task in enumerate(tasks))


def _newest(task: Task) -> tuple[bool, bool, str, str]:
    return task.is_wanted, not task.is_terminal, task.created_at, task.id


def slot_of(task: Task, snapshot: Snapshot) -> list[Task]:
    """All tasks of a task's slot, the one that counts first."""
    place = (task.service_id, task.slot or task.node_id)
    same = [other for other in snapshot.tasks.values() if (other.service_id, other.slot or other.node_id) == place]
    return sorted(same, key=_newest, reverse=True)


def task_name(task: Task, service: Service | None, node: Node | None) -> str:
    """What people call a task: service.slot, or service.node where there is one on each node."""
    of = one_line(service.name) if service is not None else task.service_id[:12]
    return f"{of}.{task.slot or (one_line(node.name) if node is not None else task.node_id[:12])}"


def lost_with(task: Task, node: Node | None) -> str:
    """Why a task that reads "running" proves nothing: what became of its node (moby#37320); "" where it is fine."""
    return _lost_on(node) if task.status.state == "running" and task.node_id else ""


def _lost_on(node: Node | None) -> str:
    if node is None:
        return "node gone"
    return "" if node.is_ready else f"node {one_line(node.status.state) or 'unknown'}"


def _row(task: Task, service: str, hostname: str, lost: str, rank: int, aged: str) -> Row:
    status = task.status
    node = plain(hostname or task.node_id[:12])
    of, which = plain(service or task.service_id[:12]), str(task.slot or node)
    state = plain(status.state) or "?"
    style = _STYLES.get(status.state, "")
    if lost:
        state, style = f"{state}? {lost}", "bad" if task.is_wanted else "warn"
    elif rank and task.is_terminal:
        style = "dim"
    before = rank > 0 and task.is_terminal
    container = task.spec.container_spec
    code = status.container_status.exit_code if status.container_status is not None else 0
    ended = status.state in ("complete", "failed", "shutdown", "rejected")
    dim = "dim" if before else ""
    return (
        # Its order is that of the whole name, put together of what is known already.
        Cell(f"{BEFORE if before else ''}{of}.{which}", dim, f"{natural(of)}.{natural(which)}\0{rank:03}"),
        Cell(state, style),
        Cell(plain(task.desired_state), "dim"),
        Cell(node or "-", dim or ("" if node else "dim")),
        Cell(aged, dim, -moment(status.timestamp)),
        Cell(str(code) if ended and (code or status.state != "rejected") else "-", "" if code else "dim", code),
        Cell(plain(status.err) or "-", "dim" if before or not status.err else "warn"),
        Cell(plain(container.image).partition("@")[0] if container else "-", "dim"),
        Cell(plain(status.message) or "-", "dim"),
        Cell(plain(task.id), "dim"),
    )


def _facets(snapshot: Snapshot, key: str) -> Facets:
    task = snapshot.tasks.get(key)
    if task is None:
        return NO_FACETS
    node, service = snapshot.nodes.get(task.node_id), snapshot.services.get(task.service_id)
    on = (node.name, node.id) if node is not None else (task.node_id,)
    if service is None:
        return Facets(on, (task.service_id,))
    return Facets(on, (service.name, service.id), (stack_of(service.spec.labels),), service.spec.labels or {})


def _note(derived: Derived) -> str:
    if HISTORY in derived.env.options:
        return "with what came before (h)"
    older = len(derived.snapshot.tasks) - len(derived.rows.get("tasks", {}))
    return f"{older} that came before hidden (h)" if older > 0 else ""


def _describe(derived: Derived, key: str) -> Lines:
    task = derived.snapshot.tasks.get(key)
    return list(_lines(task, derived)) if task is not None else gone("task")


def _lines(task: Task, derived: Derived) -> Iterator[tuple[str, str]]:
    snapshot, now, status = derived.snapshot, derived.env.now, task.status
    service, node = snapshot.services.get(task.service_id), snapshot.nodes.get(task.node_id)
    lost = lost_with(task, node) if known(snapshot, "nodes") else ""
    container, ended = task.spec.container_spec, status.container_status
    yield "title", task_name(task, service, node)
    if lost:
        state = one_line(status.state)
        yield "bad", f"It reads {state}, but that proves nothing: {lost}. It is not counted as running."
    if status.state == "orphaned":
        yield "bad", "Orphaned: its node was gone for too long, and the Swarm gave it up."
    if status.err:
        yield "bad" if task.is_terminal else "warn", one_line(status.err)
    yield from fact_lines(
        {
            "id": task.id,
            "state": f"{status.state}, since {age_of(status.timestamp, now)}",
            "wanted": task.desired_state,
            "message": status.message,
            "exit code": str(ended.exit_code) if ended is not None and task.is_terminal else "",
            "service": service.name if service is not None else f"{task.service_id} (gone)",
            "slot": str(task.slot) if task.slot else "one on each node",
            "node": (node.name if node is not None else f"{task.node_id} (gone)") if task.node_id else "none yet",
            "image": container.image if container is not None else "",
            "container": ended.container_id if ended is not None else "",
            "constraints": ", ".join((task.spec.placement.constraints if task.spec.placement else None) or []),
            "made": age_of(task.created_at, now) + " ago",
        }
    )
    yield "heading", "Its slot, the newest first"
    for other in slot_of(task, snapshot):
        at = snapshot.nodes.get(other.node_id)
        where = one_line(at.name) if at is not None else other.node_id[:12] or "no node"
        error = f"  {one_line(other.status.err)}" if other.status.err else ""
        state, aged = one_line(other.status.state), age_of(other.status.timestamp, now)
        line = f"  {one_line(other.id[:12])}  {state:10} {aged:>7}  {where}{error}"
        yield "dim" if other.is_terminal else "plain", line


VIEW = View(
    name="tasks",
    one="task",
    columns=COLUMNS,
    maker=TaskRows,
    describe=_describe,
    reads=("tasks", "services"),
    path=lambda snapshot, key: f"/tasks/{key}",
    facets=_facets,
    note=_note,
)
