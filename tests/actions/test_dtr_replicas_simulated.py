"""Replicas of DTR lost, removed, destroyed and repaired on the simulated hosts, and its storage set (T2, T6, T8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from swarmtui.demo.serve import Demo
from swarmtui.link.dtr import memory
from swarmtui.runbooks.dtr import running
from swarmtui.runbooks.dtr.access import access, folder
from swarmtui.runbooks.dtr.commanding import work_of
from swarmtui.runbooks.dtr.remove import Remove, RemoveFacts
from swarmtui.runbooks.dtr.repair import Repair, RepairFacts
from swarmtui.runbooks.image import job as image_job
from swarmtui.runbooks.platform.dtr_look import look_at_dtr
from swarmtui.runbooks.runbook import ConflictError, Plan, Step, Voice
from swarmtui.vault import Kind, Secret
from tests.faults import ucp_stage as stage
from tests.platform.stage import lose
from tests.ucp.test_opened import looking

ONE, TWO, THREE = "47f20fb864cf", "a6a628053157", "daa7b23c3a61"
KEY = "planted-secretkey-4711"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(running, "SETTLE_SECONDS", 5.0)


class Dtr:
    """What is done with the simulated DTR, and what the simulator itself knows of it."""

    def __init__(self, demo: Demo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stage.secrets(demo, folder / "credentials", monkeypatch)
        self.demo, self.folder = demo, folder
        self.told: list[str] = []
        self._number = 0

    async def run(self, name: str, **given: str) -> str:
        """Runs a runbook, whatever rules it breaks; returns what went wrong, "" for nothing."""
        self._number += 1
        run_id = f"20261122T041003Z-dtr-{self._number:04d}"
        outcome = await stage.run(self.demo, self.folder, run_id, name, "", None, told=self.told, **given)
        assert outcome is not None
        return "" if outcome.error is None else f"{outcome.step}: {outcome.error.what} {outcome.error.next_step}"

    @property
    def members(self) -> dict[str, str]:
        """Replica → its host."""
        dtr = self.demo.world.dtr
        return {one.id: one.host for one in dtr.replicas.values()} if dtr is not None else {}

    @property
    def noted(self) -> dict[str, str]:
        """Whom DTR counts in, as this machine keeps it for when DTR does not tell."""
        (file,) = [one for one in folder().glob("*.json") if not one.name.startswith(".")]
        return dict(memory.noted(folder(), file.stem).nodes)

    @property
    def ill(self) -> list[str]:
        dtr = self.demo.world.dtr
        assert dtr is not None
        return [one.id for one in dtr.replicas.values() if dtr.ill(one)]

    def lies(self, host: str) -> set[str]:
        """Containers and volumes of DTR on a host."""
        there = self.demo.world.hosts[host]
        names = {one.name for one in there.containers.values()} | set(there.volumes)
        return {name for name in names if name.startswith(("dtr-", "swarmtui-dtr"))}

    async def until(self, is_so: Callable[[], bool]) -> None:
        for _ in range(600):
            if is_so():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it did not come to that")

    def crash(self, *hosts: str) -> None:
        for name in hosts:
            self.demo.world.crash(self.demo.world.hosts[name])


async def test_a_lost_replica_is_removed_and_what_comes_back_with_its_host_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        dtr = Dtr(demo, tmp_path, monkeypatch)
        demo.world.dtr_behind = {"dtr1", "dtr2", "dtr3"}
        dtr.crash("dtr2")
        assert not await dtr.run("dtr.remove", replica=TWO)
        assert dtr.members == {ONE: "dtr1", THREE: "dtr3"} and not dtr.ill
        assert any(f"DTR counts {TWO} in no more." in line for line in dtr.told)
        assert any("out of the load balancer" in line for line in dtr.told)
        assert set(dtr.noted) == {ONE, THREE}, "what left is counted no more when a majority is asked for"
        assert not [line for line in dtr.told if demo.platform["admin"]["password"] in line]

        demo.world.boot(demo.world.hosts["dtr2"])
        await dtr.until(lambda: demo.world.hosts["dtr2"].running)
        assert len(dtr.lies("dtr2")) > 9
        assert not await dtr.run("dtr.destroy", replica=TWO)
        assert not dtr.lies("dtr2") and dtr.members == {ONE: "dtr1", THREE: "dtr3"} and not dtr.ill
        assert not stage.left_on_hosts(demo) and not dtr.lies("mgr1")

        # Volumes alone: there is nothing that the image's command could find.
        for name in (f"dtr-rethink-{TWO}", f"dtr-registry-{TWO}"):
            alike = demo.world.hosts["dtr1"].volumes[f"dtr-rethink-{ONE}"]
            demo.world.hosts["dtr2"].volumes[name] = {**alike, "Name": name}
        assert not await dtr.run("dtr.destroy", replica=TWO)
        assert not dtr.lies("dtr2")


async def test_after_a_lost_majority_one_replica_becomes_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        dtr = Dtr(demo, tmp_path, monkeypatch)
        dtr.crash("dtr2", "dtr3")
        assert dtr.ill == [ONE, TWO, THREE]
        assert not await dtr.run("dtr.repair", replica="dtr1")
        assert dtr.members == {ONE: "dtr1"} and not dtr.ill
        assert any(f"DTR answers, and counts in {ONE} on dtr1 alone." in line for line in dtr.told)
        assert dtr.noted == {ONE: "dtr1"}, "what was given up is counted no more when a majority is asked for"
        assert not stage.left_on_hosts(demo)


async def test_hosts_that_were_rebuilt_are_counted_and_what_is_left_becomes_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They answer and have nothing of DTR: by what can be seen one replica of one would run, a majority of itself."""
    async with Demo("platform-3", speed=50, seed=1) as demo:
        dtr = Dtr(demo, tmp_path, monkeypatch)
        async with looking(demo, tmp_path / "look") as session:
            password = Secret(demo.platform["admin"]["password"])
            await session.vault.put(Kind.UCP_PASSWORD, session.snapshot.cluster_id, password, name="simulated")
            assert (await look_at_dtr(session)).well
            for name in ("dtr2", "dtr3"):
                lose(demo, name, "dtr")
            found = await look_at_dtr(session)
            assert (found.lost, found.majority, found.repair) == (True, False, ONE)
            assert "of 3 replicas 1 are up" in found.told
            counted = (await access(session)).counted()
            assert (counted.away, counted.lost) == ({}, {TWO: "dtr2", THREE: "dtr3"})
        assert not await dtr.run("dtr.repair", replica="dtr1")
        assert dtr.members == {ONE: "dtr1"} and not dtr.ill and dtr.noted == {ONE: "dtr1"}


async def test_what_changed_since_the_plan_was_made_is_left_as_it_is(tmp_path: Path) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo, looking(demo, tmp_path) as session:
        dtr = demo.world.dtr
        assert dtr is not None
        password = Secret(demo.platform["admin"]["password"])
        await session.vault.put(Kind.UCP_PASSWORD, session.snapshot.cluster_id, password, name="simulated")
        known = await access(session)
        kept, *others = known.replicas
        found: dict[str, Any] = {
            "cluster": "simulated",
            "cluster_id": known.cluster_id,
            "work": await work_of(session, known, {}),
        }

        # A majority was away when it was planned, and came back.
        away = {one.id: one.node for one in others}
        facts: RepairFacts | RemoveFacts = RepairFacts(
            **found, wanted=kept, others=(), away=away, sure=True, trouble="it says 503."
        )
        plan = Repair().plan({"replica": kept.id}, msgspec.to_builtins(facts))
        with pytest.raises(ConflictError, match="DTR answers again, and counts in"):
            await _step(plan, "repair").run(session, {}, Voice(print, print))

        # The same where its API cannot be asked: its databases run.
        await session.vault.put(Kind.UCP_PASSWORD, session.snapshot.cluster_id, Secret("outdated"), name="simulated")
        with pytest.raises(ConflictError, match=r"The database runs on .* now, which is a majority"):
            await _step(plan, "repair").run(session, {}, Voice(print, print))
        await session.vault.put(Kind.UCP_PASSWORD, session.snapshot.cluster_id, password, name="simulated")

        # All others were well, and one is not any more.
        facts = RemoveFacts(**found, wanted=(others[0],), others=(kept, others[1]))
        plan = Remove().plan({"replica": (others[0].id,)}, msgspec.to_builtins(facts))
        dtr.replicas[others[1].id].sick = "the disk is full"
        with pytest.raises(ConflictError, match=f"Not healthy any more: {others[1].id}"):
            await _step(plan, "remove").run(session, {}, Voice(print, print))
        assert sorted(dtr.replicas) == [ONE, TWO, THREE] and not dtr.strays


def _step(plan: Plan, step_id: str) -> Step:
    return next(one for one in plan.steps if one.id == step_id)


async def test_images_get_another_place_and_keys_are_told_to_dtr_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        dtr = Dtr(demo, tmp_path, monkeypatch)
        assert demo.world.dtr is not None
        assert not await dtr.run("dtr.storage", to="nfs://nas2.shop.example/dtr")
        assert demo.world.dtr.storage == "nfs://nas2.shop.example/dtr"
        monkeypatch.setenv("S3_ID", "AKIA-4711")
        monkeypatch.setenv("S3_KEY", KEY)
        keys = {"accesskey-from": "env:S3_ID", "secretkey-from": "env:S3_KEY"}
        assert not await dtr.run("dtr.storage", to="s3", bucket="images", region="eu-west-1", **keys)
        assert "images" in demo.world.dtr.storage and demo.world.dtr.storage.startswith("s3")
        assert not [line for line in dtr.told if KEY in line or "AKIA-4711" in line]
        written = [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
        assert not written
