"""Plans with parts that other runbooks plan when their turn comes: run, cut off anywhere, gone on with, left, shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import pytest

from swarmtui.errors import RefusedError
from swarmtui.runbooks import params, registry, render
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.params import Param
from swarmtui.runbooks.parts import Draft, Stage, grown
from swarmtui.runbooks.report import planned, report
from swarmtui.runbooks.runbook import Facts, Plan, Rule, Runbook
from swarmtui.runbooks.runner import Choice, Decision
from swarmtui.session import Session
from tests.runbooks.small_steps import RUN, Answers, Crash, World, go, kinds, steps

WORLD = World()


class Outer(Runbook):
    """a, then a part of two steps, then another part, then z."""

    name: ClassVar[str] = "test"
    summary: ClassVar[str] = "for tests"
    params: ClassVar[tuple[Param, ...]] = ()
    goes_on: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...]] = ()

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        return {}

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        about: dict[str, Any] = {"why": "why", "runbook": "test.part", "target": "here", "world": WORLD}
        about |= {"goes_on": self.goes_on, "accepts": self.accepts}
        a, z = steps(WORLD, "a", "z")
        first = Part(id="one", title="The first part", given={"names": "b,c"}, **about)
        second = Part(id="two", title="The second part", given={"names": "d"}, **about)
        return Plan(
            runbook="test",
            version=1,
            params={},
            facts={},
            title="Test",
            why="Because.",
            steps=(a, first, second, z),
        )


class Inner(Runbook):
    """Steps by their names; what it found is told apart by how often it looked."""

    name: ClassVar[str] = "test.part"
    summary: ClassVar[str] = "for tests"
    params: ClassVar[tuple[Param, ...]] = (Param("names", "steps", params.names, "NAME,…", required=True),)
    rule: ClassVar[Rule | None] = None
    looks: ClassVar[int] = 0

    async def survey(self, session: Session, params: Mapping[str, Any]) -> Facts:
        WORLD.call("inner", "survey")
        type(self).looks += 1
        return {"look": self.looks}

    def plan(self, params: Mapping[str, Any], facts: Facts) -> Plan:
        return Plan(
            runbook=self.name,
            version=1,
            params=params,
            facts=facts,
            title=f"Planned at look {facts['look']}",
            why="Because.",
            steps=steps(WORLD, *params["names"]),
            warnings=(f"{params['names'][0]} may hurt.",),
            rules=(self.rule,) if self.rule is not None else (),
        )


@dataclass(frozen=True, kw_only=True)
class Part(Stage):
    """A part that is done when its steps were counted."""

    world: World = field(compare=False)
    useless: ClassVar[str] = ""

    async def stale(self, session: Session, part: Plan, done: Set[str], begun: Set[str]) -> str:
        self.world.call(self.id, "stale")
        return self.useless if self.id == "one" else ""

    async def enter(self, session: Session) -> None:
        self.world.call(self.id, "enter")

    async def already_done(self, session: Session, before: Facts) -> str:
        self.world.call(self.id, "already_done")
        names = self.given["names"].split(",")
        return "It is there." if all(f"{self.id}/{name}" in self.world.counter for name in names) else ""


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    WORLD.counter.clear()
    WORLD.calls.clear()
    WORLD.troubles.clear()
    made = registry.RUNBOOKS._made  # type: ignore[attr-defined]
    for runbook in (Outer(), Inner()):
        monkeypatch.setitem(registry._WHERE, runbook.name, "nowhere:None")
        monkeypatch.setitem(made, runbook.name, runbook)
    monkeypatch.setattr(Inner, "looks", 0)
    monkeypatch.setattr(Inner, "rule", None)
    monkeypatch.setattr(Outer, "goes_on", False)
    monkeypatch.setattr(Outer, "accepts", ())
    yield


def outer() -> Plan:
    return Outer().plan({}, {})


EACH_ONCE = {"a": 1, "one/b": 1, "one/c": 1, "two/d": 1, "z": 1}


async def gone_on(journal: Journal) -> None:
    """Goes on with the run by what its journal holds, as another process does."""
    assert (await go(journal, planned(journal.read(RUN)), resume=True)).ok


async def test_steps_of_parts_are_steps_of_the_run(journal: Journal) -> None:
    seen: list[str] = []
    outcome = await go(journal, outer(), observe=lambda event: seen.append(f"{event.kind} {event.step}"))
    assert outcome.ok and WORLD.counter == EACH_ONCE
    # The second part is planned when the first is done, and not before.
    surveys = [n for n, call in enumerate(WORLD.calls) if call == "inner.survey"]
    assert len(surveys) == 2 and WORLD.calls.index("one/c.verify") < surveys[1]
    assert seen.index("drafted one") < seen.index("said one/b") < seen.index("drafted two")
    assert [kind for kind in kinds(journal) if kind.startswith(("drafted", "done"))] == [
        "done a",
        "drafted one",
        "done one",
        "done one/b",
        "done one/c",
        "drafted two",
        "done two",
        "done two/d",
        "done z",
    ]


CRASHES = [
    *("a.after_effect", "one.already_done", "inner.survey", "one.enter", "one/b.before", "one/b.after_effect"),
    *("one/c.run", "one/c.verify", "two.already_done", "two/d.after_effect", "z.run"),
]


@pytest.mark.parametrize("where", CRASHES)
async def test_cut_off_anywhere_and_gone_on_with(where: str, journal: Journal) -> None:
    WORLD.troubles[where] = [Crash()]
    with pytest.raises(Crash):
        await go(journal, outer())
    drafted = {stage: told["facts"] for stage, told in journal.read(RUN).drafts.items()}
    await gone_on(journal)
    assert WORLD.counter == EACH_ONCE
    # What was drafted before stays what it was.
    after = {stage: told["facts"] for stage, told in journal.read(RUN).drafts.items()}
    assert after.keys() == {"one", "two"} and {stage: after[stage] for stage in drafted} == drafted


async def test_cut_off_between_the_draft_and_the_word_that_it_is_there(journal: Journal) -> None:
    WORLD.troubles["one/b.before"] = [Crash()]
    with pytest.raises(Crash):
        await go(journal, outer())
    path = journal.path(RUN)
    told = [b'"kind":"done"', b'"step":"one"']
    kept = [line for line in path.read_bytes().splitlines(True) if not all(word in line for word in told)]
    path.write_bytes(b"".join(kept))
    await gone_on(journal)
    assert WORLD.counter == EACH_ONCE and Inner.looks == 2


async def test_cut_off_twice(journal: Journal) -> None:
    WORLD.troubles |= {"one/c.after_effect": [Crash()], "two/d.verify": [Crash()]}
    with pytest.raises(Crash):
        await go(journal, outer())
    with pytest.raises(Crash):
        await go(journal, planned(journal.read(RUN)), resume=True)
    await gone_on(journal)
    assert WORLD.counter == EACH_ONCE


async def test_a_part_that_is_done_already_is_not_planned(journal: Journal) -> None:
    WORLD.counter |= {"one/b": 1, "one/c": 1}
    assert (await go(journal, outer())).ok
    assert WORLD.counter == EACH_ONCE and Inner.looks == 1
    assert journal.read(RUN).steps["one"].state == "already"


async def test_a_failure_ends_the_run_and_the_next_part_is_not_begun(journal: Journal) -> None:
    WORLD.troubles["one/b.run"] = [RefusedError("Not now.")]
    outcome = await go(journal, outer())
    assert (outcome.result, outcome.step) == ("failed", "one/b") and WORLD.counter == {"a": 1}
    await gone_on(journal)
    assert WORLD.counter == EACH_ONCE


@pytest.mark.parametrize("where", ["one/b.run", "inner.survey", "one.enter"])
async def test_a_part_that_can_be_left_is_left_and_taken_up_again(
    where: str, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outer, "goes_on", True)
    WORLD.troubles[where] = [RefusedError("Not now.")]
    outcome = await go(journal, outer())
    assert outcome.result == "failed" and outcome.error is not None and outcome.error.what == "Not now."
    assert WORLD.counter == {"a": 1, "two/d": 1, "z": 1}
    await gone_on(journal)
    assert WORLD.counter == EACH_ONCE


async def test_what_an_earlier_try_left_of_no_use_is_drafted_anew(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    WORLD.troubles["one/c.run"] = [RefusedError("Not now.")]
    assert not (await go(journal, outer())).ok and "one.stale" not in WORLD.calls
    WORLD.counter.clear()
    monkeypatch.setattr(Part, "useless", "It is spoiled.")
    WORLD.troubles["one/c.verify"] = [Crash()]
    said: list[str] = []
    with pytest.raises(Crash):
        await go(journal, planned(journal.read(RUN)), resume=True, observe=lambda event: said.append(event.text))
    assert "It is spoiled." in said and journal.read(RUN).drafts["one"]["facts"] == {"look": 2}
    monkeypatch.setattr(Part, "useless", "")
    await gone_on(journal)
    assert WORLD.counter == {"one/b": 1, "one/c": 1, "two/d": 1, "z": 1}


async def test_what_is_drafted_anew_says_what_it_needs_decided(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    WORLD.troubles["one/c.run"] = [RefusedError("Not now.")]
    assert not (await go(journal, outer())).ok
    WORLD.counter.clear()
    monkeypatch.setattr(Part, "useless", "It is spoiled.")
    monkeypatch.setattr(Inner, "rule", Rule("risk", "mgr 1", "All may be lost."))
    outcome = await go(journal, planned(journal.read(RUN)), resume=True)
    assert outcome.step == "one" and outcome.error is not None
    assert "swarmtui run test.part names=b,c --yes --target here --accept" in outcome.error.next_step


async def test_a_part_planned_with_the_whole_is_looked_at_again_before_it_begins(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Outer.plan
    draft = Draft.of(Inner().plan({"names": ("b", "c")}, {"look": 0}))
    monkeypatch.setattr(Outer, "plan", lambda self, given, facts: grown(bare(self, given, facts), {"one": draft}))
    monkeypatch.setattr(Part, "useless", "It came back by itself.")
    WORLD.counter |= {"one/b": 1, "one/c": 1}
    WORLD.troubles["two/d.run"] = [Crash()]
    seen: list[str] = []
    with pytest.raises(Crash):
        await go(journal, outer(), observe=lambda event: seen.append(f"{event.kind} {event.step}"))
    record = journal.read(RUN)
    assert record.steps["one"].state == "already" and "one/b" not in record.steps and "drafted one" in seen
    assert [step.id for step in planned(record).steps] == ["a", "one", "two", "two/d", "z"]
    assert "b: not begun" not in report(record)
    assert json.loads(json.dumps(asdict(record)))["undrafted"] == ["one"], "as `swarmtui journal RUN --json` tells it"
    await gone_on(journal)
    assert WORLD.counter == EACH_ONCE


async def test_a_person_leaves_a_part_only_where_that_can_be(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    WORLD.troubles["one/c.run"] = [RefusedError("Not now."), RefusedError("Not now.")]
    decider = Answers([Decision(Choice.LEAVE)])
    assert (await go(journal, outer(), decider=decider)).step == "one/c" and "two/d" not in WORLD.counter
    monkeypatch.setattr(Outer, "goes_on", True)
    decider = Answers([Decision(Choice.LEAVE)])
    outcome = await go(journal, planned(journal.read(RUN)), resume=True, decider=decider)
    assert outcome.result == "failed" and WORLD.counter == {"a": 1, "one/b": 1, "two/d": 1, "z": 1}


async def test_a_rule_that_nobody_accepted_stops_the_part_with_the_words_to_accept_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Inner, "rule", Rule("risk", "mgr 1", "All may be lost."))
    outcome = await go(journal, outer())
    assert outcome.step == "one" and outcome.error is not None and "All may be lost." in outcome.error.what
    told = "swarmtui run test.part names=b,c --yes --target here --accept 'risk=mgr 1'"
    assert told in outcome.error.next_step and WORLD.counter == {"a": 1}
    monkeypatch.setattr(Outer, "accepts", ("risk=mgr 1",))
    await gone_on(journal)
    assert WORLD.counter == EACH_ONCE


async def test_before_it_is_planned_a_part_shows_the_command_that_does_it_and_then_its_steps(journal: Journal) -> None:
    before = render.script(outer())
    assert "swarmtui run test.part names=b,c --yes --target here\n" in before and "bump" in before
    WORLD.troubles["one/c.run"] = [RefusedError("Not now.")]
    await go(journal, outer())
    record = journal.read(RUN)
    after = render.script(planned(record))
    assert "names=b,c" not in after and after.count("bump b") == 0 and "bump one/b" in after and "names=d" in after
    told = report(record)
    for words in ("2. The first part: done", "Planned: Planned at look 1.", "4. c: failed", "b may hurt.", "not begun"):
        assert words in told, words


async def test_by_hand_a_part_is_proved_by_what_is_there(journal: Journal) -> None:
    hands = Answers([Decision(Choice.BY_HAND)])

    async def by_hand(step: Any) -> Decision:
        WORLD.counter |= {"one/b": 1, "one/c": 1}
        return Decision(Choice.GO)

    hands.by_hand = by_hand  # type: ignore[method-assign]
    WORLD.troubles["inner.survey"] = [RefusedError("Not now.")]
    assert (await go(journal, outer(), decider=hands)).ok
    assert WORLD.counter == EACH_ONCE and journal.read(RUN).drafts.keys() == {"two"}
