"""The unlock key, the tokens and the root CA: the program killed, and the connection cut, at every point of each step.

What must be so in the end: asked for once, and the vault has the key that the cluster has. Nothing in between may lose
a key: the journal never holds one, so a resume has to take it from the cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from swarmtui import session as sessions
from swarmtui.demo.world.world import World
from swarmtui.runbooks import registry
from swarmtui.runbooks.runner import Event
from swarmtui.runbooks.swarm import cluster_steps, unlock_steps
from swarmtui.runbooks.swarm.unlock_steps import UnlockNode
from swarmtui.vault import KeyState, Secret, Vault
from swarmtui.vault.keeper import Keeper
from tests.faults import stage as stages
from tests.faults.checks import check_effects, check_journal
from tests.faults.faulty import POINTS, Fault, Killed
from tests.faults.scenes import Scene, plan_of, steps_of
from tests.faults.stage import RUN, PutOn, Stage
from tests.runbooks.locked import Durable, Locked, locked_swarm

UPDATE = "POST /swarm/update"


def autolocked(world: World) -> None:
    """Somebody turned autolock on with the docker CLI: the vault knows nothing of it."""
    cluster = world.clusters[0]
    spec = {**cluster.spec, "EncryptionConfig": {"AutoLockManagers": True}}
    world.control(cluster).update_cluster(cluster.version, spec, {})


def scene(name: str, runbook: str, given: dict[str, str], writes: int = 1, locked: bool = False) -> Scene:
    before = autolocked if locked else lambda world: None
    return Scene(name, runbook, given, {}, (UPDATE,) * writes, before=before)


ON = scene("lock", "swarm.autolock", {"enable": "true"})
KEPT = scene("keep", "swarm.autolock", {"enable": "true"}, 0, locked=True)
ROTATE = scene("rotate", "swarm.rotate-key", {}, locked=True)
OFF = scene("unlocked-for-good", "swarm.autolock", {"enable": "false"}, locked=True)
TOKENS = scene("tokens", "swarm.rotate-tokens", {"role": "both"}, 2)
CA = scene("ca", "swarm.rotate-ca", {})
SCENES = (ON, KEPT, ROTATE, OFF, TOKENS, CA)


@pytest.fixture(autouse=True)
def keyring(monkeypatch: pytest.MonkeyPatch) -> Durable:
    """A keyring that outlives the program, as far as a test can let a program die."""
    store = Durable()
    monkeypatch.setattr(sessions, "shared", lambda: Vault(Keeper(lambda: store)))
    monkeypatch.setattr(cluster_steps, "POLL_SECONDS", 0.04)
    monkeypatch.setattr(unlock_steps, "POLL_SECONDS", 0.04)
    monkeypatch.setattr(stages, "_WAITS", re.compile(r"^/(tasks$|nodes/.|nodes$)"))
    return store


def vault(store: Durable) -> Vault:
    return Vault(Keeper(lambda: store))


async def check(on: Stage, point: str, store: Durable) -> None:
    """The vault has what the cluster has, and nothing was asked for twice."""
    check_effects(on, point)
    check_journal(on, on.journal.read(RUN))
    cluster = on.demo.world.clusters[0]
    keys = [(key.state, key.secret.reveal()) for key in await vault(store).unlock_keys(cluster.id)]
    wanted: dict[Scene, list[KeyState]] = {ON: ["current"], KEPT: ["current"], ROTATE: ["current", "previous"]}
    assert [state for state, _ in keys] == wanted.get(on.scene, [])
    assert [key for state, key in keys if state == "current"] == ([cluster.unlock_key] if keys else [])
    assert cluster.unlock_key == "" or on.scene in wanted
    assert not cluster.rotating
    told = on.journal.path(RUN).read_text()
    for secret in (*(key for _, key in keys), cluster.worker_token, cluster.manager_token, "SWMKEY", "SWMTKN"):
        assert secret not in told


def cases(kind: str) -> Iterator[Any]:
    for each in SCENES:
        for place, (name, _) in enumerate(steps_of(each), 1):
            # A step that only looks asks for nothing that could stay without an answer.
            asks = kind == "cut" and not name.endswith("-keep")
            for point in (*POINTS, "asked") if asks else POINTS:
                yield pytest.param(each, place, point, id=f"{each}/{name}/{point}/{kind}")


@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_undisturbed(scene: Scene, stage: PutOn, keyring: Durable) -> None:
    async with stage(scene) as on:
        outcome = await on.run()
        assert outcome.ok, outcome
        await check(on, "intent", keyring)


async def kill(stage: Stage) -> None:
    raise Killed


async def cut(stage: Stage) -> None:
    stage.cut()


@pytest.mark.parametrize(("scene", "place", "point"), cases("kill"))
async def test_killed(
    scene: Scene, place: int, point: str, stage: PutOn, keyring: Durable, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(scene) as on:
        with pytest.raises(Killed):
            await on.run(Fault(place, point, kill))
            raise Killed  # a step that only looks has no middle: it ended, and there is nothing to resume
        if on.journal.read(RUN).outcome == "":
            assert await on.resume() == 0, capsys.readouterr()
            told = capsys.readouterr()
            assert told.out.endswith("Done and verified.\n")
            assert "SWM" not in told.out + told.err
        else:
            on.thaw()
        await check(on, point, keyring)


@pytest.mark.parametrize(("scene", "place", "point"), cases("cut"))
async def test_cut_off(scene: Scene, place: int, point: str, stage: PutOn, keyring: Durable) -> None:
    async with stage(scene) as on:
        outcome = await on.run(Fault(place, point, cut))
        assert outcome.ok, outcome
        await check(on, point, keyring)


@pytest.mark.parametrize("lost", ["store_unlock_key", "mark_current"])
async def test_killed_between_the_rotation_and_the_vault(
    lost: str, stage: PutOn, keyring: Durable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster has a new key, and the program dies before the vault has it, or before it counts there."""
    async with stage(ROTATE) as on:
        cluster = on.demo.world.clusters[0]
        old = cluster.unlock_key
        original = getattr(Vault, lost)

        async def die(self: Vault, *arguments: Any, **more: Any) -> bool:
            if cluster.unlock_key != old:
                raise Killed
            return bool(await original(self, *arguments, **more))

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Vault, lost, die)
            await on.run()
        assert cluster.unlock_key != old
        assert [key.secret for key in await vault(keyring).unlock_keys(cluster.id) if key.state == "current"] == [
            Secret(old)
        ], "until the new one is proved, the old one stays what it was"
        assert await on.resume() == 0, capsys.readouterr()
        await check(on, "intent", keyring)


class TestUnlocking:
    """Every manager restarted at once; the program dies at each point of unlocking them."""

    @pytest.mark.parametrize("point", POINTS)
    @pytest.mark.parametrize("place", [0, 2])
    async def test_killed(self, place: int, point: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        async with locked_swarm(tmp_path) as on:
            async with on.session() as session:
                await on.do(session, "swarm.autolock", enable="true")
            on.restart("mgr1", "mgr2", "mgr3")
            await self._die(on, place, point, monkeypatch)
            assert on.locked() == ["mgr1", "mgr2", "mgr3"][place + (point != "intent") :]
            newest = on.journal.read(on.journal.ids()[0])
            assert newest.outcome == ""
            async with on.session() as session:
                plan = registry.runbook("swarm.unlock").plan(newest.params, newest.facts)
                from swarmtui.runbooks.runner import Runner

                with on.journal.writer(newest.id) as writer:
                    outcome = await Runner(session, plan, writer, record=newest).run()
                assert outcome.ok, outcome
                await session.until_live(20)
            assert on.locked() == []
            assert "SWMKEY" not in on.written

    async def _die(self, on: Locked, place: int, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
        async with on.session() as session:
            plan = await on.plan(session, "swarm.unlock")
            step = plan.steps[place]

            def die(event: Event) -> None:
                if event.step == step.id and event.point == {"intent": "intent", "unrecorded": "effect"}.get(point):
                    raise Killed

            with monkeypatch.context() as patch, pytest.raises(Killed):
                if point == "effect":
                    _die_once_done(patch, step)
                await on.run(session, plan, watch=die)


def _die_once_done(patch: pytest.MonkeyPatch, step: Any) -> None:
    """Dies when the engine has done what it was asked for, and nobody has heard of it yet."""
    kind, name = (UnlockNode, "_try") if isinstance(step, UnlockNode) else (type(step), "_missing")
    original = getattr(kind, name)

    async def die(self: Any, *arguments: Any) -> Any:
        answer = await original(self, *arguments)
        if self.id == step.id:
            raise Killed
        return answer

    patch.setattr(kind, name, die)


def test_no_runbook_on_keys_is_left_out() -> None:
    mine = {"swarm.autolock", "swarm.rotate-key", "swarm.rotate-tokens", "swarm.rotate-ca"}
    assert {each.runbook for each in SCENES} == mine
    assert all(plan_of(each).steps for each in SCENES)
