"""The backups: what there is, how old it is, and whether it would restore. All from the catalogue on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import one_line
from swarmtui.ui.ages import age
from swarmtui.ui.cells import Cell, Column, Row, Rows, natural
from swarmtui.ui.describe import Lines, gone
from swarmtui.ui.views import Env, Kept, View

if TYPE_CHECKING:
    from swarmtui.backups.catalogue import Entry
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "BACKUP", min_width=16, max_width=40),
    Column("age", "AGE", align="right", priority=95, quiet=True),
    Column("restores", "RESTORES", priority=99),
    Column("kind", "KIND", priority=90),
    Column("tier", "TIER", align="right", priority=85),
    Column("size", "SIZE", align="right", priority=60),
    Column("encrypted", "CRYPT", priority=80),
    Column("copies", "COPIES", priority=75),
    Column("node", "NODE", max_width=24, priority=50),
    Column("because", "BECAUSE", min_width=16, max_width=120, flex=1, priority=40),
    Column("engine", "ENGINE", max_width=14, wide=True, priority=12),
    Column("index", "RAFT", align="right", wide=True, priority=10),
    Column("cluster", "CLUSTER", max_width=26, wide=True, priority=15),
)
TIERS = 5
"""Of a verification: the last one is the rehearsal."""
UNITS = ("B", "kB", "MB", "GB", "TB")
VERDICTS = {"yes": ("yes", "good"), "no": ("NO", "bad"), "not proved": ("not proved", "warn")}
"""What a verdict is called in a row, and its style."""
NONE = (
    "There is no backup yet, and several managers are none: what is removed or broken on one is so on all. "
    "B takes the first one, and so does :backup; in a shell: swarmtui run swarm.backup"
)


class BackupRows:
    """Makes the rows of the backups."""

    def __init__(self) -> None:
        self._kept = Kept(_row)

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        if env.shelf is None:
            return {}
        return self._kept.rows(
            {key: (entry, _aged(entry, env.now)) for key, entry in env.shelf.entries.items()},
        )


def _aged(entry: Entry, now: float) -> str:
    at = entry.manifest.taken_at if entry.manifest is not None else 0.0
    return age(max(0.0, now - at)) if at else "?"


def _row(entry: Entry, aged: str) -> Row:
    manifest = entry.manifest
    name = Cell(one_line(entry.id), "strong", natural(entry.id))
    if manifest is None or entry.broken:
        blank = Cell("-", "dim")
        told = {"name": name, "restores": Cell("damaged", "bad"), "because": Cell(one_line(entry.broken), "bad")}
        return tuple(told.get(column.key, blank) for column in COLUMNS)
    verdict, style = VERDICTS.get(entry.would_restore, (entry.would_restore, "warn"))
    tier = entry.last_verified.tier if entry.last_verified is not None else 0
    copies, trouble = len(entry.copies), sum(bool(copy.trouble) for copy in entry.copies)
    return (
        name,
        Cell(aged, "", -manifest.taken_at),
        Cell(verdict, style),
        Cell(*kind(manifest.how)) if manifest.kind == "swarm" else Cell(one_line(manifest.kind).upper()),
        Cell(f"{tier}/{TIERS}" if tier else "-", "" if tier >= TIERS - 1 else "warn", tier),
        Cell(size(manifest.stored_size), "", manifest.stored_size),
        Cell("yes", "good") if manifest.protected else Cell("NO", "warn"),
        _copies(copies - trouble, trouble),
        Cell(one_line(manifest.node) or "?"),
        Cell(one_line(entry.because) or "-", "dim"),
        Cell(one_line(manifest.engine_version) or "-", "dim"),
        Cell(str(manifest.raft_index or "-"), "dim", manifest.raft_index),
        Cell(one_line(manifest.cluster or entry.cluster_id) or "-", "dim"),
    )


def kind(how: str) -> tuple[str, str]:
    """How it was taken, and the style of that: a hot one is possibly inconsistent for ever."""
    return {"cold": ("cold", ""), "hot": ("HOT!", "warn")}.get(how, ("?", "warn"))


def _copies(good: int, bad: int) -> Cell:
    """How many copies there are elsewhere, and how many of them do not count."""
    if bad:
        return Cell(f"{good}, {bad} BAD", "bad", good)
    return Cell(str(good) if good else "none", "" if good else "warn", good)


def size(count: float) -> str:
    """Bytes as people say them, in at most six cells."""
    for unit in UNITS:
        if count < 1000 or unit == UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == UNITS[0] or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("there is always a last unit")


def _note(derived: Derived) -> str:
    shelf = derived.env.shelf
    if shelf is None or not shelf.turn or shelf.trouble:
        return ""
    told = []
    if damaged := sum(bool(entry.broken) for entry in shelf.entries.values()):
        told.append(f"{damaged} damaged (d)")
    if not shelf.cluster_id:
        told.append("nobody answers: by its name only")
    return ", ".join(told)


def _unread(env: Env) -> str:
    if env.shelf is None or not env.shelf.turn:
        return "The catalogue of backups is being read."
    return one_line(env.shelf.trouble)


def _describe(derived: Derived, key: str) -> Lines:
    from swarmtui.ui.describe_backup import backup_lines

    entry = derived.env.shelf.entries.get(key) if derived.env.shelf is not None else None
    return backup_lines(entry, derived.env.now) if entry is not None else gone("backup")


VIEW = View(
    name="backups",
    one="backup",
    columns=COLUMNS,
    maker=BackupRows,
    describe=_describe,
    sort="age",
    note=_note,
    none=NONE,
    unread=_unread,
    own=True,
)
