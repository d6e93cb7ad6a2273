"""Every view at every size, and the description of one of its rows. The backups: test_backups; UCP: test_ucp."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.ui.views import ENTRIES
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import MIDDLE, SMALL, Stage, console, journals

DESCRIBED = {
    "nodes": "mgr2",
    "services": "shop_web",
    "tasks": "shop_reports.1",
    "stacks": "shop",
    "networks": "shop_back",
    "volumes": "shop_db",
    "secrets": "shop_db-password",
    "configs": "shop_web.conf",
    "swarm": "Unlock key",
}
"""Where the cursor is; on the first row elsewhere."""


@pytest.mark.parametrize("view", [entry.name for entry in ENTRIES if entry.name not in ("backups", "ucp", "dtr")])
async def test_pane(view: str, stage: Stage, compare: Compare, tmp_path: Path) -> None:
    journals(tmp_path / "journal")
    async with console(tmp_path) as driver:
        await driver.here().view(view)
        table = driver.app.main.table(view)
        assert table is not None
        await driver.until(f"{view} derived", lambda: not table.dim and table.rows)
        await compare(driver)
        if view in DESCRIBED:
            await driver.here().select(DESCRIBED[view])
        await driver.here().press("d").at("reading")
        await compare(driver, "described", (SMALL, MIDDLE))
