"""The start page: one cluster lives, one is production, one refuses, one never answers, one is the same twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from swarmtui.ui.theme import THEMES
from tests.driver import Driver
from tests.ui.clusters import Site, line, reads, shown
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import MIDDLE, SMALL, Stage, keep_key


@asynccontextmanager
async def page(stage: Stage, folder: Path, theme: str = "dark") -> AsyncIterator[Driver]:
    stage.refused.add("refuses")
    stage.silent.add("silent")
    await keep_key(stage.vault)
    site = Site(folder)
    site.name("prod", managers=["ssh://root@mgr1"], production=True)
    site.name("same-as-prod", managers=["ssh://root@mgr1.alias"])
    site.name("refuses", managers=["ssh://root@refuses"])
    site.name("silent", managers=["ssh://root@silent"])
    site.name("nowhere", bundle="/nowhere")
    async with shown(site.fleet(), SMALL, theme=theme) as driver:
        await reads(driver, "prod", "live", "survives 0", "! 8")
        await reads(driver, "same-as-prod", "live", "survives 0", "! 8")
        await reads(driver, "nowhere", "misconfigured")
        await driver.until("refused", lambda: "connecting" not in line(driver, "refuses"))
        yield driver


async def test_page(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with page(stage, tmp_path) as driver:
        await compare(driver)
        await driver.here().press("down", "down")
        await compare(driver, "refused", (SMALL, MIDDLE))
        await driver.here().press("d").sees("refuses")
        await compare(driver, "described", (SMALL, MIDDLE))
        await driver.here().press("escape", "question_mark").sees("Keys of the clusters")
        await compare(driver, "keys", (SMALL, MIDDLE))


@pytest.mark.parametrize("theme", THEMES)
async def test_theme(theme: str, stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with page(stage, tmp_path, theme) as driver:
        await compare(driver, sizes=(SMALL,))
