"""Every step of every runbook on nodes: the program killed, and the connection cut, at every point of it.

Kill: nothing after that point is executed and no end is journalled; then `swarmtui run --resume` must finish.
Cut: every SSH connection ends at that point; the same run must go on by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from swarmtui.demo.world import agent
from swarmtui.runbooks.journal import RunRecord
from swarmtui.runbooks.node_steps import MoveConnection, WaitStep
from swarmtui.runbooks.runner import FINISHED
from tests.faults.scenes import SCENES, Scene, plan_of, slow_to_start, steps_of
from tests.faults.stage import POINTS, RUN, Fault, Killed, Stage, State, lines

PutOn = Callable[[Scene], AbstractAsyncContextManager[Stage]]


def cases(kind: str) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "behaviour", slow_to_start)
        for scene in SCENES:
            for place, (name, step) in enumerate(steps_of(scene), 1):
                points = POINTS
                if kind == "cut" and not isinstance(step, WaitStep | MoveConnection):
                    points = (*POINTS, "asked")
                for point in points:
                    yield pytest.param(scene, place, point, id=f"{scene}/{name}/{point}/{kind}")


def lost_answers(point: str) -> int:
    """How many answers were lost there: for so many requests nobody can know whether they are still needed."""
    return 0 if point == "intent" else 1


def check_effects(stage: Stage, point: str) -> None:
    """Everything was done once. A request more than that only where its answer was lost, and then it had no effect."""
    assert Counter(stage.done) == Counter(stage.scene.effects)
    # "Out of sequence" is the engine's own guard: a node's version also grows with its certificate.
    refused = [w for w in stage.writes if w.status >= 300 and b"out of sequence" not in w.told]
    assert len(refused) <= lost_answers(point), stage.writes


def check_journal(stage: Stage, record: RunRecord) -> None:
    """The journal tells it all: every line is whole, every step finished, the run done."""
    assert lines(stage.journal.path(RUN))[-1]["kind"] == "end"
    assert record.outcome == "done"
    assert list(record.steps) == [step.id for step in plan_of(stage.scene).steps]
    assert {step.state for step in record.steps.values()} <= {str(state) for state in FINISHED} - {"skipped"}


async def check_state(stage: Stage, start: State) -> None:
    """The end is the one that was written down by hand, as the stock SDK sees it."""
    scene, expected, now = stage.scene, start.after(stage.scene), await stage.state()
    # At once, since the run says it is proved:
    assert now.told(scene) == expected.told(scene)
    assert [now.tasks[name] for name in scene.emptied] == [0 for _ in scene.emptied]
    # In the end, after heartbeats and elections:
    await stage.settled(expected)


@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_undisturbed(scene: Scene, stage: PutOn) -> None:
    """What the others are measured by: it ends as written down, and every step has something to do."""
    async with stage(scene) as on:
        start = await on.state()
        outcome = await on.run()
        assert outcome.ok, outcome
        assert not [line for line in lines(on.journal.path(RUN)) if line["kind"] == "already"]
        on.thaw()
        check_effects(on, "intent")
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


async def kill(stage: Stage) -> None:
    raise Killed


async def cut(stage: Stage) -> None:
    stage.cut()


@pytest.mark.parametrize(("scene", "place", "point"), cases("kill"))
async def test_killed(scene: Scene, place: int, point: str, stage: PutOn, capsys: pytest.CaptureFixture[str]) -> None:
    steps = plan_of(scene).steps
    async with stage(scene) as on:
        start = await on.state()
        with pytest.raises(Killed):
            await on.run(Fault(place, point, kill))
        record = on.journal.read(RUN)
        assert record.outcome == ""
        assert list(record.steps) == [step.id for step in steps[:place]]
        assert record.steps[steps[place - 1].id].state == "intended"
        assert await on.resume() == 0, capsys.readouterr()
        assert capsys.readouterr().out.endswith("Done and verified.\n")
        check_effects(on, point)
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


@pytest.mark.parametrize(("scene", "place", "point"), cases("cut"))
async def test_cut_off(scene: Scene, place: int, point: str, stage: PutOn) -> None:
    async with stage(scene) as on:
        start = await on.state()
        outcome = await on.run(Fault(place, point, cut))
        assert on.struck, "the run never came to that point"
        assert outcome.ok, outcome
        check_effects(on, point)
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)
