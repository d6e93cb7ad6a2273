"""platform.backup on the simulated platform: killed and cut off at points of each of its parts, and where a part cannot
be had.

Whatever happens, Docker, UCP and DTR go on, and nothing of it stays on a host. After a resume there is one set with
each product once; what cannot be had is told, and the rest of it is kept.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from swarmtui import config
from swarmtui.backups.catalogue import Catalogue, Entry
from swarmtui.demo.platform.dtr import wipe
from swarmtui.demo.platform.ucp import Ucp
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.demo.world.host import Container, Host
from swarmtui.runbooks.journal import Journal
from swarmtui.runbooks.report import report
from swarmtui.runbooks.runner import Outcome
from swarmtui.runbooks.swarm.backups import backup_steps
from tests.faults import dtr_backups as d
from tests.faults import ucp_stage as u
from tests.faults.strikes import Strike, cut, kill, resume, swarmtui
from tests.platform.stage import MANAGERS, WELL, hurry, ucp_ill

RUN = "20261122T084004Z-platform.backup-0003"
STOPPED = backup_steps.WORDS["stopped"]
PAUSING = "Temporarily Stopping local UCP containers to ensure a consistent backup"
BEGUN = "Connecting to UCP"
KILLS = (
    "swarm/archive/intent",
    STOPPED,
    "swarm/archive/effect",
    "swarm/fetch/effect",
    "swarm/verify/proof",
    "ucp/intent",
    "ucp/proof",
    PAUSING,
    "ucp/archive/effect",
    "ucp/fetch/effect",
    "ucp/clear/intent",
    "ucp/verify/effect",
    "dtr/intent",
    "dtr/proof",
    BEGUN,
    "dtr/archive/effect",
    "dtr/fetch/intent",
    "dtr/fetch/proof",
    "dtr/clear/effect",
    "set/effect",
)
CUTS = (
    "swarm/archive/intent",
    "swarm/verify/proof",
    "ucp/intent",
    "ucp/proof",
    PAUSING,
    "ucp/fetch/intent",
    "dtr/proof",
    BEGUN,
    "dtr/verify/intent",
)
ALWAYS = (PAUSING, "dtr/fetch/intent")
"""Also where not the full matrix is asked for."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


def named(case: str) -> str:
    """The name of a case: a hyphen would end it."""
    return case.replace("-", "_")


def by_kind() -> dict[str, Entry]:
    """What the catalogue has; each product at most once."""
    entries = Catalogue().entries()
    found = {entry.kind: entry for entry in entries}
    assert len(found) == len(entries), [entry.id for entry in entries]
    return found


def runs(demo: Demo) -> None:
    """Docker, UCP and DTR run everywhere as before, and nothing of a run is left on a host or here."""
    assert all(host.docker and host.socket for host in demo.world.hosts.values())
    assert u.stopped(demo) == [] and ucp_ill(demo) == WELL
    assert u.left_on_hosts(demo) == [] and d.left_on_hosts(demo) == []
    assert list(Catalogue().root.glob("*/.*")) == []


def check(demo: Demo) -> None:
    """One set with each product once, each looked into; the platform as it was."""
    kept = by_kind()
    assert {kind: entry.would_restore for kind, entry in kept.items()} == {
        "swarm": "yes",
        "ucp": "not proved",
        "dtr": "not proved",
    }
    (name,) = {entry.whole.set for entry in kept.values()}
    assert name.startswith("platform-")
    assert kept["swarm"].whole.taken_at < kept["ucp"].whole.taken_at <= kept["dtr"].whole.taken_at
    assert demo.world.dtr is not None and len(demo.world.dtr.healthy()) == 3
    runs(demo)


async def begun(demo: Demo, folder: Path, case: str = "", strike: Strike | None = None) -> Outcome | None:
    return await u.run(demo, folder, RUN, "platform.backup", case, strike)


@pytest.mark.full(*(named(case) for case in KILLS if case not in ALWAYS))
@pytest.mark.parametrize("case", KILLS, ids=named)
async def test_killed(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await begun(demo, tmp_path, case, kill) is None
        assert await resume(demo, RUN) == 0
        check(demo)


@pytest.mark.full(*(named(case) for case in CUTS if case != "ucp/proof"))
@pytest.mark.parametrize("case", CUTS, ids=named)
async def test_cut_off(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        outcome = await begun(demo, tmp_path, case, cut)
        assert outcome is not None and outcome.ok, outcome
        check(demo)


def _of_run() -> str:
    """The report of the only run there is, from its journal alone."""
    journal = Journal(config.state_dir() / "journal")
    (run_id,) = journal.ids()
    return report(journal.read(run_id))


def _occupied(demo: Demo) -> None:
    """On each manager somebody left a container behind that has the name of UCP's command."""
    for name in MANAGERS:
        host: Host = demo.world.hosts[name]
        container = Container(demo.world.ids.container(), "ucp", "docker/ucp:2.2.5", [], 0.0, state="exited")
        host.containers[container.id] = container


def _free(demo: Demo) -> None:
    for name in MANAGERS:
        containers = demo.world.hosts[name].containers
        for key in [key for key, one in containers.items() if one.name == "ucp"]:
            del containers[key]


async def test_a_ucp_that_refuses_is_missing_and_the_run_takes_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        _occupied(demo)
        assert await swarmtui(demo, "run", "platform.backup", "--dry-run", "--target", "simulated") == 0
        plan = capsys.readouterr().out
        assert "UCP cannot be backed up now, and the set will not be whole: Another command of UCP runs on" in plan
        assert await swarmtui(demo, "run", "platform.backup", "--yes", "--target", "simulated") == 1
        assert "is not whole: UCP is not in it, Swarm and DTR are." in capsys.readouterr().err
        assert "UCP is not in it, Swarm and DTR are." in _of_run()
        only = by_kind()
        assert set(only) == {"swarm", "dtr"}
        _free(demo)
        runs(demo)
        (run_id,) = Journal(config.state_dir() / "journal").ids()
        assert await resume(demo, run_id) == 0
        kept = by_kind()
        assert set(kept) == {"swarm", "ucp", "dtr"} and kept["swarm"].id == only["swarm"].id
        assert len({entry.whole.set for entry in kept.values()}) == 1
        runs(demo)


async def test_a_dtr_without_a_majority_is_missing_and_told_again_until_it_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        dtr = demo.world.dtr
        assert dtr is not None
        for replica in [one for one in dtr.replicas.values() if one.id != d.FIRST]:
            wipe(demo.world.hosts[replica.host], replica.id)
        assert await swarmtui(demo, "run", "platform.backup", "--dry-run", "--target", "simulated") == 0
        assert "DTR cannot be backed up now, and the set will not be whole: " in capsys.readouterr().out
        assert await swarmtui(demo, "run", "platform.backup", "--yes", "--target", "simulated") == 1
        assert "is not whole: DTR is not in it, Swarm and UCP are." in capsys.readouterr().err
        only = {kind: entry.id for kind, entry in by_kind().items()}
        assert set(only) == {"swarm", "ucp"}
        (run_id,) = Journal(config.state_dir() / "journal").ids()
        assert await resume(demo, run_id) == 1
        assert "is not whole: DTR is not in it, Swarm and UCP are." in capsys.readouterr().err
        # Nothing was taken twice, and Docker and UCP were left alone the second time.
        assert {kind: entry.id for kind, entry in by_kind().items()} == only
        runs(demo)


async def test_a_ucp_that_writes_no_archive_is_asked_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Ucp, "backup", lambda *_: b"what a terminal makes of an archive\r\n" * 99)
            outcome = await begun(demo, tmp_path)
        await _again_only(demo, outcome, "ucp")


async def test_an_archive_of_dtr_that_is_spoilt_is_taken_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        for name in MANAGERS:
            demo.world.hosts[name].faults.add(faults.DTR_BACKUP_TRUNCATED)
        outcome = await begun(demo, tmp_path)
        for name in MANAGERS:
            demo.world.hosts[name].faults.clear()
        await _again_only(demo, outcome, "dtr")


async def _again_only(demo: Demo, outcome: Outcome | None, kind: str) -> None:
    """What one product wrote is no archive: it is kept nowhere, and the run that is gone on with takes that one."""
    assert outcome is not None and outcome.error is not None
    assert f"is not whole: {kind.upper()} is not in it, " in outcome.error.what
    only = {each: entry.id for each, entry in by_kind().items()}
    assert set(only) == {"swarm", "ucp", "dtr"} - {kind}
    runs(demo)  # nothing of it lies on a host either: it may be full of secrets
    assert await resume(demo, RUN) == 0
    kept = by_kind()
    assert {each: kept[each].id for each in only} == only
    assert len({entry.whole.set for entry in kept.values()}) == 1
    assert [entry for entry in kept.values() if entry.would_restore == "no"] == []
    runs(demo)


@pytest.mark.full
async def test_an_archive_that_somebody_else_cleaned_up_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of UCP alone, taken meanwhile, has cleaned up what lay there; it is in no set."""
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert await begun(demo, tmp_path, "ucp/fetch/intent", kill) is None
        await asyncio.sleep(1.1)  # a backup is named after the second in which it was planned
        assert await swarmtui(demo, "run", "ucp.backup", "--yes", "--target", "simulated") == 0
        assert await resume(demo, RUN) == 0
        entries = [entry for entry in Catalogue().entries() if entry.whole.set]
        assert sorted(entry.kind for entry in entries) == ["dtr", "swarm", "ucp"]
        assert len({entry.whole.set for entry in entries}) == 1 and len(Catalogue().entries()) == 4
        runs(demo)
