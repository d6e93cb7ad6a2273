"""Every step of every runbook on nodes: the program killed, and the connection cut, at every point of it.

Kill: nothing after that point is executed and no end is journalled; then `swarmtui run --resume` must finish.
Cut: every SSH connection ends at that point; the same run must go on by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from swarmtui.runbooks.node_steps import MoveConnection
from swarmtui.runbooks.node_waits import WaitStep
from tests.faults.checks import check_effects, check_journal, check_state
from tests.faults.faulty import POINTS, Fault, Killed
from tests.faults.scenes import SCENES, Scene, plan_of, steps_of
from tests.faults.stage import RUN, PutOn, Stage, lines


def cases(kind: str) -> Iterator[Any]:
    for scene in SCENES:
        for place, (name, step) in enumerate(steps_of(scene), 1):
            points: tuple[str, ...] = POINTS
            if kind == "cut" and not isinstance(step, WaitStep | MoveConnection):
                points = (*POINTS, "asked")
            for point in points:
                yield pytest.param(scene, place, point, id=f"{scene}/{name}/{point}/{kind}")


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
