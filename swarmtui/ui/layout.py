"""The panes of the console: how they share the screen."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from swarmtui.ui.habits import Sort
from swarmtui.ui.table import Table
from swarmtui.ui.views import TITLES, View, view

FIRST = "nodes"
WIDE_COLUMNS = 150
WIDE_ROWS = 36


class Pane(Vertical):
    """A titled part of the screen."""

    DEFAULT_CSS = """
    Pane { height: 1fr; }
    Pane > .pane-title { height: 1; background: $panel; color: $primary; padding: 0 1; text-style: bold; }
    """

    def __init__(self, name: str, *, shown: bool = False) -> None:
        super().__init__(id=f"pane-{name}", name=name)
        self.display = shown
        self.pane_title = TITLES[name]
        self._line = Static(self.pane_title, classes="pane-title", markup=False)

    def compose(self) -> ComposeResult:
        yield self._line

    def say(self, title: str) -> None:
        """Changes the title, if it is another one."""
        if title != self.pane_title:
            self.pane_title = title
            self._line.update(title)


class TablePane(Pane):
    """A pane with the table of a view."""

    def __init__(self, view: View, sort: Sort, *, shown: bool = False) -> None:
        super().__init__(view.name, shown=shown)
        self.view = view
        self.table = Table(view.columns, id=view.name, empty="Nothing is known yet.")
        self.table.set_sort(sort.column, sort.reverse)

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield self.table


def make_pane(name: str, sorts: Mapping[str, Sort], *, shown: bool) -> TablePane:
    """The pane of a view.

    Args:
        sorts: how a person is used to have views sorted.
        shown: whether it is on the screen from the start.
    """
    made = view(name)
    sort = sorts.get(name, Sort(made.sort, made.reverse))
    if sort.column not in (column.key for column in made.columns):
        sort = Sort(made.sort, made.reverse)
    return TablePane(made, sort, shown=shown)
