"""platform.recover on the simulated platform of which nothing is left: killed and cut off at points of every part."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from tests.faults import ucp_stage as u
from tests.faults.strikes import Strike, cut, kill, resume
from tests.platform.stage import REPLICAS, WELL, destroy_all, dtr_nodes, hurry, ucp_ill

RUN = "20261122T084003Z-platform.recover-0002"
KILLS = (
    "swarm/unpack/effect",
    "swarm/force/intent",
    "swarm/backup/effect",
    "check-swarm/effect",
    "look-ucp/effect",
    "ucp/intent",
    "ucp/proof",
    "ucp/uninstall/effect",
    "ucp/restore/effect",
    "check-ucp/proof",
    "dtr/intent",
    "dtr/restore/intent",
    "dtr/restore/effect",
    "dtr-dtr2/proof",
    "check-dtr/effect",
)
CUTS = ("swarm/compare/intent", "ucp/restore/intent", "dtr/restore/intent")


@pytest.mark.full
@pytest.mark.parametrize(("case", "strike"), [*((case, kill) for case in KILLS), *((case, cut) for case in CUTS)])
async def test_struck_and_gone_on_with(
    case: str, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        had = u.accounts(demo)
        outcome = await u.run(demo, tmp_path, RUN.replace("recover-0002", "backup-0001"), "platform.backup")
        assert outcome is not None and outcome.ok
        destroy_all(demo)
        outcome = await u.run(demo, tmp_path, RUN, "platform.recover", case, strike, host="ssh://mgr2")
        if outcome is None or not outcome.ok:
            assert await resume(demo, RUN) == 0
        assert u.accounts(demo) == had and ucp_ill(demo) == WELL and dtr_nodes(demo) == list(REPLICAS)
        assert u.left_on_hosts(demo) == []
