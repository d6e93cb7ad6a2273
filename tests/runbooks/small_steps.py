"""Small steps over a world in memory, for tests of the Runner."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from swarmtui.errors import SwarmtuiError
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Facts, Plan, Shown, Step, StepError, Voice
from swarmtui.runbooks.runner import Choice, Decision, Event, Outcome, Runner
from swarmtui.session import Session
from tests import builders as b
from tests.runbooks.support import session

RUN = "20261121T090203Z-test-0001"


class Crash(BaseException):
    """The program dies here: nothing after it is executed, nothing is recorded."""


@dataclass
class World:
    """What steps change, and what goes wrong when.

    Attributes:
        counter: how often each step had its effect. Nothing may have it twice.
        calls: every call of a step's methods, in order.
        troubles: "step.method" → what its next calls raise, one after the other; None lets a call pass.
    """

    counter: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    troubles: dict[str, list[BaseException | None]] = field(default_factory=dict)

    def call(self, name: str, method: str) -> None:
        self.calls.append(f"{name}.{method}")
        waiting = self.troubles.get(f"{name}.{method}")
        if waiting and (trouble := waiting.pop(0)) is not None:
            raise trouble


@dataclass(frozen=True, kw_only=True)
class Bump(Step):
    """Adds one to a counter: done twice it is wrong. Whether it was done is told by the facts taken before."""

    world: World = field(compare=False)

    @property
    def shown(self) -> tuple[Shown, ...]:
        return (Shown(f"bump {self.id}", "root@10.0.0.9"),)

    @property
    def value(self) -> int:
        return self.world.counter.get(self.id, 0)

    async def before(self, session: Session) -> Facts:
        self.world.call(self.id, "before")
        return {"value": self.value}

    async def already_done(self, session: Session, before: Facts) -> str:
        self.world.call(self.id, "already_done")
        return f"{self.id} was counted." if self.value > before["value"] else ""

    async def run(self, session: Session, before: Facts, voice: Voice) -> None:
        self.world.call(self.id, "run")
        self.world.counter[self.id] = before["value"] + 1
        voice.say(f"bumped {self.id}")
        voice.progress(1, 1, "done")
        self.world.call(self.id, "after_effect")

    async def verify(self, session: Session, before: Facts, voice: Voice) -> None:
        self.world.call(self.id, "verify")
        if self.value != before["value"] + 1:
            raise StepError(f"{self.id} was not counted.")


def steps(world: World, *ids: str, skippable: Iterable[str] = ()) -> tuple[Bump, ...]:
    return tuple(Bump(id=i, title=i, why="why", skippable=i in set(skippable), world=world) for i in ids)


def plan(*of: Step) -> Plan:
    return Plan(runbook="test", version=1, params={}, facts={}, title="Test", why="Because.", steps=of)


@dataclass
class Answers:
    """Who is asked after a failure."""

    decisions: list[Decision]
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def failed(self, step: Step, error: SwarmtuiError) -> Decision:
        self.asked.append((step.id, error.what))
        return self.decisions.pop(0)

    async def held(self, step: Step) -> Decision:
        self.asked.append((step.id, "held"))
        return self.decisions.pop(0)

    async def by_hand(self, step: Step) -> Decision:
        self.asked.append((step.id, "by hand"))
        return self.decisions.pop(0)


STOP, RETRY = Decision(Choice.STOP), Decision(Choice.RETRY)


def opened() -> Session:
    return session(b.snapshot([]))


async def go(
    journal: Journal,
    of: Plan,
    *,
    resume: bool = False,
    on: Session | None = None,
    observe: Callable[[Event], None] = lambda event: None,
    decider: Answers | None = None,
) -> Outcome:
    record = journal.read(RUN) if resume else None
    with journal.writer(RUN) as writer:
        runner = Runner(on or opened(), of, writer, observe=observe, record=record, decider=decider, settle_seconds=3.0)
        return await runner.run()


def kinds(journal: Journal) -> list[str]:
    entries = [json.loads(line) for line in journal.path(RUN).read_bytes().splitlines()]
    return [f"{e['kind']} {e['step']}" if "step" in e else e["kind"] for e in entries]
