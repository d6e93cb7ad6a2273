"""A yes is bound to what was shown: the object, its Spec and the impact. Meanwhile others work on the same cluster."""

from __future__ import annotations

import pytest

from tests.actions.conftest import Open
from tests.actions.truth import Truth
from tests.driver import Driver
from tests.lab import Lab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab

CHANGED = "the cluster changed while you looked"


def under_the_cursor(driver: Driver) -> str:
    """Name of the node under the cursor."""
    table = driver.app.main.table("nodes")
    assert table is not None and table.cursor_row is not None
    return table.cursor_row[0].text.removesuffix(" ←")


async def test_it_asks_again_when_the_node_was_changed_and_a_no_then_changes_nothing(
    lab: Lab, truth: Truth, console: Open
) -> None:
    async with console() as driver:
        await driver.nodes().live().select("wrk1").press("D").dialog("Drain wrk1")
        assert CHANGED not in driver.words
        truth.docker("node", "update", "--label-add", "note=hands-off", "wrk1")
        await driver.here().press("y").dialog(CHANGED).leave()
        assert truth.availability("wrk1") == "active"

        # Done by somebody else meanwhile: there is nothing left to do.
        await driver.here().press("D").dialog("Drain wrk1")
        truth.docker("node", "update", "--availability", "drain", "wrk1")
        await driver.here().press("y").at("main").told("wrk1 already is drained")
        assert truth.labels("wrk1") == {"note": "hands-off"}


async def test_it_asks_again_when_another_operator_takes_away_a_manager(lab: Lab, truth: Truth, console: Open) -> None:
    truth.docker("node", "promote", "wrk1", "wrk2")
    wait_for("five managers", lambda: truth.managers() == ["mgr1", "mgr2", "mgr3", "wrk1", "wrk2"])
    async with console() as driver:
        # mgr3 of five: the tolerance sinks, which one key may confirm.
        await driver.nodes().header("5/5 managers").select("mgr3").press("M").dialog("now: 5/5", "after: 4/4")
        truth.docker("node", "demote", "wrk1", "wrk2")
        wait_for("three managers", lambda: len(truth.managers()) == 3)
        # The same yes would now give away the last loss that the Swarm survives.
        await driver.here().press("y").dialog(CHANGED, "SAFETY RULE tolerance=mgr3", "now: 3/3", "after: 2/2").leave()
        assert truth.role("mgr3") == "manager"


async def test_it_asks_again_when_a_manager_dies_which_changes_no_version(
    lab: Lab, truth: Truth, console: Open
) -> None:
    async with console() as driver:
        await driver.nodes().live().select("mgr2").press("M").dialog("SAFETY RULE tolerance=mgr2", "now: 3/3")
        version = truth.node("mgr2")["Version"]
        lab["mgr3"].power_off()
        wait_for("mgr3 is unreachable", lambda: truth.reachability("mgr3") == "unreachable", 30, 0.1)
        assert truth.node("mgr2")["Version"] == version and truth.node("mgr2")["Spec"]["Role"] == "manager"
        await driver.here().confirm("mgr2").dialog(CHANGED, "SAFETY RULE quorum=mgr2", "now: 2/3", "LOST").leave()
        await driver.here().header("2/3 managers, survives no loss")
    assert truth.role("mgr2") == "manager"


async def test_rows_that_move_never_bring_another_node_under_a_yes(lab: Lab, truth: Truth, console: Open) -> None:
    async with console() as driver:
        # Sorted by availability: whoever is drained goes below the others, and lets the rest move up.
        await driver.nodes().live().press("greater_than_sign", "greater_than_sign").sees("AVAIL▲").select("mgr3")
        before = [line for line in driver.lines if "10.77." in line and "via" not in line]
        truth.docker("node", "update", "--availability", "drain", "mgr1")
        await driver.here().shows("mgr1", "drain")
        after = [line for line in driver.lines if "10.77." in line and "via" not in line]
        assert [line.split()[0] for line in before] != [line.split()[0] for line in after]
        assert under_the_cursor(driver) == "mgr3"

        await driver.here().press("S").dialog("Pause mgr3")
        truth.docker("node", "update", "--availability", "active", "mgr1")
        truth.docker("node", "update", "--availability", "drain", "mgr2")
        await driver.here().confirm().until_done()
        assert under_the_cursor(driver) == "mgr3"
    assert {name: truth.availability(name) for name in truth.names()} == {
        "mgr1": "active",
        "mgr2": "drain",
        "mgr3": "pause",
        "wrk1": "active",
        "wrk2": "active",
    }


async def test_a_node_that_goes_away_under_the_question_is_told(lab: Lab, truth: Truth, console: Open) -> None:
    gone = truth.id("wrk1")
    async with console() as driver:
        await driver.nodes().live().mark("wrk1").select("wrk2").press("D").dialog("Drain wrk1")
        truth.docker("node", "rm", "--force", "wrk1")
        await driver.here().press("y").at("main").told("There is no node", gone)
        await driver.nodes().lacks("wrk1").mark_is(0)
        # The mark is gone with its node: what is under the cursor is next, and is asked about anew.
        assert under_the_cursor(driver) == "wrk2"
    assert [truth.availability(name) for name in truth.names()] == ["active"] * 4
