"""The start page: all named clusters side by side. It looks, opens the one under the cursor, and builds new ones.

A program of its own besides the console, which knows one cluster and no other: so nothing that was planned, asked or
marked there can ever reach another cluster.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from swarmtui.config import state_dir
from swarmtui.errors import SwarmtuiError
from swarmtui.model.text import one_line
from swarmtui.ui import fleet_rows
from swarmtui.ui.building import Building, Naming
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.screen_keys import CLUSTERS, QUIT
from swarmtui.ui.screens.reading import ReadingScreen
from swarmtui.ui.table import Table
from swarmtui.ui.theme import use as use_theme

if TYPE_CHECKING:
    from swarmtui.ui.fleet import Fleet

ADD = "swarmtui clusters add NAME ssh://USER@HOST"
AGE_SECONDS = 5.0
"""How often ages are looked at while there is one to show."""


class ClustersScreen(Screen[None]):
    """One row for each cluster, and two lines on the one under the cursor."""

    AUTO_FOCUS = "#clusters"
    BINDINGS: ClassVar[list[BindingType]] = CLUSTERS

    DEFAULT_CSS = """
    ClustersScreen { background: $surface; }
    ClustersScreen > #clusters-head { height: 1; background: $panel; padding: 0 1; text-wrap: nowrap; }
    ClustersScreen > #clusters-more { height: auto; min-height: 2; max-height: 6; padding: 0 1; background: $panel; }
    """

    app: ClustersApp

    def __init__(self, fleet: Fleet, at: str) -> None:
        super().__init__()
        self._fleet = fleet
        self._at = at
        self.table = Table(fleet_rows.COLUMNS, id="clusters", empty="No cluster has a name yet.", flash=False)
        self._head = Static(id="clusters-head", markup=False)
        self._more = Static(id="clusters-more", markup=False)
        self._told: tuple[Text, Text] | None = None
        self._ageing: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._head
        yield self.table
        yield self._more
        yield KeyBar()

    def on_mount(self) -> None:
        self.show()
        self.table.move_to(self._at)

    def show(self) -> None:
        """Shows how the clusters stand now; only what differs is painted."""
        now = time.time()
        self.table.set_rows(fleet_rows.rows(self._fleet, now))
        self._tell()
        stale = any(fleet_rows.is_stale(member, now) for member in self._fleet)
        fresh = any(member.live for member in self._fleet)
        if self._ageing is None and (stale or fresh):
            # Live data turns stale without a word from anybody.
            self._ageing = self.set_timer(AGE_SECONDS if stale else 2 * AGE_SECONDS, self._aged)

    def _aged(self) -> None:
        self._ageing = None
        self.show()

    @on(Table.Highlighted)
    def _moved(self) -> None:
        self._tell()

    def _tell(self) -> None:
        """The line at the top, and what is the matter with the cluster under the cursor."""
        told = self._summary(), self._matter()
        if told != self._told:
            self._told = told
            self._head.update(told[0])
            self._more.update(told[1])

    def _summary(self) -> Text:
        members = list(self._fleet)
        brief = self.app.brief
        if not members:
            text = Text.assemble(("swarmtui", "bold"), "  no cluster yet", no_wrap=True)
            return text.append(f"  {brief}", self._style("warn")) if brief else text
        live = sum(member.live for member in members)
        waiting = sum(member.needs_person for member in members)
        alarms = sum(len(member.seen.alarms) for member in members if member.seen is not None)
        text = Text.assemble(
            ("swarmtui", "bold"), f"  {len(members)} {'cluster' if len(members) == 1 else 'clusters'}", no_wrap=True
        )
        text.append(f"  {live} live", self._style("good" if live == len(members) else "warn"))
        if waiting:
            text.append(f"  {waiting} {'needs' if waiting == 1 else 'need'} you", self._style("warn"))
        if alarms:
            text.append(f"  ! {alarms} {'alarm' if alarms == 1 else 'alarms'}", self._style("bad"))
        elif live:
            text.append("  no alarms", self._style("good"))
        if self.app.read_only:
            text.append("  read-only", self._style("warn"))
        if brief:
            text.append(f"  {brief}", self._style("warn"))
        return text

    def _matter(self) -> Text:
        name = self.table.cursor_key
        if name is None:
            file = one_line(str(self._fleet.config.path))
            build = "" if self.app.read_only else "N builds a new Swarm from bare hosts. "
            return Text(f"{build}One that is there gets its name, in {file}, with: {ADD}")
        member = self._fleet[name]
        text = Text.assemble((one_line(name), "bold"), ": ")
        what, next_step = fleet_rows.matter(self._fleet, member)
        return text.append(what, self._style("warn") if next_step else "").append(f" {next_step}")

    def _style(self, name: str) -> Style:
        """A colour as the rows have it, in any theme."""
        return self.table.get_component_rich_style(f"table--{name}", partial=True)

    # -- keys ------------------------------------------------------------------------------------------------------

    @on(Table.Selected)
    def _selected(self, event: Table.Selected) -> None:
        self.app.open(event.key)

    def action_open(self) -> None:
        if self.table.cursor_key is not None:
            self.app.open(self.table.cursor_key)

    def action_open_number(self, number: int) -> None:
        """Opens the cluster with this key, if there is one."""
        names = [member.name for member in self._fleet]
        if number <= len(names):
            self.table.move_to(names[number - 1])
            self.app.open(names[number - 1])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self._can(action) and (action != "watch" or self.app.current_run is not None)

    def _can(self, action: str) -> bool:
        """Whether a key may be bound at all."""
        return not (self.app.read_only and action in ("build", "watch"))

    def action_build(self) -> None:
        self.app.build()

    def action_watch(self) -> None:
        self.app.show_run()

    def action_describe(self) -> None:
        name = self.table.cursor_key
        if name is not None:
            self.app.push_screen(
                ReadingScreen(one_line(name), lambda: fleet_rows.lines(self._fleet, name, time.time()))
            )

    def action_again(self) -> None:
        self._fleet.look_again()

    def action_help(self) -> None:
        lines: list[tuple[str, str]] = []
        for title, bindings in (("Clusters", self.BINDINGS), ("Move and sort", self.table.BINDINGS)):
            lines.append(("heading", title))
            for binding in bindings:
                assert isinstance(binding, Binding)
                # Marks are for operations on rows, and here is none.
                if not binding.action.startswith(("open_number", "mark", "unmark")) and self._can(binding.action):
                    key = self.app.keys.get(binding.id or "", "") or binding.key_display or binding.key
                    lines.append(("plain", f"  {key:16} {binding.tooltip or binding.description}"))
        self.app.push_screen(ReadingScreen("Keys of the clusters", lambda: lines))


class ClustersApp(Building):
    """Shows all clusters until one is chosen: its name is the result, None after leaving.

    Args:
        fleet: the clusters. They are connected to while this runs; `session` is what is left of it afterwards.
        at: the cluster that the cursor begins on.
        journal: folder of the journal; None for the usual one.
        naming: gives a new cluster its name in the configuration; without, none is offered.
        read_only: say that whatever is opened will be read-only.
        keys: binding id → key, as the person wants them.
        theme: dark, light or contrast.

    Attributes:
        session: the session of the chosen cluster, if anything is known of it yet.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "leave", "Quit", show=False, id=QUIT, priority=True)]

    def __init__(
        self,
        fleet: Fleet,
        *,
        at: str = "",
        journal: Path | None = None,
        naming: Naming | None = None,
        read_only: bool = False,
        keys: Mapping[str, str] | None = None,
        theme: str = "dark",
    ) -> None:
        super().__init__()
        self.fleet = fleet
        self.read_only = read_only
        self.keys = dict(keys or {})
        self.session: Any = None
        self._journal_folder = journal or state_dir() / "journal"
        self._naming = naming
        self.clusters = ClustersScreen(fleet, at)
        self._leaving = False
        use_theme(self, theme)

    def get_default_screen(self) -> ClustersScreen:
        return self.clusters

    def on_mount(self) -> None:
        if self.keys:
            self.set_keymap(self.keys)
        # Everything heavy is imported behind the first paint.
        self.call_after_refresh(lambda: self.run_worker(self._open(), exit_on_error=False))

    async def _open(self) -> None:
        self.fleet.start(self._changed, self.tell_internal)
        # What opening a cluster needs is loaded while nobody waits for it.
        app = await asyncio.to_thread(importlib.import_module, "swarmtui.ui.app")
        gc.freeze()
        gc.set_threshold(*app.GC_THRESHOLDS)
        gc.enable()

    def _changed(self) -> None:
        self.clusters.show()
        if isinstance(self.screen, ReadingScreen):
            self.screen.renew()

    def _tell_header(self) -> None:
        self.clusters.show()
        self.clusters.refresh_bindings()

    @property
    def brief(self) -> str:
        """A word on the build under way, or on a new Swarm that has no name yet; "" for neither."""
        if self._built is not None:
            return "a new Swarm has no name yet (v)"
        return self.current_run.brief if self.current_run is not None else ""

    async def on_unmount(self) -> None:
        if self._way is not None:
            await self._way.close()

    def open(self, name: str) -> None:
        """Leaves with this cluster, unless its configuration cannot be meant, or a build is under way: says why."""
        if not self.busy():
            self._leave(name)

    def show_member(self, name: str) -> None:
        self.clusters.show()
        self.clusters.table.move_to(name)

    def action_leave(self) -> None:
        """Leaves; asks first while a build is under way."""
        self.leave_unless_busy(lambda: self._leave(""))

    def _leave(self, name: str) -> None:
        if not self._leaving:
            self._leaving = True
            self.run_worker(self._left(name), exit_on_error=False)

    async def _left(self, name: str) -> None:
        try:
            if name:
                await self.fleet.opening(name)
        except SwarmtuiError as error:
            self._leaving = False
            self.notify(one_line(str(error)), title="Not opened", severity="error", markup=False, timeout=12)
            return
        if self._built is not None:
            # Nobody gave it a name: it stays on the page all the same.
            self.fleet.include(self._built.opening)
        self.session = await self.fleet.stop(keep=name)
        self.goes_on = bool(name)
        self.exit(name or None)
