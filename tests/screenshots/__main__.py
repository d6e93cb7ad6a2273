"""Draws screenshots/*.svg from the simulated cluster: `make screenshots`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from swarmtui import config
from swarmtui.demo.serve import Demo
from swarmtui.opening import find
from tests.driver import Driver, driven

FOLDER = Path(__file__).resolve().parents[2] / "screenshots"
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
    small = {
        "nodes-80x24": [],
        "plan-80x24": ["end", "up", "up", "D"],
        "run-80x24": ["y"],
        "help-80x24": ["escape", "?"],
    }
    asyncio.run(_draw("calm", NARROW, small))
    asyncio.run(_draw("calm", WIDE, {"console-160x48": [], "demote-160x48": ["down", "M"]}))
    views = {"tasks-80x24": [*":tasks", "enter"], "log-80x24": ["l"]}
    asyncio.run(_draw("busy", NARROW, views))
    asyncio.run(_draw("manager-down", WIDE, {"alarms-160x48": ["a"], "describe-160x48": ["escape", "d"]}))


if __name__ == "__main__":
    sys.exit(main())
