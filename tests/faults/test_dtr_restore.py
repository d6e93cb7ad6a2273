"""dtr.restore on the simulated DTR whose replicas are lost: killed, cut off, hosts booted, its command failing both
ways, at each point of it.

Whatever happens, after a resume DTR has the repositories of the backup, and no archive, secret or half a replica lies
on a host. Where a gentler way is left, nothing is touched.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.dtr import imports
from swarmtui.demo.platform.dtr_call import Phase2
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.errors import RefusedError
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.dtr import running
from swarmtui.runbooks.image import job as image_job
from tests.faults import dtr_backups as d
from tests.faults import ucp_stage as u
from tests.faults.dtr_stage import settled
from tests.faults.strikes import cut, kill, reboot, resume

RUN = "20261122T041003Z-faults-0015"
AT = "mgr1"
STEPS = (
    "upload", "image", f"destroy-{d.FIRST}", f"clear-{d.FIRST}-dtr1", f"clear-job-{d.FIRST}", "restore", "clear",
    "well", "repositories", "balancer",
)  # fmt: skip
BEGUN = "Connecting to UCP"
HALF = f"Creating dtr-rethinkdb-{d.FIRST}..."
LATE = "Starting all containers..."
KILLS = (
    "upload/effect",
    f"destroy-{d.FIRST}/effect",
    "restore/intent",
    HALF,
    LATE,
    "restore/effect",
    "clear/intent",
    "repositories/proof",
)
CUTS = ("upload/intent", f"destroy-{d.FIRST}/intent", BEGUN, HALF, "repositories/intent")


def named(case: str) -> str:
    """The name of a case: a hyphen would end it."""
    return case.replace("-", "_")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(running, "SETTLE_SECONDS", 3.0)


async def lost(demo: Demo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Takes a backup, and loses DTR then; the repositories that it had."""
    u.secrets(demo, folder / "kept", monkeypatch)
    outcome = await u.run(demo, folder, RUN.replace("0015", "0001"), "dtr.backup")
    assert outcome is not None and outcome.ok
    dtr = demo.world.dtr
    assert dtr is not None
    had = sorted(dtr.repositories)
    d.lose(demo)
    return had


@pytest.mark.full(*(named(case) for case in KILLS if case != HALF))
@pytest.mark.parametrize("case", KILLS, ids=named)
async def test_killed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        had = await lost(demo, tmp_path, monkeypatch)
        assert await u.run(demo, tmp_path, RUN, "dtr.restore", case, kill, steps=STEPS) is None
        assert await resume(demo, RUN) == 0
        d.well(demo, had)


@pytest.mark.full
@pytest.mark.parametrize("case", CUTS)
async def test_cut_off(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        had = await lost(demo, tmp_path, monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.restore", case, cut)
        assert outcome is not None
        if not outcome.ok:
            assert await resume(demo, RUN) == 0
        d.well(demo, had)


@pytest.mark.full
@pytest.mark.parametrize("host", [AT, "dtr1"])
@pytest.mark.parametrize("case", [BEGUN, HALF])
async def test_a_host_is_booted(host: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        had = await lost(demo, tmp_path, monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.restore", case, reboot(host))
        assert outcome is not None
        for _ in range(3):
            if outcome.ok or await resume(demo, RUN) == 0:
                break
        d.well(demo, had)


@pytest.mark.full
async def test_half_a_replica_that_starts_with_its_host_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node is booted when all containers are made, and nothing is in its database yet."""
    quiet = Phase2.say
    booted: list[str] = []

    def say(phase: Phase2, text: str) -> None:
        quiet(phase, text)
        if text == LATE and not booted:
            booted.append(text)
            phase.call.world.reboot(phase.host)

    async with Demo("platform", speed=50, seed=1) as demo:
        had = await lost(demo, tmp_path, monkeypatch)
        monkeypatch.setattr(Phase2, "say", say)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.restore")
        assert booted and outcome is not None and not outcome.ok
        codes = [await resume(demo, RUN)]
        if codes[0]:
            codes.append(await resume(demo, RUN))
        assert codes[-1] == 0
        d.well(demo, had)


@pytest.mark.full("one")
@pytest.mark.parametrize("ways", [pytest.param((), id="one"), pytest.param((faults.DTR_FATAL_EXITS_0,), id="zero")])
async def test_the_command_fails_in_the_middle(
    ways: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of ending: it is seen, half a replica that it left is removed, and the next try succeeds."""
    async with Demo("platform", speed=50, seed=1) as demo:
        had = await lost(demo, tmp_path, monkeypatch)
        demo.world.hosts["dtr1"].faults.add(faults.DTR_PHASE2_FAILS)
        demo.world.hosts[AT].faults.update(ways)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.restore")
        assert outcome is not None and outcome.error is not None
        assert f"`restore` of DTR 2.4.1 failed on {AT}" in outcome.error.what
        assert "which the next try removes first" in outcome.error.next_step
        for name in ("dtr1", AT):
            demo.world.hosts[name].faults.clear()
        assert await resume(demo, RUN) == 0
        d.well(demo, had)


@pytest.mark.parametrize("scenario", ["dtr-quorum-lost", "dtr-quorum-lost-27"])
async def test_a_hand_made_one_where_most_are_lost(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of three hosts have burnt. 2.4 has nothing gentler than to take the third one off and restore what somebody
    saved by hand; later ones have, and refuse it."""
    async with Demo(scenario, speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        dtr, ucp = demo.world.dtr, demo.world.ucp
        assert dtr is not None and ucp is not None
        path = next(Path(each) for each in demo.platform["backups"] if Path(each).name == "dtr.bkp")
        inside = imports.look(path)
        assert inside is not None
        catalogue = Catalogue(config.backups_dir(config.load(demo.config).backups_of("simulated")))
        imports.import_file(catalogue, path, inside, instance=ucp.cluster.id, replica=d.FIRST)
        had = sorted(dtr.repositories)
        told: list[str] = []
        given = {"node": "dtr1", "url": d.URL, "storage": "nfs://nas.shop.example/dtr"}
        if scenario.endswith("27"):
            with pytest.raises(RefusedError, match=f"dtr.repair replica={d.FIRST}"):
                await u.run(demo, tmp_path, RUN, "dtr.restore", **given)
            assert list(dtr.replicas) and dtr.runs(dtr.replicas[d.FIRST])
            return
        outcome = await u.run(demo, tmp_path, RUN, "dtr.restore", told=told, **given)
        assert outcome is not None and outcome.ok
        d.well(demo, had)
        assert "dtr-may-come-back" in told[2]
        assert "Images are not in the backup" in "\n".join(told)
        assert demo.platform["admin"]["password"] not in "\n".join(told)


async def test_a_dtr_that_comes_back_meanwhile_is_not_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of three hosts are off, and it is decided to restore; cut off before anything went, it is gone on with when
    they are on again: nothing is destroyed beside a DTR that works."""
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN.replace("0015", "0001"), "dtr.backup")
        assert outcome is not None and outcome.ok
        dtr = demo.world.dtr
        assert dtr is not None
        off = [demo.world.hosts[name] for name in ("dtr2", "dtr3")]
        for host in off:
            demo.world.crash(host)
        await settled(lambda: not dtr.healthy(), dtr.healthy)
        there = dict(demo.world.hosts["dtr1"].containers)
        assert await u.run(demo, tmp_path, RUN, "dtr.restore", "upload/effect", kill) is None
        for host in off:
            demo.world.boot(host)
        await settled(lambda: len(dtr.healthy()) == 3, dtr.healthy)
        assert await resume(demo, RUN) != 0
        said = capsys.readouterr()
        assert "it is not lost any more" in said.out + said.err
        assert demo.world.hosts["dtr1"].containers.keys() == there.keys() and len(dtr.healthy()) == 3


async def test_what_was_restored_well_is_not_restored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """We are killed when the command has ended well, and one of its components stands still when that is looked at."""
    async with Demo("platform", speed=50, seed=1) as demo:
        had = await lost(demo, tmp_path, monkeypatch)
        assert await u.run(demo, tmp_path, RUN, "dtr.restore", "restore/effect", kill) is None
        containers = demo.world.hosts["dtr1"].containers
        made = set(containers)
        stopped = next(one for one in containers.values() if one.name == f"dtr-garant-{d.FIRST}")
        api = next(one for one in containers.values() if one.name == f"dtr-api-{d.FIRST}")
        for one in (stopped, api):
            one.state, one.restart = "exited", False
        demo.world.on_platform_change()
        assert await resume(demo, RUN) != 0
        said = capsys.readouterr()
        assert "ended well, and not all runs of what it made" in said.out + said.err
        assert set(containers) == made
        for one in (stopped, api):
            one.state, one.restart = "running", True
        demo.world.on_platform_change()
        assert await resume(demo, RUN) == 0
        assert set(containers) == made
        d.well(demo, had)


async def test_images_that_were_put_back_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the restore, as it says; also where its first try fails, and what that left is removed."""
    images = f"dtr-registry-{d.FIRST}"
    async with Demo("platform", speed=50, seed=1) as demo:
        await lost(demo, tmp_path, monkeypatch)
        host = demo.world.hosts["dtr1"]
        demo.world.remember_volume(host, images)
        volume = host.volumes[images]
        host.faults.add(faults.DTR_PHASE2_FAILS)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.restore", storage="local")
        assert outcome is not None and outcome.error is not None
        assert f"`restore` of DTR 2.4.1 failed on {AT}" in outcome.error.what
        assert host.volumes[images] is volume
        host.faults.clear()
        assert await resume(demo, RUN) == 0
        assert host.volumes[images] is volume
        assert demo.world.dtr is not None and len(demo.world.dtr.healthy()) == 1


@pytest.mark.full
async def test_a_dtr_that_works_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN.replace("0015", "0001"), "dtr.backup")
        assert outcome is not None and outcome.ok
        with pytest.raises(RefusedError, match="there is nothing to restore"):
            await u.run(demo, tmp_path, RUN, "dtr.restore")
        demo.world.crash(demo.world.hosts["dtr3"])
        with pytest.raises(RefusedError, match=r"swarmtui run dtr\.remove replica=daa7b23c3a61"):
            await u.run(demo, tmp_path, RUN, "dtr.restore")
        archive = d.kept()[0] / "archive.tar"
        archive.write_bytes(archive.read_bytes().replace(b"dtr-backup-v2.4.1", b"dtr-backup-v2.4.2"))
        d.lose(demo)
        before = dict(demo.world.hosts["dtr1"].containers)
        with pytest.raises(RefusedError, match="would not restore"):
            await u.run(demo, tmp_path, RUN, "dtr.restore")
        assert dict(demo.world.hosts["dtr1"].containers) == before
