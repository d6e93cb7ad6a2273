"""The console: paints first, then opens the session and shows what it learns. The only place that holds the
parts together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.timer import Timer

from swarmtui.errors import UsageError
from swarmtui.ui import habits, views
from swarmtui.ui.derive import Derived, Deriver
from swarmtui.ui.header import STALE_SECONDS
from swarmtui.ui.keys import MAIN_IDS
from swarmtui.ui.looking import Looking
from swarmtui.ui.main import ActingScreen, MainScreen
from swarmtui.ui.operations import Operations
from swarmtui.ui.recovering import Recovering
from swarmtui.ui.screen_keys import QUIT
from swarmtui.ui.screens.asking import UiPerson
from swarmtui.ui.screens.reading import ReadingScreen
from swarmtui.ui.theme import use as use_theme
from swarmtui.ui.upkeep import Upkeep
from swarmtui.ui.views import Env

if TYPE_CHECKING:
    from swarmtui.opening import Opening
    from swarmtui.session import Session

GC_THRESHOLDS = (50_000, 20, 100)
"""Snapshots and rows hold no cycles; collecting as often as Python does would stall keys for 7 ms at 1,000 nodes."""
TOLD_SECONDS = 3.0
"""How long what the first key needs waits for the first table; where nobody answers it is loaded all the same."""
OPEN_SECONDS = 0.5
"""When a session is opened though the first paint is not told: that comes within 0.2 s."""
AGE_SECONDS = 5.0
"""How often ages are looked at while there is an age to show; while data is live nothing ticks."""
TO_CLUSTERS = -1
"""Result of a console that was left for the start page: its session goes on, for whoever ran it."""


class Console(Looking, Operations, Recovering, Upkeep):
    """The console on one cluster.

    Args:
        opening: the cluster, found when the screen is painted already (reading a bundle or a context takes time).
        journal: folder of the journal.
        read_only: no key that changes anything is bound.
        keys: binding id → key, as the person wants them.
        session: a session of this very cluster to go on with, started or not.
        clusters: there is a start page with several clusters to go to.
        theme: dark, light or contrast.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit_console", "Quit", show=False, id=QUIT, priority=True)
    ]

    def __init__(
        self,
        opening: Opening,
        *,
        journal: Path,
        read_only: bool = False,
        keys: Mapping[str, str] | None = None,
        session: Session | None = None,
        clusters: bool = False,
        theme: str = "dark",
    ) -> None:
        super().__init__()
        self.opening = opening
        self.read_only = read_only or opening.cluster.read_only
        self.session = session
        self._clusters = clusters
        self._unsubscribe: Callable[[], None] = lambda: None
        self.derived: Derived | None = None
        self._journal_folder = journal
        self._deriver = Deriver()
        self._derived_for: tuple[object, ...] = ()
        self._details: tuple[str, ...] = ()
        self._dirty = asyncio.Event()
        self._told = asyncio.Event()
        self._opened = asyncio.Event()
        self._opening_began = False
        self._ageing: Timer | None = None
        self._ageing_stale = False
        self._keys = dict(keys or {})
        main = MainScreen if self.read_only else ActingScreen
        self._habits_file = journal.parent / habits.FILE
        self._habits, self._habits_trouble = self._read_habits()
        self.main = main(
            opening.name,
            production=opening.cluster.production,
            read_only=self.read_only,
            keys=self._keys,
            used_to=self._habits,
        )
        use_theme(self, theme)

    # -- life ------------------------------------------------------------------------------------------------------

    def _read_habits(self) -> tuple[habits.Habits | None, UsageError | None]:
        try:
            return habits.load(self._habits_file), None
        except UsageError as error:
            return habits.Habits(), error

    def _keep_habits(self) -> None:
        known = self._habits or habits.Habits()
        kept = habits.Habits(self.main.current, {**known.sorts, **self.main.sorts()})
        if kept != self._habits:
            try:
                habits.save(self._habits_file, kept)
            except UsageError as error:
                # The screen is gone, and nothing depends on it.
                self.log.warning(str(error))

    def get_default_screen(self) -> MainScreen:
        return self.main

    def on_mount(self) -> None:
        if others := {name: key for name, key in self._keys.items() if name not in MAIN_IDS}:
            self.set_keymap(others)
        self._tell_header()
        if self._habits_trouble is not None:
            self.complain(self._habits_trouble)
        # Everything heavy is imported behind the first paint. That waits for the screen below while another one is
        # above it, and one is where somebody typed ahead.
        self.call_after_refresh(self._open_once)
        self.set_timer(OPEN_SECONDS, self._open_once)

    def _open_once(self) -> None:
        if not self._opening_began:
            self._opening_began = True
            self.run_worker(self._open(), exit_on_error=False, group="session")

    async def _open(self) -> None:
        module = await asyncio.to_thread(importlib.import_module, "swarmtui.session")
        session: Session = self.session or module.Session(self.opening, UiPerson(self))
        session.person = UiPerson(self)
        self.session = session
        self._opened.set()
        self._unsubscribe = session.subscribe(self._dirty.set)
        self._want()
        session.start()
        self._dirty.set()
        self._show()
        self.watch_shelf()
        # What the first key needs is loaded while nobody waits for it: not beside the way to the first table.
        await self._until_told()
        runbooks = await asyncio.to_thread(importlib.import_module, "swarmtui.runbooks.registry")
        await asyncio.to_thread(runbooks.load_all)
        await asyncio.to_thread(views.load_all)
        # What was imported stays for good: the cycle collector need not walk it while somebody types.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()

    async def _until_told(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOLD_SECONDS):
                await self._told.wait()

    def _shelf_changed(self) -> None:
        self._dirty.set()

    async def on_unmount(self) -> None:
        self._keep_habits()
        self._unsubscribe()
        self.stop_work()
        if self.session is not None and self.return_value != TO_CLUSTERS:
            await self.session.close()

    def on_worker_state_changed(self, event: Any) -> None:
        """Textual calls this beside the handler of `Acting`, which tells the failure."""
        if event.state.name == "ERROR" and event.worker.group == "show":
            # One view that cannot be made must not leave all others as they are, looking live.
            self.set_timer(AGE_SECONDS, self._show)

    def _show(self) -> None:
        """Begins to show what changes."""
        self._dirty.set()
        self.run_worker(self._show_changes(), exit_on_error=False, group="show")

    # -- showing ---------------------------------------------------------------------------------------------------

    async def _show_changes(self) -> None:
        """Derives and shows the newest state; what came meanwhile is taken together."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            session = self.session
            assert session is not None
            known, snapshot = self.derived, session.snapshot
            names, options = self.main.on_screen, self.main.options
            if not snapshot.seq:  # nobody answered yet: only what lies on this machine can be shown
                names = tuple(name for name in names if views.view(name).own)
            events = session.events if "events" in names else ()
            basis = (session.connection.node_id, names, options, events, self.shelf.turn)
            fresh = known is not None and known.snapshot is snapshot and basis == self._derived_for
            if (snapshot.seq or names) and not fresh:
                env = Env(
                    now=time.time(),
                    through=session.connection.node_id,
                    zone_label=self.opening.cluster.zone_label,
                    options=options,
                    events=events,
                    journal=self._journal_folder,
                    shelf=self.shelf,
                )
                self.derived = await asyncio.to_thread(self._deriver, snapshot, env, names)
                self._derived_for = basis
                self.main.show(self.derived, stale=self._stale())
                self._told.set()
            self._dim()
            if isinstance(self.screen, ReadingScreen):
                self.screen.renew()
            self._tell_header()
            self._let_it_age()

    def _dim(self) -> None:
        """Data that is not live does not look so."""
        self.main.dim(self._stale())

    def look_changed(self) -> None:
        """Other views are on the screen than before: their rows are made as soon as there is time."""
        self._want()
        self.look_at_shelf()
        self._dirty.set()

    def _want(self) -> None:
        """Has what the views on the screen show read, and what is read about one of their rows."""
        if self.session is not None:
            wanted = {name for view in self.main.on_screen for name in views.view(view).reads}
            self.session.want(wanted | set(self._details))

    def _stale(self) -> bool:
        session, derived = self.session, self.derived
        if session is None or derived is None:
            return False
        oldest = derived.snapshot.oldest()
        return not session.live or (oldest > 0.0 and time.time() - oldest > STALE_SECONDS)

    def _tell_header(self) -> None:
        session = self.session
        connection = session.connection if session is not None else None
        note = ""
        if connection is not None:
            note = connection.note
            if connection.phase != "live" and connection.attempts:
                note = connection.attempts[-1].what
        self.main.header.tell(
            phase=connection.phase if connection else "connecting",
            through=connection.through if connection else "",
            note=note,
            next_try_at=connection.next_try_at if connection else 0.0,
            derived=self.derived,
            run=(self.current_run.brief if self.current_run else "") or (self.work.brief if self.work else ""),
        )
        known = self.derived is not None and self.derived.snapshot.seq
        if not known and connection is not None and connection.attempts:
            table = self.main.table("nodes")
            if table is not None:
                table.empty = "Nobody answers yet: press i for what was tried."

    def _let_it_age(self) -> None:
        """While data is stale its age is looked at every few seconds; while it is live nothing ticks."""
        stale = self._stale()
        if self._ageing is not None and stale == self._ageing_stale:
            return
        if stale or (self.session is not None and self.session.live):
            if self._ageing is not None:
                self._ageing.stop()
            # Live data turns stale without a word from anybody: look once, when that could be.
            self._ageing_stale = stale
            self._ageing = self.set_timer(AGE_SECONDS if stale else STALE_SECONDS + 1, self._aged)

    def _aged(self) -> None:
        self._ageing = None
        self._dim()
        self._tell_header()
        self._let_it_age()

    def use_theme(self, name: str) -> None:
        """Changes the colours until the console is left."""
        try:
            use_theme(self, name)
        except UsageError as error:
            self.complain(error)

    def look_now(self) -> None:
        if self.session is not None:
            self.session.look_now()
        self.look_at_shelf(anew=True)

    # -- leaving ---------------------------------------------------------------------------------------------------

    def action_quit_console(self) -> None:
        """Quits; asks first while an operation is under way."""
        self.leave_unless_busy(lambda: self.exit(0))

    def action_clusters(self) -> None:
        """Leaves for the start page with all clusters; never while an operation is under way on this one."""
        run = self.current_run
        if not self._clusters:
            self.complain(
                UsageError(
                    "No cluster has a name in the configuration.", "Name some: swarmtui clusters add NAME TARGET"
                )
            )
        elif run is not None and run.outcome is None:
            self.complain(
                UsageError(
                    f"{run.plan.title} is under way on {self.opening.name}.", "v watches it; leave when it is done."
                )
            )
        elif self.work_under_way():
            pass  # it is on the screen now, and says what it is
        elif any(worker.group == "operate" and worker.is_running for worker in self.workers):
            # Confirmed, perhaps, and looked at once more: it must not vanish without a word.
            self.complain(UsageError(f"An operation is being planned on {self.opening.name}.", "Wait a moment for it."))
        else:
            self.goes_on = True
            self.exit(TO_CLUSTERS)
