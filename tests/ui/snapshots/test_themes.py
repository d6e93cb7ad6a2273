"""Every theme, and a terminal that wants no colours, on what has the most colours."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmtui.ui.theme import THEMES
from tests.ui.snapshots.conftest import Compare
from tests.ui.snapshots.stage import MIDDLE, SMALL, Stage, console

LOOKS = (*THEMES, "no-colour")


@pytest.mark.parametrize("look", LOOKS)
async def test_theme(
    look: str, stage: Stage, compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if look == "no-colour":
        monkeypatch.setenv("NO_COLOR", "1")
    async with console(tmp_path, theme=look if look in THEMES else "dark") as driver:
        await driver.here().mark("wrk1").select("mgr3")
        await compare(driver, "nodes")
        await driver.here().press("escape").mark_is(0).select("mgr2").press("M").at("confirm")
        await compare(driver, "plan", (SMALL, MIDDLE))
        await driver.here().leave().press("a").at("reading")
        await compare(driver, "alarms", (SMALL,))
        await driver.here().leave().view("tasks").press("h").title("with what came before")
        await compare(driver, "tasks", (SMALL, MIDDLE))
        await driver.here().press("L").told("works on nodes")
        await driver.until("a message", lambda: driver.app.screen.query("Toast"))
        await compare(driver, "message", (SMALL,))


async def test_production_in_every_theme(stage: Stage, compare: Compare, tmp_path: Path) -> None:
    async with console(tmp_path, production=True) as driver:
        for name in THEMES:
            await driver.here().press("colon").type(f"theme {name}").press("enter")
            await driver.until(f"theme {name}", lambda name=name: driver.app.theme == THEMES[name].name)
            await compare(driver, name, (SMALL,))
