"""ucp.join on the simulator: the next node only comes when UCP on this one is well."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.demo.serve import Demo
from tests.faults.strikes import swarmtui
from tests.faults.ucp_stage import run

THERE = ("--target", "simulated", "--yes")
RUN = "20261122T041004Z-ucp-0006"
JOIN = ("run", "ucp.join", "host=ssh://wrk2")


def well(demo: Demo) -> None:
    """Whatever was not well, is."""
    assert demo.world.ucp is not None
    demo.world.ucp.sick.clear()


async def test_a_manager_is_waited_for_until_its_web_server_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform-3", speed=40, seed=1, nodes=5) as demo:
        assert await swarmtui(demo, "run", "node.remove", "node=wrk2", *THERE) == 0
        assert demo.world.ucp is not None
        demo.world.ucp.sick["mgr2"] = "RethinkDB Health check timed out"
        assert await swarmtui(demo, *JOIN, "role=manager", *THERE) != 0
        assert "ucp-unhealthy=wrk2" in capsys.readouterr().err
        demo.world.ucp.sick.clear()
        demo.world.ucp.sick["wrk2"] = "etcd is not there yet"
        told: list[str] = []
        # Only once it waits, and not by the clock, the new one gets well.
        outcome = await run(
            demo, tmp_path, RUN, "ucp.join", "well/intent", well, told=told, host="ssh://wrk2", role="manager"
        )
        assert outcome is not None and outcome.ok
        assert any("UCP on wrk2 is well." in line for line in told)
        host = demo.world.hosts["wrk2"]
        assert host.swarm is not None and host.swarm.role == "manager"
        assert not demo.world.ucp.ill(host)
        assert await swarmtui(demo, *JOIN, "role=manager", *THERE) == 0, "it is there already"


async def test_nobody_joins_while_ucp_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("platform", speed=40, seed=1, nodes=9) as demo:
        assert await swarmtui(demo, "run", "node.remove", "node=wrk2", *THERE) == 0
        assert await swarmtui(demo, "run", "ucp.uninstall", *THERE) == 0
        capsys.readouterr()
        assert await swarmtui(demo, *JOIN, *THERE) != 0
        told = capsys.readouterr().err
        assert "No UCP runs on simulated" in told and "no host can join until UCP is back" in told
