"""The manager in use dies in the middle of a step; or so many managers die that nothing can be changed for a while."""

from __future__ import annotations

import pytest

from swarmtui.runbooks import runner
from swarmtui.runbooks.runner import Outcome
from tests.faults.checks import check_done, check_journal, check_state, check_words
from tests.faults.faulty import Fault
from tests.faults.scenes import SCENES
from tests.faults.stage import RUN, PutOn, Stage, lines

SPEED = 200.0
"""Slower than the others: an election must take longer than a fail-over, as it does."""
BY_NAME = {scene.name: scene for scene in SCENES}

CRASHES = (
    ("drain", 1, "intent"),
    ("drain", 1, "effect"),
    ("drain", 1, "unrecorded"),
    ("drain", 2, "effect"),
    ("drain", 3, "effect"),
    ("promote", 1, "effect"),
    ("promote", 2, "effect"),
    ("remove-worker", 4, "effect"),
    ("remove-worker", 5, "effect"),
    ("remove-worker", 6, "asked"),
    ("remove-worker", 6, "effect"),
    ("label", 1, "effect"),
)
LOSSES = (
    ("drain", 1, "intent"),
    ("drain", 1, "effect"),
    ("drain", 2, "effect"),
    ("promote", 2, "effect"),
    ("remove-worker", 5, "effect"),
    ("remove-worker", 6, "intent"),
)


def named(case: tuple[str, int, str]) -> str:
    return f"{case[0]}/step{case[1]}/{case[2]}"


def check_failed(stage: Stage, outcome: Outcome) -> None:
    """It failed as a run may fail: in plain words, and the journal has them."""
    assert outcome.result == "failed" and outcome.error is not None
    check_words(str(outcome.error))
    *_, failed, end = lines(stage.journal.path(RUN))
    assert (failed["kind"], failed["detail"]) == ("failed", str(outcome.error))
    assert (end["kind"], end["outcome"]) == ("end", "failed")


@pytest.mark.parametrize("leader", ["mgr1", "mgr2"])
@pytest.mark.parametrize("case", CRASHES, ids=named)
async def test_the_manager_in_use_crashes(case: tuple[str, int, str], leader: str, stage: PutOn) -> None:
    """The run goes on by itself through another one, also where that costs an election (it was the leader, mgr1)."""
    name, place, point = case

    async def crash(on: Stage) -> None:
        await on.crash("mgr1", back_after=60.0)

    async with stage(BY_NAME[name], SPEED) as on:
        on.lead(leader)
        start = await on.state()
        outcome = await on.run(Fault(place, point, crash))
        assert on.struck
        assert outcome.ok, outcome
        check_done(on)
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


@pytest.mark.parametrize("case", LOSSES, ids=named)
async def test_quorum_is_lost_for_a_while(
    case: tuple[str, int, str], stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run waits, or fails in plain words; and a resume finishes it."""
    name, place, point = case

    async def lose(on: Stage) -> None:
        await on.crash("mgr2", "mgr3", back_after=60.0)

    async with stage(BY_NAME[name], SPEED) as on:
        start = await on.state()
        outcome = await on.run(Fault(place, point, lose))
        assert on.struck
        if not outcome.ok:
            check_failed(on, outcome)
            await on.whole()
            assert await on.resume() == 0, capsys.readouterr()
        await on.whole()
        check_done(on)
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


async def test_quorum_that_stays_lost_fails_plainly_each_time(
    stage: PutOn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "SETTLE_SECONDS", 1.0)

    async def lose(on: Stage) -> None:
        await on.crash("mgr2", "mgr3")

    async with stage(BY_NAME["drain"], SPEED) as on:
        start = await on.state()
        check_failed(on, await on.run(Fault(2, "effect", lose)))
        capsys.readouterr()
        assert await on.resume() in (1, 3)
        told = capsys.readouterr().err.splitlines()
        assert told[-1].endswith(f"swarmtui run --resume {RUN}")
        for line in told[:-1]:
            check_words(line)
        on.boot("mgr2", "mgr3")
        await on.whole()
        assert await on.resume() == 0, capsys.readouterr()
        check_done(on)
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)
