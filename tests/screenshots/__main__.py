"""Draws screenshots/*.svg from the simulated cluster: `make screenshots`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.opening import find
from tests.driver import Driver, driven

FOLDER = Path(__file__).resolve().parents[2] / "screenshots"
WAIT_SECONDS = 15.0
"""For what takes its time: a run, a look at every manager."""
NARROW, WIDE = (80, 24), (160, 48)


async def _draw(scenario: str, size: tuple[int, int], shots: dict[str, list[str]]) -> None:
    """Opens a console on a scenario; for each shot presses its keys, waits until all is painted, and draws."""
    with tempfile.TemporaryDirectory() as folder:
        async with Demo(scenario, speed=20, seed=1) as demo:
            known = config.load(demo.config)
            opening = find("simulated", known, bundles=Path(folder) / "bundle")
            async with driven(opening, Path(folder) / "journal", size=size) as console:
                await console.nodes().contains("mgr1")
                await _settled(console)
                for name, keys in shots.items():
                    for key in keys:
                        if key == "wait":
                            await asyncio.sleep(WAIT_SECONDS)
                        else:
                            await console.pilot.press(key)
                        await _settled(console)
                    (FOLDER / f"{name}.svg").write_text(console.app.export_screenshot(title="swarmtui"), "utf-8")
                    print(f"screenshots/{name}.svg")


async def _settled(console: Driver) -> None:
    """Waits until the screen has not changed for a moment."""
    before = ""
    for _ in range(100):
        await console.pilot.pause(0.4)
        if console.text == before:
            return
        before = console.text


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        os.environ["XDG_DATA_HOME"] = data  # the catalogue of the demo's backups
        _draw_all()


def _draw_all() -> None:
    small = {
        "nodes-80x24": [],
        "plan-80x24": ["end", "up", "up", "D"],
        "run-80x24": ["y"],
        "help-80x24": ["escape", "?"],
    }
    asyncio.run(_draw("calm", NARROW, small))
    asyncio.run(_draw("calm", WIDE, {"console-160x48": [], "demote-160x48": ["down", "M"]}))
    taken = {
        "backup-plan-80x24": [*":backup", "enter"],
        "backup-run-80x24": ["y", "wait"],
        "backups-80x24": ["escape", *":backups", "enter"],
        "backup-80x24": ["enter"],
    }
    asyncio.run(_draw("calm", NARROW, taken))
    asyncio.run(_draw("manager-down", NARROW, {"recover-80x24": [*":recover", "enter", "wait"]}))
    views = {"tasks-80x24": [*":tasks", "enter"], "log-80x24": ["l"]}
    asyncio.run(_draw("busy", NARROW, views))
    asyncio.run(_draw("manager-down", WIDE, {"alarms-160x48": ["a"], "describe-160x48": ["escape", "d"]}))


if __name__ == "__main__":
    sys.exit(main())
