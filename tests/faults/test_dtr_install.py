"""dtr.install and dtr.join on the simulator, struck at every step: by kill -9 of ours, a cut connection, a reboot of
the host of the command, a reboot of the node that gets the replica.

Gone on with, the replica is there once and well; or the run says what was left and how to be rid of it, and after that
it can be gone on with. No half replica, job, or secret is left on any host.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from swarmtui.demo.platform.dtr import Replica
from swarmtui.demo.serve import Demo
from swarmtui.demo.world import faults
from swarmtui.runbooks import node_steps
from swarmtui.runbooks.dtr import running
from swarmtui.runbooks.image import job as image_job
from tests.faults import dtr_stage as d
from tests.faults import ucp_stage as u
from tests.faults.strikes import cases, resume, swarmtui

RUN = "20261122T084003Z-faults-0021"
REPLICA, SECOND = "00000000000a", "00000000000b"
INSTALL: dict[str, Any] = {"version": "2.4.1", "node": "dtr1", "url": d.URL, "storage": d.STORAGE, "replica": REPLICA}
JOIN: dict[str, Any] = {"node": "wrk6", "replica": SECOND}
LAST = ("--accept", f"dtr-last-data={REPLICA}")
"""Nobody else has a copy of its database, and that has to be said."""
BEGUN, LATE = "Connecting to UCP", "Starting all containers..."
HALF, SECOND_HALF = (f"Creating dtr-rethinkdb-{replica}..." for replica in (REPLICA, SECOND))
"""Its database is there and nothing else yet; LATE: all of it is there, and belongs to nothing."""
INSTALLS = [
    *cases(
        d.on_two_hosts("dtr1"),
        ("install", "clear-job"),
        [("kill", "install/intent"), ("reboot", "install/effect")],
    ),
    *cases(d.on_two_hosts("dtr1"), (BEGUN, HALF, LATE), [("kill", HALF), ("node", HALF)], points=()),
]
JOINS = [
    *cases(
        d.on_two_hosts("wrk6"),
        ("join", "balancer", "clear-job"),
        [("cut", "balancer/intent")],
    ),
    *cases(
        d.on_two_hosts("wrk6"),
        (BEGUN, SECOND_HALF, LATE),
        [("kill", LATE), ("node", SECOND_HALF), ("node", LATE)],
        points=(),
    ),
]
"""What is waited for after the work is well by then on the simulator: there is nothing to strike."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_job, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(node_steps, "POLL_SECONDS", 0.05)
    # What a broken try left runs too after a reboot, and is looked at that long before it is told.
    monkeypatch.setattr(running, "SETTLE_SECONDS", 5.0)


@pytest.mark.parametrize(("strike", "case"), INSTALLS)
async def test_dtr_is_installed_once(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("no-dtr", speed=40, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        by = d.on_two_hosts("dtr1")[strike]
        if await d.struck(demo, tmp_path, RUN, "dtr.install", case, by, **INSTALL):
            await d.cleaned(demo, RUN, REPLICA, capsys.readouterr().err, *LAST)
        await d.whole(demo, "dtr1")
        assert d.leaks(demo, capsys.readouterr().out) == []


@pytest.mark.parametrize(("strike", "case"), JOINS)
async def test_a_replica_joins_once(
    strike: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=40, seed=1, nodes=12) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        by = d.on_two_hosts("wrk6")[strike]
        if await d.struck(demo, tmp_path, RUN, "dtr.join", case, by, **JOIN):
            await d.cleaned(demo, RUN, SECOND, capsys.readouterr().err)
        await d.whole(demo, "dtr1", "dtr2", "dtr3", "wrk6")
        assert d.leaks(demo, capsys.readouterr().out) == []


@pytest.mark.parametrize("quiet", [False, True], ids=["exit-1", "exit-0"])
async def test_what_a_failed_install_left_is_told_and_cleaned(
    quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("no-dtr", speed=40, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        node = demo.world.hosts["dtr1"]
        node.faults.add(faults.DTR_PHASE2_FAILS)
        if quiet:
            demo.world.hosts[d.AT].faults.add(faults.DTR_FATAL_EXITS_0)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.install", "", None, **INSTALL)
        assert outcome is not None and outcome.error is not None and outcome.step == "install"
        assert "`install` of DTR 2.4.1 failed on mgr1" in outcome.error.what
        assert "context deadline exceeded" in outcome.error.what
        node.faults.clear()
        assert await resume(demo, RUN) != 0, "it must not install over what is there"
        await d.cleaned(demo, RUN, REPLICA, capsys.readouterr().err, *LAST)
        await d.whole(demo, "dtr1")


async def test_why_it_failed_is_told_while_its_node_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("no-dtr", speed=40, seed=1) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        node = demo.world.hosts["dtr1"]

        def off(demo: Demo) -> None:
            demo.world.crash(node)

        outcome = await u.run(demo, tmp_path, RUN, "dtr.install", HALF, off, **INSTALL)
        assert outcome is not None and outcome.error is not None and outcome.step == "install"
        assert "`install` of DTR 2.4.1 failed on mgr1: phase 2 on dtr1 ended unexpectedly" in outcome.error.what
        assert "What it left on dtr1 cannot be seen" in outcome.error.next_step, outcome.error.next_step
        demo.world.boot(node)
        await d.settled(lambda: node.running, lambda: "dtr1 does not come back")
        assert await resume(demo, RUN) != 0
        await d.cleaned(demo, RUN, REPLICA, capsys.readouterr().err, *LAST)
        await d.whole(demo, "dtr1")


async def test_half_a_replica_that_is_counted_in_is_removed_and_not_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=40, seed=1, nodes=12) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        dtr, node = demo.world.dtr, demo.world.hosts["wrk6"]
        assert dtr is not None
        node.faults.add(faults.DTR_PHASE2_FAILS)
        outcome = await u.run(demo, tmp_path, RUN, "dtr.join", "", None, **JOIN)
        assert outcome is not None and outcome.error is not None and outcome.step == "join"
        assert "DTR does not count it in" in outcome.error.next_step, outcome.error.next_step
        assert f"dtr.destroy replica={SECOND}" in outcome.error.next_step
        node.faults.clear()
        # Where its database was let in before the rest failed, the others wait for it.
        dtr.replicas[SECOND] = Replica(SECOND, "wrk6", seen=demo.world.kernel.now())
        assert await resume(demo, RUN) != 0
        told = capsys.readouterr().err
        assert "DTR counts it in already" in told and f"dtr.remove replica={SECOND}" in told, told
        assert "dtr.destroy" not in told
        assert await swarmtui(demo, "run", "dtr.remove", f"replica={SECOND}", *d.THERE) == 0
        assert await resume(demo, RUN) == 0
        await d.whole(demo, "dtr1", "dtr2", "dtr3", "wrk6")


async def test_nobody_joins_beside_a_replica_that_is_sick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Demo("platform", speed=40, seed=1, nodes=12) as demo:
        u.secrets(demo, tmp_path / "kept", monkeypatch)
        assert demo.world.dtr is not None
        sick = demo.world.dtr.replicas["a6a628053157"]
        sick.sick = "garant: connection refused"
        assert await swarmtui(demo, "run", "dtr.join", "node=wrk6", *d.THERE) != 0
        told = capsys.readouterr().err
        assert "garant: connection refused" in told and "dtr.remove replica=a6a628053157" in told
        sick.sick = ""
        await d.whole(demo, "dtr1", "dtr2", "dtr3")
