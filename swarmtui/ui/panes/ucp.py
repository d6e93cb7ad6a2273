"""UCP (MKE): how it is on each node, how each manager's web server and the load balancer answer, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarmtui.model.snapshot import UCP, Snapshot
from swarmtui.model.swarm import Node
from swarmtui.model.text import one_line
from swarmtui.model.ucp import status
from swarmtui.model.ucp.status import BALANCER, Door, Health, Parts, UcpSeen
from swarmtui.ui.ages import age
from swarmtui.ui.cells import Cell, Column, Row, Rows, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.doors import certificate_cell, days_left, door_lines, ping_cell, took_cell, wrong_lines
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "NODE", min_width=8, max_width=24),
    Column("role", "ROLE", priority=85),
    Column("state", "UCP", priority=99),
    Column("ping", "PING", align="right", priority=95),
    Column("parts", "PARTS", align="right", priority=90),
    Column("version", "VERSION", max_width=16, priority=60),
    Column("certificate", "CERT", align="right", priority=70, quiet=True),
    Column("why", "WHY", min_width=10, max_width=120, flex=1, priority=80),
    Column("took", "TOOK", align="right", wide=True, priority=20, quiet=True),
    Column("names", "CERTIFICATE FOR", max_width=60, wide=True, priority=15),
    Column("url", "ADDRESS", max_width=50, wide=True, priority=25),
    Column("id", "ID", width=25, wide=True, priority=5),
)
LB_ROW = "balancer"
"""The row of the load balancer; all others are nodes."""
NONE = (
    "No UCP (MKE) manages this Swarm: none of its agents is among the services. I installs it; in a shell: "
    "swarmtui run ucp.install"
)
_STATES = {
    "healthy": ("healthy", "good"),
    "pending": ("pending", "warn"),
    "unhealthy": ("UNHEALTHY", "bad"),
    "unknown": ("?", "dim"),
}


class UcpRows:
    """Makes the rows of UCP."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        if not status.runs_ucp(snapshot):
            return self._kept.rows({})
        seen = snapshot.ucp or UcpSeen()
        bases: dict[str, tuple[object, ...]] = {}
        for node in snapshot.nodes.values():
            parts, door = seen.parts.get(node.id), seen.doors.get(node.id)
            health = status.health_of(snapshot, node)
            alarm = status.false_alarm(snapshot, node)
            total = len(status.expected(snapshot, node))
            bad = len(status.troubles(snapshot, node))
            bases[node.id] = (node, health, alarm, total, bad, parts, door, days_left(door, env.now))
        if door := seen.doors.get(BALANCER):
            bases[LB_ROW] = (None, Health("healthy" if door.ok else "unhealthy", door.why), "", 0, 0, None, door)
            bases[LB_ROW] = (*bases[LB_ROW], days_left(door, env.now))
        return self._kept.rows(bases)


def _row(
    node: Node | None,
    health: Health,
    alarm: str,
    total: int,
    bad: int,
    parts: Parts | None,
    door: Door | None,
    days: int | None,
) -> Row:
    name = one_line(node.name if node is not None else door.host if door is not None else "")
    role, rank = _role(node)
    why = health.why or (f"known false alarm of {alarm}" if alarm else "")
    shown = door.certificate if door is not None else None
    return (
        Cell(name, "strong" if rank < 3 else "", (rank, natural(name))),
        Cell(role, "dim" if rank > 2 else "", (rank, natural(name))),
        Cell(*_STATES[health.state]),
        ping_cell(door),
        _parts(parts, total, bad),
        Cell(_version(parts) or "-", "" if _version(parts) else "dim"),
        certificate_cell(days),
        Cell(one_line(why) or "-", {"unhealthy": "bad", "pending": "warn"}.get(health.state, "dim")),
        took_cell(door),
        Cell(one_line(", ".join(shown.names)) if shown is not None else "-", "dim"),
        Cell(one_line(door.url) if door is not None else "-", "dim"),
        Cell(one_line(node.id) if node is not None else "-", "dim"),
    )


def _role(node: Node | None) -> tuple[str, int]:
    """What a row is called, and its rank: the load balancer, managers, workers."""
    if node is None:
        return "Balancer", 0
    return ("Leader", 1) if node.is_leader else ("Manager", 2) if node.is_voter else ("Worker", 3)


def _parts(parts: Parts | None, total: int, bad: int) -> Cell:
    """How many of the components are well."""
    if parts is None:
        return Cell("-", "dim", 1 << 20)
    if not parts.at:
        return Cell("?", "warn", 1 << 19)
    if not total:
        return Cell(str(len(parts.components)), "", len(parts.components))
    return Cell(f"{max(0, total - bad)}/{total}", "bad" if bad else "good", -bad)


def _version(parts: Parts | None) -> str:
    found = sorted({part.version for part in (parts.components if parts is not None else ()) if part.version})
    return ", ".join(found)


def _note(derived: Derived) -> str:
    snapshot = derived.snapshot
    if not status.runs_ucp(snapshot):
        return ""
    told = [status.product(snapshot), f"instance {status.instance_of(snapshot)[:12]}"]
    doors = [door for key, door in (snapshot.ucp or UcpSeen()).doors.items() if key != BALANCER]
    if doors:
        told.append(f"{sum(door.ok for door in doors)}/{len(doors)} managers healthy")
    return one_line(", ".join(told))


def _facets(snapshot: Snapshot, key: str) -> Facets:
    node = snapshot.nodes.get(key)
    return Facets(node=(node.name, node.id), labels=node.labels) if node is not None else NO_FACETS


# -- one of them -------------------------------------------------------------------------------------------------------


def _describe(derived: Derived, key: str) -> Lines:
    snapshot, now = derived.snapshot, derived.env.now
    seen = snapshot.ucp or UcpSeen()
    node = snapshot.nodes.get(key)
    if key == LB_ROW and (door := seen.doors.get(BALANCER)):
        return [
            ("title", one_line(door.host)),
            *wrong_lines(derived, lambda one: one.rule.startswith("ucp-") and "balancer" in one.rule),
            *door_lines(door, now),
        ]
    if node is None:
        return gone("node")
    health = status.health_of(snapshot, node)
    word, style = _STATES[health.state]
    lines: Lines = [("title", one_line(node.name))]
    lines.append((style if style != "dim" else "plain", one_line(f"{word}: {health.why}" if health.why else word)))
    version = status.version_of(snapshot)
    facts = {
        "role": _role(node)[0],
        "message": node.status.message,
        "UCP": f"{status.product(snapshot)}, instance {status.instance_of(snapshot)}",
        "image": version.image if version is not None else "",
        "names": node.labels.get("com.docker.ucp.SANs", ""),
    }
    lines += fact_lines(facts)
    lines += wrong_lines(derived, lambda one: one.rule.startswith("ucp-") and one.node_id == node.id)
    if node.is_voter:
        lines += door_lines(seen.doors.get(node.id), now)
    lines += _components(derived, node, seen.parts.get(node.id), now)
    return lines


def _components(derived: Derived, node: Node, parts: Parts | None, now: float) -> Iterator[tuple[str, str]]:
    yield "heading", "Components"
    if parts is None:
        yield "dim", "  not looked at yet: workers are, while this view is on the screen"
        return
    if parts.trouble:
        yield "warn", one_line(f"  {parts.trouble}")
    if parts.at:
        yield "dim", f"  read {age(max(0.0, now - parts.at))} ago"
    alarm = status.false_alarm(derived.snapshot, node)
    judged = status.expected(derived.snapshot, node)
    for part in parts.components:
        style = "plain" if not part.trouble else "bad" if part.name in judged else "dim"
        note = "  (a known false alarm)" if part.name == alarm else ""
        yield "warn" if note else style, one_line(f"  {part.name:24} {part.status}  {part.image}{note}")
    for name in judged:
        if parts.at and name not in {part.name for part in parts.components}:
            yield "bad", f"  {name:24} is missing"


VIEW = View(
    name="ucp",
    one="node",
    columns=COLUMNS,
    maker=UcpRows,
    describe=_describe,
    reads=("services", "nodes", UCP),
    path=lambda snapshot, key: f"/nodes/{key}" if key in snapshot.nodes else "",
    facets=_facets,
    note=_note,
    none=NONE,
)
