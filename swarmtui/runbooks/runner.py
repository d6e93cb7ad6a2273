"""Runs a plan: intent, effect, proof, each journalled; resumes from the journal after any crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Protocol

import msgspec

from swarmtui.errors import RefusedError, SwarmtuiError
from swarmtui.link.reasons import LinkError, Reason
from swarmtui.runbooks.journal import JournalWriter, RunRecord, StepRecord
from swarmtui.runbooks.locking import held
from swarmtui.runbooks.parts import Draft, Stage, can_leave, outer_steps, with_part, without_part
from swarmtui.runbooks.runbook import Facts, Plan, Step, Voice
from swarmtui.session import SETTLE_SECONDS, Session

RECONNECTS = 5
"""How often one step may lose its connection and go on before it counts as failed."""


class State(StrEnum):
    """Where a step stands. `already`: there was nothing left to do; `by hand`: a person is at it."""

    PENDING = "pending"
    CHECKING = "checking"
    RUNNING = "running"
    BY_HAND = "by hand"
    VERIFYING = "verifying"
    DONE = "done"
    ALREADY = "already"
    FAILED = "failed"
    SKIPPED = "skipped"


BY_HAND = "Done by hand, and verified here."
FINISHED: frozenset[str] = frozenset({State.DONE, State.ALREADY, State.SKIPPED})


@dataclass(frozen=True, slots=True)
class Event:
    """Something a watcher of the run may show.

    Attributes:
        kind: state, said, progress or end; drafted: the plan has other steps now (`Runner.plan`).
        step: id of the step; "" for the run itself.
        point: for tests and reports, the exact point reached: intent, effect or proof.
    """

    kind: str
    step: str = ""
    state: State = State.PENDING
    text: str = ""
    done: int = 0
    total: int = 0
    point: str = ""


class Choice(StrEnum):
    """go, retry: the program does the step; by hand: a person does it, and it is verified here; leave: its part of the
    plan stays as it is, and the next one is begun, where that is possible (`parts.can_leave`); else it is a stop."""

    GO = "go"
    RETRY = "retry"
    BY_HAND = "by hand"
    SKIP = "skip"
    LEAVE = "leave"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a step; a skip needs a reason."""

    choice: Choice
    reason: str = ""


ENDS = {Choice.STOP: "failed", Choice.LEAVE: "left"}
"""Choices after which a step that failed stays as it is: how that is told (`Outcome`)."""


class Decider(Protocol):
    """Who is asked: when a step failed, before one where the run is held, and while one is done by hand."""

    async def failed(self, step: Step, error: SwarmtuiError) -> Decision: ...

    async def held(self, step: Step) -> Decision: ...

    async def by_hand(self, step: Step) -> Decision:
        """Answers when the person is done (go: verify it), gave it back (retry: the program does it), or stops."""


class StopAtFailure:
    """Nobody to ask: the first failure ends the run, or the part of it that can be left."""

    async def failed(self, step: Step, error: SwarmtuiError) -> Decision:
        return Decision(Choice.LEAVE)

    async def held(self, step: Step) -> Decision:
        return Decision(Choice.STOP)

    async def by_hand(self, step: Step) -> Decision:
        return Decision(Choice.STOP)


class _Stopped(SwarmtuiError):
    """A person stopped while a step was theirs to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. result: done, failed or stopped; within a run also left: its part failed, others go on."""

    result: str
    step: str = ""
    error: SwarmtuiError | None = None

    @property
    def ok(self) -> bool:
        return self.result == "done"


class Runner:
    """Runs one plan once.

    Args:
        record: what the journal holds of an earlier, cut-off attempt at the same run; None for a new run.
        observe: called with every event, on the event loop.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        writer: JournalWriter,
        *,
        decider: Decider | None = None,
        observe: Callable[[Event], None] = lambda event: None,
        record: RunRecord | None = None,
        accepted: list[str] | None = None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._session = session
        self._plan = plan
        self._writer = writer
        self._decider = decider or StopAtFailure()
        self._observe = observe
        self._record = record
        self._accepted = accepted or []
        self._settle_seconds = settle_seconds
        self._locks = AsyncExitStack()
        self._stop = False
        self.holds = False
        """Whether it asks before each step that is still to do; may be set at any time."""
        self._before: dict[str, Facts] = {}

    @property
    def plan(self) -> Plan:
        """The plan, with the parts that were drafted since it began."""
        return self._plan

    def stop(self) -> None:
        """Lets the step under way finish, and begins no other."""
        self._stop = True

    async def run(self) -> Outcome:
        """Runs the plan to its end, a failure nobody wants to retry, or a stop.

        Raises:
            JournalError: what was to be done could not be recorded, so it was not done.
            RefusedError: somebody else works on the cluster, and this does not go together with that. Nothing was done.
        """
        if self._record is None:
            self._writer.begin(
                runbook=self._plan.runbook,
                version=self._plan.version,
                title=self._plan.title,
                params=self._plan.params,
                facts=self._plan.facts,
                cluster_id=self._session.snapshot.cluster_id or self._plan.cluster_id,
                target=self._session.name,
                accepted=self._accepted,
            )
        else:
            self._writer.write("resume")
        try:
            async with self._locks:
                if not any(isinstance(step, Stage) for step in self._plan.steps):
                    await self._hold(self._plan, self._say_first)
                outcome = await self._run_steps()
        except RefusedError as error:
            self._writer.write("end", outcome="failed", detail=error.what)
            raise
        except asyncio.CancelledError:
            self._writer.write("end", outcome="stopped", detail="cut off while a step was under way")
            raise
        self._writer.write("end", outcome=outcome.result, detail=outcome.error.what if outcome.error else "")
        self._observe(Event("end", outcome.step, text=outcome.result))
        return outcome

    async def _hold(self, plan: Plan, say: Callable[[str], None]) -> None:
        """Lays the locks of a plan, or of a part of it; until the run ends."""
        await self._locks.enter_async_context(held(self._session, plan, self._writer.run_id, say))
        self._locks.enter_context(self._session.avoiding(plan.leaving))

    async def _run_steps(self) -> Outcome:
        left: Outcome | None = None
        for step in outer_steps(self._plan):
            fresh = step.id not in self._plan.parts
            ended = await self._each((step,))
            if ended is None and isinstance(step, Stage) and step.id in self._plan.parts:
                ended = await self._part(step, self._plan.parts[step.id], fresh=fresh)
            if ended is not None and ended.result != "left":
                return ended
            left = ended or left
        return replace(left, result="failed") if left is not None else Outcome("done")

    async def _each(self, steps: Sequence[Step]) -> Outcome | None:
        """Steps one after the other; how the run ends, where one of them ended it."""
        for step in steps:
            known = self._record.steps.get(step.id) if self._record else None
            if known is not None and known.state in FINISHED:
                self._observe(Event("state", step.id, State(known.state), known.detail))
                continue
            if self._stop:
                return Outcome("stopped", step.id)
            if step.id in self._plan.parts:
                # The part was drafted with what was confirmed, or before a run that was cut off came to say so.
                self._told_drafted(step, self._plan.parts[step.id])
            elif (ended := await self._step(step, known)) is not None:
                return ended
        return None

    async def _part(self, stage: Stage, part: Plan, *, fresh: bool) -> Outcome | None:
        """The steps of a part, within its own locks.

        Args:
            fresh: it was drafted just now.
        """
        tried = self._record.steps if self._record is not None else {}
        done = {key for key, known in tried.items() if known.state in FINISHED}
        first = next((step for step in part.steps if step.id not in done), None)
        while first is not None:
            if self._stop:
                return Outcome("stopped", first.id)
            try:
                await stage.enter(self._session)
                if not fresh and (why := await stage.stale(self._session, part, done, tried.keys())):
                    return await self._anew(stage, why)
                await self._hold(part, partial(self._say, first))
                break
            except SwarmtuiError as error:
                decision = await self._tell_failed(first, error)
                if decision.choice in ENDS:
                    return Outcome(ENDS[decision.choice], first.id, error)
        return await self._each(part.steps)

    async def _anew(self, stage: Stage, why: str) -> Outcome | None:
        """Drafts a part once more, of which an earlier try is of no use, and does it."""
        self._say(stage, why)
        self._writer.write("undrafted", step=stage.id, detail=why)
        self._plan = without_part(self._plan, stage)
        if self._record is not None:
            tried = self._record.steps
            self._record.steps = {key: known for key, known in tried.items() if not key.startswith(f"{stage.id}/")}
        self._before.pop(stage.id, None)
        self._observe(Event("drafted", stage.id))
        stage = next(step for step in self._plan.steps if isinstance(step, Stage) and step.id == stage.id)
        if (ended := await self._step(stage, None)) is not None:
            return ended
        part = self._plan.parts.get(stage.id)
        return await self._part(stage, part, fresh=True) if part is not None else None

    async def _step(self, step: Step, known: StepRecord | None) -> Outcome | None:
        """Brings one step to its end, done or skipped; returns how the run ends where that is not to be."""
        error: SwarmtuiError | None = None
        decision = Decision(Choice.GO)
        if self.holds:
            decision = await self._decision(step, self._decider.held)
        while True:
            if decision.choice in ENDS:
                return Outcome(ENDS[decision.choice] if error is not None else "stopped", step.id, error)
            if decision.choice is Choice.SKIP:
                self._writer.write("skipped", step=step.id, detail=decision.reason)
                self._observe(Event("state", step.id, State.SKIPPED, decision.reason))
                return None
            error = await self._attempt(step, known, by_hand=decision.choice is Choice.BY_HAND)
            if error is None:
                return None
            if isinstance(error, _Stopped):
                return Outcome("stopped", step.id)
            decision = await self._tell_failed(step, error)

    async def _tell_failed(self, step: Step, error: SwarmtuiError) -> Decision:
        """Writes down that a step failed, and asks what to do about it."""
        self._writer.write("failed", step=step.id, detail=str(error))
        self._observe(Event("state", step.id, State.FAILED, str(error)))
        return await self._decision(step, partial(self._decider.failed, error=error))

    async def _decision(self, step: Step, ask: Callable[[Step], Awaitable[Decision]]) -> Decision:
        """Asks until the answer is one that this step allows: a skip needs a step that may be skipped, and a reason; by
        hand is done what has commands."""
        while not self._stop:
            decision = await ask(step)
            if decision.choice is Choice.SKIP and not (step.skippable and decision.reason.strip()):
                continue
            if decision.choice is Choice.LEAVE and not can_leave(self._plan, step):
                return Decision(Choice.STOP)
            if decision.choice is not Choice.BY_HAND or step.shown:
                return decision
        return Decision(Choice.STOP)

    async def _attempt(self, step: Step, known: StepRecord | None, *, by_hand: bool = False) -> SwarmtuiError | None:
        """One try at a step, over as many reconnections as it takes; returns the error it failed with."""
        if known is not None and known.before is not None:
            # The facts of the first try stay: the effect may have happened although its answer was lost.
            self._before.setdefault(step.id, known.before)
        for reconnects in range(RECONNECTS + 1):
            try:
                await self._once(step, by_hand=by_hand)
                return None
            except LinkError as error:
                if reconnects == RECONNECTS or (error.reason is not Reason.CONNECTION_LOST and self._session.live):
                    return error
                self._say(step, f"{error.what} Waiting for the connection to come back.")
                try:
                    await self._session.until_live(self._settle_seconds)
                except LinkError as still:
                    return still
            except SwarmtuiError as error:
                return error
        return None

    async def _once(self, step: Step, *, by_hand: bool) -> None:
        session = self._session
        voice = Voice(
            lambda line: self._say(step, line),
            lambda done, total, text: self._observe(
                Event("progress", step.id, State.RUNNING, text, done=done, total=total)
            ),
        )
        self._observe(Event("state", step.id, State.CHECKING))
        before = self._before.get(step.id)
        if before is None:
            before = self._before[step.id] = await step.before(session)
        if why := await step.already_done(session, before):
            self._writer.write("already", step=step.id, detail=why)
            self._observe(Event("state", step.id, State.ALREADY, why))
            return
        commands = [shown.as_sh for shown in step.shown]
        self._writer.write("intent", step=step.id, before=before, commands=commands, by_hand=by_hand)
        if by_hand:
            # The facts are taken and on disk before a hand moves: with them a resume, too, knows what was before.
            self._observe(Event("state", step.id, State.BY_HAND, point="intent"))
            decision = await self._decider.by_hand(step)
            if decision.choice is Choice.STOP:
                raise _Stopped("Stopped while a step was done by hand.")
            by_hand = decision.choice is Choice.GO
        if isinstance(step, Stage) and not by_hand:
            self._observe(Event("state", step.id, State.RUNNING, point="intent"))
            await self._draft(step, before, voice)
            return
        if not by_hand:
            self._observe(Event("state", step.id, State.RUNNING, point="intent"))
            await step.run(session, before, voice)
        self._observe(Event("state", step.id, State.VERIFYING, point="effect"))
        self._writer.write("effect", step=step.id)
        await step.verify(session, before, voice)
        self._writer.write("done", step=step.id, **({"detail": BY_HAND} if by_hand else {}))
        self._observe(Event("state", step.id, State.DONE, BY_HAND if by_hand else "", point="proof"))

    async def _draft(self, stage: Stage, before: Facts, voice: Voice) -> None:
        """Has a part planned, and takes its steps in; they are on disk before the first of them begins."""
        part = await stage.draft(self._session, before, voice)
        self._writer.write("drafted", step=stage.id, **msgspec.to_builtins(Draft.of(part)))
        self._plan = with_part(self._plan, stage, part)
        self._observe(Event("drafted", stage.id))
        self._told_drafted(stage, part)

    def _told_drafted(self, stage: Step, part: Plan) -> None:
        detail = part.nothing or f"Planned: {part.title}."
        self._writer.write("done", step=stage.id, detail=detail)
        self._observe(Event("state", stage.id, State.DONE, detail, point="proof"))

    def _say_first(self, line: str) -> None:
        """What is to be said before the first step."""
        self._say(self._plan.steps[0], line)

    def _say(self, step: Step, line: str) -> None:
        self._observe(Event("said", step.id, State.RUNNING, line))
