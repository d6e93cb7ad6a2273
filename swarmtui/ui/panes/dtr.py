"""DTR (MSR): each replica by everything that tells of it, the address that leads to all of them, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarmtui.model.dtr import facts, status
from swarmtui.model.dtr.behind import Behind, words
from swarmtui.model.dtr.health import named
from swarmtui.model.dtr.seen import BALANCER, DtrSeen, Storage, Tables
from swarmtui.model.dtr.status import Cluster, Replica
from swarmtui.model.dtr.ways import Way, diagnose
from swarmtui.model.snapshot import DTR, Snapshot
from swarmtui.model.text import one_line
from swarmtui.model.ucp.status import Door
from swarmtui.ui.ages import age, moment
from swarmtui.ui.cells import Cell, Column, Row, Rows, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.doors import certificate_cell, days_left, door_lines, ping_cell, took_cell, wrong_lines
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "REPLICA", min_width=12, max_width=24),
    Column("node", "NODE", min_width=6, max_width=20, priority=98),
    Column("state", "HEALTH", priority=99),
    Column("ping", "PING", align="right", priority=95),
    Column("parts", "PARTS", align="right", priority=85),
    Column("tables", "TABLES", max_width=14, priority=75),
    Column("readonly", "MODE", priority=60),
    Column("seen", "SEEN", align="right", priority=65, quiet=True),
    Column("version", "VERSION", max_width=12, priority=70),
    Column("why", "WHY", min_width=20, max_width=160, flex=1, priority=90),
    Column("ports", "PORTS", wide=True, priority=30),
    Column("took", "TOOK", align="right", wide=True, priority=20, quiet=True),
    Column("certificate", "CERT", align="right", wide=True, priority=25, quiet=True),
    Column("url", "ADDRESS", max_width=50, wide=True, priority=15),
)
LB_ROW = "balancer"
"""The row of the external URL, or the load balancer; all others are replicas."""
NONE = (
    "No DTR (MSR) is known on this Swarm: it has no network dtr-ol, and the configuration names none. I installs it; "
    "in a shell: swarmtui run dtr.install"
)
_STATES = {
    "healthy": ("healthy", "good"),
    "unhealthy": ("UNHEALTHY", "bad"),
    "down": ("DOWN", "bad"),
    "gone": ("GONE", "bad"),
    "leftover": ("leftover", "warn"),
    "unknown": ("?", "dim"),
}


class DtrRows:
    """Makes the rows of DTR."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        if not status.runs_dtr(snapshot):
            return self._kept.rows({})
        found, seen = status.cluster(snapshot), snapshot.dtr or DtrSeen()
        total = seen.told.total if seen.told is not None else 0
        bases: dict[str, tuple[object, ...]] = {}
        for one in found.replicas:
            at = moment(one.timestamp)
            said = age(max(0.0, env.now - at)) if at else "-"
            bases[one.id] = (one.id, one, one.door, said, total, days_left(one.door, env.now))
        if door := seen.doors.get(BALANCER):
            lacks = _lacks(found, seen.behind) if door.ok else ""
            bases[LB_ROW] = (one_line(door.host), None, door, "-", 0, days_left(door, env.now), lacks)
        return self._kept.rows(bases)


def _lacks(found: Cluster, behind: Behind | None) -> str:
    """What is wrong with the list of a load balancer that answers, in a few words."""
    if behind is None:
        return ""
    missed = [one.node or one.id for one in found.members if one.state == "healthy" and one.id in behind.missed]
    told = [f"never led to {', '.join(missed)}"] if missed else []
    told += [f"leads to {', '.join(sorted(behind.strangers))}, no replica of it"] if behind.strangers else []
    told += [f"{len(behind.lost)} of {len(behind.turns)} connections led nowhere"] if behind.lost else []
    return "; ".join(told)


def _row(
    name: str, one: Replica | None, door: Door | None, said: str, total: int, days: int | None, lacks: str = ""
) -> Row:
    if one is None:
        state = _STATES["healthy" if door is not None and door.ok else "unhealthy"]
        state = ("healthy", "warn") if lacks else state
        why = lacks or (door.why if door is not None else "")
    else:
        state, why = _STATES[one.state], one.why
    dash = Cell("-", "dim")
    return (
        Cell(name, "strong" if one is None else "", (one is not None, natural(name))),
        Cell("Balancer" if one is None else one.node or "-", "dim" if one is None or not one.node_id else ""),
        Cell(*state),
        ping_cell(door),
        dash if one is None else _parts(one),
        dash if one is None else _tables(one.tables, total),
        dash if one is None else _readonly(one),
        Cell(said, "dim"),
        Cell(one.version or "-", "" if one.version else "dim") if one is not None else dash,
        Cell(one_line(why) or "-", "dim" if state[1] in ("good", "dim") else state[1]),
        Cell(_ports(one) or "-", "dim"),
        took_cell(door),
        certificate_cell(days),
        Cell(one_line(door.url) if door is not None else "-", "dim"),
    )


def _parts(one: Replica) -> Cell:
    """How many of its containers are well."""
    if not one.parts:
        words = {True: "volumes", False: "none", None: "?"}[one.volumes]
        return Cell(words, "dim" if one.volumes is None else "bad", -1)
    total, bad = len(one.parts) + len(one.missing), len(one.missing) + sum(bool(part.trouble) for part in one.parts)
    return Cell(f"{total - bad}/{total}", "bad" if bad else "good", -bad)


def _tables(tables: Tables | None, total: int) -> Cell:
    """What its copies of the database's tables are."""
    if tables is None:
        return Cell("-", "dim", "")
    if bad := sum(tables.bad.values()):
        return Cell(f"{bad} not ready", "bad")
    return Cell(f"primary {tables.led}/{total}" if tables.led else f"copies {tables.held}/{total}")


def _readonly(one: Replica) -> Cell:
    if one.readonly is None:
        return Cell("-", "dim")
    return Cell("READ-ONLY", "warn") if one.readonly else Cell("read-write", "dim")


def _ports(one: Replica | None) -> str:
    if one is None:
        return ""
    published = next(((part.http, part.https) for part in one.parts if part.https), (one.place.http, one.place.https))
    return "/".join(str(port) for port in published if port)


def _note(derived: Derived) -> str:
    """The cluster in a line, what matters most first: the pane is narrow beside three others."""
    snapshot = derived.snapshot
    if derived.dtr is None:
        return ""
    found, seen = derived.dtr, snapshot.dtr or DtrSeen()
    told = [found.product, *quorum_words(found)]
    if found.storage is not None:
        told.append(_storage(found.storage))
    if seen.told is not None and seen.told.gc_holder:
        told.append("GC")
    if found.jobs:
        told.append(f"{len(found.jobs)} {'job' if len(found.jobs) == 1 else 'jobs'}")
    if seen.trouble:
        told.append("cluster_status NOT READ")
    if found.url:
        told.append(found.url)
    return one_line(", ".join(told))


def _storage(storage: Storage) -> str:
    """Where images are, in a word or two."""
    if storage.kind == "object":
        return storage.where
    return {"nfs": "NFS", "volume": "a volume of its own"}.get(storage.kind, "no shared storage named")


def quorum_words(found: Cluster) -> Iterator[str]:
    """How many replicas are healthy, whether that is a quorum, and how many more may be lost."""
    members = len(found.members)
    if not members:
        yield "no replica known"
        return
    yield f"{found.healthy}/{members} healthy"
    if found.quorum is False:
        yield "quorum LOST"
    elif found.quorum is None:
        yield f"quorum not known: {len(found.unread)} nodes not read" if found.unread else "quorum not known"
    else:
        yield f"may lose {max(0, found.slack)}"
    if members % 2 == 0:
        yield "EVEN"


def _facets(snapshot: Snapshot, key: str) -> Facets:
    found = next((one for one in status.cluster(snapshot).replicas if one.id == key), None)
    return Facets(node=(found.node, found.node_id)) if found is not None else NO_FACETS


# -- one of them -------------------------------------------------------------------------------------------------------


def _describe(derived: Derived, key: str) -> Lines:
    snapshot, now = derived.snapshot, derived.env.now
    seen, found = snapshot.dtr or DtrSeen(), derived.dtr or Cluster()
    if key == LB_ROW and (door := seen.doors.get(BALANCER)):
        wrong = wrong_lines(derived, lambda one: one.rule.startswith("dtr-balancer"))
        leads = fact_lines({"leads to": words(seen.behind, _names(found)) if len(found.members) > 1 else ""})
        return [("title", one_line(door.host)), *_whole(found, seen), *wrong, *leads, *door_lines(door, now)]
    one = next((replica for replica in found.replicas if replica.id == key), None)
    if one is None:
        return gone("replica")
    word, style = _STATES[one.state]
    lines: Lines = [("title", f"{one.id} on {one.node}" if one.node else one.id)]
    lines.append((style if style != "dim" else "plain", one_line(f"{word}: {one.why}" if one.why else word)))
    lines += fact_lines(
        {
            "DTR says": one.told or "nothing: its cluster_status was not read, or does not name this replica",
            "written": f"{one.timestamp} ({age(max(0.0, now - moment(one.timestamp)))} ago)" if one.timestamp else "",
            "counted in": "yes" if one.member else "no",
            "database": {True: "runs", False: "does not run", None: "not known"}[one.up],
            "read-only": {True: "yes", False: "no", None: ""}[one.readonly],
            "tables": _tables_told(one.tables, seen.told.total if seen.told is not None else 0),
            "version": one.version,
            "ports": _ports(one),
        }
    )
    lines += wrong_lines(derived, lambda finding: finding.rule.startswith("dtr-") and finding.about == one.id)
    lines += door_lines(one.door, now)
    lines += _containers(one, seen, now)
    lines += _whole(found, seen)
    return lines


def _names(found: Cluster) -> dict[str, str]:
    return {one.id: named(one) for one in found.members}


def _tables_told(tables: Tables | None, total: int) -> str:
    if tables is None:
        return ""
    bad = "".join(f", {count} {state}" for state, count in sorted(tables.bad.items()))
    return f"{tables.held} of {total}, primary of {tables.led}{bad}"


def _containers(one: Replica, seen: DtrSeen, now: float) -> Iterator[tuple[str, str]]:
    yield "heading", "Containers and volumes"
    held = seen.held.get(one.node_id)
    if held is None:
        yield "dim", "  its node was not read yet, or is not in the Swarm"
        return
    if held.trouble:
        yield "warn", one_line(f"  {held.trouble}")
    if held.at:
        yield "dim", f"  read {age(max(0.0, now - held.at))} ago"
    for part in one.parts:
        style = "bad" if part.trouble else "plain"
        yield style, one_line(f"  {part.name:32} {part.status}  {part.image}")
    for name in one.missing:
        yield "bad", f"  {facts.container(name, one.id):32} is missing"
    for name, replica in held.volumes.items():
        if replica == one.id:
            yield "plain", one_line(f"  {name}")


def _whole(found: Cluster, seen: DtrSeen) -> Iterator[tuple[str, str]]:
    """DTR as a whole."""
    yield "heading", one_line(found.product)
    told = seen.told
    diagnosis = diagnose(found)
    way = "" if diagnosis.first.way is Way.NOTHING else f" {diagnosis.first.why} {diagnosis.first.what}"
    yield "plain" if diagnosis.state == "healthy" else "warn", one_line(f"  {diagnosis.what}{way}")
    jobs = None if found.jobs is None else ", ".join(found.jobs) or "none"
    yield from fact_lines(
        {
            "replicas": ", ".join(quorum_words(found)),
            "external URL": found.url,
            "images": "not known" if found.storage is None else str(found.storage),
            "running jobs": "not known" if jobs is None else jobs,
            "garbage": "not known" if told is None else f"held by {told.gc_holder}" if told.gc_holder else told.gc_mode,
        }
    )
    for text in (seen.trouble, *(told.unread if told is not None else ())):
        if text:
            yield "warn", one_line(f"  cluster_status: {text}")
    for issue in told.issues if told is not None else ():
        yield "warn", one_line(f"  RethinkDB: {issue}")


VIEW = View(
    name="dtr",
    one="replica",
    columns=COLUMNS,
    maker=DtrRows,
    describe=_describe,
    reads=("nodes", DTR),
    facets=_facets,
    note=_note,
    none=NONE,
    counted=False,
)
