"""A manager is lost: the console says so, shows how old its data is, and goes on through another one by itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarmtui.config import load
from tests.actions.cli import Cli
from tests.actions.conftest import Open
from tests.actions.truth import Truth
from tests.driver import Driver
from tests.lab import Host, Lab
from tests.lab.machine import wait_for

pytestmark = pytest.mark.lab

NOTICED_SECONDS = 25.0
"""A connection on which nothing comes any more counts as lost after 20 s; one that is closed at once."""
ELECTION_SECONDS = 60.0
CLOSED = ("DenyUsers root", "PasswordAuthentication no", "KbdInteractiveAuthentication no")


def colours(driver: Driver, name: str) -> set[str]:
    """Colours of what is written in the row of a node."""
    line = driver.lines.index(driver.row(name))
    return {str(s.style.color) for s in driver.painted[line] if s.style is not None and s.text.strip()}


async def follow(driver: Driver, used: Host, lose: Callable[[], None]) -> None:
    """Loses the manager in use under a drain of wrk1, and sees the console go on through another one."""
    await driver.nodes().header(f"via root@{used.address}").live().shows(used.name, "←")
    await driver.here().select("wrk1").press("D").confirm().sees("still on wrk1: slow").leave()

    lost = time.monotonic()
    lose()
    await driver.here().header("NOT CONNECTED", within=NOTICED_SECONDS)
    noticed = time.monotonic() - lost
    await driver.here().live(within=ELECTION_SECONDS)
    print(f"{used.name}: noticed after {noticed:.1f} s, live again after {time.monotonic() - lost:.1f} s")
    through = re.search(r"via (\S+)", driver.header)
    assert through and through[1] in {"root@mgr1", "root@mgr2", "root@mgr3"} - {f"root@{used.name}"}
    await driver.here().header(f"Moved from root@{used.address} to {through[1]}")
    await driver.here().header("2/3 managers, survives no loss", within=ELECTION_SECONDS)
    await driver.here().shows(used.name, "Unreachable", within=ELECTION_SECONDS)
    await driver.here().press("v").until_done()


async def test_the_leader_loses_power_under_two_drains(lab: Lab, cli: Cli, truth: Truth, console: Open) -> None:
    assert truth.leader() == "mgr1"
    truth.by = "mgr3"
    truth.service("slow", 3, on=("wrk1", "wrk2", "mgr3"), grace=10)
    with cli.started("node.drain", "node=wrk2") as run:  # without a screen, through the same manager
        run.until("still on wrk2: slow")
        async with console() as driver:
            await follow(driver, lab["mgr1"], lab["mgr1"].power_off)
        end = run.end()
    assert end.code == 0, end
    assert re.search(rf"Moved from root@{re.escape(lab['mgr1'].address)} to root@mgr[23]\.", end.out), end
    assert truth.containers("wrk1") == truth.containers("wrk2") == []
    assert truth.placed("slow") == ["mgr3"] * 3
    assert truth.availability("wrk1") == truth.availability("wrk2") == "drain"


async def test_the_cable_of_a_manager_is_cut_under_a_drain(lab: Lab, truth: Truth, console: Open) -> None:
    truth.service("slow", 2, on=("wrk1", "wrk2"), grace=25)
    async with console(lab["mgr2"].target) as driver:
        await follow(driver, lab["mgr2"], lab["mgr2"].cut)
    assert truth.containers("wrk1") == []
    assert truth.placed("slow") == ["wrk2", "wrk2"]


async def test_old_data_is_dimmed_and_tells_its_age_until_somebody_answers(
    lab: Lab, truth: Truth, console: Open
) -> None:
    for name in ("mgr1", "mgr3"):  # nobody to go on through
        lab[name].sshd(*CLOSED)
    async with console(lab["mgr2"].target) as driver:
        await driver.nodes().live().shows(truth.leader(), "Leader")
        await driver.until("the rows have their colours", lambda: len(colours(driver, "mgr1")) > 1, 10)

        lab["mgr2"].stop_docker()
        await driver.here().header("NOT CONNECTED", within=NOTICED_SECONDS)
        await driver.until("the rows are dimmed", lambda: len(colours(driver, "mgr1")) == 1, 10)
        await driver.until("its age", lambda: re.search(r"data \d+ s old", driver.header), 20)
        await driver.here().contains("mgr1", "wrk1").select("wrk1").press("D").told("There is no connection")
        await (
            driver.here()
            .press("i")
            .at("reading")
            .sees("Docker is not running on", "does not let root in", within=30)
            .leave()
        )

        lab["mgr2"].start_docker()
        await driver.here().live(within=40).header("no alarms", within=ELECTION_SECONDS).shows("mgr2", "←")
        assert "Moved" not in driver.header  # it is the same manager, whatever name it was tried by
        await driver.until("the rows have their colours", lambda: len(colours(driver, "mgr1")) > 1, 10)
        assert "NOT CONNECTED" not in driver.header
        await driver.here().select("wrk1").press("S").confirm().until_done()
    assert truth.availability("wrk1") == "pause"


async def test_it_opens_when_nobody_answers_and_recovers_by_itself(
    lab: Lab, truth: Truth, console: Open, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[clusters.night]\nmanagers = ["{lab["mgr2"].target}", "{lab["mgr3"].target}"]\nproduction = true\n'
    )
    lab["mgr2"].stop_docker()
    lab["mgr3"].power_off()
    async with console("night", config=load(config)) as driver:
        await driver.here().header("PRODUCTION", "night", "connecting", "trying again", within=25)
        await driver.here().sees("Nobody answers yet: press i for what was tried.")
        await driver.here().press("i").at("reading")
        await driver.here().sees(f"Docker is not running on {lab['mgr2'].address}", lab["mgr3"].address).leave()
        await driver.here().press("D").press("a").told("Nothing is known of the cluster yet.")

        lab["mgr2"].start_docker()
        await driver.here().live(within=40).contains("mgr1", "wrk1").shows("mgr2", "←")
        await driver.here().header("2/3 managers, survives no loss")


async def test_without_a_quorum_nothing_is_changed_and_that_is_said(
    lab: Lab, cli: Cli, truth: Truth, console: Open
) -> None:
    async with console() as driver:
        await driver.nodes().live().header("3/3 managers")
        for name in ("mgr2", "mgr3"):
            lab[name].power_off()
        await driver.here().header("quorum LOST", within=ELECTION_SECONDS)
        await driver.here().press("a").at("reading").sees("The Swarm has no quorum: nothing can be changed.").leave()
        await driver.here().select("wrk1").press("D").told("quorum", within=40)
        assert driver.screen == "main"

        told = cli("status", cli.target)
        assert told.code == 2, told
        assert "quorum-lost" in told.out
        refused = cli.run("node.drain", "node=wrk1", "--yes")
        assert refused.code in (3, 4), refused
        assert "quorum" in refused.err or "no leader" in refused.err

        lab["mgr2"].power_on()
        await driver.here().header("2/3 managers, survives no loss", "leader mgr", within=ELECTION_SECONDS).live()
        await driver.here().select("wrk1").press("D").confirm().until_done()
    wait_for("drained", lambda: truth.availability("wrk1") == "drain")
