"""What the engines told of their Swarm since the console began. Tasks have no events: see the tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from swarmtui.model.objects import SwarmEvent
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.cells import Cell, Column, Row, Rows, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.views import Env, Kept, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("at", "TIME", width=14),
    Column("type", "TYPE", priority=90),
    Column("action", "ACTION", priority=85),
    Column("name", "OBJECT", min_width=10, max_width=40, priority=95),
    Column("detail", "DETAIL", min_width=12, max_width=120, flex=1, priority=80),
    Column("through", "TOLD BY", max_width=24, wide=True, priority=20),
)
_STYLES = {"remove": "warn", "create": "good"}


def _key(event: SwarmEvent) -> str:
    return f"{event.at:.9f} {event.type} {event.action} {event.id}"


class EventRows:
    """Makes the rows of the events view."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        return self._kept.rows({_key(event): (event,) for event in env.events})


def _details(event: SwarmEvent) -> str:
    """What an engine adds; a change of state as "ready → down"."""
    given = dict(event.attributes)
    changes = []
    for name in sorted({name.rpartition(".")[0] for name in given if name.endswith((".old", ".new"))}):
        old, new = given.pop(f"{name}.old", ""), given.pop(f"{name}.new", "")
        changes.append(f"{name} {old} → {new}" if old else f"{name} {new}")
    return one_line(", ".join([*changes, *(f"{name}={value}" for name, value in sorted(given.items()))]))


def _row(event: SwarmEvent) -> Row:
    clock = Cell(time.strftime("%m-%d %H:%M:%S", time.localtime(event.at)), "", event.at)
    through = Cell(one_line(event.through) or "-", "dim")
    if event.gap:
        return (
            clock,
            Cell("gap", "warn"),
            Cell("-", "dim"),
            Cell("-", "dim"),
            Cell(one_line(event.gap), "warn"),
            through,
        )
    name, detail = one_line(event.name), _details(event)
    lost = event.attributes.get("state.new") in ("down", "disconnected", "unknown")
    return (
        clock,
        Cell(one_line(event.type)),
        Cell(one_line(event.action), _STYLES.get(event.action, "")),
        Cell(name, "strong", natural(name)),
        Cell(detail or "-", "bad" if lost else "" if detail else "dim"),
        through,
    )


def _describe(derived: Derived, key: str) -> Lines:
    event = next((event for event in derived.env.events if _key(event) == key), None)
    return list(_lines(event)) if event is not None else gone("event")


def _lines(event: SwarmEvent) -> Iterator[tuple[str, str]]:
    yield "title", one_line(f"{event.type} {event.name}: {event.action}") if not event.gap else "A gap"
    if event.gap:
        yield "warn", one_line(event.gap)
    at = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(event.at))
    yield from fact_lines(
        {"at": at, "told by": event.through, "id": event.id, **dict(sorted(event.attributes.items()))}
    )


VIEW = View(
    name="events",
    one="event",
    columns=COLUMNS,
    maker=EventRows,
    describe=_describe,
    sort="at",
    reverse=True,
    none="Nothing was told since this console began.",
)
