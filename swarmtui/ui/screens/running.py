"""A run while it happens: its steps at the left, the one in view at the right, and always what it means to
stop here."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from swarmtui.errors import SwarmtuiError
from swarmtui.model.text import harmless
from swarmtui.runbooks.render import can_fold, command_lines
from swarmtui.runbooks.runbook import Plan, Step
from swarmtui.runbooks.runner import FINISHED, Choice, Decision, Event, Outcome, Runner, State
from swarmtui.ui.keybar import KeyBar
from swarmtui.ui.prose import Prose, styled
from swarmtui.ui.screen_keys import RUN
from swarmtui.ui.screens.asking import AskScreen
from swarmtui.ui.title import Title

SIGNS = {
    State.PENDING: ("·", "dim"),
    State.CHECKING: ("▸", "warn"),
    State.RUNNING: ("▶", "warn"),
    State.VERIFYING: ("?", "warn"),
    State.DONE: ("✓", "good"),
    State.ALREADY: ("✓", "good"),
    State.FAILED: ("✗", "bad"),
    State.SKIPPED: ("-", "dim"),
}
WORDS = {
    State.PENDING: "to do",
    State.CHECKING: "checking",
    State.RUNNING: "running",
    State.VERIFYING: "verifying",
    State.DONE: "done, verified",
    State.ALREADY: "nothing to do",
    State.FAILED: "FAILED",
    State.SKIPPED: "skipped",
}
KEPT_LINES = 500


class Run:
    """One run and all that was seen of it; lives longer than its screen."""

    def __init__(self, run_id: str, plan: Plan) -> None:
        self.id = run_id
        self.plan = plan
        self.runner: Runner | None = None
        self.states: dict[str, State] = {step.id: State.PENDING for step in plan.steps}
        self.output: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.progress: dict[str, tuple[int, int, str]] = {}
        self.outcome: Outcome | None = None
        self.failure: SwarmtuiError | None = None
        self.screen: RunScreen | None = None
        self._answer: asyncio.Future[Decision] | None = None

    @property
    def current(self) -> Step | None:
        """The first step that is not finished."""
        return next((step for step in self.plan.steps if self.states[step.id] not in FINISHED), None)

    @property
    def brief(self) -> str:
        """A word for the header while it is under way; "" afterwards."""
        if self.outcome is not None:
            return ""
        done = sum(state in FINISHED for state in self.states.values())
        asks = " needs you (v)" if self._answer is not None else ""
        return f"{self.plan.title} {done}/{len(self.plan.steps)}{asks}"

    @property
    def waits_for_answer(self) -> bool:
        return self._answer is not None

    def observe(self, event: Event) -> None:
        """Takes an event of the runner."""
        if event.kind == "state":
            self.states[event.step] = event.state
            if event.text:
                self._keep(event.step, "bad" if event.state is State.FAILED else "plain", event.text)
        elif event.kind == "said":
            self._keep(event.step, "plain", event.text)
        elif event.kind == "progress":
            self.progress[event.step] = (event.done, event.total, event.text)
            self._keep(event.step, "dim", event.text)
        if self.screen is not None:
            self.screen.show()

    def _keep(self, step: str, style: str, text: str) -> None:
        lines = self.output[step]
        lines.append((style, harmless(text)))
        del lines[:-KEPT_LINES]

    async def failed(self, step: Step, error: SwarmtuiError) -> Decision:
        """Waits until a person decides (Decider)."""
        self.failure = error
        self._answer = asyncio.get_running_loop().create_future()
        if self.screen is not None:
            self.screen.show()
        try:
            return await self._answer
        finally:
            self._answer = None
            self.failure = None

    def decide(self, choice: Choice, reason: str = "") -> None:
        """Answers the question what to do about the failed step; does nothing when there is none."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Decision(choice, reason))

    def stop(self) -> None:
        """Begins no further step; a question that is open is answered with stop."""
        if self.runner is not None:
            self.runner.stop()
        self.decide(Choice.STOP)


class RunScreen(Screen[None]):
    """Watches a run; leaving it leaves the run alone.

    Args:
        production: the cluster is one, and the title says so in words and colour.
    """

    BINDINGS: ClassVar[list[BindingType]] = RUN
    AUTO_FOCUS = ""  # up and down choose a step, however long the text of one is

    DEFAULT_CSS = """
    RunScreen { background: $surface; }
    RunScreen #run-steps { width: 36; height: 100%; max-width: 45%; padding: 0 1; border-right: solid $panel; }
    RunScreen #run-detail { width: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    RunScreen > #run-safe { height: auto; background: $panel; padding: 0 1; }
    """

    def __init__(self, run: Run, cluster: str, *, production: bool = False) -> None:
        super().__init__()
        self.watched = run
        self._cluster = cluster
        self._production = production
        self._chosen: str | None = None
        self._folded = True
        self._shown = ""

    def compose(self) -> ComposeResult:
        yield Title(f"{self.watched.plan.title} on {self._cluster}", production=self._production, id="run-title")
        with Horizontal():
            yield Static("", id="run-steps", markup=False)
            with VerticalScroll(id="run-detail"):
                yield Prose(id="run-text")
        yield Prose(id="run-safe")
        yield KeyBar()

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin_watching)

    def _begin_watching(self) -> None:
        self.watched.screen = self
        self.show()

    def on_resize(self) -> None:
        if self.watched.screen is self:
            self.call_after_refresh(self.show)

    def _end_watching(self) -> None:
        if self.watched.screen is self:
            self.watched.screen = None

    def on_unmount(self) -> None:
        self._end_watching()

    # -- showing ---------------------------------------------------------------------------------------------------

    @property
    def _step(self) -> Step:
        steps = self.watched.plan.steps
        chosen = self._chosen
        if chosen is not None:
            return next(step for step in steps if step.id == chosen)
        return self.watched.current or steps[-1]

    def show(self) -> None:
        """Paints what changed."""
        run, step = self.watched, self._step
        steps, list_of_steps = Text(), self.query_one("#run-steps", Static)
        for number, each in enumerate(run.plan.steps, 1):
            sign, style = SIGNS[run.states[each.id]]
            line = f"{sign} {number}. {each.title}"
            if each.id in run.progress and run.states[each.id] in (State.RUNNING, State.VERIFYING):
                done, total, _ = run.progress[each.id]
                line += f" {done}/{total}"
            shown = styled([(style, line)], list_of_steps.content_size.width)
            if each is step:
                shown.stylize("reverse")
            steps.append_text(shown).append("\n")
        list_of_steps.update(steps)
        detail = self.query_one("#run-detail", VerticalScroll)
        follows = step.id != self._shown or detail.is_vertical_scroll_end
        self._shown = step.id
        self.query_one("#run-text", Prose).show(self._detail(step))
        self.query_one("#run-safe", Prose).show(self._safe())
        if follows:
            detail.scroll_end(animate=False)
        self.refresh_bindings()

    def _detail(self, step: Step) -> list[tuple[str, str]]:
        run = self.watched
        lines = [
            ("title", step.title),
            ("plain", f"{WORDS[run.states[step.id]]} · {step.danger}"),
            ("plain", step.why),
            ("", ""),
        ]
        lines += command_lines(step, folded=self._folded)
        lines.append(("", ""))
        return lines + run.output[step.id]

    def _safe(self) -> list[tuple[str, str]]:
        run = self.watched
        if run.outcome is not None and run.outcome.ok:
            return [("good", "Done and verified. esc goes back.")]
        if run.outcome is not None:
            error = run.outcome.error
            lines = [("bad", f"Stopped: {error.what}" if error else "Stopped between two steps, as you asked.")]
            return [*lines, ("plain", f"What is done stays done. Go on later: swarmtui run --resume {run.id}")]
        if run.failure is not None:
            skip = " · k skip it, with a reason" if run.current is not None and run.current.skippable else ""
            return [("bad", run.failure.what), ("plain", f"{run.failure.next_step} r retry{skip} · s stop here")]
        done = sum(state in FINISHED for state in run.states.values())
        return [
            (
                "plain",
                f"{done} of {len(run.plan.steps)} done. Safe to leave (esc): it goes on. s stops after this step.",
            )
        ]

    # -- keys ------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        run = self.watched
        if action == "retry":
            return run.waits_for_answer
        if action == "skip":
            return run.waits_for_answer and run.current is not None and run.current.skippable
        if action == "stop":
            return run.outcome is None
        if action == "whole":
            return can_fold((self._step,))
        return True

    def action_close(self) -> None:
        self._end_watching()
        self.dismiss()

    def action_retry(self) -> None:
        self.watched.decide(Choice.RETRY)

    def action_stop(self) -> None:
        self.watched.stop()
        self.app.notify("It stops before the next step.", markup=False, timeout=3)

    def action_skip(self) -> None:
        def skip(reason: str | None) -> None:
            if reason:
                self.watched.decide(Choice.SKIP, reason)

        question = "Why can this step be left out? The reason is kept in the journal."
        self.app.push_screen(
            AskScreen(question, check=lambda text: "" if text.strip() else "A reason is needed."), skip
        )

    def action_whole(self) -> None:
        """Shows the commands that wait, whole or in words."""
        self._folded = not self._folded
        self.show()
        self.query_one("#run-detail", VerticalScroll).scroll_home(animate=False)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(shown.as_sh for step in self.watched.plan.steps for shown in step.shown))
        self.app.notify("The commands are copied.", markup=False, timeout=2)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#run-detail", VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_step(self, move: int) -> None:
        ids = [step.id for step in self.watched.plan.steps]
        at = max(0, min(len(ids) - 1, ids.index(self._step.id) + move))
        current = self.watched.current
        self._chosen = None if current is not None and ids[at] == current.id else ids[at]
        self.show()
