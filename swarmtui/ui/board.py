"""The main screen without its keys: header, panes, which of them are on the screen, and what they show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingsMap
from textual.containers import Grid
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerCancelled

from swarmtui.errors import UsageError
from swarmtui.ui import filters, views
from swarmtui.ui.derive import Derived
from swarmtui.ui.habits import Habits, Sort
from swarmtui.ui.header import Header
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.keys import bindings
from swarmtui.ui.layout import FIRST, WIDE_COLUMNS, WIDE_ROWS, Pane, TablePane, make_pane
from swarmtui.ui.patience import too_slow
from swarmtui.ui.table import Table
from swarmtui.ui.views import NO_FACETS, TITLES, TOGETHER, Facets, View, known

if TYPE_CHECKING:
    from swarmtui.ui.app import Console

HINTS = "First time here?  ? all keys  ·  :tasks goes to a view  ·  t what runs there"


@dataclass(slots=True)
class Look:
    """How one view is looked at.

    Attributes:
        filter: what was typed after `/`. Kept while the console runs and no longer: a filter that survived to the
            next night would hide a node that is down.
        faults: only rows where something is wrong.
        row: id of the row to put the cursor on as soon as it is there.
    """

    filter: str = ""
    faults: bool = False
    row: str | None = None


def _watched(view: View, before: Derived, now: Derived) -> bool:
    """Whether a view was on the screen a moment ago, just so and complete: only then is what differs news."""
    same = view.name in before.rows and before.env.options == now.env.options
    return same and known(before.snapshot, *view.reads)


class Board(Screen[None]):
    """The panes of a cluster.

    Args:
        keys: binding id → key, as the person wants them.
        used_to: what is looked at first, and how views are sorted; None on a first start.
    """

    AUTO_FOCUS = "Table"

    DEFAULT_CSS = """
    Board { background: $surface; }
    Board > #panes { height: 1fr; grid-size: 1 1; grid-gutter: 0 1; }
    Board > #line { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    Board > #hints { height: 1; padding: 0 1; background: $panel; color: $text-accent; }
    Board > #line.asking { display: block; }
    """

    app: Console
    ACTS: ClassVar[bool] = False

    def __init__(
        self,
        cluster: str,
        *,
        production: bool,
        read_only: bool,
        keys: Mapping[str, str] | None = None,
        used_to: Habits | None = None,
    ) -> None:
        super().__init__()
        made = BindingsMap(bindings(keys or {}, read_only=not self.ACTS))
        self._bindings = BindingsMap.from_keys({**self._bindings.key_to_bindings, **made.key_to_bindings})
        self.header = Header(cluster, production=production, read_only=read_only)
        self.options: frozenset[str] = frozenset()
        self._panes: dict[str, Pane] = {}
        self._used_to = used_to or Habits()
        self._hints = used_to is None
        pane = self._used_to.pane
        self._current = pane if pane in TITLES else FIRST
        self._derived: tuple[Derived, bool] | None = None
        self._zoomed = False
        self._going = False
        self._looks: dict[str, Look] = defaultdict(Look)

    def compose(self) -> ComposeResult:
        # Only what the first paint needs; the rest is mounted when it is asked for, or once there is time.
        yield self.header
        with Grid(id="panes"):
            yield self.pane(self._current)
        yield KeyBar()

    def _mount_rest(self) -> None:
        """Mounts what nobody needs before there is something to see."""
        self._mount_line()
        if self._hints:
            self.mount(Static(HINTS, id="hints", markup=False), after=self.query_one("#panes"))

    def _mount_line(self) -> None:
        """Mounts the line at the bottom, unless it is."""
        if not self.query("#line"):
            self.mount(Input(id="line", compact=True, select_on_focus=False), after=self.query_one("#panes"))

    def on_key(self) -> None:
        """The hints of a first start go with the first key: they are never in the way."""
        if self._hints:
            self._hints = False
            self.query("#hints").remove()

    def sorts(self) -> dict[str, Sort]:
        """How the views that were looked at are sorted."""
        tables = [(name, self.table(name)) for name in self._panes]
        return {
            name: Sort(table.sort_column, table.sort_reverse)
            for name, table in tables
            if table is not None and table.sort_column is not None
        }

    def on_resize(self, event: Resize) -> None:
        self._arrange()

    # -- panes -----------------------------------------------------------------------------------------------------

    @property
    def wide(self) -> bool:
        """Whether the four panes are shown at once."""
        fits = self.size.width >= WIDE_COLUMNS and self.size.height >= WIDE_ROWS
        return fits and not self._zoomed and self._current in TOGETHER

    @property
    def on_screen(self) -> tuple[str, ...]:
        """The views that are on the screen."""
        return TOGETHER if self.wide else (self._current,)

    def _arrange(self) -> None:
        shown = TOGETHER if self.wide else (self._current,)
        grid = self.query_one("#panes", Grid)
        before: Pane | None = None
        for name in shown:
            pane = self.pane(name)
            if not pane.is_attached:
                if before is not None:
                    grid.mount(pane, after=before)
                else:
                    grid.mount(pane, before=0 if grid.children else None)
            elif before is not None and grid.children.index(pane) < grid.children.index(before):
                grid.move_child(pane, after=before)  # it was alone on a smaller screen
            before = pane
        self._share(grid, wide=self.wide)
        for pane in self._panes.values():
            if pane.display != (pane.name in shown):
                pane.display = pane.name in shown
        self._dim()
        self.app.look_changed()

    @staticmethod
    def _share(grid: Grid, *, wide: bool) -> None:
        """Shares the grid among one pane or four. Not by a class: that would restyle all there is, for 50 ms."""
        sides = 2 if wide else 1
        if grid.styles.grid_size_columns != sides:
            grid.styles.grid_size_columns = grid.styles.grid_size_rows = sides
            grid.styles.grid_columns, grid.styles.grid_rows = ("3fr 2fr", "2fr 1fr") if wide else ("1fr", "1fr")

    def table(self, name: str | None = None) -> Table | None:
        """The table of a pane that was looked at; of the current one if no name is given."""
        pane = self._panes.get(name or self._current)
        return pane.table if isinstance(pane, TablePane) else None

    def pane(self, name: str) -> Pane:
        """The pane of a view, made when it is first asked for."""
        if name not in self._panes:
            self._panes[name] = make_pane(name, self._used_to.sorts, shown=name == self._current)
        return self._panes[name]

    @property
    def current(self) -> str:
        return self._current

    def go_to(self, name: str) -> None:
        """Makes a pane the current one."""
        self._become(name)
        self._arrange()
        self._focus()

    def _become(self, name: str) -> None:
        if name != self._current:
            self._current = name
            self.refresh_bindings()

    def _focus(self) -> None:
        self._going = False
        table = self.table()
        if table is None:
            self.set_focus(None)
        elif table.is_attached:
            self.set_focus(table)
        else:
            self._going = True
            self.call_after_refresh(self._focus)

    @on(Table.Highlighted)
    def _follow_focus(self, event: Table.Highlighted) -> None:
        if event.table.has_focus and event.table.id is not None and not self._going:
            self._become(event.table.id)

    def on_descendant_focus(self) -> None:
        # What is told late of the table one came from does not lead back to it.
        if isinstance(self.focused, Table) and self.focused.id is not None and not self._going:
            self._become(self.focused.id)

    def action_next_pane(self) -> None:
        self._step(1)

    def action_previous_pane(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        at = TOGETHER.index(self._current) if self._current in TOGETHER else -1
        self.go_to(TOGETHER[(at + by) % len(TOGETHER)])

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._arrange()

    # -- showing ---------------------------------------------------------------------------------------------------

    def show(self, derived: Derived, *, stale: bool) -> None:
        """Shows a newer state of the cluster; only what differs is painted."""
        if self._derived is None:
            self.call_after_refresh(self._mount_rest)
        before = self._derived[0] if self._derived is not None else None
        self._derived = (derived, stale)
        for name, rows in derived.rows.items():
            pane = self._panes.get(name)
            if isinstance(pane, TablePane):
                pane.table.empty = pane.view.unread(derived.env) or views.empty_words(
                    pane.view, derived.snapshot, live=not stale
                )
                pane.table.set_rows(rows, news=before is not None and _watched(pane.view, before, derived))
                self._put_cursor(name)
                self._looks[name].row = None
                self._title(name)
        self._dim()

    def dim(self, stale: bool) -> None:
        """Data that is not live does not look so."""
        if self._derived is not None:
            self._derived = (self._derived[0], stale)
            self._dim()

    def _dim(self) -> None:
        if self._derived is None:
            return
        derived, stale = self._derived
        for name in self.on_screen:
            pane = self._panes.get(name)
            if isinstance(pane, TablePane):
                # What was on the screen some time ago is old until its rows are made anew.
                pane.table.dim = (stale and not pane.view.own) or name not in derived.rows

    def _title(self, name: str) -> None:
        pane, look = self.pane(name), self._looks[name]
        if not isinstance(pane, TablePane):
            return
        table = pane.table
        limits = [f"filter: {look.filter}"] if look.filter else []
        limits += ["faults only"] if look.faults else []
        now = self._derived[0] if self._derived is not None else None
        if (
            now is not None
            and not table.rows
            and (pane.view.unread(now.env) or not known(now.snapshot, *pane.view.reads[:1]))
        ):
            count = []  # of what was never read, 0 would be a claim
        elif limits:
            count = [f"{len(table.visible_keys)} of {len(table.rows)}"]
        else:
            count = [str(len(table.rows))] if pane.view.counted else []
        told = ", ".join([*count, *limits])
        words = f"{TITLES[name]} ({told})" if told else TITLES[name]
        if now is not None and (note := pane.view.note(now)):
            words += f" · {note}"
        if table.marks:
            words += f" · {len(table.marks)} marked"
        pane.say(words)

    @on(Table.Marked)
    def _marks_changed(self, event: Table.Marked) -> None:
        if event.table.id is not None:
            self._title(event.table.id)

    def _put_cursor(self, name: str) -> None:
        look, table = self._looks[name], self.table(name)
        if look.row is not None and table is not None and table.move_to(look.row):
            look.row = None

    def _key(self) -> str | None:
        table = self.table()
        return table.cursor_key if table is not None else None

    # -- filters ---------------------------------------------------------------------------------------------------

    def facets(self, name: str, key: str) -> Facets:
        """What the words of a filter ask of an object of a view."""
        pane = self._panes.get(name)
        if self._derived is None or not isinstance(pane, TablePane):
            return NO_FACETS
        return pane.view.facets(self._derived[0].snapshot, key)

    def _filter(self, name: str, text: str) -> None:
        """Filters a view; tells what is wrong with a text that is no filter, and leaves the view as it is."""
        try:
            self._try_filter(name, text)
        except UsageError as error:
            self.app.complain(error)

    def _try_filter(self, name: str, text: str) -> None:
        table, look = self.table(name), self._looks[name]
        if table is None:
            return
        predicate = filters.parse(
            text, lambda key: self.facets(name, key), lambda word: self.call_later(self._too_slow, name, word)
        )
        look.filter = text.strip()
        worker = table.request_filter(
            filters.both((lambda _, row: filters.is_fault(row)) if look.faults else None, predicate)
        )
        self._title(name)
        if worker is not None:
            self.run_worker(self._title_after(worker, name), exit_on_error=False)

    def _too_slow(self, name: str, word: str) -> None:
        """Takes away a filter that would hold up everything else."""
        if word in self._looks[name].filter:
            self._filter(name, "")
            self.app.complain(too_slow(word))

    async def _title_after(self, worker: Worker[Any], name: str) -> None:
        try:
            await worker.wait()
        except WorkerCancelled:
            return  # a newer filter took its place
        self._put_cursor(name)
        self._title(name)

    def action_faults(self) -> None:
        look = self._looks[self._current]
        look.faults = not look.faults
        self._filter(self._current, look.filter)
