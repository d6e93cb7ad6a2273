"""The Runner cut off at every point: what is on disk then, and that a resume repeats no effect."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from swarmtui.errors import EngineError
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.runbook import Facts, StepError, Voice
from swarmtui.runbooks.runner import Choice, Decision, Event, State
from swarmtui.session import Session
from tests.runbooks.small_steps import RUN, STOP, Answers, Bump, Crash, World, go, kinds, plan, steps


async def crash(journal: Journal, world: World, at: str, method: str = "") -> None:
    """Runs a, b, c until the program dies in b: at a point that watchers see, or in a method of the step."""

    def observe(event: Event) -> None:
        if at and (event.step, event.point) == ("b", at):
            raise Crash

    if method:
        world.troubles[f"b.{method}"] = [Crash()]
    with pytest.raises(Crash):
        await go(journal, plan(*steps(world, "a", "b", "c")), observe=observe)


@pytest.mark.parametrize(
    ("at", "method", "last", "had_effect"),
    [
        ("", "before", "done a", False),
        ("intent", "", "intent b", False),
        ("", "run", "intent b", False),
        ("", "after_effect", "intent b", True),
        ("effect", "", "intent b", True),
        ("", "verify", "effect b", True),
        ("proof", "", "done b", True),
    ],
)
async def test_a_crash_at_any_point_is_resumed_without_repeating_an_effect(
    journal: Journal, at: str, method: str, last: str, had_effect: bool
) -> None:
    world = World()
    await crash(journal, world, at, method)
    assert kinds(journal)[-1] == last and ("b" in world.counter) is had_effect
    assert journal.read(RUN).outcome == ""
    world.troubles.clear()
    world.calls.clear()
    assert (await go(journal, plan(*steps(world, "a", "b", "c")), resume=True)).ok
    assert world.counter == {"a": 1, "b": 1, "c": 1}
    assert not any(call.startswith("a.") for call in world.calls)  # finished: not even looked at
    assert ("b.run" in world.calls) is (not had_effect)
    assert journal.read(RUN).outcome == "done"


async def test_the_facts_of_before_the_crash_decide_and_not_those_of_after(journal: Journal) -> None:
    """The effect happened, its answer was lost. Facts taken anew would say that nothing was done yet."""
    world = World()
    await crash(journal, world, "", "after_effect")
    world.troubles.clear()
    assert (await go(journal, plan(*steps(world, "a", "b", "c")), resume=True)).ok
    assert world.counter["b"] == 1
    assert world.calls.count("b.before") == 1


async def test_a_step_that_failed_before_its_facts_were_taken_takes_them_at_the_resume(journal: Journal) -> None:
    world = World(counter={"a": 7}, troubles={"a.before": [EngineError("Busy.")]})
    assert (await go(journal, plan(*steps(world, "a")))).result == "failed"
    assert (await go(journal, plan(*steps(world, "a")), resume=True)).ok
    assert world.counter == {"a": 8}


async def test_a_failed_run_goes_on_where_it_failed(journal: Journal) -> None:
    world = World(troubles={"b.run": [StepError("No.")]})
    assert (await go(journal, plan(*steps(world, "a", "b")))).result == "failed"
    seen: list[Event] = []
    assert (await go(journal, plan(*steps(world, "a", "b")), resume=True, observe=seen.append)).ok
    assert world.counter == {"a": 1, "b": 1}
    assert (seen[0].step, seen[0].state) == ("a", State.DONE)  # a watcher sees what was done before


async def test_a_skipped_step_stays_skipped(journal: Journal) -> None:
    world = World(troubles={"a.run": [StepError("Slow.")], "b.run": [StepError("No.")]})
    answers = Answers([Decision(Choice.SKIP, "slow"), STOP])
    assert (await go(journal, plan(*steps(world, "a", "b", skippable="a")), decider=answers)).result == "failed"
    assert (await go(journal, plan(*steps(world, "a", "b", skippable="a")), resume=True)).ok
    assert world.counter == {"b": 1}


async def test_a_crash_after_every_line_of_the_journal(journal: Journal, tmp_path: Path) -> None:
    """Cuts the journal of a whole run in the middle of each line, and resumes with the world as it was."""
    world = World()
    await go(journal, plan(*steps(world, "a", "b")))
    whole = journal.path(RUN).read_bytes().splitlines(keepends=True)
    for count in range(1, len(whole)):
        done = [json.loads(line) for line in whole[:count]]
        had = {e["step"] for e in done if e["kind"] in ("effect", "done")}
        for lost_effect in (False, True):
            # The effect of what was intended last may have happened or not: nobody wrote it down.
            counter = dict.fromkeys(had | ({done[-1].get("step", "")} - {""} if lost_effect else set()), 1)
            again = Journal(tmp_path / f"{count}-{lost_effect}")
            again.folder.mkdir()
            again.path(RUN).write_bytes(b"".join(whole[:count]) + whole[count][: len(whole[count]) // 2])
            resumed = World(counter=counter)
            assert (await go(again, plan(*steps(resumed, "a", "b")), resume=True)).ok
            assert resumed.counter == {"a": 1, "b": 1}, (count, lost_effect)


async def test_a_cancelled_run_says_so_and_can_be_resumed(journal: Journal) -> None:
    world, reached = World(), asyncio.Event()

    class Slow(Bump):
        async def run(self, session: Session, before: Facts, voice: Voice) -> None:
            reached.set()
            await asyncio.sleep(60)

    slow = Slow(id="b", title="b", why="", world=world)
    task = asyncio.create_task(go(journal, plan(*steps(world, "a"), slow)))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = journal.read(RUN)
    assert (record.outcome, record.steps["b"].state) == ("stopped", "intended")
    assert (await go(journal, plan(*steps(world, "a", "b")), resume=True)).ok
    assert world.counter == {"a": 1, "b": 1}
