"""A plan with parts that other runbooks plan, each when its turn comes: what it is made from comes only after what is
before it.

A stage stands for such a part. Its draft is journalled whole before its first step, and the plan grows by its steps: so
a resume makes the very same ones, and each can be retried, skipped or done by hand like any other.
"""

from __future__ import annotations

import dataclasses
import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec

from swarmtui.errors import UsageError
from swarmtui.runbooks import params
from swarmtui.runbooks.runbook import Facts, Plan, Shown, Step, StepError, Voice
from swarmtui.session import Session


class Draft(msgspec.Struct, frozen=True):
    """What a part is planned from: what its runbook plans again, and then has the very same steps.

    Attributes:
        version: of the runbook.
        params, facts: plain JSON values.
    """

    runbook: str
    version: int
    params: dict[str, Any]
    facts: Facts

    @classmethod
    def of(cls, plan: Plan) -> Draft:
        """Of a plan that was made just now."""
        return cls(plan.runbook, plan.version, dict(plan.params), plan.facts)

    def plan(self) -> Plan:
        """The plan, made again. Pure.

        Raises:
            UsageError: this version of the program plans it otherwise.
            RefusedError: as the runbook does.
        """
        from swarmtui.runbooks import registry

        runbook = registry.runbook(self.runbook)
        if runbook.version != self.version:
            raise UsageError(
                f"{self.runbook} was planned by another version of swarmtui.",
                "Begin anew: what is done already will be found done.",
            )
        return runbook.plan(self.params, self.facts)


@dataclass(frozen=True, kw_only=True)
class Stage(Step):
    """A part of a plan, in the place where it begins.

    Attributes:
        runbook: its name; given: its parameters, as a person types them.
        target: the cluster, as commands name it.
        accepts: safety rules ("RULE=OBJECT") that whoever confirmed this plan accepts with it.
        goes_on: where this part fails, and nobody says otherwise, the next one is tried all the same.
        drafted: its steps are in the plan, behind it.
    """

    runbook: str
    given: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    accepts: tuple[str, ...] = ()
    goes_on: bool = False
    drafted: bool = False

    @property
    def shown(self) -> tuple[Shown, ...]:
        if self.drafted:
            return ()  # its steps show what they do
        words = [f"{key}={value}" for key, value in self.given.items()]
        accept = [word for rule in self.accepts for word in ("--accept", rule)]
        target = ["--target", self.target] if self.target else []
        line = shlex.join(["swarmtui", "run", self.runbook, *words, "--yes", *accept, *target])
        return (Shown(line, here=True),)

    async def enter(self, session: Session) -> None:
        """Makes the session fit for this part; also when a run is gone on with. Raises SwarmtuiError."""
        return

    async def draft(self, session: Session, before: Facts, voice: Voice) -> Plan:
        """Has the runbook look, and plan.

        Raises:
            StepError: it breaks a safety rule that nobody accepted.
            SwarmtuiError: as the runbook's survey and plan do.
        """
        from swarmtui.runbooks import registry

        await self.enter(session)
        runbook = registry.runbook(self.runbook)
        plan = await runbook.prepare(session, params.parse(runbook.name, runbook.params, self.given))
        if broken := [rule for rule in plan.rules if str(rule) not in self.accepts]:
            line = " ".join([self.shown[0].line, *(f"--accept {shlex.quote(str(rule))}" for rule in broken)])
            told = " ".join(rule.what for rule in broken)
            raise StepError(
                f"{plan.title} needs a decision of yours: {told}",
                f"Where that is meant, run it alone: {line}. Then go on here: it is found done.",
            )
        for line in (*plan.warnings, *plan.notes):
            voice.say(line)
        return plan

    def fit(self, plan: Plan) -> Plan:
        """The plan of the part, as this one takes it in: pure, the same each time."""
        steps = tuple(dataclasses.replace(step, id=f"{self.id}/{step.id}") for step in plan.steps)
        return dataclasses.replace(plan, steps=steps)

    async def stale(self, session: Session, part: Plan, done: Set[str], begun: Set[str]) -> str:
        """Why what was drafted with the plan, or before a run was cut off or failed, is of no use, and is to be drafted
        anew; "" where it is to be gone on with.

        Args:
            part: what was drafted, fitted in. done: ids of its steps that were brought to their end. begun: of those
                that were tried, however that ended.

        Raises:
            SwarmtuiError: what it depends on cannot be asked.
        """
        return ""

    @abstractmethod
    async def already_done(self, session: Session, before: Facts) -> str: ...

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        return  # the runner has it draft its steps; they do it

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        """Of one that a person did by hand: else its steps are verified, each for itself."""
        if not (done := await self.already_done(session, before)):
            raise StepError(f"{self.title}: it is not done yet.", "Look what is missing there, then retry.")
        voice.say(done)


def with_part(plan: Plan, stage: Stage, part: Plan) -> Plan:
    """The plan with the steps of a part behind its stage. Pure."""
    fitted = stage.fit(part)
    steps: list[Step] = []
    for step in plan.steps:
        if step.id == stage.id:
            steps += [dataclasses.replace(stage, drafted=True), *fitted.steps]
        else:
            steps.append(step)
    return dataclasses.replace(plan, steps=tuple(steps), parts={**plan.parts, stage.id: fitted})


def without_part(plan: Plan, stage: Stage) -> Plan:
    """The plan as it was before a part was drafted. Pure."""
    parts = {name: part for name, part in plan.parts.items() if name != stage.id}
    inner = {step.id for step in plan.parts[stage.id].steps}
    steps = tuple(
        dataclasses.replace(step, drafted=False) if isinstance(step, Stage) and step.id == stage.id else step
        for step in plan.steps
        if step.id not in inner
    )
    return dataclasses.replace(plan, steps=steps, parts=parts)


def grown(plan: Plan, drafts: Mapping[str, Draft]) -> Plan:
    """The plan with all parts that were drafted. Raises as `Draft.plan` does."""
    for stage in plan.steps:
        if isinstance(stage, Stage) and stage.id in drafts and stage.id not in plan.parts:
            plan = with_part(plan, stage, drafts[stage.id].plan())
    return plan


def outer_steps(plan: Plan) -> tuple[Step, ...]:
    """The steps of the plan itself, without those of its parts."""
    inner = {step.id for part in plan.parts.values() for step in part.steps}
    return tuple(step for step in plan.steps if step.id not in inner)


def can_leave(plan: Plan, step: Step) -> bool:
    """Whether a step belongs to a part that can be left as it is, for the next one."""
    stages: Sequence[Stage] = [each for each in plan.steps if isinstance(each, Stage) and each.goes_on]
    return any(step.id == stage.id or step.id in {one.id for one in _steps_of(plan, stage)} for stage in stages)


def _steps_of(plan: Plan, stage: Stage) -> Sequence[Step]:
    part = plan.parts.get(stage.id)
    return part.steps if part is not None else ()
