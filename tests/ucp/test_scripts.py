"""What the runbooks of UCP would type on a simulated cluster, read by the oracle: nothing undocumented, no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from tests.faults.strikes import swarmtui
from tests.faults.ucp_stage import PASSPHRASE, secrets
from tests.ucp.oracle import check, runs_in

THERE = ("--target", "simulated", "--script")


@pytest.mark.parametrize(
    ("scenario", "version"), [("platform", "2.2.5"), ("platform-3", "3.2.7"), ("platform-mke", "3.4.5")]
)
async def test_every_command_line_is_documented(
    scenario: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo(scenario, speed=40, seed=1, nodes=9 if scenario == "platform" else 4) as demo:
        secrets(demo, tmp_path / "credentials", monkeypatch)
        monkeypatch.setenv("JIM", "a password of jim")
        # There must be one to restore.
        assert await swarmtui(demo, "run", "ucp.backup", "--target", "simulated", "--yes") == 0
        capsys.readouterr()
        found: dict[str, list[str]] = {}
        for name, *given in (
            ("ucp.backup",),
            ("ucp.restore",),
            ("ucp.uninstall",),
            ("ucp.bundle", f"to={tmp_path / 'bundle'}"),
            ("ucp.user", "name=jim", "password-from=env:JIM"),
        ):
            code = await swarmtui(demo, "run", name, *given, *THERE)
            told = capsys.readouterr()
            assert code == 0, told.err
            assert PASSPHRASE not in told.out and demo.platform["admin"]["password"] not in told.out
            runs = runs_in(told.out)
            for run in runs:
                assert run.version == version
                check(run)
            found[name] = [run.command for run in runs]
        assert "backup" in found["ucp.backup"]
        assert {"uninstall-ucp", "restore"} <= set(found["ucp.restore"])
        assert found["ucp.uninstall"] == ["uninstall-ucp"]
