"""The main screen: header, panes, and the keys that look. `ActingScreen` adds the keys that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Grid
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Input

from swarmtui.errors import UsageError
from swarmtui.ui import filters
from swarmtui.ui.derive import Derived
from swarmtui.ui.header import Header
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.keys import CHANGE, LOOK
from swarmtui.ui.layout import FIRST, WIDE_COLUMNS, WIDE_ROWS, EmptyPane, Pane, TablePane, make_panes
from swarmtui.ui.panes.nodes import THROUGH
from swarmtui.ui.table import Table, natural

if TYPE_CHECKING:
    from swarmtui.ui.app import Console

VIEWS = {"nodes": "nodes", "no": "nodes", "services": "services", "svc": "services", "dtr": "dtr", "backups": "backups"}
COMMANDS = (*VIEWS, "alarms", "connection", "help", "run", "quit")


class MainScreen(Screen[None]):
    """Shows a cluster; changes nothing."""

    BINDINGS: ClassVar[list[BindingType]] = LOOK
    AUTO_FOCUS = "#nodes"

    DEFAULT_CSS = """
    MainScreen { background: $surface; }
    MainScreen > #panes { height: 1fr; grid-size: 1; }
    MainScreen.wide > #panes { grid-size: 2 2; grid-columns: 3fr 2fr; grid-rows: 2fr 1fr; grid-gutter: 0 1; }
    MainScreen Pane { display: none; }
    MainScreen Pane.shown { display: block; }
    MainScreen > #line { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    MainScreen > #line.asking { display: block; }
    """

    app: Console

    def __init__(self, cluster: str, *, production: bool, read_only: bool) -> None:
        super().__init__()
        self.header = Header(cluster, production=production, read_only=read_only)
        self.panes = make_panes()
        self._current = FIRST
        self._derived: tuple[Derived, bool] | None = None
        self._zoomed = False
        self._asking = ""
        self._filters: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        # Only what the first paint needs; the rest is mounted when it is asked for, or once there is time.
        yield self.header
        with Grid(id="panes"):
            yield self.pane(FIRST)
        yield KeyBar()

    def _mount_rest(self) -> None:
        """Mounts the other panes and the line, unless they are."""
        grid = self.query_one("#panes", Grid)
        if len(grid.children) < len(self.panes):
            grid.mount(*(pane for pane in self.panes if not pane.is_attached))
            self.mount(Input(id="line", compact=True), after=grid)
            self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        if self._derived is not None:
            self.show(self._derived[0], stale=self._derived[1])

    def on_resize(self, event: Resize) -> None:
        self._arrange()

    # -- panes -----------------------------------------------------------------------------------------------------

    @property
    def wide(self) -> bool:
        """Whether all four panes are shown at once."""
        return not self._zoomed and self.size.width >= WIDE_COLUMNS and self.size.height >= WIDE_ROWS

    def _arrange(self) -> None:
        if self.wide or self._current != FIRST:
            self._mount_rest()
        self.set_class(self.wide, "wide")
        for pane in self.panes:
            pane.set_class(self.wide or pane.name == self._current, "shown")

    def table(self, name: str | None = None) -> Table | None:
        """The table of a pane; of the current one if no name is given."""
        pane = self.pane(name or self._current)
        return pane.table if isinstance(pane, TablePane) else None

    def pane(self, name: str) -> Pane:
        return next(pane for pane in self.panes if pane.name == name)

    @property
    def current(self) -> str:
        return self._current

    def go_to(self, name: str) -> None:
        """Makes a pane the current one."""
        self._current = name
        self._arrange()
        table = self.table()
        if table is not None:
            table.focus()
        else:
            self.set_focus(None)

    @on(Table.Highlighted)
    def _follow_focus(self, event: Table.Highlighted) -> None:
        if event.table.has_focus and event.table.id is not None:
            self._current = event.table.id

    def on_descendant_focus(self) -> None:
        if isinstance(self.focused, Table) and self.focused.id is not None:
            self._current = self.focused.id

    def action_next_pane(self) -> None:
        self._step(1)

    def action_previous_pane(self) -> None:
        self._step(-1)

    def _step(self, by: int) -> None:
        names = [pane.name for pane in self.panes if pane.name and not isinstance(pane, EmptyPane)]
        at = names.index(self._current) if self._current in names else 0
        self.go_to(names[(at + by) % len(names)])

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self._arrange()

    # -- showing ---------------------------------------------------------------------------------------------------

    def show(self, derived: Derived, *, stale: bool) -> None:
        """Shows a newer state of the cluster; only what differs is painted."""
        if self._derived is None:
            self.call_after_refresh(self._mount_rest)
        self._derived = (derived, stale)
        for name, rows in (("nodes", derived.nodes), ("services", derived.services)):
            table = self.table(name)
            if table is not None and table.is_attached:
                table.set_rows(rows)
                table.dim = stale
                self._title(name, len(rows))

    def _title(self, name: str, count: int) -> None:
        table = self.table(name)
        words = f"{name.capitalize()} ({count})"
        if table is not None:
            if self._filters.get(name):
                words = f"{name.capitalize()} ({len(table.visible_keys)} of {count}, filter: {self._filters[name]})"
            if table.marks:
                words += f" · {len(table.marks)} marked"
        self.pane(name).say(words)

    @on(Table.Marked)
    def _marks_changed(self, event: Table.Marked) -> None:
        if event.table.id is not None:
            self._title(event.table.id, len(event.table.rows))

    # -- the line at the bottom ------------------------------------------------------------------------------------

    def _ask(self, kind: str, value: str, placeholder: str) -> None:
        self._asking = kind
        self._mount_rest()
        line = self.query_one("#line", Input)
        line.value = value
        line.placeholder = placeholder
        line.add_class("asking")
        line.focus()

    def _end_asking(self) -> None:
        self._asking = ""
        self.query_one("#line", Input).remove_class("asking")
        self.go_to(self._current)

    def action_filter(self) -> None:
        if self.table() is not None:
            self._ask(
                "filter", self._filters.get(self._current, ""), "filter: regex, !regex, label=KEY[=VALUE], node=NAME"
            )

    def action_command(self) -> None:
        self._ask("command", "", "view: " + ", ".join(COMMANDS))

    @on(Input.Changed, "#line")
    def _typed(self, event: Input.Changed) -> None:
        if self._asking == "filter":
            self._apply_filter(event.value, complain=False)

    @on(Input.Submitted, "#line")
    def _submitted(self, event: Input.Submitted) -> None:
        kind, value = self._asking, event.value.strip()
        self._end_asking()
        if kind == "filter":
            self._apply_filter(value, complain=True)
        elif value:
            self._command(value.removeprefix(":"))

    def _apply_filter(self, text: str, *, complain: bool) -> None:
        table = self.table()
        if table is None:
            return
        try:
            predicate = filters.parse(text, self.app.labels_of)
        except UsageError as error:
            if complain:
                self.app.complain(error)
            return
        self._filters[self._current] = text.strip()
        table.request_filter(predicate)
        self._title(self._current, len(table.rows))

    def _command(self, text: str) -> None:
        if text in VIEWS:
            self.go_to(VIEWS[text])
        elif text in ("q", "quit"):
            self.app.action_quit_console()
        elif text in COMMANDS:
            self.run_worker(self.run_action({"connection": "tries"}.get(text, text)), exclusive=False)
        else:
            known = ", ".join(COMMANDS)
            self.app.complain(UsageError(f'There is no view "{text}".', f"Views: {known}."))

    def action_back(self) -> None:
        table = self.table()
        if self._asking:
            if self._asking == "filter":
                self._apply_filter("", complain=False)
            self._end_asking()
        elif table is not None and self._filters.get(self._current):
            self._apply_filter("", complain=False)
        elif table is not None and table.marks:
            table.clear_marks()

    # -- keys that look: the app knows how -------------------------------------------------------------------------

    def action_help(self) -> None:
        self.app.show_help(self)

    def action_describe(self) -> None:
        self.app.describe(self._current, self._key())

    def action_raw(self) -> None:
        self.app.raw(self._current, self._key())

    @on(Table.Selected)
    def _selected(self, event: Table.Selected) -> None:
        self.app.describe(self._current, event.key)

    def _key(self) -> str | None:
        table = self.table()
        return table.cursor_key if table is not None else None

    def action_copy(self) -> None:
        table = self.table()
        row = table.cursor_row if table is not None else None
        if row is not None:
            name = row[0].text.removesuffix(THROUGH)
            self.app.copy_to_clipboard(name)
            self.app.notify(f"{name} is copied.", markup=False, timeout=2)

    def action_alarms(self) -> None:
        self.app.show_alarms()

    def action_tries(self) -> None:
        self.app.show_connection()

    def action_run(self) -> None:
        self.app.show_run()

    def action_refresh(self) -> None:
        self.app.look_now()

    def action_quit(self) -> None:
        self.app.action_quit_console()


class ActingScreen(MainScreen):
    """The main screen with the keys that change something; read-only consoles have none of them."""

    BINDINGS: ClassVar[list[BindingType]] = CHANGE

    def action_node(self, runbook: str) -> None:
        """Plans an operation on the marked nodes, or on the one under the cursor."""
        table = self.table("nodes")
        if table is None or self._current != "nodes":
            self.app.complain(UsageError("This key works on nodes.", "Go to them with :nodes."))
            return
        hidden = sorted(table.hidden_marks, key=lambda key: natural(table.rows[key][0].text))
        marked = [key for key in table.visible_keys if key in table.marks] + hidden
        chosen = marked or ([table.cursor_key] if table.cursor_key else [])
        if not chosen:
            self.app.complain(UsageError("There is no node to act on.", ""))
            return
        self.app.operate(runbook, chosen)
