"""dtr.remove, dtr.destroy and dtr.repair on the simulator, struck: by kill -9 of ours, a cut connection, reboots.

Gone on with, DTR has the replicas that it should have, all of them well, and nothing of the others is on any host.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.platform.dtr import found_on, stored_on
from swarmtui.demo.serve import Demo
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.image import job as image_job
from tests.faults import dtr_stage as d
from tests.faults import ucp_stage as u
from tests.faults.strikes import cases, swarmtui

RUN = "20261122T085003Z-faults-0031"
FIRST, SECOND, THIRD = "47f20fb864cf", "a6a628053157", "daa7b23c3a61"
REMOVING, DESTROYING = f"Removing replica {THIRD} from the cluster", "Stopping containers"
REPAIRING = f"Reverting to the single replica {FIRST}"
BY = d.on_two_hosts("dtr1")
REMOVES = [
    *cases(BY, ("remove", "clear-job"), [("kill", "remove/effect")]),
    *cases(BY, (REMOVING,), [("kill", REMOVING), ("reboot", REMOVING)], points=()),
]
DESTROYS = [
    *cases(BY, (f"destroy-{FIRST}", "clear-job"), [("cut", f"destroy-{FIRST}/intent")]),
    *cases(BY, (DESTROYING,), [("reboot", DESTROYING)], points=()),
]
REPAIRS = [
    *cases(BY, ("repair", "clear-job"), [("kill", "repair/effect")]),
    *cases(BY, (REPAIRING,), [("node", REPAIRING), ("kill", REPAIRING)], points=()),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.05)


@pytest.mark.parametrize(("strike", "case"), REMOVES)
async def test_a_replica_is_removed(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=40, seed=1, nodes=9) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await d.struck(demo, tmp_path, RUN, "dtr.remove", case, BY[strike], replica=THIRD) == 0, (
            capsys.readouterr().err
        )
        await d.whole(demo, "dtr1", "dtr2")
        assert d.leaks(demo, capsys.readouterr().out) == []


@pytest.mark.parametrize(("strike", "case"), DESTROYS)
async def test_what_is_left_of_a_replica_is_destroyed(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("dtr-lost", speed=40, seed=1, nodes=9) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await d.struck(demo, tmp_path, RUN, "dtr.destroy", case, BY[strike], replica=FIRST) == 0, (
            capsys.readouterr().err
        )
        await d.settled(lambda: demo.world.hosts["dtr1"].running, lambda: "dtr1 does not come back")
        assert [name for name, host in demo.world.hosts.items() if found_on(host) | stored_on(host)] == []
        assert d.left_on_hosts(demo) == []


@pytest.mark.parametrize(("strike", "case"), REPAIRS)
async def test_one_replica_becomes_the_whole(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("dtr-quorum-lost-27", speed=40, seed=1, nodes=9) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await d.struck(demo, tmp_path, RUN, "dtr.repair", case, BY[strike], replica=FIRST) == 0, (
            capsys.readouterr().err
        )
        await d.whole(demo, "dtr1")
        assert demo.world.dtr is not None
        assert demo.world.remembered["tag"].keys() <= demo.world.dtr.tags
        assert d.leaks(demo, capsys.readouterr().out) == []


async def test_a_healthy_replica_is_removed_and_not_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=40, seed=1, nodes=9) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await swarmtui(demo, "run", "dtr.destroy", f"replica={THIRD}", *d.THERE) != 0
        told = capsys.readouterr().err
        assert f"dtr.remove replica={THIRD}" in told, told
        await d.whole(demo, "dtr1", "dtr2", "dtr3")


async def test_24_has_no_repair_and_says_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("dtr-quorum-lost", speed=40, seed=1, nodes=9) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await swarmtui(demo, "run", "dtr.repair", f"replica={FIRST}", *d.THERE) != 0
        told = capsys.readouterr().err
        assert "dtr.destroy" in told and "dtr.restore" in told, told
        assert found_on(demo.world.hosts["dtr1"]) == {FIRST}
