"""ucp.join on the simulator: the next node only comes when UCP on this one is well."""

from __future__ import annotations

import pytest

from swarmtui.demo.serve import Demo
from tests.faults.strikes import swarmtui

THERE = ("--target", "simulated", "--yes")
JOIN = ("run", "ucp.join", "host=ssh://wrk2")


async def test_a_manager_is_waited_for_until_its_web_server_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    async with Demo("platform-3", speed=40, seed=1, nodes=5) as demo:
        assert await swarmtui(demo, "run", "node.remove", "node=wrk2", *THERE) == 0
        assert demo.world.ucp is not None
        demo.world.ucp.sick["mgr2"] = "RethinkDB Health check timed out"
        assert await swarmtui(demo, *JOIN, "role=manager", *THERE) != 0
        assert "ucp-unhealthy=wrk2" in capsys.readouterr().err
        demo.world.ucp.sick.clear()
        assert await swarmtui(demo, *JOIN, "role=manager", *THERE) == 0, capsys.readouterr().err
        told = capsys.readouterr().out
        assert "UCP on wrk2: not yet" in told and "UCP on wrk2 is well." in told
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
