"""An app that shows plans and runs what was confirmed: what the console and the start page have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import ReturnType
from textual.worker import get_current_worker

from swarmtui.errors import SwarmtuiError, UsageError
from swarmtui.model.text import one_line
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.staying import StayingApp

if TYPE_CHECKING:
    from swarmtui.runbooks.journal import RunRecord
    from swarmtui.runbooks.runbook import Plan
    from swarmtui.session import Session
    from swarmtui.ui.runs import Run


class Acting(StayingApp[ReturnType]):
    """An app that can change something.

    Attributes:
        current_run: the operation under way, or the last one.
    """

    current_run: Run | None = None
    _journal_folder: Path

    @abstractmethod
    def _acts_on(self) -> tuple[str, bool]:
        """What plans and runs are about: its name, and whether it is production."""

    @abstractmethod
    def _tell_header(self) -> None:
        """Has the header say how things stand."""

    def _run_left(self, run: Run) -> None:
        """The screen of a run was left, be it over or not."""

    # -- errors ----------------------------------------------------------------------------------------------------

    def complain(self, error: SwarmtuiError) -> None:
        """Shows an error: what, and what to do."""
        self.notify(one_line(str(error)), title="Not done", severity="error", markup=False, timeout=12)

    def on_worker_state_changed(self, event: Any) -> None:
        """The one place where an unexpected failure of background work is shown instead of vanishing."""
        error = event.worker.error
        if event.state.name == "ERROR" and error is not None:
            if isinstance(error, SwarmtuiError):
                self.complain(error)
            else:
                self.tell_internal(error)

    def tell_internal(self, error: BaseException) -> None:
        """Shows what nobody expected."""
        what = f"Internal error: {type(error).__name__}: {error}"
        self.notify(one_line(what), title="swarmtui", severity="error", markup=False, timeout=30)

    # -- from a plan to a run ----------------------------------------------------------------------------------------

    def busy(self) -> bool:
        """Whether an operation is under way; says so if one is."""
        run = self.current_run
        if run is None or run.outcome is not None:
            return False
        self.complain(UsageError(f"{run.plan.title} is under way.", "Press v to watch it; one at a time."))
        return True

    async def _confirmed(self, prepare: Callable[[], Awaitable[Plan]]) -> Plan | None:
        """Shows the plan until a yes finds it unchanged; None for a no."""
        from swarmtui.ui.screens.confirm import ConfirmScreen

        plan = await prepare()
        changed = False
        name, production = self._acts_on()
        while True:
            if plan.nothing:
                self.notify(plan.nothing, markup=False)
                return None
            if not await self.push_screen_wait(ConfirmScreen(plan, name, changed=changed, production=production)):
                return None
            newest = await prepare()
            if newest.binding == plan.binding:
                return newest
            plan, changed = newest, True

    async def looked_at(
        self,
        session: Session,
        title: str,
        prepare: Callable[[], Awaitable[Plan]],
        options: Callable[[], Awaitable[bool]] | None = None,
    ) -> Plan | None:
        """The confirmed plan of what looks at hosts first; None where there is none.

        The look goes on before the person's eyes, and may be left.

        Args:
            options: asks for more about what is to be planned, and tells whether anything was said.
        """
        from swarmtui.ui.screens.building import PreflightScreen

        screen = PreflightScreen(title, options)
        worker = get_current_worker()

        def left(by_person: bool | None) -> None:
            if by_person:
                worker.cancel()

        session.tell_look = screen.tell
        await self.push_screen(screen, left)
        plans: list[Plan] = []

        async def look() -> Plan:
            while True:
                screen.begin(confirmed=bool(plans))
                try:
                    plans.append(await prepare())
                    return plans[-1]
                except SwarmtuiError as error:
                    await screen.failed(error)

        plan = await self._confirmed(look)
        session.tell_look = lambda line: None
        await screen.dismiss(False)
        return plan

    async def execute(self, session: Session, plan: Plan, record: RunRecord | None = None) -> Run:
        """Runs a plan that was confirmed, on a screen that may be left and come back to.

        Args:
            record: what the journal holds of the run that was cut off, to go on with it.

        Raises:
            JournalError: the journal cannot be written, or another process is at this run.
        """
        from swarmtui.runbooks.journal import Journal, new_run_id
        from swarmtui.runbooks.runner import Outcome, Runner
        from swarmtui.ui.runs import Run

        run = Run(record.id if record is not None else new_run_id(plan.runbook), plan, self._journal_folder)

        def observe(event: Any) -> None:
            run.observe(event)
            self._tell_header()

        with Journal(self._journal_folder).writer(run.id) as writer:
            self.current_run = run
            run.runner = Runner(
                session,
                plan,
                writer,
                decider=run,
                observe=observe,
                record=record,
                accepted=[str(rule) for rule in plan.rules],
            )
            self.show_run()
            try:
                run.outcome = await run.runner.run()
            except SwarmtuiError as error:
                run.outcome = Outcome("failed", error=error)
                raise
            finally:
                if run.show is not None:
                    run.show()
                self._tell_header()
        if run.show is None:
            self._tell_end(run, run.outcome.ok)
        return run

    def _tell_end(self, run: Run, ok: bool) -> None:
        """Says how a run ended that nobody was watching."""
        if ok:
            self.notify(f"{run.plan.title}: done and verified.", markup=False)
        else:
            self.notify(f"{run.plan.title}: stopped; press v.", severity="error", markup=False, timeout=15)

    def show_run(self) -> None:
        """Shows the run under way, or the last one."""
        from swarmtui.ui.screens.running import RunScreen

        run = self.current_run
        if run is None:
            self.complain(
                UsageError("Nothing was run from this console yet.", "See earlier runs with: swarmtui journal")
            )
        else:
            name, production = self._acts_on()
            self.push_screen(RunScreen(run, name, production=production), lambda _: self._run_left(run))

    def leave_unless_busy(self, leave: Callable[[], None]) -> None:
        """Leaves; asks first while an operation is under way."""
        run = self.current_run
        if run is None or run.outcome is not None:
            leave()
            return

        def answered(answer: str | None) -> None:
            if answer is not None and answer.strip().lower() == "yes":
                leave()

        question = (
            f"{run.plan.title} is under way. Leaving stops watching it where it is; nothing is taken back. Go "
            f"on later with:\n"
            f"  swarmtui run --resume {run.id}\n\nType yes to leave."
        )
        self.push_screen(AskScreen(question), answered)
