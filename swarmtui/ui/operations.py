"""From a key to a run: asks for what is needed, shows the plan, runs what was confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarmtui.errors import UsageError
from swarmtui.ui import views
from swarmtui.ui.base import Base
from swarmtui.ui.keys import RESTORE, RUN_ACTIONS, Action
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
        if action in RUN_ACTIONS:
            self.go_on(keys[0])
            return
        if action == RESTORE:
            self.restore(keys[0])
            return
        if action.tends:
            self.tend(action, keys)
            return
        if self.busy():
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

    async def _execute(self, plan: Plan, view: str) -> None:
        await self.execute(self._session(), plan)
        self.look_now()
        table = self.main.table(view)
        if table is not None:
            table.clear_marks()
