"""The console: paints first, then opens the session and shows what it learns. The only place that holds the
parts together."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.timer import Timer

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.model.text import one_line
from swarmtui.ui import describe, theme
from swarmtui.ui.derive import Derived, Deriver
from swarmtui.ui.describe import Lines
from swarmtui.ui.header import STALE_SECONDS, coarse_age
from swarmtui.ui.keys import CHANGE, LOOK, action_of
from swarmtui.ui.main import ActingScreen, MainScreen
from swarmtui.ui.screens.asking import AskScreen, UiPerson
from swarmtui.ui.screens.reading import ReadingScreen

if TYPE_CHECKING:
    from swarmtui.opening import Opening
    from swarmtui.runbooks.runbook import Plan
    from swarmtui.session import Session
    from swarmtui.ui.screens.running import Run

GC_THRESHOLDS = (50_000, 20, 100)
"""Snapshots and rows hold no cycles; collecting as often as Python does would stall keys for 7 ms at 1,000 nodes."""
AGE_SECONDS = 5.0
"""How often ages are looked at while there is an age to show; while data is live nothing ticks."""


class Console(App[int]):
    """The console on one cluster.

    Args:
        opening: the cluster, found when the screen is painted already (reading a bundle or a context takes time).
        journal: folder of the journal.
        read_only: no key that changes anything is bound.
        keys: binding id → key, as the person wants them.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit_console", "Quit", show=False, id="app.quit", priority=True)
    ]

    def __init__(
        self, opening: Opening, *, journal: Path, read_only: bool = False, keys: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self.opening = opening
        self.read_only = read_only or opening.cluster.read_only
        self.session: Session | None = None
        self.derived: Derived | None = None
        self.current_run: Run | None = None
        self._journal_folder = journal
        self._deriver = Deriver(opening.cluster.zone_label)
        self._dirty = asyncio.Event()
        self._ageing: Timer | None = None
        self._ageing_stale = False
        self._keys = dict(keys or {})
        main = MainScreen if self.read_only else ActingScreen
        self.main = main(opening.name, production=opening.cluster.production, read_only=self.read_only)
        self.register_theme(theme.DARK)
        self.theme = "swarmtui"

    # -- life ------------------------------------------------------------------------------------------------------

    def get_default_screen(self) -> MainScreen:
        return self.main

    def on_mount(self) -> None:
        if self._keys:
            self.set_keymap(self._keys)
        self._tell_header()
        # Everything heavy is imported behind the first paint.
        self.call_after_refresh(lambda: self.run_worker(self._open(), exit_on_error=False, group="session"))

    async def _open(self) -> None:
        module = await asyncio.to_thread(importlib.import_module, "swarmtui.session")
        session: Session = module.Session(self.opening, UiPerson(self))
        self.session = session
        session.subscribe(self._dirty.set)
        session.start()
        self.run_worker(self._show_changes(), exit_on_error=False, group="show")
        # What the first key needs is loaded while nobody waits for it.
        await asyncio.to_thread(importlib.import_module, "swarmtui.runbooks.registry")
        # What was imported stays for good: the cycle collector need not walk it while somebody types.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()

    async def on_unmount(self) -> None:
        if self.session is not None:
            await self.session.close()

    def on_worker_state_changed(self, event: Any) -> None:
        """The one place where an unexpected failure of background work is shown instead of vanishing."""
        error = event.worker.error
        if event.state.name == "ERROR" and error is not None:
            if isinstance(error, SwarmtuiError):
                self.complain(error)
            else:
                what = f"Internal error: {type(error).__name__}: {error}"
                self.notify(one_line(what), title="swarmtui", severity="error", markup=False, timeout=30)

    # -- showing ---------------------------------------------------------------------------------------------------

    async def _show_changes(self) -> None:
        """Derives and shows the newest state; what came meanwhile is taken together."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            session = self.session
            assert session is not None
            known = self.derived
            if session.snapshot.seq and (known is None or known.snapshot is not session.snapshot):
                self.derived = await asyncio.to_thread(self._deriver, session.snapshot, session.connection.node_id)
                self.main.show(self.derived, stale=self._stale())
            self._dim()
            if isinstance(self.screen, ReadingScreen):
                self.screen.renew()
            self._tell_header()
            self._let_it_age()

    def _dim(self) -> None:
        """Data that is not live does not look so."""
        stale = self._stale()
        for name in ("nodes", "services"):
            table = self.main.table(name)
            if table is not None and self.derived is not None:
                table.dim = stale

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
            run=self.current_run.brief if self.current_run else "",
        )
        if self.derived is None and connection is not None and connection.attempts:
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

    def complain(self, error: SwarmtuiError) -> None:
        """Shows an error: what, and what to do."""
        self.notify(one_line(str(error)), title="Not done", severity="error", markup=False, timeout=12)

    # -- looking ---------------------------------------------------------------------------------------------------

    def labels_of(self, key: str) -> Mapping[str, str]:
        """Labels of the node or service with this id."""
        if self.derived is None:
            return {}
        node = self.derived.snapshot.nodes.get(key)
        if node is not None:
            return node.labels
        service = self.derived.snapshot.services.get(key)
        return (service.spec.labels or {}) if service is not None else {}

    def describe(self, pane: str, key: str | None) -> None:
        derived = self.derived
        if key is None or derived is None:
            return
        if pane == "nodes" and key in derived.snapshot.nodes:
            node = derived.snapshot.nodes[key]

            def lines() -> Lines:
                now = self.derived or derived
                if key not in now.snapshot.nodes:
                    return [("bad", f"{one_line(node.name)} is no node of this Swarm any more.")]
                return describe.node_lines(now.snapshot.nodes[key], now.snapshot, now.findings)

            self.push_screen(ReadingScreen(f"Node {one_line(node.name)}", lines))
        else:
            self.raw(pane, key)

    def raw(self, pane: str, key: str | None) -> None:
        if key is not None:
            self.run_worker(self._raw(pane, key), exit_on_error=False)

    async def _raw(self, pane: str, key: str) -> None:
        assert self.session is not None
        body = await self.session.get(f"/{pane}/{key}")
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
        self.push_screen(ReadingScreen(f"{pane} {key}", lambda: describe.raw_lines(text)))

    def show_alarms(self) -> None:
        if self.derived is None:
            self.complain(UsageError("Nothing is known of the cluster yet.", "Press i for how the connection stands."))
        else:
            self.push_screen(ReadingScreen("Alarms and advice", self._alarm_lines))

    def _alarm_lines(self) -> Lines:
        assert self.derived is not None
        readings = self.derived.snapshot.readings
        unread = {name: reading.trouble for name, reading in readings.items() if reading.trouble}
        return describe.finding_lines(self.derived.findings, unread)

    def show_connection(self) -> None:
        self.push_screen(ReadingScreen(f"The connection to {self.opening.name}", self._connection_lines))

    def _connection_lines(self) -> list[tuple[str, str]]:
        if self.session is None:
            return [("plain", "Starting.")]
        connection = self.session.connection
        lines = [("title", f"{connection.phase}" + (f" through {connection.through}" if connection.through else ""))]
        if connection.via:
            lines.append(("plain", f"way: {connection.via}"))
        if connection.note:
            lines.append(("warn", one_line(connection.note)))
        for attempt in connection.attempts:
            lines.append(
                ("bad", f"{attempt.target}, {coarse_age(time.time() - attempt.at)} ago: {one_line(attempt.what)}")
            )
            lines.append(("plain", f"    {one_line(attempt.next_step)}"))
        targets = ", ".join(str(target) for target in self.opening.targets)
        return [*lines, ("dim", f"named managers: {targets}")]

    def show_help(self, screen: MainScreen) -> None:
        lines: list[tuple[str, str]] = [("plain", "Lowercase looks, uppercase changes.")]
        groups: list[tuple[str, list[BindingType]]] = [("Look", LOOK)]
        if not self.read_only:
            groups.append(("Change the node under the cursor, or all marked ones", CHANGE))
        table = screen.table("nodes")
        if table is not None:
            groups.append(("Move, mark, sort", list(table.BINDINGS)))
        for title, bindings in groups:
            lines.append(("heading", title))
            for binding in bindings:
                assert isinstance(binding, Binding)
                key = self._keys.get(binding.id or "", "") or binding.key_display or binding.key
                lines.append(("plain", f"  {key:16} {binding.tooltip or binding.description}"))
        self.push_screen(ReadingScreen("Keys", lambda: lines))

    def look_now(self) -> None:
        if self.session is not None:
            self.session.look_now()

    # -- changing --------------------------------------------------------------------------------------------------

    def operate(self, runbook: str, node_ids: list[str]) -> None:
        """Plans an operation on these nodes, shows it, and runs it when it is confirmed."""
        if self.current_run is not None and self.current_run.outcome is None:
            self.complain(
                UsageError(f"{self.current_run.plan.title} is under way.", "Press v to watch it; one at a time.")
            )
            return
        session = self.session
        if session is None or not session.live:
            self.complain(UsageError("There is no connection to the cluster now.", "Press i for what was tried."))
            return
        self.run_worker(self._operate(runbook, node_ids), exit_on_error=False, group="operate", exclusive=True)

    async def _operate(self, name: str, node_ids: list[str]) -> None:
        from swarmtui.runbooks import params, registry

        assert self.session is not None
        runbook = registry.runbook(name)
        given = {"node": ",".join(node_ids)}
        action = action_of(name)
        if action.asks:
            declared = next(param for param in runbook.params if param.name == action.asks)

            def wrong(text: str) -> str:
                try:
                    params.parse(name, [declared], {declared.name: text})
                except UsageError as error:
                    return error.what
                return ""

            question = f"{declared.help} ({declared.shape}), for {self._names(node_ids)}:"
            answer = await self.push_screen_wait(AskScreen(question, check=wrong))
            if answer is None:
                return
            given[declared.name] = answer
        values = params.parse(name, runbook.params, given)
        plan = await self._confirmed(lambda: runbook.prepare(self._session(), values))
        if plan is not None:
            await self._execute(plan)

    def _session(self) -> Session:
        assert self.session is not None
        return self.session

    def _names(self, node_ids: list[str]) -> str:
        nodes = self.derived.snapshot.nodes if self.derived else {}
        return ", ".join(one_line(nodes[key].name) if key in nodes else key for key in node_ids)

    async def _confirmed(self, prepare: Callable[[], Any]) -> Plan | None:
        """Shows the plan until a yes finds it unchanged; None for a no."""
        from swarmtui.ui.screens.confirm import ConfirmScreen

        plan: Plan = await prepare()
        changed = False
        while True:
            if plan.nothing:
                self.notify(plan.nothing, markup=False)
                return None
            if not await self.push_screen_wait(ConfirmScreen(plan, self.opening.name, changed=changed)):
                return None
            newest: Plan = await prepare()
            if newest.binding == plan.binding:
                return newest
            plan, changed = newest, True

    async def _execute(self, plan: Plan) -> None:
        from swarmtui.runbooks.journal import Journal, new_run_id
        from swarmtui.runbooks.runner import Runner
        from swarmtui.ui.screens.running import Run, RunScreen

        run = self.current_run = Run(new_run_id(plan.runbook), plan)

        def observe(event: Any) -> None:
            run.observe(event)
            self._tell_header()

        with Journal(self._journal_folder).writer(run.id) as writer:
            run.runner = Runner(
                self._session(), plan, writer, decider=run, observe=observe, accepted=[str(rule) for rule in plan.rules]
            )
            self.push_screen(RunScreen(run, self.opening.name))
            try:
                run.outcome = await run.runner.run()
            finally:
                if run.screen is not None:
                    run.screen.show()
                self._tell_header()
        self.look_now()
        if run.screen is None:
            if run.outcome.ok:
                self.notify(f"{plan.title}: done and verified.", markup=False)
            else:
                self.notify(f"{plan.title}: stopped; press v.", severity="error", markup=False, timeout=15)
        self.main.table("nodes") and self.main.table("nodes").clear_marks()  # type: ignore[union-attr]

    def show_run(self) -> None:
        from swarmtui.ui.screens.running import RunScreen

        if self.current_run is None:
            self.complain(
                UsageError("Nothing was run from this console yet.", "See earlier runs with: swarmtui journal")
            )
        else:
            self.push_screen(RunScreen(self.current_run, self.opening.name))

    # -- leaving ---------------------------------------------------------------------------------------------------

    def action_quit_console(self) -> None:
        """Quits; asks first while an operation is under way."""
        run = self.current_run
        if run is None or run.outcome is not None:
            self.exit(0)
            return

        def leave(answer: str | None) -> None:
            if answer is not None and answer.strip().lower() == "yes":
                self.exit(0)

        question = (
            f"{run.plan.title} is under way. Leaving stops watching it where it is; nothing is taken back. Go "
            f"on later with:\n"
            f"  swarmtui run --resume {run.id}\n\nType yes to leave."
        )
        self.push_screen(AskScreen(question), leave)
