"""Another operator, with the stock SDK, changes the same node at the same moment: nothing of theirs is overwritten."""

from __future__ import annotations

from typing import Any

import pytest
from docker import APIClient

from swarmtui.runbooks.runbook import ConflictError, StepError
from tests.faults.checks import check_effects, check_journal, check_state, check_words
from tests.faults.faulty import Fault
from tests.faults.scenes import SCENES
from tests.faults.stage import RUN, PutOn, Stage, lines

BY_NAME = {scene.name: scene for scene in SCENES}

THEIRS = (
    ("drain", "wrk1", {"Availability": "pause"}, "wrk1", "paused"),
    ("drain", "wrk1", {"Labels": {"zone": "a", "disk": "ssd", "theirs": "1"}}, "wrk1", "theirs=1"),
    ("label", "wrk4", {"Labels": {"zone": "a", "theirs": "1"}}, "wrk4", "theirs=1"),
    ("label", "wrk4", {"Availability": "drain"}, "wrk4", "drained"),
    ("promote", "wrk4", {"Availability": "pause"}, "wrk4", "paused"),
    ("demote-other", "mgr3", {"Labels": {"theirs": "1"}}, "mgr3", "theirs=1"),
    ("remove-worker", "wrk1", {"Availability": "pause"}, "wrk1", "paused"),
)
"""Scene, node, what somebody else makes of its Spec, and the words that must tell of it."""


def named(case: Any) -> str:
    return f"{case[0]}/{next(iter(case[2])).lower()}"


def changes(name: str, change: dict[str, Any]) -> Any:
    """What an operator's own script does."""

    def work(client: APIClient) -> None:
        (node,) = client.nodes(filters={"name": name})
        client.update_node(node["ID"], node["Version"]["Index"], {**node["Spec"], **change})

    return work


def spec_of(name: str) -> Any:
    def work(client: APIClient) -> Any:
        (node,) = client.nodes(filters={"name": name})
        return node["Spec"]

    return work


@pytest.mark.parametrize("point", ["intent", "door"])
@pytest.mark.parametrize("case", THEIRS, ids=named)
async def test_a_node_that_somebody_else_changed_is_left_alone(case: Any, point: str, stage: PutOn) -> None:
    """intent: changed before we look; door: changed between our look and our request, which is on its way already."""
    name, node, change, *words = case

    async def strike(on: Stage) -> None:
        await on.other_operator(changes(node, change))

    async with stage(BY_NAME[name]) as on:
        was = await on.other_operator(spec_of(node))
        outcome = await on.run(Fault(1, point, strike))
        assert on.struck and outcome.result == "failed"
        assert isinstance(outcome.error, ConflictError)
        check_words(str(outcome.error))
        for word in (*words, "Somebody else changed"):
            assert word in outcome.error.what
        assert await on.other_operator(spec_of(node)) == {**was, **change}
        assert on.done == [f"update {node}"]  # theirs
        assert lines(on.journal.path(RUN))[-2]["kind"] == "failed"


@pytest.mark.parametrize("name", ["drain", "label", "promote", "demote-other"])
async def test_a_newer_version_of_the_same_spec_is_no_conflict(name: str, stage: PutOn) -> None:
    """Versions also grow by heartbeats and certificates: our request is made again, once, with the new one."""
    scene = BY_NAME[name]
    (node,) = scene.nodes

    async def strike(on: Stage) -> None:
        await on.other_operator(changes(node, {}))

    async with stage(scene) as on:
        start = await on.state()
        outcome = await on.run(Fault(1, "door", strike))
        assert outcome.ok, outcome
        refused = [written for written in on.writes if written.status >= 300]
        assert [written.told for written in refused if b"out of sequence" in written.told]
        assert on.done == [f"update {node}", f"update {node}"]  # theirs and ours
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)


@pytest.mark.parametrize(
    ("name", "undo"),
    [
        ("drain", {"Availability": "active"}),
        ("label", {"Labels": {"zone": "a"}}),
    ],
)
async def test_a_change_taken_back_at_once_is_not_proved(name: str, undo: dict[str, Any], stage: PutOn) -> None:
    scene = BY_NAME[name]
    (node,) = scene.nodes

    async def strike(on: Stage) -> None:
        await on.other_operator(changes(node, undo))

    async with stage(scene) as on:
        was = await on.other_operator(spec_of(node))
        outcome = await on.run(Fault(1, "unrecorded", strike))
        assert outcome.result == "failed" and isinstance(outcome.error, StepError)
        assert "but is not" in outcome.error.what
        check_words(str(outcome.error))
        assert await on.other_operator(spec_of(node)) == {**was, **undo}
        assert len(on.done) == 2  # ours, theirs, and nothing after


async def test_a_node_that_somebody_else_removed_meanwhile(stage: PutOn, capsys: pytest.CaptureFixture[str]) -> None:
    """What we wanted is so: the run ends well, or says that it is gone and a resume finds it done."""
    scene = BY_NAME["remove-down"]

    async def strike(on: Stage) -> None:
        await on.other_operator(lambda client: client.remove_node(spec_id(client)))

    def spec_id(client: APIClient) -> str:
        return str(client.nodes(filters={"name": "wrk2"})[0]["ID"])

    async with stage(scene) as on:
        start = await on.state()
        outcome = await on.run(Fault(1, "door", strike))
        if not outcome.ok:
            check_words(str(outcome.error))
            assert await on.resume() == 0, capsys.readouterr()
        check_effects(on, "effect")
        check_journal(on, on.journal.read(RUN))
        await check_state(on, start)
