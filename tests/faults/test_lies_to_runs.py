"""Servers that lie to a run: nothing is believed to be done that is not, and nothing is done on false grounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from swarmtui.demo.hosts.shell import Output
from swarmtui.errors import SwarmtuiError
from swarmtui.runbooks.node_steps import MoveConnection
from swarmtui.runbooks.node_waits import WaitStep
from swarmtui.runbooks.runbook import StepError
from tests.faults.checks import check_done, check_journal, check_state, check_words
from tests.faults.faulty import Fault
from tests.faults.lies import FEW, lying, saying, says_yes, truth
from tests.faults.scenes import SCENES, Scene, plan_of, steps_of, unlabelled
from tests.faults.stage import RUN, PutOn, Stage, lines

DRAIN = next(scene for scene in SCENES if scene.name == "drain")
BARE = Scene("bare", "node.pause", {"node": "wrk4"}, {}, (), before=unlabelled)
NODE = r"/nodes/\w+"
WHERE = {
    "before": (1, "intent", NODE),
    "verifying": (1, "unrecorded", NODE),
    "waiting": (2, "effect", "/tasks"),
}
"""Where a run is lied to: at which step, from which point on, and to which question."""


def writing_steps() -> Iterator[Any]:
    for scene in SCENES:
        for place, (name, step) in enumerate(steps_of(scene), 1):
            if not isinstance(step, WaitStep | MoveConnection):
                yield pytest.param(scene, place, id=f"{scene}/{name}")


@pytest.mark.parametrize(("scene", "place"), writing_steps())
async def test_a_yes_without_the_deed_is_not_believed(
    scene: Scene, place: int, stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step that ran but did not verify is a failed step; told the truth again, a resume finishes the run."""
    step = plan_of(scene).steps[place - 1]

    async def begin(on: Stage) -> None:
        on.lie = says_yes

    async with stage(scene) as on:
        start = await on.state()
        outcome = await on.run(Fault(place, "intent", begin))
        assert (outcome.result, outcome.step) == ("failed", step.id)
        assert isinstance(outcome.error, StepError)
        check_words(str(outcome.error))
        kinds = [line["kind"] for line in lines(on.journal.path(RUN)) if line.get("step") == step.id]
        assert kinds == ["intent", "effect", "failed"]
        on.lie = truth
        assert await on.resume() == 0, capsys.readouterr()
        check_done(on)
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("lie", FEW)
async def test_a_run_that_is_lied_to_fails_plainly(
    lie: str, where: str, stage: PutOn, capsys: pytest.CaptureFixture[str]
) -> None:
    place, point, path = WHERE[where]

    async def begin(on: Stage) -> None:
        on.lie = lying(path, lie)

    async with stage(DRAIN) as on:
        on.patience = 1.0
        start = await on.state()
        outcome = await on.run(Fault(place, point, begin))
        assert outcome.result == "failed" and isinstance(outcome.error, SwarmtuiError)
        check_words(str(outcome.error))
        on.lie = truth
        assert await on.resume() == 0, capsys.readouterr()
        check_done(on)
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


@pytest.mark.parametrize("body", [b"{}", b'{"ID":"x"}', b'{"ID":"x","Spec":null}', b'{"Spec":{"Role":"worker"}}'])
async def test_a_node_that_is_not_told_is_not_changed(body: bytes, stage: PutOn) -> None:
    """A worker that is active and has no labels: what is missing in an answer must not pass for just that."""

    async def begin(on: Stage) -> None:
        on.lie = saying(NODE, body)

    async with stage(BARE) as on:
        outcome = await on.run(Fault(1, "intent", begin))
        assert outcome.result == "failed" and isinstance(outcome.error, SwarmtuiError)
        check_words(str(outcome.error))
        assert not on.writes


async def test_a_host_that_says_it_left_and_did_not(stage: PutOn, capsys: pytest.CaptureFixture[str]) -> None:
    """`docker swarm leave` ends with 0, in words that want something of the terminal; the engine's own word counts."""
    scene = next(scene for scene in SCENES if scene.name == "remove-worker")

    async def begin(on: Stage) -> None:
        on.commands["docker swarm leave"] = Output("Node left the swarm.\x1b[2J\n")

    async with stage(scene) as on:
        start = await on.state()
        outcome = await on.run(Fault(4, "intent", begin))
        assert outcome.result == "failed" and isinstance(outcome.error, StepError)
        assert "says its Swarm state is active, not inactive" in outcome.error.what
        for event in on.events:
            assert "\x1b" not in event.text
        on.commands.clear()
        assert await on.resume() == 0, capsys.readouterr()
        await check_state(on, start)


@pytest.mark.parametrize(
    ("err", "code"),
    [("Error response from daemon: \x1b[2J\u202ebroken\x00\n", 1), ("", 127), ("a\nb\nc\n" * 400, 1)],
    ids=["hostile", "silent", "long"],
)
async def test_a_host_command_that_fails_is_told_in_one_sentence(err: str, code: int, stage: PutOn) -> None:
    scene = next(scene for scene in SCENES if scene.name == "remove-worker")

    async def begin(on: Stage) -> None:
        on.commands["docker swarm leave"] = Output(err=err, code=code)

    async with stage(scene) as on:
        outcome = await on.run(Fault(4, "intent", begin))
        assert outcome.result == "failed" and isinstance(outcome.error, StepError)
        check_words(str(outcome.error))
        assert len(str(outcome.error)) < 700
        assert on.done == ["update wrk1"]
