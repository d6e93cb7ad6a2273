"""A run on the screen: it goes on when it is left, and what failed is retried, skipped with a reason, or stopped."""

from __future__ import annotations

import pytest

from tests.actions.cli import Cli
from tests.actions.conftest import Open
from tests.actions.truth import Truth
from tests.lab import Lab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab

CLOSED = ("DenyUsers root", "PasswordAuthentication no", "KbdInteractiveAuthentication no")
"""An sshd that lets nobody of ours in, and leaves nothing to ask a person."""


async def test_a_run_goes_on_when_its_screen_is_left(lab: Lab, truth: Truth, console: Open) -> None:
    truth.service("slow", 2, on=("wrk1", "wrk2"), grace=4)
    async with console() as driver:
        await driver.nodes().live().select("wrk1").press("D").confirm()
        await driver.here().at("run").sees("1 task still on wrk1: slow.").leave()
        await driver.here().header("▶ Drain wrk1 1/3")
        # One at a time; and leaving the console is asked about first.
        await driver.here().select("wrk2").press("D").told("Drain wrk1 is under way.")
        await driver.here().press("q").at("ask").sees("swarmtui run --resume").type("no").press("enter").at("main")
        assert truth.containers("wrk1") != []
        await driver.here().press("v").until_done()
        assert "▶" not in driver.header
        await driver.here().press("v").at("run").sees("Done and verified.").leave()
    assert truth.containers("wrk1") == []
    assert truth.availability("wrk2") == "active"


async def test_a_failed_step_is_retried_or_skipped_with_a_reason_which_is_kept(
    lab: Lab, cli: Cli, truth: Truth, console: Open
) -> None:
    truth.notices_soon()
    lab["wrk1"].sshd(*CLOSED)
    async with console() as driver:
        await driver.nodes().live().select("wrk1").press("X").confirm("wrk1")
        await driver.here().until_failed("wrk1 cannot be told to leave", "does not let root in")
        said = driver.words.count("cannot be told to leave")
        await driver.here().press("r")
        await driver.until("it failed again", lambda: driver.words.count("cannot be told to leave") > said)
        await driver.here().until_failed("does not let root in")
        assert lab["wrk1"].swarm_state() == "active"
        await driver.here().press("k").answer(" ").sees("A reason is needed.").answer("left by hand")
        lab["wrk1"].docker("swarm", "leave")
        await driver.here().until_done()
        assert driver.app.current_run is not None
        run = driver.app.current_run.id
    assert truth.names() == ["mgr1", "mgr2", "mgr3", "wrk2"]
    report = cli("journal", run).out
    assert "skipped" in report and "left by hand" in report


async def test_a_run_that_is_stopped_leaves_what_was_done_and_goes_on_later(
    lab: Lab, cli: Cli, truth: Truth, console: Open
) -> None:
    truth.service("slow", 3, on=("wrk1", "wrk2", "mgr3"), grace=3)
    async with console() as driver:
        await driver.nodes().live().mark("wrk1", "wrk2").press("D").confirm()
        await driver.here().at("run").sees("1 task still on wrk1: slow.").press("s")
        await driver.here().sees("Stopped between two steps, as you asked.", "swarmtui run --resume", within=20)
        assert driver.app.current_run is not None
        run = driver.app.current_run.id
        await driver.here().leave()
    assert (truth.availability("wrk1"), truth.availability("wrk2")) == ("drain", "active")
    assert "stopped" in cli("journal", run).out

    resumed = cli("run", "--resume", run, "--yes")
    assert resumed.code == 0, resumed
    assert truth.containers("wrk1") == truth.containers("wrk2") == []
    assert truth.availability("wrk2") == "drain"
    assert cli("run", "--resume", run, "--yes").code == 2  # done already


async def test_a_run_that_is_walked_out_on_goes_on_later(lab: Lab, cli: Cli, truth: Truth, console: Open) -> None:
    truth.service("slow", 2, on=("wrk1", "wrk2"), grace=5)
    async with console() as driver:
        await driver.nodes().live().select("wrk1").press("D").confirm().sees("still on wrk1").leave()
        assert driver.app.current_run is not None
        run = driver.app.current_run.id
        await driver.here().press("q").answer("yes")
        await driver.until("the console ends", lambda: driver.app.return_code == 0)
    assert "stopped" in cli("journal", run).out

    resumed = cli("run", "--resume", run, "--yes")
    assert resumed.code == 0, resumed
    assert truth.containers("wrk1") == []


async def test_what_somebody_else_changed_under_a_run_is_not_overwritten(lab: Lab, truth: Truth, console: Open) -> None:
    truth.service("slow", 3, on=("wrk1", "wrk2", "mgr3"), grace=4)
    async with console() as driver:
        await driver.nodes().live().mark("wrk1", "wrk2").press("D").confirm().sees("still on wrk1")
        truth.docker("node", "update", "--label-add", "owner=me", "wrk2")
        await driver.here().until_failed("Somebody else changed wrk2 after you confirmed", "owner=me")
        assert truth.availability("wrk2") == "active"
        # The other one takes it back: the plan fits again.
        truth.docker("node", "update", "--label-rm", "owner", "wrk2")
        await driver.here().press("r").until_done()
    wait_for("both empty", lambda: truth.containers("wrk1") == truth.containers("wrk2") == [])
    assert truth.availability("wrk2") == "drain"
