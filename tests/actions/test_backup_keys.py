"""Backups by keyboard on real engines: taken from the node under the cursor, proved, looked into, compared."""

from __future__ import annotations

import pytest

from tests.actions.backups import check_taken, some_content, the_only
from tests.actions.conftest import Open
from tests.actions.truth import Truth
from tests.lab import Lab


@pytest.mark.lab
async def test_a_backup_from_the_node_under_the_cursor(lab: Lab, console: Open, truth: Truth) -> None:
    some_content(truth)
    node = next(name for name in ("mgr3", "mgr2") if name != truth.leader())
    async with console(size=(80, 24)) as driver:
        await driver.nodes().live(within=30).select("wrk1").press("B").told("wrk1 is a worker")
        await driver.nodes().select(node).press("B").dialog(f"from {node}", "survives no loss").confirm()
        await driver.here().until_done(within=180)
        one = the_only()
        check_taken(one, lab, truth)
        await driver.here().view("backups").title("Backups (1)").header("backup <1 h", within=60)
        await driver.until("proved", lambda: driver.row(one.folder.name).split()[3:6] == ["yes", "cold", "4/5"])
        await driver.here().press("o").sees("Opened, and read to its end.", f"{node} manager, active").leave()
        await driver.here().press("s").sees("Nothing changed").leave()
        truth.docker("node", "update", "--label-add", "rack=7", "wrk1")
        await driver.here().press("s").sees("~ wrk1 changed", "label rack: (none) → 7").leave()
        await driver.here().press("p").sees("1 would restore.").leave()
