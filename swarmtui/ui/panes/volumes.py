"""The volumes of the engine in use. A Swarm keeps no list of them: every engine knows its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from swarmtui.model.objects import Users, Volume, volume_users
from swarmtui.model.services import Service
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.ages import age_of, moment
from swarmtui.ui.cells import Cell, Column, Row, Rows, labels_cell, natural
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.panes.used import end_lines, facets_of, stack_cell, users_cell
from swarmtui.ui.views import NO_FACETS, Env, Facets, Kept, Once, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "VOLUME", min_width=10, max_width=64, flex=1),
    Column("driver", "DRIVER", max_width=20, priority=80),
    Column("users", "SERVICES", min_width=10, max_width=80, flex=1, priority=90),
    Column("stack", "STACK", max_width=30, priority=60),
    Column("age", "AGE", align="right", priority=70, quiet=True),
    Column("mountpoint", "MOUNTPOINT", max_width=80, wide=True, priority=20),
    Column("labels", "LABELS", max_width=60, wide=True, priority=10),
)


def _users(snapshot: Snapshot) -> Users:
    return volume_users(snapshot.services.values())


_users_of = Once(_users)


class VolumeRows:
    """Makes the rows of the volumes view."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        users = _users_of(snapshot)
        return self._kept.rows(
            {
                key: (volume, users.get(volume.name, ()), age_of(volume.created_at, env.now))
                for key, volume in snapshot.volumes.items()
            }
        )


def _row(volume: Volume, users: tuple[Service, ...], aged: str) -> Row:
    name = one_line(volume.name)
    return (
        Cell(name, "", natural(name)),
        Cell(one_line(volume.driver) or "-"),
        users_cell(users),
        stack_cell(volume.labels),
        Cell(aged, "", -moment(volume.created_at)),
        Cell(one_line(volume.mountpoint) or "-", "dim"),
        labels_cell(volume.labels),
    )


def _facets(snapshot: Snapshot, key: str) -> Facets:
    volume = snapshot.volumes.get(key)
    return facets_of(volume.labels, _users_of(snapshot).get(key, ())) if volume is not None else NO_FACETS


def _describe(derived: Derived, key: str) -> Lines:
    volume = derived.snapshot.volumes.get(key)
    return list(_lines(volume, derived)) if volume is not None else gone("volume")


def _lines(volume: Volume, derived: Derived) -> Iterator[tuple[str, str]]:
    snapshot = derived.snapshot
    yield "title", one_line(volume.name)
    yield from fact_lines(
        {
            "engine": snapshot.source if volume.scope != "global" else "every one: its driver shows it everywhere",
            "driver": volume.driver,
            "mountpoint": volume.mountpoint,
            "options": ", ".join(f"{name}={value}" for name, value in sorted((volume.options or {}).items())),
            "made": age_of(volume.created_at, derived.env.now) + " ago",
        }
    )
    yield "dim", "  Services that mount a volume of this name; their tasks use the one of the node they run on."
    yield from end_lines(volume.labels, _users_of(snapshot).get(volume.name, ()), snapshot)


def _note(derived: Derived) -> str:
    return f"only of the engine in use, {one_line(derived.snapshot.source)}"


VIEW = View(
    name="volumes",
    one="volume",
    columns=COLUMNS,
    maker=VolumeRows,
    describe=_describe,
    reads=("volumes", "services"),
    path=lambda snapshot, key: f"/volumes/{quote(key, safe='')}",
    facets=_facets,
    note=_note,
)
