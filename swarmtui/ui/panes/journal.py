"""The journal: what was done with this tool on this machine, by whom, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from swarmtui.errors import UsageError
from swarmtui.model.snapshot import Snapshot
from swarmtui.model.text import harmless, one_line
from swarmtui.runbooks.journal import Journal, RunRecord
from swarmtui.ui.ages import age_of, moment
from swarmtui.ui.cells import Cell, Column, Row, Rows
from swarmtui.ui.describe import Lines, fact_lines, gone
from swarmtui.ui.views import Env, Kept, View

if TYPE_CHECKING:
    from swarmtui.ui.derive import Derived

COLUMNS = (
    Column("name", "RUN", min_width=20, max_width=44),
    Column("outcome", "OUTCOME", max_width=14, priority=95),
    Column("title", "WHAT", min_width=12, max_width=60, flex=1, priority=90),
    Column("age", "AGE", align="right", priority=80, quiet=True),
    Column("target", "CLUSTER", max_width=24, priority=60),
    Column("operator", "BY", max_width=30, priority=50),
    Column("steps", "STEPS", align="right", priority=40),
    Column("detail", "DETAIL", max_width=60, wide=True, priority=20),
)

_TEXTS = ("runbook", "title", "cluster_id", "target", "operator", "started_at", "ended_at", "outcome", "detail")
_LINES = {"done": "good", "": "warn", "stopped": "warn"}
_STYLES = {"done": "good", "": "warn", "stopped": "warn", "failed": "bad"}


class Runs:
    """Reads the runs of a folder; a file that did not change is not read again."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[tuple[int, int], RunRecord | str]] = {}

    def __call__(self, folder: Path) -> dict[str, RunRecord | str]:
        """Run id → its record, or what is wrong with its journal."""
        journal = Journal(folder)
        found: dict[str, RunRecord | str] = {}
        for run_id in journal.ids():
            record = self.one(journal, run_id)
            if record is not None:
                found[run_id] = record
        return found

    def one(self, journal: Journal, run_id: str) -> RunRecord | str | None:
        """One run; None when its journal is gone."""
        path = journal.path(run_id)
        try:
            stat = path.stat()
        except OSError:
            return None
        state = (stat.st_mtime_ns, stat.st_size)
        known = self._read.get(path)
        if known is None or known[0] != state:
            record: RunRecord | str
            try:
                record = journal.read(run_id)
                if not all(isinstance(getattr(record, name), str) for name in _TEXTS):
                    record = f"The journal of {run_id} says something that it cannot mean."
            except UsageError as error:
                record = error.what
            known = self._read[path] = (state, record)
        return known[1]


class RunRows:
    """Makes the rows of the journal."""

    def __init__(self) -> None:
        self._kept = Kept(_row)
        self._runs = Runs()

    def __call__(self, snapshot: Snapshot, env: Env) -> Rows:
        if env.journal is None:
            return {}
        bases: dict[str, tuple[str, RunRecord | str, str]] = {}
        for run_id, record in self._runs(env.journal).items():
            aged = age_of(record.started_at, env.now) if isinstance(record, RunRecord) else "-"
            bases[run_id] = (run_id, record, aged)
        return self._kept.rows(bases)


def _row(run_id: str, record: RunRecord | str, aged: str) -> Row:
    name = Cell(one_line(run_id), "", one_line(run_id))
    if isinstance(record, str):
        return (name, Cell("damaged", "bad"), Cell(one_line(record)), *(Cell("-", "dim") for _ in COLUMNS[3:]))
    done = sum(step.state in ("done", "already", "skipped") for step in record.steps.values())
    return (
        name,
        Cell(one_line(record.outcome) or "cut off", _STYLES.get(record.outcome, "bad")),
        Cell(one_line(record.title or record.runbook)),
        Cell(aged, "", -moment(record.started_at)),
        Cell(one_line(record.target) or "-"),
        Cell(one_line(record.operator) or "-", "dim"),
        Cell(f"{done}/{len(record.steps)}", "", done),
        Cell(one_line(record.detail) or "-", "dim"),
    )


_read_one = Runs()


def _describe(derived: Derived, key: str) -> Lines:
    folder = derived.env.journal
    record = _read_one.one(Journal(folder), key) if folder is not None else None
    if record is None:
        return gone("run")
    if isinstance(record, str):
        return [("bad", record)]
    return list(_lines(record))


def _lines(record: RunRecord) -> Iterator[tuple[str, str]]:
    yield "title", one_line(record.title or record.runbook)
    outcome = one_line(record.outcome) or "cut off"
    yield _LINES.get(record.outcome, "bad"), outcome + (f": {one_line(record.detail)}" if record.detail else "")
    yield from fact_lines(
        {
            "run": record.id,
            "runbook": record.runbook,
            "cluster": f"{record.target} (Swarm {record.cluster_id[:12] or 'unknown'})",
            "by": record.operator,
            "started": record.started_at,
            "ended": record.ended_at,
            "accepted": ", ".join(map(str, record.accepted)),
        }
    )
    for step_id, step in record.steps.items():
        yield "heading", one_line(f"{step_id}: {step.state}")
        yield "dim", f"  {one_line(step.started_at)} to {one_line(step.ended_at) or '?'}"
        if step.detail:
            yield "bad" if step.state == "failed" else "plain", f"  {one_line(step.detail)}"
        for command in step.commands:
            yield from (("command", f"  {harmless(line)}") for line in command.splitlines())


VIEW = View(
    name="journal",
    one="run",
    columns=COLUMNS,
    maker=RunRows,
    describe=_describe,
    reverse=True,
    none="Nothing was done yet.",
    own=True,
)
