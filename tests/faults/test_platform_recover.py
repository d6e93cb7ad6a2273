"""platform.recover on the simulated platform of which nothing is left: killed and cut off at points of every part."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from tests.faults import dtr_backups as d
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
CUTS = ("swarm/compare/intent", "ucp/proof", "ucp/restore/intent", "dtr/proof", "dtr/restore/intent")
CASES = [*((case, kill) for case in KILLS), *((case, cut) for case in CUTS)]
ALWAYS = (("ucp/uninstall/effect", kill), ("dtr-dtr2/proof", kill), ("ucp/proof", cut))
"""Also where not the full matrix is asked for."""


def named(case: tuple[str, Strike]) -> str:
    """The name of a case: a hyphen would end it."""
    return f"{case[1].__name__} {case[0]}".replace("-", "_")


@pytest.mark.full(*(named(case) for case in CASES if case not in ALWAYS))
@pytest.mark.parametrize(("case", "strike"), [pytest.param(*case, id=named(case)) for case in CASES])
async def test_struck_and_gone_on_with(
    case: str, strike: Strike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    async with Demo("platform-3", speed=50, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        (before,) = demo.world.clusters
        had, services = u.accounts(demo), sorted(service.name for service in before.services.values())
        outcome = await u.run(demo, tmp_path, RUN.replace("recover-0002", "backup-0001"), "platform.backup")
        assert outcome is not None and outcome.ok
        destroy_all(demo)
        outcome = await u.run(demo, tmp_path, RUN, "platform.recover", case, strike, host="ssh://mgr2")
        if strike is kill:
            assert outcome is None and await resume(demo, RUN) == 0
        else:
            assert outcome is not None and outcome.ok, outcome  # what was lost is made again
        assert u.accounts(demo) == had and ucp_ill(demo) == WELL and dtr_nodes(demo) == list(REPLICAS)
        assert demo.world.ucp is not None
        now = demo.world.ucp.cluster
        assert now.id == before.id and sorted(service.name for service in now.services.values()) == services
        assert u.left_on_hosts(demo) == [] and d.left_on_hosts(demo) == []
