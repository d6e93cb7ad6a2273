"""platform.backup and platform.recover on the simulated platform: as one set, partly, destroyed and brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.errors import SwarmtuiError
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.platform import ucp_look
from swarmtui.runbooks.report import report
from swarmtui.runbooks.ucp import restore_steps
from tests.faults import ucp_stage as u
from tests.faults.strikes import kill, swarmtui
from tests.platform.stage import MANAGERS, REPLICAS, WELL, destroy, destroy_all, dtr_nodes, hurry, lose, ucp_ill

RUN = "20261122T081003Z-platform.recover-0001"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def run(demo: Demo, *words: str) -> int:
    """`swarmtui run …` in this process; returns the exit code."""
    try:
        return await swarmtui(demo, "run", *words, "--target", "simulated")
    except SwarmtuiError as error:
        print(error)
        return error.exit_code


def of_run(run_id: str) -> str:
    """The report of a run, from its journal alone."""
    return report(Journal(config.state_dir() / "journal").read(run_id))


def backups() -> dict[str, Entry]:
    """The newest backup of each kind that the catalogue has."""
    entries = Catalogue().entries()
    return {entry.kind: entry for entry in reversed(entries)}


async def test_a_platform_is_backed_up_as_one_set_with_one_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await run(demo, "platform.backup", "--dry-run") == 0
        plan = capsys.readouterr().out
        assert "$ swarmtui run ucp.backup wait=600 --yes --target simulated" in plan and not Catalogue().entries()
        assert await run(demo, "platform.backup", "--yes") == 0
        said = capsys.readouterr().out
        kept = backups()
        assert list(kept) == ["swarm", "ucp", "dtr"]
        for kind, name in (("swarm", "Swarm"), ("ucp", "UCP"), ("dtr", "DTR")):
            assert f"{name}: {kept[kind].id}, " in said
        assert "The images are in none of them: they live on NFS at nfs://nas.shop.example/dtr." in said
        (name,) = {entry.whole.set for entry in kept.values()}
        assert name.startswith("platform-")
        # The documented order: the Swarm first.
        assert kept["swarm"].whole.taken_at < kept["ucp"].whole.taken_at <= kept["dtr"].whole.taken_at
        (run_id,) = Journal(config.state_dir() / "journal").ids()
        told = of_run(run_id)
        for words in (
            "Archive /var/lib/docker/swarm",
            "Have UCP 3.2.7 write its backup",
            "Look whether the set is whole",
        ):
            assert words in told, words
        assert u.left_on_hosts(demo) == [] and u.stopped(demo) == []
        # A UCP that is healthy nowhere, in a Swarm that is well, leads to the walkthrough that begins with UCP.
        assert demo.world.ucp is not None
        demo.world.ucp.sick |= dict.fromkeys(MANAGERS, "ERROR: RethinkDB Health check timed out")
        assert await swarmtui(demo, "recover", "simulated") == 2
        told = capsys.readouterr().out
        assert "The whole platform: UCP, DTR" in told and "UCP is healthy on no manager." in told


async def test_what_fails_is_told_what_is_there_stays_and_only_what_is_missing_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        for name in MANAGERS:
            demo.world.hosts[name].faults.add(faults.UCP_BACKUP_TRUNCATED)
        assert await run(demo, "platform.backup", "--yes") == 1
        told = capsys.readouterr()
        (run_id,) = Journal(config.state_dir() / "journal").ids()
        assert "is not whole: UCP is not in it, Swarm and DTR are." in told.err and f"--resume {run_id}" in told.err
        only = backups()
        assert {kind: entry.would_restore for kind, entry in only.items()} == {
            "swarm": "yes",
            "ucp": "no",
            "dtr": "not proved",
        }
        for name in MANAGERS:
            demo.world.hosts[name].faults.clear()
        assert await run(demo, "--resume", run_id, "--yes") == 0
        kept = backups()
        assert kept["swarm"].id == only["swarm"].id and kept["dtr"].id == only["dtr"].id
        assert kept["ucp"].would_restore == "not proved"
        assert kept["swarm"].whole.set == kept["ucp"].whole.set
        assert u.left_on_hosts(demo) == []


async def test_all_is_destroyed_and_brought_back_killed_twice_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        (before,) = demo.world.clusters
        had, services = u.accounts(demo), sorted(service.name for service in before.services.values())
        assert await run(demo, "platform.backup", "--yes") == 0
        kept = backups()
        destroy_all(demo)
        assert await swarmtui(demo, "recover", "simulated") == 2
        told = capsys.readouterr().out
        assert "The whole platform: Swarm, UCP, DTR" in told
        assert "$ swarmtui run platform.recover host=ssh://mgr2 --target simulated" in told
        case = "swarm/force/effect"
        assert await u.run(demo, tmp_path, RUN, "platform.recover", case, kill, host="ssh://mgr2") is None
        assert "Where it stands: Docker runs on mgr2, in no Swarm." in of_run(RUN)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(restore_steps.RestoreUcp, "verify", _killed)
            with pytest.raises(KilledHereError):
                await run(demo, "--resume", RUN, "--yes")
        told = of_run(RUN)
        assert "Where it stands: UCP is not there: no node can join" in told and "| not begun |" in told
        capsys.readouterr()
        assert await run(demo, "--resume", RUN, "--yes") == 0
        said = capsys.readouterr().out
        assert "All 6 accounts of the backup are there." in said and said.endswith("Done and verified.\n")
        record = Journal(config.state_dir() / "journal").read(RUN)
        assert record.drafts["ucp"]["params"]["backup"] == kept["ucp"].id
        # Each of the two heavy things was done once, whatever was cut off.
        assert [record.steps[step].state for step in ("swarm/force", "ucp/restore")] == ["already", "already"]
        assert u.accounts(demo) == had and ucp_ill(demo) == WELL and dtr_nodes(demo) == list(REPLICAS)
        assert demo.world.ucp is not None
        now = demo.world.ucp.cluster
        assert now.id == before.id and sorted(service.name for service in now.services.values()) == services
        # A backup of the Swarm as it is now was taken before UCP was touched.
        fresh = backups()["swarm"]
        assert fresh.id != kept["swarm"].id and len(fresh.whole.managers) == 3
        assert u.left_on_hosts(demo) == []
        # A new run finds everything well, and is nothing.
        assert await run(demo, "platform.recover", "--dry-run") == 0
        assert "Nothing is to be brought back: Swarm, UCP, DTR are there." in capsys.readouterr().out


class KilledHereError(BaseException):
    """As kill -9."""


async def _killed(*_: object) -> None:
    raise KilledHereError


@pytest.mark.full
async def test_a_ucp_that_came_back_with_its_swarm_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await run(demo, "platform.backup", "--yes") == 0
        destroy(demo, *MANAGERS, ucp=False)
        monkeypatch.setattr(ucp_look, "SETTLE_SECONDS", 60.0)
        assert await run(demo, "platform.recover", "--yes") == 0
        said = capsys.readouterr().out
        assert "UCP is healthy on every manager. It is not restored." in said and "uninstall-ucp" not in said
        assert ucp_ill(demo) == WELL


@pytest.mark.full
async def test_ucp_lost_in_a_healthy_swarm_only_ucp_is_brought_back_behind_a_fresh_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        had = u.accounts(demo)
        assert await run(demo, "platform.backup", "--yes") == 0
        first = backups()["swarm"].id
        for name in MANAGERS:
            lose(demo, name, "ucp")
        capsys.readouterr()
        assert await run(demo, "platform.recover", "--yes") == 0
        said = capsys.readouterr().out
        assert "Bring back UCP, DTR of simulated" in said and "--force-new-cluster" not in said
        assert "DTR 2.7.8 has 3 replicas, and all of them are healthy. It is not restored." in said
        assert backups()["swarm"].id != first and u.accounts(demo) == had and ucp_ill(demo) == WELL


async def test_a_ucp_that_lives_is_not_restored_for_an_account_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await run(demo, "platform.backup", "--yes") == 0
        assert demo.world.ucp is not None
        del demo.world.ucp.accounts.by_name["jon"]
        capsys.readouterr()
        assert await run(demo, "platform.recover", "--yes") == 0
        said = capsys.readouterr().out
        assert "Nothing is to be brought back" in said and "ucp.restore backup=latest" in said and "jon" in said
        assert "jon" not in u.accounts(demo)


@pytest.mark.full
async def test_ucp_is_not_touched_before_the_swarm_has_all_its_managers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await run(demo, "platform.backup", "--yes") == 0
        destroy(demo, "mgr1", "mgr2")
        demo.world.crash(demo.world.hosts["mgr3"])
        capsys.readouterr()
        given = ("host=ssh://mgr2", "dead=mgr3", "wait=5", "--yes")
        assert await run(demo, "platform.recover", *given) == 1
        told = capsys.readouterr()
        assert "The Swarm has 2 of its 3 managers." in told.err and "swarmtui run swarm.join" in told.err
        assert "uninstall-ucp" not in told.out
        demo.world.boot(demo.world.hosts["mgr3"])
        destroy(demo, "mgr3")
        assert await run(demo, "swarm.join", "host=ssh://mgr3", "role=manager", "--yes") == 0
        (run_id,) = [one for one in Journal(config.state_dir() / "journal").ids() if "platform.recover" in one]
        capsys.readouterr()
        assert await run(demo, "--resume", run_id, "--yes") == 1
        assert "no backup of the Swarm with all its managers" in capsys.readouterr().err, "mgr3 joined after it"
        assert await run(demo, "swarm.backup", "--yes") == 0
        assert await run(demo, "--resume", run_id, "--yes") == 0
        assert ucp_ill(demo) == WELL


async def test_what_would_fail_later_is_refused_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await run(demo, "platform.backup", "--yes") == 0
        # A gentler way is left: two managers only want their Docker started.
        for name in ("mgr1", "mgr2"):
            demo.world.stop_docker(demo.world.hosts[name])
        capsys.readouterr()
        assert await run(demo, "platform.recover", "host=ssh://mgr2", "--yes") == 4
        assert "Do that first" in capsys.readouterr().err
        destroy(demo, *MANAGERS)
        u.secrets(demo, tmp_path / "kept", monkeypatch, passphrase="another one than it was sealed with")
        assert await run(demo, "platform.recover", "host=ssh://mgr2", "--yes") == 4
        told = capsys.readouterr().err
        assert "cannot be opened" in told and "Nothing was begun." in told and "ucp=none" in told
        assert all(demo.world.hosts[name].swarm is None for name in MANAGERS)
