"""ucp.backup on the simulated UCP 2.2.5: killed, cut off, its host booted, its job ended, at each point of it.

Whatever happens, no container of UCP stays stopped, no secret or archive stays on a host, and after a resume there is
one backup that opens with the passphrase.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarmtui.demo.hosts.jobs import Unit
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.runbooks.image import job as image_job
from tests.faults import ucp_stage as u
from tests.faults.strikes import Strike, cut, kill, reboot, resume

RUN = "20261122T041002Z-faults-0004"
NODE = "mgr2"
STEPS = ("archive", "resume", "healthy", "fetch", "clear", "verify")
STOPPING = "Temporarily Stopping local UCP containers to ensure a consistent backup"
BEGUN = "Beginning backup"
DONE = "Backup completed successfully"
KILLS = ("archive/intent", STOPPING, BEGUN, DONE, "archive/effect", "fetch/intent", "fetch/effect", "clear/effect")
CUTS = ("archive/intent", STOPPING, BEGUN, "fetch/intent", "verify/proof")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)


def end_job(demo: Demo) -> None:
    """The job is ended: the command dies with it in the middle, and nobody starts what it stopped."""
    units = [job for job in demo.world.hosts[NODE].processes.values() if isinstance(job, Unit)]
    assert units, "no job runs there"
    for unit in units:
        unit.signal("TERM")


def check(demo: Demo) -> None:
    """One backup that opens; UCP runs; nothing is left."""
    assert u.stopped(demo) == []
    assert u.left_on_hosts(demo) == []
    (folder,) = u.kept()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["kind"], manifest["ucp"]["version"], manifest["node"]) == ("ucp", "2.2.5", NODE)
    assert sorted(account["name"] for account in manifest["ucp"]["accounts"]) == u.accounts(demo)
    tiers = json.loads((folder / "verifications.jsonl").read_text().splitlines()[-1])["tiers"]
    assert [tier["ok"] for tier in tiers] == [True, True, True, None]
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.full(*KILLS[:2], *KILLS[3:6], KILLS[7])
@pytest.mark.parametrize("case", KILLS)
async def test_killed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await u.run(demo, tmp_path, RUN, "ucp.backup", case, kill, steps=STEPS, node=NODE) is None
        assert await resume(demo, RUN) == 0
        check(demo)


@pytest.mark.full(CUTS[0], CUTS[1], *CUTS[3:])
@pytest.mark.parametrize("case", CUTS)
async def test_cut_off(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN, "ucp.backup", case, cut, node=NODE)
        assert outcome is not None
        if not outcome.ok:
            assert await resume(demo, RUN) == 0
        check(demo)


@pytest.mark.full("boot")
@pytest.mark.parametrize("strike", [pytest.param(reboot(NODE), id="boot"), pytest.param(end_job, id="term")])
async def test_the_command_dies_in_the_middle(strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Slow enough that it is still in the middle when we have read on a busy machine that it is.
    async with Demo("platform", speed=8, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await u.run(demo, tmp_path, RUN, "ucp.backup", BEGUN, strike, node=NODE)
        assert outcome is not None and outcome.error is not None
        if strike is end_job:
            assert f"they were started again on {NODE}" in outcome.error.what
            assert u.stopped(demo) == []
        assert u.kept() == []
        assert await resume(demo, RUN) == 0
        check(demo)


@pytest.mark.parametrize("fault", [faults.UCP_BACKUP_TRUNCATED, faults.UCP_STAYS_STOPPED])
async def test_a_backup_that_does_not_do_its_work(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        demo.world.hosts[NODE].faults.add(fault)
        outcome = await u.run(demo, tmp_path, RUN, "ucp.backup", node=NODE)
        assert outcome is not None
        if fault == faults.UCP_STAYS_STOPPED:
            assert outcome.ok
            check(demo)
            return
        assert outcome.error is not None and "would not restore" in outcome.error.what
        assert u.stopped(demo) == []
        demo.world.hosts[NODE].faults.discard(fault)
