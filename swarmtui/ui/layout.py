"""The panes of the console: how they share the screen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from swarmtui.ui.panes import nodes, services
from swarmtui.ui.table import Table

FIRST = "nodes"
WIDE_COLUMNS = 150
WIDE_ROWS = 36


class Pane(Vertical):
    """A titled part of the screen."""

    DEFAULT_CSS = """
    Pane { height: 1fr; }
    Pane > .pane-title { height: 1; background: $panel; color: $primary; padding: 0 1; text-style: bold; }
    Pane > .pane-empty { height: 1fr; color: $foreground 60%; padding: 1 2; }
    """

    def __init__(self, name: str, title: str) -> None:
        # The pane that is shown first has its class from the start: a change of class restyles all it contains.
        super().__init__(id=f"pane-{name}", name=name, classes="shown" if name == FIRST else "")
        self.pane_title = title

    def compose(self) -> ComposeResult:
        yield Static(self.pane_title, classes="pane-title", markup=False)

    def say(self, title: str) -> None:
        """Changes the title, if it is another one."""
        if title != self.pane_title:
            self.pane_title = title
            self.query_one(".pane-title", Static).update(title)


class TablePane(Pane):
    """A pane with a table."""

    def __init__(self, name: str, title: str, table: Table) -> None:
        super().__init__(name, title)
        self.table = table

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield self.table


class EmptyPane(Pane):
    """A pane for what this version does not do yet; says so."""

    def __init__(self, name: str, title: str, text: str) -> None:
        super().__init__(name, title)
        self._text = text

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Static(self._text, classes="pane-empty", markup=False)


def make_panes() -> tuple[Pane, ...]:
    """All panes, in the order of the tab key."""
    by_name = "name"
    node_table = Table(nodes.COLUMNS, id="nodes", empty="No nodes are known yet.")
    service_table = Table(services.COLUMNS, id="services", empty="No services are known yet.")
    for table in (node_table, service_table):
        table.set_sort(by_name)
    return (
        TablePane("nodes", "Nodes", node_table),
        TablePane("services", "Services", service_table),
        EmptyPane("dtr", "DTR replicas", "This version does not look at DTR yet."),
        EmptyPane("backups", "Backups", "This version takes no backups yet."),
    )
