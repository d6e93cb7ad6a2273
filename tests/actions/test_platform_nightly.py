"""`swarmtui backups nightly --platform` on the simulated platform: one set, copied and pruned; a partial one is neither
proved nor a reason to prune."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swarmtui.backups.catalogue import Catalogue
from swarmtui.backups.offsite_path import MARK
from swarmtui.cli.backups import schedule
from swarmtui.cli.opened import opened
from swarmtui.config import load
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from tests.faults import ucp_stage as u
from tests.faults.strikes import swarmtui
from tests.platform.stage import MANAGERS, hurry


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


async def test_a_night_takes_one_set_and_one_that_is_partial_prunes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nas = tmp_path / "nas"
    nas.mkdir()
    (nas / MARK).touch()
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        with Path(demo.config).open("a") as config:
            config.write(f"\n[backups]\ncopies = ['{nas}']\nlast = 1\ndaily = 0\nweekly = 0\nmonthly = 0\n")
        night = ("backups", "nightly", "--target", "simulated", "--platform")
        accept = ("--accept", f"unencrypted-copy={nas}")
        assert await swarmtui(demo, *night, *accept) == 0
        said = capsys.readouterr()
        assert "Night of simulated: backup 0, set 0, verify 0, copy 0, prune 0, record 0. Exit 0." in said.out
        first = Catalogue().entries()
        assert sorted(entry.kind for entry in first) == ["dtr", "swarm", "ucp"]
        assert len({entry.whole.set for entry in first}) == 1
        assert all([copy.where for copy in entry.copies] == [str(nas)] for entry in first)

        for name in MANAGERS:
            demo.world.hosts[name].faults.add(faults.UCP_BACKUP_TRUNCATED)
        assert await swarmtui(demo, *night, *accept) == 1
        said = capsys.readouterr()
        assert "in it, and UCP is not. Nothing is pruned." in said.err and "== prune" not in said.out
        kept = {entry.id for entry in Catalogue().entries()}
        assert {entry.id for entry in first} < kept and len(kept) == 6

        for name in MANAGERS:
            demo.world.hosts[name].faults.clear()
        assert await swarmtui(demo, *night, *accept) == 0
        assert {entry.id for entry in first}.isdisjoint(entry.id for entry in Catalogue().entries())
        async with opened("cluster:simulated", load(Path(demo.config))) as session:
            assert await schedule._missing(session) == []


async def test_a_cluster_without_dtr_has_no_whole_set_and_says_how_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("no-dtr", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        # Where the configuration names one it is missed already by the backup.
        config = Path(demo.config)
        text, tables = re.subn(r"(?m)^\[clusters\.simulated\.dtr\]\n(?:(?!\[).*\n)*", "", config.read_text())
        assert tables == 1
        config.write_text(text)
        assert await swarmtui(demo, "backups", "nightly", "--target", "simulated", "--platform") == 1
        said = capsys.readouterr()
        assert "and DTR is not. Nothing is pruned." in said.err and "backed up with --ucp" in said.err
        assert "backup 0, set 1, record 0. Exit 1." in said.out
        async with opened("cluster:simulated", load(Path(demo.config))) as session:
            assert await schedule._missing(session) == ["DTR"]
