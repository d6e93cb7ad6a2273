"""A command of DTR's image that is gone on with: what proves that it ended well, and when it may run once more."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from swarmtui.link.jobs import JobState, Note
from swarmtui.model.dtr.seen import Held, Told
from swarmtui.runbooks.dtr import new_replica, running
from swarmtui.runbooks.dtr.found import DtrAccess
from swarmtui.runbooks.dtr.join import JoinReplica
from swarmtui.runbooks.image.job import ImageJob, Result
from swarmtui.runbooks.runbook import ConflictError, StepError, Voice
from tests.dtr.plans import replica
from tests.dtr.seen import held
from tests.dtr.test_install_plans import NEW
from tests.dtr.test_join_plans import known, plan

SESSION: Any = None
VOICE = Voice(lambda line: None, lambda done, total, text: None)
KILLED = JobState(there=True, notes=(Note(1.0, 1.0, "running"),))
ENDED = JobState(there=True, notes=(*KILLED.notes, Note(2.0, 2.0, "ended", "0"), Note(3.0, 3.0, "done", "0")))
STOPPED = {"api": "Exited (1) 2 minutes ago"}


class Began(Exception):
    """The command was begun anew."""


class Stage:
    """A node, a job, and DTR, as a step sees them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, state: JobState, lies: Held) -> None:
        self.state, self.lies, self.ping, self.done = state, lies, False, ["f2277ad178f7", "f3712d9c419a"]
        self.health = "OK"
        monkeypatch.setattr(running, "SETTLE_SECONDS", 0.0)
        monkeypatch.setattr(running, "access", self.access)
        monkeypatch.setattr(running, "phase_2_over", self.nothing)
        monkeypatch.setattr(running, "secrets_of", self.begin)
        monkeypatch.setattr(new_replica, "look", self.look)
        monkeypatch.setattr(JoinReplica, "_ping", self.pings)
        monkeypatch.setattr(ImageJob, "state", self.job)
        monkeypatch.setattr(ImageJob, "result", self.result)
        monkeypatch.setattr(ImageJob, "over", self.over)

    async def access(self, *_: object, **how: object) -> DtrAccess:
        members = tuple(replica(number, health=self.health if number == 2 else "OK") for number in (1, 2))
        return DtrAccess(cluster="prod", cluster_id="c", replicas=members, told=Told())

    async def nothing(self, *_: object) -> None: ...

    async def begin(self, *_: object) -> dict[str, Any]:
        raise Began

    async def look(self, *_: object) -> Held:
        return self.lies

    async def pings(self, *_: object) -> bool:
        return self.ping

    async def job(self, *_: object) -> JobState:
        return self.state

    async def result(self, *_: object) -> Result:
        return Result(0, ())

    async def over(self, *_: object) -> None:
        self.state = JobState(there=False)


def join() -> JoinReplica:
    members = tuple(replica(number) for number in (1, 2))
    step = next(step for step in plan(replace(known(), members=members)).steps if step.id == "join")
    assert isinstance(step, JoinReplica)
    return step


async def test_a_command_that_ended_well_is_proved_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its replica runs, and is not well yet: for that there is a step of its own, which grants much longer."""
    stage = Stage(monkeypatch, ENDED, held(NEW))
    await join().run(SESSION, {}, VOICE)
    await join().verify(SESSION, {}, VOICE)
    assert stage.state.done, "the proof stays until all is over"
    stage.state = JobState(there=False)
    with pytest.raises(Began):
        await join().run(SESSION, {}, VOICE)


async def test_what_a_command_made_that_ended_well_is_not_made_again_while_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, ENDED, held(NEW, told=STOPPED))
    with pytest.raises(StepError) as caught:
        await join().run(SESSION, {}, VOICE)
    assert "ended well, and not all runs of what it made" in caught.value.what
    assert "docker logs" in caught.value.next_step and stage.state.done
    assert "not all of it runs" in await join().left(SESSION) and "Take that off" not in await join().left(SESSION)
    stage.lies = Held()
    with pytest.raises(Began):
        await join().run(SESSION, {}, VOICE)


@pytest.mark.parametrize("state", [JobState(there=False), KILLED], ids=["first", "killed"])
async def test_nothing_joins_a_dtr_that_is_ill_meanwhile(state: JobState, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, state, Held())
    stage.health = "the disk is full"
    with pytest.raises(ConflictError, match="Not healthy any more: f3712d9c419a"):
        await join().run(SESSION, {}, VOICE)
    stage.health, stage.state = "OK", state
    with pytest.raises(Began):
        await join().run(SESSION, {}, VOICE)
