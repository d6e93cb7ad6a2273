"""Backups of DTR: neither the administrator's password nor what they are encrypted with is in any file, journal, plan,
screen or process of ours, however much DTR talks. The password has no other way in than the environment of the image's
own process, which here is a simulated one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmtui.demo.platform.dtr_call import DtrCall
from swarmtui.demo.serve import Demo
from swarmtui.runbooks.image import job as image_job
from tests.faults import dtr_backups as d
from tests.faults import ucp_stage as u
from tests.leaks.harness import Leaks

PASSPHRASE = "planted-backup-passphrase-0815"
RUN = "20261122T041004Z-leaks-0020"


async def test_a_backup_and_its_restore(leaks: Leaks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet: Any = DtrCall.ucp

    def talks(call: DtrCall) -> Any:
        call.log.info(f"Logging in with {call.given['ucp-password']}")
        return quiet(call)

    monkeypatch.setattr(DtrCall, "ucp", talks)
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    told: list[str] = []
    async with Demo("platform", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert demo.world.ucp is not None
        (tmp_path / "kept" / f"swarmtui.backup-passphrase.{demo.world.ucp.cluster.id}").write_text(PASSPHRASE)
        leaks.secret("the passphrase", PASSPHRASE)
        leaks.secret("the administrator's password", demo.platform["admin"]["password"])
        for number, name in enumerate(("dtr.backup", "dtr.restore")):
            outcome = await u.run(demo, tmp_path, RUN.replace("0020", f"002{number}"), name, told=told)
            assert outcome is not None and outcome.ok
            if name == "dtr.backup":
                assert d.manifest(d.kept()[0])["encrypted"] == "passphrase"
                d.lose(demo)
    assert sum("Logging in with (hidden)" in line for line in told) >= 2
    for line in told:
        leaks.seen("what the run said", line)
