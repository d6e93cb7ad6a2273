"""From a key to a run: asks for what is needed, shows the plan, runs what was confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from swarmtui.errors import UsageError
from swarmtui.ui import views
from swarmtui.ui.base import Base
from swarmtui.ui.keys import Action
from swarmtui.ui.panes.nodes import THROUGH

if TYPE_CHECKING:
    from swarmtui.runbooks.runbook import Plan


class Operations(Base):
    """The part of the console that changes something."""

    def operate(self, action: Action, keys: list[str]) -> None:
        """Plans an operation on these rows of a view, shows it, and runs it when it is confirmed."""
        if action.on and not keys:
            self.complain(UsageError(f"There is no {views.view(action.view).one} to act on.", ""))
            return
        if action.one and len(keys) > 1:
            what = f"{action.label} takes one {views.view(action.view).one} at a time, and {len(keys)} are marked."
            self.complain(UsageError(what, "\\ removes the marks."))
            return
        if self.current_run is not None and self.current_run.outcome is None:
            self.complain(
                UsageError(f"{self.current_run.plan.title} is under way.", "Press v to watch it; one at a time.")
            )
            return
        session = self.session
        if session is None or not (session.live or action.offline):
            self.complain(UsageError("There is no connection to the cluster now.", "Press i for what was tried."))
            return
        self.run_worker(self._operate(action, keys), exit_on_error=False, group="operate", exclusive=True)

    async def _operate(self, action: Action, keys: list[str]) -> None:
        from swarmtui.runbooks import params, registry
        from swarmtui.ui import questions
        from swarmtui.ui.current import current

        runbook = registry.runbook(action.runbook)
        about = f", for {self._names(action.view, keys)}" if action.on else ""
        now = current(action.view, keys, self.derived.snapshot) if self.derived is not None else {}
        given = await questions.ask(self, action, runbook, about, now)
        if given is None:
            return
        if action.here and self.derived is not None:
            given[action.here] = self.derived.env.through
        if action.on:
            given[action.on] = ",".join(keys)
        values = params.parse(runbook.name, runbook.params, given)
        plan = await self._confirmed(lambda: runbook.prepare(self._session(), values))
        if plan is not None:
            await self._execute(plan, action.view)

    def _names(self, view: str, keys: list[str]) -> str:
        rows = self.derived.rows.get(view, {}) if self.derived else {}
        return ", ".join(rows[key][0].text.removesuffix(THROUGH) if key in rows else key for key in keys)

    async def _confirmed(self, prepare: Callable[[], Any]) -> Plan | None:
        """Shows the plan until a yes finds it unchanged; None for a no."""
        from swarmtui.ui.screens.confirm import ConfirmScreen

        plan: Plan = await prepare()
        changed = False
        while True:
            if plan.nothing:
                self.notify(plan.nothing, markup=False)
                return None
            screen = ConfirmScreen(plan, self.opening.name, changed=changed, production=self.opening.cluster.production)
            if not await self.push_screen_wait(screen):
                return None
            newest: Plan = await prepare()
            if newest.binding == plan.binding:
                return newest
            plan, changed = newest, True

    async def _execute(self, plan: Plan, view: str) -> None:
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
            self.push_screen(RunScreen(run, self.opening.name, production=self.opening.cluster.production))
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
        table = self.main.table(view)
        if table is not None:
            table.clear_marks()

    def show_run(self) -> None:
        from swarmtui.ui.screens.running import RunScreen

        if self.current_run is None:
            self.complain(
                UsageError("Nothing was run from this console yet.", "See earlier runs with: swarmtui journal")
            )
        else:
            production = self.opening.cluster.production
            self.push_screen(RunScreen(self.current_run, self.opening.name, production=production))
