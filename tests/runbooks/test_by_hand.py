"""Steps that a person does, steps that are held, and what is told about stopping."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarmtui.runbooks import render
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Shown, StepError
from swarmtui.runbooks.runner import BY_HAND, Choice, Decision, Event, Outcome, Runner, State
from tests.runbooks.small_steps import RETRY, RUN, STOP, Answers, Bump, Crash, World, go, kinds, opened, plan, steps

GO, HAND = Decision(Choice.GO), Decision(Choice.BY_HAND)


class Hands(Answers):
    """A person who does a step with their own hands when it is theirs."""

    world: World

    async def by_hand(self, step: object) -> Decision:
        decision = await super().by_hand(step)  # type: ignore[arg-type]
        if decision.choice is Choice.GO:
            assert isinstance(step, Bump)
            self.world.counter[step.id] = self.world.counter.get(step.id, 0) + 1
        return decision


def hands(world: World, *decisions: Decision) -> Hands:
    made = Hands(list(decisions))
    made.world = world
    return made


async def held(journal: Journal, world: World, *decisions: Decision, ids: str = "ab", skippable: str = "") -> Outcome:
    """A run that asks before each step."""
    with journal.writer(RUN) as writer:
        of = plan(*steps(world, *ids, skippable=skippable))
        runner = Runner(opened(), of, writer, decider=hands(world, *decisions))
        runner.holds = True
        return await runner.run()


async def test_a_failed_step_is_done_by_hand_and_verified_here(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("No.")]})
    seen: list[Event] = []
    outcome = await go(journal, plan(*steps(world, "a", "b")), decider=hands(world, HAND, GO), observe=seen.append)
    assert outcome.ok and world.counter == {"a": 1, "b": 1}
    assert world.calls.count("a.run") == 1 and world.calls[-2] == "b.after_effect"
    assert kinds(journal)[1:6] == ["intent a", "failed a", "intent a", "effect a", "done a"]
    done = journal.read(RUN).steps["a"]
    assert (done.state, done.detail, done.tries) == ("done", BY_HAND, 2)
    assert [e.state for e in seen if e.step == "a" and e.kind == "state"][-3:] == [
        State.BY_HAND,
        State.VERIFYING,
        State.DONE,
    ]


async def test_what_a_hand_did_not_do_is_not_believed(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("No.")]})
    idle = Answers([HAND, GO, RETRY])
    assert (await go(journal, plan(*steps(world, "a")), decider=idle)).ok
    assert idle.asked == [("a", "No."), ("a", "by hand"), ("a", "a was not counted.")]
    assert world.counter == {"a": 1} and journal.read(RUN).steps["a"].detail == ""


async def test_a_step_given_back_is_done_by_the_program(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("No.")]})
    assert (await go(journal, plan(*steps(world, "a")), decider=Answers([HAND, RETRY]))).ok
    assert world.counter == {"a": 1} and world.calls.count("a.run") == 2


async def test_who_stops_with_a_step_in_hand_goes_on_later_with_the_facts_of_before(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("No.")]})
    outcome = await go(journal, plan(*steps(world, "a")), decider=Answers([HAND, STOP]))
    assert (outcome.result, outcome.step, outcome.error) == ("stopped", "a", None)
    world.counter["a"] = 1  # the person did it after all, and nobody saw it
    assert (await go(journal, plan(*steps(world, "a")), resume=True)).ok
    assert world.counter == {"a": 1} and journal.read(RUN).steps["a"].state == "already"


async def test_a_crash_while_a_step_is_done_by_hand_repeats_nothing(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("No.")]})

    class Dies(Hands):
        async def by_hand(self, step: object) -> Decision:
            await super().by_hand(step)
            raise Crash

    dies = Dies([HAND, GO])
    dies.world = world
    with pytest.raises(Crash):
        await go(journal, plan(*steps(world, "a", "b")), decider=dies)
    assert kinds(journal)[-1] == "intent a" and world.counter == {"a": 1}
    assert (await go(journal, plan(*steps(world, "a", "b")), resume=True)).ok
    assert world.counter == {"a": 1, "b": 1}


async def test_a_step_without_commands_cannot_be_done_by_hand(journal: Journal) -> None:
    class Silent(Bump):
        @property
        def shown(self) -> tuple[Shown, ...]:
            return ()

    world = World(troubles={"a.run": [StepError("No.")]})
    answers = Answers([HAND, HAND, RETRY])
    assert (await go(journal, plan(Silent(id="a", title="a", why="", world=world)), decider=answers)).ok
    assert [about for _, about in answers.asked] == ["No."] * 3


async def test_a_held_run_asks_before_each_step(journal: Journal) -> None:
    world = World()
    assert (await held(journal, world, GO, GO)).ok and world.counter == {"a": 1, "b": 1}


async def test_a_held_step_may_be_done_by_hand_skipped_or_the_end(journal: Journal) -> None:
    world = World()
    skip, empty = Decision(Choice.SKIP, "not here"), Decision(Choice.SKIP, " ")
    outcome = await held(journal, world, HAND, GO, empty, skip, skip, STOP, ids="abc", skippable="b")
    # No skip without a reason, and none of c, which may not be left out.
    assert (outcome.result, outcome.step, world.counter) == ("stopped", "c", {"a": 1})
    kept = journal.read(RUN).steps
    assert (kept["a"].detail, kept["b"].state, kept["b"].detail) == (BY_HAND, "skipped", "not here")


async def test_stopping_before_a_held_step_does_nothing_of_it(journal: Journal) -> None:
    world = World()
    outcome = await held(journal, world, GO, STOP)
    assert (outcome.result, outcome.step, world.counter) == ("stopped", "b", {"a": 1})
    assert "b.before" not in world.calls and journal.read(RUN).outcome == "stopped"
    assert (await go(journal, plan(*steps(world, "a", "b")), resume=True)).ok


# -- what it means to stop ---------------------------------------------------------------------------------------------

STANDS = ("", "Docker is stopped.", "", "Two Swarms live.")


def test_what_was_last_said_about_stopping_holds_until_another_step_says_otherwise() -> None:
    made = [replace(step, if_stopped=told) for step, told in zip(steps(World(), *"abcd"), STANDS, strict=True)]
    of = plan(*made)
    assert [of.if_stopped_before(step) for step in made] == ["", STANDS[1], STANDS[1], STANDS[3]]


def test_a_printed_plan_tells_what_it_means_to_stop() -> None:
    made = [replace(step, if_stopped=told) for step, told in zip(steps(World(), *"abcd"), STANDS, strict=True)]
    text, script, plain = render.markdown(plan(*made)), render.script(plan(*made)), render.plan_json(plan(*made))
    assert text.count("If you stop before this step: Docker is stopped.") == 2
    assert text.index("Docker is stopped.") > text.index("## 2. b")
    assert script.count("# If you stop here: Two Swarms live.") == 1
    assert [step["if_stopped"] for step in plain["steps"]] == ["", STANDS[1], STANDS[1], STANDS[3]]
