"""node.rejoin and node.replace on the simulated Swarm: killed and cut off at every step, then gone on with.

The steps of each scene are written down by hand: a step that comes or goes must come or go here too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarmtui import session
from swarmtui.contact import line
from swarmtui.demo.world.world import World
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.swarm import unlock_steps
from swarmtui.runbooks.swarm.rejoining import rejoin_join, rejoin_steps
from tests.faults import stage as stages
from tests.faults.faulty import POINTS, Fault, Killed
from tests.faults.scenes import Scene, update
from tests.faults.stage import RUN, SETTLED_SECONDS, Stage, lines, staged
from tests.runbooks.locked import locked_swarm

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:coroutine 'SSHConnection:RuntimeWarning"),
]

SPEED = 200.0
MANAGER = {"Role": "manager", "Member": True, "State": "ready"}


def stopped(world: World) -> None:
    world.stop_docker(world.hosts["mgr3"])


def wiped(world: World) -> None:
    """Its state is gone, and the entry had something worth keeping."""
    update(world, "mgr3", Labels={"zone": "c"}, Availability="drain")
    world.stop_docker(world.hosts["mgr3"])
    world.hosts["mgr3"].swarm = None
    world.start_docker(world.hosts["mgr3"])


def dead(world: World) -> None:
    update(world, "mgr3", Labels={"zone": "c"})
    world.crash(world.hosts["mgr3"])


def dead_and_a_spare(world: World) -> None:
    dead(world)
    world.add_host("new1", "10.0.1.31")


@dataclass(frozen=True, eq=False)
class Trouble(Scene):
    """A scene whose steps are written down.

    Attributes:
        steps: what each step's id begins with.
        gone: the host whose node gets another id, or none any more.
    """

    steps: tuple[str, ...] = ()
    gone: str = ""

    def __str__(self) -> str:
        return self.name


AWAY = ("demote", "left-raft", "down", "remove")
SCENES = (
    Trouble(
        "restart", "node.rejoin", {"node": "mgr3"}, {"mgr3": MANAGER}, (), before=stopped, steps=("restart", "back")
    ),
    Trouble(
        "reboot", "node.rejoin", {"node": "mgr3", "rung": "reboot"}, {"mgr3": MANAGER}, (), steps=("reboot", "back")
    ),
    Trouble(
        "rejoin", "node.rejoin", {"node": "mgr3"},
        {"mgr3": {**MANAGER, "Labels": {"zone": "c"}, "Availability": "drain"}},
        ("update mgr3", "delete mgr3", "POST /swarm/join", "update mgr3"),
        before=wiped, steps=(*AWAY, "join", "restore", "in"), gone="mgr3",
    ),
    Trouble(
        "rejoin-live", "node.rejoin", {"node": "mgr3", "rung": "rejoin"}, {"mgr3": MANAGER},
        ("update mgr3", "leave mgr3", "delete mgr3", "POST /swarm/join"),
        steps=("demote", "left-raft", "leave", "down", "remove", "join", "in"), gone="mgr3",
    ),
    Trouble(
        "replace-by-worker", "node.replace", {"dead": "mgr3", "promote": "wrk4"}, {"mgr3": None, "wrk4": MANAGER},
        ("update mgr3", "delete mgr3", "update wrk4"), before=dead, steps=(*AWAY, "promote", "reachable"), gone="mgr3",
    ),
    Trouble(
        "replace-by-host", "node.replace", {"dead": "mgr3", "host": "ssh://new1"},
        {"mgr3": None, "new1": {**MANAGER, "Labels": {"zone": "c"}, "Availability": "active"}},
        ("update mgr3", "delete mgr3", "POST /swarm/join", "update new1"),
        before=dead_and_a_spare, steps=(*AWAY, "join", "restore", "in"), gone="mgr3",
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.03)
    for module in (rejoin_steps, rejoin_join):
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0.03)
    monkeypatch.setattr(rejoin_steps, "LOOK_AGAIN_SECONDS", 0.2)
    monkeypatch.setattr(line, "BACK_OFF_SECONDS", (0.05, 0.1, 0.2))


@asynccontextmanager
async def on_stage(scene: Trouble, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with staged(scene, monkeypatch, SPEED) as stage:
        prepare = stage.prepare

        async def checked(opened: session.Session) -> Any:
            plan = await prepare(opened)
            assert [step.id.rpartition("-")[0] for step in plan.steps] == list(scene.steps)
            ids = SimpleNamespace(steps=plan.steps)
            monkeypatch.setattr(stages, "plan_of", lambda _: ids)
            return plan

        monkeypatch.setattr(stage, "prepare", checked)
        stage.thaw()
        yield stage


async def ids(stage: Stage) -> list[tuple[str, str]]:
    """Hostname and id of every entry: a name that two entries have stands there twice."""
    found = await stage.other_operator(
        lambda client: sorted((node["Description"]["Hostname"], node["ID"]) for node in client.nodes())
    )
    return list(found)


async def check_end(stage: Stage, scene: Trouble, before: list[tuple[str, str]]) -> None:
    """As it was written down, once, and nothing done twice."""
    assert Counter(stage.done) == Counter(scene.effects)
    end = asyncio.get_running_loop().time() + SETTLED_SECONDS
    while True:
        nodes = (await stage.state()).nodes
        wrong = {
            name: nodes.get(name)
            for name, wanted in scene.nodes.items()
            if (wanted is None) != (name not in nodes) or (wanted and not wanted.items() <= nodes[name].items())
        }
        if not wrong:
            break
        assert asyncio.get_running_loop().time() < end, wrong
        await asyncio.sleep(0.05)
    now = await ids(stage)
    assert len({name for name, _ in now}) == len(now), f"duplicates: {now}"
    old = dict(before)
    assert {name for name, node_id in now if old.get(name) not in ("", None, node_id)} == (
        {scene.gone} if scene.nodes.get(scene.gone) else set()
    )
    journal = stage.journal.read(RUN)
    assert journal.outcome == "done"
    assert "SWMTKN" not in stage.journal.path(RUN).read_text()


@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_undisturbed(scene: Trouble, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_stage(scene, monkeypatch) as stage:
        before = await ids(stage)
        outcome = await stage.run()
        assert outcome.ok, outcome
        await check_end(stage, scene, before)


def cases() -> Iterator[Any]:
    for scene in SCENES:
        for place, step in enumerate(scene.steps, 1):
            for point in POINTS:
                yield pytest.param(scene, place, point, id=f"{scene}/step{place}-{step}/{point}")


async def kill(stage: Stage) -> None:
    raise Killed


async def cut(stage: Stage) -> None:
    stage.cut()


@pytest.mark.parametrize(("scene", "place", "point"), cases())
async def test_killed(
    scene: Trouble, place: int, point: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_stage(scene, monkeypatch) as stage:
        before = await ids(stage)
        try:
            outcome = await stage.run(Fault(place, point, kill))
        except Killed:
            assert stage.journal.read(RUN).outcome == ""
            assert await stage.resume() == 0, capsys.readouterr()
            assert capsys.readouterr().out.endswith("Done and verified.\n")
        else:
            # The step had nothing to do, or no middle: then there is nothing to go on with.
            assert outcome.ok and not stage.struck, outcome
        await check_end(stage, scene, before)


@pytest.mark.parametrize(("scene", "place", "point"), cases())
async def test_cut_off(scene: Trouble, place: int, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_stage(scene, monkeypatch) as stage:
        before = await ids(stage)
        outcome = await stage.run(Fault(place, point, cut))
        assert outcome.ok, (outcome, outcome.error)
        await check_end(stage, scene, before)


async def test_a_middle_of_every_effect_was_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the tests above: where a request changes something, they strike while it is held."""
    scene = next(scene for scene in SCENES if scene.name == "rejoin")
    for place, step in enumerate(scene.steps, 1):
        if step in ("demote", "remove", "join", "restore"):
            async with on_stage(scene, monkeypatch) as stage:
                with pytest.raises(Killed):
                    await stage.run(Fault(place, "effect", kill))
                assert stage.struck
                assert lines(stage.journal.path(RUN))[-1]["kind"] == "intent"


# -- autolock --------------------------------------------------------------------------------------------------------


async def test_unlocking_is_the_first_rung_and_part_of_every_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlock_steps, "POLL_SECONDS", 0.1)
    async with locked_swarm(tmp_path) as on, on.session() as session:
        await on.do(session, "swarm.autolock", enable="true")
        on.restart("mgr3")
        plan = await on.do(session, "node.rejoin", node="mgr3")
        assert [type(step).__name__ for step in plan.steps] == ["UnlockNode", "WaitBack"]
        assert on.locked() == []
        on.demo.world.stop_docker(on.demo.world.hosts["mgr3"])
        plan = await on.do(session, "node.rejoin", node="mgr3")
        assert [type(step).__name__ for step in plan.steps] == ["RestartDocker", "UnlockNode", "WaitBack"]
        assert on.locked() == []
        assert on.key not in on.written
