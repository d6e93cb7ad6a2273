"""ucp.restore on the simulated UCP 2.2.5, whose accounts were deleted: killed, cut off, its host booted, its command
failing both ways, at each point of it.

Whatever happens, a run that stops says that UCP is not there, and after a resume UCP has the accounts of the backup, no
archive or secret lies on a host, and the services of the Swarm are those from before.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.runbooks.image import job as image_job
from swarmtui.runbooks.ucp import restore_steps
from tests.faults import ucp_stage as u
from tests.faults.strikes import cut, kill, reboot, resume

RUN = "20261122T041003Z-faults-0005"
HOST = "mgr1"
REMOVING = "Uninstalling UCP on each node..."
PARSING = "Parsing backup file"
DEPLOYING = "Deploying UCP Agent Service"
KILLS = (
    "upload/effect",
    "uninstall/intent",
    REMOVING,
    "uninstall/effect",
    "restore/intent",
    PARSING,
    DEPLOYING,
    "restore/effect",
    "clear/intent",
    "clear/effect",
    "accounts/proof",
)
CUTS = ("upload/intent", REMOVING, PARSING, DEPLOYING, "clear/intent")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(restore_steps, "POLL_SECONDS", 0.05)


def services(demo: Demo) -> list[str]:
    """Names of the Swarm's services that are not UCP's."""
    assert demo.world.ucp is not None
    return sorted(s.name for s in demo.world.ucp.cluster.services.values() if not s.name.startswith("ucp-"))


async def backed_up(demo: Demo, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Takes a backup, and deletes accounts then; returns those that it has."""
    u.secrets(demo, folder / "kept", monkeypatch)
    outcome = await u.run(demo, folder, RUN.replace("0005", "0001"), "ucp.backup", node="mgr2")
    assert outcome is not None and outcome.ok
    had = u.accounts(demo)
    assert demo.world.ucp is not None
    for name in had:
        if name != "admin":
            del demo.world.ucp.accounts.by_name[name]
    return had


def check(demo: Demo, had: list[str], before: list[str]) -> None:
    assert u.accounts(demo) == had
    assert services(demo) == before
    assert u.left_on_hosts(demo) == []
    assert demo.world.ucp is not None
    assert [demo.world.ucp.ill(host) for host in demo.world.ucp.managers()] == ["", "", ""]


@pytest.mark.full(*(case for case in KILLS if case != DEPLOYING))
@pytest.mark.parametrize("case", KILLS)
async def test_killed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        had, before = await backed_up(demo, tmp_path, monkeypatch), services(demo)
        assert await u.run(demo, tmp_path, RUN, "ucp.restore", case, kill, host=HOST) is None
        assert await resume(demo, RUN) == 0
        check(demo, had, before)


@pytest.mark.full(*(case for case in CUTS if case != PARSING))
@pytest.mark.parametrize("case", CUTS)
async def test_cut_off(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        had, before = await backed_up(demo, tmp_path, monkeypatch), services(demo)
        outcome = await u.run(demo, tmp_path, RUN, "ucp.restore", case, cut, host=HOST)
        assert outcome is not None
        if not outcome.ok:
            assert await resume(demo, RUN) == 0
        check(demo, had, before)


@pytest.mark.full
@pytest.mark.parametrize("case", [REMOVING, PARSING])
async def test_the_host_is_booted(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        had, before = await backed_up(demo, tmp_path, monkeypatch), services(demo)
        outcome = await u.run(demo, tmp_path, RUN, "ucp.restore", case, reboot(HOST), host=HOST)
        assert outcome is not None
        if not outcome.ok:
            assert await resume(demo, RUN) == 0
        check(demo, had, before)


@pytest.mark.full("one")
@pytest.mark.parametrize("ways", [pytest.param((), id="one"), pytest.param((faults.UCP_FATAL_EXITS_0,), id="zero")])
async def test_the_command_fails_in_the_middle(
    ways: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of ending: it is seen, what it left is removed, and the next try succeeds."""
    async with Demo("platform", speed=50, seed=1) as demo:
        had, before = await backed_up(demo, tmp_path, monkeypatch), services(demo)
        host = demo.world.hosts[HOST]
        host.faults.update({faults.UCP_RESTORE_FAILS, *ways})
        outcome = await u.run(demo, tmp_path, RUN, "ucp.restore", host=HOST)
        assert outcome is not None and outcome.error is not None
        assert "`restore` of UCP 2.2.5 failed on mgr1" in outcome.error.what
        assert "no node can join" in outcome.error.next_step
        host.faults.clear()
        assert await resume(demo, RUN) == 0
        check(demo, had, before)


@pytest.mark.full
async def test_a_node_that_was_not_cleaned_in_time_is_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        had, before = await backed_up(demo, tmp_path, monkeypatch), services(demo)
        demo.world.hosts["wrk2"].faults.add(faults.UCP_UNINSTALL_HANGS)
        outcome = await u.run(demo, tmp_path, RUN, "ucp.restore", host=HOST)
        assert outcome is not None
        if not outcome.ok:
            assert await resume(demo, RUN) == 0
        check(demo, had, before)


@pytest.mark.full("cut", "image")
@pytest.mark.parametrize("what", ["passphrase", "cut", "image"])
async def test_nothing_is_removed_for_what_cannot_be_restored(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another passphrase, an archive that is cut off, or no image of that version: known before anything goes."""
    from swarmtui.errors import SwarmtuiError

    async with Demo("platform", speed=50, seed=1) as demo:
        await backed_up(demo, tmp_path, monkeypatch)
        now = u.accounts(demo)
        if what == "passphrase":
            shutil.rmtree(tmp_path / "kept")
            u.secrets(demo, tmp_path / "kept", monkeypatch, "another one altogether")
        elif what == "cut":
            archive = u.kept()[0] / "archive.tar"
            archive.write_bytes(archive.read_bytes()[:-100] + bytes(100))
        else:
            there = demo.world.hosts[HOST].images
            for key in [key for key, image in there.items() if "docker/ucp:" in f"{key} {image}"]:
                del there[key]
        words = {"passphrase": "does not open it", "cut": "would not restore", "image": "is not on mgr1"}[what]
        with pytest.raises(SwarmtuiError, match=words):
            await u.run(demo, tmp_path, RUN, "ucp.restore", host=HOST)
        assert u.accounts(demo) == now
        assert u.stopped(demo) == []
