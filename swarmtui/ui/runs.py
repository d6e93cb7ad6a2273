"""A run and all that was seen of it, and what is told about it: which step, how it went, what it means to stop here."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from swarmtui.errors import SwarmtuiError
from swarmtui.model.text import harmless, one_line
from swarmtui.runbooks.parts import can_leave
from swarmtui.runbooks.render import command_lines
from swarmtui.runbooks.report import took_words
from swarmtui.runbooks.runbook import Plan, Step
from swarmtui.runbooks.runner import FINISHED, Choice, Decision, Event, Outcome, Runner, State

Lines = list[tuple[str, str]]
"""(style, line), styles as in `ui.prose`."""

SIGNS = {
    State.PENDING: ("·", "dim"),
    State.CHECKING: ("▸", "warn"),
    State.RUNNING: ("▶", "warn"),
    State.BY_HAND: ("✎", "warn"),
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
    State.BY_HAND: "yours to do",
    State.VERIFYING: "verifying",
    State.DONE: "done, verified",
    State.ALREADY: "nothing to do",
    State.FAILED: "FAILED",
    State.SKIPPED: "skipped",
}
UNDER_WAY = frozenset({State.CHECKING, State.RUNNING, State.BY_HAND, State.VERIFYING})
KEPT_LINES = 500
TOLD_SECONDS = 1.0
"""How long a step took is told from here on: below it says nothing to anybody."""


class Run:
    """One run and all that was seen of it; lives longer than its screen, and answers for the person (Decider).

    Args:
        journal: the folder its journal is in; None where nobody can look into it.

    Attributes:
        show: paints it, while a screen watches.
        failure: why the step failed about which it waits for an answer.
        asks: what it waits for an answer about: failed, held or by hand; "" for nothing.
        stopping: somebody asked it to stop.
    """

    def __init__(self, run_id: str, plan: Plan, journal: Path | None = None) -> None:
        self.id = run_id
        self.plan = plan
        self.journal = journal
        self.runner: Runner | None = None
        self.states: dict[str, State] = {step.id: State.PENDING for step in plan.steps}
        self.output: dict[str, Lines] = defaultdict(list)
        self.progress: dict[str, tuple[int, int, str]] = {}
        self.outcome: Outcome | None = None
        self.failure: SwarmtuiError | None = None
        self.asks = ""
        self.stopping = False
        self.show: Callable[[], None] | None = None
        self._answer: asyncio.Future[Decision] | None = None
        self._began: dict[str, float] = {}
        self._took: dict[str, float] = {}

    @property
    def current(self) -> Step | None:
        """The first step that is not finished."""
        return next((step for step in self.plan.steps if self.states[step.id] not in FINISHED), None)

    @property
    def brief(self) -> str:
        """A word for the header while it is under way; "" afterwards."""
        if self.outcome is not None:
            return ""
        asks = " needs you (v)" if self.waits_for_answer else ""
        return f"{self.plan.title} {self._done}/{len(self.plan.steps)}{asks}"

    @property
    def waits_for_answer(self) -> bool:
        return self._answer is not None

    @property
    def holds(self) -> bool:
        """Whether it asks before each step."""
        return self.runner is not None and self.runner.holds

    @property
    def _done(self) -> int:
        return sum(state in FINISHED for state in self.states.values())

    # -- what the runner tells and asks ------------------------------------------------------------------------------

    def observe(self, event: Event) -> None:
        """Takes an event of the runner."""
        if event.kind == "drafted":
            assert self.runner is not None
            self.plan = self.runner.plan
            self.states = {step.id: self.states.get(step.id, State.PENDING) for step in self.plan.steps}
        elif event.kind == "state":
            self.states[event.step] = event.state
            if event.state in UNDER_WAY:
                self._began.setdefault(event.step, time.monotonic())
            elif event.step in self._began:
                self._took[event.step] = time.monotonic() - self._began[event.step]
            if event.text:
                self._keep(event.step, "bad" if event.state is State.FAILED else "plain", event.text)
        elif event.kind == "said":
            self._keep(event.step, "plain", event.text)
        elif event.kind == "progress":
            self.progress[event.step] = (event.done, event.total, event.text)
            self._keep(event.step, "dim", event.text)
        self._changed()

    def _keep(self, step: str, style: str, text: str) -> None:
        lines = self.output[step]
        lines.append((style, harmless(text)))
        del lines[:-KEPT_LINES]

    def _changed(self) -> None:
        if self.show is not None:
            self.show()

    async def failed(self, step: Step, error: SwarmtuiError) -> Decision:
        """Waits until a person decides about a step that failed."""
        self.failure = error
        try:
            return await self._decided("failed")
        finally:
            self.failure = None

    async def held(self, step: Step) -> Decision:
        """Waits until a person lets the next step begin."""
        return await self._decided("held")

    async def by_hand(self, step: Step) -> Decision:
        """Waits until a person did a step."""
        return await self._decided("by hand")

    async def _decided(self, about: str) -> Decision:
        self.asks = about
        self._answer = asyncio.get_running_loop().create_future()
        self._changed()
        try:
            return await self._answer
        finally:
            self._answer, self.asks = None, ""

    # -- what a person says ------------------------------------------------------------------------------------------

    def decide(self, choice: Choice, reason: str = "") -> None:
        """Answers the question that is open; does nothing when there is none."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Decision(choice, reason))

    def allows(self, choice: Choice) -> bool:
        """Whether this is an answer to the question that is open."""
        step = self.current
        if step is None or not self.waits_for_answer:
            return False
        match choice:
            case Choice.GO:
                return self.asks in ("held", "by hand")
            case Choice.RETRY:
                return self.asks in ("failed", "by hand")
            case Choice.BY_HAND:
                return self.asks in ("failed", "held") and bool(step.shown)
            case Choice.SKIP:
                return self.asks in ("failed", "held") and step.skippable
            case Choice.LEAVE:
                return self.asks == "failed" and can_leave(self.plan, step)
            case Choice.STOP:
                return True

    def hold(self, holds: bool) -> None:
        """Has it ask before each step, or no longer; a step that is held then begins."""
        if self.runner is not None:
            self.runner.holds = holds
        if not holds and self.asks == "held":
            self.decide(Choice.GO)
        self._changed()

    def stop(self) -> None:
        """Begins no further step; a question that is open is answered with stop."""
        self.stopping = True
        if self.runner is not None:
            self.runner.stop()
        self.decide(Choice.STOP)
        self._changed()

    # -- what is told ------------------------------------------------------------------------------------------------

    def title(self, number: int, step: Step) -> tuple[str, str]:
        """A step as one line of the list: (style, line)."""
        sign, style = SIGNS[self.states[step.id]]
        line = f"{sign} {number}. {step.title}"
        if step.id in self.progress and self.states[step.id] in (State.RUNNING, State.VERIFYING):
            done, total, _ = self.progress[step.id]
            line += f" {done}/{total}"
        return style, line

    def detail(self, step: Step, *, folded: bool) -> Lines:
        """All about a step: why, what is typed and where, what came of it, and what takes it back.

        Args:
            folded: as in `render.command_lines`.
        """
        state = self.states[step.id]
        took = self._took.get(step.id, 0.0)
        told = f" in {took_words(took)}" if took >= TOLD_SECONDS and state in FINISHED else ""
        lines: Lines = [
            ("title", step.title),
            ("plain", f"{WORDS[state]}{told} · {step.danger}"),
            ("plain", step.why),
        ]
        if state is State.PENDING and (stands := self.plan.if_stopped_before(step)):
            lines.append(("dim", f"If you stop before it: {stands}"))
        # What a person is to type is never told in words.
        folded = folded and state is not State.BY_HAND
        lines += [("", ""), *command_lines(step, folded=folded), ("", ""), *self.output[step.id]]
        if self.outcome is not None and self.outcome.ok and step is self.plan.steps[-1]:
            # What was to be known before is to be done afterwards: fenced directories, data that has its own backup.
            said = [*(("warn", line) for line in self.plan.warnings), *(("plain", line) for line in self.plan.notes)]
            lines += [("", ""), ("heading", "What the plan said"), *said] if said else []
        ended_badly = self.outcome is not None and not self.outcome.ok
        if step.undo and (self.failure is not None or ended_badly):
            lines += [("", ""), ("heading", "To take this step back")]
            lines += [("command", shown.as_sh) for shown in step.undo]
        return lines

    def safe(self) -> Lines:
        """What is safe to do next, and in which state the cluster is for whoever stops here."""
        outcome, step = self.outcome, self.current
        if outcome is not None and outcome.ok:
            return [("good", "Done and verified. esc goes back.")]
        if outcome is not None:
            stopped = "Stopped between two steps, as you asked."
            ended: Lines = [("bad", f"Stopped: {outcome.error.what}" if outcome.error else stopped)]
            on = f"What is done stays done. Go on later: swarmtui run --resume {self.id}"
            return [*ended, *self._stands("Where it stands", step), ("plain", on)]
        if step is None:
            return [("plain", "All steps are done.")]
        number = f"{self.plan.steps.index(step) + 1} of {len(self.plan.steps)}"
        skip = " · k skip it, with a reason" if step.skippable else ""
        hand = " · h do it by hand" if step.shown else ""
        leave = " · n leave this part, on with the next" if can_leave(self.plan, step) else ""
        match self.asks:
            case "failed":
                assert self.failure is not None
                asks: Lines = [
                    ("bad", self.failure.what),
                    ("plain", f"{self.failure.next_step} r retry{hand}{skip}{leave} · s stop here".lstrip()),
                ]
            case "held":
                asks = [
                    ("warn", f"Held before step {number}: {one_line(step.title)}"),
                    ("plain", f"g let it run{hand}{skip} · p ask no more · s stop here"),
                ]
            case "by hand":
                asks = [
                    ("warn", f"Step {number} is yours: type its commands yourself (c copies them)."),
                    ("plain", "g it is done: verify it · r let swarmtui do it after all · s stop here"),
                ]
            case _:
                return self._goes_on(step)
        return [*asks, *self._stands("If you stop here", step)]

    def _goes_on(self, step: Step) -> Lines:
        """While a step is under way, it is finished before anything stops: what counts is the one after it."""
        steps = self.plan.steps
        after = steps[steps.index(step) + 1] if step is not steps[-1] else None
        if self.stopping:
            asked: Lines = [("warn", f"It stops after this step. {self._done} of {len(steps)} done.")]
            return [*asked, *self._stands("Where it will stand", after)]
        p = "p asks before each step · " if self.runner is not None and after is not None else ""
        words = f"{self._done} of {len(steps)} done. Safe to leave (esc): it goes on. {p}s stops after this step."
        if self.holds:
            words = f"{self._done} of {len(steps)} done. It asks before the next step (p: no more). s stops after it."
        return [("plain", words), *self._stands("If you stop after this step", after)]

    def _stands(self, when: str, step: Step | None) -> Lines:
        stands = self.plan.if_stopped_before(step) if step is not None else ""
        return [("plain", f"{when}: {stands}")] if stands else []
