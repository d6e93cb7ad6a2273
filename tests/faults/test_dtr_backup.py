"""dtr.backup on the simulated DTR: killed, cut off, its host booted, its job ended, spoilt, at each point of it.

Whatever happens, DTR goes on, no secret or archive stays on a host, and after a resume there is one backup that opens.
"""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest

from swarmtui.backups.manifest import decode
from swarmtui.demo.hosts.jobs import Unit
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.demo.world.host import Container
from swarmtui.errors import RefusedError
from swarmtui.runbooks.image import job as image_job
from tests.faults import dtr_backups as d
from tests.faults import ucp_stage as u
from tests.faults.strikes import cut, kill, reboot, resume

RUN = "20261122T041002Z-faults-0014"
STEPS = ("archive", "fetch", "clear", "verify")
OFFLINE = ("archive", "back", "fetch", "clear", "verify")
STOPPED = "Stopping rethinkdb of this replica"
AT = "mgr1"
BEGUN = "Connecting to UCP"
DONE = "Backup completed successfully"
KILLS = ("archive/intent", BEGUN, DONE, "archive/effect", "fetch/intent", "fetch/effect", "clear/effect")
CUTS = ("archive/intent", BEGUN, "fetch/intent", "verify/proof")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)


def check(demo: Demo, version: str = "2.4.1", *, encrypted: str = "") -> None:
    """One backup that opens; DTR is well; nothing is left."""
    dtr = demo.world.dtr
    assert dtr is not None
    assert len(dtr.healthy()) == 3
    assert d.left_on_hosts(demo) == []
    (folder,) = d.kept()
    manifest = decode((folder / "manifest.json").read_bytes())
    assert (manifest.kind, manifest.node, manifest.encrypted) == ("dtr", "dtr1", encrypted)
    told = manifest.dtr
    assert told is not None
    assert (told.version, told.replica_id, told.external_url) == (version, d.FIRST, d.URL)
    assert (told.storage, told.storage_at) == ("nfs", "nfs://nas.shop.example/dtr")
    assert sorted(told.replicas) == sorted(dtr.replicas)
    assert sorted(told.repositories or ()) == sorted(dtr.repositories)
    assert any("Images, users and teams are in no backup of DTR" in note for note in manifest.notes)
    assert d.tiers(folder) == [True, True, True, None]
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.full(*(case for case in KILLS if case != BEGUN))
@pytest.mark.parametrize("case", KILLS)
async def test_killed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await u.run(demo, tmp_path, RUN, "dtr.backup", case, kill, steps=STEPS) is None
        assert await resume(demo, RUN) == 0
        check(demo)


@pytest.mark.full(*(case for case in CUTS if case != "fetch/intent"))
@pytest.mark.parametrize("case", CUTS)
async def test_cut_off(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.backup", case, cut)
        assert outcome is not None
        if not outcome.ok:
            assert await resume(demo, RUN) == 0
        check(demo)


def end_job(demo: Demo) -> None:
    """The job is ended in the middle, and the command dies with it."""
    units = [job for job in demo.world.hosts[AT].processes.values() if isinstance(job, Unit)]
    assert units, "no job runs there"
    for unit in units:
        unit.signal("TERM")


@pytest.mark.full
@pytest.mark.parametrize("strike", [pytest.param(reboot(AT), id="boot"), pytest.param(end_job, id="term")])
async def test_the_command_dies_in_the_middle(
    strike: u.Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.backup", BEGUN, strike)
        assert outcome is not None and outcome.error is not None
        assert d.kept() == []
        assert await resume(demo, RUN) == 0
        check(demo)


async def test_what_is_spoilt_is_not_kept_and_the_next_one_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that is cut off is refused before it is a backup. And offline, of MSR, for recipients of age whose
    identity is not here: what was seen before it was encrypted is kept. No secret is told anywhere."""
    told: list[str] = []
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    async with Demo("platform-mke", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        host = demo.world.hosts[AT]
        host.faults.add(faults.DTR_BACKUP_TRUNCATED)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.backup", told=told)
        assert outcome is not None and outcome.error is not None
        assert "What DTR wrote is no backup, and it is not kept." in outcome.error.what
        assert d.kept() == [] and d.left_on_hosts(demo) == []
        host.faults.clear()
        with demo.config.open("a") as config:
            config.write(f'\n[backups]\nrecipients = ["{recipient}"]\n')
        run = RUN.replace("0014", "0015")
        outcome = await u.run(demo, tmp_path, run, "dtr.backup", steps=OFFLINE, told=told, offline="true")
        assert outcome is not None and outcome.ok
        check(demo, "2.9.4", encrypted="recipients")
        assert decode((d.kept()[0] / "manifest.json").read_bytes()).dtr.offline  # type: ignore[union-attr]
        assert demo.platform["admin"]["password"] not in "\n".join(told)


@pytest.mark.parametrize("case", ["job", "command"])
async def test_a_database_that_an_offline_backup_stopped_runs_again(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command dies before it starts it again; or it ends well, and forgets it."""
    async with Demo("platform-mke", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)

        def database() -> Container:
            hosts = demo.world.hosts["dtr1"].containers.values()
            return next(one for one in hosts if one.name == f"dtr-rethinkdb-{d.FIRST}")

        def stop(demo: Demo) -> None:
            database().state = "exited"
            demo.world.on_platform_change()

        told: list[str] = []
        point, strike = (STOPPED, end_job) if case == "job" else ("archive/effect", stop)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.backup", point, strike, told=told, offline="true")
        assert outcome is not None and database().state == "running"
        words = f"dtr-rethinkdb-{d.FIRST} on dtr1 stood still"
        if case == "job":
            assert outcome.error is not None and words in outcome.error.what and d.kept() == []
            assert await resume(demo, RUN) == 0
        else:
            assert outcome.ok and any(words in line for line in told if line.startswith("back said"))
        check(demo, "2.9.4")


@pytest.mark.full
async def test_the_same_replica_while_it_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where it is not: another one, with a warning; on none where none is; and no flag that 2.4 has not."""
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        with pytest.raises(RefusedError, match=r"DTR 2\.4\.1 has no --offline-backup"):
            await u.run(demo, tmp_path, RUN, "dtr.backup", offline="true")
        outcome = await u.run(demo, tmp_path, RUN, "dtr.backup", replica="dtr2")
        assert outcome is not None and outcome.ok
        dtr = demo.world.dtr
        assert dtr is not None
        told: list[str] = []
        await u.run(demo, tmp_path, RUN.replace("0014", "0016"), "dtr.backup", told=told)
        assert f"replica {d.SECOND} on dtr2" in told[0]
        assert {d.manifest(each)["dtr"]["replica_id"] for each in d.kept()} == {d.SECOND}
        dtr.replicas[d.SECOND].sick = "its disk is full"
        with pytest.raises(RefusedError, match="its disk is full"):
            await u.run(demo, tmp_path, RUN.replace("0014", "0017"), "dtr.backup", replica="dtr2")
        del told[:]
        await u.run(demo, tmp_path, RUN.replace("0014", "0018"), "dtr.backup", told=told)
        assert f"The last backup was taken from another replica, {d.SECOND}" in told[1]
        assert len(d.kept()) == 3
