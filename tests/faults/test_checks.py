"""The checks of the other tests, each with a planted case that it must catch."""

from __future__ import annotations

from typing import Any

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.runbooks import registry
from swarmtui.runbooks.node_steps import UpdateNode
from tests.faults.checks import check_done, check_effects, check_words
from tests.faults.faulty import Fault, Killed
from tests.faults.lies import HOSTILE, OBEYED
from tests.faults.scenes import SCENES, SMALL
from tests.faults.stage import PutOn, Stage, Written
from tests.faults.state import State

DRAIN = next(scene for scene in SCENES if scene.name == "drain")


def stage_with(*writes: Written) -> Stage:
    return Stage(DRAIN, Demo(SMALL), list(writes))


ONCE = Written("update wrk1", 200)
REFUSED = Written("update wrk1", 500, b"no")
TOO_NEW = Written("update wrk1", 500, b"update out of sequence")


@pytest.mark.parametrize(
    ("writes", "point", "good"),
    [
        ((ONCE,), "intent", True),
        ((), "effect", False),
        ((ONCE, ONCE), "effect", False),
        ((ONCE, Written("delete wrk1", 200)), "effect", False),
        ((ONCE, REFUSED), "effect", True),
        ((ONCE, REFUSED), "intent", False),
        ((ONCE, REFUSED, REFUSED), "unrecorded", False),
        ((TOO_NEW, TOO_NEW, ONCE), "intent", True),
        ((Written("update wrk1", 0), ONCE), "asked", True),
    ],
)
def test_what_was_done_twice_or_never_is_caught(writes: tuple[Written, ...], point: str, good: bool) -> None:
    on = stage_with(*writes)
    if good:
        check_effects(on, point)
    else:
        with pytest.raises(AssertionError):
            check_effects(on, point)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KeyError: 'Spec'",
        "Traceback (most recent call last): it broke.",
        "The node None is gone.",
        "<swarmtui.session.Session object at 0x7f6c> is gone.",
        "Two\nlines.",
        "Broken \x1b[2J.",
        "Broken \u202eexe.",
        "msgspec.ValidationError(no).",
    ],
)
def test_words_that_are_for_no_person_are_caught(text: str) -> None:
    with pytest.raises(AssertionError):
        check_words(text)


def test_every_hostile_character_is_caught() -> None:
    wanted = {"\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\r", "\x00"}
    assert set(OBEYED.findall(HOSTILE)) == wanted
    assert not OBEYED.search("Ordinary text, with ü, tabs\tand\nlines.")


def test_a_state_that_is_not_the_one_written_down_is_told() -> None:
    node = {"Role": "worker", "Availability": "active", "Labels": {}, "State": "ready", "Member": False}
    start = State({"wrk1": node, "wrk2": node}, {"cache": 2, "agent": 7}, {})
    right = State({"wrk1": {**node, "Availability": "drain"}, "wrk2": node}, {"cache": 1, "agent": 6}, {})
    assert right.unlike(start.after(DRAIN)) == []
    assert len(start.unlike(start.after(DRAIN))) == 3
    assert State({"wrk2": node}, right.services, {}).unlike(start.after(DRAIN))[0].startswith("wrk1: None instead")


@pytest.mark.parametrize("point", ["effect", "unrecorded"])
async def test_a_step_that_repeats_itself_blindly_is_caught(
    point: str, stage: PutOn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runner that does not look before it repeats would do it twice; the count of the engine's requests tells."""

    async def never(*_: Any) -> str:
        return ""

    async def again(self: UpdateNode, session: Any, before: Any, voice: Any) -> None:
        node, _body = await session.node(self.node_id)
        spec = {"Role": "worker", "Availability": "drain", "Labels": dict(node.labels)}
        await session.post(f"/nodes/{self.node_id}/update", {"version": str(node.version.index)}, spec)

    async def kill(on: Stage) -> None:
        raise Killed

    async with stage(DRAIN) as on:
        monkeypatch.setattr(UpdateNode, "already_done", never)
        monkeypatch.setattr(UpdateNode, "run", again)
        with pytest.raises(Killed):
            await on.run(Fault(1, point, kill))
        assert await on.resume() == 0, capsys.readouterr()
        with pytest.raises(AssertionError):
            check_done(on)


async def test_a_point_that_is_never_reached_is_told(stage: PutOn) -> None:
    """A step without the middle that a test strikes at lets the run end, and the test sees that nothing happened."""

    async def kill(on: Stage) -> None:
        raise Killed

    async with stage(next(scene for scene in SCENES if scene.name == "demote-in-use")) as on:
        assert (await on.run(Fault(1, "asked", kill))).ok
        assert not on.struck


def test_no_runbook_on_nodes_is_left_out() -> None:
    """A new one needs a scene of its own: what it takes, and what is so afterwards, nobody can derive."""
    elsewhere = {"node.rejoin", "node.replace"}  # tests/runbooks/test_replace_faults.py
    assert {n for n in registry.RUNBOOKS if n.startswith("node.")} - elsewhere == {scene.runbook for scene in SCENES}
