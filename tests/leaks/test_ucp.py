"""Backups of UCP: its passphrase is in no file, journal, plan, screen or process of ours, however much UCP talks.

Where it must be: in what the operator keeps; and, as 2.2 documents no other way (ucp-dtr.md §1.5), in the arguments of
the image's own process on the manager, which here is a simulated one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmtui.demo.platform import ucp_recovery
from swarmtui.demo.serve import Demo
from swarmtui.model.ucp import logs
from swarmtui.runbooks.image import job as image_job
from tests.faults import ucp_stage as u
from tests.leaks.harness import Leaks, watched

RUN = "20261122T041004Z-leaks-0006"


@pytest.fixture
def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A UCP that says its passphrase in its log."""
    quiet: Any = ucp_recovery._stopped

    async def talks(call: Any, ucp: Any, passphrase: str) -> None:
        call.log.info(f"Sealing the archive with {passphrase}")
        await quiet(call, ucp, passphrase)

    monkeypatch.setattr(ucp_recovery, "_stopped", talks)
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)


async def test_a_backup_and_its_restore(
    chatty: None, leaks: Leaks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaks.secret("UCP's passphrase", u.PASSPHRASE)
    told: list[str] = []
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        leaks.secret("the administrator's password", demo.platform["admin"]["password"])
        for number, name in enumerate(("ucp.backup", "ucp.restore")):
            outcome = await u.run(demo, tmp_path, RUN.replace("0006", f"001{number}"), name, told=told)
            assert outcome is not None and outcome.ok
    assert any("Sealing the archive with (hidden)" in line for line in told)
    for line in told:
        leaks.seen("what the run said", line)


async def test_what_nobody_hides_is_found(
    chatty: None, private_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: a product that shows and keeps what UCP says as it is."""
    monkeypatch.setattr(image_job, "_read", lambda output, hidden: logs.read(output))
    with watched() as leaks:
        leaks.below(private_folders)
        leaks.secret("UCP's passphrase", u.PASSPHRASE)
        async with Demo("platform", speed=50, seed=1) as demo:
            u.secrets(demo, tmp_path / "kept", monkeypatch)
            told: list[str] = []
            outcome = await u.run(demo, tmp_path, RUN, "ucp.backup", told=told, node="mgr1")
            assert outcome is not None and outcome.ok
        for line in told:
            leaks.seen("what the run said", line)
        assert {find.where for find in leaks.finds()} == {"what the run said"}
