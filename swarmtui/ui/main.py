"""The main screen: header, panes, and the keys that look. `ActingScreen` adds the keys that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.suggester import SuggestFromList
from textual.widgets import Input

from swarmtui.errors import UsageError
from swarmtui.ui import filters, views
from swarmtui.ui.board import Board
from swarmtui.ui.keys import action_of, where, works_in
from swarmtui.ui.layout import TablePane
from swarmtui.ui.panes.nodes import THROUGH
from swarmtui.ui.places import Place, Trail
from swarmtui.ui.table import Table, natural
from swarmtui.ui.views import BEFORE, HISTORY, TITLES

if TYPE_CHECKING:
    from swarmtui.model.services import Task

COMMANDS = {
    "alarms": "alarms",
    "backup": "back_up",
    "connection": "tries",
    "clusters": "app.clusters",
    "help": "help",
    "recover": "recover",
    "run": "run",
    "unlock": "unlock_all",
    "quit": "quit",
    "q": "quit",
}
"""What may be typed after `:` besides views, and the key's action it stands for."""
FILTER_HELP = "filter: regex, !regex, label=KEY[=VALUE], node=NAME, service=NAME, stack=NAME"


class MainScreen(Board):
    """Shows a cluster; changes nothing."""

    def __init__(self, cluster: str, **options: Any) -> None:
        super().__init__(cluster, **options)
        self._asking = ""
        self._trail = Trail()

    # -- going places ----------------------------------------------------------------------------------------------

    def visit(self, place: Place) -> None:
        """Goes to a view, with its filter and the cursor on a row; `[` and esc come back."""
        self._trail.leave(self._here())
        self._open(place)

    def show_row(self, view: str, key: str) -> None:
        """Goes to a row of another view, whatever that view's filter hides."""
        self._looks[view].faults = False
        self.visit(Place(view, "", key))

    def _here(self) -> Place:
        return Place(self._current, self._looks[self._current].filter, self._key())

    def _open(self, place: Place) -> None:
        look = self._looks[place.view]
        look.row = place.row
        self.go_to(place.view)
        self._filter(place.view, place.filter)
        self._put_cursor(place.view)

    def action_go_back(self) -> None:
        self._follow(self._trail.back(self._here()), "There is nothing before this.")

    def action_go_forward(self) -> None:
        self._follow(self._trail.forward(self._here()), "There is nothing after this.")

    def _follow(self, place: Place | None, otherwise: str) -> None:
        if place is not None:
            self._open(place)
        else:
            self.app.notify(otherwise, markup=False, timeout=2)

    def action_back(self) -> None:
        """Drops one thing after the other: the question, the filter, the marks; then goes back."""
        table, look = self.table(), self._looks[self._current]
        if self._asking:
            if self._asking == "filter":
                self._filter(self._current, "")
            self._end_asking()
        elif table is not None and (look.filter or look.faults):
            look.faults = False
            self._filter(self._current, "")
        elif table is not None and table.marks:
            table.clear_marks()
        elif (place := self._trail.back(self._here())) is not None:
            self._open(place)

    # -- the line at the bottom ------------------------------------------------------------------------------------

    def _ask(self, kind: str, value: str, placeholder: str) -> None:
        self._asking = kind
        self._mount_line()
        line = self.query_one("#line", Input)
        line.value = value
        line.placeholder = placeholder
        line.suggester = SuggestFromList((*TITLES, *COMMANDS)) if kind == "command" else None
        line.add_class("asking")
        self.set_focus(line)  # at once, and not when there is time: the next letter is for the line

    def _end_asking(self) -> None:
        self._asking = ""
        self.query_one("#line", Input).remove_class("asking")
        self.go_to(self._current)

    def action_filter(self) -> None:
        if self.table() is not None:
            self._ask("filter", self._looks[self._current].filter, FILTER_HELP)

    def action_command(self) -> None:
        self._ask("command", "", "view: " + ", ".join((*TITLES, *COMMANDS, "theme NAME")))

    @on(Input.Changed, "#line")
    def _typed(self, event: Input.Changed) -> None:
        if self._asking == "filter":
            try:
                self._try_filter(self._current, event.value)
            except UsageError:
                pass  # half a regular expression is none yet

    @on(Input.Submitted, "#line")
    def _submitted(self, event: Input.Submitted) -> None:
        kind, value = self._asking, event.value.strip()
        self._end_asking()
        if kind == "filter":
            self._filter(self._current, value)
        elif value:
            self._command(value.removeprefix(":"))

    def _command(self, text: str) -> None:
        word, _, rest = text.strip().partition(" ")
        if word == "theme":
            self.app.use_theme(rest.strip())
            return
        if word in COMMANDS:
            self.run_worker(self.run_action(COMMANDS[word]), exclusive=False)
            return
        try:
            name = views.find(word)
        except UsageError as error:
            self.app.complain(error)
            return
        self.visit(Place(name, rest or self._looks[name].filter, None))

    # -- from one thing to another ---------------------------------------------------------------------------------

    def action_tasks(self) -> None:
        """The tasks of the node, service or stack under the cursor."""
        key, pane = self._key(), self.pane(self._current)
        if key is None or self._derived is None or not isinstance(pane, TablePane):
            return
        word = filters.naming(pane.view.one, key, pane.table.rows, lambda each: self.facets(self._current, each))
        self._looks["tasks"].faults = False
        self.visit(Place("tasks", word, None))

    def action_service(self) -> None:
        """The service of the task under the cursor."""
        task = self._task_here()
        if task is not None:
            self._show_object("services", task.service_id, "The service of this task is gone.")

    def action_node(self) -> None:
        """The node of the task under the cursor, or of the replica of DTR."""
        if self._derived is not None and self._current == "dtr":
            found = self._derived[0].dtr
            one = next((each for each in (found.replicas if found else ()) if each.id == self._key()), None)
            if one is not None:
                self._show_object("nodes", one.node_id, "No node of the Swarm is known to have this replica.")
            return
        task = self._task_here()
        if task is not None and not task.node_id:
            self.app.complain(UsageError("This task is on no node yet.", "d says why."))
        elif task is not None:
            self._show_object("nodes", task.node_id, "The node of this task is gone.")

    def _task_here(self) -> Task | None:
        key = self._key()
        return self._derived[0].snapshot.tasks.get(key) if self._derived is not None and key is not None else None

    def _show_object(self, view: str, key: str, otherwise: str) -> None:
        assert self._derived is not None
        snapshot = self._derived[0].snapshot
        if key in (snapshot.services if view == "services" else snapshot.nodes):
            self.show_row(view, key)
        else:
            self.app.complain(UsageError(otherwise, "d tells what is known."))

    def action_logs(self) -> None:
        """The log of the service or task under the cursor."""
        key = self._key()
        if key is not None:
            self.app.show_logs(self._current, key)

    def action_history(self) -> None:
        """Also the tasks that came before in each slot, or not."""
        self.options ^= {HISTORY}
        self.app.look_changed()

    def action_recover(self) -> None:
        """What happened, and the least destructive way out; looks only."""
        self.app.show_recovery()

    def action_unlock_all(self) -> None:
        """Unlocks every manager that is locked; a console that only looks does not."""
        self.app.complain(UsageError("This console is read-only.", "Nothing was changed."))

    def action_back_up(self) -> None:
        """Takes a backup, from any view; a console that only looks does not."""
        self.app.complain(UsageError("This console is read-only.", "Nothing was changed."))

    def action_backup_inside(self) -> None:
        """What is in the backup under the cursor."""
        self.app.look_inside(self._key())

    def action_backup_verify(self) -> None:
        """Whether the marked backups would restore, or the one under the cursor."""
        self.app.verify(self._chosen("backups"))

    def action_backup_diff(self) -> None:
        """What changed from one marked backup to the other, or since the one under the cursor was taken."""
        self.app.compare_backups(self._chosen("backups"))

    def _chosen(self, view: str) -> list[str]:
        """The ids of the marked rows, also of those that the filter hides; or else of the one under the cursor."""
        table = self.table(view)
        if table is None:
            return []
        hidden = sorted(table.hidden_marks, key=lambda key: natural(table.rows[key][0].text))
        marked = [key for key in table.visible_keys if key in table.marks] + hidden
        return marked or ([table.cursor_key] if table.cursor_key else [])

    def action_peek(self) -> None:
        """The join token or the unlock key under the cursor, for a while."""
        self.app.peek(self._key() or "")

    def action_export(self) -> None:
        """Asks for a file and writes the table there as it is shown."""
        table = self.table()
        if table is not None:
            rows = [table.rows[key] for key in table.visible_keys]
            self.app.export(self._current, table.columns, rows)

    # -- keys that look: the app knows how -------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("filter", "command") and isinstance(self.focused, Input):
            return False  # these keys come before the widget in focus, and there they are letters
        return works_in(action, parameters, self._current)

    def action_elsewhere(self, key: str) -> None:
        """A key that does nothing here says where it does."""
        names = where(key, (binding for _, binding in self._bindings))
        go = " or ".join(f":{name}" for name in names)
        self.app.complain(UsageError(f"This key works on {' and '.join(names)}.", f"Go to them with {go}."))

    def action_help(self) -> None:
        self.app.show_help(self)

    def action_describe(self) -> None:
        self.app.describe(self._current, self._key())

    def action_raw(self) -> None:
        self.app.raw(self._current, self._key())

    @on(Table.Selected)
    def _selected(self, event: Table.Selected) -> None:
        self.app.describe(self._current, event.key)

    def action_copy(self) -> None:
        table = self.table()
        row = table.cursor_row if table is not None else None
        if table is not None and row is not None:
            at = next((at for at, column in enumerate(table.columns) if column.key == "name"), 0)
            name = row[at].text.removesuffix(THROUGH).removeprefix(BEFORE)
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

    ACTS = True

    def action_unlock_all(self) -> None:
        self.app.operate(action_of("swarm.unlock-all"), [])

    def action_back_up(self) -> None:
        self.app.operate(action_of("swarm.backup"), [])

    def action_act(self, called: str, view: str) -> None:
        """Plans an operation on the marked rows, or on the one under the cursor."""
        if self.table(view) is not None:
            self.app.operate(action_of(called), self._chosen(view))
